from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from identifiers import DAG, KARI, identity_number
from lethe.anonymise.encoded import redact_stored
from lethe.anonymise.find import MARKS, Finder
from lethe.anonymise.redact import Redacted, redact
from lethe.anonymise.subject import Identifiers

NIN = identity_number("018190")
MEAN = Identifiers(names=("Navn Telefon Post", "Ordre Nr"), emails=("kr@localhost",))  # as marks and labels are
WORDS = Identifiers(names=("Vår Sol Berg", "Per Dag Å"), emails=("mat@localhost",), addresses=("Mat 1, 0155 Sol",))
FINDERS = [Finder(KARI), Finder(DAG), Finder(MEAN), Finder(WORDS)]
SNIPPETS = [
    " ", "\n", ",", "-", "[", "]", "@", "/", "+", "47", "dag", "hei ", "mvh\n", "kari", "K.", "0155", "oslo", "ordre ",
    "navn", "telefon ", "post", "kr", "nr ", "org ", "tlf ", "@localhost", "90012345", "22 33 44 55", "21051990",
    "8601.11.17947", "988077917", "311 222 333", NIN, *MARKS.values(), *DAG.names, *KARI.names, *KARI.emails,
    *KARI.phones, *KARI.addresses, *WORDS.names, *WORDS.addresses, "Vår", "Per", "Sol", "Kari", " Hansen", " Lie", "i ",
    ". ", "«", "»", " og ", "sol", " = ", "server", "kommune", "rom ", "født", "sier ", "MVA", " mva", "Nordman", "N-",
]  # fmt: skip

snippets = st.sampled_from(SNIPPETS)
pieces = st.lists(snippets, max_size=12)
texts = st.text(max_size=40) | pieces.map("".join) | pieces.map(" ".join)


@pytest.mark.parametrize(
    ("text", "redacted", "counts"),
    [
        ("Hei, Kari Nordmann her.", "Hei, [navn] her.", {"name": 1}),
        (f"Fnr {NIN}, tlf 912 34 567", "Fnr [fødselsnummer], tlf [telefon]", {"nin": 1, "phone": 1}),
        ("kari.nordmann@example.no", "[e-post]", {"email": 1}),
        ("Karl Johans gate 12, 0155 Oslo", "[adresse]", {"address": 1}),
        (
            "konto 8601.11.17947, org 988 077 917",
            "konto [kontonummer], org [organisasjonsnummer]",
            {"account": 1, "orgnr": 1},
        ),
        ("Ikke noe her", "Ikke noe her", {}),
    ],
)
def test_each_kind_has_its_mark(text: str, redacted: str, counts: dict[str, int]) -> None:
    result = redact(text, KARI)
    assert (result.text, dict(result.counts)) == (redacted, counts)


@settings(max_examples=300, deadline=None)  # the first number loads tables
@given(texts, st.sampled_from(FINDERS))
@example("[telefon] 21051990", FINDERS[0])
@example(f"{NIN}MVAsier 311 222 333", FINDERS[1])
@example("+47 912 34 567+311 222 333", FINDERS[0])
@example("Sol og dag Å", FINDERS[3])
@example("Vår mat 1, 0155 Sol", FINDERS[3])
@example("post navn@telefon.no", FINDERS[2])
def test_twice_is_the_same_as_once(text: str, finder: Finder) -> None:
    once = redact(text, finder)
    twice = redact(once.text, finder)
    assert twice.text == once.text
    assert not twice.counts


few = st.lists(st.text(max_size=12), max_size=2).map(tuple)


@pytest.mark.parametrize("text", ["王A", "A王", "王Per", "Per王", "王Vei 1", "Vei 1王"])
def test_a_letter_of_a_script_without_spaces_parts_words(text: str) -> None:
    """It is a name, so its mark would part them when the text is redacted once more."""
    who = Identifiers(names=("王", "Per"), emails=("A",), addresses=("Vei 1",))
    once = redact(text, who).text
    assert redact(once, who).text == once
    assert not {"A", "P", "V"} & set(once)


@pytest.mark.parametrize("redacted", [redact, redact_stored])
@settings(deadline=None)
@given(st.builds(Identifiers, few, few, few, few), st.data())
def test_twice_is_the_same_as_once_whoever_it_is(
    redacted: Callable[[str, Identifiers], Redacted], who: Identifiers, data: st.DataObject
) -> None:
    known = [*who.names, *who.emails, *who.phones, *who.addresses, " ", "x", "1", ",", "[navn]"]
    text = "".join(data.draw(st.lists(st.sampled_from(known) | st.text(max_size=4), max_size=6)))
    once = redacted(text, who).text
    assert redacted(once, who).text == once


def test_a_mark_is_no_base64_whatever_its_letters_hold() -> None:
    who = Identifiers(emails=("2",))  # the third octet of what "post" holds reads so
    assert redact_stored(redact_stored("2", who).text, who).text == "[e-post]"


def test_a_letter_that_is_folded_into_several_hides_nothing() -> None:
    assert redact("¼1", Identifiers(addresses=("1",))).text == "[adresse][adresse]"


@settings(deadline=None)
@given(texts, st.sampled_from(FINDERS))
def test_what_is_outside_of_spans_is_unchanged(text: str, finder: Finder) -> None:
    pieces, behind = [], 0
    for each in finder.find(text):
        pieces += [text[behind : each.start], MARKS[each.kind]]
        behind = each.end
    assert redact(text, finder).text == "".join(pieces) + text[behind:]


@settings(deadline=None)
@given(texts, st.sampled_from(FINDERS))
def test_there_are_as_many_marks_as_were_counted(text: str, finder: Finder) -> None:
    result = redact(text, finder)
    for kind, mark in MARKS.items():
        assert result.text.count(mark) - text.count(mark) == result.counts.get(kind, 0)
