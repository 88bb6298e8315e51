from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from lethe.cli.policy import DEFAULT, policy
from lethe.policy import load, schema

BROKEN = Path(__file__).parent / "broken_policies"
BASE = BROKEN / "base"


def run(*arguments: str | Path, **env: str) -> Result:
    return CliRunner().invoke(policy, [str(each) for each in arguments], env=env)


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    shutil.copytree(BASE, tmp_path, dirs_exist_ok=True)
    shutil.copytree(BROKEN / "many-at-once", tmp_path, dirs_exist_ok=True)
    return tmp_path


def test_check_of_the_shipped_policy_passes() -> None:
    result = run("check")
    assert result.exit_code == 0
    assert "The policy is sound: 18 rules and 3 floors in 13 activities, digest " in result.stdout
    warnings = [line for line in result.stdout.splitlines() if "warning" in line]
    calls, directory = warnings  # of employees: nothing is promised, and no rule ends it
    assert calls.endswith("datasets.agents: no rule deletes or anonymises employed_from, name, username (warning)")
    assert "datasets.employees: no rule deletes or anonymises departure, employed_from" in directory


def test_check_says_every_problem_and_exits_1(broken: Path) -> None:
    result = run("check", "--policy", broken)
    assert result.exit_code == 1
    expected = (broken / "expected.txt").read_text("utf-8").splitlines()
    assert [line.removeprefix(f"{broken}/") for line in result.stdout.splitlines()] == expected
    assert result.stderr == f"{len(expected)} problems found: the policy is not used until nothing is wrong.\n"


def test_check_for_machines(broken: Path) -> None:
    wrong, right = run("check", "--json", "--policy", broken), run("check", "--json", "--policy", BASE)
    assert (wrong.exit_code, right.exit_code) == (1, 0)
    report = json.loads(wrong.stdout)
    assert (report["ok"], len(report["problems"]), report["digest"]) == (False, 6, None)
    report = json.loads(right.stdout)
    assert (report["ok"], report["problems"], report["warnings"], len(report["digest"])) == (True, [], [], 64)


def test_the_directory_is_an_option_or_a_variable(broken: Path) -> None:
    assert run("check", "--policy", broken).exit_code == 1
    assert run("check", LETHE_POLICY=str(broken)).exit_code == 1
    assert run("check", "--policy", BASE, LETHE_POLICY=str(broken)).exit_code == 0


@pytest.mark.parametrize("command", [("show",), ("explain", "old-calls")])
def test_a_broken_policy_is_neither_shown_nor_explained(broken: Path, command: tuple[str, ...]) -> None:
    result = run(*command, "--policy", broken)
    assert (result.exit_code, result.stdout) == (1, "")
    assert "rules.old-customers.keep" in result.stderr


ARTICLE_30 = {
    "purpose", "categories_of_people", "categories_of_data", "recipients", "processors", "transfers_to_third_countries",
    "retention", "security_measures", "legal_basis", "responsible",
}  # fmt: skip


@pytest.mark.parametrize("lang", ["nb", "en"])
def test_show_for_machines_has_all_that_article_30_asks_for(lang: str) -> None:
    record = json.loads(run("show", "--json", "--lang", lang).stdout)
    assert {"controller", "represented_by", "contact", "privacy_officer"} <= record.keys()
    assert len(record["activities"]) == 13
    for activity in record["activities"]:
        assert activity.keys() >= ARTICLE_30
        needed = ("purpose", "categories_of_people", "security_measures", "legal_basis", "responsible", "obligations")
        assert all(activity[name] for name in needed), activity["activity"]
        assert activity["retention"] or activity["not_automated"]
    calls = next(each for each in record["activities"] if each["activity"] == "contact-centre")
    categories = ["user.account.username", "user.contact.phone_number", "user.name", "user.workplace"]
    assert calls["categories_of_data"] == categories
    assert calls["retention"][0]["period"] == "P90D"


@pytest.mark.parametrize(
    ("lang", "words"),
    [("en", ("Record of processing activities", "Calls to the contact centre", "not automated",
             "anonymous-answers (R06): At least 5 rows are alike by survey, sector and")),
     ("nb", ("Protokoll over behandlingsaktiviteter", "Anrop til kontaktsenteret", "ikke automatisert",
             "anonymous-answers (R06): Minst 5 rader er like på survey, sector og"))],
)  # fmt: skip
def test_show_is_the_record(lang: str, words: tuple[str, ...]) -> None:
    result = run("show", "--lang", lang, COLUMNS="400")
    assert result.exit_code == 0
    assert all(word in result.stdout for word in words)


@pytest.mark.parametrize("width", [80, 400])
def test_show_can_be_read_and_names_every_rule(width: int) -> None:
    text = run("show", COLUMNS=str(width)).stdout
    lines = text.splitlines()
    assert max(map(len, lines)) <= width
    assert all(any(f"{name} (R" in line for line in lines) for name in load(DEFAULT).rules)
    assert ("┃" in text) == (width == 400)


def test_explain_tells_the_rule_and_the_day() -> None:
    result = run("explain", "call-log-90-days", "--today", "2025-03-01", "--lang", "nb")
    assert result.exit_code == 0
    assert result.stdout.startswith(
        "Samtaler eldre enn 90 dager telles per dag og kø, og slettes."
        " I dag (1. mars 2025) betyr det samtaler til og med 30. november 2024."
    )


def test_explain_of_an_unknown_rule_names_those_there_are() -> None:
    result = run("explain", "calls", "--policy", BASE)
    assert result.exit_code == 2
    assert 'found no rule "calls", expected one of: ex-customer-orders, old-calls' in result.stderr


def test_the_schema_is_printed() -> None:
    assert run("schema").stdout == schema.text()
