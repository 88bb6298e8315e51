"""A text of one row without its data subject, who is known by columns of that row and of those that it refers to."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

from lethe.anonymise.encoded import redact_stored
from lethe.anonymise.find import Finder
from lethe.anonymise.subject import Identifiers
from lethe.model import ColumnRef, Redact

OF_NOBODY = "[slettet]"
"""What is left of a text where no name of its data subject is known: nobody could be found in it, so all of it goes."""


def redacted(text: str, change: Redact, value: Callable[[ColumnRef], Any]) -> str:
    """The text as it may stay, OF_NOBODY where nothing says whom to look for; `value` gives what a column holds."""

    def known(refs: tuple[ColumnRef, ...]) -> tuple[str, ...]:
        return tuple(str(found) for ref in refs if (found := value(ref)) is not None)

    subject = Identifiers(
        names=known(change.names),
        emails=known(change.emails),
        phones=known(change.phones),
        addresses=known(change.addresses),
    )
    return redact_stored(text, _finder(subject)).text if subject.names else OF_NOBODY


@lru_cache(maxsize=256)
def _finder(subject: Identifiers) -> Finder:
    """Messages of one case come one after the other, and what finds their subject takes its time to make."""
    return Finder(subject)
