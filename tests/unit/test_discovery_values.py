"""What values look like: invented people, numbers that are nobody's, and what only looks like them."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lethe.discovery.values import see, see_documents, signs_of_values, sorts_of


@pytest.mark.parametrize(
    ("value", "sort"),
    [
        ("kari@firma.example", "email"),
        ("mailto:kari.h+x@firma.example", "email"),
        ("192.0.2.17", "ip"),
        ("2001:db8::1", "ip"),
        ("192.0.2.0/24", "ip"),
        ("+47 22 22 55 55", "phone"),
        ("22 22 55 55", "phone"),
        ("22225555", "digits"),
        ("Kari Hansen", "name"),
        ("Hansen, Kari", "name"),
        ("Kari Anne Hansen", "name"),
        ("John Smith", "name"),
        ("Kari", "given"),
        ("GB82 WEST 1234 5698 7654 32", "iban"),
        ("4111 1111 1111 1111", "card"),
    ],
)
def test_a_value_is_recognised(value: str, sort: str) -> None:
    assert sort in sorts_of(value)


@pytest.mark.parametrize(
    "value",
    ["2024-01-31", "31.01.2024", "20240131", "1234.5678", "grønn", "Rød genser", "12", "a@b", "0000 0000 0000 0000",
     "Bergen kommune", "Hansen Transport AS", "v1.2", "42", "Ordre 12345678 er sendt fra lageret vårt"],
)  # fmt: skip
def test_what_only_looks_like_it_is_not(value: str) -> None:
    assert sorts_of(value) - {"dialled", "account"} == set()


@pytest.mark.parametrize(
    "value",
    ["Snakket med Kari Hansen om saken", "skriv til kari@firma.example i morgen", "ring meg på 22 22 55 55 etter fire"],
)
def test_a_text_with_somebody_inside_is_recognised(value: str) -> None:
    assert sorts_of(value) == {"inside"}


def told(values: list[str]) -> set[str]:
    return {sign.category for sign in signs_of_values(see(values)) if sign.weight >= 0.5}


def test_a_share_of_the_values_decides() -> None:
    emails = [f"p{n}@firma.example" for n in range(100)]
    assert told(emails) == {"user.contact.email"}
    assert told(emails[:6] + ["x"] * 94) == {"user.contact.email"}
    assert told(emails[:1] + ["x"] * 99) == set()
    assert told([]) == set()


def test_numbers_in_a_row_are_no_identity_numbers() -> None:
    assert told([str(10_000_000_000 + n) for n in range(500)]) == set()


def test_identity_numbers_are_told_by_their_check_digits() -> None:
    from stdnum.no import fodselsnummer

    found = []
    for serial in range(500):
        nine = f"01{1 + serial % 12:02}80{serial:03}"
        first = fodselsnummer.calc_check_digit1(nine)
        if first != "-":
            second = fodselsnummer.calc_check_digit2(nine + first)
            found += [nine + first + second] if second != "-" else []
    assert len(found) > 300
    assert "user.government_id.national_identification_number" in told(found)


def test_a_few_words_again_and_again_are_no_names() -> None:
    assert told(["Nora", "Hansen"] * 100) == set()


def test_documents_tell_by_their_keys_and_by_their_texts() -> None:
    named = see_documents([json.dumps({"a": [{"epost": "x"}]})] * 3)
    assert {sign.category for sign in signs_of_values(named)} == {"user.contact.email"}
    inside = see_documents([json.dumps({"a": {"b": f"p{n}@firma.example"}}) for n in range(3)])
    assert {sign.category for sign in signs_of_values(inside)} == {"user.content.private"}
    assert list(signs_of_values(see_documents(['{"a": 1}', "no JSON", '["x"]']))) == []


def test_words_have_counts_and_no_values() -> None:
    for sign in signs_of_values(see(["kari@firma.example", "Kari Hansen"])):
        assert "kari" not in sign.why.lower()
        assert "of 2 values" in sign.why


@settings(max_examples=400, deadline=None)
@given(
    st.one_of(
        st.text(max_size=60),
        st.text(alphabet="0123456789+-. ()/NOåÅ٣٤ABab@:,", max_size=40),
        st.from_regex(r"[A-Za-zåÅß]{2}\d{2}[0-9A-Zå]{5,30}", fullmatch=True),
        st.from_regex(r"\d{11}", fullmatch=True),
    )
)
def test_no_value_stops_it(text: str) -> None:
    """An exception would carry the value in its message."""
    sorts_of(text)
    see_documents([text])


def test_a_document_nested_beyond_reason_is_a_text() -> None:
    assert see_documents(["[" * 5_000 + "]" * 5_000, '{"a":' * 900 + "1" + "}" * 900]).values == 2
