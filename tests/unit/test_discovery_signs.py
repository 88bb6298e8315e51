"""What names, types and comments say of a column before a row of it is read."""

from __future__ import annotations

import re

import pytest

from lethe.discovery.candidates import candidates
from lethe.discovery.inventory import Column, ForeignKey, Inventory, Table
from lethe.discovery.signs import named_like
from lethe.discovery.values import Seen
from lethe.discovery.words import fold, is_log, is_of_people, names, words
from lethe.policy.kinds import data_categories


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("customer_email", ("customer", "email")),
        ("customerEmail", ("customer", "email")),
        ("CustomerEMail", ("customer", "e", "mail")),
        ("IPAddress", ("ip", "address")),
        ("addressLine2", ("address", "line")),
        ("Fødsels-dato", ("fodsels", "dato")),
        ("FOEDSELSDATO", ("fodselsdato",)),
        ("e-post adresse", ("e", "post", "adresse")),
        ("123", ()),
    ],
)
def test_a_name_is_cut_into_its_words(name: str, expected: tuple[str, ...]) -> None:
    assert words(name) == expected


def category(name: str, kind: str = "text", table: str = "thing", comment: str = "") -> str | None:
    """The category of a column that stands alone in a table; None for what does not look like personal data."""
    inventory = Inventory((Table("public", table, (Column(name, kind, comment),)),))
    found = [each.category for each in candidates(inventory, {}) if each.is_sure]
    return found[0] if found else None


@pytest.mark.parametrize(
    ("name", "kind", "expected"),
    [
        ("epost", "text", "user.contact.email"),
        ("kundeEpost", "text", "user.contact.email"),
        ("EMAIL_ADDRESS", "character varying", "user.contact.email"),
        ("tlf", "bigint", "user.contact.phone_number"),
        ("mobil", "text", "user.contact.phone_number"),
        ("phone_home", "text", "user.contact.phone_number"),
        ("adr", "text", "user.contact.address"),
        ("fnr", "bigint", "user.government_id.national_identification_number"),
        ("fødselsnummer", "text", "user.government_id.national_identification_number"),
        ("dob", "date", "user.demographic.date_of_birth"),
        ("foedselsdato", "date", "user.demographic.date_of_birth"),
        ("kontaktnavn", "text", "user.name"),
        ("etternavn", "text", "user.name.last"),
        ("firstName", "text", "user.name.first"),
        ("created_by", "integer", "user.unique_id"),
        ("ip", "text", "user.device.ip_address"),
        ("seen_from", "inet", "user.device.ip_address"),
        ("ua", "text", "user.device"),
        ("kontonr", "text", "user.financial.bank_account"),
        ("password_hash", "bytea", "user.authorization.password"),
        ("gender", "boolean", "user.demographic.gender"),
        ("diagnosekode", "text", "user.health_and_medical"),
        ("diagnose", "text", "user.health_and_medical"),
        ("labels", "public.citext", None),
        ("email", "public.citext", "user.contact.email"),
        ("tags", "text[]", None),
    ],
)
def test_a_name_tells_its_category(name: str, kind: str, expected: str | None) -> None:
    assert category(name, kind) == expected


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("email_type", "text"),
        ("is_email", "boolean"),
        ("email_sent_at", "timestamp with time zone"),
        ("email", "boolean"),
        ("number_of_guests", "integer"),
        ("filnavn", "text"),
        ("varenavn", "text"),
        ("name", "text"),
        ("state", "text"),
        ("zip", "bytea"),
        ("description", "text"),
        ("parent_id", "integer"),
        ("id", "integer"),
        ("script", "text"),
        ("strip", "text"),
        ("user_count", "integer"),
    ],
)
def test_what_is_named_like_it_and_is_none_is_left_alone(name: str, kind: str) -> None:
    assert category(name, kind) is None


def test_a_comment_tells_what_the_name_does_not() -> None:
    assert category("x17", comment="e-post til kunden") == "user.contact.email"
    assert category("x17", comment="amount in kroner") is None


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        ("customer", True), ("auth_user", True), ("CustomerContact", True), ("user_profile", True), ("kunder", True),
        ("user_groups", False), ("customer_type", False), ("product", False), ("ansatte_old", True),
    ],
)  # fmt: skip
def test_a_table_of_people_is_known_by_its_name(table: str, expected: bool) -> None:
    assert is_of_people(table) is expected


def test_a_name_in_a_table_of_people_is_somebodys() -> None:
    assert category("name") is None
    assert category("name", table="employee") == "user.name"
    assert category("navn", table="ansatte") == "user.name"


def test_neighbours_tell_what_a_name_means() -> None:
    """A state is part of an address beside a street, and a workflow's elsewhere."""
    table = Table("public", "thing", tuple(Column(name, "text") for name in ("street", "state", "email", "name")))
    found = {each.column: each.category for each in candidates(Inventory((table,)), {}) if each.is_sure}
    assert found == {
        "street": "user.contact.address.street",
        "state": "user.contact.address",
        "email": "user.contact.email",
        "name": "user.name",
    }


def test_a_reference_to_a_table_of_people_is_somebodys_id() -> None:
    people = Table("public", "customer", (Column("id", "integer"), Column("email", "text")))
    things = Table("public", "thing", (Column("x", "integer"),))
    keys = (ForeignKey("public.thing", ("x",), "public.customer"),)
    (found,) = [each for each in candidates(Inventory((people, things), keys), {}) if each.table == "public.thing"]
    assert (found.place, found.category) == ("public.thing.x", "user.unique_id")


def test_values_that_say_no_make_a_name_less_sure_and_say_so() -> None:
    table = Table("public", "thing", (Column("email", "text"),))
    (named,) = candidates(Inventory((table,)), {})
    (denied,) = candidates(Inventory((table,)), {"public.thing": {"email": Seen(100, 100)}})
    assert denied.confidence < named.confidence
    assert denied.is_sure
    assert "no value looks like it" in denied.why[0]


def test_confidence_is_a_part_of_one() -> None:
    columns = tuple(Column(name, "text", "e-mail address") for name in ("email", "note", "x"))
    found = candidates(Inventory((Table("public", "customer", columns),)), {})
    assert all(0 < each.confidence < 1 for each in found)


def test_every_category_is_of_the_taxonomy_and_every_row_is_sound() -> None:
    for row in names().rows_in(names().sections):
        assert row.category in data_categories()
        assert 0 < row.alone <= row.among_people < 1
        assert set(row.kinds) <= set("tndubjlo")


def test_patterns_are_written_as_names_are_folded() -> None:
    """Else they would stand against nothing."""
    for row in names().rows_in(names().sections):
        for word in re.findall(r"[a-zæøå]{3,}", row.pattern.pattern):
            assert fold(word) == word, row.category


def test_logs_are_known_by_their_name() -> None:
    assert [name for name in ("access_log", "AuditTrail", "logg", "catalog", "blogs", "order") if is_log(name)] == [
        "access_log",
        "AuditTrail",
        "logg",
    ]


def test_no_words_say_nothing() -> None:
    assert list(named_like((), "t")) == []
