"""Groups of rows without a person, as the database counts them, and what makes the small ones coarser still.

What rows have in common is compared as text of one writing, in the order of its bytes; it leaves the database only to
be matched with that of another, and is never told.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, combinations, product
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from psycopg.sql import SQL, Composable, Composed, Identifier, Literal

from lethe.anonymise.risk import Groups, Key, matched
from lethe.errors import SchemaMismatch
from lethe.evidence.leaf import coarsening_leaf
from lethe.model import Anonymise, Anonymity, Change, Dataset, Generalise, Linked, Policy, Reason, WriteDown
from lethe.stores.postgres import outbox
from lethe.stores.postgres.agree import Agreed, zone_of
from lethe.stores.postgres.changes import assignment, changed, is_changed
from lethe.stores.postgres.live import CLOCK_TYPES, Column, read_dataset
from lethe.stores.postgres.outbox import Conn
from lethe.stores.postgres.predicate import Predicate, Scope, done, plain, table_name

if TYPE_CHECKING:
    from lethe.stores.postgres.apply import Work

Levels = Mapping[str, Generalise]
"""How coarse columns are compared, where that is coarser than the rule leaves them."""
Match = tuple[tuple[str, ...], Key]
"""The columns that rows say something in and are matched by, and what they say there."""
Matched = tuple[Linked, tuple[str, ...], list[Key]]
"""Rows that can be matched: with what, by which columns, and the keys of some of them."""
_TEXTS = ("text", "character varying", "character", "json", "jsonb")
_NUMBERS = ("smallint", "integer", "bigint", "numeric", "real", "double precision")


class Counted:
    """The rows of one dataset that lost their person, or all of them where none ever had one."""

    def __init__(self, conn: Conn, policy: Policy, dataset: Dataset) -> None:
        table = read_dataset(conn, dataset)
        if table is None:
            raise SchemaMismatch((f"table {dataset.schema}.{dataset.table} (dataset {dataset.name}): not found",))
        self.conn, self.policy, self.dataset = conn, policy, dataset
        self.columns: Mapping[str, Column] = table.columns
        anonymising = (r.action for r in policy.rules.values() if r.dataset.name == dataset.name)
        self.fields = next((dict(action.fields) for action in anonymising if isinstance(action, Anonymise)), {})
        scope = Scope(Agreed(policy, {dataset.name: table}, (), ""), dataset, "t")
        taken = {name: change for name, change in self.fields.items() if not isinstance(change, WriteDown)}
        self.test = done(scope, taken) if self.fields else SQL("true")
        """Whether a row counts: it lost all that it was to lose."""

    def table(self) -> Composable:
        """Its rows, as t."""
        return SQL("{} AS t").format(table_name(self.dataset))

    def of(self, column: str) -> Composable:
        """A column, qualified; SchemaMismatch when the table has none of this name."""
        if column not in self.columns:
            place = f"{self.dataset.schema}.{self.dataset.table}"
            raise SchemaMismatch((f"column {place}.{column} (dataset {self.dataset.name}): not found in the database",))
        return SQL("t.{}").format(Identifier(column))


def _together(columns: Iterable[Composable]) -> Composable:
    return SQL("jsonb_build_array({})::text").format(SQL(", ").join(columns))


def _says_something(counted: Counted, columns: Iterable[str]) -> Composable:
    tests = [SQL("{} IS NOT NULL").format(counted.of(column)) for column in columns]
    return SQL("({})").format(SQL(" OR ").join(tests))


def groups(counted: Counted, anonymity: Anonymity) -> Groups:
    """The groups by the quasi-identifiers; rows that say nothing there stand in none."""
    query = SQL(
        "SELECT coalesce(sum(n), 0)::bigint, count(*), min(n), coalesce(sum(n) FILTER (WHERE n < {}), 0)::bigint"
        " FROM (SELECT count(*) AS n FROM {} WHERE {} AND {} GROUP BY {}) AS g"
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


def tell(conn: Conn, work: Work, *, step: int, matched_with: str | None, rows: int) -> None:
    """The evidence of a step that changed something, in its transaction."""
    if rows:
        place = outbox.take_place(conn)
        leaf = coarsening_leaf(work.plan, work.rule, place, work.run, step=step, matched_with=matched_with, rows=rows)
        outbox.write(conn, place, f"{work.plan.digest}/coarser/{uuid4().hex}", leaf)


def coarsen(
    counted: Counted, anonymity: Anonymity, step: Mapping[str, Change], predicate: Predicate, matched: Matched | None
) -> int:
    """Make rows coarser by a step, but those that must stay as they are: matched ones, or those of small groups."""
    if matched is not None:
        linked, columns, keys = matched
        written = _together(_written(counted, column) for column in columns)
        test = SQL("{} AND {} = ANY (%(keys)s)").format(plain(_pattern(counted, linked, columns)), plain(written))
        return _coarsen(counted, step, predicate, test, keys)
    key = _together(map(counted.of, anonymity.by))
    small = SQL("{} IN (SELECT {} FROM {} WHERE {} AND {} GROUP BY 1 HAVING count(*) < {})").format(
        key, key, counted.table(), counted.test, _says_something(counted, anonymity.by), Literal(anonymity.k)
    )
    return _coarsen(counted, step, predicate, plain(small))


def _coarsen(
    counted: Counted, step: Mapping[str, Change], predicate: Predicate, test: Composable, keys: Sequence[Key] = ()
) -> int:  # fmt: skip
    """Of the rows that `test` names, by the keys or without, those that the rule says are done and nothing keeps."""
    zone, table = counted.policy.organisation.zone, table_name(counted.dataset)
    left = [
        SQL("NOT ({})").format(is_changed(counted.of(c), counted.columns[c], change, zone))
        for c, change in step.items()
    ]
    sets = [assignment(c, counted.columns[c], change, zone) for c, change in step.items()]
    kept = [predicate.reasons[r] for r in (Reason.HELD, Reason.RESTRICTED, Reason.FLOOR) if r in predicate.reasons]
    tests = [predicate.reasons[Reason.DONE], *(SQL("NOT coalesce({}, true)").format(reason) for reason in kept)]
    update = SQL(
        "UPDATE {table} AS t SET {sets} WHERE (t.tableoid, t.ctid) IN ("
        "SELECT t.tableoid, t.ctid FROM {table} AS t{joins} WHERE {tests} AND ({left}) AND "
    ).format(
        table=table,
        sets=SQL(", ").join(sets),
        joins=predicate.scope.joined(),
        tests=SQL(" AND ").join(tests),
        left=SQL(" OR ").join(left),
    )
    query = Composed([plain(update), test, SQL(" FOR UPDATE OF t)")])
    with counted.conn.cursor() as cursor:
        return cursor.execute(query, {"keys": list(keys)}).rowcount


def matches(ours: Counted, theirs: Counted, anonymity: Anonymity, linked: Linked) -> Iterator[tuple[Match, int]]:
    """What can be matched with too few people, and how many rows that are; a row can come up at several levels.

    Each side has a connection of its own, which is read while the other is. A row that says nothing in one of the
    columns is matched by the others, and one that a step made coarser at that step's level.
    """
    for own, other in linked.by:  # a column that is missing is told where nobody could be matched by it yet, too
        ours.of(own)
        theirs.of(other)
    for columns in _choices(own for own, _ in linked.by):
        for levels in _levels(anonymity, columns):
            keys = _here(ours, linked, columns, levels)
            if (first := next(keys, None)) is not None:
                named = _there(theirs, ours, linked, columns, levels)
                found = matched(chain([first], keys), named, anonymity.k)
                yield from (((columns, key), rows) for key, rows in found)


def _choices(columns: Iterable[str]) -> Iterator[tuple[str, ...]]:
    """Every choice of at least one column, all of them first."""
    listed = tuple(columns)
    for size in range(len(listed), 0, -1):
        yield from combinations(listed, size)


def _levels(anonymity: Anonymity, columns: tuple[str, ...]) -> Iterator[Levels]:
    """Every way in which the steps can have left the columns, as the rule leaves them first."""
    coarser = {
        column: [None, *(step[column] for step in anonymity.small_groups if isinstance(step.get(column), Generalise))]
        for column in columns
    }
    for chosen in product(*coarser.values()):
        pairs = zip(coarser, chosen, strict=True)
        yield {column: change for column, change in pairs if isinstance(change, Generalise)}


def _here(counted: Counted, linked: Linked, columns: tuple[str, ...], levels: Levels) -> Iterator[tuple[Key, int]]:
    """Our side of a match, sorted: the keys of the rows that say something in exactly these columns, and how many."""
    zone = counted.policy.organisation.zone
    as_coarse = [is_changed(counted.of(c), counted.columns[c], change, zone) for c, change in levels.items()]
    query = SQL('SELECT {} COLLATE "C", count(*) FROM {} WHERE {} GROUP BY 1 ORDER BY 1').format(
        _together(_written(counted, column) for column in columns),
        counted.table(),
        SQL(" AND ").join([counted.test, _pattern(counted, linked, columns), *as_coarse]),
    )
    return _stream(counted.conn, query)


def _there(
    counted: Counted, ours: Counted, linked: Linked, columns: tuple[str, ...], levels: Levels
) -> Iterator[tuple[Key, int]]:
    """Their side of it: the keys, and how many people still have their names under each, sorted."""
    theirs, named = dict(linked.by), counted.dataset.naming
    coarse = {column: levels.get(column, ours.fields.get(column)) for column in columns}
    query = SQL('SELECT {} COLLATE "C", count(DISTINCT {}) FROM {} WHERE {} AND NOT ({}) GROUP BY 1 ORDER BY 1').format(
        _together(_as_coarse(counted, theirs[column], change) for column, change in coarse.items()),
        _together(map(counted.of, named)),
        counted.table(),
        _says_something(counted, named),
        counted.test if counted.fields else SQL("false"),
    )
    return _stream(counted.conn, query)


def _stream(conn: Conn, query: Composed) -> Iterator[tuple[Any, int]]:
    """Rows as the server has them ready; nothing is held as a whole."""
    with conn.transaction(), conn.cursor("stream") as cursor:
        cursor.itersize = 10_000
        yield from cursor.execute(query)


def _pattern(counted: Counted, linked: Linked, columns: Iterable[str]) -> Composable:
    """Of our columns exactly these say something."""
    ours = [own for own, _ in linked.by]
    tests = [SQL("{} IS NOT NULL" if column in columns else "{} IS NULL").format(counted.of(column)) for column in ours]
    return SQL(" AND ").join(tests)


def _written(counted: Counted, column: str) -> Composable:
    return _in_one_writing(counted, column, counted.of(column))


def _as_coarse(counted: Counted, column: str, change: Change | None) -> Composable:
    """Their value as coarse as ours is left: whoever matches would do the same."""
    value = counted.of(column)
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
    found = {name: _telling(counted, name) for name in counted.columns if name not in counted.dataset.key}
    return {name: rows for name, rows in found.items() if rows}


def _telling(counted: Counted, column: str) -> int:
    from lethe.anonymise.find import Finder  # the numbering plans are loaded by who measures
    from lethe.anonymise.subject import Identifiers

    values = SQL("SELECT {0}::text, count(*) FROM {1} WHERE {0} IS NOT NULL GROUP BY 1").format(
        counted.of(column), counted.table()
    )
    sums = SQL("SELECT coalesce(sum(n), 0)::bigint, count(*) FROM ({}) AS v (value, n)").format(values)
    rows, distinct = counted.conn.execute(sums).fetchone() or (0, 0)
    if rows > 1 and rows == distinct:
        return int(rows)
    if counted.columns[column].type not in _TEXTS:
        return 0
    finder = Finder(Identifiers())
    return sum(rows for text, rows in _stream(counted.conn, values) if finder.find(text))
