"""The corpus that measures redaction is well formed, names nobody, and says what it claims."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from redaction_corpus import ENCODINGS, FOLDER, KINDS, Malformed, decoded, encoded, messages, parse, subjects

MESSAGES = messages()
IDENTITY_WEIGHTS = ((3, 7, 6, 1, 8, 9, 4, 5, 2, 1), (5, 4, 3, 2, 7, 6, 5, 4, 3, 2, 1))
ACCOUNT_WEIGHTS = (5, 4, 3, 2, 7, 6, 5, 4, 3, 2, 1)
ORGANISATION_WEIGHTS = (3, 2, 7, 6, 5, 4, 3, 2, 1)
RESERVED = re.compile(r"(?:.+\.)?example(?:\.(?:com|org|net|no))?")
# \w, not [a-z]: an address must not slip through by a letter outside ASCII.
ADDRESS_LIKE = re.compile(r"[\w.+%-]+@([\w-]+(?:\.[\w-]+)+)")


def marked(kind: str) -> list[str]:
    return [m.text[span.start : span.end] for m in MESSAGES for span in m.spans if span.kind == kind]


def digits(text: str) -> str:
    return re.sub(r"\D", "", text)


def divides(weights: tuple[int, ...], number: str) -> bool:
    return sum(weight * int(digit) for weight, digit in zip(weights, number, strict=False)) % 11 == 0


def is_identity(number: str) -> bool:
    return len(number) == 11 and all(divides(weights, number) for weights in IDENTITY_WEIGHTS)


def is_account(number: str) -> bool:
    return len(number) == 11 and divides(ACCOUNT_WEIGHTS, number)


def is_organisation(number: str) -> bool:
    return len(number) == 9 and number[0] in "89" and divides(ORGANISATION_WEIGHTS, number)


def unmarked(length: int) -> list[str]:
    """Return the numbers of `length` digits outside all spans, written with or without blanks and dots."""
    found = []
    for message in MESSAGES:
        rest = list(message.text)
        for span in message.spans:
            rest[span.start : span.end] = "|" * (span.end - span.start)
        runs = re.finditer(rf"(?<![\d.:-])(?:\d[ .]?){{{length - 1}}}\d(?![\d:-])", "".join(rest))
        found += [digits(run[0]) for run in runs]
    return found


def test_there_are_enough_messages_and_subjects() -> None:
    assert len(MESSAGES) >= 300
    assert len(subjects()) >= 40
    assert {message.subject for message in MESSAGES} == set(subjects())


def test_there_are_enough_spans_of_each_kind() -> None:
    count = Counter(span.kind for message in MESSAGES for span in message.spans)
    assert {kind for kind in KINDS if count[kind] < 25} == set()
    assert count["name"] >= 200


def test_every_encoding_is_used() -> None:
    assert {message.encoding for message in MESSAGES} == set(ENCODINGS)


def test_the_readme_counts_what_is_there() -> None:
    count = Counter(span.kind for message in MESSAGES for span in message.spans)
    readme = (FOLDER / "README.md").read_text("utf-8")
    assert dict(re.findall(r"^\| `(\w+)` \| (\d+) \|", readme, re.MULTILINE)) == {k: str(n) for k, n in count.items()}


def test_identity_numbers_are_right_and_nobodys() -> None:
    numbers = [digits(text) for text in marked("nin")]
    assert [number for number in numbers if not is_identity(number) or int(number[2:4]) <= 40] == []


def test_account_numbers_are_right() -> None:
    assert [text for text in marked("account") if not is_account(digits(text)) or is_identity(digits(text))] == []


def test_organisation_numbers_are_right() -> None:
    assert [text for text in marked("orgnr") if not is_organisation(digits(text))] == []


def test_what_only_looks_like_a_number_has_wrong_check_digits() -> None:
    assert [number for number in unmarked(11) if is_account(number)] == []
    assert [number for number in unmarked(9) if is_organisation(number)] == []


def test_mail_goes_to_domains_reserved_for_examples_only() -> None:
    written = "\n".join(message.text for message in MESSAGES)
    stored = "\n".join(email for subject in subjects().values() for email in subject.emails)
    domains = set(ADDRESS_LIKE.findall(written + "\n" + stored))
    assert {domain for domain in domains if not RESERVED.fullmatch(domain.lower())} == set()


def test_no_mail_address_is_left_unmarked() -> None:
    addresses = Counter(found[0] for message in MESSAGES for found in ADDRESS_LIKE.finditer(message.text))
    assert addresses == Counter(marked("email") + marked("other_email"))


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: message.id)
def test_what_is_encoded_decodes_to_the_text(message) -> None:
    assert decoded(encoded(message), message.encoding) == message.text


@pytest.mark.parametrize("message", [m for m in MESSAGES if m.encoding != "plain"], ids=lambda message: message.id)
def test_an_encoding_hides_the_text(message) -> None:
    assert encoded(message) != message.text


@pytest.mark.parametrize(
    "written",
    [
        "Hei\n=== m001 subject=s01 encoding=plain\nHei",
        "=== m001 subject=s01\nHei",
        "=== m001 subject=s01 encoding=rot13\nHei",
        "=== m001 subject=s01 encoding=plain\n",
        "=== m001 subject=s01 encoding=plain\n⟦name|Kari",
        "=== m001 subject=s01 encoding=plain\nKari⟧",
        "=== m001 subject=s01 encoding=plain\n⟦name|⟧",
        "=== m001 subject=s01 encoding=plain\n⟦name| Kari⟧",
        "=== m001 subject=s01 encoding=plain\n⟦nickname|Kari⟧",
        "=== m001 subject=s01 encoding=plain\n⟦name|Kari ⟦name|Moe⟧⟧",
    ],
)
def test_what_is_not_marked_up_as_agreed_is_refused(written) -> None:
    with pytest.raises(Malformed):
        parse(written)


def test_a_message_without_a_known_subject_is_refused(tmp_path) -> None:
    (tmp_path / "subjects.json").write_text((FOLDER / "subjects.json").read_text("utf-8"), "utf-8")
    (tmp_path / "messages-01.txt").write_text("=== m001 subject=s99 encoding=plain\nHei\n", "utf-8")
    with pytest.raises(Malformed, match="s99"):
        messages(tmp_path)
