"""The daily checks as Airflow tasks: each store is asked by a task of its own, and what it came to is written down.

What Airflow keeps of them are counts; which rule or table is meant stands in the register of findings.
"""

from __future__ import annotations

import logging
import os
from collections import Counter
from pathlib import Path
from typing import Any
from uuid import uuid4

from airflow.sdk import Asset, task
from airflow.sdk.exceptions import AirflowException, AirflowFailException

from lethe import checking
from lethe.tending import tend
from lethe_airflow.roles import POOL
from lethe_airflow.sweep import lethe_at_work, moment

log = logging.getLogger("lethe")

VERIFIED = Asset("lethe_verified", uri="lethe://verified")
"""Changes when the checks have come to their end, well or not; their evidence is then sealed."""


@task(pool=POOL)
def check(store: str, *, params: dict[str, Any], ti: Any) -> None:
    """Ask one store whether anything expired remains, and what it holds that the policy does not name.

    The answer is written down, with what it changes of the findings.

    A store or table that does not answer is asked again; it is unknown only when the last try found no answer either.
    """
    with lethe_at_work() as lethe:
        found = checking.look(lethe, store, lethe.today(moment(params, lethe)))
        if not found.is_known and ti.try_number <= ti.max_tries:
            raise AirflowException("; ".join(sorted({found.problem, *(each.problem for each in found.rules)} - {""})))
        if pages := os.environ.get("LETHE_DATA_DOCS"):
            checking.keep_page(found, Path(pages))
        if not params.get("as_of"):  # what is planted belongs to today
            found = tend(lethe, found)
        changed = lethe.state.checked(lethe.policy, found, uuid4().hex)
    states = Counter(each.state for each in found.rules)
    log.info("%s", ", ".join(f"{rules} {state}" for state, rules in sorted(states.items())))
    log.info("findings: %d opened, %d gone", len(changed.opened), len(changed.gone))


@task(trigger_rule="all_done")
def findings() -> None:
    """Tell what is open of all stores; alarms and warnings fail the run, for somebody must look."""
    with lethe_at_work() as lethe:
        known = lethe.state.findings.known()
    for each in known:
        log.warning("%s: %s: %s, since %s", each.severity, each.store, each.finding.words("en"), each.opened_at.date())
    count = Counter(each.severity for each in known)
    if count["alarm"] or count["warning"]:
        told = ", ".join(
            f"{count[severity]} {severity}{'s' * (count[severity] > 1)}"
            for severity in ("alarm", "warning")
            if count[severity]
        )
        raise AirflowFailException(f"{told} open; `lethe findings` lists them")


@task(trigger_rule="all_done", outlets=[VERIFIED])
def tell_sealing() -> None:
    """Say that the checks are over: what they wrote down is sealed now, not at the next full hour."""


@task(trigger_rule="none_failed")
def conclude() -> None:
    """Keep the run from ending well when a store could not be asked at all, or something is open."""
