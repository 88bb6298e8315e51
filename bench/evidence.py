"""Measure 7: what it takes to seal evidence, to verify it, and to write it in a sweep."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from hashlib import sha256
from itertools import product
from pathlib import Path
from types import SimpleNamespace
from typing import BinaryIO
from unittest.mock import patch

import psycopg

from bench.deleting import Deleting
from bench.estate import NOW, RULE, RUN, STATE, Calls, Prepared, fresh_state, write_policy
from bench.figures import Figure, beside, in_turn, seconds, within
from bench.server import Server
from lethe.evidence.bundle import Limits, write_bundle
from lethe.evidence.leaf import Leaf, Place, approval_leaf, batch_leaf, canonical, plan_leaf, run_leaf
from lethe.evidence.log import EVIDENCE_CONNECTION
from lethe.evidence.note import SigningKey
from lethe.evidence.outside import VARIABLE
from lethe.evidence.verify import verify_log
from lethe.model import Plan, Policy, Receipt, Rule, Way
from lethe.policy import load
from lethe.run import Lethe
from lethe.sql import script
from lethe.stores.postgres import apply

ROOT = Path(__file__).resolve().parent.parent
ORIGIN = "fjordvik.example/lethe"
SHARDS, BATCHES = 4, 4
LEAVES_OF_A_PLAN = SHARDS * BATCHES + 4
"""Its batches, the plan itself, the answer to it, and how its run began and ended."""
MOST_MEMORY = 600
FILL, COLLECT, CHECKPOINT = "COPY into the outboxes", "collect", "checkpoint"

_EVIDENCE = f"evidence: {{origin: {ORIGIN}, stop_after: P3D, backups: P35D}}\n"
_LOG_READER = (
    "GRANT lethe_evidence_writer, lethe_evidence_integrator, lethe_evidence_reader TO lethe_worker;"
    f"GRANT CONNECT ON DATABASE {EVIDENCE_CONNECTION} TO lethe_worker"
)
_PEAK = "print(next(line for line in open('/proc/self/status') if line.startswith('VmHWM')).split()[1])\n"
_VERIFY = f"""
import sys
from lethe.evidence.verify_bundle import verify
found = verify(sys.argv[1]).findings
assert {{each.kind for each in found}} == {{"unpinned", "unanchored"}}, found
{_PEAK}"""
_READ = f"""
import sys
from hashlib import sha256
from json import loads
for line in open(sys.argv[1], "rb"):
    sha256(b"\\0" + line).digest(), loads(line)
{_PEAK}"""


def measure(server: Server, quick: bool) -> Iterator[Figure]:
    """Sealing against a bare COPY, verifying against bare hashing and parsing, a sweep against one without evidence."""
    count, pairs = (20_000, 2) if quick else (1_000_000, 5)
    with tempfile.TemporaryDirectory(prefix="lethe-bench-") as home, _company(server, Path(home), count) as company:
        yield from _sealing(company, pairs)
        yield from _verifying(company, pairs)
    yield from _sweeping(server, quick)


def _sealing(company: Company, pairs: int) -> Iterator[Figure]:
    rounds = in_turn(pairs + 1, company.seal, company.copy)
    ours, bare = zip(*rounds[1:], strict=True)  # in the first the server makes the WAL files that it then uses again
    steps = {step: times[1:] for step, times in company.steps.items()}
    written = [filled + collected for filled, collected in zip(steps[FILL], steps[COLLECT], strict=True)]
    yield within(f"{company.count:,} leaves into outboxes and log, time against one COPY", written, bare, 5)
    for step, times in steps.items():
        yield beside(f"by itself: {step}", times, bare)
    yield beside("all of it, signed and kept outside", ours, bare)


def _verifying(company: Company, pairs: int) -> Iterator[Figure]:
    peaks: dict[str, list[int]] = {_VERIFY: [], _READ: []}
    bundle, lines = company.export(), company.lines()

    def child(code: str, path: Path) -> None:
        environment = {**os.environ, "PYTHONPATH": str(ROOT / "include")}
        command = [sys.executable, "-c", code, str(path)]
        told = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True).stdout
        peaks[code].append(int(told))

    def live() -> None:
        log, outside = company.sealing.log, company.sealing.outside
        assert not verify_log(log, outside, ORIGIN, full=True).findings

    rounds = in_turn(
        pairs,
        lambda: seconds(lambda: child(_VERIFY, bundle)),
        lambda: seconds(live),
        lambda: seconds(lambda: child(_READ, lines)),
    )
    ours, lives, bare = zip(*rounds, strict=True)
    yield within(f"bundle of {company.count:,} leaves verified, time against SHA-256 and json.loads", ours, bare, 4)
    peak, floor = (max(found) / 1024 for found in peaks.values())
    target, met = f"under {MOST_MEMORY} MB", peak < MOST_MEMORY
    yield Figure("peak memory of that", f"{peak:.0f} MB", f"{floor:.0f} MB", peak / floor, target, met)
    yield beside("live log verified from its first leaf, time against the same", lives, bare)


def _sweeping(server: Server, quick: bool) -> Iterator[Figure]:
    rows = 300_000 if quick else 3_000_000
    calls = Calls("sweep", rows, rows // 2, odd=True)
    calls.make(server)
    runs = Sweeps(server, calls, Way.BLOCKS)
    ours, without = zip(*in_turn(2 if quick else 7, runs.sealed, runs.without), strict=True)
    yield within(f"sweep: {calls.due:,} of {rows:,} rows, time against one without evidence", ours, without, 1.1)
    server.drop(calls.name)


class Sweeps(Deleting):
    """Sweeps that write evidence, and look whether it is sealed; and some that do neither."""

    def sealed(self) -> float:
        """act() where the policy has evidence sealed."""
        sealed = _policy(self.calls).organisation

        def act(site: Prepared) -> None:
            self._act(replace(site, policy=replace(site.policy, organisation=sealed)))

        with tempfile.TemporaryDirectory() as outside, patch.dict(os.environ, {VARIABLE: outside}):
            return self._timed(act, "sealed", self._finish)

    def without(self) -> float:
        """act() with its deeds, progress and commits, and nothing told of them."""
        place = Place("", 1, 1, NOW)
        silent = SimpleNamespace(take_place=lambda _: place, write=lambda *_: None)
        with patch.object(apply, "outbox", silent):
            return self._timed(self._act, "without", self._finish)


def _policy(calls: Calls) -> Policy:
    """The policy of one rule over the call log, whose evidence is sealed."""
    with tempfile.TemporaryDirectory() as directory:
        path = write_policy(Path(directory), calls)
        with (path / "organisation.yaml").open("a") as file:
            file.write(_EVIDENCE)
        return load(path)


@contextmanager
def _company(server: Server, home: Path, count: int) -> Iterator[Company]:
    """A company that has so many leaves to seal, for as long as the block lasts."""
    calls = Calls("evidence", 1000, 500)
    calls.make(server)
    fresh_state(server)
    server.create(EVIDENCE_CONNECTION)
    with server.connect(EVIDENCE_CONNECTION) as connection:
        connection.execute(script("evidence") + _LOG_READER)
    company = Company(server, home, _policy(calls), count)
    try:
        yield company
    finally:
        company.close()
        server.drop(calls.name)
        server.drop(EVIDENCE_CONNECTION)


class Company:
    """A company with one store, whose leaves are there in files; every seal() begins with outboxes that lack them."""

    def __init__(self, server: Server, home: Path, policy: Policy, count: int) -> None:
        self.server, self.policy, self.count = server, policy, count
        self.steps: dict[str, list[float]] = {FILL: [], COLLECT: [], CHECKPOINT: []}
        self.sealing = None
        self._home, self._key, self._open = home, SigningKey(ORIGIN, bytes(range(32))), ExitStack()
        self._outside = home / "outside"
        with self._lethe({"calls": "evidence", STATE: STATE}) as lethe:
            self._outside.mkdir()
            plan = lethe.plan(RULE, NOW, RUN)
            places = {name: lethe.outbox(name).position() for name in ("calls", STATE)}
        self.end = write_leaves(home, places, plan, policy.rules[RULE], count // LEAVES_OF_A_PLAN)

    def close(self) -> None:
        """What was sealed goes."""
        self._open.close()

    def seal(self) -> float:
        """Leaves into the outboxes, from there into the log, then signed and kept outside; on fresh databases."""
        self.close()
        self._outside = Path(self._open.enter_context(tempfile.TemporaryDirectory(dir=self._home)))
        templates = {"calls": "evidence", STATE: STATE, EVIDENCE_CONNECTION: EVIDENCE_CONNECTION}
        databases = {name: self._open.enter_context(self.server.copy(each)) for name, each in templates.items()}
        self.sealing = self._open.enter_context(self._lethe(databases)).sealing()
        self._open.callback(self.sealing.close)
        deeds: list[Callable[[], object]] = [
            lambda: self._fill(databases),
            self.sealing.collect,
            lambda: self.sealing.checkpoint(self._key, RUN, NOW.date()),
        ]
        times = [seconds(deed) for deed in deeds]
        for step, took in zip(self.steps.values(), times, strict=True):
            step.append(took)
        assert self.sealing.log.last_checkpoint().size == self.count + 2  # the policy and the plan that was made of it
        return sum(times)

    def copy(self) -> float:
        """The same leaves into a table of one column, in one transaction."""
        self.server.create("bare")
        with self.server.connect("bare") as connection:
            connection.execute("CREATE TABLE leaf (leaf text NOT NULL)")
            connection.execute("CHECKPOINT")
        took = seconds(self._copy_bare)
        self.server.drop("bare")
        return took

    def export(self) -> Path:
        """What was sealed last, in a bundle."""
        path = self._home / "bundle.zip"
        write_bundle(path, self.sealing.material(Limits(), self.end), self._key)
        return path

    def lines(self) -> Path:
        """The same leaves in a file, one a line."""
        (path,) = (self._outside / "leaves").iterdir()
        return path

    def _lethe(self, databases: dict[str, str]) -> Lethe:
        def address(name: str) -> str:
            return self.server.conninfo(databases[name], "lethe_worker")

        return Lethe(self.policy, address, {VARIABLE: str(self._outside)})

    def _fill(self, databases: dict[str, str]) -> None:
        for name in ("calls", STATE):
            with self.server.connect(databases[name], "lethe_worker") as connection, connection.transaction():
                _copy(connection, "COPY lethe.outbox (epoch, seq, key, leaf) FROM STDIN", self._home / name)
                connection.execute("UPDATE lethe.store SET seq = (SELECT max(seq) FROM lethe.outbox)")

    def _copy_bare(self) -> None:
        with self.server.connect("bare") as connection:
            _copy(connection, "COPY leaf FROM STDIN", self._home / "leaves")


def _copy(connection: psycopg.Connection, statement: str, path: Path) -> None:
    with path.open("rb") as file, connection.cursor() as cursor, cursor.copy(statement) as rows:
        while block := file.read(1 << 20):
            rows.write(block)


def write_leaves(home: Path, places: dict[str, Place], plan: Plan, rule: Rule, plans: int) -> datetime:
    """Write rows for each outbox, from its place on, into a file of its name, and all leaves alone into `leaves`.

    Each plan is another one, made a minute after the last. Returns the moment after them all.
    """
    begin = max(place.at for place in places.values())  # the clock of an outbox never goes back
    with ExitStack() as files:
        opened = {name: files.enter_context((home / name).open("wb")) for name in (*places, "leaves")}
        boxes = {name: Box(opened[name], opened["leaves"], place) for name, place in places.items()}
        for number in range(plans):
            at = begin + timedelta(minutes=number)
            _tell(replace(plan, digest=sha256(b"%d" % number).hexdigest()), rule, boxes, at)
    return begin + timedelta(minutes=plans)


class Box:
    """Rows for COPY into one outbox."""

    def __init__(self, rows: BinaryIO, leaves: BinaryIO, place: Place) -> None:
        self._rows, self._leaves, self._place = rows, leaves, place

    def add(self, at: datetime, key: str, leaf: Callable[[Place], Leaf]) -> None:
        """One more row, with the place it says it has."""
        self._place = place = self._place._replace(seq=self._place.seq + 1, at=at)
        text = canonical(leaf(place)).encode()
        self._rows.write(b"%d\t%d\t%b\t%b\n" % (place.epoch, place.seq, key.encode(), text))
        self._leaves.write(text + b"\n")


def _tell(plan: Plan, rule: Rule, boxes: dict[str, Box], at: datetime) -> None:
    """The leaves of one plan: made, approved, begun, carried out in batches, ended."""
    run, state, gone = plan.digest[:32], boxes[STATE], (at + timedelta(days=35)).date()
    approval = {"approved": True, "role": "privacy-officer", "approver": run, "via": "airflow"}
    began = {"dag": "retention_sweep", "dag_run": f"scheduled__{at.isoformat()}"}
    state.add(at, f"plan/{plan.digest}", lambda place: plan_leaf(plan, rule, place, run))
    state.add(at, f"approval/{plan.digest}", lambda place: approval_leaf(plan, rule, place, **approval))
    state.add(
        at,
        f"run/{run}/started",
        lambda place: run_leaf(rule, place, run, state="started", plan=None, counts={}, **began),
    )
    for shard, batch in product(range(SHARDS), range(1, BATCHES + 1)):
        done = Receipt(plan.digest, shard, batch, 40_000 + batch, {"notes": 70_000 + shard}, 0.0, 0)
        told = {"done": done, "way": Way.BLOCKS, "suppressed": 0, "backups_until": gone}
        key = f"{plan.digest}/{shard}/{batch}"
        boxes["calls"].add(at, key, lambda place, told=told: batch_leaf(plan, rule, place, run, **told))
    counts = {
        "rows": sum(40_000 + batch for batch in range(1, BATCHES + 1)) * SHARDS,
        "reach": sum(70_000 + shard for shard in range(SHARDS)) * BATCHES,
        "batches": SHARDS * BATCHES,
    }
    state.add(
        at,
        f"run/{run}/ended",
        lambda place: run_leaf(rule, place, run, state="ended", plan=plan, counts=counts, **began),
    )
