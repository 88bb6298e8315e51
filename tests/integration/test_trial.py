"""The checks are put to the test themselves: rows that are put in, asked about and rolled back."""

import pytest

from faults import ACTIVITY, NOW, SCHEMA
from lethe import checking
from lethe.checks import questions, trial
from lethe.checks.result import Checked
from lethe.checks.trial import Tried
from lethe.model import Period
from lethe.run import Lethe

MAY = "GRANT INSERT ON customer TO lethe_worker"
EVERYTHING = "SELECT (SELECT array_agg(c ORDER BY c.id) FROM customer c)::text, (SELECT count(*) FROM lethe.hold)"


@pytest.fixture
def lethe(open_lethe) -> Lethe:
    lethe = open_lethe(ACTIVITY, SCHEMA)
    lethe.database.run(MAY)
    return lethe


def asked(lethe: Lethe) -> Checked:
    (rule,) = checking.look(lethe, "crm", NOW.date()).rules
    return rule


def test_the_question_sees_what_is_due_held_and_not_due_and_nothing_stays(lethe: Lethe) -> None:
    before = lethe.database.rows(EVERYTHING)
    assert asked(lethe).trial == Tried("seen")
    assert asked(lethe).counts.rows == 100
    assert lethe.database.rows(EVERYTHING) == before


@pytest.mark.parametrize(
    ("schema", "key"),
    [
        ("id uuid PRIMARY KEY DEFAULT gen_random_uuid(), name text, ended_on timestamptz", "gen_random_uuid()"),
        ("id varchar(50) PRIMARY KEY, name text, ended_on timestamp", "'a'"),
        (
            "id int GENERATED ALWAYS AS IDENTITY, name text, ended_on date, n int GENERATED ALWAYS AS (1) STORED",
            "1",
        ),
    ],
)  # fmt: skip
def test_keys_and_clocks_of_all_types(open_lethe, schema: str, key: str) -> None:
    zone = (
        ACTIVITY.replace("clock: ended_on", "clock: {at: ended_on, zone: UTC}") if "timestamp," in schema else ACTIVITY
    )
    lethe = open_lethe(zone, f"CREATE TABLE customer ({schema});")
    into = "INSERT INTO customer (id, name, ended_on) OVERRIDING SYSTEM VALUE VALUES"
    lethe.database.run(f"{MAY}; {into} ({key}, 'Kari', '2025-01-01')")
    assert asked(lethe).trial == Tried("seen")


def test_a_question_that_is_blind_for_holds_is_found(lethe: Lethe, monkeypatch: pytest.MonkeyPatch) -> None:
    protected = questions._Compiler.protected

    def blind(self, kind: str, *rest):
        return questions.FALSE if kind == "held" else protected(self, kind, *rest)

    monkeypatch.setattr(questions._Compiler, "protected", blind)
    assert asked(lethe).trial == Tried("missed", "a row on hold is not seen as such")
    found = checking.look(lethe, "crm", NOW.date())
    assert ("trial-missed", "ex-customers") in {(each.kind, each.subject) for each in found.findings}


@pytest.mark.parametrize(
    ("keep", "why"),
    [("P90Y", "a row whose period is over is not seen as such"), ("P0D", "a row from today counts as over its period")],
)
def test_a_question_that_counts_wrong_is_found(lethe, monkeypatch: pytest.MonkeyPatch, keep: str, why: str) -> None:
    sql, wrong = questions.Question.sql, Period.parse(keep) if keep != "P0D" else None

    def broken(self) -> str:
        text = sql(self)
        return text.replace(f"'{self.rule.keep}'::interval", f"'{wrong or '-1 day'}'::interval")

    monkeypatch.setattr(questions.Question, "sql", broken)
    assert asked(lethe).trial == Tried("missed", why)


TRIGGER = """
CREATE FUNCTION loud() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'Kari'; END $$;
CREATE TRIGGER loud BEFORE INSERT ON customer FOR EACH ROW EXECUTE FUNCTION loud();
"""


@pytest.mark.parametrize(
    ("statements", "why"),
    [
        ("REVOKE INSERT ON customer FROM lethe_worker", "this user may not insert"),
        (TRIGGER, "triggers or rules"),
        ("DELETE FROM customer", "the table is empty"),
        ("CREATE UNIQUE INDEX ON customer (name)", "UniqueViolation (23505) on table customer"),
        ("ALTER TABLE customer ADD CHECK (ended_on > '2023-06-01')", "CheckViolation"),
        ("UPDATE customer SET id = -9223372036854775808 WHERE id = 1", "NumericValueOutOfRange"),
    ],
)  # fmt: skip
def test_what_cannot_be_tried_is_said_and_no_finding(lethe: Lethe, statements: str, why: str) -> None:
    lethe.database.run(statements)
    found = asked(lethe)
    assert found.trial.state == "untried"
    assert why in found.trial.why
    assert "Kunde" not in found.trial.why
    assert not [each for each in checking.look(lethe, "crm", NOW.date()).findings if each.kind.startswith("trial")]


def test_where_everything_is_kept_nothing_can_be_said(lethe: Lethe) -> None:
    lethe.database.run("INSERT INTO lethe.hold VALUES ('rule:ex-customers', '', 'held')")
    assert asked(lethe).trial == Tried("untried", "something else keeps each of the rows that were copied")


def test_the_new_keys_are_none_that_a_sequence_would_give_meanwhile(lethe: Lethe, monkeypatch) -> None:
    """An application that inserts while a trial is open does not wait for it."""
    ask, met = trial._Trial._ask, []

    def meanwhile(self, key: str):
        if not met:
            met.append(key)
            lethe.database.run("SET lock_timeout = '1s'; INSERT INTO customer SELECT max(id) + 1, 'Ola' FROM customer")
        return ask(self, key)

    monkeypatch.setattr(trial._Trial, "_ask", meanwhile)
    assert asked(lethe).trial == Tried("seen")
    assert met
    assert lethe.database.one("SELECT count(*) FROM customer WHERE name = 'Ola' AND id = 101") == 1


def test_a_connection_that_is_lost_leaves_it_untried_and_nothing_behind(lethe: Lethe, monkeypatch) -> None:
    before = lethe.database.rows(EVERYTHING)
    put = trial._Trial._put

    def cut(self, *given):
        key = put(self, *given)
        lethe.database.run(f"SELECT pg_terminate_backend({self.conn.info.backend_pid})")
        return key

    monkeypatch.setattr(trial._Trial, "_put", cut)
    found = asked(lethe)
    assert (found.state, found.trial.state) == ("remaining", "untried")
    assert "the connection to the server was lost" in found.trial.why
    assert lethe.database.rows(EVERYTHING) == before


def test_a_key_of_several_columns_is_not_tried(open_lethe) -> None:
    lethe = open_lethe(
        ACTIVITY.replace("key: id", "key: [id, name]"), SCHEMA.replace("id bigint PRIMARY KEY", "id bigint")
    )
    lethe.database.run(MAY)
    assert asked(lethe).trial == Tried("untried", "its key has several columns")


def test_a_finding_stays_while_it_cannot_be_tried(lethe: Lethe, monkeypatch: pytest.MonkeyPatch) -> None:
    def check(run: str) -> set[str]:
        lethe.state.checked(lethe.policy, checking.look(lethe, "crm", NOW.date()), run * 32)
        return {each.kind for each in lethe.state.findings.known()}

    with monkeypatch.context() as context:
        context.setattr(questions._Compiler, "protected", lambda *_: questions.FALSE)
        assert check("a") == {"remaining", "trial-missed"}
    lethe.database.run("REVOKE INSERT ON customer FROM lethe_worker")
    assert check("b") == {"remaining", "trial-missed"}
    lethe.database.run(MAY)
    assert check("c") == {"remaining"}
