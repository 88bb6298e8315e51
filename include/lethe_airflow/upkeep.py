"""The rounds through the mailboxes of employees as Airflow tasks; what Airflow keeps of them are counts."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from airflow.sdk import task
from airflow.sdk.exceptions import AirflowException

from lethe import clock
from lethe.errors import StoreError
from lethe.model import Policy
from lethe.offboarding import letters
from lethe.offboarding.caretaker import Caretaker
from lethe.offboarding.letters import Letter
from lethe.offboarding.upkeep import Found
from lethe_airflow.letters import NotSent, tell
from lethe_airflow.mail import desk_at_work, send
from lethe_airflow.roles import POOL, RUN_BY_PLATFORM

log = logging.getLogger("lethe")


def settings(obligation: str) -> dict[str, Any]:
    """What both DAGs are set to."""
    return {
        "catchup": False,
        "max_active_runs": 1,
        "tags": ["lethe", "mail", obligation],
        "access_control": RUN_BY_PLATFORM,
        "default_args": {
            "owner": "platform-team",
            "retries": 3,
            "retry_delay": timedelta(minutes=10),
            "execution_timeout": timedelta(hours=24),
        },
    }


@task(pool=POOL)
def remind() -> dict[str, int]:
    """Remind every employee of old mail who was not reminded this month yet."""
    with desk_at_work() as desk:
        caretaker = Caretaker(desk.policy, desk.state.looked, desk.directory, desk.platform, _send)
        counts = dict(caretaker.remind(clock.now()))
    return _logged(counts)


@task(pool=POOL)
def scan() -> dict[str, int]:
    """Look into every employee's new mail for what is sensitive, and tell the owner and the privacy officer."""
    with desk_at_work() as desk:
        caretaker = Caretaker(desk.policy, desk.state.looked, desk.directory, desk.platform, _send)
        counts = dict(caretaker.scan(clock.now(), lambda found: _report(desk.policy, found)))
    return _logged(counts)


def _report(policy: Policy, found: Mapping[str, Found]) -> None:
    """Tell the privacy officer in each way that the policy has for the role; StoreError when one did not take it."""
    subject, text = letters.report(found, policy.organisation.languages[0])
    try:
        tell(policy, policy.organisation.privacy_officer, subject, text)
    except NotSent as error:
        raise StoreError(str(error)) from None


def _send(letter: Letter) -> None:
    """Mail a letter; StoreError when it was not taken, so that the next one gets theirs."""
    try:
        send(letter)
    except AirflowException as error:
        raise StoreError(str(error)) from None


def _logged(counts: dict[str, int]) -> dict[str, int]:
    log.info("%s", ", ".join(f"{number} {what}" for what, number in sorted(counts.items())))
    return counts
