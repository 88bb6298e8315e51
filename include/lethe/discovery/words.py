"""How columns and tables are named (names.txt), and what that says of a person.

A name is read from its end: `email_type` is a type, no address; `kunde_epost` is an address.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import cache
from importlib.resources import files
from typing import NamedTuple

SECTIONS = ("in_address", "in_writing", "of_somebody", "in_cards", "in_traces")
"""The sections with what a name says in some tables only."""

_CAMEL = re.compile(r"(?<=[a-zæøå0-9])(?=[A-ZÆØÅ])|(?<=[A-ZÆØÅ])(?=[A-ZÆØÅ][a-zæøå])")
_APART = re.compile(r"[\W_]+|(?<=\D)(?=\d)|(?<=\d)(?=\D)")
_FOLD = str.maketrans({"æ": "a", "ø": "o", "å": "a", "ä": "a", "ö": "o", "é": "e", "ü": "u"})
_DIGRAPHS = re.compile(r"aa|ae|oe")


def words(name: str) -> tuple[str, ...]:
    """The words of a name in snake_case, camelCase or with blanks, folded; numbers are left out."""
    parts = _APART.split(_CAMEL.sub("_", name))
    return tuple(fold(part) for part in parts if part and not part.isdigit())


def fold(word: str) -> str:
    """One form for all ways of writing a word: fødsel, foedsel and fodsel."""
    return _DIGRAPHS.sub(lambda match: match[0][0], word.lower().translate(_FOLD))


class Row(NamedTuple):
    """What a name says: a category, how sure, by itself and in a table of people, and of which kinds of values."""

    category: str
    alone: float
    among_people: float
    kinds: str
    pattern: re.Pattern[str]


class Names(NamedTuple):
    """names.txt: rows for all tables, rows for some tables only and for the ends of words, by section, and lists."""

    rows: tuple[Row, ...]
    sections: dict[str, tuple[Row, ...]]
    lists: dict[str, tuple[str, ...]]

    def rows_in(self, sections: Iterable[str]) -> tuple[Row, ...]:
        """The rows that count in a table for which these sections hold."""
        return (*self.rows, *(row for name in (*sections, "endings") for row in self.sections[name]))


@cache
def names() -> Names:
    """The file as it is shipped."""
    rows, lists = dict[str, list[Row]](), dict[str, tuple[str, ...]]()
    section = ""
    for head, entries in _blocks(files(__package__).joinpath("names.txt").read_text("utf-8")):
        if head.startswith("@"):
            section = head[1:]
            lists[section] = entries
        else:
            rows.setdefault(section if section in SECTIONS or section == "endings" else "", []).append(
                _row(head, entries, lists)
            )
    return Names(tuple(rows.pop("")), {name: tuple(each) for name, each in rows.items()}, lists)


def _blocks(text: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Each head with the words that stand indented below it."""
    head, entries = "", list[str]()
    for line in text.splitlines():
        if line.startswith(" "):
            entries += line.split()
        elif line and not line.startswith("#"):
            if head:
                yield head, tuple(entries)
            head, entries = line, []
    yield head, tuple(entries)


def _row(head: str, patterns: tuple[str, ...], lists: dict[str, tuple[str, ...]]) -> Row:
    category, alone, among_people, kinds = head.split()
    text = "|".join(patterns)
    for name, entries in lists.items():
        text = text.replace(f"{{{name}}}", f"(?:{'|'.join(entries)})")
    return Row(category, float(alone), float(among_people), kinds, re.compile(f"(?:.*_)?(?:{text})s?"))


def says_whose(column: str) -> bool:
    """Whether a column's name says whose the row is: customer_id, user_name; not created_by_id."""
    parts = words(column)
    return len(parts) > 1 and parts[-1] in ("id", "name") and parts[-2] in names().lists["whose"]


def sections_of(table: str) -> frozenset[str]:
    """The sections whose words stand in a table's name."""
    parts, lists = words(table), names().lists
    patterns = ((name, re.compile("|".join(lists[name]))) for name in SECTIONS if lists[name])
    return frozenset(name for name, pattern in patterns if any(map(pattern.fullmatch, parts)))


def is_neutral(parts: tuple[str, ...]) -> bool:
    """Whether a column's name is about something of a thing, not the thing: email_type, is_user, number_of_guests."""
    lists = names().lists
    if not parts or "_".join(parts) in lists["but"]:
        return False
    return parts[-1] in lists["heads"] or (parts[0] in lists["starts"] and len(parts) > 1)


def is_of_people(table: str) -> bool:
    """Whether a table's name says that each row is a person: customer, auth_user, user_profile; not user_groups."""
    parts, may_follow = list(words(table)), names().lists["may_follow"]
    while len(parts) > 1 and parts[-1] in may_follow and not _people().fullmatch(parts[-1]):
        parts.pop()
    return bool(parts) and _people().fullmatch(parts[-1]) is not None


def is_log(table: str) -> bool:
    """Whether a table's name says that it is a log, or a history."""
    return not set(names().lists["logs"]).isdisjoint(words(table))


def without_qualifiers(parts: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """The name, then without what only says which of several it is: phone_home, phone."""
    yield parts
    while len(parts) > 1 and parts[-1] in names().lists["qualifiers"]:
        parts = parts[:-1]
        yield parts


@cache
def _people() -> re.Pattern[str]:
    lists = names().lists
    return re.compile(f"(?:{'|'.join((*lists['people'], *lists['people_tables']))})s?")
