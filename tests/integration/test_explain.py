"""What runs on one person's rows: every rule, its clock and what keeps it, and nothing that stands in the rows."""

import json
import re
from collections.abc import Callable
from datetime import date

import pytest
from click.testing import CliRunner, Result
from psycopg.rows import dict_row

from faults import again
from lethe.cli import main
from lethe.holds import Because, targets_of
from lethe.model import Reason
from lethe.run import Lethe
from lethe.stores.memory import Memory, MemoryStore, View, key_text

DAY = "2026-11-22"
TODAY = date.fromisoformat(DAY)
NAMES = (
    "Gunnhild Åsmundsdatter",
    "gunnhild@fjordvik.example",
    "5003",
    "Ring meg etter fem",
    "Til Gunnhild",
    "tvistesak",
)
"""Everything that stands in the rows of the person who is asked about and that nothing may tell."""
KEY, OTHERS = "104207", ("880001", "880002", "880003", "880004", "770001", "660001")

SCHEMA = f"""
CREATE TABLE customer (id bigint PRIMARY KEY, name text, status text, ended_at timestamptz);
CREATE TABLE purchase (id bigint PRIMARY KEY, customer_id bigint, buyer text, email text, postcode text, remark text,
    bought_on date, dispute text, archived_at date);
CREATE TABLE line (id bigint PRIMARY KEY, purchase_id bigint, engraving text, made_on date, sold text DEFAULT 'as is');
CREATE TABLE tag (id bigint PRIMARY KEY, line_id bigint);
CREATE TABLE message (id bigint PRIMARY KEY, customer_id bigint, purchase_id bigint, body text, sent_on date);
CREATE TABLE aside (id bigint PRIMARY KEY, customer_id bigint, nickname text);
INSERT INTO customer VALUES ({KEY}, '{NAMES[0]}', 'left', '2025-06-30 22:30:00+00'), (2, 'Per', 'active', NULL),
    (3, 'Kari', 'left', '2026-03-01 12:00:00+00'), (4, 'Ola', 'left', '9999-12-31 12:00:00+00'),
    (5, 'Siri', 'left', '2031-01-01 12:00:00+00');
INSERT INTO purchase
    SELECT number, {KEY}, '{NAMES[0]}', '{NAMES[1]}', '{NAMES[2]}', '{NAMES[3]}', bought, NULL, NULL
    FROM (VALUES (880001, date '2019-03-10'), (880002, '2023-03-10'), (880003, NULL)) AS v (number, bought);
INSERT INTO purchase VALUES
    (880004, {KEY}, '{NAMES[0]}', NULL, '5000', NULL, '2022-01-31', '{NAMES[5]}', NULL),
    (5, 2, 'Per', 'per@fjordvik.example', '0150', NULL, '2025-01-01', NULL, NULL),
    (6, 3, 'Kari', 'kari@fjordvik.example', '0150', NULL, '2031-01-01', NULL, NULL),
    (7, 4, 'Ola', 'ola@fjordvik.example', '0150', NULL, 'infinity', NULL, NULL),
    (8, 5, 'Siri', 'siri@fjordvik.example', '0150', NULL, '2018-05-05', 'inkasso', NULL);
INSERT INTO line (id, purchase_id, engraving)
    VALUES (770001, 880001, '{NAMES[4]}'), (770002, 880004, '{NAMES[4]}'), (3, 5, 'Til Per');
INSERT INTO tag VALUES (550001, 770001), (3, 3);
INSERT INTO message VALUES (660001, {KEY}, 880001, '{NAMES[3]}', '2024-02-29'),
    (660002, NULL, 880002, '{NAMES[3]}', '2026-01-31'),
    (3, 2, NULL, 'Hei', '2020-01-01');
"""
ACTIVITY = """
serves: [R08]
datasets:
  customers:
    in: crm
    table: customer
    key: id
    personal_data: {name: user.name}
  purchases:
    in: crm
    table: purchase
    key: id
    personal_data:
      buyer: user.name
      email: user.contact.email
      postcode: user.contact.address.postal_code
      remark: user.content.private
    refers_to: {customer: {to: customers, by: customer_id}}
    held_when: {dispute: [inkasso, tvistesak]}
    unset: {bought_on: [1970-01-01]}
  lines:
    in: crm
    table: line
    key: id
    personal_data: {engraving: user.content.private}
    refers_to: {purchase: {to: purchases, by: purchase_id}}
    follows: purchase
  tags:
    in: crm
    table: tag
    key: id
    personal_data: {}
    refers_to: {line: {to: lines, by: line_id}}
    follows: line
  messages:
    in: crm
    table: message
    key: id
    personal_data: {body: user.content.private}
    refers_to: {customer: {to: customers, by: customer_id}, purchase: {to: purchases, by: purchase_id}}
  asides:
    in: crm
    table: aside
    key: id
    personal_data: {nickname: user.name}
    refers_to: {customer: {to: customers, by: customer_id}}
floors:
  books:
    obligation: R08
    of: purchases
    law: arkivlova § 9
    fields: [buyer, bought_on]
    clock: bought_on
    keep: {after: fiscal-year-end, period: P5Y}
  warranty:
    obligation: R08
    of: lines
    law: forbrukerkjøpsloven § 27
    when: {sold: guaranteed}
    clock: made_on
    keep: {after: fiscal-year-end, period: P5Y}
rules:
  contacts-go:
    obligation: R08
    of: purchases
    title: {nb: Kontaktopplysninger, en: Contact details}
    since: {nb: kundeforholdets slutt, en: the end of the customer relationship}
    clock: customer.ended_at
    keep: P1Y
    when: {customer.status: left}
    then: {anonymise: {email: blank, postcode: {generalise: region}}}
    order: 1
    limits: {rows: 1000, share: 100%}
  purchases-go:
    obligation: R08
    of: purchases
    title: {nb: Kjøp, en: Purchases}
    clock: bought_on
    keep: P2Y
    then: delete
    order: 2
    limits: {rows: 1000, share: 100%}
  messages-go:
    obligation: R08
    of: messages
    title: {nb: Meldinger, en: Messages}
    clock: sent_on
    keep: {assume: P1Y, confirm_by: privacy-officer, because: nobody has said}
    then: delete
    limits: {rows: 1000, share: 100%}
"""
STATIONS = """
  archive: {kind: postgres, connection: archive, title: {nb: Arkiv, en: Archive}, backups: P35D}
"""


@pytest.fixture
def lethe(open_lethe) -> Lethe:
    return open_lethe(ACTIVITY, SCHEMA)


@pytest.fixture
def say(lethe: Lethe, monkeypatch) -> Callable[..., Result]:
    monkeypatch.setenv("LETHE_POLICY", str(lethe.policy_dir))
    monkeypatch.setenv("AIRFLOW_CONN_CRM", lethe.addresses["crm"])
    monkeypatch.setenv("AIRFLOW_CONN_LETHE_STATE", lethe.addresses["lethe_state"])

    def run(*words: str, rows: str = f"customers {KEY}") -> Result:
        return CliRunner().invoke(main, ["explain", "--now", DAY, *words], input=rows)

    return run


@pytest.fixture
def facts(say) -> Callable[..., dict]:
    """What is told of each dataset for machines, by its name."""

    def ask(*words: str, rows: str = f"customers {KEY}") -> dict:
        said = say("--json", *words, rows=rows)
        assert said.exit_code == 0, said.output
        (told,) = json.loads(said.stdout)
        return {table["dataset"]: table for table in told["tables"]} | {"behind": told["holds_behind"]}

    return ask


@pytest.fixture
def place(lethe: Lethe) -> Callable[..., None]:
    """Places a hold and has it in force."""

    def by_name(*rows: tuple[str, str], because: Because = Because.LEGAL_CLAIM, in_force=True, **whole) -> None:
        with again(lethe, "lethe_officer") as officer:
            targets = tuple(targets_of(lethe.policy, rows, **whole))
            officer.state.holds.place(because, targets, date(2999, 1, 1), role="privacy-officer", via="cli")
        if in_force:
            lethe.bring_up_holds("crm", "run")

    return by_name


def rule_of(table: dict, number: int, name: str) -> dict:
    (found,) = [each for each in table["told"][number - 1]["rules"] if each["rule"] == name]
    return found


# -- what is told -----------------------------------------------------------------------------------------------------


def test_the_row_and_all_that_hangs_on_it_is_told_and_nobody_elses(facts) -> None:
    told = facts("--keys")
    keys = {name: [row["key"] for row in table["told"]] for name, table in told.items() if name != "behind"}
    assert keys == {
        "customers": [KEY],
        "asides": [],
        "messages": ["660001", "660002"],  # one by two ways, told once; one by its purchase only
        "purchases": ["880001", "880002", "880003", "880004"],
        "lines": ["770001", "770002"],
        "tags": ["550001"],
    }
    assert told["messages"]["by"] == [["customer"], ["purchase", "customer"]]
    assert [row["key"] for row in facts("--keys", rows="purchases 880001")["lines"]["told"]] == ["770001"]


def test_each_rule_has_its_verdict_its_dates_and_every_reason(facts) -> None:
    purchases = facts()["purchases"]
    contacts = rule_of(purchases, 1, "contacts-go")
    assert (contacts["verdict"], contacts["reasons"]) == ("due", [])
    assert (contacts["date"], contacts["last_day"]) == ("2025-07-01", "2026-07-01")  # the date is Oslo's
    assert contacts["due_from"] == "2026-07-02"
    assert contacts["then"] == {"anonymise": {"email": "blank", "postcode": {"generalise": "region"}}}
    assert [rule_of(purchases, n, "contacts-go")["verdict"] for n in (1, 2, 3, 4)] == ["due", "due", "due", "done"]
    whole = [rule_of(purchases, n, "purchases-go") for n in (1, 2, 3, 4)]
    assert [each["reasons"] for each in whole] == [[], ["floor"], ["undated", "floor"], ["held", "floor"]]
    assert [each["due_from"] for each in whole] == ["2021-03-11", "2029-01-01", None, "2028-01-01"]
    assert [each["ends_on"] for each in whole] == ["2021-03-11", "2029-01-01", None, None]


def test_a_floor_that_stands_says_by_which_law_and_until_when(facts) -> None:
    purchases = facts()["purchases"]
    assert [rule_of(purchases, n, "purchases-go")["floors"] for n in (1, 2, 3)] == [
        [],
        [standing := {"floor": "books", "law": "arkivlova § 9", "obligation": "R08", "dataset": "purchases",
                      "fields": ["buyer", "bought_on"], "clock": "bought_on", "date": "2023-03-10",
                      "last_day": "2028-12-31"}],
        [standing | {"date": None, "last_day": None}],
    ]  # fmt: skip
    assert rule_of(purchases, 2, "contacts-go")["floors"] == []  # it touches no field of the floor's
    fields = purchases["told"][1]["fields"]
    assert {name: field["floors"] for name, field in fields.items()} == {
        "buyer": ["books"],
        "email": [],
        "postcode": [],
        "remark": [],
    }


@pytest.mark.parametrize(
    ("second", "date", "until"), [("'2024-02-01'", "2024-02-01", "2029-12-31"), ("NULL", None, None)]
)
def test_of_several_rows_under_a_floor_the_last_decides(facts, lethe: Lethe, second: str, date, until) -> None:
    for number, made in ((1, "'2023-01-01'"), (2, second), (3, "'2022-01-01'")):
        lethe.database.run(f"INSERT INTO line VALUES ({number + 900}, 880001, NULL, {made}, 'guaranteed')")
    told = facts()
    (floor,) = rule_of(told["purchases"], 1, "purchases-go")["floors"]
    assert (floor["floor"], floor["dataset"], floor["date"], floor["last_day"]) == ("warranty", "lines", date, until)
    assert rule_of(told["lines"], 1, "purchases-go")["floors"] == [floor]  # what it goes with is kept, and so is it
    assert told["purchases"]["told"][0]["fields"]["remark"]["floors"] == []  # no floor over its own fields


def test_of_each_field_is_told_what_ends_it_first(facts) -> None:
    told = facts()
    first, second, _, fourth = (row["fields"] for row in told["purchases"]["told"])
    assert {name: field["first"]["rule"] for name, field in first.items()} == {
        "buyer": "purchases-go",
        "email": "contacts-go",  # both are due: the declared order decides
        "postcode": "contacts-go",
        "remark": "purchases-go",
    }
    assert (second["remark"]["first"]["rule"], second["remark"]["first"]["ends_on"]) == ("purchases-go", "2029-01-01")
    assert (fourth["email"]["ended_by"], fourth["email"]["first"]["why"]) == (["contacts-go"], ["held"])
    assert told["customers"]["told"][0]["fields"] == {
        "name": {"category": "user.name", "ended_by": [], "first": None, "floors": []}
    }


def test_the_earlier_day_comes_before_the_declared_order(facts, lethe: Lethe) -> None:
    lethe.database.run(f"UPDATE customer SET ended_at = '2030-01-01Z' WHERE id = {KEY}")
    first = facts()["purchases"]["told"][0]["fields"]
    assert (first["email"]["first"]["rule"], first["email"]["first"]["verdict"]) == ("purchases-go", "due")


def test_a_rule_that_will_end_a_field_comes_before_one_that_is_held(facts, place) -> None:
    place(rules=["contacts-go"])
    first = facts()["purchases"]["told"][1]["fields"]["email"]["first"]
    assert first == {"rule": "purchases-go", "verdict": "kept", "ends_on": "2029-01-01", "why": []}


def test_what_follows_goes_with_it_and_is_kept_with_it(facts) -> None:
    lines = facts()["lines"]
    first, second = (rule_of(lines, number, "purchases-go") for number in (1, 2))
    assert (first["goes_with"], first["verdict"], first["date"]) == ("purchases", "due", "2019-03-10")
    assert (second["verdict"], second["reasons"]) == ("kept", ["held", "floor"])
    assert lines["told"][0]["fields"]["engraving"]["first"]["rule"] == "purchases-go"
    further = rule_of(facts()["tags"], 1, "purchases-go")
    assert (further["goes_with"], further["verdict"], further["date"]) == ("lines", "due", "2019-03-10")


def test_an_assumed_period_keeps_until_it_is_confirmed(facts, lethe: Lethe) -> None:
    assert rule_of(facts()["messages"], 1, "messages-go")["reasons"] == ["unconfirmed"]
    with again(lethe, "lethe_officer") as officer:
        officer.confirm("messages-go")
    found = rule_of(facts()["messages"], 1, "messages-go")
    assert (found["verdict"], found["last_day"], found["due_from"]) == ("due", "2025-02-28", "2025-03-01")


def test_what_a_calendar_cannot_show_has_no_date(facts) -> None:
    purchases = facts(rows="customers 4")["purchases"]
    found = rule_of(purchases, 1, "purchases-go")
    assert (found["reasons"], found["date"], found["due_from"]) == (["future", "floor"], None, None)
    contacts = rule_of(purchases, 1, "contacts-go")
    assert (contacts["date"], contacts["last_day"]) == ("9999-12-31", None)


# -- holds ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("because", [Because.LEGAL_CLAIM, Because.OBJECTION_PENDING])
def test_a_hold_on_the_row_shows_on_each_that_hangs_on_it(facts, place, because: Because) -> None:
    place(("customers", KEY), because=because)
    told = facts()
    assert told["behind"] == 0
    for name in ("customers", "purchases", "lines", "messages"):
        for row in told[name]["told"]:
            assert {"kind": because.kind, "on": "customers", "by": "row"} in row["holds"]
            assert all(because.kind in each["reasons"] for each in row["rules"])


def test_a_hold_further_down_does_not_show_on_what_it_hangs_on(facts, place) -> None:
    place(("purchases", "880001"))
    told = facts()
    assert told["customers"]["told"][0]["holds"] == []
    assert [len(row["holds"]) for row in told["purchases"]["told"]] == [1, 0, 0, 1]
    assert [len(row["holds"]) for row in told["lines"]["told"]] == [1, 0]


def test_the_systems_own_word_and_holds_on_all_of_something_are_told_apart(facts, place) -> None:
    place(datasets=["messages"], rules=["contacts-go"])
    told = facts()
    assert told["messages"]["told"][0]["holds"] == [{"kind": "held", "on": "messages", "by": "dataset"}]
    assert told["purchases"]["told"][3]["holds"] == [{"kind": "held", "on": "purchases", "by": "system"}]
    assert rule_of(told["purchases"], 1, "contacts-go")["held_by_rule"] == ["held"]
    assert rule_of(told["purchases"], 1, "contacts-go")["held_by_kin"] == []
    assert rule_of(told["purchases"], 4, "purchases-go")["held_by_kin"] == []
    assert rule_of(told["purchases"], 1, "purchases-go")["held_by_rule"] == []


def test_a_hold_on_what_shares_the_fate_of_a_row_is_told_as_that(facts, place) -> None:
    place(("lines", "770001"))
    told = facts()["purchases"]
    assert told["told"][0]["holds"] == []
    assert rule_of(told, 1, "purchases-go")["held_by_kin"] == ["held"]
    assert rule_of(told, 1, "contacts-go")["held_by_kin"] == []


def test_a_hold_that_has_not_reached_the_store_is_told(facts, say, place) -> None:
    place(("customers", KEY), in_force=False)
    assert facts()["behind"] == 1
    assert "1 holds of the register have not reached this store" in say().stdout


# -- the judge --------------------------------------------------------------------------------------------------------


def test_the_reasons_told_are_those_that_decide_gives(lethe: Lethe, place) -> None:
    place(("customers", "3"), ("purchases", "880001"), rules=["contacts-go"])
    memory = Memory(rows_of(lethe), held(lethe))
    judge = MemoryStore(lethe.policy.stores["crm"], lethe.policy, memory)
    seen = Reason(0)
    for today in (TODAY, date(2020, 6, 1), date(2029, 1, 1)):
        for rule in lethe.policy.rules.values():
            confirmed = lethe.state.is_confirmed(rule)
            decided = {
                key_text(rule.dataset, row): reasons
                for row, _, reasons in View(judge).decided(rule, today, confirmed=confirmed)
            }
            told = dict(told_of(lethe, rule.name, today))
            assert told.keys() <= decided.keys()
            assert told == {key: decided[key] for key in told}
            seen |= _union(told.values())
    assert seen == Reason(511) & ~Reason.RESTRICTED


def _union(found) -> Reason:
    whole = Reason(0)
    for reasons in found:
        whole |= reasons
    return whole


def told_of(lethe: Lethe, rule: str, today: date):
    """Every purchase and message of every customer, with the reasons told for one rule."""
    for (customer,) in lethe.database.rows("SELECT id::text FROM customer"):
        for told in lethe.explain(lethe.policy.datasets["customers"], customer, today, None).told:
            for row in told.rows:
                for judged in row.judged:
                    if judged.ending.rule.name == rule and not judged.ending.path:
                        yield row.key, judged.reasons


def rows_of(lethe: Lethe) -> dict[str, list[dict]]:
    with lethe.database.connect() as connection:
        cursor = connection.cursor(row_factory=dict_row)
        cursor.execute("UPDATE purchase SET bought_on = '9999-12-31' WHERE bought_on = 'infinity'")
        found = {
            name: cursor.execute(f"SELECT * FROM {dataset.table}").fetchall()
            for name, dataset in lethe.policy.datasets.items()
        }
    return {name: [dict(row) for row in rows] for name, rows in found.items()}


def held(lethe: Lethe) -> set[tuple[str, str, Reason]]:
    kinds = {"held": Reason.HELD, "restricted": Reason.RESTRICTED}
    return {
        (name, key, kinds[kind]) for name, key, kind in lethe.database.rows("SELECT dataset, key, kind FROM lethe.hold")
    }


# -- nothing that stands in the rows ----------------------------------------------------------------------------------


@pytest.mark.parametrize("words", [(), ("--json",), ("--lang", "nb"), ("--all",)], ids=" ".join)
def test_no_value_of_a_field_and_no_key_is_told(say, place, words: tuple[str, ...]) -> None:
    place(("customers", KEY))
    said = say(*words, rows=f"customers {KEY}\npurchases 880004\nlines 770001\ncustomers 99\n")
    assert said.exit_code == 2  # the last is nobody
    told = said.stdout + said.stderr
    assert "contacts-go" in told
    told = told.replace("“inkasso” or “tvistesak”", "").replace("«inkasso» eller «tvistesak»", "")  # the policy's words
    assert [value for value in (*NAMES, KEY, *OTHERS, "99") if re.search(rf"\b{value}\b", told)] == []


def test_keys_are_told_where_they_are_asked_for(say) -> None:
    assert f"customers 1, key {KEY}" in say("--keys").stdout
    assert f"customers 1, nøkkel {KEY}" in say("--keys", "--lang", "nb").stdout


def test_the_store_is_left_as_it_was(say, lethe: Lethe) -> None:
    tables = ("purchase", "line", "lethe.outbox", "lethe.progress", "lethe.hold")
    before = [lethe.database.rows(f"SELECT t::text FROM {name} AS t ORDER BY 1") for name in tables]
    say()
    assert before == [lethe.database.rows(f"SELECT t::text FROM {name} AS t ORDER BY 1") for name in tables]


# -- at the command line ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ("custommers 7", 'found no dataset "custommers"; did you mean customers? expected one of'),
        ("customers 12345", "row 1: customers has no row with this key"),
        ("customers 0104207", "row 1: customers has no row with this key"),
        ("customers Gunnhild", "row 1: customers has no row with this key"),
        ("customers", "standard input, line 1: expected a dataset, a space and the key of a row"),
        ("", "found nothing to explain"),
    ],
)
def test_what_is_not_there_is_said(say, rows: str, says: str) -> None:
    said = say(rows=rows)
    assert (said.exit_code, says in said.stderr, said.stdout) == (2, True, "")
    assert "12345" not in said.stderr
    assert "Gunnhild" not in said.stderr


def test_a_store_that_is_down_keeps_no_other_from_being_explained(say, lethe: Lethe, monkeypatch) -> None:
    stores = lethe.policy_dir / "stores.yaml"
    stores.write_text(stores.read_text().replace("stores:\n", f"stores:{STATIONS}", 1))
    activity = lethe.policy_dir / "activities" / "customers.yaml"
    archived = "  files: {in: archive, table: file, key: id, personal_data: {}}\nfloors:"
    activity.write_text(activity.read_text().replace("floors:", archived))
    monkeypatch.setenv("AIRFLOW_CONN_ARCHIVE", lethe.addresses["crm"] + "0")
    said = say(rows=f"files 1\ncustomers {KEY}")
    assert (said.exit_code, "store archive" in said.stderr) == (5, True)
    assert "contacts-go: due" in said.stdout
    monkeypatch.delenv("AIRFLOW_CONN_ARCHIVE")
    assert say(rows=f"files 1\ncustomers {KEY}").exit_code == 5


def test_a_rule_that_the_schema_stops_is_told_and_the_others_are_explained(say, lethe: Lethe) -> None:
    lethe.database.run("ALTER TABLE purchase ALTER bought_on TYPE text")
    said = say()
    assert said.exit_code == 4
    assert "purchases-go is stopped" in said.stdout
    assert "messages-go: kept (assumption not confirmed)" in said.stdout


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ("DROP TABLE line", "table public.line is not found in the database"),
        ("REVOKE ALL ON line FROM lethe_worker", "this user may not read the table public.line"),
        ("ALTER TABLE line DROP purchase_id", "column public.line.purchase_id is not found in the database"),
    ],
)
def test_what_cannot_be_read_is_told_and_the_rest_is_explained(say, lethe: Lethe, change: str, problem: str) -> None:
    lethe.database.run(change)
    said = say()
    assert (said.exit_code, f"lines  cannot be told: {problem}" in said.stdout) == (4, True)
    assert "messages-go: kept (assumption not confirmed)" in said.stdout
    assert "contacts-go: due" in said.stdout  # it has nothing to do with that table


def test_more_than_a_few_rows_are_summed_up_unless_all_are_asked_for(say, facts, lethe: Lethe) -> None:
    lethe.database.run(
        f"INSERT INTO message SELECT n, {KEY}, NULL, 'x', date '2020-01-01' + n FROM generate_series(1000, 2999) n"
    )
    messages = facts()["messages"]
    assert (messages["rows"], len(messages["told"])) == (2002, 20)
    (rest,) = messages["rest"]
    counts = {(each["verdict"], *each["reasons"]): each["rows"] for each in rest["counts"]}
    assert counts == {
        ("kept", "unconfirmed"): 1133,
        ("kept", "not_due", "unconfirmed"): 367,
        ("kept", "future", "unconfirmed"): 482,
    }
    assert "1982 more, by messages-go: kept (assumption not confirmed) 1133 · " in say().stdout
    assert len(facts("--all")["messages"]["told"]) == 2002


def test_a_dataset_that_no_rule_has_to_do_with_is_told_as_that(say, facts) -> None:
    assert (facts()["asides"]["outside"], facts()["asides"]["rows"]) == (True, None)
    assert "asides  crm.aside  not read: no rule has to do with it\n  nickname: no rule ends it\n" in say().stdout


def test_a_person_reads_it_in_norwegian_and_in_english(say) -> None:
    assert say(rows="purchases 880002").stdout == ENGLISH
    assert say("--lang", "nb", rows="purchases 880002").stdout == NORWEGIAN


ENGLISH = """\
purchases, on 22 November 2026

purchases  crm.purchase  1 row
  contacts-go (R08): Contact details are anonymised 1 year after the end of the customer relationship.
    email: blank · postcode: region
  purchases-go (R08): Purchases older than 2 years are deleted.
  purchases 1
    contacts-go: due
      customer.ended_at is 1 July 2025; the last day is 1 July 2026; due from 2 July 2026
    purchases-go: kept (statutory floor)
      bought_on is 10 March 2023; the last day is 10 March 2025; due from 1 January 2029
      Arkivlova § 9 (R08) keeps buyer and bought_on through 31 December 2028.
    buyer: from 1 January 2029, by purchases-go: the row goes; kept by arkivlova § 9 through 31 December 2028
    email: now, by contacts-go: blank
    postcode: now, by contacts-go: region
    remark: from 1 January 2029, by purchases-go: the row goes

messages  crm.message  1 row, by purchase
  messages-go (R08): Messages older than 1 year are deleted.
  messages 1
    messages-go: kept (not yet due, assumption not confirmed)
      sent_on is 31 January 2026; the last day is 31 January 2027; due from 1 February 2027
      The period is assumed (nobody has said). Nothing is touched before privacy officer has confirmed it.
    body: not before 1 February 2027, by messages-go: the row goes (assumption not confirmed)

"""
NORWEGIAN = """\
purchases, 22. november 2026

purchases  crm.purchase  1 rad
  contacts-go (R08): Kontaktopplysninger anonymiseres ett år etter kundeforholdets slutt.
    email: tømmes · postcode: region
  purchases-go (R08): Kjøp eldre enn 2 år slettes.
  purchases 1
    contacts-go: forfalt
      customer.ended_at er 1. juli 2025; siste dag er 1. juli 2026; forfaller 2. juli 2026
    purchases-go: beholdes (lovpålagt oppbevaring)
      bought_on er 10. mars 2023; siste dag er 10. mars 2025; forfaller 1. januar 2029
      Arkivlova § 9 (R08) krever at buyer og bought_on beholdes til og med 31. desember 2028.
    buyer: fra 1. januar 2029, av purchases-go: raden slettes; beholdes etter arkivlova § 9 til og med 31. desember 2028
    email: nå, av contacts-go: tømmes
    postcode: nå, av contacts-go: region
    remark: fra 1. januar 2029, av purchases-go: raden slettes

messages  crm.message  1 rad, gjennom purchase
  messages-go (R08): Meldinger eldre enn ett år slettes.
  messages 1
    messages-go: beholdes (ikke forfalt ennå, antakelse ikke bekreftet)
      sent_on er 31. januar 2026; siste dag er 31. januar 2027; forfaller 1. februar 2027
      Fristen er antatt («nobody has said»). Ingenting røres før personvernombud har bekreftet den.
    body: ikke før 1. februar 2027, av messages-go: raden slettes (antakelse ikke bekreftet)

"""
