"""What tests build their cases from: a database of their own, and a policy of one activity."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from textwrap import dedent
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from demo.postgres import Postgres

PASSWORDS = {"lethe_worker": "worker", "lethe_officer": "officer", "lethe_sealer": "sealer"}


class Database:
    """A database of its own on the tests' server, and the addresses under which roles reach it."""

    def __init__(self, server: Postgres, name: str) -> None:
        self.server, self.name = server, name

    def conninfo(self, role: str = "postgres") -> str:
        """The address for one role."""
        return self.server.conninfo(self.name, role, PASSWORDS.get(role, "admin"))

    def connect(self, role: str = "postgres") -> psycopg.Connection:
        """A connection that commits each statement."""
        return psycopg.connect(self.conninfo(role), autocommit=True)

    def run(self, statements: str, role: str = "postgres") -> None:
        """Run statements without parameters."""
        with self.connect(role) as connection:
            connection.execute(statements)

    def rows(self, query: str, role: str = "postgres") -> list[tuple[Any, ...]]:
        """All rows of a query."""
        with self.connect(role) as connection:
            return connection.execute(query).fetchall()

    def one(self, query: str, role: str = "postgres") -> Any:
        """The first column of the first row."""
        return self.rows(query, role)[0][0]


def as_uri(conninfo: str) -> str:
    """An Airflow connection, as a variable has it."""
    found = conninfo_to_dict(conninfo)
    return json.dumps({
        "conn_type": "postgres", "host": found.get("host"), "port": found.get("port"), "login": found.get("user"),
        "password": found.get("password"), "schema": found.get("dbname"),
    })  # fmt: skip


def need(program: str, untested: str, *, is_usable: Callable[[], bool] = lambda: True) -> None:
    """Skip where a program is missing, saying what is not tested; fail in continuous integration, which has it."""
    found = shutil.which(program, path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin") is not None
    if not found or not is_usable():
        give_up = pytest.fail if os.environ.get("CI") == "true" else pytest.skip
        what = "cannot be used" if found else "is missing"
        give_up(f"NOT TESTED: the program {program} {what}, and with it {untested}; `make system`, as root")


NOBODY = 65534


@contextmanager
def without_rights() -> Iterator[None]:
    """As a user to whom files can be closed: root is nobody meanwhile, others stay who they are.

    Around as little as can be, then: what is imported there may not be found.
    """
    me = os.geteuid()
    if me == 0:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(me)


@contextmanager
def open_folder() -> Iterator[Path]:
    """A new folder that every user reaches and may read, unlike pytest's own."""
    with tempfile.TemporaryDirectory(prefix="lethe-") as made:
        folder = Path(made)
        folder.chmod(0o755)
        yield folder


def write_policy(
    directory: Path, activity: str, evidence: str = "", *, elsewhere: bool = False, of_store: str = ""
) -> Path:
    """A policy directory with one activity file, `customers`, whose head is always the same.

    It has one store, `crm`, of which `of_store` says more, or a second one, `register`.
    """
    (directory / "activities").mkdir(parents=True)
    (directory / "organisation.yaml").write_text(ORGANISATION + evidence)
    stores = STORES.replace("crm: {", f"crm: {{{of_store}, ") if of_store else STORES
    (directory / "stores.yaml").write_text(stores.replace("documents:", ELSEWHERE) if elsewhere else stores)
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
obligations:
  R08: {nb: Tidligere kunder, en: Ex-customers}
"""
ORIGIN = "fjordvik.example/lethe"
EVIDENCE = f"""
evidence:
  origin: {ORIGIN}
  stop_after: P3D
  backups: P35D
  anchors:
    archive: {{kind: folder, connection: archive}}
"""
STORES = """
stores:
  crm: {kind: postgres, connection: crm, title: {nb: Kunder, en: Customers}, backups: P35D}
documents:
  papers: {connection: papers, title: {nb: Dokumenter, en: Documents}, backups: P35D}
"""
ELSEWHERE = """  register: {kind: postgres, connection: register, title: {nb: Register, en: Register}, backups: P35D}
documents:"""
HEAD = """
activity: customers
title: {nb: Kunder, en: Customers}
purpose: {nb: Kundeforhold, en: Customer relationships}
legal_basis: gdpr 6(1)(b)
responsible: privacy-officer
people: [customers]
processors: []
measures: [access control]
"""
