from __future__ import annotations

import ast
import io
import json
import random
import shlex
import shutil
import subprocess
import sys
import time
import tracemalloc
import zipfile
from base64 import b64decode, b64encode
from collections.abc import Callable
from dataclasses import replace
from datetime import date, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature

from authority import Authority, make_authority
from bundles import (
    CRM,
    FOREIGN_KEY,
    KEY,
    NEXT_KEY,
    ORIGIN,
    PARTIAL,
    POLICY_DIGEST,
    START,
    STATE,
    Lines,
    Story,
    digest,
    forged,
    material,
    members,
    packed,
    sealed,
    signing_key,
    stamp,
    write,
)
from lethe.evidence import verify_bundle
from lethe.evidence.bundle import Limits, Material
from lethe.evidence.note import Checkpoint, SigningKey, VerifierKey, endorsement, sign_note
from lethe.evidence.verify_bundle import CODES, Gap, Invalid, Replay, Report, consistent, main, read_key, verify, words

VERIFIER = Path(verify_bundle.__file__)
VECTORS = Path(__file__).parents[1] / "data" / "vectors" / "merkle" / "consistency"
STORY = Story().begin().day(10).days(9)
LINES = STORY.lines()
BATCH = next(at for at in range(60, 200) if STORY.leaves[at]["kind"] == "batch")
"""The place of a batch somewhere in the middle."""
TRUST = (str(KEY.verifier),)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "bundle.zip"


def _told(report: Report, kind: str) -> str:
    return "\n".join(finding.words for finding in report.findings if finding.kind == kind)


def _report(path: Path, story: Story | Lines = STORY, *, trust: tuple[str, ...] = TRUST, **changes: Any) -> Report:
    return verify(write(path, material(story, **changes)), trust)


def test_the_invented_log_has_two_hundred_leaves() -> None:
    assert len(LINES) == 200


# ---------------------------------------------------------------- what each status takes


@pytest.mark.parametrize("limits", [Limits(), PARTIAL], ids=["full", "partial"])
@pytest.mark.parametrize("sizes", [(), (1,), (1, 2, 3), (7, 64, 65, 128, 199, 200)])
def test_a_good_bundle_is_ok_for_who_trusts_its_key(limits: Limits, sizes: tuple[int, ...], path: Path) -> None:
    report = _report(path, sizes=sizes, limits=limits)
    assert (report.status, report.code) == ("ok", 0)
    assert report.facts["size"] == 200


@pytest.mark.parametrize("limits", [Limits(), PARTIAL], ids=["full", "partial"])
@pytest.mark.parametrize("size", [50, 200])
def test_a_good_bundle_is_ok_for_who_holds_an_earlier_checkpoint(limits: Limits, size: int, path: Path) -> None:
    """Whoever signed it: what the auditor holds is held to be true."""
    held = sealed(LINES, size, FOREIGN_KEY).note
    assert _report(path, sizes=(50,), limits=limits, trust=(held,)).status == "ok"
    assert _report(path, sizes=(50,), limits=limits, trust=(held,), anchors=()).status == "ok"


def test_without_anything_to_trust_the_best_answer_is_unpinned(path: Path) -> None:
    report = _report(path, trust=())
    assert (report.status, report.code) == ("unpinned", 3)
    assert f"--trust {TRUST[0]}" in "\n".join(report.next)


def test_a_clock_that_went_back_is_told_and_condemns_nothing(path: Path) -> None:
    story = Story().begin().days(2)
    story._clock -= timedelta(days=1, hours=1)
    story.day()
    report = _report(path, story)
    assert report.status == "ok"
    assert "its clock went back" in _told(report, "cannot tell")
    assert "its clock" not in _told(_report(path), "cannot tell")


def test_without_a_time_stamp_it_is_unanchored(path: Path) -> None:
    anchors = [anchor for anchor in material(STORY).anchors if anchor.token is None]
    assert len(anchors) == 1
    assert _report(path, anchors=anchors).status == "unanchored"
    assert CODES["unanchored"] == 6
    first = _report(path, anchors=(), trust=())  # what the auditor can do about is said first
    assert [finding.kind for finding in first.findings] == ["unpinned", "unanchored"]
    assert first.status == "unpinned"


def test_a_log_that_fell_silent_before_the_export_is_stale(path: Path) -> None:
    last = material(STORY).exported_at - timedelta(hours=1)
    assert _report(path, exported_at=last + timedelta(hours=48)).status == "ok"
    report = _report(path, exported_at=last + timedelta(hours=48, seconds=1))
    assert (report.status, report.code) == ("stale", 5)


@pytest.mark.parametrize(("at", "status"), [(date(2025, 1, 10), "ok"), (date(2025, 1, 11), "stale")])
@pytest.mark.parametrize("limits", [Limits(), Limits(first=date(2025, 1, 5))], ids=["full", "partial"])
def test_a_bundle_that_ends_before_a_named_day_is_stale(limits: Limits, at: date, status: str, path: Path) -> None:
    assert verify(write(path, material(STORY, limits=limits)), TRUST, at=at).status == status


def test_a_checkpoint_that_is_larger_than_the_bundle_makes_it_stale(path: Path) -> None:
    held = sealed(LINES, 200).note
    assert _report(path, LINES[:180], trust=(held, *TRUST)).status == "stale"


def _with_leaf(index: int, **changes: Any) -> Lines:
    story = Story()
    story.leaves = [dict(leaf) for leaf in STORY.leaves]
    story.leaves[index].update(changes)
    return story.lines()


def test_a_held_checkpoint_of_another_history_shows_the_fork(path: Path) -> None:
    for other, limits in ((_with_leaf(3, code="x"), Limits()), (_with_leaf(3, code="x"), PARTIAL)):
        report = _report(path, sizes=(50,), limits=limits, trust=(sealed(other, 50).note, *TRUST))
        assert (report.status, report.code) == ("forked", 4)
        assert "two histories" in _told(report, "forked")
    assert _report(path, trust=(sealed(_with_leaf(BATCH, code="x"), 50).note,)).status == "ok"


def test_a_held_checkpoint_that_a_partial_bundle_cannot_judge_pins_nothing(path: Path) -> None:
    report = _report(path, sizes=(50,), limits=PARTIAL, trust=(sealed(LINES, 51).note,))
    assert report.status == "unpinned"
    assert "ask for one with all leaves" in _told(report, "cannot tell")


def test_a_held_checkpoint_that_cannot_be_judged_stands_for_no_time_stamp(path: Path) -> None:
    held = sealed(LINES, 51).note
    report = _report(path, sizes=(50,), limits=PARTIAL, trust=(held, *TRUST), anchors=())
    assert report.status == "unanchored", words(report)


def test_a_held_checkpoint_is_judged_by_leaves_where_they_reach_it(path: Path) -> None:
    """Also in a partial bundle, as long as nothing that was left out lies across it."""
    limits = Limits(first=START + timedelta(days=3))
    inside = next(at for at, line in enumerate(LINES) if limits.admit(line)) + 2
    assert _report(path, limits=limits, trust=(sealed(LINES, inside).note,)).status == "ok"
    other = sealed(_with_leaf(3, code="x"), inside).note
    assert _report(path, limits=limits, trust=(other,)).status == "forked"


def test_two_roots_for_one_size_are_a_fork(path: Path) -> None:
    fork = sealed(_with_leaf(3, code="x"), 50)
    for notes in ([fork, sealed(LINES, 50)], [sealed(LINES, 50), fork]):
        for limits in (Limits(), PARTIAL):
            made = material(STORY, limits=limits)
            report = _report(path, checkpoints=[*notes, made.checkpoints[-1]], limits=limits)
            assert report.status == "forked", words(report)


def test_two_roots_for_the_last_size_are_a_fork(path: Path) -> None:
    fork = sealed(_with_leaf(3, code="x"), 200)
    assert _report(path, checkpoints=[fork, sealed(LINES, 200)]).status == "forked"


def test_an_older_checkpoint_of_another_history_is_a_fork(path: Path) -> None:
    made = material(STORY)
    fork = sealed(_with_leaf(3, code="x"), 50)
    assert _report(path, checkpoints=[fork, made.checkpoints[-1]]).status == "forked"


# ---------------------------------------------------------------- incomplete


def _lost_row(story: Story) -> None:
    story.begin().day().lose().day()


def _lost_before_an_epoch(story: Story) -> None:
    story.begin().day().lose().restore(13).day()


def _lost_first(story: Story) -> None:
    story.lose(STATE).begin().day()


def _no_restore(story: Story) -> None:
    story.begin().day().restore(5)
    del story.leaves[-1]
    story.day()


def _another_restore(story: Story) -> None:
    story.begin().day().restore(5)
    story.leaves[-1]["found"] = 4
    story.day()


def _no_plan(story: Story) -> None:
    story.begin()
    story.batch()


def _plan_of_another_rule(story: Story) -> None:
    story.begin()
    told = {**story.plan(needs_approval=False), "rule": "employees"}
    how = {"shard": 0, "batch": 1, "way": "blocks", "suppressed": 0, "receipts": None, "gone_from_backups": None}
    story.tell("batch", CRM, **told, **how, rows=900, reach={})


def _approval_of_another_rule(story: Story) -> None:
    story.begin()
    told = story.plan()
    person = {"role": "privacy-officer", "approver": digest("person")[:32], "via": "cli"}
    story.tell("approval", **{**told, "rule": "employees"}, decision="approved", **person)
    story.batch()


def _no_approval(story: Story) -> None:
    story.begin().day(approved=False)


def _rejected(story: Story) -> None:
    story.begin()
    story.plan()
    story.approve("rejected")
    story.batch()


def _other_rows(story: Story) -> None:
    story.begin()
    story.plan(needs_approval=False)
    story.batch(rows=6)
    story.run("ended", {"rows": 7, "reach": 3, "batches": 1})


def _other_reach(story: Story) -> None:
    story.begin()
    story.plan(needs_approval=False)
    story.batch()
    story.run("ended", {"rows": 7, "reach": 4, "batches": 1})


def _more_batches(story: Story) -> None:
    story.begin()
    story.plan(needs_approval=False)
    story.batch()
    story.batch(2)
    story.run("ended", {"rows": 14, "reach": 6, "batches": 1})


def _no_batches(story: Story) -> None:
    story.begin()
    story.run("ended", {"rows": 7, "reach": 3, "batches": 1})


def _open_run(story: Story) -> None:
    story.begin()
    story.run("started")
    story.sleep().day()


def _missing_rule(story: Story) -> None:
    story.begin()
    story.tell("manifest", day="2025-01-01", expected=["ex-customers"], missing=["ex-customers"])


def _silent_day(story: Story) -> None:
    story.begin().day().sleep(2).day()


def _silent_end(story: Story) -> None:
    story.begin().day()
    for _ in range(3):
        story.sleep()
        story.run("started")
        story.run("nothing")


def _more_documents(story: Story) -> None:
    story.begin()
    story.plan(needs_approval=False)
    story.intend(2)
    story.settle(deleted=1, shared=1, withdrawn=1)


def _documents_of_another_folder(story: Story) -> None:
    story.begin()
    story.plan(needs_approval=False)
    story.intend(3, "scans")
    story.settle(deleted=3)


def _more_documents_before_a_restore(story: Story) -> None:
    _more_documents(story)
    story.restore(2)
    story.intend(7)


def _more_documents_after_a_restore(story: Story) -> None:
    _documents_settled_again_after_a_restore(story)
    story.settle(withdrawn=1)


INCOMPLETE: dict[str, tuple[Callable[[Story], None], str]] = {
    "a row that was removed": (_lost_row, f"outbox {CRM}, epoch 1: number 13 is missing"),
    "rows that were removed before a restore": (_lost_before_an_epoch, "epoch 2: number 13 is missing"),
    "the first row": (_lost_first, f"outbox {STATE}, epoch 1: number 1 is missing"),
    "the first row after a restore": (
        _no_restore,
        "epoch 2: begins at number 7 without a leaf that tells of a restore",
    ),
    "rows between a backup and its restore": (_another_restore, "epoch 2: begins at number 6 without a leaf"),
    "a batch without plan": (_no_plan, "carried out, and is not there itself"),
    "a batch under the plan of another rule": (_plan_of_another_rule, "of rule employees was carried out, and is not"),
    "an approval for another rule": (_approval_of_another_rule, "needed a person's approval, was carried out and has"),
    "a plan without approval": (_no_approval, "needed a person's approval, was carried out and has none"),
    "a plan that was rejected": (_rejected, "needed a person's approval, was carried out and has none"),
    "other rows than its batches": (_other_rows, "ended with 7 rows and 3 that follow, in 1 batches; its batches tell"),
    "other reach than its batches": (_other_reach, "its batches tell of 7 rows and 3 that follow"),
    "fewer batches than there are": (_more_batches, "its batches tell of 14 rows and 6 that follow, in 2 batches"),
    "a run without its batches": (_no_batches, "its batches tell of 0 rows"),
    "a run that never ended": (_open_run, "started at 2025-01-01T02:00:03.000Z, and how it ended is not told"),
    "a rule that did not run": (_missing_rule, "on 2025-01-01 these rules should have run and did not: ex-customers"),
    "no sign of life at the end": (_silent_end, "no sign of life after 2025-01-01, and other leaves up to 2025-01-05"),
    "more documents than were intended": (
        _more_documents,
        f"outbox {CRM}: 3 documents of papers were settled, and 2 were meant to be",
    ),
    "documents of another folder than intended": (
        _documents_of_another_folder,
        "3 documents of papers were settled, and 0 were meant to be",
    ),
    "more documents than intended, before a restore": (
        _more_documents_before_a_restore,
        "3 documents of papers were settled, and 2 were meant to be",
    ),
    "more documents than intended, after a restore": (
        _more_documents_after_a_restore,
        "3 documents of papers were settled, and 2 were meant to be",
    ),
    "days without a sign of life": (_silent_day, "the log gave no sign of life from 2025-01-02 to 2025-01-03"),
}


@pytest.mark.parametrize(("tell", "expected"), INCOMPLETE.values(), ids=INCOMPLETE)
def test_what_is_missing_is_told(tell: Callable[[Story], None], expected: str, path: Path) -> None:
    story = Story()
    tell(story)
    report = _report(path, story)
    assert (report.status, report.code) == ("incomplete", 7)
    assert expected in _told(report, "incomplete")
    assert len(_told(report, "incomplete").split("\n")) == 1


def _restored(story: Story) -> None:
    story.begin().day().restore(5).day()


def _restored_twice(story: Story) -> None:
    story.begin().day().restore(5).day().restore(9).day()


def _waiting(story: Story) -> None:
    story.begin()
    story.run("started")
    story.plan()
    story.run("waiting")
    story.sleep().day()


def _young_run(story: Story) -> None:
    story.begin()
    story.run("started")


def _plan_collected_after_its_batch(story: Story) -> None:
    story.begin()
    story.batch()
    story.plan()
    story.approve()


def _batches_without_deed(story: Story) -> None:
    story.begin()
    story.plan(needs_approval=False)
    story.run("ended", {"rows": 0, "reach": 0, "batches": 3})


def _restored_at_once_again(story: Story) -> None:
    story.begin().day().restore(5).restore(9).day()


def _done_again_after_a_restore(story: Story) -> None:
    story.begin()
    story.plan(needs_approval=False)
    story.batch()
    story.run("ended", {"rows": 7, "reach": 3, "batches": 1})
    story.restore(0).batch(rows=2)


def _finished_by_something_else_than_rows(story: Story) -> None:
    story.begin()
    told = story.plan(needs_approval=False)
    story.batch()
    how = {"shard": -1, "batch": 1, "way": "finish", "suppressed": 4, "receipts": None, "gone_from_backups": None}
    story.tell("batch", CRM, **told, **how, rows=0, reach={})
    story.run("ended", {"rows": 7, "reach": 3, "batches": 1})


def _documents_settled_piece_by_piece(story: Story) -> None:
    story.begin()
    story.plan(needs_approval=False)
    story.intend(2)
    story.settle(deleted=1)
    story.intend(3)
    story.settle(missing=1, shared=2, withdrawn=1)


def _documents_not_settled_yet(story: Story) -> None:
    story.begin()
    story.plan(needs_approval=False)
    story.intend(2)
    story.settle(deleted=1)


def _documents_settled_again_after_a_restore(story: Story) -> None:
    """The backup is of the moment when the documents were meant to go."""
    story.begin()
    story.plan(needs_approval=False)
    story.intend(2)
    intended = story.leaves[-1]["outbox"]["seq"]
    story.settle(deleted=2)
    story.restore(intended).settle(deleted=2)


@pytest.mark.parametrize(
    "tell",
    [
        _restored,
        _restored_twice,
        _restored_at_once_again,
        _waiting,
        _young_run,
        _plan_collected_after_its_batch,
        _batches_without_deed,
        _done_again_after_a_restore,
        _finished_by_something_else_than_rows,
        _documents_settled_piece_by_piece,
        _documents_not_settled_yet,
        _documents_settled_again_after_a_restore,
    ],
)
def test_what_only_looks_unusual_is_ok(tell: Callable[[Story], None], path: Path) -> None:
    story = Story()
    tell(story)
    report = _report(path, story)
    assert report.status == "ok", words(report)


def test_an_export_that_is_dated_back_hides_no_run_that_never_ended(path: Path) -> None:
    story = Story()
    _open_run(story)
    started = datetime.fromisoformat(story.leaves[2]["at"])
    report = _report(path, story, exported_at=started)
    assert "how it ended is not told" in _told(report, "incomplete")
    assert "one of the clocks is wrong" in _told(report, "cannot tell")
    assert "one of the clocks is wrong" not in _told(_report(path), "cannot tell")


def test_a_policy_that_was_in_use_must_be_there(path: Path) -> None:
    report = _report(path, policies={})
    assert report.status == "incomplete"
    assert f"policy {POLICY_DIGEST[:12]}… was in use" in _told(report, "incomplete")


def test_a_partial_bundle_tells_what_should_have_run_unless_it_is_about_one_activity(path: Path) -> None:
    story = Story()
    _missing_rule(story)
    assert _report(path, story, limits=Limits(first=START)).status == "incomplete"
    story.begin().day()
    assert _report(path, story, limits=Limits(activity="webshop")).status == "ok"


def test_a_limit_that_leaves_no_leaf_out_excuses_no_rule_that_did_not_run(path: Path) -> None:
    story = Story()
    _missing_rule(story)
    report = _report(path, story, limits=Limits(activity="customer-contacts"))
    assert report.status == "incomplete"
    assert "should have run and did not" in _told(report, "incomplete")


@pytest.mark.parametrize("tell", [_lost_row, _no_approval, _other_rows, _more_documents, _silent_day])
def test_a_partial_bundle_says_that_it_cannot_tell_what_is_missing(tell: Callable[[Story], None], path: Path) -> None:
    story = Story()
    tell(story)
    report = _report(path, story, limits=Limits(activity="webshop"))
    assert report.status == "ok", words(report)
    assert "for that all leaves are needed" in _told(report, "not checked")


def test_leaves_that_are_left_out_without_a_limit_are_missed(path: Path) -> None:
    made = write(path, material(STORY, limits=PARTIAL))
    unlimited = {"manifest": lambda text: text.replace(str(PARTIAL).encode(), b"- - -")}
    report = verify(forged(made, unlimited, KEY), TRUST)
    assert report.status == "incomplete"
    assert "does not say by which period or activity" in _told(report, "incomplete")


def test_of_many_findings_some_are_told_and_the_others_counted(path: Path) -> None:
    story = Story().begin()
    for number in range(150):
        story.lose().batch(number)
    told = _told(_report(path, story), "incomplete").split("\n")
    assert len(told) == 101
    assert told[-1] == "and 51 more of this kind"


def test_the_gravest_status_wins_and_all_findings_are_told(path: Path) -> None:
    story = Story()
    _lost_row(story)
    report = _report(path, story, trust=(), anchors=(), exported_at=material(story).exported_at + timedelta(days=9))
    assert [finding.kind for finding in report.findings] == ["incomplete", "stale", "unpinned", "unanchored"]
    assert report.status == "incomplete"


# ---------------------------------------------------------------- whoever changes leaves


def _dropped(lines: list[bytes]) -> None:
    del lines[BATCH]


def _swapped(lines: list[bytes]) -> None:
    lines[BATCH], lines[BATCH + 1] = lines[BATCH + 1], lines[BATCH]


def _duplicated(lines: list[bytes]) -> None:
    lines.insert(BATCH, lines[BATCH])


def _altered(lines: list[bytes]) -> None:
    lines[BATCH] = lines[BATCH].replace(b'"rows":7', b'"rows":8')


def _appended(lines: list[bytes]) -> None:
    lines.append(lines[-1].replace(b'"seq":', b'"seq":1'))


def _cut(lines: list[bytes]) -> None:
    del lines[-1]


CHANGES = (_dropped, _swapped, _duplicated, _altered, _appended, _cut)


def _changed(change: Callable[[list[bytes]], None]) -> Callable[[bytes], bytes]:
    def of(leaves: bytes) -> bytes:
        lines = leaves.splitlines(keepends=True)
        change(lines)
        assert b"".join(lines) != leaves
        return b"".join(lines)

    return of


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("key", [None, FOREIGN_KEY, KEY], ids=["no key", "another key", "the very key"])
def test_changed_leaves_are_invalid_whoever_puts_the_digests_right(
    change: Callable[[list[bytes]], None], key: SigningKey | None, path: Path
) -> None:
    """With the log's own key the manifest is good again; then it is the signed root that does not fit."""
    report = verify(forged(write(path, material(STORY, sizes=(7, 50))), {"leaves.jsonl": _changed(change)}, key))
    assert (report.status, report.code) == ("invalid", 1)
    assert ("leaves.jsonl: " in _told(report, "invalid")) is (key is KEY)
    assert report.proven == ()


@pytest.mark.parametrize("change", [_dropped, _swapped, _altered])
def test_changed_leaves_of_a_partial_bundle_are_invalid(change: Callable[[list[bytes]], None], path: Path) -> None:
    made = write(path, material(STORY, limits=Limits(first=START + timedelta(days=2))))
    report = verify(forged(made, {"leaves.jsonl": _changed(change)}, KEY), TRUST)
    assert report.status == "invalid"


@pytest.mark.parametrize("change", [_swapped, _duplicated])
def test_a_leaf_cannot_stand_in_the_wrong_place_even_if_all_of_it_is_signed(
    change: Callable[[list[bytes]], None], path: Path
) -> None:
    lines = list(LINES)
    change(lines)
    report = _report(path, lines)
    assert report.status == "invalid"
    assert "stands there twice, or in the wrong place" in _told(report, "invalid")


def test_a_history_that_somebody_else_signed_is_only_as_good_as_what_is_known_of_them(path: Path) -> None:
    other = write(path, material(_with_leaf(BATCH, rows=8), keys=((FOREIGN_KEY, 0),), anchors=()), FOREIGN_KEY)
    assert verify(other).status == "incomplete"
    quiet = material(_with_leaf(0, new=FOREIGN_KEY.verifier.id.hex()), keys=((FOREIGN_KEY, 0),))
    assert verify(write(path, quiet, FOREIGN_KEY)).status == "unpinned"
    report = verify(path, TRUST)
    assert report.status == "invalid"
    assert "has neither signed it nor endorsed" in _told(report, "invalid")
    assert verify(path, [sealed(LINES, BATCH + 1).note]).status == "forked"
    assert verify(path, [str(FOREIGN_KEY.verifier), *TRUST]).status == "invalid"


def test_a_checkpoint_of_another_log_is_no_reason_to_trust_this_one(path: Path) -> None:
    other = SigningKey("lillevik.example/lethe", KEY.seed)
    note = sign_note(Checkpoint(other.name, 200, material(STORY).checkpoints[-1].root).text(), other)
    assert "of another log" in _told(_report(path, trust=(note,)), "invalid")
    assert _report(path, trust=(str(other.verifier),)).status == "invalid"


# ---------------------------------------------------------------- keys

ROTATED = ((KEY, 0), (NEXT_KEY, 60), (signing_key(5), 150))


@pytest.mark.parametrize("trusted", [key for key, _ in ROTATED])
def test_every_key_that_handed_over_vouches_for_what_came_after(trusted: SigningKey, path: Path) -> None:
    made = write(path, material(STORY, sizes=(60, 61, 150), keys=ROTATED), signing_key(5))
    assert verify(made, [str(trusted.verifier)]).status == "ok"
    assert verify(made, [str(FOREIGN_KEY.verifier)]).status == "invalid"


def test_a_key_that_came_after_the_last_checkpoint_vouches_for_nothing_yet(path: Path) -> None:
    made = write(path, material(STORY, keys=((KEY, 0), (NEXT_KEY, 200))), NEXT_KEY)
    assert verify(made, TRUST).status == "ok"
    report = verify(made, [str(NEXT_KEY.verifier)])
    assert report.status == "unpinned"
    assert "came after the last checkpoint" in _told(report, "cannot tell")


def test_a_key_that_was_replaced_signs_nothing_more(path: Path) -> None:
    keys = ((KEY, 0), (NEXT_KEY, 60))
    assert verify(write(path, material(STORY, keys=keys, checkpoints=[sealed(LINES, 200, NEXT_KEY)]), NEXT_KEY)).code
    report = _report_of(path, material(STORY, keys=keys, checkpoints=[sealed(LINES, 200, KEY)]), NEXT_KEY)
    assert report.status == "invalid"
    assert "signed by a key that had been replaced by then" in _told(report, "invalid")


@pytest.mark.parametrize("limits", [Limits(), Limits(activity="webshop")], ids=["full", "partial"])
def test_a_key_that_was_replaced_signs_nothing_more_though_the_new_one_is_left_out(limits: Limits, path: Path) -> None:
    """Whoever still has the old key cannot go on from a log that tells of the new one."""
    story = Story().begin().day()
    size = len(story.leaves)
    story.tell("key", new=NEXT_KEY.verifier.id.hex(), old=KEY.verifier.id.hex(), size=size)
    story.day()
    report = _report(path, story, limits=limits)
    assert report.status == "incomplete"
    assert f"the key {NEXT_KEY.verifier.id.hex()} came into use" in _told(report, "incomplete")
    made = material(story, limits=limits, keys=((KEY, 0), (NEXT_KEY, size)))
    assert _report_of(path, made, NEXT_KEY).status == "ok"


def _report_of(path: Path, made: Material, key: SigningKey) -> Report:
    return verify(write(path, made, key), TRUST)


def _keys(*keys: tuple[SigningKey, str | None]) -> list[tuple[str, str | None, int]]:
    return [(str(key.verifier), note, 0) for key, note in keys]


_OTHER_LOG = SigningKey("lillevik.example/lethe", NEXT_KEY.seed)
BROKEN_CHAINS = {
    "no endorsement": _keys((KEY, None), (NEXT_KEY, None)),
    "endorsed by somebody else": _keys((KEY, None), (NEXT_KEY, endorsement(FOREIGN_KEY, NEXT_KEY.verifier, 60))),
    "another key endorsed": _keys((KEY, None), (NEXT_KEY, endorsement(KEY, FOREIGN_KEY.verifier, 60))),
    "some other note": _keys((KEY, None), (NEXT_KEY, sign_note(f"{ORIGIN}\n{NEXT_KEY.verifier}\n60\n", KEY))),
    "a note of one line": _keys((KEY, None), (NEXT_KEY, sign_note("yes\n", KEY))),
    "no size": _keys((KEY, None), (NEXT_KEY, sign_note(f"{ORIGIN}/key\n{NEXT_KEY.verifier}\n060\n", KEY))),
    "a first key that somebody endorsed": _keys((NEXT_KEY, endorsement(KEY, NEXT_KEY.verifier, 60))),
    "the key of another log": _keys(
        (KEY, None),
        (_OTHER_LOG, sign_note(f"{ORIGIN}/key\n{_OTHER_LOG.verifier}\n60\n", KEY)),
        (NEXT_KEY, sign_note(f"{ORIGIN}/key\n{NEXT_KEY.verifier}\n60\n", _OTHER_LOG)),
    ),
    "back in time": _keys(
        (KEY, None),
        (FOREIGN_KEY, endorsement(KEY, FOREIGN_KEY.verifier, 60)),
        (NEXT_KEY, endorsement(FOREIGN_KEY, NEXT_KEY.verifier, 59)),
    ),
    "in a circle": _keys(
        (NEXT_KEY, None),
        (KEY, endorsement(NEXT_KEY, KEY.verifier, 60)),
        (NEXT_KEY, endorsement(KEY, NEXT_KEY.verifier, 60)),
    ),
}


@pytest.mark.parametrize("keys", BROKEN_CHAINS.values(), ids=BROKEN_CHAINS)
def test_a_broken_chain_of_keys_is_invalid(keys: list[tuple[str, str | None, int]], path: Path) -> None:
    made = replace(material(STORY), keys=keys, checkpoints=[sealed(LINES, 200, NEXT_KEY)])
    report = verify(write(path, made, NEXT_KEY))
    assert report.status == "invalid"
    assert _told(report, "invalid").startswith("keys.jsonl: ")


# ---------------------------------------------------------------- the other members, signed or not


def _note(change: Callable[[str], str]) -> Callable[[bytes], bytes]:
    def of(line: bytes) -> bytes:
        return b'{"note":%b}\n' % json.dumps(change(json.loads(line)["note"]), ensure_ascii=False).encode()

    return of


def _by_nobody(note: str) -> str:
    return sign_note(note.split("\n\n", maxsplit=1)[0] + "\n", FOREIGN_KEY)


def _of_another_origin(_: str) -> str:
    return sign_note(Checkpoint("lillevik.example/lethe", 200, sha256(b"root").digest()).text(), KEY)


def _spare_bits(note: str) -> str:
    """Another text of the same bytes, to a decoder that is not strict."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    last = note.rindex("=") - 1
    spared = note[:last] + alphabet[alphabet.index(note[last]) ^ 1] + note[last + 1 :]
    assert b64decode(spared.split(" ")[-1]) == b64decode(note.rsplit(" ", maxsplit=1)[-1])
    return spared


def _token(of: bytes | None = None) -> bytes:
    note = material(STORY).checkpoints[-1].note
    return b64encode(stamp(note if of is None else of.decode()))


def _gap(first: int, count: int) -> Callable[[bytes], bytes]:
    return lambda _: b'{"count":%d,"first":%d,"hash":"%b"}\n' % (count, first, b"a" * 64)


def _in(old: bytes, new: bytes) -> Callable[[bytes], bytes]:
    return lambda text: text.replace(old, new)


SIGNED_ANYWAY: dict[str, tuple[str, Callable[[bytes], bytes], str]] = {
    "no checkpoint": ("checkpoints.jsonl", lambda _: b"", "checkpoints.jsonl: its last checkpoint is not the one"),
    "a checkpoint that nobody signed": ("checkpoints.jsonl", _note(_by_nobody), "is not signed by a key of the bundle"),
    "a checkpoint of another log": ("checkpoints.jsonl", _note(_of_another_origin), "a checkpoint of another log"),
    "a checkpoint with another size": (
        "checkpoints.jsonl",
        _in(b"\\n200\\n", b"\\n201\\n"),
        "the text is not what was signed",
    ),
    "a checkpoint with spare bits": ("checkpoints.jsonl", _note(_spare_bits), "is not base64"),
    "a checkpoint without signature": (
        "checkpoints.jsonl",
        _note(lambda note: note.split("—")[0]),
        "expected a note",
    ),
    "a checkpoint with a hyphen": ("checkpoints.jsonl", _in("—".encode(), b"-"), "expected a signature line"),
    "a line with a blank in it": ("checkpoints.jsonl", _in(b'":"', b'": "'), "is not one object in canonical JSON"),
    "a line that does not end": ("checkpoints.jsonl", lambda line: line[:-1], "its last line does not end"),
    "a proof that nobody asked for": (
        "proofs.jsonl",
        lambda _: b'{"from":1,"proof":[],"to":200}\n',
        "proofs.jsonl: found 1 proofs for 1 checkpoints",
    ),
    "no key": ("keys.jsonl", lambda _: b"", "keys.jsonl: holds no key"),
    "half a key": ("keys.jsonl", _in(b'"}', b'=="}'), "is not base64"),
    "a key with another id": ("keys.jsonl", _in(b"+6bb5d787+", b"+6bb5d788+"), "is not the text of an Ed25519 key"),
    "a key that clears the screen": ("keys.jsonl", _in(b"fjordvik", b"fjord\xc2\x9bvik"), "is not the text of an Ed"),
    "an anchor of no checkpoint": ("anchors.jsonl", _in(b'"size":200', b'"size":199'), "no checkpoint of size 199"),
    "an anchor at no time": ("anchors.jsonl", _in(b"2025-01-10T", b"2025-02-30T"), "is not a moment in UTC"),
    "an anchor with a field more": ("anchors.jsonl", _in(b'{"anchor"', b'{"a":1,"anchor"'), "expected exactly the"),
    "a time-stamp over something else": ("anchors.jsonl", _in(_token(), _token(b"else")), "is not over the checkpoint"),
    "a time-stamp that is no base64": ("anchors.jsonl", _in(_token(), b"!"), "anchors.jsonl: “!” is not base64"),
    "a policy that was changed": ("policies.jsonl", _in(b"P1Y", b"P9Y"), "line 1: is not a policy with its digest"),
    "a policy that is a list": (
        "policies.jsonl",
        lambda _: b'{"digest":"%b","policy":[]}\n' % sha256(b"[]").hexdigest().encode(),
        "line 1: is not a policy with its digest",
    ),
    "a gap at the end": ("gaps.jsonl", _gap(200, 1), "the gap at 200 goes on to 201, and there are 200 leaves"),
    "a gap after the end": ("gaps.jsonl", _gap(300, 1), "leaves and gaps are 200 together"),
    "a gap over a leaf": ("gaps.jsonl", _gap(7, 1), "stands after the last of the 200 leaves"),
    "a gap of nothing": ("gaps.jsonl", _gap(0, 0), "the gap at 0 goes on to 0"),
    "a gap that is larger than JSON": ("gaps.jsonl", _gap(7, 2**60), "expected a number of 0 or more"),
    "a gap without a hash": ("gaps.jsonl", lambda _: b'{"count":1,"first":7,"hash":""}\n', "expected a SHA-256"),
    "no leaves": ("leaves.jsonl", lambda _: b"", "leaves and gaps are 0 together"),
    "an empty line": ("leaves.jsonl", lambda text: text.replace(b"\n", b"\n\n", 1), "line 2: is not canonical JSON"),
    "other kinds of line end": ("leaves.jsonl", _in(b"\n", b"\r\n"), "line 1: is not one object in canonical JSON"),
    "another version": ("manifest", _in(b"/bundle\n1\n", b"/bundle\n2\n"), "manifest: expected version 1"),
    "an export at no time": ("manifest", _in(b"2025-01-10T", b"2025-02-30T"), "is not a moment in UTC"),
    "limits that are none": ("manifest", _in(b"- - -", b"- -"), "expected from, to and activity"),
    "a limit that is no day": ("manifest", _in(b"- - -", b"today - -"), "expected from, to and activity"),
    "another size than its checkpoint": ("manifest", _in(b"\n200 ", b"\n199 "), "not the one that the manifest names"),
    "a size that is no number": ("manifest", _in(b"\n200 ", b"\n0200 "), "expected a number of 1 or more"),
    "a line more": ("manifest", lambda text: text + b"more\n", "in 14 lines"),
    "a line less": ("manifest", lambda text: text[: text.rindex(b"\n", 0, -1) + 1], "in 14 lines"),
    "another log": ("manifest", _in(b"fjordvik", b"lillevik"), "expected version 1 of a bundle of fjordvik"),
    "the digest of something else": (
        "manifest",
        _in(sha256(b"").hexdigest().encode(), b"a" * 64),
        "manifest: gaps.jsonl is not what was signed",
    ),
}


@pytest.mark.parametrize(("name", "change", "expected"), SIGNED_ANYWAY.values(), ids=SIGNED_ANYWAY)
def test_a_bundle_that_its_own_key_signed_must_still_hold(
    name: str, change: Callable[[bytes], bytes], expected: str, path: Path
) -> None:
    bundle = write(path, material(STORY))
    before = members(bundle.read_bytes())[name].split(b"\n\n")[0] + b"\n" * (name == "manifest")
    assert change(before) != before
    report = verify(forged(bundle, {name: change}, KEY))
    assert report.status == "invalid"
    assert expected in _told(report, "invalid")


LEAVES_THAT_ARE_NONE: dict[str, dict[str, Any]] = {
    "another version": {"v": 2},
    "another kind": {"kind": "confession"},
    "a kind that is a list": {"kind": ["batch"]},
    "no moment": {"at": None},
    "a moment in another zone": {"at": "2025-01-10T02:00:00.000+01:00"},
    "no outbox": {"outbox": None},
    "an outbox without numbers": {"outbox": {}},
    "a number that is a word": {"outbox": {"store": CRM, "epoch": 1, "seq": "1"}},
    "an epoch below one": {"outbox": {"store": "another", "epoch": 0, "seq": 1}},
    "a number below one": {"outbox": {"store": "another", "epoch": 1, "seq": 0}},
    "rows that are a word": {"rows": "many"},
    "fewer rows than none": {"rows": -1},
    "rows that are true": {"rows": True},
    "more rows than JSON can tell": {"rows": 2**53},
    "half a row": {"rows": 0.5},
    "reach that is a list": {"reach": [3]},
    "reach that is a word": {"reach": {"contacts": "three"}},
    "a plan that is a number": {"plan": 7},
    "a plan that fills the memory": {"plan": "7" * 101},
    "a store that fills the memory": {"outbox": {"store": "7" * 101, "epoch": 1, "seq": 1}},
    "a key that is none": {"kind": "key", "new": None},
    "intended documents that are no counts by folder": {"kind": "intent", "documents": 3},
    "fewer documents than none": {"kind": "intent", "documents": {"papers": -1}},
    "documents that are a word": {"kind": "intent", "documents": {"papers": "three"}},
    "fates that are no counts by folder": {"kind": "outcome", "outcome": [3]},
    "fates without what became of them": {"kind": "outcome", "outcome": {"papers": 3}},
    "fates of fewer documents than none": {"kind": "outcome", "outcome": {"papers": {"deleted": -1}}},
    "fates of true": {"kind": "outcome", "outcome": {"papers": {"deleted": True}}},
    "a fate that is none": {"kind": "outcome", "outcome": {"papers": {"burnt": 1}}},
    "a run that ended without a plan": {"kind": "run", "state": "ended", "plan": None, "counts": {"rows": 1000}},
}


@pytest.mark.parametrize("changes", LEAVES_THAT_ARE_NONE.values(), ids=LEAVES_THAT_ARE_NONE)
def test_what_is_no_leaf_is_invalid_although_it_is_signed(changes: dict[str, Any], path: Path) -> None:
    lines = list(LINES)
    lines[BATCH] = (
        json.dumps({**STORY.leaves[BATCH], **changes}, sort_keys=True, separators=(",", ":")).encode() + b"\n"
    )
    content = members(write(path, material(LINES)).read_bytes())
    report = verify(_resigned(path, content, lines), TRUST)
    assert report.status == "invalid", words(report)
    assert f"leaves.jsonl: line {BATCH + 1}: " in _told(report, "invalid")


NOT_CANONICAL: dict[str, Callable[[bytes], bytes]] = {
    "a blank": lambda line: line.replace(b":", b": ", 1),
    "another order": lambda line: b'{"v":1,' + line[1:].replace(b'"v":1,', b""),
    "a field twice": lambda line: line.replace(b'"suppressed":0,', b'"suppressed":0,"suppressed":0,'),
    "an escape that is not needed": lambda line: line.replace(b"unknown", b"\\u0075nknown"),
    "a number written otherwise": lambda line: line.replace(b'"suppressed":0,', b'"suppressed":0.0,'),
    "minus nought": lambda line: line.replace(b'"suppressed":0,', b'"suppressed":-0,'),
    "no number at all": lambda line: line.replace(b'"suppressed":0,', b'"suppressed":NaN,'),
    "infinity": lambda line: line.replace(b'"suppressed":0,', b'"suppressed":-Infinity,'),
    "more digits than anybody reads": lambda line: line.replace(
        b'"suppressed":0,', b'"suppressed":' + b"1" * 100_000 + b","
    ),
    "something after it": lambda line: line + b" ",
    "a byte order mark": lambda line: b"\xef\xbb\xbf" + line,
    "bytes that are no UTF-8": lambda line: line.replace(b"unknown", b"unkn\xffwn"),
    "half a surrogate pair": lambda line: line.replace(b"unknown", b"unkn\\ud800wn"),
    "half a surrogate pair in bytes": lambda line: line.replace(b"unknown", b"unkn\xed\xa0\x80wn"),
    "no object": lambda line: b"[" + line + b"]",
    "half an object": lambda line: line[:-1],
    "depth without end": lambda line: line.replace(
        b'"suppressed":0,', b'"suppressed":' + b"[" * 200_000 + b"]" * 200_000 + b","
    ),
}


@pytest.mark.parametrize("change", NOT_CANONICAL.values(), ids=NOT_CANONICAL)
def test_a_leaf_in_another_form_is_invalid_although_it_is_signed(change: Callable[[bytes], bytes], path: Path) -> None:
    lines = list(LINES)
    lines[BATCH] = change(lines[BATCH][:-1]) + b"\n"
    assert lines[BATCH] != LINES[BATCH]
    report = verify(_resigned(path, members(write(path, material(LINES)).read_bytes()), lines), TRUST)
    assert report.status == "invalid", words(report)
    assert f"leaves.jsonl: line {BATCH + 1}: " in _told(report, "invalid")


def _resigned(path: Path, content: dict[str, bytes], lines: Lines) -> Path:
    """The bundle with other leaves, and everything signed so that they have the right root."""
    note = sealed(lines, len(lines))
    text = json.dumps({"note": note.note}, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
    of = f"\n{note.size} {b64encode(note.root).decode()}\n".encode()
    old = b"\n" + content["manifest"].split(b"\n")[4] + b"\n"
    path.write_bytes(packed(content))
    changes = {
        "leaves.jsonl": lambda _: b"".join(lines),
        "checkpoints.jsonl": lambda _: text,
        "anchors.jsonl": lambda _: b"",
        "manifest": lambda manifest: manifest.replace(old, of),
    }
    return forged(path, changes, KEY)


def test_signing_anew_by_itself_changes_nothing(path: Path) -> None:
    """Else the tests above could not fail for the right reason."""
    content = members(write(path, material(LINES)).read_bytes())
    assert verify(_resigned(path, content, LINES), TRUST).status == "unanchored"


PARTIAL_SIGNED_ANYWAY: list[tuple[str, Callable[[bytes], bytes], str]] = [
    ("proofs.jsonl", lambda text: text.split(b"\n", 1)[1], "found 1 proofs for 3 checkpoints"),
    ("proofs.jsonl", _in(b'"from":50', b'"from":51'), "found a proof from 51 to 120, expected 50 to 120"),
    ("proofs.jsonl", _in(b'"to":200', b'"to":199'), "found a proof from 120 to 199, expected 120 to 200"),
    ("proofs.jsonl", _in(b'"proof":["', b'"proof":["' + b"a" * 64 + b'","'), "the first 50 leaves are not shown"),
    ("proofs.jsonl", _in(b'"proof":["', b'"proof":["A'), "expected a SHA-256"),
    ("gaps.jsonl", lambda text: text.split(b"\n", 1)[1], "leaves and gaps are 68 together, expected the 200"),
    ("gaps.jsonl", _in(b'"hash":"', b'"hash":"0'), "gaps.jsonl, line 1: expected a SHA-256"),
    ("gaps.jsonl", _in(b'"first":0', b'"first":1'), "is not a part of the tree"),
    ("gaps.jsonl", lambda text: text + text.splitlines(keepends=True)[-1], "a place was taken twice"),
    ("gaps.jsonl", lambda text: b"".join(reversed(text.splitlines(keepends=True))), "leaves and gaps are 40 together"),
    ("checkpoints.jsonl", lambda text: b"".join(sorted(text.splitlines(keepends=True))), "stands after size"),
]


@pytest.mark.parametrize(("name", "change", "expected"), PARTIAL_SIGNED_ANYWAY)
def test_a_partial_bundle_that_its_own_key_signed_must_still_hold(
    name: str, change: Callable[[bytes], bytes], expected: str, path: Path
) -> None:
    bundle = write(path, material(STORY, sizes=(50, 120), limits=PARTIAL))
    assert verify(bundle, TRUST).status == "ok"
    before = members(bundle.read_bytes())[name]
    assert change(before) != before
    report = verify(forged(bundle, {name: change}, KEY), TRUST)
    assert report.status == "invalid"
    assert expected in _told(report, "invalid")


@pytest.mark.parametrize("sizes", [(120, 50), (50, 201)])
def test_checkpoints_out_of_order_are_invalid_even_if_each_is_true(sizes: tuple[int, ...], path: Path) -> None:
    notes = [sealed([*LINES, LINES[0]], size) for size in (*sizes, 200)]
    assert "stands after size" in _told(_report(path, checkpoints=notes), "invalid")


def test_an_older_checkpoint_of_another_log_is_invalid_even_if_its_root_is_true(path: Path) -> None:
    older = sealed(LINES, 50)
    note = sign_note(Checkpoint("lillevik.example/lethe", 50, older.root).text(), KEY)
    report = _report(path, checkpoints=[older._replace(note=note), sealed(LINES, 200)])
    assert "a checkpoint of another log, lillevik.example/lethe" in _told(report, "invalid")


@pytest.mark.parametrize(
    "gaps",
    [
        (Gap(0, 1, b"left"), Gap(1, 2, b"right")),
        (Gap(0, 3, b"left"), Gap(3, 1, b"right")),
        (Gap(0, 4, b"left"), Gap(3, 1, b"right")),
        (Gap(0, 2, b"left"), Gap(3, 1, b"right")),
    ],
)
def test_gaps_that_are_no_parts_of_the_tree_cannot_move_leaves(gaps: tuple[Gap, ...]) -> None:
    """Hashes that would give the right root, at places that are not theirs."""
    size = gaps[-1].first + gaps[-1].count
    with pytest.raises(Invalid):
        Replay(size, (), iter(gaps)).finish()


def test_gaps_that_are_parts_of_the_tree_stand_for_their_leaves() -> None:
    left, right = (sha256(side).digest() for side in (b"left", b"right"))
    root = sha256(b"\x01" + left + right).digest()
    for count in (1, 2, 3, 4):
        assert Replay(4 + count, (), iter([Gap(0, 4, left), Gap(4, count, right)])).finish() == root


@pytest.mark.parametrize("name", ["fjord\x9bvik", "fjord\u202evik", "fjord\x07vik"])
def test_a_name_that_could_command_a_terminal_is_none(name: str) -> None:
    public = KEY.verifier.public
    text = str(VerifierKey("fjordvik", public))
    assert read_key(text).public == public
    identity = sha256(name.encode() + b"\n\x01" + public).digest()[:4].hex()
    with pytest.raises(Invalid, match="is not the name of a log"):
        read_key(f"{name}+{identity}+{text.split('+', 2)[2]}")


ORDER_8 = "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"
SMALL_ORDER = {
    "1": "01" + "00" * 31,
    "1, the other sign": "01" + "00" * 30 + "80",
    "1, written otherwise": "ee" + "ff" * 30 + "7f",
    "2": "ec" + "ff" * 30 + "7f",
    "4": "00" * 32,
    "4, the other sign": "00" * 31 + "80",
    "4, written otherwise": "ed" + "ff" * 30 + "7f",
    "8": ORDER_8,
    "8, the other sign": f"{ORDER_8[:-2]}85",
    "8, the other side": "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
}
"""Points of Ed25519 that no secret leads to."""


@pytest.mark.parametrize("public", list(map(bytes.fromhex, SMALL_ORDER.values())), ids=SMALL_ORDER)
def test_a_key_of_small_order_is_none(public: bytes) -> None:
    with pytest.raises(Invalid, match="a key under which anybody can sign"):
        read_key(str(VerifierKey(ORIGIN, public)))


def test_such_a_key_would_have_signed_whatever_is_asked(path: Path) -> None:
    """Why it is refused: one signature for all manifests, so that any of their bits could be another."""
    key = VerifierKey(ORIGIN, bytes.fromhex(SMALL_ORDER["1"]))
    signature = bytes.fromhex("58" + "66" * 31 + "01" + "00" * 31)
    assert all(key.verify(text, signature) for text in (b"yes", b"no"))
    line = json.dumps({"endorsement": None, "key": str(key)}, separators=(",", ":")).encode() + b"\n"
    report = verify(forged(write(path, material(STORY)), {"keys.jsonl": lambda _: line}, KEY))
    assert _told(report, "invalid").startswith("keys.jsonl: ")


def test_true_is_no_number(path: Path) -> None:
    bundle = write(path, material(Story().begin().lines()[:1]))
    changed = forged(bundle, {"anchors.jsonl": _in(b'"size":1', b'"size":true')}, KEY)
    assert "its field size holds something else" in _told(verify(changed), "invalid")


def test_a_manifest_with_two_signatures_is_invalid(path: Path) -> None:
    """A signature of an unknown key could be anything: its bits would be outside."""
    content = members(write(path, material(STORY)).read_bytes())
    text = content["manifest"].decode()
    more = sign_note(text.split("\n\n")[0] + "\n", FOREIGN_KEY).split("\n\n")[1]
    path.write_bytes(packed({**content, "manifest": (text + more).encode()}))
    assert "more than one signature" in _told(verify(path, TRUST), "invalid")


# ---------------------------------------------------------------- every bit

SAMPLE = 2_000


def _statuses_of_flips(path: Path, bits: list[int]) -> dict[int, str]:
    """The bits whose flip leads to anything but invalid."""
    data = bytearray(path.read_bytes())
    found = {}
    with path.open("r+b", buffering=0) as file:
        for bit in bits:
            file.seek(bit >> 3)
            file.write(bytes([data[bit >> 3] ^ 1 << (bit & 7)]))
            status = verify(path, TRUST).status
            if status != "invalid":
                found[bit] = status
            file.seek(bit >> 3)
            file.write(data[bit >> 3 : (bit >> 3) + 1])
    return found


@pytest.mark.parametrize("limits", [Limits(), PARTIAL], ids=["full", "partial"])
def test_a_flipped_bit_is_found_wherever_it_is(limits: Limits, path: Path) -> None:
    """A sample of 2,000 bits of a bundle of 200 leaves, and all bits of the container's own bytes."""
    data = write(path, material(STORY, sizes=(50,), limits=limits)).read_bytes()
    bits = random.Random(200).sample(range(len(data) * 8), SAMPLE)  # noqa: S311 - a sample, not a secret
    inside = sum(map(len, members(data).values()))
    assert len(data) - inside < 2_000
    assert _statuses_of_flips(path, [*bits, *range(256), *range((len(data) - 600) * 8, len(data) * 8)]) == {}
    assert verify(path, TRUST).status == "ok"


@pytest.mark.parametrize("limits", [Limits(), PARTIAL], ids=["full", "partial"])
def test_a_flipped_bit_is_found_by_digest_or_signature_when_check_sums_are_put_right(
    limits: Limits, path: Path
) -> None:
    """CRC-32 alone finds every single bit; whoever flips one on purpose puts it right."""
    content = members(write(path, material(STORY, sizes=(50,), limits=limits)).read_bytes())
    source = random.Random(201)  # noqa: S311 - a sample, not a secret
    for name, member in content.items():
        for _ in range(60 if member else 0):
            flipped = bytearray(member)
            flipped[source.randrange(len(member))] ^= 1 << source.randrange(8)
            path.write_bytes(packed({**content, name: bytes(flipped)}))
            assert verify(path, TRUST).status == "invalid"


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_every_flipped_bit_of_two_hundred_leaves_is_found(path: Path) -> None:
    """All of them: about 1.2 million."""
    data = write(path, material(STORY, sizes=(50,))).read_bytes()
    assert _statuses_of_flips(path, list(range(len(data) * 8))) == {}


# ---------------------------------------------------------------- time-stamps


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return make_authority(tmp_path_factory.mktemp("authority"))


def _stamped(path: Path, authority: Authority, size: int = 200, note: str | None = None, **how: Any) -> Path:
    made = material(STORY, sizes=(50,))
    signed = next(sealed for sealed in made.checkpoints if sealed.size == size)
    (authority.folder / "note").write_text(note or signed.note)
    query = authority.folder / "note.tsq"
    options = ["-data", str(authority.folder / "note"), f"-{how.get('digest', 'sha256')}", "-cert", "-out", query]
    subprocess.run(["openssl", "ts", "-query", *options], check=True, capture_output=True)  # noqa: S607
    token = authority.stamp(query.read_bytes()) + how.get("more", b"")
    anchors = [replace_token(anchor, token, size) for anchor in made.anchors if anchor.token]
    return write(path, replace(made, anchors=anchors))


def replace_token(anchor: Any, token: bytes, size: int) -> Any:
    return anchor._replace(token=token, size=size)


def test_a_time_stamp_of_a_known_authority_says_when(path: Path, authority: Authority) -> None:
    for size in (50, 200):
        report = verify(_stamped(path, authority, size), TRUST, authority.ca)
        assert report.status == "ok", words(report)
        assert f"The first {size} leaves existed at 20" in "\n".join(report.proven)
        assert not _told(report, "not checked")
        unproven = "When the leaves after the last time-stamp were written" in "\n".join(report.not_proven)
        assert unproven is (size == 50)


@pytest.mark.parametrize(
    ("digest", "status"),
    [("md5", "invalid"), ("sha1", "invalid"), ("sha256", "ok"), ("sha384", "ok"), ("sha512", "ok")],
)
def test_a_time_stamp_over_a_digest_that_can_be_met_twice_proves_nothing(
    digest: str, status: str, path: Path, tmp_path: Path
) -> None:
    """Also when a good digest of the note stands beside it, which no authority signed."""
    authority = make_authority(tmp_path / "any", digests="md5, sha1, sha256, sha384, sha512")
    beside = b"\x04\x20" + sha256(sealed(LINES, 200).note.encode()).digest()
    report = verify(_stamped(path, authority, digest=digest, more=beside), TRUST, authority.ca)
    assert report.status == status, words(report)
    assert ("it is over a digest" in _told(report, "invalid")) is (status == "invalid")


@pytest.mark.parametrize("moment", ["Jan  1 23:59:60 2017", "Foo  1 00:00:00 2025", "Feb 30 00:00:00 2025"])
def test_a_time_stamp_at_a_moment_that_is_none_is_told_as_such(
    moment: str, path: Path, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle, told = _stamped(path, authority), f"\nTST info:\nHash Algorithm: sha256\nTime stamp: {moment} GMT\n"
    monkeypatch.setattr(verify_bundle, "_run", lambda command: subprocess.CompletedProcess(command, 0, told, ""))
    report = verify(bundle, TRUST, authority.ca)
    assert "over the checkpoint of size 200: openssl tells a moment that" in _told(report, "invalid")


def test_a_time_stamp_of_an_unknown_authority_is_invalid(path: Path, authority: Authority, tmp_path: Path) -> None:
    other = make_authority(tmp_path / "other")
    report = verify(_stamped(path, authority), TRUST, other.ca)
    assert report.status == "invalid"
    assert "openssl refuses it" in _told(report, "invalid")


def test_a_certificate_that_has_run_out_since_still_vouches_for_its_time(
    path: Path, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Held to the moment of the token, not to that of the audit: else every time-stamp would end as invalid."""
    commands = []
    run = verify_bundle._run

    def noted(command: list[str]) -> subprocess.CompletedProcess[str]:
        commands.append(command)
        return run(command)

    monkeypatch.setattr(verify_bundle, "_run", noted)
    assert verify(_stamped(path, authority), TRUST, authority.ca).status == "ok"
    moment = int(commands[-1][commands[-1].index("-attime") + 1])
    assert abs(moment - time.time()) < 300
    late = [*commands[-1]]
    late[late.index("-attime") + 1] = str(moment + 400 * 24 * 3600)
    with pytest.raises(AssertionError, match="late"):
        _require_refused_early(late, authority)


def _require_refused_early(command: list[str], authority: Authority) -> None:
    """The same command a year later is refused, so that the moment it is held to is what decides."""
    told = {"-in": authority.folder / "answer.tsr", "-data": authority.folder / "note"}
    for option, file in told.items():
        command[command.index(option) + 1] = str(file)
    assert subprocess.run(command, check=False, capture_output=True).returncode == 0, "late"


def test_a_time_stamp_cannot_tell_a_time_that_nobody_signed(path: Path, authority: Authority) -> None:
    """A status text of the answer is outside the signature, and openssl prints it first."""
    _stamped(path, authority)
    token = (authority.folder / "answer.tsr").read_bytes()
    lie = b"\nTST info:\nTime stamp: Jan  1 00:00:00 2020 GMT\n"
    text = b"\x30" + bytes([len(lie) + 2]) + b"\x0c" + bytes([len(lie)]) + lie
    status = b"\x30" + bytes([3 + len(text)]) + b"\x02\x01\x00" + text
    assert token[:2] == b"\x30\x82"
    assert token[4:9] == b"\x30\x03\x02\x01\x00"
    body = status + token[9:]
    lying = b"\x30\x82" + len(body).to_bytes(2, "big") + body
    anchors = [anchor._replace(token=lying) for anchor in material(STORY).anchors if anchor.token]
    report = verify(write(path, material(STORY, anchors=anchors)), TRUST, authority.ca)
    assert report.status == "ok", words(report)
    assert "existed at 2020" not in words(report)


def test_without_openssl_or_certificates_time_stamps_are_not_checked(
    path: Path, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = verify(_stamped(path, authority), TRUST)
    assert "--tsa-ca was not given" in _told(report, "not checked")
    assert "--tsa-ca FILE" in "\n".join(report.next)
    monkeypatch.setenv("PATH", "")
    report = verify(path, TRUST, authority.ca)
    assert report.status == "ok"
    assert "openssl was not found" in _told(report, "not checked")


def test_settings_of_the_machine_have_no_say_in_it(
    path: Path, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = _stamped(path, authority)
    monkeypatch.setenv("OPENSSL_CONF", "/nowhere/openssl.cnf")
    assert verify(bundle, TRUST, authority.ca).status == "ok"


def test_a_token_that_openssl_cannot_read_is_invalid(path: Path, authority: Authority) -> None:
    report = verify(write(path, material(STORY)), TRUST, authority.ca)
    assert "openssl cannot read it" in _told(report, "invalid")


# ---------------------------------------------------------------- hostile files


def _zip(name: str, content: bytes, method: int = zipfile.ZIP_STORED) -> bytes:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", method) as file:
        file.writestr(name, content)
    return archive.getvalue()


HOSTILE = {
    "nothing": b"",
    "one byte": b"P",
    "an empty zip": b"PK\x05\x06" + b"\0" * 18,
    "a text": b"Dear authority, " * 1000,
    "another zip": _zip("report.docx", b"Dear authority"),
    "a zip bomb": _zip("leaves.jsonl", b"0" * 50_000_000, zipfile.ZIP_DEFLATED),
    "empty members": packed(dict.fromkeys(verify_bundle.MEMBERS, b"")),
}


@pytest.mark.parametrize("data", HOSTILE.values(), ids=HOSTILE)
def test_what_is_no_bundle_is_invalid_in_a_sentence(data: bytes, path: Path) -> None:
    path.write_bytes(data)
    _require_a_sentence(verify(path, TRUST))


def _require_a_sentence(report: Report) -> None:
    assert report.status == "invalid"
    assert len(report.findings) == 1
    assert "cannot be read as a bundle" not in report.findings[0].words


CRC = slice(14, 18)
"""Where a check sum stands in a member's header; sizes follow, twice."""

REPACKED: dict[str, Callable[[bytes], bytes]] = {
    "something before it": lambda data: b"#!/bin/sh\n" + data,
    "something after it": lambda data: data + b"\n",
    "a comment": lambda data: data[:-2] + b"\x01\0!",
    "the directory twice": lambda data: data + data[data.index(b"PK\x01\x02") :],
    "no directory": lambda data: data[: data.index(b"PK\x01\x02")],
    "an absurd size": lambda data: data[:18] + b"\xff" * 8 + data[26:],
    "a size beyond the next member": lambda data: data[:18] + b"\0\0\x02\0" * 2 + data[26:],
    "two sizes": lambda data: data[:18] + b"\x10\0\0\0" + data[22:],
    "deflated": lambda data: data[:8] + b"\x08" + data[9:],
    "encrypted": lambda data: data[:6] + b"\x01" + data[7:],
    "a wrong check sum, in both places": lambda data: data.replace(data[CRC], b"\0\0\0\0"),
}


@pytest.mark.parametrize("repack", REPACKED.values(), ids=REPACKED)
def test_the_content_alone_makes_no_bundle(repack: Callable[[bytes], bytes], path: Path) -> None:
    data = write(path, material(STORY)).read_bytes()
    path.write_bytes(repack(data))
    _require_a_sentence(verify(path, TRUST))


@pytest.mark.parametrize("limits", [Limits(), PARTIAL], ids=["full", "partial"])
def test_a_bundle_that_was_cut_short_is_invalid(limits: Limits, path: Path) -> None:
    data = write(path, material(STORY, sizes=(50,), limits=limits)).read_bytes()
    for length in range(0, len(data), 97):
        path.write_bytes(data[:length])
        report = verify(path, TRUST)
        assert (report.status, len(report.findings)) == ("invalid", 1)
    assert "it was cut short" in report.findings[0].words


def test_a_line_that_is_too_long_is_never_held_in_memory(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(path, material(STORY))
    monkeypatch.setattr(verify_bundle, "_BLOCK", 4096)
    assert verify(path, TRUST).status == "ok"
    monkeypatch.setattr(verify_bundle, "_LONGEST_LINE", 100)
    assert "a line of more than 100 bytes" in _told(verify(path, TRUST), "invalid")


@pytest.mark.parametrize("name", ["keys.jsonl", "checkpoints.jsonl"])
def test_a_member_that_is_kept_line_by_line_has_its_limit(
    name: str, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(path, material(STORY, sizes=range(1, 20)))
    monkeypatch.setattr(verify_bundle, "_MOST_KEPT", len(members(path.read_bytes())[name]))
    assert verify(path, TRUST).status == ("ok" if name == "checkpoints.jsonl" else "invalid")
    monkeypatch.setattr(verify_bundle, "_MOST_KEPT", len(members(path.read_bytes())[name]) - 1)
    assert f"{name}: has " in _told(verify(path, TRUST), "invalid")


def test_of_one_size_there_are_only_so_many_checkpoints(path: Path) -> None:
    """Each time-stamp is held against all of them."""
    notes = [sealed(LINES, 200)] * 101
    assert _report(path, checkpoints=notes[:100]).status == "ok"
    assert "more than 100 of size 200" in _told(_report(path, checkpoints=notes), "invalid")


def test_a_policy_stands_there_once(path: Path) -> None:
    bundle = write(path, material(STORY))
    report = verify(forged(bundle, {"policies.jsonl": lambda line: line * 2}, KEY), TRUST)
    assert "line 2: stands there twice" in _told(report, "invalid")


def test_neither_proofs_nor_tokens_are_held_in_memory_together(path: Path) -> None:
    first = material(STORY).anchors[1]
    large = [first._replace(token=first.token + bytes(1_000_000))] * 48
    bundle = write(path, material(STORY, anchors=large))
    many = forged(
        write(path.with_name("many.zip"), material(STORY)), {"proofs.jsonl": lambda _: b"\n" * 8_000_000}, KEY
    )
    for hungry, status in ((bundle, "ok"), (many, "invalid")):
        tracemalloc.start()
        assert verify(hungry, TRUST).status == status
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 40_000_000


def test_many_keys_take_no_time_that_grows_with_their_square(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verify_bundle.Key, "signed", lambda *_: True)  # what is left is looking keys up
    keys = [(signing_key(number), 0) for number in range(3000)]
    made = material(STORY, keys=keys, sizes=range(1, 200), checkpoints=[sealed(LINES, 200, keys[-1][0])], anchors=())
    write(path, made, keys[-1][0])
    begun = time.process_time()
    assert verify(path, TRUST).status == "unanchored"
    assert time.process_time() - begun < 1.5


def test_four_gibibytes_are_not_even_looked_at(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(2**32)  # takes no room
    assert "and a bundle fewer than 4294967296" in _told(verify(path), "invalid")


def test_random_bytes_are_invalid_wherever_they_are(path: Path) -> None:
    """Whole files, and stretches of a good one with every digest put right and all of it signed."""
    source = random.Random(97)  # noqa: S311 - noise, not a secret
    bundle = write(path, material(STORY, sizes=(50,), limits=PARTIAL))
    names = [name for name in verify_bundle.MEMBERS if name.endswith(".jsonl")]
    for _ in range(150):
        (path.parent / "noise").write_bytes(source.randbytes(source.randrange(4000)))
        assert verify(path.parent / "noise").status == "invalid"
        name, noise = source.choice(names), source.randbytes(source.randrange(1, 40))

        def noisy(data: bytes, noise: bytes = noise) -> bytes:
            at = source.randrange(len(data) + 1)
            return data[:at] + noise + data[at + len(noise) :]

        assert verify(forged(bundle, {name: noisy}, KEY), TRUST).status == "invalid"


def test_whatever_json_its_own_key_signs_there_is_a_report(path: Path) -> None:
    """Each value of each line in turn becomes another kind of value."""
    bundle = write(path, material(STORY, sizes=(50,), limits=PARTIAL))
    content = members(bundle.read_bytes())
    others: list[Any] = [None, True, -1, 2**60, "", "x\n", [], {}, [[]], {"": ""}]
    for name in ("gaps.jsonl", "checkpoints.jsonl", "proofs.jsonl", "keys.jsonl", "anchors.jsonl", "policies.jsonl"):
        first, rest = content[name].split(b"\n", 1)
        for field in json.loads(first):
            for other in others:
                line = json.dumps({**json.loads(first), field: other}, sort_keys=True, separators=(",", ":")).encode()
                if line == first:
                    continue
                report = verify(forged(bundle, {name: lambda _, line=line, rest=rest: line + b"\n" + rest}, KEY))
                harmless = (name, field) == ("anchors.jsonl", "token") or field in ("anchor", "kind")
                assert report.status == "invalid" or harmless, (name, field, other, words(report))
                assert "cannot be read as a bundle" not in _told(report, "invalid")


def test_names_in_a_bundle_cannot_write_lines_of_their_own(path: Path) -> None:
    story = Story().begin()
    story.tell("manifest", day="2025-01-01", expected=[], missing=["x\nok: all is well\x1b[2J\u202e"])
    told = words(_report(path, story))
    assert "x\\nok: all is well\\x1b[2J\\u202e" in told
    assert "\x1b" not in told


@pytest.mark.parametrize("name", ["a\x1b[2J.zip", "a\nok: all is well.zip", "a\u202e.zip", "a\udc9b.zip"])
def test_the_name_of_a_file_cannot_command_a_terminal(name: str, path: Path) -> None:
    told = words(verify(write(path, material(STORY)).rename(path.with_name(name))))
    assert "python verify_bundle.py BUNDLE --trust" in told
    assert name not in told


# ---------------------------------------------------------------- the tree, against public vectors


def _vectors() -> list[Any]:
    return [pytest.param(json.loads(file.read_bytes()), id=file.stem) for file in sorted(VECTORS.rglob("*.json"))]


@pytest.mark.parametrize("vector", _vectors())
def test_consistency_is_that_of_the_public_vectors(vector: dict[str, Any]) -> None:
    proof = [b64decode(part) for part in vector["proof"] or ()]
    first_root, second_root = (b64decode(vector[name] or "") for name in ("root1", "root2"))
    shown = consistent(vector["size1"], vector["size2"], proof, first_root, second_root)
    useless = vector["size1"] == 0  # nothing follows from an empty tree, and no bundle has one
    assert shown is (not vector["wantErr"] and not useless)


def test_the_public_vectors_are_there() -> None:
    assert len(_vectors()) == 98


# ---------------------------------------------------------------- the command line


@pytest.fixture
def alone(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs the verifier as an auditor would: one file in an empty directory, nothing of the project in sight."""
    directory = tmp_path / "auditor"
    directory.mkdir()
    shutil.copy(VERIFIER, directory)

    def run(*arguments: object) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-I", "verify_bundle.py", *map(str, arguments)]
        return subprocess.run(command, check=False, capture_output=True, text=True, cwd=directory, timeout=60)

    return run


def test_it_imports_nothing_of_the_project() -> None:
    tree = ast.parse(VERIFIER.read_text())
    imported = {
        (node.module or "") if isinstance(node, ast.ImportFrom) else alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }
    roots = {name.split(".")[0] for name in imported}
    assert roots - set(sys.stdlib_module_names) == {"cryptography"}


def test_the_exit_code_tells_the_status(alone: Callable[..., subprocess.CompletedProcess[str]], path: Path) -> None:
    bundle = write(path, material(STORY, sizes=(50,)))
    held, fork, later = (path.with_name(name) for name in ("held.txt", "fork.txt", "later.txt"))
    held.write_text(sealed(LINES, 50).note)
    fork.write_text(sealed(_with_leaf(3, code="x"), 50).note)
    later.write_text(sealed([*LINES, LINES[0]], 201).note)
    for arguments, status in [
        ((), "unpinned"),
        (("--trust", TRUST[0]), "ok"),
        (("--trust", held), "ok"),
        (("--trust", held, "--trust", TRUST[0]), "ok"),
        (("--trust", fork), "forked"),
        (("--trust", later), "stale"),
        (("--trust", TRUST[0], "--at", "2026-01-01"), "stale"),
        (("--trust", FOREIGN_KEY.verifier), "invalid"),
    ]:
        done = alone(bundle, *arguments)
        assert (done.returncode, done.stderr) == (CODES[status], "")
        assert done.stdout.startswith(f"{status}: ")
    bundle.write_bytes(bundle.read_bytes()[:-1])
    assert alone(bundle).returncode == 1


def test_the_command_it_proposes_works(alone: Callable[..., subprocess.CompletedProcess[str]], path: Path) -> None:
    """What is to be compared and run stands there to be copied, and so does the checkpoint to keep."""
    bundle = write(path.with_name("a bundle.zip"), material(STORY))
    told = alone(bundle).stdout
    command = next(line for line in told.split("\n") if "--trust" in line).split("python verify_bundle.py ")[1]
    assert alone(*shlex.split(command)).returncode == 0
    kept = path.with_name("kept.txt")
    kept.write_text(told[told.index(f"\n{ORIGIN}\n200\n") :])
    assert alone(bundle, "--trust", kept).returncode == 0


def test_a_report_for_programs_is_json(alone: Callable[..., subprocess.CompletedProcess[str]], path: Path) -> None:
    told = json.loads(alone(write(path, material(STORY)), "--json").stdout)
    assert (told["status"], told["code"]) == ("unpinned", 3)
    assert told["facts"]["rules"] == {"ex-customers": {"batches": 118, "rows": 826, "reach": 354}}
    assert told["facts"]["kinds"]["batch"] == 118
    assert (told["facts"]["first"], told["facts"]["last"]) == (STORY.leaves[0]["at"], STORY.leaves[-1]["at"])
    assert told["findings"][0]["kind"] == "unpinned"


USAGE = {
    "no bundle": (),
    "a bundle that is not there": ("nowhere.zip",),
    "a directory": (".",),
    "a key that is none": ("BUNDLE", "--trust", "fjordvik.example/lethe+6bb5d787+AAAA"),
    "a file that is not there": ("BUNDLE", "--trust", "nowhere.txt"),
    "a file that holds something else": ("BUNDLE", "--trust", "BUNDLE"),
    "certificates that are not there": ("BUNDLE", "--tsa-ca", "nowhere.pem"),
    "certificates that are none": ("BUNDLE", "--tsa-ca", "BUNDLE"),
    "a day that is none": ("BUNDLE", "--at", "yesterday"),
    "an option that is none": ("BUNDLE", "--believe", "me"),
}


@pytest.mark.parametrize("arguments", USAGE.values(), ids=USAGE)
def test_a_wrong_command_line_is_told_apart_from_a_wrong_bundle(
    arguments: tuple[str, ...], path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(path, material(STORY))
    try:
        code = main([str(path) if argument == "BUNDLE" else argument for argument in arguments])
    except SystemExit as stopped:
        code = int(str(stopped.code))
    assert code == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert "Traceback" not in told.err
    assert "verify_bundle.py: " in told.err


def test_progress_is_told_from_the_first_leaf_to_the_last(path: Path) -> None:
    story = Story().begin().days(30, batches=300)
    told: list[tuple[int, int]] = []
    verify(write(path, material(story)), progress=lambda done, total: told.append((done, total)))
    total = sum(map(len, story.lines()))
    assert len(told) == 3
    assert [done for done, _ in told] == sorted({done for done, _ in told})
    assert told[-1] == (total, total)


def test_an_error_of_its_own_is_not_a_clean_bill(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise InvalidSignature

    monkeypatch.setattr(verify_bundle, "consistent", broken)
    report = _report(path, sizes=(50,), limits=PARTIAL)
    assert report.status == "invalid"
    assert "InvalidSignature" in _told(report, "invalid")
