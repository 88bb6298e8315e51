"""What `lethe store grants` prints lets the worker carry out the rules, and nothing more."""

import psycopg
import pytest

from faults import NOW, accounted, act, answer
from lethe.model import Verdict
from lethe.run import Lethe
from lethe.stores.postgres.grants import grants

SCHEMA = """
CREATE TABLE customer (id bigint PRIMARY KEY, name text, mail text, ended_on date);
CREATE TABLE orders (id bigint PRIMARY KEY, customer_id bigint REFERENCES customer, ship_name text,
    note text, dispute text);
CREATE TABLE call (id bigint PRIMARY KEY, number text, started_at timestamptz, queue text NOT NULL, seconds int);
CREATE TABLE attachment (id bigint PRIMARY KEY, call_id bigint REFERENCES call, body text);
CREATE TABLE statistics (day date, queue text, calls bigint NOT NULL, seconds bigint NOT NULL,
    PRIMARY KEY (day, queue));
CREATE TABLE visit (id bigint, visitor text, seen_on date, PRIMARY KEY (id, seen_on)) PARTITION BY RANGE (seen_on);
CREATE TABLE visit_2022 PARTITION OF visit FOR VALUES FROM ('2022-01-01') TO ('2023-01-01');
CREATE TABLE visit_2025 PARTITION OF visit FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
CREATE TABLE invoice (id bigint PRIMARY KEY, customer_id bigint, dated date);
CREATE TABLE salary (id bigint PRIMARY KEY, amount int);
INSERT INTO customer SELECT n, 'Kunde', 'k@x', date '2023-01-01' FROM generate_series(1, 5) n;
INSERT INTO orders SELECT n, n, 'Kunde', 'x', 'none' FROM generate_series(1, 4) n;
INSERT INTO call SELECT n, '22', timestamptz '2024-01-01 12:00+00', 'a', n FROM generate_series(1, 6) n;
INSERT INTO attachment VALUES (1, 1, 'x');
INSERT INTO visit SELECT n, 'v', date '2022-05-01' FROM generate_series(1, 7) n;
INSERT INTO invoice VALUES (1, 1, '2023-05-01');
INSERT INTO salary VALUES (1, 100);
"""
ACTIVITY = """
serves: [R08]
datasets:
  customers: {in: crm, table: customer, key: id, personal_data: {name: user.name, mail: user.contact.email}}
  orders:
    in: crm
    table: orders
    key: id
    personal_data: {ship_name: user.name}
    refers_to: {customer: {to: customers, by: customer_id}}
    held_when: {dispute: [open]}
  invoices:
    in: crm
    table: invoice
    key: id
    personal_data: {}
    refers_to: {customer: {to: customers, by: customer_id}}
  calls: {in: crm, table: call, key: id, personal_data: {number: user.contact.phone_number}}
  attachments:
    in: crm
    table: attachment
    key: id
    personal_data: {}
    refers_to: {call: {to: calls, by: call_id}}
    follows: call
  visits: {in: crm, table: visit, key: id, personal_data: {visitor: user}}
rules:
  orders-lose-their-customer:
    obligation: R08
    of: orders
    title: {nb: Ordre, en: Orders}
    clock: customer.ended_on
    keep: P1Y
    then: {anonymise: {ship_name: blank, note: delete}}
    limits: {rows: 10, share: 100%}
  calls-are-counted:
    obligation: R08
    of: calls
    title: {nb: Samtaler, en: Calls}
    keep: P90D
    clock: started_at
    then:
      - aggregate:
          into: statistics
          by: {day: day(started_at), queue: queue}
          count: calls
          sum: {seconds: seconds}
          suppress_below: 2
      - delete
    limits: {rows: 10, share: 100%}
  visits-go:
    obligation: R08
    of: visits
    title: {nb: Besøk, en: Visits}
    clock: seen_on
    keep: P26M
    then: delete
    limits: {rows: 10, share: 100%}
"""
RULES = {"orders-lose-their-customer": 4, "calls-are-counted": 6, "visits-go": 7}


@pytest.fixture
def lethe(open_lethe) -> Lethe:
    return open_lethe(ACTIVITY, SCHEMA)


def sweep(lethe: Lethe, rule: str) -> int:
    plan = lethe.plan(rule, NOW, "run")
    assert answer(lethe, plan)
    rows = act(lethe, plan)
    lethe.finish(plan.digest, NOW, "run")
    assert lethe.verify(plan.digest, "run").rows == 0
    assert plan.survey.of(Verdict.DUE) == rows
    return rows


def test_with_them_every_rule_can_be_planned_done_and_verified(lethe: Lethe) -> None:
    assert {rule: sweep(lethe, rule) for rule in RULES} == RULES
    assert accounted(lethe.database, sum(RULES.values()))


def test_running_them_again_changes_nothing(lethe: Lethe) -> None:
    before = lethe.database.rows("SELECT id, epoch, seq FROM lethe.store")
    lethe.database.run(grants(lethe.policy, lethe.policy.stores["crm"]))
    assert lethe.database.rows("SELECT id, epoch, seq FROM lethe.store") == before
    assert {rule: sweep(lethe, rule) for rule in RULES} == RULES


def test_a_partition_made_later_needs_them_again(lethe: Lethe) -> None:
    lethe.database.run(
        "CREATE TABLE visit_2021 PARTITION OF visit FOR VALUES FROM ('2021-01-01') TO ('2022-01-01');"
        "INSERT INTO visit VALUES (100, 'v', '2021-05-01')"
    )
    lethe.database.run(grants(lethe.policy, lethe.policy.stores["crm"]))
    assert sweep(lethe, "visits-go") == 8


FORBIDDEN = [
    "UPDATE orders SET dispute = 'none'",
    "UPDATE orders SET customer_id = NULL",
    "UPDATE customer SET name = NULL",
    "UPDATE customer SET ended_on = '1999-01-01'",
    "UPDATE call SET started_at = '1999-01-01'",
    "UPDATE visit SET seen_on = '2022-02-02'",
    "UPDATE visit_2022 SET seen_on = '2022-02-02'",
    "DELETE FROM orders",
    "DELETE FROM customer",
    "DELETE FROM invoice",
    "DELETE FROM salary",
    "SELECT * FROM salary",
    "SELECT * FROM invoice",
    "INSERT INTO customer VALUES (99)",
    "INSERT INTO call VALUES (99)",
    "TRUNCATE call",
    "TRUNCATE visit_2022",
    "DROP TABLE call",
    "DROP TABLE visit_2022",
    "CREATE TABLE mine ()",
    "CREATE TABLE lethe.mine ()",
    "UPDATE lethe.outbox SET leaf = ''",
    "DELETE FROM lethe.outbox",
    "TRUNCATE lethe.outbox",
    "UPDATE lethe.store SET epoch = 9",
    "UPDATE lethe.store SET id = gen_random_uuid()",
    "DELETE FROM lethe.store",
    "UPDATE lethe.hold SET key = '0'",
    "TRUNCATE lethe.hold",
    "DELETE FROM lethe.progress",
    "DELETE FROM lethe.partition_intent",
]


@pytest.mark.parametrize("statement", FORBIDDEN)
def test_and_nothing_more(granted, statement: str) -> None:
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        granted.run(statement, "lethe_worker")


@pytest.fixture(scope="module")
def granted(server, tmp_path_factory):
    """One database for all that must fail: nothing in it changes."""
    from lethe.policy import load
    from support import Database, write_policy

    server.ensure_database("test_grants", "postgres", ("lethe_worker", "lethe_officer"))
    database = Database(server, "test_grants")
    database.run(SCHEMA)
    policy = load(write_policy(tmp_path_factory.mktemp("policy") / "policy", ACTIVITY))
    database.run(grants(policy, policy.stores["crm"]))
    yield database
    with server.admin() as admin:
        admin.execute("DROP DATABASE test_grants WITH (FORCE)")


def test_the_officer_has_no_business_in_a_store(granted) -> None:
    for table in ("customer", "lethe.outbox"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            granted.rows(f"SELECT * FROM {table}", "lethe_officer")


def test_a_departure_looks_employees_and_customers_up_by_those_columns_and_no_other(new_database) -> None:
    from pathlib import Path

    from demo.generate import build
    from lethe.offboarding.directory import Directory, values_of
    from lethe.policy import load
    from lethe.stores.postgres.connection import Connection

    policy = load(Path(__file__).parents[2] / "include" / "policy")
    databases = {store: new_database() for store in ("directory", "contacts")}
    build({store: database.conninfo() for store, database in databases.items()})
    connections = {}
    for store, database in databases.items():
        database.run("ALTER TABLE IF EXISTS employees ADD salary int")
        database.run(grants(policy, policy.stores[store]))
        connections[store] = Connection(store, database.conninfo("lethe_worker"))
    found = Directory(connections["directory"], policy.offboarding.directory).find(["1004"])
    assert found["1004"].is_leaving()
    name, column = policy.offboarding.hand_over.customers_in
    assert values_of(connections["contacts"], policy.datasets[name], column)
    for statement in ("SELECT salary FROM employees", "UPDATE employees SET name = ''", "DELETE FROM employees"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            databases["directory"].run(statement, "lethe_worker")
    for each in connections.values():
        each.close()
