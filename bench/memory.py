"""Measure 4: the most memory that a process of Lethe ever takes, by the size of the table."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from bench.estate import NOW, RULE, RUN, STATE, Calls, fresh_state, write_policy
from bench.figures import Figure
from bench.server import Server

SMALL = 100_000


def measure(server: Server, quick: bool) -> Iterator[Figure]:
    """VmHWM of a process that plans, acts, finishes and verifies, on a large table against a small one."""
    large = 500_000 if quick else 5_000_000
    peaks = [_peak(server, Calls("memory", rows, rows // 2, wide=False)) for rows in (SMALL, large)]
    ours, floor = (f"{peak / 1024:.1f} MB" for peak in reversed(peaks))
    ratio = peaks[1] / peaks[0]
    yield Figure(f"peak memory, {large:,} rows against {SMALL:,}", ours, floor, ratio, "at most 1.1", ratio <= 1.1)


def _peak(server: Server, calls: Calls) -> int:
    """Kilobytes, as the process itself reads them at its end."""
    import tempfile

    calls.make(server)
    fresh_state(server)
    with tempfile.TemporaryDirectory() as directory:
        write_policy(Path(directory), calls)
        addresses = {name: server.conninfo(db, "lethe_worker") for name, db in (("calls", calls.name), (STATE, STATE))}
        told = json.dumps([directory, addresses, NOW.isoformat()])
        command = [sys.executable, "-m", "bench.memory"]
        child = subprocess.run(command, input=told, stdout=subprocess.PIPE, text=True, check=True)
    server.drop(calls.name)
    return int(child.stdout)


def _sweep(directory: str, addresses: dict[str, str], now: datetime) -> None:
    from lethe.run import Lethe

    with Lethe.open(Path(directory), addresses.__getitem__) as lethe:
        plan = lethe.plan(RULE, now, RUN)
        lethe.answer(plan.digest, approved=True, via="airflow", role="privacy-officer", person="bench")
        for shard in plan.survey.shards:
            lethe.act(plan.digest, shard.number, now, RUN)
        lethe.finish(plan.digest, now, RUN)
        assert lethe.verify(plan.digest, "run").rows == 0


def _own_peak() -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1])


if __name__ == "__main__":
    where, to, at = json.load(sys.stdin)
    _sweep(where, to, datetime.fromisoformat(at))
    print(_own_peak())
