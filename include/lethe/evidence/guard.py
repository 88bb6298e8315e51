"""What speaks against writing evidence, or acting, now: a database that was put back, evidence that nobody seals."""

from __future__ import annotations

from zoneinfo import ZoneInfo

from lethe.deadlines import Period, last_day, local_date
from lethe.errors import Behind, Unsealed
from lethe.evidence.outside import Head, Position
from lethe.stores.postgres.outbox import Outbox


def require_current(head: Head, outbox: Outbox) -> Position:
    """How far the outbox was sealed; Behind when its database holds less than that."""
    place = outbox.position()
    known = head.stores.get(outbox.name, place.store)
    if known != place.store and place.epoch == 1:
        raise Behind(
            f"{outbox.name}: found the store {place.store}, but evidence was published of {known} under this name; the "
            "database was replaced, or restored from before Lethe came: its owner declares it with "
            f"`lethe restore {outbox.name}`, and until then nothing is done there"
        )
    published = head.position(place.store)
    if (place.epoch, place.seq) < published:
        raise Behind(
            f"{outbox.name}: found evidence up to number {place.seq} of epoch {place.epoch}, but number {published[1]} "
            f"of epoch {published[0]} was published; the database was restored from a backup: its owner declares it "
            f"with `lethe restore {outbox.name}`, and until then nothing is done there"
        )
    return published


def require_sealed(head: Head, outbox: Outbox, stop_after: Period, zone: ZoneInfo) -> None:
    """Unsealed when a leaf of the outbox has waited for longer than the policy allows, by the database's own clock."""
    since = outbox.waiting_since(*require_current(head, outbox))
    if since is None:
        return
    last = last_day(local_date(since, zone), stop_after)
    if local_date(outbox.position().at, zone) > last:
        raise Unsealed(
            f"{outbox.name}: evidence has waited to be sealed since {local_date(since, zone)}, at most until {last} by "
            "the policy; nothing more is done until `lethe evidence seal`, or the DAG seal_evidence, has come through"
        )
