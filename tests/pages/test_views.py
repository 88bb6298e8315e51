"""The pages over a real lethe_state, without Airflow."""

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser

import pytest
from fastapi import HTTPException, Request
from fastapi.routing import APIRoute
from starlette.testclient import TestClient

from lethe.model import Plan
from lethe.pages.views import Site, pages_app
from lethe.pages.words import WORDS, chosen
from lethe.run import Lethe

NOW = datetime(2025, 3, 1, 12, tzinfo=UTC)
SCHEMA = """
CREATE TABLE customer (id bigint PRIMARY KEY, name text, ended_on date);
CREATE INDEX ON customer (ended_on);
INSERT INTO customer SELECT n, 'Kunde ' || n, date '2024-02-21' + n % 300 FROM generate_series(1, 1200) n;
INSERT INTO customer VALUES (2000, 'Kunde uten dato', NULL);
"""
ACTIVITY = """
serves: [R08]
datasets:
  customers:
    in: crm
    table: customer
    key: id
    personal_data: {name: user.name}
rules:
  ex-customers:
    obligation: R08
    of: customers
    title: {nb: Tidligere <kunder>, en: Ex-customers & <others>}
    clock: ended_on
    keep: P1Y
    then: delete
    limits: {rows: 5, share: 100%}
"""


@pytest.fixture
def lethe(open_lethe: Callable[..., Lethe]) -> Lethe:
    return open_lethe(ACTIVITY, SCHEMA)


@pytest.fixture
def planned(lethe: Lethe) -> Plan:
    return lethe.plan("ex-customers", NOW, "run")


@pytest.fixture
def browse(lethe: Lethe) -> Iterator[Callable[..., TestClient]]:
    """Makes browsers of the pages; by default of one who may read, in English."""
    addresses = lethe.addresses

    def make(allowed: Callable[..., object] = lambda: None, language: str = "en") -> TestClient:
        site = Site(lethe.policy_dir, lambda connection: addresses[connection], lambda _request: "/auth/login/")
        app = pages_app(site, allowed)
        return TestClient(app, headers={"Accept": "text/html", "Accept-Language": language})

    return make


@pytest.fixture
def browser(browse: Callable[..., TestClient]) -> TestClient:
    return browse()


def answer(lethe: Lethe, plan: Plan, *, approved: bool) -> None:
    lethe.answer(plan.digest, approved, via="airflow", role="privacy-officer", person="7")


def carry_out(lethe: Lethe, plan: Plan) -> None:
    for shard in plan.survey.shards:
        lethe.act(plan.digest, shard.number, NOW, "b" * 32)
    lethe.finish(plan.digest, NOW, "b" * 32)
    lethe.record(plan.rule, "b" * 32, digest=plan.digest)


def words(page: str) -> str:
    """What a person reads of a page."""
    body = re.sub(r"<style>.*?</style>", "", page, flags=re.DOTALL)
    return " ".join(re.sub(r"<[^>]+>", " ", body).replace("\N{NARROW NO-BREAK SPACE}", " ").split())


def test_the_plan_reads_as_the_command_line_shows_it(browser: TestClient, planned: Plan) -> None:
    text = words(browser.get(f"/plans/{planned.digest}").text)
    for part in (
        "Today (1 March 2025) this covers", "up to and including 29 February 2024", "waits for a person",
        "R08", "Due 36 dated 2024-02-21 to 2024-02-29", "Kept 1 165", "not yet due 1 164", "undated 1",
        "No other rows go along.",
        "first plan of this rule as it now reads", "limit 5 rows: found 36", "At most 40 rows and 0 that go along",
        f"lethe approve {planned.digest[:12]}", "no answer yet", "No run has ended with this plan yet.",
    ):  # fmt: skip
        assert part in text, part


def test_a_plan_reads_in_norwegian(browser: TestClient, planned: Plan) -> None:
    text = words(browser.get(f"/plans/{planned.digest}?lang=nb").text)
    assert "I dag (1. mars 2025) betyr det" in text
    assert "venter på godkjenning" in text


def test_words_from_elsewhere_are_text_not_markup(browser: TestClient, planned: Plan) -> None:
    page = browser.get(f"/plans/{planned.digest}").text
    assert "Ex-customers &amp; &lt;others&gt;" in page
    assert "<others>" not in page
    assert "<script>" not in browser.get("/plans?rule=<script>&state=<script>&lang=<script>").text


def test_every_state_is_told(browser: TestClient, lethe: Lethe, planned: Plan) -> None:
    assert state_of(browser, planned) == "waiting"
    answer(lethe, planned, approved=True)
    assert state_of(browser, planned) == "approved"
    carry_out(lethe, planned)
    assert state_of(browser, planned) == "done"
    text = words(browser.get(f"/plans/{planned.digest}").text)
    assert "approved by privacy officer in Airflow" in text
    assert re.search(r"\d{4}-\d\d-\d\d \d\d:\d\d carried out 36 0 b{12}", text)

    after = lethe.plan("ex-customers", NOW + timedelta(minutes=1), "run")
    assert state_of(browser, after) == "nothing"
    tomorrow = lethe.plan("ex-customers", NOW + timedelta(days=1), "run")
    assert state_of(browser, tomorrow) == "ready"
    assert "no answer needed" in words(browser.get(f"/plans/{tomorrow.digest}").text)
    lethe.state.give_up(tomorrow)
    assert state_of(browser, tomorrow) == "stopped"


def test_a_plan_that_was_made_anew_is_told_as_superseded(browser: TestClient, lethe: Lethe, planned: Plan) -> None:
    lethe.plan("ex-customers", NOW + timedelta(days=1), "run")
    assert state_of(browser, planned) == "superseded"
    assert "planned anew since" in words(browser.get("/plans?lang=en").text)


def state_of(browser: TestClient, plan: Plan) -> str:
    return str(browser.get(f"/plans/{plan.digest}.json").json()["state"])


def test_the_table_is_newest_first_and_can_be_narrowed(browser: TestClient, lethe: Lethe, planned: Plan) -> None:
    answer(lethe, planned, approved=False)
    second = lethe.plan("ex-customers", NOW + timedelta(days=1), "run")

    def shown(query: str) -> list[str]:
        return [row["plan"] for row in browser.get(f"/plans.json{query}").json()]

    assert shown("") == [second.digest, planned.digest]
    assert shown("?state=rejected") == [planned.digest]
    assert shown("?rule=ex-customers&state=waiting") == [second.digest]
    assert shown("?rule=another") == []
    page = browser.get("/plans?state=rejected").text
    assert planned.digest in page
    assert second.digest not in page
    assert '<option value="rejected" selected>' in page


def test_without_plans_the_table_says_so(browser: TestClient) -> None:
    assert "There is no such plan. The next sweep makes new ones." in words(browser.get("/plans").text)


@pytest.mark.parametrize(("address", "accept"), [("/plans.json", "text/html"), ("/plans", "application/json")])
def test_machines_get_json(browser: TestClient, planned: Plan, address: str, accept: str) -> None:
    (row,) = browser.get(address, headers={"Accept": accept}).json()
    assert (row["plan"], row["due"], row["kept"], row["answer"]) == (planned.digest, 36, 1165, None)


@pytest.mark.parametrize("digest", ["0" * 64, "x", "%3Cb%3E", "0" * 5000])
def test_an_unknown_digest_is_told_in_words(browser: TestClient, planned: Plan, digest: str) -> None:
    reply = browser.get(f"/plans/{digest}")
    assert reply.status_code == 404
    assert "There is no such plan" in words(reply.text)
    assert "<b>" not in reply.text


def test_a_plan_whose_text_was_changed_is_told_not_shown(browser: TestClient, lethe: Lethe, planned: Plan) -> None:
    lethe.state_database.run("UPDATE lethe.plan SET body = replace(body, '\"rows\": 40', '\"rows\": 9999')")
    reply = browser.get(f"/plans/{planned.digest}")
    assert reply.status_code == 500
    assert "its stored text has another digest" in words(reply.text)
    assert browser.get("/plans.json").json()[0]["state"] == "altered"
    assert "text was altered" in words(browser.get("/plans").text)


def test_a_plan_of_another_version_is_told_in_words(browser: TestClient, lethe: Lethe, planned: Plan) -> None:
    lethe.state_database.run("UPDATE lethe.plan SET body = '{}'")
    for address in ("/plans", f"/plans/{planned.digest}"):
        reply = browser.get(address)
        assert reply.status_code == 500
        assert "a stored plan is not one as this version of Lethe writes it" in words(reply.text)


def test_a_plan_of_a_rule_that_is_no_more_can_still_be_read(browser: TestClient, lethe: Lethe, planned: Plan) -> None:
    activity = lethe.policy_dir / "activities" / "customers.yaml"
    activity.write_text(activity.read_text().replace("ex-customers:", "customers-of-old:"))
    text = words(browser.get(f"/plans/{planned.digest}").text)
    assert "The policy no longer has this rule" in text
    assert browser.get("/plans").status_code == 200


def test_a_plan_of_a_rule_that_was_changed_says_so(browser: TestClient, lethe: Lethe, planned: Plan) -> None:
    activity = lethe.policy_dir / "activities" / "customers.yaml"
    activity.write_text(activity.read_text().replace("P1Y", "P2Y"))
    assert "The rule was changed after this plan was made" in words(browser.get(f"/plans/{planned.digest}").text)


def test_a_policy_that_cannot_be_read_is_told(browser: TestClient, lethe: Lethe) -> None:
    (lethe.policy_dir / "stores.yaml").write_text("stores: 7")
    reply = browser.get("/plans")
    assert reply.status_code == 500
    assert "stores.yaml" in reply.text


def test_without_its_database_the_page_says_so(browser: TestClient, lethe: Lethe) -> None:
    lethe.addresses["lethe_state"] = "postgresql://lethe_worker:secret@127.0.0.1:1/lethe_state"
    for address in ("/plans", f"/plans/{'0' * 64}"):
        reply = browser.get(address)
        assert reply.status_code == 503
        assert "The plans cannot be read now" in words(reply.text)
        assert "secret" not in reply.text
    assert browser.get("/plans.json").json()["error"] == "The plans cannot be read now"


def test_reading_is_all_they_need(browser: TestClient, lethe: Lethe, planned: Plan) -> None:
    database = lethe.state_database
    database.run(
        f"CREATE ROLE {database.name}_reader LOGIN PASSWORD 'reader' IN ROLE pg_read_all_data;"
        f"GRANT CONNECT ON DATABASE {database.name} TO {database.name}_reader"
    )
    lethe.addresses["lethe_state"] = database.server.conninfo(database.name, f"{database.name}_reader", "reader")
    try:
        assert browser.get("/plans").status_code == 200
        assert browser.get(f"/plans/{planned.digest}").status_code == 200
    finally:
        database.run(
            f"REVOKE CONNECT ON DATABASE {database.name} FROM {database.name}_reader;DROP ROLE {database.name}_reader"
        )


def test_who_is_not_let_in_sees_nothing_at_all(browse: Callable[..., TestClient], planned: Plan) -> None:
    def nobody(request: Request) -> None:
        raise HTTPException(401)

    browser = browse(nobody)
    for address in ("/plans", "/plans.json", f"/plans/{planned.digest}", "/docs", "/openapi.json", "/nothing", "/"):
        reply = browser.get(address)
        assert reply.status_code == 401, address
        assert planned.rule not in reply.text
    assert '<a class="button" href="/auth/login/">Sign in</a>' in browser.get("/plans").text


def test_every_route_is_behind_the_dependency(browse: Callable[..., TestClient]) -> None:
    def allowed() -> None: ...

    for route in browse(allowed).app.routes:
        assert isinstance(route, APIRoute), "a mounted app or file directory would be open to everybody"
        assert route.methods == {"GET"}
        assert allowed in [found.call for found in route.dependant.dependencies]


def test_a_browser_may_load_and_run_nothing_from_elsewhere(browser: TestClient, planned: Plan) -> None:
    for address in ("/plans", f"/plans/{planned.digest}", "/nothing"):
        reply = browser.get(address)
        rules = dict(rule.strip().split(" ", 1) for rule in reply.headers["content-security-policy"].split(";"))
        assert rules["default-src"] == rules["frame-ancestors"] == rules["base-uri"] == "'none'"
        assert rules["style-src"].startswith("'sha256-")
        assert reply.headers["cache-control"] == "no-store"
        assert " style=" not in reply.text
        assert "<script" not in reply.text


class Reader(HTMLParser):
    """Checks that tags close in order, that ids are used once, and that what labels a section is there."""

    void = frozenset({"meta", "input", "br"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.wanted: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Remember what has to close and what is referred to."""
        found = dict(attrs)
        self.ids += [found["id"]] if found.get("id") else []
        self.wanted += [found["aria-labelledby"]] if found.get("aria-labelledby") else []
        if tag not in self.void:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        """What was opened last closes first."""
        assert self.open.pop() == tag


@pytest.mark.parametrize("lang", ["nb", "en"])
def test_pages_are_sound_html(browser: TestClient, planned: Plan, lang: str) -> None:
    for address in ("/plans", f"/plans/{planned.digest}", "/nothing"):
        page = browser.get(f"{address}?lang={lang}").text
        reader = Reader()
        reader.feed(page)
        assert reader.open == []
        assert len(reader.ids) == len(set(reader.ids))
        assert set(reader.wanted) <= set(reader.ids)
        assert page.count("<h1>") == 1
        assert f'<html lang="{lang}">' in page


def test_the_language_asked_for_stays_from_page_to_page(browser: TestClient, planned: Plan) -> None:
    assert f"/plans/{planned.digest}?lang=nb" in browser.get("/plans?lang=nb").text
    assert f'/plans/{planned.digest}"' in browser.get("/plans").text
    assert 'href="?state=waiting&amp;lang=nb"' in browser.get("/plans?state=waiting&lang=en").text


@pytest.mark.parametrize(
    ("asked", "accepted", "spoken"),
    [
        ("en", "nb", "en"),
        (None, "nn-NO,nn;q=0.9,en;q=0.5", "nb"),
        (None, "de,en-GB;q=0.7", "en"),
        ("xx", "", "nb"),
        (None, "", "nb"),
    ],
)
def test_a_language_is_chosen(asked: str | None, accepted: str, spoken: str) -> None:
    assert chosen(asked, accepted, ("nb", "en")) == spoken


def test_both_languages_say_the_same_things() -> None:
    def gaps(text: str) -> list[str]:
        return sorted(re.findall(r"{(\w+)}", text))

    assert WORDS["nb"].keys() == WORDS["en"].keys()
    for key, text in WORDS["en"].items():
        assert gaps(text) == gaps(WORDS["nb"][key]), key
