"""The steps of sealing as Airflow tasks: each finds out how far the last one came, so any of them can be repeated."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import date, datetime, time, timedelta
from typing import Any
from uuid import uuid4

from airflow.sdk import task
from airflow.sdk.exceptions import AirflowException, AirflowFailException

from lethe import clock
from lethe.run import Lethe
from lethe_airflow.connections import url
from lethe_airflow.sweep import SWEEP_AT, lethe_at_work, policy

log = logging.getLogger("lethe")


@contextmanager
def sealing_at_work() -> Iterator[tuple[Lethe, Any]]:
    """Lethe and its log, over the project's policy and Airflow's connections."""
    with lethe_at_work() as lethe, closing(lethe.sealing()) as sealing:
        yield lethe, sealing


@task
def tell() -> None:
    """Once a day: that the log lives, and which rules should have run yesterday and did not."""
    from lethe.evidence.restore import tell_of_log

    run = uuid4().hex
    with sealing_at_work() as (lethe, sealing):
        today, zone = lethe.today(clock.now()), lethe.policy.organisation.zone
        tell_of_log(sealing)
        sealing.heartbeat(today, run)
        days = sealing.manifest(today, zone, scheduled_on, run)
    log.info("%d days told of", days)


def scheduled_on(day: date) -> tuple[str, ...]:
    """The rules that are scheduled on a day: those of both DAGs, which share their hour, or none."""
    from croniter import croniter

    zone = policy().organisation.zone
    before = datetime.combine(day, time(0), tzinfo=zone) - timedelta(seconds=1)
    tick = croniter(SWEEP_AT, before).get_next(datetime)
    return tuple(policy().rules) if tick.astimezone(zone).date() == day else ()


@task(trigger_rule="all_done")
def list_erased() -> None:
    """Keep outside, encrypted, whose records went, where the policy gives receipts: a restored store has lost that."""
    from lethe.evidence.again import ReplayList, load_replay_key
    from lethe.evidence.replay import list_erased

    with sealing_at_work() as (lethe, sealing):
        today = lethe.today(clock.now())
        count = list_erased(lethe, sealing, lambda: ReplayList(sealing.outside, load_replay_key(os.environ)), today)
    log.info("%d batches listed", count)


@task(trigger_rule="all_done")
def collect() -> None:
    """Take over what the outboxes hold into the log; fails, when the rest is in, for what is silent or was removed."""
    with sealing_at_work() as (_, sealing):
        found = sealing.collect()
    log.info("%d leaves collected", found.leaves)
    wrong = [
        f"{gap.outbox}: leaves {gap.first} to {gap.last} of epoch {gap.epoch} are gone; rows were removed"
        for gap in found.gaps
    ]
    if wrong:
        raise AirflowFailException("; ".join([*wrong, *found.unreachable.values()]))  # to try again finds them gone
    if found.unreachable:
        raise AirflowException("; ".join(found.unreachable.values()))


@task(trigger_rule="all_done")
def checkpoint() -> None:
    """Sign the log as it is now."""
    from lethe.evidence.keys import load_key

    with sealing_at_work() as (lethe, sealing):
        key = load_key(sealing.setting.origin, os.environ)
        sealed = sealing.checkpoint(key, uuid4().hex, lethe.today(clock.now()))
    log.info("%d leaves are signed", sealed.size if sealed else 0)


@task
def anchor() -> None:
    """Bring the signature to every anchor; what could not be reached is tried again, here and by every later run."""
    with sealing_at_work() as (_, sealing):
        told = sealing.anchor(url, uuid4().hex)
    for name, why in told.items():
        log.info("anchor %s: %s", name, why or "has the checkpoint")
    if failed := [f"anchor {name}: {why}" for name, why in told.items() if why]:
        raise AirflowException("; ".join(failed))


@task(trigger_rule="all_done")
def conclude(*, ti: Any, dag_run: Any) -> None:
    """Fail when a step did: the last one alone would not tell."""
    steps = ["tell", "list_erased", "collect", "checkpoint", "anchor"]
    found = ti.get_task_states(dag_run.dag_id, task_ids=steps, run_ids=[dag_run.run_id]).get(dag_run.run_id, {})
    if failed := [step for step in steps if found.get(step) in ("failed", "upstream_failed")]:
        raise AirflowFailException(f"{', '.join(failed)} failed; the last line of its log says why")
