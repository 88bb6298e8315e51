"""The account after a sweep: what is gone against what is told, batch by batch; the log against all that was signed."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from typing import Any

from lethe.errors import ConfigError
from lethe.evidence.note import Checkpoint, open_note
from lethe.evidence.outside import Outside
from lethe.evidence.tree import Frontier, leaf_hash
from lethe.evidence.verify import verify_log
from lethe.model import Way
from simulation.chaos_estate import Due, Estate, Where
from support import ORIGIN

TABLES = {"ex-customers": ("customer", "customer_tally"), "old-visits": ("visit", "visit_tally")}

Leaf = dict[str, Any]


def account(made: Estate) -> dict[str, int]:
    """What there must be none of, each with how many there are."""
    texts = [leaf for (leaf,) in made.log.rows("SELECT leaf FROM evidence.leaf ORDER BY index")]
    leaves = [json.loads(text) for text in texts]
    batches = [leaf for leaf in leaves if leaf["kind"] == "batch"]
    told = _told(made, batches)
    gone = _gone(made)
    places = gone.keys() | told.keys()
    rows = {place: gone.get(place, Counter()) for place in places}
    left = {table: made.keys(table) for table in made.stays}
    return {
        "rows gone without evidence": sum((rows[place] - told.get(place, Counter())).total() for place in places),
        "evidence without deletion": sum((told.get(place, Counter()) - rows[place]).total() for place in places),
        "wrong counts": sum(_wrong_counts(made, leaves, batches)),
        "places or batches told twice": _twice(leaves, batches),
        "numbers missing": _missing(made),
        "leaves not collected once": _collected(made, leaves, texts),
        "checkpoints that are no prefix": _forks(made, texts),
        "findings of verify": _findings(made),
        "leaves unsigned, or not kept outside": _unsigned(made, texts),
        "rows left undone": sum((_whole(due) - gone[where]).total() for where, due in made.due.items()),
        "plans not ended": sum(outcome != "done" for (outcome,) in made.state.rows("SELECT outcome FROM lethe.plan")),
        "rows gone that were to stay": sum(len(keys - left[table]) for table, keys in made.stays.items()),
    }


def _whole(due: Due) -> Counter[str]:
    return Counter(rows=len(due.rows), followers=len(due.followers))


def _gone(made: Estate) -> dict[Where, Counter[str]]:
    left = {table: made.keys(table) for table in made.stays}
    return {
        where: Counter(rows=len(due.rows - left[TABLES[due.rule][0]]), followers=len(due.followers - left["purchase"]))
        for where, due in made.due.items()
    }


def _told(made: Estate, batches: list[Leaf]) -> dict[Where, Counter[str]]:
    """What the leaves tell, by place: batches of one block begin at their shard's first."""
    shards = {(plan.digest, shard.number): shard for plan, shard in made.shards()}
    told: dict[Where, Counter[str]] = {}
    for leaf in batches:
        shard = shards[leaf["plan"], leaf["shard"]]
        block = None if shard.way is Way.PARTITION else int(shard.start or 0) + leaf["batch"] - 1
        where = Where(leaf["plan"], leaf["shard"], block)
        told.setdefault(where, Counter()).update(rows=leaf["rows"], followers=sum(leaf["reach"].values()))
    return told


def _wrong_counts(made: Estate, leaves: list[Leaf], batches: list[Leaf]) -> Iterator[int]:
    """By how much other sums differ from those of the batches: statistics, progress, and how the runs ended."""
    for plan in made.plans:
        own = [leaf for leaf in batches if leaf["plan"] == plan.digest]
        rows, reach = sum(leaf["rows"] for leaf in own), sum(sum(leaf["reach"].values()) for leaf in own)
        yield abs(rows - made.store.one(f"SELECT coalesce(sum(gone), 0)::bigint FROM {TABLES[plan.rule][1]}"))
        saved = f"SELECT rows, reach FROM lethe.progress WHERE plan = '{plan.digest}'"
        progress = made.store.rows(saved)
        yield abs(rows - sum(of_shard for of_shard, _ in progress)) + abs(reach - sum(follow for _, follow in progress))
        for leaf in leaves:
            if leaf["kind"] == "run" and leaf["plan"] == plan.digest:
                yield abs(rows - leaf["counts"]["rows"]) + abs(reach - leaf["counts"]["reach"])


def _twice(leaves: list[Leaf], batches: list[Leaf]) -> int:
    places = Counter(tuple(leaf["outbox"].values()) for leaf in leaves)
    numbers = Counter((leaf["plan"], leaf["shard"], leaf["batch"]) for leaf in batches)
    return sum(count - 1 for found in (places, numbers) for count in found.values())


def _missing(made: Estate) -> int:
    """Numbers up to the last one taken that no leaf in the outbox has."""
    missing = 0
    for database in (made.store, made.state):
        numbers = {seq for (seq,) in database.rows("SELECT seq FROM lethe.outbox")}
        missing += len(numbers ^ set(range(1, database.one("SELECT seq FROM lethe.store") + 1)))
    return missing


def _collected(made: Estate, leaves: list[Leaf], texts: list[str]) -> int:
    """Leaves of the outboxes that are in the log never or twice, or there though in no outbox, or in another order."""
    written, wrong = Counter[str](), 0
    for database in (made.store, made.state):
        own = [text for (text,) in database.rows("SELECT leaf FROM lethe.outbox ORDER BY epoch, seq")]
        store = database.one("SELECT id::text FROM lethe.store")
        wrong += own != [text for text, leaf in zip(texts, leaves, strict=True) if leaf["outbox"]["store"] == store]
        written.update(own)
    logged = Counter(texts)
    return wrong + (written - logged).total() + (logged - written).total()


def _forks(made: Estate, texts: list[str]) -> int:
    """Notes that were ever signed, kept inside or outside, whose root is not that of the first leaves of the log."""
    frontier = Frontier()
    roots = [frontier.root()]
    for text in texts:
        frontier.append(leaf_hash(text.encode()))
        roots.append(frontier.root())
    forks = 0
    for note in _notes(made):
        text, _ = open_note(note, [made.key.verifier])
        checkpoint = Checkpoint.parse(text)
        forks += checkpoint.size >= len(roots) or checkpoint.root != roots[checkpoint.size]
    return forks


def _notes(made: Estate) -> Iterator[str]:
    outside = Outside(made.outside)
    head = outside.head()
    assert head is not None
    yield head.note
    yield from (note for _, note in outside.notes())
    yield from (note for (note,) in made.log.rows("SELECT note FROM evidence.checkpoint"))
    yield from map(json.loads, made.journal.read_text().splitlines())


def _findings(made: Estate) -> int:
    with made.open() as lethe, closing(lethe.sealing()) as sealing:
        return len(verify_log(sealing.log, sealing.outside, ORIGIN, full=True).findings)


def _unsigned(made: Estate, texts: list[str]) -> int:
    """Leaves of the log that the head does not cover, and that the directory outside has otherwise."""
    outside = Outside(made.outside)
    head = outside.head()
    assert head is not None
    try:
        kept = list(outside.leaves(0, head.size))
    except ConfigError:  # some are missing
        kept = []
    same = sum(own == text.encode() for own, text in zip(kept, texts, strict=False))
    return max(len(texts), head.size) - same
