"""A store's checks as a Great Expectations suite: one expectation for each rule, validated over one connection.

Whoever imports this imports Great Expectations: seconds, and a quarter of a gigabyte. Only the task that checks does.
"""

from __future__ import annotations

import logging
import os
import warnings
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any

os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")  # read while it is imported: nothing is told to anybody

import great_expectations as gx
import psycopg
from great_expectations.core import ExpectationSuiteValidationResult
from great_expectations.datasource.fluent import GxDatasourceWarning  # type: ignore[attr-defined]
from great_expectations.execution_engine import ExecutionEngine, SqlAlchemyExecutionEngine  # type: ignore[attr-defined]
from great_expectations.expectations.expectation import BatchExpectation
from great_expectations.expectations.metrics.metric_provider import metric_value
from great_expectations.expectations.metrics.table_metric_provider import TableMetricProvider
from great_expectations.render.renderer import ValidationResultsPageRenderer  # type: ignore[attr-defined]
from great_expectations.render.view import DefaultJinjaPageView  # type: ignore[attr-defined]
from psycopg.conninfo import conninfo_to_dict
from sqlalchemy import Engine, event

from lethe import sentences
from lethe.checks.canaries import Canary, Judged, judge
from lethe.checks.elsewhere import MAY, Elsewhere
from lethe.checks.identity import Identity
from lethe.checks.kept import Floored, Lawful, gone_on_hold, lawful
from lethe.checks.questions import READING, Counts, Question
from lethe.checks.result import Checked, StoreChecked
from lethe.checks.sight import Seen, kept_by_statistics, unseen
from lethe.checks.trial import trial
from lethe.errors import ConfigError, SchemaMismatch, StoreError
from lethe.model import Dataset, Policy, Rule
from lethe.stores.postgres.connection import tell

logging.getLogger("great_expectations").setLevel(logging.WARNING)  # what it loads is of interest to nobody

_ALONE = """<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">"""


class Answer(TableMetricProvider):
    """The one row that a question's SQL returns, asked once; or why the store does not answer, without its values."""

    metric_name = "lethe.answer"
    value_keys = ("store", "question")

    @metric_value(engine=SqlAlchemyExecutionEngine)
    def _ask(
        cls,  # noqa: N805 - called on the class
        execution_engine: SqlAlchemyExecutionEngine,
        metric_value_kwargs: dict[str, Any],
        **_: Any,
    ) -> dict[str, Any]:
        try:
            with execution_engine.get_connection() as connection:
                session: psycopg.Connection = connection.connection.driver_connection
                row = session.execute(metric_value_kwargs["question"]).fetchone()
        except psycopg.Error as error:
            return {"problem": str(tell(metric_value_kwargs["store"], error))}
        assert row is not None
        return {"row": list(row)}


class _OfRule(BatchExpectation):
    """What is expected of the answer about one rule; a store that does not answer meets no expectation."""

    rule: str
    store: str
    question: str

    metric_dependencies = ("lethe.answer",)
    success_keys = ("store", "question")
    args_keys = ("rule",)

    def _validate(
        self,
        metrics: dict[Any, Any],
        runtime_configuration: dict[Any, Any] | None = None,  # noqa: ARG002
        execution_engine: ExecutionEngine[Any] | None = None,  # noqa: ARG002
    ) -> dict[Any, Any]:
        answer = metrics["lethe.answer"]
        if "problem" in answer:
            return {"success": False, "result": {"observed_value": "unknown", "details": answer}}
        success, result = self._judge(Question.answered(tuple(answer["row"])))
        return {"success": success, "result": result}

    @abstractmethod
    def _judge(self, counts: Counts) -> tuple[bool, dict[str, Any]]:
        """Whether the answer is as it is expected to be, and what Great Expectations tells of it."""


class ExpectNothingExpiredToRemain(_OfRule):
    """No row of the rule is left that should be gone."""

    confirmed: bool

    def _judge(self, counts: Counts) -> tuple[bool, dict[str, Any]]:
        is_met = counts.remaining == 0 or not self.confirmed
        return is_met, {"observed_value": counts.remaining, "details": counts._asdict()}


class ExpectToSeeEnough(_OfRule):
    """The rule's table has the rows, the dates and the new ones that are declared: what sees nothing finds nothing."""

    rows: int
    dated: float
    newest: str | None

    def _judge(self, counts: Counts) -> tuple[bool, dict[str, Any]]:
        blind = list(unseen(counts, self.rows, self.dated, self.newest))
        return not blind, {"observed_value": "; ".join(blind) or "enough"}


def _nowhere(store: str) -> str:
    raise ConfigError(f"found no address of {store}, expected one")


@dataclass(frozen=True)
class Asked:
    """What is asked of a store, as of which day; `grace` is how many days the sweep has to come by.

    Rules that are `unconfirmed` may not act yet: what is left of theirs is counted, and held against nobody. `canaries`
    are the rows that were planted for the rules, `floored` what was counted before of rows that a law keeps.
    """

    policy: Policy
    store: str
    rules: tuple[Rule, ...]
    today: date
    grace: int = 1
    unconfirmed: frozenset[str] = frozenset()
    canaries: tuple[Canary, ...] = ()
    floored: Mapping[str, Floored] = field(default_factory=dict)
    address: Callable[[str], str] = _nowhere
    """The libpq connection string of another store that rules are read from, by its name."""

    def question(self, rule: Rule, session: Seen | Elsewhere) -> Question:
        """What is asked about one of the rules; canaries count for nobody."""
        planted = tuple(sorted(each.key for each in self.canaries if each.rule == rule.name))
        return Question(self.policy, rule, self.today, self.grace, session.type_of, without=planted)


def _datasets(asked: Asked) -> Iterator[Dataset]:
    """The datasets of the store, whether or not a rule is about them."""
    return (dataset for dataset in asked.policy.datasets.values() if dataset.store == asked.store)


_ENOUGH = {
    "en": "There is enough to see: what sees nothing finds nothing.",
    "nb": "Det er nok å se: den som ikke ser noe, finner ikke noe.",
}


def _words(rule: Rule, policy: Policy) -> str:
    """What the rule promises, in each of the organisation's languages."""
    return " / ".join(sentences.describe(rule, policy, lang) for lang in policy.organisation.languages)


def check_store(asked: Asked, conninfo: str) -> StoreChecked:
    """Ask a store about its rules; what cannot be asked is unknown, never clean. Changes nothing."""
    store, unknown = asked.store, list[Checked]()
    try:
        with psycopg.connect(conninfo, autocommit=True, connect_timeout=10, options=READING) as conn:
            session = Seen.by(conn)
            may = bool((conn.execute(MAY).fetchone() or (False,))[0])
            identity = Identity.of(conn, sorted({d.place for d in _datasets(asked)}), marked=bool(asked.rules))
            stale = dict(_stale(asked, conn, session))
            canaries = tuple(_judged(asked, conn, session))
            held_gone, kept = dict(_held_gone(asked, conn, session)), dict(_lawful(asked, conn, session))
    except psycopg.Error as error:
        problem = str(tell(store, error))
        nothing = (Checked(rule.name, "unknown", problem=problem) for rule in asked.rules)
        unseen = tuple(Judged(each, "unseen") for each in asked.canaries)
        return StoreChecked(store, asked.today, tuple(nothing), grace=asked.grace, problem=problem, canaries=unseen)
    elsewhere = Elsewhere(asked.policy, store, session, asked.address, may=may)
    expected, questions = list[_OfRule](), list[Question]()
    for rule in asked.rules:
        question = asked.question(rule, elsewhere)
        try:
            query = question.sql()
            elsewhere.bring(question)
        except StoreError as error:
            unknown.append(Checked(rule.name, "unknown", problem=str(error)))
            continue
        questions.append(question)
        confirmed = rule.name not in asked.unconfirmed
        about: dict[str, Any] = {"rule": rule.name, "store": store, "question": query}
        least, newest = rule.expect, rule.expect.newest
        expected += [
            ExpectNothingExpiredToRemain(**about, confirmed=confirmed, description=_words(rule, asked.policy)),
            ExpectToSeeEnough(
                **about,
                rows=least.rows,
                dated=least.dated,
                newest=str(newest) if newest else None,
                description=" / ".join(_ENOUGH[lang] for lang in asked.policy.organisation.languages),
            ),
        ]
    failed = dict[str, str]()

    def lay(conn: psycopg.Connection, _: object) -> None:
        failed.update(elsewhere.lay_all(conn, questions))

    validated = _validated(store, conninfo, expected, lay) if expected else None
    document: dict[str, Any] = validated.to_json_dict() if validated else {}  # type: ignore[no-untyped-call]
    found = document.get("results", ())
    tried = dict(trial(conninfo, store, questions, elsewhere.lay))
    answered = (
        replace(each, problem=failed.get(each.rule, each.problem), stale=stale.get(each.rule), trial=tried[each.rule])
        for each in (_checked(remains, seen) for remains, seen in zip(found[::2], found[1::2], strict=True))
    )
    page = _page(validated) if validated else ""
    return StoreChecked(
        store,
        asked.today,
        (*answered, *unknown),
        document,
        page,
        asked.grace,
        replace(identity, floored={rule: each.count for rule, each in kept.items()}),
        held_gone=held_gone,
        lawful=kept,
        canaries=canaries,
    )


def _held_gone(asked: Asked, conn: psycopg.Connection, session: Seen) -> Iterator[tuple[str, int]]:
    """Rows on hold that are not there, by table; without the tables that could not be asked about."""
    for dataset in _datasets(asked):
        with suppress(psycopg.Error, SchemaMismatch):
            yield dataset.place, gone_on_hold(conn, dataset, session.type_of)


def _lawful(asked: Asked, conn: psycopg.Connection, session: Seen) -> Iterator[tuple[str, Lawful]]:
    """Rows under floors, by rule; without the rules that could not be asked about."""
    for rule in asked.rules:
        with suppress(psycopg.Error, SchemaMismatch):
            kept = lawful(conn, asked.question(rule, session), asked.floored.get(rule.name))
            if kept is not None:
                yield rule.name, kept


def _judged(asked: Asked, conn: psycopg.Connection, session: Seen) -> Iterator[Judged]:
    """What became of the canaries; of a rule that the policy does not have any more nobody can tell."""
    rules = {rule.name: rule for rule in asked.rules}
    for each in asked.canaries:
        if each.rule in rules:
            yield judge(conn, asked.question(rules[each.rule], session), each)
        else:
            yield Judged(each, "unseen")


def _stale(asked: Asked, conn: psycopg.Connection, session: Seen) -> Iterator[tuple[str, int]]:
    """What statistics keep of rows that are gone, unless the policy accepts it; without what could not be asked."""
    accepted = asked.policy.stores[asked.store].accepted
    for rule in asked.rules:
        if f"statistics {rule.name}" in accepted or rule.name in asked.unconfirmed:
            yield rule.name, 0
            continue
        with suppress(psycopg.Error, SchemaMismatch):
            yield rule.name, kept_by_statistics(conn, asked.question(rule, session))


def _validated(
    store: str, conninfo: str, expected: list[_OfRule], lay: Callable[[psycopg.Connection, object], None]
) -> ExpectationSuiteValidationResult:
    """The validation as Great Expectations tells it; `lay` is given each of its sessions before it asks."""
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False, "metric_calculations": False}  # type: ignore[assignment]
    session = {**conninfo_to_dict(conninfo), "options": READING, "autocommit": True}
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=GxDatasourceWarning)  # its own kind for PostgreSQL wants psycopg 2
        source = context.data_sources.add_sql(
            store,
            connection_string="postgresql+psycopg://",
            kwargs={"connect_args": session},  # type: ignore[call-arg]
        )
    try:
        batch = source.add_query_asset(store, query="SELECT 1").add_batch_definition_whole_table("all").get_batch()
        _before_asking(batch.data.execution_engine.engine, lay)
        suite = gx.ExpectationSuite(store, expectations=list(expected))
        found = batch.validate(suite, result_format="SUMMARY")
        batch.data.execution_engine.engine.dispose()
    finally:
        source.get_engine().dispose()
    return found


def _before_asking(engine: Engine, lay: Callable[[psycopg.Connection, object], None]) -> None:
    """Let `lay` have every session that is opened from now on; those that are open are closed."""
    engine.dispose()
    event.listen(engine, "connect", lay)


def _page(validated: ExpectationSuiteValidationResult) -> str:
    """The validation's page of Data Docs, which loads nothing from anywhere: who reads it is nobody else's business."""
    page: str = DefaultJinjaPageView().render(ValidationResultsPageRenderer().render(validated))  # type: ignore[no-untyped-call]
    return page.replace("<head>", f"<head>\n{_ALONE}", 1)


def _checked(remains: dict[str, Any], seen: dict[str, Any]) -> Checked:
    """What the two expectations of one rule come to."""
    asked, details = remains["expectation_config"]["kwargs"], remains["result"].get("details")
    if details is None or "problem" in details:
        raised = "Great Expectations could not ask; run again"
        return Checked(asked["rule"], "unknown", problem=details["problem"] if details else raised)
    counts = Counts(**details)
    if counts.remaining and asked["confirmed"]:
        return Checked(asked["rule"], "remaining", counts)
    if not seen["success"]:
        return Checked(asked["rule"], "blind", counts, seen["result"]["observed_value"])
    return Checked(asked["rule"], "unconfirmed" if counts.remaining else "clean", counts)
