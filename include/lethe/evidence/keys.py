"""Where the key that signs evidence comes from: the environment, or a file that only its owner can read."""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Mapping
from pathlib import Path
from shlex import quote
from tempfile import mkstemp

from lethe.errors import ConfigError
from lethe.evidence.note import NoteError, SigningKey

VARIABLE = "LETHE_EVIDENCE_KEY"
FILE_VARIABLE = "LETHE_EVIDENCE_KEY_FILE"


def load_key(origin: str, environment: Mapping[str, str]) -> SigningKey:
    """The key that signs for the log `origin`; ConfigError when it is missing, unreadable, unsafe or another's."""
    text, path = environment.get(VARIABLE), environment.get(FILE_VARIABLE)
    if text and path:
        raise ConfigError(f"both {VARIABLE} and {FILE_VARIABLE} are set: unset one of them")
    if path:
        return _parse(_read(Path(path)), origin, f"{FILE_VARIABLE}: {path}")
    if text:
        return _parse(text, origin, VARIABLE)
    raise ConfigError(
        f"no key signs the evidence of {origin}: set {FILE_VARIABLE} to the path of the file that holds it, "
        f"or {VARIABLE} to its text"
    )


def create_key(path: Path, origin: str) -> SigningKey:
    """A new key for the log `origin`, in a new file that only its owner can read.

    ConfigError when the file is there already, which is then left as it is, or cannot be written, which leaves none.
    """
    try:
        key = SigningKey(origin, secrets.token_bytes(32))
        _write(path, key.private_text() + "\n")
    except FileExistsError:
        raise ConfigError(f"{path} is there already, and a key is never overwritten: name another file") from None
    except OSError as error:
        raise ConfigError(f"{path}: a key cannot be written there: {error.strerror}") from error
    except NoteError as error:
        raise ConfigError(f"no key can be made for the log {origin!r}: {error}") from error
    return key


def _write(path: Path, text: str) -> None:
    """Write a file of mode 0600 that is there whole or not at all; FileExistsError rather than replacing one."""
    descriptor, draft = mkstemp(dir=path.parent, prefix=".key-")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(descriptor)
        os.link(draft, path)
    finally:
        Path(draft).unlink()


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            data = file.read()
    except OSError as error:
        raise ConfigError(f"{FILE_VARIABLE}: {path} cannot be read: {error.strerror}") from error
    if mode & 0o077:
        raise ConfigError(f"{path} is open to others than its owner (mode {mode:04o}): chmod 600 {quote(str(path))}")
    return data.decode(errors="replace")  # what is no text is no key either


def _parse(text: str, origin: str, where: str) -> SigningKey:
    try:
        key = SigningKey.parse(text.removesuffix("\n"))
    except NoteError as error:
        raise ConfigError(f"{where}: {error}; expected the one line of a key as it was created") from None
    if key.name != origin:
        raise ConfigError(f"{where}: holds the key of {key.name}, and the log is {origin}: use the key of this log")
    return key
