"""The kinds of values that the policy files are made of: names, periods, shares, references, lists of them.

Each kind carries the words for a message and the pattern for the JSON Schema. Tags written as <tag> tell the shapes of
one key apart; messages leave them out.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from functools import cache
from importlib.resources import files
from typing import Annotated, Any, TypeVar

from pydantic import (
    BaseModel,
    Discriminator,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    PlainValidator,
    Tag,
    WithJsonSchema,
)
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from lethe.anonymise.paths import steps
from lethe.deadlines import Period

T = TypeVar("T")


def refuse(expected: str) -> PydanticCustomError:
    """The error that becomes `found …, expected <expected>`."""
    return PydanticCustomError("expected", "{expected}", {"expected": expected})


@dataclass(frozen=True)
class Matches:
    """A text that matches a pattern, with the words that say so."""

    pattern: str
    expected: str

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Check the pattern after the type."""
        return core_schema.no_info_after_validator_function(self._check, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """Tell editors the pattern and the words."""
        return {**handler(schema), "pattern": f"^(?:{self.pattern})$", "description": self.expected}

    def _check(self, value: str) -> str:
        if re.fullmatch(self.pattern, value) is None:
            raise refuse(self.expected)
        return value


@dataclass(frozen=True)
class OneOf:
    """A text out of a known list; near misses are pointed out by the message."""

    what: str
    known: tuple[str, ...]

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Check the list after the type."""
        return core_schema.no_info_after_validator_function(self._check, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """Let editors complete from the list."""
        return {**handler(schema), "enum": list(self.known)}

    def _check(self, value: str) -> str:
        if value not in self.known:
            raise PydanticCustomError("one_of", "{expected}", {"expected": self.what, "known": self.known})
        return value


@cache
def data_categories() -> tuple[str, ...]:
    """The keys of the public Fideslang taxonomy (data_categories.txt names version and licence)."""
    lines = files("lethe.policy").joinpath("data_categories.txt").read_text("utf-8").splitlines()
    return tuple(line for line in lines if line and not line.startswith("#"))


def _period(value: str) -> str:
    try:
        Period.parse(value)
    except ValueError as error:
        raise refuse(str(error).rpartition("expected ")[2]) from None
    return value


def _json_path(value: str) -> str:
    try:
        list(steps(value))
    except ValueError:
        raise refuse("a path such as contact.name, items[*].note or **") from None
    return value


def _share(value: str) -> str:
    try:
        percent = float(value.removesuffix("%")) if value.endswith("%") else -1.0
    except ValueError:
        percent = -1.0
    if not 0 <= percent <= 100:
        raise refuse("a percentage from 0% to 100%, such as 5%")
    return value


def _value(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str | int | date):
        return str(value)
    raise refuse("a text, a whole number, true or false")


def delete_word(value: object) -> str:
    """The one word among the steps."""
    if value != "delete":
        raise refuse("delete, {anonymise: ...} or {aggregate: ...}")
    return "delete"


@dataclass(frozen=True)
class Checked:
    """A text that a function accepts."""

    check: Callable[[str], str]
    pattern: str

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Call the function after the type is known."""
        return core_schema.no_info_after_validator_function(self.check, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """Tell editors the pattern."""
        return {**handler(schema), "pattern": self.pattern}


def shape(value: object) -> str:
    """The tag of a list, a mapping, or one value."""
    return "<many>" if isinstance(value, list) else "<mapping>" if isinstance(value, dict | BaseModel) else "<one>"


def _one_or_many(value: object) -> str:
    return "<many>" if isinstance(value, list) else "<one>"


Text = Annotated[str, Matches(r"(?=.*\S)[^\x00-\x1f\x7f]+", "a text without line breaks or control characters")]
Name = Annotated[str, Matches(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", "a name of small letters, digits and hyphens")]
Column = Annotated[str, Matches(r"[^\s.()\x00-\x1f\x7f]{1,63}", "the name of a column")]
Reference = Annotated[
    str, Matches(r"[^\s.()\x00-\x1f\x7f]+(\.[^\s.()\x00-\x1f\x7f]+)*", "a column, or relation.column")
]
Table = Annotated[str, Matches(r"[^\s.()\x00-\x1f\x7f]+(\.[^\s.()\x00-\x1f\x7f]+)?", "a table, or schema.table")]
Grouping = Annotated[str, Matches(r"[^\s.()\x00-\x1f\x7f]+|day\([^\s.()\x00-\x1f\x7f]+\)", "a column, or day(column)")]
ConnectionId = Annotated[str, Matches(r"[a-z][a-z0-9_]*", "an Airflow connection id such as lethe_website")]
Origin = Annotated[
    str,
    Matches(r"[a-z0-9-]+(\.[a-z0-9-]+)+(/[a-z0-9._-]+)*", "a domain with a path such as fjordvik.example/lethe"),
]
MonthDay = Annotated[str, Matches(r"(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])", "a month and day such as 12-31")]
Zone = Annotated[str, Matches(r"[A-Za-z][A-Za-z0-9_+/-]*", "a time zone such as Europe/Oslo")]
PeriodText = Annotated[str, Checked(_period, r"^P(?=\d)(\d{1,3}Y)?(\d{1,4}M)?(\d{1,4}W)?(\d{1,5}D)?$")]
Share = Annotated[str, Checked(_share, r"^\d+(\.\d+)?\s*%$")]
JsonPath = Annotated[str, Checked(_json_path, ".+")]
ACCEPTABLE = ("view", "publication", "large-objects", "log", "detached", "backup", "statistics", "personal")
"""Kinds of findings that can be left as they are, once somebody has looked."""
Accepted = Annotated[
    str,
    Matches(rf"(?:{'|'.join(ACCEPTABLE)}) \S[^\x00-\x1f\x7f]*", f"a finding as kind subject: {', '.join(ACCEPTABLE)}"),
]
Category = Annotated[str, OneOf("a key of the Fideslang taxonomy", data_categories())]
Obligation = Annotated[str, Matches(r"[A-Z]{1,4}[0-9]{1,4}", "capital letters and a number such as R01")]
Channel = Annotated[
    str,
    Matches(
        r"[^@\s,;:<>]+@[^@\s,;:<>]+\.[^@\s,;:<>]+|webhook:[a-z][a-z0-9_]*",
        "a mail address, or webhook:CONNECTION such as webhook:lethe_chat",
    ),
]
Value = Annotated[str, PlainValidator(_value), WithJsonSchema({"type": ["string", "integer", "boolean"]})]

MANY = Tag("<many>")
ONE = Tag("<one>")
EITHER = Discriminator(_one_or_many)
Texts = Annotated[Annotated[Text, ONE] | Annotated[list[Text], MANY, Field(min_length=1)], EITHER]
Columns = Annotated[Annotated[Column, ONE] | Annotated[list[Column], MANY, Field(min_length=1)], EITHER]
Names = Annotated[Annotated[Column, ONE] | Annotated[list[Column], MANY], EITHER]
Values = Annotated[Annotated[Value, ONE] | Annotated[list[Value], MANY, Field(min_length=1)], EITHER]
Conditions = dict[Reference, Values]


def many(value: T | list[T]) -> tuple[T, ...]:
    """One thing or a list of them, as a tuple."""
    return tuple(value) if isinstance(value, list) else (value,)
