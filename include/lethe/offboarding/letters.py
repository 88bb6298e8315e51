"""What people are told of a departure: plain letters in Norwegian and English, to those who have to know."""

from __future__ import annotations

from datetime import date
from typing import NamedTuple

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from lethe.model import Policy
from lethe.offboarding.departures import Departure
from lethe.offboarding.desk import People
from lethe.offboarding.platform import Mailbox
from lethe.sentences import date_words


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


def _words(people: People, policy: Policy) -> dict[str, str]:
    return {
        "name": people.employee.name,
        "manager": people.manager.name,
        "recipients": ", ".join(each.name for each in people.recipients),
        "contact": policy.organisation.contact,
    }


def _letter(template: str, to: Mailbox | None, words: dict[str, str]) -> Letter:
    assert to is not None, "everybody here has a mailbox: entering saw to it"
    subject, _, text = _TEMPLATES.get_template(template).render(words).partition("\n\n")
    return Letter(to, subject, text)
