"""The mail platform that a policy names, found by its Airflow connection; what is missing there is said."""

from __future__ import annotations

import json
from collections import Counter
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.sdk.exceptions import AirflowException

from demo.configuration import CLIENT, TENANT
from graph import SECRET, graph
from lethe.errors import ConfigError, StoreError
from lethe.offboarding.dovecot import DovecotPlatform
from lethe.offboarding.letters import Letter
from lethe.offboarding.platform import Mailbox
from lethe.offboarding.rules import Upkeep
from lethe.policy import load
from lethe_airflow import letters, mail, sweep, upkeep
from lethe_airflow.webhook import Webhook

ROOT = Path(__file__).parents[2]

GRAPH = {"conn_type": "generic", "login": CLIENT, "password": SECRET, "extra": {"tenant": TENANT}}
DOVECOT = {
    "conn_type": "generic",
    "host": "mail.tindheim.example",
    "login": "lethe",
    "password": "secret",
    "extra": {"doveadm": "https://mail.tindheim.example/doveadm/v1", "api_key": "key", "accounts": "accounts"},
}


@pytest.fixture
def connect(monkeypatch: pytest.MonkeyPatch):
    def connect(known: dict, name: str = "MAIL", **extra: object) -> None:
        told = {**known, "extra": {**known.get("extra", {}), **extra}}
        monkeypatch.setenv(f"AIRFLOW_CONN_{name}", json.dumps({key: value for key, value in told.items() if value}))

    return connect


def rules(platform: str) -> SimpleNamespace:
    return SimpleNamespace(platform=platform, connection="mail")


def test_microsoft_365_is_reached_by_its_connection(connect) -> None:
    with graph() as there:
        mailbox = there.create()
        connect(GRAPH, url=there.settings.url, authority=there.settings.authority, ca=there.settings.ca)
        with mail.platform(rules("graph")) as platform:
            assert platform.account(mailbox).may_sign_in


def test_microsoft_s_own_cloud_needs_nothing_but_tenant_application_and_secret(connect) -> None:
    connect(GRAPH)
    found = mail.graph_settings("mail")
    assert (found.url, found.fidelity) == ("https://graph.microsoft.com/v1.0", "full")
    assert SECRET not in repr(found)
    connect({**GRAPH, "password": None}, certificate="app.pem", fidelity="mime")
    found = mail.graph_settings("mail")
    assert (found.secret, found.certificate, found.fidelity) == (None, "app.pem", "mime")


def test_dovecot_is_found_by_its_connection(connect) -> None:
    connect(DOVECOT, table="mail.accounts")
    connect({"conn_type": "postgres", "host": "db.tindheim.example", "schema": "mail"}, "ACCOUNTS")
    found = mail.dovecot_settings("mail")
    assert (found.host, found.port, found.table) == ("mail.tindheim.example", 993, "mail.accounts")
    assert "db.tindheim.example" in found.accounts
    assert "secret" not in repr(found)
    with mail.platform(rules("imap")) as platform:
        assert isinstance(platform, DovecotPlatform)


@pytest.mark.parametrize(
    ("platform", "known", "extra", "told"),
    [
        ("imap", {**DOVECOT, "password": None}, {}, "found no password"),
        ("imap", {**DOVECOT, "extra": {}}, {}, "found no doveadm, api_key, accounts"),
        ("graph", {**GRAPH, "password": None}, {}, "found no password, or certificate in extra"),
        ("graph", {**GRAPH, "extra": {}}, {}, "found no tenant in extra"),
        ("graph", GRAPH, {"fidelity": "none"}, "found fidelity 'none', expected full or mime"),
    ],
)
def test_what_a_connection_lacks_is_said(connect, platform: str, known: dict, extra: dict, told: str) -> None:
    connect(known, **extra)
    with pytest.raises(ConfigError, match=told) as caught, mail.platform(rules(platform)):
        pass
    assert "secret" not in str(caught.value)
    assert SECRET not in str(caught.value)


# ------------------------------------------------------------ rounds through mailboxes


@pytest.mark.parametrize(("name", "has"), [("remind_of_old_mail", "upkeep"), ("scan_mail", "scan")])
def test_a_round_is_there_when_the_policy_has_it(monkeypatch: pytest.MonkeyPatch, name: str, has: str) -> None:
    policy = load(ROOT / "include" / "policy")
    for there in (True, False):
        rules = replace(
            policy.offboarding, **{has: {"upkeep": Upkeep("R11", ()), "scan": "R12"}[has] if there else None}
        )
        monkeypatch.setattr(sweep, "policy", lambda rules=rules: replace(policy, offboarding=rules))
        bag = DagBag(str(ROOT / "dags" / f"{name}.py"))
        assert bag.import_errors == {}
        assert set(bag.dags) == ({name} if there else set())
    monkeypatch.setattr(sweep, "policy", lambda: replace(policy, offboarding=None))
    assert DagBag(str(ROOT / "dags" / f"{name}.py")).dags == {}


def test_the_officer_is_told_in_every_way_and_what_did_not_take_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    sent = []

    def by(notifier: object) -> None:
        sent.append(notifier)
        if isinstance(notifier, Webhook):
            raise letters.NotSent("it answered 500")

    monkeypatch.setattr(letters, "_by", by)
    places = {"privacy-officer": ("ombud@tindheim.example", "webhook:chat")}
    policy = SimpleNamespace(organisation=SimpleNamespace(notify=places))
    with pytest.raises(letters.NotSent, match="not told: privacy-officer by webhook:chat"):
        letters.tell(policy, "privacy-officer", "Subject", "One\n\n<two>\nthree")
    assert len(sent) == 2
    mailed = next(each for each in sent if not isinstance(each, Webhook))
    assert mailed.html_content == "<p>One</p><p>&lt;two&gt;<br>three</p>"
    with pytest.raises(letters.NotSent, match="hr-manager: the policy has no way to it"):
        letters.tell(policy, "hr-manager", "Subject", "Text")


def test_a_letter_that_is_not_taken_lets_the_next_one_go(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: object) -> None:
        raise AirflowException("a letter was not sent")

    monkeypatch.setattr(upkeep, "send", refuse)
    with pytest.raises(StoreError, match="a letter was not sent"):
        upkeep._send(Letter(Mailbox("kari@tindheim.example"), "x", "y"))


@pytest.mark.parametrize("name", ["remind", "scan"])
def test_the_tasks_go_round_over_what_airflow_has(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    made = []

    class Caretaker:
        def __init__(self, *given: object) -> None:
            made.append(given)

        def remind(self, now: object) -> Counter[str]:
            return Counter(employees=3, told=1)

        def scan(self, now: object, report: object) -> Counter[str]:
            return Counter(employees=3, told=1)

    desk = SimpleNamespace(policy=1, state=SimpleNamespace(looked=2), directory=3, platform=4)
    monkeypatch.setattr(upkeep, "desk_at_work", lambda: nullcontext(desk))
    monkeypatch.setattr(upkeep, "Caretaker", Caretaker)
    assert getattr(upkeep, name).function() == {"employees": 3, "told": 1}
    assert made == [(1, 2, 3, 4, upkeep._send)]
