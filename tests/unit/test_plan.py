from __future__ import annotations

import json
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from lethe.model import Bounds, Limits, Plan, Reason, Rule, Shard, Survey, Verdict, Way
from lethe.plan import from_json, make_plan, to_json
from lethe.policy import load

POLICY = load(Path(__file__).parents[2] / "include" / "policy")
RULE = replace(POLICY.rules["visitors-26-months"], limits=Limits(100, 0.5))
TODAY = date(2025, 3, 1)


def _survey(due: int = 10, kept: int = 90, **facts: Any) -> Survey:
    plain = Survey(
        counts={Reason(0): due, Reason.NOT_DUE: kept},
        oldest=date(2001, 1, 1),
        newest=date(2022, 12, 31),
        reach={},
        unseen=(),
        warnings=(),
        shards=(Shard(0, Way.BLOCKS, "public.visitors", "0"),),
        fingerprint="f" * 64,
        store_id="s",
        epoch=1,
    )
    return replace(plain, **facts)


def _plan(survey: Survey, approved: Plan | None = None, rule: Rule = RULE, today: date = TODAY) -> Plan:
    return make_plan(POLICY, rule, survey, today, approved)


APPROVED = _plan(_survey())


@pytest.mark.parametrize(
    ("survey", "limits", "needs"),
    [
        (_survey(), Limits(100, 0.5), ()),
        (_survey(due=100, kept=200), Limits(100, 0.5), ()),
        (_survey(due=101, kept=200), Limits(100, 0.5), ("limit 100 rows: found 101",)),
        (_survey(due=50, kept=50), Limits(100, 0.5), ()),
        (_survey(due=51, kept=49), Limits(100, 0.5), ("limit 50 % of the table: found 51 % (51 of 100)",)),
        (_survey(due=1, kept=999), Limits(0, 1.0), ("limit 0 rows: found 1",)),
        (
            _survey(due=1, kept=999),
            Limits(10, 0.0),
            ("limit 0 % of the table: found 0.1 % (1 of 1\N{NARROW NO-BREAK SPACE}000)",),
        ),
        (
            _survey(fingerprint="0" * 64),
            Limits(100, 0.5),
            ("the schema of the store changed since the last approval",),
        ),
        (
            _survey(epoch=2),
            Limits(100, 0.5),
            ("the store is another one, or was restored, since the last approval",),
        ),
        (
            _survey(store_id="t"),
            Limits(100, 0.5),
            ("the store is another one, or was restored, since the last approval",),
        ),
        (
            _survey(unseen=("public.t.c = tivst",)),
            Limits(100, 0.5),
            ("nothing in the store matches: public.t.c = tivst",),
        ),
        (_survey(due=0, fingerprint="0" * 64, unseen=("public.t.c = tivst",)), Limits(0, 0.0), ()),
    ],
)
def test_a_person_is_asked_when(survey: Survey, limits: Limits, needs: tuple[str, ...]) -> None:
    assert _plan(survey, APPROVED, replace(RULE, limits=limits)).needs == needs


def test_the_first_plan_of_a_rule_asks_a_person() -> None:
    assert _plan(_survey()).needs == ("first plan of this rule as it now reads",)
    assert _plan(_survey(due=0)).needs == ()


def test_a_misspelling_that_a_person_has_seen_is_not_asked_again() -> None:
    survey = _survey(unseen=("public.t.c = tivst",))
    assert _plan(survey, _plan(survey)).needs == ()


def test_within_its_limits_a_plan_is_bound_by_them() -> None:
    assert _plan(_survey(due=10, kept=90), APPROVED).bounds.rows == 50
    assert _plan(_survey(due=10, kept=990), APPROVED).bounds.rows == 100


def test_what_a_person_was_shown_is_what_binds_and_a_little_more() -> None:
    assert _plan(_survey(due=10, kept=90)).bounds.rows == 11
    assert _plan(_survey(due=10, kept=90, fingerprint="0" * 64), APPROVED).bounds.rows == 11


def test_past_its_limits_a_plan_is_bound_by_what_was_found_and_a_little_more() -> None:
    assert _plan(_survey(due=1000, kept=9000)).bounds.rows == 1100
    assert _plan(_survey(due=1, kept=9), rule=replace(RULE, limits=Limits(0, 1.0))).bounds.rows == 2


@given(st.integers(0, 10**9), st.integers(0, 10**9), st.integers(0, 10**9), st.floats(0, 1), st.integers(0, 10**9))
def test_what_was_found_always_fits_into_the_bounds(due: int, kept: int, rows: int, share: float, along: int) -> None:
    """And into no more than a tenth above it, or the limits."""
    rule = replace(RULE, limits=Limits(rows, share))
    bounds = _plan(_survey(due, kept, reach={"visits": along}), rule=rule).bounds
    assert due <= bounds.rows <= max(rows, 1.1 * due + 1)
    assert along <= bounds.reach <= 1.1 * along + 1


def test_nothing_found_along_binds_to_nothing_along() -> None:
    assert _plan(_survey(), APPROVED).bounds == Bounds(50, 0)


counts = st.dictionaries(st.integers(0, 511).map(Reason), st.integers(1, 2**50), min_size=1)
texts = st.text(st.characters(codec="utf-8"))
surveys = st.builds(
    Survey,
    counts=counts,
    oldest=st.none() | st.dates(),
    newest=st.none() | st.dates(),
    reach=st.dictionaries(texts, st.integers(0, 2**50)),
    unseen=st.lists(texts).map(tuple),
    warnings=st.lists(texts).map(tuple),
    shards=st.lists(
        st.builds(Shard, st.integers(0, 100), st.sampled_from(Way), texts, st.none() | texts, st.none() | texts)
    ).map(tuple),
    fingerprint=texts,
    store_id=texts,
    epoch=st.integers(1, 1000),
)


@given(surveys)
def test_a_stored_plan_reads_back_as_it_was(survey: Survey) -> None:
    plan = _plan(survey)
    assert from_json(json.loads(json.dumps(to_json(plan)))) == plan


@given(surveys)
def test_a_plans_counts_are_all_of_its_rows(survey: Survey) -> None:
    assert sum(survey.of(verdict) for verdict in Verdict) == survey.total
    assert survey.because(Reason.HELD) <= survey.of(Verdict.KEPT)
    assert survey.because(Reason.DONE) == survey.of(Verdict.DONE)


CHANGES: dict[str, Plan] = {
    "day": _plan(_survey(), today=date(2025, 3, 2)),
    "rule": _plan(_survey(), rule=replace(RULE, digest="0" * 64)),
    "policy": make_plan(replace(POLICY, digest="0" * 64), RULE, _survey(), TODAY, None),
    "rows due": _plan(_survey(due=11)),
    "schema": _plan(_survey(fingerprint="0" * 64)),
    "store": _plan(_survey(store_id="t")),
    "epoch": _plan(_survey(epoch=2)),
    "reach": _plan(_survey(reach={"visits": 1})),
    "shards": _plan(_survey(shards=())),
    "limits": _plan(_survey(), APPROVED, rule=replace(RULE, limits=Limits(99, 0.4))),
}


@pytest.mark.parametrize("change", CHANGES)
def test_an_approval_is_for_one_plan_only(change: str) -> None:
    assert CHANGES[change].digest != APPROVED.digest


def test_the_digest_is_the_same_for_the_same_plan_however_it_was_counted() -> None:
    turned = {Reason.NOT_DUE: 90, Reason(0): 10}
    assert _plan(_survey(counts=turned)).digest == APPROVED.digest


def test_a_changed_plan_shows(tmp_path: Path) -> None:
    """Who changes the stored text changes the digest that is computed when it is read."""
    body = to_json(APPROVED)
    body["bounds"]["rows"] += 1
    assert from_json(body).digest != APPROVED.digest


def test_a_plan_is_canonical_json() -> None:
    assert json.loads(rfc8785.dumps(to_json(APPROVED))) == to_json(APPROVED)
