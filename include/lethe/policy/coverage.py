"""What only the whole policy can tell: obligations without an answer, rules in each other's way, gaps."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import combinations
from pathlib import PurePath

from lethe.model import Anonymise, Dataset, Rule
from lethe.policy.format import ActivityFile
from lethe.policy.kinds import many
from lethe.policy.problems import Spot, one_of
from lethe.reach import changed_by

Activities = Sequence[tuple[Spot, ActivityFile]]
Column = tuple[str, str, str, str]
"""Store, schema, table, and a column or `*` for the whole row."""


def check_activity(spot: Spot, form: ActivityFile) -> None:
    """The file bears the activity's name and answers for exactly the obligations it lists."""
    stem = PurePath(spot.tree.file).stem
    if form.activity != stem:
        (spot / "activity").expected(f'"{stem}", the name of the file')
    for place, obligation in _answers(spot, form) if not _is_broken(spot, "serves") else ():
        if obligation not in form.serves:
            place.expected(one_of("an obligation that the file lists under serves", obligation, form.serves))
    if not any(_is_broken(spot, section) for section in ("rules", "floors", "datasets", "not_automated")):
        _check_serves(spot, form)


def _answers(spot: Spot, form: ActivityFile) -> Iterator[tuple[Spot, str]]:
    """The obligations that something in the file answers for, with where it says so."""
    for name, rule in form.rules.items():
        yield spot / "rules" / name / "obligation", rule.obligation
    for name, floor in form.floors.items():
        yield spot / "floors" / name / "obligation", floor.obligation
    for name, dataset in form.datasets.items():
        if dataset.anonymity is not None and dataset.anonymity.obligation is not None:
            yield spot / "datasets" / name / "anonymity" / "obligation", dataset.anonymity.obligation


def _is_broken(spot: Spot, section: str) -> bool:
    """Whether something in a section was taken out, so that what is missing there cannot be judged."""
    return any(path[:1] in ((), (section,)) for path in spot.tree.broken)


def _check_serves(spot: Spot, form: ActivityFile) -> None:
    answered = {obligation for _, obligation in _answers(spot, form)}
    for number, obligation in enumerate(form.serves):
        if obligation not in answered | set(form.not_automated):
            text = f"found {obligation} without an answer, expected a rule or floor, or its reason under not_automated"
            (spot / "serves" / number).report(text)


def check_obligations(
    obligations: Mapping[str, Mapping[str, str]], organisation: Spot, activities: Activities, elsewhere: Iterable[str]
) -> None:
    """Every obligation of the organisation is answered by a rule, a floor or a reason, or elsewhere."""
    named = {*elsewhere, *(name for _, form in activities for name in (*form.serves, *form.not_automated))}
    named |= {obligation for spot, form in activities for _, obligation in _answers(spot, form)}
    sections = ("serves", "rules", "floors", "datasets", "not_automated")
    if any(_is_broken(spot, section) for spot, _ in activities for section in sections):
        return
    for name in sorted(set(obligations) - named):
        title = obligations[name]["en"]
        text = f'found no answer to "{title}", expected an activity with a rule, a floor or a reason for it'
        (organisation / "obligations" / name).report(text, key=True)


def check_order(rules: Sequence[tuple[Rule, Spot]]) -> None:
    """Two rules may touch one stored column only in a declared order."""
    touched = {rule.name: set(touches(rule)) for rule, _ in rules}
    for (first, _), (second, spot) in combinations(rules, 2):
        shared = _shared(touched[first.name], touched[second.name])
        ordered = first.order is not None and second.order is not None and first.order != second.order
        if shared and not ordered:
            text = f"found no order between it and {first.name}, which also touches {shared}, expected order: in both"
            spot.report(text, key=True)


def touches(rule: Rule) -> Iterator[Column]:
    """The stored columns that a rule may change or remove."""
    if isinstance(rule.action, Anonymise):
        yield from ((*_table(rule.dataset), column) for column in rule.action.fields)
    else:
        yield from ((*_table(dataset), "*") for dataset in changed_by(rule))


def _table(dataset: Dataset) -> tuple[str, str, str]:
    return dataset.store, dataset.schema, dataset.table


def _shared(first: Iterable[Column], second: Iterable[Column]) -> str:
    """A column that both touch, as `table.column`; empty when there is none."""
    common = (
        (*one[:3], two[3] if one[3] == "*" else one[3])
        for one in first
        for two in second
        if one[:3] == two[:3] and (one[3] == two[3] or "*" in (one[3], two[3]))
    )
    return min((f"{table}.{column}" for _, _, table, column in common), default="")


def warn_of_old_law(activities: Activities) -> None:
    """Consent to cookies rests on a paragraph that moved on 1 January 2025 (R01)."""
    for spot, form in activities:
        for number, basis in enumerate(many(form.legal_basis)):
            if "2-7b" in basis.replace(" ", ""):
                here = spot / "legal_basis"
                text = f'found "{basis}", expected ekomloven § 3-15, which replaced § 2-7b on 1 January 2025'
                (here if isinstance(form.legal_basis, str) else here / number).warn(text)


def warn_of_gaps(activities: Activities, rules: Iterable[Rule]) -> None:
    """Personal data that no rule will ever end."""
    ended = _ended(rules)
    for spot, form in activities:
        for name, dataset in form.datasets.items():
            done = ended.get(name, set())
            left = sorted(set(dataset.personal_data) - done)
            if left and "*" not in done:
                text = f"no rule deletes or anonymises {', '.join(left)}"
                (spot / "datasets" / name).warn(text, key=True)


def _ended(rules: Iterable[Rule]) -> dict[str, set[str]]:
    ended: dict[str, set[str]] = {}
    for rule in rules:
        if isinstance(rule.action, Anonymise):
            ended.setdefault(rule.dataset.name, set()).update(rule.action.fields)
        else:
            for dataset in changed_by(rule):
                ended.setdefault(dataset.name, set()).add("*")
    return ended
