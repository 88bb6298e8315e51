"""No false alarm: the demo estate swept and checked day by day, and nothing is ever held against it."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, time, timedelta
from pathlib import Path

import pytest

from demo.estate_setup import MAY_ANALYSE, lay_documents
from demo.generate import STORES, build, plant_holds
from demo.planted import TODAY
from demo.postgres import ADMIN
from lethe import checking
from lethe.run import Lethe
from lethe.stores.postgres.grants import grants
from support import Database

SHIPPED = Path(__file__).parents[2] / "include" / "policy"


@pytest.fixture
def company(new_database: Callable[..., Database], tmp_path: Path) -> Iterator[tuple[Lethe, Lethe]]:
    """The shipped policy over its estate, as the worker and as the privacy officer; without the sealing of evidence."""
    folder = shutil.copytree(SHIPPED, tmp_path / "policy")
    organisation = folder / "organisation.yaml"
    text = organisation.read_text("utf-8")
    organisation.write_text(re.sub(r"(?ms)^evidence:\n(?:  .*?\n)+", "", text), "utf-8")
    databases = {store: new_database() for store in STORES}
    where = {store: each.server.conninfo(each.name, ADMIN, "admin") for store, each in databases.items()}
    build(where)
    papers = tmp_path / "documents"
    papers.mkdir()
    lay_documents(where["portal"], papers)
    state = new_database(state=True)

    def opened(role: str) -> Lethe:
        def address(connection: str) -> str:
            found = by_connection.get(connection, state)
            return found.conninfo(role)

        return Lethe.open(folder, address, url=lambda _: f"file://{papers}")

    by_connection: dict[str, Database] = {}
    with opened("lethe_worker") as worker, opened("lethe_officer") as officer:
        by_connection |= {worker.policy.stores[store].connection: each for store, each in databases.items()}
        for store, each in databases.items():
            each.run(grants(worker.policy, worker.policy.stores[store]))
            each.run(MAY_ANALYSE)
        plant_holds(where)
        yield worker, officer


def days(company: tuple[Lethe, Lethe], count: int) -> int:
    """Sweep and check on each of so many days; how many rows went."""
    worker, officer = company
    rules = sorted(worker.policy.rules.values(), key=lambda rule: rule.order or 0)
    for rule in rules:
        if rule.assumption is not None:
            officer.confirm(rule.name)
    gone = 0
    for day in range(count):
        now = datetime.combine(TODAY + timedelta(days=day), time(3), UTC)
        for number, rule in enumerate(rules):
            run = f"{day:016x}{number:016x}"
            plan = worker.plan(rule.name, now, run)
            state = worker.gate(plan.digest).state
            if state == "nothing":
                continue
            if state == "waiting":
                officer.answer(plan.digest, True, via="cli", role="privacy-officer")
            worker.carry_out(plan.digest, now, run)
            gone += worker.done(plan.digest).rows
        for store in worker.policy.stores:
            found = checking.look(worker, store, worker.today(now))
            worker.state.checked(worker.policy, found, f"{day:032x}")
            assert found.findings == (), (day, store)
            assert found.is_clean
    return gone


def test_two_weeks_without_a_false_alarm(company: tuple[Lethe, Lethe]) -> None:
    assert days(company, 14) > 100
    assert company[0].state.findings.known(gone=True) == ()


@pytest.mark.soak
def test_a_year_without_a_false_alarm(company: tuple[Lethe, Lethe]) -> None:
    assert days(company, 366) > 500
    assert company[0].state.findings.known(gone=True) == ()
