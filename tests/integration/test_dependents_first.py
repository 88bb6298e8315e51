"""What is still reached by way of a row goes first: the row keeps what it is needed for, and no longer."""

import threading

import pytest

from faults import NOW, act, again, answer, carry_out
from lethe.model import Reason, Verdict
from lethe.run import Lethe

SCHEMA = """
CREATE TABLE cases (id bigint PRIMARY KEY, reporter text, ended_on date);
CREATE TABLE message (id bigint PRIMARY KEY, case_id bigint REFERENCES cases, body text);
INSERT INTO cases SELECT n, 'Kari Bråten', date '2020-01-01' FROM generate_series(1, 20) n;
INSERT INTO message SELECT n, n, 'Kari ringte om sak ' || n FROM generate_series(1, 18) n;
"""
ACTIVITY = """
serves: [R08]
datasets:
  cases: {in: crm, table: cases, key: id, personal_data: {reporter: user.name}}
  messages:
    in: crm
    table: message
    key: id
    personal_data: {body: user.content.private}
    refers_to: {case: {to: cases, by: case_id}}
rules:
  messages-lose-their-person:
    obligation: R08
    of: messages
    title: {nb: Meldinger, en: Messages}
    clock: case.ended_on
    keep: P1Y
    then:
      anonymise:
        body: {redact: {names: [case.reporter], confirm_by: privacy-officer, because: how it was solved is needed}}
    order: 1
    limits: {rows: 1000, share: 100%}
  cases-lose-their-person:
    obligation: R08
    of: cases
    title: {nb: Saker, en: Cases}
    clock: ended_on
    keep: P1Y
    then: {anonymise: {reporter: blank}}
    order: 2
    limits: {rows: 1000, share: 100%}
"""
MESSAGES, CASES = "messages-lose-their-person", "cases-lose-their-person"


@pytest.fixture
def lethe(open_lethe) -> Lethe:
    made: Lethe = open_lethe(ACTIVITY, SCHEMA)
    with again(made, "lethe_officer") as officer:
        officer.confirm(MESSAGES)
    return made


def nameless(lethe: Lethe) -> set[int]:
    return {number for (number,) in lethe.database.rows("SELECT id FROM cases WHERE reporter IS NULL")}


def test_a_case_keeps_its_name_until_its_messages_have_lost_it(lethe: Lethe) -> None:
    found = lethe.plan(CASES, NOW, "run").survey
    assert (found.of(Verdict.DUE), found.because(Reason.NEEDED)) == (2, 18)
    assert carry_out(lethe, CASES) == 2  # those without a message
    assert nameless(lethe) == {19, 20}
    assert carry_out(lethe, MESSAGES) == 18
    assert lethe.database.one("SELECT body FROM message WHERE id = 7") == "[navn] ringte om sak 7"
    assert carry_out(lethe, CASES) == 18
    assert len(nameless(lethe)) == 20


def test_a_message_that_must_stay_keeps_the_name_by_which_it_will_be_redacted(lethe: Lethe) -> None:
    lethe.database.run("INSERT INTO lethe.hold VALUES ('messages', '7', 'held')")
    carry_out(lethe, MESSAGES)
    carry_out(lethe, CASES)
    assert nameless(lethe) == set(range(1, 21)) - {7}
    lethe.database.run("DELETE FROM lethe.hold")
    assert (carry_out(lethe, MESSAGES), carry_out(lethe, CASES)) == (1, 1)
    assert lethe.database.one("SELECT body FROM message WHERE id = 7") == "[navn] ringte om sak 7"


def test_a_message_that_is_written_anew_while_the_batch_waits_keeps_its_case(lethe: Lethe) -> None:
    carry_out(lethe, MESSAGES)
    plan, rows = lethe.plan(CASES, NOW, "run"), []
    answer(lethe, plan)
    thread = threading.Thread(target=lambda: rows.append(act(lethe, plan)))
    with lethe.database.connect() as application:
        with application.transaction():
            application.execute("UPDATE message SET body = 'Kari Bråten er tilbake' WHERE id = 7")
            thread.start()
            thread.join(0.5)
            assert rows == []
        thread.join(20)
    assert rows == [19]
    assert nameless(lethe) == set(range(1, 21)) - {7}


def test_what_is_to_be_deleted_by_way_of_a_row_must_be_gone(open_lethe) -> None:
    head, rest = ACTIVITY.split("    then:\n      anonymise:\n        body:")
    deleting = f"{head}    when: {{case.reporter: Kari Bråten}}\n    then: delete\n{rest.partition(chr(10))[2]}"
    lethe = open_lethe(deleting, SCHEMA)
    assert lethe.plan(CASES, NOW, "run").survey.because(Reason.NEEDED) == 18
    assert carry_out(lethe, MESSAGES) == 18
    assert carry_out(lethe, CASES) == 20


def test_it_is_explained_what_a_row_waits_for(lethe: Lethe) -> None:
    from lethe.cli.explained import explained_as_text

    found = lethe.explain(lethe.policy.datasets["cases"], "7", NOW.date(), None)
    told = explained_as_text(found, lethe.policy, "en", keys=False)
    assert "kept (needed by another rule first)" in told
    assert "waits for messages-lose-their-person, which still reach other rows by way of it" in told
