"""Between plan and act the world may change: what was approved is done, or nothing is, and one plans anew."""

from datetime import UTC, datetime, timedelta

import pytest

from faults import ACTIVITY, DUE, NOW, SCHEMA, accounted, act, again, answer, approved, at_pace, customers
from lethe.errors import BoundExceeded, NotApproved, PlanError, PolicyError, SchemaMismatch, Stale
from lethe.model import Verdict
from support import write_policy


def untouched(lethe) -> bool:
    return customers(lethe) == 100 and accounted(lethe.database, 0)


@pytest.mark.parametrize(
    ("was", "becomes"),
    [("keep: P1Y", "keep: P6M"), ("rows: 1000", "rows: 2000"), ("nb: Kunder", "nb: Kundene")],
    ids=["another period", "another limit", "another word"],
)
def test_a_policy_edited_between_plan_and_act_stops_the_plan(open_lethe, tmp_path, was: str, becomes: str) -> None:
    lethe = open_lethe(ACTIVITY, SCHEMA)
    plan = approved(lethe)
    edited = write_policy(tmp_path / "edited", ACTIVITY.replace(was, becomes))
    with again(lethe, policy_dir=edited) as other:
        with pytest.raises(Stale, match="rule ex-customers: the policy changed since the plan was made; plan again"):
            act(other, plan)
        assert untouched(lethe)
        assert other.plan("ex-customers", NOW, "run").digest != plan.digest


def test_a_rule_taken_out_of_the_policy_is_not_acted_on(open_lethe, tmp_path) -> None:
    lethe = open_lethe(ACTIVITY, SCHEMA)
    plan = approved(lethe)
    edited = write_policy(tmp_path / "edited", ACTIVITY.replace("ex-customers:", "others:"))
    with (
        again(lethe, policy_dir=edited) as other,
        pytest.raises(PolicyError, match="rule ex-customers: not in the policy"),
    ):
        act(other, plan)
    assert untouched(lethe)


def test_a_plan_applied_twice_does_its_work_once(open_lethe) -> None:
    lethe = open_lethe(ACTIVITY, SCHEMA)
    plan = approved(lethe)
    assert act(lethe, plan) == DUE
    lethe.database.run("INSERT INTO customer VALUES (500, NULL, '2020-01-01')")
    assert act(lethe, plan) == act(lethe, plan, run="another") == 0
    assert accounted(lethe.database, DUE)


GROWN = {
    "CASCADE": "CREATE TABLE letter (id int, customer_id bigint REFERENCES customer ON DELETE CASCADE)",
    "NO ACTION": "CREATE TABLE letter (id int, customer_id bigint REFERENCES customer)",
}


@pytest.mark.parametrize("on_delete", GROWN)
def test_a_table_that_refers_since_the_plan_is_refused_with_what_would_happen(open_lethe, on_delete: str) -> None:
    lethe = open_lethe(ACTIVITY, SCHEMA)
    plan = approved(lethe)
    lethe.database.run(GROWN[on_delete])
    with pytest.raises(SchemaMismatch, match=rf"store crm, rule ex-customers.*public\.letter.*ON DELETE {on_delete}"):
        act(lethe, plan)
    assert untouched(lethe)


def test_a_column_of_another_type_since_the_plan_stops_it(open_lethe) -> None:
    lethe = open_lethe(ACTIVITY, SCHEMA)
    plan = approved(lethe)
    lethe.database.run("ALTER TABLE customer ALTER ended_on TYPE timestamptz")
    with pytest.raises(
        Stale, match="store crm, rule ex-customers: the schema is not the one that was planned for; plan again"
    ):
        act(lethe, plan)
    assert untouched(lethe)


def test_a_new_index_or_new_rows_change_nothing_that_was_approved(open_lethe) -> None:
    lethe = open_lethe(ACTIVITY, SCHEMA)
    plan = approved(lethe)
    lethe.database.run(
        "CREATE INDEX ON customer (ended_on); INSERT INTO customer VALUES (500, NULL, '2020-01-01'); ANALYZE"
    )
    assert act(lethe, plan) == DUE + 1


def test_a_copy_of_the_store_is_another_store(open_lethe) -> None:
    lethe = open_lethe(ACTIVITY, SCHEMA)
    plan = approved(lethe)
    lethe.database.run("UPDATE lethe.store SET id = gen_random_uuid()")
    with pytest.raises(
        Stale, match="store crm, rule ex-customers: the store is not the one that was planned for; plan again"
    ):
        act(lethe, plan)
    assert untouched(lethe)
    afterwards = lethe.plan("ex-customers", NOW, "run")
    assert afterwards.digest != plan.digest
    assert "the store is another one, or was restored, since the last approval" in afterwards.needs


def test_a_restored_store_is_planned_for_anew(open_lethe) -> None:
    lethe = open_lethe(ACTIVITY, SCHEMA)
    plan = approved(lethe)
    lethe.database.run("UPDATE lethe.store SET epoch = epoch + 1")
    with pytest.raises(
        Stale, match="store crm, rule ex-customers: the epoch is not the one that was planned for; plan again"
    ):
        act(lethe, plan)
    assert untouched(lethe)
    afterwards = approved(lethe)
    assert afterwards.digest != plan.digest
    assert act(lethe, afterwards) == DUE
    assert accounted(lethe.database, DUE)


def test_an_epoch_raised_between_batches_stops_before_the_next(open_lethe) -> None:
    lethe = at_pace(open_lethe(ACTIVITY, SCHEMA.replace("'Kunde ' || n", "rpad(n::text, 1500)")))
    plan = approved(lethe)
    receipts = []

    def restore(receipt) -> None:
        receipts.append(receipt.rows)
        lethe.database.run("UPDATE lethe.store SET epoch = 2")

    with pytest.raises(Stale, match=r"store crm.*found epoch 2, planned for 1; plan again"):
        act(lethe, plan, each=restore)
    assert len(receipts) == 1
    assert accounted(lethe.database, receipts[0])


def test_a_schema_that_changed_lets_the_day_be_planned_anew(open_lethe) -> None:
    lethe = open_lethe(ACTIVITY, SCHEMA)
    plan = approved(lethe)
    lethe.database.run("ALTER TABLE customer ADD phone text")
    with pytest.raises(Stale):
        act(lethe, plan)
    afterwards = lethe.plan("ex-customers", NOW, "run")
    assert "the schema of the store changed since the last approval" in afterwards.needs
    assert lethe.gate(afterwards.digest).state == "waiting"
    assert answer(lethe, afterwards)
    assert act(lethe, afterwards) == DUE


def test_nothing_is_done_before_its_day(open_lethe) -> None:
    lethe = open_lethe(ACTIVITY, SCHEMA)
    plan = approved(lethe, now=NOW + timedelta(days=1))
    with pytest.raises(Stale, match="rule ex-customers: the plan is for 2025-03-02, which is still to come"):
        act(lethe, plan)
    assert untouched(lethe)
    assert act(lethe, plan, now=NOW + timedelta(days=1)) == DUE + 1


def test_a_day_that_the_stores_own_clock_does_not_know_yet_is_refused_whatever_the_caller_says(open_lethe) -> None:
    future = datetime(2999, 1, 1, 12, tzinfo=UTC)
    lethe = open_lethe(ACTIVITY, SCHEMA)
    plan = lethe.plan("ex-customers", future, "run")
    lethe.state_database.run(
        "INSERT INTO lethe.approver (id) VALUES ('1'); INSERT INTO lethe.approval (plan, approved, role, via, approver)"
        f" VALUES ('{plan.digest}', true, 'privacy-officer', 'cli', '1')",
        "lethe_officer",
    )
    with pytest.raises(Stale, match=r"store crm.*the plan is for 2999-01-01, the store's clock says .* ahead of time"):
        act(lethe, plan, now=future)
    assert untouched(lethe)


def test_rows_that_become_due_after_the_approval_do_not_go_past_it(open_lethe) -> None:
    lethe = open_lethe(ACTIVITY.replace("rows: 1000", "rows: 10"), SCHEMA)
    plan = approved(lethe)
    assert plan.bounds.rows == 66  # a tenth above what was found
    lethe.database.run("UPDATE customer SET ended_on = '2020-01-01' WHERE id BETWEEN 61 AND 67")
    with pytest.raises(
        BoundExceeded, match="store crm, rule ex-customers: found 67 rows and 0 that follow, approved are at most 66"
    ):
        act(lethe, plan)
    assert untouched(lethe)
    afterwards = approved(lethe)
    assert afterwards.digest != plan.digest
    assert act(lethe, afterwards) == 67


def test_the_bound_counts_all_batches_and_all_runs(open_lethe) -> None:
    lethe = at_pace(
        open_lethe(ACTIVITY.replace("rows: 1000", "rows: 10"), SCHEMA.replace("'Kunde ' || n", "rpad(n::text, 1500)"))
    )
    lethe.database.run("UPDATE customer SET name = 'x'")  # moves every row into new blocks, behind the old
    plan = approved(lethe)
    lethe.database.run("INSERT INTO customer SELECT n, NULL, '2020-01-01' FROM generate_series(1001, 1007) n")
    with pytest.raises(BoundExceeded):
        act(lethe, plan)
    gone = 107 - customers(lethe)
    assert gone <= plan.bounds.rows
    assert accounted(lethe.database, gone)
    with pytest.raises(Stale, match="it was stopped and stays so"):
        act(lethe, plan, run="another")
    assert accounted(lethe.database, gone)


def test_within_its_own_limits_a_rule_may_go_up_to_them(open_lethe) -> None:
    lethe = open_lethe(ACTIVITY.replace("rows: 1000", "rows: 70"), SCHEMA)
    act(lethe, first := approved(lethe))
    lethe.finish(first.digest, NOW, "run")
    lethe.record("ex-customers", "run", digest=first.digest)
    lethe.database.run("INSERT INTO customer VALUES (500, NULL, '2020-01-01')")
    plan = lethe.plan("ex-customers", NOW, "run")
    assert (plan.needs, plan.bounds.rows) == ((), 41)  # all that there are: fewer than 70
    lethe.database.run("UPDATE customer SET ended_on = '2020-01-01' WHERE id BETWEEN 61 AND 70")
    assert act(lethe, plan) == 11


FOLLOWED = """
serves: [R08]
datasets:
  customers: {in: crm, table: customer, key: id, personal_data: {name: user.name}}
  letters:
    in: crm
    table: letter
    key: id
    personal_data: {}
    refers_to: {customer: {to: customers, by: customer_id}}
    follows: customer
"""


def test_rows_that_follow_are_bound_too(open_lethe) -> None:
    letters = "CREATE TABLE letter (id int PRIMARY KEY, customer_id bigint REFERENCES customer);"
    lethe = open_lethe(
        FOLLOWED + ACTIVITY[ACTIVITY.index("rules:") :], SCHEMA + letters + "INSERT INTO letter VALUES (0, 1)"
    )
    plan = approved(lethe)
    assert plan.bounds.reach == 2
    lethe.database.run("INSERT INTO letter VALUES (1, 1), (2, 2)")
    with pytest.raises(BoundExceeded, match="60 rows and 3 that follow, approved are at most 66 and 2"):
        act(lethe, plan)
    assert untouched(lethe)
    assert lethe.database.one("SELECT count(*) FROM letter") == 3


def test_a_plan_changed_in_the_database_is_not_carried_out(open_lethe) -> None:
    lethe = open_lethe(ACTIVITY, SCHEMA)
    plan = approved(lethe)
    lethe.state_database.run("""UPDATE lethe.plan SET body = replace(body, '"rows": 66', '"rows": 9000')""")
    with pytest.raises(PlanError, match="its stored text has another digest"):
        act(lethe, plan)
    assert untouched(lethe)


def test_a_shard_that_the_plan_does_not_have_is_refused(open_lethe) -> None:
    lethe = open_lethe(ACTIVITY, SCHEMA)
    plan = approved(lethe)
    for number in (1, -1):
        with pytest.raises(PlanError, match=f"found shard {number}, expected 0 to 0"):
            lethe.act(plan.digest, number, NOW, "run")
    assert untouched(lethe)


def test_what_was_planned_but_not_answered_is_not_done(open_lethe) -> None:
    lethe = open_lethe(ACTIVITY, SCHEMA)
    plan = lethe.plan("ex-customers", NOW, "run")
    assert plan.survey.of(Verdict.DUE) == DUE
    for step in (lambda: act(lethe, plan), lambda: lethe.finish(plan.digest, NOW, "run")):
        with pytest.raises(NotApproved, match="of rule ex-customers: waiting: first plan of this rule as it now reads"):
            step()
    assert untouched(lethe)
