"""The register of departures: each event once, evidence that names nobody, a withdrawal that comes in time or not."""

import json
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime

import pytest

from faults import leaves
from lethe.evidence.leaf import schema
from lethe.offboarding.departures import EVENTS, Departure, DepartureError, Departures, Withdrawn, Word
from lethe.state import State
from support import Database

AT = datetime(2025, 3, 1, 12, tzinfo=UTC)
KARI = Departure("", "1007", "1001", ("1002", "1003"), date(2025, 3, 31), "nb", (("Prosjekter", "Blåbær"),))


@pytest.fixture
def database(new_database: Callable[..., Database]) -> Database:
    return new_database(state=True)


@pytest.fixture
def register(database: Database) -> Iterator[Departures]:
    state = State(database.conninfo("lethe_worker"))
    yield state.departures
    state.close()


def test_a_departure_is_found_as_it_was_entered(register: Departures) -> None:
    made = register.open(KARI, AT, Word("HR", "17"))
    found = register.find(made[:8])
    assert (found.employee, found.manager, found.recipients, found.lang) == ("1007", "1001", ("1002", "1003"), "nb")
    assert (found.last_day, found.picked, found.state) == (date(2025, 3, 31), (("Prosjekter", "Blåbær"),), "opened")
    assert "1007" not in repr(found)


def test_not_twice_at_once(register: Departures) -> None:
    first = register.open(KARI, AT)
    with pytest.raises(DepartureError, match="of this employee that is open"):
        register.open(KARI, AT)
    register.happened(first, "ended", AT)
    assert register.open(KARI, AT) != first
    assert len(register.all()) == 1
    assert len(register.all(ended=True)) == 2


def test_an_event_happens_once_and_is_evidence_that_names_nobody(register: Departures, database: Database) -> None:
    made = register.open(KARI, AT, Word("HR", "17"))
    assert register.happened(made, "chosen", AT, {"chosen": 12, "private": 3, "sensitive": 1})
    assert not register.happened(made, "chosen", AT, {"chosen": 99})
    register.happened(made, "approved", AT, word=Word("Manager", "18"))
    register.happened(made, "handed-over", AT, {"confirmed": 12}, root="ab" * 32)
    told = leaves(database)
    assert [each["event"] for each in told] == ["opened", "chosen", "approved", "handed-over"]
    assert {each["run"] for each in told} == {made}
    assert told[1]["counts"] == {"chosen": 12, "private": 3, "sensitive": 1}
    assert (told[2]["role"], len(told[2]["approver"]), told[3]["root"]) == ("Manager", 32, "ab" * 32)
    text = json.dumps(told, ensure_ascii=False)
    assert not [each for each in ("1007", "1001", "1002", "Blåbær", '"17"', '"18"') if each in text]


def test_every_event_is_one_that_evidence_knows() -> None:
    assert schema()["$defs"]["departure"]["properties"]["event"]["enum"] == list(EVENTS)


def test_after_a_withdrawal_nothing_happens_but_giving_back(register: Departures) -> None:
    made = register.open(KARI, AT)
    register.happened(made, "closed", AT)
    register.happened(made, "withdrawn", AT, word=Word("HR", "17"))
    for event in set(EVENTS) - {"withdrawn", "given-back", "ended"}:
        with pytest.raises(Withdrawn):
            register.happened(made, event, AT)
    register.happened(made, "given-back", AT)
    register.happened(made, "ended", AT)
    assert register.find(made).state == "ended"


@pytest.mark.parametrize("event", ["deleting", "deleted"])
def test_once_the_deletion_begins_it_is_too_late(register: Departures, event: str) -> None:
    made = register.open(KARI, AT)
    register.happened(made, event, AT)
    with pytest.raises(DepartureError, match="being deleted or is gone"):
        register.happened(made, "withdrawn", AT)


def test_a_withdrawal_and_a_deletion_at_the_same_moment_are_never_both(
    database: Database, register: Departures
) -> None:
    for _ in range(20):
        made = register.open(KARI, AT)
        barrier, told = threading.Barrier(2), []

        def try_to(event: str, made: str = made, barrier: threading.Barrier = barrier, told: list = told) -> None:
            state = State(database.conninfo("lethe_worker"))
            barrier.wait()
            try:
                state.departures.happened(made, event, AT)
                told.append(event)
            except DepartureError:
                pass
            finally:
                state.close()

        threads = [threading.Thread(target=try_to, args=(event,)) for event in ("withdrawn", "deleting")]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
        assert len(told) == 1
        register.happened(made, "ended", AT)


def test_an_unknown_departure_is_an_error(register: Departures) -> None:
    with pytest.raises(DepartureError, match="not found"):
        register.happened("0" * 32, "closed", AT)
    with pytest.raises(DepartureError, match="found 0"):
        register.find("abc")
