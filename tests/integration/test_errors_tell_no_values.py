"""What the database says of a failure carries values of rows; nothing that Lethe raises, logs or prints does."""

import logging
import subprocess
import traceback

import psycopg
import pytest

from faults import ACTIVITY, NOW, SCHEMA, accounted, act, acting, answer, environment
from lethe.errors import StoreError

PLANTED = ("Gunnhild Åsmundsdatter", "gunnhild@fjordvik.example", "17057412345", "2024-01-17")

CUSTOMER = f"""
CREATE TABLE customer (id bigint PRIMARY KEY, name text, mail text, pin text, ended_on date);
INSERT INTO customer VALUES (1, '{PLANTED[0]}', '{PLANTED[1]}', '{PLANTED[2]}', '{PLANTED[3]}');
"""
TRIGGER = """
CREATE FUNCTION fails() RETURNS trigger SECURITY DEFINER SET search_path = public LANGUAGE plpgsql AS
    $$BEGIN {} RETURN OLD; END$$;
CREATE TRIGGER fails BEFORE DELETE ON customer FOR EACH ROW EXECUTE FUNCTION fails();
"""
COPY = "CREATE TABLE copy (name text {}, pin text {});"
DECLARED = ACTIVITY.replace("    key: id\n", "    key: id\n    triggers: [fails]\n")
COUNTS = ACTIVITY.replace(
    "then: delete",
    "then:\n      - aggregate: {into: tally, by: {day: day(ended_on), pin: pin}, count: customers, suppress_below: 2}\n"
    "      - delete",
)
ANONYMISES = ACTIVITY.replace("then: delete", "then: {anonymise: {mail: {constant: removed}}}")

FAILURES = {
    "a unique index of a table that a trigger writes": (
        DECLARED,
        COPY.format("UNIQUE", "")
        + f"INSERT INTO copy VALUES ('{PLANTED[0]}');"
        + TRIGGER.format("INSERT INTO copy VALUES (OLD.name, OLD.pin);"),
        "UniqueViolation (23505) on table copy, constraint copy_name_key",
    ),
    "a check of a table that a trigger writes": (
        DECLARED,
        COPY.format("", "CHECK (length(pin) < 11)") + TRIGGER.format("INSERT INTO copy VALUES (OLD.name, OLD.pin);"),
        "CheckViolation (23514) on table copy, constraint copy_pin_check",
    ),
    "a column that takes no NULL": (
        DECLARED,
        COPY.format("", "NOT NULL") + TRIGGER.format("INSERT INTO copy VALUES (OLD.name, NULL);"),
        "NotNullViolation (23502) on table copy, column pin",
    ),
    "a value that is no number": (
        DECLARED, TRIGGER.format("PERFORM OLD.name::int;"), "InvalidTextRepresentation (22P02)",
    ),
    "a value that is no date": (DECLARED, TRIGGER.format("PERFORM OLD.mail::date;"), "InvalidDatetimeFormat (22007)"),
    "a value too long": (
        DECLARED,
        COPY.replace("text {}, pin", "varchar(3), pin").format("")
        + TRIGGER.format("INSERT INTO copy VALUES (OLD.name, NULL);"),
        "StringDataRightTruncation (22001)",
    ),
    "a trigger's own words": (
        DECLARED,
        TRIGGER.format("RAISE 'no: % %', OLD.name, OLD.pin USING DETAIL = OLD.mail, HINT = OLD.mail;"),
        "RaiseException (P0001)",
    ),
    "a trigger's notices": (
        DECLARED,
        TRIGGER.format("RAISE WARNING 'going: % %', OLD.name, OLD.pin; RAISE division_by_zero;"),
        "DivisionByZero (22012)",
    ),
    "a check of the table of statistics": (
        COUNTS,
        ("CREATE TABLE tally (day date NOT NULL, pin text NOT NULL CHECK (length(pin) < 5), customers bigint NOT NULL, "
        "UNIQUE (day, pin));"),
        "CheckViolation (23514) on table tally, constraint tally_pin_check",
    ),
    "another unique index of the table of statistics": (
        COUNTS,
        ("CREATE TABLE tally (day date NOT NULL, pin text NOT NULL, customers bigint NOT NULL, UNIQUE (day, pin));"
        f"CREATE UNIQUE INDEX just_once ON tally (pin); INSERT INTO tally VALUES ('1999-01-01', '{PLANTED[2]}', 9);"),
        "UniqueViolation (23505) on table tally, constraint just_once",
    ),
    "a unique index that anonymising runs into": (
        ANONYMISES,
        "CREATE UNIQUE INDEX just_once ON customer (lower(mail)); INSERT INTO customer VALUES (2, 'x', 'removed');",
        "UniqueViolation (23505) on table customer, constraint just_once",
    ),
    "a check that anonymising runs into": (
        ANONYMISES,
        "ALTER TABLE customer ADD CONSTRAINT real CHECK (mail LIKE '%@%' OR id < 0);",
        "CheckViolation (23514) on table customer, constraint real",
    ),
}  # fmt: skip


def silent(text: str) -> bool:
    found = [value for value in PLANTED if value in text]
    assert not found, text
    return True


@pytest.fixture
def everything_logged(caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.DEBUG)  # of all libraries too
    return caplog


@pytest.mark.parametrize("case", FAILURES)
def test_a_failing_batch_tells_what_and_where_without_a_value(open_lethe, everything_logged, capfd, case: str) -> None:
    activity, statements, told = FAILURES[case]
    lethe = open_lethe(activity, CUSTOMER + statements)
    plan = lethe.plan("ex-customers", NOW, "run")
    assert answer(lethe, plan)
    with pytest.raises(StoreError) as found:
        act(lethe, plan)
    error = found.value
    assert str(error).startswith(f"store crm, rule ex-customers: the database answered {told}: ")
    assert (error.__cause__, error.__context__) == (None, None)
    whole = "".join(traceback.format_exception(error, chain=True))
    logging.getLogger("lethe").error("failed", exc_info=error)
    assert "failed" in everything_logged.text
    assert all(silent(text) for text in (str(error), repr(error), whole, everything_logged.text, *capfd.readouterr()))
    assert lethe.database.one("SELECT count(*) FROM customer WHERE name LIKE 'Gunn%'") == 1
    assert accounted(lethe.database, 0)


def test_what_the_driver_would_have_told_is_there_to_be_found(open_lethe) -> None:
    """The test above can fail: the same statement by hand shows the name."""
    activity, statements, _ = FAILURES["a unique index of a table that a trigger writes"]
    lethe = open_lethe(activity, CUSTOMER + statements)
    with pytest.raises(psycopg.errors.UniqueViolation) as found:
        lethe.database.run("DELETE FROM customer")
    assert PLANTED[0] in str(found.value)


@pytest.mark.parametrize(
    "case",
    ["a unique index of a table that a trigger writes", "a check of the table of statistics", "a trigger's notices"],
)
def test_a_process_that_dies_of_it_prints_no_value(open_lethe, case: str) -> None:
    activity, statements, told = FAILURES[case]
    lethe = open_lethe(activity, CUSTOMER + statements)
    plan = lethe.plan("ex-customers", NOW, "run")
    assert answer(lethe, plan)
    noisy = "import logging\nlogging.basicConfig(level=logging.DEBUG)\n"
    died = subprocess.run(
        acting(lethe, plan, prelude=noisy), env=environment(), capture_output=True, text=True, check=False
    )
    assert died.returncode == 1
    assert "Traceback" in died.stderr
    assert told in died.stderr
    assert silent(died.stdout + died.stderr)


def test_a_value_in_the_policys_own_question_is_not_told_either(open_lethe) -> None:
    """A column that is computed when it is read, and cannot be: the failing cast shows the row."""
    held = ACTIVITY.replace("    key: id\n", "    key: id\n    held_when: {number: '1'}\n", 1)
    computed = "ALTER TABLE customer ADD number int GENERATED ALWAYS AS (name::int) VIRTUAL;"
    lethe = open_lethe(held, CUSTOMER + computed)
    with pytest.raises(StoreError) as found:
        lethe.plan("ex-customers", NOW, "run")
    assert "22P02" in str(found.value)
    assert silent("".join(traceback.format_exception(found.value, chain=True)))


def test_a_plan_and_its_evidence_hold_no_value(open_lethe) -> None:
    lethe = open_lethe(
        ACTIVITY,
        CUSTOMER + SCHEMA.split(";", 1)[1].replace("customer SELECT n", "customer (id, name, ended_on) SELECT n + 1"),
    )
    plan = lethe.plan("ex-customers", NOW, "run")
    assert answer(lethe, plan)
    act(lethe, plan)
    lethe.record("ex-customers", "run", digest=plan.digest)
    dump = [
        lethe.state_database.rows(f"SELECT * FROM lethe.{table}") for table in ("plan", "approval", "run", "outbox")
    ]
    dump += [
        lethe.database.rows(f"SELECT * FROM lethe.{table}") for table in ("outbox", "progress", "partition_intent")
    ]
    assert all(value not in str(dump) for value in (*PLANTED[:3], "Kunde"))
