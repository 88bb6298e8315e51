from __future__ import annotations

import json
import re
from datetime import date
from pathlib import Path
from zoneinfo import ZoneInfo

import jsonschema
import pytest
import yaml

from lethe.deadlines import Period, YearEnd
from lethe.model import Aggregate, Anonymise, ColumnRef, Delete, Limits, Policy, Put
from lethe.policy import load, schema
from lethe.policy.kinds import data_categories

ROOT = Path(__file__).parents[2]
SHIPPED = ROOT / "include" / "policy"
FILES = sorted(path.relative_to(SHIPPED) for path in SHIPPED.rglob("*.yaml"))
ESTATE = ROOT / "include" / "demo" / "estate"


@pytest.fixture(scope="module")
def policy() -> Policy:
    return load(SHIPPED)


def test_what_is_left_to_look_at_is_known(policy: Policy) -> None:
    """Nothing is promised of what the company knows of its employees, and so no rule has a period for them."""
    assert [line.partition(": ")[2] for line in policy.warnings] == [
        "datasets.agents: no rule deletes or anonymises employed_from, name, username",
        (
            "datasets.employees: no rule deletes or anonymises "
            "departure, employed_from, language, last_day, mailbox, manager_no, name"
        ),
    ]


def test_every_obligation_is_answered(policy: Policy) -> None:
    by_rules = {rule.obligation for rule in policy.rules.values()}
    by_floors = {floor.obligation for floor in policy.floors.values()}
    by_hand = {name for activity in policy.activities.values() for name in activity.not_automated}
    assert by_rules == {"R01", "R02", "R03", "R04", "R05", "R07", "R08", "R09", "R13", "R16"}
    assert by_floors == {"R13", "R14"}
    by_measure = {each.obligation for each in policy.anonymity.values() if each.obligation}
    assert by_measure == {"R06"}
    assert by_hand == {"R12", "R15", "R17", "R18"}
    assert policy.offboarding is not None
    assert policy.offboarding.upkeep is not None
    by_mailboxes = {policy.offboarding.obligation, policy.offboarding.upkeep.obligation}
    assert by_mailboxes == {"R10", "R11"}
    assert by_rules | by_floors | by_hand | by_measure | by_mailboxes == set(policy.organisation.obligations)


PERIODS = {
    "visitors-26-months": "P26M",
    "form-messages-when-handled": "P30D assumed",
    "consents-withdrawn": "P1D",
    "consent-proofs": "P5Y assumed",
    "sessions-ended": "P1D",
    "access-log": "P90D assumed",
    "cases-of-ex-customers": "P1Y",
    "case-messages-of-ex-customers": "P1Y",
    "attachments-of-ex-customers": "P1Y",
    "survey-answers-lose-their-person": "P1Y assumed",
    "respondents-after-survey": "P1Y assumed",
    "contacts-10-years": "P10Y",
    "ex-customer-orders": "P1Y",
    "ex-customer-messages": "P1Y",
    "ex-customer-invoice-contacts": "P1Y",
    "invoices-after-floor": "P5Y",
    "delivery-notes-after-floor": "P3Y6M",
    "call-log-90-days": "P90D",
}


def test_periods_are_those_of_the_statement_and_the_others_are_assumptions(policy: Policy) -> None:
    found = {name: str(rule.keep) + (" assumed" if rule.assumption else "") for name, rule in policy.rules.items()}
    assert found == PERIODS


def test_the_call_log_is_counted_then_deleted(policy: Policy) -> None:
    rule = policy.rules["call-log-90-days"]
    assert rule.action == Delete()
    assert rule.aggregate == Aggregate(
        "call_statistics", {"day": "day(started_at)", "queue": "queue"}, "calls", {"seconds": "duration_s"}, 5
    )
    assert rule.limits == Limits(50_000, 0.05)
    assert rule.keep == Period(days=90)


def test_one_invoice_stands_under_two_clocks_and_a_floor_field_by_field(policy: Policy) -> None:
    contact, whole = policy.rules["ex-customer-invoice-contacts"], policy.rules["invoices-after-floor"]
    assert contact.action == Anonymise({"kunde_epost": Put(None), "kunde_telefon": Put(None)})
    assert contact.floors == ()
    assert [floor.name for floor in whole.floors] == ["invoices-5-years"]
    assert (contact.clock.at, whole.clock.at) == (ColumnRef("avsluttet", ("customer",)), ColumnRef("fakturadato"))
    assert contact.clock.unset == whole.clock.unset == (date(1970, 1, 1), date(9999, 12, 31))
    assert [kin.dataset.name for kin in whole.followers] == ["vouchers"]
    assert contact.followers == ()


def test_a_voucher_refers_to_two_tables_by_text(policy: Policy) -> None:
    invoice, note = policy.datasets["vouchers"].relations.values()
    assert (invoice.columns, invoice.as_text) == ((("ref_id", "fakturanr"),), True)
    assert invoice.when is not None
    assert note.when is not None
    assert (invoice.when.values, note.when.values) == (("FAKTURA",), ("FOELGESEDDEL",))


def test_a_delivery_is_dated_in_the_zone_that_the_policy_declares(policy: Policy) -> None:
    assert policy.rules["delivery-notes-after-floor"].clock.zone == ZoneInfo("UTC")
    assert policy.rules["call-log-90-days"].clock.zone is None


def test_what_keeps_a_case_keeps_what_belongs_to_it(policy: Policy) -> None:
    for name in ("case-messages-of-ex-customers", "attachments-of-ex-customers"):
        (case,) = policy.rules[name].leaders
        assert case.dataset.name == "cases"
        assert [floor.name for floor in case.floors] == ["public-records-archived-first"]
        assert [str(condition.at) for condition in case.dataset.held_when] == ["customer.dispute_status"]


def test_the_organisation_is_read(policy: Policy) -> None:
    organisation = policy.organisation
    assert organisation.zone == ZoneInfo("Europe/Oslo")
    assert organisation.year_end == YearEnd(12, 31)
    assert organisation.privacy_officer in organisation.roles


@pytest.mark.parametrize("file", FILES, ids=str)
def test_files_satisfy_the_published_schema_that_their_first_line_names(file: Path) -> None:
    text = (SHIPPED / file).read_text("utf-8")
    first = re.match(r"# yaml-language-server: \$schema=(\S+)#(/\$defs/\w+)\n", text)
    assert first is not None
    published = json.loads((SHIPPED / file).parent.joinpath(first[1]).read_text("utf-8"))
    jsonschema.Draft202012Validator({**published, "anyOf": [{"$ref": f"#{first[2]}"}]}).validate(_as_json(text))


def _as_json(text: str) -> object:
    return json.loads(json.dumps(yaml.load(text, Loader=yaml.SafeLoader), default=str))


def test_the_published_schema_is_made_from_the_forms() -> None:
    assert schema.PUBLISHED.read_text("utf-8") == schema.text()
    jsonschema.Draft202012Validator.check_schema(schema.schema())


def test_the_schema_completes_categories_and_refuses_what_loading_refuses() -> None:
    published = schema.schema()
    dataset = {"$defs": published["$defs"], "$ref": "#/$defs/DatasetForm"}
    good = {"in": "shop", "table": "t", "key": "id", "personal_data": {"a": "user.name"}}
    validator = jsonschema.Draft202012Validator(dataset)
    assert validator.is_valid(good)
    assert not validator.is_valid({**good, "personal_data": {"a": "user.nam"}})
    assert not validator.is_valid({**good, "tabel": "t"})


def test_categories_are_the_public_taxonomy() -> None:
    keys = data_categories()
    assert len(keys) == len(set(keys)) == 85
    assert all(key.startswith(("user", "system")) for key in keys)


def test_every_column_that_the_policy_names_exists_in_the_demo(policy: Policy) -> None:
    for dataset in policy.datasets.values():
        columns = _columns(ESTATE / f"{dataset.store}.sql", dataset.table)
        named = {*dataset.key, *dataset.personal_data, *dataset.no_personal_data, *dataset.unset, *dataset.zones}
        named |= {own for relation in dataset.relations.values() for own, _ in relation.columns}
        assert named <= columns, dataset.name


def test_every_clock_and_field_of_a_rule_exists_in_the_demo(policy: Policy) -> None:
    for rule in policy.rules.values():
        refs = [rule.clock.at, *(condition.at for condition in (*rule.when, *rule.dataset.held_when))]
        refs += [ColumnRef(column) for column in (rule.action.fields if isinstance(rule.action, Anonymise) else ())]
        for ref in refs:
            home = rule.dataset
            for name in ref.path:
                home = policy.datasets[home.relations[name].to]
            assert ref.column in _columns(ESTATE / f"{home.store}.sql", home.table), (rule.name, str(ref))


def _columns(file: Path, table: str) -> set[str]:
    body = re.search(rf"CREATE TABLE {table} \((.*?)\n\)", file.read_text("utf-8"), re.DOTALL)
    assert body is not None, table
    return {line.split()[0] for line in body[1].splitlines() if line.strip()}
