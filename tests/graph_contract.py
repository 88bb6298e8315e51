"""Microsoft Graph's published metadata, and whether a request, or an answer, is as it says (OData 4.01, CSDL)."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

CONTRACT = Path(__file__).parent / "data" / "msgraph" / "msgraph-v1.0-mail.csdl.xml"
_EDM = "{http://docs.oasis-open.org/odata/ns/edm}"
NOT_IN_IT = {
    ("users", "settings"): "exchangeSettings",  # graph/api/usersettings-list-exchange, v1.0
}
"""What is used and published, and is not in the part of the metadata that is kept here."""


class Broken(AssertionError):
    """Something that the contract does not have."""


@dataclass
class Type:
    """An entity or complex type: properties and where it leads, each with its type."""

    base: str | None
    is_open: bool
    properties: dict[str, str] = field(default_factory=dict)
    navigation: dict[str, str] = field(default_factory=dict)


class Place(NamedTuple):
    """Where a path leads: a type, one of many or all of them, an action to call, or a stream."""

    type: str
    is_many: bool = False
    action: Mapping[str, str] | None = None
    is_stream: bool = False


class Contract:
    """The metadata; each method raises Broken for what it does not have."""

    def __init__(self) -> None:
        self.types, self.enums = dict[str, Type](), dict[str, set[str]]()
        self.actions = dict[tuple[str, str], dict[str, str]]()
        self.returns = dict[tuple[str, str], str]()
        self.roots = dict[str, Place]()
        root = ET.fromstring(CONTRACT.read_text())  # noqa: S314 - a file of ours
        for each in root.iter(f"{_EDM}EnumType"):
            self.enums[each.attrib["Name"]] = {member.attrib["Name"] for member in each.iter(f"{_EDM}Member")}
        for kind in ("ComplexType", "EntityType"):
            for each in root.iter(_EDM + kind):
                made = Type(_bare(each.get("BaseType")), each.get("OpenType") == "true")
                made.properties = {p.attrib["Name"]: p.attrib["Type"] for p in each.iter(f"{_EDM}Property")}
                led = each.iter(f"{_EDM}NavigationProperty")
                made.navigation = {p.attrib["Name"]: p.attrib["Type"] for p in led}
                self.types[each.attrib["Name"]] = made
        for each in root.iter(f"{_EDM}Action"):
            first, *rest = each.iter(f"{_EDM}Parameter")
            key = _bare(first.attrib["Type"]) or "", each.attrib["Name"]
            self.actions[key] = {p.attrib["Name"]: p.attrib["Type"] for p in rest}
            answer = each.find(f"{_EDM}ReturnType")
            self.returns[key] = "" if answer is None else answer.attrib["Type"]
        for each in root.iter(f"{_EDM}EntitySet"):
            self.roots[each.attrib["Name"]] = Place(_bare(each.attrib["EntityType"]) or "", is_many=True)
        for each in root.iter(f"{_EDM}Singleton"):
            self.roots[each.attrib["Name"]] = Place(_bare(each.attrib["Type"]) or "")

    def walk(self, path: list[str]) -> Place:
        """Where the parts of a path lead."""
        first, *rest = path
        if first not in self.roots:
            raise Broken(f"{first} is not in the contract")
        place = self.roots[first]
        for part in rest:
            place = self._step(place, part)
        return place

    def _step(self, place: Place, part: str) -> Place:
        if part == "$value":
            return Place("Edm.Stream", is_stream=True)
        if part.startswith("microsoft.graph."):
            return Place(self._known(part.removeprefix("microsoft.graph.")), place.is_many)
        if place.is_many:
            return Place(place.type)
        for name in self._line(place.type):
            if (name, part) in self.actions:
                return Place(self.returns[name, part], action=self.actions[name, part])
        led = self.property(place.type, part, also_navigation=True)
        many = re.fullmatch(r"Collection\((.*)\)", led)
        return Place(_bare(many[1] if many else led) or "", is_many=many is not None)

    def property(self, of: str, name: str, *, also_navigation: bool = False) -> str:
        """The type of a property."""
        for each in self._line(of):
            known = self.types[each]
            if name in known.properties:
                return known.properties[name]
            if also_navigation and name in known.navigation:
                return known.navigation[name]
        raise Broken(f"{of} has no {name}")

    def _line(self, of: str) -> list[str]:
        """A type and those that it extends."""
        found, name = [], of
        while name in self.types:
            found.append(name)
            name = self.types[name].base or ""
        return found

    def _known(self, name: str) -> str:
        if name not in self.types:
            raise Broken(f"{name} is not in the contract")
        return name

    def select(self, of: str, names: str) -> None:
        """Properties that are asked for."""
        for name in names.split(","):
            self.property(of, name)

    def check(self, of: str, value: Any) -> None:
        """A value as JSON, of a type; annotations of OData's own are not looked at."""
        many = re.fullmatch(r"Collection\((.*)\)", of)
        if value is None:
            return
        if many:
            self._expect(isinstance(value, list), of, value)
            for each in value:
                self.check(many[1], each)
        elif of.startswith("Edm."):
            self._expect(_EDM_TYPES[of](value), of, value)
        elif (name := _bare(of) or "") in self.enums:
            self._expect(value in self.enums[name], of, value)
        else:
            self._expect(isinstance(value, dict), of, value)
            for key, inner in value.items():
                if not key.startswith("@odata"):
                    self.check(self.property(self._known(name), key), inner)

    @staticmethod
    def _expect(is_so: bool, of: str, value: Any) -> None:
        if not is_so:
            raise Broken(f"found {value!r}, expected {of}")


def _bare(name: str | None) -> str | None:
    return name and name.removeprefix("microsoft.graph.").removeprefix("graph.")


def _is_moment(value: Any) -> bool:
    return isinstance(value, str) and bool(datetime.fromisoformat(value).tzinfo)


_EDM_TYPES = {
    "Edm.String": lambda value: isinstance(value, str),
    "Edm.Stream": lambda value: isinstance(value, str),
    "Edm.Binary": lambda value: isinstance(value, str),
    "Edm.Boolean": lambda value: isinstance(value, bool),
    "Edm.Int32": lambda value: isinstance(value, int) and abs(value) < 2**31,
    "Edm.Int64": lambda value: isinstance(value, int),
    "Edm.DateTimeOffset": _is_moment,
}
