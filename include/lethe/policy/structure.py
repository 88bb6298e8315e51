"""One file's values → its form, with every difference between them as a problem.

An entry that is wrong is taken out, reported and remembered as broken, so that the rest can still be checked.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import ValidationError

from lethe.policy.format import Form
from lethe.policy.offboarding_forms import SOUND
from lethe.policy.problems import Problems, Spot, one_of
from lethe.policy.reading import Path, Tree

F = TypeVar("F", bound=Form)

SECTIONS = ("stores", "datasets", "floors", "rules")

_TYPES = {
    "string_type": "text",
    "int_type": "a whole number",
    "bool_type": "true or false",
    "date_type": "a date such as 1970-01-01",
    "dict_type": "a mapping",
    "list_type": "a list",
    "model_type": "a mapping",
    "literal_error": "{expected}",
    "greater_than_equal": "at least {ge}",
    "less_than_equal": "at most {le}",
    "expected": "{expected}",
}
_WORDS = {"nb": "-", "en": "-"}
_STAND_INS: Mapping[str, Any] = {  # what a broken head is filled up with, so that the rest can be looked at
    "activity": "unknown", "title": _WORDS, "purpose": _WORDS, "legal_basis": "-", "responsible": "unknown",
    "people": ["-"], "measures": ["-"], "controller": "-", "represented_by": "-", "privacy_officer": "unknown",
    "contact": "-", "time_zone": "Europe/Oslo", "fiscal_year_end": "12-31", "languages": ["en"], "roles": {},
    "processors": {}, "obligations": {}, **SOUND,
}  # fmt: skip


def fit(tree: Tree, form: type[F], problems: Problems) -> F | None:
    """The file's values as `form`, as far as they can be used; None when nothing can."""
    if not isinstance(tree.data, dict):
        Spot(tree, problems).expected("a mapping")
        tree.broken.add(())
        return None
    data = {name: tree.data[name] for name in tree.data if not tree.is_broken((name,))}
    for _ in range(3):  # taking an entry out can leave its section empty, which is then taken out itself
        keys: dict[int, tuple[str, ...]] = {}
        try:
            return form.model_validate(data, context=keys)
        except ValidationError as error:
            data = _without(data, form, _report(tree, data, error, keys, problems))
    return None


def _report(
    tree: Tree, data: Any, error: ValidationError, keys: Mapping[int, tuple[str, ...]], problems: Problems
) -> set[Path]:
    broken: set[Path] = set()
    for detail in error.errors(include_url=False, include_input=False):
        path, container, missing = _locate(data, detail["loc"])
        if detail["type"] == "missing":
            path = (*path, missing)
        spot = Spot(tree, problems, path)
        text = _wording(spot, dict(detail), missing, keys.get(id(container), ()))
        spot.report(text, key=_is_key(detail["type"], missing))
        broken.add(path)
    tree.broken |= {path for path in broken if path}
    return broken


def _inner(data: Any, part: int | str) -> tuple[Any, ...]:
    """The value under a key or number, alone in a tuple; empty when there is none."""
    if isinstance(data, dict) and part in data:
        return (data[part],)
    if isinstance(data, list) and isinstance(part, int):
        return (data[part],)
    return ()


def _is_key(kind: str, missing: str) -> bool:
    return kind in ("extra_forbidden", "missing") or missing == "[key]"


def _locate(data: Any, loc: tuple[int | str, ...]) -> tuple[Path, Any, str]:
    """The path that a pydantic location means in the file, what holds its last part, and the part that is not there."""
    path: Path = ()
    container = data
    for part in loc:
        inner = _inner(data, part)
        if inner:
            container, data = data, inner[0]
            path = (*path, part)
        elif not (isinstance(part, str) and part.startswith("<")):  # else a tag of a union
            return path, container, str(part)
    return path, container, ""


def _wording(spot: Spot, detail: Mapping[str, Any], missing: str, keys: tuple[str, ...]) -> str:
    kind, context, name = detail["type"], detail.get("ctx", {}), str(spot.path[-1]) if spot.path else ""
    if kind == "extra_forbidden":
        return f"found an unknown key, expected {one_of('a known key', name, keys)}"
    if kind == "missing":
        return "found nothing, expected this key"
    found = f'"{name}"' if missing == "[key]" else spot.tree.quote(spot.path)
    if kind == "one_of":
        return f"found {found}, expected {one_of(context['expected'], found.strip(chr(34)), context['known'])}"
    if kind in ("too_short", "too_long"):
        bound = f"at least {context['min_length']}" if kind == "too_short" else f"at most {context['max_length']}"
        return f"found {context['actual_length']} entries, expected {bound}"
    expected = _TYPES[kind].format(**context) if kind in _TYPES else f"something else ({detail['msg']})"
    return f"found {found}, expected {expected}"


def _without(data: dict[str, Any], form: type[Form], broken: set[Path]) -> dict[str, Any]:
    """The values without what is broken: entries of sections one by one, other keys altogether."""
    rest = dict(data)
    for path in broken:
        name = str(path[0]) if path else ""
        if name in SECTIONS and len(path) > 1 and isinstance(rest.get(name), dict):
            rest[name] = {entry: value for entry, value in rest[name].items() if entry != path[1]}
        else:
            rest.pop(name, None)
    fields = {field.alias or name: field for name, field in form.model_fields.items()}
    for name, field in fields.items():
        if name not in rest and field.is_required() and name in _STAND_INS:
            rest[name] = _STAND_INS[name]
    return rest
