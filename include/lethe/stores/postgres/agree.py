"""Does the live schema agree with the policy? Every difference at once; undeclared reach blocks."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from zoneinfo import ZoneInfo

import psycopg
import rfc8785

from lethe.errors import SchemaMismatch
from lethe.model import Aggregate, Anonymise, ColumnRef, Dataset, Delete, Kin, Policy, Rule, Shard
from lethe.reach import (
    changed_by,
    clocks_of,
    conditions_of,
    datasets_of,
    documents_of,
    kin_of,
    references_of,
    relations_of,
)
from lethe.stores.postgres.field_checks import refusals
from lethe.stores.postgres.live import CLOCK_TYPES, Column, Inbound, Table, read_dataset, read_table

COMPARED = (
    *("text", "character varying", "character", "name"),
    *("boolean", "smallint", "integer", "bigint", "uuid", "date"),
)
"""Types, besides enums, of which each value has one spelling, so that conditions can compare them as text."""
_SPELT = {
    **dict.fromkeys(("text", "character varying", "character", "name"), "text"),
    **dict.fromkeys(("smallint", "integer", "bigint"), "integer"),
    "uuid": "uuid",
    "date": "date",
}
"""How values are written, by type: alike in two databases where this is the same."""
LARGE = 100_000
"""Rows from which a missing index on the clock is worth a warning."""

_ON_DELETE = {"a": "NO ACTION", "r": "RESTRICT", "c": "CASCADE", "n": "SET NULL", "d": "SET DEFAULT"}


@dataclass(frozen=True)
class Agreed:
    """The live tables of everything a rule touches or reads, by dataset name, after they were found to agree."""

    policy: Policy
    tables: Mapping[str, Table]
    warnings: tuple[str, ...]
    fingerprint: str

    def table(self, dataset: Dataset) -> Table:
        """The live table of a dataset."""
        return self.tables[dataset.name]

    def type_of(self, dataset: Dataset, ref: ColumnRef) -> str:
        """The type of the column that a reference from `dataset` ends in."""
        return self.column(dataset, ref).type

    def column(self, dataset: Dataset, ref: ColumnRef) -> Column:
        """The column that a reference from `dataset` ends in."""
        return self.tables[self.owner(dataset, ref).name].columns[ref.column]

    @property
    def reads_elsewhere(self) -> bool:
        """Whether some of the tables are of other stores."""
        return len({self.policy.datasets[name].store for name in self.tables}) > 1

    def holds(self, dataset: Dataset, shard: Shard) -> bool:
        """Whether the shard's relation is, or still is, a part of the dataset's table."""
        return any(f"{part.schema}.{part.table}" == shard.relation for part in self.table(dataset).parts)

    def owner(self, dataset: Dataset, ref: ColumnRef) -> Dataset:
        """The dataset in which the column of a reference lives."""
        for name in ref.path:
            dataset = self.policy.datasets[dataset.relations[name].to]
        return dataset


def agree(conn: psycopg.Connection, policy: Policy, rule: Rule, elsewhere: Callable[[Dataset], Table | None]) -> Agreed:
    """Read the live schema of everything that `rule` touches or reads; SchemaMismatch with every difference.

    `elsewhere` reads that of a dataset in another store.
    """
    wanted = {dataset.name: dataset for dataset in datasets_of(policy, rule)}
    found = {
        name: read_dataset(conn, dataset) if dataset.store == rule.dataset.store else elsewhere(dataset)
        for name, dataset in wanted.items()
    }
    problems = [
        f"table {d.schema}.{d.table} (dataset {name}): not found in the database; correct the policy or the connection"
        for name, d in wanted.items()
        if found[name] is None
    ]
    tables = {name: table for name, table in found.items() if table is not None}
    agreed = Agreed(policy, tables, tuple(_warnings(rule, tables)), _fingerprint(tables))
    if not problems:
        problems += _columns(agreed, rule)
        targets = {relation.to for _, relation in relations_of(policy, rule)}
        problems += [line for d in wanted.values() for line in _key(d, tables[d.name], referred=d.name in targets)]
    if not problems:
        problems += [*_clock(agreed, rule), *_compared(agreed, rule), *_across(agreed, rule)]
        problems += [*_action(conn, agreed, rule), *_reach(agreed, rule)]
    if problems:
        raise SchemaMismatch(tuple(f"store {rule.dataset.store}, rule {rule.name}: {line}" for line in problems))
    return agreed


def _columns(agreed: Agreed, rule: Rule) -> Iterator[str]:
    wanted = {(agreed.owner(dataset, ref).name, ref.column) for dataset, ref in references_of(agreed.policy, rule)}
    for dataset in {d.name: d for d in datasets_of(agreed.policy, rule)}.values():
        wanted |= {(dataset.name, column) for column in (*dataset.key, *dataset.personal_data)}
        for relation in dataset.relations.values():
            if relation.to in agreed.tables:
                wanted |= {(dataset.name, own) for own, _ in relation.columns}
                wanted |= {(relation.to, other) for _, other in relation.columns}
                wanted |= {(dataset.name, relation.when.at.column)} if relation.when else set()
    wanted |= {(dataset.name, column) for dataset, column in documents_of(rule)}
    if isinstance(rule.action, Anonymise):
        wanted |= {(rule.dataset.name, column) for column in rule.action.fields}
    if anonymity := agreed.policy.anonymity.get(rule.dataset.name):
        ours = (own for linked in anonymity.linked for own, _ in linked.by)
        wanted |= {(rule.dataset.name, column) for column in (*anonymity.by, *ours)}
    for name, column in sorted(wanted):
        table = agreed.tables[name]
        if column not in table.columns:
            near = get_close_matches(column, table.columns, 1)
            hint = f"; did you mean {near[0]}?" if near else ""
            yield f"column {table.schema}.{table.name}.{column}: not found in the database{hint}"


def _key(dataset: Dataset, table: Table, *, referred: bool) -> Iterator[str]:
    """A key that is unique within each partition only will do, unless rows refer to it: they would mean several."""
    besides = frozenset() if referred else table.partition_columns
    if not any(set(dataset.key) <= set(key) <= {*dataset.key, *besides} for key in table.keys):
        yield (
            f"table {table.schema}.{table.name}: found no primary key or unique NOT NULL index on "
            f"({', '.join(dataset.key)}), expected one, for it is the key of dataset {dataset.name}"
        )
    if table.inherited:
        yield f"table {table.schema}.{table.name}: other tables inherit from it; name these as datasets of their own"


def _clock(agreed: Agreed, rule: Rule) -> Iterator[str]:
    for dataset, clock in clocks_of(rule):
        type_ = agreed.type_of(dataset, clock.at)
        if type_ not in CLOCK_TYPES:
            yield f"clock {clock.at}: found type {type_}, expected date or timestamp; text is never read as a date"
        elif type_ == CLOCK_TYPES[2] and clock.zone is None:
            yield f"clock {clock.at}: found time stamps without zone; declare theirs under unzoned: of the dataset"


def _compared(agreed: Agreed, rule: Rule) -> Iterator[str]:
    """What is compared as text must have one spelling, and what links rows an equality that is PostgreSQL's own."""
    conditions = {(str(c.at), agreed.column(d, c.at)) for d, c in conditions_of(agreed.policy, rule)}
    for at, column in sorted(conditions, key=str):
        if column.type not in COMPARED and column.kind != "enum":
            yield f"condition on {at}: found type {column.type}, expected text, boolean, integer, enum, uuid or date"
    for dataset, relation in dict.fromkeys(relations_of(agreed.policy, rule)):
        for side, pair in ((dataset.name, 0), (relation.to, 1)):
            for name in (columns[pair] for columns in relation.columns if not relation.as_text):
                if agreed.tables[side].columns[name].kind == "added":
                    type_ = agreed.tables[side].columns[name].type
                    yield (
                        f"relation {dataset.name}.{relation.name}: found type {type_} of {side}.{name}, whose equality "
                        "is not PostgreSQL's own; compare both sides with as_text"
                    )


def _across(agreed: Agreed, rule: Rule) -> Iterator[str]:
    """What is compared across stores has one spelling in both."""
    for dataset, relation in dict.fromkeys(relations_of(agreed.policy, rule)):
        if relation.as_text or agreed.policy.datasets[relation.to].store == dataset.store:
            continue
        for own, other in relation.columns:
            here, there = agreed.tables[dataset.name].columns[own], agreed.tables[relation.to].columns[other]
            spelt = {_SPELT.get(each.type) if each.kind == "builtin" else None for each in (here, there)}
            if None in spelt or len(spelt) > 1:
                yield (
                    f"relation {dataset.name}.{relation.name}: found type {here.type} of {own} and {there.type} of "
                    f"{relation.to}.{other} in another store, expected texts, integers, dates or uuids in both; "
                    "compare both sides with as_text"
                )


def _action(conn: psycopg.Connection, agreed: Agreed, rule: Rule) -> Iterator[str]:
    if isinstance(rule.action, Anonymise):
        yield from refusals(conn, agreed.table(rule.dataset), rule.action)
        yield from _written_down(agreed, rule, rule.action)
        anonymity = agreed.policy.anonymity.get(rule.dataset.name)
        for step in anonymity.small_groups if anonymity else ():
            yield from refusals(conn, agreed.table(rule.dataset), Anonymise(step))
    if rule.aggregate is not None:
        yield from _aggregate(conn, agreed, rule, rule.aggregate)


def _written_down(agreed: Agreed, rule: Rule, action: Anonymise) -> Iterator[str]:
    for name, ref in action.written_down.items():
        here, there = agreed.table(rule.dataset).columns[name].type, agreed.type_of(rule.dataset, ref)
        if here != there:
            yield f"column {name}: found type {here}, expected {there}, which {ref} has that is written down"


def _aggregate(conn: psycopg.Connection, agreed: Agreed, rule: Rule, aggregate: Aggregate) -> Iterator[str]:
    source = agreed.table(rule.dataset)
    schema, _, name = aggregate.into.rpartition(".")
    target = read_table(conn, schema or source.schema, name)
    if target is None:
        yield f"aggregate: table {aggregate.into} not found in the database"
        return
    for column in (*aggregate.by, aggregate.count, *aggregate.sums):
        if column not in target.columns:
            yield f"aggregate: column {aggregate.into}.{column} not found in the database"
    for column in (*(by.removeprefix("day(").removesuffix(")") for by in aggregate.by.values()),
                   *aggregate.sums.values(), *(each.at.column for each in aggregate.unless)):  # fmt: skip
        if column not in source.columns:
            yield f"aggregate: column {source.schema}.{source.name}.{column} not found in the database"
    if (tuple(sorted(aggregate.by)), True) not in target.unique:
        yield (
            f"aggregate: {aggregate.into} has no unique index on ({', '.join(aggregate.by)}) that also holds for NULL; "
            "without one the counts of a day could be split over several rows"
        )
    for trigger in target.triggers:
        if trigger.name not in _declared(agreed.policy, rule, target):
            yield (
                f"aggregate: trigger {trigger.name} of {aggregate.into} would run on what is counted; if it does "
                "nothing that matters, make the table a dataset and declare it under triggers:"
            )
    yield from _days(agreed, rule, aggregate)


def _declared(policy: Policy, rule: Rule, target: Table) -> set[str]:
    """The triggers that a dataset over the statistics declares."""
    place = (rule.dataset.store, target.schema, target.name)
    return {name for d in policy.datasets.values() if (d.store, d.schema, d.table) == place for name in d.triggers}


def _days(agreed: Agreed, rule: Rule, aggregate: Aggregate) -> Iterator[str]:
    columns = agreed.table(rule.dataset).columns
    for name in (by[4:-1] for by in aggregate.by.values() if by.startswith("day(") and by[4:-1] in columns):
        if columns[name].type not in CLOCK_TYPES:
            yield f"aggregate: day({name}): found type {columns[name].type}, expected date or timestamp"
        elif columns[name].type == CLOCK_TYPES[2] and zone_of(agreed.policy, rule.dataset, name) is None:
            yield f"aggregate: day({name}): found time stamps without zone; declare it under unzoned: of the dataset"


def zone_of(policy: Policy, dataset: Dataset, column: str) -> ZoneInfo | None:
    """The zone of a column's time stamps that have none."""
    return dataset.zones.get(column, policy.stores[dataset.store].zone)


def _reach(agreed: Agreed, rule: Rule) -> Iterator[str]:
    """Whatever else a deletion or change here would set off."""
    deleting = isinstance(rule.action, Delete)
    for dataset in changed_by(rule):
        table = agreed.table(dataset)
        for trigger in table.triggers:
            if (trigger.on_delete if deleting else trigger.on_update) and trigger.name not in dataset.triggers:
                yield (
                    f"table {table.schema}.{table.name}: trigger {trigger.name} would run on every row; if it does "
                    f"nothing that matters, declare it under triggers: of dataset {dataset.name}"
                )
        yield from _copies(rule, dataset, table)
        if deleting:
            yield from (line for key in table.inbound for line in _inbound(rule, table, dataset, key))


def _copies(rule: Rule, dataset: Dataset, table: Table) -> Iterator[str]:
    """What goes on holding the values: materialized views, and words of a text kept for searching."""
    for name in sorted(set(table.copies) - set(dataset.refreshed)):
        yield (
            f"table {table.schema}.{table.name}: materialized view {name} keeps what it read of it; see to it that it "
            f"is refreshed after each sweep, and declare it under refreshed: of dataset {dataset.name}"
        )
    if isinstance(rule.action, Anonymise) and not dataset.triggers:
        for name in sorted(table.columns.keys() - rule.action.fields.keys()):
            if table.columns[name].type == "tsvector" and not table.columns[name].generated:
                yield (
                    f"column {table.schema}.{table.name}.{name}: keeps words of the texts that are anonymised; blank "
                    "it too, or let the database compute it"
                )


def _inbound(rule: Rule, table: Table, dataset: Dataset, key: Inbound) -> Iterator[str]:
    """A foreign key that acts by itself knows no `when`: it would take rows along that nobody judged."""
    ways = [kin.relation for kin in kin_of(rule) if _follows(kin, dataset, key)]
    if not ways:
        yield _undeclared(table, dataset, key)
    elif key.on_delete in "cnd" and all(relation.when for relation in ways):
        yield (
            f"table {table.schema}.{table.name}: foreign key {key.name} of {key.table} is ON DELETE "
            f"{_ON_DELETE[key.on_delete]} for rows of every kind, but relation {ways[0].name} follows only some; "
            "let it be NO ACTION, or follow without when:"
        )


def _follows(kin: Kin, dataset: Dataset, key: Inbound) -> bool:
    """Whether the foreign key is the relation by which these rows go along."""
    return (
        kin.relation.to == dataset.name
        and f"{kin.dataset.schema}.{kin.dataset.table}" == key.table
        and dict(kin.relation.columns) == dict(zip(key.columns, key.to, strict=True))
    )


def _undeclared(table: Table, dataset: Dataset, key: Inbound) -> str:
    return (
        f"table {table.schema}.{table.name}: {key.table} ({', '.join(key.columns)}) refers to it by foreign key "
        f"{key.name}, ON DELETE {_ON_DELETE[key.on_delete]}, and the policy does not say what becomes of those rows; "
        f"make it a dataset that refers_to {dataset.name} and follows it"
    )


def _warnings(rule: Rule, tables: Mapping[str, Table]) -> Iterator[str]:
    table = tables.get(rule.dataset.name)
    if table is None or rule.clock.at.path or table.rows < LARGE or rule.clock.at.column in table.indexed:
        return
    index = "CREATE INDEX" if table.partitioned else "CREATE INDEX CONCURRENTLY"
    yield (
        f"no index on the clock {table.schema}.{table.name}.{rule.clock.at.column}, so every sweep reads the whole "
        f"table; this would help: {index} ON {table.schema}.{table.name} ({rule.clock.at.column});"
    )


def _fingerprint(tables: Mapping[str, Table]) -> str:
    return hashlib.sha256(rfc8785.dumps({name: table.facts() for name, table in tables.items()})).hexdigest()
