"""What HR enters, held to the directory: everything that speaks against a departure, at once and before anything."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date

from lethe.deadlines import last_day as end_of
from lethe.offboarding.departures import Departure
from lethe.offboarding.directory import Employee
from lethe.offboarding.rules import Offboarding


def problems(wanted: Departure, employees: Mapping[str, Employee], rules: Offboarding, today: date) -> tuple[str, ...]:
    """What speaks against the departure, in words that name nobody; empty when nothing does."""
    return (
        *_of_employee(wanted, employees.get(wanted.employee), today),
        *_of_last_day(wanted, rules, today),
        *_of_others(wanted, employees, today),
    )


def _of_employee(wanted: Departure, employee: Employee | None, today: date) -> Iterator[str]:
    if employee is None:
        yield "employee: found nobody with this number in the directory, expected an employee"
        return
    if employee.hired is None or employee.hired > today:
        yield "employee: found somebody who has not begun yet, expected an employee"
    if employee.is_withdrawn:
        yield "employee: found a departure that was withdrawn, expected one that stands"
    elif employee.last_day is None:
        yield "employee: found no departure in the directory, expected a last working day there; enter it there first"
    elif employee.last_day != wanted.last_day:
        yield f"last_day: found {wanted.last_day}, expected the directory's, {employee.last_day}; correct one of them"
    if employee.mailbox is None:
        yield "employee: found no mailbox in the directory, expected one"


def _of_last_day(wanted: Departure, rules: Offboarding, today: date) -> Iterator[str]:
    if end_of(today, rules.last_day.ahead) < wanted.last_day:
        yield f"last_day: found {wanted.last_day}, expected no later than {rules.last_day.ahead} from today"
    if end_of(wanted.last_day, rules.last_day.ago) < today:
        yield f"last_day: found {wanted.last_day}, expected no longer ago than {rules.last_day.ago}"


def _of_others(wanted: Departure, employees: Mapping[str, Employee], today: date) -> Iterator[str]:
    if wanted.manager == wanted.employee:
        yield "manager: found the employee, expected somebody else to decide"
    else:
        yield from _of_colleague("manager", employees.get(wanted.manager), wanted, today)
    if not wanted.recipients:
        yield "recipients: found none, expected at least one colleague"
    if len(set(wanted.recipients)) < len(wanted.recipients):
        yield "recipients: found somebody twice, expected each once"
    for place, number in enumerate(wanted.recipients, 1):
        if number == wanted.employee:
            yield f"recipient {place}: found the employee, expected a colleague"
        else:
            yield from _of_colleague(f"recipient {place}", employees.get(number), wanted, today)


def _of_colleague(what: str, colleague: Employee | None, wanted: Departure, today: date) -> Iterator[str]:
    if colleague is None:
        yield f"{what}: found nobody with this number in the directory, expected an employee"
        return
    if colleague.hired is None or colleague.hired > today:
        yield f"{what}: found somebody who has not begun yet, expected an employee"
    if colleague.is_leaving() and colleague.last_day is not None and colleague.last_day <= max(today, wanted.last_day):
        yield f"{what}: found somebody who leaves too, expected one who stays"
    if colleague.mailbox is None:
        yield f"{what}: found no mailbox in the directory, expected one"
