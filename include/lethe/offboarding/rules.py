"""What the policy says of the mailbox of an employee who leaves, as frozen values (R10, R12); offboarding.yaml."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from lethe.deadlines import Period

Direction = Literal["sent", "received", "both"]


@dataclass(frozen=True)
class Directory:
    """The table that employees are looked up in, and the columns that say what Lethe needs to know of them."""

    store: str
    schema: str
    table: str
    number: str
    """The key, by which HR names an employee and `manager` another."""
    mailbox: str
    name: str
    manager: str
    language: str
    hired: str
    last_day: str
    status: str
    withdrawn: tuple[str, ...]
    """Values of `status` that mean: the employee stays after all."""


@dataclass(frozen=True)
class LastDay:
    """How far from today a last working day may lie to be believed."""

    ahead: Period
    ago: Period


@dataclass(frozen=True)
class AutomaticReply:
    """What whoever writes to the mailbox is told, and for how long (regulation on employers' access to e-mail § 4).

    `contact` is whom they are told to write to: the "recipient" of the hand-over, the "manager", or an address. The
    texts are templates by language with {name}, {contact} and {controller}.
    """

    lasts: Period
    contact: str
    subjects: Mapping[str, str]
    texts: Mapping[str, str]


@dataclass(frozen=True)
class HandOver:
    """What speaks for handing a message over: it is tied to the work of somebody who stays."""

    folders: tuple[str, ...]
    case_numbers: tuple[str, ...]
    """As they are written, with # for each digit: TD-#####."""
    customers: tuple[str, ...]
    """Domains; what is below them is theirs too."""
    customers_in: tuple[str, str] | None
    """A dataset and its column with more: addresses, or domains."""
    within: Period
    """How long before the last working day what is found by case number or customer was sent or received."""
    direction: Direction


@dataclass(frozen=True)
class Private:
    """What is nobody's but the employee's. Words count whole, and with any ending where they end in *."""

    folders: tuple[str, ...]
    subjects: tuple[str, ...]
    correspondents: tuple[str, ...]
    """Addresses and domains, as in the next two."""
    union: tuple[str, ...]
    occupational_health: tuple[str, ...]


@dataclass(frozen=True)
class Upkeep:
    """How old mail must be for its owner to be reminded of it, monthly (R11)."""

    obligation: str
    older_than: tuple[Period, ...]


@dataclass(frozen=True)
class Offboarding:
    """All of it; `messages` is how many may be handed over without the privacy officer's approval, 0 for none."""

    obligation: str
    directory: Directory
    platform: Literal["imap", "graph"]
    connection: str
    last_day: LastDay
    notice: Period
    """How long the employee is told before anything happens (§ 3)."""
    reply: AutomaticReply
    delete_after: Period
    """How long after the hand-over the mailbox is deleted."""
    hand_over: HandOver
    private: Private
    health_words: Mapping[str, tuple[str, ...]]
    """By language; a message with one of them is not handed over (R12)."""
    messages: int
    upkeep: Upkeep | None = None
    """None: nobody is reminded."""
    scan: str | None = None
    """The obligation for which mail of employees is looked into (R12); None: it is not."""
