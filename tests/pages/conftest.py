"""A real web server of Airflow with the pages in it, over a real plan.

The server is given no address in its environment: it finds lethe_state among Airflow's own connections, where most
sites keep them. The demo and the compose file go the other way.
"""

import shutil
import sys
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from demo.environment import ROOT, Environment
from demo.generate import build
from demo.processes import Service
from lethe.connections import conninfo_from_environment
from lethe.model import Plan
from lethe.run import Lethe
from lethe.sql import script
from lethe.stores.postgres.grants import grants

POLICY = ROOT / "include" / "policy"
NOW = datetime(2025, 3, 1, 12, tzinfo=UTC)


class WebServer(Environment):
    """The demo's environment without the parts that run tasks."""

    def __init__(self, home: Path) -> None:
        super().__init__(home)
        self._airflow = [self._service("api-server", sys.executable, "-m", "airflow", "api-server")]

    def _mail_services(self) -> list[Service]:
        return []

    def _start_mail(self) -> None:
        pass

    def _start_airflow(self, variables: dict[str, str]) -> None:
        super()._start_airflow({n: v for n, v in variables.items() if not n.startswith("AIRFLOW_CONN_")})

    def _health(self) -> dict[str, str]:
        return {part: state for part, state in super()._health().items() if part == "api-server"}

    def give(self, user: str, role: str, password: str) -> None:
        """Create a user as an administrator does."""
        word = {f"LETHE_PASSWORD_{user.upper()}": password}
        self._run(self.variables() | word, "-m", "lethe_airflow.roles", f"--user={user}={role}")

    def connect(self) -> None:
        """Tell Airflow where lethe_state is."""
        known = urlsplit(self.variables()["AIRFLOW_CONN_LETHE_STATE"])
        connection = {"connection_id": "lethe_state", "conn_type": "postgres", "host": known.hostname,
                      "port": known.port, "login": known.username, "password": known.password,
                      "schema": known.path.strip("/")}  # fmt: skip
        with self.client("admin") as admin:
            admin.post("/api/v2/connections", json=connection).raise_for_status()

    def client(self, user: str | None = None, **arguments: object) -> httpx.Client:
        """A client as this user, by the bearer token that programs use; as nobody without one."""
        client = httpx.Client(base_url=self.url(), trust_env=False, timeout=30, **arguments)
        if user is not None:
            client.headers["Authorization"] = f"Bearer {self.token(user)}"
        return client

    def token(self, user: str) -> str:
        """What signing in gives."""
        words = {**self.passwords(), "viewer": "viewer"}
        with self.client() as client:
            reply = client.post("/auth/token", json={"username": user, "password": words[user]})
        return str(reply.raise_for_status().json()["access_token"])


@pytest.fixture(scope="session")
def web() -> Iterator[WebServer]:
    home = Path(tempfile.mkdtemp(prefix="lethe-pages-"))
    home.chmod(0o755)  # the database server runs as another user when the tests run as root
    web = WebServer(home)
    try:
        web.up()
        web.give("viewer", "Viewer", "viewer")
        with web.postgres().admin("lethe_state") as state:
            state.execute(script("store") + script("state"))
        web.connect()
        yield web
    finally:
        web.down()
    shutil.rmtree(home)


@pytest.fixture(scope="session")
def clients(web: WebServer) -> Iterator[dict[str, httpx.Client]]:
    clients = {user: web.client(user) for user in ("officer", "platform", "admin", "viewer")}
    yield clients
    for client in clients.values():
        client.close()


@pytest.fixture(scope="session")
def planned(web: WebServer) -> Plan:
    """A plan of the call log, made as a task would make it."""
    addresses = web.variables()

    def conninfo(connection: str) -> str:
        return conninfo_from_environment(connection, addresses)

    build({"contact-centre": web.admin_conninfo("demo_contact_centre")})
    with Lethe.open(POLICY, conninfo, addresses) as lethe, web.postgres().admin("demo_contact_centre") as store:
        store.execute(grants(lethe.policy, lethe.policy.stores["contact-centre"]))
        return lethe.plan("call-log-90-days", NOW, "run")
