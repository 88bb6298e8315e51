"""Every example in README.md and docs/ is tried: files are loaded, commands parsed or run, links followed."""

from __future__ import annotations

import re
import shlex
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from textwrap import dedent
from zoneinfo import ZoneInfo

import click
import pytest
from click.testing import CliRunner

import lethe.cli
from lethe.cli import main
from lethe.cli.explained import explained_as_text
from lethe.cli.show import plan_as_text
from lethe.errors import PolicyError
from lethe.explain import Ending, Explained, Held, Judged, Row, Told
from lethe.model import Reason, Shard, Survey, Way
from lethe.offboarding.choose import Selection, Verdict, Why, choose
from lethe.offboarding.platform import Envelope, Folder, Mailbox, Ref
from lethe.plan import make_plan
from lethe.policy import load, offboarding_forms
from lethe.policy.format import DatasetForm, Form, RelationForm, RuleForm
from lethe.policy.offboarding_forms import HandOverForm, OffboardingFile, PrivateForm
from lethe.run import Gate

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text("utf-8")
POLICY = (ROOT / "docs" / "policy.md").read_text("utf-8")
HANDBOOKS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
PAGES = [*HANDBOOKS, *sorted((ROOT / "docs" / "adr").glob("*.md"))]
COMMANDS = sorted(
    {
        (page.name, found.strip())
        for page in HANDBOOKS
        for found in re.findall(r"bin/lethe ([^`#\n]+)", page.read_text("utf-8"))
    }
)
NEEDS_NO_DATABASE = ("policy check", "policy show", "policy explain", "policy schema")
EXAMPLES = dict(re.findall(r"^## (\S+\.yaml)\n+```yaml\n(.*?)^```$", POLICY, re.MULTILINE | re.DOTALL))


FORMS = [each for each in vars(offboarding_forms).values() if isinstance(each, type) and issubclass(each, Form)]
LATELY, LONG_AGO = datetime(2025, 3, 1, tzinfo=UTC), datetime(2022, 6, 1, tzinfo=UTC)
ABOUT = "From: kari@havn.example\nSubject: {}FD-12345"
MESSAGES = {
    "FD-12345 in its subject, from a customer": (("INBOX",), ABOUT.format(""), LATELY),
    'the same, "Privat: FD-12345"': (("INBOX",), ABOUT.format("Privat: "), LATELY),
    "the same, with the union in copy": (("INBOX",), ABOUT.format("") + "\nCc: a@forbundet.example", LATELY),
    "the same, three years old": (("INBOX",), ABOUT.format(""), LONG_AGO),
    "the same, in the folder Overlevering": (("Overlevering",), ABOUT.format(""), LONG_AGO),
    "the same, in Privat/Overlevering": (("Privat", "Overlevering"), ABOUT.format(""), LATELY),
    "chosen by the employee, from anybody": (("Valgt",), "From: x@y.example", LATELY),
    "chosen by the employee, marked as private": (("Valgt",), "Subject: private", LATELY),
    "a newsletter": (("INBOX",), "From: post@avis.example\nSubject: Ukens nyheter", LATELY),
}
TOLD = {
    Why.CHOSEN: "chosen",
    Why.FOLDER: "folder",
    Why.CASE: "case number",
    Why.CUSTOMER: "customer",
    Why.NOTHING: "nothing",
    Why.PRIVATE_FOLDER: "private folder",
    Why.PRIVATE_SUBJECT: "private subject",
    Why.UNION: "union",
    Why.OUTSIDE_PERIOD: "outside the period",
}


@pytest.fixture
def policy_dir(tmp_path: Path) -> Path:
    """The example files of docs/policy.md, as they stand there."""
    (tmp_path / "activities").mkdir()
    for name, text in EXAMPLES.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path


def test_the_example_files_are_a_sound_policy(policy_dir: Path) -> None:
    assert set(EXAMPLES) == {"organisation.yaml", "stores.yaml", "activities/reception.yaml", "offboarding.yaml"}
    policy = load(policy_dir)
    assert list(policy.rules) == ["visits-30-days"]
    assert policy.warnings == ()


FLOORS_AROUND = """
activity: bookkeeping
title: {nb: Regnskap, en: Bookkeeping}
purpose: {nb: Fakturere, en: Invoicing}
legal_basis: bokføringsloven § 13
responsible: caretaker
people: [customers]
measures: [access by role]
serves: [R13, R14]
datasets:
  invoices: {in: reception, table: invoices, key: id, personal_data: {}}
  cases: {in: reception, table: cases, key: id, personal_data: {}}
"""


def test_the_example_of_floors_can_be_used(policy_dir: Path) -> None:
    (example,) = re.findall(r"^    floors:\n(?:(?:     .*)?\n)+", POLICY, re.MULTILINE)
    (policy_dir / "activities" / "bookkeeping.yaml").write_text(FLOORS_AROUND + dedent(example), encoding="utf-8")
    head = policy_dir / "organisation.yaml"
    more = "  R13: {nb: Regnskap, en: Bookkeeping}\n  R14: {nb: Arkiv, en: Archives}\n"
    head.write_text(head.read_text("utf-8") + more, encoding="utf-8")
    policy = load(policy_dir)
    assert list(policy.floors) == ["invoices-5-years", "public-records-archived-first"]
    assert policy.warnings == ()


def test_an_obligation_that_the_examples_forget_is_told(policy_dir: Path) -> None:
    head = policy_dir / "organisation.yaml"
    head.write_text(head.read_text("utf-8") + "  R18: {nb: Telefoner, en: Telephones}\n", encoding="utf-8")
    with pytest.raises(PolicyError, match=r'obligations\.R18: found no answer to "Telephones"'):
        load(policy_dir)
    (example,) = re.findall(r"`(not_automated: .*?)`", POLICY)
    activity = policy_dir / "activities" / "reception.yaml"
    activity.write_text(activity.read_text("utf-8") + f"{example}\n", encoding="utf-8")
    assert load(policy_dir).activities["reception"].not_automated.keys() == {"R18"}


@pytest.mark.parametrize(
    ("heading", "form", "also"), [("A dataset", DatasetForm, RelationForm), ("A rule", RuleForm, None)]
)
def test_the_tables_of_keys_and_the_example_leave_no_key_out(
    heading: str, form: type[DatasetForm | RuleForm], also: type[RelationForm] | None
) -> None:
    (section,) = re.findall(rf"^### {heading}:.*?\n(.*?)^##", POLICY, re.MULTILINE | re.DOTALL)
    told = re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)
    keys = {field.alias or name for name, field in form.model_fields.items()}
    assert set(told) <= keys
    shown = {key for key in keys if re.search(rf"\b{key}:", EXAMPLES["activities/reception.yaml"])}
    assert keys <= {*told, *shown}
    within = re.findall(r"^\| … `(\w+)` \|", section, re.MULTILINE)
    assert set(within) <= (also.model_fields.keys() if also else set())


def test_the_table_of_a_mailbox_leaves_no_key_out() -> None:
    (section,) = re.findall(r"^### A mailbox:.*?\n(.*?)^##", POLICY, re.MULTILINE | re.DOTALL)
    assert set(re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)) == OffboardingFile.model_fields.keys()
    within = set(re.findall(r"^\| … `(\w+)` \|", section, re.MULTILINE))
    assert within == HandOverForm.model_fields.keys() - {"folders"} | PrivateForm.model_fields.keys()
    shown = set(re.findall(r"\b(\w+):", EXAMPLES["offboarding.yaml"]))
    assert {field.alias or name for form in FORMS for name, field in form.model_fields.items()} <= shown


@pytest.mark.parametrize("name", MESSAGES)
def test_the_worked_example_of_a_mailbox_is_judged_as_it_says(name: str, policy_dir: Path) -> None:
    told = {
        row[0]: row[1:]
        for row in re.findall(r"^\| (.+?) \| (.*?) \| ?(.*?) \| (handed over|left) \|$", POLICY, re.MULTILINE)
    }
    assert told.keys() == MESSAGES.keys()
    folder, header, received = MESSAGES[name]
    offboarding = load(policy_dir).offboarding
    assert offboarding is not None
    selection = Selection.of(
        offboarding,
        Mailbox("ola@fjordvik.example"),
        date(2025, 6, 30),
        ZoneInfo("Europe/Oslo"),
        chosen=[(("Valgt",), None)],
    )
    choice = choose(selection, Folder(folder, "", 1), Envelope(Ref("1"), header.encode(), 1, received, frozenset()))
    found = {part for cell in told[name][:2] for part in cell.split(", ") if part}
    assert found == {TOLD[reason] for reason in Why if reason in choice.reasons}
    assert told[name][2] == {Verdict.HAND_OVER: "handed over", Verdict.LEAVE: "left"}[choice.verdict]


@pytest.mark.parametrize(("page", "line"), COMMANDS)
def test_a_command_line_is_understood(page: str, line: str) -> None:
    command: click.Command = main
    name, words = "lethe", shlex.split(line)
    while isinstance(command, click.Group):
        name = words.pop(0)
        assert name in command.commands, f"{page}: lethe {line}"
        command = command.commands[name]
    command.make_context(name, words)


@pytest.mark.parametrize("line", sorted({line for _, line in COMMANDS if line.startswith(NEEDS_NO_DATABASE)}))
def test_a_command_line_that_needs_no_database_works(line: str) -> None:
    assert CliRunner().invoke(main, shlex.split(line)).exit_code == 0


def test_the_command_lines_were_found() -> None:
    assert len(COMMANDS) >= 15
    assert {name for name in NEEDS_NO_DATABASE if any(line.startswith(name) for _, line in COMMANDS)} == {
        *NEEDS_NO_DATABASE
    }


def test_the_plan_that_the_readme_shows_is_worded_as_lethe_does() -> None:
    """The numbers are those of the demo; what stands around them follows from the shipped policy."""
    (shown,) = re.findall(r"^    call-log-90-days \(R09\).*?(?=\n\n\S)", README, re.MULTILINE | re.DOTALL)
    policy = load(ROOT / "include" / "policy")
    counts = {Reason(0): 26_447, Reason.NOT_DUE: 13_581, Reason.HELD: 1, Reason.RESTRICTED: 1, Reason.FUTURE: 1}
    ways = [*[Way.PARTITION] * 5, Way.BLOCKS]
    survey = Survey(
        counts, date(2024, 6, 9), date(2024, 11, 30), reach={}, unseen=(), warnings=(),
        shards=tuple(Shard(number, way, "call_log") for number, way in enumerate(ways)),
        fingerprint="", store_id="", epoch=1,
    )  # fmt: skip
    plan = make_plan(policy, policy.rules["call-log-90-days"], survey, date(2025, 3, 1), None)
    (digest,) = re.findall(r"plan     (\w{12}) ", shown)
    text = plan_as_text(replace(plan, digest=digest), Gate("waiting", plan.needs), policy, "en")
    assert dedent(shown).strip() == text.replace("\N{NARROW NO-BREAK SPACE}", " ").strip()


def test_what_the_handbook_shows_of_one_person_is_worded_as_lethe_does() -> None:
    handbook = (ROOT / "docs" / "privacy-officer.md").read_text("utf-8")
    (shown,) = re.findall(r"^    orders  webshop\.orders.*?(?=\n\n)", handbook, re.MULTILINE | re.DOTALL)
    policy = load(ROOT / "include" / "policy")
    judged = Judged(Ending(policy.rules["ex-customer-orders"]), Reason.NOT_DUE | Reason.HELD, date(2026, 5, 1))
    row = Row(1, "1042", (Held(Reason.HELD, "webshop-customers", "row"),), (judged,))
    told = Told(policy.datasets["orders"], (("customer",),), 1, (row,))
    explained = Explained(policy.datasets["webshop-customers"], date(2026, 11, 22), (told,), 0)
    _, text = explained_as_text(explained, policy, "en", keys=False).split("\n\n", 1)
    assert dedent(shown).strip() == text.strip()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_to_files_that_exist(page: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)", page.read_text("utf-8"))
    missing = [link for link in links if "://" not in link and not (page.parent / link).exists()]
    assert missing == []


def test_exit_codes_are_told_as_the_program_tells_them() -> None:
    handbook = (ROOT / "docs" / "platform-team.md").read_text("utf-8")
    told = re.findall(r"^\| (\d) \| (.+) \|$", handbook, re.MULTILINE)
    assert told == re.findall(r"^    (\d) +(.+)$", lethe.cli.__doc__ or "", re.MULTILINE)
    assert [code for code, _ in told] == list("012345")


def test_make_targets_exist() -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    targets = set(re.findall(r"^([a-z]+):.*##", makefile, re.MULTILINE))
    named = {
        name
        for page in HANDBOOKS
        for name in re.findall(r"(?:^ {4}|`)make ([a-z]+)", page.read_text("utf-8"), re.MULTILINE)
    }
    assert {"demo", "test"} <= named <= targets
