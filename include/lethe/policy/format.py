"""What may stand in the policy files: one definition, from which loading, messages and the JSON Schema follow.

    organisation.yaml          → OrganisationFile
    stores.yaml                → StoresFile
    activities/<activity>.yaml → ActivityFile

Only the shape is checked here; whether names exist and fit together is resolve.py's question. Tags written as <tag>
tell the shapes of one key apart; messages leave them out.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from functools import cache
from importlib.resources import files
from typing import Annotated, Any, Literal, TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    PlainValidator,
    Tag,
    ValidationInfo,
    WithJsonSchema,
    model_validator,
)
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from lethe.deadlines import Period
from lethe.policy.obligations import OBLIGATIONS

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


def _delete(value: object) -> str:
    if value != "delete":
        raise refuse("delete, {anonymise: ...} or {aggregate: ...}")
    return "delete"


@dataclass(frozen=True)
class Checked:
    """A text that a function accepts."""

    check: Any
    pattern: str

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Call the function after the type is known."""
        return core_schema.no_info_after_validator_function(self.check, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """Tell editors the pattern."""
        return {**handler(schema), "pattern": self.pattern}


def _shape(value: object) -> str:
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
MonthDay = Annotated[str, Matches(r"(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])", "a month and day such as 12-31")]
Zone = Annotated[str, Matches(r"[A-Za-z][A-Za-z0-9_+/-]*", "a time zone such as Europe/Oslo")]
PeriodText = Annotated[str, Checked(_period, r"^P(?=\d)(\d{1,3}Y)?(\d{1,4}M)?(\d{1,4}W)?(\d{1,5}D)?$")]
Share = Annotated[str, Checked(_share, r"^\d+(\.\d+)?\s*%$")]
Category = Annotated[str, OneOf("a key of the Fideslang taxonomy", data_categories())]
Obligation = Annotated[str, OneOf("an obligation from R01 to R18", tuple(OBLIGATIONS))]
Value = Annotated[str, PlainValidator(_value), WithJsonSchema({"type": ["string", "integer", "boolean"]})]

_Many = Tag("<many>")
_One = Tag("<one>")
_Either = Discriminator(_one_or_many)
Texts = Annotated[Annotated[Text, _One] | Annotated[list[Text], _Many, Field(min_length=1)], _Either]
Columns = Annotated[Annotated[Column, _One] | Annotated[list[Column], _Many, Field(min_length=1)], _Either]
Names = Annotated[Annotated[Column, _One] | Annotated[list[Column], _Many], _Either]
Values = Annotated[Annotated[Value, _One] | Annotated[list[Value], _Many, Field(min_length=1)], _Either]
Conditions = dict[Reference, Values]


def many(value: T | list[T]) -> tuple[T, ...]:
    """One thing or a list of them, as a tuple."""
    return tuple(value) if isinstance(value, list) else (value,)


class Form(BaseModel):
    """A mapping with known keys; nothing else, nothing converted."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, use_attribute_docstrings=True)

    @model_validator(mode="before")
    @classmethod
    def _remember_keys(cls, data: object, info: ValidationInfo) -> object:
        """Leave the known keys for the message about an unknown one."""
        if isinstance(info.context, dict):
            info.context[id(data)] = tuple(cls.model_fields)
        return data


class Words(Form):
    """The same words in Norwegian bokmål and in English."""

    nb: Text
    en: Text


class OrganisationFile(Form):
    """organisation.yaml: the controller, and what holds for all of its activities (R22, R23)."""

    controller: Text
    represented_by: Text
    privacy_officer: Name
    """A role of `roles`."""
    contact: Text
    time_zone: Zone
    fiscal_year_end: MonthDay
    languages: Annotated[list[Literal["nb", "en"]], Field(min_length=1)]
    roles: dict[Name, Words]
    processors: dict[Name, Words]
    """Categories of processors."""


class StoreForm(Form):
    """A system that holds personal data."""

    kind: Literal["postgres"]
    connection: ConnectionId
    title: Words
    backups: PeriodText | None = None
    """How long a deleted row can still come back from a backup."""
    unzoned: Zone | None = None
    """The zone of time stamps without one."""


class StoresFile(Form):
    """stores.yaml: every system with its connection."""

    stores: Annotated[dict[Name, StoreForm], Field(min_length=1)]


class RelationForm(Form):
    """How rows refer to one row of another dataset, declared in the database or not."""

    to: Name
    by: Annotated[
        Annotated[Column, _One] | Annotated[dict[Column, Column], Tag("<mapping>"), Field(min_length=1)],
        Discriminator(_shape),
    ]
    """The referring column, or a mapping of referring columns to columns of the other's key."""
    when: Annotated[Conditions, Field(max_length=1)] | None = None
    """For references that can mean several datasets: the rows that mean this one."""
    as_text: bool = False
    """Compare both sides as text."""


class DatasetForm(Form):
    """A table with its key and its personal data."""

    in_: Name = Field(alias="in")
    """A store of stores.yaml."""
    table: Table
    key: Columns
    personal_data: dict[Column, Category]
    refers_to: dict[Column, RelationForm] = {}
    follows: Names = []
    """Relations whose target takes these rows with it, and must stay as long as they must."""
    unset: dict[Column, Annotated[list[date], Field(min_length=1)]] = {}
    """Dates that mean "no date"."""
    unzoned: dict[Column, Zone] = {}
    """The zone of time stamps without one, where it differs from the store's."""
    held_when: Conditions = {}
    """Values in the system itself that mean a legal hold."""
    triggers: list[Column] = []
    """Triggers known to write nothing that a deletion would have to answer for."""


class FiscalKeep(Form):
    """Keep for a period after the end of the fiscal year."""

    after: Literal["fiscal-year-end"]
    period: PeriodText


class FiscalFloor(Form):
    """What the law demands to keep, counted from the end of the fiscal year."""

    obligation: Obligation
    of: Name
    law: Text
    fields: Annotated[list[Column], Field(min_length=1)] | None = None
    """The columns it protects; the whole row when left out."""
    when: Conditions = {}
    clock: Reference
    keep: FiscalKeep


class UntilFloor(Form):
    """What the law demands to keep until something has happened."""

    obligation: Obligation
    of: Name
    law: Text
    fields: Annotated[list[Column], Field(min_length=1)] | None = None
    when: Conditions = {}
    until: Reference
    """The column that is filled in when it has happened."""


class Assumed(Form):
    """A period that the statement does not give: planned, never acted on, until it is confirmed."""

    assume: PeriodText
    confirm_by: Name
    """A role."""
    because: Text


class Constant(Form):
    """A text that takes the value's place."""

    constant: Annotated[str, Matches(r"[^\x00-\x1f\x7f]*", "a text without control characters")]


class AnonymiseStep(Form):
    """Fields that lose what they say of a person; `blank`, `unlink` and `delete` all empty the field."""

    anonymise: Annotated[
        dict[
            Column,
            Annotated[
                Annotated[str, Matches("blank|unlink|delete", "blank, unlink, delete or {constant: text}"), _One]
                | Annotated[Constant, Tag("<mapping>")],
                Discriminator(_shape),
            ],
        ],
        Field(min_length=1),
    ]


class AggregateForm(Form):
    """Rows are counted into another table of the same store before they go; all mappings are target: source."""

    into: Table
    by: Annotated[dict[Column, Grouping], Field(min_length=1)]
    count: Column
    sum: dict[Column, Column] = {}
    suppress_below: Annotated[int, Field(ge=1, le=1000)]
    """Groups smaller than this are left out."""


class AggregateStep(Form):
    """Count first, delete then."""

    aggregate: AggregateForm


def _step(value: object) -> str:
    keys = set(value) if isinstance(value, Mapping) else set()
    if isinstance(value, AnonymiseStep) or "anonymise" in keys:
        return "<anonymise>"
    return "<aggregate>" if isinstance(value, AggregateStep) or "aggregate" in keys else "<delete>"


DeleteStep = Annotated[str, PlainValidator(_delete), WithJsonSchema({"const": "delete"})]
Step = Annotated[
    Annotated[DeleteStep, Tag("<delete>")]
    | Annotated[AnonymiseStep, Tag("<anonymise>")]
    | Annotated[AggregateStep, Tag("<aggregate>")],
    Discriminator(_step),
]


class LimitsForm(Form):
    """How much one plan may do without a person; 0 means nothing at all."""

    rows: Annotated[int, Field(ge=0, le=10**12)]
    share: Share


class RuleForm(Form):
    """When which rows of a dataset go, or lose their person."""

    obligation: Obligation
    of: Name
    title: Words
    """The data in plain words, as in "Calls older than 90 days"."""
    since: Words | None = None
    """What the period counts from, in plain words, as in "1 year after the end of the customer relationship"."""
    clock: Reference
    keep: Annotated[
        Annotated[PeriodText, _One] | Annotated[Assumed, Tag("<mapping>")],
        Discriminator(lambda value: "<mapping>" if isinstance(value, dict | Assumed) else "<one>"),
    ]
    when: Conditions = {}
    then: Annotated[Annotated[Step, _One] | Annotated[list[Step], _Many, Field(min_length=1, max_length=2)], _Either]
    order: Annotated[int, Field(ge=1, le=1000)] | None = None
    limits: LimitsForm


class ActivityFile(Form):
    """activities/<activity>.yaml: one processing activity as GDPR article 30 wants it recorded (R21)."""

    activity: Name
    title: Words
    purpose: Words
    legal_basis: Texts
    responsible: Name
    """A role of organisation.yaml."""
    people: Annotated[list[Text], Field(min_length=1)]
    processors: list[Name] = []
    recipients: list[Text] = []
    transfers: list[Text] = []
    measures: Annotated[list[Text], Field(min_length=1)]
    serves: list[Obligation] = []
    not_automated: dict[Obligation, Text] = {}
    """Obligations without a rule, each with the reason."""
    datasets: dict[Name, DatasetForm] = {}
    floors: dict[
        Name,
        Annotated[
            Annotated[FiscalFloor, Tag("<fiscal>")] | Annotated[UntilFloor, Tag("<until>")],
            Discriminator(
                lambda value: (
                    "<until>"
                    if isinstance(value, UntilFloor) or (isinstance(value, dict) and "until" in value)
                    else "<fiscal>"
                )
            ),
        ],
    ] = {}
    rules: dict[Name, RuleForm] = {}
