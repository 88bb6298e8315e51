"""`lethe evidence` as it is typed: seal, status, verify, keys; what goes wrong is said and nothing is lost."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from faults import NOW, again
from lethe.cli import main
from lethe.errors import Unsealed
from lethe.evidence import verify_bundle
from lethe.evidence.note import Checkpoint, sign_note
from lethe.evidence.tree import Frontier, leaf_hash
from sealing import Company, at_the_command_line, company
from support import ORIGIN


@pytest.fixture
def firm(open_lethe, tmp_path, monkeypatch) -> Company:
    return at_the_command_line(company(open_lethe, tmp_path, monkeypatch), tmp_path, monkeypatch)


@pytest.fixture
def say(firm: Company) -> Callable[..., Result]:
    def run(*words: str) -> Result:
        return CliRunner().invoke(main, ["evidence", *words], catch_exceptions=False)

    return run


def test_seal_collects_signs_and_brings_the_signature_outside(firm: Company, say, tmp_path) -> None:
    firm.sweep()
    said = say("seal")
    assert (said.exit_code, said.stdout) == (
        0,
        "8 leaves collected; 8 are signed\nanchor archive: has the checkpoint\n",
    )
    (note,) = (tmp_path / "archive").iterdir()
    assert note.read_text() == firm.outside.head().note


def test_sealing_again_and_again_comes_to_rest(firm: Company, say, tmp_path) -> None:
    """The key's leaf and the anchors' leaves are collected; a checkpoint about anchors alone is brought nowhere."""
    firm.sweep()
    sizes = [json.loads(say("seal", "--json").stdout)["size"] for _ in range(5)]
    assert sizes == [8, 10, 11, 11, 11]
    assert len(list((tmp_path / "archive").iterdir())) == 2


def test_status_says_what_waits_and_since_when(firm: Company, say) -> None:
    firm.sweep()
    before = say("status")
    assert before.exit_code == 0
    assert "crm: waits to be sealed since 20" in before.stdout
    say("seal")
    after = json.loads(say("status", "--json").stdout)
    assert after["waiting_since"]["crm"] is None
    assert after["unanchored_since"] == {"archive": None}


def test_an_anchor_that_cannot_be_reached_is_told_and_reached_the_next_time(
    firm: Company, say, tmp_path, monkeypatch
) -> None:
    firm.sweep()
    monkeypatch.setenv("AIRFLOW_CONN_ARCHIVE", f"file://{tmp_path / 'not-there'}")
    said = say("seal")
    assert said.exit_code == 1
    assert "8 are signed" in said.stdout
    assert "anchor archive: " in said.stdout
    assert json.loads(say("status", "--json").stdout)["unanchored_since"]["archive"].startswith("20")
    monkeypatch.setenv("AIRFLOW_CONN_ARCHIVE", f"file://{tmp_path / 'archive'}")
    assert say("seal").exit_code == 0


def test_verify_finds_a_sound_log_sound_and_does_not_look_twice(firm: Company, say) -> None:
    firm.sweep()
    say("seal")
    first, second = (json.loads(say("verify", "--json").stdout) for _ in range(2))
    assert (first["ok"], first["looked_at"]) == (True, 8)
    assert (second["ok"], second["looked_at"]) == (True, 0)
    assert json.loads(say("verify", "--full", "--json").stdout)["looked_at"] == 8


TAMPERED = {
    "a leaf was changed": ("leaf", "UPDATE evidence.leaf SET leaf = replace(leaf, '\"rows\":60', '\"rows\":59')"),
    "a leaf was removed": ("leaf", "DELETE FROM evidence.leaf WHERE index = 3"),
    "two leaves were swapped": ("leaf", """
        UPDATE evidence.leaf SET index = -index WHERE index IN (2, 3);
        UPDATE evidence.leaf SET index = 5 + index WHERE index < 0
     """),
    "a node was changed": ("node", "UPDATE evidence.node SET hashes = set_byte(hashes, 9, 0) WHERE first = 0"),
    "a signature was changed": ("checkpoint", "UPDATE evidence.checkpoint SET note = replace(note, '8', '9')"),
    "a key was changed": ("key", "UPDATE evidence.key SET vkey = replace(vkey, '+A', '+B')"),
}  # fmt: skip


@pytest.mark.parametrize("how", TAMPERED)
def test_verify_finds_what_was_changed(firm: Company, say, how: str) -> None:
    table, deed = TAMPERED[how]
    firm.sweep()
    say("seal")
    drop = "ALTER TABLE evidence.leaf DROP CONSTRAINT leaf_index_check;" if table == "leaf" else ""
    firm.lethe.log_database.run(f"ALTER TABLE evidence.{table} DISABLE TRIGGER ALL; {drop} {deed}")
    said = say("verify")
    assert (said.exit_code, "invalid: " in said.stdout) == (1, True), said.stdout


def test_a_log_that_was_rewritten_whole_and_signed_again_by_its_own_key_is_not_the_one_outside(
    firm: Company, say
) -> None:
    firm.sweep()
    say("seal")
    rewrite(firm)
    said = say("verify", "--full")
    assert said.exit_code == 1
    assert "forked: the head outside has another root at 8 leaves than the log" in said.stdout


def rewrite(firm: Company) -> None:
    """What somebody with all rights in the database and the key would do to make a deletion smaller."""
    database = firm.lethe.log_database
    database.run(
        "ALTER TABLE evidence.leaf DISABLE TRIGGER ALL; ALTER TABLE evidence.node DISABLE TRIGGER ALL;"
        "ALTER TABLE evidence.checkpoint DISABLE TRIGGER ALL;"
        "DELETE FROM evidence.node; DELETE FROM evidence.checkpoint;"
        "UPDATE evidence.leaf SET leaf = replace(leaf, '\"rows\":60', '\"rows\":6')"
    )
    hashes = [leaf_hash(leaf.encode()) for (leaf,) in database.rows("SELECT leaf FROM evidence.leaf ORDER BY index")]
    frontier = Frontier()
    with database.connect() as connection:
        for level, first, nodes in [(0, 0, hashes), *frontier.extend(hashes)]:
            connection.execute("INSERT INTO evidence.node VALUES (%s, %s, %s)", (level, first, b"".join(nodes)))
        note = sign_note(Checkpoint(ORIGIN, len(hashes), frontier.root()).text(), firm.key)
        connection.execute("INSERT INTO evidence.checkpoint VALUES (%s, %s, %s)", (len(hashes), frontier.root(), note))


def verified(bundle, *words: str) -> tuple[int, str]:
    """What an auditor sees who has nothing but the bundle and the verifier."""
    script = Path(verify_bundle.__file__)
    done = subprocess.run(
        [sys.executable, "-I", str(script), str(bundle), *words], capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout + done.stderr


def test_a_bundle_is_exported_and_verifies_far_from_here(firm: Company, say, tmp_path) -> None:
    firm.sweep()
    for _ in range(3):
        say("seal")
    said = say("export", str(tmp_path / "bundle.zip"))
    assert said.exit_code == 0, said.output
    key, checkpoint = str(firm.key.verifier), str(max((tmp_path / "archive").iterdir()))
    assert [
        verified(tmp_path / "bundle.zip", *words)[0]
        for words in ([], ["--trust", key], ["--trust", checkpoint], ["--trust", key, "--trust", checkpoint])
    ] == [3, 6, 0, 0]


def test_a_bundle_of_one_activity_or_period_holds_what_was_asked_for_and_verifies(firm: Company, say, tmp_path) -> None:
    firm.sweep()
    for _ in range(3):
        say("seal")
    note = str(max((tmp_path / "archive").iterdir()))
    for number, words in enumerate((["--activity", "customers"], ["--from", "2020-01-01"], ["--to", "2020-01-01"])):
        bundle = tmp_path / f"{number}.zip"
        assert say("export", str(bundle), *words).exit_code == 0
        code, told = verified(bundle, "--trust", note)
        assert code == 0, told


def test_an_unknown_activity_is_not_exported_as_an_empty_bundle(firm: Company, say, tmp_path) -> None:
    said = say("export", str(tmp_path / "bundle.zip"), "--activity", "custommers")
    assert (said.exit_code, "expected one of: customers" in said.stderr) == (2, True)


def test_a_key_is_made_and_handed_over(firm: Company, say, tmp_path, monkeypatch) -> None:
    firm.sweep()
    say("seal")
    made = say("key", str(tmp_path / "next.key"))
    assert made.stdout.startswith(f"{ORIGIN}+")
    assert say("rotate", str(tmp_path / "next.key")).exit_code == 0
    refused = say("seal")
    assert refused.exit_code == 4
    monkeypatch.setenv("LETHE_EVIDENCE_KEY_FILE", str(tmp_path / "next.key"))
    assert say("seal").exit_code == 0
    assert say("verify").exit_code == 0


def test_evidence_that_nobody_seals_stops_the_sweeps_past_the_policys_limit(firm: Company, say) -> None:
    firm.sweep()
    firm.lethe.database.run(
        "UPDATE lethe.outbox SET written_at = written_at - interval '5 days';"
        "INSERT INTO customer VALUES (200, 'Kunde 200', '2020-01-01')"
    )
    plan = firm.lethe.plan("ex-customers", NOW, "run")
    with again(firm.lethe) as lethe, pytest.raises(Unsealed, match="has waited to be sealed since"):
        lethe.act(plan.digest, 0, NOW, "run")
    said = say("status")
    assert said.exit_code == 1
    say("seal")
    firm.lethe.act(plan.digest, 0, NOW, "run")
    assert firm.lethe.database.one("SELECT count(*) FROM customer WHERE id = 200") == 0


def test_a_log_that_is_down_stops_no_sweep(firm: Company, say) -> None:
    with firm.lethe.database.server.admin() as admin:
        name = firm.lethe.log_database.name
        admin.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        assert firm.sweep() == 60
        said = say("seal")
        assert said.exit_code == 5
        assert "lethe_evidence" in said.stderr
        told = say("status")
        assert "crm: waits to be sealed since 20" in told.stdout
        assert told.exit_code == 1
        admin.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
    assert "8 are signed" in say("seal").stdout


def test_a_store_whose_connection_is_missing_stops_the_sealing_of_no_other(firm: Company, say, monkeypatch) -> None:
    firm.sweep()
    monkeypatch.delenv("AIRFLOW_CONN_CRM")
    said = say("seal")
    assert said.exit_code == 1
    assert "leaves collected; 7 are signed" in said.stdout
    assert "store crm: connection crm: AIRFLOW_CONN_CRM is not set" in said.stdout
    monkeypatch.setenv("AIRFLOW_CONN_CRM", firm.lethe.addresses["crm"])
    assert say("seal").exit_code == 0
