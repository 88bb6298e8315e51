"""decide(): the judge of every deletion. One record, one rule, one date: a verdict with every reason.

Pure. What a store does in SQL, for whole sets of rows, is tested against it with random rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from datetime import UTC, date, datetime
from typing import Literal
from zoneinfo import ZoneInfo

from lethe.anonymise.changes import as_text, is_changed
from lethe.deadlines import Moment, Unbounded, YearEnd, cutoff, fiscal_cutoff, local_date
from lethe.model import Anonymise, Change, Clock, Condition, Decision, Floor, Kin, Reason, Record, Rule, WriteDown


def decide(
    rule: Rule, record: Record, today: date, *, zone: ZoneInfo, year_end: YearEnd, confirmed: bool = True
) -> Decision:
    """The verdict of `rule` on `record` on the local date `today`, with all reasons.

    Never due when undated, future-dated, held, restricted, under a floor, outside the rule's condition, or while an
    assumed period is unconfirmed. What must stay keeps the row that it follows, and those that follow it. What is still
    to be done by way of a row keeps it until then.
    """
    reasons = _clock_reason(rule, record, today, zone)
    if not all(_matches(condition, record) for condition in rule.when):
        reasons |= Reason.CONDITION
    reasons |= _protection(record, rule.dataset.held_when, rule.floors, today, zone, year_end)
    for kin, row in _kin(record.kin):
        reasons |= _protection(row, kin.dataset.held_when, kin.floors, today, zone, year_end)
    if rule.assumption is not None and not confirmed:
        reasons |= Reason.UNCONFIRMED
    if isinstance(rule.action, Anonymise) and _is_done(rule.action.fields, record, zone):
        reasons |= Reason.DONE
    if any(not each.fields or not _is_done(each.fields, row, zone) for each, row in record.dependents):
        reasons |= Reason.NEEDED
    return Decision(reasons.verdict, reasons)


def _clock_reason(rule: Rule, record: Record, today: date, zone: ZoneInfo) -> Reason:
    start = start_date(rule.clock, record, zone)
    if start is None:
        return Reason.UNDATED
    if start is Unbounded.FUTURE or start > today:
        return Reason.FUTURE
    return Reason(0) if start <= cutoff(today, rule.keep) else Reason.NOT_DUE


def start_date(clock: Clock, record: Record, zone: ZoneInfo) -> date | Literal[Unbounded.FUTURE] | None:
    """The local date on which the period starts; None when there is none, or it is one that means unset."""
    value: Moment = record.values.get(str(clock.at))
    if value is None or value is Unbounded.PAST:
        return None
    if isinstance(value, Unbounded):
        return value
    try:
        return None if set(_written_as(value, zone, clock)) & set(clock.unset) else local_date(value, zone, clock.zone)
    except OverflowError:  # another zone's first or last hours that Python can name
        return Unbounded.FUTURE if value.year > 1 else date.min


def _written_as(value: date | datetime, zone: ZoneInfo, clock: Clock) -> Iterator[date]:
    """The dates that may have been meant: a sentinel is written without a thought for zones."""
    if not isinstance(value, datetime):
        yield value
        return
    if value.tzinfo is None:
        yield value.date()
        value = value.replace(tzinfo=clock.zone)
    for each in (UTC, zone, clock.zone) if value.tzinfo else ():
        with suppress(OverflowError):
            yield value.astimezone(each).date()


def _protection(
    record: Record,
    held_when: Iterable[Condition],
    floors: Iterable[Floor],
    today: date,
    zone: ZoneInfo,
    year_end: YearEnd,
) -> Reason:
    reasons = record.holds
    if any(_matches(condition, record) for condition in held_when):
        reasons |= Reason.HELD
    if any(_under(floor, record, today, zone, year_end) for floor in floors):
        reasons |= Reason.FLOOR
    return reasons


def _under(floor: Floor, record: Record, today: date, zone: ZoneInfo, year_end: YearEnd) -> bool:
    if not all(_matches(condition, record, unknown=True) for condition in floor.when):
        return False
    clock, last = floor_end(floor, today, year_end)
    start = start_date(clock, record, zone)
    return not isinstance(start, date) or start > last  # without a date nobody can say when it ends: it has not ended


def floor_end(floor: Floor, today: date, year_end: YearEnd) -> tuple[Clock, date]:
    """What a floor's end is read from, and the latest date there with which it is over."""
    if floor.until is not None:
        return floor.until, today
    assert floor.clock is not None
    assert floor.period is not None
    return floor.clock, fiscal_cutoff(today, floor.period, year_end)


def _matches(condition: Condition, record: Record, *, unknown: bool = False) -> bool:
    """`unknown` is the answer for NULL: a floor whose condition cannot be judged protects, a rule's does not fire."""
    value = record.values.get(str(condition.at))
    return unknown if value is None else as_text(value) in condition.values


def _is_done(fields: Mapping[str, Change], record: Record, zone: ZoneInfo) -> bool:
    return all(_has_become(column, change, record, zone) for column, change in fields.items())


def _has_become(column: str, change: Change, record: Record, zone: ZoneInfo) -> bool:
    value = record.values.get(column)
    if isinstance(change, WriteDown):
        return value is not None or record.values.get(str(change.of)) is None
    return is_changed(value, change, zone, redacted=column in record.redacted)


def _kin(rows: Iterable[tuple[Kin, Record]]) -> Iterator[tuple[Kin, Record]]:
    for kin, row in rows:
        yield kin, row
        yield from _kin(row.kin)
