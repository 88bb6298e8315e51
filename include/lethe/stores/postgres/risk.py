"""Groups of rows without a person, as the database counts them, and what makes the small ones coarser still.

What rows have in common is compared as text of one writing, in the order of its bytes; it leaves the database only to
be matched with that of another, and is never told.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import chain, combinations
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from psycopg.sql import SQL, Composable, Composed, Identifier, Literal

from lethe.anonymise.find import Finder
from lethe.anonymise.risk import Groups, Key, matched
from lethe.anonymise.subject import Identifiers
from lethe.errors import SchemaMismatch
from lethe.evidence.leaf import coarsening_leaf
from lethe.model import Anonymise, Anonymity, Change, Dataset, Generalise, Linked, Policy, Reason
from lethe.stores.postgres import outbox
from lethe.stores.postgres.agree import Agreed, zone_of
from lethe.stores.postgres.changes import assignment, changed, is_changed
from lethe.stores.postgres.live import CLOCK_TYPES, Column, read_dataset
from lethe.stores.postgres.outbox import Conn
from lethe.stores.postgres.predicate import Predicate, Scope, done, table_name

if TYPE_CHECKING:
    from lethe.stores.postgres.apply import Work

_NAMED = ("user.name", "user.contact", "user.unique_id", "user.government_id")
_TEXTS = ("text", "character varying", "character")
_NUMBERS = ("smallint", "integer", "bigint", "numeric", "real", "double precision")


class Counted:
    """The rows of one dataset that lost their person, or all of them where none ever had one."""

    def __init__(self, conn: Conn, policy: Policy, dataset: Dataset) -> None:
        table = read_dataset(conn, dataset)
        if table is None:
            raise SchemaMismatch((f"table {dataset.schema}.{dataset.table} (dataset {dataset.name}): not found",))
        self.conn, self.policy, self.dataset = conn, policy, dataset
        self.scope = Scope(Agreed(policy, {dataset.name: table}, (), ""), dataset, "t")
        self.columns: Mapping[str, Column] = table.columns
        anonymising = (r.action for r in policy.rules.values() if r.dataset.name == dataset.name)
        self.fields = next((dict(action.fields) for action in anonymising if isinstance(action, Anonymise)), {})

    @property
    def test(self) -> Composable:
        """Whether a row counts."""
        return done(self.scope, self.fields) if self.fields else SQL("true")

    def of(self, column: str) -> Composable:
        """A column, qualified."""
        return SQL("t.{}").format(Identifier(column))

    def table(self) -> Identifier:
        """The table's name."""
        return table_name(self.dataset)


def _together(columns: Iterable[Composable]) -> Composable:
    return SQL("jsonb_build_array({})::text").format(SQL(", ").join(columns))


def _says_something(counted: Counted, columns: Iterable[str]) -> Composable:
    tests = [SQL("{} IS NOT NULL").format(counted.of(column)) for column in columns]
    return SQL("({})").format(SQL(" OR ").join(tests))


def groups(counted: Counted, anonymity: Anonymity) -> Groups:
    """The groups by the quasi-identifiers; rows that say nothing there stand in none."""
    query = SQL(
        "SELECT coalesce(sum(n), 0)::bigint, count(*), min(n), coalesce(sum(n) FILTER (WHERE n < {}), 0)::bigint"
        " FROM (SELECT count(*) AS n FROM {} AS t WHERE {} AND {} GROUP BY {}) AS g"
    ).format(
        Literal(anonymity.k),
        counted.table(),
        counted.test,
        _says_something(counted, anonymity.by),
        SQL(", ").join(map(counted.of, anonymity.by)),
    )
    row = counted.conn.execute(query).fetchone()
    assert row is not None
    return Groups(*row)


def coarsen(conn: Conn, work: Work, predicate: Predicate) -> None:
    """Make groups that are too small coarser, step by step until there are none, each step with its evidence."""
    anonymity = work.question.agreed.policy.anonymity.get(work.rule.dataset.name)
    for number, step in enumerate(anonymity.small_groups if anonymity else ()):
        assert anonymity is not None
        counted = Counted(conn, work.question.agreed.policy, work.rule.dataset)
        rows = coarsen_groups(counted, anonymity, step, predicate)
        tell(conn, work, step=number, matched_with=None, rows=rows)


def tell(conn: Conn, work: Work, *, step: int, matched_with: str | None, rows: int) -> None:
    """The evidence of a step that changed something, in its transaction."""
    if rows:
        place = outbox.take_place(conn)
        leaf = coarsening_leaf(work.plan, work.rule, place, work.run, step=step, matched_with=matched_with, rows=rows)
        outbox.write(conn, place, f"{work.plan.digest}/coarser/{uuid4().hex}", leaf)


def coarsen_groups(counted: Counted, anonymity: Anonymity, step: Mapping[str, Change], predicate: Predicate) -> int:
    """Make the rows of groups that are too small coarser by a step, but those that must stay as they are."""
    key = _together(map(counted.of, anonymity.by))
    small = SQL("{} IN (SELECT {} FROM {} AS t WHERE {} AND {} GROUP BY 1 HAVING count(*) < {})").format(
        key, key, counted.table(), counted.test, _says_something(counted, anonymity.by), Literal(anonymity.k)
    )
    return _coarsen(counted, step, predicate, small)


def coarsen_matched(
    counted: Counted, linked: Linked, found: tuple[tuple[str, ...], list[Key]], step: Mapping[str, Change],
    predicate: Predicate,
) -> int:  # fmt: skip
    """Make the rows that can be matched coarser by a step; `found` is the columns that say something, and the keys."""
    columns, keys = found
    ours = [own for own, _ in linked.by]
    test = SQL("{} AND {} = ANY (%(keys)s)").format(
        _pattern(counted, ours, columns), _together(_written(counted, column) for column in columns)
    )
    return _coarsen(counted, step, predicate, test, {"keys": keys})


def _coarsen(
    counted: Counted, step: Mapping[str, Change], predicate: Predicate, test: Composable,
    params: Mapping[str, Any] | None = None,
) -> int:  # fmt: skip
    zone = counted.policy.organisation.zone
    left = [
        SQL("NOT ({})").format(is_changed(counted.of(c), counted.columns[c], change, zone))
        for c, change in step.items()
    ]
    sets = [assignment(c, counted.columns[c], change, zone) for c, change in step.items()]
    kept = [predicate.reasons[r] for r in (Reason.HELD, Reason.RESTRICTED, Reason.FLOOR) if r in predicate.reasons]
    free = SQL(" AND ").join([SQL("true"), *(SQL("NOT coalesce({}, true)").format(reason) for reason in kept)])
    rows = SQL("SELECT t.tableoid, t.ctid FROM {} AS t{} WHERE {} AND {} AND ({}) AND {} FOR UPDATE OF t").format(
        counted.table(), predicate.scope.joined(), counted.test, free, SQL(" OR ").join(left), test
    )
    update = SQL("UPDATE {} AS t SET {} WHERE (t.tableoid, t.ctid) IN ({})").format(
        counted.table(), SQL(", ").join(sets), rows
    )
    return counted.conn.execute(update, params).rowcount


def matches(
    ours: Counted, theirs: Counted, anonymity: Anonymity, linked: Linked
) -> Iterator[tuple[tuple[str, ...], Key, int]]:
    """What can be matched with too few people: by which columns, under which key, how many rows.

    Each side has a connection of its own, which is read while the other is. A row that says nothing in one of the
    columns is matched by the others.
    """
    for columns in _choices(own for own, _ in linked.by):
        keys = here(ours, linked, columns)
        if (first := next(keys, None)) is not None:
            named = there(theirs, ours, linked, columns)
            found = matched(chain([first], keys), named, anonymity.k)
            yield from ((columns, key, rows) for key, rows in found)


def _choices(columns: Iterable[str]) -> Iterator[tuple[str, ...]]:
    """Every choice of at least one column, all of them first."""
    listed = tuple(columns)
    for size in range(len(listed), 0, -1):
        yield from combinations(listed, size)


def here(counted: Counted, linked: Linked, columns: tuple[str, ...]) -> Iterator[tuple[Key, int]]:
    """Our side of a match, sorted: the keys of the rows that say something in exactly these columns, and how many."""
    query = SQL('SELECT {} COLLATE "C", count(*) FROM {} AS t WHERE {} AND {} GROUP BY 1 ORDER BY 1').format(
        _together(_written(counted, column) for column in columns),
        counted.table(),
        counted.test,
        _pattern(counted, (own for own, _ in linked.by), columns),
    )
    return _stream(counted.conn, query)


def there(counted: Counted, ours: Counted, linked: Linked, columns: tuple[str, ...]) -> Iterator[tuple[Key, int]]:
    """Their side of it: the keys, and how many people still have their names under each, sorted."""
    theirs = dict(linked.by)
    named = [name for name, category in counted.dataset.personal_data.items() if category.startswith(_NAMED)]
    people = _together(map(counted.of, named))
    query = SQL(
        'SELECT {} COLLATE "C", count(DISTINCT {}) FROM {} AS t WHERE {} AND NOT ({}) GROUP BY 1 ORDER BY 1'
    ).format(
        _together(_as_ours(counted, theirs[column], ours, column) for column in columns),
        people,
        counted.table(),
        _says_something(counted, named) if named else SQL("false"),
        counted.test if counted.fields else SQL("false"),
    )
    return _stream(counted.conn, query)


def _stream(conn: Conn, query: Composed) -> Iterator[tuple[Any, int]]:
    """Rows as the server has them ready; nothing is held as a whole."""
    with conn.transaction(), conn.cursor("stream") as cursor:
        cursor.itersize = 10_000
        yield from cursor.execute(query)


def _pattern(counted: Counted, ours: Iterable[str], columns: Iterable[str]) -> Composable:
    """Exactly these columns say something."""
    tests = [SQL("{} IS NOT NULL" if column in columns else "{} IS NULL").format(counted.of(column)) for column in ours]
    return SQL(" AND ").join(tests)


def _written(counted: Counted, column: str) -> Composable:
    return _in_one_writing(counted, column, counted.of(column))


def _as_ours(counted: Counted, column: str, ours: Counted, own: str) -> Composable:
    """Their value as coarse as our rule leaves ours: whoever matches would do the same."""
    change, value = ours.fields.get(own), counted.of(column)
    if isinstance(change, Generalise):
        value = changed(value, counted.columns[column], change, counted.policy.organisation.zone)
    return _in_one_writing(counted, column, value)


def _in_one_writing(counted: Counted, column: str, value: Composable) -> Composable:
    """Moments as their local day, numbers without trailing zeros, all else as text."""
    of, zone = counted.columns[column], Literal(counted.policy.organisation.zone.key)
    if of.type in _NUMBERS:
        return SQL("trim_scale(({})::numeric)::text").format(value)
    if of.type == CLOCK_TYPES[1]:
        return SQL("(({}) AT TIME ZONE {})::date::text").format(value, zone)
    if of.type == CLOCK_TYPES[2]:
        written = zone_of(counted.policy, counted.dataset, column)
        at = Literal(written.key if written else counted.policy.organisation.zone.key)
        return SQL("(({}) AT TIME ZONE {} AT TIME ZONE {})::date::text").format(value, at, zone)
    return SQL("({})::text").format(value)


def telling(counted: Counted) -> dict[str, int]:
    """Columns that tell every row apart, or whose text names somebody's number or address, with how many rows."""
    found = dict[str, int]()
    for name, column in counted.columns.items():
        if name in counted.dataset.key:
            continue
        query = SQL("SELECT count({0}), count(DISTINCT {0}) FROM {1} AS t").format(counted.of(name), counted.table())
        rows, distinct = counted.conn.execute(query).fetchone() or (0, 0)
        if rows > 1 and rows == distinct:
            found[name] = rows
        elif column.type in _TEXTS:
            finder = Finder(Identifiers())
            values = SQL("SELECT {0}, count(*) FROM {1} AS t WHERE {0} IS NOT NULL GROUP BY 1").format(
                counted.of(name), counted.table()
            )
            found[name] = sum(rows for text, rows in _stream(counted.conn, values) if finder.find(text))
    return {name: rows for name, rows in found.items() if rows}
