"""The API of the holds inside Airflow's own web server: whose word counts, how it is kept, and what is logged."""

import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from demo.environment import ROOT
from support import need

KEY = "planted-key-of-a-person-4711"
WANTED = {
    "because": "legal-claim",
    "review": "2999-01-01",
    "rows": [{"dataset": "portal-customers", "key": KEY}],
}
WAYS = [
    ("GET", "/holds?keys=true", None),
    ("POST", "/holds", WANTED),
    ("POST", "/holds/0123/review", {"review": "2999-01-01"}),
    ("POST", "/holds/0123/release", None),
    ("GET", "/openapi.json", None),
]
EVENTS = """
    SELECT e.event, e.role, e.via, a.person FROM lethe.hold_event e JOIN lethe.approver a ON a.id = e.approver
    ORDER BY e.at
"""


@pytest.fixture(autouse=True)
def _no_holds(web) -> Iterator[None]:
    yield
    with web.postgres().admin("lethe_state") as state:
        state.execute("TRUNCATE lethe.placed_hold CASCADE")


def ask(client: httpx.Client, method: str, address: str, body: Any = None) -> httpx.Response:
    return client.request(method, f"/lethe/api{address}", json=body)


def events(web) -> list[tuple[Any, ...]]:
    with web.postgres().admin("lethe_state") as state:
        return state.execute(EVENTS).fetchall()


@pytest.mark.parametrize(("method", "address", "body"), WAYS)
def test_nobody_gets_in_without_signing_in(web, method: str, address: str, body: Any) -> None:
    with web.client() as nobody:
        reply = ask(nobody, method, address, body)
    assert (reply.status_code, "/auth/token" in reply.json()["detail"]) == (httpx.codes.UNAUTHORIZED, True)
    assert events(web) == []


@pytest.mark.parametrize("user", ["viewer", "platform", "admin"])
@pytest.mark.parametrize(("method", "address", "body"), WAYS)
def test_only_the_privacy_officers_word_counts(
    web, clients: dict[str, httpx.Client], user: str, method: str, address: str, body: Any
) -> None:
    reply = ask(clients[user], method, address, body)
    assert (reply.status_code, "without the role PrivacyOfficer" in reply.text) == (httpx.codes.FORBIDDEN, True)
    assert events(web) == []


def test_the_officer_places_reviews_and_releases(web, clients: dict[str, httpx.Client]) -> None:
    officer = clients["officer"]
    placed = ask(officer, "POST", "/holds", WANTED)
    assert placed.status_code == httpx.codes.CREATED
    hold = placed.json()["hold"]
    assert ask(officer, "POST", f"/holds/{hold}/review", {"review": "2999-02-02"}).status_code == httpx.codes.OK
    (listed,) = ask(officer, "GET", "/holds?keys=true").json()
    assert (listed["review"], listed["targets"][0]["key"]) == ("2999-02-02", KEY)
    assert ask(officer, "POST", f"/holds/{hold}/release").json()["released_at"]
    assert ask(officer, "GET", "/holds").json() == []
    with web.postgres().admin("airflow") as metadata:
        (user,) = metadata.execute("SELECT id FROM ab_user WHERE username = 'officer'").fetchone()
    assert events(web) == [
        (event, "privacy-officer", "airflow", str(user)) for event in ("placed", "reviewed", "released")
    ]


def test_the_session_of_the_browser_signs_in_too(web) -> None:
    with web.client(cookies={"_token": web.token("officer")}) as browser:
        assert ask(browser, "GET", "/holds").json() == []
        assert ask(browser, "POST", "/holds", WANTED).status_code == httpx.codes.CREATED


def test_a_store_that_the_web_server_does_not_have_is_told(clients: dict[str, httpx.Client]) -> None:
    told = ask(clients["officer"], "POST", "/holds", WANTED).json()
    assert told["state"] == "waits"
    asked, mirrored = told["warnings"]
    assert asked == "row 1: whether portal-customers has it cannot be asked from here"
    assert mirrored.endswith("connection lethe_portal: the web server does not have it")


def test_nothing_of_a_key_is_logged(web, clients: dict[str, httpx.Client]) -> None:
    officer = clients["officer"]
    ask(officer, "POST", "/holds", WANTED)
    ask(officer, "POST", "/holds", {**WANTED, "review": "2020-01-01"})
    ask(officer, "POST", "/holds", {**WANTED, "because": KEY})
    ask(officer, "GET", "/holds?keys=true")
    with web.postgres().admin("airflow") as metadata:
        audit = str(metadata.execute("SELECT * FROM log").fetchall())
    logs = [path.read_text(errors="replace") for path in (web.home / "logs").rglob("*.log")]
    assert any("/lethe/api/holds" in text for text in logs), "the web server logs its requests elsewhere"
    assert not any(KEY in text for text in [*logs, audit])


def test_it_says_where_it_is(clients: dict[str, httpx.Client]) -> None:
    told = ask(clients["officer"], "GET", "/openapi.json").json()
    assert told["servers"] == [{"url": "/lethe/api"}]
    schemes = told["components"]["securitySchemes"]
    for way in (way for path in told["paths"].values() for way in path.values()):
        assert {name for each in way["security"] for name in each} <= set(schemes)


@pytest.mark.system
def test_the_handbooks_examples_work(web, tmp_path: Path) -> None:
    need("curl", "the handbook's examples")
    (tmp_path / "token").write_text(f"Authorization: Bearer {web.token('officer')}\n")
    (tmp_path / ".curlrc").write_text("silent\nfail\n")
    handbook = (ROOT / "docs" / "privacy-officer.md").read_text("utf-8").replace("2026-", "2999-")
    first, *others = re.findall(r"^    (?:.*\|\n? +)?curl .*$", handbook, re.MULTILINE)
    assert [each.split("/lethe/api/")[1] for each in (first, *others)] == [
        'holds"', 'holds?keys=true&released=true"', 'holds/5f2c9a1b/review"', 'holds/5f2c9a1b/release"'
    ]  # fmt: skip
    surroundings = {"AIRFLOW": web.url(), "HOME": str(tmp_path), "CURL_HOME": str(tmp_path), "PATH": os.environ["PATH"]}

    def run(example: str) -> Any:
        command = ["bash", "-o", "pipefail", "-c", example]
        return json.loads(subprocess.run(command, cwd=tmp_path, env=surroundings, stdout=-1, check=True).stdout)

    hold = run(first)["hold"]
    listed, reviewed, released = (run(each.replace("5f2c9a1b", hold[:8])) for each in others)
    assert [each["hold"] for each in listed] == [hold]
    assert (reviewed["review"], released["released_at"] is None) == ("2999-12-31", False)


def test_without_the_connection_it_says_what_is_missing(web, clients: dict[str, httpx.Client]) -> None:
    clients["admin"].delete("/api/v2/connections/lethe_state").raise_for_status()
    reply = ask(clients["officer"], "POST", "/holds", WANTED)
    web.connect()
    assert reply.status_code == httpx.codes.SERVICE_UNAVAILABLE
    assert reply.json()["detail"] == "connection lethe_state: the web server does not have it"
