"""The tables that are measured: a call log made by the server itself, and the policy over it."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from bench.server import Server
from lethe.model import Plan, Policy
from lethe.policy import load
from lethe.run import Lethe
from lethe.sql import script
from lethe.stores.postgres.grants import grants

NOW = datetime(2025, 3, 1, 12, tzinfo=UTC)
CUTOFF = "2024-11-30 23:00:00+00"
"""With P90D, calls before this moment are due on NOW's day: the first of December in Oslo."""

RULE = "calls-90-days"
STATE = "lethe_state"
RUN = "0" * 32

# A multiplier prime to the numbers of rows used here, so that n → n * 2654435761 % rows visits every rank once.
_RANK = {"spread": "n * 2654435761 % {rows}", "in order": "n"}


@dataclass(frozen=True)
class Calls:
    """A call log: its rows, how many of them are due, and whether those lie in a row or spread over the table.

    `odd` plants, per thousand rows, one without a date, one dated ahead and one that is held. `partitioned` puts the
    rows that are due into a partition of their own. `then` is what the rule does.
    """

    name: str
    rows: int
    due: int
    layout: str = "spread"
    odd: bool = False
    wide: bool = True
    partitioned: bool = False
    then: str = "delete"

    def make(self, server: Server) -> None:
        """Create the database with its table, vacuumed, and with Lethe's schema and grants."""
        server.create(self.name)
        with server.connect(self.name) as connection:
            connection.execute(script("store"))
            connection.execute(self._table())
            connection.execute(self._rows())
            key = "id, started_at" if self.partitioned else "id"
            connection.execute(f"ALTER TABLE call_log ADD PRIMARY KEY ({key})")
            connection.execute("CREATE INDEX ON call_log (started_at)")
            connection.execute(self._grants())
            connection.execute("VACUUM (FREEZE, ANALYZE) call_log")
            connection.execute("CHECKPOINT")

    def _table(self) -> str:
        columns = "id bigint NOT NULL, caller text NOT NULL, started_at timestamptz, status text NOT NULL"
        if self.wide:
            columns += ", answered_by text, queue text, duration_s integer, note text"
        if not self.partitioned:
            return f"CREATE TABLE call_log ({columns})"
        return f"""CREATE TABLE call_log ({columns}) PARTITION BY RANGE (started_at);
            CREATE TABLE call_log_old PARTITION OF call_log FOR VALUES FROM ('2020-01-01 00:00:00+00') TO ('{CUTOFF}');
            CREATE TABLE call_log_new PARTITION OF call_log FOR VALUES FROM ('{CUTOFF}') TO ('2030-01-01 00:00:00+00');
            ALTER TABLE call_log OWNER TO lethe_worker;
            ALTER TABLE call_log_old OWNER TO lethe_worker;
            ALTER TABLE call_log_new OWNER TO lethe_worker;"""

    def _rows(self) -> str:
        rank = _RANK[self.layout].format(rows=self.rows)
        wide = ", 'Agent ' || n % 40, 'queue ' || n % 7, n % 900, repeat('x', (n % 60)::int)" if self.wide else ""
        before = f"timestamptz '{CUTOFF}' - interval '1 second' * (1 + rank * 25000000 / {max(self.due, 1)})"
        kept = self.rows - self.due or 1
        after = f"timestamptz '{CUTOFF}' + interval '1 second' * ((rank - {self.due}) * 7000000 / {kept})"
        moment, status = f"CASE WHEN rank < {self.due} THEN {before} ELSE {after} END", "'closed'"
        if self.odd:
            moment = f"CASE n % 1000 WHEN 0 THEN NULL WHEN 1 THEN timestamptz '2029-01-01' ELSE {moment} END"
            status = "CASE n % 1000 WHEN 2 THEN 'dispute' ELSE 'closed' END"
        numbers = f"SELECT n, {rank} AS rank FROM generate_series(0::bigint, {self.rows - 1}) AS n"  # noqa: S608
        values = f"n, '+47' || 40000000 + n % 10000000, {moment}, {status}{wide}"
        return f"INSERT INTO call_log SELECT {values} FROM ({numbers}) AS s"  # noqa: S608 - constants of this file

    def _grants(self) -> str:
        policy = read_policy(self)
        return grants(policy, policy.stores["calls"]) + "GRANT MAINTAIN ON call_log TO lethe_worker;"


@dataclass(frozen=True)
class Prepared:
    """A fresh copy of a call log on which a plan was made and approved; `lethe` opens Lethe anew, nothing connected."""

    server: Server
    database: str
    policy: Policy
    plan: Plan | None

    def lethe(self) -> Lethe:
        """Lethe as the role that sweeps."""
        names = {"calls": self.database, STATE: STATE}
        return Lethe(self.policy, lambda name: self.server.conninfo(names[name], "lethe_worker"))


@contextmanager
def prepared(server: Server, calls: Calls) -> Iterator[Prepared]:
    """A copy of the call log, planned over and so read once, for as long as the block lasts."""
    with server.copy(calls.name) as database:
        fresh_state(server)
        unplanned = Prepared(server, database, read_policy(calls), plan=None)
        with unplanned.lethe() as lethe:
            plan = lethe.plan(RULE, NOW, RUN)
            lethe.answer(plan.digest, approved=True, via="airflow", role="privacy-officer", person="bench")
        yield replace(unplanned, plan=plan)


def fresh_state(server: Server) -> None:
    """An empty lethe_state."""
    server.drop(STATE)
    server.create(STATE)
    with server.connect(STATE) as connection:
        connection.execute(script("store"))
        connection.execute(script("state"))


def read_policy(calls: Calls) -> Policy:
    """The policy of one rule over the call log."""
    with tempfile.TemporaryDirectory() as directory:
        return load(write_policy(Path(directory), calls))


def write_policy(directory: Path, calls: Calls) -> Path:
    """A policy of one rule over the call log."""
    (directory / "activities").mkdir()
    (directory / "organisation.yaml").write_text(_ORGANISATION)
    (directory / "stores.yaml").write_text(_STORES)
    held = "held_when: {status: [dispute]}" if calls.odd else ""
    (directory / "activities" / "calls.yaml").write_text(_ACTIVITY.replace("HELD", held).replace("THEN", calls.then))
    return directory


_ORGANISATION = """
controller: Fjordvik Drift AS
represented_by: managing director
privacy_officer: privacy-officer
contact: personvern@fjordvik.example
time_zone: Europe/Oslo
fiscal_year_end: 12-31
languages: [nb, en]
roles:
  privacy-officer: {nb: personvernombud, en: privacy officer}
processors: {}
obligations:
  R09: {nb: Samtalelogg, en: Call log}
"""
_STORES = """
stores:
  calls: {kind: postgres, connection: calls, title: {nb: Samtaler, en: Calls}, backups: P35D}
"""
_ACTIVITY = """
activity: calls
title: {nb: Samtaler, en: Calls}
purpose: {nb: Sentralbord, en: Switchboard}
legal_basis: gdpr 6(1)(f)
responsible: privacy-officer
people: [callers]
processors: []
measures: [access control]
serves: [R09]
datasets:
  calls:
    in: calls
    table: call_log
    key: id
    personal_data: {caller: user.contact.phone_number}
    HELD
rules:
  calls-90-days:
    obligation: R09
    of: calls
    title: {nb: Samtaler, en: Calls}
    clock: started_at
    keep: P90D
    then: THEN
    limits: {rows: 100, share: 1%}
"""
