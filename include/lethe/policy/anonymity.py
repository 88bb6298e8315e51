"""What must hold of rows without a person: who they are, and how they can be made coarser still."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from lethe.model import Anonymise, Anonymity, Change, Dataset, Generalise, Linked, Put, Rule
from lethe.policy.datasets import Estate
from lethe.policy.format import AnonymityForm
from lethe.policy.problems import Spot
from lethe.policy.rules import resolve_change

_DIRECT = ("user.name", "user.contact.email", "user.contact.phone_number", "user.unique_id", "user.content.private")
"""Categories that tell people apart by themselves."""


def resolve_anonymity(
    form: AnonymityForm, dataset: Dataset, spot: Spot, estate: Estate, rules: Iterable[Rule]
) -> Anonymity:
    """The dataset's anonymity; problems where it cannot be held."""
    rule = next((r for r in rules if r.dataset.name == dataset.name and isinstance(r.action, Anonymise)), None)
    for number, column in enumerate(form.by):
        _check_known(column, dataset, rule, spot / "by" / number)
    linked = [
        Linked(each.to, tuple(sorted(each.by.items())))
        for number, each in enumerate(form.linked)
        if _is_named(each.to, estate, spot / "linked" / number / "to")
    ]
    if form.small_groups and rule is None:
        (spot / "small_groups").report(
            "found changes of rows that no rule anonymises, expected none: nothing acts here"
        )
    steps = tuple(
        {
            name: resolve_change(each[name], dataset, spot / "small_groups" / number / name, estate)
            for name in sorted(each)
        }
        for number, each in enumerate(form.small_groups)
    )
    _check_steps(steps, rule, spot / "small_groups")
    return Anonymity(
        dataset.name, rule.name if rule else None, form.k, tuple(form.by), tuple(linked), steps, form.obligation
    )


def _is_named(name: str, estate: Estate, spot: Spot) -> bool:
    """Whether somebody could be found in the dataset: in one without names a match could never be seen."""
    dataset = estate.find(name, spot)
    if dataset is not None and not dataset.naming:
        spot.report(
            f"found {name}, which names nobody, expected a dataset with names or addresses under personal_data:"
        )
    return dataset is not None


def _check_known(column: str, dataset: Dataset, rule: Rule | None, spot: Spot) -> None:
    """What others may know of somebody is no name: names must be gone, or the rest means nothing."""
    category, changed = dataset.personal_data.get(column, ""), _changes(rule)
    if column in dataset.key:
        spot.report("found a column of the key, which tells every row apart, expected one that groups have in common")
    elif category.startswith(_DIRECT) and not isinstance(changed.get(column), Generalise):
        spot.report(
            f"found {category}, which tells people apart by itself, expected a column that groups have in common"
        )


def _changes(rule: Rule | None) -> Mapping[str, Change]:
    return rule.action.fields if rule is not None and isinstance(rule.action, Anonymise) else {}


def _check_steps(steps: tuple[Mapping[str, Change], ...], rule: Rule | None, spot: Spot) -> None:
    """A step goes on from what the rule made of a field, so that the row is still recognised as anonymised."""
    now = dict(_changes(rule))
    for number, step in enumerate(steps):
        for column, change in step.items():
            if rule is not None and not _is_coarser(now.get(column), change):
                (spot / number / column).report(
                    f"found a change that {rule.name} would undo, expected a coarser one of a field that it makes "
                    "coarser: blank, a year after a month, or a band that is a multiple"
                )
            now[column] = change


def _is_coarser(before: Change | None, after: Change) -> bool:
    if not isinstance(before, Generalise):
        return False
    if isinstance(after, Generalise):
        years = (before.to, after.to) == ("month", "year")
        return years or (before.to == after.to == "band" and after.width % before.width == 0)
    return after == Put(None)
