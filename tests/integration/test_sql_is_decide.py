from __future__ import annotations

import shutil
from collections import Counter
from copy import deepcopy
from datetime import date, timedelta
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from psycopg import sql

from filled_estate import Bench, by_key
from lethe.anonymise.changes import MARK
from lethe.errors import SchemaMismatch
from lethe.explain import ends_on
from lethe.model import Delete, Plan, Policy, Reason, Receipt, Rule, Verdict, Way
from lethe.plan import finish_shard, make_plan
from lethe.stores import DataStore
from lethe.stores.memory import Memory, MemoryStore, Row, View, key_text
from lethe.stores.postgres.predicate import Predicate, table_name
from lethe.stores.postgres.predicate import key_text as key_sql
from lethe.stores.postgres.store import PostgresStore
from lethe.stores.postgres.subject import Subject
from random_estate import KEYS, Case, cases
from support import write_policy


def test_every_row_meets_the_fate_that_decide_gives_it(bench: Bench) -> None:
    """Survey, apply and remaining say and do for every row what decide() says, whatever policy, rows and holds."""
    _for_cases(bench, 70)


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_every_row_of_many_more_meets_the_fate_that_decide_gives_it(bench: Bench) -> None:
    _for_cases(bench, 1500)


def _for_cases(bench: Bench, examples: int) -> None:
    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        derandomize=examples < 1000,  # the sample must come to everything each time; the long run looks for more
        report_multiple_bugs=False,
        phases=[Phase.generate],  # a case says by its policy what it is about; making it smaller takes minutes
        suppress_health_check=list(HealthCheck),
    )
    @given(cases())
    def holds(case: Case) -> None:
        _agree(bench, case)

    holds()
    wanted = {*(str(reason.name) for reason in Reason), "blocks", "index", "deleted", "anonymised", "went along"}
    wanted |= {"day named", "by a clock elsewhere"}
    assert wanted <= set(+bench.seen), "the cases must come to everything that is to be compared"


def _agree(bench: Bench, case: Case) -> None:
    directory = bench.directory / "policy"
    shutil.rmtree(directory, ignore_errors=True)
    policy = case.policy(directory)
    rule = policy.rules["ends"]
    memory = case.memory(policy)
    bench.fill(case, memory)
    judge = MemoryStore(policy.stores["crm"], policy, Memory(bench.tables(), holds=memory.holds))
    with PostgresStore(policy.stores["crm"], policy, lambda _: bench.database.conninfo()) as store:
        _same_verdicts(bench, store, judge, case, rule)
        _same_explained(bench, store, judge, case, rule)
        plan = _same_survey(store, judge, case, policy, rule)
        if case.confirmed or rule.assumption is None:
            _same_deed(bench, store, judge, plan, rule)


def _same_verdicts(bench: Bench, store: PostgresStore, judge: MemoryStore, case: Case, rule: Rule) -> None:
    store._bring(rule)
    predicate = Predicate(store._question(rule, case.today, case.confirmed))
    query = sql.SQL("SELECT {}, {} FROM {} AS t{}").format(
        key_sql(rule.dataset, "t"), predicate.mask(), table_name(rule.dataset), predicate.scope.joined()
    )
    found = {key: Reason(mask) for key, mask in store._connection.get().execute(query).fetchall()}
    decided = View(judge).decided(rule, case.today, confirmed=case.confirmed)
    expected = {key_text(rule.dataset, row): (reasons, row) for row, _, reasons in decided}
    wrong = {key: (found.get(key), *both) for key, both in expected.items() if found.get(key) != both[0]}
    assert wrong == {}, f"{rule.dataset.name}: key → SQL, decide(), row"
    assert len(found) == len(expected)
    bench.seen.update(str(reason.name) for reason in Reason if any(reason in mask for mask in found.values()))


def _same_explained(bench: Bench, store: PostgresStore, judge: MemoryStore, case: Case, rule: Rule) -> None:
    """What is told of single rows is what decide() says, now and on the days on which that is told to change."""

    def decided(today: date) -> dict[str, Reason]:
        found = View(judge).decided(rule, today, confirmed=case.confirmed)
        return {key_text(rule.dataset, row): reasons for row, _, reasons in found}

    now, confirmed, named = decided(case.today), [rule.name] * case.confirmed, dict[date, str]()
    for subject in [store.policy.datasets["customers"], rule.dataset]:
        for row in judge.memory.tables[subject.name][:3]:
            told = store.explain(Subject(subject, key_text(subject, row), None), case.today, confirmed)
            assert told[0].total == 1 or subject.store != rule.dataset.store
            rows = [row for table in told if table.dataset.name == rule.dataset.name for row in table.rows]
            found = {row.key: judged for row in rows for judged in row.judged}
            assert {key: judged.reasons for key, judged in found.items()} == {key: now[key] for key in found}
            days = {
                key: ends_on(judged, judge.policy.organisation.year_end) for key, judged in found.items() if now[key]
            }
            named |= {day: key for key, day in days.items() if day is not None}
    for day, key in sorted(named.items())[:2]:
        before, after = decided(day - timedelta(days=1)), decided(day)
        assert (bool(before[key]), bool(after[key])) == (True, False), f"{rule.dataset.name} {key} from {day}"
        bench.seen["day named"] += 1


def _same_survey(store: PostgresStore, judge: MemoryStore, case: Case, policy: Policy, rule: Rule) -> Plan:
    found = store.survey(rule, case.today, confirmed=case.confirmed)
    expected = judge.survey(rule, case.today, confirmed=case.confirmed)
    assert dict(found.counts) == dict(expected.counts)
    assert (found.oldest, found.newest) == (expected.oldest, expected.newest)
    assert dict(found.reach) == dict(expected.reach)
    due = found.of(Verdict.DUE)
    assert store.remaining(rule, case.today, confirmed=case.confirmed).rows == due
    assert judge.remaining(rule, case.today, confirmed=case.confirmed).rows == due
    return make_plan(policy, rule, found, case.today, None)


def _same_deed(bench: Bench, store: PostgresStore, judge: MemoryStore, plan: Plan, rule: Rule) -> None:
    before = bench.tables()
    decided = list(View(judge).decided(rule, plan.today, confirmed=True))
    kept = {key_text(rule.dataset, row): reasons for row, _, reasons in decided if reasons}
    store.pace.size = {Way.BLOCKS: 1, Way.INDEX: 3}
    receipts = _work_off(store, plan)
    mine = make_plan(judge.policy, rule, judge.survey(rule, plan.today, confirmed=True), plan.today, None)
    _work_off(judge, mine)
    after, expected = bench.tables(), deepcopy(judge.memory.tables)
    for table in KEYS:
        assert list(map(_unlinked, after[table])) == list(map(_unlinked, by_key(table, expected[table]))), table
    _nothing_kept_changed(rule, kept, before[rule.dataset.name], after[rule.dataset.name])
    bench.seen.update(str(shard.way) for shard in plan.survey.shards)
    if judge.policy.datasets["customers"].store != rule.dataset.store and rule.clock.at.path:
        bench.seen["by a clock elsewhere"] += plan.survey.of(Verdict.DUE)
    bench.seen["deleted" if isinstance(rule.action, Delete) else "anonymised"] += plan.survey.of(Verdict.DUE)
    bench.seen["went along"] += sum(plan.survey.reach.values())
    assert sum(receipt.rows for receipt in receipts) == plan.survey.of(Verdict.DUE)
    gone = {name: len(before[name]) - len(after[name]) for name in KEYS if name != rule.dataset.name}
    counted = sum((Counter(receipt.reach) for receipt in receipts), Counter())
    assert counted == {name: rows for name, rows in gone.items() if rows}
    assert store.remaining(rule, plan.today, confirmed=True).rows == 0
    assert store.survey(rule, plan.today, confirmed=True).of(Verdict.DUE) == 0


def _nothing_kept_changed(rule: Rule, kept: dict[str, Reason], before: list[Row], after: list[Row]) -> None:
    """What is held, under a floor, or kept for any other reason is there afterwards, with every field as it was."""
    was, now = ({key_text(rule.dataset, row): _unlinked(row) for row in rows} for rows in (before, after))
    assert {key: now.get(key) for key in kept} == {key: was[key] for key in kept}


def _unlinked(row: Row) -> Row:
    """What can be compared: surrogates are another for each row and store, and NaN equals nothing."""
    return {
        name: MARK if str(value).startswith(MARK) else "NaN" if isinstance(value, Decimal) and value.is_nan() else value
        for name, value in row.items()
    }


def _work_off(store: DataStore, plan: Plan) -> list[Receipt]:
    receipts = []
    for shard in (*plan.survey.shards, finish_shard("public.cases")):
        while (receipt := store.apply(plan, shard, run="0" * 32)) is not None:
            receipts.append(receipt)
    return receipts


@pytest.mark.parametrize("type_", ["text", "int", "time", "jsonb"])
def test_what_is_no_date_is_never_read_as_one(bench: Bench, type_: str) -> None:
    bench.database.run(f"ALTER TABLE customers DROP COLUMN ended_text, ADD COLUMN ended_text {type_}")
    from lethe.policy import load

    policy = load(write_policy(bench.directory / "policy", TEXT_CLOCK))
    with (
        PostgresStore(policy.stores["crm"], policy, lambda _: bench.database.conninfo()) as store,
        pytest.raises(SchemaMismatch, match=r"found type .*, expected date or timestamp"),
    ):
        store.survey(policy.rules["ends"], date(2025, 3, 1), confirmed=True)


TEXT_CLOCK = """
serves: [R08]
datasets: {customers: {in: crm, table: customers, key: id, personal_data: {name: user.name}}}
rules:
  ends:
    obligation: R08
    of: customers
    title: {nb: Kunder, en: Customers}
    clock: ended_text
    keep: P1Y
    then: delete
    limits: {rows: 10, share: 100%}
"""
