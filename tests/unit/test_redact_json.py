from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from identifiers import KARI, in_base64
from lethe.anonymise.find import Finder
from lethe.anonymise.json_paths import Inside, changed_by_path
from lethe.anonymise.paths import Json
from lethe.model import ColumnRef, Generalise, Put, Redact, Surrogate

FINDER = Finder(KARI)
CHANGES: dict[str, Inside] = {"blank": Put(None), "redact": Redact(names=(ColumnRef("name"),))}
DOCUMENT: Json = {
    "contact": {"name": "Kari Nordmann", "phone": 91234567, "age": 47},
    "items": [{"note": "Kari ringte", "id": 1}, {"note": None}, {"other": "Kari"}],
    "a.b": ["Kari", {"name": "Kari"}],
}


def by_path(document: Json, paths: dict[str, str]) -> Json:
    return changed_by_path(document, {path: CHANGES[action] for path, action in paths.items()}, lambda _: FINDER)


@pytest.mark.parametrize(
    ("path", "action", "changed"),
    [
        ("contact.name", "blank", {"contact": {"name": None, "phone": 91234567, "age": 47}}),
        ("contact.phone", "blank", {"contact": {"name": "Kari Nordmann", "phone": None, "age": 47}}),
        ("contact", "redact", {"contact": {"name": "[navn]", "phone": None, "age": 47}}),
        ("contact.*", "blank", {"contact": {"name": None, "phone": None, "age": None}}),
        ("items[*].note", "redact", {"items": [{"note": "[navn] ringte", "id": 1}, {"note": None}, {"other": "Kari"}]}),
        ("items", "redact", {"items": [{"note": "[navn] ringte", "id": 1}, {"note": None}, {"other": "[navn]"}]}),
        ("items[2]", "blank", {"items": [{"note": "Kari ringte", "id": 1}, {"note": None}, None]}),
        ("items", "blank", {"items": None}),
        ('["a.b"][0]', "redact", {"a.b": ["[navn]", {"name": "Kari"}]}),
        (
            "**.name",
            "blank",
            {"contact": {"name": None, "phone": 91234567, "age": 47}, "a.b": ["Kari", {"name": None}]},
        ),
        ("no.such[*].path", "blank", {}),
        ("contact[*]", "blank", {}),
        ("items.note", "blank", {}),
    ],
)
def test_a_path_changes_what_it_leads_to_and_nothing_else(path: str, action: str, changed: dict[str, Json]) -> None:
    assert isinstance(DOCUMENT, dict)
    before = json.dumps(DOCUMENT)
    assert by_path(DOCUMENT, {path: action}) == {**DOCUMENT, **changed}
    assert json.dumps(DOCUMENT) == before


def test_all_strings() -> None:
    result = by_path({"a": [in_base64("Kari"), "x", 1, {"b": "<b>Kari</b>"}]}, {"**": "redact"})
    assert result == {"a": [in_base64("[navn]"), "x", 1, {"b": "<b>[navn]</b>"}]}


@pytest.mark.parametrize("path", ["", ".", "a..b", "a.", "a[", "a[x]", "[-1]", '["a"', "a]b"])
def test_what_is_no_path_is_refused(path: str) -> None:
    with pytest.raises(ValueError, match="expected a path"):
        by_path({}, {path: "blank"})


strings = st.sampled_from(["Kari", "Nordmann, Kari", "x"]) | st.text(max_size=10)
leaves = st.none() | st.booleans() | st.integers() | strings
documents = st.recursive(leaves, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=6)


@settings(deadline=None)  # the first number loads tables
@given(documents)
def test_redacting_keeps_the_shape_and_leaves_no_name(document: Json) -> None:
    once = by_path(document, {"**": "redact"})
    assert by_path(once, {"**": "redact"}) == once
    assert "Kari" not in json.dumps(list(_strings(once)))
    assert _shape(once) == _shape(document)


@pytest.mark.parametrize(
    ("value", "change", "after"),
    [
        ("5003", Generalise("region"), "5000"),
        (5003, Generalise("region"), "5000"),
        ("1990-03-17", Generalise("month"), "1990-03-01"),
        ("1990-03-17T10:00:00Z", Generalise("year"), "1990-01-01"),
        ("17. mars", Generalise("month"), None),
        (4711, Generalise("band", 1000), 4000),
        (-0.5, Generalise("band", 1000), -1000),
        ("mye", Generalise("band", 1000), None),
        ({"a": 1}, Generalise("band", 1000), None),
        (True, Generalise("band", 1000), None),
        (None, Generalise("month"), None),
        ("Kari", Put("noen"), "noen"),
        (None, Surrogate(), None),
    ],
)
def test_values_get_coarser_or_go(value: Json, change: Inside, after: Json) -> None:
    once = changed_by_path({"v": value}, {"v": change}, lambda _: None)
    assert once == {"v": after}
    assert changed_by_path(once, {"v": change}, lambda _: None) == once


def test_a_surrogate_is_another_each_time_and_stays() -> None:
    once, again = (changed_by_path([4711], {"[0]": Surrogate()}, lambda _: None) for _ in range(2))
    assert once != again
    assert changed_by_path(once, {"[0]": Surrogate()}, lambda _: None) == once


def test_where_nobody_is_known_no_text_stays() -> None:
    found = changed_by_path({"a": "Kari", "b": [7, None]}, {"**": CHANGES["redact"]}, lambda _: None)
    assert found == {"a": "[slettet]", "b": [None, None]}


def _strings(value: Json) -> list[str]:
    if isinstance(value, dict):
        return [text for item in value.values() for text in _strings(item)]
    if isinstance(value, list):
        return [text for item in value for text in _strings(item)]
    return [value] if isinstance(value, str) else []


def _shape(value: Json) -> object:
    if isinstance(value, dict):
        return {key: _shape(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_shape(item) for item in value]
    return "number" if value is None or type(value) in (int, float) else type(value)  # one that names somebody goes
