"""The mail platform that a policy names, found by its Airflow connection; what is missing there is said."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest

from graph import CLIENT, SECRET, TENANT, graph
from lethe.errors import ConfigError
from lethe.offboarding.dovecot import DovecotPlatform
from lethe_airflow import mail

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
