"""Anchors: they bring a signed checkpoint out of the company's reach, so that history cannot be rewritten unseen.

rfc3161  a time-stamp authority signs the digest of the note, by its own clock
mail     people outside are sent the note, and keep it
folder   the note is laid into a folder or bucket where nothing can be written twice
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from lethe.model import AnchorSetting


class Anchor(Protocol):
    """A place outside."""

    name: str
    kind: str

    def publish(self, note: str) -> bytes | None:
        """Bring a checkpoint outside; the token that proves it, where there is one. Twice is as good as once.

        AnchorUnreachable when that failed, or may have: it can be tried again. AnchorConflict when something else is
        there. No message carries an address, a login or what a server said in words.
        """
        ...


def open_anchor(setting: AnchorSetting, address: Callable[[str], str]) -> Anchor:
    """The anchor of a setting; `address` gives the URL of a connection. Nothing is reached yet.

    ConfigError when the connection, the certificates or a package that the URL needs cannot be used.
    """
    from lethe.evidence.anchors.folder import Folder
    from lethe.evidence.anchors.mail import Mail
    from lethe.evidence.anchors.timestamp import Timestamp

    kinds: dict[str, Callable[[AnchorSetting, str], Anchor]] = {"rfc3161": Timestamp, "mail": Mail, "folder": Folder}
    return kinds[setting.kind](setting, address(setting.connection))
