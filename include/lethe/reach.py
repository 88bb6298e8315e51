"""What a rule reaches besides its own rows: what shares their fate, and every column that its verdict is read from."""

from __future__ import annotations

from collections.abc import Iterator

from lethe.model import ColumnRef, Condition, Dataset, Floor, Kin, Policy, Rule


def followers_of(rule: Rule) -> Iterator[Kin]:
    """What is deleted along, parents first."""
    pending = list(rule.followers)
    while pending:
        kin = pending.pop(0)
        yield kin
        pending += kin.kin


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


def conditions_of(rule: Rule) -> Iterator[tuple[Dataset, Condition]]:
    """Every condition on the way to a verdict, polymorphic references included, with the dataset it is read from."""
    for dataset in (rule.dataset, *(kin.dataset for kin in kin_of(rule))):
        yield from ((dataset, condition) for condition in dataset.held_when)
    yield from ((rule.dataset, condition) for condition in rule.when)
    for dataset, floor in floors_of(rule):
        yield from ((dataset, condition) for condition in floor.when)
    for kin in followers_of(rule):
        if kin.relation.when is not None:
            yield kin.dataset, kin.relation.when


def references_of(rule: Rule) -> Iterator[tuple[Dataset, ColumnRef]]:
    """Every column that the verdict is read from, with the dataset that the reference starts in."""
    yield rule.dataset, rule.clock.at
    yield from ((dataset, condition.at) for dataset, condition in conditions_of(rule))
    for dataset, floor in floors_of(rule):
        yield from ((dataset, ref) for ref in (floor.clock.at if floor.clock else None, floor.until) if ref is not None)


def along(policy: Policy, dataset: Dataset, path: tuple[str, ...]) -> Iterator[Dataset]:
    """The datasets that a path of relations leads through, the start left out."""
    for name in path:
        dataset = policy.datasets[dataset.relations[name].to]
        yield dataset


def datasets_of(policy: Policy, rule: Rule) -> Iterator[Dataset]:
    """Every dataset that is touched or read, some more than once."""
    yield rule.dataset
    yield from (kin.dataset for kin in kin_of(rule))
    for dataset, ref in references_of(rule):
        yield from along(policy, dataset, ref.path)
