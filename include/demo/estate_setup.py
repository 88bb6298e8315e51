"""Lays the demo's estate and prepares it for Lethe as the owners of real stores would: schema, grants, holds."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import psycopg

from demo.generate import STORES, build, plant_holds
from demo.planted.mail import LEAVER
from lethe import clock
from lethe.policy import load
from lethe.sql import script
from lethe.stores.postgres.grants import grants

STATE = "lethe_state"
EVIDENCE = "lethe_evidence"
SEALER = "GRANT lethe_evidence_writer, lethe_evidence_integrator, lethe_evidence_reader TO lethe_sealer"

# These two logs lose whole partitions at once, for which Lethe's role must own them, here through a group role.
PARTITIONED = {"website": "access_log", "contact-centre": "call_log"}
OWN_PARTITIONS = """
DO $$
DECLARE part regclass;
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'lethe_partitions') THEN
        CREATE ROLE lethe_partitions NOLOGIN;
        GRANT lethe_partitions TO lethe_worker;
    END IF;
    FOR part IN SELECT relid FROM pg_partition_tree('{table}') LOOP
        EXECUTE format('ALTER TABLE %s OWNER TO lethe_partitions', part);
    END LOOP;
END $$
"""

LEAVES = "UPDATE employees SET last_day = '{last_day}', departure = 'leaving' WHERE employee_no = {number}"
ZONE = ZoneInfo("Europe/Oslo")

MAY_ANALYSE = "GRANT MAINTAIN ON ALL TABLES IN SCHEMA public TO lethe_worker"
"""Statistics are made anew after a sweep: else they keep values of rows that are gone."""


def lay(address: Callable[[str], str], policy_dir: Path, home: Path) -> dict[str, str]:
    """Build the estate anew and make it ready for a first sweep; the administrator's addresses by store.

    `address` gives the administrator's address of a store, of lethe_state or lethe_evidence; below `home` are the
    documents of cases and what is kept of the evidence outside. What an earlier demo left is removed: its signed
    checkpoints are those of another history.
    """
    policy = load(policy_dir)
    stores = {store: address(store) for store in STORES}
    for where in (*stores.values(), address(STATE), address(EVIDENCE)):
        _run(where, "DROP SCHEMA IF EXISTS lethe CASCADE; DROP SCHEMA IF EXISTS evidence CASCADE")
    for old in (*(home / "outside").rglob("*"), *(home / "archive").rglob("*")):
        if old.is_file():
            old.unlink()
    build(stores)
    lay_documents(stores["portal"], home / "case-documents")
    for store, where in stores.items():
        _run(where, grants(policy, policy.stores[store]))
        _run(where, MAY_ANALYSE)
        if store in PARTITIONED:
            _run(where, OWN_PARTITIONS.format(table=PARTITIONED[store]))
    plant_holds(stores)
    _run(stores["directory"], LEAVES.format(last_day=last_day(), number=LEAVER))
    _run(address(STATE), script("store") + script("state"))
    _run(address(EVIDENCE), script("evidence") + SEALER)
    return stores


def last_day() -> date:
    """The leaver's last day of work: yesterday, in the company's time zone."""
    return clock.now().astimezone(ZONE).date() - timedelta(days=1)


def lay_documents(portal: str, folder: Path) -> None:
    """Put a small document wherever an attachment of the portal says that there is one, and nothing else."""
    shutil.rmtree(folder, ignore_errors=True)
    with psycopg.connect(portal) as connection:
        for (path,) in connection.execute("SELECT path FROM attachments"):
            place = folder / path.removeprefix("/")
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(b"%PDF-1.7\n")


def is_laid(address: Callable[[str], str]) -> bool:
    """Whether lay() has come to its end here before."""
    with psycopg.connect(address(STATE)) as connection:
        row = connection.execute("SELECT to_regclass('lethe.plan') IS NOT NULL").fetchone()
    return row is not None and bool(row[0])


def _run(where: str, statements: str) -> None:
    with psycopg.connect(where, autocommit=True) as connection:
        connection.execute(statements.encode())
