"""A sweep by four processes and one that seals, under faults: what is gone and what is told must be one.

    PYTHONPATH=include:tests .venv/bin/python -m simulation.chaos --seed 7 --faults 60

Processes are killed, the server is restarted as after a power cut, connections are cut exactly at a COMMIT. Then the
work is ended and the account made: all zeros. With `--control` something is put wrong first (evidence after or before
the deed, in a transaction of its own; commits that do not wait for the WAL), and the account must show it.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
from argparse import ArgumentParser
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, sleep
from unittest.mock import patch

from demo.postgres import Postgres
from faults import NOW, environment, wait_until
from lethe.errors import LetheError
from lethe.evidence.outside import VARIABLE
from proxy import Cut, Proxy
from sealing import RUN, TODAY
from simulation.chaos_account import account
from simulation.chaos_estate import Estate, estate, own_server

WORKERS = 4
WORKER = """
import json, sys
from pathlib import Path
from faults import NOW, at_pace
from lethe.errors import StoreError
from lethe.run import Lethe

policy, addresses, shards, run = json.loads(sys.argv[1])
with Lethe.open(Path(policy), addresses.__getitem__) as lethe:
    at_pace(lethe)
    while shards:
        try:
            lethe.act(*shards[0], NOW, run)
            del shards[0]
        except StoreError as error:
            print(error, file=sys.stderr, flush=True)
            time.sleep(0.05)
"""
SLOW = """
import sys, time
from pathlib import Path
from lethe.evidence import log, outside
from lethe.stores.postgres import apply, drop

def sleep(seconds):
    if not Path(sys.argv[2]).exists():
        time.sleep(seconds)

def slowly(owner, name, seconds):
    function = getattr(owner, name)
    def slow(*args):
        sleep(seconds)
        result = function(*args)
        sleep(seconds)
        return result
    setattr(owner, name, slow)

slowly(apply, "seal", 0.02)
drop.seal = apply.seal
slowly(drop, "_detach", 0.1)
slowly(log.Frontier, "extend", 0.02)
slowly(outside.Outside, "publish", 0.02)
"""
"""Batches and seals last long enough that most faults meet one, before its evidence or after; while the storm lasts."""

SEALER = """
import json, sys
from contextlib import closing
from datetime import date
from pathlib import Path
from lethe.errors import StoreError
from lethe.evidence import seal
from lethe.evidence.note import SigningKey
from lethe.run import Lethe

policy, addresses, key, journal, run, today = json.loads(sys.argv[1])
sign = seal.sign_note

def noted(text, key):
    note = sign(text, key)
    with open(journal, "a") as file:
        file.write(json.dumps(note) + "\\n")
    return note

seal.sign_note = noted
with Lethe.open(Path(policy), addresses.__getitem__) as lethe, closing(lethe.sealing()) as sealing:
    while True:
        try:
            assert sealing.collect().gaps == ()
            sealing.checkpoint(SigningKey.parse(Path(key).read_text().strip()), run, date.fromisoformat(today))
        except StoreError as error:
            print(error, file=sys.stderr, flush=True)
            time.sleep(0.05)
"""

TWICE = """
import lethe.stores.postgres.store as store
from lethe.stores.postgres.apply import one

seal, once, take = apply.seal, apply.apply_range, apply.take_shard

def alone(conn, work, shard, pace):
    told, lock = [], {"key": shard.number + 1000}
    one(conn, "SELECT pg_advisory_lock(%(key)s)", lock)
    apply.seal, apply.take_shard = lambda *args: told.append(args) or 0, take
    try:
        return twice(conn, work, shard, pace, told)
    finally:
        if not conn.closed:
            one(conn, "SELECT pg_advisory_unlock(%(key)s)", lock)

store.apply_range = alone
"""
"""Deed and evidence in two transactions, and otherwise right: nobody else is at the shard between them."""
CONTROLS = {
    "none": "",
    "after": TWICE
    + """
def twice(conn, work, shard, pace, told):
    receipt = once(conn, work, shard, pace)
    if told:
        sleep(0.02)
        with conn.transaction():
            seal(*told[0])
    return receipt
""",
    "before": TWICE
    + """
def twice(conn, work, shard, pace, told):
    with conn.transaction(force_rollback=True):
        receipt = once(conn, work, shard, pace)
    if told:
        with conn.transaction():
            seal(*told[0])
        sleep(0.02)
        apply.take_shard = lambda *args: take(*args) and told[0][3]
        once(conn, work, shard, pace)
    return receipt
""",
    "unflushed": """
from lethe.stores.postgres import connection
connection._SESSION += " -c synchronous_commit=off"
""",
}
"""What is put wrong in all processes: evidence apart from its deed, or commits that do not wait for the WAL."""


class Slot:
    """A place for one process after another, each behind the same proxy."""

    def __init__(self, command: Callable[[int], list[str]], proxy: Proxy, errors: Path) -> None:
        """`command` gives the command line for the proxy's port; `errors` takes what the processes complain of."""
        self.proxy, self._command, self._errors = proxy, command, errors
        self.start()

    def start(self) -> None:
        """Begin a new process."""
        with self._errors.open("ab") as errors:
            self.process = subprocess.Popen(self._command(self.proxy.port), env=environment(), stderr=errors)

    def kill(self) -> None:
        """End the process as a power cut would."""
        self.process.kill()
        self.process.wait(30)
        wait_until(lambda: not self.proxy.connected())

    def running(self) -> bool:
        """Whether there is a process that has neither ended its work nor given up."""
        return self.process.poll() is None

    def complaint(self) -> str | None:
        """The last word of a process that gave up by itself, which is never meant to happen."""
        return self._errors.read_text().splitlines()[-1] if self.process.poll() else None


class Crew:
    """The four that act, the one that seals, and the server under them."""

    def __init__(self, made: Estate, control: str, stack: ExitStack) -> None:
        self.server, self._starts, prelude = made.store.server, 0, SLOW + CONTROLS[control]
        shards = [(plan.digest, shard.number) for plan, shard in made.shards()]

        def worker(port: int) -> list[str]:
            self._starts += 3
            at = self._starts % len(shards)
            told = [str(made.policy), made.addresses(port), shards[at:] + shards[:at], RUN]
            return [sys.executable, "-c", prelude + WORKER, json.dumps(told), str(made.over)]

        def sealer(port: int) -> list[str]:
            policy, key, journal, today = map(str, (made.policy, made.key_file, made.journal, TODAY))
            told = [policy, made.addresses(port), key, journal, RUN, today]
            return [sys.executable, "-c", prelude + SEALER, json.dumps(told), str(made.over)]

        self.slots: list[Slot] = []
        for number, command in enumerate([worker] * WORKERS + [sealer]):
            proxy = stack.enter_context(Proxy(self.server.port))
            self.slots.append(Slot(command, proxy, made.home / f"errors-{number}"))
            stack.callback(self.slots[-1].kill)
        *self.workers, self.sealer = self.slots

    def commits(self) -> int:
        """Transactions that the workers were told are committed."""
        return sum(slot.proxy.commits for slot in self.workers)

    def broken(self) -> int:
        """Transactions that a fault met."""
        return sum(slot.proxy.broken for slot in self.slots)

    def at_work(self) -> list[Slot]:
        """The workers that have not come to their end."""
        return [slot for slot in self.workers if slot.running()]

    def complaints(self) -> tuple[str, ...]:
        """What the processes said that gave up by themselves."""
        return tuple(complaint for slot in self.slots if (complaint := slot.complaint()) is not None)


@dataclass(frozen=True)
class Fault:
    """A fault of a kind, so many commits and then so many seconds after the one before; which worker, if any."""

    kind: str
    commits: int
    seconds: float
    worker: int


def at_it(slot: Slot, seconds: float = 5) -> None:
    """Wait for a transaction to be met: on a busy machine a process takes its time to start."""
    until = monotonic() + seconds
    while slot.running() and not slot.proxy.amid() and monotonic() < until:
        sleep(0.002)


def kill_worker(crew: Crew, worker: Slot) -> None:
    at_it(worker)
    worker.kill()
    worker.start()


def kill_sealer(crew: Crew, worker: Slot) -> None:
    at_it(crew.sealer)
    crew.sealer.kill()
    crew.sealer.start()


def restart_server(crew: Crew, worker: Slot) -> None:
    crew.server._control(crew.server._server(), "-m", "immediate", "stop")
    crew.server.start()


def cut(slot: Slot, how: Cut) -> None:
    broken = slot.proxy.broken
    if slot.proxy.cut(how).wait(15):
        wait_until(lambda: slot.proxy.broken > broken)
    slot.proxy.ordered()  # nobody came to a COMMIT any more


KINDS: dict[str, Callable[[Crew, Slot], None]] = {
    "worker killed": kill_worker,
    "sealer killed": kill_sealer,
    "server restarted": restart_server,
    "worker's COMMIT lost": lambda crew, worker: cut(worker, "lost"),
    "worker's COMMIT unanswered": lambda crew, worker: cut(worker, "unanswered"),
    "sealer's COMMIT lost": lambda crew, worker: cut(crew.sealer, "lost"),
    "sealer's COMMIT unanswered": lambda crew, worker: cut(crew.sealer, "unanswered"),
}
MOST_COMMITS = 6
"""Batches between two faults."""


def faults(seed: int, count: int, kinds: Sequence[str]) -> list[Fault]:
    """Each of these kinds equally often, in a random order, at random moments."""
    chance = random.Random(seed)  # noqa: S311  (moments, not secrets)
    coming = [kinds[number % len(kinds)] for number in range(count)]
    chance.shuffle(coming)
    return [
        Fault(kind, chance.randint(1, MOST_COMMITS), chance.uniform(0, 0.06), chance.randrange(9)) for kind in coming
    ]


@dataclass(frozen=True)
class Outcome:
    """What was injected, how often it met a transaction in progress, and what the account says: all zeros, or not."""

    struck: Counter[str]
    hits: Counter[str]
    account: dict[str, int]
    batches: int
    seconds: float
    complaints: tuple[str, ...]

    def wrong(self) -> dict[str, int]:
        """What should be zero and is not."""
        return {what: number for what, number in self.account.items() if number}

    def __str__(self) -> str:
        """A table."""
        lines = [
            f"{kind:38}{self.struck[kind]:4} faults, {self.hits[kind]:3} amid a transaction" for kind in self.struck
        ]
        lines += [f"{what:38}{number:4}" for what, number in self.account.items()]
        summary = f"{self.struck.total()} faults, {self.hits.total()} amid a transaction, {self.batches} batches"
        return "\n".join([*lines, f"{summary}, {self.seconds:.0f} s", *self.complaints])


def storm(crew: Crew, coming: list[Fault]) -> tuple[Counter[str], Counter[str]]:
    """Let the faults come while there is work; which came, and which of them met a transaction in progress."""
    struck, hits = Counter[str](), Counter[str]()
    for fault in coming:
        due = crew.commits() + fault.commits
        wait_until(lambda due=due: crew.commits() >= due or not crew.at_work(), 60)  # type: ignore[misc]
        sleep(fault.seconds)
        if not (workers := crew.at_work()) or crew.complaints():
            break
        ready = [slot for slot in workers if slot.proxy.connected()] or workers
        broken = crew.broken()
        KINDS[fault.kind](crew, ready[fault.worker % len(ready)])
        struck[fault.kind] += 1
        hits[fault.kind] += crew.broken() > broken
    return struck, hits


def end(made: Estate) -> Iterator[str]:
    """What follows on the work, without faults: plans are ended and verified, the log is sealed; what went wrong."""
    with made.open() as lethe, closing(lethe.sealing()) as sealing:
        try:
            for plan in made.plans:
                lethe.finish(plan.digest, NOW, RUN)
                lethe.verify(plan.digest, RUN)
                lethe.record(plan.rule, RUN, digest=plan.digest)
            while sealing.collect().leaves:
                sealing.checkpoint(made.key, RUN, TODAY)
        except LetheError as error:
            yield str(error)


def chaos(
    server: Postgres, seed: int, count: int, control: str = "none", kinds: Sequence[str] = tuple(KINDS)
) -> Outcome:
    """One sweep under so many faults of these kinds, and its account."""
    began, home = monotonic(), Path(tempfile.mkdtemp(prefix="lethe-chaos-"))
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, home)
        stack.enter_context(patch.dict(os.environ, {VARIABLE: str(home / "outside")}))
        made = estate(server, home, blocks=8 * (8 + 3 * count))
        with ExitStack() as processes:
            crew = Crew(made, control, processes)
            struck, hits = storm(crew, faults(seed, count, kinds))
            made.over.touch()
            wait_until(lambda: not crew.at_work(), 120)
            complaints = crew.complaints()
        complaints += tuple(end(made))
        found = account(made)
        found["processes that gave up"] = len(complaints)
        batches = made.store.one("SELECT sum(batch) FROM lethe.progress")
        return Outcome(struck, hits, found, batches, monotonic() - began, complaints)


def main() -> None:
    """Run it from the command line."""
    parser = ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--faults", type=int, default=60)
    parser.add_argument("--control", choices=CONTROLS, default="none")
    told = parser.parse_args()
    with own_server() as server:
        outcome = chaos(server, told.seed, told.faults, told.control)
    print(outcome)
    sys.exit(bool(outcome.wrong()))


if __name__ == "__main__":
    main()
