"""Digests of what a rule and a policy mean: equal for equal meaning, whatever the files look like."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from datetime import date
from typing import Any
from zoneinfo import ZoneInfo

import rfc8785

from lethe.deadlines import Period
from lethe.model import (
    Activity,
    Clock,
    ColumnRef,
    Condition,
    Dataset,
    Dependent,
    Floor,
    Kin,
    Policy,
    Relation,
    Rule,
)
from lethe.reach import datasets_of, documents_of

_WORDS_ONLY = frozenset(
    {"title", "since", "digest", "expect", "activity", "personal_data", "law", "dataset"}
    | {"followers", "leaders", "dependents", "floors"}
)


def rule_digest(rule: Rule, policy: Policy) -> str:
    """SHA-256, in hex, of all that decides what the rule does to which rows of which store; titles do not."""
    organisation, datasets = policy.organisation, policy.datasets
    folders = {of.documents[column].store for of, column in documents_of(rule)}
    return _sha256(
        {
            "zone": str(organisation.zone),
            "fiscal_year_end": [organisation.year_end.month, organisation.year_end.day],
            "store": _store(rule.dataset, policy),
            "elsewhere": {name: policy.stores[name].connection for name in _elsewhere(rule, policy)},
            "dataset": _dataset(rule.dataset, _references(rule), datasets),
            "followers": [_kin(kin, datasets) for kin in rule.followers],
            "leaders": [_kin(kin, datasets) for kin in rule.leaders],
            "dependents": [_dependent(each, datasets) for each in rule.dependents],
            "floors": _floors(rule.floors),
            "anonymity": _anonymity(rule, policy),
            "documents": {name: policy.documents[name].connection for name in folders},
            "rule": {field.name: _plain(getattr(rule, field.name)) for field in _meaning(rule)},
        }
    )


def _elsewhere(rule: Rule, policy: Policy) -> set[str]:
    """The other stores that it is read from."""
    return {dataset.store for dataset in datasets_of(policy, rule)} - {rule.dataset.store}


def policy_digest(policy: Policy) -> str:
    """SHA-256, in hex, of everything the files say; not of comments, layout or order of keys."""
    return hashlib.sha256(policy_text(policy).encode()).hexdigest()


def policy_text(policy: Policy) -> str:
    """Everything the files say in canonical JSON (RFC 8785): what the policy's digest is made of."""
    parts = {field.name: _plain(getattr(policy, field.name)) for field in fields(policy)}
    worked_out: dict[str, Any] = {"followers": [], "leaders": [], "dependents": []}
    parts["rules"] = {name: {**_plain(rule), **worked_out} for name, rule in policy.rules.items()}
    parts["activities"] = {name: _activity(activity) for name, activity in policy.activities.items()}
    return rfc8785.dumps({name: part for name, part in parts.items() if name not in ("digest", "warnings")}).decode()


def _store(dataset: Dataset, policy: Policy) -> dict[str, str]:
    store = policy.stores[dataset.store]
    return {"name": store.name, "kind": store.kind, "connection": store.connection}


def _anonymity(rule: Rule, policy: Policy) -> dict[str, Any] | None:
    """What must hold of the rows that the rule changed, and whose names, kept where, they must not be matched with."""
    anonymity = policy.anonymity.get(rule.dataset.name)
    if anonymity is None or anonymity.rule != rule.name:
        return None
    people = {linked.to: policy.datasets[linked.to] for linked in anonymity.linked}
    matched_with = {
        name: {"store": _store(dataset, policy), "dataset": _own(dataset), "naming": sorted(dataset.naming)}
        for name, dataset in people.items()
    }
    return {**_plain(anonymity), "matched_with": matched_with}


def _activity(activity: Activity) -> dict[str, Any]:
    """What it lists by name has no order."""
    lists = {name: sorted(getattr(activity, name)) for name in ("datasets", "rules", "floors")}
    return {**_plain(activity), **lists}


def _meaning(rule: Rule) -> list[Any]:
    return [field for field in fields(rule) if field.name not in _WORDS_ONLY]


def _sha256(value: Any) -> str:
    return hashlib.sha256(rfc8785.dumps(value)).hexdigest()


def _dataset(dataset: Dataset, refs: Iterable[ColumnRef], datasets: Mapping[str, Dataset]) -> Any:
    """What a dataset is, as far as the references reach, with the tables they pass through."""
    reached = {
        ".".join(ref.path[: length + 1]): step
        for ref in refs
        for length, step in enumerate(_steps(dataset, ref, datasets))
    }
    return {**_own(dataset), "reached": reached}


def _own(dataset: Dataset) -> dict[str, Any]:
    return {
        "table": [dataset.store, dataset.schema, dataset.table],
        "key": list(dataset.key),
        "unset": _plain(dataset.unset),
        "zones": _plain(dataset.zones),
        "held_when": _plain(dataset.held_when),
        "triggers": sorted(dataset.triggers),
        "documents": _plain(dataset.documents),
        "refreshed": sorted(dataset.refreshed),
    }


def _steps(dataset: Dataset, ref: ColumnRef, datasets: Mapping[str, Dataset]) -> Iterator[Any]:
    for name in ref.path:
        relation = dataset.relations[name]
        dataset = datasets[relation.to]
        yield {"relation": _join(relation), "to": _own(dataset)}


def _join(relation: Relation) -> dict[str, Any]:
    return {
        "columns": sorted(map(list, relation.columns)),
        "when": _plain(relation.when),
        "as_text": relation.as_text,
    }


def _kin(kin: Kin, datasets: Mapping[str, Dataset]) -> Any:
    refs = [condition.at for condition in kin.dataset.held_when]
    for floor in kin.floors:
        refs += _floor_references(floor.clock, floor.until, floor.when)
    return {
        "dataset": _dataset(kin.dataset, refs, datasets),
        "relation": _join(kin.relation),
        "floors": _floors(kin.floors),
        "kin": [_kin(each, datasets) for each in kin.kin],
        "others": [_kin(each, datasets) for each in kin.others],
    }


def _dependent(dependent: Dependent, datasets: Mapping[str, Dataset]) -> Any:
    refs = [ColumnRef("", dependent.path)]
    return {"dataset": _dataset(dependent.dataset, refs, datasets), "fields": _plain(dependent.fields)}


def _floors(floors: Iterable[Floor]) -> list[Any]:
    """What floors protect; not the words for it, nor the file that holds them."""
    words = ("law", "activity")
    return [{name: part for name, part in _plain(floor).items() if name not in words} for floor in floors]


def _references(rule: Rule) -> list[ColumnRef]:
    refs = [rule.clock.at, *(condition.at for condition in (*rule.when, *rule.dataset.held_when))]
    for floor in rule.floors:
        refs += _floor_references(floor.clock, floor.until, floor.when)
    return refs


def _floor_references(clock: Clock | None, until: Clock | None, when: Iterable[Condition]) -> list[ColumnRef]:
    return [*(condition.at for condition in when), *(each.at for each in (clock, until) if each)]


def _plain(value: Any) -> Any:
    """JSON's own kinds of values; what has no order is sorted."""
    if isinstance(value, Condition):
        return {"at": str(value.at), "values": sorted(value.values)}
    if isinstance(value, Period | ZoneInfo | ColumnRef | date):
        return str(value)
    if is_dataclass(value):
        kind = type(value).__name__
        return {"is": kind, **{field.name: _plain(getattr(value, field.name)) for field in fields(value)}}
    if isinstance(value, Mapping):
        return {str(name): _plain(each) for name, each in value.items()}
    if isinstance(value, tuple | list | frozenset):
        return [_plain(each) for each in value]
    return value
