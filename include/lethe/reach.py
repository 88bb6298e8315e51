"""What a rule reaches besides its own rows: what shares their fate, and every column that its verdict is read from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from lethe.model import (
    Anonymise,
    Clock,
    ColumnRef,
    Condition,
    Dataset,
    Drop,
    Floor,
    Kin,
    Policy,
    Relation,
    Rule,
)


def followers_of(rule: Rule) -> Iterator[Kin]:
    """What is deleted along, parents first."""
    pending = list(rule.followers)
    while pending:
        kin = pending.pop(0)
        yield kin
        pending += kin.kin


def changed_by(rule: Rule) -> Iterator[Dataset]:
    """The rule's own dataset and all that follow it, parents first."""
    yield rule.dataset
    yield from (kin.dataset for kin in followers_of(rule))


def documents_of(rule: Rule) -> Iterator[tuple[Dataset, str]]:
    """The columns whose documents go when the rule acts, with the dataset that they are of."""
    if isinstance(rule.action, Anonymise):
        drops = (name for name, change in rule.action.fields.items() if isinstance(change, Drop))
        yield from ((rule.dataset, name) for name in drops)
    else:
        yield from ((dataset, name) for dataset in changed_by(rule) for name in sorted(dataset.documents))


def naming(policy: Policy, rule: Rule) -> Iterator[tuple[Dataset, str]]:
    """Every column that can name a document of the folders that the rule deletes from, with its dataset."""
    folders = {dataset.documents[column].store for dataset, column in documents_of(rule)}
    for dataset in policy.datasets.values():
        yield from ((dataset, column) for column, each in sorted(dataset.documents.items()) if each.store in folders)


def kin_of(rule: Rule) -> Iterator[Kin]:
    """Whatever shares the fate of the rule's rows, down and up."""
    pending = [*rule.followers, *rule.leaders]
    while pending:
        kin = pending.pop(0)
        yield kin
        pending += [*kin.kin, *kin.others]


def floors_of(rule: Rule) -> Iterator[tuple[Dataset, Floor]]:
    """Every floor that can keep a row, with the dataset it is over."""
    yield from ((rule.dataset, floor) for floor in rule.floors)
    for kin in kin_of(rule):
        yield from ((kin.dataset, floor) for floor in kin.floors)


def clocks_of(rule: Rule) -> Iterator[tuple[Dataset, Clock]]:
    """The rule's clock and those of its floors, with the dataset that the reference starts in."""
    yield rule.dataset, rule.clock
    for dataset, floor in floors_of(rule):
        yield from ((dataset, clock) for clock in (floor.clock, floor.until) if clock is not None)


def conditions_of(policy: Policy, rule: Rule) -> Iterator[tuple[Dataset, Condition]]:
    """Every condition on the way to a verdict, polymorphic references included, with the dataset it is read from."""
    yield from _conditions(rule)
    for dataset, relation in relations_of(policy, rule):
        if relation.when is not None:
            yield dataset, relation.when


def _conditions(rule: Rule) -> Iterator[tuple[Dataset, Condition]]:
    for dataset in (rule.dataset, *(kin.dataset for kin in kin_of(rule))):
        yield from ((dataset, condition) for condition in dataset.held_when)
    yield from ((rule.dataset, condition) for condition in rule.when)
    for dataset, floor in floors_of(rule):
        yield from ((dataset, condition) for condition in floor.when)


def relations_of(policy: Policy, rule: Rule) -> Iterator[tuple[Dataset, Relation]]:
    """Every relation by which rows share a fate or a reference is followed, with the dataset it starts in."""
    yield from _down(rule.followers)
    yield from _up(rule.dataset, rule.leaders)
    for dataset, ref in references_of(policy, rule):
        steps = [dataset, *along(policy, dataset, ref.path)]
        yield from ((step, step.relations[name]) for step, name in zip(steps, ref.path, strict=False))


def _down(followers: tuple[Kin, ...]) -> Iterator[tuple[Dataset, Relation]]:
    for kin in followers:
        yield kin.dataset, kin.relation
        yield from _up(kin.dataset, kin.others)
        yield from _down(kin.kin)


def _up(dataset: Dataset, leaders: tuple[Kin, ...]) -> Iterator[tuple[Dataset, Relation]]:
    for kin in leaders:
        yield dataset, kin.relation
        yield from _up(kin.dataset, kin.kin)


def references_of(policy: Policy, rule: Rule) -> Iterator[tuple[Dataset, ColumnRef]]:
    """Every column that the verdict is read from, with the dataset that the reference starts in."""
    yield from judged_by(rule)
    yield from ((rule.dataset, ref) for ref in known_by(rule))
    for each in rule.dependents:
        yield from ((each.dataset, ColumnRef(column)) for column in each.fields)
        yield from ((each.dataset, ColumnRef(column, each.path)) for column in rule.dataset.key)
    for dataset in {each.name: each for each in (rule.dataset, *(kin.dataset for kin in kin_of(rule)))}.values():
        for path, above in above_of(policy, dataset):
            yield from ((dataset, ColumnRef(column, path)) for column in above.key)


def judged_by(rule: Rule) -> Iterator[tuple[Dataset, ColumnRef]]:
    """The clocks and conditions, floors' included, that the verdict is read from; holds apart."""
    yield from ((dataset, clock.at) for dataset, clock in clocks_of(rule))
    yield from ((dataset, condition.at) for dataset, condition in _conditions(rule))


def known_by(rule: Rule) -> Iterator[ColumnRef]:
    """The columns by which a text that the rule redacts knows its data subject, and those that it writes down."""
    if isinstance(rule.action, Anonymise):
        yield from rule.action.written_down.values()
        yield from (ref for redaction in rule.action.rewritten.values() for ref in redaction.references)


def above_of(policy: Policy, dataset: Dataset) -> Iterator[tuple[tuple[str, ...], Dataset]]:
    """What a row hangs on, by every way of relations that leads there: a hold on any of it covers the row.

    A relation that leads back to a dataset on its own way is not followed.
    """
    pending: list[tuple[tuple[str, ...], Dataset, frozenset[str]]] = [((), dataset, frozenset({dataset.name}))]
    while pending:
        path, here, seen = pending.pop(0)
        for name, relation in here.relations.items():
            if relation.to not in seen:
                above = policy.datasets[relation.to]
                yield (*path, name), above
                pending.append(((*path, name), above, seen | {relation.to}))


def below_of(policy: Policy, dataset: Dataset) -> Iterator[tuple[Dataset, tuple[tuple[str, ...], ...]]]:
    """The dataset itself, then all that hangs on it, nearest first, with every way of relations that leads back up."""
    yield dataset, ((),)
    found = {
        each.name: tuple(path for path, above in above_of(policy, each) if above.name == dataset.name)
        for each in policy.datasets.values()
        if each.name != dataset.name
    }
    for name in sorted((name for name, paths in found.items() if paths), key=lambda name: (len(found[name][0]), name)):
        yield policy.datasets[name], found[name]


def read_elsewhere(policy: Policy, store: str) -> Mapping[str, frozenset[str]]:
    """What a store's rules and holds read of datasets in other stores: columns, keys among them, by dataset."""
    starts = [dataset for dataset in policy.datasets.values() if dataset.store == store]
    refs = [(dataset, condition.at) for dataset in starts for condition in dataset.held_when]
    refs += [
        (dataset, ColumnRef(column, path))
        for dataset in starts
        for path, above in above_of(policy, dataset)
        for column in above.key
    ]
    for rule in policy.rules.values():
        refs += references_of(policy, rule) if rule.dataset.store == store else ()
    found = dict[str, set[str]]()
    for dataset, ref in refs:
        steps = [dataset, *along(policy, dataset, ref.path)]
        read = [(steps[-1], ref.column)]
        read += [
            (step, own) for step, name in zip(steps, ref.path, strict=False) for own in own_of(step.relations[name])
        ]
        for step, column in read:
            if step.store != store:
                found.setdefault(step.name, set(step.key)).add(column)
    return {name: frozenset(columns) for name, columns in found.items()}


def above_elsewhere(policy: Policy, store: str) -> frozenset[str]:
    """The datasets of other stores that rows of this one hang on."""
    here = (dataset for dataset in policy.datasets.values() if dataset.store == store)
    above = (each for dataset in here for _, each in above_of(policy, dataset))
    return frozenset(each.name for each in above if each.store != store)


def own_of(relation: Relation) -> Iterator[str]:
    """The columns by which a row refers to another."""
    yield from (own for own, _ in relation.columns)
    if relation.when is not None:
        yield relation.when.at.column


def lost_holds(number: int, dataset: str | None = None) -> Iterator[str]:
    """How many holds match no row of a dataset, or name none that is known; nothing for 0. Keys are never told."""
    holds = f"{number} hold{'s' if number > 1 else ''}"
    if number:
        yield f"{holds} on rows that {dataset} does not have" if dataset else f"{holds} on datasets that are not known"


def along(policy: Policy, dataset: Dataset, path: tuple[str, ...]) -> Iterator[Dataset]:
    """The datasets that a path of relations leads through, the start left out."""
    for name in path:
        dataset = policy.datasets[dataset.relations[name].to]
        yield dataset


def datasets_of(policy: Policy, rule: Rule) -> Iterator[Dataset]:
    """Every dataset that is touched or read, some more than once."""
    yield rule.dataset
    yield from (kin.dataset for kin in kin_of(rule))
    yield from (each.dataset for each in rule.dependents)
    for dataset, ref in references_of(policy, rule):
        yield from along(policy, dataset, ref.path)
