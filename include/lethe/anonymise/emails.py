"""E-mail addresses in a folded text: one person's own in every writing, and anybody's, in linear time."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from lethe.anonymise.fold import FILLER, fold
from lethe.anonymise.spelling import JOINED, LETTER, Branch, is_caseless

EMAIL = "email"

_AT = r"(?:@|%40|\s?[(\[{]\s?(?:at|a|alfakrøll|krøllalfa)\s?[)\]}]\s?)"
_DOT = r"(?:\.|%2e|\s?[(\[{]\s?(?:dot|punktum|prikk)\s?[)\]}]\s?)"
_WRITTEN_AS = {"@": _AT, ".": _DOT, "+": r"(?:\+|%2b)", "_": "(?:_|%5f)", "-": "(?:-|%2d)"}
# Each branch begins with a literal, which lets `re` skip in C to where one stands.
_AT_IN_WORDS = r"[^\S\n]?(?:at|alfakrøll|krøllalfa)[^\S\n]?[)\]}][^\S\n]?"
_JOINT = re.compile(rf"@|%40|\({_AT_IN_WORDS}|\[{_AT_IN_WORDS}|\{{{_AT_IN_WORDS}")
_LOCAL_BACKWARDS = re.compile(r"[\w.+'-]*")
_LONGEST_LOCAL = 256  # four times what RFC 5321 allows
_DOMAIN = re.compile(rf"[\w-]++(?:{_DOT}[\w-]++)*{_DOT}{LETTER}{{2,}}|[\w-]++{_DOT}{LETTER}{{2,}}")


def email_branches(emails: Iterable[str]) -> Iterator[Branch]:
    """The branches of a person's own addresses, which need not look like any."""
    for email in emails:
        text = fold(email).text.removeprefix("mailto:").strip("<> ").replace(FILLER, "")
        if text:
            rest = "".join(_WRITTEN_AS.get(char, re.escape(char)) for char in text[1:])
            yield Branch(text[0], rest + _end(text[-1]), EMAIL)


def _end(last: str) -> str:
    """Neither a letter after a letter nor a digit after a digit: the same as is asked of the first one."""
    if last.isdecimal():
        return "(?![0-9])"
    return "" if is_caseless(last) else rf"(?!{JOINED})"


def addresses_of_anybody(text: str) -> list[tuple[int, int]]:
    """The spans of e-mail addresses; from each @ forwards and backwards, and never past the next one."""
    spans = []
    behind = 0
    for joint in _JOINT.finditer(text):
        domain = _DOMAIN.match(text, joint.end())
        before = text[max(behind, joint.start() - _LONGEST_LOCAL) : joint.start()]
        behind = joint.end()
        if domain is None or (before.endswith(" ") and joint[0] in {"@", "%40"}):
            continue
        length = _length_of_local(before.removesuffix(" "))
        if length:
            spans.append((joint.start() - length - before.endswith(" "), domain.end()))
    return spans


def _length_of_local(before: str) -> int:
    """How many of the last letters are the part before the @; reversed, for an expression to be anchored there."""
    match = _LOCAL_BACKWARDS.match(before[::-1])
    assert match is not None
    return len(match.group().rstrip(".+'-"))
