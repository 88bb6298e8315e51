from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from lethe.anonymise.risk import Groups, Risk
from lethe.checks.questions import Counts
from lethe.checks.result import Checked, StoreChecked
from lethe.evidence.leaf import (
    Place,
    anchor_leaf,
    approval_leaf,
    batch_leaf,
    canonical,
    check_leaf,
    coarsening_leaf,
    confirmation_leaf,
    departure_leaf,
    finding_leaf,
    heartbeat_leaf,
    hold_leaf,
    instant,
    intent_leaf,
    key_leaf,
    manifest_leaf,
    outcome_leaf,
    plan_leaf,
    policy_leaf,
    purge_leaf,
    restore_leaf,
    risk_leaf,
    run_leaf,
    schema,
    upkeep_leaf,
    verification_leaf,
)
from lethe.findings import Known
from lethe.holds import Because, Open
from lethe.model import Plan, Reason, Receipt, Remaining, Rule, Shard, Subjects, Survey, Way
from lethe.plan import make_plan
from lethe.policy import load

JCS = Path(__file__).parents[1] / "data" / "jcs"
POLICY = load(Path(__file__).parents[2] / "include" / "policy")
VALIDATOR = jsonschema.Draft202012Validator(schema(), format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER)
AT = datetime(2025, 3, 1, 3, 4, 5, 678901, tzinfo=timezone(timedelta(hours=1)))
PLACE = Place("0d9a3a51-6f0a-4a55-8f0e-6f1c2f1f6a11", 1, 12, AT)
RUN, TODAY = "0123456789abcdef" * 2, date(2025, 3, 1)
COUNTS = st.integers(0, 2**53 - 1)


def _rule() -> Rule:
    return POLICY.rules["visitors-26-months"]


def _plan(rule: Rule, due: int = 7, oldest: date | None = date(2020, 1, 1)) -> Plan:
    counts = {Reason(0): due, Reason.HELD | Reason.NOT_DUE: 2, Reason.UNDATED: 1, Reason.DONE: 5}
    survey = Survey(
        counts=counts,
        oldest=oldest,
        newest=oldest,
        reach={"visits": 3},
        unseen=("public.t.c = Kari Nordmann",),
        warnings=("no index",),
        shards=(Shard(0, Way.BLOCKS, "public.visitors", "0"),),
        fingerprint="a" * 64,
        store_id="6f0b1b8e-6d0a-4c1e-9f43-1d7a8f5d2c11",
        epoch=1,
    )
    return make_plan(POLICY, rule, survey, TODAY, None)


def _batch(**changes: Any) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "done": _done(),
        "way": Way.BLOCKS,
        "suppressed": 0,
        "backups_until": date(2025, 4, 5),
    }
    return batch_leaf(_plan(_rule()), _rule(), PLACE, RUN, **{**facts, **changes})


def _done(shard: int = 0, rows: int = 7, reach: int = 3) -> Receipt:
    return Receipt("a" * 64, shard, 1, rows, {"visits": reach}, 0.5, 12)


def _checked() -> StoreChecked:
    counts = Counts(9, 8, True, 5, {"held": 2, "floor": 1, "done": 0}, 1, 1)
    return StoreChecked("website", TODAY, (Checked("visitors-26-months", "remaining", counts),), {"results": []})


def _known(subject: str) -> Known:
    return Known(RUN, "website", "remaining", subject, "1 rows", "alarm", "privacy-officer", AT)


def _hold(dataset: str, key: str) -> dict[str, Any]:
    released = dataset.startswith("rule:")
    because, role, review = Because.LEGAL_CLAIM, "privacy-officer", date(2025, 9, 1)
    return hold_leaf(Open(RUN, 1, dataset, key, because, role, review, released, RUN, False, False), PLACE, RUN)


def _run(**changes: Any) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "state": "ended",
        "plan": _plan(_rule()),
        "dag": "retention_sweep",
        "dag_run": "scheduled__2025-03-01T02:00:00+00:00",
        "counts": {"rows": 7, "reach": 3, "batches": 1},
    }
    return run_leaf(_rule(), PLACE, RUN, **{**facts, **changes})


def _approval(**changes: Any) -> dict[str, Any]:
    facts: dict[str, Any] = {"approved": True, "role": "lethe_officer", "approver": RUN, "via": "cli"}
    return approval_leaf(_plan(_rule()), _rule(), PLACE, **{**facts, **changes})


def _every_leaf() -> dict[str, dict[str, Any]]:
    assumed = next(rule for rule in POLICY.rules.values() if rule.assumption)
    return {
        "policy": policy_leaf(POLICY, PLACE, RUN),
        "plan": plan_leaf(_plan(_rule()), _rule(), PLACE, RUN),
        "plan with nothing due": plan_leaf(_plan(_rule(), due=0, oldest=None), _rule(), PLACE, RUN),
        "approval": _approval(),
        "rejection": _approval(approved=False, role="PrivacyOfficer", via="airflow"),
        "confirmation": confirmation_leaf(assumed, PLACE, role="privacy-officer", approver=RUN),
        "batch": _batch(),
        "batch of subjects": _batch(subjects=Subjects(7, "b" * 64)),
        "finish": _batch(done=_done(-1, 0), way=Way.FINISH, suppressed=4, backups_until=None),
        "purge": purge_leaf(_plan(_rule()), _rule(), PLACE, RUN, tables=2),
        "verification": verification_leaf(
            _plan(_rule()), _rule(), PLACE, RUN, found=Remaining("visitors-26-months", TODAY, 0, ("public.old",))
        ),
        "first key": key_leaf(PLACE, RUN, new="530d903a", old=None, size=0),
        "next key": key_leaf(PLACE, RUN, new="530d903a", old="08f6a1b2", size=12),
        "time-stamp": anchor_leaf(PLACE, RUN, anchor="authority", of="rfc3161", size=3, root=bytes(32), token=b"token"),
        "copy": anchor_leaf(PLACE, RUN, anchor="archive", of="folder", size=3, root=bytes(32), token=None),
        "heartbeat": heartbeat_leaf(PLACE, RUN, day=TODAY, size=0, unreachable=1, unanchored_since=AT),
        "manifest": manifest_leaf(PLACE, RUN, day=TODAY, expected=POLICY.rules, missing=["visitors-26-months"]),
        "restore": restore_leaf(PLACE, RUN, database="store", found=3, published=12),
        "intent": intent_leaf(_plan(_rule()), _rule(), PLACE, RUN, shard=0, documents={"case-documents": 19}),
        "outcome": outcome_leaf(
            _plan(_rule()),
            _rule(),
            PLACE,
            RUN,
            shard=0,
            batch=1,
            outcome={"case-documents": {"deleted": 18, "shared": 1}},
        ),
        "outcome at the end": outcome_leaf(
            _plan(_rule()), _rule(), PLACE, RUN, shard=-1, batch=1, outcome={"case-documents": {"withdrawn": 1}}
        ),
        "coarsening": coarsening_leaf(_plan(_rule()), _rule(), PLACE, RUN, step=0, matched_with=None, rows=3),
        "coarsening of matches": coarsening_leaf(
            _plan(_rule()), _rule(), PLACE, RUN, step=1, matched_with="invoices", rows=3
        ),
        "risk": risk_leaf(
            PLACE, RUN, found=Risk("orders", 5, Groups(12, 2, 6, 0), {"invoices": 0}), policy=POLICY.digest
        ),
        "risk of nobody": risk_leaf(
            PLACE, RUN, found=Risk("answers", 5, Groups(0, 0, None, 0), {}, {"text": 1}), policy=POLICY.digest
        ),
        "check": check_leaf(PLACE, RUN, found=_checked(), policy="a" * 64, opened=1, gone=0),
        "check of a store that is down": check_leaf(
            PLACE,
            RUN,
            found=StoreChecked("website", TODAY, (Checked("a-rule", "unknown"),)),
            policy="a" * 64,
            opened=0,
            gone=0,
        ),
        "finding": finding_leaf(
            PLACE, RUN, known=_known("visitors-26-months"), state="opened", rule="visitors-26-months"
        ),
        "finding on a table": finding_leaf(PLACE, RUN, known=_known("public.kari_old"), state="gone", rule=None),
        "departure": departure_leaf(PLACE, RUN, event="opened", counts={}, role="HR", approver=RUN, root=None),
        "upkeep": upkeep_leaf(PLACE, RUN, "reminder", "R11", {"employees": 12, "told": 3, "messages": 40, "failed": 0}),
        "upkeep, a scan": upkeep_leaf(PLACE, RUN, "scan", "R12", {"employees": 2, "identity_numbers": 1}),
        "departure handed over": departure_leaf(
            PLACE,
            RUN,
            event="handed-over",
            counts={"confirmed": 12, "private": 3},
            role=None,
            approver=None,
            root="a" * 64,
        ),
        "hold": _hold("visitors", "17"),
        "hold on a dataset": _hold("visitors", "*"),
        "hold on a rule": _hold("rule:visitors-26-months", "*"),
        "scheduled": _run(state="scheduled", plan=None, counts={}),
        "started": _run(state="started", plan=None, counts={}),
        "run": _run(),
        "run of a person": _run(dag=None, dag_run=None),
        "run by an asset": _run(dag_run="asset_triggered__2025-03-01T02:00:00.123456+00:00_Ab3dE6g8"),
        "run without plan": _run(state="failed", plan=None, counts={}),
        "waiting": _run(state="waiting", counts={}),
        "nothing": _run(state="nothing", counts={}),
    }


LEAVES = _every_leaf()


@pytest.fixture(params=LEAVES)
def leaf(request: pytest.FixtureRequest) -> dict[str, Any]:
    return json.loads(json.dumps(LEAVES[request.param]))


def _is_valid(leaf: object) -> bool:
    return bool(VALIDATOR.is_valid(leaf))


def test_every_kind_of_leaf_meets_the_schema(leaf: dict[str, Any]) -> None:
    VALIDATOR.validate(leaf)


@pytest.mark.parametrize("rule", POLICY.rules.values(), ids=POLICY.rules)
def test_every_rule_of_the_policy_can_be_written_down(rule: Rule) -> None:
    VALIDATOR.validate(plan_leaf(_plan(rule), rule, PLACE, RUN))
    VALIDATOR.validate(confirmation_leaf(rule, PLACE, role="privacy-officer", approver=RUN))


def test_the_schema_itself_is_sound() -> None:
    jsonschema.Draft202012Validator.check_schema(schema())


def test_the_canonical_text_is_that_of_rfc_8785(leaf: dict[str, Any]) -> None:
    assert canonical(leaf).encode() == rfc8785.dumps(leaf)
    assert json.loads(canonical(leaf)) == leaf


@pytest.mark.parametrize("name", sorted(path.stem for path in (JCS / "input").iterdir()))
def test_public_vectors_of_rfc_8785_come_out_byte_by_byte(name: str) -> None:
    expected = bytes.fromhex((JCS / "outhex" / f"{name}.txt").read_text())
    assert canonical(json.loads((JCS / "input" / f"{name}.json").read_bytes())).encode() == expected


def test_times_are_utc_to_the_millisecond() -> None:
    assert instant(AT) == "2025-03-01T02:04:05.678Z"
    assert instant(datetime(2025, 3, 1, tzinfo=UTC)) == "2025-03-01T00:00:00.000Z"


def test_a_leaf_says_nothing_of_what_a_policy_or_row_holds_in_words() -> None:
    """What a survey reports in words, values that occur nowhere among them, stays out of evidence."""
    assert "Nordmann" not in canonical(LEAVES["plan"])
    assert "no index" not in canonical(LEAVES["plan"])


@given(st.sampled_from(sorted(LEAVES)), st.text(min_size=1), st.none() | st.booleans() | st.integers() | st.text())
def test_a_field_that_the_schema_does_not_name_is_refused(name: str, field: str, value: object) -> None:
    leaf = LEAVES[name]
    assert field in leaf or not _is_valid({**leaf, field: value})


def test_a_field_that_is_missing_is_refused(leaf: dict[str, Any]) -> None:
    assert not any(_is_valid({name: leaf[name] for name in leaf if name != left_out}) for left_out in leaf)


WRONG = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False).filter(lambda number: not number.is_integer()),
    st.integers(max_value=-2),
    st.integers(min_value=2**53),
    st.lists(st.integers(), min_size=1),
    st.text().map(lambda text: f"{text} "),
    st.dictionaries(st.text().map(lambda text: f"{text} "), st.integers(), min_size=1),
)


@given(st.sampled_from(sorted(LEAVES)), st.data(), WRONG)
def test_a_value_of_the_wrong_kind_is_refused(name: str, data: st.DataObject, value: object) -> None:
    leaf = LEAVES[name]
    field = data.draw(st.sampled_from(sorted(leaf)))
    assert not _is_valid({**leaf, field: value})


@pytest.mark.parametrize("where", ["reasons", "reach", "bounds"])
def test_counts_stand_under_known_names_only(where: str) -> None:
    leaf = LEAVES["plan"]
    assert not _is_valid({**leaf, where: {**leaf[where], "Kari Nordmann": 1}})
    assert not _is_valid({**leaf, where: dict.fromkeys(leaf[where], -1)})
    assert not _is_valid({**leaf, where: dict.fromkeys(leaf[where], "many")})


@pytest.mark.parametrize(
    ("name", "field", "value"),
    [
        ("run", "dag_run", "manual__2025-03-01T02:00:00+00:00"),
        ("run", "dag_run", "kari.nordmann@example.no"),
        ("run", "state", "begun"),
        ("run", "run", "Kari"),
        ("batch", "epoch", 0),
        ("batch", "outbox", {"store": PLACE.store, "epoch": 1, "seq": 0}),
        ("batch", "receipts", {"count": 1, "root": "Kari Nordmann"}),
        ("next key", "new", "530D903A"),
        ("manifest", "missing", ["Kari Nordmann"]),
        ("manifest", "missing", ["a-rule", "a-rule"]),
        ("policy", "rules", {"a-rule": "its text"}),
        ("heartbeat", "unanchored_since", "yesterday"),
        ("restore", "database", "customers"),
        ("batch", "at", "2025-03-01T02:04:05Z"),
        ("batch", "gone_from_backups", "2025-02-30"),
        ("batch", "way", "row by row"),
        ("plan", "obligation", "19"),
        ("plan", "v", 2),
        ("approval", "decision", "perhaps"),
        ("approval", "approver", "kari.nordmann"),
        ("confirmation", "keep", "1 year"),
    ],
)  # fmt: skip
def test_what_only_looks_like_evidence_is_refused(name: str, field: str, value: object) -> None:
    assert _is_valid(LEAVES[name])
    assert not _is_valid({**LEAVES[name], field: value})


def test_no_text_is_free() -> None:
    """Each text has a pattern or a list, anchored at both ends and without room for a blank."""
    texts = [part for part in _parts(schema()) if part.get("type") == "string"]
    assert len(texts) > 5
    for part in texts:
        assert part["pattern"].startswith("^")
        assert part["pattern"].endswith("$")
        assert " " not in part["pattern"]


def test_every_object_is_closed() -> None:
    objects = [part for part in _parts(schema()) if part.get("type") == "object"]
    assert len(objects) > 8
    assert all(part["additionalProperties"] is False for part in objects)


def test_every_number_has_bounds_that_json_can_carry() -> None:
    numbers = [part for part in _parts(schema()) if part.get("type") in ("integer", "number")]
    assert numbers
    assert all(part["type"] == "integer" and -1 <= part["minimum"] < part["maximum"] < 2**53 for part in numbers)


def test_everything_has_a_type() -> None:
    """A part without type, list or reference would let anything through."""
    telling = {"type", "enum", "const", "$ref", "anyOf", "oneOf"}
    parts = [value for part in _parts(schema()) for value in part.get("properties", {}).values()]
    assert all(telling & set(part) for part in [*parts, *schema()["$defs"].values()])


def _parts(part: object) -> Iterator[dict[str, Any]]:
    if isinstance(part, dict):
        yield part
    children: Callable[[], Any] = getattr(part, "values", lambda: part if isinstance(part, list) else ())
    for child in children():
        yield from _parts(child)


@given(COUNTS, COUNTS)
def test_any_count_can_be_written_down(rows: int, reach: int) -> None:
    assert _is_valid(_batch(done=_done(0, rows, reach)))
