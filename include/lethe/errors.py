"""Everything that Lethe raises on purpose.

    LetheError
    ├── PolicyError          the policy cannot be used; carries every problem found, with file, line and column
    ├── StoreError           a store did not do what was asked
    │   ├── StoreUnreachable   no connection, wrong password, connection dropped
    │   ├── StoreRefused       missing permission, read-only, disk full, lock or statement timeout
    │   └── SchemaMismatch     the live schema is not what the policy says; carries every problem
    ├── PlanError            a plan cannot be acted on
    │   ├── NotApproved        no person has approved it, and it needs one
    │   ├── Stale              rule, policy, schema, store or day is no longer the one it was made for
    │   └── BoundExceeded      acting went past the approved number of rows
    ├── EvidenceError        evidence cannot be sealed, or must not be added to
    │   ├── Behind             a database is behind what was published of it: it was restored from a backup
    │   ├── Forked             what is there is not the beginning or the end of what was signed before
    │   ├── Unsealed           evidence has waited longer to be sealed than the policy allows
    │   ├── ReceiptError       a receipt does not show what it should, or cannot be given
    │   ├── AnchorUnreachable  a place outside could not be reached, or refused
    │   └── AnchorConflict     a place outside holds something else under the same name
    ├── HoldError            a hold names what is not there, or is none
    │   ├── NoSuchHold         no hold has this id, or several begin so
    │   └── HoldReleased       it is over, and takes no other word
    ├── SubjectError         the row that is asked about is not there
    └── ConfigError          a connection or a setting is missing

Each message names the thing found, the thing expected and the next step; values of rows are never part of it.
"""

from __future__ import annotations


class LetheError(Exception):
    """Base of every error that Lethe raises on purpose."""


class PolicyError(LetheError):
    """The policy cannot be used; `problems` holds one line for each thing that is wrong."""

    def __init__(self, problems: tuple[str, ...]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class StoreError(LetheError):
    """A store did not do what was asked."""


class StoreUnreachable(StoreError):
    """No connection to the store, or it broke."""


class StoreRefused(StoreError):
    """The store answered, and said no."""


class SchemaMismatch(StoreError):
    """The live schema differs from the policy; `problems` holds one line for each difference."""

    def __init__(self, problems: tuple[str, ...]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class PlanError(LetheError):
    """A plan cannot be acted on."""


class NotApproved(PlanError):
    """The plan needs a person's approval and has none."""


class Stale(PlanError):
    """What the approval was bound to has changed since."""


class BoundExceeded(PlanError):
    """Acting would go past the approved upper bound."""


class EvidenceError(LetheError):
    """Evidence cannot be sealed, or must not be added to."""


class Behind(EvidenceError):
    """A database is behind what was published of it: it was restored from a backup, and nobody has said so."""


class Forked(EvidenceError):
    """What is there is not the beginning of what was signed before, or not its continuation."""


class Unsealed(EvidenceError):
    """Evidence has waited longer to be sealed than the policy allows."""


class ReceiptError(EvidenceError):
    """A receipt does not show what it should, or cannot be given; the message names no subject and no nonce."""


class AnchorUnreachable(EvidenceError):
    """A place outside could not be reached, or refused."""


class AnchorConflict(EvidenceError):
    """A place outside holds something else under the same name."""


class HoldError(LetheError):
    """A hold names what is not there, or is no hold that anybody placed; the message names no key."""


class NoSuchHold(HoldError):
    """No hold has this id, or the ids of several begin so."""


class HoldReleased(HoldError):
    """The hold was released before: nothing can be said to it any more."""


class SubjectError(LetheError):
    """The row that is asked about is not there; the message names no key."""


class ConfigError(LetheError):
    """A connection or setting is missing or unreadable."""
