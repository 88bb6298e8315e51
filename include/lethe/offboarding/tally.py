"""tally(): what was chosen in numbers, for the people who approve a hand-over and see nothing else of it (R10, R12)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from lethe.offboarding.choose import PRIVATE, Choice, Verdict, Why


@dataclass(frozen=True)
class Tally:
    """How many messages, by folder and combination of reasons, for those who approve.

    No subject and no address. Folders of which nothing is handed over stand under () together, for their names may say
    what is private. So may the reasons: PRIVATE, all of it, stands for whatever makes a message private, since whether
    somebody wrote to a union or a doctor is nobody's business (GDPR 9).
    """

    counts: Mapping[tuple[str, ...], Mapping[Why, int]]

    def of(self, verdict: Verdict) -> int:
        """Messages with this verdict."""
        return sum(each for reasons, each in self._all() if reasons.verdict is verdict)

    def because(self, reason: Why) -> int:
        """Messages that have this reason, alone or with others; PRIVATE for those that are private."""
        return sum(each for reasons, each in self._all() if reasons & reason)

    def _all(self) -> Iterator[tuple[Why, int]]:
        for counts in self.counts.values():
            yield from counts.items()


def tally(choices: Iterable[Choice]) -> Tally:
    """The choices counted."""
    counts = Counter((choice.folder, PRIVATE if choice.reasons & PRIVATE else choice.reasons) for choice in choices)
    named = {folder for folder, reasons in counts if reasons.verdict is Verdict.HAND_OVER}
    told: dict[tuple[str, ...], Counter[Why]] = {}
    for (folder, reasons), number in counts.items():
        told.setdefault(folder if folder in named else (), Counter())[reasons] += number
    return Tally(told)
