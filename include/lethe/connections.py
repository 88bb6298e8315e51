"""Where stores are: Airflow's own AIRFLOW_CONN_<ID> variables, as URI or JSON, read without Airflow."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from psycopg.conninfo import make_conninfo

from lethe.errors import ConfigError

_LIBPQ = {"sslmode", "sslrootcert", "sslcert", "sslkey", "options", "target_session_attrs", "application_name"}


def conninfo_from_environment(connection: str, environment: Mapping[str, str] = os.environ) -> str:
    """The libpq connection string of an Airflow connection; ConfigError when its variable is missing or unreadable."""
    variable = f"AIRFLOW_CONN_{connection.upper()}"
    text = environment.get(variable)
    if not text:
        raise ConfigError(
            f"connection {connection}: {variable} is not set; set it to a URI such as "
            "postgresql://user:password@host:5432/database, or to Airflow's JSON form"
        )
    try:
        return _from_json(text) if text.lstrip().startswith("{") else _from_uri(text)
    except ValueError:
        raise ConfigError(f"{variable}: cannot be read as a PostgreSQL connection of Airflow (URI or JSON)") from None


def conninfo_from_parts(
    *, host: str | None, port: int | None, login: str | None, password: str | None, database: str | None,
    extra: Mapping[str, Any],
) -> str:  # fmt: skip
    """The libpq connection string of an Airflow connection's fields; extras that libpq does not know are left out."""
    known = {key: str(value) for key, value in extra.items() if key in _LIBPQ}
    fields = {"host": host, "port": port, "user": login, "password": password, "dbname": database}
    return make_conninfo("", **{key: value for key, value in fields.items() if value}, **known)


def is_postgres(kind: str) -> bool:
    """Whether a connection's type, or a URI's scheme, is one of PostgreSQL's names."""
    return kind.lower() in ("postgres", "postgresql")


def _from_json(text: str) -> str:
    data = json.loads(text)
    if not is_postgres(data.get("conn_type") or "postgres"):
        raise ValueError("not a PostgreSQL connection")
    extra = data.get("extra") or {}
    return conninfo_from_parts(
        host=data.get("host"),
        port=data.get("port"),
        login=data.get("login"),
        password=data.get("password"),
        database=data.get("schema"),
        extra=json.loads(extra) if isinstance(extra, str) else extra,
    )


def _from_uri(text: str) -> str:
    uri = urlsplit(text)
    if not is_postgres(uri.scheme):
        raise ValueError("not a PostgreSQL connection")
    query = dict(parse_qsl(uri.query))
    extra = query.pop("__extra__", None)
    return conninfo_from_parts(
        host=unquote(uri.hostname) if uri.hostname else query.get("host"),
        port=uri.port,
        login=unquote(uri.username) if uri.username else None,
        password=unquote(uri.password) if uri.password else None,
        database=unquote(uri.path.lstrip("/")) or None,
        extra=json.loads(extra) if extra else query,
    )
