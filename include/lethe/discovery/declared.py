"""What the policy says of each table of a store: which columns it knows, for whatever reason, and what rules end."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from lethe.model import Aggregate, Anonymise, ColumnRef, Dataset, Policy, Rule
from lethe.policy.coverage import touches
from lethe.reach import along, own_of, references_of, relations_of

Known = tuple[Dataset, str]


@dataclass
class Declared:
    """A table as the policy knows it: columns with personal data, all that it names, and whether a rule acts here."""

    personal: frozenset[str] = frozenset()
    columns: set[str] = field(default_factory=set)
    is_dataset: bool = False
    is_ended: bool = False


def declared(policy: Policy, store: str) -> Mapping[str, Declared]:
    """The tables of the store that the policy names, by schema.table."""
    found = dict[str, Declared]()
    for dataset in policy.datasets.values():
        if dataset.store == store:
            found[dataset.place] = Declared(frozenset(dataset.personal_data), is_dataset=True)
    for dataset, column in _used(policy):
        if dataset.store == store:
            found[dataset.place].columns.add(column)
    for place, columns in (*policy.stores[store].no_personal_data.items(), *_counted(policy, store)):
        found.setdefault(place, Declared()).columns.update(columns)
    for rule in policy.rules.values():
        for where, schema, table, _ in touches(rule):
            if where == store:
                found[f"{schema}.{table}"].is_ended = True
    return found


def _used(policy: Policy) -> Iterator[Known]:
    """Every column of a dataset that the policy names."""
    for dataset in policy.datasets.values():
        names = (*dataset.key, *dataset.personal_data, *dataset.no_personal_data, *dataset.documents)
        yield from ((dataset, name) for name in (*names, *dataset.unset, *dataset.zones))
        for relation in dataset.relations.values():
            yield from ((dataset, name) for name in own_of(relation))
        yield from _ends(policy, dataset, (condition.at for condition in dataset.held_when))
    for rule in policy.rules.values():
        yield from _used_by(policy, rule)
    for floor in policy.floors.values():
        dataset = policy.datasets[floor.dataset]
        clocks = (clock.at for clock in (floor.clock, floor.until) if clock is not None)
        yield from _ends(policy, dataset, (*clocks, *(condition.at for condition in floor.when)))
        yield from ((dataset, name) for name in floor.fields)
    yield from _measured(policy)


def _used_by(policy: Policy, rule: Rule) -> Iterator[Known]:
    for dataset, ref in references_of(policy, rule):
        yield from _ends(policy, dataset, [ref])
    for dataset, relation in relations_of(policy, rule):
        yield from ((dataset, name) for name in own_of(relation))
    if isinstance(rule.action, Anonymise):
        yield from ((rule.dataset, name) for name in rule.action.fields)
    if rule.aggregate is not None:
        yield from ((rule.dataset, name) for name in _sources(rule.aggregate))


def _ends(policy: Policy, dataset: Dataset, refs: Iterable[ColumnRef]) -> Iterator[Known]:
    """The columns that references lead to, with the datasets in which they are."""
    for ref in refs:
        yield [dataset, *along(policy, dataset, ref.path)][-1], ref.column


def _sources(aggregate: Aggregate) -> Iterator[str]:
    yield from (source.removeprefix("day(").removesuffix(")") for source in aggregate.by.values())
    yield from aggregate.sums.values()


def _measured(policy: Policy) -> Iterator[Known]:
    for each in policy.anonymity.values():
        dataset = policy.datasets[each.dataset]
        yield from ((dataset, name) for name in each.by)
        yield from ((dataset, name) for step in each.small_groups for name in step)
        for linked in each.linked:
            for ours, theirs in linked.by:
                yield from ((dataset, ours), (policy.datasets[linked.to], theirs))


def _counted(policy: Policy, store: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    """What rules count into other tables."""
    for rule in policy.rules.values():
        if rule.aggregate is not None and rule.dataset.store == store:
            schema, _, table = rule.aggregate.into.rpartition(".")
            names = (*rule.aggregate.by, rule.aggregate.count, *rule.aggregate.sums)
            yield f"{schema or rule.dataset.schema}.{table}", names
