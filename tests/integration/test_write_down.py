"""A clock that is reached by way of a field is written down before that way is cut, and a later rule counts from it."""

import pytest

from faults import NOW, carry_out
from lethe.errors import PolicyError, SchemaMismatch

SCHEMA = """
CREATE TABLE customer (id int PRIMARY KEY, ended_on date);
CREATE TABLE orders (id int PRIMARY KEY, customer_id int, name text, left_on date);
INSERT INTO customer VALUES (1, '2020-01-01'), (2, '2014-05-06'), (3, NULL), (4, '2013-01-01');
INSERT INTO orders VALUES (1, 1, 'Kari', NULL), (2, 2, 'Ola', NULL), (3, 3, 'Per', NULL), (4, 4, 'Liv', '2021-12-31');
"""
ACTIVITY = """
serves: [R08]
datasets:
  customers: {in: crm, table: customer, key: id, personal_data: {}}
  orders:
    in: crm
    table: orders
    key: id
    personal_data: {name: user.name, customer_id: user.unique_id}
    refers_to: {customer: {to: customers, by: customer_id}}
rules:
  lose-their-person:
    obligation: R08
    of: orders
    title: {nb: Bestillinger, en: Orders}
    clock: customer.ended_on
    keep: P1Y
    then: {anonymise: {name: blank, left_on: {write_down: customer.ended_on}, customer_id: unlink}}
    order: 1
    limits: {rows: 100, share: 100%}
  go-after-ten-years:
    obligation: R08
    of: orders
    title: {nb: Bestillinger, en: Orders}
    clock: left_on
    keep: P10Y
    then: delete
    order: 2
    limits: {rows: 100, share: 100%}
"""
ORDERS = "SELECT id, customer_id, name, left_on::text FROM orders ORDER BY id"


def test_what_a_later_rule_counts_from_outlives_the_way_to_it(open_lethe) -> None:
    lethe = open_lethe(ACTIVITY, SCHEMA)
    assert carry_out(lethe, "lose-their-person") == 3
    assert lethe.database.rows(ORDERS) == [
        (1, None, None, "2020-01-01"), (2, None, None, "2014-05-06"), (3, 3, "Per", None),
        (4, None, None, "2021-12-31"),  # what stands there is never written over
    ]  # fmt: skip
    assert carry_out(lethe, "lose-their-person") == 0
    assert carry_out(lethe, "go-after-ten-years") == 1
    assert [row[0] for row in lethe.database.rows(ORDERS)] == [1, 3, 4]


def test_a_held_row_keeps_the_way_and_nothing_is_written_down(open_lethe) -> None:
    lethe = open_lethe(ACTIVITY, SCHEMA)
    lethe.database.run("INSERT INTO lethe.hold VALUES ('orders', '1', 'held')")
    assert carry_out(lethe, "lose-their-person") == 2
    assert lethe.database.rows(ORDERS)[0] == (1, 1, "Kari", None)


def test_another_type_is_told_before_anything_is_changed(open_lethe) -> None:
    lethe = open_lethe(ACTIVITY, SCHEMA.replace("left_on date", "left_on timestamptz"))
    with pytest.raises(
        SchemaMismatch, match=r"column left_on: found type timestamp with time zone, expected date, which"
    ):
        lethe.plan("lose-their-person", NOW, "run")


def test_what_leads_nowhere_is_said_with_its_place(open_lethe) -> None:
    with pytest.raises(PolicyError, match='found "company", expected a relation of orders'):
        open_lethe(ACTIVITY.replace("write_down: customer", "write_down: company"), SCHEMA)


def test_to_cut_the_way_without_writing_down_is_refused(open_lethe) -> None:
    without = ACTIVITY.replace("left_on: {write_down: customer.ended_on}, ", "").replace(
        "clock: left_on", "clock: customer.ended_on"
    )
    with pytest.raises(PolicyError, match="write_down what it needs in a column of its own"):
        open_lethe(without, SCHEMA)
