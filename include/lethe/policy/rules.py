"""Rules and floors: clock, period, action, and what keeps a row from it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Literal

from lethe.deadlines import Period
from lethe.model import (
    Aggregate,
    Anonymise,
    Assumption,
    ByPath,
    Change,
    ColumnRef,
    Condition,
    Dataset,
    Delete,
    Drop,
    Expect,
    Floor,
    Generalise,
    Limits,
    Put,
    Redact,
    Rule,
    Surrogate,
    WriteDown,
)
from lethe.policy.datasets import Estate
from lethe.policy.format import (
    AggregateForm,
    AggregateStep,
    AnonymiseStep,
    Band,
    ByPathForm,
    Constant,
    ExpectForm,
    FiscalFloor,
    Generalised,
    LimitsForm,
    Redacted,
    RedactionForm,
    RuleForm,
    UntilFloor,
    WriteDownForm,
)
from lethe.policy.kinds import many
from lethe.policy.problems import Spot

FieldForm = str | Constant | Generalised | Redacted | ByPathForm | WriteDownForm
Steps = tuple[str | AnonymiseStep | AggregateStep, ...]


def resolve_floor(form: FiscalFloor | UntilFloor, activity: str, spot: Spot, estate: Estate) -> Floor | None:
    """The floor that stands at `spot`; None, and a problem, when its dataset cannot be found."""
    dataset = estate.find(form.of, spot / "of")
    if dataset is None:
        return None
    floor = Floor(
        name=str(spot.path[-1]),
        obligation=form.obligation,
        activity=activity,
        dataset=dataset.name,
        fields=tuple(form.fields or ()),
        when=estate.conditions(form.when, dataset, spot / "when"),
        law=form.law,
    )
    if isinstance(form, UntilFloor):
        return replace(floor, until=estate.clock(form.until, dataset, spot / "until"))
    clock = estate.clock(form.clock, dataset, spot / "clock")
    return replace(floor, clock=clock, period=Period.parse(form.keep.period))


def resolve_rule(form: RuleForm, activity: str, spot: Spot, estate: Estate, floors: Mapping[str, Floor]) -> Rule | None:
    """The rule at `spot`, without its digest; None, and a problem, when dataset, clock or action cannot be used."""
    dataset = estate.find(form.of, spot / "of")
    if dataset is None:
        return None
    clock = estate.clock(form.clock, dataset, spot / "clock")
    when = estate.conditions(form.when, dataset, spot / "when")
    steps: Steps = many(form.then)
    action = _action(steps, dataset, spot / "then", estate)
    aggregate = _aggregate(steps, dataset, spot / "then")
    if isinstance(action, Anonymise):
        _check_fields(action, dataset, form.clock, place_of_fields(spot / "then"))
        _check_drop(action, dataset, place_of_fields(spot / "then"))
    if clock is None or action is None:
        return None
    keep, assumption = _keep(form)
    assumption = assumption or _redaction(steps)
    return Rule(
        name=str(spot.path[-1]),
        obligation=form.obligation,
        activity=activity,
        dataset=dataset,
        clock=clock,
        keep=keep,
        assumption=assumption,
        when=when,
        action=action,
        aggregate=aggregate,
        floors=floors_over(action, dataset, floors),
        followers=estate.followers(dataset, _by_name(floors)) if isinstance(action, Delete) else (),
        leaders=estate.leaders(dataset, _floors_above(action, floors)),
        limits=_limits(form.limits),
        order=form.order,
        title=form.title.by_language(),
        since=form.since.by_language() if form.since else {},
        receipts=form.receipts,
        expect=_expect(form.expect),
    )


def floors_over(action: Delete | Anonymise, dataset: Dataset, floors: Mapping[str, Floor]) -> tuple[Floor, ...]:
    """The floors that protect something the action touches; deleting touches every field."""
    touched = set(action.fields) if isinstance(action, Anonymise) else None
    return tuple(
        floor
        for floor in _by_name(floors)
        if floor.dataset == dataset.name and (touched is None or not floor.fields or touched & set(floor.fields))
    )


def _floors_above(action: Delete | Anonymise, floors: Mapping[str, Floor]) -> list[Floor]:
    """The floors of what a row follows that protect the row: those over fields do not stand in another table's way."""
    return [floor for floor in _by_name(floors) if isinstance(action, Delete) or not floor.fields]


def _by_name(floors: Mapping[str, Floor]) -> list[Floor]:
    return [floors[name] for name in sorted(floors)]


def _keep(form: RuleForm) -> tuple[Period, Assumption | None]:
    if isinstance(form.keep, str):
        return Period.parse(form.keep), None
    return Period.parse(form.keep.assume), Assumption(form.keep.confirm_by, form.keep.because)


def _redaction(steps: Steps) -> Assumption | None:
    """Whose word it takes that text is redacted and not deleted; the first of several says it for all."""
    last = steps[-1]
    if isinstance(last, AnonymiseStep):
        for _, form in redactions(last, ()):
            return Assumption(form.redact.confirm_by, form.redact.because, "redaction")
    return None


def redactions(step: AnonymiseStep, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Redacted]]:
    """Every redaction of a step, with where it stands below `path`."""
    for name, form in step.anonymise.items():
        if isinstance(form, Redacted):
            yield (*path, name), form
        elif isinstance(form, ByPathForm):
            inside = ((at, each) for at, each in form.json_.items() if isinstance(each, Redacted))
            yield from (((*path, name, "json", at), each) for at, each in inside)


def _limits(form: LimitsForm) -> Limits:
    return Limits(form.rows, _share(form.share))


def _share(text: str) -> float:
    return float(text.removesuffix("%")) / 100


def _expect(form: ExpectForm) -> Expect:
    return Expect(form.rows, _share(form.dated), Period.parse(form.newest) if form.newest else None)


def _action(steps: Steps, dataset: Dataset, spot: Spot, estate: Estate) -> Delete | Anonymise | None:
    kinds = [_kind(step) for step in steps]
    if kinds not in (["delete"], ["anonymise"], ["aggregate", "delete"]):
        text = f"found {', then '.join(kinds)}, expected delete, or anonymise, or aggregate, then delete"
        spot.report(text)
        return None
    last = steps[-1]
    if isinstance(last, AnonymiseStep):
        place = place_of_fields(spot)
        changes = {
            name: resolve_change(last.anonymise[name], dataset, place / name, estate) for name in sorted(last.anonymise)
        }
        return Anonymise(changes)
    return Delete()


def resolve_change(form: FieldForm, dataset: Dataset, spot: Spot, estate: Estate) -> Change:
    """What becomes of a field."""
    if isinstance(form, WriteDownForm):
        return WriteDown(estate.reference(form.write_down, dataset, spot / "write_down") or ColumnRef(form.write_down))
    if isinstance(form, ByPathForm):
        return ByPath({path: _inside(each, dataset, spot / "json" / path, estate) for path, each in form.json_.items()})
    return _inside(form, dataset, spot, estate)


def _inside(
    form: str | Constant | Generalised | Redacted, dataset: Dataset, spot: Spot, estate: Estate
) -> Put | Generalise | Surrogate | Redact:
    if isinstance(form, Redacted):
        return _redact(form.redact, dataset, spot / "redact", estate)
    if isinstance(form, Constant):
        return Put(form.constant)
    if isinstance(form, str):
        return Surrogate() if form == "surrogate" else Drop() if form == "drop" else Put(None)
    if isinstance(form.generalise, Band):
        return Generalise("band", form.generalise.band)
    words: dict[str, Literal["month", "year", "region"]] = {"month": "month", "year": "year", "region": "region"}
    return Generalise(words[form.generalise])


def _redact(form: RedactionForm, dataset: Dataset, spot: Spot, estate: Estate) -> Redact:
    found = {
        kind: tuple(
            ref
            for number, text in enumerate(getattr(form, kind))
            if (ref := estate.reference(text, dataset, spot / kind / number)) is not None
        )
        for kind in ("names", "emails", "phones", "addresses")
    }
    return Redact(**found)


def _kind(step: str | AnonymiseStep | AggregateStep) -> str:
    return step if isinstance(step, str) else "anonymise" if isinstance(step, AnonymiseStep) else "aggregate"


def _aggregate(steps: Steps, dataset: Dataset, spot: Spot) -> Aggregate | None:
    for number, step in enumerate(steps):
        if isinstance(step, AggregateStep):
            form = step.aggregate
            _check_aggregate(form, dataset, spot / number / "aggregate")
            unless = tuple(Condition(ColumnRef(name), many(values)) for name, values in sorted(form.unless.items()))
            return Aggregate(form.into, dict(form.by), form.count, dict(form.sum), form.suppress_below, unless)
    return None


def _check_aggregate(form: AggregateForm, dataset: Dataset, spot: Spot) -> None:
    targets = [*form.by, *form.sum]
    for section, column in [("count", form.count), *(("sum", each) for each in form.sum)]:
        if column in form.by or targets.count(column) > 1 or (section == "count" and column in form.sum):
            (spot / section).report(f'found the target column "{column}" twice, expected it once')
    for target, source in form.by.items():
        column = source.removeprefix("day(").removesuffix(")")
        if column in dataset.personal_data or source in dataset.key:
            text = f"found {column}, which tells people or rows apart, expected a column that does not"
            (spot / "by" / target).report(text)
    for target, source in form.sum.items():
        if source in dataset.key:
            (spot / "sum" / target).report(f"found {source} of the key, expected an amount")
    if form.into in (dataset.table, f"{dataset.schema}.{dataset.table}"):
        (spot / "into").report("found the table that is emptied, expected another one")


def _check_fields(action: Anonymise, dataset: Dataset, clock: str, spot: Spot) -> None:
    for column in action.fields:
        if column in dataset.key:
            (spot / column).report("found a column of the key, expected one that rows are not known by")
        elif column == clock:
            (spot / column).report("found the rule's own clock, expected a column that it does not need")


def _check_drop(action: Anonymise, dataset: Dataset, spot: Spot) -> None:
    """A column that names documents is dropped with them, or left alone; blanked, it would leave them behind."""
    for column, change in action.fields.items():
        if column in dataset.documents and not isinstance(change, Drop):
            (spot / column).report("found a column that names documents, expected drop, which deletes these too")
        elif isinstance(change, Drop) and column not in dataset.documents:
            (spot / column).report("found drop of a column that names no documents, expected one under documents:")


def place_of_fields(spot: Spot) -> Spot:
    """Where the fields stand: the step can be alone or in a list."""
    alone = spot / "anonymise"
    return alone if alone.path in spot.tree.values else spot / 0 / "anonymise"
