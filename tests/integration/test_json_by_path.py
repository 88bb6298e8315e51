"""Values inside JSON documents, changed by path under their rows' locks; what no path leads to stays to the letter."""

import pytest

from faults import NOW, again, carry_out, leaves
from lethe.errors import PolicyError, SchemaMismatch
from lethe.model import Verdict
from lethe.run import Lethe

SCHEMA = """
CREATE TABLE cases (id int PRIMARY KEY, name text, form TYPE, ended_on date);
INSERT INTO cases SELECT n, 'Kari Bråten', (CASE WHEN n = 9 THEN NULL WHEN n = 8 THEN '[]' ELSE
    '{"kontakt": {"navn": "Kari Bråten", "mobil": 40000001}, "postnr": "5003", "antall": 1.50,
    "stort": 0.12345678901234567890123, "varer": [{"merknad": "Kari vil ha svart, 100 % sikkert", "id": 7}]}'
    END)::TYPE, '2020-01-01' FROM generate_series(1, 10) n;
INSERT INTO cases VALUES (11, 'Ola', '{"kontakt": {"navn": "Ola"}}', '2025-01-01');
"""
ACTIVITY = """
serves: [R08]
datasets:
  cases: {in: crm, table: cases, key: id, personal_data: {name: user.name, form: user.content.private}}
rules:
  ex-customers:
    obligation: R08
    of: cases
    title: {nb: Saker, en: Cases}
    clock: ended_on
    keep: P1Y
    then:
      anonymise:
        name: blank
        form:
          json:
            kontakt.navn: blank
            kontakt.mobil: surrogate
            postnr: {generalise: region}
            "varer[*].merknad": {redact: {names: [name], confirm_by: privacy-officer, because: needed}}
    limits: {rows: 100, share: 100%}
"""


def carried_out(lethe: Lethe) -> int:
    with again(lethe, "lethe_officer") as officer:
        officer.confirm("ex-customers")
    return carry_out(lethe)


@pytest.mark.parametrize("kind", ["jsonb", "json"])
def test_each_path_gets_its_change_and_the_rest_stays(open_lethe, kind: str) -> None:
    lethe = open_lethe(ACTIVITY, SCHEMA.replace("TYPE", kind))
    assert carried_out(lethe) == 10
    found = lethe.database.one("SELECT form FROM cases WHERE id = 1")
    assert found["kontakt"].pop("mobil").startswith("anon-")
    stort = lethe.database.one("SELECT form ->> 'stort' FROM cases WHERE id = 1")
    assert stort == "0.12345678901234567890123"
    del found["stort"]
    assert found == {
        "kontakt": {"navn": None}, "postnr": "5000", "antall": 1.5,
        "varer": [{"merknad": "[navn] vil ha svart, 100 % sikkert", "id": 7}],
    }  # fmt: skip
    assert lethe.database.rows("SELECT form FROM cases WHERE id IN (8, 9, 11) ORDER BY id") == [
        ([],), (None,), ({"kontakt": {"navn": "Ola"}},),
    ]  # fmt: skip


def test_done_once_it_is_done_until_somebody_writes_anew(open_lethe) -> None:
    lethe = open_lethe(ACTIVITY, SCHEMA.replace("TYPE", "jsonb"))
    carried_out(lethe)
    assert lethe.plan("ex-customers", NOW, "run").survey.of(Verdict.DONE) == 10
    lethe.database.run("""UPDATE cases SET form = jsonb_set(form, '{varer,0,merknad}', '"ring Kari"') WHERE id = 2""")
    assert carried_out(lethe) == 1
    # by now no name is known: nobody could be found in it
    assert lethe.database.one("SELECT form #>> '{varer,0,merknad}' FROM cases WHERE id = 2") == "[slettet]"


def test_a_held_document_stays_to_the_letter(open_lethe) -> None:
    lethe = open_lethe(ACTIVITY, SCHEMA.replace("TYPE", "json"))
    before = lethe.database.one("SELECT form::text FROM cases WHERE id = 7")
    lethe.database.run("INSERT INTO lethe.hold VALUES ('cases', '7', 'held')")
    assert carried_out(lethe) == 9
    assert lethe.database.one("SELECT form::text FROM cases WHERE id = 7") == before


def test_nothing_of_a_document_comes_into_evidence(open_lethe) -> None:
    lethe = open_lethe(ACTIVITY, SCHEMA.replace("TYPE", "jsonb"))
    carried_out(lethe)
    told = str(leaves(lethe.database))
    assert not [word for word in ("Kari", "40000001", "kontakt", "merknad") if word in told]


def test_a_column_that_is_no_json_is_told_before_anything_is_changed(open_lethe) -> None:
    lethe = open_lethe(ACTIVITY, SCHEMA.replace("TYPE", "text"))
    with pytest.raises(SchemaMismatch, match="column form: found type text, expected json, jsonb for json"):
        lethe.plan("ex-customers", NOW, "run")


@pytest.mark.parametrize(
    ("was", "now", "said"),
    [
        ("kontakt.navn", "kontakt..navn", r'found "kontakt\.\.navn", expected a path such as contact\.name'),
        ("kontakt.navn: blank", "kontakt.navn: drop", "found \"drop\", expected blank, unlink, delete, surrogate"),
        ("confirm_by: privacy-officer", "confirm_by: nobody", 'found "nobody", expected a role of organisation.yaml'),
        ("names: [name]", "names: [customer.name]", 'found "customer", expected a relation of cases'),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_said_with_its_place(open_lethe, was: str, now: str, said: str) -> None:
    with pytest.raises(PolicyError, match=said):
        open_lethe(ACTIVITY.replace(was, now), SCHEMA.replace("TYPE", "jsonb"))


def test_half_a_pair_of_escapes_stays_as_it_is(open_lethe) -> None:
    """`json` keeps what no text can hold: half of a letter outside the basic plane."""
    lethe = open_lethe(ACTIVITY, SCHEMA.replace("TYPE", "json"))
    half = r'{"kontakt": {"navn": "Kari"}, "id": "æ \ud83d", "stort": 0.12345678901234567890123}'
    lethe.database.run(f"UPDATE cases SET form = '{half}' WHERE id = 1")
    assert carried_out(lethe) == 10
    (left,) = lethe.database.rows("SELECT form::text FROM cases WHERE id = 1")
    assert left == (r'{"kontakt": {"navn": null}, "id": "\u00e6 \ud83d", "stort": 0.12345678901234567890123}',)
