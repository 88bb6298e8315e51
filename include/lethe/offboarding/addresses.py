"""Addresses of a header field, and lists of addresses and domains to hold them to.

An address is written in one form: small letters, its domain in Unicode, without what follows a + in its local part.
Lookalikes stay apart: a domain with a Cyrillic letter is somebody else's.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from lethe.anonymise.emails import addresses_of_anybody
from lethe.anonymise.fold import fold

_PART = re.compile(r'"(?:[^"\\]|\\.)*+"?|\\.|[()<>,;:]|[^"\\()<>,;:]+|\\', re.DOTALL)
_LOCAL = re.compile(r'[^\s"@]{1,256}|"[^"]{1,256}"')
_DOMAIN = re.compile(r"[^\W_](?:[\w-]{0,61}[^\W_])?(?:\.[^\W_](?:[\w-]{0,61}[^\W_])?){1,126}")
_LONGEST = 1024


@dataclass(frozen=True)
class Listed:
    """A list of addresses, each for itself alone, and of domains with all that is below them."""

    addresses: frozenset[str]
    domains: frozenset[str]

    @classmethod
    def of(cls, entries: Iterable[str]) -> Listed:
        """The list in the form that addresses have; what is neither address nor domain is left out."""
        entries = [fold(each).text.strip() for each in entries]
        addresses = (_address(each) for each in entries if "@" in each)
        domains = (_domain(each) for each in entries if "@" not in each)
        return cls(frozenset(filter(None, addresses)), frozenset(filter(None, domains)))

    def has(self, address: str) -> bool:
        """Whether the list has the address, its domain, or one that it lies below; equal ends of names are no proof."""
        labels = address.rpartition("@")[2].split(".")
        return address in self.addresses or any(".".join(labels[at:]) in self.domains for at in range(len(labels)))


def addressed(value: str) -> Iterator[str]:
    """The addresses of a field as RFC 5322 reads it: groups opened, no comments, no display names; the rest nothing.

    The value is as it came: encoded words stay what they are, for they can say any address without being one.
    """
    for text in _specs(value):
        address = _address(fold(text).text.strip()) if len(text) <= _LONGEST else ""
        if address:
            yield address


def mentioned(text: str) -> Iterator[str]:
    """Everything in a text that looks like an address, display names and comments too."""
    folded = fold(text).text
    for start, end in addresses_of_anybody(folded):
        address = _address(folded[start:end])
        if address:
            yield address


def _specs(value: str) -> Iterator[str]:
    """What stands in angle brackets, or alone between commas."""
    depth, spec, angle, is_done = 0, [""], False, False
    for part in _PART.findall(value):
        if depth or part == "(":
            depth += {"(": 1, ")": -1}.get(part, 0)
        elif part == "<":
            spec, angle = [], True
        elif part == ">" and angle:
            yield "".join(spec)
            spec, angle, is_done = [], False, True
        elif part in {",", ";"} and not angle:
            if not is_done:
                yield "".join(spec)
            spec, is_done = [], False
        elif part == ":":  # behind the name of a group, or a route
            spec = []
        else:
            spec.append(part)
    if angle or not is_done:
        yield "".join(spec)


def _address(text: str) -> str:
    """A folded address in its one form, "" when it is none."""
    local, _, domain = text.rpartition("@")
    local, domain = local.strip(), _domain(domain.strip())
    if not domain or not _LOCAL.fullmatch(local):
        return ""
    name = local.strip('"').strip()
    return f"{name.partition('+')[0] or name}@{domain}"


def _domain(text: str) -> str:
    """A folded domain in Unicode, "" when it is none."""
    text = text.replace("。", ".").removesuffix(".")
    if len(text) > 253 or not _DOMAIN.fullmatch(text):
        return ""
    return ".".join(map(_label, text.split(".")))


def _label(label: str) -> str:
    """A label's letters for its punycode (RFC 3492); what is no punycode stays as it is.

    Letters are not folded again: those that are no letters of a domain in its one form are nobody's on a list.
    """
    if not label.startswith("xn--") or len(label) > 63:
        return label
    try:
        return label[4:].encode("ascii").decode("punycode")
    except (UnicodeError, OverflowError):
        return label
