"""The demo estate on a real PostgreSQL: the same each time, whole, and judged rightly by its truth table."""

import os
import time
from pathlib import Path

import psycopg
import pytest

from demo.estate_setup import lay_documents
from demo.generate import build, plant_holds
from demo.planted import CASES, HOLDS, TODAY
from demo.truth import Estate, check, expected, load, save, snapshot
from lethe.checks.result import Checked
from lethe.model import Policy
from lethe.policy import load as load_policy
from lethe.sql import script

SHIPPED = Path(__file__).parents[2] / "include" / "policy"

# The sweep a third time, by the newest due date of each period on 1 March 2025, written by hand.
OSLO = "AT TIME ZONE 'Europe/Oslo')::date"
FREE_CASES = """
    SELECT c.id FROM cases c JOIN customers k ON k.id = c.customer_id
    WHERE k.status = 'avsluttet' AND k.ended_at <= '2024-02-29' AND k.dispute_status = 'ingen'
      AND (NOT c.public_record OR c.archive_delivered_at IS NOT NULL)
"""
ENDED_BUYERS = """
    SELECT kundenr FROM kunde
    WHERE status = 'S' AND avsluttet NOT IN ('1970-01-01', '9999-12-31') AND avsluttet <= '2024-02-29'
"""
OLD_INVOICES = f"""
    SELECT fakturanr FROM faktura WHERE fakturadato <> '1970-01-01' AND fakturadato <= '2019-12-31'
    AND kundenr IN ({ENDED_BUYERS}) AND fakturanr::text NOT IN (SELECT key FROM held WHERE dataset = 'invoices')
"""
OLD_NOTES = """
    SELECT id FROM foelgeseddel WHERE levert <> '1970-01-01' AND levert < '2020-12-31 23:00'
    AND id::text NOT IN (SELECT key FROM held WHERE dataset = 'delivery-notes')
"""
UNTIED = """
    customer_id IS NULL AND ship_name IS NULL AND email IS NULL
"""
SWEEP = {
    "website": f"""
        CREATE TEMP TABLE gone AS SELECT id FROM visitors WHERE (last_visit_at {OSLO} <= '2022-12-31'
            AND id::text NOT IN (SELECT key FROM held WHERE dataset = 'visitors');
        DELETE FROM visits WHERE visitor_id IN (TABLE gone);
        DELETE FROM visitors WHERE id IN (TABLE gone);
        DELETE FROM form_messages WHERE (handled_at {OSLO} <= '2025-01-29' AND status = 'ferdig'
            AND id::text NOT IN (SELECT key FROM held WHERE dataset = 'form-messages');
        DELETE FROM consents WHERE (withdrawn_at {OSLO} <= '2025-02-27'
            AND id::text NOT IN (SELECT key FROM held WHERE dataset = 'consents');
        DELETE FROM server_sessions WHERE (ended_at {OSLO} <= '2025-02-27'
            AND id::text NOT IN (SELECT key FROM held WHERE dataset = 'sessions');
        DELETE FROM access_log WHERE (at {OSLO} <= '2024-11-30'
            AND id::text NOT IN (SELECT key FROM held WHERE dataset = 'access-log')
    """,
    "portal": f"""
        CREATE TEMP TABLE freed AS {FREE_CASES};
        DELETE FROM attachments WHERE case_id IN (TABLE freed)
            AND id::text NOT IN (SELECT key FROM held WHERE dataset = 'attachments');
        DELETE FROM freed WHERE id::text IN (SELECT key FROM held WHERE dataset = 'cases');
        UPDATE case_messages SET sender_name = NULL, body = NULL WHERE case_id IN (TABLE freed);
        UPDATE cases SET subject = 'anonymisert', reporter_name = NULL, reporter_email = NULL, reporter_phone = NULL,
            reporter_address = NULL, description = NULL, form = NULL WHERE id IN (TABLE freed)
    """,
    "contacts": """
        DELETE FROM contacts USING companies c WHERE c.id = company_id AND relationship_ended_at <= '2015-02-28'
            AND contacts.id::text NOT IN (SELECT key FROM held WHERE dataset = 'contacts')
    """,
    "webshop": f"""
        DELETE FROM messages USING customers c WHERE c.id = customer_id AND (ended_at {OSLO} <= '2024-02-29'
            AND messages.id::text NOT IN (SELECT key FROM held WHERE dataset = 'webshop-messages');
        UPDATE orders SET customer_id = NULL, ship_name = NULL, ship_address = NULL, email = NULL, phone = NULL,
            ship_postcode = left(ship_postcode, 2) || '00', note = NULL,
            placed_at = date_trunc('month', placed_at, 'Europe/Oslo')
            FROM customers c WHERE c.id = customer_id AND (ended_at {OSLO} <= '2024-02-29'
            AND orders.id::text NOT IN (SELECT key FROM held WHERE dataset = 'orders');
        UPDATE orders o SET ship_postcode = NULL FROM (SELECT placed_at, ship_postcode FROM orders WHERE {UNTIED}
            GROUP BY 1, 2 HAVING count(*) < 3) g WHERE {UNTIED} AND o.placed_at = g.placed_at
            AND o.ship_postcode = g.ship_postcode;
        UPDATE orders o SET placed_at = date_trunc('year', o.placed_at, 'Europe/Oslo')
            FROM (SELECT placed_at, ship_postcode FROM orders WHERE {UNTIED} GROUP BY 1, 2 HAVING count(*) < 3) g
            WHERE {UNTIED} AND o.placed_at = g.placed_at AND o.ship_postcode IS NOT DISTINCT FROM g.ship_postcode
    """,
    "bookkeeping": f"""
        CREATE TEMP TABLE invoices AS {OLD_INVOICES};
        CREATE TEMP TABLE notes AS {OLD_NOTES};
        DELETE FROM bilag WHERE ref_type = 'FAKTURA' AND ref_id IN (SELECT fakturanr::text FROM invoices);
        DELETE FROM bilag WHERE ref_type = 'FOELGESEDDEL' AND ref_id IN (SELECT id::text FROM notes);
        DELETE FROM foelgeseddel WHERE id IN (TABLE notes);
        DELETE FROM faktura WHERE fakturanr IN (TABLE invoices);
        UPDATE faktura SET kunde_epost = NULL, kunde_telefon = NULL WHERE kundenr IN ({ENDED_BUYERS})
            AND fakturanr::text NOT IN (SELECT key FROM held WHERE dataset = 'invoices')
    """,
    "contact-centre": f"""
        CREATE TEMP TABLE gone AS SELECT * FROM call_log WHERE (started_at {OSLO} <= '2024-11-30'
            AND id::text NOT IN (SELECT key FROM held WHERE dataset = 'call-log');
        INSERT INTO call_statistics (day, queue, calls, seconds)
            SELECT (started_at {OSLO}, queue, count(*), sum(duration_s) FROM gone GROUP BY 1, 2 HAVING count(*) >= 5;
        DELETE FROM call_log WHERE id IN (SELECT id FROM gone)
    """,
}


@pytest.fixture(scope="module")
def conninfo(demo_stores: dict[str, str]) -> dict[str, str]:
    return demo_stores


@pytest.fixture(scope="module")
def estate(conninfo: dict[str, str]) -> Estate:
    build(conninfo)
    return snapshot(conninfo)


def sweep(conninfo: dict[str, str]) -> None:
    for store, statements in ((store, SWEEP[store]) for store in conninfo if store in SWEEP):
        with psycopg.connect(conninfo[store]) as connection, connection.cursor() as cursor:
            cursor.execute("CREATE TEMP TABLE held (dataset text, key text)")
            holds = [(hold.dataset, hold.key) for hold in HOLDS if hold.store == store]
            cursor.executemany("INSERT INTO held VALUES (%s, %s)", holds)
            cursor.execute(statements)


def test_same_seed_and_day_give_the_same_rows(conninfo: dict[str, str], estate: Estate) -> None:
    build(conninfo)
    assert snapshot(conninfo) == estate


def test_rows_do_not_depend_on_the_hosts_zone(
    conninfo: dict[str, str], estate: Estate, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = expected(estate, TODAY)
    monkeypatch.setenv("TZ", "Pacific/Auckland")
    monkeypatch.setenv("PGTZ", "America/Adak")
    time.tzset()
    try:
        build(conninfo)
        assert expected(snapshot(conninfo), TODAY) == wanted
    finally:
        os.environ.pop("TZ")
        time.tzset()


def test_seed_and_size_change_the_filler_not_the_planted_rows(conninfo: dict[str, str], estate: Estate) -> None:
    try:
        build({"contact-centre": conninfo["contact-centre"]}, scale=2, seed=1)
        calls = snapshot({"contact-centre": conninfo["contact-centre"]})["contact-centre"]["call_log"]
        before = estate["contact-centre"]["call_log"]
        assert len(calls) == len(before) + 40_000
        assert calls["1"] != before["1"]
        assert all(calls[case.key] == before[case.key] for case in CASES if case.store == "contact-centre")
    finally:
        build({"contact-centre": conninfo["contact-centre"]})


def test_every_planted_row_is_there(estate: Estate) -> None:
    assert all(case.key in estate[case.store][case.table] for case in CASES)


def test_every_table_has_a_primary_key_and_rows(conninfo: dict[str, str], estate: Estate) -> None:
    for store, where in conninfo.items():
        assert all(estate[store].values())
        with psycopg.connect(where) as connection:
            found = connection.execute(
                "SELECT relname FROM pg_class c WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p')"
                " AND NOT EXISTS (SELECT FROM pg_index WHERE indrelid = c.oid AND indisprimary)"
            ).fetchall()
        assert found == []


def test_foreign_keys_stand_where_they_should(conninfo: dict[str, str]) -> None:
    """PostgreSQL checked them on the way in; the bookkeeping system has none."""
    for store, where in conninfo.items():
        with psycopg.connect(where) as connection:
            row = connection.execute(
                "SELECT count(*) FROM pg_constraint WHERE contype = 'f' AND convalidated"
            ).fetchone()
        assert row is not None
        assert (row[0] == 0) == (store == "bookkeeping")


def test_applications_can_go_on_writing(conninfo: dict[str, str], estate: Estate) -> None:
    with psycopg.connect(conninfo["portal"]) as connection:
        row = connection.execute(
            "INSERT INTO customers (name, sector, status) VALUES ('x', 'privat', 'aktiv') RETURNING id"
        )
        assert row.fetchone() == (1_000_000_000_001,)
        connection.rollback()


def test_every_confirmed_rule_has_due_and_kept_rows_beside_the_planted(estate: Estate) -> None:
    wanted = expected(estate, TODAY)
    touched = {(s, t) for s in estate for t in estate[s] if wanted[s][t] != estate[s][t]}
    quiet = {"survey-answers-lose-their-person", "consent-proofs"}
    assert {(case.store, case.table) for case in CASES if case.rule not in quiet} <= touched


def test_an_invoices_fate_does_not_hang_on_how_its_rule_is_read(estate: Estate) -> None:
    """Ended for a year, or just ended: no customer with invoices out of the floor tells the two apart."""
    store = estate["bookkeeping"]
    kept = expected(estate, TODAY)["bookkeeping"]["faktura"]
    held = {hold.key for hold in HOLDS}
    ended = {key for key, row in store["kunde"].items() if row["status"] == "S"}
    for key, row in store["faktura"].items():
        old = row["fakturadato"] != "1970-01-01" and row["fakturadato"] <= "2019-12-31"
        assert (key not in kept) == (old and row["kundenr"] in ended and key not in held)


def test_the_day_of_a_sweep_moves_forward_only(estate: Estate) -> None:
    now, later = expected(estate, TODAY), expected(estate, TODAY.replace(year=2026))
    assert all(later[s][t].keys() <= now[s][t].keys() for s in now for t in now[s] if t != "call_statistics")


def test_without_a_sweep_every_due_case_is_reported(conninfo: dict[str, str], estate: Estate) -> None:
    found = {(m.store, m.table, m.key) for m in check(conninfo, estate)}
    for case in CASES:
        if not any(row.after for row in case.rows):
            assert ((case.store, case.table, case.key) in found) == (case.situation.expect == "due"), case


def test_a_right_sweep_is_found_right_and_wrong_ones_wrong(
    conninfo: dict[str, str], estate: Estate, tmp_path: Path
) -> None:
    save(estate, tmp_path / "before.json")
    sweep(conninfo)
    assert check(conninfo, load(tmp_path / "before.json")) == []
    with psycopg.connect(conninfo["contacts"]) as connection:
        connection.execute("DELETE FROM contacts WHERE id = (SELECT min(id) FROM contacts)")
        connection.execute("UPDATE contacts SET phone = NULL WHERE id = (SELECT max(id) FROM contacts)")
    assert [m.what for m in check(conninfo, estate)].count("is gone, should be there") == 1
    assert "not as expected: phone" in {m.what for m in check(conninfo, estate)}
    build(conninfo)


def test_a_document_that_should_be_gone_and_one_that_should_be_there_are_told_apart(
    conninfo: dict[str, str], estate: Estate, tmp_path: Path
) -> None:
    where, before = {"portal": conninfo["portal"]}, {"portal": estate["portal"]}
    kept = expected(before, TODAY)["portal"]["attachments"]
    due = next(key for key in before["portal"]["attachments"] if key not in kept)
    held = next(hold.key for hold in HOLDS if hold.table == "attachments")
    try:
        sweep(where)
        lay_documents(where["portal"], tmp_path)
        assert check(where, before, tmp_path) == []
        document(tmp_path, estate, due).parent.mkdir(parents=True, exist_ok=True)
        document(tmp_path, estate, due).touch()
        document(tmp_path, estate, held).unlink()
        (tmp_path / "stray.pdf").touch()
        assert {(m.key, m.what) for m in check(where, before, tmp_path)} == {
            (due, "document is there, should not be"),
            (held, "document is gone, should not be"),
            ("", "a document is there that no attachment ever named"),
        }
    finally:
        build(where)


def document(folder: Path, estate: Estate, attachment: str) -> Path:
    """Where the document of an attachment lies."""
    return folder / estate["portal"]["attachments"][attachment]["path"].removeprefix("/")


def test_holds_are_mirrored_once(conninfo: dict[str, str], estate: Estate) -> None:
    for where in conninfo.values():
        with psycopg.connect(where) as connection:
            connection.execute(script("store"))
    plant_holds(conninfo)
    plant_holds(conninfo)
    found = []
    for where in conninfo.values():
        with psycopg.connect(where) as connection:
            found += connection.execute("SELECT dataset, key, kind FROM lethe.hold").fetchall()
    assert sorted(found) == sorted((hold.dataset, hold.key, hold.kind) for hold in HOLDS)


QUIET = frozenset({"survey-answers-lose-their-person", "respondents-after-survey", "consent-proofs"})
"""Rules that nobody has confirmed."""


def test_the_checks_find_what_a_sweep_by_hand_leaves_and_nothing_after_it(
    conninfo: dict[str, str], estate: Estate
) -> None:
    """After test_holds_are_mirrored_once: the stores' mirrors have the holds."""
    policy = load_policy(SHIPPED)
    before = {each.rule: each for each in checked(policy, conninfo)}
    wanted = expected(estate, TODAY)
    for rule in policy.rules.values():
        here, there = (each[rule.dataset.store][rule.dataset.table] for each in (estate, wanted))
        due = sum(here[key] != there.get(key) for key in here)
        exact = rule.name not in QUIET | {"ex-customer-invoice-contacts", "ex-customer-orders", "invoices-after-floor"}
        assert before[rule.name].counts.remaining == due if exact else before[rule.name].counts.remaining > 0, rule.name
    sweep(conninfo)
    states = {each.rule: each.state for each in checked(policy, conninfo)}
    assert states == {name: "unconfirmed" if name in QUIET else "clean" for name in policy.rules}
    build(conninfo)


def checked(policy: Policy, conninfo: dict[str, str]) -> list[Checked]:
    from lethe.checks.suite import Asked, check_store

    rules = list(policy.rules.values())
    asked = (
        Asked(policy, store, tuple(rule for rule in rules if rule.dataset.store == store), TODAY, 0, QUIET)
        for store in policy.stores
    )
    return [each for one in asked for each in check_store(one, conninfo[one.store]).rules]
