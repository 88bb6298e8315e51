"""Where stores and anchors are: Airflow's own AIRFLOW_CONN_<ID> variables, as URI or JSON, read without Airflow."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from psycopg.conninfo import make_conninfo

from lethe.errors import ConfigError

_LIBPQ = {"sslmode", "sslrootcert", "sslcert", "sslkey", "options", "target_session_attrs", "application_name"}


@dataclass(frozen=True)
class Parts:
    """The fields of an Airflow connection; `kind` is its type, `extra` what else it says."""

    kind: str
    host: str | None = None
    port: int | None = None
    login: str | None = None
    password: str | None = field(default=None, repr=False)
    schema: str | None = None
    extra: Mapping[str, Any] = field(default_factory=dict, repr=False)


def conninfo_from_environment(connection: str, environment: Mapping[str, str] = os.environ) -> str:
    """The libpq connection string of an Airflow connection; ConfigError when its variable is missing or unreadable."""
    parts = parts_from_environment(connection, environment, "postgresql://user:password@host:5432/database")
    if not is_postgres(parts.kind or "postgres"):
        raise ConfigError(
            f"{_variable(connection)}: cannot be read as a PostgreSQL connection of Airflow (URI or JSON)"
        )
    return conninfo_from_parts(
        host=parts.host or parts.extra.get("host"),
        port=parts.port,
        login=parts.login,
        password=parts.password,
        database=parts.schema,
        extra=parts.extra,
    )


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


def parts_from_environment(connection: str, environment: Mapping[str, str], example: str) -> Parts:
    """The fields of an Airflow connection; ConfigError, with an example, when its variable is missing or unreadable."""
    variable = _variable(connection)
    text = environment.get(variable)
    if not text:
        raise ConfigError(
            f"connection {connection}: {variable} is not set; set it to a URI such as {example}, "
            "or to Airflow's JSON form"
        )
    try:
        return _from_json(text) if text.lstrip().startswith("{") else _from_uri(text)
    except (ValueError, TypeError):
        raise ConfigError(f"{variable}: cannot be read as a connection of Airflow (URI or JSON)") from None


def _variable(connection: str) -> str:
    return f"AIRFLOW_CONN_{connection.upper()}"


def _from_json(text: str) -> Parts:
    data = json.loads(text)
    extra = data.get("extra") or {}
    return Parts(
        kind=data.get("conn_type") or "",
        host=data.get("host"),
        port=int(data["port"]) if data.get("port") else None,
        login=data.get("login"),
        password=data.get("password"),
        schema=data.get("schema"),
        extra=_mapping(json.loads(extra) if isinstance(extra, str) else extra),
    )


def _from_uri(text: str) -> Parts:
    """As Airflow reads them: a host may bring its own scheme, type://https://host, and be quoted with path and port."""
    kind, separator, rest = text.partition("://")
    if not separator:
        raise ValueError("no URI")
    uri = urlsplit(rest if re.match(r"[a-zA-Z][a-zA-Z0-9+.-]*://", rest) else f"//{rest}")
    host = unquote(re.sub(r":\d*$", "", uri.netloc.rpartition("@")[2]).strip("[]"))
    query = dict(parse_qsl(uri.query))
    extra = query.pop("__extra__", None)
    return Parts(
        kind=kind.replace("-", "_"),
        host=f"{uri.scheme}://{host}" if uri.scheme else host or None,
        port=uri.port,
        login=unquote(uri.username) if uri.username else None,
        password=unquote(uri.password) if uri.password else None,
        schema=unquote(uri.path.removeprefix("/")) or None,
        extra=_mapping(json.loads(extra)) if extra else query,
    )


def _mapping(value: object) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise TypeError("extra is no object")
    return value
