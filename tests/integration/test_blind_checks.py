"""Ways to break things, each a row of the table in docs/checks.md: the check goes red, and names the cause."""

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from psycopg.conninfo import make_conninfo
from psycopg.sql import SQL

from faults import ACTIVITY, NOW, SCHEMA, act, approved
from lethe import checking, deadlines
from lethe.run import Lethe
from lethe.stores.postgres import predicate

HANDBOOK = Path(__file__).parents[2] / "docs" / "checks.md"
EXPECT = "    expect: {rows: 20, dated: 95%, newest: P1Y}\n"
TABLE = "public.customer"
RULE = "ex-customers"

Break = str | Callable[[Lethe], None]


def elsewhere(address: str) -> Callable[[Lethe], None]:
    def point(lethe: Lethe) -> None:
        lethe.addresses["crm"] = address.format(up=lethe.addresses["crm"])

    return point


def to_another_copy(lethe: Lethe) -> None:
    """Another database with the same tables: what a copy by dump and restore is."""
    with lethe.database.connect() as admin:
        admin.execute("UPDATE lethe.store SET id = gen_random_uuid()")


WAYS: dict[str, tuple[Break, set[tuple[str, str]]]] = {
    # what the sweep leaves behind
    "a sweep that skips the rule": (
        "INSERT INTO customer SELECT n, 'late', date '2023-06-01' FROM generate_series(1000, 1010) n",
        {("remaining", RULE)},
    ),
    "rows of a backup put back into the table": (
        "INSERT INTO customer VALUES (2000, 'back', '2024-01-15')",
        {("remaining", RULE)},
    ),
    "a clock that is set back": (
        "UPDATE customer SET ended_on = ended_on - 100 WHERE id = 100",
        {("remaining", RULE)},
    ),
    # a table in which there is nothing to see
    "the table emptied": ("DELETE FROM customer", {("blind", RULE)}),
    "most of its rows gone": ("DELETE FROM customer WHERE id > 70", {("blind", RULE)}),
    "the clock set to NULL": ("UPDATE customer SET ended_on = NULL", {("blind", RULE)}),
    "the clock empty in every tenth row": (
        "UPDATE customer SET ended_on = NULL WHERE id % 10 = 0",
        {("blind", RULE)},
    ),
    "the clock set to infinity": ("UPDATE customer SET ended_on = 'infinity'", {("blind", RULE)}),
    "no new rows any more": (
        "UPDATE customer SET ended_on = '2024-02-29' WHERE ended_on > '2024-02-29'",
        {("blind", RULE)},
    ),
    "the clock moved into the future": (
        "UPDATE customer SET ended_on = ended_on + 10000",
        {("blind", RULE)},
    ),
    # another table under the name
    "the table renamed and a new empty one in its place": (
        (
            "ALTER TABLE customer RENAME TO customer_old; CREATE TABLE customer (LIKE customer_old INCLUDING ALL);"
            "GRANT SELECT ON customer TO lethe_worker"
        ),
        {("another-table", TABLE), ("blind", RULE), ("backup", "public.customer_old")},
    ),
    "the table copied, dropped and renamed": (
        (
            "CREATE TABLE fresh (LIKE customer INCLUDING ALL); INSERT INTO fresh SELECT * FROM customer;"
            "DROP TABLE customer; ALTER TABLE fresh RENAME TO customer; GRANT SELECT ON customer TO lethe_worker"
        ),
        {("another-table", TABLE)},
    ),
    "a view over a part of the rows in its place": (
        (
            "ALTER TABLE customer RENAME TO hidden; CREATE VIEW customer AS SELECT * FROM hidden WHERE id > 61;"
            "GRANT SELECT ON customer TO lethe_worker"
        ),
        {("another-table", TABLE), ("undeclared", "public.hidden")},
    ),
    "the table moved into another schema": (
        "CREATE SCHEMA archive; ALTER TABLE customer SET SCHEMA archive",
        {("unknown", RULE), ("personal", "archive.customer"), ("closed", "archive.customer")},
    ),
    # what the policy does not name
    "rows moved into an archive": (
        (
            "CREATE TABLE customer_archive (LIKE customer); GRANT SELECT ON customer_archive TO lethe_worker;"
            "INSERT INTO customer_archive VALUES (1, 'Kari', '2020-01-01')"
        ),
        {("personal", "public.customer_archive")},
    ),
    "a copy left behind": (
        "CREATE TABLE tmp_customer AS TABLE customer; GRANT SELECT ON tmp_customer TO lethe_worker",
        {("backup", "public.tmp_customer")},
    ),
    "a log of visitors": (
        "CREATE TABLE access_log (at timestamptz, ip inet); GRANT SELECT ON access_log TO lethe_worker",
        {("log", "public.access_log")},
    ),
    "a materialized view": (
        "CREATE MATERIALIZED VIEW busy AS TABLE customer",
        {("view", "public.busy")},
    ),
    "a publication": ("CREATE PUBLICATION away FOR TABLE customer", {("publication", "away")}),
    "large objects": ("SELECT lo_from_bytea(0, 'x')", {("large-objects", "crm")}),
    "a table that nobody looked at": (
        "CREATE TABLE lamp (watt int); GRANT SELECT ON lamp TO lethe_worker",
        {("undeclared", "public.lamp")},
    ),
    # columns
    "a column added": (
        "ALTER TABLE customer ADD shoe text",
        {("changed-table", TABLE), ("new-column", f"{TABLE}.shoe")},
    ),
    "a column with personal data added": (
        "ALTER TABLE customer ADD diagnosis text",
        {("changed-table", TABLE), ("personal", f"{TABLE}.diagnosis")},
    ),
    "a column dropped": ("ALTER TABLE customer DROP name", {("changed-table", TABLE)}),
    "the clock of another type": (
        "ALTER TABLE customer ALTER ended_on TYPE timestamp",
        {("changed-table", TABLE)},
    ),
    "the clock turned into text": (
        "ALTER TABLE customer ALTER ended_on TYPE text",
        {("changed-table", TABLE), ("unknown", RULE)},
    ),
    "the clock renamed and an empty one in its place": (
        (
            "ALTER TABLE customer RENAME ended_on TO ended; ALTER TABLE customer ADD ended_on date;"
            "GRANT SELECT ON customer TO lethe_worker"
        ),
        {("changed-table", TABLE), ("blind", RULE), ("new-column", f"{TABLE}.ended")},
    ),
    "the key renamed": (
        "ALTER TABLE customer RENAME id TO customer_no",
        {("changed-table", TABLE), ("unknown", RULE), ("personal", f"{TABLE}.customer_no")},
    ),
    # what may not be read
    "the table closed to Lethe": ("REVOKE SELECT ON customer FROM lethe_worker", {("unknown", RULE)}),
    "the list of holds closed": ("REVOKE SELECT ON lethe.hold FROM lethe_worker", {("unknown", RULE)}),
    "rows hidden by row-level security": (
        "ALTER TABLE customer ENABLE ROW LEVEL SECURITY; CREATE POLICY part ON customer USING (id > 61)",
        {("unknown", RULE)},
    ),
    # another database
    "a connection to a copy": (to_another_copy, {("another-database", "crm")}),
    "the database put back to an older state": (
        "UPDATE lethe.store SET seq = seq - 1",
        {("gone-back", "crm")},
    ),
    "the schema lethe dropped": ("DROP SCHEMA lethe CASCADE", {("unknown", "crm")}),
    "a server that is down": (elsewhere("host=127.0.0.1 port=1 connect_timeout=1"), {("unknown", "crm")}),
    "a database that is not there": (elsewhere("{up} dbname=nowhere"), {("unknown", "crm")}),
    "a password that is refused": (elsewhere("{up} password=wrong"), {("unknown", "crm")}),
}


WAYS_ELSEWHERE: dict[str, tuple[Break, set[tuple[str, str]]]] = {
    # of a rule that is read from another store
    "a sweep that skips a rule that is read from another store": (
        "INSERT INTO customer SELECT n, 'late', 3 FROM generate_series(1000, 1010) n",
        {("remaining", RULE)},
    ),
    "the other store is down": (
        lambda lethe: lethe.addresses.update(register="host=127.0.0.1 port=1 connect_timeout=1"),
        {("unknown", RULE)},
    ),
    "the other store's table closed to Lethe": (
        lambda lethe: lethe.register.run("REVOKE SELECT ON member FROM lethe_worker"),
        {("unknown", RULE)},
    ),
    "the other store's table emptied": (lambda lethe: lethe.register.run("DELETE FROM member"), {("blind", RULE)}),
    "the other store's clock set to NULL": (
        lambda lethe: lethe.register.run("UPDATE member SET ended_on = NULL"),
        {("blind", RULE)},
    ),
    "the other store's clock set back": (
        lambda lethe: lethe.register.run("UPDATE member SET ended_on = ended_on - 1000 WHERE id = 100"),
        {("remaining", RULE)},
    ),
    "a customer of the other store who came back": (
        lambda lethe: lethe.register.run("UPDATE member SET ended_on = NULL WHERE id = 100"),
        set(),
    ),
}


@pytest.fixture
def swept(open_lethe) -> Lethe:
    """All due customers are gone, and the store was asked once, with nothing against it."""
    lethe = open_lethe(ACTIVITY + EXPECT, SCHEMA)
    lethe.addresses["crm"] = make_conninfo(lethe.addresses["crm"])
    act(lethe, approved(lethe))
    assert found(lethe) == set()
    return lethe


@pytest.fixture
def swept_elsewhere(open_lethe) -> Lethe:
    """The same where each customer's member, with the clock, is in another store."""
    member = "  members: {in: register, table: member, key: id, personal_data: {}}\n  customers:"
    refers = "    key: id\n    refers_to: {member: {to: members, by: member}}\n"
    activity = ACTIVITY.replace("  customers:", member, 1).replace("    key: id\n", refers)
    lethe = open_lethe(
        activity.replace("clock: ended_on", "clock: member.ended_on") + EXPECT,
        "CREATE TABLE customer (id bigint PRIMARY KEY, name text, member bigint);"
        "INSERT INTO customer SELECT n, 'Kunde ' || n, n FROM generate_series(1, 100) n",
        elsewhere="CREATE TABLE member (id bigint PRIMARY KEY, ended_on date);"
        "INSERT INTO member SELECT n, date '2023-12-31' + n FROM generate_series(1, 100) n",
    )
    act(lethe, approved(lethe))
    assert found(lethe) == set()
    return lethe


def found(lethe: Lethe) -> set[tuple[str, str]]:
    """What a check holds against the store, by kind and subject; it is written down."""
    looked = checking.look(lethe, "crm", NOW.date())
    lethe.state.checked(lethe.policy, looked, f"{len(looked.findings):032x}" if looked.before else "f" * 32)
    assert looked.is_clean == (not looked.findings)
    return {(each.kind, each.subject) for each in looked.findings}


@pytest.mark.parametrize("way", WAYS)
def test_the_check_goes_red_and_names_the_cause(swept: Lethe, way: str) -> None:
    broken, expected = WAYS[way]
    if isinstance(broken, str):
        swept.database.run(broken)
    else:
        broken(swept)
    assert found(swept) == expected


FLOOR = """
floors:
  by-law:
    {obligation: R08, of: customers, law: bokfl. § 13, clock: ended_on, keep: {after: fiscal-year-end, period: P5Y}}
"""


@pytest.fixture
def floored(open_lethe) -> Lethe:
    """Customers that a law keeps until 2029 and 2030, though they are due."""
    activity = ACTIVITY.replace("rules:", FLOOR.lstrip("\n") + "rules:")
    lethe = open_lethe(activity, SCHEMA)
    assert found(lethe) == set()
    return lethe


def test_a_sweep_that_ignores_floors_is_found_for_a_week(floored: Lethe, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(predicate, "under", lambda *_: SQL("false"))
    act(floored, approved(floored))
    gone = floored.database.one("SELECT 100 - count(*) FROM customer")
    for day in range(8):
        looked = checking.look(floored, "crm", NOW.date() + timedelta(days=day))
        floored.state.checked(floored.policy, looked, f"{day:032x}")
        (finding,) = [each for each in looked.findings if each.kind == "floor-gone"]
        assert (finding.subject, finding.detail.split()[0]) == (RULE, str(gone))
    looked = checking.look(floored, "crm", NOW.date() + timedelta(days=8))
    assert "floor-gone" not in {each.kind for each in looked.findings}


@pytest.mark.parametrize("way", WAYS_ELSEWHERE)
def test_what_is_broken_in_either_store_is_found(swept_elsewhere: Lethe, way: str) -> None:
    broken, expected = WAYS_ELSEWHERE[way]
    if isinstance(broken, str):
        swept_elsewhere.database.run(broken)
    else:
        broken(swept_elsewhere)
    assert found(swept_elsewhere) == expected


def test_a_partition_that_was_taken_off_is_found(open_lethe) -> None:
    lethe = open_lethe(
        ACTIVITY,
        """
        CREATE TABLE customer (id bigint, name text, ended_on date, UNIQUE (id, ended_on))
            PARTITION BY RANGE (ended_on);
        CREATE TABLE customer_2019 PARTITION OF customer FOR VALUES FROM ('2019-01-01') TO ('2020-01-01');
        CREATE TABLE customer_2025 PARTITION OF customer FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
        INSERT INTO customer VALUES (1, 'Kari', '2019-05-01'), (2, 'Ola', '2025-02-01');
        """,
    )
    assert found(lethe) == {("remaining", RULE)}
    lethe.database.run(
        "ALTER TABLE customer DETACH PARTITION customer_2019; GRANT SELECT ON customer_2019 TO lethe_worker"
    )
    assert found(lethe) == {("detached", "public.customer_2019")}


def test_rows_that_another_meaning_of_the_rule_counted_are_not_missed(floored: Lethe) -> None:
    before = floored.state.remembered("crm")
    other = {rule: replace(count, digest="0" * 64, rows=count.rows + 5) for rule, count in before.floored.items()}
    floored.state.remember("crm", replace(before, floored=other))
    assert found(floored) == set()


def test_a_sweep_that_ignores_holds_is_found(open_lethe, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever deletes a row on hold: its hold stays, and leads nowhere."""
    lethe = open_lethe(ACTIVITY, SCHEMA)
    lethe.database.run("INSERT INTO lethe.hold VALUES ('customers', '7', 'held'), ('customers', '70', 'held')")
    assert found(lethe) == {("remaining", RULE)}
    monkeypatch.setattr(predicate, "protection", lambda *_: {})
    act(lethe, approved(lethe))
    assert found(lethe) == {("held-gone", TABLE)}
    lethe.database.run("DELETE FROM lethe.hold WHERE key = '7'")
    assert found(lethe) == set()


@pytest.mark.parametrize("late", [1, 2, 30])
def test_a_cutoff_that_is_days_off_is_found(open_lethe, monkeypatch: pytest.MonkeyPatch, late: int) -> None:
    """The row that the sweep believes to be due a day later remains, as soon as the sweep's own interval is over."""
    lethe = open_lethe(ACTIVITY, SCHEMA)
    monkeypatch.setattr(predicate, "cutoff", lambda *args: deadlines.cutoff(*args) - timedelta(days=late))
    act(lethe, approved(lethe))
    (rule,) = checking.look(lethe, "crm", NOW.date(), grace=0).rules
    assert (rule.state, rule.counts.remaining) == ("remaining", late)


def test_the_handbook_lists_every_way_and_what_is_found() -> None:
    rows = re.findall(r"^\| (.+?) \| (.+?) \|$", HANDBOOK.read_text(), re.MULTILINE)
    told = {way: set(re.findall(r"`([a-z-]+)`", kinds)) for way, kinds in rows if "`" in kinds or kinds == "nothing"}
    wanted = {way: {kind for kind, _ in expected} for way, (_, expected) in (WAYS | WAYS_ELSEWHERE).items()}
    assert told == {
        **wanted,
        "a cutoff that is a day off": {"remaining"},
        "a partition taken off": {"detached"},
        "a sweep that ignores floors": {"floor-gone"},
        "a sweep that ignores holds": {"held-gone"},
        "a sweep that ignores the hold on a canary": {"canary-died", "held-gone"},
        "a sweep that leaves the canaries": {"canary-lives"},
        "a cutoff that is a day early": {"canary-died"},
        "a sweep in another time zone": {"canary-died"},
        "statistics that keep what was deleted": {"statistics"},
    }
