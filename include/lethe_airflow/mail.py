"""The desk that carries out departures, over Airflow's connections: the directory, the mail platform, lethe_state."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from functools import partial
from typing import TYPE_CHECKING

from airflow.providers.smtp.hooks.smtp import SmtpHook
from airflow.sdk import Connection
from airflow.sdk.exceptions import AirflowException, AirflowSkipException

from lethe.errors import ConfigError
from lethe.model import Policy
from lethe.offboarding.departures import Withdrawn
from lethe.offboarding.desk import Desk
from lethe.offboarding.directory import Directory, values_of
from lethe.offboarding.letters import Letter
from lethe.offboarding.platform import Platform
from lethe.offboarding.rules import Offboarding
from lethe.run import Lethe
from lethe.stores.postgres import connection as postgres
from lethe_airflow.connections import conninfo
from lethe_airflow.letters import as_html
from lethe_airflow.sweep import lethe_at_work

if TYPE_CHECKING:
    from lethe.offboarding import dovecot, graph_client
    from lethe.offboarding.dovecot import DovecotPlatform
    from lethe.offboarding.graph import GraphPlatform

SMTP = "smtp_default"


@contextmanager
def desk_at_work() -> Iterator[Desk]:
    """The desk over the project's policy; once a departure was withdrawn, what is left of its run is skipped."""
    withdrawn = ""
    with lethe_at_work() as lethe, platform(_rules(lethe.policy)) as mail:
        where = _rules(lethe.policy).directory
        there = postgres.Connection(where.store, partial(lethe.address, where.store))
        with closing(Directory(there, where)) as directory:
            try:
                yield Desk(lethe.policy, lethe.state, directory, mail, partial(_customers, lethe))
            except Withdrawn as why:
                withdrawn = str(why)
    if withdrawn:
        raise AirflowSkipException(withdrawn)


def _rules(policy: Policy) -> Offboarding:
    if policy.offboarding is None:
        raise ConfigError("the policy has no offboarding.yaml: Lethe touches nobody's mailbox")
    return policy.offboarding


def _customers(lethe: Lethe) -> tuple[str, ...]:
    where = _rules(lethe.policy).hand_over.customers_in
    if where is None:
        return ()
    dataset = lethe.policy.datasets[where[0]]
    with closing(postgres.Connection(dataset.store, lethe.address(dataset.store))) as there:
        return values_of(there, dataset, where[1])


@contextmanager
def platform(rules: Offboarding) -> Iterator[Platform]:
    """The mail platform that the policy names, by its connection."""
    from lethe.offboarding.dovecot import DovecotPlatform  # both take a while to load, and a DAG file needs neither
    from lethe.offboarding.graph import GraphPlatform

    found: DovecotPlatform | GraphPlatform
    if rules.platform == "graph":
        found = GraphPlatform(graph_settings(rules.connection))
    else:
        found = DovecotPlatform(dovecot_settings(rules.connection))
    with closing(found):
        yield found


def dovecot_settings(connection_id: str) -> dovecot.Settings:
    """Dovecot's settings from an Airflow connection: host, port, login and password are IMAP's, by the master user.

    Of its extra, `doveadm` is the URL of its HTTP API and `api_key` its key, `accounts` the id of the connection to the
    database of accounts, `ca` a PEM file, `table` the table of accounts. ConfigError when something is missing.
    """
    from lethe.offboarding import dovecot

    found = Connection.get(connection_id)
    extra = found.extra_dejson
    wanted = {"host": found.host, "login": found.login, "password": found.password}
    _require(connection_id, wanted | {name: extra.get(name) for name in ("doveadm", "api_key", "accounts")})
    return dovecot.Settings(
        host=str(found.host),
        port=found.port or 993,
        master=str(found.login),
        password=str(found.password),
        doveadm=extra["doveadm"],
        api_key=extra["api_key"],
        accounts=conninfo(extra["accounts"]),
        ca=extra.get("ca"),
        table=extra.get("table", "public.mailbox"),
    )


def graph_settings(connection_id: str) -> graph_client.Settings:
    """Microsoft Graph's settings from an Airflow connection: login is the application's id, password its secret.

    Of its extra, `tenant` is required; `certificate` is a PEM file with a key, in place of the secret; `fidelity` is
    full or mime; `url`, `authority` and `ca` are for clouds of their own. ConfigError when something is missing.
    """
    from lethe.offboarding import graph_client

    found = Connection.get(connection_id)
    extra = found.extra_dejson
    secret = {"password, or certificate in extra": found.password or extra.get("certificate")}
    _require(connection_id, {"login": found.login, "tenant in extra": extra.get("tenant"), **secret})
    fidelity = extra.get("fidelity", "full")
    if fidelity not in ("full", "mime"):
        raise ConfigError(f"connection {connection_id}: found fidelity {fidelity!r}, expected full or mime")
    known = {name: extra[name] for name in ("certificate", "url", "authority", "ca") if name in extra}
    return graph_client.Settings(
        tenant=extra["tenant"], client=str(found.login), secret=found.password or None, fidelity=fidelity, **known
    )


def _require(connection_id: str, wanted: Mapping[str, object]) -> None:
    missing = [name for name, value in wanted.items() if not value]
    if missing:
        raise ConfigError(
            f"connection {connection_id}: found no {', '.join(missing)}; docs/platform-team.md says what it takes"
        )


def send(letter: Letter) -> None:
    """Mail a letter; AirflowException when it was not taken, without whom it was for."""
    problem = ""
    try:
        with SmtpHook(smtp_conn_id=SMTP) as hook:
            hook.send_email_smtp(to=letter.to, subject=letter.subject, html_content=as_html(letter.text))
    except Exception as error:  # noqa: BLE001 - sockets, TLS, Airflow's connections: all mean that it did not go
        problem = type(error).__name__
    if problem:
        raise AirflowException(f"a letter was not sent ({problem}); see the connection {SMTP} and what it leads to")
