"""What becomes of fields: coarser, random, constant or empty; what a table does not take is said before it is tried."""

from collections.abc import Callable
from datetime import date

import pytest

from faults import NOW, act, answer, approved, leaves
from lethe.errors import SchemaMismatch
from lethe.model import Verdict
from lethe.run import Lethe

SCHEMA = """
CREATE TYPE size AS ENUM ('small', 'large');
CREATE DOMAIN code AS text CHECK (VALUE ~ '^[A-Z]{2}$');
CREATE TABLE mail (address text PRIMARY KEY);
INSERT INTO mail SELECT 'kunde' || n || '@example.no' FROM generate_series(1, 100) n;
CREATE TABLE customer (
    id bigint PRIMARY KEY,
    name text NOT NULL,
    email text REFERENCES mail,
    login text UNIQUE,
    token uuid NOT NULL DEFAULT gen_random_uuid() UNIQUE,
    short varchar(8),
    parcel size,
    region code,
    postcode text CHECK (postcode ~ '^[0-9]{4}$'),
    born date,
    seen timestamptz,
    spent numeric(12, 2) CHECK (spent >= 0),
    initial text GENERATED ALWAYS AS (left(name, 1)) STORED,
    ended_on date
);
CREATE INDEX ON customer (lower(name));
INSERT INTO customer (id, name, email, login, short, parcel, region, postcode, born, seen, spent, ended_on)
SELECT n, 'Kari', 'kunde' || n || '@example.no', 'kari' || n, 'K' || n, 'small', 'NO', lpad((n * 91)::text, 4, '0'),
    date '1980-01-01' + n, timestamptz '2023-12-31 23:30+01' + n * interval '1 hour', n * 100.5,
    CASE WHEN n <= 60 THEN date '2023-01-01' ELSE date '2025-01-01' END
FROM generate_series(1, 100) n;
"""
DATASET = """
serves: [R08]
datasets:
  customers:
    in: crm
    table: customer
    key: id
    personal_data: {name: user.name}
rules:
  ex-customers:
    obligation: R08
    of: customers
    title: {nb: Kunder, en: Customers}
    clock: ended_on
    keep: P1Y
    then: {anonymise: FIELDS}
    limits: {rows: 1000, share: 100%}
"""


@pytest.fixture
def changing(open_lethe) -> Callable[[str], Lethe]:
    return lambda fields: open_lethe(DATASET.replace("FIELDS", fields), SCHEMA)


EVERYTHING = """
      {name: {constant: anonymisert}, email: blank, login: surrogate, token: surrogate, short: unlink,
       postcode: {generalise: region}, born: {generalise: year}, seen: {generalise: month},
       spent: {generalise: {band: 1000}}}
"""


def test_fields_lose_their_person_and_stay_useful(changing) -> None:
    lethe = changing(EVERYTHING)
    kept = "SELECT * FROM customer WHERE id > 60 ORDER BY id"
    before = lethe.database.rows(kept)
    assert act(lethe, approved(lethe)) == 60
    assert lethe.database.rows(kept) == before
    done = "FROM customer WHERE id <= 60"
    assert lethe.database.rows(f"SELECT DISTINCT name, email, short, initial {done}") == [
        ("anonymisert", None, None, "a")
    ]
    assert lethe.database.rows(f"SELECT DISTINCT born {done}") == [(date(1980, 1, 1),)]
    assert lethe.database.rows(f"SELECT DISTINCT seen AT TIME ZONE 'Europe/Oslo' {done} ORDER BY 1") == [
        (NOW.replace(year=2024, month=1, day=1, hour=0, tzinfo=None),),
    ]
    assert lethe.database.rows(f"SELECT spent, count(*) {done} GROUP BY 1 ORDER BY 1") == [
        (1000 * n, {0: 9, 5: 10}.get(n, 10)) for n in range(6)
    ] + [(6000, 1)]
    assert lethe.database.rows(f"SELECT DISTINCT substr(postcode, 3) {done}") == [("00",)]


def test_a_surrogate_is_another_for_each_row_and_tells_nothing_of_the_old_value(changing) -> None:
    lethe = changing("{login: surrogate, token: surrogate}")
    lethe.database.run("UPDATE customer SET login = NULL WHERE id = 1")
    old = {str(token) for (token,) in lethe.database.rows("SELECT token FROM customer")}
    assert act(lethe, approved(lethe)) == 60
    new = lethe.database.rows("SELECT login, token FROM customer WHERE id <= 60")
    assert len({token for _, token in new} - old) == len({login for login, _ in new}) == 60
    assert {token.version for _, token in new} == {8}
    assert sum(login is None for login, _ in new) == 1
    shape = "SELECT count(*) FROM customer WHERE login ~ '^anon-[0-9a-f]{32}$'"
    assert lethe.database.one(shape) == 59


def test_anonymised_twice_is_anonymised_once(changing) -> None:
    lethe = changing(EVERYTHING)
    plan = approved(lethe)
    act(lethe, plan)
    lethe.finish(plan.digest, NOW, "run")
    lethe.record(plan.rule, "run", digest=plan.digest)
    rows, told = lethe.database.rows("SELECT * FROM customer ORDER BY id"), leaves(lethe.database)
    second = lethe.plan("ex-customers", NOW, "run")
    assert (second.survey.of(Verdict.DUE), second.survey.of(Verdict.DONE)) == (0, 60)
    assert lethe.database.rows("SELECT * FROM customer ORDER BY id") == rows
    assert leaves(lethe.database) == told
    lethe.database.run("UPDATE customer SET postcode = '5003' WHERE id = 7")  # it came back, from an import say
    third = lethe.plan("ex-customers", NOW, "run")
    assert third.survey.of(Verdict.DUE) == 1
    answer(lethe, third) if third.needs else None
    act(lethe, third)
    assert lethe.database.one("SELECT postcode FROM customer WHERE id = 7") == "5000"
    assert lethe.database.rows("SELECT login FROM customer WHERE id = 7") == [(rows[6][3],)]


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ("{name: blank}", "column name: found NOT NULL, so it cannot be blanked"),
        ("{initial: blank}", "column initial: is computed by the database"),
        (
            "{email: {constant: borte@example.no}}",
            "column email: by foreign key customer_email_fkey its values are those",
        ),
        ("{email: surrogate}", "column email: by foreign key"),
        ("{login: {constant: borte}}", "column login: found UNIQUE on (login), and several rows would get the same"),
        ("{short: surrogate}", "column short: found type character varying(8), which does not take a surrogate"),
        ("{short: {constant: anonymisert}}", "column short: found type character varying(8), which does not take this"),
        ("{parcel: {constant: middle}}", "column parcel: found type public.size, which does not take this constant"),
        (
            "{region: {constant: anonymisert}}",
            "column region: found type public.code, which does not take this constant",
        ),
        ("{postcode: {constant: anonymisert}}", "column postcode: check customer_postcode_check refuses the new value"),
        ("{postcode: surrogate}", "column postcode: check customer_postcode_check refuses the new value"),
        ("{spent: {constant: '-1'}}", "column spent: check customer_spent_check refuses the new value"),
        ("{spent: {constant: much}}", "column spent: found type numeric(12,2), which does not take this constant"),
        (
            "{spent: surrogate}",
            "column spent: found type numeric, expected uuid, text, character varying for surrogate",
        ),
        ("{name: {generalise: month}}", "column name: found type text, expected date, timestamp with time zone"),
        ("{born: {generalise: region}}", "column born: found type date, expected text, character varying for region"),
        (
            "{born: {generalise: {band: 5}}}",
            "column born: found type date, expected smallint, integer, bigint, numeric",
        ),
    ],
)
def test_what_the_table_does_not_take_is_said_before_anything_is_changed(changing, fields: str, says: str) -> None:
    lethe = changing(fields)
    before = lethe.database.rows("SELECT * FROM customer ORDER BY id")
    with pytest.raises(SchemaMismatch) as refused:
        lethe.plan("ex-customers", NOW, "run")
    assert [says in line for line in refused.value.problems] == [True], refused.value.problems
    assert lethe.database.rows("SELECT * FROM customer ORDER BY id") == before


@pytest.mark.parametrize(
    "fields",
    [
        "{login: blank}",
        "{parcel: {constant: large}}",
        "{region: {constant: XX}}",
        "{postcode: {constant: '0000'}}",
        "{email: unlink}",
    ],
)
def test_what_the_table_takes_is_done(changing, fields: str) -> None:
    lethe = changing(fields)
    assert act(lethe, approved(lethe)) == 60


def test_nulls_that_count_as_one_are_not_put_twice_under_a_unique_index(changing) -> None:
    lethe = changing("{login: blank}")
    lethe.database.run("CREATE UNIQUE INDEX once ON customer (login) NULLS NOT DISTINCT")
    with pytest.raises(SchemaMismatch, match=r"column login: found UNIQUE on \(login\)"):
        lethe.plan("ex-customers", NOW, "run")
