"""The company that sweeps under faults: a server of its own, customers and visits of which it is known what must go."""

from __future__ import annotations

import shutil
import socket
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple
from unittest.mock import patch
from uuid import uuid4

from demo.postgres import Postgres
from faults import NOW
from lethe.evidence.keys import create_key
from lethe.evidence.note import SigningKey
from lethe.model import Plan, Shard, Way
from lethe.run import Lethe
from lethe.sql import script
from lethe.stores.postgres import survey
from lethe.stores.postgres.grants import grants
from sealing import RUN
from support import EVIDENCE, ORIGIN, PASSWORDS, Database, write_policy

SEALER = "GRANT lethe_evidence_writer, lethe_evidence_integrator, lethe_evidence_reader TO lethe_sealer;"

ACTIVITY = """
serves: [R08]
datasets:
  customers: {in: crm, table: customer, key: id, personal_data: {name: user.name}}
  purchases:
    in: crm
    table: purchase
    key: id
    personal_data: {remark: user.name}
    refers_to: {customer: {to: customers, by: customer_id}}
    follows: customer
  visits: {in: crm, table: visit, key: id, personal_data: {name: user.name}}
rules:
  ex-customers:
    obligation: R08
    of: customers
    title: {nb: Kunder, en: Customers}
    clock: ended_on
    keep: P1Y
    then:
      - aggregate: {into: customer_tally, by: {day: day(ended_on)}, count: gone, suppress_below: 2}
      - delete
    limits: {rows: 1000000, share: 100%}
  old-visits:
    obligation: R08
    of: visits
    title: {nb: Besøk, en: Visits}
    clock: seen_at
    keep: P1Y
    then:
      - aggregate: {into: visit_tally, by: {day: day(seen_at)}, count: gone, suppress_below: 2}
      - delete
    limits: {rows: 1000000, share: 100%}
"""
SCHEMA = """
CREATE TABLE customer (id bigint PRIMARY KEY, name text, ended_on date);
ALTER TABLE customer ALTER name SET STORAGE PLAIN;
INSERT INTO customer SELECT n, rpad('Kunde ' || n, 1500),
    CASE WHEN hashint8(n) % 4 = 0 THEN date '2025-01-01' ELSE date '2020-01-01' + (n - 1) / 40 END
    FROM generate_series(1, 5 * {blocks}) n;
CREATE TABLE purchase (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, customer_id bigint NOT NULL, remark text);
INSERT INTO purchase (customer_id, remark) SELECT id, 'hei' FROM customer, generate_series(1, abs(hashint8(id) % 3));
CREATE INDEX ON purchase (customer_id);
CREATE TABLE visit (id bigint, name text, seen_at timestamptz NOT NULL, PRIMARY KEY (id, seen_at))
    PARTITION BY RANGE (seen_at);
CREATE TABLE visit_2021 PARTITION OF visit FOR VALUES FROM ('2021-01-01') TO ('2022-01-01');
CREATE TABLE visit_2022 PARTITION OF visit FOR VALUES FROM ('2022-01-01') TO ('2023-01-01');
CREATE TABLE visit_2023 PARTITION OF visit FOR VALUES FROM ('2023-01-01') TO ('2024-01-01');
CREATE TABLE visit_2024 PARTITION OF visit FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');
ALTER TABLE visit_2024 ALTER name SET STORAGE PLAIN;
INSERT INTO visit SELECT n, rpad('Kari', 1500), '2024-02-01 12:00+00'::timestamptz + n % 2 * interval 'P6M'
    FROM generate_series(1, {blocks}) n;
INSERT INTO visit SELECT n, 'Kari', '2021-06-01 12:00+00'::timestamptz + n % 3 * interval 'P1Y'
    FROM generate_series(1000001, 1000099) n;
CREATE TABLE customer_tally (day date PRIMARY KEY, gone bigint NOT NULL);
CREATE TABLE visit_tally (day date PRIMARY KEY, gone bigint NOT NULL);
ALTER TABLE visit OWNER TO lethe_worker; ALTER TABLE visit_2021 OWNER TO lethe_worker;
ALTER TABLE visit_2022 OWNER TO lethe_worker; ALTER TABLE visit_2023 OWNER TO lethe_worker;
ALTER TABLE visit_2024 OWNER TO lethe_worker;
"""
"""Five customers or visits in a block; a quarter of the customers and half of the visits of 2024 are to stay."""


CARELESS = (
    "fsync = off",
    "full_page_writes = off",
    "synchronous_commit = off",
    "wal_writer_delay = '10s'",
    "wal_writer_flush_after = '1GB'",
)


@contextmanager
def own_server() -> Iterator[Postgres]:
    """A server that may be restarted at any moment, as careless as the demo's about what was committed last.

    Only processes die here, so it need not wait for the disk. What commits without waiting for the WAL is lost at the
    next restart for sure: the writer that would come to its help sleeps.
    """
    home = Path(tempfile.mkdtemp(prefix="lethe-chaos-"))
    home.chmod(0o755)  # the server runs as another user when the tests run as root
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        server = Postgres(home / "data", home / "server.log", probe.getsockname()[1], "admin")
    try:
        server.start()
        server.ensure_roles(PASSWORDS)
        with server.admin() as admin:
            for setting in CARELESS:
                admin.execute(f"ALTER SYSTEM SET {setting}")
            admin.execute("SELECT pg_reload_conf()")
        yield server
    finally:
        server.stop()
        shutil.rmtree(home, ignore_errors=True)


class Where(NamedTuple):
    """Where a batch works: a block of a shard, or the whole partition that it is."""

    plan: str
    shard: int
    block: int | None


@dataclass(frozen=True)
class Due:
    """The keys of what must go from there."""

    rule: str
    rows: frozenset[int]
    followers: frozenset[int]


@dataclass
class Estate:
    """A company about to sweep: its databases, its approved plans, and what must go and what must stay."""

    store: Database
    state: Database
    log: Database
    home: Path
    plans: tuple[Plan, ...] = ()
    due: Mapping[Where, Due] = field(default_factory=dict)
    stays: Mapping[str, frozenset[int]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        names = ("policy", "outside", "key", "journal", "over")
        self.policy, self.outside, self.key_file, self.journal, self.over = (self.home / name for name in names)

    @property
    def key(self) -> SigningKey:
        """The key that signs."""
        return SigningKey.parse(self.key_file.read_text().strip())

    def addresses(self, port: int | None = None) -> dict[str, str]:
        """Where a process of Lethe's finds the databases, through a proxy's port or without."""
        databases = {"crm": (self.store, "lethe_worker"), "lethe_state": (self.state, "lethe_worker")}
        databases["lethe_evidence"] = (self.log, "lethe_sealer")
        direct = {name: database.conninfo(role) for name, (database, role) in databases.items()}
        if port is None:
            return direct
        served, plain = f":{self.store.server.port}/", "?sslmode=disable&gssencmode=disable"
        return {name: address.replace(served, f":{port}/") + plain for name, address in direct.items()}

    def open(self, role: str = "lethe_worker") -> Lethe:
        """Lethe in this process."""
        addresses = {**self.addresses(), "lethe_state": self.state.conninfo(role)}
        return Lethe.open(self.policy, addresses.__getitem__)

    def keys(self, table: str) -> frozenset[int]:
        """The keys of the rows that are there."""
        return frozenset(key for (key,) in self.store.rows(f"SELECT id FROM {table}"))

    def shards(self) -> list[tuple[Plan, Shard]]:
        """The work there is."""
        return [(plan, shard) for plan in self.plans for shard in plan.survey.shards]


def estate(server: Postgres, home: Path, blocks: int) -> Estate:
    """Databases with customers in so many blocks, and a plan for each rule that the privacy officer approved."""
    name = uuid4().hex[:8]
    store, state, log = (Database(server, f"{what}_{name}") for what in ("crm", "state", "log"))
    for database in (store, state, log):
        server.ensure_database(database.name, "postgres", tuple(PASSWORDS))
    store.run(SCHEMA.format(blocks=blocks))
    state.run(script("store"))
    state.run(script("state"))
    log.run(script("evidence") + SEALER)
    made = Estate(store, state, log, home)
    write_policy(made.policy, ACTIVITY, EVIDENCE)
    made.outside.mkdir()
    create_key(made.key_file, ORIGIN)
    _plan(made, blocks)
    made.due = dict(_due(made))
    going = {table: frozenset[int]().union(*(keys(due) for due in made.due.values())) for table, keys in _KEYS.items()}
    made.stays = {table: made.keys(table) - going[table] for table in _KEYS}
    return made


_KEYS: Mapping[str, Callable[[Due], frozenset[int]]] = {
    "customer": lambda due: due.rows if due.rule == "ex-customers" else frozenset(),
    "visit": lambda due: due.rows if due.rule == "old-visits" else frozenset(),
    "purchase": lambda due: due.followers,
}


def _plan(made: Estate, blocks: int) -> None:
    with made.open() as lethe, made.open("lethe_officer") as officer, patch.object(survey, "SHARD_ROWS", blocks):
        made.store.run(grants(lethe.policy, lethe.policy.stores["crm"]))
        made.plans = tuple(lethe.plan(rule, NOW, RUN) for rule in lethe.policy.rules)
        for plan in made.plans:
            assert officer.answer(plan.digest, True, via="cli", role="privacy-officer")
            lethe.begin(plan.rule, RUN, "started")


_DUE = {
    "ex-customers": "SELECT (ctid::text::point)[0]::integer, id, ARRAY (SELECT p.id FROM purchase p"
    " WHERE p.customer_id = t.id) FROM ONLY {} AS t WHERE ended_on < '2024-03-01'",
    "old-visits": "SELECT (ctid::text::point)[0]::integer, id, ARRAY[]::bigint[] FROM ONLY {} AS t"
    " WHERE seen_at < '2024-03-01'",
}


def _due(made: Estate) -> Iterator[tuple[Where, Due]]:
    """What must go, by SQL of the test's own."""
    for plan, shard in made.shards():
        first, end = int(shard.start or 0), int(shard.end or sys.maxsize)
        rows: dict[int | None, list[tuple[int, list[int]]]] = {}
        for block, key, followers in made.store.rows(_DUE[plan.rule].format(shard.relation)):
            if first <= block < end:
                rows.setdefault(None if shard.way is Way.PARTITION else block, []).append((key, followers))
        for block, found in rows.items():
            followers = frozenset(key for _, keys in found for key in keys)
            yield Where(plan.digest, shard.number, block), Due(plan.rule, frozenset(key for key, _ in found), followers)
