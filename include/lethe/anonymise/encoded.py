"""redact_stored(): text as it is stored, in quoted-printable, base64, RFC 2047 words or HTML, two levels deep.

What is found is taken out of what is stored; everything else stays byte for byte. An encoding that is broken is text.
"""

from __future__ import annotations

from collections import Counter
from functools import partial

from lethe.anonymise.base64_text import EditsOf, base64_edits
from lethe.anonymise.edits import Edit, apart, applied, plain_edits
from lethe.anonymise.find import MARKS, Finder, Kind
from lethe.anonymise.quoted import html_views, is_html, is_quoted_printable, quoted, quoted_view, short_lines
from lethe.anonymise.redact import Redacted
from lethe.anonymise.subject import Identifiers
from lethe.anonymise.words2047 import word_edits

_LEVELS = 2
_ROUNDS = 4
_ENCODERS = frozenset("=<&")
_MARKS = frozenset(MARKS.values())


def redact_stored(text: str, subject: Identifiers | Finder) -> Redacted:
    """The stored text with marks, in the encoding that it had; it never raises for what the text holds."""
    finder = subject if isinstance(subject, Finder) else Finder(subject)
    counts: Counter[Kind] = Counter()
    for _ in range(_ROUNDS):  # what was found may have hidden what is encoded beside it
        edits = _edits(text, finder, _LEVELS)
        is_plain = not set(text) & _ENCODERS and all(edit.new in _MARKS for edit in edits)
        text = applied(text, edits)
        counts.update(kind for edit in edits for kind in edit.kinds)
        if is_plain or not edits:
            break
    return Redacted(text, counts)


def _edits(text: str, finder: Finder, levels: int) -> list[Edit]:
    """The edits of a text and of what is encoded within it, the inner ones first."""
    if not levels:
        return plain_edits(text, finder)
    inner = partial(_edits, finder=finder, levels=levels - 1)
    edits = base64_edits(text, inner)
    if "=?" in text:
        edits = apart(edits, word_edits(text, inner))
    if is_quoted_printable(text):
        edits = apart(edits, _quoted_edits(text, inner))
    if is_html(text):
        for view in html_views(text):
            edits = apart(edits, view.edits(inner(view.text)))
    else:
        edits = apart(edits, plain_edits(text, finder))  # what looks like an escape may be none
    return [edit for edit in edits if edit.new != text[edit.start : edit.end]]


def _quoted_edits(text: str, edits_of: EditsOf) -> list[Edit]:
    view, charset = quoted_view(text)
    return short_lines(text, list(view.edits(edits_of(view.text), partial(quoted, charset=charset))))
