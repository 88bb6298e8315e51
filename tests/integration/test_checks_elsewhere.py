"""Checks of rules that are read from another store: by means of their own, and what cannot be read there is unknown."""

from datetime import date

import psycopg
import pytest

from demo.postgres import Postgres
from faults import NOW, act, approved, carry_out
from lethe import checking
from lethe.checks import elsewhere
from lethe.checks.questions import READING, Question
from lethe.checks.result import Checked
from lethe.checks.trial import Tried
from lethe.errors import ConfigError
from lethe.run import Lethe
from lethe.stores.postgres.grants import grants
from support import Database
from two_stores import DATASETS, REGISTER, RULE, by_contract

SCHEMA = """
CREATE TABLE cases (id int PRIMARY KEY, customer bigint, contract int, name text, closed_on date DEFAULT '2020-01-01');
INSERT INTO cases SELECT n, (n + 1) / 2, (n + 1) / 2, 'Kunde ' || n FROM generate_series(1, 42) n;
CREATE TABLE visit (id int PRIMARY KEY, at date);
INSERT INTO visit SELECT n, '2020-01-01' FROM generate_series(1, 5) n;
"""
VISITS = """
  visits: {in: crm, table: visit, key: id, personal_data: {}}
"""
OLD_VISITS = """\
  old-visits:
    obligation: R08
    of: visits
    title: {nb: Besøk, en: Visits}
    clock: at
    keep: P1Y
    then: delete
    limits: {rows: 1000, share: 100%}
"""
ACTIVITY = DATASETS.rstrip("\n") + VISITS + RULE.lstrip("\n") + OLD_VISITS
BY_CONTRACT = by_contract(ACTIVITY)
OWN_CLOCK = ACTIVITY.replace("customer.ended_on", "closed_on")
ONE_WAY = ACTIVITY.replace("customer: {to: customers, by: customer_number}", "")
DOWN = "host=127.0.0.1 port=1 connect_timeout=1"


def asked(lethe: Lethe, rule: str = "ex-customers") -> Checked:
    return {each.rule: each for each in checking.look(lethe, "crm", NOW.date(), grace=0).rules}[rule]


@pytest.fixture
def lethe(open_lethe) -> Lethe:
    return open_lethe(ACTIVITY, SCHEMA, elsewhere=REGISTER)


@pytest.mark.parametrize("activity", [ACTIVITY, BY_CONTRACT], ids=["one step", "two steps"])
def test_what_the_other_store_says_is_over_remains_until_the_sweep_came_by(open_lethe, activity: str) -> None:
    lethe = open_lethe(activity, SCHEMA, elsewhere=REGISTER)
    found = asked(lethe)
    assert (found.state, found.counts.rows, found.counts.dated, found.counts.remaining) == ("remaining", 42, 30, 30)
    act(lethe, approved(lethe))
    assert (asked(lethe).state, asked(lethe).counts.rows) == ("clean", 12)


def test_who_came_back_is_over_no_more(lethe: Lethe) -> None:
    lethe.register.run("UPDATE customer SET status = 'A' WHERE number <= 3")
    assert (asked(lethe).counts.remaining, asked(lethe).counts.kept["unselected"]) == (24, 6)
    lethe.register.run("UPDATE customer SET ended_on = '2025-02-01' WHERE number = 4")
    assert (asked(lethe).counts.remaining, asked(lethe).counts.over) == (22, 28)


@pytest.mark.parametrize("activity", [ACTIVITY, OWN_CLOCK, BY_CONTRACT], ids=["one step", "own clock", "two steps"])
@pytest.mark.parametrize("row", ["('customers', '3', 'held')", "('customers', '3', 'restricted')"])
def test_the_own_store_s_mirror_says_what_is_held(open_lethe, activity: str, row: str) -> None:
    """A hold is mirrored in every store in which something hangs on its row; the other store's mirror is not asked."""
    lethe = open_lethe(activity, SCHEMA, elsewhere=REGISTER)
    before = asked(lethe).counts.remaining
    lethe.register.run(f"INSERT INTO lethe.hold VALUES {row}")
    assert asked(lethe).counts.remaining == before
    lethe.database.run(f"INSERT INTO lethe.hold VALUES {row}")
    assert asked(lethe).counts.remaining == before - 2


def test_where_the_other_store_is_down_that_rule_is_unknown_and_the_rest_is_checked(lethe: Lethe) -> None:
    lethe.addresses["register"] = DOWN
    found = asked(lethe)
    assert (found.state, found.counts) == ("unknown", None)
    assert "store register (read for crm): no connection to the server" in found.problem
    assert (asked(lethe, "old-visits").state, asked(lethe, "old-visits").counts.remaining) == ("remaining", 5)


def test_an_address_that_nobody_gave_is_unknown(lethe: Lethe, monkeypatch: pytest.MonkeyPatch) -> None:
    def address(store: str) -> str:
        if store == "register":
            raise ConfigError("found no Airflow connection register, expected one")
        return lethe.addresses[store]

    monkeypatch.setattr(lethe, "address", address)
    assert (asked(lethe).state, asked(lethe, "old-visits").state) == ("unknown", "remaining")
    assert "store register (read for crm): found no Airflow connection" in asked(lethe).problem


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("ALTER TABLE customer RENAME TO client", "table public.customer (dataset customers): not there, or closed"),
        ("ALTER TABLE customer RENAME status TO state", "column public.customer.status (dataset customers): not there"),
        ("REVOKE SELECT ON customer FROM lethe_worker", "(dataset customers): not there, or closed to this user"),
        ("ALTER TABLE customer ENABLE ROW LEVEL SECURITY", "row-level security would hide rows from it"),
        ("ALTER TABLE customer ALTER number TYPE text", "store crm: the database answered UndefinedFunction"),
    ],
)
def test_what_cannot_be_read_there_is_unknown_and_says_where(lethe: Lethe, change: str, words: str) -> None:
    lethe.register.run(change)
    found = asked(lethe)
    assert (found.state, found.counts) == ("unknown", None)
    assert words in found.problem
    assert ("store register (read for crm)" in found.problem) == ("TYPE text" not in change)
    assert asked(lethe, "old-visits").state == "remaining"


def test_who_may_have_no_temporary_table_is_told_so(lethe: Lethe) -> None:
    lethe.database.run(f"REVOKE TEMPORARY ON DATABASE {lethe.database.name} FROM lethe_worker, PUBLIC")
    assert "store crm: this user may make no temporary tables; the store's owner runs" in asked(lethe).problem
    assert asked(lethe, "old-visits").state == "remaining"


ODD = r"""
CREATE TYPE state AS ENUM ('S', 'A'); ALTER TABLE customer ALTER status TYPE state USING status::state;
CREATE DOMAIN day AS date; ALTER TABLE customer ALTER ended_on TYPE day;
UPDATE customer SET ended_on = 'infinity' WHERE number = 1; UPDATE customer SET ended_on = '-infinity' WHERE number = 2;
"""
TEXTS = r"""
ALTER TABLE cases ALTER customer TYPE KIND USING customer::text;
UPDATE cases SET customer = E'a\tb' WHERE customer = '3'; UPDATE cases SET customer = '\N' WHERE customer = '4';
"""
THERE = r"""
ALTER TABLE customer ALTER number TYPE KIND; ALTER TABLE customer ALTER status TYPE char(3);
ALTER TABLE customer ALTER ended_on TYPE timestamptz;
UPDATE customer SET number = E'a\tb' WHERE number = '3'; UPDATE customer SET number = '\N' WHERE number = '4';
"""


@pytest.mark.parametrize(
    ("here", "there", "remaining"),
    [
        ("", ODD, 26),
        (TEXTS.replace("KIND", "text"), THERE.replace("KIND", "text"), 30),
        (TEXTS.replace("KIND", "varchar(9)"), THERE.replace("KIND", "char(9)"), 30),
        (
            "ALTER TABLE cases ALTER customer TYPE uuid USING md5(customer::text)::uuid",
            "ALTER TABLE customer ALTER number TYPE uuid USING md5(number::text)::uuid",
            30,
        ),
        (
            "ALTER TABLE cases ALTER customer TYPE date USING date '2020-01-01' + customer::int",
            "ALTER TABLE customer ALTER number TYPE date USING date '2020-01-01' + number",
            30,
        ),
    ],
    ids=["enums and domains", "texts", "characters", "uuids", "dates"],
)
def test_values_are_brought_to_the_letter(open_lethe, here: str, there: str, remaining: int) -> None:
    lethe = open_lethe(ONE_WAY, SCHEMA + here, elsewhere=REGISTER + there)
    assert asked(lethe).counts.remaining == remaining


DAYS = "ALTER TABLE cases ALTER customer TYPE text USING (date '2020-01-01' + customer::int)::text"


@pytest.mark.parametrize(
    ("kind", "here"), [("text", ""), ("numeric", ""), ("date USING date '2020-01-01' + number", DAYS)]
)
def test_keys_of_other_types_are_compared_as_text(open_lethe, kind: str, here: str) -> None:
    activity = ONE_WAY.replace("{to: customers, by: customer}", "{to: customers, by: customer, as_text: true}")
    there = REGISTER + f"ALTER TABLE customer ALTER number TYPE {kind}"
    lethe = open_lethe(activity, SCHEMA + here, elsewhere=there)
    assert asked(lethe).counts.remaining == 30


def test_databases_of_other_encodings_are_understood(open_lethe, server: Postgres) -> None:
    lethe = open_lethe(ONE_WAY, SCHEMA, elsewhere=REGISTER)
    other = Database(server, "in_latin")
    with server.admin() as admin:
        admin.execute("CREATE DATABASE in_latin TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'")
    try:
        other.run(REGISTER + grants(lethe.policy, lethe.policy.stores["register"]))
        other.run("ALTER TABLE customer ALTER number TYPE text; UPDATE customer SET number = 'Å1' WHERE number = '1'")
        lethe.database.run("ALTER TABLE cases ALTER customer TYPE text")
        lethe.database.run("UPDATE cases SET customer = 'Å1' WHERE customer = '1'")
        lethe.addresses["register"] = other.conninfo("lethe_worker")
        assert asked(lethe).counts.remaining == 30
        assert carry_out(lethe) == 30, "and by the sweep, too"
    finally:
        lethe.__exit__(None, None, None)
        with server.admin() as admin:
            admin.execute("DROP DATABASE in_latin WITH (FORCE)")


def test_a_table_of_the_same_name_in_the_own_store_is_another(open_lethe) -> None:
    own = "CREATE TABLE customer (number text, status int, ended_on text)"
    assert asked(open_lethe(ACTIVITY, SCHEMA + own, elsewhere=REGISTER)).counts.remaining == 30


MORE = """  by-name:
    obligation: R08
    of: cases
    order: 2
    title: {nb: Navn, en: Names}
    clock: closed_on
    keep: P1Y
    when: {customer.name: [Kunde 1, Kunde 2]}
    then: {anonymise: {name: blank}}
    limits: {rows: 1000, share: 100%}
"""


FIRST = ACTIVITY.replace("    clock: customer.ended_on", "    order: 1\n    clock: customer.ended_on")


@pytest.mark.parametrize("activity", [FIRST + MORE, FIRST.replace("rules:\n", f"rules:\n{MORE}")])
def test_rules_that_read_other_columns_do_not_take_each_other_s(open_lethe, activity: str) -> None:
    lethe = open_lethe(activity, SCHEMA, elsewhere=REGISTER)
    assert (asked(lethe).counts.remaining, asked(lethe, "by-name").counts.remaining) == (30, 4)
    lethe.register.run("ALTER TABLE customer RENAME name TO named")
    assert (asked(lethe).state, asked(lethe, "by-name").state) == ("remaining", "unknown")


def test_nothing_of_a_row_is_in_the_validation(lethe: Lethe) -> None:
    """Not in the document, which has the question's text, nor on the page."""
    lethe.register.run("UPDATE customer SET name = 'Kari Hemmelig', number = 471147 WHERE number = 1")
    lethe.database.run("UPDATE cases SET customer = 471147 WHERE customer = 1")
    found = checking.look(lethe, "crm", NOW.date())
    (rule, _) = found.rules
    assert rule.counts.remaining == 30
    told = str(found.document) + found.page
    assert "brought_customers" in told
    assert not [secret for secret in ("Hemmelig", "471147", "2020-01-01", "password") if secret in told]


EVERYTHING = """
SELECT (SELECT array_agg(c ORDER BY c.id) FROM cases c)::text, (SELECT count(*) FROM lethe.hold),
    (SELECT count(*) FROM pg_class WHERE relpersistence <> 't'),
    (SELECT count(*) FROM pg_class WHERE relpersistence = 't')
"""


def test_a_look_leaves_nothing_behind_in_either_store(lethe: Lethe) -> None:
    before = lethe.database.rows(EVERYTHING), lethe.register.rows("SELECT count(*), sum(number) FROM customer")
    assert asked(lethe).counts.remaining == 30
    after = lethe.database.rows(EVERYTHING), lethe.register.rows("SELECT count(*), sum(number) FROM customer")
    assert after == before


def test_a_look_cannot_write_though_it_has_tables_of_its_own(lethe: Lethe, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever a question calls, as a user who may do anything, in a session that was just given its tables."""
    from lethe.checks import suite

    for name in ("crm", "register"):
        database = lethe.database if name == "crm" else lethe.register
        lethe.addresses[name] = database.conninfo()
    monkeypatch.setattr(suite, "trial", lambda *_: ((rule, None) for rule in lethe.policy.rules))  # which rolls back
    monkeypatch.setattr(Question, "sql", lambda _: "INSERT INTO public.cases (id) VALUES (1000) RETURNING id")
    found = asked(lethe)
    assert found.state == "unknown"
    assert "ReadOnlySqlTransaction" in found.problem
    assert lethe.database.one("SELECT count(*) FROM cases") == 42


def test_a_session_that_does_not_get_its_tables_does_not_ask(lethe: Lethe, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_) -> None:
        raise psycopg.errors.DiskFull

    monkeypatch.setattr(elsewhere, "_put", fail)
    found = asked(lethe)
    assert (found.state, found.counts) == ("unknown", None)
    assert "store crm: the database answered DiskFull (53100): the disk is full" in found.problem
    assert asked(lethe, "old-visits").state == "remaining"


def test_the_other_store_is_only_read(lethe: Lethe, monkeypatch: pytest.MonkeyPatch) -> None:
    options = list[str]()
    connect = psycopg.connect

    def noting(conninfo: str, **how):
        if lethe.register.name in conninfo:
            options.append(how["options"])
        return connect(conninfo, **how)

    monkeypatch.setattr(psycopg, "connect", noting)
    asked(lethe)
    assert set(options) == {READING}


def test_a_rule_that_only_asks_elsewhere_is_tried_with_rows_too(open_lethe) -> None:
    """The clock is its own, a condition and what holds it stand elsewhere."""
    lethe = open_lethe(OWN_CLOCK, SCHEMA, elsewhere=REGISTER)
    lethe.database.run("GRANT INSERT ON cases TO lethe_worker; DELETE FROM cases WHERE id > 30")
    before = lethe.database.rows(EVERYTHING)
    assert asked(lethe).trial == Tried("seen")
    assert lethe.database.rows(EVERYTHING) == before


def test_a_clock_that_stands_elsewhere_is_not_tried(lethe: Lethe) -> None:
    lethe.database.run("GRANT INSERT ON cases TO lethe_worker")
    assert asked(lethe).trial == Tried("untried", "its clock stands in another table")


def test_statistics_are_asked_of_the_own_store_s_clock(open_lethe) -> None:
    lethe = open_lethe(OWN_CLOCK, SCHEMA, elsewhere=REGISTER)
    lethe.database.run("ANALYZE cases; DELETE FROM cases")
    assert asked(lethe).stale == 1
    assert asked(open_lethe(ACTIVITY, SCHEMA, elsewhere=REGISTER)).stale == 0


def test_a_row_that_is_asked_about_does_not_read_the_whole_other_table(open_lethe) -> None:
    """Each relation has its index: a hundred thousand rows of either side are asked about in seconds."""
    lethe = open_lethe(ACTIVITY, SCHEMA, elsewhere=REGISTER)
    rows = "generate_series(100, 100000) n"
    lethe.register.run(f"INSERT INTO customer SELECT n, 'K', 'S', '2020-01-01' FROM {rows}")
    lethe.database.run(f"INSERT INTO cases SELECT n, n, n, 'K' FROM {rows}")
    assert asked(lethe).counts.remaining == 30 + 99901


def test_a_store_without_rules_of_others_asks_no_other(lethe: Lethe, monkeypatch: pytest.MonkeyPatch) -> None:
    lethe.addresses["crm"] = DOWN
    assert checking.look(lethe, "register", date(2025, 3, 1)).problem == ""
