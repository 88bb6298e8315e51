from __future__ import annotations

import base64
import time
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lethe.deadlines import Period
from lethe.offboarding.addresses import Listed, addressed, mentioned
from lethe.offboarding.choose import FOR, PRIVATE, Choice, Selection, Verdict, Why, choose
from lethe.offboarding.header import LARGEST
from lethe.offboarding.platform import Envelope, Folder, Mailbox, Ref, Role
from lethe.offboarding.rules import HandOver, Private
from lethe.policy import load
from mail_cases import (
    CASE,
    CASES,
    CHOSEN_BY_A_PERSON,
    NEUTRAL,
    NONE,
    PERIOD_AND_DIRECTION,
    RECEIVED,
    SUBJECT,
    Case,
    word,
)

OSLO = ZoneInfo("Europe/Oslo")
LAST_DAY = date(2025, 6, 30)
RULES = HandOver(
    folders=("Overlevering", "Håndover"),
    case_numbers=("TD-#####",),
    customers=("kunde.example", "blåbær.example"),
    customers_in=None,
    within=Period.parse("P2Y"),
    direction="both",
)
SECRET = Private(
    folders=("privat", "private", "båten"),
    subjects=("privat", "private", "personlig", "lønn", "unntatt*", "ikke jobb"),
    correspondents=("mor@hjemme.example",),
    union=("tillitsvalgt@firma.example", "forbundet.example"),
    occupational_health=("bedriftshelsa.example",),
)
POLICY = load(Path(__file__).parents[2] / "include" / "policy").offboarding
assert POLICY is not None
POLICY = replace(POLICY, hand_over=RULES, private=SECRET)
MINE = Mailbox("ola@firma.example")
CHOSEN = (("Valgt",), Ref("7"))
SELECTION = Selection.of(
    POLICY, MINE, LAST_DAY, OSLO, customers=["kari@gmail.example"], chosen=[CHOSEN, (("Alt", "Her"), None)]
)


def judged(
    header: bytes,
    folder: tuple[str, ...] = ("INBOX",),
    *,
    role: Role = "",
    selection: Selection = SELECTION,
    received: datetime = RECEIVED,
    ref: str = "1",
    flags: frozenset[str] = frozenset(),
) -> Choice:
    return choose(selection, Folder(folder, role, 1), Envelope(Ref(ref), header, 1000, received, flags))


LEFT = PRIVATE | Why.SENSITIVE | Why.UNREADABLE | Why.THROWN_AWAY | Why.OUTSIDE_PERIOD | Why.OTHER_DIRECTION


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.what)
def test_a_message_is_chosen_or_left_with_every_reason(case: Case) -> None:
    choice = judged(case.header, case.folder, role=case.role)
    assert choice.reasons == case.reasons
    assert choice.verdict == (Verdict.LEAVE if case.reasons & (LEFT | NONE) else Verdict.HAND_OVER)


def test_there_are_enough_cases() -> None:
    assert len({case.what for case in CASES}) >= 120


def test_a_header_of_any_size_is_judged_at_once() -> None:
    parts = [b"From: ", b"<" * 400_000, b"\r\nTo: ", b"a@b.example, " * 20_000, b"\r\nSubject: "]
    hostile = [
        b"".join(parts),
        b"Subject: " + b"=?utf-8?Q?" * 30_000,
        b"\r\n" * 200_000 + b" x",
        b'From: "' + b"\\" * 250_000,
    ]
    hostile += [b"Subject: " + "p\u0336".encode() * 60_000, b"From: " + b"(" * 250_000, b"To: " + b"a@" * 120_000]
    hostile += [b"Subject: =?punycode?Q?" + b"b" * 250_000 + b"?=", b"To: a@xn--" + b"a" * 200_000 + b".example"]
    begun = time.perf_counter()
    for header in hostile:
        judged(header)
    assert time.perf_counter() - begun < 10


@pytest.mark.parametrize("what", PERIOD_AND_DIRECTION)
def test_period_and_direction_limit_what_was_found(what: str) -> None:
    header, received, role, direction, reasons = PERIOD_AND_DIRECTION[what]
    selection = replace(SELECTION, hand_over=replace(RULES, direction=direction))
    assert judged(header, role=role, received=received, selection=selection).reasons == reasons


@pytest.mark.parametrize("what", CHOSEN_BY_A_PERSON)
def test_what_a_person_chose_goes_unless_it_is_private(what: str) -> None:
    folder, ref, header, reasons, verdict = CHOSEN_BY_A_PERSON[what]
    choice = judged(header, folder, ref=ref)
    assert (choice.reasons, choice.verdict) == (reasons, verdict)


def test_what_a_person_chose_goes_from_the_trash_too() -> None:
    choice = judged(NEUTRAL, ("Valgt",), ref="7", role="trash")
    assert (choice.reasons, choice.verdict) == (Why.CHOSEN | Why.THROWN_AWAY, Verdict.HAND_OVER)


def test_a_keyword_of_the_platform_can_be_a_private_mark_and_a_draft_is_one_anywhere() -> None:
    assert judged(CASE, flags=frozenset({"$Privat"})).reasons == Why.CASE | SUBJECT
    assert judged(CASE, flags=frozenset({"\\Draft"})).reasons == Why.CASE | Why.OTHER_DIRECTION


def test_neither_period_nor_direction_limits_what_the_employee_put_into_a_hand_over_folder() -> None:
    choice = judged(NEUTRAL, ("Overlevering",), received=datetime(2001, 1, 1, tzinfo=UTC))
    assert (choice.reasons, choice.verdict) == (Why.FOLDER | Why.OUTSIDE_PERIOD, Verdict.HAND_OVER)


def test_what_is_sensitive_stays_once_it_was_read() -> None:
    choice = judged(CASE, ("Overlevering",))
    assert choice.with_sensitive(is_sensitive=False) == choice
    left = choice.with_sensitive(is_sensitive=True)
    assert (left.verdict, left.reasons) == (Verdict.LEAVE, choice.reasons | Why.SENSITIVE)


def test_a_policy_without_rules_hands_nothing_over() -> None:
    nothing = HandOver((), (), (), None, Period.parse("P999Y9999M"), "both")
    assert POLICY is not None
    bare = Selection.of(replace(POLICY, hand_over=nothing, private=Private((), (), (), (), ())), MINE, LAST_DAY, OSLO)
    assert {judged(case.header, case.folder, selection=bare).verdict for case in CASES} == {Verdict.LEAVE}


# ---------------------------------------------------------------- laws

ADDRESSES = [b"kari@kunde.example", b"mor@hjemme.example", b"a@forbundet.example", b"x@y.example", b"ola@firma.example"]
values = st.sampled_from(
    [*ADDRESSES, b"Sak TD-12345", b"Privat", word("Privat"), b"hei", b'"', b"(", b"<", b",", b":", b"=?"]
)
names = st.sampled_from([b"From", b"To", b"Cc", b"Subject", b"Sender", b"Date", b"Keywords", b"Sensitivity", b"X"])
lines = st.lists(st.tuples(names, st.lists(values, max_size=4).map(b" ".join)), max_size=6)
headers = lines.map(lambda each: b"".join(name + b": " + value + b"\r\n" for name, value in each))
paths = st.lists(st.sampled_from(["INBOX", "Overlevering", "Privat", "Valgt", "Annet"]), min_size=1, max_size=3).map(
    tuple
)
roles = st.sampled_from(["inbox", "sent", "drafts", "junk", "trash", "archive", "recoverable", ""])
when = st.datetimes(timezones=st.just(UTC))
PRIVATE_MARKS = [
    (b"Subject: Privat\r\n", ()), (b"Keywords: x, PRIVATE\r\n", ()), (b"Sensitivity: Personal\r\n", ()),
    (b"From: a@forbundet.example\r\n", ()), (b"Cc: b@c.example, Lege <lege@bedriftshelsa.example>\r\n", ()),
    (b"Resent-To: mor+x@hjemme.example\r\n", ()), (b"", ("Privat",)),
    (b"Subject: " + word("pri\u200bvat") + b"\r\n", ()),
]  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(headers, paths, roles, when, st.sampled_from(PRIVATE_MARKS), st.booleans())
def test_a_private_mail_is_never_handed_over_whatever_else_is_true(header, path, role, received, mark, first) -> None:
    line, within = mark
    marked = line + header if first else header + line
    choice = judged(marked, (*within, *path), role=role, received=received, ref="7")
    assert choice.reasons & PRIVATE
    assert choice.verdict is Verdict.LEAVE


@settings(max_examples=300, deadline=None)
@given(headers, headers, paths, roles, when)
def test_more_reasons_for_handing_over_never_make_a_private_mail_go(header, more, path, role, received) -> None:
    before = judged(header, path, role=role, received=received)
    after = judged(header + more, ("Overlevering", *path), role=role, received=received, ref="7")
    if before.reasons & PRIVATE:
        assert after.verdict is Verdict.LEAVE


@given(st.integers(0, 2 * max(Why) - 1).map(Why), st.integers(0, 15).map(Why))
def test_whatever_is_added_for_it_a_barrier_stands(reasons: Why, more: Why) -> None:
    barrier = PRIVATE | Why.SENSITIVE | Why.UNREADABLE
    assert reasons.verdict in set(Verdict)
    if reasons & barrier:
        assert (reasons | more).verdict is Verdict.LEAVE
    if reasons.verdict is Verdict.HAND_OVER:
        assert reasons & FOR
        assert (reasons | Why.SENSITIVE).verdict is Verdict.LEAVE


@settings(max_examples=400, deadline=None)
@given(
    st.binary(max_size=200)
    | st.lists(st.binary(max_size=20) | values | names.map(lambda n: b"\r\n" + n + b": "), max_size=12).map(b"".join)
)
def test_arbitrary_bytes_never_raise_and_something_always_speaks(header: bytes) -> None:
    choice = judged(header)
    assert choice.reasons & (FOR | NONE)
    assert bool(choice.reasons & FOR) != bool(choice.reasons & NONE)


@settings(max_examples=200, deadline=None)
@given(
    st.text(max_size=60), st.sampled_from(["utf-8", "utf-16", "latin-1", "x-nowhere", "hex", "punycode", "\0", "idna"])
)
def test_encoded_words_of_anything_never_raise(text: str, charset: str) -> None:
    octets = base64.b64encode(text.encode("utf-8", "replace"))
    judged(
        b"Subject: =?"
        + charset.encode()
        + b"?B?"
        + octets
        + b"?=\r\nFrom: =?"
        + charset.encode()
        + b"?Q?"
        + octets
        + b"?= <a@b.example>"
    )
    list(addressed(text))
    list(mentioned(text))
    Listed.of([text, f"{text}@kunde.example", f"a@{text}"])


def test_a_large_header_is_one_that_nobody_writes() -> None:
    assert judged(CASE + b"\r\nX: " + b"x" * (LARGEST - len(CASE) - 5)).verdict is Verdict.HAND_OVER
    assert judged(CASE + b"\r\nX: " + b"x" * (LARGEST - len(CASE) - 4)).verdict is Verdict.LEAVE
