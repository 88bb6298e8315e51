"""`python -m bench [NAME … | all] [--quick]`: run measures, print the table, write .lethe/bench.json."""

from __future__ import annotations

import argparse
import os
import platform
import signal
import sys
from pathlib import Path

from bench import (
    anonymise,
    checks,
    discovery,
    evidence,
    figures,
    handover,
    imports,
    index,
    memory,
    redaction,
    survey,
    sweep,
)
from bench.server import SETTINGS, Server, server

MEASURES = {
    "sweep": sweep.measure,
    "anonymise": anonymise.measure,
    "index": index.measure,
    "plan": survey.measure,
    "memory": memory.measure,
    "scale": index.scale,
    "imports": imports.measure,
    "evidence": evidence.measure,
    "redaction": redaction.measure,
    "checks": checks.measure,
    "discovery": discovery.measure,
    "handover": handover.measure,
}
RESULTS = Path(__file__).resolve().parent.parent / ".lethe" / "bench.json"


def main() -> int:
    """Run what is asked for; 1 when a target was missed."""
    parser = argparse.ArgumentParser(prog="python -m bench", description="Speed as ratios within one run.")
    parser.add_argument("names", nargs="*", default=["all"], metavar="NAME", help=f"all, or {', '.join(MEASURES)}")
    parser.add_argument(
        "--quick", action="store_true", help="small tables and few pairs: whether it runs, not how fast"
    )
    asked = parser.parse_args()
    if unknown := set(asked.names) - {*MEASURES, "all"}:
        parser.error(f"unknown: {', '.join(sorted(unknown))}; there are {', '.join(MEASURES)}")
    names = list(MEASURES) if "all" in asked.names else asked.names
    found: list[figures.Figure] = []
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the server goes too
    machine = ""
    try:
        with server() as running:
            machine = _machine(running)
            print(machine, flush=True)
            for name in names:
                for figure in MEASURES[name](running, asked.quick):
                    print(
                        f"{name}: {figure.measure}: {figure.ratio:.2f} ({figure.target})", file=sys.stderr, flush=True
                    )
                    found.append(figure)
    finally:  # what was measured is told, also when a later measure stops
        print(figures.table(found))
        figures.write(RESULTS, found, machine)
    return 0 if asked.quick or all(figure.met for figure in found) else 1


def _machine(running: Server) -> str:
    memory_gb = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    settings = ", ".join(f"{name} {value}" for name, value in SETTINGS.items())
    return (
        f"{os.cpu_count()} cores, {memory_gb:.0f} GB, Python {platform.python_version()}, "
        f"PostgreSQL {running.version()} ({settings})"
    )


if __name__ == "__main__":
    sys.exit(main())
