"""What one rule changes and another is read from: refused, or waited for where an order says who goes first."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from lethe.model import Anonymise, Change, Dataset, Dependent, Rule, WriteDown
from lethe.policy.problems import Spot
from lethe.policy.rules import place_of_fields
from lethe.reach import judged_by, known_by


class Read(NamedTuple):
    """A column that a rule's verdict or deed is read from, `path` away from where the way to it starts."""

    table: tuple[str, str, str]
    column: str
    start: str
    path: tuple[str, ...]


def check_reads(rules: Sequence[tuple[Rule, Spot]], datasets: Mapping[str, Dataset]) -> None:
    """What one rule changes, another is read from only when it has gone first: later the value means something else."""
    read = {rule.name: set(_reads(rule, datasets)) for rule, _ in rules}
    for rule, spot in rules:
        for column in _taken(rule):
            for other in (other for other, _ in rules if other.name != rule.name):
                if any(_meets(rule, column, each) and not _waits(rule, other, each) for each in read[other.name]):
                    (place_of_fields(spot / "then") / column).report(_unwaited(rule, other))
                    break


def _unwaited(rule: Rule, other: Rule) -> str:
    apart = other.dataset.name != rule.dataset.name and other.dataset.store == rule.dataset.store
    first = ", or let that rule go first, by order: in both" if apart else ""
    return (
        f"found a column that {other.name} is read from, expected one that no other rule needs: write_down what it "
        f"needs in a column of its own{first}"
    )


def dependents_of(rule: Rule, rules: Iterable[Rule], datasets: Mapping[str, Dataset]) -> tuple[Dependent, ...]:
    """What other rules still have to reach through fields of this one's rows, which wait for it."""
    if not isinstance(rule.action, Anonymise):
        return ()
    found = {
        (other.name, each.path): Dependent(other.name, other.dataset, each.path, _fields(other))
        for other in rules
        for each in _reads(other, datasets)
        if any(_meets(rule, column, each) for column in _taken(rule)) and _waits(rule, other, each)
    }
    return tuple(found[place] for place in sorted(found))


def _fields(rule: Rule) -> Mapping[str, Change]:
    return rule.action.fields if isinstance(rule.action, Anonymise) else {}


def _taken(rule: Rule) -> list[str]:
    """The columns that a rule takes something away from; what it writes down, it only adds."""
    fields = _fields(rule)
    return sorted(name for name, change in fields.items() if not isinstance(change, WriteDown))


def _meets(rule: Rule, column: str, read: Read) -> bool:
    return read.column == column and read.table == _table(rule.dataset)


def _waits(rule: Rule, other: Rule, read: Read) -> bool:
    """Whether the rows of `rule` can wait for those of `other`: these hang on them and go first by order."""
    ordered = rule.order is not None and other.order is not None and other.order < rule.order
    hang = bool(read.path) and read.start == other.dataset.name and other.dataset.store == rule.dataset.store
    return other.name != rule.name and ordered and hang


def _reads(rule: Rule, datasets: Mapping[str, Dataset]) -> Iterator[Read]:
    """The stored columns that a rule's verdict is read from, and those by which it gets there."""
    for dataset, ref in [*judged_by(rule), *((rule.dataset, ref) for ref in known_by(rule))]:
        here: Dataset | None = dataset
        for length, name in enumerate(ref.path):
            relation = here.relations[name] if here else None
            if here and relation:
                yield from (Read(_table(here), own, dataset.name, ref.path[:length]) for own, _ in relation.columns)
            here = datasets.get(relation.to) if relation else None  # one that is broken is told by itself
        if here:
            yield Read(_table(here), ref.column, dataset.name, ref.path)


def _table(dataset: Dataset) -> tuple[str, str, str]:
    return dataset.store, dataset.schema, dataset.table
