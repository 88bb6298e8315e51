"""Whose record went can be shown to them: each batch commits to its subjects, each subject can be told once."""

import json
import logging
import signal
import subprocess
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import date, timedelta
from itertools import groupby

import psycopg
import pytest
from psycopg.sql import Identifier

from faults import (
    ACTIVITY,
    BLOCKY,
    NOW,
    accounted,
    act,
    acting,
    again,
    answer,
    approved,
    at_pace,
    customers,
    environment,
    leaves,
    wait_until,
    waiting,
)
from lethe.errors import ReceiptError, SchemaMismatch, StoreError, StoreRefused
from lethe.evidence.receipts import SubjectReceipt, check_receipt, subject_hash
from lethe.evidence.tree import Frontier
from lethe.model import Way
from lethe.run import Lethe
from lethe.stores.memory import Memory, MemoryStore
from lethe.stores.postgres.connection import Connection
from lethe.stores.postgres.predicate import Predicate
from lethe.stores.postgres.receipts import Receipts
from lethe.stores.postgres.statement import Range, deed
from support import EVIDENCE

RULE = "ex-customers"
TODAY = date(2025, 3, 1)
ASKED = ACTIVITY.replace("then: delete", "then: delete\n    receipts: subject")
EVERYBODY = {str(number) for number in range(1, 101)}

TALLY = "CREATE TABLE tally (day date PRIMARY KEY, customers bigint NOT NULL);"
COUNTS = ASKED.replace(
    "then: delete",
    "then:\n      - aggregate: {into: tally, by: {day: day(ended_on)}, count: customers, suppress_below: 2}\n"
    "      - delete",
)
FOLLOWED = ASKED.replace(
    "rules:",
    """\
  orders:
    in: crm
    table: orders
    key: id
    personal_data: {}
    refers_to: {customer: {to: customers, by: customer_id}}
    follows: customer
rules:""",
)
ORDERS = """
CREATE TABLE orders (id bigint PRIMARY KEY, customer_id bigint REFERENCES customer);
INSERT INTO orders SELECT 1000 + n, n % 50 + 1 FROM generate_series(1, 80) n;
"""
FROM_COMPANY = ASKED.replace(
    "datasets:",
    "datasets:\n  companies: {in: crm, table: company, key: id, personal_data: {}}",
).replace("rules:", "    refers_to: {company: {to: companies, by: company_id}}\nrules:").replace(
    "clock: ended_on", "clock: company.ended_on"
)  # fmt: skip
COMPANY = """
CREATE TABLE company (id int PRIMARY KEY, ended_on date);
INSERT INTO company VALUES (1, '2020-01-01'), (2, '2025-01-01');
ALTER TABLE customer ADD company_id int;
UPDATE customer SET company_id = 1 + (id > 60)::int;
"""
IN_MONTHS = BLOCKY.replace("id bigint PRIMARY KEY", "id bigint").replace(
    "ended_on date);", "ended_on date NOT NULL, PRIMARY KEY (id, ended_on)) PARTITION BY RANGE (ended_on);"
    "CREATE TABLE customer_2020 PARTITION OF customer FOR VALUES FROM ('2020-01-01') TO ('2021-01-01');"
    "ALTER TABLE customer OWNER TO lethe_worker; ALTER TABLE customer_2020 OWNER TO lethe_worker;"
)  # fmt: skip
INDEXED = (
    BLOCKY.replace("date '2020-01-01'", "date '2020-01-01' + n")
    + "CREATE INDEX ON customer (ended_on); INSERT INTO customer SELECT n FROM generate_series(1001, 3000) n;"
)
KINDS = {
    "deleted": (ASKED, BLOCKY, EVERYBODY),
    "anonymised": (ASKED.replace("then: delete", "then: {anonymise: {name: blank}}"), BLOCKY, EVERYBODY),
    "counted first": (COUNTS, BLOCKY + TALLY, EVERYBODY),
    "followed by others": (FOLLOWED, BLOCKY + ORDERS, EVERYBODY),
    "by a date of another table": (FROM_COMPANY, BLOCKY + COMPANY, {str(number) for number in range(1, 61)}),
    "by an index": (ASKED, INDEXED, EVERYBODY),
    "a partition that is over": (ASKED, IN_MONTHS, EVERYBODY),
    "known by two columns": (
        ASKED.replace("key: id", "key: [id, name]"),
        BLOCKY.replace("id bigint PRIMARY KEY", "id bigint").replace("Kunde", "Kåre")
        + "ALTER TABLE customer ADD PRIMARY KEY (id, name);",
        {f'[{number}, "{f"Kåre {number}".ljust(1500)}"]' for number in range(1, 101)},
    ),
}


def sweep(lethe: Lethe, run: str = "run") -> str:
    """Plan, have it approved, act in batches and finish; the plan's digest."""
    plan = lethe.plan(RULE, NOW, run)
    assert not plan.needs or answer(lethe, plan)
    act(at_pace(lethe, 3), plan, run=run)
    lethe.finish(plan.digest, NOW, run)
    lethe.record(RULE, run, digest=plan.digest)
    return plan.digest


@contextmanager
def receipts(lethe: Lethe) -> Iterator[Receipts]:
    with closing(Connection("crm", lethe.database.conninfo("lethe_worker"))) as connection:
        yield Receipts(connection)


def issue(lethe: Lethe, subject: str, deliver: Callable[[SubjectReceipt], None]) -> None:
    with receipts(lethe) as store:
        store.issue(RULE, subject, TODAY, deliver)


def issued(lethe: Lethe, subject: str, today: date = TODAY, rule: str = RULE) -> SubjectReceipt:
    given: list[SubjectReceipt] = []
    with receipts(lethe) as store:
        store.issue(rule, subject, today, given.append)
    (receipt,) = given
    return receipt


def leaf_of(lethe: Lethe, receipt: SubjectReceipt) -> dict:
    """The leaf that a receipt is about, as the outbox has it."""
    place = f"epoch = {receipt.epoch} AND seq = {receipt.seq}"
    leaf: dict = json.loads(lethe.database.one(f"SELECT leaf FROM lethe.outbox WHERE {place}"))
    return leaf


def kept(lethe: Lethe) -> dict[int, list[tuple]]:
    """Whom each batch committed to, by its number: position, plan, shard, batch, hash, subject, nonce."""
    rows = lethe.database.rows(
        "SELECT seq, position, plan, shard, batch, hash, subject, nonce FROM lethe.receipt ORDER BY seq, position"
    )
    return {seq: [row[1:] for row in group] for seq, group in groupby(rows, key=lambda row: row[0])}


def committed(lethe: Lethe, subjects: set[str]) -> bool:
    """Whether each batch's leaf has the root over just its own rows, and all of them together are these subjects."""
    by_batch, told = kept(lethe), [leaf for leaf in leaves(lethe.database) if leaf["rows"]]
    assert [leaf["outbox"]["seq"] for leaf in told] == list(by_batch)
    for leaf, rows in zip(told, by_batch.values(), strict=True):
        assert [row[0] for row in rows] == list(range(leaf["rows"]))
        assert {row[1:4] for row in rows} == {(leaf["plan"], leaf["shard"], leaf["batch"])}
        hashes = [subject_hash(nonce, leaf["plan"], subject) for *_, subject, nonce in rows]
        assert hashes == [row[4] for row in rows] == sorted(hashes)
        tree = Frontier()
        tree.extend(hashes)
        assert leaf["receipts"] == {"count": leaf["rows"], "root": tree.root().hex()}
    found = [row[5] for rows in by_batch.values() for row in rows]
    assert len(found) == len(subjects)
    return set(found) == subjects


@pytest.mark.parametrize("kind", KINDS)
def test_each_batch_commits_to_the_rows_that_it_took_and_to_no_others(open_lethe, kind: str) -> None:
    """Rows that follow are counted under reach, and are nobody's."""
    activity, schema, subjects = KINDS[kind]
    lethe = open_lethe(activity, schema)
    sweep(lethe)
    told = leaves(lethe.database)
    assert sum(leaf["rows"] for leaf in told) == len(subjects)
    assert len([leaf for leaf in told if leaf["rows"]]) > 1
    assert sum(sum(leaf["reach"].values()) for leaf in told) == (80 if kind == "followed by others" else 0)
    assert committed(lethe, subjects)
    for subject in sorted(subjects)[::30]:
        receipt = issued(lethe, subject)
        check_receipt(SubjectReceipt.parse(receipt.text()), subject, leaf_of(lethe, receipt))


def test_no_partition_is_dropped_whole_when_its_people_are_promised_receipts(open_lethe) -> None:
    assert {shard.way for shard in open_lethe(ASKED, IN_MONTHS).plan(RULE, NOW, "run").survey.shards} == {Way.BLOCKS}
    assert {s.way for s in open_lethe(ACTIVITY, IN_MONTHS).plan(RULE, NOW, "run").survey.shards} == {Way.PARTITION}


def test_a_rule_that_promises_none_keeps_nobody(open_lethe) -> None:
    lethe = open_lethe(ACTIVITY, BLOCKY)
    sweep(lethe)
    assert {leaf["receipts"] for leaf in leaves(lethe.database)} == {None}
    assert lethe.database.one("SELECT count(*) FROM lethe.receipt") == 0


PLAIN = """DELETE FROM ONLY "public"."customer" AS t WHERE t.ctid >= '(0,0)'::tid AND t.ctid < '(3,0)'::tid AND """
TELLING = (
    """WITH gone AS ({} RETURNING "t"."id"::text AS "lethe_subject") SELECT (SELECT count(*) FROM "gone"), """
    """(SELECT coalesce(array_agg("lethe_subject"), '{{}}') FROM gone)"""
)


@pytest.mark.parametrize(("activity", "expected"), [(ACTIVITY, "{}"), (ASKED, TELLING)], ids=["plain", "receipts"])
def test_only_a_rule_that_promises_them_has_its_rows_handed_on(open_lethe, activity: str, expected: str) -> None:
    """The rows of a plain DELETE are counted by the server."""
    lethe = open_lethe(activity, BLOCKY)
    rule = lethe.rule(RULE)
    predicate = Predicate(lethe.store(rule)._question(rule, TODAY, True))
    found, names = deed(predicate, Range(Identifier("public", "customer"), Way.BLOCKS, "0", "3"))
    assert found.as_string() == expected.format(PLAIN + predicate.due.as_string())
    assert names == ()


@pytest.mark.parametrize("activity", [FOLLOWED, COUNTS], ids=["followed", "counted"])
def test_other_statements_say_no_more_than_they_did(open_lethe, activity: str) -> None:
    schema = BLOCKY + (ORDERS if activity == FOLLOWED else TALLY)
    lethe = open_lethe(activity.replace("receipts: subject", ""), schema)
    rule = lethe.rule(RULE)
    found, _ = deed(
        Predicate(lethe.store(rule)._question(rule, TODAY, True)),
        Range(Identifier("public", "customer"), Way.BLOCKS, "0", "3"),
    )
    assert "count(*)" in found.as_string()
    assert "lethe_subject" not in found.as_string()


KILLED = """
import os, signal
from lethe.stores.postgres import apply, receipts
import faults
left = iter([2])
def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)
third = iter((False, False, True)).__next__
def on_the_third(before, after, whole):
    def called(*args, **named):
        now = third()
        if now:
            before()
        found = whole(*args, **named)
        if now:
            after()
        return found
    return called
def nothing():
    pass
"""
MOMENTS = {
    "before they are kept": "receipts.keep = on_the_third(die, nothing, receipts.keep)\n",
    "when they are kept, before the commit": "receipts.keep = on_the_third(nothing, die, receipts.keep)\n",
    "after the commit": "faults.Steady.learn = on_the_third(die, nothing, faults.Steady.learn)\n",
}


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_run_that_is_killed_goes_on_and_keeps_nobody_twice(open_lethe, moment: str) -> None:
    lethe = open_lethe(ASKED, BLOCKY)
    plan = approved(lethe)
    killed = subprocess.run(acting(lethe, plan, prelude=KILLED + MOMENTS[moment]), env=environment(), check=False)
    assert killed.returncode == -signal.SIGKILL
    gone = EVERYBODY - {str(key) for (key,) in lethe.database.rows("SELECT id FROM customer")}
    assert len(gone) == (15 if moment == "after the commit" else 10)
    assert committed(lethe, gone)
    assert act(at_pace(lethe), plan) == 100 - len(gone)
    lethe.finish(plan.digest, NOW, "run")
    assert committed(lethe, EVERYBODY)
    assert accounted(lethe.database, 100)


def test_what_makes_up_a_receipt_is_destroyed_when_it_is_issued_and_the_others_can_still_have_theirs(
    open_lethe,
) -> None:
    lethe = open_lethe(ASKED, BLOCKY)
    sweep(lethe)
    nonces = {subject: nonce for rows in kept(lethe).values() for *_, subject, nonce in rows}
    first = issued(lethe, "17")
    assert bytes.fromhex(first.nonce) == nonces["17"]
    after = {subject: nonce for rows in kept(lethe).values() for *_, subject, nonce in rows}
    assert after == {**nonces, "17": None}
    for subject in ("16", "18", "100"):
        receipt = issued(lethe, subject)
        check_receipt(receipt, subject, leaf_of(lethe, receipt))
        with pytest.raises(ReceiptError):
            check_receipt(receipt, "17", leaf_of(lethe, receipt))
    check_receipt(first, "17", leaf_of(lethe, first))


REFUSED = {
    "once more": (RULE, "17", "was issued before"),
    "of somebody who is still there": (RULE, "101", "found nobody with this key"),
    "of nobody": (RULE, "Kari Nordmann", "found nobody with this key"),
    "of another rule": ("another-rule", "18", "found nobody with this key"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_a_receipt_that_cannot_be_given_is_refused_with_the_reason(open_lethe, what: str) -> None:
    lethe = open_lethe(ASKED, BLOCKY + "INSERT INTO customer VALUES (101, 'Kunde', '2025-01-01');")
    sweep(lethe)
    issued(lethe, "17")
    before = kept(lethe)
    rule, subject, reason = REFUSED[what]
    with pytest.raises(ReceiptError, match=f"^store crm, rule {rule}: .*{reason}") as found:
        issued(lethe, subject, rule=rule)
    assert subject not in str(found.value)
    assert kept(lethe) == before


def test_a_letter_that_could_not_be_written_can_be_written_again(open_lethe) -> None:
    lethe = open_lethe(ASKED, BLOCKY)
    sweep(lethe)
    before, seen = kept(lethe), []

    def fails(receipt: SubjectReceipt) -> None:
        seen.append(receipt)
        raise OSError("no space left")

    with pytest.raises(OSError, match="no space left"):
        issue(lethe, "17", fails)
    assert kept(lethe) == before
    assert issued(lethe, "17") == seen[0]


def test_two_who_ask_at_once_get_one_receipt(open_lethe) -> None:
    lethe = open_lethe(ASKED, BLOCKY)
    sweep(lethe)
    given, refused = [], []

    def ask() -> None:
        try:
            issue(lethe, "17", given.append)
        except ReceiptError as error:
            refused.append(str(error))

    second = threading.Thread(target=ask)

    def deliver(receipt: SubjectReceipt) -> None:
        given.append(receipt)
        second.start()
        wait_until(lambda: waiting(lethe.database))

    issue(lethe, "17", deliver)
    second.join(10)
    assert len(given) == 1
    assert "was issued before" in refused[0]


PERIODS = {"P90D": "", "P2M": EVIDENCE + "  receipts: P2M\n"}


@pytest.mark.parametrize("period", PERIODS)
def test_they_are_kept_until_the_last_day_of_the_policys_period(open_lethe, tmp_path, monkeypatch, period: str) -> None:
    """Counted from the deed, in the organisation's zone; P90D where the policy has no evidence sealed."""
    monkeypatch.setenv("LETHE_EVIDENCE_OUTSIDE", str(tmp_path))
    lethe = open_lethe(ASKED, BLOCKY, evidence=PERIODS[period])
    sweep(lethe)
    spans = {"P90D": "interval '90 days'", "P2M": "interval '2 months'"}
    last = f"((written_at AT TIME ZONE 'Europe/Oslo')::date + {spans[period]})::date"
    expected = lethe.database.rows(f"SELECT seq, {last} FROM lethe.outbox WHERE leaf LIKE '%\"root\"%' ORDER BY seq")
    assert lethe.database.rows("SELECT DISTINCT seq, until FROM lethe.receipt ORDER BY seq") == expected
    (until,) = {day for _, day in expected}
    with receipts(lethe) as store:
        assert store.forget(until) == 0
    issued(lethe, "17", today=until)
    with pytest.raises(ReceiptError, match="the time to ask for one is over"):
        issued(lethe, "18", today=until + timedelta(days=1))
    assert kept(lethe) == {}


def test_whoever_can_no_longer_ask_is_forgotten_with_the_next_sweep(open_lethe) -> None:
    """Those of the sweep before, all of them at once; those of the sweep itself stay."""
    lethe = open_lethe(ASKED, BLOCKY)
    sweep(lethe)
    lethe.database.run("UPDATE lethe.receipt SET until = current_date - 2")
    lethe.database.run("INSERT INTO customer VALUES (200, 'Kunde', '2020-01-01')")
    sweep(lethe, run="another")
    assert {row[5] for rows in kept(lethe).values() for row in rows} == {"200"}
    assert lethe.database.one("SELECT count(*) FROM lethe.outbox WHERE leaf LIKE '%\"count\":%'") > 1


def test_a_record_that_came_back_and_went_again_is_shown_by_its_last_deed(open_lethe) -> None:
    lethe = open_lethe(ASKED, BLOCKY)
    sweep(lethe)
    issued(lethe, "17")
    lethe.database.run("UPDATE lethe.store SET epoch = 2, seq = 0; INSERT INTO customer VALUES (17, 'x', '2020-01-01')")
    sweep(lethe, run="another")
    receipt = issued(lethe, "17")
    assert (receipt.epoch, receipt.size) == (2, 1)
    check_receipt(receipt, "17", leaf_of(lethe, receipt))
    with pytest.raises(ReceiptError, match="was issued before"):
        issued(lethe, "17")


TWO_RULES = ASKED.replace("rules:", """\
  visits: {in: crm, table: visit, key: id, personal_data: {name: user.name}}
rules:
  old-visits:
    obligation: R08
    of: visits
    title: {nb: Besøk, en: Visits}
    clock: seen_on
    keep: P1Y
    then: delete
    receipts: subject
    limits: {rows: 1000, share: 100%}
""")  # fmt: skip
VISITS = """
CREATE TABLE visit (id bigint PRIMARY KEY, name text, seen_on date);
INSERT INTO visit VALUES (17, 'Kari', '2020-01-01');
"""


def test_the_same_key_in_two_tables_is_two_people(open_lethe) -> None:
    lethe = open_lethe(TWO_RULES, BLOCKY + VISITS)
    sweep(lethe)
    plan = approved(lethe, "old-visits")
    act(lethe, plan)
    assert issued(lethe, "17").size > 1
    receipt = issued(lethe, "17", rule="old-visits")
    assert (receipt.size, receipt.plan) == (1, plan.digest)
    check_receipt(receipt, "17", leaf_of(lethe, receipt))


def test_who_went_after_a_place_in_the_outbox_can_be_listed(open_lethe) -> None:
    """Issued or not: what a backup brings back must go again."""
    lethe = open_lethe(ASKED, BLOCKY)
    digest = sweep(lethe)
    issued(lethe, "17")
    first, *_, last = kept(lethe)
    with receipts(lethe) as store:
        everybody = store.subjects_after(1, 0)
        later = store.subjects_after(1, first)
        assert store.subjects_after(1, last) == store.subjects_after(2, 0) == []
    assert {each.subject for each in everybody} == EVERYBODY
    assert {(each.epoch, each.plan, each.rule) for each in everybody} == {(1, digest, RULE)}
    assert [each.seq for each in everybody] == sorted(each.seq for each in everybody)
    assert later == [each for each in everybody if each.seq > first]


PEOPLE = ("17057412345", "gunnhild@fjordvik.example", "Åsmundsdatter")
NAMED = (
    "CREATE TABLE customer (id text PRIMARY KEY, name text, ended_on date);"
    + "".join(f"INSERT INTO customer VALUES ('{person}', 'x', '2020-01-01');" for person in PEOPLE)
)  # fmt: skip


def test_no_subject_is_in_evidence_statistics_or_a_log_and_no_nonce_in_the_servers(
    open_lethe, caplog, capfd, server
) -> None:
    caplog.set_level(logging.DEBUG)
    lethe = open_lethe(ASKED, NAMED)
    lethe.database.run(f"ALTER DATABASE {lethe.database.name} SET log_min_duration_statement = 0")
    begin = server.log.stat().st_size
    plan = approved(lethe)
    with again(lethe) as other:
        act(at_pace(other), plan)
    (rows,) = kept(lethe).values()
    assert {row[5] for row in rows} == set(PEOPLE)
    nonces = [row[6].hex() for row in rows]
    log = server.log.read_bytes()[begin:].decode(errors="replace")
    assert "COPY lethe.receipt" in log  # it is the right haystack
    receipt = issued(lethe, PEOPLE[0])
    lethe.database.run("ANALYZE lethe.receipt")
    told = [json.dumps(leaves(lethe.database)), repr(receipt), caplog.text, *capfd.readouterr()]
    told += [str(lethe.database.rows(f"SELECT t::text FROM {table} t")) for table in ("pg_stats", "lethe.outbox")]
    told += [
        str(lethe.state_database.rows(f"SELECT t::text FROM lethe.{table} t")) for table in ("outbox", "plan", "run")
    ]
    assert '"receipts": {"count": 3,' in told[0]
    assert not [text for text in told if any(person in text for person in (*PEOPLE, *nonces))]
    log = server.log.read_bytes()[begin:].decode(errors="replace")
    assert not [word for word in (*PEOPLE[1:], *nonces) if word in log]  # whose is asked for is asked for by name


TROUBLE = {
    "a receipt that cannot be kept": "ALTER TABLE lethe.receipt ADD CONSTRAINT short CHECK (length(subject) < 5)",
    "a table that is missing": "DROP TABLE lethe.receipt",
    "a table that may not be written": "REVOKE INSERT ON lethe.receipt FROM lethe_worker",
}


@pytest.mark.parametrize("trouble", TROUBLE)
def test_a_batch_whose_receipts_cannot_be_kept_is_undone_and_the_reason_names_nobody(open_lethe, trouble: str) -> None:
    lethe = open_lethe(ASKED, NAMED)
    lethe.database.run(TROUBLE[trouble])
    plan = approved(lethe)
    with pytest.raises(StoreRefused, match=r"^store crm, rule ex-customers: the database answered ") as found:
        act(lethe, plan)
    whole = "".join(traceback.format_exception(found.value, chain=True))
    assert not [person for person in PEOPLE if person in whole]
    assert customers(lethe) == len(PEOPLE)
    assert accounted(lethe.database, 0)


def test_an_issue_that_fails_names_nobody_and_destroys_nothing(open_lethe) -> None:
    lethe = open_lethe(ASKED, NAMED)
    sweep(lethe)
    before = kept(lethe)
    lethe.database.run("ALTER TABLE lethe.receipt ADD CONSTRAINT kept CHECK (nonce IS NOT NULL)")
    with pytest.raises(StoreError, match="CheckViolation") as found:
        issued(lethe, PEOPLE[0])
    assert (found.value.__cause__, found.value.__context__) == (None, None)
    assert not [person for person in PEOPLE if person in "".join(traceback.format_exception(found.value))]
    assert kept(lethe) == before


@pytest.mark.parametrize(
    "statement",
    [
        *(
            f"UPDATE lethe.receipt SET {column} = {column}"
            for column in ("subject", "hash", "until", "seq", "position")
        ),
        "TRUNCATE lethe.receipt",
    ],
)
def test_the_worker_can_keep_issue_and_forget_and_nothing_else(open_lethe, statement: str) -> None:
    lethe = open_lethe(ASKED, BLOCKY)
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        lethe.database.run(statement, "lethe_worker")


def test_a_store_in_memory_gives_no_receipts_and_says_so(open_lethe) -> None:
    lethe = open_lethe(ASKED, BLOCKY)
    store = MemoryStore(lethe.policy.stores["crm"], lethe.policy, Memory({"customers": []}))
    with pytest.raises(SchemaMismatch, match="receipts: this kind of store gives none"):
        store.survey(lethe.rule(RULE), TODAY, confirmed=True)
