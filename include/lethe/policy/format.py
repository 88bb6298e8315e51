"""What may stand in the policy files: one definition, from which loading, messages and the JSON Schema follow.

    organisation.yaml          → OrganisationFile
    stores.yaml                → StoresFile
    activities/<activity>.yaml → ActivityFile
    offboarding.yaml           → OffboardingFile, in offboarding_forms.py

Only the shape is checked here; whether names exist and fit together is resolve.py's question.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Annotated, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    PlainValidator,
    Tag,
    ValidationInfo,
    WithJsonSchema,
    model_validator,
)

from lethe.policy.kinds import (
    EITHER,
    MANY,
    ONE,
    Accepted,
    Category,
    Channel,
    Column,
    Columns,
    Conditions,
    ConnectionId,
    Grouping,
    JsonPath,
    Matches,
    MonthDay,
    Name,
    Names,
    Obligation,
    Origin,
    PeriodText,
    Reference,
    Share,
    Table,
    Text,
    Texts,
    Value,
    Values,
    Zone,
    delete_word,
    shape,
)


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

    def by_language(self) -> dict[str, str]:
        """The words under the names of their languages."""
        return {"nb": self.nb, "en": self.en}


class AnchorForm(Form):
    """A place outside the company's reach that keeps signed checkpoints."""

    kind: Literal["rfc3161", "mail", "folder"]
    """A time-stamp authority, people who keep their mail, or a folder or bucket that can be written once."""
    connection: ConnectionId
    to: Annotated[list[Text], Field(min_length=1)] | None = None
    """Mail only: who gets it."""
    ca: Text | None = None
    """Time-stamps only: the PEM file with the authority's certificates."""


class EvidenceForm(Form):
    """How evidence is sealed (R26)."""

    origin: Origin
    """The log's name in every checkpoint; it never changes."""
    stop_after: PeriodText
    """Sweeps stop when evidence has waited longer than that to be sealed."""
    receipts: PeriodText = "P90D"
    """How long a data subject can still be given a receipt of a deletion."""
    backups: PeriodText
    """How long a backup of Lethe's own databases can still be put back."""
    anchors: dict[Name, AnchorForm] = Field(default_factory=dict)


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
    obligations: dict[Obligation, Words]
    """What the organisation has promised or must do; each needs a rule, a floor or a reason in some activity."""
    notify: dict[Name, Annotated[list[Channel], Field(min_length=1)]] = {}
    """How a role of `roles` is told what it answers for: addresses of a function, not of a person, and webhooks."""
    evidence: EvidenceForm | None = None
    """Left out, evidence stays in the stores' outboxes, and nobody signs it."""


class StoreForm(Form):
    """A system that holds personal data."""

    kind: Literal["postgres"]
    connection: ConnectionId
    title: Words
    backups: PeriodText | None = None
    """How long a deleted row can still come back from a backup."""
    unzoned: Zone | None = None
    """The zone of time stamps without one."""
    no_personal_data: dict[Table, Annotated[list[Column], Field(min_length=1)]] = {}
    """Columns that hold none, of tables that are no datasets."""
    accepted: dict[Accepted, Text] = {}
    """What `lethe discover` found and somebody has looked at, as "kind subject", with the reason."""
    canaries: dict[Name, Annotated[dict[Column, Value], Field(min_length=1)]] = {}
    """Rules that are tried with planted rows, and the values that such a row has in columns besides key and clock."""


class DocumentStoreForm(Form):
    """A folder or bucket with documents that rows of some store name."""

    connection: ConnectionId
    """An Airflow connection of type fs or aws, or any URL that fsspec knows."""
    title: Words
    backups: PeriodText | None = None
    """How long a deleted document can still come back from a backup or an older version."""


class StoresFile(Form):
    """stores.yaml: every system with its connection."""

    stores: Annotated[dict[Name, StoreForm], Field(min_length=1)]
    documents: dict[Name, DocumentStoreForm] = {}


class RelationForm(Form):
    """How rows refer to one row of another dataset, declared in the database or not."""

    to: Name
    by: Annotated[
        Annotated[Column, ONE] | Annotated[dict[Column, Column], Tag("<mapping>"), Field(min_length=1)],
        Discriminator(shape),
    ]
    """The referring column, or a mapping of referring columns to columns of the other's key."""
    when: Annotated[Conditions, Field(max_length=1)] | None = None
    """For references that can mean several datasets: the rows that mean this one."""
    as_text: bool = False
    """Compare both sides as text."""


class DocumentsForm(Form):
    """Where documents lie, and what happens when one is not there."""

    in_: Name = Field(alias="in")
    """A folder or bucket of stores.yaml."""
    missing: Literal["refuse", "accept"]
    """Stop before anything is changed, or take it for deleted."""


class Constant(Form):
    """A text that takes the value's place."""

    constant: Annotated[str, Matches(r"[^\x00-\x1f\x7f]*", "a text without control characters")]


class Band(Form):
    """The lower edge of a number's band: with 1000, 4711 becomes 4000."""

    band: Annotated[int, Field(ge=1, le=10**9)]


class Generalised(Form):
    """A value that stays useful and is too coarse to tell people apart."""

    generalise: Annotated[
        Annotated[str, Matches("month|year|region", "month, year, region or {band: number}"), ONE]
        | Annotated[Band, Tag("<mapping>")],
        Discriminator(shape),
    ]
    """A date's month or year, a postcode's region (zeros after two digits), or a number's band."""


class RedactionForm(Form):
    """By which columns the data subject of a text is known, and who confirms that the text may stay at all."""

    names: Annotated[list[Reference], Field(min_length=1)]
    emails: list[Reference] = []
    phones: list[Reference] = []
    addresses: list[Reference] = []
    confirm_by: Name
    """The privacy officer's role."""
    because: Text
    """Why the text is not deleted: what remains is pseudonymous."""


class Redacted(Form):
    """Free text that stays, without what is known of its data subject and without numbers and addresses of anybody."""

    redact: RedactionForm


def _change(value: object) -> str:
    known: dict[type, str] = {
        Redacted: "redact",
        Generalised: "generalise",
        ByPathForm: "json",
        WriteDownForm: "write_down",
    }
    keys = [known[type(value)]] if type(value) in known else list(value) if isinstance(value, dict) else []
    tag = next((key for key in known.values() if key in keys), None)
    return f"<{tag}>" if tag else "<constant>" if isinstance(value, dict | Constant) else "<one>"


_WORDS = "blank, unlink, delete, drop, surrogate, {constant: text}, {generalise: month} or {redact: {names: [...]}}"
_INSIDE = "blank, unlink, delete, surrogate, {constant: text}, {generalise: month} or {redact: {names: [...]}}"
_Constant = Annotated[Constant, Tag("<constant>")]
_Generalised = Annotated[Generalised, Tag("<generalise>")]
_Redacted = Annotated[Redacted, Tag("<redact>")]
InsideChange = Annotated[
    Annotated[str, Matches("blank|unlink|delete|surrogate", _INSIDE), ONE] | _Constant | _Generalised | _Redacted,
    Discriminator(_change),
]


class ByPathForm(Form):
    """Values inside a JSON document that change, by path: contact.name, items[*].note, ** for all below."""

    json_: dict[JsonPath, InsideChange] = Field(alias="json", min_length=1)


class WriteDownForm(Form):
    """A clock or condition that is kept in a column of its own, before the way to it is cut."""

    write_down: Reference
    """What to keep: relation.column."""


FieldChange = Annotated[
    Annotated[str, Matches("blank|unlink|delete|drop|surrogate", _WORDS), ONE]
    | _Constant
    | _Generalised
    | _Redacted
    | Annotated[ByPathForm, Tag("<json>")]
    | Annotated[WriteDownForm, Tag("<write_down>")],
    Discriminator(_change),
]


class LinkedForm(Form):
    """A dataset whose rows still have names, and the columns by which rows here could be matched with them."""

    to: Name
    by: Annotated[dict[Column, Column], Field(min_length=1)]
    """Columns here: columns there."""


class AnonymityForm(Form):
    """What must hold of rows without a person: nobody stands out among fewer than `k` by what is known of them."""

    k: Annotated[int, Field(ge=2, le=1000)]
    by: Annotated[list[Column], Field(min_length=1)]
    """The columns that others may know of somebody: place, time, product (quasi-identifiers)."""
    linked: list[LinkedForm] = []
    small_groups: list[Annotated[dict[Column, FieldChange], Field(min_length=1)]] = []
    """What the rows of smaller groups lose besides, step by step until none is left."""
    obligation: Obligation | None = None
    """The promise that this answers, where no rule does: that a survey is anonymous, say."""


class DatasetForm(Form):
    """A table with its key and its personal data."""

    in_: Name = Field(alias="in")
    """A store of stores.yaml."""
    table: Table
    key: Columns
    personal_data: dict[Column, Category]
    no_personal_data: list[Column] = []
    """Columns that somebody has looked at, and that hold none."""
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
    refreshed: list[Table] = []
    """Materialized views over the table that are refreshed after each sweep, as schema.view."""
    documents: dict[
        Column,
        Annotated[Annotated[Name, ONE] | Annotated[DocumentsForm, Tag("<mapping>")], Discriminator(shape)],
    ] = {}
    """Columns that name documents, with the folder or bucket these lie in: they go with the row."""
    anonymity: AnonymityForm | None = None
    """What must hold of its rows once they have no person, or where they never had one."""


class FiscalKeep(Form):
    """Keep for a period that starts when the fiscal year ends."""

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
    """The privacy officer's role: the one whose sign-in the database can prove."""
    because: Text


class AnonymiseStep(Form):
    """Fields that lose what they say of a person.

    `blank`, `unlink` and `delete` all empty the field; `drop` deletes the document that it names besides. `surrogate`
    puts a random value there that nothing links to the old one.
    """

    anonymise: Annotated[dict[Column, FieldChange], Field(min_length=1)]


class AggregateForm(Form):
    """Rows are counted into another table of the same store before they go; all mappings are target: source."""

    into: Table
    by: Annotated[dict[Column, Grouping], Field(min_length=1)]
    count: Column
    sum: dict[Column, Column] = {}
    suppress_below: Annotated[int, Field(ge=1, le=1000)]
    """Groups smaller than this are left out."""
    unless: dict[Column, Values] = {}
    """Rows with one of these values are not counted: canaries, or whatever else is of nobody."""


class AggregateStep(Form):
    """Count first, delete then."""

    aggregate: AggregateForm


def _step(value: object) -> str:
    keys = set(value) if isinstance(value, Mapping) else set()
    if isinstance(value, AnonymiseStep) or "anonymise" in keys:
        return "<anonymise>"
    return "<aggregate>" if isinstance(value, AggregateStep) or "aggregate" in keys else "<delete>"


DeleteStep = Annotated[str, PlainValidator(delete_word), WithJsonSchema({"const": "delete"})]
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


class ExpectForm(Form):
    """What a check must see of the rule's rows, or it proves nothing."""

    rows: Annotated[int, Field(ge=0, le=10**12)] = 1
    """At least so many; 0 where the table may be empty."""
    dated: Share = "0%"
    """At least so large a share has a date to count from."""
    newest: PeriodText | None = None
    """The newest date is not older than this."""


class RuleForm(Form):
    """When which rows of a dataset go, or lose their person."""

    obligation: Obligation
    of: Name
    title: Words
    """The data in plain words; explanations begin with it."""
    since: Words | None = None
    """What the period counts from, in plain words, as in "1 year after the end of the customer relationship"."""
    clock: Reference
    keep: Annotated[
        Annotated[PeriodText, ONE] | Annotated[Assumed, Tag("<mapping>")],
        Discriminator(lambda value: "<mapping>" if isinstance(value, dict | Assumed) else "<one>"),
    ]
    when: Conditions = {}
    then: Annotated[Annotated[Step, ONE] | Annotated[list[Step], MANY, Field(min_length=1, max_length=2)], EITHER]
    order: Annotated[int, Field(ge=1, le=1000)] | None = None
    receipts: Literal["subject"] | None = None
    """Whoever a row is about can be given proof that it went; the row's key is what they are known by."""
    limits: LimitsForm
    expect: ExpectForm = ExpectForm()


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
