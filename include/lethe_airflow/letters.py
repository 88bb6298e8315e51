"""What is wrong goes by mail to the role that answers for it: when it was found, and each week while it is open."""

from __future__ import annotations

import logging
from collections.abc import Sequence
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
    lines = "".join(
        f"<li>{escape(each.severity)}: {escape(each.store)}: {escape(each.finding.words(lang))}"
        f"{escape(f' ({each.detail})') if each.detail else ''}, {since.format(each.opened_at.date())}</li>"
        for each in known
    )
    return subject.format(len(known)), f"<p>{escape(head)}</p><ul>{lines}</ul><p>{escape(foot)}</p>"


@task(trigger_rule="all_done")
def letters() -> None:
    """Tell each role that the policy has an address for; what could not be sent is tried again, and told next time."""
    failed = list[str]()
    with lethe_at_work() as lethe:
        for role, addresses in lethe.policy.organisation.notify.items():
            try:
                told = lethe.state.findings.tell(role, clock.now(), partial(_send, lethe.policy, addresses))
            except _NotSent as error:
                log.error("%s: not sent: %s", role, error)  # noqa: TRY400 - addresses would be in the traceback
                failed.append(role)
            else:
                log.info("%s: told of %d findings", role, told)
    if failed:
        raise AirflowException(
            f"no mail to {', '.join(failed)}: see Airflow's connection smtp_default and the mail server"
        )


class _NotSent(Exception):
    """The mail server did not take it; says of what kind the failure was, and neither addresses nor its answer."""


def _send(policy: Policy, addresses: Sequence[str], known: Sequence[Known]) -> None:
    subject, text = letter(known, policy.organisation.languages[0])
    context: Any = {}
    failure: _NotSent | None = None
    try:
        SmtpNotifier(to=list(addresses), subject=subject, html_content=text).notify(context)
    except Exception as error:  # noqa: BLE001 - smtplib, sockets, TLS, Airflow's connections: all mean that nothing went
        failure = _NotSent(type(error).__name__)
    if failure is not None:
        raise failure
