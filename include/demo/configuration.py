"""How the demo configures Airflow and Lethe: pure functions from ports and secrets to environment variables."""

from __future__ import annotations

import json
import os
import secrets
import shlex
import socket
from base64 import b64encode
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

STORES = ("website", "portal", "surveys", "contacts", "webshop", "bookkeeping", "contact-centre", "directory")
DATABASE_ROLES = ("airflow", "lethe_owner", "lethe_worker", "lethe_officer", "lethe_sealer")
USERS = {"admin": "Admin", "officer": "PrivacyOfficer", "platform": "Platform", "hr": "HR", "manager": "Manager"}


TENANT, CLIENT = "tindheim.example", "lethe"
"""Who signs in to the demo's Microsoft 365."""


def database_of(store: str) -> str:
    """Return the demo database that a store of stores.yaml lives in."""
    return f"demo_{store.replace('-', '_')}"


def connection_variable(store: str) -> str:
    """Return the environment variable in which Airflow and Lethe find a store's address."""
    return f"AIRFLOW_CONN_LETHE_{store.replace('-', '_').upper()}"


def ensure_secrets(path: Path) -> dict[str, str]:
    """Return the demo's passwords and keys, generated on first use into a file that only its owner may read."""
    known: dict[str, str] = json.loads(path.read_text()) if path.exists() else {}
    names = [f"database:{role}" for role in ("postgres", *DATABASE_ROLES)]
    names += [f"user:{user}" for user in USERS] + ["api", "jwt", "replay", "mail"]
    missing = {name: secrets.token_hex(16) for name in names if name not in known}
    if missing:
        write_private(path, json.dumps(known | missing, indent=1))
    return known | missing


def read_ports(path: Path) -> dict[str, int]:
    """Return the ports of last time; empty before the first start."""
    return dict(json.loads(path.read_text())) if path.exists() else {}


def ensure_ports(path: Path, names: tuple[str, ...], keep: tuple[str, ...] = ()) -> dict[str, int]:
    """Return a free port on 127.0.0.1 for each name: that of last time where it is free, or ours to keep."""
    before = read_ports(path)
    usable = {name for name, port in before.items() if name in keep or _free(port)}
    ports = {name: before[name] if name in usable else _any_port() for name in names}
    path.write_text(json.dumps(ports))
    return ports


def airflow_variables(home: Path, ports: Mapping[str, int], keys: Mapping[str, str]) -> dict[str, str]:
    """Return what every process of the demo's Airflow needs to know, besides where the code is.

    The pauses are short because two cores have to get through some two hundred small tasks while somebody watches;
    a production site keeps Airflow's own values (docker-compose.yaml does). The heartbeat is the one that counts: a
    worker that misses the moment at which its task ends looks again only then, with its slot taken.
    """
    address = f"http://127.0.0.1:{ports['api']}"
    return {
        "AIRFLOW_HOME": str(home / "airflow"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
        "AIRFLOW__CORE__PARALLELISM": "8",
        "AIRFLOW__CORE__AUTH_MANAGER": "lethe_airflow.auth_manager.LetheFabAuthManager",
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{address}/execution/",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": _metadata_address(ports, keys),
        "AIRFLOW__API__BASE_URL": address,
        "AIRFLOW__API__HOST": "127.0.0.1",
        "AIRFLOW__API__PORT": str(ports["api"]),
        "AIRFLOW__API__WORKERS": "1",
        "AIRFLOW__API__SECRET_KEY": keys["api"],
        "AIRFLOW__API_AUTH__JWT_SECRET": keys["jwt"],
        "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(home / "logs" / "tasks"),
        "AIRFLOW__LOGGING__DAG_PROCESSOR_CHILD_PROCESS_LOG_DIRECTORY": str(home / "logs" / "dag_processor"),
        "AIRFLOW__LOGGING__COLORED_CONSOLE_LOG": "False",
        "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.1",
        "AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL": "1",
        "AIRFLOW__DAG_PROCESSOR__PARSING_PROCESSES": "1",
        "GX_ANALYTICS_ENABLED": "False",
        # Tasks talk to the API on this machine; a proxy of the surroundings would not find it.
        "NO_PROXY": "127.0.0.1,localhost",
        "no_proxy": "127.0.0.1,localhost",
    }


def store_variables(ports: Mapping[str, int], keys: Mapping[str, str], role: str = "lethe_worker") -> dict[str, str]:
    """Return the addresses of the stores and of Lethe's own state, for one database role."""
    databases = {store: database_of(store) for store in STORES} | {"state": "lethe_state"}
    password = keys[f"database:{role}"]
    return {
        connection_variable(store): f"postgresql://{role}:{password}@127.0.0.1:{ports['postgres']}/{database}"
        for store, database in databases.items()
    }


def evidence_variables(home: Path, ports: Mapping[str, int], keys: Mapping[str, str]) -> dict[str, str]:
    """Return where evidence is sealed: the log, the key that signs it, what is kept outside, and the one anchor."""
    password = keys["database:lethe_sealer"]
    archive = {"conn_type": "fs", "extra": {"path": str(home / "archive")}}
    return {
        connection_variable(
            "evidence"
        ): f"postgresql://lethe_sealer:{password}@127.0.0.1:{ports['postgres']}/lethe_evidence",
        connection_variable("archive"): json.dumps(archive),
        "LETHE_EVIDENCE_KEY_FILE": str(home / "evidence.key"),
        "LETHE_EVIDENCE_OUTSIDE": str(home / "outside"),
        "LETHE_REPLAY_KEY": b64encode(keys["replay"].encode()).decode(),
    }


def folder_variables(home: Path) -> dict[str, str]:
    """Return the address of the folder with the documents of cases."""
    documents = {"conn_type": "fs", "extra": {"path": str(home / "case-documents")}}
    return {connection_variable("case-documents"): json.dumps(documents)}


def far_from(now: datetime) -> str:
    """Return a daily schedule half a day away: no sweep of the clock's comes between the demo's own."""
    return f"0 {(now.hour + 12) % 24} * * *"


def surroundings() -> dict[str, str]:
    """Return this process's environment without what another Airflow or PostgreSQL of this person left in it."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "PG"))}


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner may read, never readable by others in between."""
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)


def write_variables(path: Path, variables: Mapping[str, str]) -> None:
    """Write variables in a form that both a shell and read_variables() understand."""
    write_private(path, "".join(f"{name}={shlex.quote(value)}\n" for name, value in sorted(variables.items())))


def read_variables(path: Path) -> dict[str, str]:
    """Read what write_variables() wrote."""
    words = (shlex.split(line)[0] for line in path.read_text().splitlines() if line)
    return dict(word.split("=", 1) for word in words)


def _metadata_address(ports: Mapping[str, int], keys: Mapping[str, str]) -> str:
    return f"postgresql+psycopg://airflow:{keys['database:airflow']}@127.0.0.1:{ports['postgres']}/airflow"


def _free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _any_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
