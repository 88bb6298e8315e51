"""Whatever breaks, and whenever: what is gone and what is told are one."""

import json
from collections.abc import Iterator

import pytest

from demo.postgres import Postgres
from faults import act, at_pace
from lethe.evidence.note import Checkpoint, sign_note
from lethe.evidence.outside import VARIABLE
from sealing import RUN
from simulation.chaos import CONTROLS, KINDS, Outcome, chaos, end
from simulation.chaos_account import account
from simulation.chaos_estate import estate, own_server
from support import ORIGIN


@pytest.fixture(scope="module")
def own() -> Iterator[Postgres]:
    with own_server() as server:
        yield server


def even(outcome: Outcome, count: int) -> bool:
    """Whether the account comes out even after faults of every kind, of which most met a transaction in progress."""
    assert outcome.struck.total() == count
    assert outcome.struck.keys() == KINDS.keys()
    assert outcome.hits.total() >= count * 3 / 4
    assert not outcome.wrong(), str(outcome)
    return True


def test_killed_restarted_and_cut_at_commit_a_sweep_leaves_an_even_account(own: Postgres) -> None:
    assert even(chaos(own, seed=1, count=16), 16)


@pytest.mark.soak
@pytest.mark.timeout(900)
@pytest.mark.parametrize("seed", range(2, 6))
def test_so_it_does_after_many_faults(own: Postgres, seed: int) -> None:
    assert even(chaos(own, seed, 60), 60)


SHOWN = {
    "after": ("rows gone without evidence", tuple(KINDS)),
    "before": ("evidence without deletion", tuple(KINDS)),
    "unflushed": ("processes that gave up", ("server restarted",)),
}


@pytest.mark.parametrize("control", SHOWN)
def test_with_this_put_wrong_the_account_shows_it(own: Postgres, control: str) -> None:
    """Evidence in a transaction of its own, after or before the deed's; commits that are lost though published."""
    what, kinds = SHOWN[control]
    assert any(what in chaos(own, seed, len(KINDS), control, kinds).wrong() for seed in range(4))


@pytest.mark.soak
@pytest.mark.parametrize("control", CONTROLS)
def test_without_faults_the_account_is_even_all_the_same(own: Postgres, control: str) -> None:
    """So it is the faults that the controls show, not what was put wrong."""
    assert not chaos(own, seed=1, count=0, control=control).wrong()


FREE = "SET session_replication_role = replica; ALTER TABLE evidence.leaf DISABLE TRIGGER ALL;"
BATCH = '(SELECT max(index) FROM evidence.leaf WHERE leaf LIKE \'%"kind":"batch"%\')'
TAMPERING = (
    ("store", "UPDATE customer_tally SET gone = gone + 1 WHERE day = '2020-01-01'", ["wrong counts"]),
    ("store", "DELETE FROM lethe.outbox WHERE seq = 2", ["numbers missing", "leaves not collected once"]),
    (
        "store",
        "INSERT INTO customer VALUES ({gone}, 'Kunde', '2020-01-01')",
        ["evidence without deletion", "rows left undone"],
    ),
    ("store", "DELETE FROM customer WHERE id = {there}", ["rows gone that were to stay"]),
    ("state", "UPDATE lethe.plan SET outcome = NULL", ["plans not ended"]),
    (
        "log",
        f"{FREE} UPDATE evidence.leaf SET leaf = leaf || ' ' WHERE index = 3",
        ["findings of verify", "leaves unsigned, or not kept outside", "checkpoints that are no prefix"],
    ),
    (
        "log",
        f"{FREE} INSERT INTO evidence.leaf SELECT 9999, store, 9, seq, leaf FROM evidence.leaf WHERE index = {BATCH}",
        ["places or batches told twice"],
    ),
    ("log", f'{FREE} DELETE FROM evidence.leaf WHERE leaf LIKE \'%"kind":"batch"%\'', ["rows gone without evidence"]),
)


def test_the_account_sees_what_was_tampered_with(own: Postgres, tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, str(tmp_path / "outside"))
    made = estate(own, tmp_path, blocks=8)
    with made.open() as lethe:
        at_pace(lethe)
        for plan in made.plans:
            act(lethe, plan, run=RUN)
    made.journal.touch()
    assert tuple(end(made)) == ()
    before = account(made)
    assert not any(before.values())
    gone, there = min(next(iter(made.due.values())).rows), min(made.stays["customer"])
    for place, statements, seen in TAMPERING:
        getattr(made, place).run(statements.format(gone=gone, there=there))
        after = account(made)
        for what in seen:
            assert after[what] > before[what], (what, statements)
        before = after
    assert before.keys() == {what for *_, seen in TAMPERING for what in seen}
    made.journal.write_text(json.dumps(sign_note(Checkpoint(ORIGIN, 3, bytes(32)).text(), made.key)) + "\n")
    assert account(made)["checkpoints that are no prefix"] == before["checkpoints that are no prefix"] + 1
