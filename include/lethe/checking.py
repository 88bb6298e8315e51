"""Asking a store by other means whether anything expired remains, and whether it holds what no rule knows.

What the command line and the DAG do alike.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from lethe import clock
from lethe.errors import StoreError, StoreUnreachable
from lethe.run import Lethe

if TYPE_CHECKING:
    from lethe.checks.result import StoreChecked

GRACE = 1
"""How many days the sweep has to come by, where nobody says otherwise: it comes daily."""


def look(lethe: Lethe, store: str, today: date, grace: int = GRACE) -> StoreChecked:
    """Ask one store about its rules as of a day, and look into it for what the policy does not name.

    Changes nothing, and what cannot be asked is unknown.
    """
    from lethe.checks.suite import Asked, check_store  # seconds, and a quarter of a gigabyte
    from lethe.discovery.look import discover  # lists of names and numbering plans

    policy = lethe.policy
    waiting = frozenset(name for name, rule in policy.rules.items() if not lethe.state.is_confirmed(rule))
    rules = tuple(rule for rule in policy.rules.values() if rule.dataset.store == store)
    canaries, before = lethe.state.canaries.of(store, today), lethe.state.remembered(store)
    counted = before.floored if before is not None else {}
    asked = Asked(policy, store, rules, today, grace, waiting, canaries, counted, lethe.address)
    found = check_store(asked, lethe.address(store))
    if found.identity is None:
        return replace(found, before=before)
    try:
        into = discover(policy, store, lethe.address(store), known=before.columns if before is not None else None)
    except StoreError as error:
        return replace(found, before=before, problem=str(error))
    columns = {table.place: table.names for table in into.looked.inventory.tables}
    identity, unread = replace(found.identity, columns=columns), frozenset(into.looked.unread)
    return replace(found, before=before, gaps=into.findings, unread=unread, identity=identity)


def remember(lethe: Lethe, store: str) -> None:
    """From now on the database that answers, with its tables as they are, is the one that is meant."""
    found = look(lethe, store, lethe.today(clock.now()))
    if found.identity is None:
        raise StoreUnreachable(found.problem)
    lethe.state.remember(store, found.identity)


def keep_page(found: StoreChecked, directory: Path) -> Path | None:
    """Write the check's page for people into a directory, as STORE/DAY.html; None when there is nothing to show."""
    if not found.page:
        return None
    page = directory / found.store / f"{found.today}.html"
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text(found.page, encoding="utf-8")
    return page
