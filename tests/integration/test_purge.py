"""After a large sweep the tables are vacuumed, and evidence says so only where it is so."""

import pytest

from faults import ACTIVITY, NOW, act, approved, leaves
from lethe.run import Lethe
from sealing import RUN

MANY = """
CREATE TABLE customer (id bigint PRIMARY KEY, name text, ended_on date);
INSERT INTO customer SELECT n, 'Kunde ' || n, date '2020-01-01' FROM generate_series(1, {rows}) n;
"""


def told(lethe: Lethe) -> list[int]:
    plan = approved(lethe)
    act(lethe, plan, run=RUN)
    for _ in range(2):
        lethe.finish(plan.digest, NOW, RUN)
    return [leaf["tables"] for leaf in leaves(lethe.database) if leaf["kind"] == "purge"]


@pytest.fixture
def lethe(open_lethe) -> Lethe:
    return open_lethe(ACTIVITY.replace("rows: 1000", "rows: 5000"), MANY.format(rows=1500))


def test_a_purge_is_evidence_once(lethe: Lethe) -> None:
    lethe.database.run("GRANT MAINTAIN ON customer TO lethe_worker")
    assert told(lethe) == [1]
    assert lethe.database.one("SELECT n_dead_tup FROM pg_stat_user_tables WHERE relname = 'customer'") == 0


def test_what_the_role_may_not_vacuum_is_not_told_as_purged(lethe: Lethe) -> None:
    assert told(lethe) == []


def test_a_table_that_somebody_has_locked_is_not_told_as_purged(lethe: Lethe) -> None:
    lethe.database.run("GRANT MAINTAIN ON customer TO lethe_worker")
    plan = approved(lethe)
    act(lethe, plan, run=RUN)
    with lethe.database.connect() as other, other.transaction():
        other.execute("LOCK TABLE customer IN SHARE UPDATE EXCLUSIVE MODE")
        lethe.finish(plan.digest, NOW, RUN)
    assert [leaf["kind"] for leaf in leaves(lethe.database)] == ["batch"]


def test_few_rows_are_left_to_autovacuum(open_lethe) -> None:
    few = open_lethe(ACTIVITY, MANY.format(rows=50))
    few.database.run("GRANT MAINTAIN ON customer TO lethe_worker")
    assert told(few) == []


@pytest.mark.parametrize("left", [0, 20])
def test_statistics_tell_nothing_of_what_went_however_few_rows_that_were(open_lethe, left: int) -> None:
    """A table without rows keeps its statistics through ANALYZE: they are cleared."""
    few = open_lethe(ACTIVITY, MANY.format(rows=50) + f"UPDATE customer SET ended_on = NULL WHERE id <= {left};")
    few.database.run("GRANT MAINTAIN ON customer TO lethe_worker; ANALYZE customer")
    known = "SELECT count(*) FROM pg_stats WHERE tablename = 'customer' AND histogram_bounds::text LIKE '%Kunde 50%'"
    assert few.database.one(known) == 1
    assert told(few) == []
    assert few.database.one(known) == 0
