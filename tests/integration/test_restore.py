"""Restore drills: yesterday's databases put back alone and together; declared, replayed, and still proven."""

import json
import shutil
from collections.abc import Iterator
from datetime import date
from itertools import combinations
from pathlib import Path

import pytest

from drill import NAMES, RULE, Drill, require_sound, unguarded
from faults import NOW
from lethe.errors import Behind, ConfigError, EvidenceError, Forked, LetheError, StoreRefused
from lethe.evidence.again import Erased, ReplayList
from lethe.evidence.replay import FoundAgain, found_again, to_replay
from lethe.evidence.restore import declare_restore
from sealing import RUN, TODAY, company

SUBSETS = [names for count in (1, 2, 3) for names in combinations(NAMES, count)]


@pytest.fixture
def drill(open_lethe, tmp_path, monkeypatch) -> Iterator[Drill]:
    """A company that swept its first 60 customers, then backed up with 40 more who are due."""
    found = Drill(company(open_lethe, tmp_path, monkeypatch), tmp_path)
    assert found.sweep() == 60
    found.seal()
    found.add(201, 240)
    found.backup()
    yield found
    found.throw_away()


def names_of(databases: tuple[str, ...]) -> list[str]:
    return [NAMES[name] for name in databases]


def require_refused(drill: Drill, names: tuple[str, ...]) -> None:
    """Reading works everywhere; what would act or write on a database that was put back is refused."""
    assert drill.lethe.plans()
    assert drill.lethe.remaining(RULE, TODAY).rows == (40 if "crm" in names else 0)
    assert drill.sealing.log.size() > 0
    with pytest.raises(Behind, match="`lethe restore"):
        drill.sealing.collect()
    if "lethe_state" in names:
        with pytest.raises(Behind, match="lethe restore lethe_state"):
            drill.sweep()
    elif "crm" in names:
        with pytest.raises(Behind, match="lethe restore crm"):
            drill.sweep()
    assert drill.customers() == (80 if "crm" in names else 40)


@pytest.mark.parametrize("names", SUBSETS, ids="+".join)
def test_what_a_backup_brought_back_is_gone_again_and_nothing_in_the_log_is_lost_or_doubled(
    drill: Drill, names: tuple[str, ...]
) -> None:
    assert drill.sweep() == 40
    before = drill.seal()
    history = drill.logged()
    drill.put_back(*names_of(names))
    require_refused(drill, names)
    told = {name: drill.declare(name) for name in names}
    drill.seal()
    replayed = drill.replay_approved()
    assert [(each.state, each.rows, each.remaining) for each in replayed] == (
        [("done", 40, 0)] if "crm" in names else []
    )
    after = drill.seal()
    assert drill.customers() == 40
    assert drill.rows_told() == 100 + (40 if "crm" in names else 0)
    restores = [leaf for leaf in drill.logged() if leaf["kind"] == "restore"]
    assert sorted(leaf["database"] for leaf in restores) == sorted(each.database for each in told.values())
    assert {(leaf["found"], leaf["published"]) for leaf in restores} == {(e.found, e.published) for e in told.values()}
    assert all(each.found < each.published for each in told.values())
    require_sound(drill, before, history)
    again = drill.replay()
    assert [(each.state, each.remaining) for each in again] == ([("nothing", 0)] if "crm" in names else [])
    drill.seal()
    assert {leaf["kind"] for leaf in drill.logged()[after.size :]} <= {"plan", "anchor"}


def test_what_is_deleted_again_waits_for_a_person_and_is_verified(drill: Drill) -> None:
    drill.sweep()
    drill.seal()
    drill.put_back("crm")
    drill.declare("crm")
    (back,) = to_replay(drill.lethe, drill.sealing, "crm")
    assert (back.rule, back.rows, back.days, back.why) == (RULE, 40, (date(2025, 3, 1),), None)
    (waits,) = drill.replay()
    assert (waits.state, waits.remaining) == ("waiting", 40)
    assert "was restored, since the last approval" in waits.why[0]
    assert drill.customers() == 80
    (done,) = drill.replay_approved()
    drill.seal()
    proof = [leaf for leaf in drill.logged() if leaf.get("plan") == done.plan and leaf["kind"] != "run"]
    assert [leaf["kind"] for leaf in sorted(proof, key=lambda leaf: leaf["at"])] == [
        "plan", "approval", "batch", "verification",
    ]  # fmt: skip
    (batch,) = (leaf for leaf in proof if leaf["kind"] == "batch")
    (verification,) = (leaf for leaf in proof if leaf["kind"] == "verification")
    assert (batch["outbox"]["epoch"], batch["rows"], verification["remaining"]) == (2, 40, 0)


def test_the_log_is_declared_first(drill: Drill) -> None:
    drill.sweep()
    drill.seal()
    drill.put_back("crm", "lethe_state", "lethe_evidence")
    for name in ("lethe_state", "crm"):
        with pytest.raises(Behind, match="declare it with `lethe restore log`"):
            drill.declare(name)
    told = drill.declare("log")
    assert any("lethe restore lethe_state" in note for note in told.notes)
    with pytest.raises(Behind, match="first declare it, `lethe restore crm`"):
        to_replay(drill.lethe, drill.sealing, "crm")
    assert any("restore of the log is written down" in note for note in drill.declare("lethe_state").notes)


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_declared_of_a_database_that_holds_what_was_published(drill: Drill, name: str) -> None:
    drill.sweep()
    drill.seal()
    for _ in range(2):
        with pytest.raises(EvidenceError, match="there is nothing to declare"):
            drill.declare(name)
    drill.put_back(NAMES[name])
    drill.declare(name)
    with pytest.raises(EvidenceError, match="there is nothing to declare"):
        drill.declare(name)


def test_a_database_that_nobody_knows_is_not_declared(drill: Drill) -> None:
    for work in (
        lambda: declare_restore(drill.sealing, "hr", RUN),
        lambda: to_replay(drill.lethe, drill.sealing, "log"),
    ):
        with pytest.raises(ConfigError, match="expected one of: crm"):
            work()


@pytest.mark.parametrize("name", ["crm", "lethe_state"])
def test_only_the_owner_of_a_database_declares_its_restore(drill: Drill, name: str) -> None:
    drill.sweep()
    drill.seal()
    drill.put_back(name)
    with pytest.raises(StoreRefused, match="sign in as the owner"):
        declare_restore(drill.sealing, name, RUN)
    assert drill.databases[name].one("SELECT epoch FROM lethe.store") == 1


def test_runs_that_lethe_state_forgot_are_known_again_so_that_no_manifest_misses_them(drill: Drill) -> None:
    drill.databases["lethe_state"].run("DELETE FROM lethe.run")
    drill.backup("empty")
    drill.sweep()
    drill.seal()
    ran = "SELECT run, rule, state, counts, date_trunc('milliseconds', at) FROM lethe.run ORDER BY at"
    known = drill.databases["lethe_state"].rows(ran)
    drill.put_back("lethe_state", tag="empty")
    assert drill.databases["lethe_state"].rows(ran) == []
    drill.declare("lethe_state")
    assert {row[:4] == was[:4] for row, was in zip(drill.databases["lethe_state"].rows(ran), known, strict=True)} == {
        True
    }


def test_what_was_told_before_a_backup_is_not_told_again_in_the_new_epoch(drill: Drill) -> None:
    assert drill.sealing.heartbeat(TODAY, RUN)
    drill.backup("told")
    drill.seal()
    drill.sweep()
    drill.seal()
    drill.put_back("lethe_state", tag="told")
    drill.declare("lethe_state")
    assert not drill.sealing.heartbeat(TODAY, RUN)


# -- a store that went on unseen --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("size", "further"), [(1, True), (1000, False)], ids=["past what was published", "not as far"])
def test_what_was_done_between_a_restore_and_its_declaration_is_evidence_too(
    drill: Drill, monkeypatch, size: int, further: bool
) -> None:
    drill.sweep(size=3)
    before = drill.seal()
    history = drill.logged()
    published = drill.databases["crm"].one("SELECT seq FROM lethe.store")
    drill.put_back("crm")
    assert unguarded(drill, monkeypatch, lambda: drill.sweep(size)) == 40
    with pytest.raises(LetheError, match="lethe restore crm"):
        drill.sealing.collect()
    keys = drill.databases["crm"].rows("SELECT key FROM lethe.outbox ORDER BY epoch, seq")
    assert (len(keys) > published) == further
    told = drill.declare("crm")
    assert (told.found, told.published, told.epoch, told.taken_over) == (1, published, 2, len(keys) - 1)
    assert any(f"{len(keys) - 1} leaves were written after the backup" in note for note in told.notes)
    found = drill.databases["crm"].rows(
        "SELECT key FROM lethe.outbox WHERE key NOT LIKE 'restore/%' ORDER BY epoch, seq"
    )
    assert found == keys
    drill.seal()
    assert [each.state for each in drill.replay_approved()] == ["nothing"]
    drill.seal()
    assert (drill.customers(), drill.rows_told()) == (40, 140)
    require_sound(drill, before, history)


def test_a_leaf_that_was_removed_from_what_went_on_unseen_is_still_missing(drill: Drill, monkeypatch) -> None:
    drill.sweep()
    drill.seal()
    drill.put_back("crm")
    unguarded(drill, monkeypatch, lambda: drill.sweep(size=1))
    drill.databases["crm"].run("DELETE FROM lethe.outbox WHERE seq = 4")
    drill.declare("crm")
    (gap,) = drill.sealing.collect().gaps
    assert (gap.outbox, gap.epoch, gap.first, gap.last) == ("crm", 2, 5, 5)


def test_a_store_that_is_restored_twice_has_a_third_epoch(drill: Drill) -> None:
    for epoch, came_back in ((2, 40), (3, 120)):
        drill.sweep()
        before, history = drill.seal(), drill.logged()
        drill.put_back("crm")
        assert drill.declare("crm").epoch == epoch
        drill.seal()
        (done,) = drill.replay_approved()
        assert (done.state, done.rows, done.came_back) == ("done", 40, came_back)
        drill.seal()
        require_sound(drill, before, history)
        drill.add(201, 240)
    assert drill.rows_told() == 60 + 40 * 4


def test_a_backup_from_before_an_earlier_restore_brings_back_what_was_done_since_under_lower_numbers(
    drill: Drill,
) -> None:
    drill.sweep(size=1)
    drill.seal()
    drill.backup("later")
    drill.put_back("crm")
    drill.declare("crm")
    drill.seal()
    drill.replay_approved()
    before = drill.seal()
    history = drill.logged()
    drill.put_back("crm", tag="later")
    told = drill.declare("crm")
    (back,) = to_replay(drill.lethe, drill.sealing, "crm")
    assert told.found > told.published
    assert (back.rows, back.batches) == (40, 1)
    drill.seal()
    drill.replay_approved()
    drill.seal()
    require_sound(drill, before, history)


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        (lambda text: text.replace("keep: P1Y", "keep: P2Y"), "the rule means something else now"),
        (lambda text: text.replace("  ex-customers:", "  others:"), "the rule is no longer in the policy"),
    ],
)
def test_a_rule_that_changed_since_is_not_guessed(drill: Drill, changed, why: str) -> None:
    drill.sweep()
    drill.seal()
    drill.put_back("crm")
    drill.declare("crm")
    file = drill.policy_dir / "activities" / "customers.yaml"
    file.write_text(changed(file.read_text()))
    drill.close()
    drill.open()
    (told,) = drill.replay()
    assert (told.state, told.came_back, drill.customers()) == ("person", 40, 80)
    assert why in told.why[0]


# -- the log and the directory outside --------------------------------------------------------------------------------


def test_a_log_is_put_back_to_the_byte_with_its_checkpoints_keys_and_anchors(drill: Drill) -> None:
    drill.sweep()
    drill.seal()
    parts = ("index, leaf FROM evidence.leaf", "size, root, note FROM evidence.checkpoint",
             "vkey, endorsement, size FROM evidence.key", "anchor, kind, size, token FROM evidence.anchor")  # fmt: skip
    log = drill.databases["lethe_evidence"]
    whole = [log.rows(f"SELECT {part} ORDER BY 1, 2") for part in parts]
    size = len(whole[0])
    drill.put_back("lethe_evidence")
    told = drill.declare("log")
    assert [log.rows(f"SELECT {part} ORDER BY 1, 2") for part in parts] == whole
    assert (told.published, told.found + told.put_back) == (size, size)


def test_leaves_outside_that_do_not_lead_to_the_signed_root_are_not_put_back(drill: Drill) -> None:
    drill.sweep()
    drill.seal()
    drill.put_back("lethe_evidence")
    size = drill.sealing.log.size()
    last = max((drill.outside.directory / "leaves").iterdir())
    last.write_bytes(last.read_bytes().replace(b'"code":"', b'"code":"x', 1))
    with pytest.raises(Forked, match="nothing was kept"):
        drill.declare("log")
    assert drill.sealing.log.size() == size
    assert drill.outside.restore() is None


def test_a_checkpoint_outside_that_nobody_signed_is_not_put_back(drill: Drill) -> None:
    drill.sweep()
    drill.seal()
    drill.put_back("lethe_evidence")
    size = drill.sealing.log.size()
    first = min((drill.outside.directory / "checkpoints").iterdir())
    first.write_text(first.read_text().replace("fjordvik", "fjordvig"))
    with pytest.raises(Forked, match="no signature of a known key"):
        drill.declare("log")
    assert drill.sealing.log.size() == size


def empty(directory: Path) -> None:
    shutil.rmtree(directory)
    directory.mkdir()


LOST = {
    "all of it": empty,
    "its head": lambda directory: (directory / "head.json").unlink(),
    "half of its head": lambda directory: (directory / "head.json").write_text('{"size": 1'),
}  # fmt: skip


@pytest.mark.parametrize("how", LOST)
def test_a_directory_outside_that_is_lost_is_made_anew_from_the_log(drill: Drill, how: str) -> None:
    drill.sweep()
    before = drill.seal()
    history, head = drill.logged(), drill.outside.head()
    LOST[how](drill.outside.directory)
    told = drill.declare("log")
    assert drill.outside.head() == head
    assert (told.found, told.published, told.put_back) == (0, before.size, 0)
    assert any("compare that with the copy at an anchor" in note for note in told.notes)
    drill.seal()
    require_sound(drill, before, history)
    drill.put_back("lethe_evidence")  # and it serves to put the log back
    drill.declare("log")
    drill.seal()
    require_sound(drill, before, history)


def test_a_directory_outside_that_was_put_back_is_brought_up_to_the_log(drill: Drill, tmp_path) -> None:
    shutil.copytree(drill.outside.directory, tmp_path / "yesterday")
    size = drill.outside.head().size
    drill.sweep()
    before = drill.seal()
    history, head = drill.logged(), drill.outside.head()
    empty(drill.outside.directory)
    shutil.copytree(tmp_path / "yesterday", drill.outside.directory, dirs_exist_ok=True)
    assert drill.declare("log").found == size
    assert drill.outside.head() == head
    drill.seal()
    require_sound(drill, before, history)


def test_a_directory_is_not_made_anew_from_a_checkpoint_that_no_key_of_the_log_signed(drill: Drill) -> None:
    (drill.outside.directory / "head.json").unlink()
    drill.databases["lethe_evidence"].run(
        "ALTER TABLE evidence.checkpoint DISABLE TRIGGER ALL;"
        "UPDATE evidence.checkpoint SET note = replace(note, '— fjordvik', '— fjordvig')"
    )
    with pytest.raises(Forked, match="no signature of a known key"):
        drill.declare("log")
    assert not (drill.outside.directory / "head.json").exists()


def test_a_log_that_is_restored_while_lethe_state_is_behind_is_written_down_once_both_are_declared(
    drill: Drill,
) -> None:
    drill.sweep()
    drill.seal()
    drill.put_back("lethe_evidence", "lethe_state")
    drill.declare("log")
    assert drill.outside.restore() is not None
    drill.declare("log")  # again: nothing happens twice
    drill.declare("lethe_state")
    assert drill.outside.restore() is None
    drill.seal()
    assert sorted(leaf["database"] for leaf in drill.logged() if leaf["kind"] == "restore") == ["log", "state"]


# -- whose records went -----------------------------------------------------------------------------------------------


def test_erased_records_that_are_back_are_counted_by_what_may_be_done_with_them(drill: Drill) -> None:
    drill.sweep()
    drill.seal()
    store = drill.lethe.outbox("crm").position().store
    keys = ReplayList(drill.outside, bytes(32))
    keys.add(Erased(store, 1, 2, RULE, "0" * 64, tuple(map(str, range(201, 241))), date(2025, 4, 5)))
    keys.add(Erased(store, 1, 3, "a-rule-of-old", "0" * 64, ("7", "8"), date(2025, 4, 5)))
    drill.put_back("crm")
    drill.declare("crm")
    drill.databases["crm"].run(
        "INSERT INTO lethe.hold VALUES ('customers', '201', 'held'), ('customers', '202', 'restricted');"
        "UPDATE customer SET ended_on = '2025-02-01' WHERE id IN (203, 204, 205);"
        "DELETE FROM customer WHERE id = 206"
    )
    old, found = found_again(drill.lethe, "crm", keys.read(store), NOW)
    assert (old.listed, old.why) == (2, "the policy has no such rule for this store")
    assert found == FoundAgain(RULE, listed=40, due=34, held=2, kept=3)


COMPOSITE = """
serves: [R08]
datasets:
  contracts: {in: crm, table: contract, key: [firm, number], personal_data: {name: user.name}}
rules:
  contracts:
    obligation: R08
    of: contracts
    title: {nb: Avtaler, en: Contracts}
    clock: ended_on
    keep: P1Y
    when: {state: "100%"}
    then: delete
    limits: {rows: 10, share: 100%}
"""
CONTRACTS = """
CREATE TABLE contract (firm text, number bigint, name text, state text, ended_on date, PRIMARY KEY (firm, number));
INSERT INTO contract VALUES ('a"b', 1, 'Kari', '100%', '2020-01-01'), ('a', 1, 'Ola', '100%', '2020-01-01'),
    ('a', 2, 'Eli', '50%', '2020-01-01');
"""


def test_a_key_of_several_columns_is_found_by_all_of_them(open_lethe) -> None:
    lethe = open_lethe(COMPOSITE, CONTRACTS)
    keys = tuple(json.dumps(key) for key in (['a"b', 1], ["a", 2], ["a", 3], ["b", 1]))
    erased = Erased("", 1, 1, "contracts", "", keys, TODAY)
    assert found_again(lethe, "crm", [erased], NOW) == [FoundAgain("contracts", listed=4, due=1, kept=1)]


def test_a_key_that_cannot_be_one_is_refused_without_being_shown(open_lethe) -> None:
    lethe = open_lethe(COMPOSITE, CONTRACTS)
    erased = Erased("", 1, 1, "contracts", "", ('["a", "Kari Nordmann"]',), TODAY)
    with pytest.raises(StoreRefused) as refused:
        found_again(lethe, "crm", [erased], NOW)
    assert "Kari" not in str(refused.value)
    assert "Kari" not in repr(erased)
