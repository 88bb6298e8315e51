"""Measure 11: how much of the personal data in schemas of others `lethe discover` finds, by names and types alone."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parent.parent / "tests"))  # the labels are the tests'

from bench.figures import Figure
from bench.server import Server
from labelled_schemas import NAMES, score


def measure(_server: Server, _quick: bool) -> Iterator[Figure]:
    """Recall and precision for each schema; what is missed goes to standard error."""
    for name in NAMES:
        found = score(name)
        for table, column in found.missed:
            print(f"missed {name} {table}.{column} ({found.labels[table, column]})", file=sys.stderr)
        yield Figure(
            f"discovery, {name}: recall of {len(found.labels)} columns",
            f"{found.recall:.3f}",
            "",
            found.recall,
            "at least 0.95",
            found.recall >= 0.95,
        )
        yield Figure(f"discovery, {name}: precision", f"{found.precision:.3f}", "", found.precision, "–", True)
