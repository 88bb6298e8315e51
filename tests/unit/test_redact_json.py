from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from identifiers import KARI, in_base64
from lethe.anonymise.find import Finder
from lethe.anonymise.json_paths import Action, Json, redact_json

FINDER = Finder(KARI)
DOCUMENT: Json = {
    "contact": {"name": "Kari Nordmann", "phone": 91234567, "age": 47},
    "items": [{"note": "Kari ringte", "id": 1}, {"note": None}, {"other": "Kari"}],
    "a.b": ["Kari", {"name": "Kari"}],
}


@pytest.mark.parametrize(
    ("path", "action", "changed"),
    [
        ("contact.name", "blank", {"contact": {"name": None, "phone": 91234567, "age": 47}}),
        ("contact.phone", "blank", {"contact": {"name": "Kari Nordmann", "phone": None, "age": 47}}),
        ("contact", "redact", {"contact": {"name": "[navn]", "phone": 91234567, "age": 47}}),
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
def test_a_path_changes_what_it_leads_to_and_nothing_else(path: str, action: Action, changed: dict[str, Json]) -> None:
    assert isinstance(DOCUMENT, dict)
    before = json.dumps(DOCUMENT)
    assert redact_json(DOCUMENT, {path: action}, KARI) == {**DOCUMENT, **changed}
    assert json.dumps(DOCUMENT) == before


def test_all_strings() -> None:
    result = redact_json({"a": [in_base64("Kari"), "x", 1, {"b": "<b>Kari</b>"}]}, {"**": "redact"}, KARI)
    assert result == {"a": [in_base64("[navn]"), "x", 1, {"b": "<b>[navn]</b>"}]}


@pytest.mark.parametrize("path", ["", ".", "a..b", "a.", "a[", "a[x]", "[-1]", '["a"', "a]b"])
def test_what_is_no_path_is_refused(path: str) -> None:
    with pytest.raises(ValueError, match="expected a path"):
        redact_json({}, {path: "blank"}, KARI)


strings = st.sampled_from(["Kari", "Nordmann, Kari", "x"]) | st.text(max_size=10)
leaves = st.none() | st.booleans() | st.integers() | strings
documents = st.recursive(leaves, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=6)


@settings(deadline=None)  # the first number loads tables
@given(documents)
def test_redacting_keeps_the_shape_and_leaves_no_name(document: Json) -> None:
    once = redact_json(document, {"**": "redact"}, FINDER)
    assert redact_json(once, {"**": "redact"}, FINDER) == once
    assert "Kari" not in json.dumps(list(_strings(once)))
    assert _shape(once) == _shape(document)


def _strings(value: Json) -> list[str]:
    if isinstance(value, dict):
        return [text for item in value.values() for text in _strings(item)]
    if isinstance(value, list):
        return [text for item in value for text in _strings(item)]
    return [value] if isinstance(value, str) else []


def _shape(value: Json) -> object:
    if isinstance(value, dict):
        return {key: _shape(item) for key, item in value.items()}
    return [_shape(item) for item in value] if isinstance(value, list) else type(value)
