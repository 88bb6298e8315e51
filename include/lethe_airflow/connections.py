"""Airflow's connections, from whatever secrets backend, as libpq connection strings and as URLs."""

from __future__ import annotations

from airflow.sdk import Connection

from lethe.connections import Parts, conninfo_from_parts, is_postgres
from lethe.errors import ConfigError


def conninfo(connection_id: str) -> str:
    """The libpq connection string of an Airflow connection; Airflow's own error when there is none of that id."""
    found = Connection.get(connection_id)
    if not is_postgres(found.conn_type or "postgres"):
        raise ConfigError(f"connection {connection_id}: found type {found.conn_type}, expected postgres")
    return conninfo_from_parts(
        host=found.host,
        port=found.port,
        login=found.login,
        password=found.password,
        database=found.schema,
        extra=found.extra_dejson,
    )


def url(connection_id: str) -> str:
    """The URL that an Airflow connection leads to; Airflow's own error when there is none of that id."""
    from lethe.urls import url_from_parts

    found = Connection.get(connection_id)
    parts = Parts(
        kind=found.conn_type or "",
        host=found.host,
        port=found.port,
        login=found.login,
        password=found.password,
        schema=found.schema,
        extra=found.extra_dejson,
    )
    return url_from_parts(connection_id, parts)
