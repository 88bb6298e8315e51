"""A store that cannot be reached, will not, or breaks off: an error with store, rule and remedy, nothing half done.

And the other rules go on.
"""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from faults import (
    ACTIVITY,
    BLOCKY,
    DUE,
    NOW,
    SCHEMA,
    accounted,
    act,
    again,
    approved,
    at_pace,
    customers,
    wait_until,
    waiting,
)
from lethe.errors import ConfigError, LetheError, PlanError, StoreRefused, StoreUnreachable
from lethe.model import Reason
from lethe.run import Lethe
from lethe.stores.postgres.connection import tell
from support import STORES, Database, write_policy

TWO_STORES = STORES.replace(
    "stores:\n", "stores:\n  shop: {kind: postgres, connection: shop, title: {nb: Butikk, en: Shop}}\n"
)
TWO_RULES = (
    ACTIVITY.split("rules:\n", maxsplit=1)[0]
    + "  shoppers: {in: shop, table: customer, key: id, personal_data: {name: user.name}}\n"
    + ACTIVITY[ACTIVITY.index("rules:") :]
    + ACTIVITY[ACTIVITY.index("rules:") + 7 :]
    .replace("ex-customers", "ex-shoppers")
    .replace("of: customers", "of: shoppers")
)  # fmt: skip


class Two:
    """Two stores, a rule for each, and the addresses they are reached under."""

    def __init__(self, lethe: Lethe, crm: Database, addresses: dict[str, str]) -> None:
        self.lethe, self.crm, self.addresses = lethe, crm, addresses

    def fails_alone(self, kind: type[LetheError], *, at: Callable[[], object] | None = None) -> str:
        """The message of the rule that fails; the rule of the other store is planned and done all the same."""
        with pytest.raises(kind) as found:
            (at or (lambda: self.lethe.plan("ex-customers", NOW, "run")))()
        assert act(self.lethe, approved_in(self, "ex-shoppers")) == DUE
        return str(found.value)


def approved_in(two: Two, rule: str) -> object:
    plan = two.lethe.plan(rule, NOW, "run")
    addresses = {**two.addresses, "lethe_state": two.addresses["officer"]}
    with Lethe(two.lethe.policy, addresses.__getitem__) as officer:
        assert officer.answer(plan.digest, True, via="cli", role="privacy-officer")
    return plan


@pytest.fixture
def two(new_database: Callable[..., Database], tmp_path: Path) -> Iterator[Two]:
    from lethe.stores.postgres.grants import grants

    crm, shop, state = new_database(), new_database(), new_database(state=True)
    policy = write_policy(tmp_path / "policy", TWO_RULES)
    (policy / "stores.yaml").write_text(TWO_STORES)
    addresses = {"crm": crm, "shop": shop, "lethe_state": state}
    addresses = {name: database.conninfo("lethe_worker") for name, database in addresses.items()}
    addresses["officer"] = state.conninfo("lethe_officer")
    with Lethe.open(policy, lambda name: addresses[name]) as lethe:
        for name, database in (("crm", crm), ("shop", shop)):
            database.run(SCHEMA)
            database.run(grants(lethe.policy, lethe.policy.stores[name]))
        yield Two(lethe, crm, addresses)


UNREACHABLE = {
    "no server there": (
        {"port": "1"},
        "no connection to the server; is it up, and are host and port of the Airflow connection right?",
    ),
    "a wrong password": ({"password": "wrong"}, "the password was refused; correct the Airflow connection"),
    "a user that does not exist": ({"user": "nobody"}, "the password was refused; correct the Airflow connection"),
    "a database that does not exist": (
        {"dbname": "elsewhere"},
        "the database or its user does not exist; correct the Airflow connection",
    ),
}


@pytest.mark.parametrize("case", UNREACHABLE)
def test_a_store_that_cannot_be_reached_is_named_with_what_to_correct(two: Two, case: str) -> None:
    wrong, remedy = UNREACHABLE[case]
    two.addresses["crm"] = make_conninfo(two.addresses["crm"], **wrong)
    message = two.fails_alone(StoreUnreachable)
    assert message == f"store crm, rule ex-customers: {remedy}; nothing of an open batch was kept"


def test_lethe_state_that_cannot_be_reached_is_named_too(two: Two) -> None:
    two.addresses["lethe_state"] = make_conninfo(two.addresses["lethe_state"], port="1")
    with pytest.raises(StoreUnreachable, match=r"store lethe_state.*no connection to the server"):
        two.lethe.plan("ex-customers", NOW, "run")


def test_a_database_that_is_closed_to_the_user_says_which_permission(two: Two) -> None:
    two.crm.run(f"REVOKE CONNECT ON DATABASE {two.crm.name} FROM lethe_worker")
    message = two.fails_alone(StoreUnreachable)
    assert message.startswith("store crm, rule ex-customers: ")
    assert "CONNECT" in message


def test_a_connection_that_nobody_configured_is_named() -> None:
    from lethe.connections import conninfo_from_environment

    with pytest.raises(ConfigError, match="connection crm: AIRFLOW_CONN_CRM is not set"):
        conninfo_from_environment("crm", {})


def test_a_missing_schema_lethe_is_refused_with_the_command_that_prints_it(two: Two) -> None:
    two.crm.run("DROP SCHEMA lethe CASCADE")
    message = two.fails_alone(StoreRefused)
    assert message == (
        "store crm, rule ex-customers: the schema lethe is missing or closed to this user; its owner runs what "
        "`lethe store grants crm` prints"
    )


@pytest.mark.parametrize("what", ["SELECT ON customer", "SELECT ON lethe.store"])
def test_a_permission_that_is_missing_already_for_the_plan_is_refused_with_its_remedy(two: Two, what: str) -> None:
    two.crm.run(f"REVOKE {what} FROM lethe_worker")
    message = two.fails_alone(StoreRefused)
    assert message.startswith("store crm, rule ex-customers: ")
    assert "lethe store grants" in message


REFUSALS = {
    "no permission to delete": ("REVOKE DELETE ON customer FROM lethe_worker", "42501", "lethe store grants"),
    "no permission to write evidence": (
        "REVOKE INSERT ON lethe.outbox FROM lethe_worker", "42501", "lethe store grants",
    ),
    "no permission to number it": (
        "REVOKE UPDATE (seq) ON lethe.store FROM lethe_worker", "42501", "lethe store grants",
    ),
    "a read-only database": (
        "ALTER DATABASE {database} SET default_transaction_read_only = on", "25006", "connect to the primary",
    ),
    "a full disk, met by the evidence": (
        ("CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS "
        "$$BEGIN RAISE 'no space left' USING ERRCODE = '53100'; END$$;"
        "CREATE TRIGGER full_disk BEFORE INSERT ON lethe.outbox FOR EACH ROW EXECUTE FUNCTION full_disk()"),
        "53100", "make room and run again",
    ),
    "a server short of memory": (
        ("CREATE FUNCTION no_memory() RETURNS trigger LANGUAGE plpgsql AS "
        "$$BEGIN RAISE 'out of memory' USING ERRCODE = '53200'; END$$;"
        "CREATE TRIGGER no_memory BEFORE INSERT ON lethe.progress FOR EACH ROW EXECUTE FUNCTION no_memory()"),
        "53200", "run again later",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSALS)
def test_a_store_that_says_no_to_the_deed_keeps_every_row_and_the_rest_goes_on(two: Two, case: str) -> None:
    statement, state, remedy = REFUSALS[case]
    plan = approved_in(two, "ex-customers")
    two.crm.run(statement.format(database=two.crm.name))
    two.lethe.store(two.lethe.rule("ex-customers"))._connection.close()  # settings of a database meet new sessions only
    message = two.fails_alone(StoreRefused, at=lambda: two.lethe.act(plan.digest, 0, NOW, "run"))
    assert message.startswith("store crm, rule ex-customers: the database answered ")
    assert f"({state})" in message
    assert remedy in message
    assert two.crm.one("SELECT count(*) FROM customer") == 100
    assert two.crm.rows("SELECT * FROM lethe.outbox") == two.crm.rows("SELECT * FROM lethe.progress") == []


def test_a_lock_that_is_not_to_be_had_in_time_undoes_the_batch(open_lethe) -> None:
    lethe = open_lethe(ACTIVITY, SCHEMA)
    plan = approved(lethe)
    lethe.store(lethe.rule("ex-customers"))._planned(plan, "run")
    object.__setattr__(lethe.store(lethe.rule("ex-customers"))._work, "lock_timeout", "50ms")
    with lethe.database.connect() as other, other.transaction():
        other.execute("SELECT * FROM customer WHERE id = 30 FOR UPDATE")
        with pytest.raises(StoreRefused, match=r"store crm, rule ex-customers.*55P03.*run again later"):
            act(lethe, plan)
    assert customers(lethe) == 100
    assert accounted(lethe.database, 0)
    assert act(lethe, plan) == DUE
    assert accounted(lethe.database, DUE)


@pytest.mark.parametrize("blocked", ["on a row", "on the evidence"])
def test_a_connection_dropped_in_mid_batch_costs_that_batch_only(open_lethe, blocked: str) -> None:
    lethe = at_pace(open_lethe(ACTIVITY, BLOCKY))
    plan = approved(lethe)
    done: list[object] = []
    caught: list[LetheError] = []

    def run() -> None:
        try:
            act(lethe, plan, each=done.append)
        except LetheError as error:
            caught.append(error)

    lock = {
        "on a row": "SELECT * FROM customer WHERE id = 50 FOR UPDATE",
        "on the evidence": "SELECT * FROM lethe.store FOR UPDATE",
    }[blocked]
    with lethe.database.connect() as other, other.transaction():
        other.execute(lock)
        thread = threading.Thread(target=run)
        thread.start()
        wait_until(lambda: waiting(lethe.database))
        (pid,) = waiting(lethe.database)
        lethe.database.run(f"SELECT pg_terminate_backend({pid})")
        thread.join(15)
    (error,) = caught
    assert isinstance(error, StoreUnreachable)
    assert str(error) == (
        "store crm, rule ex-customers: the connection to the server was lost; run again; "
        "nothing of an open batch was kept"
    )
    gone = 100 - customers(lethe)
    assert gone == (45 if blocked == "on a row" else 0)
    assert len(done) == gone / 5
    assert accounted(lethe.database, gone)
    assert act(lethe, plan) == 100 - gone  # the same object connects again
    assert accounted(lethe.database, 100)
    assert customers(lethe) == 0


@pytest.fixture
def small_disk(server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A tablespace of a few megabytes."""
    import os
    import pwd
    import subprocess
    import tempfile

    if os.geteuid() != 0:
        pytest.skip("mounting a small file system needs root; the injected 53100 stands in for it")
    where = Path(tempfile.mkdtemp(prefix="lethe-small-"))
    if subprocess.run(
        ["/bin/mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", where], check=False, capture_output=True
    ).returncode:
        where.rmdir()
        pytest.skip("this machine lets nobody mount a file system; the injected 53100 stands in for it")
    owner = pwd.getpwuid((server.data / "PG_VERSION").stat().st_uid)
    os.chown(where, owner.pw_uid, owner.pw_gid)
    with server.admin() as admin:
        admin.execute(f"CREATE TABLESPACE small LOCATION '{where}'")
    yield "small"
    with server.admin() as admin:
        admin.execute("DROP TABLESPACE small")
    subprocess.run(["/bin/umount", where], check=True)
    where.rmdir()


def test_a_disk_that_is_really_full_undoes_the_batch(new_database, small_disk: str, open_lethe) -> None:
    anonymise = ACTIVITY.replace("then: delete", "then: {anonymise: {name: {constant: '" + "x" * 1500 + "'}}}")
    lethe = open_lethe(anonymise, BLOCKY.replace("generate_series(1, 100)", "generate_series(1, 9000)"))
    lethe.database.run(f"ALTER TABLE customer SET TABLESPACE {small_disk}")
    plan = approved(lethe)
    at_pace(lethe, 200)
    with pytest.raises(StoreRefused, match=r"store crm, rule ex-customers.*DiskFull .53100.*make room and run again"):
        act(lethe, plan)
    changed = lethe.database.one("SELECT count(*) FROM customer WHERE name LIKE 'x%'")
    assert accounted(lethe.database, changed)
    lethe.database.run("ALTER TABLE customer SET TABLESPACE pg_default")
    assert act(lethe, plan) == 9000 - changed
    assert accounted(lethe.database, 9000)


def test_a_clock_full_of_nulls_means_nothing_is_due(open_lethe) -> None:
    lethe = open_lethe(ACTIVITY, SCHEMA + "UPDATE customer SET ended_on = NULL")
    plan = lethe.plan("ex-customers", NOW, "run")
    assert {reason.name: rows for reason, rows in plan.survey.counts.items()} == {"UNDATED": 100}
    assert lethe.gate(plan.digest).state == "nothing"
    assert plan.survey.shards == ()
    assert customers(lethe) == 100


def test_a_date_before_the_year_1_is_no_date(open_lethe) -> None:
    lethe = open_lethe(ACTIVITY, SCHEMA + "UPDATE customer SET ended_on = '0044-03-15 BC' WHERE id = 1")
    plan = approved(lethe)
    assert plan.survey.because(Reason.UNDATED) == 1
    assert act(lethe, plan) == DUE - 1
    assert lethe.database.rows("SELECT id FROM customer WHERE id = 1") == [(1,)]


def test_what_the_driver_cannot_read_is_not_taken_for_a_lost_connection() -> None:
    told = tell("crm", psycopg.DataError("date too small: 'Kari Nordmann'"), "ex-customers")
    assert isinstance(told, StoreRefused)
    assert str(told).startswith("store crm, rule ex-customers: the driver gave up with DataError: ")
    assert "Kari" not in str(told)


def test_an_empty_table_means_nothing_is_due(open_lethe) -> None:
    lethe = open_lethe(ACTIVITY, SCHEMA + "DELETE FROM customer")
    plan = lethe.plan("ex-customers", NOW, "run")
    assert lethe.gate(plan.digest).state == "nothing"
    with pytest.raises(PlanError, match="nothing is due; there is nothing to carry out"):
        lethe.finish(plan.digest, NOW, "run")
    assert accounted(lethe.database, 0)


def test_a_store_that_comes_back_is_found_without_a_new_start(open_lethe) -> None:
    lethe = open_lethe(ACTIVITY, SCHEMA)
    lethe.plan("ex-customers", NOW, "run")
    lethe.database.run(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'lethe'"
        " AND datname = current_database()"
    )
    with pytest.raises(StoreUnreachable):
        lethe.plan("ex-customers", NOW, "run")
    assert lethe.plan("ex-customers", NOW, "run").rule == "ex-customers"


def test_a_second_lethe_sees_what_the_first_did(open_lethe) -> None:
    lethe = open_lethe(ACTIVITY, SCHEMA)
    plan = approved(lethe)
    with again(lethe) as other:
        assert act(other, plan) == DUE
    assert act(lethe, plan) == 0
    assert accounted(lethe.database, DUE)
