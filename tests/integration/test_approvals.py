"""Who may say yes, to what, and for how long it holds."""

import json
import re
from datetime import timedelta

import psycopg
import pytest

from faults import ACTIVITY, DUE, NOW, SCHEMA, act, again, answer, approved, customers
from lethe.errors import NotApproved, PlanError, Stale, StoreRefused
from lethe.model import Verdict
from lethe.run import Lethe


def says(lethe: Lethe, role: str, digest: str, via: str) -> bool:
    with again(lethe, role) as other:
        return other.answer(digest, True, via=via, role="privacy-officer", person="Kari Nordmann")


@pytest.mark.parametrize(
    ("role", "via"),
    [("lethe_worker", "cli"), ("postgres", "cli"), ("postgres", "airflow"), ("lethe_officer", "airflow")],
)
def test_who_did_not_sign_in_as_the_officer_does_not_approve_whatever_they_claim(
    open_lethe, role: str, via: str
) -> None:
    lethe = open_lethe(ACTIVITY, SCHEMA)
    plan = lethe.plan("ex-customers", NOW, "run")
    with pytest.raises(NotApproved, match="this sign-in may not answer for a person"):
        says(lethe, role, plan.digest, via)
    assert lethe.gate(plan.digest).state == "waiting"
    for table in ("approval", "approver"):
        assert lethe.state_database.rows(f"SELECT * FROM lethe.{table}") == []
    with pytest.raises(NotApproved):
        act(lethe, plan)


def test_an_administrator_who_plays_the_officer_is_still_not_the_officer(open_lethe) -> None:
    lethe = open_lethe(ACTIVITY, SCHEMA)
    plan = lethe.plan("ex-customers", NOW, "run")
    insert = (
        "INSERT INTO lethe.approver (id, person) VALUES ('1', 'x');"
        "INSERT INTO lethe.approval (plan, approved, role, via, approver)"
        f" VALUES ('{plan.digest}', true, 'privacy-officer', 'cli', '1')"
    )
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match="this sign-in may not answer"):
        lethe.state_database.run("SET ROLE lethe_officer;" + insert)
    lethe.state_database.run(insert, "lethe_officer")


@pytest.mark.parametrize(("role", "via"), [("lethe_officer", "cli"), ("lethe_worker", "airflow")])
def test_the_officer_approves_at_the_command_line_and_through_airflow(open_lethe, role: str, via: str) -> None:
    lethe = open_lethe(ACTIVITY, SCHEMA)
    plan = lethe.plan("ex-customers", NOW, "run")
    assert says(lethe, role, plan.digest, via)
    assert lethe.gate(plan.digest).state == "go"
    assert act(lethe, plan) == DUE


def test_the_first_answer_stands(open_lethe) -> None:
    lethe = open_lethe(ACTIVITY, SCHEMA)
    plan = lethe.plan("ex-customers", NOW, "run")
    assert answer(lethe, plan, approved=False)
    before = lethe.state_database.rows("SELECT * FROM lethe.approver, lethe.approval, lethe.outbox")
    assert not answer(lethe, plan, approved=True)
    assert lethe.gate(plan.digest).state == "rejected"
    assert lethe.state_database.rows("SELECT * FROM lethe.approver, lethe.approval, lethe.outbox") == before
    with pytest.raises(NotApproved, match="of rule ex-customers: rejected: a person said no"):
        act(lethe, plan)
    assert customers(lethe) == 100


@pytest.mark.parametrize("role", ["lethe_officer", "lethe_worker"])
@pytest.mark.parametrize("statement", ["UPDATE lethe.approval SET approved = true", "DELETE FROM lethe.approval"])
def test_an_answer_cannot_be_changed_behind_lethes_back(open_lethe, role: str, statement: str) -> None:
    lethe = open_lethe(ACTIVITY, SCHEMA)
    answer(lethe, lethe.plan("ex-customers", NOW, "run"), approved=False)
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        lethe.state_database.run(statement, role)


def test_the_officer_can_neither_plan_nor_act(open_lethe) -> None:
    lethe = open_lethe(ACTIVITY, SCHEMA)
    plan = approved(lethe)
    with again(lethe, "lethe_officer") as officer:
        for step in (lambda: officer.plan("ex-customers", NOW + timedelta(days=1), "run"), lambda: act(officer, plan)):
            with pytest.raises(StoreRefused, match="store crm, rule ex-customers"):
                step()
    assert customers(lethe) == 100


def test_who_answered_is_known_to_one_table_only(open_lethe) -> None:
    lethe = open_lethe(ACTIVITY, SCHEMA)
    plan = lethe.plan("ex-customers", NOW, "run")
    assert says(lethe, "lethe_worker", plan.digest, "airflow")
    act(lethe, plan)
    lethe.record("ex-customers", "run", digest=plan.digest)
    ((approver, person),) = lethe.state_database.rows("SELECT id, person FROM lethe.approver")
    assert person == "Kari Nordmann"
    elsewhere = [
        str(lethe.state_database.rows(f"SELECT * FROM lethe.{table}"))
        for table in ("plan", "approval", "outbox", "run", "confirmation")
    ] + [str(lethe.database.rows("SELECT * FROM lethe.outbox"))]
    assert not any("Nordmann" in text for text in elsewhere)
    (leaf,) = [
        json.loads(leaf) for (leaf,) in lethe.state_database.rows("SELECT leaf FROM lethe.outbox") if "approver" in leaf
    ]
    assert (leaf["approver"], leaf["role"], leaf["decision"], leaf["via"]) == (
        approver,
        "privacy-officer",
        "approved",
        "airflow",
    )


def test_at_the_command_line_the_login_is_kept_apart_too(open_lethe) -> None:
    lethe = open_lethe(ACTIVITY, SCHEMA)
    approved(lethe)
    assert lethe.state_database.one("SELECT person FROM lethe.approver") == "lethe_officer"
    assert "lethe_officer" not in str(lethe.state_database.rows("SELECT leaf FROM lethe.outbox"))


TOMORROW = NOW + timedelta(days=1)


def after_a_first_sweep(open_lethe, activity: str = ACTIVITY, schema: str = SCHEMA) -> Lethe:
    lethe = open_lethe(activity, schema)
    plan = approved(lethe)
    act(lethe, plan)
    lethe.finish(plan.digest, NOW, "run")
    assert lethe.record("ex-customers", "run", digest=plan.digest) == "ended"
    return lethe


def test_within_its_limits_a_later_plan_goes_by_itself(open_lethe) -> None:
    lethe = after_a_first_sweep(open_lethe)
    plan = lethe.plan("ex-customers", TOMORROW, "run")
    assert plan.survey.of(Verdict.DUE) == 1
    assert plan.needs == ()
    assert act(lethe, plan, now=TOMORROW) == 1


def test_a_plan_that_a_person_refused_opens_no_way_for_later_ones(open_lethe) -> None:
    lethe = open_lethe(ACTIVITY, SCHEMA)
    answer(lethe, lethe.plan("ex-customers", NOW, "run"), approved=False)
    assert lethe.plan("ex-customers", TOMORROW, "run").needs == ("first plan of this rule as it now reads",)


PAST = {
    "0 rows means none": ("{rows: 0, share: 100%}", "limit 0 rows: found 1"),
    "rows": ("{rows: 1, share: 100%}", "limit 1 rows: found 2"),
    "0 % means none": ("{rows: 1000, share: 0%}", "limit 0 % of the table: found 2.5 % (1 of 40)"),
    "share": ("{rows: 1000, share: 2%}", "limit 2 % of the table: found 2.5 % (1 of 40)"),
}


@pytest.mark.parametrize("case", PAST)
def test_a_plan_past_its_limits_waits_and_says_what_was_found(open_lethe, case: str) -> None:
    limits, why = PAST[case]
    lethe = after_a_first_sweep(open_lethe, ACTIVITY.replace("{rows: 1000, share: 100%}", limits))
    day = NOW + timedelta(days=2 if case == "rows" else 1)
    plan = lethe.plan("ex-customers", day, "run")
    assert plan.needs == (why,)
    assert lethe.gate(plan.digest).state == "waiting"
    with pytest.raises(NotApproved, match=re.escape(why.split(":")[0])):
        act(lethe, plan, now=day)


def test_exactly_at_its_limits_a_plan_goes_by_itself(open_lethe) -> None:
    lethe = after_a_first_sweep(open_lethe, ACTIVITY.replace("{rows: 1000, share: 100%}", "{rows: 1, share: 2.5%}"))
    assert lethe.plan("ex-customers", TOMORROW, "run").needs == ()


CHANGES = {
    "a new column": ("ALTER TABLE customer ADD phone text", "the schema of the store changed since the last approval"),
    "a restore": (
        "UPDATE lethe.store SET epoch = 2",
        "the store is another one, or was restored, since the last approval",
    ),
    "a copy": (
        "UPDATE lethe.store SET id = gen_random_uuid()",
        "the store is another one, or was restored, since the last approval",
    ),
}


@pytest.mark.parametrize("case", CHANGES)
def test_what_changed_since_the_last_approval_asks_again(open_lethe, case: str) -> None:
    statement, why = CHANGES[case]
    lethe = after_a_first_sweep(open_lethe)
    lethe.database.run(statement)
    assert lethe.plan("ex-customers", TOMORROW, "run").needs == (why,)


def test_a_rule_that_reads_otherwise_asks_again(open_lethe, tmp_path) -> None:
    from support import write_policy

    lethe = after_a_first_sweep(open_lethe)
    edited = write_policy(tmp_path / "edited", ACTIVITY.replace("keep: P1Y", "keep: P11M"))
    with again(lethe, policy_dir=edited) as other:
        assert other.plan("ex-customers", TOMORROW, "run").needs == ("first plan of this rule as it now reads",)


HELD = ACTIVITY.replace("    key: id\n", "    key: id\n    held_when: {name: [tvist]}\n")


def test_a_hold_that_names_a_value_which_occurs_nowhere_waits_for_a_person(open_lethe) -> None:
    lethe = open_lethe(HELD, SCHEMA + "UPDATE customer SET name = 'tvist' WHERE id = 1")
    plan = approved(lethe)
    assert plan.survey.unseen == ()
    assert act(lethe, plan) == DUE - 1
    lethe.database.run("UPDATE customer SET name = 'Tvist' WHERE id = 1")  # somebody writes it otherwise now
    later = lethe.plan("ex-customers", TOMORROW, "run")
    assert later.survey.of(Verdict.DUE) == 2
    assert later.needs == ("nothing in the store matches: public.customer.name = tvist",)
    with pytest.raises(NotApproved):
        act(lethe, later, now=TOMORROW)


def test_a_condition_that_names_a_value_which_occurs_nowhere_is_reported(open_lethe) -> None:
    activity = ACTIVITY.replace("    keep: P1Y\n", "    keep: P1Y\n    when: {name: [Kunde 1, kunde 2]}\n")
    plan = open_lethe(activity, SCHEMA).plan("ex-customers", NOW, "run")
    assert plan.survey.unseen == ("public.customer.name = kunde 2",)
    assert plan.survey.of(Verdict.DUE) == 1
    assert "nothing in the store matches: public.customer.name = kunde 2" in plan.needs


ASSUMED = ACTIVITY.replace(
    "keep: P1Y", "keep: {assume: P1Y, because: nobody has named one, confirm_by: privacy-officer}"
)


def test_an_assumption_may_be_planned_and_never_acted_on_before_it_is_confirmed(open_lethe) -> None:
    lethe = open_lethe(ASSUMED, SCHEMA)
    plan = lethe.plan("ex-customers", NOW, "run")
    assert plan.survey.of(Verdict.DUE) == 0
    assert {str(reason): rows for reason, rows in plan.survey.counts.items() if not reason.name.count("|")} == {
        "128": DUE
    }
    assert plan.survey.shards == ()
    with pytest.raises(
        NotApproved, match="rule ex-customers: its period is an assumption; `lethe confirm ex-customers`"
    ):
        lethe.act(plan.digest, 0, NOW, "run")
    for role in ("lethe_worker", "postgres"):
        with (
            again(lethe, role) as other,
            pytest.raises(NotApproved, match="this sign-in may not answer for a person"),
        ):
            other.confirm("ex-customers")
    with again(lethe, "lethe_officer") as officer:
        assert officer.confirm("ex-customers")
        assert not officer.confirm("ex-customers")
    confirmed = approved(lethe)
    assert confirmed.digest != plan.digest
    assert act(lethe, confirmed) == DUE


def test_a_confirmation_is_for_the_rule_as_it_read(open_lethe, tmp_path) -> None:
    from support import write_policy

    lethe = open_lethe(ASSUMED, SCHEMA)
    with again(lethe, "lethe_officer") as officer:
        officer.confirm("ex-customers")
    edited = write_policy(tmp_path / "edited", ASSUMED.replace("P1Y", "P1M"))
    with again(lethe, policy_dir=edited) as other:
        plan = other.plan("ex-customers", NOW, "run")
        assert plan.survey.of(Verdict.DUE) == 0
        with pytest.raises(NotApproved, match="assumption"):
            other.act(plan.digest, 0, NOW, "run")


def test_an_unanswered_approval_holds_up_no_other_day(open_lethe) -> None:
    lethe = open_lethe(ACTIVITY, SCHEMA)
    first = lethe.plan("ex-customers", NOW, "run")
    later = approved(lethe, now=TOMORROW)
    assert act(lethe, later, now=TOMORROW) == DUE + 1
    assert lethe.gate(first.digest).state == "superseded"


def test_a_plan_that_was_planned_anew_takes_no_answer(open_lethe) -> None:
    lethe = open_lethe(ACTIVITY, SCHEMA)
    first = lethe.plan("ex-customers", NOW, "run")
    lethe.database.run("INSERT INTO customer VALUES (500, NULL, '2020-01-01')")
    newer = lethe.plan("ex-customers", NOW, "run")
    assert [entry.state for entry in lethe.plans()] == ["waiting", "superseded"]
    with pytest.raises(PlanError, match="it takes no answer: the rule was planned anew since"):
        answer(lethe, first)
    lethe.database.run("DELETE FROM customer WHERE id = 500")
    assert lethe.plan("ex-customers", NOW, "run").digest == first.digest  # found again, it is the latest again
    assert (lethe.gate(first.digest).state, lethe.gate(newer.digest).state) == ("waiting", "superseded")
    assert answer(lethe, first)


def test_a_plan_for_a_day_to_come_takes_no_answer_and_replaces_none(open_lethe) -> None:
    lethe = open_lethe(ACTIVITY, SCHEMA)
    today = lethe.plan("ex-customers", NOW, "run")
    to_come = lethe.plan("ex-customers", NOW.replace(year=2999), "run")
    with pytest.raises(PlanError, match="it takes no answer before its day, 2999-03-01"):
        answer(lethe, to_come)
    assert lethe.gate(today.digest).state == "waiting"


def test_a_plan_that_needs_nobody_takes_no_answer(open_lethe) -> None:
    lethe = after_a_first_sweep(open_lethe)
    with pytest.raises(PlanError, match="it takes no answer: nobody needs to"):
        answer(lethe, lethe.plan("ex-customers", TOMORROW, "run"))


def test_an_approval_between_gate_and_record_is_no_deed(open_lethe) -> None:
    lethe = open_lethe(ACTIVITY, SCHEMA)
    plan = approved(lethe)
    assert lethe.record("ex-customers", "run", digest=plan.digest, acted=False) == "waiting"
    assert lethe.record("ex-customers", "hand", digest=plan.digest) == "failed"  # marked as done, and nothing was
    assert lethe.gate(plan.digest).state == "go"
    assert act(lethe, plan) == DUE


def test_a_rejection_is_recorded_as_one(open_lethe) -> None:
    lethe = open_lethe(ACTIVITY, SCHEMA)
    plan = lethe.plan("ex-customers", NOW, "run")
    answer(lethe, plan, approved=False)
    assert lethe.record("ex-customers", "run", digest=plan.digest, acted=False) == "rejected"


def test_rows_left_by_a_finished_plan_are_planned_anew(open_lethe) -> None:
    lethe = open_lethe(ACTIVITY, SCHEMA)
    plan = approved(lethe)
    act(lethe, plan)
    lethe.finish(plan.digest, NOW, "run")
    lethe.database.run("INSERT INTO customer VALUES (500, NULL, '2020-01-01')")
    assert lethe.record("ex-customers", "run", digest=plan.digest, failed=True) == "failed"
    assert lethe.gate(plan.digest).state == "stopped"
    with pytest.raises(Stale, match="it was stopped and stays so; plan again"):
        act(lethe, plan)
    assert lethe.plan("ex-customers", NOW, "run").survey.of(Verdict.DUE) == 1


def test_what_was_carried_out_is_not_done_again(open_lethe) -> None:
    lethe = after_a_first_sweep(open_lethe)
    (done,) = lethe.plans()
    lethe.database.run("INSERT INTO customer VALUES (500, NULL, '2020-01-01')")
    assert act(lethe, done.plan) == 0
    assert lethe.may_act(done.digest, NOW) is None
    assert lethe.ready(NOW) == ()


def test_a_member_of_a_members_group_is_the_officer(open_lethe) -> None:
    lethe = open_lethe(ACTIVITY, SCHEMA)
    plan = lethe.plan("ex-customers", NOW, "run")
    lethe.state_database.run(
        "CREATE ROLE privacy NOLOGIN; GRANT lethe_officer TO privacy; CREATE ROLE kari NOLOGIN; GRANT privacy TO kari"
    )
    try:
        signed_in = "SET SESSION AUTHORIZATION kari; SELECT lethe.signed_in_as('lethe_officer')"
        with lethe.state_database.connect() as connection:
            for statement in signed_in.split(";"):
                found = connection.execute(statement)
            assert found.fetchone() == (True,)
        assert not lethe.state_database.one("SELECT lethe.signed_in_as('lethe_officer')")  # a superuser
    finally:
        lethe.state_database.run("DROP ROLE kari; DROP ROLE privacy")
    assert lethe.gate(plan.digest).state == "waiting"


@pytest.mark.parametrize("statement", ["SELECT * FROM lethe.approver", "INSERT INTO lethe.confirmation DEFAULT VALUES"])
def test_tasks_neither_know_who_answered_nor_confirm(open_lethe, statement: str) -> None:
    lethe = open_lethe(ACTIVITY, SCHEMA)
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match="permission denied"):
        lethe.state_database.run(statement, "lethe_worker")
