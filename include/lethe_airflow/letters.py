"""What is wrong is told to the role that answers for it: when it was found, and each week while it is open.

By mail, and to the webhooks of chats and ticket systems; what one of them did not take, it alone is told again.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC
from functools import partial
from html import escape
from typing import Any

from airflow.providers.smtp.notifications.smtp import SmtpNotifier
from airflow.sdk import task
from airflow.sdk.exceptions import AirflowException

from lethe import clock
from lethe.findings import Known
from lethe.model import Policy
from lethe_airflow.sweep import lethe_at_work
from lethe_airflow.webhook import PREFIX, Refused, Webhook

log = logging.getLogger("lethe")

_WORDS = {
    "en": (
        "Lethe: open findings ({})",
        "What the daily checks hold against the stores, and you answer for:",
        "since {}",
        "Told again each week while it is open. `lethe findings` lists all of them.",
    ),
    "nb": (
        "Lethe: åpne funn ({})",
        "Dette har de daglige kontrollene å utsette, og du har ansvaret for det:",
        "siden {}",
        "Det meldes hver uke så lenge det er åpent. `lethe findings` viser alle.",
    ),
}


def letter(known: Sequence[Known], lang: str) -> tuple[str, str]:
    """Subject and text (HTML) about findings; kinds and names of the policy and the schema, and nothing of a row."""
    subject, head, since, foot = _WORDS[lang]
    lines = "".join(f"<li>{escape(_line(each, lang, since))}</li>" for each in known)
    return subject.format(len(known)), f"<p>{escape(head)}</p><ul>{lines}</ul><p>{escape(foot)}</p>"


def document(known: Sequence[Known], role: str, lang: str) -> dict[str, Any]:
    """What a webhook gets about a role's findings: `text` for people, and the same for a program; nothing of a row."""
    subject, head, since, foot = _WORDS[lang]
    lines = [f"- {_line(each, lang, since)}" for each in known]
    text = "\n".join([subject.format(len(known)), head, *lines, foot])
    return {"text": text, "role": role, "findings": [_fields(each, lang) for each in known]}


def _line(known: Known, lang: str, since: str) -> str:
    detail = f" ({known.detail})" if known.detail else ""
    words = known.finding.words(lang)
    return f"{known.severity}: {known.store}: {words}{detail}, {since.format(known.opened_at.date())}"


def _fields(known: Known, lang: str) -> dict[str, str]:
    return {
        **{name: getattr(known, name) for name in ("id", "store", "kind", "severity", "subject", "detail", "role")},
        "words": known.finding.words(lang),
        "opened_at": known.opened_at.astimezone(UTC).isoformat(),
    }


@task(trigger_rule="all_done")
def letters() -> None:
    """Tell each role in the ways that the policy has for it; what could not be sent is told at the next try or run."""
    failed = list[str]()
    with lethe_at_work() as lethe:
        for role, channel, send in _ways(lethe.policy):
            try:
                told = lethe.state.findings.tell(role, channel, clock.now(), send)
            except _NotSent as error:
                log.error("%s, %s: not sent: %s", role, channel, error)  # noqa: TRY400 - its traceback has addresses
                failed.append(f"{role} by {channel}")
            else:
                log.info("%s, %s: told of %d findings", role, channel, told)
    if failed:
        raise AirflowException(
            f"not told: {', '.join(failed)}; see Airflow's connections (smtp_default for mail) and what they lead to"
        )


def _ways(policy: Policy) -> Iterator[tuple[str, str, Callable[[Sequence[Known]], None]]]:
    """Each role with each channel that it has, and what sends by it: one mail to all addresses, and each webhook."""
    for role, places in policy.organisation.notify.items():
        addresses = [place for place in places if not place.startswith(PREFIX)]
        if addresses:
            yield role, "mail", partial(_mail, policy, addresses)
        for place in places:
            if place.startswith(PREFIX):
                yield role, place, partial(_post, policy, role, place.removeprefix(PREFIX))


def tell(policy: Policy, role: str, subject: str, text: str) -> list[str]:
    """Tell a role something in each of its ways; the channels that did not take it. No way at all is one of these."""
    places = policy.organisation.notify.get(role, ())
    failed = [] if places else ["any way: the policy's notify has none"]
    addresses = [place for place in places if not place.startswith(PREFIX)]
    ways: dict[str, SmtpNotifier | Webhook] = {
        place: Webhook(place.removeprefix(PREFIX), {"text": f"{subject}\n\n{text}", "role": role})
        for place in places
        if place.startswith(PREFIX)
    }
    if addresses:
        ways["mail"] = SmtpNotifier(to=addresses, subject=subject, html_content=as_html(text))
    for channel, notifier in ways.items():
        try:
            _by(notifier)
        except _NotSent as error:
            log.error("%s, %s: not sent: %s", role, channel, error)  # noqa: TRY400 - its traceback has addresses
            failed.append(channel)
    return failed


def as_html(text: str) -> str:
    """Plain text as HTML: paragraphs, and lines within them."""
    return "".join(f"<p>{'<br>'.join(escape(part).splitlines())}</p>" for part in text.strip().split("\n\n"))


class _NotSent(Exception):
    """It was not taken; says of what kind the failure was, and neither addresses nor what was answered."""


def _mail(policy: Policy, addresses: Sequence[str], known: Sequence[Known]) -> None:
    subject, text = letter(known, policy.organisation.languages[0])
    _by(SmtpNotifier(to=list(addresses), subject=subject, html_content=text))


def _post(policy: Policy, role: str, connection: str, known: Sequence[Known]) -> None:
    _by(Webhook(connection, document(known, role, policy.organisation.languages[0])))


def _by(notifier: SmtpNotifier | Webhook) -> None:
    context: Any = {}
    failure: _NotSent | None = None
    try:
        notifier.notify(context)
    except Refused as error:
        failure = _NotSent(str(error))
    except Exception as error:  # noqa: BLE001 - sockets, TLS, Airflow's connections: all mean that nothing went
        failure = _NotSent(type(error).__name__)
    if failure is not None:
        raise failure
