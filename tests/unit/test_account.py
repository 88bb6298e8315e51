"""What a bundle's page adds up of the leaves, whatever kinds of leaves there are."""

from datetime import UTC, date, datetime

from lethe.anonymise.risk import Groups, Risk
from lethe.evidence.account import Account
from lethe.evidence.leaf import Place, canonical, hold_leaf, risk_leaf
from lethe.holds import Because, Open

PLACE = Place("0d9a3a51-6f0a-4a55-8f0e-6f1c2f1f6a11", 1, 1, datetime(2025, 3, 1, tzinfo=UTC))


def test_a_hold_on_a_rule_and_a_measure_are_no_work_of_a_rule() -> None:
    account = Account({})
    held = Open(
        hold="a" * 32, number=1, dataset="rule:visitors-26-months", key="*", because=Because.LEGAL_CLAIM,
        role="privacy-officer", approver="b" * 32, review=date(2026, 1, 1), released=False,
        in_force=True, lifted=False,
    )  # fmt: skip
    measured = Risk("orders", 5, Groups(12, 2, 6, 0))
    for leaf in (hold_leaf(held, PLACE, "c" * 32), risk_leaf(PLACE, "c" * 32, found=measured, policy="d" * 64)):
        account.add(canonical(leaf).encode())
    assert dict(account.kinds) == {"hold": 1, "risk": 1}
    assert account.rules == {}
