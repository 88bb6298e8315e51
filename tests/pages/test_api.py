"""The API of the holds over a real register and a real store, without Airflow."""

import logging
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from typing import Any

import jsonschema
import pytest
from fastapi import HTTPException
from fastapi.routing import APIRoute
from starlette.testclient import TestClient

from faults import ACTIVITY, NOW, SCHEMA
from lethe import clock
from lethe.errors import HoldReleased
from lethe.holds import BY_LAW
from lethe.model import Reason
from lethe.pages.api import holds_app
from lethe.pages.views import Site
from lethe.run import Lethe

ROW = {"dataset": "customers", "key": "7"}
WANTED = {"because": "legal-claim", "review": "2999-01-01"}


@pytest.fixture
def lethe(open_lethe: Callable[..., Lethe]) -> Lethe:
    return open_lethe(ACTIVITY, SCHEMA)


@pytest.fixture
def api(lethe: Lethe) -> Iterator[Callable[..., TestClient]]:
    """Makes clients of the API; by default of the privacy officer, who is Airflow's user 42."""

    def make(officer: Callable[..., str] = lambda: "42") -> TestClient:
        return TestClient(holds_app(Site(lethe.policy_dir, lethe.addresses.__getitem__, lambda _: None), officer))

    return make


@pytest.fixture
def officer(api: Callable[..., TestClient]) -> TestClient:
    return api()


def place(client: TestClient, **wanted: Any) -> dict[str, Any]:
    reply = client.post("/holds", json=WANTED | wanted)
    assert reply.status_code == 201, reply.text
    return dict(reply.json())


def placed(lethe: Lethe) -> int:
    return int(lethe.state_database.one("SELECT count(*) FROM lethe.placed_hold"))


def test_a_hold_is_placed_listed_reviewed_and_released(lethe: Lethe, officer: TestClient) -> None:
    told = place(officer, rows=[ROW])
    assert (told["state"], told["kind"], told["role"]) == ("in force", "held", "privacy-officer")
    assert (told["warnings"], told["targets"][0]["dataset"], told["targets"][0]["whole"]) == ([], "customers", False)
    assert lethe.plan("ex-customers", NOW, "run").survey.because(Reason.HELD) == 1

    (listed,) = officer.get("/holds").json()
    assert listed == {name: value for name, value in told.items() if name != "warnings"}
    reviewed = officer.post(f"/holds/{told['hold'][:8]}/review", json={"review": "2999-02-02"})
    assert (reviewed.status_code, reviewed.json()["review"]) == (200, "2999-02-02")

    released = officer.post(f"/holds/{told['hold']}/release")
    assert (released.status_code, released.json()["state"]) == (200, "released")
    assert lethe.database.rows("SELECT * FROM lethe.hold") == []
    assert officer.get("/holds").json() == []
    assert [each["hold"] for each in officer.get("/holds?released=true").json()] == [told["hold"]]


def test_whole_datasets_and_rules_can_be_held(officer: TestClient) -> None:
    told = place(officer, datasets=["customers"], rules=["ex-customers"], because="objection-pending")
    assert told["kind"] == "restricted"
    assert [(each["dataset"], each["whole"]) for each in told["targets"]] == [
        ("customers", True),
        ("rule:ex-customers", True),
    ]


def test_the_word_is_the_users_under_a_random_number(lethe: Lethe, officer: TestClient) -> None:
    hold = place(officer, rows=[ROW])["hold"]
    officer.post(f"/holds/{hold}/review", json={"review": "2999-02-02"})
    officer.post(f"/holds/{hold}/release")
    events = """
        SELECT e.event, e.role, e.via, a.person FROM lethe.hold_event e JOIN lethe.approver a ON a.id = e.approver
        ORDER BY e.at
    """
    assert lethe.state_database.rows(events) == [
        (event, "privacy-officer", "airflow", "42") for event in ("placed", "reviewed", "released")
    ]


def test_keys_are_told_only_where_they_are_asked_for(officer: TestClient) -> None:
    told = place(officer, rows=[ROW])
    assert "key" not in told["targets"][0]
    plain, with_keys = officer.get("/holds"), officer.get("/holds?keys=true")
    assert "key" not in plain.json()[0]["targets"][0]
    assert with_keys.json()[0]["targets"][0]["key"] == "7"
    assert with_keys.headers["cache-control"] == "no-store"


def test_a_hold_past_its_review_is_told(lethe: Lethe, officer: TestClient) -> None:
    place(officer, datasets=["customers"])
    lethe.state_database.run("UPDATE lethe.hold_event SET review = '2020-01-01'")
    assert officer.get("/holds").json()[0]["past_review"] is True


# -- what is refused --------------------------------------------------------------------------------------------------

SECRET = "Kari-Nordmann-9"
REFUSED = [
    ({}, "found nothing to hold, expected rows, a dataset or a rule"),
    ({"rows": [{"dataset": "custommers", "key": SECRET}]}, 'found no dataset "custommers"; did you mean customers?'),
    ({"rows": [ROW, {"dataset": "customers", "key": SECRET}]}, "row 2: customers has no row with this key"),
    ({"rows": [{"dataset": "customers", "key": "07"}]}, "row 1: customers has no row with this key"),
    ({"rows": [{"dataset": "customers", "key": ""}]}, "body.rows.0.key: String should have at least 1 character"),
    ({"rows": [{"dataset": "customers", "key": f"{SECRET}\0"}]}, "row 1: customers has no row with this key"),
    ({"rows": [{"dataset": "customers", "key": 7}]}, "body.rows.0.key: Input should be a valid string"),
    ({"rows": [{"dataset": "customers", "key": [SECRET]}]}, "body.rows.0.key: Input should be a valid string"),
    ({"rows": [{"dataset": "customers"}]}, "body.rows.0.key: Field required"),
    ({"datasets": ["x"]}, 'found no dataset "x"; expected one of: customers'),
    ({"rules": ["ex-customer"]}, 'found no rule "ex-customer"; did you mean ex-customers?'),
    ({"rule": ["ex-customers"]}, "body.rule: Extra inputs are not permitted"),
    ({"rules": ["ex-customers"], "review": "2020-01-01"}, "found 2020-01-01 for the next look, expected a day after"),
    ({"rules": ["ex-customers"], "review": "soon"}, "body.review: Input should be a valid date"),
    (
        {"rules": ["ex-customers"], "because": SECRET},
        "body.because: Input should be 'legal-claim', 'authority-request'",
    ),
    ({"rules": ["ex-customers"], "because": "canary"}, "canaries are held by Lethe itself"),
]


@pytest.mark.parametrize(("wanted", "says"), REFUSED)
def test_a_misspelled_hold_is_refused_and_nothing_is_placed(
    lethe: Lethe, officer: TestClient, wanted: dict[str, Any], says: str
) -> None:
    reply = officer.post("/holds", json=WANTED | wanted)
    assert (reply.status_code, says in reply.json()["detail"]) == (422, True), reply.text
    assert SECRET not in reply.text
    assert placed(lethe) == 0


def test_the_next_look_is_a_day_to_come(lethe: Lethe, officer: TestClient) -> None:
    today = lethe.today(clock.now())
    assert officer.post("/holds", json=WANTED | {"rows": [ROW], "review": str(today)}).status_code == 422
    hold = place(officer, rows=[ROW], review=str(today + timedelta(days=1)))["hold"]
    reply = officer.post(f"/holds/{hold}/review", json={"review": str(today)})
    assert (reply.status_code, "expected a day after today" in reply.json()["detail"]) == (422, True)


@pytest.mark.parametrize("body", ["", "{", '{"because": "legal-claim"', "customers 7", "null", '{"rows": "\\ud800"}'])
def test_what_is_no_request_is_refused(officer: TestClient, body: str) -> None:
    reply = officer.post("/holds", content=body, headers={"Content-Type": "application/json"})
    assert (reply.status_code, reply.json()["detail"].startswith("body")) == (422, True)


def test_a_key_that_is_no_text_leaves_no_trace(
    lethe: Lethe, officer: TestClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    wanted = '{"because": "legal-claim", "review": "2999-01-01", "rows": [{"dataset": "customers", "key": "%s"}]}'
    body = wanted % f"{SECRET}\\ud800"
    assert officer.post("/holds", content=body, headers={"Content-Type": "application/json"}).status_code == 422
    assert (placed(lethe), SECRET in caplog.text) == (0, False)


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded"])
def test_a_form_of_another_site_places_nothing(lethe: Lethe, officer: TestClient, kind: str) -> None:
    """A browser would send it along with the officer's session."""
    body = '{"because": "legal-claim", "review": "2999-01-01", "rules": ["ex-customers"]}'
    assert officer.post("/holds", content=body, headers={"Content-Type": kind}).status_code == 422
    assert placed(lethe) == 0


@pytest.mark.parametrize(("word", "body"), [("review", {"review": "2999-02-02"}), ("release", None)])
def test_a_hold_that_nobody_has_is_not_found_and_one_that_is_over_takes_no_word(
    officer: TestClient, word: str, body: dict[str, str] | None
) -> None:
    reply = officer.post(f"/holds/0123/{word}", json=body)
    assert (reply.status_code, reply.json()["detail"]) == (
        404,
        'hold "0123": found 0 that start so, expected one; see `lethe hold list`',
    )
    hold = place(officer, rows=[ROW])["hold"]
    officer.post(f"/holds/{hold}/release")
    again = officer.post(f"/holds/{hold}/{word}", json=body)
    assert (again.status_code, "it was released before, on 20" in again.json()["detail"]) == (409, True)


def test_of_two_that_release_at_once_one_is_told_that_it_was_late(lethe: Lethe, officer: TestClient) -> None:
    hold, word = place(officer, rows=[ROW])["hold"], {"role": "privacy-officer", "via": "airflow"}
    lethe.state.holds.release(hold, **word)
    with pytest.raises(HoldReleased, match="it was released a moment ago"):
        lethe.state.holds.release(hold, **word)


# -- what does not answer ---------------------------------------------------------------------------------------------


def test_a_store_that_cannot_be_asked_gets_the_hold_before_anything_is_done_there(
    lethe: Lethe, officer: TestClient
) -> None:
    known = lethe.addresses["crm"]
    lethe.addresses["crm"] = "postgresql://lethe_worker:secret@127.0.0.1:1/crm"
    told = place(officer, rows=[ROW])
    lethe.addresses["crm"] = known
    assert told["state"] == "waits"
    asked, mirrored = told["warnings"]
    assert asked == "row 1: whether customers has it cannot be asked from here"
    assert mirrored.startswith("crm: not yet; nothing is done there before it has it: store crm: no connection")
    assert lethe.plan("ex-customers", NOW, "run").survey.because(Reason.HELD) == 1
    assert officer.get("/holds").json()[0]["state"] == "in force"


ADDRESSES = [
    ("GET", "/holds", None),
    ("POST", "/holds", {**WANTED, "rows": [ROW]}),
    ("POST", "/holds/0123/review", {"review": "2999-01-01"}),
    ("POST", "/holds/0123/release", None),
]


@pytest.mark.parametrize(("method", "address", "body"), ADDRESSES)
def test_without_its_register_the_api_says_so(
    lethe: Lethe, officer: TestClient, method: str, address: str, body: dict[str, Any] | None
) -> None:
    lethe.addresses["lethe_state"] = "postgresql://lethe_worker:secret@127.0.0.1:1/lethe_state"
    reply = officer.request(method, address, json=body)
    assert (reply.status_code, "store lethe_state: no connection to the server" in reply.text) == (503, True)
    assert "secret" not in reply.text


def test_a_server_that_signs_in_as_somebody_else_cannot_hand_on_a_word(lethe: Lethe, officer: TestClient) -> None:
    lethe.addresses["lethe_state"] = lethe.state_database.conninfo("lethe_officer")
    reply = officer.post("/holds", json={**WANTED, "rows": [ROW]})
    assert (reply.status_code, "Airflow's own is lethe_worker" in reply.json()["detail"]) == (503, True)
    assert placed(lethe) == 0


def test_a_policy_that_cannot_be_read_is_told(lethe: Lethe, officer: TestClient) -> None:
    (lethe.policy_dir / "stores.yaml").write_text("stores: 7")
    reply = officer.get("/holds")
    assert (reply.status_code, "stores.yaml" in reply.json()["detail"]) == (503, True)


# -- who may, and what is told of the API -----------------------------------------------------------------------------


@pytest.mark.parametrize("status", [401, 403])
@pytest.mark.parametrize(("method", "address", "body"), [*ADDRESSES, ("GET", "/openapi.json", None)])
def test_who_may_not_is_told_nothing_and_changes_nothing(
    lethe: Lethe, api: Callable[..., TestClient], status: int, method: str, address: str, body: dict[str, Any] | None
) -> None:
    def nobody() -> str:
        raise HTTPException(status)

    place(api(), datasets=["customers"])
    reply = api(nobody).request(method, address, json=body)
    assert (reply.status_code, list(reply.json())) == (status, ["detail"])
    assert "customers" not in reply.text
    assert ("/auth/token" in reply.text) == (status == 401)
    assert placed(lethe) == 1


def test_every_route_is_behind_the_dependency(api: Callable[..., TestClient]) -> None:
    def officer() -> str:
        return "42"

    for route in api(officer).app.routes:
        assert isinstance(route, APIRoute), "a mounted app or file directory would be open to everybody"
        asked = [found.call for each in route.dependant.dependencies for found in each.dependencies]
        assert officer in asked


def test_no_address_has_a_place_for_a_key(officer: TestClient) -> None:
    told = officer.get("/openapi.json").json()
    inputs = {
        each["name"] for path in told["paths"].values() for way in path.values() for each in way.get("parameters", ())
    }
    assert inputs == {"hold", "released", "keys"}


def test_the_api_describes_itself(officer: TestClient) -> None:
    told = officer.get("/openapi.json").json()
    ways = {(method, path): way for path, each in told["paths"].items() for method, way in each.items()}
    assert set(ways) == {
        ("get", "/holds"),
        ("post", "/holds"),
        ("post", "/holds/{hold}/review"),
        ("post", "/holds/{hold}/release"),
    }
    for way in ways.values():
        assert way["summary"]
        assert way["description"]
        assert {"401", "403", "422", "503"} <= set(way["responses"])
    for name, form in told["components"]["schemas"].items():
        if "properties" in form:
            missing = [field for field, each in form["properties"].items() if "description" not in each]
            assert (name, missing, "description" in form) == (name, [], True)


def test_what_is_told_is_as_described(officer: TestClient) -> None:
    described = officer.get("/openapi.json").json()
    schema = {"$ref": "#/components/schemas/HoldTold", "components": described["components"]}
    jsonschema.validate(place(officer, rows=[ROW]), schema)
    for each in officer.get("/holds?keys=true").json():
        jsonschema.validate(each, schema)
    (example,) = described["components"]["schemas"]["Placing"]["examples"]
    jsonschema.validate(example, {**schema, "$ref": "#/components/schemas/Placing"})


def test_the_reasons_are_those_of_the_law(officer: TestClient) -> None:
    for because in BY_LAW:
        told = place(officer, because=str(because), rows=[ROW], review=str(date(2999, 1, 1)))
        assert (told["because"], told["kind"]) == (because, because.kind)
