"""The demo's environment: an embedded PostgreSQL and a real Airflow, started, watched and ended as one.

Everything it makes lies under `.lethe/` of the checkout: data, logs, pid files, generated secrets, and `env`, the
variables that any other process needs to take part.
"""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from demo import configuration
from demo.configuration import DATABASE_ROLES, STORES, USERS, database_of
from demo.mail import ACCOUNTS, PORTS, Mail
from demo.postgres import ADMIN, Postgres
from demo.processes import Service, stop
from lethe import clock
from lethe.evidence.keys import create_key

ROOT = Path(__file__).resolve().parents[2]
ORIGIN = "tindheim.example/lethe"
START_SECONDS = 120.0

# The log server of these two is not needed: everything reads the same disk.
PROGRAMS = {
    "api-server": ("api-server",),
    "scheduler": ("scheduler", "--skip-serve-logs"),
    "dag-processor": ("dag-processor",),
    "triggerer": ("triggerer", "--skip-serve-logs"),
}


class EnvironmentFailed(Exception):
    """The environment could not be started or ended; the message says which part, why, and where its log is."""


class Environment:
    """One environment in one directory; several can run side by side in different directories."""

    def __init__(
        self, home: Path = ROOT / ".lethe", dags: Path = ROOT / "dags", say: Callable[[str], None] = print
    ) -> None:
        self.home, self._dags, self._say = home, dags, say
        self._airflow = [self._service(name, sys.executable, "-m", "airflow", *PROGRAMS[name]) for name in PROGRAMS]

    @property
    def services(self) -> list[Service]:
        """Everything that runs beside PostgreSQL: the mail servers, and Airflow's processes."""
        return [*self._mail_services(), *self._airflow]

    def up(self) -> None:
        """Start everything that is not running, and return when Airflow reports itself healthy.

        Raises EnvironmentFailed with the last lines of the log when a part dies or does not come up.
        """
        began = time.monotonic()
        self._make_directories()
        with self._alone():
            if self.healthy():
                self._say("already running")
                return
            self._end_leftovers()
            variables = self._start_postgres()
            self._start_mail()
            self._prepare_metadata(variables)
            self._start_airflow(variables)
        self._say(f"ready after {time.monotonic() - began:.1f} s")

    def down(self) -> None:
        """End everything, and make sure that it is gone; the data stays."""
        self._make_directories()
        with self._alone(), self._step("stopping"):
            left = stop(self.services)
            if (self.home / "ports.json").exists():
                self.postgres().stop()
            if left:
                raise EnvironmentFailed(f"these processes would not end: {left}; see {self.home / 'logs'}")

    def status(self) -> dict[str, str]:
        """Return what each part is doing: "healthy", "running" or "stopped"."""
        health = self._health()
        parts = {name: "healthy" if state == "healthy" else "running" for name, state in health.items()}
        parts |= {s.name: parts.get(s.name, "running") if s.leader() else "stopped" for s in self._airflow}
        for service in self._mail_services():
            answers = service.leader() is not None and self.mail().answers(service.name)
            parts[service.name] = "healthy" if answers else "stopped" if service.leader() is None else "running"
        known = (self.home / "ports.json").exists()
        return {"postgres": "healthy" if known and self.postgres().running() else "stopped"} | parts

    def healthy(self) -> bool:
        """Tell whether every part runs and Airflow has heard from each within its own thresholds."""
        health = self._health()
        return bool(health) and set(health.values()) == {"healthy"} and all(s.leader() for s in self.services)

    def variables(self) -> dict[str, str]:
        """Return the variables with which any program takes part in this environment."""
        return configuration.read_variables(self.home / "env")

    def url(self) -> str:
        """Return the address of Airflow's web pages."""
        return self.variables()["AIRFLOW__API__BASE_URL"]

    def passwords(self) -> dict[str, str]:
        """Return the demo users' passwords by user name."""
        keys = self._secrets()
        return {user: keys[f"user:{user}"] for user in USERS}

    def admin_conninfo(self, database: str) -> str:
        """Return the address of a database for the server's administrator: who plays the owner of every store."""
        return self.postgres().conninfo(database, ADMIN, self._secrets()[f"database:{ADMIN}"])

    def officer_variables(self) -> dict[str, str]:
        """Return the variables with which the privacy officer uses the command line."""
        return configuration.read_variables(self.home / "officer.env")

    def postgres(self) -> Postgres:
        """Return the environment's database server, running or not."""
        ports = configuration.read_ports(self.home / "ports.json")
        return self._postgres_at(ports["postgres"])

    # -- one step each ------------------------------------------------------------------------------------------

    def _start_postgres(self) -> dict[str, str]:
        with self._step("PostgreSQL"):
            running = (self.home / "ports.json").exists() and self.postgres().running()
            keep = ("postgres",) if running else ()
            ports = configuration.ensure_ports(self.home / "ports.json", ("postgres", "api", *PORTS), keep)
            postgres = self._postgres_at(ports["postgres"])
            try:
                postgres.start()
            except subprocess.CalledProcessError as error:
                raise EnvironmentFailed(f"PostgreSQL did not start; its log: {postgres.log}") from error
            self._make_databases(postgres)
            self._make_key()
            return self._write_variables(ports)

    def _make_databases(self, postgres: Postgres) -> None:
        keys = self._secrets()
        postgres.ensure_roles({role: keys[f"database:{role}"] for role in DATABASE_ROLES})
        postgres.ensure_database("airflow", "airflow")
        postgres.ensure_database("lethe_state", "lethe_owner", ("lethe_worker", "lethe_officer"))
        postgres.ensure_database("lethe_evidence", "lethe_owner", ("lethe_sealer",))
        postgres.ensure_database(ACCOUNTS, "lethe_owner", ("lethe_worker",))
        for store in STORES:
            postgres.ensure_database(database_of(store), "lethe_owner", ("lethe_worker",))

    def _make_key(self) -> None:
        """A key that signs the demo's evidence, on first use; a company makes its own and guards it."""
        path = self.home / "evidence.key"
        if not path.exists():
            key = create_key(path, ORIGIN)
            self._say(f"  a signing key was made for this demo alone, in {path}: never use it for anything else")
            (self.home / "evidence.pub").write_text(f"{key.verifier}\n")

    def _write_variables(self, ports: dict[str, int]) -> dict[str, str]:
        keys = self._secrets()
        airflow = configuration.airflow_variables(self.home, ports, keys)
        airflow |= {
            "AIRFLOW__CORE__DAGS_FOLDER": str(self._dags),
            "AIRFLOW__CORE__PLUGINS_FOLDER": str(ROOT / "plugins"),
            "PYTHONPATH": str(ROOT / "include"),
        }
        schedule = {"LETHE_SWEEP_AT": configuration.far_from(clock.now())}
        evidence = configuration.evidence_variables(self.home, ports, keys)
        stores = configuration.store_variables(ports, keys) | configuration.folder_variables(self.home)
        variables = airflow | schedule | evidence | stores | self.mail().variables()
        variables["LETHE_POLICY"] = str(self._lay_policy())
        configuration.write_variables(self.home / "env", variables)
        officer = configuration.store_variables(ports, keys, "lethe_officer")
        only_state = {name: value for name, value in officer.items() if name.endswith("_STATE")}
        outside = {"LETHE_EVIDENCE_OUTSIDE": evidence["LETHE_EVIDENCE_OUTSIDE"]}
        configuration.write_variables(self.home / "officer.env", only_state | outside)
        return variables

    def _start_mail(self) -> None:
        mail = self.mail()
        with self._step("Dovecot" if mail.is_real else "mail (a stand-in)"):
            mail.prepare()
            secret = {"LETHE_DEMO_MAIL_SECRET": self._secrets()["mail"], "PYTHONPATH": str(ROOT / "include")}
            for service in self._mail_services():
                service.start(configuration.surroundings() | secret, ROOT)
            mail.lay()
        if not mail.is_real:
            self._say("  no Dovecot here: a stand-in for Microsoft 365 takes its place (`make system` as root)")

    def mail(self) -> Mail:
        """Return the demo's mail servers, running or not."""
        ports, keys = configuration.read_ports(self.home / "ports.json"), self._secrets()

        def accounts(role: str) -> str:
            return self._postgres_at(ports["postgres"]).conninfo(ACCOUNTS, role, keys[f"database:{role}"])

        return Mail(self.home, ports, keys["mail"], accounts)

    @property
    def policy(self) -> Path:
        """The policy that is carried out: the shipped one, or a copy that names the mail platform that is there."""
        return Path(self.variables()["LETHE_POLICY"])

    def _lay_policy(self) -> Path:
        shipped, copy = ROOT / "include" / "policy", self.home / "policy"
        mail = self.mail()
        if not mail.is_real:
            return shipped
        shutil.copytree(shipped, copy, dirs_exist_ok=True)
        text = (shipped / "offboarding.yaml").read_text("utf-8")
        (copy / "offboarding.yaml").write_text(text.replace("kind: graph", f"kind: {mail.kind}"), "utf-8")
        return copy

    def _mail_services(self) -> list[Service]:
        if not set(PORTS) <= configuration.read_ports(self.home / "ports.json").keys():
            return [self._service(name) for name in ("mail", "letters")]
        return [self._service(name, *command) for name, command in self.mail().commands.items()]

    def _prepare_metadata(self, variables: dict[str, str]) -> None:
        # Migrating and syncing roles take seconds even when there is nothing to do; the lock file says when there is.
        stamp, wanted = self.home / "prepared", self._fingerprint()
        if stamp.exists() and stamp.read_text() == wanted:
            return
        with self._step("Airflow's database"):
            self._run(variables, "-m", "airflow", "db", "migrate")
        with self._step("roles and users"):
            passwords = {f"LETHE_PASSWORD_{user.upper()}": word for user, word in self.passwords().items()}
            users = [f"--user={user}={role}" for user, role in USERS.items()]
            self._run(variables | passwords, "-m", "lethe_airflow.roles", *users)
        stamp.write_text(wanted)

    def _start_airflow(self, variables: dict[str, str]) -> None:
        with self._step("Airflow"):
            for service in self._airflow:
                service.start(configuration.surroundings() | variables, ROOT)
            self._wait_until_healthy()

    def _wait_until_healthy(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while not self.healthy():
            for service in self.services:
                if service.leader() is None:
                    self._give_up(f"{service.name} ended while starting:\n{service.tail()}\nits log: {service.log}")
            if time.monotonic() > deadline:
                waiting = [name for name, state in self.status().items() if state != "healthy"]
                logs = self.home / "logs"
                self._give_up(f"not healthy after {START_SECONDS:.0f} s: {', '.join(waiting)}; logs in {logs}")
            time.sleep(0.2)

    def _give_up(self, why: str) -> None:
        stop(self.services)
        raise EnvironmentFailed(why)

    def _end_leftovers(self) -> None:
        # A part that survived a crash of the others would take the new scheduler's work.
        left = stop(self.services)
        if left:
            raise EnvironmentFailed(f"processes of an earlier start would not end: {left}")

    # -- small things -------------------------------------------------------------------------------------------

    def _run(self, variables: dict[str, str], *arguments: str) -> None:
        log = self.home / "logs" / "prepare.log"
        with log.open("ab") as output:
            done = subprocess.run(
                [sys.executable, *arguments],
                cwd=ROOT,
                env=configuration.surroundings() | variables,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                check=False,
            )
        if done.returncode != 0:
            tail = "\n".join(log.read_text(errors="replace").splitlines()[-15:])
            raise EnvironmentFailed(f"`{' '.join(arguments)}` failed with {done.returncode}:\n{tail}\nits log: {log}")

    def _health(self) -> dict[str, str]:
        names = {"metadatabase": "api-server", "scheduler": "scheduler", "triggerer": "triggerer"}
        names["dag_processor"] = "dag-processor"
        try:
            report = httpx.get(f"{self.url()}/api/v2/monitor/health", timeout=5, trust_env=False).json()
        except (httpx.HTTPError, FileNotFoundError, ValueError):
            return {}
        return {names[part]: str(report[part]["status"]) for part in names if part in report}

    def _service(self, name: str, *command: str) -> Service:
        return Service(name, command, self.home / "logs" / f"{name}.log", self.home / "run" / f"{name}.json")

    def _postgres_at(self, port: int) -> Postgres:
        log = self.home / "logs" / "postgres.log"
        return Postgres(self.home / "postgres", log, port, self._secrets()["database:postgres"])

    def _secrets(self) -> dict[str, str]:
        return configuration.ensure_secrets(self.home / "secrets.json")

    def _fingerprint(self) -> str:
        parts = [ROOT / "requirements.txt", ROOT / "include" / "lethe_airflow" / "roles.py"]
        content = b"".join(part.read_bytes() for part in parts) + str(sorted(self.passwords().items())).encode()
        return hashlib.sha256(content).hexdigest()

    def _make_directories(self) -> None:
        for name in ("airflow", "archive", "case-documents", "logs", "mail", "outside", "run"):
            (self.home / name).mkdir(parents=True, exist_ok=True)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        with (self.home / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    @contextmanager
    def _step(self, what: str) -> Iterator[None]:
        began = time.monotonic()
        yield
        self._say(f"  {what:<20} {time.monotonic() - began:5.1f} s")
