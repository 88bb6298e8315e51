"""Numbers in a folded text: identity, account and organisation numbers by check digits, and phone numbers.

Only runs of digits are looked at, each part of one once. What is found bounds what is looked at next to it, as its mark
will, so that a text that was redacted yields nothing more.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from stdnum.no import fodselsnummer, kontonr, orgnr

from lethe.anonymise.fold import masked
from lethe.anonymise.labels import is_amount, is_attached, label
from lethe.anonymise.phones import OwnPhones, phones_of_anybody

NIN, ACCOUNT, ORGNR, PHONE = "nin", "account", "orgnr", "phone"
Span = tuple[int, int, str]

_RUN = re.compile(r"[0-9](?:[\s().,:;\-/‐-―·•*_|>+]{0,4}+[0-9]){4,}+")
_SEP = r"(?:[^\S\n]{1,2}|[^\S\n]{0,2}[-–.:/][^\S\n]{0,2}|[^\S\n]?\r?\n)"
_BETWEEN = re.compile(r"[^0-9]+")
_SHAPES = (
    "[0-9]{11}",
    *(
        _SEP.join(f"[0-9]{{{n}}}" for n in shape)
        for shape in ((6, 5), (4, 2, 5), (2, 2, 2, 5), (6, 3, 2), (4, 7), (4, 4, 3), (2, 2, 2, 3, 2))
    ),
)
_ELEVEN = re.compile(rf"(?<![0-9])(?=({'|'.join(_SHAPES)})(?![0-9]))")
_NINE = re.compile(r"(?<![0-9])(?=([0-9]{9}|[0-9]{3}[^\S\n]{1,2}[0-9]{3}[^\S\n]{1,2}[0-9]{3})(?![0-9]))")
_MVA = re.compile(r"[^\S\n]{0,2}mva(?![\w-])")
_IBAN = re.compile(r"(?<!\w)no[0-9]{2} ?\Z")
_DAYS = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
# Added to the month: 40 in H-numbers and NAV's synthetic numbers, 80 in Skatteetaten's, 65 in NAV's copies of those.
_MONTH_OFFSETS = (0, 40, 65, 80)
_GLUED = ("+", "(", "_")
_TIMES = 4  # how often the rest of a run is looked at again; once is the rule


class Stretch(NamedTuple):
    """A part of a text to look at, and how far what stands around it may be read."""

    text: str
    start: int
    end: int
    floor: int
    ceiling: int

    def but(self, spans: Sequence[Span]) -> Iterator[Stretch]:
        """What is left of it without these spans."""
        floor, start = self.floor, self.start
        for left, right, _ in spans:
            yield Stretch(self.text, start, left, floor, left)
            floor = start = right
        yield Stretch(self.text, start, self.end, floor, self.ceiling)


def numbers(text: str, own: OwnPhones) -> list[Span]:
    """The spans of all numbers that are somebody's, in order within each run of digits."""
    found: list[Span] = []
    for _ in range(_TIMES):
        more = _numbers(text, own)
        found += more
        # What is glued to a number is another word, and another number, once its mark stands there.
        if not any(text.startswith(_GLUED, end) or text[end : end + 1].isalnum() for _, end, _ in more):
            break
        text = masked(text, [(start, end) for start, end, _ in sorted(more)])
    return found


def _numbers(text: str, own: OwnPhones) -> list[Span]:
    found: list[Span] = []
    floor = 0  # no number is judged by what belongs to the one before
    for run in _RUN.finditer(text):
        if run.end() - run.start() >= own.shortest:
            before = len(found)
            _search(Stretch(text, run.start(), run.end(), floor, len(text)), own, found, _TIMES)
            floor = max([floor, *(end for _, end, _ in found[before:])])
    return found


def _search(stretch: Stretch, own: OwnPhones, found: list[Span], times: int) -> None:
    """Looks for one kind after the other, and around what was found for what its absence uncovers."""
    digits = len(_BETWEEN.sub("", stretch.text[stretch.start : stretch.end]))
    for least, search in ((0, own.find), *_SEARCHES):
        spans = search(stretch) if digits >= least else []
        if spans and times:
            found += spans
            for rest in stretch.but(spans):
                if rest.end - rest.start >= own.shortest:
                    _search(rest, own, found, times - 1)
            return


def _elevens(stretch: Stretch) -> list[Span]:
    spans: list[Span] = []
    for match in _ELEVEN.finditer(stretch.text, stretch.start, stretch.end):
        start, end = match.span(1)
        if spans and start < spans[-1][1]:
            continue
        kind = _kind_of_eleven(stretch, start, end)
        if kind is not None:
            spans.append((_iban(stretch, start) if kind == ACCOUNT else start, end, kind))
    return spans


def _iban(stretch: Stretch, start: int) -> int:
    """Where the number begins with the country and check digits that make it an IBAN."""
    match = _IBAN.search(stretch.text, max(stretch.floor, start - 5), start)
    return match.start() if match else start


def _kind_of_eleven(stretch: Stretch, start: int, end: int) -> str | None:
    written = stretch.text[start:end]
    digits = _BETWEEN.sub("", written)
    groups = [len(group) for group in _BETWEEN.split(written)]
    name = label(stretch.text, stretch.floor, start)
    account = is_account(digits) and groups not in ([6, 5], [2, 2, 2, 5], [6, 3, 2], [2, 2, 2, 3, 2])
    if account and (name == ACCOUNT or groups == [4, 2, 5]):
        return ACCOUNT
    if is_nin(digits):
        return NIN
    if (
        not account
        or name in {"other", ORGNR, "phone"}
        or (name is None and is_attached(stretch.text, stretch.floor, start))
    ):
        return None
    return None if is_amount(stretch.text, end, stretch.ceiling) else ACCOUNT


def _nines(stretch: Stretch) -> list[Span]:
    spans: list[Span] = []
    for match in _NINE.finditer(stretch.text, stretch.start, stretch.end):
        start, end = match.span(1)
        if not (spans and start < spans[-1][1]) and _is_orgnr_here(stretch, start, end):
            tax = _MVA.match(stretch.text, end, stretch.ceiling)
            spans.append((start, tax.end() if tax else end, ORGNR))
    return spans


def _is_orgnr_here(stretch: Stretch, start: int, end: int) -> bool:
    digits = _BETWEEN.sub("", stretch.text[start:end])
    if not orgnr.is_valid(digits):
        return False
    name = label(stretch.text, stretch.floor, start)
    if name == ORGNR:
        return True
    before = stretch.text[max(stretch.floor, start - 3) : start]
    if (
        name is not None
        or digits[0] not in "89"
        or (is_attached(stretch.text, stretch.floor, start) and before[-2:] != "no")
    ):
        return False
    return stretch.text.startswith("mva", end) or not is_amount(stretch.text, end, stretch.ceiling)


_SEARCHES: tuple[tuple[int, Callable[[Stretch], list[Span]]], ...] = (  # and how many digits each needs
    (11, _elevens),
    (9, _nines),
    (8, phones_of_anybody),
)


def is_account(digits: str) -> bool:
    """Whether eleven digits are a Norwegian account number; seven digits of the former postal giro are not taken."""
    return len(digits) == 11 and not digits.startswith("0000") and kontonr.is_valid(digits)


def is_nin(digits: str) -> bool:
    """Whether eleven digits are a Norwegian identity number: birth, D, H, FH or synthetic.

    The check digits are stdnum's. Its validity is not, for it refuses synthetic numbers and reads the clock.
    """
    if digits[9] != fodselsnummer.calc_check_digit1(digits) or digits[10] != fodselsnummer.calc_check_digit2(digits):
        return False
    day, month = int(digits[:2]), int(digits[2:4])
    if day >= 80:  # FH-numbers tell no birth date
        return True
    day -= 40 if day > 40 else 0
    return any(1 <= month - offset <= 12 and 1 <= day <= _DAYS[month - offset - 1] for offset in _MONTH_OFFSETS)
