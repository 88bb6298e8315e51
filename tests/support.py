"""What tests build their cases from: a database of their own, and a policy of one activity."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent
from typing import Any

import psycopg

from demo.postgres import Postgres

PASSWORDS = {"lethe_worker": "worker", "lethe_officer": "officer"}


class Database:
    """A database of its own on the tests' server, and the addresses under which roles reach it."""

    def __init__(self, server: Postgres, name: str) -> None:
        self.server, self.name = server, name

    def conninfo(self, role: str = "postgres") -> str:
        return self.server.conninfo(self.name, role, PASSWORDS.get(role, "admin"))

    def connect(self, role: str = "postgres") -> psycopg.Connection:
        return psycopg.connect(self.conninfo(role), autocommit=True)

    def run(self, statements: str, role: str = "postgres") -> None:
        with self.connect(role) as connection:
            connection.execute(statements)

    def rows(self, query: str, role: str = "postgres") -> list[tuple[Any, ...]]:
        with self.connect(role) as connection:
            return connection.execute(query).fetchall()

    def one(self, query: str, role: str = "postgres") -> Any:
        return self.rows(query, role)[0][0]


def write_policy(directory: Path, activity: str) -> Path:
    """A policy directory with one store, `crm`, and one activity file, `customers`, whose head is always the same."""
    (directory / "activities").mkdir(parents=True)
    (directory / "organisation.yaml").write_text(ORGANISATION)
    (directory / "stores.yaml").write_text(STORES)
    (directory / "activities" / "customers.yaml").write_text(HEAD + dedent(activity))
    return directory


ORGANISATION = """
controller: Fjordvik Drift AS
represented_by: managing director
privacy_officer: privacy-officer
contact: personvern@fjordvik.example
time_zone: Europe/Oslo
fiscal_year_end: 12-31
languages: [nb, en]
roles:
  privacy-officer: {nb: personvernombud, en: privacy officer}
processors: {}
"""
STORES = """
stores:
  crm: {kind: postgres, connection: crm, title: {nb: Kunder, en: Customers}, backups: P35D}
"""
HEAD = """
activity: customers
title: {nb: Kunder, en: Customers}
purpose: {nb: Kundeforhold, en: Customer relationships}
legal_basis: gdpr 6(1)(b)
responsible: privacy-officer
people: [customers]
processors: []
measures: [access control]
not_automated:
  {R01: x, R02: x, R03: x, R04: x, R05: x, R06: x, R07: x, R09: x, R10: x, R11: x, R12: x, R13: x, R14: x, R15: x, R16: x, R17: x,
   R18: x}
"""
