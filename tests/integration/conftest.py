"""What several integration tests share."""

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from demo.generate import STORES
from demo.postgres import ADMIN, Postgres
from filled_estate import Bench, read_unbounded
from lethe.offboarding.receipts import Handed
from lethe.stores.postgres.connection import Connection
from mailboxes import DEPARTURE
from random_estate import SCHEMA
from support import Database


@pytest.fixture(scope="module")
def demo_stores(server: Postgres) -> Iterator[dict[str, str]]:
    """Empty databases for the demo's stores: the administrator's addresses."""
    names = {store: f"demo_{store.replace('-', '_')}" for store in STORES}
    with server.admin() as admin:
        for name in names.values():
            admin.execute(f"CREATE DATABASE {name} STRATEGY file_copy")
        yield {store: server.conninfo(name, ADMIN, "admin") for store, name in names.items()}
        for name in names.values():
            admin.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def bench(new_database: Callable[..., Database], tmp_path: Path) -> Iterator[Bench]:
    database = new_database(lethe=True)
    database.run(SCHEMA)
    with database.connect() as connection:
        connection.execute("SET timezone = 'UTC'")
        read_unbounded(connection)
        yield Bench(database, tmp_path, connection)


@pytest.fixture
def register(new_database: Callable[..., Database]) -> Iterator[Handed]:
    """What one departure hands over to one recipient, and nothing yet."""
    database, departure = new_database(state=True), "d" * 32
    database.run(DEPARTURE.format(departure))
    with closing(Connection("lethe_state", database.conninfo("lethe_worker"))) as connection:
        yield Handed(connection, departure, "1007")
