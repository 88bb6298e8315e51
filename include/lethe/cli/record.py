"""The record of processing activities (GDPR article 30), for machines and for people."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from lethe import sentences
from lethe.model import Activity, Anonymise, Anonymity, Assumption, Policy, Rule


def record_of_processing(loaded: Policy, lang: str) -> dict[str, Any]:
    """The record of processing activities as GDPR article 30 (1) wants it, ready for JSON (R21)."""
    organisation = loaded.organisation
    return {
        "controller": organisation.controller,
        "represented_by": organisation.represented_by,
        "contact": organisation.contact,
        "privacy_officer": organisation.roles[organisation.privacy_officer].title[lang],
        "policy_digest": loaded.digest,
        "activities": [_activity(loaded, activity, lang) for _, activity in sorted(loaded.activities.items())],
    }


def _activity(loaded: Policy, activity: Activity, lang: str) -> dict[str, Any]:
    organisation = loaded.organisation
    datasets = [loaded.datasets[name] for name in activity.datasets]
    return {
        "activity": activity.name,
        "title": activity.title[lang],
        "purpose": activity.purpose[lang],
        "legal_basis": activity.legal_basis,
        "responsible": organisation.roles[activity.responsible].title[lang],
        "categories_of_people": activity.people,
        "categories_of_data": sorted({each for dataset in datasets for each in dataset.personal_data.values()}),
        "processors": [organisation.processors[name][lang] for name in activity.processors],
        "recipients": activity.recipients,
        "transfers_to_third_countries": activity.transfers,
        "stores": sorted({loaded.stores[dataset.store].title[lang] for dataset in datasets}),
        "retention": [_retention(loaded, loaded.rules[name], lang) for name in activity.rules],
        "kept_by_law": [_floor(loaded, name) for name in activity.floors],
        "anonymity": [
            _anonymity(loaded.anonymity[name], lang) for name in activity.datasets if name in loaded.anonymity
        ],
        "security_measures": activity.measures,
        "obligations": {
            name: organisation.obligations[name][lang] for name in (*activity.serves, *activity.not_automated)
        },
        "not_automated": dict(activity.not_automated),
    }


def _retention(loaded: Policy, rule: Rule, lang: str) -> dict[str, Any]:
    return {
        "rule": rule.name,
        "obligation": rule.obligation,
        "dataset": rule.dataset.name,
        "clock": str(rule.clock.at),
        "period": str(rule.keep),
        "then": "anonymise" if isinstance(rule.action, Anonymise) else "delete",
        "assumption": _assumption(loaded, rule.assumption, lang),
        "sentence": sentences.describe(rule, loaded, lang),
    }


def _assumption(loaded: Policy, assumption: Assumption | None, lang: str) -> dict[str, str] | None:
    if assumption is None:
        return None
    role = loaded.organisation.roles[assumption.confirm_by].title[lang]
    return {"confirm_by": role, "because": assumption.because}


def _floor(loaded: Policy, name: str) -> dict[str, Any]:
    floor = loaded.floors[name]
    return {
        "floor": name,
        "obligation": floor.obligation,
        "law": floor.law,
        "dataset": floor.dataset,
        "fields": floor.fields,
        "period_after_fiscal_year": str(floor.period) if floor.period else None,
        "until": str(floor.until) if floor.until else None,
    }


def _anonymity(anonymity: Anonymity, lang: str) -> dict[str, Any]:
    return {
        "dataset": anonymity.dataset,
        "obligation": anonymity.obligation,
        "at_least": anonymity.k,
        "by": anonymity.by,
        "linked": [each.to for each in anonymity.linked],
        "sentence": sentences.hidden(anonymity, lang),
    }


_HEADS = {
    "en": ("Activity", "Purpose and basis", "People and data", "Processors and recipients", "Retention", "Measures"),
    "nb": (
        "Behandling", "Formål og grunnlag", "Personer og opplysninger", "Databehandlere og mottakere", "Sletting",
        "Tiltak",
    ),
}  # fmt: skip
_LABELS = {
    "en": {"title": "Record of processing activities", "assumed": "assumed", "manual": "not automated"},
    "nb": {"title": "Protokoll over behandlingsaktiviteter", "assumed": "antatt", "manual": "ikke automatisert"},
}
WIDE = 140
"""Columns of a terminal from which on the table can be read; below, each activity is a block of its own."""


def print_record(record: dict[str, Any], lang: str, console: Console) -> None:
    """The record for people: a table on a wide terminal, else a block for each activity."""
    labels = _LABELS[lang]
    head = f"{record['controller']}, {record['represented_by']} · {record['privacy_officer']}, {record['contact']}"
    console.print(Text(f"{labels['title']}\n{head}\n"))
    rows = [_cells(activity, labels) for activity in record["activities"]]
    if console.width >= WIDE:
        console.print(_table(rows, lang))
    else:
        for row in rows:
            console.print(_block(row, lang))


def _table(rows: list[tuple[list[str], ...]], lang: str) -> Table:
    table = Table(*(Column(name, overflow="fold") for name in _HEADS[lang]), show_lines=True)
    for row in rows:
        table.add_row(*(Text("\n".join(lines)) for lines in row))
    return table


def _block(row: tuple[list[str], ...], lang: str) -> Table:
    """The first cell as heading, the others as paragraphs beside their heads; a blank line at the end."""
    grid = Table.grid(Column(no_wrap=True), Column(overflow="fold"), padding=(0, 2))
    title, *others = row
    heads, paragraphs = _HEADS[lang], ["\n".join(title), *("\n".join(lines) or "–" for lines in others)]
    for number, (head, text) in enumerate(zip(heads, paragraphs, strict=True)):
        grid.add_row(Text(head, style="bold" if number == 0 else "dim"), Text(text, style="" if number else "bold"))
    grid.add_row("", "")
    return grid


def _cells(activity: dict[str, Any], labels: dict[str, str]) -> tuple[list[str], ...]:
    return (
        [activity["title"], activity["responsible"]],
        [activity["purpose"], *activity["legal_basis"]],
        [", ".join(activity["categories_of_people"]), ", ".join(activity["categories_of_data"])],
        [*activity["processors"], *activity["recipients"], *activity["transfers_to_third_countries"]],
        _retention_lines(activity, labels),
        activity["security_measures"],
    )


def _retention_lines(activity: dict[str, Any], labels: dict[str, str]) -> list[str]:
    rules = [
        f"{rule['rule']} ({rule['obligation']}): {rule['sentence']}"
        + (f" ({labels['assumed']})" if rule["assumption"] else "")
        for rule in activity["retention"]
    ]
    floors = [
        f"{floor['floor']} ({floor['obligation']}): {floor['law']},"
        f" {floor['period_after_fiscal_year'] or floor['until']}"
        for floor in activity["kept_by_law"]
    ]
    hidden = [f"{_name(each)}: {each['sentence']}" for each in activity["anonymity"]]
    manual = [f"{name} {labels['manual']}: {why}" for name, why in activity["not_automated"].items()]
    return rules + floors + hidden + manual


def _name(each: dict[str, Any]) -> str:
    return f"{each['dataset']} ({each['obligation']})" if each["obligation"] else str(each["dataset"])
