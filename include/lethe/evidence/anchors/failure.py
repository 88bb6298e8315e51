"""How anchors fail."""

from __future__ import annotations

from lethe.errors import AnchorUnreachable


def unreachable(name: str, found: str, remedy: str) -> AnchorUnreachable:
    """The error of an anchor: what was found, and what to do."""
    return AnchorUnreachable(f"anchor {name}: {found}; {remedy}")
