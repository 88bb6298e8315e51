from __future__ import annotations

import base64
import quopri
import time
import tracemalloc
from email.message import EmailMessage
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from identifiers import identity_number
from lethe.offboarding import mime
from lethe.offboarding.sensitive import Sensitive, sensitive, words_of
from lethe.policy import load

NIN = identity_number("018190")
OTHER = identity_number("158585")
HEALTH = ("diagnose*", "sick leave", "sykmeldt", "sår")
HEAD = b"From: a@b.example\r\nSubject: hei\r\n"


def counted(message: bytes) -> tuple[int, int, int]:
    found = sensitive(message, HEALTH)
    return found.identity_numbers, found.health_words, found.unread


def plain(body: bytes, *fields: bytes) -> bytes:
    return HEAD + b"".join(field + b"\r\n" for field in fields) + b"\r\n" + body


def mixed(*parts: bytes, boundary: bytes = b"xyz", end: bytes = b"--xyz--\r\n") -> bytes:
    lines = b"".join(b"--" + boundary + b"\r\n" + part + b"\r\n" for part in parts)
    return plain(lines + end, b"Content-Type: multipart/mixed; boundary=" + boundary)


def b64(text: str | bytes) -> bytes:
    return base64.encodebytes(text.encode() if isinstance(text, str) else text)


def attached(kind: bytes, name: bytes, body: bytes) -> bytes:
    return (
        b"Content-Type: " + kind + b"\r\nContent-Disposition: attachment; filename=" + name
        + b"\r\nContent-Transfer-Encoding: base64\r\n\r\n" + b64(body)
    )  # fmt: skip


def pdf(parameters: bytes = b"") -> bytes:
    return b"Content-Type: application/pdf\r\nContent-Disposition: attachment" + parameters + b"\r\n\r\n%PDF-1.7"


def nested(levels: int) -> bytes:
    message = plain(NIN.encode())
    for _ in range(levels):
        message = plain(message, b"Content-Type: message/rfc822")
    return message


FNR = f"Fødselsnummer {NIN}."
Q = b"Content-Transfer-Encoding: quoted-printable"
B = b"Content-Transfer-Encoding: base64"
UTF8 = b"Content-Type: text/plain; charset=utf-8"
MARKUP = b"Content-Type: text/html; charset=utf-8"
MESSAGES = {
    "nothing": (plain(b"Hei, takk for sist."), (0, 0, 0)),
    "an identity number": (plain(FNR.encode(), UTF8), (1, 0, 0)),
    "two, one of them with a space": (plain(f"{NIN} og {OTHER[:6]} {OTHER[6:]}".encode()), (2, 0, 0)),
    "eleven digits whose check digits are wrong": (plain(b"01819012345"), (0, 0, 0)),
    "a telephone and an order number": (plain(b"Ring 22 22 22 22 om ordre 4711-2024"), (0, 0, 0)),
    "health words with endings, in any case": (plain(b"DIAGNOSEN, Sykmeldt og sick\r\nleave"), (0, 3, 0)),
    "no health words inside other words": (plain(b"sykmeldte, Superdiagnose"), (0, 0, 0)),
    "æøå in NFD": (plain("et sa\u030ar".encode(), UTF8), (0, 1, 0)),
    "a zero-width space inside": (plain("syk\u200bmeldt, 0181\u200b90".encode() + NIN[6:].encode(), UTF8), (1, 1, 0)),
    "full-width digits": (plain(NIN.translate({48 + n: 0xFF10 + n for n in range(10)}).encode(), UTF8), (1, 0, 0)),
    "quoted-printable, split by a soft break": (plain(NIN[:5].encode() + b"=\r\n" + NIN[5:].encode(), Q), (1, 0, 0)),
    "quoted-printable with every octet escaped": (plain(b"".join(b"=%02X" % n for n in NIN.encode()), Q), (1, 0, 0)),
    "base64": (plain(b64(FNR), B, UTF8), (1, 0, 0)),
    "base64 with junk between and behind its padding": (plain(b64("Hei") + b"\r\n!!" + b64(FNR), B), (1, 0, 0)),
    "text that says that it is base64": (plain(FNR.encode(), B, UTF8), (1, 0, 0)),
    "an encoding that nobody knows": (plain(b"x", b"Content-Transfer-Encoding: x-uuencode"), (0, 0, 1)),
    "a charset that nobody knows": (plain(FNR.encode(), b"Content-Type: text/plain; charset=x-nowhere"), (1, 0, 0)),
    "UTF-16": (plain(FNR.encode("utf-16"), b"Content-Type: text/plain; charset=utf-16"), (1, 0, 0)),
    "UTF-16 that only its first octets tell": (plain(FNR.encode("utf-16"), b"Content-Type: text/csv"), (1, 0, 0)),
    "Latin-1": (plain("et sår".encode("latin-1"), b"Content-Type: text/plain; charset=iso-8859-1"), (0, 1, 0)),
    "HTML with tags inside the number": (plain(f"<b>{NIN[:6]}</b><i>{NIN[6:]}</i>".encode(), MARKUP), (1, 0, 0)),
    "HTML with tags where no number is parted": (plain(f"{NIN[:3]}<b>{NIN[3:]}</b>".encode(), MARKUP), (1, 0, 0)),
    "HTML with cells that part it": (
        plain(f"<td>1</td><td>{NIN[:6]}</td><td>{NIN[6:]}</td><td>2</td>".encode(), MARKUP),
        (1, 0, 0),
    ),
    "HTML with cells around it": (plain(f"<td>1</td><td>{NIN}</td><td>2</td>".encode(), MARKUP), (1, 0, 0)),
    "HTML with entities": (plain("".join(f"&#{ord(n)};" for n in NIN).encode() + b" s&aring;r", MARKUP), (1, 1, 0)),
    "HTML with a non-breaking space": (plain(f"{NIN[:6]}&nbsp;{NIN[6:]}".encode(), MARKUP), (1, 0, 0)),
    "an attribute and a comment": (plain(f'<a title="{NIN}">x</a><!-- {OTHER} -->'.encode(), MARKUP), (2, 0, 0)),
    "an entity of five thousand digits": (plain(b"&#" + b"9" * 5000 + b"; sykmeldt", MARKUP), (0, 1, 0)),
    "in the subject, encoded": (b"Subject: =?utf-8?B?" + b64(FNR).strip() + b"?=\r\n\r\nhei", (1, 0, 0)),
    "in a display name": (b"From: " + NIN.encode() + b" <a@b.example>\r\nSubject: x\r\n\r\nhei", (1, 0, 0)),
    "not in what programs write": (
        b"Message-ID: <" + NIN.encode() + b"@b.example>\r\nSubject: x\r\n\r\nhei",
        (0, 0, 0),
    ),
    "a part of several": (mixed(UTF8 + b"\r\n\r\nhei", UTF8 + b"\r\n\r\n" + FNR.encode()), (1, 0, 0)),
    "a part without a header": (mixed(b"\r\n" + NIN.encode()), (1, 0, 0)),
    "a part that begins at once": (mixed(NIN.encode() + b"\r\n\r\nhei"), (1, 0, 0)),
    "a part that looks like a header": (mixed(b"Fnr: " + NIN.encode() + b"\r\n\r\nhei"), (1, 0, 0)),
    "before the first part": (
        mixed(b"\r\nhei").replace(b"\r\n--xyz\r\n", b"\r\n" + NIN.encode() + b"\r\n--xyz\r\n"),
        (1, 0, 0),
    ),
    "behind the last part": (mixed(b"\r\nhei") + NIN.encode() + b"\r\n\r\nhei", (1, 0, 0)),
    "parts that never end": (mixed(UTF8 + b"\r\n\r\n" + FNR.encode(), end=b""), (1, 0, 0)),
    "parts without their boundary": (plain(FNR.encode(), b"Content-Type: multipart/mixed"), (1, 0, 0)),
    "a boundary that nothing has": (plain(FNR.encode(), b"Content-Type: multipart/mixed; boundary=none"), (1, 0, 0)),
    "a boundary in quotes, with regular signs": (
        mixed(b"\r\n" + NIN.encode(), boundary=b'"a.*(b"').replace(b'--"a.*(b"', b"--a.*(b"),
        (1, 0, 0),
    ),
    "a text file": (mixed(attached(b"text/csv", b"liste.csv", NIN.encode())), (1, 0, 0)),
    "a text file that says nothing of itself": (
        mixed(attached(b"application/octet-stream", b"liste.CSV", NIN.encode())),
        (1, 0, 0),
    ),
    "JSON": (mixed(attached(b"application/vnd.x+json", b"x", b'{"nin": "' + NIN.encode() + b'"}')), (1, 0, 0)),
    "a PDF": (mixed(pdf()), (0, 0, 1)),
    "a PDF, and a picture": (mixed(pdf(), attached(b"image/png", b"x.png", b"P")), (0, 0, 2)),
    "the name of a file": (mixed(pdf(b'; filename="' + NIN.encode() + b'.pdf"')), (1, 0, 1)),
    "the name of a file in sections (RFC 2231)": (
        mixed(pdf(b"; filename*0*=utf-8''sykm; filename*1=eldt.pdf")),
        (0, 1, 1),
    ),
    "the name of a file in an encoded word": (mixed(pdf(b'; name="=?utf-8?B?' + b64(NIN).strip() + b'?="')), (1, 0, 1)),
    "an attached message": (mixed(b"Content-Type: message/rfc822\r\n\r\n" + plain(b64(FNR), B)), (1, 0, 0)),
    "the subject of an attached message": (
        mixed(b"Content-Type: message/rfc822\r\n\r\nSubject: sykmeldt\r\n\r\n"),
        (0, 1, 0),
    ),
    "an attached message in base64": (
        mixed(attached(b"application/octet-stream", b"x.eml", plain(NIN.encode()))),
        (1, 0, 0),
    ),
    "a digest": (mixed(b"\r\n" + plain(NIN.encode())).replace(b"multipart/mixed", b"multipart/digest"), (1, 0, 0)),
    "a message within messages": (nested(5), (1, 0, 0)),
    "a message within too many": (nested(50), (0, 0, 1)),
    "no message at all": (b"", (0, 0, 0)),
    "no header": (NIN.encode(), (1, 0, 0)),
    "a header that a line breaks": (HEAD + b">From x\r\n" + B + b"\r\n\r\n" + b64(FNR), (1, 0, 0)),
    "a header that begins as in a file of mail": (b"From a@b.example\n" + HEAD + B + b"\r\n\r\n" + b64(FNR), (1, 0, 0)),
    "a header too large to be read": (HEAD + b"X: " + b"x" * 300_000 + b"\r\n" + B + b"\r\n\r\nZg==", (0, 0, 1)),
    "a header without a body": (b"Subject: sykmeldt", (0, 1, 0)),
    "lines that end in LF alone": (plain(NIN.encode(), UTF8).replace(b"\r\n", b"\n"), (1, 0, 0)),
}


@pytest.mark.parametrize("what", MESSAGES)
def test_what_a_message_holds_is_counted(what: str) -> None:
    message, expected = MESSAGES[what]
    assert counted(message) == expected


def test_a_message_as_programs_write_it() -> None:
    message = EmailMessage()
    message["Subject"], message["From"] = "Fødselsdag", "Kari <kari@kunde.example>"
    message.set_content(f"Hei.\n\n{FNR}\n")
    message.add_alternative(f"<p>Hei.</p><p>{FNR}</p>", subtype="html")
    message.add_attachment("navn;diagnose\nOla;ukjent\n", filename="æøå.csv", subtype="csv")
    message.add_attachment(b"\x00", maintype="image", subtype="png", filename="x.png")
    assert counted(message.as_bytes()) == (2, 1, 1)


def test_what_is_found_keeps_a_message_and_what_nobody_could_read_does_not() -> None:
    assert Sensitive(1, 0, 0).is_sensitive
    assert Sensitive(0, 1, 0).is_sensitive
    assert not Sensitive(0, 0, 7).is_sensitive


def test_what_was_found_is_not_told() -> None:
    found = sensitive(plain(FNR.encode() + b" sykmeldt", UTF8), HEALTH)
    assert repr(found) == "Sensitive(identity_numbers=1, health_words=1, unread=0)"


def test_the_words_of_all_languages_count() -> None:
    policy = load(Path(__file__).parents[2] / "include" / "policy").offboarding
    assert policy is not None
    words = words_of(policy)
    for text in ("sykmelding", "Graviditet", "sick note", "diagnosis", "legeerklæringen"):
        assert sensitive(plain(text.encode(), UTF8), words).health_words == 1, text
    assert sensitive(plain(b"Sykkelen er syk og en hospitant behandler saken"), words).health_words == 0


@pytest.mark.parametrize("before", [0, 65_500, 65_520, 65_530, 65_536, 131_070])
def test_nothing_is_lost_or_counted_twice_where_a_large_text_is_cut(before: int) -> None:
    text = " " * before + f"{NIN} sick leave " + "x " * 40_000 + f"{OTHER} sykmeldt"
    assert counted(plain(text.encode(), UTF8)) == (2, 2, 0)


def test_a_message_of_any_shape_is_read_at_once_and_without_much_room() -> None:
    parts = b"".join(b"--xyz\r\n\r\nhei\r\n" for _ in range(20_000))
    deep = b"".join(b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (n, n) for n in range(20_000))
    hostile = [
        plain(b"1 " * 500_000),
        plain(b"<" * 1_000_000, MARKUP),
        plain(b"&" * 1_000_000, MARKUP),
        HEAD + deep,
        plain(parts, b"Content-Type: multipart/mixed; boundary=xyz"),
        plain(b"--" * 500_000, b"Content-Type: multipart/mixed; boundary=-"),
        plain(b"A" * 1_000_000, B),
        plain(b"=" * 1_000_000, Q),
        plain("p\u0336".encode() * 200_000, UTF8),
        b"\r\n" * 500_000,
        b"a:\r\n " * 200_000,
        plain(b"b" * 1_000_000, b"Content-Type: text/plain; charset=punycode"),
        b"Content-Type: " + b';a="' * 60_000 + b"\r\n\r\n",
    ]
    begun = time.perf_counter()
    for message in hostile:
        sensitive(message, HEALTH)
    assert time.perf_counter() - begun < 60
    tracemalloc.start()
    sensitive(plain(b64(b"hei der. " * 500_000), B, UTF8), HEALTH)
    assert tracemalloc.get_traced_memory()[1] < 60_000_000
    tracemalloc.stop()


def test_what_is_too_large_or_too_much_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    parts = b"".join(b"--xyz\r\n\r\n%d\r\n" % n for n in range(1_100)) + b"--xyz\r\n\r\n" + NIN.encode()
    assert counted(plain(parts, b"Content-Type: multipart/mixed; boundary=xyz"))[2] > 0
    monkeypatch.setattr(mime, "LARGEST", 1_000)
    assert counted(plain(NIN.encode() + b" " * 2_000)) == (1, 0, 1)


PIECES = [
    HEAD,
    b"\r\n",
    b"--xyz",
    b"--",
    UTF8,
    MARKUP,
    Q,
    B,
    NIN.encode(),
    b"Content-Type: multipart/mixed; boundary=xyz",
    b"=?",
    b"<",
    b"&#",
]
PIECES += [
    b"Content-Type: message/rfc822",
    b"Content-Disposition: x; filename*0*=utf-8''%F",
    b";",
    b"charset=",
    b"hex",
    b"\0",
    b"boundary=",
]


@settings(max_examples=400, deadline=None)
@given(st.lists(st.sampled_from(PIECES) | st.binary(max_size=12), max_size=20).map(b"".join))
def test_broken_messages_never_raise(message: bytes) -> None:
    found = sensitive(message, HEALTH)
    assert min(found.identity_numbers, found.health_words, found.unread) >= 0


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300), st.sampled_from([b"", b"quoted-printable", b"base64", b"8bit"]))
def test_a_number_in_a_sound_text_is_found_whatever_stands_before_it(before: bytes, encoding: bytes) -> None:
    body = before.decode("latin-1").encode() + f"\n\nHei, {NIN}.\n".encode()
    encoded = {b"quoted-printable": quopri.encodestring, b"base64": base64.encodebytes}.get(encoding, bytes)(body)
    assert counted(plain(encoded, UTF8, b"Content-Transfer-Encoding: " + encoding))[0] >= 1
