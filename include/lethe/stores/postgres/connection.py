"""Connections, and the one place where the driver's errors become Lethe's.

PostgreSQL's messages carry values of rows: DETAIL always, the message itself for unreadable input. Only the condition,
its SQLSTATE and the names of schema objects leave this file, and the driver's exception is not chained.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

import psycopg

from lethe.errors import ConfigError, StoreError, StoreRefused, StoreUnreachable
from lethe.model import Plan, Rule

_P = ParamSpec("_P")
_T = TypeVar("_T")

_REMEDIES = {
    "25006": "the database is read-only (a replica, or in recovery); connect to the primary",
    "28P01": "the password was refused; correct the Airflow connection",
    "28000": "the user may not connect; correct the Airflow connection or the server's pg_hba.conf",
    "3D000": "there is no such database; correct the Airflow connection",
    "42501": "the user lacks a permission, or row-level security would hide rows from it; the store's owner runs what "
    "`lethe store grants` prints, and gives the user BYPASSRLS where it is needed",
    "42P01": "a table is missing; the store's owner runs what `lethe store grants` prints, or the policy is corrected",
    "53100": "the disk is full; nothing of the batch was kept; make room and run again",
    "53200": "the server is out of memory; nothing of the batch was kept; run again later",
    "53300": "the server has no free connections; run again later",
    "55P03": "a lock was not to be had in time; somebody works on these rows; run again later",
    "57014": "the statement ran into its time limit; an index on the clock may help; run again",
    "40P01": "a deadlock was broken; nothing of the batch was kept; run again",
    "23503": "other rows still refer to these by a foreign key; declare them as following, or delete them first",
}

_SESSION = (
    "-c timezone=UTC -c datestyle=ISO -c search_path=pg_catalog -c intervalstyle=iso_8601"
    " -c jit=off -c row_security=off -c synchronous_commit=on"
)
"""Compiling a statement first costs more than it brings here: each is new text and runs for seconds at most.

A deed that was told to the log must be on the disk: a store that loses it in a crash has another history than the log.

Rows that a policy of row-level security hides could be holds: then the server is to refuse, not to leave them out.
"""


class Connection:
    """A connection to one store, opened on first use and again after it broke.

    Where an address is only looked up then, one that is missing is a store that cannot be reached.
    """

    def __init__(self, name: str, conninfo: str | Callable[[], str]) -> None:
        self.name = name
        self._conninfo = conninfo
        self._conn: psycopg.Connection[tuple[Any, ...]] | None = None

    def get(self) -> psycopg.Connection[tuple[Any, ...]]:
        """The open connection: autocommit, UTC, names qualified or nothing."""
        if self._conn is None or self._conn.closed:
            self._conn = psycopg.connect(
                self._address(),
                autocommit=True,
                connect_timeout=10,
                application_name="lethe",
                options=_SESSION,
            )
        return self._conn

    def _address(self) -> str:
        if isinstance(self._conninfo, str):
            return self._conninfo
        try:
            return self._conninfo()
        except ConfigError as error:
            raise StoreUnreachable(f"store {self.name}: {error}") from None

    def close(self) -> None:
        """Close it; open batches are rolled back by the server."""
        if self._conn is not None:
            self._conn.close()


def telling(method: Callable[Concatenate[Any, _P], _T]) -> Callable[Concatenate[Any, _P], _T]:
    """Let a store's method raise StoreError instead of the driver's errors, worded by tell()."""

    @wraps(method)
    def told(self: Any, /, *args: _P.args, **kwargs: _P.kwargs) -> _T:
        try:
            return method(self, *args, **kwargs)
        except psycopg.Error as error:
            problem = tell(self.store.name, error, _rule_of(*args))
        raise problem  # outside the handler, so that the driver's exception and its row values are not in its context

    return told


def _rule_of(subject: object = None, *_: object) -> str | None:
    """The rule that a call is about: its first argument is a rule or a plan, or it is about none."""
    if isinstance(subject, Rule):
        return subject.name
    return subject.rule if isinstance(subject, Plan) else None


def tell(store: str, error: psycopg.Error, rule: str | None = None) -> StoreError:
    """The error in Lethe's words: where it happened, what the server said, and what to do."""
    state, place = error.sqlstate, f"store {store}, rule {rule}" if rule else f"store {store}"
    if state is None and not isinstance(error, psycopg.OperationalError | psycopg.InterfaceError):
        return StoreRefused(
            f"{place}: the driver gave up with {type(error).__name__}: what the database holds is beyond it, a date "
            "before the year 1 perhaps; nothing of an open batch was kept"
        )
    if state is None or state.startswith(("08", "57P")):
        return StoreUnreachable(f"{place}: {_why_unreachable(error)}; nothing of an open batch was kept")
    diag = error.diag
    named = [f"{what} {name}" for what, name in _objects(diag) if name]
    where = f" on {', '.join(named)}" if named else ""
    remedy = _REMEDIES.get(state, "see the server's own log for the details, which are not repeated here")
    text = f"{place}: the database answered {type(error).__name__} ({state}){where}: {remedy}"
    return StoreUnreachable(text) if state.startswith("28") or state == "3D000" else StoreRefused(text)


def _objects(diag: psycopg.errors.Diagnostic) -> list[tuple[str, str | None]]:
    return [("table", diag.table_name), ("column", diag.column_name), ("constraint", diag.constraint_name)]


def _why_unreachable(error: psycopg.Error) -> str:
    """Connection failures carry no SQLSTATE in libpq; their text names hosts, users and databases, never rows."""
    text = str(error)
    for sign, state in (("password authentication failed", "28P01"), ("no pg_hba.conf entry", "28000")):
        if sign in text:
            return _REMEDIES[state]
    if "permission denied for database" in text:
        return "the user lacks the permission CONNECT on the database; its owner grants it"
    if "does not exist" in text:
        return "the database or its user does not exist; correct the Airflow connection"
    if isinstance(error, psycopg.OperationalError) and "connection failed" in text:
        return "no connection to the server; is it up, and are host and port of the Airflow connection right?"
    return "the connection to the server was lost; run again"
