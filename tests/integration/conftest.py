"""What several integration tests share."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from filled_estate import Bench, read_unbounded
from random_estate import SCHEMA
from support import Database


@pytest.fixture
def bench(new_database: Callable[..., Database], tmp_path: Path) -> Iterator[Bench]:
    database = new_database(lethe=True)
    database.run(SCHEMA)
    with database.connect() as connection:
        connection.execute("SET timezone = 'UTC'")
        read_unbounded(connection)
        yield Bench(database, tmp_path, connection)
