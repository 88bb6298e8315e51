"""What all tests share: an Airflow that is configured by nothing but the tests, and a real PostgreSQL."""

import atexit
import os
import shutil
import socket
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from demo.postgres import Postgres
from lethe.run import Lethe
from lethe.sql import script
from lethe.stores.postgres.grants import grants
from support import PASSWORDS, Database, write_policy

# Airflow reads its configuration while it is imported, and writes one where it finds none: never into a person's home.
if "LETHE_TESTS" not in os.environ:
    home = tempfile.mkdtemp(prefix="lethe-airflow-")
    atexit.register(shutil.rmtree, home, ignore_errors=True)
    for name in [name for name in os.environ if name.startswith("AIRFLOW")]:
        del os.environ[name]
    os.environ |= {
        "LETHE_TESTS": "1",  # workers of a parallel run inherit the rest
        "AIRFLOW_HOME": home,
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__AUTH_MANAGER": "lethe_airflow.auth_manager.LetheFabAuthManager",
    }


SEALER = "GRANT lethe_evidence_writer, lethe_evidence_integrator, lethe_evidence_reader TO lethe_sealer;"


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    """A real PostgreSQL on 127.0.0.1 with Lethe's roles, for all tests."""
    home = Path(tempfile.mkdtemp(prefix="lethe-tests-"))
    home.chmod(0o755)  # the server runs as another user when the tests run as root
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    postgres = Postgres(home / "data", home / "server.log", port, "admin")
    postgres.start()
    postgres.ensure_roles(PASSWORDS)
    with postgres.admin() as admin:  # hundreds of databases come and go, and none outlives this server
        admin.execute("ALTER SYSTEM SET fsync = off")
        admin.execute("SELECT pg_reload_conf()")
    yield postgres
    postgres.stop()
    shutil.rmtree(home, ignore_errors=True)


@pytest.fixture
def new_database(server: Postgres) -> Iterator[Callable[..., Database]]:
    """Makes databases that live as long as the test."""
    made = []

    def make(*, lethe: bool = False, state: bool = False, log: bool = False) -> Database:
        database = Database(server, f"test_{uuid4().hex[:12]}")
        server.ensure_database(database.name, "postgres", tuple(PASSWORDS))
        made.append(database.name)
        if lethe or state:
            database.run(script("store"))
        if state:
            database.run(script("state"))
        if log:
            database.run(script("evidence") + SEALER)
        return database

    yield make
    with server.admin() as connection:
        for name in made:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def open_lethe(new_database: Callable[..., Database], tmp_path: Path) -> Iterator[Callable[..., Lethe]]:
    """Opens Lethe over one PostgreSQL store named `crm` and a policy of one activity, written by the test in YAML.

    `lethe.database` is the store's database; its tables are made by `schema`, and the worker gets what
    `lethe store grants` prints. `lethe.state_database` is lethe_state.
    """
    opened = []

    def make(activity: str, schema: str, *, role: str = "lethe_worker", evidence: str = "") -> Lethe:
        store, state = new_database(), new_database(state=True)
        store.run(schema)
        policy_dir = write_policy(tmp_path / f"policy-{len(opened)}", activity, evidence)
        addresses = {"crm": store.conninfo(role), "lethe_state": state.conninfo(role)}
        if evidence:
            log = new_database(log=True)
            addresses["lethe_evidence"] = log.conninfo("lethe_sealer")
        lethe = Lethe.open(policy_dir, addresses.__getitem__)
        store.run(grants(lethe.policy, lethe.policy.stores["crm"]))
        lethe.database, lethe.state_database, lethe.policy_dir = store, state, policy_dir
        lethe.addresses = addresses
        if evidence:
            lethe.log_database = log
        opened.append(lethe)
        return lethe

    yield make
    for lethe in opened:
        lethe.__exit__(None, None, None)
