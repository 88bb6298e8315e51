"""The postal addresses of one person in a folded text: whole, or street with number, or postcode with place."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import permutations

from lethe.anonymise.fold import FILLER, fold
from lethe.anonymise.spelling import JOINED, LETTER, Branch, branches, is_caseless, letter

PLACE, BESIDE = "address", "part of an address"

_PARTS = re.compile(r"[,;|\n]+")
_TOKEN = re.compile(rf"{LETTER}+|\d+")
_POSTAL = re.compile(r"(?:\A|[\s,;]+)(?:(?:no?|n)-?\s?)?(\d{4})[\s,]+(\D+)\Z")
_DETAIL = re.compile(r"(?:leil|bolig|h\d|u\d|k\d|l\d|\d+\.? ?et|oppgang|inng|c/o|co |norge|norway|no\Z|v/)")
_BETWEEN = re.compile(r"[\s,.;:>|/*-]{0,10}")
_GAP = r"[\s,.>/’'-]{0,6}"
_AFTER_NUMBER = r"(?:[^\S\n]?[a-z](?![^\W_]))?(?![0-9])"
_ABBREVIATED = re.compile(rf"(?<={LETTER}{LETTER})([vg])\.(?=\s*\d)")
_STREET_ENDS = (
    ("gaten", "gata", "gate", "gt", "g"),
    ("veien", "vegen", "vei", "veg", "vn", "v"),
    ("plassen", "plass", "pl"),
    ("alleen", "allé", "alle", "al"),
    ("stien", "sti"),
    ("leilighet", "leil", "leilnr", "lgh"),
    ("postboks", "boks", "pb", "pob"),
    ("etasje", "etg", "et"),
)


def address_branches(addresses: Iterable[str]) -> Iterator[Branch]:
    """The branches of every part of the addresses."""
    for address in addresses:
        for index, part in enumerate(_split(_in_full(fold(address).text))):
            tokens = _TOKEN.findall(part)
            label = BESIDE if _DETAIL.match(part) and index > 0 else PLACE
            for order in permutations(tokens) if _is_postal(tokens) else [tokens]:
                yield from _branches(order, label)


def after_street(addresses: Iterable[str]) -> re.Pattern[str] | None:
    """A pattern of what of a postcode and town may follow the rest of the address; None without any."""
    ends = set()
    for address in addresses:
        for part in _split(_in_full(fold(address).text)):
            code, *town = _TOKEN.findall(part) or [""]
            if town and len(code) == 4 and code.isdigit():
                place = _GAP.join("".join(map(letter, token)) for token in town)
                ends.add(rf"{code}(?![0-9])|(?:[0-9]{{4}}[\s,]{{1,3}})?{place}{_after_word(town[-1])}")
    return re.compile(rf"{_BETWEEN.pattern}(?:no?-)?(?:{'|'.join(sorted(ends))})") if ends else None


def _in_full(address: str) -> str:
    """Storg. 1 and Bjørnv. 1 with an ending that is known by more than its dot."""
    return _ABBREVIATED.sub(lambda end: "gate" if end[1] == "g" else "vei", address.replace(FILLER, " "))


def _split(address: str) -> Iterator[str]:
    for part in filter(None, map(str.strip, _PARTS.split(address))):
        postal = _POSTAL.search(part)
        if postal is None:
            yield part
            continue
        yield from filter(None, (part[: postal.start()].strip(), f"{postal[1]} {postal[2]}"))


def _is_postal(tokens: Sequence[str]) -> bool:
    return len(tokens) == 2 and len(tokens[0]) == 4 and tokens[0].isdigit()


def _branches(tokens: Sequence[str], label: str) -> Iterator[Branch]:
    if len(tokens) > 1 and len(tokens[-1]) == 1 and tokens[-2].isdigit():
        tokens = tokens[:-1]  # 12 B: the letter may be there or not, as after any number
    if not tokens:
        return
    after = _GAP.join(("", *map(_token, tokens[1:]))) if len(tokens) > 1 else ""
    after += _AFTER_NUMBER if tokens[-1].isdigit() else _after_word(tokens[-1])
    if _is_postal(tokens):
        yield Branch("n", "o?-" + tokens[0] + after, label)
    for head, rest in _heads(tokens[0]):
        yield from branches(head, label, rest + after)


def _after_word(token: str) -> str:
    return "" if is_caseless(token[-1]) else rf"s?(?!{JOINED})"


def _heads(token: str) -> Iterator[tuple[str, str]]:
    """A first token as letters that are sure, and a pattern of the rest of it."""
    stem, ends = _street(token)
    if stem:
        yield stem, ends
    elif ends:
        yield from ((end, "") for end in next(group for group in _STREET_ENDS if token in group))
    else:
        yield token, ""


def _token(token: str) -> str:
    stem, ends = _street(token)
    number = r"(?:nr\.?\s?)?" if token.isdigit() else ""
    return number + "".join(map(letter, stem)) + (ends or "")


def _street(token: str) -> tuple[str, str]:
    """The stem of a street's name and a pattern of its ending, abbreviated or not; no pattern for other words."""
    for group in _STREET_ENDS:
        for end in group:
            if token == end or (token.endswith(end) and len(end) > 1 and len(token) > len(end) + 1):
                stem = token[: -len(end)]
                return stem, rf"(?:[\s-]?(?:{'|'.join(group)})\.?)" if stem else rf"(?:{'|'.join(group)})\.?"
    return token, ""


def places(
    text: str, hits: Sequence[tuple[int, int, str]], after: re.Pattern[str] | None = None
) -> list[tuple[int, int]]:
    """The spans of addresses: parts beside each other joined; a detail, such as the floor, only beside a sure one.

    `after` is what alone is none, and belongs to the one before.
    """
    spans: list[tuple[int, int]] = []
    sure: list[bool] = []
    for start, end, label in hits:
        if spans and _BETWEEN.fullmatch(text, spans[-1][1], start):
            spans[-1], sure[-1] = (spans[-1][0], end), sure[-1] or label == PLACE
        else:
            spans.append((start, end))
            sure.append(label == PLACE)
    kept = [span for span, is_sure in zip(spans, sure, strict=True) if is_sure]
    if after is None:
        return kept
    return [(start, rest.end() if (rest := after.match(text, end)) else end) for start, end in kept]
