"""Which rules can be tried with planted rows: those whose rows hang on nobody, and leave nothing behind."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from lethe.model import Condition, Dataset, Delete, Floor, Rule, Store
from lethe.policy.problems import Spot, one_of

Values = Mapping[str, str]


def check_canaries(
    stores: Mapping[str, Store], spot: Spot, rules: list[Rule], floors: Iterable[Floor], datasets: Mapping[str, Dataset]
) -> None:
    """Every row that a store declares can be planted, would be taken by its rule, and counts for nobody."""
    law = {datasets[floor.dataset].store: floor for floor in floors if floor.dataset in datasets}
    for store in stores.values():
        place, known = spot / "stores" / store.name / "canaries", {rule.name: rule for rule in rules}
        if store.canaries and store.name in law:
            floor = law[store.name]
            place.report(
                f"found canaries in a store with rows that a law keeps (floor {floor.name}), expected none: "
                "nothing that is made up belongs there",
                key=True,
            )
        for name, values in store.canaries.items():
            here = place / name
            if name not in known or known[name].dataset.store != store.name:
                own = [rule.name for rule in rules if rule.dataset.store == store.name]
                here.report(f'found "{name}", expected {one_of("a rule of this store", name, own)}', key=True)
                continue
            for problem in _of_rule(known[name], datasets):
                here.report(problem, key=True)
            for column, problem in _of_values(known[name], values):
                (here / column).report(problem)


def _of_rule(rule: Rule, datasets: Mapping[str, Dataset]) -> Iterator[str]:
    """Why the rule cannot be tried so."""
    dataset, expected = rule.dataset, "expected a rule that"
    if not isinstance(rule.action, Delete):
        yield f"found a rule that anonymises, {expected} deletes: what is left of a row would be counted for ever"
    if len(dataset.key) > 1:
        yield f"found a key of several columns, {expected} knows its rows by one"
    if rule.clock.at.path or any(each.at.path for each in (*rule.when, *dataset.held_when)):
        yield f"found a rule that is read from other tables, {expected} its own rows decide"
    elsewhere = sorted({each.store for each in _above(dataset, datasets)} - {dataset.store})
    if elsewhere:
        yield f"found rows that hang on rows of the store {elsewhere[0]}, {expected} one store decides"
    if dataset.follows:
        yield f"found rows that share the fate of {', '.join(dataset.follows)}, {expected} follows nobody"


def _above(dataset: Dataset, datasets: Mapping[str, Dataset]) -> Iterator[Dataset]:
    """The dataset and all that its rows hang on."""
    pending, seen = [dataset], set[str]()
    while pending:
        each = pending.pop()
        if each.name not in seen:
            seen.add(each.name)
            yield each
            pending += [datasets[relation.to] for relation in each.relations.values() if relation.to in datasets]


def _of_values(rule: Rule, values: Values) -> Iterator[tuple[str, str]]:
    """Which value does not do, by its column, and why."""
    dataset = rule.dataset
    for column in values:
        if column in (*dataset.key, rule.clock.at.column):
            yield column, "found a value, expected none: Lethe makes up the key and works out the date"
        if column in dataset.documents:
            yield column, "found the name of a document, expected a row without one"
        if any(column == own for relation in dataset.relations.values() for own, _ in relation.columns):
            yield column, "found a reference to another row, expected a row that hangs on nobody"
    any_of = next(iter(values))
    for each in rule.when:
        if not each.at.path and not _meets(each, values):
            yield any_of, f"found no {each.at} that the rule selects, expected one of: {', '.join(each.values)}"
    for each in dataset.held_when:
        if not each.at.path and _meets(each, values):
            yield each.at.column, "found a value that means a hold, expected a row that nothing keeps"
    if rule.aggregate is not None and not any(_meets(each, values) for each in rule.aggregate.unless):
        yield any_of, "found a row that is counted, expected one that the rule's aggregate leaves out by unless:"


def _meets(condition: Condition, values: Values) -> bool:
    return values.get(condition.at.column) in condition.values
