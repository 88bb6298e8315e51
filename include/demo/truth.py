"""The judge of the demo: what every row of the estate must look like after a sweep, worked out row by row.

The rules are told a second time here, in plain Python and with nothing of the core: the estate is read before the sweep
(`snapshot`), each row's fate is worked out (`expected`), and the estate after the sweep is compared with it (`check`).
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import psycopg
from psycopg import sql

from demo.planted import CASES, DATASETS, HOLDS, TODAY, Case, Row
from demo.planted.bookkeeping import BEFORE_TIME, FORGOTTEN_CONTACT, NEVER
from demo.planted.contact_centre import FEWEST_CALLS, STATISTICS
from demo.planted.people import FORGOTTEN_ORDER
from demo.planted.portal import FORGOTTEN_CASE, FORGOTTEN_MESSAGE

__all__ = ["CASES", "DATASETS", "HOLDS", "Case", "Mismatch", "check", "expected", "load", "save", "snapshot"]

OSLO = ZoneInfo("Europe/Oslo")
FEWEST_ALIKE = 3
HELD = {(hold.store, hold.table, hold.key) for hold in HOLDS}
# Every other table's key is `id`.
KEYS = {"kunde": "kundenr", "faktura": "fakturanr", "agents": "username", "employees": "employee_no"}

Record = dict[str, Any]
Table = dict[str, Record]  # key as text → row, its values as in JSON, times in UTC
Store = dict[str, Table]
Estate = dict[str, Store]


@dataclass(frozen=True)
class Mismatch:
    """One row that did not meet its fate; `what` names columns and fates, never values."""

    store: str
    table: str
    key: str
    what: str


def snapshot(conninfo: dict[str, str]) -> Estate:
    """Read every row of the stores in `conninfo` (store name → libpq connection string); for demo sizes only."""
    return {store: _read(where) for store, where in conninfo.items()}


def save(estate: Estate, path: Path) -> None:
    """Keep a snapshot in a JSON file."""
    path.write_text(json.dumps(estate), encoding="utf-8")


def load(path: Path) -> Estate:
    """Return the snapshot kept in a JSON file."""
    estate: Estate = json.loads(path.read_text(encoding="utf-8"))
    return estate


def check(
    conninfo: dict[str, str], before: Estate, documents: Path | None = None, today: date = TODAY
) -> list[Mismatch]:
    """Compare the stores after a sweep of `today` with what `before` should have become; planted cases come first.

    The planted cases are compared on their own day only, with the fates written by hand. `documents` is the folder of
    the portal's documents, when it was swept too.
    """
    after = snapshot(conninfo)
    cases = [case for case in CASES if today == TODAY and case.store in before]
    planted = [found for case in cases for found in _case(case, before, after)]
    if today == TODAY and "contact-centre" in after:
        planted += _statistics(after["contact-centre"])
    wanted = expected(before, today)
    left = _documents(before["portal"], wanted["portal"], documents) if documents else ()
    return list(dict.fromkeys([*planted, *compare(wanted, after), *left]))


def _documents(before: Store, wanted: Store, folder: Path) -> Iterator[Mismatch]:
    """A document is there exactly when its attachment is; nothing else is in the folder."""
    there = {f"/{file.relative_to(folder)}" for file in folder.rglob("*") if not file.is_dir()}
    for key, row in before["attachments"].items():
        if (row["path"] in there) != (key in wanted["attachments"]):
            stays = key in wanted["attachments"]
            yield Mismatch("portal", "attachments", key, f"document is {'gone' if stays else 'there'}, should not be")
    for _ in there - {row["path"] for row in before["attachments"].values()}:
        yield Mismatch("portal", "attachments", "", "a document is there that no attachment ever named")


def compare(wanted: Estate, found: Estate) -> list[Mismatch]:
    """Return what is different in `found`, row by row."""
    return [
        Mismatch(store, table, key, what)
        for store in wanted
        for table in sorted({*wanted[store], *found[store]})
        for key, what in _differences(wanted[store].get(table, {}), found[store].get(table, {}))
    ]


def expected(before: Estate, today: date) -> Estate:
    """Return what the estate must look like after every confirmed rule was carried out on `today`."""
    return {store: FATES[store](tables, today) if store in FATES else tables for store, tables in before.items()}


# ---------------------------------------------------------------------------------------------------- the stores' fates


def _website(store: Store, today: date) -> Store:
    visitors = _drop(store, "visitors", lambda row: over(row["last_visit_at"], today, months=26))
    return {
        **store,
        "visitors": visitors,
        "visits": {key: row for key, row in store["visits"].items() if row["visitor_id"] in visitors},
        "form_messages": _drop(
            store, "form_messages", lambda row: row["status"] == "ferdig" and over(row["handled_at"], today, days=30)
        ),
        "consents": _drop(store, "consents", lambda row: over(row["withdrawn_at"], today, days=1)),
        "server_sessions": _drop(store, "server_sessions", lambda row: over(row["ended_at"], today, days=1)),
        "access_log": _drop(store, "access_log", lambda row: over(row["at"], today, days=90)),
    }


def _portal(store: Store, today: date) -> Store:
    def free(case: Record) -> bool:
        customer = store["customers"][str(case["customer_id"])]
        archived = not case["public_record"] or case["archive_delivered_at"] is not None
        ended = customer["status"] == "avsluttet" and over(customer["ended_at"], today, months=12)
        return ended and archived and customer["dispute_status"] not in ("tvist", "inkasso")

    freed = {key for key, case in store["cases"].items() if free(case)}
    forgotten = freed - _held("cases")
    return {
        **store,
        "cases": _changed(store["cases"], forgotten, FORGOTTEN_CASE),
        "case_messages": {
            key: {**row, **FORGOTTEN_MESSAGE} if str(row["case_id"]) in forgotten else row
            for key, row in store["case_messages"].items()
        },
        "attachments": _drop(store, "attachments", lambda row: str(row["case_id"]) in freed),
    }


def _contacts(store: Store, today: date) -> Store:
    ended = {k for k, row in store["companies"].items() if over(row["relationship_ended_at"], today, months=120)}
    return {**store, "contacts": _drop(store, "contacts", lambda row: str(row["company_id"]) in ended)}


def _webshop(store: Store, today: date) -> Store:
    ended = {k for k, row in store["customers"].items() if over(row["ended_at"], today, months=12)}
    left = {key for key, row in store["orders"].items() if str(row["customer_id"]) in ended} - _held("orders")
    orders = {key: _untied(row) if key in left else row for key, row in store["orders"].items()}
    return {
        **store,
        "orders": _in_groups(orders),
        "messages": _drop(store, "messages", lambda row: str(row["customer_id"]) in ended),
    }


def _untied(order: Record) -> Record:
    postcode, placed = order["ship_postcode"], datetime.fromisoformat(order["placed_at"]).astimezone(OSLO)
    return {
        **order,
        **dict.fromkeys(("customer_id", "ship_name", "ship_address", "email", "phone", "note")),
        "ship_postcode": postcode and f"{postcode[:2]}00",
        "placed_at": _first_moment(placed.year, placed.month),
    }


def _first_moment(year: int, month: int) -> str:
    return datetime(year, month, 1, tzinfo=OSLO).astimezone(UTC).isoformat()


def _of_year(order: Record) -> Record:
    return {**order, "placed_at": _first_moment(datetime.fromisoformat(order["placed_at"]).astimezone(OSLO).year, 1)}


def _in_groups(orders: Table) -> Table:
    """Orders without a person of which fewer than three are alike lose the region, then the month."""
    free = {key for key, row in orders.items() if row == _untied(row)} - _held("orders")
    for coarser in (lambda row: {**row, "ship_postcode": None}, _of_year):
        sizes = Counter(_group(row) for row in orders.values() if row == _untied(row))
        small = {key for key in free if sizes[_group(orders[key])] < FEWEST_ALIKE}
        orders = {key: coarser(row) if key in small else row for key, row in orders.items()}
    return orders


def _group(order: Record) -> tuple[str, str | None]:
    return order["placed_at"], order["ship_postcode"]


def _bookkeeping(store: Store, today: date) -> Store:
    left = {key: row for key, row in store["kunde"].items() if row["status"] == "S"}
    ended = {key for key, row in left.items() if over(real(row["avsluttet"]), today, months=12)}
    theirs = {key for key, row in store["faktura"].items() if row["kundenr"] in ended} - _held("faktura")
    old = {key for key, row in store["faktura"].items() if after_floor(real(row["fakturadato"]), today, months=60)}
    notes = {key for key, row in store["foelgeseddel"].items() if after_floor(real(row["levert"]), today, months=42)}
    gone = {"FAKTURA": old & theirs, "FOELGESEDDEL": notes - _held("foelgeseddel"), "BANK": set[str]()}
    return {
        **store,
        "faktura": _without(_changed(store["faktura"], theirs, FORGOTTEN_CONTACT), gone["FAKTURA"]),
        "foelgeseddel": _without(store["foelgeseddel"], gone["FOELGESEDDEL"]),
        "bilag": {k: row for k, row in store["bilag"].items() if row["ref_id"] not in gone[row["ref_type"]]},
    }


def _contact_centre(store: Store, today: date) -> Store:
    remaining = _drop(store, "call_log", lambda row: over(row["started_at"], today, days=90))
    counts: Counter[tuple[str, str]] = Counter()
    seconds: Counter[tuple[str, str]] = Counter()
    for key, row in store["call_log"].items():
        if key not in remaining:
            group = (str(local_date(row["started_at"])), row["queue"])
            counts[group] += 1
            seconds[group] += row["duration_s"]
    new = {group: (n, seconds[group]) for group, n in counts.items() if n >= FEWEST_CALLS}
    return {**store, "call_log": remaining, "call_statistics": {**store["call_statistics"], **_statistic_rows(new)}}


FATES: dict[str, Callable[[Store, date], Store]] = {
    "website": _website,
    "portal": _portal,
    "contacts": _contacts,
    "webshop": _webshop,
    "bookkeeping": _bookkeeping,
    "contact-centre": _contact_centre,
}  # surveys: its only rule is unconfirmed, so nothing may happen there

# ----------------------------------------------------------------------------------------------------------------- time


def local_date(clock: str) -> date:
    """Return the Norwegian date of a date, or of a time stamp; one without zone means UTC."""
    if len(clock) == len("2025-03-01"):
        return date.fromisoformat(clock)
    moment = datetime.fromisoformat(clock)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(OSLO).date()


def over(clock: str | None, today: date, *, months: int = 0, days: int = 0) -> bool:
    """Whether the period's last day lies before today; never for an unknown clock."""
    return clock is not None and last_day(local_date(clock), months, days) < today


def after_floor(clock: str | None, today: date, *, months: int) -> bool:
    """Whether so many months after the end of the clock's fiscal year, 31 December, lie before today."""
    return clock is not None and last_day(date(local_date(clock).year, 12, 31), months, 0) < today


def last_day(start: date, months: int, days: int) -> date:
    """Count on month by month, then day by day; a day that the month lacks becomes the month's last."""
    year, month = start.year, start.month
    for _ in range(months):
        year, month = (year + 1, 1) if month == 12 else (year, month + 1)
    return _valid(year, month, start.day) + timedelta(days=days)


def _valid(year: int, month: int, day: int) -> date:
    try:
        return date(year, month, day)
    except ValueError:
        return _valid(year, month, day - 1)


def real(clock: str) -> str | None:
    """Return the clock, or None for the two dates by which the bookkeeping system says "unset"."""
    return None if clock[:10] in (NEVER, BEFORE_TIME) else clock


# --------------------------------------------------------------------------------------------------------------- tables


def _held(table: str) -> set[str]:
    return {key for _, held, key in HELD if held == table}


def _drop(store: Store, table: str, due: Callable[[Record], bool]) -> Table:
    return _without(store[table], {key for key, row in store[table].items() if due(row)} - _held(table))


def _without(rows: Table, gone: set[str]) -> Table:
    return {key: row for key, row in rows.items() if key not in gone}


def _changed(rows: Table, keys: set[str], target: Any) -> Table:
    return {key: {**row, **target} if key in keys else row for key, row in rows.items()}


def _read(where: str) -> Store:
    with psycopg.connect(where) as connection:
        connection.execute("SET timezone = 'UTC'")
        return {table: _rows(connection, table) for table in _tables(connection)}


def _tables(connection: psycopg.Connection) -> list[str]:
    found = connection.execute(
        "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace"
        " AND relkind IN ('r', 'p') AND NOT relispartition ORDER BY relname"
    )
    return [name for (name,) in found]


def _rows(connection: psycopg.Connection, table: str) -> Table:
    rows = connection.execute(sql.SQL("SELECT row_to_json(t) FROM {} t").format(sql.Identifier(table)))
    return {_row_key(table, row): row for (row,) in rows}


def _row_key(table: str, row: Record) -> str:
    # The statistics' own ids are given on the way; day and queue tell the rows apart.
    return f"{row['day']} {row['queue']}" if table == "call_statistics" else str(row[KEYS.get(table, "id")])


def _statistic_rows(groups: dict[tuple[str, str], tuple[int, int]]) -> Table:
    return {
        f"{day} {queue}": {"day": day, "queue": queue, "calls": calls, "seconds": seconds}
        for (day, queue), (calls, seconds) in groups.items()
    }


def _differences(wanted: Table, found: Table) -> Iterator[tuple[str, str]]:
    for key in sorted(wanted.keys() - found.keys()):
        yield key, "is gone, should be there"
    for key in sorted(found.keys() - wanted.keys()):
        yield key, "is there, should be gone"
    for key in sorted(wanted.keys() & found.keys()):
        if columns := [name for name, value in wanted[key].items() if found[key].get(name) != value]:
            yield key, f"not as expected: {', '.join(columns)}"


# -------------------------------------------------------------------------------------------------------- planted cases

ANONYMISED: dict[str, dict[str, Any]] = {
    "cases": dict(FORGOTTEN_CASE),
    "case_messages": dict(FORGOTTEN_MESSAGE),
    "orders": dict(FORGOTTEN_ORDER),
    "ex-customer-invoice-contacts": dict(FORGOTTEN_CONTACT),
}


def _case(case: Case, before: Estate, after: Estate) -> Iterator[Mismatch]:
    for row in case.rows:
        key = _row_key(row.table, dict(row.values))
        was, now = (estate[case.store][row.table].get(key) for estate in (before, after))
        if was is None:
            yield Mismatch(case.store, row.table, key, "was never planted")
            continue
        fate = _planted_fate(case, row, was)
        wanted, found = ({key: value} if value is not None else {} for value in (fate, now))
        yield from (Mismatch(case.store, row.table, key, what) for key, what in _differences(wanted, found))


def _planted_fate(case: Case, row: Row, was: Record) -> Record | None:
    """Return the row as it must be after the sweep, None when it must be gone."""
    if not row.subject or case.situation.expect != "due":
        return {**was, **row.after}
    target = ANONYMISED.get(case.rule, ANONYMISED.get(row.table))
    return None if target is None else {**was, **target}


def _statistics(store: Store) -> Iterator[Mismatch]:
    wanted = _statistic_rows({group: sums for group, sums in STATISTICS.items() if sums is not None})
    queues = {queue for _, queue in STATISTICS}
    found = {key: row for key, row in store["call_statistics"].items() if row["queue"] in queues}
    yield from (Mismatch("contact-centre", "call_statistics", key, what) for key, what in _differences(wanted, found))
