from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from lethe.evidence.note import (
    Checkpoint,
    NoteError,
    SigningKey,
    VerifierKey,
    endorsement,
    open_note,
    read_endorsement,
    sign_note,
)

VECTORS = Path(__file__).parents[1] / "data" / "vectors"
EXAMPLE = json.loads((VECTORS / "signed-note" / "c2sp-example.json").read_bytes())
WYCHEPROOF = json.loads((VECTORS / "ed25519" / "ed25519_test.json").read_bytes())

ED25519 = b"\x01"
ORIGIN = "example.com/evidence"
OLD, NEW = SigningKey(ORIGIN, bytes(range(32))), SigningKey(ORIGIN, bytes(range(1, 33)))
OTHER = SigningKey("witness.example", bytes(32))
KEY = OLD.verifier
TEXT = "Først.\n\nSå.\n"
NOTE = sign_note(TEXT, OLD)
LINE = NOTE.removeprefix(TEXT + "\n")
SECRET = OLD.private_text()[-30:-10]  # a part of it that stays the same when the ends are changed
SIGNATURE = LINE.split(" ")[2].strip()
CHECKPOINT = Checkpoint(ORIGIN, 20852163, bytes(range(100, 132)))

TEXTS = st.text(st.characters(codec="utf-8", min_codepoint=0x20) | st.just("\n")).map(lambda text: text + "\n")
NAMES = st.text(st.characters(codec="utf-8", exclude_categories=("Z", "C"), exclude_characters="+"), min_size=1)
SEEDS = st.binary(min_size=32, max_size=32)


def _wycheproof() -> list[Any]:
    tests = [(group["publicKey"]["pk"], test) for group in WYCHEPROOF["testGroups"] for test in group["tests"]]
    return [pytest.param(pk, test, id=str(test["tcId"])) for pk, test in tests]


def test_all_public_signatures_are_there() -> None:
    assert len(_wycheproof()) == WYCHEPROOF["numberOfTests"] == 151


@pytest.mark.parametrize(("public", "vector"), _wycheproof())
def test_public_signatures_are_accepted_or_refused_as_they_say(public: str, vector: dict[str, str]) -> None:
    key = VerifierKey(ORIGIN, bytes.fromhex(public))
    found = key.verify(bytes.fromhex(vector["msg"]), bytes.fromhex(vector["sig"]))
    assert found == {"valid": True, "invalid": False}[vector["result"]]


def test_the_example_of_the_specification_verifies() -> None:
    key = VerifierKey.parse(EXAMPLE["key"])
    assert (key.name, key.id.hex(), str(key)) == ("example.com/foo", "530d903a", EXAMPLE["key"])
    assert open_note(EXAMPLE["note"], [key]) == ("This is an example message.\n", (key,))


def test_a_signature_is_that_of_the_private_key() -> None:
    expected = Ed25519PrivateKey.from_private_bytes(OLD.seed).sign(TEXT.encode())
    assert _base64(KEY.id + expected) == SIGNATURE
    assert f"{TEXT}\n— {ORIGIN} {SIGNATURE}\n" == NOTE


@given(TEXTS, NAMES, SEEDS)
def test_any_text_can_be_signed_and_opened_by_any_key(text: str, name: str, seed: bytes) -> None:
    key = SigningKey(name, seed)
    assert open_note(sign_note(text, key), [OTHER.verifier, key.verifier]) == (text, (key.verifier,))


@given(NAMES, SEEDS)
def test_keys_come_back_from_their_texts(name: str, seed: bytes) -> None:
    key = SigningKey(name, seed)
    assert SigningKey.parse(key.private_text()) == key
    assert VerifierKey.parse(str(key.verifier)) == key.verifier


@given(st.binary(min_size=32, max_size=32))
def test_bytes_that_are_no_point_of_the_curve_verify_nothing(public: bytes) -> None:
    assert not VerifierKey(ORIGIN, public).verify(TEXT.encode(), OLD.sign(TEXT.encode()))


def test_the_secret_is_in_no_representation_of_a_key() -> None:
    for shown in (repr(OLD), str(OLD), repr(KEY), str(KEY)):
        assert repr(OLD.seed)[2:-1] not in shown
        assert SECRET not in shown


def test_a_note_by_several_keys_names_those_that_are_known() -> None:
    note = NOTE + sign_note(TEXT, OTHER).removeprefix(TEXT + "\n") + sign_note(TEXT, NEW).removeprefix(TEXT + "\n")
    assert open_note(note, [NEW.verifier, KEY]) == (TEXT, (KEY, NEW.verifier))
    assert open_note(note, [OTHER.verifier]) == (TEXT, (OTHER.verifier,))


def test_a_signature_of_an_unknown_key_is_left_aside_whatever_it_is() -> None:
    """It shares the name or the id with a known key, but not both."""
    lines = (_line(ORIGIN, b"idid" + bytes(64)), _line("elsewhere.example", KEY.id + bytes(64)), _line("x", bytes(5)))
    for line in lines:
        assert open_note(f"{TEXT}\n{line}{LINE}", [KEY]) == (TEXT, (KEY,))
        with pytest.raises(NoteError, match="no signature of a known key"):
            open_note(f"{TEXT}\n{line}", [KEY])


def test_a_wrong_signature_of_a_known_key_spoils_the_note() -> None:
    wrong = _line(OTHER.name, OTHER.verifier.id + bytes(64))
    assert open_note(NOTE + wrong, [KEY]) == (TEXT, (KEY,))
    with pytest.raises(NoteError, match=r"signature of witness\.example"):
        open_note(NOTE + wrong, [KEY, OTHER.verifier])


def test_a_hundred_signatures_are_read_and_no_more() -> None:
    unknown = _line("unknown.example", bytes(5))
    assert open_note(NOTE + 99 * unknown, [KEY]) == (TEXT, (KEY,))
    with pytest.raises(NoteError, match="101 signatures, expected at most 100"):
        open_note(NOTE + 100 * unknown, [KEY])


def _base64(data: bytes) -> str:
    return b64encode(data).decode()


def _line(name: str, signature: bytes) -> str:
    return f"— {name} {_base64(signature)}\n"


def _signed(text: str) -> str:
    """A text that no note can hold, with a signature that is right."""
    return f"{text}\n{_line(ORIGIN, KEY.id + OLD.sign(text.encode()))}"


MALFORMED = {
    "nothing": "",
    "no text": _signed(""),
    "no text and no blank line": _signed("")[1:],
    "text without newline": _signed("text"),
    "no signature": f"{TEXT}\n",
    "text alone": TEXT,
    "no newline at the end": NOTE[:-1],
    "blank line at the end": NOTE + "\n",
    "blank line among signatures": NOTE + "\n" + LINE,
    "two blank lines": f"{TEXT}\n\n{LINE}",
    "text after the signatures": NOTE + "text\n",
    "carriage returns": NOTE.replace("\n", "\r\n"),
    "a carriage return at the end": NOTE[:-1] + "\r\n",
    "control character in the text": _signed("te\x1bxt\n"),
    "tab in the text": _signed("te\txt\n"),
    "carriage return in the text": _signed("text\r\n"),
    "zero byte": _signed("te\0xt\n"),
    "control character in an unknown name": NOTE + _line("un\x07known", bytes(5)),
    "half a character": NOTE.replace("S", "\ud800"),
    "half a character in an unknown name": NOTE + _line("un\ud800known", bytes(5)),
    "line separator in place of a newline": NOTE[:-1] + "\u2028",
    "hyphen": NOTE.replace("—", "-"),
    "en dash": NOTE.replace("—", "–"),
    "no dash": NOTE.replace("— ", ""),
    "two blanks": NOTE.replace("— ", "—  "),
    "no blank": NOTE.replace("— ", "—"),
    "a hard blank": NOTE.replace("— ", "—\u00a0"),
    "blank at the end": NOTE[:-1] + " \n",
    "fourth part": NOTE[:-1] + " more\n",
    "no name": f"{TEXT}\n— {SIGNATURE}\n",
    "empty name": f"{TEXT}\n—  {SIGNATURE}\n",
    "plus in an unknown name": NOTE + _line("un+known", bytes(5)),
    "wide blank in an unknown name": NOTE + _line("un\u3000known", bytes(5)),
    "no signature after the name": f"{TEXT}\n— {ORIGIN}\n",
    "empty signature": f"{TEXT}\n— {ORIGIN} \n",
    "key id alone": NOTE + _line("unknown", bytes(4)),
    "not base64": NOTE.replace(SIGNATURE, "!" + SIGNATURE[1:]),
    "character beyond ASCII in base64": NOTE.replace(SIGNATURE, "é" + SIGNATURE[1:]),
    "base64 for addresses": NOTE + _line("unknown", b"\xff" * 6).replace("/", "_"),
    "base64 without padding": NOTE + _line("unknown", bytes(5)).replace("=", ""),
    "base64 with too much padding": NOTE + _line("unknown", bytes(6))[:-1] + "====\n",
    "base64 with spare bits": NOTE + "— unknown AAAAAAB=\n",
    "base64 after its end": NOTE + "— unknown AAAAAAA=AAAA\n",
    "signature cut short": f"{TEXT}\n" + _line(ORIGIN, KEY.id + OLD.sign(TEXT.encode())[:-1]),
    "signature drawn out": f"{TEXT}\n" + _line(ORIGIN, KEY.id + OLD.sign(TEXT.encode()) + b"\0"),
    "signature of another text": f"{TEXT}\n" + _line(ORIGIN, KEY.id + OLD.sign(b"text\n")),
    "signature twice": NOTE + LINE,
    "blank line more in the text": "\n" + NOTE,
}


@pytest.mark.parametrize("note", MALFORMED.values(), ids=MALFORMED)
def test_a_malformed_note_is_refused(note: str) -> None:
    with pytest.raises(NoteError):
        open_note(note, [KEY])


def test_every_single_bit_of_a_note_counts() -> None:
    _refuses_every_flip(NOTE, lambda note: open_note(note, [KEY]))


def test_every_single_bit_of_an_endorsement_counts() -> None:
    _refuses_every_flip(endorsement(OLD, NEW.verifier, 17), lambda note: read_endorsement(note, KEY))


def _refuses_every_flip(note: str, read: Callable[[str], object]) -> None:
    assert read(note)
    data = note.encode()
    for bit in range(8 * len(data)):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        with pytest.raises((NoteError, UnicodeDecodeError)):
            read(flipped.decode())


@pytest.mark.parametrize("text", ["", "text", "te\rxt\n", "te\0xt\n", "te\ud800xt\n"])
def test_a_text_that_no_note_can_hold_is_not_signed(text: str) -> None:
    with pytest.raises(NoteError):
        sign_note(text, OLD)


@pytest.mark.parametrize("name", ["", "a b", "a+b", "a\tb", "a\nb", "a\u00a0b", "a\u2003b", "a\x01b", "a\ud800b"])
def test_a_name_that_no_signature_line_can_hold_is_refused(name: str) -> None:
    for make in (SigningKey, VerifierKey, lambda name, root: Checkpoint(name, 0, root)):
        with pytest.raises(NoteError):
            make(name, bytes(32))


@pytest.mark.parametrize("length", [0, 31, 33, 64])
def test_keys_and_roots_have_32_bytes(length: int) -> None:
    for make in (SigningKey, VerifierKey, lambda name, root: Checkpoint(name, 0, root)):
        with pytest.raises(NoteError, match=f"{length} bytes, expected 32"):
            make(ORIGIN, bytes(length))


def _wrong_keys(text: str, key: bytes) -> dict[str, str]:
    """What is nearly the text of a key."""
    head = text[: text.index(ORIGIN) + len(ORIGIN)]
    key_id, last = text.removeprefix(head + "+").split("+", 1)
    return {
        "empty": "",
        "blank before": " " + text,
        "newline after": text + "\n",
        "another id": f"{head}+00000000+{last}",
        "id in capitals": f"{head}+{key_id.upper()}+{last}",
        "short id": f"{head}+{key_id[:-1]}+{last}",
        "no id": f"{head}+{last}",
        "no name": text.replace(ORIGIN, ""),
        "another name": text.replace("example", "exampel"),
        "a fourth part": text + "+",
        "no key": f"{head}+{key_id}+",
        "padding": text + "=",
        "another kind of key": f"{head}+{key_id}+{_base64(b'4' + key)}",
        "short key": f"{head}+{key_id}+{_base64(ED25519 + key[:-1])}",
        "long key": f"{head}+{key_id}+{_base64(ED25519 + key + ED25519)}",
    }


WRONG_VERIFIERS = _wrong_keys(str(KEY), KEY.public) | {
    "base64 for addresses": "-".join(str(KEY).rsplit("+", 1)),  # this key's own text has a plus there
    "the private half": OLD.private_text(),
}
WRONG_SIGNERS = _wrong_keys(OLD.private_text(), OLD.seed) | {
    "the public half": str(KEY),
    "the mark alone": "PRIVATE+KEY+",
    "mark in small letters": OLD.private_text().replace("PRIVATE", "private"),
}


@pytest.mark.parametrize("text", WRONG_VERIFIERS.values(), ids=WRONG_VERIFIERS)
def test_what_is_nearly_a_verifier_key_is_refused(text: str) -> None:
    with pytest.raises(NoteError):
        VerifierKey.parse(text)


@pytest.mark.parametrize("text", WRONG_SIGNERS.values(), ids=WRONG_SIGNERS)
def test_what_is_nearly_a_signing_key_is_refused_without_being_shown(text: str) -> None:
    with pytest.raises(NoteError) as refused:
        SigningKey.parse(text)
    assert SECRET not in str(refused.value)


def test_a_key_of_another_kind_is_told_from_one_that_was_changed() -> None:
    with pytest.raises(NoteError, match="of an Ed25519 key"):
        VerifierKey.parse(WRONG_VERIFIERS["another kind of key"])
    with pytest.raises(NoteError, match="begins with PRIVATE"):
        SigningKey.parse(str(KEY))
    with pytest.raises(NoteError, match=f"its id is {KEY.id.hex()}, and the text has another"):
        VerifierKey.parse(WRONG_VERIFIERS["another id"])


def test_a_checkpoint_is_three_lines() -> None:
    assert CHECKPOINT.text() == f"{ORIGIN}\n20852163\n{ROOT}\n"


@given(NAMES, st.integers(0, 10**18 - 1), SEEDS)
def test_a_checkpoint_comes_back_from_its_text(origin: str, size: int, root: bytes) -> None:
    checkpoint = Checkpoint(origin, size, root)
    assert Checkpoint.parse(checkpoint.text()) == checkpoint


@pytest.mark.parametrize("size", [-1, 10**18, True])
def test_a_checkpoint_has_a_size_that_a_log_can_have(size: int) -> None:
    with pytest.raises(NoteError, match="size"):
        Checkpoint(ORIGIN, size, bytes(32))


ROOT = _base64(CHECKPOINT.root)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n\n\n",
        f"{ORIGIN}\n7\n",
        f"{ORIGIN}\n7\n{ROOT}",
        f"{ORIGIN}\n7\n{ROOT}\n\n",
        f"{ORIGIN}\n7\n{ROOT}\nextension\n",
        f"{ORIGIN}\n7\n{ROOT}\nextension",
        f"\n{ORIGIN}\n7\n{ROOT}\n",
        f"{ORIGIN}\r\n7\r\n{ROOT}\r\n",
        f"\n7\n{ROOT}\n",
        f"two words\n7\n{ROOT}\n",
        *(f"{ORIGIN}\n{n}\n{ROOT}\n" for n in ("", "07", "-7", "+7", " 7", "7 ", "7_0", "7.0", "0x7", "٧", "7" * 19)),
        *(f"{ORIGIN}\n7\n{root}\n" for root in ("", ROOT[:-1], ROOT + "=", ROOT[:-4], ROOT[:-2] + "d=", "AAAA" + ROOT)),
    ],
)  # fmt: skip
def test_what_is_nearly_a_checkpoint_is_refused(text: str) -> None:
    with pytest.raises(NoteError):
        Checkpoint.parse(text)


def test_an_old_key_endorses_a_new_one_from_a_size_on() -> None:
    note = endorsement(OLD, NEW.verifier, 17)
    assert open_note(note, [KEY]) == (f"{ORIGIN}/key\n{NEW.verifier}\n17\n", (KEY,))
    assert read_endorsement(note, KEY) == (NEW.verifier, 17)


@pytest.mark.parametrize(
    "text",
    [
        CHECKPOINT.text(),
        f"{ORIGIN}\n{NEW.verifier}\n17\n",
        f"{ORIGIN}/key\n{NEW.verifier}\n",
        f"{ORIGIN}/key\n{NEW.verifier}\n017\n",
        f"{ORIGIN}/key\n{NEW.verifier}\n17\n\n",
        f"{ORIGIN}/key\n{NEW.verifier}x\n17\n",
        f"{ORIGIN}/key\n{KEY}\n17\n",
        f"{ORIGIN}/key\n{OTHER.verifier}\n17\n",
    ],
)
def test_a_note_of_the_old_key_that_endorses_nothing_is_refused(text: str) -> None:
    with pytest.raises(NoteError):
        read_endorsement(sign_note(text, OLD), KEY)


def test_no_key_endorses_itself_or_is_endorsed_by_another_than_the_old() -> None:
    with pytest.raises(NoteError, match="no signature of a known key"):
        read_endorsement(endorsement(NEW, KEY, 17), KEY)
    for follower in (KEY, OTHER.verifier):
        with pytest.raises(NoteError, match="another key of the same name"):
            endorsement(OLD, follower, 17)


def test_no_endorsement_is_a_checkpoint() -> None:
    text, _ = open_note(endorsement(OLD, NEW.verifier, 17), [KEY])
    with pytest.raises(NoteError):
        Checkpoint.parse(text)
