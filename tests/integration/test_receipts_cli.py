"""Receipts as they are typed: issued once, checked against the log, listed outside before the evidence is signed."""

import json
import secrets
from base64 import b64encode
from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from faults import ACTIVITY, answer
from lethe import clock
from lethe.cli import main
from lethe.evidence.again import ReplayList, load_replay_key
from lethe.evidence.replay import list_erased
from sealing import Company, at_the_command_line, company

RULE = ACTIVITY.replace("    then: delete\n", "    then: delete\n    receipts: subject\n")
KEY = b64encode(secrets.token_bytes(32)).decode()


@pytest.fixture
def firm(open_lethe, tmp_path, monkeypatch) -> Company:
    monkeypatch.setenv("LETHE_REPLAY_KEY", KEY)
    return at_the_command_line(company(open_lethe, tmp_path, monkeypatch, RULE), tmp_path, monkeypatch)


@pytest.fixture
def say(firm: Company) -> Callable[..., Result]:
    def run(*words: str, typed: str = "") -> Result:
        return CliRunner().invoke(main, words, input=typed, catch_exceptions=False)

    return run


def test_a_receipt_is_issued_once_and_holds_against_the_log(firm: Company, say, tmp_path: Path) -> None:
    firm.sweep()
    say("evidence", "seal")
    letter, again = tmp_path / "letter.json", tmp_path / "again.json"
    said = say("evidence", "receipt", "issue", "ex-customers", str(letter), typed="7\n")
    assert said.exit_code == 0, said.output
    assert letter.stat().st_mode & 0o777 == 0o600
    checked = say("evidence", "receipt", "check", str(letter), typed="7\n")
    assert (checked.exit_code, "rule ex-customers (R08)" in checked.stdout) == (0, True)
    assert say("evidence", "receipt", "check", str(letter), typed="8\n").exit_code == 4
    twice = say("evidence", "receipt", "issue", "ex-customers", str(again), typed="7\n")
    assert (twice.exit_code, "was issued before" in twice.stderr, again.exists()) == (4, True, False)


def test_a_file_that_cannot_be_written_costs_nobody_their_receipt(firm: Company, say, tmp_path: Path) -> None:
    firm.sweep()
    there = tmp_path / "letter.json"
    there.write_text("another letter")
    assert say("evidence", "receipt", "issue", "ex-customers", str(there), typed="7\n").exit_code == 4
    assert there.read_text() == "another letter"
    assert say("evidence", "receipt", "issue", "ex-customers", str(tmp_path / "new.json"), typed="7\n").exit_code == 0


def test_whose_records_went_is_listed_outside_and_encrypted_once(firm: Company, say) -> None:
    firm.sweep()
    for _ in range(2):
        assert say("evidence", "seal").exit_code == 0
    listed = list(ReplayList(firm.outside, load_replay_key({"LETHE_REPLAY_KEY": KEY})).read(store_of(firm)))
    assert sorted(int(key) for each in listed for key in each.keys) == list(range(1, 61))
    (file,) = (firm.outside.directory / "again").glob("[0-9a-f]*-*")
    assert b'"keys"' not in file.read_bytes()


def store_of(firm: Company) -> str:
    return str(firm.lethe.database.one("SELECT id::text FROM lethe.store"))


def test_without_its_key_the_list_is_missed_and_the_evidence_is_signed(firm: Company, say, monkeypatch) -> None:
    monkeypatch.delenv("LETHE_REPLAY_KEY")
    firm.sweep()
    said = say("evidence", "seal", "--json")
    assert said.exit_code == 1
    told = json.loads(said.stdout)
    assert told["size"] == 8
    assert "LETHE_REPLAY_KEY" in told["problems"][0]


def test_a_replay_says_who_is_back_and_would_not_be_due(firm: Company, say, monkeypatch) -> None:
    """Two come back from the backup; one of them, as the backup has it, has not ended being a customer."""
    lost = firm.lethe.database.rows("SELECT id, name, ended_on FROM customer WHERE id IN (7, 8)")
    firm.sweep()
    say("evidence", "seal")
    firm.lethe.database.run(
        "DELETE FROM lethe.outbox; DELETE FROM lethe.progress; UPDATE lethe.store SET seq = 0;"
        + "".join(f"INSERT INTO customer VALUES ({row}, '{name}', '{day}');" for row, name, day in lost)
        + "UPDATE customer SET ended_on = NULL WHERE id = 8"
    )
    monkeypatch.setenv("AIRFLOW_CONN_CRM", firm.lethe.database.conninfo())
    assert say("restore", "crm").exit_code == 0
    monkeypatch.setenv("AIRFLOW_CONN_CRM", firm.lethe.addresses["crm"])
    say("evidence", "seal")
    asked = say("replay", "crm")
    assert (asked.exit_code, "ex-customers: waiting" in asked.stdout) == (3, True)  # a store that came back asks anew
    (digest,) = [entry.digest for entry in firm.lethe.plans() if entry.state == "waiting"]
    answer(firm.lethe, firm.lethe.state.plan(digest))
    said = say("replay", "crm")
    assert said.exit_code == 3
    assert "ex-customers: done, 41 rows gone again" in said.stdout  # 40 became due since, by the clock of today
    assert "of 60 records with receipts there are again: 0 due, 0 held, 1 not due by their data" in said.stdout
    assert firm.lethe.database.rows("SELECT id FROM customer WHERE id IN (7, 8)") == [(8,)]


def test_nobody_is_named_where_they_need_not_be(firm: Company, say) -> None:
    firm.lethe.database.run("UPDATE customer SET id = 4711000 + id")
    firm.sweep()
    say("evidence", "seal")
    leaves = firm.lethe.log_database.rows("SELECT leaf FROM evidence.leaf")
    outside = [file.read_bytes() for file in firm.outside.directory.rglob("*") if file.is_file()]
    assert "4711" not in str(leaves)
    assert b"4711007" not in b"".join(outside)


def test_what_is_over_is_not_listed_again_and_receipts_nobody_can_ask_for_are_forgotten(firm: Company, say) -> None:
    firm.sweep()
    say("evidence", "seal")
    lists = ReplayList(firm.outside, load_replay_key({"LETHE_REPLAY_KEY": KEY}))
    with closing(firm.lethe.sealing()) as sealing:
        today = firm.lethe.today(clock.now())
        assert lists.expire(today + timedelta(days=60)) == 1
        assert list_erased(firm.lethe, sealing, lambda: lists, today + timedelta(days=60)) == 0
        assert firm.lethe.database.one("SELECT count(*) FROM lethe.receipt") == 60
        list_erased(firm.lethe, sealing, lambda: lists, today + timedelta(days=100))
    assert firm.lethe.database.one("SELECT count(*) FROM lethe.receipt") == 0


def test_a_replay_without_its_key_says_what_it_did_not_look_for(firm: Company, say, monkeypatch) -> None:
    firm.sweep()
    say("evidence", "seal")
    monkeypatch.delenv("LETHE_REPLAY_KEY")
    said = say("replay", "crm")
    assert (said.exit_code, "was not looked for" in said.stdout) == (3, True)
