"""The example that stands in a plan is invented, reads the same each time, and is what the rule would make of it."""

from pathlib import Path

import pytest

from lethe.anonymise.changes import MARK
from lethe.anonymise.example import example
from lethe.model import Anonymise, Delete, Generalise, Put, Surrogate
from lethe.policy import load

POLICY = load(Path(__file__).parents[2] / "include" / "policy")
CHANGING = [rule for rule in POLICY.rules.values() if isinstance(rule.action, Anonymise)]


@pytest.mark.parametrize("rule", CHANGING, ids=lambda rule: rule.name)
def test_every_field_is_shown_once_before_and_after(rule) -> None:
    shown = list(example(rule))
    assert [column for column, *_ in shown] == list(rule.action.fields)
    assert shown == list(example(rule))
    for column, before, after in shown:
        change = rule.action.fields[column]
        assert before
        assert before != after
        if isinstance(change, Put):
            assert after == change.value
        if isinstance(change, Surrogate):
            assert after == f"{MARK}…"


def test_an_order_of_an_ex_customer_loses_its_people_and_keeps_its_region() -> None:
    shown = {column: (before, after) for column, before, after in example(POLICY.rules["ex-customer-orders"])}
    assert shown["ship_name"] == ("Kari Bråten", None)
    assert shown["ship_address"] == ("Lyngveien 7, 5003 Bergen", None)
    assert shown["ship_postcode"] == ("5003", "5000")


@pytest.mark.parametrize(
    ("change", "shown"),
    [
        (Generalise("month"), ("2021-05-17", "2021-05-01")),
        (Generalise("year"), ("2021-05-17", "2021-01-01")),
        (Generalise("band", 1000), ("4711", "4000")),
    ],
)
def test_what_is_made_coarser_is_shown_as_it_will_be(change: Generalise, shown: tuple[str, str]) -> None:
    from dataclasses import replace

    rule = replace(CHANGING[0], action=Anonymise({"column": change}))
    assert list(example(rule)) == [("column", *shown)]


def test_a_rule_that_deletes_has_no_example() -> None:
    assert not any(list(example(rule)) for rule in POLICY.rules.values() if isinstance(rule.action, Delete))
