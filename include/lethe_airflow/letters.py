"""What is wrong is told to the role that answers for it: when it was found, and each week while it is open.

By mail, and to the webhooks of chats and ticket systems; what one of them did not take, it alone is told again.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
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

Send = Callable[[str, str, dict[str, Any]], None]
"""Sends by one channel: a subject and HTML for people, or a document for a program; NotSent."""

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
        lang = lethe.policy.organisation.languages[0]
        for role in lethe.policy.organisation.notify:
            for channel, send in _ways(lethe.policy, role).items():

                def say(known: Sequence[Known], role: str = role, send: Send = send) -> None:
                    send(*letter(known, lang), document(known, role, lang))

                try:
                    told = lethe.state.findings.tell(role, channel, clock.now(), say)
                except NotSent as error:
                    failed.append(_failed(role, channel, error))
                else:
                    log.info("%s, %s: told of %d findings", role, channel, told)
    if failed:
        raise AirflowException(
            f"not told: {', '.join(failed)}; see Airflow's connections (smtp_default for mail) and what they lead to"
        )


def tell(policy: Policy, role: str, subject: str, text: str) -> None:
    """Tell a role something in each of its ways; NotSent with those that did not take it, or when there is none."""
    failed = list[str]()
    ways = _ways(policy, role)
    for channel, send in ways.items():
        try:
            send(subject, as_html(text), {"text": f"{subject}\n\n{text}", "role": role})
        except NotSent as error:
            failed.append(_failed(role, channel, error))
    if failed or not ways:
        raise NotSent(f"not told: {', '.join(failed) or f'{role}: the policy has no way to it'}; see `notify`")


def _ways(policy: Policy, role: str) -> Mapping[str, Send]:
    """What sends by each channel that a role has: one mail to all addresses, and each webhook."""
    places = policy.organisation.notify.get(role, ())
    addresses = [place for place in places if not place.startswith(PREFIX)]
    hooks = {place: partial(_post, place.removeprefix(PREFIX)) for place in places if place.startswith(PREFIX)}
    return {**({"mail": partial(_mail, addresses)} if addresses else {}), **hooks}


def _failed(role: str, channel: str, error: NotSent) -> str:
    log.error("%s, %s: not sent: %s", role, channel, error)
    return f"{role} by {channel}"


def as_html(text: str) -> str:
    """Plain text as HTML: paragraphs, and lines within them."""
    return "".join(f"<p>{'<br>'.join(escape(part).splitlines())}</p>" for part in text.strip().split("\n\n"))


class NotSent(Exception):
    """It was not taken; says of what kind the failure was, and neither addresses nor what was answered."""


def _mail(addresses: Sequence[str], subject: str, html: str, _: dict[str, Any]) -> None:
    _by(SmtpNotifier(to=list(addresses), subject=subject, html_content=html))


def _post(connection: str, _: str, __: str, told: dict[str, Any]) -> None:
    _by(Webhook(connection, told))


def _by(notifier: SmtpNotifier | Webhook) -> None:
    context: Any = {}
    failure: NotSent | None = None
    try:
        notifier.notify(context)
    except Refused as error:
        failure = NotSent(str(error))
    except Exception as error:  # noqa: BLE001 - sockets, TLS, Airflow's connections: all mean that nothing went
        failure = NotSent(type(error).__name__)
    if failure is not None:
        raise failure
