"""Signed notes (C2SP signed-note) with Ed25519, and what Lethe signs: checkpoints (C2SP tlog-checkpoint) and new keys.

Read strictly: whatever is accepted is, byte for byte, what writing it again would give.
"""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

MOST_SIGNATURES = 100
_ED25519 = b"\x01"
_PRIVATE = "PRIVATE+KEY+"
_SIZE = re.compile("0|[1-9][0-9]{0,17}")  # what a database's bigint holds


class NoteError(ValueError):
    """A note, key or checkpoint is malformed, or not signed by whom it should; the message says what was expected."""


@dataclass(frozen=True)
class VerifierKey:
    """A public Ed25519 key under its name; as text, `name+8 hex digits of its id+base64(0x01 ‖ public key)`."""

    name: str
    public: bytes

    def __post_init__(self) -> None:
        _check_name(self.name)
        _check_32("public key", self.public)

    @classmethod
    def parse(cls, text: str) -> VerifierKey:
        """The key with this text; NoteError unless the text is exactly that of a key."""
        key = cls(*_key_parts(text))
        if str(key) != text:
            raise NoteError(f"verifier key of {key.name}: its id is {key.id.hex()}, and the text has another")
        return key

    @cached_property
    def id(self) -> bytes:
        """The four bytes that stand for the key in a signature line."""
        return sha256(self.name.encode() + b"\n" + _ED25519 + self.public).digest()[:4]

    def __str__(self) -> str:
        return f"{self.name}+{self.id.hex()}+{_base64(_ED25519 + self.public)}"

    def verify(self, message: bytes, signature: bytes) -> bool:
        """Whether this key signed the message (RFC 8032)."""
        try:
            Ed25519PublicKey.from_public_bytes(self.public).verify(signature, message)
        except InvalidSignature:
            return False
        return True


@dataclass(frozen=True)
class SigningKey:
    """A private Ed25519 key, made from its seed of 32 bytes, under its name."""

    name: str
    seed: bytes = field(repr=False)

    def __post_init__(self) -> None:
        _check_name(self.name)
        _check_32("seed", self.seed)

    @classmethod
    def parse(cls, text: str) -> SigningKey:
        """The key with this private text; NoteError, which never shows the text, unless it is exactly that of a key."""
        if not text.startswith(_PRIVATE):
            raise NoteError(f"a signing key begins with {_PRIVATE}, and this text does not")
        key = cls(*_key_parts(text.removeprefix(_PRIVATE)))
        if key.private_text() != text:
            raise NoteError(f"signing key of {key.name}: its id is {key.verifier.id.hex()}, and the text has another")
        return key

    @cached_property
    def verifier(self) -> VerifierKey:
        """The public half."""
        return VerifierKey(self.name, Ed25519PrivateKey.from_private_bytes(self.seed).public_key().public_bytes_raw())

    def private_text(self) -> str:
        """The secret as text: `PRIVATE+KEY+name+8 hex digits of its id+base64(0x01 ‖ seed)`."""
        return f"{_PRIVATE}{self.name}+{self.verifier.id.hex()}+{_base64(_ED25519 + self.seed)}"

    def sign(self, message: bytes) -> bytes:
        """The Ed25519 signature of the message, 64 bytes."""
        return Ed25519PrivateKey.from_private_bytes(self.seed).sign(message)


def sign_note(text: str, key: SigningKey) -> str:
    """The text, which ends in a newline, as a note with this key's signature."""
    _check_text(text)
    signature = _base64(key.verifier.id + key.sign(text.encode()))
    return f"{text}\n— {key.name} {signature}\n"


def open_note(note: str, keys: Iterable[VerifierKey]) -> tuple[str, tuple[VerifierKey, ...]]:
    """The note's text and those of `keys` that signed it, at least one.

    NoteError when the note is malformed, when no known key signed it, or when a signature of a known key is wrong.
    Signatures of unknown keys are left aside, as the specification demands.
    """
    text, lines = _split(note)
    known = {(key.name, key.id): key for key in keys}
    signed: list[VerifierKey] = []
    for name, key_id, signature in map(_signature, lines):
        key = known.get((name, key_id))
        if key is None:
            continue
        if key in signed or not key.verify(text.encode(), signature):
            raise NoteError(f"note: the signature of {name} ({key_id.hex()}) is wrong, or stands there twice")
        signed.append(key)
    if not signed:
        raise NoteError(f"note: no signature of a known key; expected one of {', '.join(map(str, known.values()))}")
    return text, tuple(signed)


@dataclass(frozen=True)
class Checkpoint:
    """What a log says of itself: its name, the number of its leaves and the root over them."""

    origin: str
    size: int
    root: bytes

    def __post_init__(self) -> None:
        _check_name(self.origin)
        _size(str(self.size))
        _check_32("root", self.root)

    def text(self) -> str:
        """The three lines that are signed."""
        return f"{self.origin}\n{self.size}\n{_base64(self.root)}\n"

    @classmethod
    def parse(cls, text: str) -> Checkpoint:
        """The checkpoint with this text; NoteError unless it is exactly three lines, without extensions."""
        origin, size, root = _three_lines("checkpoint", text)
        return cls(origin, _size(size), _bytes(root))


def endorsement(old: SigningKey, new: VerifierKey, size: int) -> str:
    """The note by which the old key hands over to the new one, from the log's size on."""
    _check_successor(old.verifier, new)
    return sign_note(f"{old.name}/key\n{new}\n{_size(str(size))}\n", old)


def read_endorsement(note: str, old: VerifierKey) -> tuple[VerifierKey, int]:
    """The key to which `old` handed over, and the log's size then; NoteError when it did not."""
    text, _ = open_note(note, [old])
    purpose, new, size = _three_lines("endorsement", text)
    if purpose != f"{old.name}/key":
        raise NoteError(f"endorsement: its first line is {purpose!r}, expected '{old.name}/key'")
    key = VerifierKey.parse(new)
    _check_successor(old, key)
    return key, _size(size)


def _check_successor(old: VerifierKey, new: VerifierKey) -> None:
    if new.name != old.name or new == old:
        raise NoteError(f"{new} cannot follow {old}: expected another key of the same name")


def _split(note: str) -> tuple[str, list[str]]:
    """A note's text and its signature lines."""
    text, _, signatures = note.rpartition("\n\n")
    _check_text(text + "\n")
    if not signatures.endswith("\n"):
        raise NoteError("note: expected a text, a blank line, and signature lines that each end in a newline")
    lines = signatures[:-1].split("\n")
    if len(lines) > MOST_SIGNATURES:
        raise NoteError(f"note: {len(lines)} signatures, expected at most {MOST_SIGNATURES}")
    return text + "\n", lines


def _signature(line: str) -> tuple[str, bytes, bytes]:
    """A signature line's key name, key id and signature."""
    dash, _, named = line.partition(" ")
    name, _, text = named.partition(" ")
    if dash != "—":
        raise NoteError("note: expected lines of signatures, '— name base64', after the last blank line")
    _check_name(name)
    data = _bytes(text)
    if len(data) < 5:
        raise NoteError(f"note: a signature of {name} of {len(data)} bytes, expected a key id of 4 bytes and more")
    return name, data[:4], data[4:]


def _check_text(text: str) -> None:
    if not text.endswith("\n"):
        raise NoteError("note: its text is empty or does not end in a newline")
    if any(character < " " and character != "\n" for character in text):
        raise NoteError("note: a control character other than newline")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise NoteError("note: a character that UTF-8 cannot carry") from None


def _check_name(name: str) -> None:
    _check_text(name + "\n")
    if not name or "+" in name or any(map(str.isspace, name)):
        raise NoteError(f"key name {name!r}: expected one without spaces and plus signs, such as example.com/evidence")


def _check_32(what: str, data: bytes) -> None:
    if len(data) != 32:
        raise NoteError(f"{what}: {len(data)} bytes, expected 32")


def _key_parts(text: str) -> tuple[str, bytes]:
    """The name and the key of `name+id+base64(0x01 ‖ key)`; the id is for the caller to compare."""
    name, *rest = text.split("+", 2)
    data = _bytes(rest[1]) if len(rest) == 2 else b""
    if data[:1] != _ED25519:
        raise NoteError("key: expected name+id+base64 of an Ed25519 key, whose first byte is 1")
    return name, data[1:]


def _three_lines(what: str, text: str) -> tuple[str, str, str]:
    lines = text.split("\n")
    if len(lines) != 4 or lines[3]:
        raise NoteError(f"{what}: expected exactly three lines, each with a newline at its end")
    return lines[0], lines[1], lines[2]


def _size(text: str) -> int:
    if not _SIZE.fullmatch(text):
        raise NoteError(f"size {text[:30]!r}: expected a number in decimal digits, without leading zeros")
    return int(text)


def _base64(data: bytes) -> str:
    return b64encode(data).decode("ascii")


def _bytes(text: str) -> bytes:
    """Strict standard base64 (RFC 4648, section 4): only the text that encoding gives."""
    try:
        data = b64decode(text, validate=True)
    except ValueError:
        data = b""
    if _base64(data) != text:
        raise NoteError("expected base64, padded, without line breaks or spare bits")
    return data
