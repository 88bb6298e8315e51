"""The live schema is read before anything is planned: all that differs from the policy, at once; nothing is done."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from faults import ACTIVITY, DATASET, NOW, RULE, SCHEMA, act, approved, customers
from lethe.errors import SchemaMismatch
from lethe.run import Lethe
from support import Database, write_policy

HEAD = "store crm, rule ex-customers: "


@pytest.fixture
def refused(new_database: Callable[..., Database], tmp_path: Path) -> Callable[[str, str], list[str]]:
    """What is refused of a database whose owner was not asked for anything yet."""

    def find(activity: str, schema: str) -> list[str]:
        store, state = new_database(lethe=True), new_database(state=True)
        store.run(schema)
        addresses = {"crm": store.conninfo("lethe_worker"), "lethe_state": state.conninfo("lethe_worker")}
        policy = write_policy(tmp_path, activity)
        with Lethe.open(policy, addresses.__getitem__) as lethe, pytest.raises(SchemaMismatch) as found:
            lethe.plan("ex-customers", NOW, "run")
        assert state.one("SELECT count(*) FROM lethe.plan") == 0
        assert all(line.startswith(HEAD) for line in found.value.problems)
        return [line.removeprefix(HEAD) for line in found.value.problems]

    return find


def with_orders(extra: str = "") -> str:
    orders = """  orders:
    in: crm
    table: orders
    key: id
    personal_data: {}
    refers_to: {customer: {to: customers, by: customer_id}}
"""
    return DATASET + orders + extra + RULE


CASES = {
    "missing table": (ACTIVITY, "SELECT 1", [("table public.customer (dataset customers): not found in the database; "
                                      "correct the policy or the connection")]),
    "all missing columns at once": (
        ACTIVITY.replace("{name: user.name}", "{name: user.name, telephone: user.contact.phone_number}"),
        "CREATE TABLE customer (id bigint PRIMARY KEY, nam text, ended date)",
        ["column public.customer.ended_on: not found in the database; did you mean ended?",
         "column public.customer.name: not found in the database; did you mean nam?",
         "column public.customer.telephone: not found in the database"],
    ),
    "a date in a text column": (
        ACTIVITY, SCHEMA + "ALTER TABLE customer ALTER ended_on TYPE text",
        ["clock ended_on: found type text, expected date or timestamp; text is never read as a date"],
    ),
    "no key": (
        ACTIVITY, SCHEMA + "ALTER TABLE customer DROP CONSTRAINT customer_pkey",
        [("table public.customer: found no primary key or unique NOT NULL index on (id), expected one, "
         "for it is the key of dataset customers")],
    ),
    "a unique index that takes NULL is no key": (
        ACTIVITY,
        SCHEMA + "ALTER TABLE customer DROP CONSTRAINT customer_pkey, ALTER id DROP NOT NULL;"
        "CREATE UNIQUE INDEX ON customer (id)",
        [("table public.customer: found no primary key or unique NOT NULL index on (id), expected one, "
         "for it is the key of dataset customers")],
    ),
    "a partial unique index is no key": (
        ACTIVITY,
        SCHEMA + "ALTER TABLE customer DROP CONSTRAINT customer_pkey;"
        "CREATE UNIQUE INDEX ON customer (id) WHERE name IS NOT NULL",
        [("table public.customer: found no primary key or unique NOT NULL index on (id), expected one, "
         "for it is the key of dataset customers")],
    ),
    "time stamps without a declared zone": (
        ACTIVITY, SCHEMA + "ALTER TABLE customer ALTER ended_on TYPE timestamp",
        ["clock ended_on: found time stamps without zone; declare theirs under unzoned: of the dataset"],
    ),
    "a table that others inherit from": (
        ACTIVITY, SCHEMA + "CREATE TABLE partner () INHERITS (customer)",
        ["table public.customer: other tables inherit from it; name these as datasets of their own"],
    ),
    "foreign keys that the policy does not name, with what they would do": (
        ACTIVITY,
        SCHEMA + "CREATE TABLE orders (id int PRIMARY KEY, customer_id bigint REFERENCES customer ON DELETE CASCADE);"
        "CREATE TABLE visit (id int, customer bigint REFERENCES customer ON DELETE SET NULL);"
        "CREATE TABLE zeal (who bigint REFERENCES customer)",
        [("table public.customer: public.orders (customer_id) refers to it by foreign key orders_customer_id_fkey, "
         "ON DELETE CASCADE, and the policy does not say what becomes of those rows; make it a dataset that "
         "refers_to customers and follows it"),
         ("table public.customer: public.visit (customer) refers to it by foreign key visit_customer_fkey, "
         "ON DELETE SET NULL, and the policy does not say what becomes of those rows; make it a dataset that "
         "refers_to customers and follows it"),
         ("table public.customer: public.zeal (who) refers to it by foreign key zeal_who_fkey, "
         "ON DELETE NO ACTION, and the policy does not say what becomes of those rows; make it a dataset that "
         "refers_to customers and follows it")],
    ),
    "a dataset that refers but does not follow leaves its rows' fate open": (
        with_orders(),
        SCHEMA + "CREATE TABLE orders (id int PRIMARY KEY, customer_id bigint REFERENCES customer)",
        [("table public.customer: public.orders (customer_id) refers to it by foreign key orders_customer_id_fkey, "
         "ON DELETE NO ACTION, and the policy does not say what becomes of those rows; make it a dataset that "
         "refers_to customers and follows it")],
    ),
    "what follows is looked at too": (
        with_orders("    follows: customer\n"),
        SCHEMA + "CREATE TABLE orders (id int PRIMARY KEY, customer_id bigint REFERENCES customer);"
        "CREATE TABLE line (order_id int REFERENCES orders ON DELETE CASCADE)",
        [("table public.orders: public.line (order_id) refers to it by foreign key line_order_id_fkey, "
         "ON DELETE CASCADE, and the policy does not say what becomes of those rows; make it a dataset that "
         "refers_to orders and follows it")],
    ),
    "a trigger that the policy does not name": (
        ACTIVITY,
        SCHEMA + "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN OLD; END';"
        "CREATE TRIGGER copies AFTER DELETE ON customer FOR EACH ROW EXECUTE FUNCTION f();"
        "CREATE TRIGGER of_updates AFTER UPDATE ON customer FOR EACH ROW EXECUTE FUNCTION f()",
        [("table public.customer: trigger copies would run on every row; if it does nothing that matters, "
         "declare it under triggers: of dataset customers")],
    ),
    "a rewrite rule that the policy does not name": (
        ACTIVITY, SCHEMA + "CREATE RULE keep AS ON DELETE TO customer DO INSTEAD NOTHING",
        [("table public.customer: trigger keep would run on every row; if it does nothing that matters, "
         "declare it under triggers: of dataset customers")],
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_what_disagrees_is_refused_in_words(refused, case: str) -> None:
    activity, schema, problems = CASES[case]
    assert refused(activity, schema) == problems


ANONYMISES = ACTIVITY.replace("then: delete", "then: {anonymise: {name: blank, mail: blank, initials: blank}}")


def test_what_cannot_be_blanked_is_refused_with_everything_else_that_cannot(refused) -> None:
    schema = """
CREATE TABLE customer (id bigint PRIMARY KEY, name text NOT NULL, mail text UNIQUE, ended_on text,
    initials text GENERATED ALWAYS AS (left(mail, 2)) STORED);
CREATE TABLE letter (id int PRIMARY KEY, mail text REFERENCES customer (mail));
"""
    assert refused(ANONYMISES, schema) == [
        "clock ended_on: found type text, expected date or timestamp; text is never read as a date",
        "column initials: is computed by the database; anonymise the columns it is computed from",
        "column mail: foreign key letter_mail_fkey of public.letter refers to it, so it cannot be anonymised",
        "column name: found NOT NULL, so it cannot be blanked; give it a constant or relax the column",
    ]


COUNTS = ACTIVITY.replace(
    "then: delete",
    "then:\n      - aggregate: {into: tally, by: {day: day(ended_on)}, count: customers, suppress_below: 5}\n"
    "      - delete",
)
AGGREGATES = {
    "no table": ("SELECT 1", ["aggregate: table tally not found in the database"]),
    "no unique index": (
        "CREATE TABLE tally (day date NOT NULL, customers bigint)",
        [("aggregate: tally has no unique index on (day) that also holds for NULL; "
         "without one the counts of a day could be split over several rows")],
    ),
    "a unique index that lets NULL pass twice": (
        "CREATE TABLE tally (day date UNIQUE, customers bigint)",
        [("aggregate: tally has no unique index on (day) that also holds for NULL; "
         "without one the counts of a day could be split over several rows")],
    ),
    "no column to count into": (
        "CREATE TABLE tally (day date PRIMARY KEY)", ["aggregate: column tally.customers not found in the database"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", AGGREGATES)
def test_an_aggregates_target_must_be_fit(refused, case: str) -> None:
    table, problems = AGGREGATES[case]
    assert refused(COUNTS, SCHEMA + table) == problems


def test_a_declared_trigger_passes_and_runs(open_lethe) -> None:
    activity = ACTIVITY.replace("    key: id\n", "    key: id\n    triggers: [counts]\n")
    lethe = open_lethe(
        activity,
        SCHEMA + "CREATE TABLE tally (n int); CREATE FUNCTION f() RETURNS trigger SECURITY DEFINER LANGUAGE plpgsql AS "
        "'BEGIN INSERT INTO public.tally VALUES (1); RETURN NULL; END';"
        "CREATE TRIGGER counts AFTER DELETE ON customer FOR EACH ROW EXECUTE FUNCTION f()",
    )
    gone = act(lethe, approved(lethe))
    assert gone == lethe.database.one("SELECT count(*) FROM tally") == 100 - customers(lethe) > 0


def test_a_disabled_trigger_does_not_matter(open_lethe) -> None:
    lethe = open_lethe(
        ACTIVITY,
        SCHEMA + "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';"
        "CREATE TRIGGER stops BEFORE DELETE ON customer FOR EACH ROW EXECUTE FUNCTION f();"
        "ALTER TABLE customer DISABLE TRIGGER stops",
    )
    assert act(lethe, approved(lethe)) > 0


def test_a_missing_index_on_a_large_table_is_a_warning_with_its_remedy(open_lethe) -> None:
    lethe = open_lethe(
        ACTIVITY,
        "CREATE TABLE customer (id bigint PRIMARY KEY, name text, ended_on date);"
        "INSERT INTO customer SELECT n, NULL, '2024-06-01' FROM generate_series(1, 100001) n; ANALYZE customer",
    )
    (warning,) = lethe.plan("ex-customers", NOW, "run").survey.warnings
    assert "public.customer.ended_on" in warning
    statement = re.search(r"CREATE INDEX .*;", warning)
    assert statement is not None
    lethe.database.run(statement[0])
    assert lethe.plan("ex-customers", NOW, "run").survey.warnings == ()


def test_a_small_table_needs_no_index(open_lethe) -> None:
    lethe = open_lethe(ACTIVITY, SCHEMA + "ANALYZE customer")
    assert lethe.plan("ex-customers", NOW, "run").survey.warnings == ()


VIEWS = """
CREATE VIEW named AS SELECT id, name FROM customer;
CREATE MATERIALIZED VIEW name_search AS SELECT id, upper(name) AS name FROM named;
"""


def test_a_materialized_view_that_would_keep_what_goes_stops_the_rule(open_lethe) -> None:
    lethe = open_lethe(ACTIVITY, SCHEMA)
    lethe.plan("ex-customers", NOW, "run")
    lethe.database.run(VIEWS)
    with pytest.raises(SchemaMismatch, match=r"view public\.name_search keeps what it read of it; .* refreshed:"):
        lethe.plan("ex-customers", NOW, "run")
    declared = ACTIVITY.replace("    key: id\n", "    key: id\n    refreshed: [name_search]\n", 1)
    assert open_lethe(declared, SCHEMA + VIEWS).plan("ex-customers", NOW, "run").survey.total == 100


@pytest.mark.parametrize(
    ("column", "fields", "stopped"),
    [
        ("search tsvector", "name: blank", True),
        ("search tsvector", "{name: blank, search: blank}", False),
        (
            "search tsvector GENERATED ALWAYS AS (to_tsvector('simple', coalesce(name, ''))) STORED",
            "name: blank",
            False,
        ),
    ],
)
def test_words_kept_for_searching_must_go_with_their_text(open_lethe, column: str, fields: str, stopped: bool) -> None:
    fields = fields if fields.startswith("{") else f"{{{fields}}}"
    text = ACTIVITY.replace("then: delete", f"then: {{anonymise: {fields}}}")
    lethe = open_lethe(text, f"{SCHEMA} ALTER TABLE customer ADD {column};")
    if not stopped:
        assert lethe.plan("ex-customers", NOW, "run").survey.total == 100
        return
    with pytest.raises(SchemaMismatch, match=r"column public\.customer\.search: keeps words of the texts"):
        lethe.plan("ex-customers", NOW, "run")
