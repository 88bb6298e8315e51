"""Columns that are declared to hold no personal data: of a dataset, or of a table that is none."""

from __future__ import annotations

from collections.abc import Iterable

from lethe.model import Dataset
from lethe.policy.format import DatasetForm, StoresFile
from lethe.policy.problems import Spot


def qualified(table: str) -> str:
    """The table as schema.table."""
    return table if "." in table else f"public.{table}"


def check_free(form: DatasetForm, spot: Spot) -> None:
    """A column holds personal data or none, and is said to once."""
    for number, column in enumerate(form.no_personal_data):
        here = spot / "no_personal_data" / number
        if column in form.personal_data:
            here.report(f"found {column}, which stands under personal_data too, expected a column that holds none")
        _check_once(column, form.no_personal_data[:number], here)


def check_free_tables(form: StoresFile, spot: Spot, datasets: Iterable[Dataset]) -> None:
    """What a dataset's columns hold is said where the dataset is; no other table is named twice."""
    known = {(dataset.store, dataset.place): dataset.name for dataset in datasets}
    for store, each in form.stores.items():
        seen = set[str]()
        for table, columns in each.no_personal_data.items():
            here, place = spot / "stores" / store / "no_personal_data" / table, qualified(table)
            if (store, place) in known:
                name = known[store, place]
                here.report(f"found the table of dataset {name}, expected its columns under {name}", key=True)
            if place in seen:
                here.report(f"found {place} again, expected it once", key=True)
            seen.add(place)
            for number, column in enumerate(columns):
                _check_once(column, columns[:number], here / number)


def _check_once(column: str, before: list[str], spot: Spot) -> None:
    if column in before:
        spot.report(f"found {column} again, expected it once")
