"""Free text by choice: redacted under its row's lock once the officer confirmed it, done until somebody writes anew."""

from collections.abc import Callable

import pytest

from faults import NOW, act, answer, approved, at_pace, leaves
from lethe.errors import NotApproved, SchemaMismatch
from lethe.model import Verdict
from lethe.run import Lethe

SCHEMA = """
CREATE TABLE company (id bigint PRIMARY KEY, contact text);
CREATE TABLE customer (
    id bigint PRIMARY KEY, company_id bigint, name text, email text, phone text, address text, note text,
    short varchar(40), ended_on date
);
INSERT INTO company VALUES (1, 'Ingrid Ødegård');
INSERT INTO customer SELECT n, 1, 'Kari Bråten-Lie', 'kari' || n || '@example.no', '+47 400 00 001', 'Granveien 7B',
    CASE WHEN n % 10 = 0 THEN NULL ELSE 'Hei, 100 % enig! Lie, Kari ringte fra 40000001, skriv til KARI' || n
        || '@example.no. '
        || 'Ingrid Ødegård tok den; sak ' || n || E' \\\\ ''ferdig''' END,
    'kort', CASE WHEN n <= 60 THEN date '2023-01-01' ELSE date '2025-01-01' END
FROM generate_series(1, 100) n;
"""
ACTIVITY = """
serves: [R08]
datasets:
  companies: {in: crm, table: company, key: id, personal_data: {}}
  customers:
    in: crm
    table: customer
    key: id
    personal_data: {name: user.name, note: user.content.private}
    refers_to: {company: {to: companies, by: company_id}}
rules:
  ex-customers:
    obligation: R08
    of: customers
    title: {nb: Kunder, en: Customers}
    clock: ended_on
    keep: P1Y
    then:
      anonymise:
        name: blank
        email: blank
        note:
          redact:
            names: [name, company.contact]
            emails: [email]
            phones: [phone]
            addresses: [address]
            confirm_by: privacy-officer
            because: how a case was solved is needed for the next one
    limits: {rows: 1000, share: 100%}
"""


@pytest.fixture
def lethe(open_lethe, confirmed) -> Lethe:
    made = open_lethe(ACTIVITY, SCHEMA)
    confirmed(made)
    return made


@pytest.fixture
def confirmed() -> Callable[[Lethe], None]:
    from faults import again

    def confirm(lethe: Lethe) -> None:
        with again(lethe, "lethe_officer") as officer:
            assert officer.confirm("ex-customers")

    return confirm


def notes(lethe: Lethe, where: str = "id <= 60") -> dict[int, str | None]:
    return dict(lethe.database.rows(f"SELECT id, note FROM customer WHERE {where} ORDER BY id"))


def test_nothing_is_redacted_before_the_privacy_officer_has_said_that_text_may_stay(open_lethe, confirmed) -> None:
    lethe = open_lethe(ACTIVITY, SCHEMA)
    plan = lethe.plan("ex-customers", NOW, "run")
    assert plan.survey.of(Verdict.DUE) == 0
    assert lethe.gate(plan.digest).why == (
        "privacy-officer confirms that redacted text stays, 60 rows wait (lethe confirm ex-customers)",
    )
    with pytest.raises(NotApproved, match="text that is redacted stays; `lethe confirm ex-customers`"):
        lethe.may_act(plan.digest, NOW)
    confirmed(lethe)
    assert lethe.plan("ex-customers", NOW, "run").survey.of(Verdict.DUE) == 60


def test_text_loses_its_data_subject_and_stays_readable(lethe: Lethe) -> None:
    before = notes(lethe, "id > 60")
    assert act(lethe, approved(lethe)) == 60
    after = notes(lethe)
    assert after[7] == (
        "Hei, 100 % enig! [navn] ringte fra [telefon], skriv til [e-post]. [navn] tok den; sak 7 \\ 'ferdig'"
    )
    assert after[10] is None
    assert notes(lethe, "id > 60") == before
    assert lethe.database.rows("SELECT DISTINCT name, email FROM customer WHERE id <= 60") == [(None, None)]


@pytest.mark.parametrize("size", [1, 3, 1000])
def test_in_batches_of_any_size_each_row_gets_its_own_text(lethe: Lethe, size: int) -> None:
    act(at_pace(lethe, size), approved(lethe))
    texts = notes(lethe)
    assert all(text is None or f"sak {number} " in text for number, text in texts.items())
    assert sum(leaf["rows"] for leaf in leaves(lethe.database) if leaf["kind"] == "batch") == 60


def test_what_was_redacted_is_done_and_what_is_written_anew_is_due_again(lethe: Lethe) -> None:
    plan = approved(lethe)
    act(lethe, plan)
    lethe.finish(plan.digest, NOW, "run")
    lethe.record(plan.rule, "run", digest=plan.digest)
    second = lethe.plan("ex-customers", NOW, "run")
    assert (second.survey.of(Verdict.DUE), second.survey.of(Verdict.DONE)) == (0, 60)
    lethe.database.run("UPDATE customer SET note = note || ' Ring 40000001.' WHERE id IN (7, 8)")
    third = lethe.plan("ex-customers", NOW, "run")
    assert third.survey.of(Verdict.DUE) == 2
    if third.needs:
        answer(lethe, third)
    act(lethe, third)
    assert notes(lethe)[7].endswith("'ferdig' Ring [telefon].")


def test_a_text_of_nobody_known_is_deleted_and_not_taken_for_redacted(lethe: Lethe) -> None:
    lethe.database.run(
        "UPDATE customer SET name = CASE id WHEN 7 THEN NULL ELSE ' - ' END, company_id = NULL WHERE id IN (7, 8)"
    )
    plan = approved(lethe)
    assert act(lethe, plan) == 60
    assert (notes(lethe)[7], notes(lethe)[8]) == ("[slettet]", "[slettet]")
    assert notes(lethe)[9].endswith("'ferdig'")
    lethe.finish(plan.digest, NOW, "run")
    lethe.record(plan.rule, "run", digest=plan.digest)
    assert lethe.plan("ex-customers", NOW, "run").survey.of(Verdict.DUE) == 0


def test_a_held_row_keeps_its_text_to_the_letter(lethe: Lethe) -> None:
    before = notes(lethe)[7]
    lethe.database.run("INSERT INTO lethe.hold VALUES ('customers', '7', 'held')")
    assert act(lethe, approved(lethe)) == 59
    assert notes(lethe)[7] == before


def test_what_is_kept_of_a_text_goes_with_its_row(lethe: Lethe) -> None:
    plan = approved(lethe)
    act(lethe, plan)
    lethe.database.run("DELETE FROM customer WHERE id <= 30")
    kept = "SELECT count(*) FROM lethe.redacted"
    assert lethe.database.one(kept) == 54
    lethe.finish(plan.digest, NOW, "run")
    assert lethe.database.one(kept) == 27


def test_a_text_that_the_application_is_changing_is_read_as_it_then_is(lethe: Lethe) -> None:
    import threading

    plan, rows = approved(lethe), []
    thread = threading.Thread(target=lambda: rows.append(act(lethe, plan)))
    with lethe.database.connect() as application:
        with application.transaction():
            application.execute("UPDATE customer SET note = 'Kari Bråten-Lie er ny' WHERE id = 7")
            thread.start()
            thread.join(0.5)
            assert rows == []
        thread.join(20)
    assert rows == [60]
    assert notes(lethe)[7] == "[navn] er ny"


def test_a_text_of_limited_length_is_refused(open_lethe) -> None:
    lethe = open_lethe(ACTIVITY.replace("        note:\n", "        short:\n"), SCHEMA)
    with pytest.raises(SchemaMismatch, match=r"column short: found type character varying, expected text for redact"):
        lethe.plan("ex-customers", NOW, "run")


def test_no_text_and_no_name_comes_into_evidence_or_progress(lethe: Lethe) -> None:
    act(lethe, approved(lethe))
    told = str(leaves(lethe.database)) + str(lethe.database.rows("SELECT * FROM lethe.progress"))
    for word in ("Kari", "Bråten", "40000001", "ferdig", "navn"):
        assert word not in told
