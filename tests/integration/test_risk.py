"""Nobody stands out among too few, in one table or by matching two databases; what must stay as it is stays."""

import json

import pytest
from click.testing import CliRunner
from jsonschema import Draft202012Validator

from faults import NOW, act, answer, leaves
from lethe.anonymous import measure
from lethe.cli import main
from lethe.errors import LetheError, SchemaMismatch
from lethe.evidence.leaf import schema
from lethe.model import Verdict
from lethe.run import Lethe
from support import as_uri

# Twelve orders of a customer who left: six of Bergen in May, four of Oslo in May, two of Oslo in June.
SCHEMA = """
CREATE TABLE orders (
    id int PRIMARY KEY, name text, postcode text, placed_at timestamptz, amount numeric, ended_on date);
INSERT INTO orders SELECT n, 'Kari ' || n, CASE WHEN n <= 6 THEN '5003' ELSE '0150' END,
    CASE WHEN n <= 10 THEN timestamptz '2021-05-17 12:00Z' ELSE '2021-06-17 12:00Z' END, 100 * n, '2022-01-01'
FROM generate_series(1, 12) n;
INSERT INTO orders SELECT n, 'Ola ' || n, '5003', '2021-05-20 12:00Z', 7, '2025-01-01' FROM generate_series(13, 20) n;
CREATE TABLE invoice (id int PRIMARY KEY, customer text, dated date, amount numeric(12, 2));
"""
ACTIVITY = """
serves: [R08]
datasets:
  orders:
    in: crm
    table: orders
    key: id
    personal_data: {name: user.name, postcode: user.contact.address.postal_code}
    anonymity:
      k: 5
      by: [postcode, placed_at]
      LINKED
      small_groups: STEPS
  invoices:
    in: crm
    table: invoice
    key: id
    personal_data: {customer: user.name}
rules:
  ex-customers:
    obligation: R08
    of: orders
    title: {nb: Bestillinger, en: Orders}
    clock: ended_on
    keep: P1Y
    then:
      anonymise:
        name: blank
        postcode: {generalise: region}
        placed_at: {generalise: month}
        amount: {generalise: {band: 100}}
    limits: {rows: 1000, share: 100%}
"""
STEPS = "[{postcode: blank}, {placed_at: {generalise: year}}]"
LINKED = "linked: [{to: invoices, by: {placed_at: dated, amount: amount}}]"


def policy(steps: str = STEPS, linked: str = "") -> str:
    return ACTIVITY.replace("STEPS", steps).replace("LINKED", linked)


def carry_out(lethe: Lethe, run: str = "a" * 32) -> tuple[str, ...]:
    """Plan, approve where that is needed, act, finish and verify; what verification finds."""
    plan = lethe.plan("ex-customers", NOW, run)
    if plan.needs:
        answer(lethe, plan)
    if plan.survey.of(Verdict.DUE):
        act(lethe, plan, run=run)
        lethe.finish(plan.digest, NOW, run)
    found = lethe.verify(plan.digest, run).findings
    lethe.record(plan.rule, run, digest=plan.digest)
    return found


def orders(lethe: Lethe, where: str = "id <= 12") -> list[tuple]:
    query = f"SELECT id, postcode, to_char(placed_at AT TIME ZONE 'Europe/Oslo', 'YYYY-MM') FROM orders WHERE {where}"
    return lethe.database.rows(f"{query} ORDER BY id")


def test_small_groups_get_coarser_step_by_step_until_there_are_none(open_lethe) -> None:
    lethe = open_lethe(policy(), SCHEMA)
    assert carry_out(lethe) == ()
    # Oslo in May and in June lose the region, then they are four and two: they lose the month, and are six
    assert {row[1:] for row in orders(lethe) if row[0] <= 6} == {("5000", "2021-05")}
    assert {row[1:] for row in orders(lethe) if row[0] > 6} == {(None, "2021-01")}
    assert orders(lethe, "id > 12") == [(n, "5003", "2021-05") for n in range(13, 21)]
    assert measure(lethe, "orders").groups.smallest == 6


def test_each_step_and_the_measure_are_evidence_in_numbers(open_lethe) -> None:
    lethe = open_lethe(policy(), SCHEMA)
    carry_out(lethe)
    found = leaves(lethe.database)
    for leaf in found:
        Draft202012Validator(schema()).validate(leaf)
    assert [(leaf["step"], leaf["rows"]) for leaf in found if leaf["kind"] == "coarsening"] == [(0, 6), (1, 6)]
    (risk,) = (leaf for leaf in found if leaf["kind"] == "risk")
    assert (risk["rows"], risk["groups"], risk["smallest"], risk["small"]) == (12, 2, 6, 0)
    assert "5003" not in json.dumps(found)


def test_where_no_step_is_left_the_rule_fails_and_says_so(open_lethe) -> None:
    lethe = open_lethe(policy(steps="[{postcode: blank}]"), SCHEMA)
    assert carry_out(lethe) == ("6 rows stand in groups of fewer than 5, the smallest of 2",)


def test_a_row_that_must_stay_is_not_made_coarser_and_that_is_found(open_lethe) -> None:
    lethe = open_lethe(policy(), SCHEMA)
    carry_out(lethe)
    lethe.database.run("INSERT INTO orders VALUES (30, NULL, '7000', '2020-02-29 23:00Z', 100, '2022-01-01')")
    lethe.database.run("INSERT INTO orders VALUES (31, 'Per', '0150', '2021-01-15', 100, '2022-01-01')")
    lethe.database.run("INSERT INTO lethe.hold VALUES ('orders', '30', 'held')")
    assert carry_out(lethe, "b" * 32) == ("1 rows stand in groups of fewer than 5, the smallest of 1",)
    assert orders(lethe, "id = 30") == [(30, "7000", "2020-03")]


def test_done_twice_is_done_once(open_lethe) -> None:
    lethe = open_lethe(policy(), SCHEMA)
    carry_out(lethe)
    before = orders(lethe, "true")
    lethe.database.run("INSERT INTO orders VALUES (31, 'Per', '0150', '2021-01-15', 100, '2022-01-01')")
    carry_out(lethe, "b" * 32)
    assert orders(lethe, "id <= 20") == before
    assert lethe.plan("ex-customers", NOW, "run").survey.of(Verdict.DUE) == 0


INVOICES = "INSERT INTO invoice SELECT n, 'Firma ' || n, '2021-05-03', 100 FROM generate_series(1, {}) n;"


@pytest.mark.parametrize(("invoices", "at_risk"), [(0, 0), (1, 1), (4, 1), (5, 0)])
def test_what_can_be_matched_with_few_people_is_counted(open_lethe, invoices: int, at_risk: int) -> None:
    """Order 1 alone is of May and of 100 to 199; who knows an invoice of May over 100 knows whose it is."""
    lethe = open_lethe(policy(steps="[]", linked=LINKED), SCHEMA + (INVOICES.format(invoices) if invoices else ""))
    found = carry_out(lethe)
    told = [each for each in found if "matched" in each]
    assert told == [f"{at_risk} rows can be matched with fewer than 5 people of invoices"][:at_risk]


def test_what_a_small_group_was_made_can_be_matched_and_is_parted_then(open_lethe) -> None:
    """In May nobody was invoiced 700; in the year that the small groups were made coarser to, one was."""
    steps = "[{postcode: blank}, {placed_at: {generalise: year}}, {amount: blank}]"
    invoices = "INSERT INTO invoice VALUES (1, 'Firma', '2021-09-03', 700);"
    invoices += "INSERT INTO invoice SELECT n, 'Firma ' || n, '2021-09-03', 5000 FROM generate_series(2, 9) n;"
    lethe = open_lethe(policy(steps, LINKED), SCHEMA + invoices)
    assert carry_out(lethe) == ()
    assert lethe.database.rows("SELECT id FROM orders WHERE amount IS NULL") == [(7,)]


def test_names_of_one_person_are_one_person(open_lethe) -> None:
    same = "INSERT INTO invoice SELECT n, 'Firma', '2021-05-03', 100 FROM generate_series(1, 50) n;"
    lethe = open_lethe(policy(steps="[]", linked=LINKED), SCHEMA + same)
    assert "1 rows can be matched with fewer than 5 people of invoices" in carry_out(lethe)


def test_an_invoice_without_a_name_matches_nobody(open_lethe) -> None:
    lethe = open_lethe(
        policy(steps="[]", linked=LINKED), SCHEMA + INVOICES.format(1) + "UPDATE invoice SET customer = NULL"
    )
    assert not [each for each in carry_out(lethe) if "matched" in each]


OTHERS = "INSERT INTO invoice SELECT 100 + n, 'AS ' || n, '2021-05-03', 9999 FROM generate_series(1, 4) n;"


def test_what_can_be_matched_is_made_coarser_until_it_cannot(open_lethe) -> None:
    """Without its amount order 1 is only one of May, as the invoices of five people are."""
    steps = "[{amount: blank}, {postcode: blank}, {placed_at: {generalise: year}}]"
    lethe = open_lethe(policy(steps=steps, linked=LINKED), SCHEMA + INVOICES.format(1) + OTHERS)
    assert carry_out(lethe) == ()
    assert dict(lethe.database.rows("SELECT id, amount FROM orders WHERE id <= 3")) == {1: None, 2: 200, 3: 300}
    coarser = [leaf for leaf in leaves(lethe.database) if leaf["kind"] == "coarsening"]
    assert [(leaf["step"], leaf["rows"]) for leaf in coarser if leaf["matched_with"] == "invoices"] == [(0, 1)]


def test_a_row_without_its_amount_can_still_be_matched_by_the_month(open_lethe) -> None:
    lethe = open_lethe(policy(steps="[]", linked=LINKED), SCHEMA + INVOICES.format(1))
    lethe.database.run("UPDATE orders SET amount = NULL, placed_at = '2021-05-17' WHERE id = 1")
    assert "1 rows can be matched with fewer than 5 people of invoices" in carry_out(lethe)


def test_a_held_row_that_can_be_matched_stays_and_is_found(open_lethe) -> None:
    lethe = open_lethe(policy(steps="[{amount: blank}]", linked=LINKED), SCHEMA + INVOICES.format(1) + OTHERS)
    plan = lethe.plan("ex-customers", NOW, "run")
    answer(lethe, plan)
    act(lethe, plan)
    lethe.database.run("INSERT INTO lethe.hold VALUES ('orders', '1', 'held')")
    lethe.finish(plan.digest, NOW, "run")
    assert "1 rows can be matched with fewer than 5 people of invoices" in lethe.verify(plan.digest, "a" * 32).findings
    assert lethe.database.one("SELECT amount FROM orders WHERE id = 1") == 100


@pytest.mark.parametrize(("invoices", "at_risk"), [(0, 0), (4, 1), (5, 0)])
def test_what_a_step_left_at_the_year_is_matched_with_people_of_that_year(
    open_lethe, invoices: int, at_risk: int
) -> None:
    """Order 7 is of Oslo in May, and only of 2021 when it is measured: no order is of August, the invoices' month."""
    of_august = INVOICES.format(invoices).replace("'2021-05-03', 100", "'2021-08-03', 700")
    lethe = open_lethe(policy(linked=LINKED), SCHEMA + of_august)
    assert carry_out(lethe) == ("1 rows can be matched with fewer than 5 people of invoices",)[:at_risk]
    assert orders(lethe, "amount = 700") == [(7, None, "2021-01")]


def test_a_clock_that_is_written_down_stays_as_its_row_is_made_coarser_and_matched(open_lethe) -> None:
    """The way to the clock is cut, small groups and a match are parted, and a second run finds all of it done."""
    of_customers = (
        policy("[{amount: blank}, {postcode: blank}, {placed_at: {generalise: year}}]", LINKED)
        .replace(
            "name: blank", "customer_id: unlink\n        left_on: {write_down: customer.ended_on}\n        name: blank"
        )
        .replace("    anonymity:", "    refers_to: {customer: {to: customers, by: customer_id}}\n    anonymity:")
        .replace("clock: ended_on", "clock: customer.ended_on")
        .replace("  invoices:", "  customers: {in: crm, table: customer, key: id, personal_data: {}}\n  invoices:")
    )
    lethe = open_lethe(of_customers, SCHEMA + CUSTOMERS + INVOICES.format(1) + OTHERS)
    assert carry_out(lethe) == ()
    assert lethe.database.rows("SELECT DISTINCT customer_id, left_on::text FROM orders WHERE id <= 12") == [
        (None, "2022-01-01")
    ]
    assert {row[1:] for row in orders(lethe) if row[0] > 6} == {(None, "2021-01")}
    assert lethe.database.one("SELECT amount FROM orders WHERE id = 1") is None
    assert carry_out(lethe, "b" * 32) == ()
    assert lethe.plan("ex-customers", NOW, "run").survey.of(Verdict.DUE) == 0


CUSTOMERS = """
CREATE TABLE customer (id int PRIMARY KEY, ended_on date);
INSERT INTO customer VALUES (1, '2022-01-01'), (2, '2025-01-01');
ALTER TABLE orders ADD customer_id int, ADD left_on date;
UPDATE orders SET customer_id = CASE WHEN id <= 12 THEN 1 ELSE 2 END;
"""


def test_a_percent_sign_is_nothing_but_a_character(open_lethe) -> None:
    """In what rows say, in a constant and in a value that holds rows, while a match and a group are made coarser."""
    of_discounts = (
        policy(
            "[{amount: blank}, {discount: blank}]", LINKED.replace("amount: amount", "amount: amount, discount: saved")
        )
        .replace("by: [postcode, placed_at]", "by: [discount, placed_at]")
        .replace("    anonymity:", "    held_when: {name: 'Liv %s'}\n    anonymity:")
        .replace("name: blank", "name: {constant: '100 %(keys)s'}\n        discount: {generalise: region}")
    )
    lethe = open_lethe(of_discounts, SCHEMA + DISCOUNTS)
    assert carry_out(lethe) == ()
    assert lethe.database.rows("SELECT id, name, amount FROM orders WHERE discount = '5%s' ORDER BY id LIMIT 2") == [
        (1, "100 %(keys)s", None),
        (2, "100 %(keys)s", 200),
    ]
    assert {number for number, *_ in orders(lethe, "discount IS NULL")} == set(range(7, 13))
    coarser = [leaf for leaf in leaves(lethe.database) if leaf["kind"] == "coarsening"]
    assert [(leaf["matched_with"], leaf["rows"]) for leaf in coarser] == [("invoices", 1), (None, 6), (None, 6)]


DISCOUNTS = f"""
ALTER TABLE orders ADD discount text DEFAULT '5%s';
UPDATE orders SET placed_at = '2021-05-17', discount = CASE WHEN id > 10 THEN '%' WHEN id > 6 THEN '%%' ELSE '5%s' END;
ALTER TABLE invoice ADD saved text DEFAULT '5%s';
{INVOICES.format(1)}
INSERT INTO invoice SELECT 100 + n, 'AS ' || n, '2021-05-03', 9999 FROM generate_series(1, 4) n;
"""


@pytest.mark.parametrize(
    ("by", "column"),
    [("{placed_at: dayted}", "public.invoice.dayted"), ("{placed_att: dated}", "public.orders.placed_att")],
)
def test_a_column_that_is_misspelt_is_told_before_anybody_could_be_matched_by_it(
    open_lethe, by: str, column: str
) -> None:
    """Where no row could be matched yet, too: that nobody is found there would say nothing."""
    lethe = open_lethe(policy(linked=f"linked: [{{to: invoices, by: {by}}}]"), SCHEMA)
    with pytest.raises(SchemaMismatch, match=rf"column {column} .*not found in the database"):
        measure(lethe, "orders")


def test_a_step_that_the_table_would_not_take_is_told_before_anything_is_changed(open_lethe) -> None:
    lethe = open_lethe(policy(), SCHEMA + "ALTER TABLE orders ALTER postcode SET NOT NULL;")
    with pytest.raises(SchemaMismatch, match="column postcode: found NOT NULL, so it cannot be blanked"):
        lethe.plan("ex-customers", NOW, "run")


SURVEY = """
CREATE TABLE answer (id int PRIMARY KEY, survey text, sector text, score int, remark text);
INSERT INTO answer SELECT n, '2024', CASE WHEN n % 2 = 0 THEN 'privat' ELSE 'offentlig' END, n % 6, 'fint'
FROM generate_series(1, 40) n;
"""
ANONYMOUS = """
serves: [R08]
datasets:
  answers:
    in: crm
    table: answer
    key: id
    personal_data: {}
    anonymity: {obligation: R08, k: 5, by: [survey, sector]}
"""


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ("SELECT 1", []),
        ("UPDATE answer SET sector = 'x' WHERE id <= 4", ["4 rows stand in groups of fewer than 5, the smallest of 4"]),
        ("UPDATE answer SET remark = 'ring meg på 912 34 567' WHERE id = 7", ["remark tells people apart in 1 rows"]),
        ("UPDATE answer SET remark = 'kari@example.no sa det' WHERE id < 3", ["remark tells people apart in 2 rows"]),
        ("UPDATE answer SET remark = 'nr ' || id", ["remark tells people apart in 40 rows"]),
    ],
)  # fmt: skip
def test_answers_that_never_had_a_person_get_the_same_check(open_lethe, change: str, found: list[str]) -> None:
    lethe = open_lethe(ANONYMOUS, SURVEY)
    lethe.database.run(change) if change != "SELECT 1" else None
    assert list(measure(lethe, "answers").findings()) == found


def test_at_the_command_line_it_ends_with_1_where_somebody_stands_out(
    open_lethe, monkeypatch: pytest.MonkeyPatch
) -> None:
    lethe = open_lethe(ANONYMOUS, SURVEY)
    for name in ("crm", "lethe_state"):
        monkeypatch.setenv(f"AIRFLOW_CONN_{name.upper()}", as_uri(lethe.addresses[name]))

    def say(*words: str):
        return CliRunner().invoke(main, ["risk", *words, "--policy", str(lethe.policy_dir)])

    said = say()
    assert (said.exit_code, said.output) == (
        0, "answers: 40 rows in 2 groups, the smallest of 20; at least 5 are wanted\n",
    )  # fmt: skip
    lethe.database.run("UPDATE answer SET sector = 'kirke' WHERE id = 1")
    said = say("answers", "--json")
    assert said.exit_code == 1
    assert json.loads(said.output)[0]["groups"] == {"rows": 40, "groups": 3, "smallest": 1, "small": 1}
    said = say("nobody")
    assert (said.exit_code, 'found no anonymity of "nobody"; expected one of: answers' in said.output) == (2, True)


def test_a_store_that_is_down_is_no_store_without_risk(open_lethe) -> None:
    lethe = open_lethe(policy(linked=LINKED), SCHEMA)
    lethe.addresses["crm"] += " port=1"
    with pytest.raises(LetheError):
        measure(lethe, "orders")
