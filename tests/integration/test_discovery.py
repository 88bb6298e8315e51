"""Discovery on a real PostgreSQL: every kind of finding goes red, and no value of a row is ever told."""

import json
from collections.abc import Callable

import pytest
from click.testing import CliRunner, Result
from psycopg.sql import SQL

from demo.postgres import Postgres
from faults import ACTIVITY, DATASET, RULE, SCHEMA
from lethe.cli import main
from lethe.discovery import sample
from lethe.discovery.look import Discovered, discover, look
from lethe.errors import StoreUnreachable
from lethe.run import Lethe
from support import Database, as_uri


@pytest.fixture
def lethe(open_lethe: Callable[..., Lethe]) -> Lethe:
    return open_lethe(ACTIVITY, SCHEMA)


def found(lethe: Lethe, role: str = "postgres", **options: object) -> Discovered:
    return discover(lethe.policy, "crm", lethe.database.conninfo(role), **options)


def kinds(lethe: Lethe, role: str = "postgres") -> set[tuple[str, str]]:
    return {(each.kind, each.subject) for each in found(lethe, role).findings}


def test_a_store_that_the_policy_covers_has_no_finding(lethe: Lethe) -> None:
    assert kinds(lethe) == set()


PARTS = """
CREATE TABLE visit (id bigint, visitor_email text, at date) PARTITION BY RANGE (at);
CREATE TABLE visit_2024 PARTITION OF visit FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');
CREATE TABLE visit_2023 (LIKE visit);
"""


FOREIGN = """
CREATE FOREIGN DATA WRAPPER nowhere; CREATE SERVER far FOREIGN DATA WRAPPER nowhere;
CREATE FOREIGN TABLE far_guest (email text, token text) SERVER far;
CREATE FOREIGN TABLE far_lamp (watt integer) SERVER far;
"""


COPIED_PARTS = """
CREATE TABLE visit (email text, at date) PARTITION BY RANGE (at);
CREATE TABLE visit_1 PARTITION OF visit DEFAULT;
CREATE PUBLICATION away FOR TABLE visit_1;
CREATE MATERIALIZED VIEW busy AS TABLE visit_1;
"""


@pytest.mark.parametrize(
    ("statements", "expected"),
    [
        ("ALTER TABLE customer ADD phone text", {("personal", "public.customer.phone")}),
        ("ALTER TABLE customer ADD weight integer", {("undeclared", "public.customer.weight")}),
        ("CREATE TABLE guest (id int, email text, fnr text)", {("personal", "public.guest")}),
        ("CREATE TABLE setting (id int, flag boolean)", {("undeclared", "public.setting")}),
        ("CREATE SCHEMA hr; CREATE TABLE hr.staff (ssn text)", {("personal", "hr.staff")}),
        (FOREIGN, {("personal", "public.far_guest"), ("undeclared", "public.far_lamp")}),
        ("CREATE MATERIALIZED VIEW busy AS SELECT name FROM customer", {("view", "public.busy")}),
        (
            "CREATE VIEW v AS SELECT * FROM customer; CREATE MATERIALIZED VIEW busy AS SELECT ended_on FROM v",
            {("view", "public.busy")},
        ),
        ("CREATE PUBLICATION away FOR TABLE customer", {("publication", "away")}),
        ("CREATE PUBLICATION away FOR ALL TABLES", {("publication", "away")}),
        (
            COPIED_PARTS,
            {("personal", "public.visit"), ("publication", "away"), ("view", "public.busy")},
        ),
        ("SELECT lo_from_bytea(0, 'x')", {("large-objects", "crm")}),
        ("CREATE TABLE access_log (at timestamptz, ip inet)", {("log", "public.access_log")}),
        ("CREATE TABLE customer_old AS TABLE customer", {("backup", "public.customer_old")}),
        ("CREATE TABLE bak_customer AS TABLE customer", {("backup", "public.bak_customer")}),
        ("CREATE TABLE customer_20240131 (LIKE customer)", {("backup", "public.customer_20240131")}),
        (PARTS, {("detached", "public.visit_2023"), ("personal", "public.visit")}),
        ('CREATE TABLE "Odd name" ("E-post" text)', {("personal", "public.Odd name")}),
    ],
)
def test_every_kind_of_finding_goes_red(lethe: Lethe, statements: str, expected: set[tuple[str, str]]) -> None:
    lethe.database.run(statements)
    assert kinds(lethe) == expected


@pytest.mark.parametrize(
    "statements",
    [
        "CREATE MATERIALIZED VIEW days AS SELECT 1 AS day",
        "CREATE TEMP TABLE guest (email text)",
        "CREATE VIEW names AS SELECT name FROM customer",
        "CREATE PUBLICATION away",
    ],
)
def test_what_keeps_no_copy_of_anybody_is_no_finding(lethe: Lethe, statements: str) -> None:
    lethe.database.run(statements)
    assert kinds(lethe) == set()


def test_values_tell_what_names_do_not(lethe: Lethe) -> None:
    lethe.database.run("""
        CREATE TABLE t (a text, b text, c bigint, d text, e jsonb, f text);
        INSERT INTO t SELECT 'p' || n || '@firma.example', 'Kari Hansen', 10000000000 + n, '192.0.2.' || n % 250,
            jsonb_build_object('x', jsonb_build_object('y', 'ring meg på p' || n || '@firma.example i dag')), 'grønn'
        FROM generate_series(1, 300) n
    """)
    (table,) = [each for each in found(lethe).findings if each.subject == "public.t"]
    assert table.kind == "personal"
    assert {each.column: each.category for each in found(lethe).looked.candidates if each.table == "public.t"} == {
        "a": "user.contact.email",
        "b": "user.name",
        "d": "user.device.ip_address",
        "e": "user.content.private",
    }


def test_a_large_table_is_sampled_all_over(lethe: Lethe) -> None:
    """At its start there is nothing to see, and the planner knows nothing of it."""
    lethe.database.run("""
        CREATE TABLE big (a text, pad text);
        ALTER TABLE big ALTER pad SET STORAGE PLAIN;
        INSERT INTO big SELECT CASE WHEN n > 2000 THEN 'p' || n || '@firma.example' END, repeat('x', 1500)
        FROM generate_series(1, 15000) n
    """)
    (email,) = [each for each in found(lethe).looked.candidates if each.table == "public.big"]
    assert (email.column, email.category) == ("a", "user.contact.email")


def test_a_database_without_an_encoding_is_read(lethe: Lethe, server: Postgres) -> None:
    name = f"{lethe.database.name}_ascii"
    with server.admin() as admin:
        admin.execute(f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'SQL_ASCII' LOCALE 'C'")
    try:
        database = Database(server, name)
        database.run("CREATE TABLE t (a text); INSERT INTO t SELECT E'\\xe5' || n FROM generate_series(1, 5) n")
        database.run(
            "CREATE TABLE u (a text); INSERT INTO u SELECT 'p' || n || '@firma.example' FROM generate_series(1, 5) n"
        )
        (finding,) = [
            each for each in discover(lethe.policy, "crm", database.conninfo()).findings if each.kind == "personal"
        ]
        assert finding.subject == "public.u"
    finally:
        with server.admin() as admin:
            admin.execute(f"DROP DATABASE {name}")


def test_a_look_into_the_rows_cannot_write(lethe: Lethe, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever a query calls, a type's own function say, as a user who may do anything."""
    monkeypatch.setattr(sample, "_query", lambda *_: SQL("INSERT INTO public.customer VALUES (1000) RETURNING id"))
    with lethe.database.connect() as connection:
        looked = look(connection, "crm")
    assert "ReadOnlySqlTransaction" in looked.unread["public.customer"].why
    assert lethe.database.one("SELECT count(*) FROM customer") == 100


def test_a_closed_table_is_a_finding_and_the_rest_is_read(lethe: Lethe) -> None:
    lethe.database.run("""
        CREATE TABLE secret (a text); CREATE TABLE plain (b text);
        INSERT INTO plain SELECT 'p' || n || '@firma.example' FROM generate_series(1, 50) n;
        GRANT SELECT ON plain TO lethe_worker
    """)
    assert kinds(lethe, "lethe_worker") == {("closed", "public.secret"), ("personal", "public.plain")}


def test_a_closed_column_is_told_by_its_name(lethe: Lethe) -> None:
    lethe.database.run("CREATE TABLE t (a text, b text); GRANT SELECT (a) ON t TO lethe_worker")
    (finding,) = found(lethe, "lethe_worker").findings
    assert (finding.kind, finding.subject, finding.detail) == ("closed", "public.t", "b")


def test_rows_that_are_hidden_close_a_table(lethe: Lethe) -> None:
    lethe.database.run("""
        CREATE TABLE t (a text); GRANT SELECT ON t TO lethe_worker; ALTER TABLE t ENABLE ROW LEVEL SECURITY
    """)
    (finding,) = [each for each in found(lethe, "lethe_worker").findings if each.kind == "closed"]
    assert finding.subject == "public.t"
    assert "row-level security" in finding.detail


def test_what_the_policy_has_in_full_may_be_closed(lethe: Lethe) -> None:
    lethe.database.run("REVOKE SELECT ON customer FROM lethe_worker")
    assert kinds(lethe, "lethe_worker") == set()


def test_a_locked_table_is_unknown_and_the_rest_is_read(lethe: Lethe) -> None:
    lethe.database.run("CREATE TABLE busy (a text); CREATE TABLE plain (fnr text)")
    with lethe.database.connect() as other, other.transaction():
        other.execute("LOCK TABLE busy IN ACCESS EXCLUSIVE MODE")
        assert {("unknown", "public.busy"), ("personal", "public.plain")} <= kinds(lethe)


def test_new_columns_are_told_apart_from_old_ones(lethe: Lethe) -> None:
    lethe.database.run("ALTER TABLE customer ADD weight integer, ADD height integer, ADD phone text")
    known = {"public.customer": frozenset({"id", "name", "ended_on", "height"})}
    told = {each.subject: (each.kind, each.detail) for each in found(lethe, known=known).findings}
    assert told["public.customer.weight"] == ("new-column", "")
    assert told["public.customer.height"] == ("undeclared", "")
    assert told["public.customer.phone"][0] == "personal"
    assert "new since the last check" in told["public.customer.phone"][1]


def test_a_table_that_hangs_on_people_says_so(lethe: Lethe) -> None:
    lethe.database.run("""
        CREATE TABLE purchase (id int PRIMARY KEY, buyer bigint REFERENCES customer);
        CREATE TABLE item (purchase int REFERENCES purchase, weight int)
    """)
    details = {each.subject: each.detail for each in found(lethe).findings}
    assert details["public.item"].endswith("public.item by purchase → public.purchase by buyer → public.customer")


def test_extensions_and_lethe_itself_are_left_out(lethe: Lethe, new_database: Callable[..., Database]) -> None:
    database = new_database(lethe=True)
    with database.connect() as connection:
        assert look(connection, "crm").inventory.tables == ()


def test_a_view_that_is_refreshed_after_each_sweep_is_no_finding(open_lethe: Callable[..., Lethe]) -> None:
    refreshed = ACTIVITY.replace("    key: id\n", "    key: id\n    refreshed: [busy]\n", 1)
    lethe = open_lethe(refreshed, f"{SCHEMA} CREATE MATERIALIZED VIEW busy AS TABLE customer;")
    assert kinds(lethe) == set()


LOG = """
  visit-log:
    in: crm
    table: visit_log
    key: id
    personal_data: {ip: user.device.ip_address}
"""


def test_a_log_that_the_policy_names_wants_a_rule(open_lethe: Callable[..., Lethe]) -> None:
    activity = f"{DATASET}{LOG}{RULE}"
    lethe = open_lethe(activity, f"{SCHEMA} CREATE TABLE visit_log (id int PRIMARY KEY, ip inet);")
    assert kinds(lethe) == {("log", "public.visit_log")}


SECRETS = ("Kari", "Nordmann", "hemmelig", "98765432", "firma")
LEAKY = """
CREATE TABLE "Kunder" (id int, name text, email text, phone text, note text, doc jsonb, code text);
INSERT INTO "Kunder" SELECT n, 'Kari Nordmann', 'kari' || n || '@firma.example', '+47 98 76 54 32',
    'Kari Nordmann er hemmelig, ring 98765432', '{"Kari Nordmann": "kari@firma.example", "email": "x"}', 'hemmelig'
FROM generate_series(1, 200) n;
CREATE MATERIALIZED VIEW kopi AS TABLE "Kunder";
"""


def run(lethe: Lethe, *arguments: str, conninfo: str | None = None, role: str = "postgres") -> Result:
    environment = {"AIRFLOW_CONN_CRM": as_uri(conninfo or lethe.database.conninfo(role))}
    return CliRunner().invoke(
        main, ["discover", *arguments, "--policy", str(lethe.policy_dir)], env=environment, catch_exceptions=False
    )


@pytest.mark.parametrize("arguments", [(), ("--json",), ("--yaml",)])
def test_no_value_is_told_in_any_form(lethe: Lethe, arguments: tuple[str, ...]) -> None:
    lethe.database.run(LEAKY)
    result = run(lethe, *arguments)
    assert result.exit_code == 1
    assert "user.contact.email" in result.output
    assert [secret for secret in SECRETS if secret in result.output] == []


def test_no_value_is_kept(lethe: Lethe) -> None:
    lethe.database.run(LEAKY)
    assert [secret for secret in SECRETS if secret in repr(found(lethe))] == []


def test_covered_is_0_and_uncovered_1(lethe: Lethe) -> None:
    covered = run(lethe)
    assert (covered.exit_code, "everything is covered" in covered.output) == (0, True)
    lethe.database.run("ALTER TABLE customer ADD phone text")
    uncovered = run(lethe, "crm")
    assert uncovered.exit_code == 1
    assert "NOT IN THE POLICY" in uncovered.output
    assert "warning: public.customer.phone: looks like personal data, and no rule knows it" in uncovered.output


def test_a_store_that_is_down_is_5_and_one_that_is_not_there_2(lethe: Lethe) -> None:
    down = run(lethe, conninfo="host=127.0.0.1 port=1 user=x dbname=x password=x")
    assert down.exit_code == 5
    assert "no connection to the server" in down.output
    assert run(lethe, "crn").exit_code == 2
    with pytest.raises(StoreUnreachable):
        discover(lethe.policy, "crm", "host=127.0.0.1 port=1")


def test_json_has_all_of_it(lethe: Lethe) -> None:
    lethe.database.run("CREATE TABLE purchase (id int, email text, buyer bigint REFERENCES customer)")
    (told,) = json.loads(run(lethe, "--json").output)
    assert (told["store"], told["covered"]) == ("crm", False)
    by_column = {each["column"]: each for each in told["candidates"]}
    assert by_column["public.customer.name"]["in_policy"] is True
    assert by_column["public.purchase.email"] == {
        "column": "public.purchase.email", "category": "user.contact.email", "confidence": 0.9,
        "why": ["its name, in a table that tells of people"], "in_policy": False,
    }  # fmt: skip
    assert told["findings"][0]["kind"] == "personal"
    assert told["reach"] == {"public.customer": ["public.purchase by buyer → public.customer"]}


def test_the_proposal_makes_the_store_covered(lethe: Lethe) -> None:
    """Pasted as it is, and looked at by nobody: what a person does with it is theirs."""
    import yaml

    from lethe.policy import load

    lethe.database.run("""
        CREATE TABLE setting (id int, flag boolean);
        CREATE TABLE guest (id int PRIMARY KEY, email text, weight int)
    """)
    parts = [part for part in run(lethe, "--yaml").output.split("# ") if part.strip()]
    datasets = next(yaml.safe_load(part.partition("\n")[2]) for part in parts if part.startswith("activities/"))
    free = next(yaml.safe_load(part.partition("\n")[2]) for part in parts if part.startswith("stores.yaml"))
    activity, stores = lethe.policy_dir / "activities" / "customers.yaml", lethe.policy_dir / "stores.yaml"
    own = yaml.safe_load(activity.read_text("utf-8"))
    own["datasets"] |= datasets["datasets"]
    activity.write_text(yaml.safe_dump(own, allow_unicode=True), encoding="utf-8")
    all_stores = yaml.safe_load(stores.read_text("utf-8"))
    all_stores["stores"]["crm"] |= free
    stores.write_text(yaml.safe_dump(all_stores, allow_unicode=True), encoding="utf-8")
    assert load(lethe.policy_dir).warnings != ()
    assert run(lethe).exit_code == 0


def test_what_is_accepted_is_no_finding_and_what_is_accepted_in_vain_is_told(lethe: Lethe) -> None:
    lethe.database.run("CREATE MATERIALIZED VIEW busy AS SELECT name FROM customer")
    stores = lethe.policy_dir / "stores.yaml"
    text = stores.read_text("utf-8")
    accepted = "accepted: {view public.busy: refreshed every night, log public.nowhere: gone}"
    stores.write_text(text.replace("backups: P35D}", f"backups: P35D, {accepted}}}", 1), encoding="utf-8")
    result = run(lethe)
    assert result.exit_code == 0
    assert "accepted, and not there: log public.nowhere" in result.output
    assert "public.busy" not in result.output
