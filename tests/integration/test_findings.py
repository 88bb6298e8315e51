"""Findings open once, stay while nobody could look, and are gone when a check sees them no more; each change a leaf."""

import json
from datetime import date

import pytest
from click.testing import CliRunner

from faults import ACTIVITY, NOW, SCHEMA, act, approved
from lethe import checking
from lethe.cli import main
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
    assert (leaf["document"], leaf["rules"]) == (None, {"ex-customers": {"state": "unknown", "counts": None}})
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
