"""Who may do what: a real Airflow on a real PostgreSQL, asked over its REST API as three users."""

import os
import secrets
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from demo.airflow_client import AirflowClient, AirflowRefused
from demo.environment import Environment
from demo.processes import alive

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def environment() -> Iterator[Environment]:
    # Not pytest's own directory: it is closed to the user that the server runs as when the tests run as root.
    home = Path(tempfile.mkdtemp(prefix="lethe-roles-"))
    home.chmod(0o755)
    environment = Environment(home, HERE / "approval_dags")
    try:
        environment.up()
        processes = [process for service in environment.services for process in service.members()]
        yield environment
    finally:
        environment.down()
    assert not any(alive(process) for process in processes)
    assert set(environment.status().values()) == {"stopped"}
    shutil.rmtree(home)


@pytest.fixture(scope="module")
def users(environment: Environment) -> Iterator[dict[str, AirflowClient]]:
    clients = {user: AirflowClient(environment.url(), user, word) for user, word in environment.passwords().items()}
    clients["admin"].wait_for_dags(["ask"])
    yield clients
    for client in clients.values():
        client.close()


@pytest.fixture(scope="module")
def run(users: dict[str, AirflowClient]) -> str:
    return users["platform"].trigger("ask")


def approval(client: AirflowClient, run: str, task: str) -> dict[str, Any]:
    waiting = client.wait_for_approvals("ask", run, count=1 if task == "anybody" else 2)
    return next(one for one in waiting if one["task_instance"]["task_id"] == task)


def test_every_part_is_healthy(environment: Environment) -> None:
    assert set(environment.status().values()) == {"healthy"}


def test_starting_it_again_leaves_it_running(environment: Environment) -> None:
    before = [service.leader() for service in environment.services]
    environment.up()
    assert [service.leader() for service in environment.services] == before


def test_the_officer_does_not_start_sweeps(users: dict[str, AirflowClient]) -> None:
    with pytest.raises(AirflowRefused) as refused:
        users["officer"].trigger("ask")
    assert refused.value.status == httpx.codes.FORBIDDEN


@pytest.mark.parametrize("user", ["platform", "admin"])
def test_an_approval_of_the_officer_is_refused_to_others(users: dict[str, AirflowClient], run: str, user: str) -> None:
    asked = approval(users["officer"], run, "officer_only")
    with pytest.raises(AirflowRefused) as refused:
        users[user].answer(asked, "Approve")
    assert refused.value.status == httpx.codes.FORBIDDEN


def test_the_platform_team_answers_no_approval_at_all(users: dict[str, AirflowClient], run: str) -> None:
    asked = approval(users["officer"], run, "anybody")
    with pytest.raises(AirflowRefused) as refused:
        users["platform"].answer(asked, "Approve")
    assert refused.value.status == httpx.codes.FORBIDDEN


def test_nobody_answers_without_signing_in(environment: Environment) -> None:
    reply = httpx.get(f"{environment.url()}/api/v2/dags/~/dagRuns/~/hitlDetails", trust_env=False)
    assert reply.status_code == httpx.codes.UNAUTHORIZED


def test_the_officer_approves_and_the_run_goes_on(users: dict[str, AirflowClient], run: str) -> None:
    for task in ("officer_only", "anybody"):
        users["officer"].answer(approval(users["officer"], run, task), "Approve")
    assert users["platform"].wait("ask", run, seconds=60) == "success"


@pytest.fixture(scope="module")
def guests(environment: Environment, users: dict[str, AirflowClient]) -> Iterator[dict[str, AirflowClient]]:
    """HR and a manager, as `python -m lethe_airflow.roles` makes them."""
    words = {name: secrets.token_urlsafe() for name in ("hilde", "mona")}
    told = {f"LETHE_PASSWORD_{name.upper()}": word for name, word in words.items()}
    command = [sys.executable, "-m", "lethe_airflow.roles", "--user", "hilde=HR", "--user", "mona=Manager"]
    subprocess.run(command, env=os.environ | environment.variables() | told, check=True, capture_output=True)
    clients = {user: AirflowClient(environment.url(), user, word) for user, word in words.items()}
    users["admin"].wait_for_dags(["leave"])
    yield clients
    for client in clients.values():
        client.close()


def seen(client: AirflowClient) -> set[str]:
    return {dag["dag_id"] for dag in client.request("GET", "dags")["dags"]}


def refused(ask: Callable[[], object]) -> int:
    with pytest.raises(AirflowRefused) as caught:
        ask()
    return caught.value.status


@pytest.mark.parametrize("who", ["hilde", "mona"])
def test_hr_and_a_manager_see_the_departures_and_no_other_dag(
    users: dict[str, AirflowClient], guests: dict[str, AirflowClient], run: str, who: str
) -> None:
    assert seen(users["admin"]) == {"ask", "leave"}
    assert seen(guests[who]) == {"leave"}
    for path in ("dags/ask", "dags/ask/dagRuns", f"dags/ask/dagRuns/{run}/taskInstances"):
        assert refused(lambda path=path: guests[who].request("GET", path)) == httpx.codes.FORBIDDEN
    assert refused(lambda: guests[who].trigger("ask")) == httpx.codes.FORBIDDEN
    found = guests[who].request("GET", "dags/~/dagRuns/~/hitlDetails")["hitl_details"]
    assert {each["task_instance"]["dag_id"] for each in found} <= {"leave"}


def test_hr_starts_a_departure_and_the_manager_answers_it(guests: dict[str, AirflowClient]) -> None:
    assert refused(lambda: guests["mona"].trigger("leave")) == httpx.codes.FORBIDDEN
    run = guests["hilde"].trigger("leave")
    (asked,) = guests["mona"].wait_for_approvals("leave", run, count=1)
    assert refused(lambda: guests["hilde"].answer(asked, "Approve")) == httpx.codes.FORBIDDEN
    guests["mona"].answer(asked, "Approve")
    assert guests["hilde"].wait("leave", run, seconds=60) == "success"


def test_an_answer_is_given_once(users: dict[str, AirflowClient], run: str) -> None:
    task = {"dag_id": "ask", "dag_run_id": run, "task_id": "officer_only", "map_index": -1}
    with pytest.raises(AirflowRefused) as refused:
        users["officer"].answer({"task_instance": task}, "Reject")
    assert refused.value.status == httpx.codes.CONFLICT


def test_what_holds_secrets_is_readable_by_its_owner_only(environment: Environment) -> None:
    for name in ("secrets.json", "env", "officer.env"):
        assert (environment.home / name).stat().st_mode & 0o077 == 0
