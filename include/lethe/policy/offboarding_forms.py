"""What may stand in offboarding.yaml: how the mailbox of whoever leaves is handed over and deleted (R10, R12)."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import Field
from pydantic_core import PydanticCustomError

from lethe.policy.format import Form
from lethe.policy.kinds import (
    Checked,
    Column,
    ConnectionId,
    Matches,
    Name,
    Obligation,
    PeriodText,
    Table,
    Text,
    refuse,
)

# Letters are told from signs in Python: \w means ASCII alone to the editors that check with the schema.
_DOMAIN = re.compile(r"[^\W_](?:[\w-]{0,61}[^\W_])?(?:\.[^\W_](?:[\w-]{0,61}[^\W_])?)+")
_LOCAL = re.compile(r"[^@\s,;<>]{1,64}")
_WORD = re.compile(r"[^\W\d_]{2,}(?:[ -][^\W\d_]+)*\*?")
_CASE_NUMBER = re.compile(r"(?=.*[^\W\d_])(?=(?:.*#){3})[\w #./:-]{4,40}")
_PLAIN = r"[^\s@,;<>]+"


def _domain(value: str) -> str:
    if not _DOMAIN.fullmatch(value):
        raise refuse("a domain such as kunde.example")
    return value


def _listed(value: str) -> str:
    local, at, domain = value.rpartition("@")
    if not _DOMAIN.fullmatch(domain) or (at and not _LOCAL.fullmatch(local)):
        raise refuse("a mail address, or a domain such as forbund.example")
    return value


def _contact(value: str) -> str:
    if value not in ("recipient", "manager") and ("@" not in value or not _is_listed(value)):
        raise refuse("recipient, manager, or the mail address of a function")
    return value


def _is_listed(value: str) -> bool:
    try:
        return bool(_listed(value))
    except PydanticCustomError:
        return False


def _word(value: str) -> str:
    if not _WORD.fullmatch(value):
        raise refuse("words of letters with single spaces or hyphens between, and * for any ending")
    return value


def _case_number(value: str) -> str:
    if not _CASE_NUMBER.fullmatch(value):
        raise refuse("a case number such as TD-#####: letters as they are written, # for each of three digits or more")
    return value


Domain = Annotated[str, Checked(_domain, f"^{_PLAIN}$")]
Listed = Annotated[str, Checked(_listed, rf"^({_PLAIN}@)?{_PLAIN}$")]
Contact = Annotated[str, Checked(_contact, rf"^(recipient|manager|{_PLAIN}@{_PLAIN})$")]
Word = Annotated[str, Checked(_word, r"^[^\s*]+( [^\s*]+)*\*?$")]
CaseNumber = Annotated[str, Checked(_case_number, r"^(?=(.*#){3}).{4,40}$")]
Letter = Annotated[
    str, Matches(r"(?=[\s\S]*\S)[^\x00-\x09\x0b-\x1f\x7f]+", "a text without control characters but line breaks")
]
Words = Annotated[list[Word], Field(min_length=1)]


class DirectoryForm(Form):
    """Where employees are looked up: a table with a row for each, and its columns."""

    in_: Name = Field(alias="in")
    """A store of stores.yaml."""
    table: Table
    number: Column
    """The employee's number: the table's key."""
    mailbox: Column
    """The employee's mail address."""
    name: Column
    manager: Column
    """The number of the employee's manager."""
    language: Column
    """nb or en: what the employee is written to in."""
    hired: Column
    last_day: Column
    status: Column
    withdrawn: Annotated[list[Text], Field(min_length=1)]
    """Values of `status` that mean: the employee stays after all."""


class PlatformForm(Form):
    """The mail platform."""

    kind: Literal["imap", "graph"]
    connection: ConnectionId


class LastDayForm(Form):
    """How far from today a last working day may lie: what is further away is taken for a slip of the pen."""

    ahead: PeriodText
    ago: PeriodText


class LetterForm(Form):
    """Subject and text; {name}, {contact} and {controller} are filled in."""

    subject: Text
    text: Letter


class LettersForm(Form):
    """The reply in each language; whoever writes to the mailbox gets all of them."""

    nb: LetterForm
    en: LetterForm


class ReplyForm(Form):
    """The automatic reply of a closed mailbox. Nothing is ever forwarded."""

    lasts: PeriodText
    contact: Contact
    """Whom to write to instead: the recipient of the hand-over, the manager, or the address of a function."""
    letters: LettersForm


class CustomersColumnForm(Form):
    """A column with addresses or domains of customers."""

    dataset: Name
    column: Column


class CustomersForm(Form):
    """How a customer is known: by domain, with all that is below it, or from a column."""

    domains: list[Domain] = Field(default_factory=list)
    from_: CustomersColumnForm | None = Field(None, alias="from")
    """An address there means itself alone; a domain means what is below it too."""


class HandOverForm(Form):
    """What speaks for handing a message over; what nothing speaks for is not."""

    folders: list[Text] = Field(default_factory=list)
    """Names of folders whose messages the employee meant to hand over, with the folders inside them."""
    case_numbers: list[CaseNumber] = Field(default_factory=list)
    """How a case number in a subject is written, with # for each digit."""
    customers: CustomersForm | None = None
    within: PeriodText
    """How long before the last day; for what a case number or customer speaks for, not for folders."""
    direction: Literal["sent", "received", "both"] = "both"


class CorrespondentsForm(Form):
    """Addresses and domains whose mail is the employee's own business, whatever it is about."""

    union: list[Listed] = Field(default_factory=list)
    occupational_health: list[Listed] = Field(default_factory=list)
    others: list[Listed] = Field(default_factory=list)


class PrivateForm(Form):
    """What is never handed over, whatever speaks for it."""

    folders: Words
    """Words in the name of a folder, or of one that it lies in."""
    subjects: Words
    """Words in a subject, a category or a correspondent's name."""
    correspondents: CorrespondentsForm = Field(default_factory=CorrespondentsForm)


class HealthWordsForm(Form):
    """Words by language."""

    nb: Words
    en: Words


class SensitiveForm(Form):
    """What else keeps a message from being handed over; identity numbers always do."""

    health_words: HealthWordsForm


class OffboardingLimitsForm(Form):
    """How much may be handed over with the manager's approval alone."""

    messages: Annotated[int, Field(ge=0, le=10**9)]
    """Past it the privacy officer must approve too; 0: always."""


class UpkeepForm(Form):
    """A monthly reminder to each employee of old mail, by folder and age (R11)."""

    obligation: Obligation
    older_than: Annotated[list[PeriodText], Field(min_length=1)]


class ScanForm(Form):
    """A weekly look into new mail of employees for identity numbers and health words, which counts them (R12)."""

    obligation: Obligation


class OffboardingFile(Form):
    """offboarding.yaml: what happens to the mailbox of an employee who leaves (R10, R12)."""

    obligation: Obligation
    directory: DirectoryForm
    platform: PlatformForm
    last_day: LastDayForm
    notice: PeriodText
    """How long the employee is told before anything happens."""
    reply: ReplyForm
    delete_after: PeriodText
    """How long after the hand-over the mailbox is deleted."""
    hand_over: HandOverForm
    private: PrivateForm
    sensitive: SensitiveForm
    limits: OffboardingLimitsForm
    upkeep: UpkeepForm | None = None
    """Left out: nobody is reminded."""
    scan: ScanForm | None = None
    """Left out: nobody's mail is looked into before they leave."""


_LETTER = {"subject": "-", "text": "{contact}"}
SOUND: dict[str, Any] = {  # stands in for a section that is broken, so that the others can be looked at
    "obligation": "R0",
    "directory": {
        **dict.fromkeys((field.alias or name for name, field in DirectoryForm.model_fields.items()), "unknown"),
        "withdrawn": ["unknown"],
    },
    "platform": {"kind": "imap", "connection": "unknown"},
    "last_day": {"ahead": "P1D", "ago": "P1D"},
    "notice": "P1D",
    "reply": {"lasts": "P1D", "contact": "manager", "letters": {"nb": _LETTER, "en": _LETTER}},
    "delete_after": "P1D",
    "hand_over": {"within": "P1D"},
    "private": {"folders": ["unknown"], "subjects": ["unknown"]},
    "sensitive": {"health_words": {"nb": ["unknown"], "en": ["unknown"]}},
    "limits": {"messages": 0},
}
