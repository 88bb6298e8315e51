"""Findings open once, stay while nobody could look, and are gone when a check sees them no more; each change a leaf."""

import json
from dataclasses import replace
from datetime import date
from hashlib import sha256
from pathlib import Path

import pytest
from click.testing import CliRunner

from faults import ACTIVITY, DATASET, NOW, SCHEMA, act, approved
from lethe import checking
from lethe.checks import sight
from lethe.cli import main
from lethe.errors import StoreUnreachable
from lethe.findings import Changed
from lethe.run import Lethe
from support import as_uri

RUNS = iter(range(1, 100))


@pytest.fixture
def lethe(open_lethe) -> Lethe:
    return open_lethe(ACTIVITY, SCHEMA)


def checked(lethe: Lethe) -> Changed:
    found = checking.look(lethe, "crm", NOW.date())
    return lethe.state.checked(lethe.policy, found, f"{next(RUNS):032x}")


def told(lethe: Lethe, kind: str) -> list[dict]:
    rows = lethe.state_database.rows("SELECT leaf FROM lethe.outbox ORDER BY epoch, seq")
    return [leaf for (text,) in rows if (leaf := json.loads(text))["kind"] == kind]


def test_what_remains_opens_once_and_is_gone_after_the_sweep(lethe: Lethe) -> None:
    (opened,) = checked(lethe).opened
    assert (opened.kind, opened.subject, opened.detail) == ("remaining", "ex-customers", "58 rows")
    assert (opened.severity, opened.role) == ("alarm", "privacy-officer")
    assert checked(lethe) == Changed((), ())
    assert [each.id for each in lethe.state.findings.known()] == [opened.id]
    act(lethe, approved(lethe))
    assert [each.id for each in checked(lethe).gone] == [opened.id]
    assert lethe.state.findings.known() == ()
    (past,) = lethe.state.findings.known(gone=True)
    assert past.gone_at >= past.opened_at
    changes = [(leaf["state"], leaf["what"], leaf["rule"]) for leaf in told(lethe, "finding")]
    assert changes == [("opened", "remaining", "ex-customers"), ("gone", "remaining", "ex-customers")]
    assert [(leaf["opened"], leaf["gone"]) for leaf in told(lethe, "check")] == [(1, 0), (0, 0), (0, 1)]


def test_what_is_found_again_is_a_finding_of_its_own(lethe: Lethe) -> None:
    (first,) = checked(lethe).opened
    act(lethe, approved(lethe))
    checked(lethe)
    lethe.database.run("INSERT INTO customer VALUES (1000, 'restored', '2020-01-01')")
    (second,) = checked(lethe).opened
    assert second.id != first.id
    assert second.detail == "1 rows"


def test_a_store_that_is_down_leaves_open_what_was_open_and_is_one_finding(lethe: Lethe) -> None:
    (remaining,) = checked(lethe).opened
    up, lethe.addresses["crm"] = lethe.addresses["crm"], "host=127.0.0.1 port=1 connect_timeout=1"
    changed = checked(lethe)
    assert [(each.kind, each.subject, each.severity) for each in changed.opened] == [("unknown", "crm", "warning")]
    assert changed.gone == ()
    assert {each.kind for each in lethe.state.findings.known()} == {"remaining", "unknown"}
    leaf = told(lethe, "check")[-1]
    assert (leaf["document"], leaf["rules"]) == (
        None,
        {"ex-customers": {"state": "unknown", "counts": None, "trial": None}},
    )
    lethe.addresses["crm"] = up
    assert [each.kind for each in checked(lethe).gone] == ["unknown"]
    assert [each.id for each in lethe.state.findings.known()] == [remaining.id]


def test_a_rule_that_cannot_be_asked_keeps_its_finding_open(lethe: Lethe) -> None:
    checked(lethe)
    lethe.database.run("ALTER TABLE customer RENAME TO customers")
    assert checked(lethe).gone == ()


def test_findings_and_evidence_are_one_transaction(lethe: Lethe) -> None:
    """What cannot be written down is not in the register either."""
    lethe.state_database.run("REVOKE INSERT ON lethe.outbox FROM lethe_worker")
    with pytest.raises(Exception, match="lacks a permission"):
        checked(lethe)
    assert lethe.state_database.one("SELECT count(*) FROM lethe.finding") == 0


def test_evidence_counts_and_names_no_table(lethe: Lethe) -> None:
    checked(lethe)
    (leaf,) = told(lethe, "check")
    assert leaf["rules"]["ex-customers"]["counts"] == {
        "rows": 100, "dated": 100, "over": 60, "kept": {}, "due": 2, "remaining": 58,
    }  # fmt: skip
    assert (leaf["today"], leaf["grace"], leaf["store"]) == ("2025-03-01", 1, "crm")
    assert len(leaf["document"]) == 64
    assert 'customer"' not in json.dumps([leaf, *told(lethe, "finding")])


def test_the_validation_is_kept_under_the_digest_that_is_evidence(lethe: Lethe) -> None:
    checked(lethe)
    (leaf,) = told(lethe, "check")
    ((digest, body),) = lethe.state_database.rows("SELECT digest, body FROM lethe.validation")
    assert digest == leaf["document"] == sha256(body.encode()).hexdigest()
    assert json.loads(body)["results"][0]["result"]["observed_value"] == 58


def test_a_page_for_people_tells_it_in_both_languages_and_loads_nothing(lethe: Lethe, tmp_path: Path) -> None:
    page = checking.keep_page(checking.look(lethe, "crm", NOW.date()), tmp_path)
    assert page == tmp_path / "crm" / "2025-03-01.html"
    text = page.read_text()
    assert "Kunder eldre enn ett år slettes. / Customers older than 1 year are deleted." in text
    assert "default-src &#39;none&#39;" in text or "default-src 'none'" in text
    assert "Kunde 1" not in text
    lethe.addresses["crm"] = "host=127.0.0.1 port=1 connect_timeout=1"
    assert checking.keep_page(checking.look(lethe, "crm", NOW.date()), tmp_path) is None


def test_the_command_lists_what_is_open_and_since_when(lethe: Lethe, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("crm", "lethe_state"):
        monkeypatch.setenv(f"AIRFLOW_CONN_{name.upper()}", as_uri(lethe.addresses[name]))

    def say(*words: str):
        return CliRunner().invoke(main, ["findings", *words, "--policy", str(lethe.policy_dir)])

    assert (say().exit_code, say().output) == (0, "")
    opened = checked(lethe).opened[0].opened_at.date()
    expected = f"alarm   crm: ex-customers: expired data remains (58 rows); since {opened}; privacy-officer\n"
    assert (say().exit_code, say().output) == (1, expected)
    assert "utløpte opplysninger" in say("--lang", "nb").output
    act(lethe, approved(lethe))
    checked(lethe)
    assert (say().exit_code, say().output) == (0, "")
    (past,) = json.loads(say("--all", "--json").output)
    assert (past["kind"], past["words"]) == ("remaining", "ex-customers: expired data remains")
    assert date.fromisoformat(past["gone_at"][:10]) >= opened


def kinds(changed: tuple) -> list[tuple[str, str, str]]:
    return [(each.kind, each.subject, each.detail) for each in changed]


@pytest.fixture
def swept(lethe: Lethe) -> Lethe:
    """All due customers are gone, and the store was asked once."""
    act(lethe, approved(lethe))
    assert checked(lethe) == Changed((), ())
    return lethe


def test_a_table_that_was_renamed_with_a_new_one_in_its_place_is_another(swept: Lethe) -> None:
    swept.database.run(
        "ALTER TABLE customer RENAME TO customer_2024; CREATE TABLE customer (LIKE customer_2024 INCLUDING ALL);"
        "INSERT INTO customer VALUES (1, 'x', '2025-02-01'); GRANT SELECT ON customer TO lethe_worker"
    )
    found = ("another-table", "public.customer", "dropped and made anew, or renamed and replaced")
    left = ("personal", "public.customer_2024", "name (user.name)")
    assert kinds(checked(swept).opened) == [found, left]
    assert checked(swept) == Changed((), ())  # open until somebody says that it is the one
    checking.remember(swept, "crm")
    assert kinds(checked(swept).gone) == [found]


def test_columns_that_are_not_those_it_had_are_told(swept: Lethe) -> None:
    swept.database.run("ALTER TABLE customer ADD COLUMN diagnosis text")
    why = "user.health_and_medical: its name, in a table that tells of people; new since the last check"
    assert kinds(checked(swept).opened) == [
        ("changed-table", "public.customer", "columns or their types"),
        ("personal", "public.customer.diagnosis", why),
    ]


def test_a_new_column_stays_new_until_somebody_looked(swept: Lethe) -> None:
    swept.database.run("ALTER TABLE customer ADD COLUMN shoe text")
    told = [("changed-table", "public.customer"), ("new-column", "public.customer.shoe")]
    assert [(kind, subject) for kind, subject, _ in kinds(checked(swept).opened)] == told
    assert checked(swept) == Changed((), ())
    checking.remember(swept, "crm")
    changed = checked(swept)
    assert [(kind, subject) for kind, subject, _ in kinds(changed.gone)] == told
    assert kinds(changed.opened) == [("undeclared", "public.customer.shoe", "")]


def test_what_is_not_covered_stays_open_while_nobody_can_look(swept: Lethe, monkeypatch: pytest.MonkeyPatch) -> None:
    swept.database.run("CREATE TABLE patient (email text); GRANT SELECT ON patient TO lethe_worker")
    (opened,) = checked(swept).opened
    assert (opened.kind, opened.subject, opened.severity) == ("personal", "public.patient", "warning")

    def broken(*_: object, **__: object) -> None:
        raise StoreUnreachable("store crm: did not answer")

    with monkeypatch.context() as context:
        context.setattr("lethe.discovery.look.discover", broken)
        changed = checked(swept)
    assert kinds(changed.opened) == [("unknown", "crm", "store crm: did not answer")]
    assert changed.gone == ()
    swept.database.run("DROP TABLE patient")
    assert {each.kind for each in checked(swept).gone} == {"personal", "unknown"}


def test_statistics_that_keep_dates_of_rows_that_are_gone(lethe: Lethe) -> None:
    lethe.database.run("ANALYZE customer")
    assert {each.kind for each in checked(lethe).opened} == {"remaining"}  # the dates are still in rows
    act(lethe, approved(lethe))
    (opened,) = checked(lethe).opened
    assert (opened.kind, opened.subject, opened.severity) == ("statistics", "ex-customers", "notice")
    assert opened.detail == "57 dates; ANALYZE the table"  # of 60, less those of the last days
    lethe.database.run("ANALYZE customer")
    assert [each.kind for each in checked(lethe).gone] == ["statistics"]


def test_statistics_that_cannot_be_read_leave_open_what_was(lethe: Lethe, monkeypatch: pytest.MonkeyPatch) -> None:
    lethe.database.run("ANALYZE customer")
    act(lethe, approved(lethe))
    assert [each.kind for each in checked(lethe).opened] == ["statistics"]
    with monkeypatch.context() as context:
        context.setattr(sight, "KEPT", "SELECT 1 / 0")
        assert checked(lethe) == Changed((), ())


def test_a_table_that_does_not_let_itself_be_read_keeps_its_finding(swept: Lethe) -> None:
    """By its values it was personal data; without them it would be another thing, or none."""
    swept.database.run("""
        CREATE TABLE odd (a text); GRANT SELECT ON odd TO lethe_worker;
        INSERT INTO odd SELECT 'p' || n || '@firma.example' FROM generate_series(1, 30) n
    """)
    (opened,) = checked(swept).opened
    assert (opened.kind, opened.subject) == ("personal", "public.odd")
    with swept.database.connect() as locking, locking.transaction():
        locking.execute("LOCK TABLE odd")
        changed = checked(swept)
    assert changed.gone == ()
    assert {(each.kind, each.subject) for each in changed.opened} >= {("unknown", "public.odd")}


def test_statistics_may_be_accepted(lethe: Lethe) -> None:
    object.__setattr__(lethe.policy.stores["crm"], "accepted", {"statistics ex-customers": "analysed each Sunday"})
    lethe.database.run("ANALYZE customer")
    act(lethe, approved(lethe))
    assert checked(lethe).opened == ()


def test_a_store_without_rules_is_looked_into(open_lethe) -> None:
    lethe = open_lethe(DATASET + "not_automated: {R08: None yet.}\n", SCHEMA)
    lethe.database.run(
        "DROP SCHEMA lethe CASCADE; CREATE TABLE patient (email text); GRANT SELECT ON patient TO PUBLIC"
    )
    lethe.database.run("GRANT SELECT ON customer TO lethe_worker")
    subjects = {"public.customer.ended_on", "public.patient"}  # nothing is declared of the column that no rule uses
    assert {each.subject for each in checked(lethe).opened} == subjects
    lethe.addresses["crm"] = "host=127.0.0.1 port=1 connect_timeout=1"
    assert [(each.kind, each.subject) for each in checked(lethe).opened] == [("unknown", "crm")]


def test_a_copy_of_the_database_is_another(swept: Lethe) -> None:
    own, copy = swept.database.name, f"{swept.database.name}_copy"
    swept.store(next(iter(swept.policy.rules.values()))).__exit__(None, None, None)
    with swept.database.server.admin() as admin:
        admin.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{own}'")
        admin.execute(f"CREATE DATABASE {copy} TEMPLATE {own}")
        try:
            swept.addresses["crm"] = swept.addresses["crm"].replace(own, copy)
            (found,) = checked(swept).opened
            assert (found.kind, found.subject, found.detail) == ("another-database", "crm", "another database")
            assert not checking.look(swept, "crm", NOW.date()).is_clean
        finally:
            admin.execute(f"DROP DATABASE {copy} WITH (FORCE)")


def test_a_database_that_was_put_back_to_an_older_state_is_told(swept: Lethe) -> None:
    was = swept.state.remembered("crm").position
    swept.database.run("UPDATE lethe.store SET seq = seq - 1")
    (found,) = checked(swept).opened
    now = f"{was[0]}/{was[1] - 1}"
    assert (found.kind, found.detail) == (
        "gone-back",
        f"its evidence ends at {now}, and was at {was[0]}/{was[1]} before",
    )


def test_a_table_that_the_policy_names_later_is_remembered_when_it_is_first_seen(swept: Lethe) -> None:
    before = swept.state.remembered("crm")
    assert set(before.tables) == {"public.customer"}
    tables = {**before.tables, "public.more": before.tables["public.customer"]}
    grown = replace(before, position=(9, 9), tables=tables).after(before)
    assert (set(grown.tables), grown.position) == ({"public.customer", "public.more"}, (9, 9))
    assert replace(before, database=1, position=(9, 9)).after(before) == before
