"""A finding stays open while a check could not look at what it is about, and only then."""

from dataclasses import replace
from datetime import date

import pytest

from lethe.checks.canaries import Canary, Judged
from lethe.checks.finding import Finding
from lethe.checks.identity import Identity
from lethe.checks.kept import Floored, Lawful
from lethe.checks.result import Checked, StoreChecked

TODAY = date(2025, 3, 1)
CANARY = Canary("c", "calls", "due", "-1", TODAY, TODAY, planted=True)
SEEN = StoreChecked(
    "crm",
    TODAY,
    (Checked("calls", "clean"),),
    identity=Identity("s", 1, "i", (1, 1), {}),
    gaps=(),
    held_gone={"public.call": 0},
    lawful={"calls": Lawful("calls", 0, Floored(TODAY, TODAY, "d", 3))},
    canaries=(Judged(CANARY, "stays"),),
)
BLIND = {
    Finding("crm", "canary-died", "calls"): {"canaries": (Judged(CANARY, "unseen"),)},
    Finding("crm", "canary-lives", "calls"): {"canaries": (Judged(CANARY, "unseen"),)},
    Finding("crm", "floor-gone", "calls"): {"lawful": {}},
    Finding("crm", "held-gone", "public.call"): {"held_gone": {}},
}


@pytest.mark.parametrize("finding", BLIND, ids=lambda finding: finding.kind)
def test_what_could_not_be_looked_at_stays_open(finding: Finding) -> None:
    assert not SEEN.unseen(finding)
    assert replace(SEEN, **BLIND[finding]).unseen(finding)
