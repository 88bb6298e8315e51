"""A rule as SQL: one boolean for each reason, and the conjunction that says "due".

decide() is the truth; a property test over random rows holds this file to it. Identifiers go through sql.Identifier and
values through sql.Literal: what stands in the SQL is the policy's constants and calendar dates, never a row's value.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date
from typing import NamedTuple

from psycopg.sql import SQL, Composable, Composed, Identifier, Literal

from lethe.deadlines import cutoff, next_day, start_of
from lethe.decide import floor_end
from lethe.holds import whole_rule
from lethe.model import (
    NO_REASON,
    Anonymise,
    ByPath,
    Change,
    Clock,
    ColumnRef,
    Condition,
    Dataset,
    Dependent,
    Floor,
    Kin,
    Reason,
    Redact,
    Relation,
    Rule,
    WriteDown,
)
from lethe.reach import above_of
from lethe.stores.postgres.agree import Agreed, zone_of
from lethe.stores.postgres.changes import is_changed, is_redacted

NEVER = SQL("false")
FIRST = SQL("'0001-01-01'")
"""What lies before the first year, -infinity with it, is no date that anybody meant."""


@dataclass(frozen=True)
class Holds:
    """Which kinds of hold the store's mirror knows: on rows, by dataset, and on all of a dataset or rule."""

    rows: Mapping[str, Reason]
    whole: Mapping[str, Reason]


@dataclass(frozen=True)
class Question:
    """What is asked of a rule: on which date, whether its assumption is confirmed, which holds there are."""

    rule: Rule
    agreed: Agreed
    today: date
    confirmed: bool
    holds: Holds


@dataclass
class Scope:
    """The columns of one dataset under one alias; references through relations become joins as they are met."""

    agreed: Agreed
    dataset: Dataset
    alias: str
    joins: dict[tuple[str, ...], tuple[str, Composable, Composable]] = field(default_factory=dict)

    def column(self, ref: ColumnRef) -> Composed:
        """The referenced column, its relations joined."""
        return SQL("{}.{}").format(Identifier(self.join(ref.path)), Identifier(ref.column))

    def join(self, path: tuple[str, ...]) -> str:
        """The alias under which the dataset at the end of `path` is joined."""
        if not path:
            return self.alias
        if path not in self.joins:
            here = self.join(path[:-1])
            source = self.agreed.owner(self.dataset, ColumnRef("", path[:-1]))
            relation = source.relations[path[-1]]
            alias = f"{self.alias}_{len(self.joins)}"
            target = seen_from(self.dataset.store, self.agreed.policy.datasets[relation.to])
            self.joins[path] = (alias, target, link(relation, here, alias))
        return self.joins[path][0]

    def joined(self, inner: tuple[str, ...] = ()) -> Composable:
        """The joins met so far; those on the way `inner` are inner joins, the rest keep rows that reach nothing."""
        words = {path: "JOIN" if path == inner[: len(path)] else "LEFT JOIN" for path in self.joins}
        return SQL(" ").join(
            SQL(" {} {} AS {} ON {}").format(SQL(words[path]), target, Identifier(alias), on)
            for path, (alias, target, on) in self.joins.items()
        )


def table_name(dataset: Dataset) -> Identifier:
    """The dataset's table, qualified."""
    return Identifier(dataset.schema, dataset.table)


def copied(dataset: Dataset) -> Identifier:
    """The session's copy of a dataset of another store (elsewhere.py)."""
    return Identifier("pg_temp", f"elsewhere_{dataset.name}")


def seen_from(store: str, dataset: Dataset) -> Identifier:
    """Where a session in a store reads the dataset: its table, or the copy of one that lies elsewhere."""
    return table_name(dataset) if dataset.store == store else copied(dataset)


def link(relation: Relation, source: str, target: str) -> Composable:
    """The condition under which a row of `source` refers to a row of `target`."""
    cast = SQL("::text") if relation.as_text else SQL("")
    pairs: list[Composable] = [
        SQL("{}.{}{} = {}.{}{}").format(
            Identifier(source), Identifier(own), cast, Identifier(target), Identifier(other), cast
        )
        for own, other in relation.columns
    ]
    if relation.when is not None:
        column = SQL("{}.{}").format(Identifier(source), Identifier(relation.when.at.column))
        pairs.append(among(column, relation.when))
    return _all(pairs)


def among(column: Composable, condition: Condition) -> Composable:
    """The column holds one of the condition's values; NULL when it holds none at all."""
    if len(condition.values) == 1:  # the same, and quicker for every row
        return SQL("{}::text = {}").format(column, Literal(condition.values[0]))
    return SQL("{}::text = ANY ({})").format(column, Literal(list(condition.values)))


def _all(parts: Iterable[Composable]) -> Composable:
    return SQL(" AND ").join(parts)


def _any(parts: Iterable[Composable]) -> Composable:
    found = list(parts)
    return SQL("({})").format(SQL(" OR ").join(found)) if found else NEVER


class Predicate:
    """One rule on one date as SQL over the alias `t`.

    `reasons` has a boolean for each reason that can occur, those of the clock to be tried in the order undated, future,
    not due; `due` is true exactly when none of them is.
    """

    def __init__(self, question: Question) -> None:
        self.question = question
        rule = question.rule
        self.scope = Scope(question.agreed, rule.dataset, "t")
        self.clock = self.scope.column(rule.clock.at)
        self.clock_type = question.agreed.type_of(rule.dataset, rule.clock.at)
        self.reasons = {reason: test for reason, test in self._reasons().items() if test is not NEVER}
        others = [SQL("NOT {}").format(test) for reason, test in self.reasons.items() if reason not in _OF_CLOCK]
        self.elapsed = self._elapsed()
        self.due = _all([self.elapsed, *others])

    @property
    def kept(self) -> Composable:
        """The opposite of `due`, true also where a reason cannot be told; written so that constraints can refute it."""
        of_clock = [test for reason, test in self.reasons.items() if reason in _OF_CLOCK]
        others = [SQL("coalesce({}, true)").format(t) for reason, t in self.reasons.items() if reason not in _OF_CLOCK]
        return _any([*of_clock, *others])

    @property
    def joins(self) -> bool:
        """Whether other tables are needed to come to a verdict."""
        return bool(self.scope.joins)

    @property
    def reads_elsewhere(self) -> bool:
        """Whether the verdict is read from a copy of rows in another store."""
        agreed, dataset = self.question.agreed, self.question.rule.dataset
        return any(agreed.owner(dataset, ColumnRef("", path)).store != dataset.store for path in self.scope.joins)

    def mask(self) -> Composable:
        """The reasons of a row as one integer, the bits of Reason; 0 is due."""
        of_clock = SQL("CASE WHEN {} THEN 0 WHEN {} THEN 2 WHEN {} THEN 4 ELSE 1 END").format(
            self.elapsed, self.reasons[Reason.UNDATED], self.reasons[Reason.FUTURE]
        )
        bits = [
            SQL("CASE WHEN {} THEN {} ELSE 0 END").format(test, Literal(int(reason)))
            for reason, test in self.reasons.items()
            if reason not in _OF_CLOCK
        ]
        return SQL(" | ").join(SQL("({})").format(bit) for bit in [of_clock, *bits])

    def local_date(self, moment: Composable) -> Composable:
        """The calendar date of a clock value, in the organisation's zone."""
        return local_date_sql(moment, self.clock_type, self.question.rule.clock, self.question.agreed)

    def day_of(self, column: str) -> Composable:
        """The calendar date of one of the dataset's own columns, in the organisation's zone."""
        agreed, dataset = self.question.agreed, self.question.rule.dataset
        ref = ColumnRef(column)
        clock = Clock(ref, zone_of(agreed.policy, dataset, column))
        return local_date_sql(self.scope.column(ref), agreed.type_of(dataset, ref), clock, agreed)

    def _reasons(self) -> dict[Reason, Composable]:
        question, rule = self.question, self.question.rule
        undated = undated_sql(self.clock, self.clock_type, rule.clock, question.agreed)
        started = _up_to(self.clock, self.clock_type, rule.clock, question.today, question.agreed)
        elapsed = _up_to(self.clock, self.clock_type, rule.clock, cutoff(question.today, rule.keep), question.agreed)
        reasons = {
            Reason.UNDATED: undated,
            Reason.FUTURE: SQL("NOT {}").format(started),
            Reason.NOT_DUE: SQL("NOT {}").format(elapsed),
            Reason.CONDITION: self._condition(rule.when),
            Reason.UNCONFIRMED: NEVER if rule.assumption is None or question.confirmed else SQL("true"),
            Reason.DONE: self._done(),
            Reason.NEEDED: self._needed(),
        }
        reasons |= protection(question, self.scope, rule.floors, rule.followers, rule.leaders)
        return reasons | dict.fromkeys(question.holds.whole.get(whole_rule(rule.name), NO_REASON), SQL("true"))

    def _elapsed(self) -> Composable:
        question, rule = self.question, self.question.rule
        last = cutoff(question.today, rule.keep)
        tests = [
            _up_to(self.clock, self.clock_type, rule.clock, last, question.agreed),
            SQL("{} >= {}").format(self.clock, FIRST),
        ]
        if rule.clock.unset:
            unset = _unset(self.clock, self.clock_type, rule.clock, question.agreed)
            tests.append(SQL("NOT {}").format(unset))
        return _all(tests)

    def _condition(self, conditions: tuple[Condition, ...]) -> Composable:
        if not conditions:
            return NEVER
        tests = [among(self.scope.column(condition.at), condition) for condition in conditions]
        return SQL("(NOT coalesce({}, false))").format(_all(tests))

    def _done(self) -> Composable:
        action = self.question.rule.action
        if not isinstance(action, Anonymise):
            return NEVER
        return done(self.scope, action.fields)

    def _needed(self) -> Composable:
        """Something hangs on the row that another rule still has to reach through it."""
        return _any(
            _some(
                scope, linked, SQL("NOT {}").format(done(scope, dependent.fields)) if dependent.fields else SQL("true")
            )
            for dependent, scope, linked in dependent_scopes(self.scope, self.question.rule)
        )


def done(scope: Scope, fields: Mapping[str, Change]) -> Composable:
    """Every field holds what its change makes of it."""
    return SQL("({})").format(_all(_is_changed(scope, name, change) for name, change in fields.items()))


def _is_changed(scope: Scope, name: str, change: Change) -> Composable:
    dataset, column = scope.dataset, scope.column(ColumnRef(name))
    if isinstance(change, WriteDown):
        return SQL("({} IS NOT NULL OR {} IS NULL)").format(column, scope.column(change.of))
    if isinstance(change, Redact | ByPath):
        return is_redacted(column, dataset.name, key_text(dataset, scope.alias), name)
    of = scope.agreed.table(dataset).columns[name]
    return is_changed(column, of, change, scope.agreed.policy.organisation.zone)


def dependent_scopes(scope: Scope, rule: Rule) -> Iterator[tuple[Dependent, Scope, Composable]]:
    """What still needs a row of the scope, each under an alias of its own, with how it hangs on that row."""
    for number, dependent in enumerate(rule.dependents):
        inner = Scope(scope.agreed, dependent.dataset, f"{scope.alias}d{number}")
        *way, last = dependent.path
        below = scope.agreed.owner(dependent.dataset, ColumnRef("", tuple(way)))
        yield dependent, inner, link(below.relations[last], inner.join(tuple(way)), scope.alias)


_OF_CLOCK = Reason.UNDATED | Reason.FUTURE | Reason.NOT_DUE


def protection(
    question: Question,
    scope: Scope,
    floors: tuple[Floor, ...],
    followers: tuple[Kin, ...] = (),
    leaders: tuple[Kin, ...] = (),
) -> dict[Reason, Composable]:
    """What keeps a row whatever its clock says: holds and floors of its own, and of the rows that share its fate."""
    held = [among(scope.column(condition.at), condition) for condition in scope.dataset.held_when]
    found: dict[Reason, list[Composable]] = {
        Reason.HELD: [SQL("coalesce({}, false)").format(test) for test in held],
        Reason.RESTRICTED: [],
        Reason.FLOOR: [under(question, scope, floor) for floor in floors],
    }
    for reason in (Reason.HELD, Reason.RESTRICTED):
        found[reason] += [test for *_, test in mirrored(question.holds, scope, reason)]
    for each in kin_scopes(scope, followers, leaders):
        for reason, test in protection(question, each.scope, each.kin.floors, *each.beyond).items():
            if test is not NEVER:
                found[reason].append(_some(each.scope, each.linked, test))
    return {reason: _any(tests) for reason, tests in found.items()}


class KinScope(NamedTuple):
    """Rows that share a row's fate: how they are linked to it, and what shares theirs, as (followers, leaders)."""

    kin: Kin
    scope: Scope
    linked: Composable
    beyond: tuple[tuple[Kin, ...], tuple[Kin, ...]]


def kin_scopes(scope: Scope, followers: tuple[Kin, ...], leaders: tuple[Kin, ...]) -> Iterator[KinScope]:
    """What shares the fate of the scope's rows, one step down and up, each under an alias of its own."""
    for number, kin in enumerate((*followers, *leaders)):
        inner = Scope(scope.agreed, kin.dataset, f"{scope.alias}k{number}")
        if number < len(followers):
            yield KinScope(kin, inner, link(kin.relation, inner.alias, scope.alias), (kin.kin, kin.others))
        else:
            yield KinScope(kin, inner, link(kin.relation, scope.alias, inner.alias), ((), kin.kin))


def _some(inner: Scope, linked: Composable, test: Composable) -> Composable:
    return SQL("EXISTS (SELECT FROM {} AS {}{} WHERE {} AND {})").format(
        table_name(inner.dataset), Identifier(inner.alias), inner.joined(), linked, test
    )


def mirrored(holds: Holds, scope: Scope, reason: Reason) -> Iterator[tuple[Dataset, bool, Composable]]:
    """A hold in the mirror is on the row itself, or on what it hangs on: on which dataset, and whether on all of it."""
    for path, dataset in [((), scope.dataset), *above_of(scope.agreed.policy, scope.dataset)]:
        if reason in holds.whole.get(dataset.name, NO_REASON):
            yield dataset, True, SQL("{} IS NOT NULL").format(scope.column(ColumnRef(dataset.key[0], path)))
        elif reason in holds.rows.get(dataset.name, NO_REASON):
            query = "coalesce({} IN (SELECT key FROM lethe.hold WHERE dataset = {} AND kind = {}), false)"
            key = key_text(dataset, scope.join(path))
            yield dataset, False, SQL(query).format(key, Literal(dataset.name), Literal(hold_kind(reason)))


def hold_kind(reason: Reason) -> str:
    """The mirror's word for HELD or RESTRICTED."""
    return "held" if reason is Reason.HELD else "restricted"


def key_text(dataset: Dataset, alias: str) -> Composable:
    """A row's key as the mirror of holds writes it: as text, several columns as a JSON array."""
    columns = [SQL("{}.{}").format(Identifier(alias), Identifier(name)) for name in dataset.key]
    if len(columns) == 1:
        return SQL("{}::text").format(columns[0])
    return SQL("jsonb_build_array({})::text").format(SQL(", ").join(columns))


def under(question: Question, scope: Scope, floor: Floor) -> Composable:
    """A floor that cannot be judged, its condition or its date unknown, protects."""
    tests: list[Composable] = [
        SQL("coalesce({}, true)").format(among(scope.column(condition.at), condition)) for condition in floor.when
    ]
    agreed = question.agreed
    clock, last = floor_end(floor, question.today, agreed.policy.organisation.year_end)
    column, type_ = scope.column(clock.at), agreed.type_of(scope.dataset, clock.at)
    undated, passed = undated_sql(column, type_, clock, agreed), _up_to(column, type_, clock, last, agreed)
    tests.append(SQL("NOT coalesce(NOT {} AND {}, false)").format(undated, passed))
    return SQL("({})").format(_all(tests))


def undated_sql(column: Composable, type_: str, clock: Clock, agreed: Agreed) -> Composable:
    """The column holds no date, or none that anybody meant."""
    tests: list[Composable] = [SQL("{} IS NULL").format(column), SQL("{} < {}").format(column, FIRST)]
    if clock.unset:
        tests.append(_unset(column, type_, clock, agreed))
    return _any(tests)


def _unset(column: Composable, type_: str, clock: Clock, agreed: Agreed) -> Composable:
    """The column holds a date that means unset, as it stands or in a zone that it may have been written in."""
    zones = {"UTC", agreed.policy.organisation.zone.key, *([clock.zone.key] if clock.zone else [])}
    days: list[Composable] = [] if type_.endswith("with time zone") else [column]
    if type_ != "date":
        moment = column
        if days and clock.zone:
            moment = SQL("{} AT TIME ZONE {}").format(column, Literal(clock.zone.key))
        days += [SQL("({} AT TIME ZONE {})").format(moment, Literal(zone)) for zone in sorted(zones)]
    return _any(SQL("{}::date = ANY ({})").format(day, Literal(list(clock.unset))) for day in days)


def _up_to(column: Composable, type_: str, clock: Clock, day: date, agreed: Agreed) -> Composable:
    """The column's local date is `day` or earlier, written so that an index on the column serves."""
    if type_ == "date":
        return SQL("({} <= {})").format(column, Literal(day))
    end = start_of(next_day(day), agreed.policy.organisation.zone)
    if type_ == "timestamp with time zone":
        return SQL("({} < {})").format(column, Literal(end.astimezone(UTC)))
    return SQL("({} < {})").format(column, Literal(end.astimezone(clock.zone).replace(tzinfo=None)))


def local_date_sql(moment: Composable, type_: str, clock: Clock, agreed: Agreed) -> Composable:
    """A clock value's calendar date in the organisation's zone."""
    zone = Literal(agreed.policy.organisation.zone.key)
    if type_ == "date":
        return moment
    if type_ == "timestamp with time zone":
        return SQL("({} AT TIME ZONE {})::date").format(moment, zone)
    assert clock.zone is not None
    return SQL("({} AT TIME ZONE {} AT TIME ZONE {})::date").format(moment, Literal(clock.zone.key), zone)


def plain(query: Composable) -> Composable:
    """The query without a meaning of `%`, for one that is executed with parameters."""
    return SQL(query.as_string().replace("%", "%%"))
