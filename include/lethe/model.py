"""The words of Lethe as frozen values: what a policy says, what a plan found, what an act did.

    Policy ── Activity ── Dataset ── Relation
        │                    └────── Rule ── Clock, Condition, Floor, Step
        └── Store

Nothing here reads a clock, a file or a database.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from enum import IntFlag, StrEnum
from typing import Any, Literal
from zoneinfo import ZoneInfo

from lethe.deadlines import Period, YearEnd
from lethe.offboarding.rules import Offboarding

# ---------------------------------------------------------------- the policy


@dataclass(frozen=True)
class Role:
    """A role of the organisation that answers for activities or confirms assumptions (R22)."""

    name: str
    title: Mapping[str, str]


@dataclass(frozen=True)
class AnchorSetting:
    """Where signed checkpoints are brought outside: what kind of place, and the Airflow connection that reaches it.

    `to` is who gets the mail. `ca` is the PEM file with the authority's certificates that a time-stamp is held to.
    """

    name: str
    kind: Literal["rfc3161", "mail", "folder"]
    connection: str
    to: tuple[str, ...] = ()
    ca: str | None = None


@dataclass(frozen=True)
class Evidence:
    """How evidence is sealed: the name of the log, its anchors, and how long things may wait."""

    origin: str
    stop_after: Period
    """Sweeps stop when a leaf has waited longer than that to be sealed."""
    receipts: Period
    """How long a data subject can still be given a receipt."""
    backups: Period
    """How long a backup of Lethe's own databases can still be put back."""
    anchors: Mapping[str, AnchorSetting]


@dataclass(frozen=True)
class Organisation:
    """The controller and what holds for all of its activities."""

    controller: str
    represented_by: str
    privacy_officer: str
    zone: ZoneInfo
    year_end: YearEnd
    languages: tuple[str, ...]
    roles: Mapping[str, Role]
    processors: Mapping[str, Mapping[str, str]]
    contact: str
    obligations: Mapping[str, Mapping[str, str]]
    """What the organisation has promised or must do, by id, in words by language: each needs an answer."""
    evidence: Evidence | None = None
    """None: leaves stay where they are written, and nobody signs them."""
    notify: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Where roles are told of findings: mail addresses, and `webhook:CONNECTION`."""


@dataclass(frozen=True)
class Store:
    """A system that holds personal data; `backups` is how long a deleted row can still come back from a backup."""

    name: str
    kind: Literal["postgres"]
    connection: str
    title: Mapping[str, str]
    backups: Period | None
    zone: ZoneInfo | None
    """The zone of time stamps without one; None when the policy does not say."""
    no_personal_data: Mapping[str, tuple[str, ...]] = field(default_factory=dict, hash=False)
    """Columns that hold none, by schema.table, of tables that are no datasets."""
    accepted: Mapping[str, str] = field(default_factory=dict, hash=False)
    """Findings that somebody has looked at, as `kind subject`, and why they may stay."""
    canaries: Mapping[str, Mapping[str, str]] = field(default_factory=dict, hash=False)
    """Values of the rows that are made up and planted to see what becomes of them: by rule, by column."""


@dataclass(frozen=True)
class DocumentStore:
    """A folder or bucket with documents that rows name; `backups` as of a store."""

    name: str
    connection: str
    title: Mapping[str, str]
    backups: Period | None


@dataclass(frozen=True)
class Documents:
    """Where the documents lie that a column names, and whether one that is not there stops the rule."""

    store: str
    missing: Literal["refuse", "accept"] = "refuse"


@dataclass(frozen=True)
class ColumnRef:
    """A column of a dataset, or of one it refers to: `path` names the relations to follow, first to last."""

    column: str
    path: tuple[str, ...] = ()

    def __str__(self) -> str:
        return ".".join((*self.path, self.column))


@dataclass(frozen=True)
class Condition:
    """The column holds one of `values`, compared as text; NULL matches none."""

    at: ColumnRef
    values: tuple[str, ...]


@dataclass(frozen=True)
class Relation:
    """Rows of one dataset refer to one row of another, whether or not the database declares it.

    `columns` pairs the referring column with a column of the other's key. `when` limits a polymorphic reference to
    the rows that mean this dataset. `as_text` compares both sides as text.
    """

    name: str
    to: str
    columns: tuple[tuple[str, str], ...]
    when: Condition | None = None
    as_text: bool = False


_WHO = ("user.name", "user.contact", "user.unique_id", "user.government_id")


@dataclass(frozen=True)
class Dataset:
    """A table with its key, its personal data and how it hangs together with others."""

    name: str
    activity: str
    store: str
    schema: str
    table: str
    key: tuple[str, ...]
    personal_data: Mapping[str, str] = field(hash=False)
    relations: Mapping[str, Relation] = field(default_factory=dict, hash=False)
    follows: tuple[str, ...] = ()
    """Relations whose target's fate these rows share: they go when it goes, and keep it when they must stay."""
    unset: Mapping[str, tuple[date, ...]] = field(default_factory=dict, hash=False)
    """Dates that mean "no date", by column."""
    zones: Mapping[str, ZoneInfo] = field(default_factory=dict, hash=False)
    """The zone of time stamps without one, by column."""
    held_when: tuple[Condition, ...] = ()
    """Values in the store itself that mean a legal hold."""
    triggers: tuple[str, ...] = ()
    """Triggers of the table that are known to do nothing a deletion would have to answer for."""
    documents: Mapping[str, Documents] = field(default_factory=dict, hash=False)
    """Where documents lie that the rows name, by the column with their paths: they go with the row."""
    refreshed: tuple[str, ...] = ()
    """Materialized views over the table that somebody refreshes after each sweep, as schema.view."""
    no_personal_data: tuple[str, ...] = ()
    """Columns that somebody has looked at, and that hold none."""

    @property
    def place(self) -> str:
        """The table, as schema.table."""
        return f"{self.schema}.{self.table}"

    @property
    def naming(self) -> tuple[str, ...]:
        """The columns that say who a row is about."""
        return tuple(name for name, category in self.personal_data.items() if category.startswith(_WHO))


@dataclass(frozen=True)
class Clock:
    """Where a period starts: a column, the zone of its time stamps if they have none, and the dates that mean unset."""

    at: ColumnRef
    zone: ZoneInfo | None = None
    unset: tuple[date, ...] = ()

    def __str__(self) -> str:
        return str(self.at)


@dataclass(frozen=True)
class Floor:
    """What a law demands to keep, for the fields it names (R13, R14).

    Either a period that starts when the fiscal year of `clock` ends, or until the date in `until` has come: that of a
    delivery to the archive, say. `fields` empty means the whole row.
    """

    name: str
    obligation: str
    activity: str
    dataset: str
    fields: tuple[str, ...]
    when: tuple[Condition, ...]
    clock: Clock | None = None
    period: Period | None = None
    until: Clock | None = None
    law: str = ""


@dataclass(frozen=True)
class Assumption:
    """What a person must confirm: a period that the statement does not give, or text that is redacted, not deleted.

    Until `confirm_by` confirms the rule as it reads, it may plan, and never act.
    """

    confirm_by: str
    because: str
    of: Literal["period", "redaction"] = "period"


@dataclass(frozen=True)
class Delete:
    """The row goes."""


@dataclass(frozen=True)
class Put:
    """The field gets this constant, None for NULL."""

    value: str | None


@dataclass(frozen=True)
class Drop(Put):
    """The document that the field names goes, and the field is emptied."""

    value: None = None


@dataclass(frozen=True)
class Generalise:
    """The field keeps what is useful and too coarse to tell people apart.

    A date or moment its month or year (the first of it), a postcode its region (zeros after two digits), a number its
    band of `width` (the lower edge).
    """

    to: Literal["month", "year", "region", "band"]
    width: int = 0


@dataclass(frozen=True)
class Surrogate:
    """The field gets a random value of its own, which nothing links to the old one and which shows that it is one."""


@dataclass(frozen=True)
class Redact:
    """The text loses what it tells of its data subject by these columns, and numbers and addresses of anybody.

    What remains is pseudonymous, and is never called anonymous: it takes the privacy officer's word.
    """

    names: tuple[ColumnRef, ...] = ()
    emails: tuple[ColumnRef, ...] = ()
    phones: tuple[ColumnRef, ...] = ()
    addresses: tuple[ColumnRef, ...] = ()

    @property
    def references(self) -> tuple[ColumnRef, ...]:
        """The columns that the data subject is known by."""
        return (*self.names, *self.emails, *self.phones, *self.addresses)


@dataclass(frozen=True)
class ByPath:
    """Values inside a JSON document are changed, by path; what a path does not lead to stays as it is."""

    paths: Mapping[str, Put | Generalise | Surrogate | Redact] = field(hash=False)

    @property
    def references(self) -> tuple[ColumnRef, ...]:
        """The columns that the data subject of its texts is known by."""
        return tuple(ref for each in self.paths.values() if isinstance(each, Redact) for ref in each.references)


@dataclass(frozen=True)
class WriteDown:
    """The field keeps what is reached by way of other fields, before these go; it is filled, never written over."""

    of: ColumnRef


Change = Put | Generalise | Surrogate | Redact | ByPath | WriteDown


@dataclass(frozen=True)
class Anonymise:
    """Fields get values that say nothing of the person, by column. Each change done twice is the same as once."""

    fields: Mapping[str, Change] = field(hash=False)

    @property
    def rewritten(self) -> Mapping[str, Redact | ByPath]:
        """The fields that are read and written anew, row by row."""
        return {name: change for name, change in self.fields.items() if isinstance(change, Redact | ByPath)}

    @property
    def written_down(self) -> Mapping[str, ColumnRef]:
        """The fields that are filled with what is reached by way of others, and that."""
        return {name: change.of for name, change in self.fields.items() if isinstance(change, WriteDown)}


@dataclass(frozen=True)
class Aggregate:
    """Rows are counted and summed into another table of the store before they are deleted (R09).

    `by` is target column → source column, as `day(column)` for its local date. Groups smaller than `suppress_below`
    are taken out once they are complete.
    """

    into: str
    by: Mapping[str, str] = field(hash=False)
    count: str
    sums: Mapping[str, str] = field(hash=False)
    suppress_below: int
    unless: tuple[Condition, ...] = ()
    """Rows that meet one of these are not counted: they are of nobody."""


@dataclass(frozen=True)
class Linked:
    """A dataset whose rows still have names, and the columns by which ours could be matched with them: ours, theirs."""

    to: str
    by: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Anonymity:
    """What must hold of rows that lost their person, or never had one: nobody stands out among fewer than `k`.

    `rule` is the one that anonymises the dataset; None where its rows were collected without a person. Its rows in
    smaller groups get the changes of `small_groups`, in that order, until there are none.
    """

    dataset: str
    rule: str | None
    k: int
    by: tuple[str, ...]
    linked: tuple[Linked, ...]
    small_groups: tuple[Mapping[str, Change], ...]
    obligation: str | None


@dataclass(frozen=True)
class Limits:
    """How much one plan may do without a person; 0 means nothing at all."""

    rows: int
    share: float
    """Part of the table's rows, 0 to 1."""


@dataclass(frozen=True)
class Kin:
    """A dataset that shares the fate of another, on the way down (it follows) or up (it is followed).

    `relation` always leads from the follower to what it follows; `kin` goes on in the same direction. `others` is what
    a follower follows besides: it keeps the follower, and so all that would take the follower along.
    """

    dataset: Dataset
    relation: Relation
    floors: tuple[Floor, ...]
    kin: tuple[Kin, ...] = ()
    others: tuple[Kin, ...] = ()


@dataclass(frozen=True)
class Dependent:
    """Rows that another rule reaches through fields that this one takes away: a row waits until they are done.

    `path` is the relations from such a row up to the one that waits. `fields` is what the other rule changes there;
    empty where it deletes the row.
    """

    rule: str
    dataset: Dataset
    path: tuple[str, ...]
    fields: Mapping[str, Change] = field(default_factory=dict, hash=False)


@dataclass(frozen=True)
class Expect:
    """What a check must see of a rule's rows, or it proves nothing: how many, the share with a date, a new one."""

    rows: int = 1
    dated: float = 0.0
    newest: Period | None = None


@dataclass(frozen=True)
class Rule:
    """Clock, period and action for one dataset, with everything that can keep a row from it."""

    name: str
    obligation: str
    activity: str
    dataset: Dataset
    clock: Clock
    keep: Period
    assumption: Assumption | None
    when: tuple[Condition, ...]
    action: Delete | Anonymise
    aggregate: Aggregate | None
    floors: tuple[Floor, ...]
    followers: tuple[Kin, ...]
    """What is deleted along, and keeps the row when it must stay itself."""
    leaders: tuple[Kin, ...]
    """What the row follows: a hold or floor up there protects down here."""
    limits: Limits
    order: int | None
    title: Mapping[str, str] = field(hash=False)
    since: Mapping[str, str] = field(default_factory=dict, hash=False)
    """What the period counts from, in words by language; empty when the data has a date of its own."""
    dependents: tuple[Dependent, ...] = ()
    """What still needs the fields that go, and so goes first."""
    receipts: Literal["subject"] | None = None
    """Whether a person can be given proof that their row went; None: its batches say how many, and nobody is known."""
    expect: Expect = Expect()
    digest: str = ""
    """SHA-256 of everything above in canonical JSON: an approval is for this meaning of the rule."""

    @property
    def redacts(self) -> bool:
        """Whether what a person must confirm is that text stays, redacted, rather than an assumed period."""
        return self.assumption is not None and self.assumption.of == "redaction"


@dataclass(frozen=True)
class Activity:
    """A processing activity as the record of GDPR article 30 wants it (R21)."""

    name: str
    title: Mapping[str, str]
    purpose: Mapping[str, str]
    legal_basis: tuple[str, ...]
    responsible: str
    people: tuple[str, ...]
    processors: tuple[str, ...]
    recipients: tuple[str, ...]
    transfers: tuple[str, ...]
    measures: tuple[str, ...]
    serves: tuple[str, ...]
    """Obligations that this activity answers for."""
    not_automated: Mapping[str, str]
    """Obligations without a rule → the reason."""
    datasets: tuple[str, ...]
    rules: tuple[str, ...]
    floors: tuple[str, ...]


@dataclass(frozen=True)
class Policy:
    """All of it, resolved and checked; `digest` is the SHA-256 of the files' meaning in canonical JSON."""

    organisation: Organisation
    stores: Mapping[str, Store]
    activities: Mapping[str, Activity]
    datasets: Mapping[str, Dataset]
    rules: Mapping[str, Rule]
    floors: Mapping[str, Floor]
    digest: str
    warnings: tuple[str, ...] = ()
    documents: Mapping[str, DocumentStore] = field(default_factory=dict)
    anonymity: Mapping[str, Anonymity] = field(default_factory=dict)
    """By dataset."""
    offboarding: Offboarding | None = None
    """None: Lethe touches nobody's mailbox."""


# ---------------------------------------------------------------- verdicts


class Verdict(StrEnum):
    """What is to happen with one record now."""

    DUE = "due"
    DONE = "done"
    KEPT = "kept"


class Reason(IntFlag):
    """Why a record is kept, or done; a record can have several, one that has none is due."""

    NOT_DUE = 1
    UNDATED = 2
    FUTURE = 4
    HELD = 8
    RESTRICTED = 16
    FLOOR = 32
    CONDITION = 64
    UNCONFIRMED = 128
    DONE = 256
    NEEDED = 512

    @property
    def verdict(self) -> Verdict:
        """Done beats kept: what is anonymised already needs no reason to stay."""
        if not self:
            return Verdict.DUE
        return Verdict.DONE if Reason.DONE in self else Verdict.KEPT


NO_REASON = Reason(0)


@dataclass(frozen=True)
class Decision:
    """The verdict on one record with every reason for it."""

    verdict: Verdict
    reasons: Reason


@dataclass(frozen=True)
class Record:
    """One row as decide() wants it: values by column reference, holds on it or what it hangs on, rows of its fate."""

    values: Mapping[str, Any]
    holds: Reason = NO_REASON
    kin: tuple[tuple[Kin, Record], ...] = ()
    redacted: frozenset[str] = frozenset()
    """Columns that are as they were left when they were written anew."""
    dependents: tuple[tuple[Dependent, Record], ...] = ()


# ---------------------------------------------------------------- plans and deeds


class Way(StrEnum):
    """How the rows of one part of a table are reached."""

    BLOCKS = "blocks"
    INDEX = "index"
    PARTITION = "partition"
    FINISH = "finish"


@dataclass(frozen=True)
class Shard:
    """A part of the work that one worker does alone: a block range, a date range, or one partition of `relation`.

    `start` and `end` are block numbers or ISO dates, end exclusive; None leaves that side open.
    """

    number: int
    way: Way
    relation: str
    start: str | None = None
    end: str | None = None


@dataclass(frozen=True)
class Survey:
    """What a store says of a rule now. `counts` is rows by combination of reasons (0: due)."""

    counts: Mapping[Reason, int]
    oldest: date | None
    newest: date | None
    reach: Mapping[str, int]
    """Rows that go with those due, by following dataset."""
    unseen: tuple[str, ...]
    """Conditions and holds that name a value which occurs nowhere, as `column = value`."""
    warnings: tuple[str, ...]
    shards: tuple[Shard, ...]
    fingerprint: str
    store_id: str
    epoch: int

    @property
    def total(self) -> int:
        """All rows of the dataset."""
        return sum(self.counts.values())

    def of(self, verdict: Verdict) -> int:
        """Rows with this verdict."""
        return sum(rows for reasons, rows in self.counts.items() if reasons.verdict is verdict)

    def because(self, reason: Reason) -> int:
        """Rows that have this reason, alone or with others; what is done already has no other."""
        without = Reason.DONE & ~reason
        return sum(rows for reasons, rows in self.counts.items() if reason in reasons and not reasons & without)


@dataclass(frozen=True)
class Bounds:
    """How far an approval of a plan goes: rows of the dataset, and rows that follow them."""

    rows: int
    reach: int


@dataclass(frozen=True)
class Plan:
    """What one rule would do on one day, and what a person must approve of it."""

    rule: str
    rule_digest: str
    policy_digest: str
    store: str
    today: date
    cutoff: date
    survey: Survey
    bounds: Bounds
    needs: tuple[str, ...]
    """Why a person must approve; empty when nobody needs to."""
    earlier: int
    """How many plans of this rule and day were carried out before: a plan that looks like one of them is another."""
    digest: str


@dataclass(frozen=True)
class Receipt:
    """What one batch did: rows of the dataset, and of each dataset that followed."""

    plan: str
    shard: int
    batch: int
    rows: int
    reach: Mapping[str, int]
    seconds: float
    seq: int


@dataclass(frozen=True)
class Subjects:
    """The data subjects of one batch under one root, which tells nobody who they are: how many, and SHA-256 in hex."""

    count: int
    root: str


@dataclass(frozen=True)
class Done:
    """What all batches of a plan did so far, as the store's own records have it."""

    rows: int = 0
    reach: int = 0
    batches: int = 0
    finished: bool = False
    """Whether the piece of work that comes after all shards is done too."""


@dataclass(frozen=True)
class Remaining:
    """What a store says, asked by other means, is still there although it was due on `today`."""

    rule: str
    today: date
    rows: int
    detached: tuple[str, ...] = ()
    """Partitions taken off the table whose fate is not sealed."""
    documents: int = 0
    """Documents that were to be deleted and whose fate is not sealed."""
    findings: tuple[str, ...] = ()
    """What speaks against calling anonymous what was anonymised, in words."""

    @property
    def is_nothing(self) -> bool:
        """Whether nothing is left."""
        return not (self.rows or self.detached or self.documents or self.findings)
