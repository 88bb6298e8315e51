"""Holds: placed on somebody's word, in force in every store before anything is done there, and let go of when over."""

import json
import threading
from collections.abc import Callable, Iterator
from datetime import date

import pytest
from click.testing import CliRunner, Result

from faults import DATASET, NOW, RULE, act, again, answer, approved, at_pace, customers, leaves
from lethe.cli import main
from lethe.errors import HoldError, NotApproved, StoreError, StoreRefused
from lethe.evidence.leaf import schema
from lethe.holds import Because, Register, Target, targets_of
from lethe.model import Reason
from lethe.run import Lethe
from lethe.stores.postgres.apply import HOLDS_LOCK

NEXT_YEAR = date(2999, 1, 1)
SCHEMA = """
CREATE TABLE customer (id bigint PRIMARY KEY, name text, ended_on date);
ALTER TABLE customer ALTER name SET STORAGE PLAIN;
INSERT INTO customer SELECT n, rpad('Kunde ' || n, 1500), date '2020-01-01' FROM generate_series(1, 100) n;
CREATE TABLE purchase (id bigint PRIMARY KEY, customer_id bigint, ended_on date);
INSERT INTO purchase SELECT n, n, date '2020-01-01' FROM generate_series(1, 100) n;
CREATE TABLE remark (id bigint PRIMARY KEY, purchase_id bigint, written_on date);
INSERT INTO remark SELECT n, n, date '2020-01-01' FROM generate_series(1, 100) n;
"""
ACTIVITY = (
    DATASET
    + """
  purchases:
    in: crm
    table: purchase
    key: id
    personal_data: {}
    refers_to: {customer: {to: customers, by: customer_id}}
  remarks:
    in: crm
    table: remark
    key: id
    personal_data: {}
    refers_to: {purchase: {to: purchases, by: purchase_id}}
"""
    + RULE
    + """
  remarks-go:
    obligation: R08
    of: remarks
    title: {nb: Merknader, en: Remarks}
    clock: written_on
    keep: P1Y
    then: delete
    limits: {rows: 1000, share: 100%}
"""
)


@pytest.fixture
def lethe(open_lethe) -> Lethe:
    return open_lethe(ACTIVITY, SCHEMA)


@pytest.fixture
def officer(lethe: Lethe) -> Iterator[Register]:
    with again(lethe, "lethe_officer") as signed_in:
        yield signed_in.state.holds


@pytest.fixture
def place(lethe: Lethe, officer: Register) -> Callable[..., str]:
    def by_name(*rows: tuple[str, str], because: Because = Because.LEGAL_CLAIM, **whole: list[str]) -> str:
        targets = tuple(targets_of(lethe.policy, rows, **whole))
        return officer.place(because, targets, NEXT_YEAR, role="privacy-officer", via="cli")

    return by_name


def release(officer: Register, hold: str) -> None:
    officer.release(hold, role="privacy-officer", via="cli")


def mirror(lethe: Lethe) -> list[tuple[str, ...]]:
    return lethe.database.rows("SELECT dataset, key, kind, hold FROM lethe.hold ORDER BY 1, 2, 3, 4")


def kept(lethe: Lethe) -> list[int]:
    return [number for (number,) in lethe.database.rows("SELECT id FROM customer ORDER BY id")]


# -- what a hold covers -----------------------------------------------------------------------------------------------


def test_a_hold_keeps_its_row_and_its_release_lets_the_next_run_take_it(lethe: Lethe, officer, place) -> None:
    hold = place(("customers", "7"))
    plan = approved(lethe)
    assert plan.survey.because(Reason.HELD) == 1
    assert act(lethe, plan) == 99
    lethe.finish(plan.digest, NOW, "run")
    lethe.record(plan.rule, "run", digest=plan.digest)
    assert kept(lethe) == [7]
    release(officer, hold)
    assert act(lethe, lethe.plan("ex-customers", NOW, "run")) == 1
    assert mirror(lethe) == []


@pytest.mark.parametrize("row", [("customers", "7"), ("purchases", "7"), ("remarks", "7")], ids=lambda row: row[0])
def test_a_hold_covers_what_hangs_on_its_row_however_far_down(lethe: Lethe, place, row: tuple[str, str]) -> None:
    place(row)
    assert act(lethe, approved(lethe, "remarks-go")) == 99
    assert lethe.database.rows("SELECT id FROM remark") == [(7,)]


def test_a_hold_does_not_cover_what_its_row_hangs_on(lethe: Lethe, place) -> None:
    place(("remarks", "7"))
    assert act(lethe, approved(lethe)) == 100


def test_a_hold_on_a_dataset_or_a_rule_covers_all_of_it_and_nothing_else(lethe: Lethe, officer, place) -> None:
    hold = place(datasets=["purchases"])
    assert lethe.plan("remarks-go", NOW, "run").survey.because(Reason.HELD) == 100
    assert lethe.plan("ex-customers", NOW, "run").survey.because(Reason.HELD) == 0
    release(officer, hold)
    place(rules=["ex-customers"])
    assert lethe.plan("remarks-go", NOW, "run").survey.because(Reason.HELD) == 0
    found = lethe.plan("ex-customers", NOW, "run").survey
    assert (found.because(Reason.HELD), found.unseen) == (100, ())


def test_rows_that_hang_on_nothing_are_not_covered_by_a_hold_on_the_dataset_above(lethe: Lethe, place) -> None:
    lethe.database.run("UPDATE purchase SET customer_id = NULL WHERE id <= 10; DELETE FROM purchase WHERE id > 95")
    place(datasets=["customers"])
    assert act(lethe, approved(lethe, "remarks-go")) == 15


@pytest.mark.parametrize("because", [*Because])
def test_restriction_is_there_for_every_reader_to_see_and_other_reasons_are_not(
    lethe: Lethe, place, because: Because
) -> None:
    place(("customers", "7"), because=because)
    found = lethe.plan("ex-customers", NOW, "run").survey
    restricted = because.kind == "restricted"
    assert (found.because(Reason.RESTRICTED), found.because(Reason.HELD)) == (int(restricted), int(not restricted))
    seen = lethe.database.rows("SELECT * FROM lethe.restricted", "lethe_officer")  # who has no rights here at all
    assert seen == ([("customers", "7")] if restricted else [])


def test_a_row_stays_as_long_as_one_of_its_holds_does(lethe: Lethe, officer, place) -> None:
    first, second = place(("customers", "7")), place(("customers", "7"))
    release(officer, first)
    assert act(lethe, approved(lethe)) == 99
    assert [hold for *_, hold in mirror(lethe)] == [second]


# -- whose word it takes ----------------------------------------------------------------------------------------------


def test_only_who_may_answer_places_reviews_and_releases(lethe: Lethe, officer, place) -> None:
    hold, worker = place(("customers", "7")), lethe.state.holds
    target = Target("crm", "customers", "8")
    told = {"role": "privacy-officer", "via": "cli"}
    for attempt in (
        lambda: worker.place(Because.LEGAL_CLAIM, [target], NEXT_YEAR, **told),
        lambda: worker.review(hold, NEXT_YEAR, **told),
        lambda: worker.release(hold, **told),
    ):
        with pytest.raises(NotApproved, match="may not answer for a person"):
            attempt()
    assert [(h.id, h.review, h.released_at) for h in officer.holds()] == [(hold, NEXT_YEAR, None)]


def test_what_was_put_into_the_mirror_by_hand_is_taken_off_by_hand(lethe: Lethe) -> None:
    lethe.database.run("INSERT INTO lethe.hold VALUES ('customers', '7', 'held')")
    assert act(lethe, approved(lethe)) == 99
    with pytest.raises(Exception, match="put by hand"):
        lethe.database.run("DELETE FROM lethe.hold", "lethe_worker")
    lethe.database.run("DELETE FROM lethe.hold")


def test_a_hold_that_the_register_does_not_know_stays_in_the_mirror(lethe: Lethe, place) -> None:
    """As after lethe_state was put back to before it was placed: nobody has said that it is over."""
    place(("customers", "7"))
    lethe.database.run("INSERT INTO lethe.hold VALUES ('customers', '8', 'held', 'of another time')")
    act(lethe, approved(lethe))
    assert kept(lethe) == [7, 8]


# -- in force before anything is done ---------------------------------------------------------------------------------


def test_a_hold_that_its_store_lost_is_there_again_before_the_next_batch(lethe: Lethe, place) -> None:
    """As after the store was put back to before it was placed."""
    place(("customers", "7"))
    plan = approved(lethe)
    lethe.database.run("DELETE FROM lethe.hold")
    assert act(lethe, plan) == 99
    assert [leaf["state"] for leaf in leaves(lethe.database) if leaf["kind"] == "hold"] == ["placed", "placed"]


def test_where_the_mirror_cannot_be_brought_up_nothing_is_done(lethe: Lethe, place) -> None:
    plan = approved(lethe)
    place(("customers", "7"))
    lethe.database.run("REVOKE INSERT ON lethe.hold FROM lethe_worker")
    with pytest.raises(StoreRefused, match="lacks a permission"):
        act(lethe, plan)
    assert customers(lethe) == 100
    lethe.database.run("GRANT INSERT ON lethe.hold TO lethe_worker")
    assert act(lethe, plan) == 99


def test_a_register_that_does_not_answer_means_keep(lethe: Lethe) -> None:
    plan = approved(lethe)
    lethe.state_database.run("ALTER TABLE lethe.hold_target RENAME TO gone")
    with pytest.raises(StoreError):
        act(lethe, plan)
    assert customers(lethe) == 100


def test_a_hold_is_in_force_once_every_store_has_it(lethe: Lethe, officer, place) -> None:
    place(("customers", "7"))
    assert not officer.holds()[0].in_force
    lethe.bring_up_holds("crm", "run")
    assert officer.holds()[0].in_force
    before = leaves(lethe.database)
    lethe.bring_up_holds("crm", "run")
    assert leaves(lethe.database) == before


STEPS = ["before the plan", "after the plan", "after the approval", "between batches", "last"]


@pytest.mark.parametrize("point", STEPS)
def test_once_acknowledged_nothing_that_a_hold_covers_is_touched(lethe: Lethe, place, point: str) -> None:
    acknowledged, batches = [], []

    def now(here: str) -> None:
        if here == point:
            left = kept(lethe)[-1:]
            place(*(("customers", str(number)) for number in left))
            lethe.bring_up_holds("crm", "run")
            acknowledged.extend(left)

    def after_a_batch(receipt: object) -> None:
        batches.append(receipt)
        now({4: "between batches", 15: "last"}.get(len(batches), ""))

    at_pace(lethe)
    now("before the plan")
    plan = lethe.plan("ex-customers", NOW, "run")
    now("after the plan")
    assert answer(lethe, plan)
    now("after the approval")
    act(lethe, plan, each=after_a_batch)
    assert kept(lethe) == acknowledged
    assert len(acknowledged) == 1


def test_acknowledging_waits_for_the_batch_that_is_under_way(lethe: Lethe, place) -> None:
    plan = approved(lethe)
    place(("customers", "7"))
    done: list[str] = []
    with again(lethe) as other:
        thread = threading.Thread(target=lambda: (other.bring_up_holds("crm", "run"), done.append("acknowledged")))
        with lethe.database.connect() as batch, batch.transaction():
            batch.execute(f"SELECT pg_advisory_xact_lock_shared({HOLDS_LOCK})")
            thread.start()
            thread.join(0.5)
            assert done == []
            batch.execute("DELETE FROM customer WHERE id = 50")
        thread.join(20)
    assert done == ["acknowledged"]
    assert act(lethe, plan) == 98


# -- evidence, review, forgetting -------------------------------------------------------------------------------------


def test_each_hold_is_evidence_once_when_it_comes_into_force_and_once_when_it_is_lifted(
    lethe: Lethe, officer, place
) -> None:
    import jsonschema

    hold = place(("customers", "7"), rules=["ex-customers"])
    lethe.bring_up_holds("crm", "a" * 32)
    release(officer, hold)
    lethe.bring_up_holds("crm", "b" * 32)
    lethe.bring_up_holds("crm", "c" * 32)
    found = leaves(lethe.database)
    assert [(leaf["state"], leaf["scope"], leaf["dataset"], leaf["rule"]) for leaf in found] == [
        ("placed", "row", "customers", None),
        ("placed", "rule", None, "ex-customers"),
        ("released", "row", "customers", None),
        ("released", "rule", None, "ex-customers"),
    ]
    assert len({leaf["approver"] for leaf in found}) == 2
    for leaf in found:
        jsonschema.validate(leaf, schema())
    assert "7" not in {str(value) for leaf in found for value in leaf.values()}


def test_the_key_of_a_released_hold_is_forgotten_after_a_year(lethe: Lethe, officer, place) -> None:
    hold = place(("customers", "7"))
    lethe.bring_up_holds("crm", "run")
    release(officer, hold)
    lethe.bring_up_holds("crm", "run")
    keys = "SELECT key FROM lethe.hold_target ORDER BY hold = '{}' DESC"
    place(("customers", "8"))
    assert lethe.state_database.rows(keys.format(hold)) == [("7",), ("8",)]
    lethe.state_database.run("UPDATE lethe.hold_event SET at = at - interval '367 days'")
    place(("customers", "9"))
    assert lethe.state_database.rows(keys.format(hold))[0] == (None,)
    assert (("8",) in lethe.state_database.rows(keys.format(hold))) is True


def test_a_hold_past_its_review_stays_in_force_and_is_told(lethe: Lethe, officer, place) -> None:
    hold = place(("customers", "7"))
    (found,) = officer.holds()
    assert not found.past_review(NEXT_YEAR)
    assert found.past_review(date(2999, 1, 2))
    officer.review(hold, date(3000, 1, 1), role="privacy-officer", via="cli")
    assert not officer.holds()[0].past_review(date(2999, 1, 2))
    assert act(lethe, approved(lethe)) == 99


# -- at the command line ----------------------------------------------------------------------------------------------


@pytest.fixture
def say(lethe: Lethe, monkeypatch) -> Callable[..., Result]:
    monkeypatch.setenv("LETHE_POLICY", str(lethe.policy_dir))
    monkeypatch.setenv("AIRFLOW_CONN_CRM", lethe.addresses["crm"])
    monkeypatch.setenv("AIRFLOW_CONN_LETHE_STATE", lethe.state_database.conninfo("lethe_officer"))

    def run(*words: str, rows: str | None = None) -> Result:
        return CliRunner().invoke(main, ["hold", *words], input=rows)

    return run


PLACE = ("place", "--because", "legal-claim", "--review", "2999-01-01")


def test_a_hold_is_placed_listed_reviewed_and_released(lethe: Lethe, say) -> None:
    placed = say(*PLACE, "--rows", rows="customers 7\n\npurchases 8\n")
    assert (placed.exit_code, placed.stdout.splitlines()[1:]) == (0, ["crm: has the holds in force"])
    hold = placed.stdout[5:17]
    listed = say("list")
    assert listed.exit_code == 0
    assert listed.stdout.splitlines() == [
        f"{hold}  legal-claim          in force     until 2999-01-01",
        "    crm  customers  one row",
        "    crm  purchases  one row",
    ]
    assert "customers  7" in say("list", "--keys").stdout
    assert say("review", hold, "--until", "2999-02-02").exit_code == 0
    (told,) = json.loads(say("list", "--json").stdout)
    assert (told["review"], told["state"], told["past_review"]) == ("2999-02-02", "in force", False)
    assert "key" not in told["targets"][0]
    released = say("release", hold)
    assert (released.exit_code, mirror(lethe)) == (0, [])
    assert say("list").stdout == ""
    assert f"{hold}  legal-claim          released" in say("list", "--all").stdout
    again_ = say("release", hold)
    assert (again_.exit_code, again_.stderr.startswith(f"hold {hold}: it was released before")) == (2, True)


@pytest.mark.parametrize(
    ("words", "rows", "says"),
    [
        (("--rows",), "custommers 7", 'found no dataset "custommers"; did you mean customers? expected one of'),
        (("--rows",), "customers 101", "row 1: customers has no row with this key; nothing was placed"),
        (("--rows",), "customers 07", "row 1: customers has no row with this key"),
        (("--rows",), "customers Kari", "row 1: customers has no row with this key"),
        (("--rows",), "customers", "standard input, line 1: expected a dataset, a space and the key of a row"),
        (("--rows",), "", "found nothing to hold"),
        ((), None, "found nothing to hold"),
        (("--rule", "ex-customer"), None, 'found no rule "ex-customer"; did you mean ex-customers?'),
        (("--dataset", "x"), None, 'found no dataset "x"; expected one of: customers, purchases, remarks'),
        (("--dataset", "customers", "--review", "2020-01-01"), None, "found 2020-01-01 for the next look"),
        (("--dataset", "customers", "--because", "whim"), None, "'whim' is not one of"),
    ],
)
def test_a_misspelled_hold_is_refused_and_nothing_is_placed(lethe: Lethe, say, words, rows, says: str) -> None:
    said = say(*PLACE, *words, rows=rows)
    assert (said.exit_code, says in said.stderr) == (2, True), said.output
    assert lethe.state_database.one("SELECT count(*) FROM lethe.placed_hold") == 0
    assert "Kari" not in said.output


def test_a_store_that_cannot_be_asked_gets_the_hold_before_anything_is_done_there(
    lethe: Lethe, say, monkeypatch
) -> None:
    plan = approved(lethe)
    monkeypatch.delenv("AIRFLOW_CONN_CRM")
    said = say(*PLACE, "--rows", rows="customers 7")
    assert said.exit_code == 5
    assert "whether customers has it cannot be asked from here" in said.stderr
    assert "crm: not yet; nothing is done there before it has it" in said.stderr
    assert "waits" in say("list").stdout
    assert mirror(lethe) == []
    assert act(lethe, plan) == 99
    assert "in force" in say("list").stdout
    monkeypatch.setenv("AIRFLOW_CONN_CRM", lethe.addresses["crm"])
    assert say("sync").stdout == "crm: has the holds in force\n"


def test_a_hold_past_review_makes_the_list_say_so_and_end_with_1(lethe: Lethe, say) -> None:
    say(*PLACE, "--dataset", "customers")
    lethe.state_database.run("UPDATE lethe.hold_event SET review = '2020-01-01'")
    said = say("list")
    assert (said.exit_code, "until 2020-01-01  PAST REVIEW" in said.stdout) == (1, True)


def test_an_id_that_nobody_has_is_said(lethe: Lethe, say) -> None:
    said = say("release", "0123")
    assert (said.exit_code, said.stderr) == (
        2,
        'hold "0123": found 0 that start so, expected one; see `lethe hold list`\n',
    )
    with pytest.raises(HoldError):
        lethe.state.holds.hold("")
