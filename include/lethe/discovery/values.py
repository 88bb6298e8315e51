"""What the values of a column look like: counted, never kept.

Recognised by check digits (identity, account and card numbers), by numbering plans (telephones), by form (e-mail and IP
addresses), and by public lists of names, which know common names of Norway and of the English-speaking world only.
"""

from __future__ import annotations

import ipaddress
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import phonenumbers
from stdnum import iban, luhn

from lethe.anonymise.emails import addresses_of_anybody
from lethe.anonymise.fold import fold
from lethe.anonymise.numbers import ACCOUNT, NIN, PHONE, is_account, is_nin, numbers
from lethe.anonymise.phones import OwnPhones
from lethe.discovery.signs import Sign, named_like
from lethe.discovery.words import words

EMAIL, IP, IBAN, CARD, NAME, GIVEN = "email", "ip", "iban", "card", "name", "given"
DIGITS, DIALLED, INSIDE = "digits", "dialled", "inside"

_EMAIL = re.compile(r"(?:mailto:)?[^\s@<>,;\"]{1,64}@[\w-]+(?:\.[\w-]+)+", re.IGNORECASE)
_PHONE = re.compile(r"[+(]?[\d(][\d\s().\-/]{6,20}\d")
_NO_PHONE = re.compile(r"\d{4}-\d\d-\d\d.*|\d+\.\d+|(19|20)\d{6}|\d{1,2}\.\d{1,2}\.\d{4}.*")
_GROUPED = re.compile(r"[+\s()-]|^00")
_ELEVEN = re.compile(r"\d{11}|\d{6}[ -]\d{5}|\d{4}[. ]\d\d[. ]\d{5}")
_CARD = re.compile(r"\d{4}([ -]?\d{4}){2}[ -]?\d{1,7}")
_NO_DIGIT = re.compile(r"\D")
_WORD = re.compile(r"[^\W\d_]+(?:[-'’][^\W\d_]+)*\.?")
_PAIR = re.compile(r"(?<!\w)([A-ZÆØÅ][^\W\d_]+) ([A-ZÆØÅ][^\W\d_]+)(?!\w)")
_LONG = 20  # letters from which a text is looked into as well
_FEW = 20
_NOBODY = OwnPhones(())


@dataclass
class Seen:
    """What was seen in a column: how many values, how many different ones, and how many of each sort."""

    values: int = 0
    different: int = 0
    sorts: Counter[str] = field(default_factory=Counter)
    keys: Counter[str] = field(default_factory=Counter)
    """Of JSON documents: how many have a key that is named like a category of personal data."""

    def share(self, sort: str) -> float:
        """The part of the values that are of a sort; 0 where there are none."""
        return self.sorts[sort] / self.values if self.values else 0.0

    @property
    def is_code(self) -> bool:
        """Whether a few values come again and again, as a status does."""
        return self.values >= 5 * _FEW and self.different <= _FEW


def see(values: Iterable[str]) -> Seen:
    """Count what the values look like."""
    seen, different = Seen(), set[int]()
    for value in values:
        text = value.strip()
        if text:
            seen.values += 1
            different.add(hash(text))
            seen.sorts.update(sorts_of(text))
    seen.different = len(different)
    return seen


def see_documents(values: Iterable[str]) -> Seen:
    """The same of JSON documents: their texts, and how their keys are named."""
    seen = Seen()
    for value in values:
        seen.values += 1
        keys, sorts = set[str](), set[str]()
        for key, leaf in _leaves(_parsed(value)):
            keys |= {sign.category for sign in _of_key(key) if sign.weight >= 0.7}
            sorts |= set(sorts_of(leaf.strip()))
        seen.keys.update(keys)
        seen.sorts.update({INSIDE} if sorts - {GIVEN, DIGITS, DIALLED} else ())
    seen.different = seen.values
    return seen


def sorts_of(text: str) -> set[str]:
    """What one value looks like, as a whole, and whether it is a text with something of somebody inside."""
    sorts = {sort for sort, is_one in _WHOLE.items() if is_one(text)}
    if not sorts and len(text) >= _LONG and " " in text and _tells_of_somebody(text):
        return {INSIDE}
    return sorts


def _is_dialled(text: str) -> bool:
    """Whether it is written as a telephone number is, in use or not."""
    return bool(_PHONE.fullmatch(text) and not _NO_PHONE.fullmatch(text) and not _is_ip(text))


def _is_phone(text: str) -> bool:
    return _is_dialled(text) and _GROUPED.search(text) is not None and _is_number_in_use(text)


def _is_bare_phone(text: str) -> bool:
    return text.isdigit() and len(text) in (8, 10) and not _NO_PHONE.fullmatch(text) and _is_number_in_use(text)


def _is_number_in_use(text: str) -> bool:
    try:
        return phonenumbers.is_valid_number(phonenumbers.parse(text, "NO"))
    except phonenumbers.NumberParseException:
        return False


def _is_ip(text: str) -> bool:
    try:
        ipaddress.ip_interface(text)
    except ValueError:
        return False
    return not text.isdigit()


def _is_card(text: str) -> bool:
    digits = _NO_DIGIT.sub("", text)
    return _CARD.fullmatch(text) is not None and luhn.is_valid(digits) and len(set(digits)) > 1


def _is_name(text: str) -> bool:
    parts = text.replace(",", " ").split()
    if not 2 <= len(parts) <= 5 or not all(_WORD.fullmatch(part) for part in parts):
        return False
    given, family = _names()
    low = [part.casefold() for part in parts]
    turned = "," in text
    first, last = (low[-1], low[0]) if turned else (low[0], low[-1])
    return first in given and (last in family or any(part in family for part in last.split("-")))


def _is_given(text: str) -> bool:
    given, family = _names()
    return (
        _WORD.fullmatch(text) is not None
        and text[:1].isupper()
        and (text.casefold() in given or text.casefold() in family)
    )


_WHOLE = {
    EMAIL: lambda text: _EMAIL.fullmatch(text) is not None,
    IP: _is_ip,
    PHONE: _is_phone,
    DIALLED: _is_dialled,
    DIGITS: _is_bare_phone,
    NIN: lambda text: _ELEVEN.fullmatch(text) is not None and is_nin(_NO_DIGIT.sub("", text)),
    ACCOUNT: lambda text: _ELEVEN.fullmatch(text) is not None and is_account(_NO_DIGIT.sub("", text)),
    IBAN: lambda text: text[:2].isalpha() and iban.is_valid(text, check_country=False),
    CARD: _is_card,
    NAME: _is_name,
    GIVEN: _is_given,
}


def _tells_of_somebody(text: str) -> bool:
    """Whether a text has somebody's address, number or full name in it."""
    folded = fold(text).text
    if addresses_of_anybody(folded) or any(kind in (NIN, ACCOUNT, PHONE) for *_, kind in numbers(folded, _NOBODY)):
        return True
    given, family = _names()
    return any(pair[1].casefold() in given and pair[2].casefold() in family for pair in _PAIR.finditer(text))


@cache
def _names() -> tuple[frozenset[str], frozenset[str]]:
    """Given names and family names, as Faker's public lists have them."""
    from faker.providers.person import en_GB, en_US, no_NO  # a while; only who samples needs it

    lists = (no_NO.Provider, en_US.Provider, en_GB.Provider)
    given, family = (
        {name.casefold() for each in lists for name in getattr(each, part)} for part in ("first_names", "last_names")
    )
    return frozenset(given), frozenset(family)


def _parsed(value: str) -> Any:
    try:
        return json.loads(value)
    except (ValueError, RecursionError):  # cut off, no JSON, or nested beyond reason
        return value


def _leaves(document: Any) -> Iterator[tuple[str, str]]:
    """The texts and numbers of a document, with the key that each stands under."""
    pending = [("", document)]
    while pending:
        key, value = pending.pop()
        if isinstance(value, dict):
            pending += value.items()
        elif isinstance(value, list):
            pending += [(key, each) for each in value]
        elif isinstance(value, str | int) and not isinstance(value, bool):
            yield key, str(value)


def _of_key(key: str) -> tuple[Sign, ...]:
    return tuple(named_like(words(key), "t"))


_SIGNS = (  # sort, category, from which share of how many values, how strong, in words
    (EMAIL, "user.contact.email", 0.5, 1, 0.97, "e-mail addresses"),
    (EMAIL, "user.contact.email", 0.05, 1, 0.7, "e-mail addresses"),
    (
        NIN,
        "user.government_id.national_identification_number",
        0.5,
        5,
        0.97,
        "identity numbers with right check digits",
    ),
    (IBAN, "user.financial.bank_account", 0.5, 1, 0.9, "IBANs with right check digits"),
    (ACCOUNT, "user.financial.bank_account", 0.7, 10, 0.85, "account numbers with a right check digit"),
    (CARD, "user.financial.credit_card", 0.8, 10, 0.85, "card numbers with a right check digit"),
    (IP, "user.device.ip_address", 0.5, 1, 0.92, "IP addresses"),
    (PHONE, "user.contact.phone_number", 0.6, 1, 0.9, "telephone numbers in use"),
    (PHONE, "user.contact.phone_number", 0.2, 10, 0.6, "telephone numbers in use"),
    (DIGITS, "user.contact.phone_number", 0.8, 10, 0.35, "digits that could be telephone numbers"),
    (NAME, "user.name", 0.3, 3, 0.85, "names of people"),
    (NAME, "user.name", 0.1, 20, 0.6, "names of people"),
    (GIVEN, "user.name", 0.5, 20, 0.65, "given or family names"),
    (INSIDE, "user.content.private", 0.1, 1, 0.85, "texts with somebody's name, number or address"),
    (INSIDE, "user.content.private", 0.0, 50, 0.6, "texts with somebody's name, number or address"),
)


def signs_of_values(seen: Seen) -> Iterator[Sign]:
    """What the values speak for, the strongest sign of each sort; numbers and shares, never a value."""
    told = set[str]()
    for sort, category, share, least, weight, what in _SIGNS:
        hits = seen.sorts[sort]
        if (
            sort not in told
            and hits
            and seen.values >= least
            and seen.share(sort) >= share
            and not _repeats(seen, sort)
        ):
            told.add(sort)
            yield Sign(category, weight, f"{hits} of {seen.values} values are {what}")
    for category, hits in seen.keys.items():
        yield Sign(category, 0.8, f"{hits} of {seen.values} documents have a key named like it")


def _repeats(seen: Seen, sort: str) -> bool:
    """A few words that come again and again are no people, whatever they are called."""
    return seen.is_code and sort in (GIVEN, CARD, ACCOUNT, DIGITS)


def is_denied(seen: Seen, category: str) -> bool:
    """Whether values that would be recognised are not there: the name says e-mail, and none is one."""
    sort = _DENIES.get(category)
    return sort is not None and seen.values >= _FEW and not any(seen.sorts[each] for each in sort)


_DENIES = {
    "user.contact.email": (EMAIL, INSIDE),
    "user.contact.phone_number": (DIALLED, INSIDE),
    "user.device.ip_address": (IP, INSIDE),
    "user.government_id.national_identification_number": (NIN,),
    "user.financial.bank_account": (IBAN, ACCOUNT),
}
