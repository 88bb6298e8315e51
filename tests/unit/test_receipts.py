"""A receipt shows whose record went, to who knows them; nothing else passes for it, and nothing else tells."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from faults import ACTIVITY
from lethe.deadlines import Period
from lethe.errors import EvidenceError, PolicyError
from lethe.evidence.receipts import (
    ReceiptError,
    SubjectReceipt,
    check_receipt,
    commit_to,
    path_to,
    period_of,
    subject_hash,
)
from lethe.model import Evidence, Organisation, Rule, YearEnd
from lethe.policy import load
from support import write_policy

PLAN, OTHER_PLAN = "0123456789abcdef" * 4, "fedcba9876543210" * 4
STORE = "0d9a3a51-6f0a-4a55-8f0e-6f1c2f1f6a11"
PEOPLE = tuple(f"kunde-{number}" for number in range(1, 12))
SIZES = range(1, len(PEOPLE) + 1)

Batch = tuple[dict[str, Any], dict[str, SubjectReceipt]]


def batch(people: tuple[str, ...] = PEOPLE, plan: str = PLAN, seq: int = 7) -> Batch:
    """The leaf of a batch that took these people's records, and a receipt for each of them."""
    committed, subjects = commit_to(plan, people)
    place = {"store": STORE, "epoch": 1, "seq": seq}
    leaf = {
        "kind": "batch",
        "plan": plan,
        "outbox": place,
        "receipts": {"count": subjects.count, "root": subjects.root},
    }
    hashes = [each.hash for each in committed]
    receipts = {}
    for index, each in enumerate(committed):
        path, root = path_to(index, hashes)
        receipts[each.subject] = SubjectReceipt(
            plan, **place, nonce=each.nonce.hex(), index=index, size=len(hashes),
            path=tuple(part.hex() for part in path), root=root.hex(),
        )  # fmt: skip
    return leaf, receipts


@pytest.mark.parametrize("size", SIZES)
def test_each_of_a_batch_gets_a_receipt_that_holds_for_them_alone(size: int) -> None:
    leaf, receipts = batch(PEOPLE[:size])
    assert receipts.keys() == set(PEOPLE[:size])
    for person, receipt in receipts.items():
        check_receipt(receipt, person, leaf)
        for other in set(PEOPLE) - {person}:
            with pytest.raises(ReceiptError, match="another subject's"):
                check_receipt(receipt, other, leaf)


def test_the_hash_is_of_zero_nonce_plan_and_subject() -> None:
    nonce = bytes(range(32))
    expected = hashlib.sha256(b"\0" + nonce + bytes.fromhex(PLAN) + "Kåre Åsmundsdatter".encode()).digest()
    assert subject_hash(nonce, PLAN, "Kåre Åsmundsdatter") == expected


def test_a_batch_of_one_has_its_hash_for_a_root() -> None:
    (only,), subjects = commit_to(PLAN, ["kunde-1"])
    assert (subjects.count, subjects.root) == (1, subject_hash(only.nonce, PLAN, "kunde-1").hex())


def test_a_batch_of_two_is_hashed_in_the_order_of_the_hashes() -> None:
    (first, second), subjects = commit_to(PLAN, ["kunde-1", "kunde-2"])
    assert first.hash < second.hash
    assert subjects.root == hashlib.sha256(b"\1" + first.hash + second.hash).hexdigest()


def test_a_position_says_nothing_of_the_order_of_the_rows() -> None:
    """The same people twice stand in two orders, each that of the hashes."""
    orders = []
    for _ in range(2):
        committed, _ = commit_to(PLAN, PEOPLE)
        assert [each.hash for each in committed] == sorted(each.hash for each in committed)
        orders.append([each.subject for each in committed])
    assert orders[0] != orders[1]  # 11! orders: by chance once in 40 million


def test_no_two_nonces_are_the_same_and_each_is_of_256_bits() -> None:
    committed = [each for _ in range(3) for each in commit_to(PLAN, PEOPLE)[0]]
    assert {len(each.nonce) for each in committed} == {32}
    assert len({each.nonce for each in committed}) == len({each.hash for each in committed}) == len(committed)


def test_a_leaf_tells_nobody_and_a_receipt_names_nobody() -> None:
    leaf, receipts = batch()
    told = json.dumps(leaf) + "".join(each.text() + repr(each) for each in receipts.values())
    assert not [person for person in PEOPLE if person in told]
    assert not [each.nonce for each in receipts.values() if each.nonce in json.dumps(leaf) + repr(each)]


def flipped(digits: str, place: int) -> str:
    """The hexadecimal digits with the lowest bit of one of them turned."""
    return digits[:place] + format(int(digits[place], 16) ^ 1, "x") + digits[place + 1 :]


def tampered(receipt: SubjectReceipt) -> list[SubjectReceipt]:
    """The receipt with anything changed that it is checked by."""
    wrong = [replace(receipt, nonce=flipped(receipt.nonce, place)) for place in range(64)]
    wrong += [replace(receipt, plan=flipped(receipt.plan, place)) for place in range(64)]
    wrong += [replace(receipt, root=flipped(receipt.root, place)) for place in range(64)]
    wrong += [replace(receipt, index=index) for index in range(receipt.size + 5) if index != receipt.index]
    wrong += [replace(receipt, size=size) for size in range(receipt.size + 5) if size != receipt.size]
    for number, part in enumerate(receipt.path):
        for place in (0, 31, 63):
            changed = (*receipt.path[:number], flipped(part, place), *receipt.path[number + 1 :])
            wrong.append(replace(receipt, path=changed))
        wrong.append(replace(receipt, path=receipt.path[:number] + receipt.path[number + 1 :]))
        wrong.append(replace(receipt, path=(*receipt.path, part)))
    for one, two in combinations(range(len(receipt.path)), 2):
        path = list(receipt.path)
        path[one], path[two] = path[two], path[one]
        wrong.append(replace(receipt, path=tuple(path)))
    wrong += [replace(receipt, seq=8), replace(receipt, epoch=2), replace(receipt, store=STORE.replace("0d", "1d"))]
    return wrong


@pytest.mark.parametrize("size", SIZES)
def test_whatever_is_changed_in_a_receipt_it_shows_nothing_any_more(size: int) -> None:
    leaf, receipts = batch(PEOPLE[:size])
    for person, receipt in receipts.items():
        for wrong in tampered(receipt):
            with pytest.raises(ReceiptError):
                check_receipt(wrong, person, leaf)


@pytest.mark.parametrize("size", SIZES)
def test_it_is_the_tree_that_refuses_and_not_only_the_leaf_beside_it(size: int) -> None:
    """A leaf that says of its plan what the receipt says changes nothing, as long as the root is that of the batch."""
    leaf, receipts = batch(PEOPLE[:size])
    bound = ("root", "size", "store", "epoch", "seq")
    for person, receipt in receipts.items():
        for wrong in tampered(receipt):
            if all(getattr(wrong, name) == getattr(receipt, name) for name in bound):
                with pytest.raises(ReceiptError, match="does not lead to the root"):
                    check_receipt(wrong, person, {**leaf, "plan": wrong.plan})


def test_a_receipt_of_one_batch_does_not_pass_for_another() -> None:
    """Of the same plan and the same people, at another number; or of another plan."""
    mine, receipts = batch()
    for leaf, reason in (
        (batch(seq=8)[0], "another place in the outbox"),
        (batch(plan=OTHER_PLAN)[0], "another plan"),
        (batch()[0], "another number of subjects and root"),
        ({**mine, "receipts": None}, "another number of subjects and root"),
        ({**mine, "kind": "intent"}, "expected that of a batch"),
        ({}, "expected that of a batch"),
    ):
        with pytest.raises(ReceiptError, match=reason):
            check_receipt(receipts["kunde-1"], "kunde-1", leaf)
    check_receipt(receipts["kunde-1"], "kunde-1", mine)


def test_what_is_said_against_a_receipt_tells_no_subject_and_no_nonce() -> None:
    leaf, receipts = batch()
    receipt = receipts["kunde-1"]
    for wrong in [receipt, *tampered(receipt)]:
        with pytest.raises(ReceiptError) as found:
            check_receipt(wrong, "kunde-2", leaf)
        assert not [told for told in ("kunde", receipt.nonce, wrong.nonce) if told in str(found.value)]
        assert found.value.__cause__ is None
        assert found.value.__context__ is None or found.value.__suppress_context__


def test_a_subject_that_is_no_text_is_refused() -> None:
    leaf, receipts = batch()
    with pytest.raises(ReceiptError, match="no text in Unicode"):
        check_receipt(receipts["kunde-1"], "kunde-\udc80", leaf)


def test_a_receipt_is_read_as_it_was_written() -> None:
    leaf, receipts = batch()
    for person, receipt in receipts.items():
        assert SubjectReceipt.parse(receipt.text()) == receipt
        check_receipt(SubjectReceipt.parse(json.dumps(json.loads(receipt.text()), indent=2)), person, leaf)


UNREADABLE = ["", "{", "[]", "null", "{}", '"text"', "[" * 100_000, '{"index": ' + "9" * 5000 + "}", "\ud800"]
DAMAGED = {
    "v": [2, 0, True, "1", None],
    "plan": ["", PLAN.upper(), PLAN[:-1], PLAN + "0", PLAN + "\n", 5, None],
    "store": ["", STORE.upper(), STORE.replace("-", ""), 5, None],
    "epoch": [-1, 1.0, True, "1", None],
    "seq": [-1, 1.5, False, None],
    "nonce": ["", "0" * 62, "0" * 66, "x" * 64, "\uff10" * 64, None],
    "index": [-1, True, "0", None],
    "size": [-1, True, "1", None],
    "path": [None, "0" * 64, ["0" * 62], [None], [["0" * 64]], {"0": "0"}],
    "root": ["", "0" * 63, None],
}


@pytest.mark.parametrize("text", UNREADABLE, ids=range(len(UNREADABLE)))
def test_what_is_no_receipt_is_not_read(text: str) -> None:
    with pytest.raises(ReceiptError):
        SubjectReceipt.parse(text)


@pytest.mark.parametrize("name", DAMAGED)
def test_a_damaged_field_is_named(name: str) -> None:
    good = json.loads(batch()[1]["kunde-1"].text())
    assert good.keys() == DAMAGED.keys()
    for value in DAMAGED[name]:
        with pytest.raises(ReceiptError, match=f"the receipt's {name} is damaged"):
            SubjectReceipt.parse(json.dumps({**good, name: value}))


def test_a_field_too_many_or_too_few_is_refused() -> None:
    good = json.loads(batch()[1]["kunde-1"].text())
    for wrong in ({**good, "subject": "kunde-1"}, *({n: v for n, v in good.items() if n != out} for out in good)):
        with pytest.raises(ReceiptError, match="other fields"):
            SubjectReceipt.parse(json.dumps(wrong))


def test_what_is_wrong_with_a_receipt_is_an_error_of_evidence() -> None:
    assert issubclass(ReceiptError, EvidenceError)


def test_receipts_are_given_for_as_long_as_the_policy_says() -> None:
    def said(evidence: Evidence | None) -> str:
        head = Organisation("F", "d", "o", ZoneInfo("Europe/Oslo"), YearEnd(), (), {}, {}, "p", {}, evidence)
        return str(period_of(head))

    assert said(None) == "P90D"
    assert said(Evidence("o", Period(days=3), Period(months=2), Period(days=35), {})) == "P2M"


def loaded(directory: Path, receipts: str) -> Rule:
    asked = ACTIVITY.replace("then: delete", f"then: delete\n    receipts: {receipts}" if receipts else "then: delete")
    return load(write_policy(directory, asked)).rules["ex-customers"]


def test_what_was_approved_without_receipts_was_not_approved_with_them(tmp_path: Path) -> None:
    without, asked = loaded(tmp_path / "without", ""), loaded(tmp_path / "asked", "subject")
    assert (without.receipts, asked.receipts) == (None, "subject")
    assert without.digest != asked.digest


@pytest.mark.parametrize("wrong", ["yes", "batch", "[subject]", "{subject: id}"])
def test_receipts_of_anything_but_the_subject_are_no_policy(tmp_path: Path, wrong: str) -> None:
    with pytest.raises(PolicyError, match=r"rules\.ex-customers\.receipts: found .*, expected 'subject'"):
        loaded(tmp_path / "policy", wrong)
