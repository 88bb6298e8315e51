"""What is asked of a store about one rule: SQL of its own, made from the policy alone.

    FROM table r ─ LATERAL the clock's local date ─ LATERAL what keeps the row ─▶ counts by what keeps it

The sweep compares clocks with a cutoff that Python computed, and joins tables. This adds the period to each row's own
date and lets PostgreSQL do the calendar, and asks for what stands in other tables by subquery.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date
from itertools import count
from typing import Any, NamedTuple

from psycopg.sql import SQL, Composable, Identifier, Literal

from lethe.model import (
    Anonymise,
    Change,
    Clock,
    ColumnRef,
    Condition,
    Dataset,
    Floor,
    Generalise,
    Kin,
    Policy,
    Put,
    Relation,
    Rule,
    Surrogate,
    WriteDown,
)

TypeOf = Callable[[Dataset, str], str]
"""The type of a dataset's column, in the words of information_schema."""

SESSION = "-c timezone=UTC -c datestyle=ISO -c search_path=pg_catalog -c row_security=off -c jit=off"
"""How questions are asked; rows that row-level security hides are refused, not left out."""
READING = f"{SESSION} -c default_transaction_read_only=on -c statement_timeout=1h"
"""A check changes nothing."""
FALSE = SQL("false")
REASONS = ("unselected", "done", "held", "restricted", "floor", "needed")
"""What can keep a row whose period is over, in the order in which a row is counted under the first that holds."""


class Counts(NamedTuple):
    """What the store answers about a rule: numbers of rows, and whether the newest date is as new as is expected."""

    rows: int
    dated: int
    fresh: bool
    over: int
    """Rows whose last day is over, whatever keeps them."""
    kept: Mapping[str, int]
    due: int
    """Rows that nothing keeps, within the sweep's own interval."""
    remaining: int
    """Rows that nothing keeps, and that should be gone."""


@dataclass(frozen=True)
class Question:
    """One rule's question of one day; `grace` is how many days the sweep may take to come by."""

    policy: Policy
    rule: Rule
    today: date
    grace: int
    type_of: TypeOf
    only: str | None = None
    """The key of the one row that is asked about; None for all rows."""
    without: tuple[str, ...] = ()
    """Keys of rows that are not counted."""

    def sql(self) -> str:
        """The whole of it; one row, in the order of Counts. StoreError for what cannot be asked.

        Tables of other stores are those that brought() names.
        """
        return self._compiled(_Compiler(self)).as_string()

    def reads(self) -> Mapping[str, frozenset[str]]:
        """What it reads of other stores: columns by dataset."""
        compiler = _Compiler(self)
        self._compiled(compiler)
        return {name: frozenset(columns) for name, columns in compiler.reads.items()}

    def _compiled(self, compiler: _Compiler) -> Composable:
        dataset, kept = self.rule.dataset, compiler.keeping(self.rule)
        first = SQL("CASE {} END").format(
            SQL(" ").join(SQL("WHEN {} THEN {}").format(kept[reason], Literal(reason)) for reason in REASONS)
        )
        counts = SQL(", ").join(
            SQL("count(*) FILTER (WHERE is_over AND kept = {})").format(Literal(reason)) for reason in REASONS
        )
        return SQL(
            "SELECT count(*), count(day), {fresh},"
            " count(*) FILTER (WHERE is_over), {counts},"
            " count(*) FILTER (WHERE is_over AND kept IS NULL AND last >= {today} - {grace}),"
            " count(*) FILTER (WHERE is_over AND kept IS NULL AND last < {today} - {grace})"
            " FROM (SELECT l.day, l.last, l.is_over, CASE WHEN l.is_over THEN {first} END AS kept"
            " FROM {table} AS r CROSS JOIN LATERAL ("
            "SELECT c.day, c.last, coalesce(c.last < {today}, false) AS is_over FROM ("
            "SELECT d.day, (d.day + {period}::interval)::date AS last"
            " FROM (SELECT {day} AS day OFFSET 0) AS d OFFSET 0"
            ") AS c OFFSET 0) AS l{which} OFFSET 0) AS asked"  # each said once: or it is worked out for every count
        ).format(
            today=Literal(self.today),
            fresh=self._fresh(),
            grace=Literal(self.grace),
            counts=counts,
            first=first,
            table=compiler.table(dataset),
            day=compiler.day(self.rule.clock, dataset, "r"),
            period=Literal(str(self.rule.keep)),
            which=self._which(),
        )

    def under_floors(self, since: date, until: date) -> str:
        """How many rows were over their period before a day, and are kept through another by a floor's date alone."""
        compiler, dataset = _Compiler(replace(self, today=until)), self.rule.dataset
        steady = [floor for floor in self.rule.floors if floor.until is None and not floor.when]
        return (
            SQL(
                "SELECT count(*) FROM {table} AS r WHERE"
                " (SELECT d.day + {period}::interval FROM (SELECT {day} AS day) AS d)::date < {since} AND {kept}"
            )
            .format(
                table=compiler.table(dataset),
                period=Literal(str(self.rule.keep)),
                day=compiler.day(self.rule.clock, dataset, "r"),
                since=Literal(since),
                kept=_any([compiler.under(floor, dataset, "r") for floor in steady]),
            )
            .as_string()
        )

    def _which(self) -> Composable:
        if self.only is None and not self.without:
            return SQL("")
        (key,) = self.rule.dataset.key
        kind, column = SQL(self.type_of(self.rule.dataset, key)), Identifier(key)
        if self.only is not None:
            return SQL(" WHERE r.{} = {}::{}").format(column, Literal(self.only), kind)
        return SQL(" WHERE r.{} <> ALL ({}::{}[])").format(column, Literal(list(self.without)), kind)

    def _fresh(self) -> Composable:
        newest = self.rule.expect.newest
        if newest is None:
            return SQL("true")
        return SQL("coalesce(bool_or(day <= {today} AND (day + {newest}::interval)::date >= {today}), false)").format(
            today=Literal(self.today), newest=Literal(str(newest))
        )

    @staticmethod
    def answered(row: tuple[Any, ...]) -> Counts:
        """What the answer says."""
        rows, dated, fresh, over, *reasons, due, remaining = row
        return Counts(rows, dated, fresh, over, dict(zip(REASONS, reasons, strict=True)), due, remaining)


class _Compiler:
    """Expressions over a row under an alias; every subquery gets an alias of its own."""

    def __init__(self, question: Question) -> None:
        self.policy, self.today, self.type_of = question.policy, question.today, question.type_of
        self.zone, self.store = question.policy.organisation.zone.key, question.rule.dataset.store
        self.reads = dict[str, set[str]]()
        """Columns that were named of datasets of other stores."""
        self._numbers = count()

    def keeping(self, rule: Rule) -> dict[str, Composable]:
        """What keeps a row `r` of the rule's whose period is over."""
        dataset = rule.dataset
        kept = {
            "unselected": SQL("NOT coalesce({}, false)").format(
                _all(self.condition(c, dataset, "r") for c in rule.when)
            ),
            "done": self.done(rule, "r"),
            "needed": self.needed(rule, "r"),
            "floor": self.protected("floor", dataset, "r", rule.floors, rule.followers, rule.leaders),
        }
        for kind in ("held", "restricted"):
            on_rule = SQL("EXISTS (SELECT FROM lethe.hold AS h WHERE h.dataset = {} AND h.kind = {})").format(
                Literal(f"rule:{rule.name}"), Literal(kind)
            )
            own = self.protected(kind, dataset, "r", rule.floors, rule.followers, rule.leaders)
            kept[kind] = _any([on_rule, own])
        return kept

    def value(self, ref: ColumnRef, dataset: Dataset, alias: str) -> Composable:
        """What the referenced column holds; NULL where nothing is reached."""
        if not ref.path:
            self._note(dataset, ref.column)
            return SQL("{}.{}").format(Identifier(alias), Identifier(ref.column))
        relation = dataset.relations[ref.path[0]]
        target, inner = self.policy.datasets[relation.to], self._alias()
        return SQL("(SELECT {} FROM {} AS {} WHERE {})").format(
            self.value(ColumnRef(ref.column, ref.path[1:]), target, inner),
            self.table(target),
            Identifier(inner),
            self.linked(relation, dataset, alias, inner),
        )

    def linked(self, relation: Relation, dataset: Dataset, below: str, above: str) -> Composable:
        """The row `below` refers to the row `above`."""
        self._note_link(relation, dataset)
        as_text = SQL("::text" if relation.as_text else "")
        pairs: list[Composable] = [
            SQL("{}.{}{} = {}.{}{}").format(
                Identifier(above), Identifier(other), as_text, Identifier(below), Identifier(own), as_text
            )
            for own, other in relation.columns
        ]
        if relation.when is not None:
            pairs.append(self.condition(relation.when, dataset, below))
        return _all(pairs)

    def condition(self, condition: Condition, dataset: Dataset, alias: str) -> Composable:
        """The column holds one of the values; NULL where it holds none at all."""
        value = self.value(condition.at, dataset, alias)
        return SQL("({}::text IN ({}))").format(value, SQL(", ").join(map(Literal, condition.values)))

    def day(self, clock: Clock, dataset: Dataset, alias: str) -> Composable:
        """The clock's date in the organisation's zone; NULL for none, an endless one, and one that means none."""
        home = dataset
        for name in clock.at.path:
            home = self.policy.datasets[home.relations[name].to]
        kind = self.type_of(home, clock.at.column)
        moment: Composable = SQL("v.at")
        if kind == "timestamp without time zone":
            moment = SQL("(v.at AT TIME ZONE {})").format(Literal(clock.zone.key if clock.zone else "UTC"))
        zones = dict.fromkeys([self.zone, "UTC", *([clock.zone.key] if clock.zone else [])])
        seen: list[Composable] = [SQL("({} AT TIME ZONE {})::date").format(moment, Literal(zone)) for zone in zones]
        if kind == "date":
            seen = [SQL("v.at")]
        local, *_ = seen
        seen += [SQL("v.at::date")] if kind == "timestamp without time zone" else []
        tests: list[Composable] = [SQL("isfinite(v.at)"), SQL("v.at >= '0001-01-01'")]
        unset = SQL(", ").join(map(Literal, clock.unset))
        tests += [SQL("{} NOT IN ({})").format(each, unset) for each in seen if clock.unset]
        return SQL("(SELECT CASE WHEN {} THEN {} END FROM (SELECT {} AS at) AS v)").format(
            _all(tests), local, self.value(clock.at, dataset, alias)
        )

    def protected(
        self, kind: str, dataset: Dataset, alias: str, floors: tuple[Floor, ...], down: tuple[Kin, ...],
        up: tuple[Kin, ...],
    ) -> Composable:  # fmt: skip
        """A hold of the kind, or a floor, keeps the row, or one that shares its fate."""
        tests: list[Composable] = []
        if kind == "floor":
            tests += [self.under(floor, dataset, alias) for floor in floors]
        else:
            tests.append(self.held(kind, dataset, alias, frozenset({dataset.name})))
            tests += self.by_the_system(dataset, alias) if kind == "held" else ()
        for kin in down:
            inner = self._alias()
            of = self.protected(kind, kin.dataset, inner, kin.floors, kin.kin, kin.others)
            when = [self.condition(kin.relation.when, kin.dataset, inner)] if kin.relation.when else []
            below, above = zip(*kin.relation.columns, strict=True)
            table = self.table(kin.dataset)
            tests.append(_among((alias, above), (inner, below), table, [*when, of], as_text=kin.relation.as_text))
        for kin in up:
            inner = self._alias()
            tests.append(
                self.above(
                    kin.relation,
                    dataset,
                    alias,
                    inner,
                    self.protected(kind, kin.dataset, inner, kin.floors, (), kin.kin),
                )
            )
        return _any(tests)

    def above(self, relation: Relation, dataset: Dataset, alias: str, inner: str, test: Composable) -> Composable:
        """What the row refers to by the relation passes the test, which is about `inner`."""
        below, above = zip(*relation.columns, strict=True)
        self._note_link(relation, dataset)
        table = self.table(self.policy.datasets[relation.to])
        found = _among((alias, below), (inner, above), table, [test], as_text=relation.as_text)
        if relation.when is None or found is FALSE:
            return found
        return SQL("coalesce({} AND {}, false)").format(self.condition(relation.when, dataset, alias), found)

    def held(self, kind: str, dataset: Dataset, alias: str, seen: frozenset[str]) -> Composable:
        """The mirror has a hold of the kind on the row, or on something that it hangs on."""
        named = SQL("FROM lethe.hold AS h WHERE h.dataset = {} AND h.kind = {}").format(
            Literal(dataset.name), Literal(kind)
        )
        key = self._key(dataset, (), dataset, alias)
        tests: list[Composable] = [
            SQL("coalesce({} IN (SELECT h.key {}), false)").format(key, named),
            SQL("EXISTS (SELECT {} AND h.key = '*')").format(named),
        ]
        for relation in dataset.relations.values():
            if relation.to not in seen:
                inner = self._alias()
                of = self.held(kind, self.policy.datasets[relation.to], inner, seen | {relation.to})
                tests.append(self.above(relation, dataset, alias, inner, of))
        return _any(tests)

    def by_the_system(self, dataset: Dataset, alias: str) -> Iterator[Composable]:
        """Values of the system's own that mean a hold."""
        for condition in dataset.held_when:
            yield SQL("coalesce({}, false)").format(self.condition(condition, dataset, alias))

    def under(self, floor: Floor, dataset: Dataset, alias: str) -> Composable:
        """The floor keeps the row: its last day has not passed, or that cannot be told."""
        clock = floor.until or floor.clock
        assert clock is not None
        if floor.until is not None:
            free: Composable = SQL("d.day <= {}").format(Literal(self.today))
        else:
            free = SQL("({} + {}::interval)::date < {}").format(
                self.fiscal_year_end(), Literal(str(floor.period)), Literal(self.today)
            )
        when = [SQL("coalesce({}, true)").format(self.condition(c, dataset, alias)) for c in floor.when]
        kept = SQL("(SELECT NOT coalesce({}, false) FROM (SELECT {} AS day) AS d)").format(
            free, self.day(clock, dataset, alias)
        )
        return _all([*when, kept])

    def fiscal_year_end(self) -> Composable:
        """The last day of the fiscal year that `d.day` falls in."""
        end = self.policy.organisation.year_end

        def in_year(years: int) -> Composable:
            first = SQL("make_date(extract(year FROM d.day)::int + {}, {}, 1)").format(
                Literal(years), Literal(end.month)
            )
            return SQL("least({first} + {days}, ({first} + interval '1 month')::date - 1)").format(
                first=first, days=Literal(end.day - 1)
            )

        return SQL("CASE WHEN d.day <= {this} THEN {this} ELSE {next} END").format(this=in_year(0), next=in_year(1))

    def needed(self, rule: Rule, alias: str) -> Composable:
        """Something hangs on the row that another rule still has to reach through it."""
        tests: list[Composable] = []
        for each in rule.dependents:
            inner = self._alias()
            ways = [self.value(ColumnRef(column, each.path), each.dataset, inner) for column in rule.dataset.key]
            own = [SQL("{}.{}").format(Identifier(alias), Identifier(column)) for column in rule.dataset.key]
            left = SQL("NOT {}").format(self.changed(each.fields, each.dataset, inner)) if each.fields else SQL("true")
            tests.append(
                SQL("coalesce(({}) IN (SELECT {} FROM {} AS {} WHERE {}), false)").format(
                    SQL(", ").join(own), SQL(", ").join(ways), self.table(each.dataset), Identifier(inner), left
                )
            )
        return _any(tests)

    def done(self, rule: Rule, alias: str) -> Composable:
        """Every field is as the rule leaves it; nothing is, of a rule that deletes."""
        if not isinstance(rule.action, Anonymise):
            return FALSE
        return self.changed(rule.action.fields, rule.dataset, alias)

    def changed(self, fields: Mapping[str, Change], dataset: Dataset, alias: str) -> Composable:
        """Every field is as its change leaves it."""
        tests = (self.is_left(name, change, dataset, alias) for name, change in fields.items())
        return SQL("coalesce({}, false)").format(_all(tests))

    def is_left(self, name: str, change: Change, dataset: Dataset, alias: str) -> Composable:
        """The field says nothing any more of what the change takes away."""
        column, kind = SQL("{}.{}").format(Identifier(alias), Identifier(name)), self.type_of(dataset, name)
        if isinstance(change, Put):
            if change.value is None:
                return SQL("{} IS NULL").format(column)
            as_is = SQL("{} = {}::{}" if kind not in ("json", "xml") else "{}::text = {}::{}::text")
            return as_is.format(column, Literal(change.value), SQL(kind))
        if isinstance(change, Surrogate):
            mark = "substr({}::text, 15, 1) = '8'" if kind == "uuid" else "starts_with({}::text, 'anon-')"
            return SQL("({} IS NULL OR {})").format(column, SQL(mark).format(column))
        if isinstance(change, WriteDown):
            return SQL("({} IS NOT NULL OR {} IS NULL)").format(column, self.value(change.of, dataset, alias))
        if isinstance(change, Generalise):
            return SQL("coalesce({}, true)").format(self._is_coarse(column, change, kind))
        digest = SQL(
            "EXISTS (SELECT FROM lethe.redacted AS x WHERE x.dataset = {} AND x.key = {} AND x.field = {}"
            " AND x.digest = sha256(convert_to({}::text, 'UTF8')))"
        ).format(Literal(dataset.name), self._key(dataset, (), dataset, alias), Literal(name), column)
        return SQL("({} IS NULL OR {})").format(column, digest)

    def _is_coarse(self, column: Composable, change: Generalise, kind: str) -> Composable:
        if change.to == "band":
            rest = SQL("{} % {} = 0").format(column, Literal(change.width))
            return (
                SQL("({} IN ('NaN', 'Infinity', '-Infinity') OR {})").format(column, rest)
                if kind == "numeric"
                else rest
            )
        if change.to == "region":
            return SQL("({0} = btrim({0}) AND substr({0}, 3) !~ '[1-9]')").format(column)
        local = column
        if kind == "timestamp with time zone":
            local = SQL("({} AT TIME ZONE {})").format(column, Literal(self.zone))
        # the ends of the calendar mean none, and are left as they are
        return SQL(
            "({0} < '0001-01-02' OR {0} >= '9999-12-31' OR date_trunc({1}, {2}::timestamp) = {2}::timestamp)"
        ).format(column, Literal(change.to), local)

    def _key(self, of: Dataset, path: tuple[str, ...], dataset: Dataset, alias: str) -> Composable:
        """The key of the row at the end of the path as one text: several columns as a JSON array."""
        parts = [self.value(ColumnRef(column, path), dataset, alias) for column in of.key]
        if len(parts) == 1:
            return SQL("{}::text").format(parts[0])
        return SQL("jsonb_build_array({})::text").format(SQL(", ").join(parts))

    def table(self, dataset: Dataset) -> Identifier:
        """Where rows of the dataset are read from."""
        return Identifier(dataset.schema, dataset.table) if dataset.store == self.store else brought(dataset)

    def _note_link(self, relation: Relation, dataset: Dataset) -> None:
        self._note(dataset, *(own for own, _ in relation.columns))
        self._note(self.policy.datasets[relation.to], *(other for _, other in relation.columns))

    def _note(self, dataset: Dataset, *columns: str) -> None:
        if dataset.store != self.store:
            self.reads.setdefault(dataset.name, set()).update(columns)

    def _alias(self) -> str:
        return f"q{next(self._numbers)}"


def brought(dataset: Dataset) -> Identifier:
    """The asking session's table of a dataset of another store (elsewhere.py)."""
    return Identifier("pg_temp", f"brought_{dataset.name}")


def _among(
    own: tuple[str, tuple[str, ...]], other: tuple[str, tuple[str, ...]], of: Identifier, tests: list[Composable],
    *, as_text: bool,
) -> Composable:  # fmt: skip
    """Columns of one row are those of some row of the table that passes the tests; asked once, not for each row."""
    if any(test is FALSE for test in tests):
        return FALSE
    cast = SQL("::text" if as_text else "")
    here, there = (
        SQL(", ").join(SQL("{}.{}{}").format(Identifier(alias), Identifier(name), cast) for name in names)
        for alias, names in (own, other)
    )
    return SQL("coalesce(({}) IN (SELECT {} FROM {} AS {} WHERE {}), false)").format(
        here, there, of, Identifier(other[0]), _all(tests)
    )


def _all(tests: Iterator[Composable] | list[Composable]) -> Composable:
    listed = list(tests)
    return SQL("({})").format(SQL(" AND ").join(listed)) if listed else SQL("true")


def _any(tests: Iterator[Composable] | list[Composable]) -> Composable:
    listed = [test for test in tests if test is not FALSE]
    return SQL("({})").format(SQL(" OR ").join(listed)) if listed else FALSE
