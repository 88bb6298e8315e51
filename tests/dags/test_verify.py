"""The daily checks: each store by a task of its own, what is open fails the run, and evidence is sealed either way."""

from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.sdk.exceptions import AirflowException, AirflowFailException

from faults import ACTIVITY, SCHEMA
from lethe.run import Lethe
from lethe_airflow import check

LAST, FIRST = SimpleNamespace(try_number=3, max_tries=2), SimpleNamespace(try_number=1, max_tries=2)


@pytest.fixture
def lethe(open_lethe, monkeypatch: pytest.MonkeyPatch) -> Lethe:
    """Lethe at work in the tasks."""
    lethe = open_lethe(ACTIVITY, SCHEMA)
    monkeypatch.setattr(check, "lethe_at_work", lambda: nullcontext(lethe))
    return lethe


def test_what_remains_fails_the_run_after_every_store_was_asked(lethe: Lethe) -> None:
    check.check.function("crm", params={"as_of": "2025-03-01"}, ti=FIRST)
    with pytest.raises(AirflowFailException, match=r"^1 alarm open; `lethe findings` lists them"):
        check.findings.function()
    lethe.database.run("DELETE FROM customer WHERE ended_on < '2025-01-01'; INSERT INTO customer VALUES (1000)")
    check.check.function("crm", params={"as_of": "2025-03-01"}, ti=FIRST)
    check.findings.function()


def test_a_store_that_is_down_is_asked_again_before_it_is_unknown(lethe: Lethe) -> None:
    lethe.addresses["crm"] = "host=127.0.0.1 port=1 connect_timeout=1"
    with pytest.raises(AirflowException, match="no connection to the server"):
        check.check.function("crm", params={"as_of": "2025-03-01"}, ti=FIRST)
    assert lethe.state.findings.known() == ()
    check.check.function("crm", params={"as_of": "2025-03-01"}, ti=LAST)
    assert [each.kind for each in lethe.state.findings.known()] == ["unknown"]


def test_a_person_s_table_name_is_in_no_task_s_log(lethe: Lethe, caplog: pytest.LogCaptureFixture) -> None:
    check.check.function("crm", params={"as_of": "2025-03-01"}, ti=FIRST)
    assert "1 remaining" in caplog.text
    assert "Kunde 1" not in caplog.text


def test_canaries_are_planted_by_the_day_s_own_run_only(open_lethe, monkeypatch: pytest.MonkeyPatch) -> None:
    canaries = "canaries: {ex-customers: {name: Lethe Canary}}"
    lethe = open_lethe(ACTIVITY, SCHEMA, of_store=canaries)
    monkeypatch.setattr(check, "lethe_at_work", lambda: nullcontext(lethe))

    def planted() -> int:
        return lethe.database.one("SELECT count(*) FROM customer WHERE name = 'Lethe Canary'")

    check.check.function("crm", params={"as_of": "2025-03-01"}, ti=FIRST)
    assert planted() == 0
    check.check.function("crm", params={"as_of": None}, ti=FIRST)
    check.check.function("crm", params={"as_of": None}, ti=FIRST)
    assert planted() == 3


@pytest.fixture(scope="module")
def dag():
    return DagBag(str(Path(__file__).parents[2] / "dags")).dags["verify_no_expired_data"]


def test_stores_are_asked_side_by_side_and_evidence_is_sealed_whatever_came_of_it(dag) -> None:
    asked = {task.task_id for task in dag.tasks if task.task_id.startswith("check_")}
    assert dag.get_task("findings").upstream_task_ids == asked
    assert len(asked) == 8
    assert dag.get_task("findings").trigger_rule == dag.get_task("tell_sealing").trigger_rule == "all_done"
    assert [asset.name for asset in dag.get_task("tell_sealing").outlets] == ["lethe_verified"]
    assert dag.get_task("conclude").upstream_task_ids == {*asked, "findings", "letters"}
    assert dag.max_active_runs == 1
