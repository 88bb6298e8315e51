"""A text or JSON document of one row without its data subject, who is known by columns of that row and of others."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from decimal import Decimal
from functools import lru_cache
from typing import Any
from uuid import uuid4

from lethe.anonymise.encoded import redact_stored
from lethe.anonymise.find import Finder
from lethe.anonymise.json_paths import OF_NOBODY, changed_by_path
from lethe.anonymise.paths import Json
from lethe.anonymise.subject import Identifiers
from lethe.model import ByPath, ColumnRef, Redact

Known = Callable[[ColumnRef], Any]
"""What a column holds."""


def written_anew(text: str, change: Redact | ByPath, value: Known) -> str:
    """The text, or the JSON text, as it may stay; OF_NOBODY for a text where nothing says whom to look for."""
    if isinstance(change, ByPath):
        return _to_text(document_anew(_from_text(text), change, value))
    finder = _finder_of(change, value)
    return OF_NOBODY if finder is None else redact_stored(text, finder).text


def document_anew(document: Json, change: ByPath, value: Known) -> Json:
    """The JSON document as it may stay."""
    return changed_by_path(document, change.paths, lambda redaction: _finder_of(redaction, value))


def _finder_of(change: Redact, value: Known) -> Finder | None:
    def known(refs: tuple[ColumnRef, ...]) -> tuple[str, ...]:
        return tuple(str(found) for ref in refs if (found := value(ref)) is not None)

    subject = Identifiers(
        names=known(change.names),
        emails=known(change.emails),
        phones=known(change.phones),
        addresses=known(change.addresses),
    )
    return _finder(subject) if subject.names else None


@lru_cache(maxsize=256)
def _finder(subject: Identifiers) -> Finder:
    """Messages of one case come one after the other, and what finds their subject takes its time to make."""
    return Finder(subject)


_EXACT = f"number {uuid4()} "
_ALONE = re.compile("[\ud800-\udfff]")
_EXACT_AGAIN = re.compile(f'"{_EXACT}([^"]*)"')


def _from_text(text: str) -> Json:
    """The document; a number with more digits than Python's own kind keeps is kept as it is written."""
    found: Json = json.loads(text, parse_float=_number)
    return found


def _number(written: str) -> float | str:
    number = float(written)
    return number if Decimal(repr(number)) == Decimal(written) else _EXACT + written


def _to_text(document: Json) -> str:
    text = json.dumps(document, ensure_ascii=False)
    if not text.isascii() and _ALONE.search(text):  # half a pair is no letter: `json` keeps it as an escape only
        text = json.dumps(document)
    return _EXACT_AGAIN.sub(r"\1", text)
