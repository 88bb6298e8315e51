"""What a rule would reach unsaid is refused, or told to a person; dates and values mean one thing."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

import support
from faults import ACTIVITY, DATASET, NOW, RULE, act, again, approved
from lethe.errors import SchemaMismatch
from lethe.model import Verdict
from lethe.run import Lethe

HEAD = "store crm, rule ex-customers: "
PARTITIONED = """
CREATE TABLE customer (id bigint, name text, ended_on date, PRIMARY KEY (id, ended_on)) PARTITION BY RANGE (ended_on);
CREATE TABLE customer_2020 PARTITION OF customer FOR VALUES FROM ('2020-01-01') TO ('2021-01-01');
CREATE TABLE customer_2025 PARTITION OF customer FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
INSERT INTO customer SELECT n, 'Kunde', '2020-03-01' FROM generate_series(1, 50) n;
INSERT INTO customer SELECT n, 'Kunde', '2025-02-01' FROM generate_series(1, 50) n;
"""
CASES = """
  cases:
    in: crm
    table: cases
    key: id
    personal_data: {remark: user.name}
    refers_to: {customer: {to: customers, by: customer_id}}
    follows: customer
"""
CUSTOMERS = """
CREATE TABLE customer (id bigint PRIMARY KEY, name text, dispute text, ended_on date);
INSERT INTO customer SELECT n, 'Kunde', NULL, '2020-01-01' FROM generate_series(1, 10) n;
CREATE TABLE cases (id bigint PRIMARY KEY, customer_id bigint, kind text, remark text, ended_on date);
INSERT INTO cases SELECT n, n, 'sak', 'hei', '2020-01-01' FROM generate_series(1, 10) n;
"""
ABOUT_CASES = DATASET + CASES + RULE.replace("of: customers", "of: cases")


def customers(extra: str) -> str:
    return ACTIVITY.replace("    key: id\n", f"    key: id\n{extra}")


def refusals(lethe: Lethe) -> list[str]:
    with pytest.raises(SchemaMismatch) as found:
        lethe.plan("ex-customers", NOW, "run")
    return [line.removeprefix(HEAD) for line in found.value.problems]


def test_a_foreign_key_to_one_partition_is_refused(open_lethe) -> None:
    lethe = open_lethe(
        ACTIVITY,
        PARTITIONED + "CREATE TABLE letter (customer bigint, ended date,"
        " FOREIGN KEY (customer, ended) REFERENCES customer_2020 (id, ended_on) ON DELETE CASCADE)",
    )
    (problem,) = refusals(lethe)
    assert problem.startswith("table public.customer: public.letter (customer, ended) refers to it by foreign key")


def test_a_foreign_key_to_the_whole_table_is_told_once(open_lethe) -> None:
    lethe = open_lethe(
        ACTIVITY,
        PARTITIONED + "CREATE TABLE letter (customer bigint, ended date,"
        " FOREIGN KEY (customer, ended) REFERENCES customer (id, ended_on))",
    )
    assert len(refusals(lethe)) == 1


def test_a_rewrite_rule_on_one_partition_is_refused(open_lethe) -> None:
    lethe = open_lethe(ACTIVITY, PARTITIONED + "CREATE RULE copies AS ON DELETE TO customer_2020 DO ALSO NOTHING")
    assert refusals(lethe) == [
        (
            "table public.customer: trigger copies would run on every row; if it does nothing that matters, "
            "declare it under triggers: of dataset customers"
        )
    ]


SOME = DATASET + CASES.replace("by: customer_id}", "by: customer_id, when: {kind: sak}}") + RULE
FOREIGN_KEY = "ALTER TABLE cases ADD CONSTRAINT of_customer FOREIGN KEY (customer_id) REFERENCES customer ON DELETE "


@pytest.mark.parametrize("action", ["CASCADE", "SET NULL", "SET DEFAULT"])
def test_a_foreign_key_that_acts_on_rows_of_every_kind_is_refused_where_some_follow(open_lethe, action: str) -> None:
    lethe = open_lethe(SOME, CUSTOMERS + FOREIGN_KEY + action)
    assert refusals(lethe) == [
        (
            f"table public.customer: foreign key of_customer of public.cases is ON DELETE {action} for rows of every "
            "kind, but relation customer follows only some; let it be NO ACTION, or follow without when:"
        )
    ]


def test_a_foreign_key_that_only_forbids_may_stay(open_lethe) -> None:
    lethe = open_lethe(SOME, CUSTOMERS + FOREIGN_KEY + "NO ACTION")
    assert act(lethe, approved(lethe)) == 10
    assert lethe.database.one("SELECT count(*) FROM cases") == 0


@pytest.mark.parametrize("follows", ["    follows: customer\n", ""], ids=["leader", "reference"])
def test_a_misspelled_kind_of_reference_is_told(open_lethe, follows: str) -> None:
    activity = ABOUT_CASES.replace("by: customer_id}", "by: customer_id, when: {kind: sag}}")
    activity = activity.replace("    follows: customer\n", follows + "    held_when: {customer.dispute: tvist}\n")
    plan = open_lethe(activity, CUSTOMERS).plan("ex-customers", NOW, "run")
    assert "public.cases.kind = sag" in plan.survey.unseen
    assert any("public.cases.kind = sag" in need for need in plan.needs)


def test_rows_must_not_refer_to_a_key_that_is_unique_within_partitions_only(open_lethe) -> None:
    clock = ABOUT_CASES.replace("    follows: customer\n", "").replace("clock: ended_on", "clock: customer.ended_on")
    cases = "CREATE TABLE cases (id bigint PRIMARY KEY, customer_id bigint, remark text, ended_on date)"
    expected = "table public.customer: found no primary key or unique NOT NULL index on (id), expected one, "
    for activity in (clock, ABOUT_CASES, DATASET + CASES + RULE):
        (problem,) = refusals(open_lethe(activity, PARTITIONED + cases))
        assert problem == expected + "for it is the key of dataset customers"
    assert open_lethe(ACTIVITY, PARTITIONED).plan("ex-customers", NOW, "run").survey.of(Verdict.DUE) == 50


def test_holds_that_match_nothing_are_told_without_their_keys(open_lethe) -> None:
    lethe = open_lethe(ACTIVITY, CUSTOMERS)
    lethe.database.run(
        "INSERT INTO lethe.hold VALUES ('customers', '1', 'held'), ('customers', '01', 'held'),"
        "('customers', '4711', 'restricted'), ('custommers', '2', 'held')"
    )
    plan = lethe.plan("ex-customers", NOW, "run")
    assert plan.survey.unseen == (
        "2 holds on rows that customers does not have",
        "1 hold on datasets that are not known",
    )
    assert any("2 holds" in need for need in plan.needs)
    assert plan.survey.of(Verdict.DUE) == 9


ARCHIVE = """
floors:
  archive: {obligation: R08, of: customers, law: arkivlova § 9, until: delivered}
"""
DELIVERED = "    unset: {delivered: [1970-01-01, 9999-12-31]}\n"


@pytest.mark.parametrize("type_", ["date", "timestamptz"])
def test_a_delivery_is_one_when_its_date_has_come(open_lethe, type_: str) -> None:
    values = ["9999-12-31", "1970-01-01", "infinity", "-infinity", "2025-03-02 12:00", None, "2021-01-01", "2025-03-01"]
    rows = ", ".join(
        f"({n}, '2020-01-01', {'NULL' if value is None else repr(value)})" for n, value in enumerate(values, 1)
    )
    lethe = open_lethe(
        customers(DELIVERED) + ARCHIVE,
        f"CREATE TABLE customer (id bigint PRIMARY KEY, ended_on date, delivered {type_}, name text);"
        f"INSERT INTO customer VALUES {rows}",
    )
    assert act(lethe, approved(lethe)) == 2
    assert lethe.database.rows("SELECT id FROM customer ORDER BY id") == [(n,) for n in range(1, 7)]


def test_what_is_no_date_is_no_delivery(open_lethe) -> None:
    lethe = open_lethe(ACTIVITY + ARCHIVE, CUSTOMERS + "ALTER TABLE customer ADD delivered boolean")
    assert refusals(lethe) == [
        "clock delivered: found type boolean, expected date or timestamp; text is never read as a date"
    ]


@pytest.mark.parametrize("zone", ["America/New_York", "Asia/Tokyo"])
def test_a_sentinel_is_known_in_every_zone(open_lethe, zone: str) -> None:
    lethe = open_lethe(
        customers("    unset: {ended_on: [1970-01-01]}\n"),
        "CREATE TABLE customer (id bigint PRIMARY KEY, name text, ended_on timestamptz);"
        "INSERT INTO customer VALUES (1, 'a', '1970-01-01 00:00+00'), (2, 'b', '1970-01-01 00:00 America/New_York'),"
        "(3, 'c', '1970-01-01 00:00 Asia/Tokyo'), (4, 'd', '1971-01-01 00:00+00')",
    )
    organisation = support.ORGANISATION.replace("Europe/Oslo", zone)
    (lethe.policy_dir / "organisation.yaml").write_text(organisation)
    with again(lethe) as there:
        survey = there.plan("ex-customers", NOW, "run").survey
    assert survey.of(Verdict.DUE) == (1 if zone == "Asia/Tokyo" else 2)  # the other zone's midnight is a date like any


TALLY = """
    then:
      - aggregate: {into: tally, by: {day: day(made_at)}, count: n, suppress_below: 1}
      - delete
"""
COUNTS = ACTIVITY.replace("\n    then: delete\n", TALLY)
MADE = """
CREATE TABLE customer (id bigint PRIMARY KEY, name text, ended_on date, made_at timestamptz);
INSERT INTO customer VALUES (1, 'Kari', '2020-05-05', '2020-01-01 23:30+00');
CREATE TABLE tally (day date PRIMARY KEY, n int NOT NULL);
"""


def test_the_day_of_another_column_is_read_by_its_own_type(open_lethe) -> None:
    lethe = open_lethe(COUNTS, MADE)
    assert act(lethe, approved(lethe)) == 1
    assert lethe.database.rows("SELECT day, n FROM tally") == [(date(2020, 1, 2), 1)]  # in Oslo


def test_the_day_of_what_has_none_is_refused(open_lethe) -> None:
    assert refusals(open_lethe(COUNTS, MADE + "ALTER TABLE customer ALTER made_at TYPE text")) == [
        "aggregate: day(made_at): found type text, expected date or timestamp"
    ]
    assert refusals(open_lethe(COUNTS, MADE + "ALTER TABLE customer ALTER made_at TYPE timestamp")) == [
        "aggregate: day(made_at): found time stamps without zone; declare it under unzoned: of the dataset"
    ]


SWALLOWS = """
CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE TRIGGER swallows BEFORE INSERT ON tally FOR EACH ROW EXECUTE FUNCTION f();
"""


def test_a_trigger_on_the_statistics_is_refused_unless_declared(open_lethe) -> None:
    assert refusals(open_lethe(COUNTS, MADE + SWALLOWS)) == [
        (
            "aggregate: trigger swallows of tally would run on what is counted; if it does nothing that matters, "
            "make the table a dataset and declare it under triggers:"
        )
    ]
    tally = "  tallies: {in: crm, table: tally, key: day, personal_data: {}, triggers: [swallows]}\nrules:"
    lethe = open_lethe(COUNTS.replace("rules:", tally), MADE + SWALLOWS)
    assert act(lethe, approved(lethe)) == 1


@pytest.mark.parametrize("type_", ["numeric", "real", "timestamptz", "jsonb"])
def test_a_condition_on_what_can_be_written_in_two_ways_is_refused(open_lethe, type_: str) -> None:
    held = open_lethe(customers("    held_when: {level: 1}\n"), CUSTOMERS + f"ALTER TABLE customer ADD level {type_}")
    (problem,) = refusals(held)
    assert problem.startswith("condition on level: found type ")


def test_conditions_on_values_with_one_spelling(open_lethe) -> None:
    held = "    held_when: {c: tv, e: lukket, n: 1, b: true, u: 00000000-0000-4000-8000-000000000000, d: 2020-02-03}\n"
    lethe = open_lethe(
        customers(held.replace("2020-02-03", "'2020-02-03'")),
        CUSTOMERS + "CREATE TYPE state AS ENUM ('lukket'); ALTER TABLE customer ADD c char(6), ADD e state, ADD n int,"
        "ADD b bool, ADD u uuid, ADD d date; UPDATE customer SET c = 'tv' WHERE id = 1;"
        "UPDATE customer SET e = 'lukket' WHERE id = 2; UPDATE customer SET n = 1 WHERE id = 3;"
        "UPDATE customer SET b = true WHERE id = 4; UPDATE customer SET d = '2020-02-03' WHERE id = 5;"
        "UPDATE customer SET u = '00000000-0000-4000-8000-000000000000' WHERE id = 6;",
    )
    assert lethe.plan("ex-customers", NOW, "run").survey.of(Verdict.DUE) == 4


def test_rows_linked_by_a_type_with_an_equality_of_its_own_are_refused(open_lethe) -> None:
    """A type of an extension, citext say; here one that the database's owner made."""
    schema = CUSTOMERS + "CREATE TYPE pair AS (a int); ALTER TABLE cases ALTER customer_id TYPE pair USING NULL"
    assert refusals(open_lethe(DATASET + CASES + RULE, schema)) == [
        (
            "relation cases.customer: found type public.pair of cases.customer_id, whose equality is not "
            "PostgreSQL's own; compare both sides with as_text"
        )
    ]


BLANKS = RULE.replace("then: delete", "then: {anonymise: {name: blank, income: {constant: '0'}}}")
KINDS = ["numeric(10,2)", "int", "char(5)", "varchar(9)", "json", "jsonb", "float"]


@pytest.mark.parametrize("type_", KINDS)
def test_a_constant_is_done_once_whatever_it_becomes_in_its_column(open_lethe, type_: str) -> None:
    lethe = open_lethe(
        DATASET.replace("{name: user.name}", "{name: user.name, income: user.financial}") + BLANKS,
        f"CREATE TABLE customer (id bigint PRIMARY KEY, name text, income {type_}, ended_on date);"
        "INSERT INTO customer VALUES (1, 'a', '5', '2020-01-01')",
    )
    assert act(lethe, approved(lethe)) == 1
    tomorrow = lethe.plan("ex-customers", NOW + timedelta(days=1), "run").survey
    assert (tomorrow.of(Verdict.DUE), tomorrow.of(Verdict.DONE)) == (0, 1)
