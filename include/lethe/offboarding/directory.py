"""Looking employees up in the directory: who they are stays there, and everything else goes by their number."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Literal

import psycopg
from psycopg.sql import SQL, Composable, Identifier

from lethe.errors import StoreError, StoreRefused
from lethe.model import Dataset
from lethe.offboarding import rules
from lethe.offboarding.platform import Mailbox
from lethe.stores.postgres.connection import Connection, tell, telling


@dataclass(frozen=True)
class Employee:
    """An employee as the directory has them; `last_day` is None for somebody who is not leaving.

    `is_withdrawn` says that they were about to leave, and stay after all.
    """

    number: str
    mailbox: Mailbox | None = field(repr=False)
    name: str = field(repr=False)
    manager: str | None
    lang: Literal["nb", "en"]
    hired: date | None
    last_day: date | None
    is_withdrawn: bool

    def is_leaving(self) -> bool:
        """Whether the directory has a departure of theirs."""
        return self.last_day is not None and not self.is_withdrawn


def mailbox_of(employee: Employee) -> Mailbox:
    """Their mailbox; StoreRefused where the directory has none."""
    if employee.mailbox is None:
        raise StoreRefused("the directory has no mailbox of somebody who needs one; enter it there")
    return employee.mailbox


class Directory:
    """The table of employees in a store; errors are StoreError, and name nobody."""

    def __init__(self, connection: Connection, where: rules.Directory) -> None:
        self.name, self._connection, self._where = connection.name, connection, where

    @property
    def store(self) -> Directory:
        """Itself: errors name this store."""
        return self

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    @telling
    def find(self, numbers: Iterable[str]) -> Mapping[str, Employee]:
        """The employees with these numbers that there are; StoreRefused when a number has two."""
        wanted = SQL("{}::text = ANY(%s)").format(Identifier(self._where.number))
        return self._asked(wanted, list(numbers))

    @telling
    def employed(self, today: date) -> tuple[Employee, ...]:
        """Everybody who works here on a day and has a mailbox, by number."""
        where = self._where
        wanted = SQL("{hired} <= %s AND {mailbox} <> ''").format(
            hired=Identifier(where.hired), mailbox=Identifier(where.mailbox)
        )
        found = self._asked(wanted, today).values()
        stay = (each for each in found if not each.is_leaving() or (each.last_day or today) >= today)
        return tuple(sorted(stay, key=lambda each: each.number))

    def _asked(self, wanted: Composable, parameter: object) -> Mapping[str, Employee]:
        where = self._where
        columns = (where.number, where.mailbox, where.name, where.manager, where.language, where.hired, where.last_day)
        asked = SQL("SELECT {}, {}::text FROM {} WHERE {}").format(
            SQL(", ").join(
                SQL("{}::date" if column in (where.hired, where.last_day) else "{}::text").format(Identifier(column))
                for column in columns
            ),
            Identifier(where.status),
            Identifier(where.schema, where.table),
            wanted,
        )
        found = self._connection.get().execute(asked, (parameter,)).fetchall()
        employees = {row[0]: self._employee(row) for row in found}
        if len(employees) < len(found):
            raise StoreRefused(f"store {self.name}: found an employee number twice, expected a key; see the policy")
        return employees

    def _employee(self, row: tuple[Any, ...]) -> Employee:
        number, mailbox, name, manager, lang, hired, last_day, status = row
        return Employee(
            number,
            Mailbox(mailbox) if mailbox else None,
            name or "",
            manager,
            "en" if lang == "en" else "nb",
            hired,
            last_day,
            status in self._where.withdrawn,
        )


def values_of(connection: Connection, dataset: Dataset, column: str) -> tuple[str, ...]:
    """The different values of a dataset's column, as texts; StoreError."""
    asked = SQL("SELECT DISTINCT {0}::text FROM {1} WHERE {0} IS NOT NULL").format(
        Identifier(column), Identifier(dataset.schema, dataset.table)
    )
    problem: StoreError | None = None
    try:
        return tuple(value for (value,) in connection.get().execute(asked).fetchall())
    except psycopg.Error as error:
        problem = tell(connection.name, error)
    raise problem
