"""The whole way through a real Airflow over the demo estate: what `make demo` does, and what it leaves behind."""

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import psycopg
import pytest
from jsonschema import Draft202012Validator

from demo import departure, estate_setup
from demo.airflow_client import AirflowClient, AirflowRefused
from demo.configuration import STORES
from demo.environment import ORIGIN, ROOT, Environment
from demo.run import ANONYMISE, APPROVE, CARRY_OUT, CONFIRMED, SEAL, SWEEP, VERIFY, Demo
from demo.truth import Estate
from lethe.evidence.leaf import schema
from lethe.model import Anonymise
from lethe.policy import load

POLICY = ROOT / "include" / "policy"
pytestmark = pytest.mark.timeout(900)  # the whole environment is started first, while another worker runs other tests
FREE_OF_PEOPLE = ("agents", "call_statistics")


@pytest.fixture(scope="module")
def home() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="lethe-demo-", ignore_cleanup_errors=True) as directory:
        home = Path(directory)
        home.chmod(0o755)  # the server runs as another user when the tests run as root
        yield home


@pytest.fixture(scope="module")
def demo(home: Path) -> Iterator[Demo]:
    """The demo, swept and found to be as the truth table says; its environment is still running."""
    environment = Environment(home=home)
    swept = Demo(environment)
    try:
        environment.up()
        swept.sweep()
        yield swept
    finally:
        environment.down()


@pytest.fixture(scope="module")
def rows_of(demo: Demo) -> Callable[[str, str], list[tuple]]:
    def ask(database: str, query: str) -> list[tuple]:
        with psycopg.connect(demo.environment.admin_conninfo(database)) as connection:
            return connection.execute(query).fetchall()

    return ask


def database(store: str) -> str:
    return f"demo_{store.replace('-', '_')}"


def leaves(rows_of: Callable[[str, str], list[tuple]]) -> list[dict]:
    databases = [*map(database, STORES), "lethe_state"]
    return [json.loads(leaf) for name in databases for (leaf,) in rows_of(name, "SELECT leaf FROM lethe.outbox")]


def test_every_deed_is_written_down_once_and_adds_up(demo: Demo, rows_of: Callable) -> None:
    batches = [leaf for leaf in leaves(rows_of) if leaf["kind"] == "batch"]
    places = [(leaf["store"], leaf["epoch"], leaf["plan"], leaf["shard"], leaf["batch"]) for leaf in batches]
    assert len(places) == len(set(places))
    by_rule: dict[str, int] = {}
    for leaf in batches:
        by_rule[leaf["rule"]] = by_rule.get(leaf["rule"], 0) + leaf["rows"]
    assert by_rule["call-log-90-days"] == 26_447
    assert by_rule["visitors-26-months"] == 1_103
    assert "consent-proofs" not in by_rule


def test_every_rule_ran_in_the_dag_of_its_action_and_evidence_says_in_which(demo: Demo, rows_of: Callable) -> None:
    rules = load(POLICY).rules.values()
    wanted = {(rule.name, ANONYMISE if isinstance(rule.action, Anonymise) else SWEEP) for rule in rules}
    assert {(leaf["rule"], leaf["dag"]) for leaf in leaves(rows_of) if leaf["kind"] == "run"} == wanted
    assert {dag for _, dag in wanted} == set(CARRY_OUT)


def test_every_leaf_meets_the_schema(demo: Demo, rows_of: Callable) -> None:
    found = leaves(rows_of)
    assert {leaf["kind"] for leaf in found} >= {
        "policy", "run", "plan", "approval", "confirmation", "batch", "verification", "key", "anchor", "heartbeat",
    }  # fmt: skip
    check = Draft202012Validator(schema())
    assert [error.message for leaf in found for error in check.iter_errors(leaf)] == []


def test_the_sequence_of_each_store_has_no_gap(demo: Demo, rows_of: Callable) -> None:
    for store in STORES:
        numbers = [seq for (seq,) in rows_of(database(store), "SELECT seq FROM lethe.outbox ORDER BY seq")]
        assert numbers == list(range(1, len(numbers) + 1))


def test_all_that_was_written_down_is_in_the_log_in_its_order_and_signed(
    demo: Demo, home: Path, rows_of: Callable
) -> None:
    with demo.client("platform") as platform:
        run = platform.trigger(SEAL, {})
        assert platform.wait(SEAL, run) == "success"
    for store in [*map(database, STORES), "lethe_state"]:
        written = rows_of(store, "SELECT leaf FROM lethe.outbox ORDER BY epoch, seq")
        ((own,),) = rows_of(store, "SELECT id::text FROM lethe.store")
        logged = rows_of("lethe_evidence", f"SELECT leaf FROM evidence.leaf WHERE store = '{own}' ORDER BY index")
        assert logged == written[: len(logged)]
        assert len(logged) == len(written) or store == "lethe_state"  # which also holds what was told of the anchors
    told = at_the_command_line(demo, "evidence", "verify", "--full")
    assert told.returncode == 0, told.stdout + told.stderr
    assert "sound" in told.stdout


def test_the_bundle_verifies_with_what_an_auditor_has_and_says_what_is_missing_without(demo: Demo, home: Path) -> None:
    verifier = str(ROOT / "include" / "lethe" / "evidence" / "verify_bundle.py")
    note = str(max((home / "archive").glob("[0-9]*")))

    def code(*words: str) -> int:
        command = [sys.executable, "-I", verifier, str(home / "evidence.zip"), *words]
        return subprocess.run(command, capture_output=True, check=False).returncode

    assert code() == 3
    assert code("--trust", str(home / "evidence.pub")) == 6
    assert code("--trust", str(home / "evidence.pub"), "--trust", note) == 0


def test_whole_partitions_went_and_the_table_is_whole(demo: Demo, rows_of: Callable) -> None:
    ways = {leaf["way"] for leaf in leaves(rows_of) if leaf["kind"] == "batch"}
    assert {"partition", "blocks"} <= ways
    settled = rows_of(database("contact-centre"), "SELECT DISTINCT settled FROM lethe.partition_intent")
    assert settled == [("dropped",)]


def people(before: Estate) -> set[str]:
    """Names, addresses, numbers and texts of the people of the estate, long enough not to be a word by chance.

    Identity numbers, telephone numbers and mail addresses also where they stand in the middle of a text.
    """
    columns = ("name", "navn", "email", "epost", "phone", "telefon", "address", "adresse", "caller_number", "body")
    found = set()
    for store in before.values():
        for table, rows in store.items():
            if table in FREE_OF_PEOPLE:
                continue
            for row in rows.values():
                values = [(column, value) for column, value in row.items() if isinstance(value, str)]
                found |= {value for column, value in values if any(word in column for word in columns)}
                found |= {number for _, value in values for number in re.findall(r"\b\d{11}\b", value)}
                found |= {address for _, value in values for address in re.findall(r"[\w.+-]+@[\w.-]+\w", value)}
    return {value for value in found if len(value) >= WORD}


WORD = 8
"""Shorter ones occur by chance."""


def those_in(everything: str, wanted: set[str]) -> set[str]:
    """Which of the wanted texts occur, as they are or as JSON escapes them: all of them, in one pass."""
    by_start: dict[str, list[str]] = {}
    for value in wanted | {json.dumps(value)[1:-1] for value in wanted}:
        by_start.setdefault(value[:WORD], []).append(value)
    hits = (at for at in range(len(everything) - WORD) if everything[at : at + WORD] in by_start)
    return {v for at in hits for v in by_start[everything[at : at + WORD]] if everything.startswith(v, at)}


def test_nobody_of_the_estate_is_found_in_airflow_its_logs_or_the_evidence(
    demo: Demo, home: Path, rows_of: Callable
) -> None:
    """XCom, run conf, rendered fields, approvals, logs, plans, leaves, the bundle, what is outside: all of it."""
    kept = [home / name for name in ("logs", "outside", "archive")]
    files = [file for folder in kept for file in folder.rglob("*") if file.is_file()]
    texts = [file.read_text(errors="replace") for file in [*files, home / "evidence.zip"]]
    places = {"airflow": None, "lethe_state": "lethe", "lethe_evidence": "evidence"}
    places |= {database(store): "lethe" for store in STORES}
    for place, only in places.items():
        tables = rows_of(
            place,
            "SELECT schemaname, tablename FROM pg_tables"
            " WHERE schemaname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')",
        )
        for schema_name, table in tables:
            # Holds and receipts name people by their keys, in the store that holds the people themselves.
            if table not in ("hold", "receipt", "approver") and only in (None, schema_name):
                texts += [row for (row,) in rows_of(place, f'SELECT t::text FROM "{schema_name}"."{table}" AS t')]
    everything = "\n".join(texts)
    for told in ("call-log-90-days", '"kind":"batch"', f"— {ORIGIN} "):
        assert told in everything  # it is the right haystack
    wanted = people(demo.before)
    assert len(wanted) > 5_000
    assert sum(value.isdigit() and len(value) == 11 for value in wanted) > 10
    assert those_in(everything, wanted) == set()


def test_a_leak_would_be_found(demo: Demo) -> None:
    some = sorted(people(demo.before))[::500]
    hidden = "x".join([*some, json.dumps("Bjørg Håkonsen")])
    assert those_in(hidden, {*some, "Bjørg Håkonsen"}) >= set(some) | {json.dumps("Bjørg Håkonsen")[1:-1]}


def test_the_same_day_once_more_finds_nothing_due(demo: Demo) -> None:
    with demo.client("platform") as platform:
        run = platform.trigger(SWEEP, {"as_of": "2025-03-01", "rules": ["sessions-ended"]})
        assert platform.wait(SWEEP, run) == "success"
        states = {task["task_id"]: task["state"] for task in platform.tasks(SWEEP, run)}
    assert states["sessions-ended.act"] == "skipped"
    assert states["sessions-ended.record"] == "success"
    assert states["visitors-26-months.record"] == "skipped"


def test_a_dry_run_ends_after_the_plan(demo: Demo, rows_of: Callable) -> None:
    """Two days on more sessions are due; they are counted and nobody is asked."""
    count = "SELECT count(*) FROM server_sessions"
    before = rows_of(database("website"), count)
    with demo.client("platform") as platform:
        run = platform.trigger(SWEEP, {"as_of": "2025-03-05", "rules": ["sessions-ended"], "dry_run": True})
        assert platform.wait(SWEEP, run) == "success"
        states = {task["task_id"]: task["state"] for task in platform.tasks(SWEEP, run)}
    assert states["sessions-ended.plan"] == "success"
    assert {states["sessions-ended.act"], states["sessions-ended.ask"]} == {"skipped"}
    assert rows_of(database("website"), count) == before


def test_a_rule_that_fails_stops_no_other_and_the_run_ends_failed(demo: Demo, rows_of: Callable) -> None:
    admin = psycopg.connect(demo.environment.admin_conninfo(database("surveys")), autocommit=True)
    with admin, demo.client("platform") as platform:
        admin.execute("ALTER TABLE survey_answers RENAME TO survey_answers_old")
        rules = ["survey-answers-lose-their-person", "ex-customer-orders"]
        run = platform.trigger(ANONYMISE, {"as_of": "2025-03-01", "rules": rules})
        assert platform.wait(ANONYMISE, run) == "failed"
        states = {task["task_id"]: task["state"] for task in platform.tasks(ANONYMISE, run)}
        log = platform.log(ANONYMISE, run, "survey-answers-lose-their-person.plan")
        admin.execute("ALTER TABLE survey_answers_old RENAME TO survey_answers")
    assert states["survey-answers-lose-their-person.plan"] == "failed"
    assert states["survey-answers-lose-their-person.record"] == "failed"
    assert states["ex-customer-orders.record"] == "success"
    assert "public.survey_answers (dataset survey-answers): not found in the database" in log
    ended = rows_of("lethe_state", "SELECT rule FROM lethe.run WHERE state = 'failed'")
    assert ended == [("survey-answers-lose-their-person",)]


def finished(client: AirflowClient, dag: str, run: str) -> dict[str, str]:
    """How each task of the run ended."""
    assert client.wait(dag, run) == "success"
    return {task["task_id"]: task["state"] for task in client.tasks(dag, run)}


def at_the_command_line(demo: Demo, *arguments: str) -> subprocess.CompletedProcess[str]:
    """`lethe` as the privacy officer calls it."""
    variables = os.environ | demo.environment.variables() | demo.environment.officer_variables()
    command = [sys.executable, "-m", "lethe", *arguments]
    return subprocess.run(command, env=variables, cwd=ROOT, capture_output=True, text=True, check=False)


def test_the_checks_find_every_store_clean_and_write_it_down(demo: Demo, rows_of: Callable) -> None:
    with demo.client("platform") as platform, demo.client("admin") as admin:
        admin.unpause(VERIFY)
        try:
            run = platform.trigger(VERIFY, {"as_of": "2025-03-01"})
            ended = platform.wait(VERIFY, run, seconds=280)
        finally:
            admin.pause(VERIFY)
    assert rows_of("lethe_state", "SELECT kind, subject, detail FROM lethe.finding") == []
    assert ended == "success"
    found = {leaf["store"]: leaf["rules"] for leaf in leaves(rows_of) if leaf["kind"] == "check"}
    assert set(found) == set(load(POLICY).stores)
    states = {rule: told["state"] for rules in found.values() for rule, told in rules.items()}
    assert set(states) == set(load(POLICY).rules)
    assumed = {rule.name for rule in load(POLICY).rules.values() if rule.assumption} - set(CONFIRMED)
    assert {rule for rule, state in states.items() if state == "unconfirmed"} <= assumed
    assert set(states.values()) == {"clean", "unconfirmed"}


def test_a_rejection_is_kept_and_nothing_is_done(demo: Demo, rows_of: Callable) -> None:
    """A new column asks the officer anew; a no in Airflow is a no everywhere."""
    with demo.client("platform") as platform, demo.client("officer") as officer:
        with psycopg.connect(demo.environment.admin_conninfo(database("website")), autocommit=True) as admin:
            admin.execute("ALTER TABLE server_sessions ADD agent_family text")
        run = platform.trigger(SWEEP, {"as_of": "2025-03-05", "rules": ["sessions-ended"]})
        assert finished(platform, SWEEP, run)["sessions-ended.ask"] == "success"
        query = "SELECT digest FROM lethe.plan WHERE rule = 'sessions-ended' ORDER BY made_at DESC LIMIT 1"
        ((digest,),) = rows_of("lethe_state", query)
        (asked,) = officer.wait_for_approvals(APPROVE, f"plan__{digest}")
        before = rows_of(database("website"), "SELECT count(*) FROM server_sessions")
        officer.answer(asked, "Reject")
        assert finished(platform, APPROVE, f"plan__{digest}") == {"ask": "success", "record_answer": "skipped"}
    (leaf,) = [leaf for leaf in leaves(rows_of) if leaf["kind"] == "approval" and leaf["plan"] == digest]
    assert (leaf["decision"], leaf["via"]) == ("rejected", "airflow")
    with demo._worker() as lethe:
        assert lethe.gate(digest).state == "rejected"
    said = at_the_command_line(demo, "approve", digest)
    assert (said.returncode, "it was answered before" in said.stderr) == (4, True)
    assert rows_of(database("website"), "SELECT count(*) FROM server_sessions") == before


def test_a_misspelled_parameter_sweeps_nothing(demo: Demo) -> None:
    with demo.client("platform") as platform:
        run = platform.trigger(SWEEP, {"as_off": "2025-03-01", "rules": ["sessions-ended"]})
        assert platform.wait(SWEEP, run) == "failed"
        states = {task["task_id"]: task["state"] for task in platform.tasks(SWEEP, run)}
        log = platform.log(SWEEP, run, "select")
    assert (states["select"], states["sessions-ended.plan"]) == ("failed", "upstream_failed")
    assert "found parameters as_off, expected only rules, as_of, dry_run" in log


def test_a_rule_of_the_other_dag_is_refused_and_where_it_belongs_is_said(demo: Demo) -> None:
    with demo.client("platform") as platform, pytest.raises(AirflowRefused, match=f"all others.*{SWEEP}") as refused:
        platform.trigger(ANONYMISE, {"rules": ["sessions-ended"]})
    assert refused.value.status == httpx.codes.BAD_REQUEST


def started_by_an_approval(client: AirflowClient, dag: str) -> set[str]:
    return {run["dag_run_id"] for run in client.runs(dag) if run["run_type"] == "asset_triggered"}


def test_a_run_that_finds_nothing_of_its_own_approved_ends_well_and_writes_nothing(
    demo: Demo, rows_of: Callable
) -> None:
    """As one of the two DAGs does after each approval that is for the other."""
    count = "SELECT (SELECT count(*) FROM lethe.run), (SELECT count(*) FROM lethe.plan)"
    before = rows_of("lethe_state", count)
    with demo.client("platform") as platform, demo.client("admin") as admin:
        known = {dag: started_by_an_approval(platform, dag) for dag in CARRY_OUT}
        (asset,) = admin.request("GET", "assets", params={"name_pattern": "lethe_approvals"})["assets"]
        admin.request("POST", "assets/events", json={"asset_id": asset["id"], "extra": {}})
        for dag in CARRY_OUT:
            deadline = time.monotonic() + 60
            while not (new := started_by_an_approval(platform, dag) - known[dag]) and time.monotonic() < deadline:
                time.sleep(0.3)
            (run,) = new
            ended = finished(platform, dag, run)
            always = {"select", "tell_sealing", "conclude"} | ({"measure"} & set(ended))
            assert {task for task, state in ended.items() if state == "success"} == always
            assert set(ended.values()) == {"success", "skipped"}
    assert rows_of("lethe_state", count) == before


def test_a_departure_came_to_the_hand_over_and_its_deletion_waits(demo: Demo, rows_of: Callable) -> None:
    with demo.client("platform") as platform:
        (run,) = platform.runs(departure.DAG)
        states = {task["task_id"]: task["state"] for task in platform.tasks(departure.DAG, run["dag_run_id"])}
    assert (states["hand_over"], states["ask_exceptions"], states["conclude"]) == ("success", "skipped", "success")
    assert states["deletion_due"] == "deferred"
    assert (states["ask_officer"], states["allow"], states["delete"]) == ("skipped", "skipped", None)
    events = [leaf for leaf in leaves(rows_of) if leaf["kind"] == "departure"]
    names = [leaf["event"] for leaf in events]
    assert len(names) == len(set(names))
    assert set(names) >= {"opened", "noticed", "answered", "closed", "chosen", "approved", "handed-over"}
    roles = {leaf["event"]: leaf["role"] for leaf in events if leaf["role"]}
    assert roles["opened"] == roles["answered"] == "HR"
    assert roles["approved"] == "Manager"


def test_nobody_starts_a_second_departure_of_the_same_employee(demo: Demo) -> None:
    with demo.client("hr") as hr, demo.client("platform") as platform:
        run = departure.start(hr, estate_setup.last_day().isoformat())
        assert platform.wait(departure.DAG, run, seconds=120) == "failed"
        log = platform.log(departure.DAG, run, "enter")
    assert "found a departure of this employee that is open, expected none" in log


def test_what_airflow_keeps_of_a_departure_names_nobody(demo: Demo, home: Path, rows_of: Callable) -> None:
    """Neither logs, XCom nor the runs' conf; the names of folders stand in the question to the manager alone."""
    kept = [path.read_text() for path in (home / "logs" / "tasks" / f"dag_id={departure.DAG}").rglob("*.log")]
    assert len(kept) > 10
    for asked in ("SELECT value::text FROM xcom", "SELECT conf::text FROM dag_run"):
        found = rows_of("airflow", f"{asked} WHERE dag_id = '{departure.DAG}'")
        assert found
        kept += [str(value) for (value,) in found]
    words = ("Nordmo", "nordmo", "Storvik", "Blåfjell", "@tindheim.example", "Overlevering", "Rutiner", "TD-20417")
    assert [word for word in words if any(word in text for text in kept)] == []
