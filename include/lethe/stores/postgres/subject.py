"""One data subject's rows in a store, and what every rule says of each: Predicate, kept to the rows that hang on one.

Nothing that stands in a row leaves this file but its key and the local dates of clocks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from psycopg.sql import SQL, Composable, Composed, Identifier, Literal

from lethe.errors import SchemaMismatch
from lethe.explain import Ending, Held, Judged, Row, Standing, Told, endings_of
from lethe.holds import whole_rule
from lethe.model import NO_REASON, Clock, Dataset, Floor, Kin, Policy, Reason, Rule
from lethe.reach import above_of, below_of, datasets_of, own_of
from lethe.stores.postgres.agree import Agreed
from lethe.stores.postgres.apply import one
from lethe.stores.postgres.elsewhere import Elsewhere
from lethe.stores.postgres.holds import has_row
from lethe.stores.postgres.live import Table, read_dataset
from lethe.stores.postgres.outbox import Conn
from lethe.stores.postgres.predicate import (
    Holds,
    Predicate,
    Question,
    Scope,
    among,
    copied,
    key_text,
    kin_scopes,
    local_date_sql,
    mirrored,
    plain,
    table_name,
    undated_sql,
    under,
)
from lethe.stores.postgres.verdicts import among_keys

READS_ONLY = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"
"""All is told as of one moment, and nothing can be changed by telling it."""
_NOT_READ = "this user may not read the table {0.schema}.{0.table}"


@dataclass(frozen=True)
class Subject:
    """The row asked about, and how many rows of each dataset are told one by one (None: all)."""

    dataset: Dataset
    key: str = field(repr=False)
    most: int | None


class Look:
    """One look at a subject, inside a transaction that reads only."""

    def __init__(
        self, conn: Conn, policy: Policy, subject: Subject, holds: Holds, ask: Callable[[Rule], Question],
        elsewhere: Elsewhere,
    ) -> None:  # fmt: skip
        self.conn, self.policy, self.subject, self.holds, self.ask = conn, policy, subject, holds, ask
        self.elsewhere = elsewhere
        self._tables = dict[str, Table | None]()

    def told(self) -> Iterator[Told]:
        """The subject's row, and the rows here of every dataset that hang on it; nothing when there is no such row."""
        start = self.subject.dataset
        if self._is_here(start) and not self._problem(start) and not has_row(self.conn, start, self.subject.key):
            return
        for dataset, paths in below_of(self.policy, start):
            if not self._is_here(dataset):
                continue
            if self._is_outside(dataset):
                yield Told(dataset, paths, outside=True)
            else:
                problem = self._problem(dataset)
                yield Told(dataset, paths, problem=problem) if problem else self._told(dataset, paths)

    def _is_outside(self, dataset: Dataset) -> bool:
        """Whether no rule has to do with a dataset that cannot be read: the grants that Lethe asks for leave it out."""
        table = self._table(dataset)
        if table is None or self._may_read(table):
            return False
        return not any(dataset in datasets_of(self.policy, rule) for rule in self.policy.rules.values())

    def _is_here(self, dataset: Dataset) -> bool:
        return self.elsewhere.is_here(dataset)

    def _may_read(self, table: Table) -> bool:
        query = "SELECT has_table_privilege(%(oid)s::oid, 'SELECT')"
        return bool(one(self.conn, query, {"oid": table.oid})[0])

    def _problem(self, dataset: Dataset) -> str:
        """Why the rows of a dataset cannot be read; empty when they can."""
        wanted = dict[str, set[str]]()
        for each in (dataset, *(above for _, above in above_of(self.policy, dataset))):
            table = self._table(each)
            if table is None:
                return f"table {each.schema}.{each.table} is not found in the database"
            if self._is_here(each) and not self._may_read(table):  # what is elsewhere has been copied
                return _NOT_READ.format(each)
            wanted[each.name] = {*each.key, *(own for relation in each.relations.values() for own in own_of(relation))}
        for condition in dataset.held_when:
            wanted[self._scope(dataset, "f").agreed.owner(dataset, condition.at).name].add(condition.at.column)
        missing = (
            f"column {table.schema}.{table.name}.{column} is not found in the database"
            for name, columns in wanted.items()
            if (table := self._tables[name]) is not None
            for column in sorted(columns - table.columns.keys())
        )
        return next(missing, "")

    def _require_reading(self, rule: Rule) -> None:
        """SchemaMismatch where a table that the verdict is read from is closed: an error would end the transaction."""
        needed = {each.name: each for each in datasets_of(self.policy, rule) if self._is_here(each)}.values()
        closed = [each for each in needed if (table := self._table(each)) is not None and not self._may_read(table)]
        if closed:
            raise SchemaMismatch(tuple(_NOT_READ.format(each) for each in closed))

    def _table(self, dataset: Dataset) -> Table | None:
        if dataset.name not in self._tables:
            here = self._is_here(dataset)
            self._tables[dataset.name] = read_dataset(self.conn, dataset) if here else self.elsewhere.table(dataset)
        return self._tables[dataset.name]

    def _place(self, dataset: Dataset) -> Identifier:
        return table_name(dataset) if self._is_here(dataset) else copied(dataset)

    def _told(self, dataset: Dataset, paths: tuple[tuple[str, ...], ...]) -> Told:
        hanging, rest = self._hanging(dataset, paths), Literal(self.subject.most or 0)
        order = _listed([Identifier(f"key_{number}") for number in range(len(dataset.key))])
        rows = SQL("SELECT part, place FROM hanging ORDER BY {}, part, place").format(order)
        total = self._run(SQL("SELECT count(*) FROM hanging"), hanging)[0][0]
        first = SQL("{} LIMIT {}").format(rows, Literal(self.subject.most))
        heads = list(self._heads(self._scope(dataset, "f"), first, hanging))
        judged = dict[str, list[Judged]]()
        sums, stopped = list[tuple[Ending, Mapping[Reason, int]]](), dict[str, tuple[str, ...]]()
        for ending in endings_of(self.policy, dataset) if total else ():
            try:
                self._require_reading(ending.rule)
                judge = _Judge(ending, self.ask(ending.rule), self._scope(dataset, "f"))
            except SchemaMismatch as error:
                stopped[ending.rule.name] = error.problems
                continue
            for place, found in judge.read(self._run(judge.each(first), hanging)):
                judged.setdefault(place, []).append(found)
            if self.subject.most is not None and total > self.subject.most:
                counted = self._run(judge.counts(SQL("{} OFFSET {}").format(rows, rest)), hanging)
                sums.append((ending, {Reason(mask): number for mask, number in counted}))
        told = (Row(n, key, holds, tuple(judged.get(place, ()))) for n, (place, key, holds) in enumerate(heads, 1))
        return Told(dataset, paths, total, tuple(told), tuple(sums), stopped)

    def _scope(self, dataset: Dataset, alias: str) -> Scope:
        return Scope(Agreed(self.policy, {}, (), ""), dataset, alias)

    def _run(self, query: Composable, hanging: Composable) -> list[tuple[Any, ...]]:
        """The rows of a query over `hanging`, the places of rows; the subject's key is only ever a parameter.

        Found first of all: a planner that knows of a LIMIT would look for the first rows in the order of their keys.
        """
        dataset, key = self.subject.dataset, [self.subject.key]
        table = self._table(dataset)
        assert table is not None
        one_row = SQL("SELECT {} FROM {} AS t WHERE ").format(_columns(dataset, "t"), self._place(dataset))
        found = SQL("), hanging AS MATERIALIZED ({}) {}").format(hanging, query)
        parts = (plain(one_row), among_keys(dataset, table), plain(found))
        return self.conn.execute(SQL("WITH subject AS ({}{}{}").format(*parts), {"keys": key}).fetchall()

    def _hanging(self, dataset: Dataset, paths: Sequence[tuple[str, ...]]) -> Composable:
        """Where the rows lie that refer to the subject, and their keys, each once however many ways lead there."""
        parts = []
        own = [SQL("d.{} AS {}").format(Identifier(k), Identifier(f"key_{n}")) for n, k in enumerate(dataset.key)]
        for path in paths:
            scope = self._scope(dataset, "d")
            above = _columns(self.subject.dataset, scope.join(path))
            query = "SELECT d.tableoid AS part, d.ctid AS place, {} FROM {} AS d{} WHERE ({}) IN (TABLE subject)"
            parts.append(SQL(query).format(_listed(own), table_name(dataset), scope.joined(path), above))
        return SQL(" UNION ").join(parts)

    def _heads(
        self, scope: Scope, picked: Composable, hanging: Composable
    ) -> Iterator[tuple[str, str, tuple[Held, ...]]]:
        """Of each row its place, its key, and the holds that cover it."""
        tests = list(self._tests(scope))
        query = SQL(
            "SELECT {}, {} FROM {} AS f{} WHERE (f.tableoid, f.ctid) IN ({}) ORDER BY {}, f.tableoid, f.ctid"
        ).format(
            _PLACE,
            _listed([key_text(scope.dataset, "f"), *(test for _, test in tests)]),
            table_name(scope.dataset),
            scope.joined(),
            picked,
            _columns(scope.dataset, "f"),
        )
        for place, key, *covered in self._run(query, hanging):
            yield place, key, tuple(held for (held, _), yes in zip(tests, covered, strict=True) if yes)

    def _tests(self, scope: Scope) -> Iterator[tuple[Held, Composable]]:
        for kind in (Reason.HELD, Reason.RESTRICTED):
            for dataset, whole, test in mirrored(self.holds, scope, kind):
                yield Held(kind, dataset.name, "dataset" if whole else "row"), test
        for condition in scope.dataset.held_when:
            test = SQL("coalesce({}, false)").format(among(scope.column(condition.at), condition))
            yield Held(Reason.HELD, scope.dataset.name, "system"), test


_PLACE = SQL("f.tableoid::text || f.ctid::text")


def _listed(columns: Sequence[Composable]) -> Composed:
    return SQL(", ").join(columns)


def _columns(dataset: Dataset, alias: str) -> Composed:
    return _listed([SQL("{}.{}").format(Identifier(alias), Identifier(name)) for name in dataset.key])


class _Judge:
    """What one rule says of rows `f`, by the row `t` of the rule's own dataset that they are or go with."""

    def __init__(self, ending: Ending, question: Question, scope: Scope) -> None:
        self._ending, self._predicate, rule = ending, Predicate(question), question.rule
        start = _known(question, self._predicate.scope, rule.clock)
        found = list(_floors(question, self._predicate.scope, rule.floors, rule.followers, rule.leaders))
        self._floors = [floor for floor, *_ in found]
        self._columns = [self._predicate.mask(), start, *(part for _, *parts in found for part in parts)]
        self._rule_held = question.holds.whole.get(whole_rule(rule.name), NO_REASON)
        above = scope.join(ending.path)
        self._rows = SQL("{} AS f{} JOIN {} AS t ON t.tableoid = {a}.tableoid AND t.ctid = {a}.ctid{}").format(
            table_name(scope.dataset),
            scope.joined(ending.path),
            table_name(rule.dataset),
            self._predicate.scope.joined(),
            a=Identifier(above),
        )

    def each(self, picked: Composable) -> Composable:
        """One line for each of the rows picked."""
        query = SQL("SELECT {}, {} FROM {} WHERE (f.tableoid, f.ctid) IN ({})")
        return query.format(_PLACE, _listed(self._columns), self._rows, picked)

    def counts(self, picked: Composable) -> Composable:
        """How many of the rows picked, by combination of reasons."""
        query = SQL("SELECT {}, count(*) FROM {} WHERE (f.tableoid, f.ctid) IN ({}) GROUP BY 1 ORDER BY 1")
        return query.format(self._predicate.mask(), self._rows, picked)

    def read(self, rows: Sequence[tuple[Any, ...]]) -> Iterator[tuple[str, Judged]]:
        """Each row's place and what is said of it."""
        for place, mask, start, *stand in rows:
            pairs = zip(self._floors, stand[::2], stand[1::2], strict=True)
            floors = tuple(Standing(floor, day) for floor, yes, day in pairs if yes)
            yield place, Judged(self._ending, Reason(mask), start, floors, self._rule_held)


def _floors(
    question: Question, scope: Scope, floors: tuple[Floor, ...], followers: tuple[Kin, ...], leaders: tuple[Kin, ...]
) -> Iterator[tuple[Floor, Composable, Composable]]:
    """Every floor that can keep a row: whether it does, and the latest date it counts from; none if one is unknown."""
    for floor in floors:
        clock = floor.until or floor.clock
        assert clock is not None
        yield floor, under(question, scope, floor), _known(question, scope, clock)
    for each in kin_scopes(scope, followers, leaders):
        for floor, test, day in list(_floors(question, each.scope, each.kin.floors, *each.beyond)):
            rows = SQL("FROM {} AS {}{} WHERE {} AND {}").format(
                table_name(each.kin.dataset), Identifier(each.scope.alias), each.scope.joined(), each.linked, test
            )
            latest = SQL("(SELECT CASE WHEN count(*) = count({0}) THEN max({0}) END {1})").format(day, rows)
            yield floor, SQL("EXISTS (SELECT {})").format(rows), latest


def _known(question: Question, scope: Scope, clock: Clock) -> Composable:
    """The clock's local date where it has one that a calendar can show, else NULL."""
    agreed, column = question.agreed, scope.column(clock.at)
    type_ = agreed.type_of(scope.dataset, clock.at)
    day, undated = local_date_sql(column, type_, clock, agreed), undated_sql(column, type_, clock, agreed)
    return SQL("CASE WHEN NOT {0} AND {1} BETWEEN '0001-01-01' AND '9999-12-31' THEN {1} END").format(undated, day)
