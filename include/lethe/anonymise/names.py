"""The names of one person in a folded text: every part, in any order, with what joins the parts together.

A part that is also a word (common_words) counts when it is capitalised, stands beside another part, or where a name is
expected: after a greeting, before a signature's end, alone on its line. In doubt it counts.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from lethe.anonymise.common_words import AMBIGUOUS, PARTICLES
from lethe.anonymise.fold import FILLER, fold
from lethe.anonymise.spelling import LETTER, Branch, branches

IsUpper = Callable[[int], bool]  # whether the original's letter at an offset of the folded text is a capital

SURE, WORD, PARTICLE = "name", "name that is a word", "particle of a name"

_PART = re.compile(rf"{LETTER}+(?:['’‘´`ʼ]{LETTER}+)*")
_AFTER = rf"(?:['’‘´`]s?|s['’‘´`]?)?(?!{LETTER})"  # genitive: Karis, Kari's, Hans'
_BESIDE = re.compile(r"[^\S\n]{0,3}(?:[-‐–.,;_/+&]|%20)?[^\S\n]{0,3}(?:\r?\n)?[>\s]{0,3}")
_JOINED = re.compile(r"[^\S\n]{0,3}[-‐–.,]?[^\S\n]{0,3}(?:\r?\n[^\S\n]{0,3})?")
_GREETING = re.compile(
    r"(?<!\w)(?:hei|heisann|hallo|halla|heia|kjære|hello|hi|dear|hey|hilsen|hilsning|hilsener|mvh|vh|klem|regards|"
    r"sincerely|heter|navn|navnet|name|herr|fru|frk|mr|mrs|ms)[\s,.:!*–-]{1,6}\Z"
)
_PERHAPS = re.compile(
    r"(?<!\w)(?:takk|best|jeg er|dette er|det er|this is|i am|kunde|innsender|avsender|mottaker|att|attn|fra|til|med|"
    r"av)[\s,.:!*–-]{1,6}\Z"
)
_GOES_ON = re.compile(r"[^\S\n]{0,3}(?:her|som|[.,!)]*[^\S\n]{0,3}(?:\r?\n|\Z))")
_LINE_BEFORE = re.compile(r"(?:^|\n)[\s>*_~–—\-(\"«]{0,8}\Z")
_LINE_AFTER = re.compile(r"[\s.,!:;*_~–—\-)\"»]{0,8}(?:\r?\n|\Z)|[^\S\n]{0,2}[,:]")


@dataclass
class Hit:
    """A part of a name at its place in the folded text; `sure` when it stands for the person."""

    start: int
    end: int
    sure: bool
    word: str
    is_particle: bool = False


@dataclass(frozen=True)
class Initials:
    """Patterns of the initials that stand before and after another part."""

    before: re.Pattern[str]
    after: re.Pattern[str]


def name_branches(names: Iterable[str]) -> Iterator[Branch]:
    """The branches of every part of the names, and of parts written as one word."""
    for name in names:
        parts = [part for part in _PART.findall(fold(name).text.replace(FILLER, " ")) if _is_word(part)]
        for part in parts:
            yield from branches(part, _label(part), _AFTER if part.upper() != part else "")
        for one, other in {*pairwise(parts), *pairwise(parts[::-1]), *zip(parts[:1], parts[-1:], strict=True)}:
            if one != other and min(len(one), len(other)) > 1:
                yield from branches(one + other, SURE, _AFTER)


def _is_word(part: str) -> bool:
    return len(part) > 1 or part.upper() == part  # one letter is an initial, but a name where letters have no case


def _label(part: str) -> str:
    if part in PARTICLES:
        return PARTICLE
    return WORD if part in AMBIGUOUS or (len(part) < 3 and part.upper() != part) else SURE


def initials(names: Iterable[str]) -> Initials | None:
    """The patterns of this person's initials; None without a name."""
    letters = {part[0] for name in names for part in _PART.findall(fold(name).text)}
    if not letters:
        return None
    one = f"[{''.join(map(re.escape, sorted(letters)))}]"
    return Initials(
        re.compile(rf"(?<![^\W_])(?:{one}(?:\.[ -]?|[ -]))+\Z"), re.compile(rf"(?:,? ?(?<![^\W_]){one}(?![^\W_])\.?)+")
    )


def hit(text: str, span: tuple[int, int], label: str, is_upper: IsUpper) -> Hit:
    """What was found at a place, judged by itself and by what stands around it."""
    start, end = span
    if label == PARTICLE:
        return Hit(start, end, False, text[start:end], is_particle=True)
    return Hit(
        start,
        end,
        label == SURE or any(map(is_upper, range(start, end))) or _is_expected(text, start, end),
        text[start:end],
    )


def _is_expected(text: str, start: int, end: int) -> bool:
    if _LINE_BEFORE.search(text, max(0, start - 10), start) and _LINE_AFTER.match(text, end):
        return True
    if _GREETING.search(text, max(0, start - 40), start):
        return True
    return bool(_PERHAPS.search(text, max(0, start - 40), start) and _GOES_ON.match(text, end))


def people(text: str, hits: Sequence[Hit], letters: Initials | None, is_upper: IsUpper) -> list[tuple[int, int]]:
    """The spans of what stands for the person: parts that are sure, or beside another, with initials, joined."""
    _settle(text, hits)
    spans: list[tuple[int, int]] = []
    for each in hits:
        if not each.sure:
            continue
        start, end = _with_initials(text, each, letters, is_upper) if letters else (each.start, each.end)
        if spans and (start <= spans[-1][1] or _JOINED.fullmatch(text, spans[-1][1], start)):
            spans[-1] = spans[-1][0], max(end, spans[-1][1])
        else:
            spans.append((start, end))
    return spans


def _settle(text: str, hits: Sequence[Hit]) -> None:
    """Makes sure what stands beside another part: forwards, then backwards, for a chain such as van der Berg."""
    carried = False
    for left, right in pairwise(hits):
        beside = bool(_BESIDE.fullmatch(text, left.end, right.start))
        carried = beside and (left.sure or (left.is_particle and carried))
        if carried and not right.is_particle:
            right.sure = True
        elif beside and not (left.is_particle or right.is_particle or left.sure or right.sure):
            left.sure = right.sure = left.word != right.word
    for right, left in pairwise(reversed(hits)):
        if right.sure and not left.sure:
            left.sure = bool(_BESIDE.fullmatch(text, left.end, right.start))


def _with_initials(text: str, each: Hit, letters: Initials, is_upper: IsUpper) -> tuple[int, int]:
    before = letters.before.search(text, max(0, each.start - 12), each.start)
    after = letters.after.match(text, each.end, each.end + 12)
    return (
        before.start() if before and _is_initial(before, is_upper) else each.start,
        after.end() if after and _is_initial(after, is_upper) else each.end,
    )


def _is_initial(match: re.Match[str], is_upper: IsUpper) -> bool:
    """A lower-case i or o is a word, but with its dot."""
    return "." in match.group() or all(is_upper(at) for at in range(*match.span()) if match.string[at].isalpha())
