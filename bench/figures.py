"""Figures: ratios of medians of pairs, as rows of a table and as JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, replace
from math import inf
from pathlib import Path
from statistics import median
from time import perf_counter

Run = Callable[[], float]


@dataclass(frozen=True)
class Figure:
    """One line of the table: what was measured against what, and how the two compare; times in seconds."""

    measure: str
    ours: str
    floor: str
    ratio: float
    target: str
    met: bool
    pairs: tuple[float, ...] = ()


def seconds(deed: Callable[[], object]) -> float:
    """How long it takes."""
    started = perf_counter()
    deed()
    return perf_counter() - started


def in_turn(pairs: int, *runs: Run) -> list[tuple[float, ...]]:
    """The times of all runs, as often as asked; every second round in reverse, so that none always comes first."""
    rounds = []
    for number in range(pairs):
        order = range(len(runs)) if number % 2 == 0 else reversed(range(len(runs)))
        times = {index: runs[index]() for index in order}
        rounds.append(tuple(times[index] for index in range(len(runs))))
    return rounds


def faster(measure: str, ours: Iterable[float], floor: Iterable[float], least: float) -> Figure:
    """Floor's time over ours: how many times as fast we are; at least `least`."""
    return _figure(measure, list(ours), list(floor), least, at_least=True)


def within(measure: str, ours: Iterable[float], floor: Iterable[float], most: float) -> Figure:
    """Our time over the floor's; at most `most`."""
    return _figure(measure, list(ours), list(floor), most, at_least=False)


def beside(measure: str, ours: Iterable[float], floor: Iterable[float]) -> Figure:
    """Our time over the floor's, for comparison only."""
    return replace(_figure(measure, list(ours), list(floor), inf, at_least=False), target="–")


def _figure(measure: str, ours: list[float], floor: list[float], bound: float, *, at_least: bool) -> Figure:
    ratios = tuple(f / o if at_least else o / f for o, f in zip(ours, floor, strict=True))
    ratio = median(ratios)
    met = ratio >= bound if at_least else ratio <= bound
    target = f"{'at least' if at_least else 'at most'} {bound:g}"
    return Figure(measure, _time(median(ours)), _time(median(floor)), ratio, target, met, ratios)


def _time(value: float) -> str:
    return f"{value:.2f} s" if value >= 1 else f"{value * 1000:.1f} ms"


def table(figures: Iterable[Figure]) -> str:
    """The figures as a Markdown table."""
    lines = ["| measure | ours | floor | ratio | range | target | met |", "|---|---|---|---|---|---|---|"]
    for f in figures:
        spread = f"{min(f.pairs):.2f} – {max(f.pairs):.2f}" if len(f.pairs) > 1 else ""
        met = "" if f.target == "–" else "yes" if f.met else "**no**"
        lines.append(f"| {f.measure} | {f.ours} | {f.floor} | {f.ratio:.2f} | {spread} | {f.target} | {met} |")
    return "\n".join(lines)


def write(path: Path, figures: Iterable[Figure], machine: str) -> None:
    """The figures as JSON."""
    body = {"machine": machine, "figures": [asdict(figure) for figure in figures]}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(body, indent=2) + "\n", encoding="utf-8")
