"""Phone numbers in a run of digits: one person's own in any writing, and anybody's that are valid.

Validity is phonenumbers'. Its matcher is slow and searches without bounds, so it is given short windows, and only where
a country code stands; Norwegian numbers are first recognised by how their digits are grouped.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import phonenumbers

from lethe.anonymise.fold import fold
from lethe.anonymise.labels import is_amount, is_attached, label

if TYPE_CHECKING:
    from lethe.anonymise.numbers import Span, Stretch

_NORWAY = 47
_SEP = r"(?:[^\S\n]{1,2}|[^\S\n]?[-–.][^\S\n]?)"
_GROUPS = "|".join(
    _SEP.join(f"[0-9]{{{n}}}" for n in shape) for shape in ((3, 2, 3), (2, 2, 2, 2), (4, 4), (2, 3, 3), (3, 3, 2))
)
_NATIONAL = re.compile(
    rf"(?<![0-9])(?P<country>(?:00)?47{_SEP}?)?(?P<number>[2-9][0-9]{{7}}(?![0-9])|(?=[2-9])(?:{_GROUPS})(?![0-9]))"
)
_ABROAD = re.compile(r"(?<![\w+])(?:\(?\+|\+\(|00)[1-9](?:[^\S\n]?[().\-/]{0,2}[^\S\n]?[0-9]){5,17}+")
_DIGIT = re.compile(r"[0-9]")
_NOT_DIGITS = re.compile(r"[^0-9]+")
_DATE = re.compile(r"(?:0[1-9]|[12][0-9]|3[01])(?:0[1-9]|1[0-2])(?:19|20)[0-9]{2}")
_SHORTEST = 5
_SHORTEST_ABROAD = 9  # digits, the country code among them: fewer are possible nearly anywhere


@dataclass(frozen=True)
class OwnPhones:
    """A person's own numbers: what may stand before the national number, and the number itself."""

    numbers: tuple[tuple[tuple[str, ...], str], ...]

    @classmethod
    def of(cls, phones: Iterable[str]) -> OwnPhones:
        """The numbers as the record has them, in whatever writing."""
        return cls(tuple(number for phone in phones if len((number := _parse(phone))[1]) >= _SHORTEST))

    @cached_property
    def shortest(self) -> int:
        """The fewest letters that any number of interest takes."""
        return min((8, *(len(number) for _, number in self.numbers)))

    def find(self, stretch: Stretch) -> list[Span]:
        """The spans of own numbers, with their country code and a bracket or plus before it."""
        if not self.numbers:
            return []
        digits = _NOT_DIGITS.sub("", stretch.text[stretch.start : stretch.end])
        if not any(number in digits for _, number in self.numbers):
            return []
        at = [match.start() for match in _DIGIT.finditer(stretch.text, stretch.start, stretch.end)]
        spans: list[Span] = []
        for prefixes, number in self.numbers:
            found = digits.find(number)
            while found >= 0:
                spans += _own(stretch, at, digits, found, number, prefixes)
                found = digits.find(number, found + 1)
        return _apart(spans)


def _own(
    stretch: Stretch, at: list[int], digits: str, found: int, number: str, prefixes: tuple[str, ...]
) -> Iterable[Span]:
    """The span of one occurrence, when no other digit touches it."""
    end = found + len(number)
    if end < len(at) and at[end] == at[end - 1] + 1:
        return
    for prefix in prefixes:
        start = found - len(prefix)
        touched = start > 0 and at[start - 1] == at[start] - 1
        if start >= 0 and digits.startswith(prefix, start) and not touched and _is_near(at[start : found + 1]):
            first, last = at[start], at[end - 1] + 1
            while first > stretch.floor and stretch.text[first - 1] in "+(":
                first -= 1
            closes = stretch.text.count("(", first, last) > stretch.text.count(")", first, last)
            yield first, last + (closes and stretch.text.startswith(")", last)), "phone"
            return


def _is_near(places: list[int]) -> bool:
    return places[-1] - places[0] < 12


def _apart(spans: list[Span]) -> list[Span]:
    kept: list[Span] = []
    for span in sorted(spans, key=lambda span: (span[0], -span[1])):
        if not kept or span[0] >= kept[-1][1]:
            kept.append(span)
    return kept


def _parse(phone: str) -> tuple[tuple[str, ...], str]:
    written = fold(phone).text
    try:
        number = phonenumbers.parse(written, "NO")
    except phonenumbers.NumberParseException:
        return ("",), _NOT_DIGITS.sub("", written)
    national = phonenumbers.national_significant_number(number)
    country = str(number.country_code)
    return (f"00{country}0", f"00{country}", f"{country}0", country, "0", ""), national


def phones_of_anybody(stretch: Stretch) -> list[Span]:
    """The spans of valid numbers that nothing around them calls something else."""
    spans = _abroad(stretch)
    for match in _NATIONAL.finditer(stretch.text, stretch.start, stretch.end):
        start, end = match.span()
        while start > stretch.floor and match["country"] and stretch.text[start - 1] in "+(":
            start -= 1
        if _is_valid_here(stretch, match, start):
            spans.append((start, end, "phone"))
    return _apart(spans)


def _abroad(stretch: Stretch) -> list[Span]:
    """Numbers with a country code; a plus may stand before the run of digits."""
    return [
        (match.start(), match.start() + length, "phone")
        for match in _ABROAD.finditer(stretch.text, max(stretch.floor, stretch.start - 2), stretch.end)
        if (length := _length_abroad(match[0]))
    ]


def _length_abroad(written: str) -> int:
    """How much of it is a number that is assigned or, after a plus, that could be one day; 0 for none."""
    for leniency in (phonenumbers.Leniency.VALID, phonenumbers.Leniency.POSSIBLE)[: 1 + ("+" in written[:2])]:
        for found in phonenumbers.PhoneNumberMatcher(written, "NO", leniency=leniency, max_tries=4):
            if found.start == 0 and len(_NOT_DIGITS.sub("", found.raw_string)) >= _SHORTEST_ABROAD:
                return int(found.end)
    return 0


def _is_valid_here(stretch: Stretch, match: re.Match[str], start: int) -> bool:
    written = match["number"]
    digits = _NOT_DIGITS.sub("", written)
    if not phonenumbers.is_valid_number(phonenumbers.PhoneNumber(country_code=_NORWAY, national_number=int(digits))):
        return False
    if start < match.start():  # a plus stands before the country code
        return True
    name = label(stretch.text, stretch.floor, start)
    if name is not None:
        return name == "phone"
    if is_attached(stretch.text, stretch.floor, start) or is_amount(stretch.text, match.end(), stretch.ceiling):
        return False
    return not (written == digits and _DATE.fullmatch(digits)) and not _goes_on(stretch, match)


def _goes_on(stretch: Stretch, match: re.Match[str]) -> bool:
    """Whether groups of the same size follow or precede, as in a card number or an amount of many digits."""
    groups = _NOT_DIGITS.split(match["number"])
    first, last = len(groups[0]), len(groups[-1])
    if len(groups) == 1:
        return False
    after = re.compile(rf"[ .]?(?<![0-9])[0-9]{{{last}}}(?![0-9])").match(stretch.text, match.end(), stretch.ceiling)
    before = re.compile(rf"(?<![0-9])[0-9]{{1,{first}}}[ .]\Z").search(
        stretch.text, max(stretch.floor, match.start() - 5), match.start()
    )
    return bool(after or before)
