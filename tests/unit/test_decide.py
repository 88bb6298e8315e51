from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lethe.deadlines import Period, Unbounded, YearEnd, is_due, local_date
from lethe.decide import decide
from lethe.model import (
    Anonymise,
    Assumption,
    Clock,
    ColumnRef,
    Condition,
    Dataset,
    Decision,
    Delete,
    Floor,
    Kin,
    Limits,
    Put,
    Reason,
    Record,
    Relation,
    Rule,
    Verdict,
)

OSLO = ZoneInfo("Europe/Oslo")
TODAY = date(2025, 3, 1)
LAST = date(2024, 2, 29)
"""The latest day that is due today after a year: its period's last day is 28 February 2025."""
SENTINEL = date(9999, 12, 31)


def _condition(column: str, *values: str) -> Condition:
    return Condition(ColumnRef(column), values)


def _dataset(name: str, **facts: Any) -> Dataset:
    return Dataset(name, "activity", "crm", "public", name, ("id",), {}, **facts)


def _floor(name: str = "floor", dataset: str = "cases", **facts: Any) -> Floor:
    return Floor(name, "R13", "activity", dataset, (), facts.pop("when", ()), **facts)


MESSAGES = _dataset("messages", held_when=(_condition("flag", "tvist"),))
ARCHIVED = _floor(
    "archived", until=Clock(ColumnRef("delivered"), zone=OSLO, unset=(SENTINEL,)), when=(_condition("public", "true"),)
)
BOOKED = _floor("booked", clock=Clock(ColumnRef("invoiced"), zone=OSLO), period=Period.parse("P5Y"))
FOLLOWER = Kin(
    MESSAGES,
    Relation("case", "cases", (("case_id", "id"),)),
    (_floor(dataset="messages", until=Clock(ColumnRef("sent"), OSLO)),),
)
LEADER = Kin(
    _dataset("customers", held_when=(_condition("dispute", "tvist"),)),
    Relation("customer", "customers", (("customer_id", "id"),)),
    (),
)
RULE = Rule(
    name="closed-cases",
    obligation="R04",
    activity="activity",
    dataset=_dataset("cases", held_when=(_condition("dispute", "tvist", "inkasso"),)),
    clock=Clock(ColumnRef("closed"), zone=OSLO, unset=(SENTINEL,)),
    keep=Period.parse("P1Y"),
    assumption=None,
    when=(_condition("status", "closed"),),
    action=Delete(),
    aggregate=None,
    floors=(ARCHIVED, BOOKED),
    followers=(FOLLOWER,),
    leaders=(LEADER,),
    limits=Limits(100, 1.0),
    order=None,
    title={},
)
BLANKING = replace(RULE, action=Anonymise({"name": Put(None), "subject": Put("anonymisert")}))
PLAIN: dict[str, Any] = {
    "closed": LAST,
    "status": "closed",
    "dispute": None,
    "public": False,
    "delivered": None,
    "invoiced": date(2001, 1, 1),
    "name": "Kari",
    "subject": "hei",
}
FREE = Record({"flag": None, "sent": TODAY})


def _decide(rule: Rule = RULE, today: date = TODAY, confirmed: bool = True, **changes: Any) -> Decision:
    record = Record(
        {**PLAIN, **{name: value for name, value in changes.items() if name not in ("holds", "kin")}},
        changes.get("holds", Reason(0)),
        changes.get("kin", ()),
    )
    return decide(rule, record, today, zone=OSLO, year_end=YearEnd(), confirmed=confirmed)


@pytest.mark.parametrize(
    ("changes", "reasons"),
    [
        ({}, Reason(0)),
        ({"closed": date(2024, 3, 1)}, Reason.NOT_DUE),
        ({"closed": TODAY}, Reason.NOT_DUE),
        ({"closed": TODAY + timedelta(days=1)}, Reason.FUTURE),
        ({"closed": Unbounded.FUTURE}, Reason.FUTURE),
        ({"closed": None}, Reason.UNDATED),
        ({"closed": Unbounded.PAST}, Reason.UNDATED),
        ({"closed": SENTINEL}, Reason.UNDATED),
        ({"closed": datetime(9999, 12, 31, 23, 59, 59, tzinfo=OSLO)}, Reason.UNDATED),
        ({"closed": datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)}, Reason.UNDATED),  # the year 10000 in Oslo
        ({"closed": datetime(9999, 12, 30, 23, 30, tzinfo=UTC)}, Reason.UNDATED),  # the sentinel in Oslo
        ({"closed": datetime(9999, 12, 30, 12, tzinfo=UTC)}, Reason.FUTURE),
        ({"closed": date(1900, 1, 1)}, Reason(0)),  # a date that means unset is declared, never inferred
        ({"closed": datetime(2024, 2, 29, 22, 59, tzinfo=UTC)}, Reason(0)),
        ({"closed": datetime(2024, 2, 29, 23, 0, tzinfo=UTC)}, Reason.NOT_DUE),  # 1 March in Oslo
        ({"closed": datetime(2024, 2, 29, 23, 59)}, Reason(0)),  # noqa: DTZ001 a column without zone
        ({"dispute": "tvist"}, Reason.HELD),
        ({"dispute": "inkasso"}, Reason.HELD),
        ({"dispute": "løst"}, Reason(0)),
        ({"holds": Reason.HELD}, Reason.HELD),
        ({"holds": Reason.RESTRICTED}, Reason.RESTRICTED),
        ({"holds": Reason.HELD | Reason.RESTRICTED}, Reason.HELD | Reason.RESTRICTED),
        ({"status": "open"}, Reason.CONDITION),
        ({"status": None}, Reason.CONDITION),
        ({"public": True}, Reason.FLOOR),
        ({"public": None}, Reason.FLOOR),  # what cannot be judged protects
        ({"public": True, "delivered": date(2024, 1, 1)}, Reason(0)),
        ({"public": True, "delivered": TODAY}, Reason(0)),
        ({"public": True, "delivered": TODAY + timedelta(days=1)}, Reason.FLOOR),
        ({"public": True, "delivered": SENTINEL}, Reason.FLOOR),
        ({"public": True, "delivered": Unbounded.PAST}, Reason.FLOOR),
        ({"public": True, "delivered": Unbounded.FUTURE}, Reason.FLOOR),
        ({"invoiced": date(2019, 12, 31)}, Reason(0)),
        ({"invoiced": date(2020, 1, 1)}, Reason.FLOOR),
        ({"invoiced": None}, Reason.FLOOR),
        ({"invoiced": Unbounded.PAST}, Reason.FLOOR),
        ({"invoiced": Unbounded.FUTURE}, Reason.FLOOR),
        ({"kin": ((FOLLOWER, Record({"flag": "tvist", "sent": TODAY})),)}, Reason.HELD),
        ({"kin": ((FOLLOWER, Record({"flag": None, "sent": None})),)}, Reason.FLOOR),
        ({"kin": ((FOLLOWER, Record(FREE.values, holds=Reason.RESTRICTED)),)}, Reason.RESTRICTED),
        ({"kin": ((FOLLOWER, FREE), (LEADER, Record({"dispute": "tvist"})))}, Reason.HELD),
        (
            {"kin": ((FOLLOWER, Record(FREE.values, kin=((FOLLOWER, Record(FREE.values, holds=Reason.HELD)),))),)},
            Reason.HELD,  # far down
        ),
        ({"kin": ((FOLLOWER, FREE), (LEADER, Record({"dispute": None})))}, Reason(0)),
    ],
)
def test_a_record_is_kept_for_these_reasons(changes: dict[str, Any], reasons: Reason) -> None:
    decision = _decide(**changes)
    assert decision.reasons == reasons
    assert decision.verdict is (Verdict.KEPT if reasons else Verdict.DUE)


def test_all_reasons_are_given_at_once() -> None:
    changes = {"closed": None, "status": "open", "dispute": "tvist", "public": True, "holds": Reason.RESTRICTED}
    rule = replace(RULE, assumption=Assumption("privacy-officer", "nothing is said"))
    expected = Reason.UNDATED | Reason.CONDITION | Reason.HELD | Reason.FLOOR | Reason.RESTRICTED | Reason.UNCONFIRMED
    assert _decide(rule, confirmed=False, **changes).reasons == expected


def test_an_assumed_period_is_acted_on_only_once_confirmed() -> None:
    rule = replace(RULE, assumption=Assumption("privacy-officer", "nothing is said"))
    assert _decide(rule, confirmed=False).reasons == Reason.UNCONFIRMED
    assert _decide(rule, confirmed=True).verdict is Verdict.DUE
    assert _decide(RULE, confirmed=False).verdict is Verdict.DUE


@pytest.mark.parametrize(
    ("values", "done"),
    [
        ({"name": None, "subject": "anonymisert"}, True),
        ({"name": "Kari", "subject": "anonymisert"}, False),
        ({"name": None, "subject": "hei"}, False),
        ({"name": None, "subject": None}, False),
    ],
)
def test_what_is_anonymised_already_is_done(values: dict[str, Any], done: bool) -> None:
    assert (_decide(BLANKING, **values).verdict is Verdict.DONE) == done
    assert (_decide(BLANKING, dispute="tvist", **values).verdict is Verdict.DONE) == done


@pytest.mark.parametrize(("value", "matches"), [(True, "true"), (False, "false"), (3, "3"), ("3", "3"), (" 3", " 3")])
def test_values_are_compared_as_postgresql_writes_them(value: object, matches: str) -> None:
    rule = replace(RULE, when=(_condition("status", matches),))
    assert _decide(rule, status=value).verdict is Verdict.DUE


def test_every_condition_must_match_and_any_hold_holds() -> None:
    both = replace(RULE, when=(_condition("status", "closed"), _condition("subject", "hallo")))
    assert _decide(both).reasons == Reason.CONDITION
    held = replace(RULE, dataset=_dataset("cases", held_when=(_condition("dispute", "x"), _condition("name", "Kari"))))
    assert _decide(held).reasons == Reason.HELD


days = st.dates(date(1950, 1, 1), date(2100, 1, 1))
moments = st.datetimes(datetime(1950, 1, 1), datetime(2100, 1, 1))  # noqa: DTZ001 some get a zone below
clocks = st.one_of(
    st.none(), days, moments, moments.map(lambda at: at.replace(tzinfo=UTC)), st.sampled_from([*Unbounded, SENTINEL])
)
holds = st.sampled_from([Reason(0), Reason(0), Reason.HELD, Reason.RESTRICTED, Reason.HELD | Reason.RESTRICTED])
texts = st.sampled_from([None, "closed", "open", "tvist", "ingen"])
followers = st.builds(
    lambda flag, sent, held: (FOLLOWER, Record({"flag": flag, "sent": sent}, held)), texts, clocks, holds
)
leaders = st.builds(lambda dispute, held: (LEADER, Record({"dispute": dispute}, held)), texts, holds)
records = st.fixed_dictionaries(
    {
        "closed": clocks,
        "invoiced": clocks,
        "status": texts,
        "dispute": texts,
        "public": st.sampled_from([None, True, False]),
        "delivered": clocks,
        "name": st.sampled_from([None, "Kari"]),
        "subject": st.sampled_from(["anonymisert", "hei"]),
        "holds": holds,
        "kin": st.lists(followers | leaders, max_size=3).map(tuple),
    }
)
rules = st.sampled_from([RULE, BLANKING, replace(RULE, keep=Period(26)), replace(BLANKING, keep=Period(days=90))])


@given(rules, records, days)
def test_every_record_has_one_verdict(rule: Rule, record: dict[str, Any], today: date) -> None:
    """Due without any reason, done when it bears the mark of it, else kept: nothing else, never two."""
    decision = _decide(rule, today, **record)
    assert (decision.verdict is Verdict.DUE) == (decision.reasons == 0)
    assert (decision.verdict is Verdict.DONE) == (Reason.DONE in decision.reasons)
    of_clock = decision.reasons & (Reason.UNDATED | Reason.FUTURE | Reason.NOT_DUE)
    assert of_clock in (Reason(0), Reason.UNDATED, Reason.FUTURE, Reason.NOT_DUE)


@given(rules, records, days)
def test_nothing_protected_or_undated_is_ever_due(rule: Rule, record: dict[str, Any], today: date) -> None:
    """Told from the record itself, without a look at the reasons."""
    verdict = _decide(rule, today, **record).verdict
    closed, kin = record["closed"], [row for _, row in record["kin"]]
    protected = (
        record["holds"]
        or record["dispute"] == "tvist"
        or any(row.holds or "tvist" in (row.values.get("flag"), row.values.get("dispute")) for row in kin)
        or (record["public"] is not False and record["delivered"] is None)
    )
    undated = closed is None or isinstance(closed, Unbounded) or closed == SENTINEL
    if protected or undated or record["status"] != "closed":
        assert verdict is not Verdict.DUE
    elif verdict is Verdict.DUE:
        assert is_due(local_date(closed, OSLO, OSLO), rule.keep, today)


@given(rules, records, days, st.integers(0, 4000))
def test_time_never_takes_back_what_is_due(rule: Rule, record: dict[str, Any], today: date, later: int) -> None:
    """As long as holds and values stay as they are."""
    before, after = (_decide(rule, day, **record) for day in (today, today + timedelta(days=later)))
    if before.verdict is Verdict.DUE:
        assert after.verdict is Verdict.DUE
    assert not after.reasons & ~before.reasons & ~Reason.NOT_DUE  # a future date that came is now not due


@given(rules, records, days, holds)
def test_another_hold_never_makes_anything_due(rule: Rule, record: dict[str, Any], today: date, more: Reason) -> None:
    """And it adds itself to the reasons, taking none away."""
    before = _decide(rule, today, **record)
    after = _decide(rule, today, **{**record, "holds": record["holds"] | more})
    assert after.reasons == before.reasons | more


@given(records, days)
def test_what_is_not_anonymised_is_due_under_both_actions_alike(record: dict[str, Any], today: date) -> None:
    deleting, blanking = _decide(RULE, today, **record), _decide(BLANKING, today, **record)
    assert blanking.reasons & ~Reason.DONE == deleting.reasons
