from __future__ import annotations

import base64
import quopri
import time
from email.header import Header, decode_header, make_header

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from identifiers import KARI, in_base64
from lethe.anonymise.encoded import redact_stored
from lethe.anonymise.find import Finder
from lethe.anonymise.redact import redact

FINDER = Finder(KARI)
LETTER = "Hei! Her er en henvendelse som fyller flere linjer når den er kodet. Hilsen Kari Ås-Nordmann, 912 34 567\n"

SNIPPETS = [
    "<b>", "</b>", "<br>", "&oslash;", "&amp;", "=\n", "=\r\n", "=C3=B8", "=C5", "ri", "Ka", " ", "\n", "S2FyaQ==",
    "x", "=", "=?utf-8?Q?Kari?=", "=?utf-8?B?S2FyaQ==?=", "<a href='x Kari'>", "<!--", "-->", "æ", in_base64(LETTER),
]  # fmt: skip

snippets = st.sampled_from([*SNIPPETS, *KARI.names, *KARI.emails, *KARI.phones])
texts = st.text(max_size=40) | st.lists(snippets, max_size=10).map("".join)


def stored(text: str) -> str:
    return redact_stored(text, FINDER).text


@pytest.mark.parametrize(
    ("text", "redacted"),
    [
        ("ring 912=\n34567 takk", "ring [telefon]=\n takk"),
        ("ring 912 3=\r\n4 567 takk", "ring [telefon]=\r\n takk"),
        ("Kari =C3=\n=85s-Nordmann", "[navn]"),
        ("Kari =C5s-Nordmann i Bod=F8", "[navn] i Bod=F8"),
        ("Kari=20Nordmann =3D x", "[navn] =3D x"),
        ("id=91234567", "id=[telefon]"),
        ("fnr 018190 10001=20", "fnr [f=C3=B8dselsnummer]=20"),
    ],
)
def test_quoted_printable(text: str, redacted: str) -> None:
    assert stored(text) == redacted


def test_quoted_printable_keeps_its_lines_short() -> None:
    line = "x" * 66 + " Kari "
    raw = quopri.encodestring((line + "y" * 60 + "\n" + LETTER).encode()).decode()
    result = stored(raw)
    assert max(map(len, result.splitlines())) <= 76
    assert quopri.decodestring(result).decode() == redact(line + "y" * 60 + "\n" + LETTER, FINDER).text


@pytest.mark.parametrize("text", ["Kari", LETTER, f"<p>Hei <b>Kari</b> Nordmann</p>{LETTER}"])
def test_base64_as_a_value(text: str) -> None:
    decoded = base64.b64decode(stored(in_base64(text))).decode()
    assert decoded == stored(text)
    assert "[navn]" in decoded


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_base64_as_lines_of_a_mail(newline: str) -> None:
    body = base64.encodebytes((LETTER * 3).encode()).decode().replace("\n", newline)
    head = f"Content-Transfer-Encoding: base64{newline}{newline}"
    result = stored(f"{head}{body}{newline}--grense--")
    assert result.startswith(head)
    assert result.endswith(f"{newline}--grense--")
    lines = result.removeprefix(head).removesuffix(f"{newline}--grense--").splitlines()
    assert max(map(len, lines)) == 76
    assert base64.b64decode("".join(lines)).decode() == redact(LETTER * 3, FINDER).text


def test_base64_within_base64() -> None:
    twice = in_base64(f"vedlegg: {in_base64(LETTER)}")
    inner = base64.b64decode(stored(twice)).decode().removeprefix("vedlegg: ")
    assert base64.b64decode(inner).decode() == redact(LETTER, FINDER).text


@pytest.mark.parametrize(
    "text",
    ["Karianna", "a9f8c7d6e5", "QARI1234Q", "550e8400-e29b-41d4-a716-446655440000", in_base64("Hei verden, alt vel"),
     "=ZZ", "&#xFFFFFFF;", "S2FyaQ=", "S2FyaQ===", base64.b64encode(bytes(range(256))).decode(), "=?utf-8?B?!!?=",
     "=?ukjent?Q?hei?="],
)  # fmt: skip
def test_what_holds_nothing_comes_back(text: str) -> None:
    assert stored(text) == text


@pytest.mark.parametrize("encoding", ["utf-8", "iso-8859-1"])
def test_encoded_words(encoding: str) -> None:
    header = Header("Sak om Kari Ås-Nordmann og strømmen", encoding, maxlinelen=40).encode()
    assert str(make_header(decode_header(stored(header)))) == "Sak om [navn] og strømmen"
    assert encoding in stored(header)


@pytest.mark.parametrize(
    ("text", "redacted"),
    [
        ("=?utf-8?Q?Kari?= =?utf-8?Q?_Nordmann?= <kari.nordmann@example.no>", "=?utf-8?Q?=5Bnavn=5D?= <[e-post]>"),
        ("Re: =?utf-8?B?S2FyaQ==?= Nordmann", "Re: =?utf-8?B?W25hdm5d?="),
        ("=?utf-8?Q?Str=C3?= =?utf-8?Q?=B8m?= fra Kari", "=?utf-8?Q?Str=C3?= =?utf-8?Q?=B8m?= fra [navn]"),
        ("=?utf-8?Q?Ka?= =?utf-8?Q?ri?= =?broken", "=?utf-8?Q?=5Bnavn=5D?= =?broken"),
    ],
)
def test_encoded_words_beside_each_other(text: str, redacted: str) -> None:
    assert stored(text).rstrip() == redacted


@pytest.mark.parametrize(
    ("text", "redacted"),
    [
        ("<b>Kari</b> Nordmann", "<b>[navn]</b>"),
        ("K<i>ari</i>&nbsp;&Aring;s-Nordmann", "[navn]<i></i>"),
        ("<td>Kari</td><td>Nordmann</td>", "<td>[navn]</td><td>[navn]</td>"),
        ("<a href='mailto:kari.nordmann&#64;example.no' title=\"Kari\">her</a>",
         "<a href='mailto:[e-post]' title=\"[navn]\">her</a>"),
        ("<!-- Kari --><p>912<br>34567</p>", "<!-- [navn] --><p>[telefon]<br></p>"),
        ("<navn>Kari</navn>", "<navn>[navn]</navn>"),
        ("Fra: <Kari> & co", "Fra: <[navn]> & co"),
        ("=3Cb=3EKari=3C/b=3E Nord=\nmann", "=3Cb=3E[navn]=3C/b=3E=\n"),
        ("<p class=3D\"x\">912 34=\n 567</p>", "<p class=3D\"x\">[telefon]=\n</p>"),
        ("<b>Kari", "<b>[navn]"),
    ],
)  # fmt: skip
def test_html(text: str, redacted: str) -> None:
    assert stored(text) == redacted


@settings(max_examples=200, deadline=None)  # the first number loads tables
@given(texts)
def test_stored_text_twice_is_the_same_as_once(text: str) -> None:
    once = stored(text)
    assert stored(once) == once


@settings(deadline=None)
@given(st.text())
def test_nothing_raises_and_without_a_mark_nothing_changes(text: str) -> None:
    result = redact_stored(text, FINDER)
    assert result.counts or result.text == text


@settings(deadline=None)
@given(st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=30))
@example("\U00064d0000")  # its octets spell aS, which a name could
def test_what_base64_holds_is_redacted_as_it_would_be_by_itself(text: str) -> None:
    content = f"{text} Kari Nordmann"
    assert base64.b64decode(stored(in_base64(content))).decode() == stored(content)


@pytest.mark.parametrize(
    "unit", ["=", "=3D", "=\n", "<", "<b>", "<!--", "&", "&amp;", "=?", "=?a?q?b?= ", "S2Fy", "S2Fy\n", "<a b=", "A"]
)
def test_time_grows_with_the_length_alone(unit: str) -> None:
    text = unit * (80_000 // len(unit))
    short, whole = (min(_seconds_for(part) for _ in range(3)) for part in (text[:20_000], text))
    assert whole < max(0.5, 8 * short)


def _seconds_for(text: str) -> float:
    began = time.process_time()
    redact_stored(text, FINDER)
    return time.process_time() - began
