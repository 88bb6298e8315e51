"""What people are told of a departure, and of their own mailbox: plain letters in Norwegian and English."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import NamedTuple

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from lethe.model import Policy
from lethe.offboarding.departures import Departure
from lethe.offboarding.desk import People
from lethe.offboarding.directory import Employee
from lethe.offboarding.platform import Mailbox
from lethe.offboarding.upkeep import Found, Old
from lethe.sentences import date_words, period_words


class Letter(NamedTuple):
    """A letter to one person; text without markup."""

    to: Mailbox
    subject: str
    text: str


_TEMPLATES = Environment(
    loader=PackageLoader("lethe.offboarding", "templates"),
    undefined=StrictUndefined,
    autoescape=select_autoescape(),
    trim_blocks=True,
)
"""Plain text: the first line of each is its subject."""


def notice(departure: Departure, people: People, day: date, policy: Policy) -> tuple[Letter, ...]:
    """What the employee and the manager are told beforehand (regulation on employers' access to e-mail § 3)."""
    words = _words(people, policy)

    def written(which: str, lang: str, to: Mailbox | None) -> Letter:
        days = {"last": date_words(departure.last_day, lang), "day": date_words(day, lang)}
        return _letter(f"{which}.{lang}.txt", to, {**words, **days})

    return (
        written("notice", departure.lang, people.employee.mailbox),
        written("manager", people.manager.lang, people.manager.mailbox),
    )


def ended(people: People, confirmed: int, policy: Policy) -> tuple[Letter, ...]:
    """What the manager is told in the end."""
    words = {**_words(people, policy), "confirmed": str(confirmed)}
    return (_letter(f"ended.{people.manager.lang}.txt", people.manager.mailbox, words),)


def to_hr(departure: Departure, confirmed: int, lang: str) -> tuple[str, str]:
    """Subject and text of what HR is told in the end, by the employee's number."""
    return _written(f"hr.{lang}.txt", {"number": departure.employee, "confirmed": confirmed})


_AGES = {"nb": "{folder}: {number} eldre enn {age}", "en": "{folder}: {number} older than {age}"}
_FOUND = {
    "nb": "{where}: {numbers} med fødselsnummer, {words} med helseopplysninger",
    "en": "{where}: {numbers} with identity numbers, {words} with health words",
}
_EMPLOYEE = {"nb": "ansatt {}", "en": "employee {}"}


def reminder(employee: Employee, found: Old, policy: Policy) -> Letter:
    """What an employee is told of old mail, by folder and age (R11)."""
    lines = [
        _AGES[employee.lang].format(folder="/".join(folder), number=number, age=period_words(age, employee.lang))
        for folder, ages in sorted(found.items())
        for age, number in ages.items()
    ]
    return _to_the_owner("reminder", employee, lines, policy)


def sensitive(employee: Employee, found: Mapping[tuple[str, ...], Found], policy: Policy) -> Letter:
    """What an employee is told of sensitive mail, by folder (R12)."""
    lines = [_found("/".join(folder), each, employee.lang) for folder, each in sorted(found.items())]
    return _to_the_owner("sensitive", employee, lines, policy)


def report(found: Mapping[str, Found], lang: str) -> tuple[str, str]:
    """Subject and text of what the privacy officer is told: numbers by employee number, and no folder (R12)."""
    lines = [_found(_EMPLOYEE[lang].format(number), each, lang) for number, each in sorted(found.items())]
    return _written(f"report.{lang}.txt", {"number": len(found), "lines": lines})


def _to_the_owner(which: str, employee: Employee, lines: Sequence[str], policy: Policy) -> Letter:
    words = {"name": employee.name, "lines": lines, "contact": policy.organisation.contact}
    return _letter(f"{which}.{employee.lang}.txt", employee.mailbox, words)


def _found(where: str, found: Found, lang: str) -> str:
    return _FOUND[lang].format(where=where, numbers=found.identity_numbers, words=found.health_words)


def _words(people: People, policy: Policy) -> dict[str, str]:
    return {
        "name": people.employee.name,
        "manager": people.manager.name,
        "recipients": ", ".join(each.name for each in people.recipients),
        "contact": policy.organisation.contact,
    }


def _letter(template: str, to: Mailbox | None, words: Mapping[str, object]) -> Letter:
    assert to is not None, "everybody here has a mailbox: whoever looked them up saw to it"
    return Letter(to, *_written(template, words))


def _written(template: str, words: Mapping[str, object]) -> tuple[str, str]:
    subject, _, text = _TEMPLATES.get_template(template).render(words).partition("\n\n")
    return subject, text
