"""The steps of a rule's way as Airflow tasks: each calls one function of lethe.run and passes on a digest or counts.

What Airflow keeps of them (XCom, logs, run conf) are plan digests, rule names and counts.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import date, datetime, time
from functools import cache
from pathlib import Path
from typing import Any, TypedDict
from uuid import uuid4

from airflow.sdk import Asset, get_current_context, task
from airflow.sdk.exceptions import AirflowFailException, DagRunTriggerException

from lethe import clock
from lethe.errors import Behind, Forked, LetheError, PlanError, PolicyError, SchemaMismatch, Unsealed
from lethe.model import Policy, Receipt, Verdict
from lethe.offboarding.departures import DepartureError
from lethe.policy import load
from lethe.run import Lethe
from lethe_airflow.connections import conninfo, url
from lethe_airflow.roles import POOL

log = logging.getLogger("lethe")

POLICY_DIR = Path(os.environ.get("LETHE_POLICY", Path(__file__).parents[1] / "policy"))

APPROVALS = Asset("lethe_approvals", uri="lethe://approvals")
"""Changes when a person approves a plan; what was approved is then carried out."""

SWEPT = Asset("lethe_swept", uri="lethe://swept")
"""Changes when a sweep or an anonymisation has come to its end, well or not; its evidence is then sealed."""

SWEEP_AT = os.environ.get("LETHE_SWEEP_AT", "0 3 * * *")
"""When the clock starts both DAGs that carry out rules: a cron expression in the organisation's zone."""

APPROVAL_DAG = "approve_plans"


class Piece(TypedDict):
    """One shard of a plan: what one mapped `act` does."""

    plan: str
    shard: int


@cache
def policy() -> Policy:
    """The project's policy, read once in a process: the DAG file that is read before each task has it already."""
    return load(POLICY_DIR)


@contextmanager
def lethe_at_work() -> Iterator[Lethe]:
    """Lethe over the project's policy and Airflow's connections.

    An error that would come back in the same words fails the task at once; others are retried. Only Lethe's own
    wording reaches the log: the driver's messages carry values of rows.
    """
    failure: Exception | None = None
    try:
        with Lethe(policy(), conninfo, url=url) as lethe:
            yield lethe
    except (PolicyError, PlanError, SchemaMismatch, Behind, Forked, Unsealed, DepartureError) as error:
        failure = AirflowFailException(str(error))
    except LetheError as error:
        log.error("%s", error)  # noqa: TRY400 - without the traceback
        failure = error
    if failure is not None:
        raise failure


def run_id() -> str:
    """Lethe's own id of this run, made by `select`; says nothing of Airflow's, which a person may have chosen."""
    found: str = get_current_context()["ti"].xcom_pull(task_ids="select", key="run")
    return found


def moment(params: Mapping[str, Any], lethe: Lethe) -> datetime:
    """The moment that the run plans for: the end of the day `as_of`, or now."""
    if not params["as_of"]:
        return clock.now()
    return datetime.combine(date.fromisoformat(params["as_of"]), time(23, 59), tzinfo=lethe.policy.organisation.zone)


def is_answer() -> bool:
    """Whether a person's approval started this run, rather than the clock or somebody's hand."""
    return bool(get_current_context()["triggering_asset_events"])


@task.branch
def select(rules: tuple[str, ...], *, params: dict[str, Any], ti: Any, dag: Any, dag_run: Any) -> list[str]:
    """Which of the DAG's rules this run is about: those with a fresh approval, those asked for, or all."""
    run = uuid4().hex
    ti.xcom_push(key="run", value=run)
    refuse_unknown(dag_run.conf, dag.params)
    wanted = set(params["rules"] or rules)
    if is_answer():
        with lethe_at_work() as lethe:
            wanted &= set(lethe.approved_rules(clock.now()))
    log.info("%d of %d rules", len(wanted), len(rules))
    chosen = [rule for rule in rules if rule in wanted]
    if not params["dry_run"]:
        with lethe_at_work() as lethe:
            for rule in chosen:
                lethe.begin(rule, run, "scheduled", **told_of(dag_run))
    return [f"{rule}.{step}" for rule in chosen for step in ("plan", "record")]


def told_of(dag_run: Any) -> dict[str, str | None]:
    """What evidence says of Airflow's run: its own id only where Airflow made it, for a person may type anything."""
    generated = dag_run.run_type in ("scheduled", "asset_triggered")
    return {"dag": dag_run.dag_id, "dag_run": dag_run.run_id if generated else None}


def refuse_unknown(conf: Mapping[str, Any] | None, known: Iterable[str]) -> None:
    """Fail for a parameter that the DAG does not have: misspelled, it would leave a run over everything."""
    if unknown := sorted(set(conf or {}) - set(known)):
        raise AirflowFailException(f"found parameters {', '.join(unknown)}, expected only {', '.join(known)}")


def digest(ti: Any) -> str | None:
    """The digest of the plan that the task's own rule is about; None when there is no plan."""
    found: str | None = ti.xcom_pull(task_ids=f"{group(ti)}.plan", key="plan")
    return found


def group(ti: Any) -> str:
    """The task group that the task stands in: its rule."""
    name: str = ti.task_id.rpartition(".")[0]
    return name


@task(pool=POOL)
def plan(rule: str, *, params: dict[str, Any], ti: Any, dag_run: Any) -> list[Piece]:
    """Survey the rule's rows and keep the plan; in a run that an approval started, take up the approved one."""
    with lethe_at_work() as lethe:
        if not params["dry_run"]:
            lethe.begin(rule, run_id(), "started", **told_of(dag_run))
        made = lethe.approved_plan(rule, clock.now()) if is_answer() else None
        if made is None:
            made = lethe.plan(rule, moment(params, lethe), run_id())
    log.info("plan %s: %d due", made.digest[:12], made.survey.of(Verdict.DUE))
    ti.xcom_push(key="plan", value=made.digest)
    return [Piece(plan=made.digest, shard=shard.number) for shard in made.survey.shards]


@task.branch
def gate(*, params: dict[str, Any], ti: Any) -> str | None:
    """Go on to the deed, or to a question for the privacy officer; a dry run ends here."""
    with lethe_at_work() as lethe:
        found = lethe.gate(digest(ti) or "")
    log.info("%s %s", found.state, "; ".join(found.why))
    if params["dry_run"] or found.state not in ("go", "waiting"):
        return None
    return f"{group(ti)}.{'act' if found.state == 'go' else 'ask'}"


@task
def ask(*, ti: Any) -> None:
    """Start the run that asks the privacy officer; a plan that is asked about already is not asked about twice.

    This is what TriggerDagRunOperator does in the end, without loading Airflow's database models at every parse.
    """
    found = digest(ti)
    raise DagRunTriggerException(
        trigger_dag_id=APPROVAL_DAG,
        dag_run_id=f"plan__{found}",
        conf={"plan": found},
        reset_dag_run=False,
        skip_when_already_exists=True,
        wait_for_completion=False,
        allowed_states=[],
        failed_states=[],
        poke_interval=60,
        deferrable=False,
    )


@task(pool=POOL)
def act(piece: Piece) -> None:
    """Do one shard of the approved plan, batch by batch; a retry goes on where the last attempt stopped."""

    def told(receipt: Receipt) -> None:
        log.info("batch %d: %d rows in %.1f s", receipt.batch, receipt.rows, receipt.seconds)

    with lethe_at_work() as lethe:
        lethe.act(piece["plan"], piece["shard"], clock.now(), run_id(), told)


@task(pool=POOL)
def verify(*, ti: Any) -> None:
    """Finish the plan, then ask the store by other means what is left; more than nothing fails the rule."""
    plan_digest = digest(ti) or ""
    with lethe_at_work() as lethe:
        lethe.finish(plan_digest, clock.now(), run_id())
        remaining = lethe.verify(plan_digest, run_id())
    log.info("%d rows remain", remaining.rows)
    if not remaining.is_nothing:
        detached, documents = len(remaining.detached), remaining.documents
        raise AirflowFailException(
            f"{remaining.rows} rows remain that were due; partitions detached: {detached}; "
            f"documents not settled: {documents}{''.join(f'; {each}' for each in remaining.findings)}"
        )


@task(trigger_rule="all_done")
def record(rule: str, *, params: dict[str, Any], ti: Any, dag_run: Any) -> None:
    """Write down how the rule's run ended, whatever way it took; fails when a step before it did."""
    steps = [f"{group(ti)}.{step}" for step in ("plan", "gate", "act", "ask", "verify")]
    found = ti.get_task_states(dag_run.dag_id, task_ids=steps, run_ids=[dag_run.run_id]).get(dag_run.run_id, {})
    failed = bool(set(found.values()) & {"failed", "upstream_failed"})
    if params["dry_run"] and not failed:
        return
    with lethe_at_work() as lethe:
        state = lethe.record(
            rule,
            run_id(),
            digest=digest(ti),
            failed=failed,
            acted=found.get(f"{group(ti)}.verify") == "success",
            **told_of(dag_run),
        )
    log.info("%s: %s", rule, state)
    if state == "failed":
        raise AirflowFailException(f"rule {rule}: a step before this one failed; its own log says why")


@task(trigger_rule="all_done", pool=POOL)
def measure(*, params: dict[str, Any]) -> None:
    """Whether data that never had a person hides everybody well enough; fails when it does not.

    What a rule anonymises is measured by its own `verify`, once its plan is carried out. A run that an approval started
    measures nothing besides.
    """
    from lethe import anonymous  # the numbering plans are loaded by who measures

    if is_answer():
        return
    wrong = list[str]()
    with lethe_at_work() as lethe:
        for dataset in (name for name, each in lethe.policy.anonymity.items() if each.rule is None):
            found = anonymous.measure(lethe, dataset)
            if not params["dry_run"]:
                anonymous.write_down(lethe, found, run_id())
            log.info("%s: %d rows in %d groups", dataset, found.groups.rows, found.groups.groups)
            wrong += [f"{dataset}: {each}" for each in found.findings()]
    if wrong:
        raise AirflowFailException("; ".join(wrong))


@task(trigger_rule="all_done", outlets=[SWEPT])
def tell_sealing() -> None:
    """Say that the run is over: what it wrote down is sealed now, not at the next full hour."""


@task(trigger_rule="none_failed")
def conclude() -> None:
    """Keep the run from ending well when a rule did not: sealing is told either way, and alone would say so."""
