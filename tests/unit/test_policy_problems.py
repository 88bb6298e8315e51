from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from lethe.errors import PolicyError
from lethe.policy import load

BROKEN = Path(__file__).parent / "broken_policies"
KINDS = sorted(path.name for path in BROKEN.iterdir() if (path / "expected.txt").exists())


def problems(directory: Path) -> tuple[str, ...]:
    try:
        load(directory)
    except PolicyError as error:
        return error.problems
    return ()


@pytest.fixture
def policy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A sound policy as the working directory, to be broken."""
    shutil.copytree(BROKEN / "base", tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return Path()


def test_the_policy_that_is_broken_here_is_sound_before(policy: Path) -> None:
    assert problems(policy) == ()


@pytest.mark.parametrize("kind", KINDS)
def test_every_problem_is_named_with_its_place(kind: str, policy: Path) -> None:
    shutil.copytree(BROKEN / kind, policy, dirs_exist_ok=True)
    expected = (BROKEN / kind / "expected.txt").read_text("utf-8").splitlines()
    assert list(problems(policy)) == expected
    assert expected != []


def test_there_are_enough_kinds_of_broken_policies() -> None:
    assert len(KINDS) >= 40


def test_a_missing_file_is_a_problem(policy: Path) -> None:
    Path("stores.yaml").unlink()
    assert problems(policy) == ("stores.yaml:1:1: found no readable file (No such file or directory), expected one",)


def test_a_missing_directory_names_all_that_is_missing(tmp_path: Path) -> None:
    lines = problems(tmp_path / "nowhere")
    assert [line.rpartition("nowhere")[2].partition(":")[0] for line in lines] == [
        "/activities",
        "/organisation.yaml",
        "/stores.yaml",
    ]


def test_a_file_with_the_other_ending_is_never_silently_left_out(policy: Path) -> None:
    shutil.copy("activities/rest.yaml", "activities/more.yml")
    assert problems(policy) == ("activities/more.yml:1:1: found the ending .yml, expected .yaml: it would not be read",)


def test_the_file_about_mailboxes_may_be_missing_but_not_end_otherwise(policy: Path) -> None:
    Path("offboarding.yml").write_text("obligation: R10\n")
    assert problems(policy) == ("offboarding.yml:1:1: found the ending .yml, expected .yaml: it would not be read",)


def test_the_file_about_mailboxes_answers_for_its_obligation(policy: Path) -> None:
    """One that cannot be read may answer for any, so that none is called forgotten."""
    shutil.copy(BROKEN / "offboarding-chosen-and-private" / "offboarding.yaml", "offboarding.yaml")
    rest, file = Path("activities/rest.yaml"), Path("offboarding.yaml")
    rest.write_text(rest.read_text().replace(", R16: by hand", ""))
    assert not [line for line in problems(policy) if "obligations" in line]
    file.write_text(file.read_text().replace("R16", "R14"))
    assert [line for line in problems(policy) if "obligations.R16: found no answer" in line]
    for broken in ("obligation: 16", "obligation: [", "[]"):
        file.write_text(broken)
        assert not [line for line in problems(policy) if "obligations" in line]


def test_bytes_that_are_no_text_are_a_problem_with_their_place(policy: Path) -> None:
    Path("stores.yaml").write_bytes(b"stores:\n  shop\xff: {}\n")
    assert problems(policy) == ("stores.yaml:2:7: found a byte that is not UTF-8, expected text in UTF-8",)


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000,
        "a: " * 5_000,
        "- " * 100_000,
        "\n".join(" " * depth + "a:" for depth in range(1_300)),
        "[" * 290 + "]" * 290,
        "x" * 1_000_001,
        "a: &a [1, 1]\nb: &b [*a, *a, *a, *a, *a, *a, *a, *a]\n"
        + "".join(f"c{n}: &{chr(99 + n)} [{', '.join([f'*{chr(98 + n)}'] * 9)}]\n" for n in range(8)),
        "a: &a {<<: *a}",
        "k: " + "9" * 10_000,
        "!!binary x",
        "? {a: b}\n: c",
        "\ufeffa: \ufeffb",
        "%YAML 9.9\n---\na: b",
        "a: *nowhere",
        "...",
        '"\\ud800": 1',
    ],
    ids=lambda text: repr(text[:20]),
)
def test_hostile_yaml_is_refused_in_words(text: str, policy: Path) -> None:
    Path("stores.yaml").write_text(text, encoding="utf-8")
    lines = problems(policy)
    assert lines
    assert all(line.isprintable() for line in lines)


def test_the_old_paragraph_for_cookies_is_a_warning(policy: Path) -> None:
    file = Path("activities/rest.yaml")
    file.write_text(file.read_text().replace("gdpr 6(1)(f)", "[gdpr 6(1)(a), ekomloven § 2-7b]"))
    assert load(policy).warnings == (
        (
            'activities/rest.yaml:4:29: legal_basis.1: found "ekomloven § 2-7b", expected ekomloven § 3-15, which'
            " replaced § 2-7b on 1 January 2025"
        ),
    )


def test_personal_data_that_no_rule_ends_is_a_warning(policy: Path) -> None:
    file = Path("activities/shop.yaml")
    file.write_text(file.read_text().replace("then: delete\n    order: 2", "then: {anonymise: {ship_name: blank}}"))
    assert load(policy).warnings == ()
    file.write_text(file.read_text().replace("{anonymise: {note: delete}}", "{anonymise: {other: delete}}"))
    assert load(policy).warnings == ("activities/shop.yaml:17:3: datasets.orders: no rule deletes or anonymises note",)
