"""Which fields a rule may take away although another rule is read from them, and what waits for what."""

from pathlib import Path

import pytest

from lethe.errors import PolicyError
from lethe.model import ColumnRef, Policy, Redact
from lethe.policy import load
from support import write_policy

ACTIVITY = """
serves: [R08]
datasets:
  customers: {in: crm, table: customer, key: id, personal_data: {name: user.name}}
  cases:
    in: crm
    table: cases
    key: id
    personal_data: {reporter: user.name}
    refers_to: {customer: {to: customers, by: customer_id}}
    follows: CASES_FOLLOW
  messages:
    in: crm
    table: message
    key: id
    personal_data: {body: user.content.private}
    refers_to: {case: {to: cases, by: case_id}}
    follows: MESSAGES_FOLLOW
FLOORS
rules:
  messages-go:
    obligation: R08
    of: OF
    title: {nb: Meldinger, en: Messages}
    clock: CLOCK
    keep: P1Y
    then: THEN
    order: FIRST
    limits: {rows: 10, share: 5%}
  cases-lose-their-person:
    obligation: R08
    of: CHANGED
    title: {nb: Saker, en: Cases}
    clock: closed_on
    keep: P1Y
    then: {anonymise: {FIELD: blank}}
    order: 2
    limits: {rows: 10, share: 5%}
"""
REDACTS = "{anonymise: {body: {redact: {names: [case.reporter], confirm_by: privacy-officer, because: needed}}}}"
USUAL = {
    "CASES_FOLLOW": "[]", "MESSAGES_FOLLOW": "[]", "FLOORS": "", "OF": "messages", "CLOCK": "sent_on", "THEN": REDACTS,
    "FIRST": "1", "CHANGED": "cases", "FIELD": "reporter",
}  # fmt: skip
FLOOR = """
floors:
  cases-of-the-named:
    {obligation: R08, of: cases, law: arkivlova § 9, when: {customer.name: Kari}, until: archived_at}
"""


def policy(directory: Path, **changed: str) -> Policy:
    text = ACTIVITY
    for word, value in {**USUAL, **changed}.items():
        text = text.replace(word, value)
    return load(write_policy(directory, text))


def test_a_case_waits_for_the_messages_that_are_redacted_by_its_name(tmp_path: Path) -> None:
    waiting = policy(tmp_path).rules["cases-lose-their-person"].dependents
    assert [(each.rule, each.dataset.name, each.path) for each in waiting] == [("messages-go", "messages", ("case",))]
    assert waiting[0].fields == {"body": Redact(names=(ColumnRef("reporter", ("case",)),))}


def test_a_way_that_is_cut_is_waited_for_at_the_row_where_it_is_cut(tmp_path: Path) -> None:
    rules = policy(tmp_path, CLOCK="case.customer.ended_on", THEN="delete", FIELD="customer_id").rules
    (waiting,) = rules["cases-lose-their-person"].dependents
    assert (waiting.path, waiting.fields) == (("case",), {})
    assert rules["messages-go"].dependents == ()


@pytest.mark.parametrize(
    ("what", "changed"),
    {
        "the other goes later": {"FIRST": "3"},
        "the same row": {"OF": "cases", "CLOCK": "opened_on", "THEN": "{anonymise: {n: blank}}", "FIELD": "opened_on"},
        "a floor of what the message follows": {
            "FLOORS": FLOOR, "MESSAGES_FOLLOW": "case", "THEN": "delete", "CHANGED": "customers", "FIELD": "name",
        },
    }.items(),
)  # fmt: skip
def test_what_cannot_be_waited_for_is_refused(tmp_path: Path, what: str, changed: dict[str, str]) -> None:
    with pytest.raises(PolicyError, match=r"found a column that messages-go is read from, expected one that no other"):
        policy(tmp_path, **changed)


def test_what_a_row_waits_for_is_part_of_what_an_approval_is_for(tmp_path: Path) -> None:
    def digest(number: int, then: str) -> str:
        found = policy(tmp_path / str(number), CLOCK="case.customer.ended_on", FIELD="customer_id", THEN=then)
        return found.rules["cases-lose-their-person"].digest

    assert digest(1, "delete") == digest(2, "delete") != digest(3, "{anonymise: {body: blank}}")
