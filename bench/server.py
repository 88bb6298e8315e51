"""A PostgreSQL of its own for the figures, set as a production server would be, and copies of prepared databases."""

from __future__ import annotations

import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

from demo.postgres import Postgres

PASSWORDS = {"lethe_worker": "worker", "lethe_officer": "officer"}

SETTINGS = {
    "shared_buffers": "1GB",
    "synchronous_commit": "on",
    "fsync": "on",
    "full_page_writes": "on",
    "wal_level": "replica",
    "max_wal_senders": "10",
    "max_wal_size": "8GB",
    "min_wal_size": "4GB",
    "maintenance_work_mem": "256MB",
    "random_page_cost": "1.1",
    "jit": "off",
    "autovacuum": "off",
}
"""JIT would slow the floors down, and Lethe's own sessions switch it off. Autovacuum would come by in one half of a
pair and not in the other, so VACUUM is run, and timed, by name."""


class Server:
    """One running server; databases are made once and copied for every repetition."""

    def __init__(self, postgres: Postgres) -> None:
        self.postgres = postgres

    def conninfo(self, database: str, role: str = "postgres") -> str:
        """The address of a database for a role."""
        return self.postgres.conninfo(database, role, PASSWORDS.get(role, "admin"))

    def connect(self, database: str, role: str = "postgres") -> psycopg.Connection:
        """A connection that commits by itself."""
        return psycopg.connect(self.conninfo(database, role), autocommit=True)

    def create(self, database: str) -> None:
        """An empty database."""
        self.postgres.ensure_database(database, "postgres", tuple(PASSWORDS))

    def drop(self, database: str) -> None:
        """The database goes, with whoever is in it."""
        with self.postgres.admin() as connection:
            connection.execute(f"DROP DATABASE IF EXISTS {database} WITH (FORCE)")

    @contextmanager
    def copy(self, template: str) -> Iterator[str]:
        """A copy of a database, file by file, for as long as the block lasts; it starts right after a checkpoint."""
        name = f"{template}_copy"
        self.drop(name)
        with self.postgres.admin() as connection:
            connection.execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy")
            connection.execute(f"GRANT CONNECT ON DATABASE {name} TO {', '.join(PASSWORDS)}")
        try:
            yield name
        finally:
            self.drop(name)

    def version(self) -> str:
        """The server's version number."""
        with self.postgres.admin() as connection:
            return str(connection.info.parameter_status("server_version"))


@contextmanager
def server() -> Iterator[Server]:
    """The server, started in a directory that goes with it."""
    home = Path(tempfile.mkdtemp(prefix="lethe-bench-"))
    home.chmod(0o755)  # the server runs as another user when this runs as root
    postgres = Postgres(home / "data", home / "server.log", _free_port(), "admin")
    try:
        postgres.start()
        with postgres.admin() as connection:
            for name, value in SETTINGS.items():
                connection.execute(f"ALTER SYSTEM SET {name} = '{value}'")
        postgres.stop()
        postgres.start()
        postgres.ensure_roles(PASSWORDS)
        yield Server(postgres)
    finally:
        postgres.stop()
        shutil.rmtree(home, ignore_errors=True)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
