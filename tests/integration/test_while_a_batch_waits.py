"""What others change while a batch waits for a lock is judged as it then is, whatever hangs on what."""

import threading
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest

from faults import ACTIVITY, BLOCKY, SCHEMA, act, approved, at_pace, leaves, wait_until
from lethe.errors import LetheError, Stale, StoreRefused
from lethe.run import Lethe

HEAD = """
serves: [R08]
datasets:
  customers:
    in: crm
    table: customer
    key: id
    personal_data: {name: user.name}
    CUSTOMERS
  cases:
    in: crm
    table: cases
    key: id
    personal_data: {txt: user.name}
    refers_to: {customer: {to: customers, by: customer_id}}
    CASES
rules:
  ex-customers:
    obligation: R08
    of: OF
    title: {nb: Kunder, en: Customers}
    clock: ended_on
    keep: P1Y
    WHEN
    then: delete
    limits: {rows: 1000, share: 100%}
"""
TABLES = """
CREATE TABLE customer (id bigint PRIMARY KEY, name text, dispute text, ended_on date);
CREATE TABLE cases (
    id bigint PRIMARY KEY, customer_id bigint REFERENCES customer ON DELETE CASCADE,
    txt text, status text, ended_on date
);
INSERT INTO customer SELECT n, 'Kunde', CASE WHEN n = 99 THEN 'tvist' END, CASE WHEN n <= 50 THEN date '2020-01-01' END
FROM generate_series(1, 100) n;
INSERT INTO cases SELECT n, n, 'x', 'lukket', '2020-01-01' FROM generate_series(1, 50) n;
INSERT INTO cases VALUES (999, 99, 'x', 'tvist', NULL);
"""


def policy(of: str, *, customers: str = "", cases: str = "", when: str = "") -> str:
    filled = HEAD.replace("OF", of).replace("CUSTOMERS", customers).replace("CASES", cases).replace("WHEN", when)
    return "\n".join(line for line in filled.splitlines() if line.strip())


CASES_HELD_BY_CUSTOMER = policy("cases", customers="held_when: {dispute: tvist}", cases="follows: customer")
CASES_OF_SOME_CUSTOMERS = policy("cases", when="when: {customer.name: Kunde}")
CUSTOMERS_WITH_CASES = policy("customers", cases="{follows: customer, held_when: {status: tvist}}").replace(
    "    {follows: customer, held_when: {status: tvist}}", "    follows: customer\n    held_when: {status: tvist}"
)


def act_while(lethe: Lethe, first: str, then: str = "SELECT 1") -> None:
    """Another session does `first` and keeps it open; when the batch waits for it, a third does `then`; both commit."""
    plan = approved(lethe)

    def work() -> None:
        with suppress(LetheError):  # to stop is as good as to leave out: the test looks at the rows
            act(lethe, plan)

    thread = threading.Thread(target=work)
    with lethe.database.connect() as other:
        with other.transaction():
            other.execute(first)
            thread.start()
            wait_until(lambda: lethe.database.one("SELECT count(*) FROM pg_locks WHERE NOT granted"))
            lethe.database.run(then)
        thread.join(30)
    assert not thread.is_alive()


def test_a_hold_set_on_what_a_row_follows_keeps_the_row(open_lethe: Callable[..., Lethe]) -> None:
    lethe = open_lethe(CASES_HELD_BY_CUSTOMER, TABLES)
    act_while(lethe, "SELECT FROM cases WHERE id = 1 FOR UPDATE", "UPDATE customer SET dispute = 'tvist' WHERE id = 50")
    assert lethe.database.rows("SELECT id FROM cases ORDER BY id") == [(50,), (999,)]


def test_a_condition_on_another_row_that_no_longer_holds_keeps_the_row(open_lethe: Callable[..., Lethe]) -> None:
    lethe = open_lethe(CASES_OF_SOME_CUSTOMERS, TABLES)
    act_while(lethe, "SELECT FROM cases WHERE id = 1 FOR UPDATE", "UPDATE customer SET name = 'Aktiv' WHERE id = 50")
    assert lethe.database.rows("SELECT id FROM cases ORDER BY id") == [(50,), (999,)]


def test_a_held_row_that_comes_to_follow_keeps_what_it_follows(open_lethe: Callable[..., Lethe]) -> None:
    lethe = open_lethe(CUSTOMERS_WITH_CASES, TABLES)
    act_while(lethe, "INSERT INTO cases VALUES (1000, 50, 'ny', 'tvist', NULL)")
    assert lethe.database.rows("SELECT id FROM customer WHERE id <= 50") == [(50,)]
    assert lethe.database.rows("SELECT id FROM cases ORDER BY id") == [(50,), (999,), (1000,)]


def test_a_row_that_comes_to_follow_is_counted_with_those_that_go(open_lethe: Callable[..., Lethe]) -> None:
    lethe = open_lethe(CUSTOMERS_WITH_CASES, TABLES)
    act_while(lethe, "INSERT INTO cases VALUES (1000, 50, 'ny', 'lukket', NULL)")
    gone = 52 - lethe.database.one("SELECT count(*) FROM cases")
    assert gone == sum(sum(leaf["reach"].values()) for leaf in leaves(lethe.database))


def test_a_row_that_is_changed_goes_with_its_followers_or_stays_with_them(open_lethe: Callable[..., Lethe]) -> None:
    lethe = open_lethe(CUSTOMERS_WITH_CASES, TABLES)
    act_while(lethe, "UPDATE customer SET name = 'endret' WHERE id = 50")
    left = [lethe.database.one(f"SELECT count(*) FROM {table} WHERE id = 50") for table in ("customer", "cases")]
    assert left in ([0, 0], [1, 1])


@pytest.mark.parametrize("table", ["customer", "cases"])
def test_rows_that_the_server_would_hide_stop_the_rule(open_lethe: Callable[..., Lethe], table: str) -> None:
    """Row-level security could hide a hold, or what remains."""
    lethe = open_lethe(CASES_HELD_BY_CUSTOMER, TABLES)
    lethe.database.run(
        f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY; CREATE POLICY half ON {table} USING (id % 2 = 0)"
    )
    with pytest.raises(StoreRefused, match="row-level security would hide rows"):
        approved(lethe)


def test_a_day_that_has_not_come_in_the_organisations_zone_is_not_acted_on(open_lethe: Callable[..., Lethe]) -> None:
    """Whatever --now says: the store's own clock is asked."""
    lethe = open_lethe(ACTIVITY, SCHEMA)
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    plan = lethe.plan("ex-customers", tomorrow, "run")
    lethe.state_database.run(
        "INSERT INTO lethe.approver (id, person) VALUES ('a', 'x');"
        "ALTER TABLE lethe.approval DISABLE TRIGGER ALL;"
        "INSERT INTO lethe.approval (plan, approved, role, via, approver)"
        f" VALUES ('{plan.digest}', true, 'privacy-officer', 'cli', 'a')"
    )
    with pytest.raises(Stale, match="the store's clock says"):
        lethe.act(plan.digest, 0, tomorrow, "run")
    assert lethe.database.one("SELECT count(*) FROM customer") == 100


def test_a_foreign_key_added_between_two_batches_undoes_the_second(open_lethe: Callable[..., Lethe]) -> None:
    lethe = at_pace(open_lethe(ACTIVITY, BLOCKY), 4)
    plan = approved(lethe)

    def add_letters(_: object) -> None:
        lethe.database.run(
            "CREATE TABLE IF NOT EXISTS letter (customer_id bigint REFERENCES customer ON DELETE CASCADE);"
            "INSERT INTO letter SELECT id FROM customer"
        )

    with pytest.raises(Stale, match="customer got a foreign key or trigger meanwhile"):
        act(lethe, plan, each=add_letters)
    left = lethe.database.one("SELECT count(*) FROM customer")
    assert 0 < left < 100
    assert lethe.database.one("SELECT count(*) FROM letter") == left
    assert sum(leaf["rows"] for leaf in leaves(lethe.database)) == 100 - left


def test_a_follower_that_is_held_while_the_batch_waits_for_another_keeps_its_row(
    open_lethe: Callable[..., Lethe],
) -> None:
    lethe = open_lethe(CUSTOMERS_WITH_CASES, TABLES)
    act_while(lethe, "SELECT FROM cases WHERE id = 1 FOR UPDATE", "UPDATE cases SET status = 'tvist' WHERE id = 50")
    assert lethe.database.rows("SELECT id FROM customer WHERE id <= 50") == [(50,)]
    assert lethe.database.rows("SELECT id FROM cases ORDER BY id") == [(50,), (999,)]
