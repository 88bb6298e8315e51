"""How well rows without a person hide each of them: the smallest group, and who could be matched with whom. Pure.

What others may know of somebody (quasi-identifiers) puts rows into groups. In a group of k, a guess is right one time
in k at most (k-anonymity, Samarati and Sweeney 1998). Rows that say nothing at all there stand in no group.

Matching goes further: rows of another dataset still have names, and agree with some here on time, place or amount.
Where `here` rows and those of `there` people agree, guessing which belong together is right once in max(here, there).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from heapq import merge
from itertools import groupby

Key = str
"""What rows have in common, in a writing that is equal for equal values."""


@dataclass(frozen=True)
class Groups:
    """The groups that rows fall into: how many rows and groups, the smallest (None: no group), rows in small ones."""

    rows: int
    groups: int
    smallest: int | None
    small: int


@dataclass(frozen=True)
class Risk:
    """What was found of one dataset on one day; numbers only."""

    dataset: str
    k: int
    groups: Groups
    linked: Mapping[str, int] = field(default_factory=dict)
    """Rows that could be matched with too few people, by the dataset that these have their names in."""
    telling: Mapping[str, int] = field(default_factory=dict)
    """By column, rows whose value tells them apart or names somebody; asked where rows never had a person."""

    @property
    def is_anonymous_enough(self) -> bool:
        """Whether nobody stands out among fewer than k, as far as was asked."""
        return not (self.groups.small or any(self.linked.values()) or any(self.telling.values()))

    def findings(self) -> Iterator[str]:
        """What is wrong, in words; nothing when nothing is."""
        if self.groups.small:
            smallest = f"the smallest of {self.groups.smallest}"
            yield f"{self.groups.small} rows stand in groups of fewer than {self.k}, {smallest}"
        for name, rows in self.linked.items():
            if rows:
                yield f"{rows} rows can be matched with fewer than {self.k} people of {name}"
        for column, rows in self.telling.items():
            if rows:
                yield f"{column} tells people apart in {rows} rows"


def matched(here: Iterable[tuple[Key, int]], there: Iterable[tuple[Key, int]], k: int) -> Iterator[tuple[Key, int]]:
    """What can be matched with too few: each key with its rows here. Both sides come sorted by key, each key once."""
    sides = groupby(_merged(here, there), lambda each: each[0])
    for key, both in sides:
        counts = {side: count for _, side, count in both}
        if len(counts) == 2 and max(counts.values()) < k:
            yield key, counts["here"]


def _merged(here: Iterable[tuple[Key, int]], there: Iterable[tuple[Key, int]]) -> Iterator[tuple[Key, str, int]]:
    """Both sides in the order of their keys, none of them held as a whole."""
    ours, theirs = ((key, "here", count) for key, count in here), ((key, "there", count) for key, count in there)
    return merge(ours, theirs)
