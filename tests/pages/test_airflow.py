"""The pages inside Airflow's own web server: who may read them, and that they show what is in lethe_state."""

import re

import httpx
import pytest

from lethe.model import Plan, Verdict

ADDRESSES = ("/plans", "/plans.json", f"/plans/{'0' * 64}", "/nothing-here", "/docs", "/openapi.json", "/")


@pytest.mark.parametrize("address", ADDRESSES)
def test_nobody_reads_without_signing_in(web, address: str) -> None:
    with web.client() as nobody:
        reply = nobody.get(f"/lethe{address}")
    assert reply.status_code == httpx.codes.UNAUTHORIZED
    assert "lethe_state" not in reply.text


@pytest.mark.parametrize("address", ADDRESSES)
def test_another_role_is_refused(clients: dict[str, httpx.Client], address: str) -> None:
    assert clients["viewer"].get(f"/lethe{address}").status_code == httpx.codes.FORBIDDEN


@pytest.mark.parametrize("user", ["officer", "platform", "admin"])
def test_who_answers_for_the_sweep_reads_its_plans(clients: dict[str, httpx.Client], planned: Plan, user: str) -> None:
    every, one = clients[user].get("/lethe/plans"), clients[user].get(f"/lethe/plans/{planned.digest}?lang=en")
    assert (every.status_code, one.status_code) == (httpx.codes.OK, httpx.codes.OK)
    assert f"/lethe/plans/{planned.digest}" in every.text
    assert "Calls older than 90 days are totalled by day and queue, and deleted." in one.text


def test_the_numbers_are_those_of_the_plan(clients: dict[str, httpx.Client], planned: Plan) -> None:
    shown = clients["officer"].get(f"/lethe/plans/{planned.digest}.json").json()
    assert (shown["due"], shown["kept"]) == (planned.survey.of(Verdict.DUE), planned.survey.of(Verdict.KEPT))
    assert shown["state"] == "waiting"


@pytest.mark.parametrize("token", ["-", "not.a.token"])
def test_a_token_that_is_none_opens_nothing(web, planned: Plan, token: str) -> None:
    with web.client(headers={"Authorization": f"Bearer {token}"}, cookies={"_token": token}) as stranger:
        reply = stranger.get(f"/lethe/plans/{planned.digest}")
    assert reply.status_code in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN)
    assert planned.rule not in reply.text


def test_a_person_signs_in_from_the_page_and_comes_back_to_it(web, planned: Plan) -> None:
    with web.client(headers={"Accept": "text/html"}, follow_redirects=True) as browser:
        refused = browser.get(f"/lethe/plans/{planned.digest}?lang=en")
        link = re.search(r'<a class="button" href="([^"]+)"', refused.text)
        assert link is not None
        form = browser.get(link[1].replace("&amp;", "&"))
        csrf = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', form.text)
        data = {"username": "officer", "password": web.passwords()["officer"], "csrf_token": csrf[1] if csrf else ""}
        reply = browser.post(form.url, data=data)
    assert reply.url.path == f"/lethe/plans/{planned.digest}"
    assert planned.rule in reply.text


def test_nothing_can_be_changed(clients: dict[str, httpx.Client], planned: Plan) -> None:
    for method in ("POST", "PUT", "PATCH", "DELETE"):
        reply = clients["admin"].request(method, f"/lethe/plans/{planned.digest}")
        assert reply.status_code == httpx.codes.METHOD_NOT_ALLOWED


def test_the_menu_leads_to_the_plans(clients: dict[str, httpx.Client]) -> None:
    plugins = clients["admin"].get("/api/v2/plugins").raise_for_status().json()["plugins"]
    links = [view["href"] for plugin in plugins for view in plugin["external_views"]]
    assert "/lethe/plans" in links


def test_without_the_connection_the_page_says_what_is_missing(web, clients: dict[str, httpx.Client]) -> None:
    clients["admin"].delete("/api/v2/connections/lethe_state").raise_for_status()
    reply = clients["officer"].get("/lethe/plans")
    web.connect()
    assert reply.status_code == httpx.codes.SERVICE_UNAVAILABLE
    assert "connection lethe_state: the web server does not have it" in reply.text
    assert clients["officer"].get("/lethe/plans").status_code == httpx.codes.OK
