"""What the policy lacks, as a function of what is there."""

from __future__ import annotations

from pathlib import Path

import pytest

from lethe.checks.finding import KINDS
from lethe.discovery.candidates import Candidate
from lethe.discovery.coverage import Looked, coverage, not_there
from lethe.discovery.declared import declared
from lethe.discovery.inventory import Column, ForeignKey, Inventory, Table
from lethe.discovery.reach import reachable
from lethe.discovery.sample import Unread
from lethe.model import Policy
from lethe.policy import load
from lethe.policy.kinds import ACCEPTABLE

BASE = Path(__file__).parent / "broken_policies" / "base"


@pytest.fixture
def policy(tmp_path: Path) -> Policy:
    """The sound policy of the broken ones, with what it may declare besides."""
    for file in ("organisation.yaml", "stores.yaml", "activities/rest.yaml", "activities/shop.yaml"):
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).write_text((BASE / file).read_text("utf-8"), encoding="utf-8")
    stores = tmp_path / "stores.yaml"
    free = "P35D\n    no_personal_data: {setting: [key, value]}\n    accepted: {backup public.old_thing: looked at}\n"
    stores.write_text(stores.read_text("utf-8").replace("P35D\n", free, 1), encoding="utf-8")
    return load(tmp_path)


def table(name: str, *columns: str, schema: str = "public", readable: bool = True) -> Table:
    return Table(schema, name, tuple(Column(column, "text", readable=readable) for column in columns))


def found(policy: Policy, *tables: Table, personal: tuple[str, ...] = (), **more: object) -> set[tuple[str, str]]:
    sure = tuple(Candidate(*place.rsplit(".", 1), "user.name", 0.9) for place in personal)
    looked = Looked(Inventory(tables), sure)
    return {(each.kind, each.subject) for each in coverage(policy, "shop", looked, **more)}


def test_every_column_that_the_policy_uses_is_in_it(policy: Policy) -> None:
    known = declared(policy, "shop")
    assert known["sales.orders"].columns == {"year", "number", "ship_name", "note", "customer_id", "placed_at"}
    assert known["public.customers"].columns == {"id", "name", "ended_at", "status"}
    assert known["public.order_lines"].columns == {"id", "order_year", "order_number"}
    assert known["public.setting"].columns == {"key", "value"}
    assert declared(policy, "phone")["public.calls"].columns == {"id", "number", "started_at", "queue", "duration"}
    assert declared(policy, "phone")["public.call_counts"].columns == {"day", "queue", "calls", "seconds"}


def test_what_the_policy_has_is_no_finding(policy: Policy) -> None:
    assert found(policy, table("customers", "id", "name", "status"), personal=("public.customers.name",)) == set()
    assert found(policy, table("setting", "key", "value"), personal=("public.setting.value",)) == set()


def test_columns_of_a_known_table_are_told_one_by_one(policy: Policy) -> None:
    customers = table("customers", "id", "name", "phone", "weight")
    assert found(policy, customers, personal=("public.customers.phone",)) == {
        ("personal", "public.customers.phone"),
        ("undeclared", "public.customers.weight"),
    }


def test_an_unknown_table_is_told_as_one(policy: Policy) -> None:
    assert found(policy, table("guest", "a", "b"), personal=("public.guest.a",)) == {("personal", "public.guest")}
    assert found(policy, table("guest", "a", "b")) == {("undeclared", "public.guest")}
    assert found(policy, table("guest")) == set()


def test_the_same_table_in_another_schema_is_another(policy: Policy) -> None:
    assert found(policy, table("orders", "year")) == {("undeclared", "public.orders")}


@pytest.mark.parametrize(
    "name", ["thing_old", "thing_bak", "thing_backup2", "tmp_thing", "thing_copy", "thing_20240131", "x_2024_01_31"]
)
def test_copies_that_were_left_behind_are_known_by_their_names(policy: Policy, name: str) -> None:
    assert found(policy, table(name, "a")) == {("backup", f"public.{name}")}


@pytest.mark.parametrize("name", ["threshold", "temperature", "copyright", "thing_2024", "household"])
def test_names_that_only_look_like_copies(policy: Policy, name: str) -> None:
    assert found(policy, table(name, "a")) == {("undeclared", f"public.{name}")}


def test_a_log_without_a_rule_is_told_and_one_with_a_rule_is_not(policy: Policy) -> None:
    assert found(policy, table("audit", "a"), personal=("public.audit.a",)) == {("log", "public.audit")}
    assert found(policy, table("audit", "a")) == {("undeclared", "public.audit")}


def test_what_is_accepted_is_left_out_and_what_is_not_there_is_told(policy: Policy) -> None:
    assert found(policy, table("old_thing", "a")) == set()
    assert not_there(policy, "shop", Looked(Inventory((table("old_thing", "a"),)))) == ()
    assert not_there(policy, "shop", Looked(Inventory(()))) == ("backup public.old_thing",)


def test_what_could_not_be_looked_into_is_told_unless_the_policy_has_it_all(policy: Policy) -> None:
    assert found(policy, table("guest", "a", readable=False)) == {("closed", "public.guest")}
    assert found(policy, table("setting", "key", readable=False)) == set()
    looked = Looked(Inventory((table("guest", "a"),)), (), {"public.guest": Unread("unknown", "busy")})
    assert ("unknown", "public.guest", "busy") in {
        (each.kind, each.subject, each.detail) for each in coverage(policy, "shop", looked)
    }


def test_copies_of_people_are_told_and_copies_of_things_are_not(policy: Policy) -> None:
    of_people = Inventory((), views={"public.v": ("public.customers",)}, publications={"p": ("sales.orders",)})
    assert {each.kind for each in coverage(policy, "shop", Looked(of_people))} == {"view", "publication"}
    of_things = Inventory((), views={"public.v": ("public.setting",)}, publications={"p": ("public.setting",)})
    assert coverage(policy, "shop", Looked(of_things)) == []


def test_a_partition_that_was_taken_off_is_known_by_form_and_name(policy: Policy) -> None:
    columns = (Column("a", "text"),)
    whole = Table("public", "visit", columns, partitioned=True, partitions=("visit_p2024",))
    others = [Table("public", name, columns) for name in ("visit_p2023", "visit_x", "other")]
    assert Inventory((whole, *others)).detached() == {
        "public.visit_p2023": "public.visit",
        "public.visit_x": "public.visit",
    }
    wider = Table("public", "visit_p2023", (*columns, Column("b", "text")))
    assert Inventory((whole, wider)).detached() == {}


def test_reach_ends_where_it_comes_back_to_itself() -> None:
    keys = [ForeignKey("b", ("x",), "a"), ForeignKey("c", ("y",), "b"), ForeignKey("a", ("z",), "c")]
    assert [str(way) for way in reachable(Inventory((), tuple(keys)), "a")] == ["b by x → a", "c by y → b by x → a"]


def test_findings_are_of_known_kinds_and_so_is_what_can_be_accepted() -> None:
    assert set(ACCEPTABLE) <= KINDS.keys()
