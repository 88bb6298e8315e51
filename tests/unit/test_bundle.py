from __future__ import annotations

import io
import json
import re
import tracemalloc
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date, timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from bundles import (
    FOREIGN_KEY,
    KEY,
    PARTIAL,
    POLICY,
    POLICY_DIGEST,
    START,
    Story,
    digest,
    forged,
    material,
    members,
    packed,
    write,
)
from lethe.errors import EvidenceError
from lethe.evidence import bundle as bundle_module
from lethe.evidence.account import APPROVALS
from lethe.evidence.bundle import Limits, Material
from lethe.evidence.leaf import schema
from lethe.evidence.verify_bundle import MEMBERS

STORY = Story().begin().days(6, batches=3)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "bundle.zip"


def _jsonl(data: bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in data.splitlines()]


def test_the_invented_leaves_are_leaves() -> None:
    validator = jsonschema.Draft202012Validator(schema())
    story = Story().begin().day().restore(3).days(2)
    story.intend(2)
    story.settle(deleted=1, missing=1)
    for leaf in story.leaves:
        validator.validate(leaf)


def test_the_same_material_gives_the_same_bytes(tmp_path: Path) -> None:
    one, other = (write(tmp_path / name, material(STORY, sizes=(7,))) for name in ("one.zip", "other.zip"))
    assert one.read_bytes() == other.read_bytes()


def test_any_program_that_knows_zip_can_open_it(path: Path) -> None:
    with zipfile.ZipFile(write(path, material(STORY))) as archive:
        assert archive.testzip() is None
        assert tuple(archive.namelist()) == MEMBERS
        assert {info.compress_type for info in archive.infolist()} == {zipfile.ZIP_STORED}


def test_python_would_write_the_very_same_container(path: Path) -> None:
    data = write(path, material(STORY)).read_bytes()
    again = io.BytesIO()
    with zipfile.ZipFile(again, "w") as archive:
        for name, content in members(data).items():
            info = zipfile.ZipInfo(name)
            info.external_attr = 0o100644 << 16
            archive.writestr(info, content)
    assert again.getvalue() == data == packed(members(data))


def test_leaves_stand_in_it_as_they_are_in_the_log(path: Path) -> None:
    content = members(write(path, material(STORY)).read_bytes())
    assert content["leaves.jsonl"] == b"".join(STORY.lines())
    assert content["gaps.jsonl"] == content["proofs.jsonl"] == b""


def test_a_partial_bundle_accounts_for_every_place_of_the_log(path: Path) -> None:
    content = members(write(path, material(STORY, sizes=(5, 20), limits=PARTIAL)).read_bytes())
    places = [at for at, line in enumerate(STORY.lines()) if PARTIAL.admit(line)]
    covered = [range(gap["first"], gap["first"] + gap["count"]) for gap in _jsonl(content["gaps.jsonl"])]
    assert sorted([*places, *(at for gap in covered for at in gap)]) == list(range(len(STORY.leaves)))
    assert content["leaves.jsonl"].splitlines(keepends=True) == [STORY.lines()[at] for at in places]
    assert [(proof["from"], proof["to"]) for proof in _jsonl(content["proofs.jsonl"])] == [(5, 20), (20, 68)]


@pytest.mark.parametrize(
    ("limits", "admitted"),
    [
        (Limits(), True),
        (Limits(first=START), True),
        (Limits(first=START + timedelta(days=1)), False),
        (Limits(last=START), True),
        (Limits(last=START - timedelta(days=1)), False),
        (Limits(activity="customer-contacts"), True),
        (Limits(activity="webshop"), False),
    ],
)
def test_limits_admit_a_batch_by_its_day_and_activity(limits: Limits, admitted: bool) -> None:
    story = Story()
    story.batch()
    assert limits.admit(story.lines()[0]) is admitted


def test_what_concerns_every_activity_belongs_to_each() -> None:
    assert Limits(activity="webshop").admit(Story().begin().lines()[0])


def test_a_policy_keeps_its_own_text(path: Path) -> None:
    """One of its numbers would look different if it were written again."""
    assert json.dumps(json.loads(POLICY), sort_keys=True, separators=(",", ":"), ensure_ascii=False) != POLICY
    content = members(write(path, material(STORY)).read_bytes())
    assert content["policies.jsonl"].decode() == f'{{"digest":"{POLICY_DIGEST}","policy":{POLICY}}}\n'


def test_an_anchor_of_a_later_checkpoint_stays_out(path: Path) -> None:
    made = material(STORY)
    anchors = [*made.anchors, next(iter(made.anchors))._replace(size=69)]
    content = members(write(path, replace(made, anchors=anchors)).read_bytes())
    assert [anchor["size"] for anchor in _jsonl(content["anchors.jsonl"])] == [68, 68]


def _short_of_a_leaf(made: Material) -> Material:
    return replace(made, leaves=lambda first, end: STORY.lines()[first : end - 1])


REFUSED: dict[str, tuple[Callable[[Material], Material], str]] = {
    "nothing signed": (lambda made: replace(made, checkpoints=()), "seal the evidence first"),
    "no key": (lambda made: replace(made, keys=()), "newest key, none"),
    "a policy of another digest": (lambda made: replace(made, policies={"a" * 64: POLICY}), "another digest"),
    "fewer leaves than were signed": (_short_of_a_leaf, "found 67 leaves, 68 were signed"),
}


@pytest.mark.parametrize(("change", "words"), REFUSED.values(), ids=REFUSED)
def test_material_that_makes_no_bundle_is_refused(
    change: Callable[[Material], Material], words: str, path: Path
) -> None:
    path.write_bytes(b"an earlier one")
    with pytest.raises(EvidenceError, match=words):
        write(path, change(material(STORY)))
    assert [file.name for file in path.parent.iterdir()] == ["bundle.zip"]
    assert path.read_bytes() == b"an earlier one"


def test_a_key_that_is_not_the_newest_is_refused(path: Path) -> None:
    with pytest.raises(EvidenceError, match="found fjordvik"):
        write(path, material(STORY), FOREIGN_KEY)


def test_four_gibibytes_are_refused_with_a_way_out(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    size = write(path, material(STORY)).stat().st_size
    monkeypatch.setattr(bundle_module, "TOO_LARGE", size + 1)
    write(path, material(STORY))
    asked: list[bytes] = []

    def leaves(first: int, end: int) -> Iterator[bytes]:
        for line in STORY.lines()[first:end]:
            asked.append(line)
            yield line

    for limit, enough in ((size, 68), (size - 500, 68), (10_000, 22)):
        asked.clear()
        monkeypatch.setattr(bundle_module, "TOO_LARGE", limit)
        with pytest.raises(EvidenceError, match=r"--from, --to"):
            write(path, material(STORY, leaves=leaves))
        assert len(asked) <= enough


def test_many_leaves_take_no_more_memory_than_few(path: Path) -> None:
    story = Story().begin().days(40, batches=230)
    made = material(story)
    assert sum(map(len, story.lines())) > 5_000_000
    story.leaves.clear()
    tracemalloc.start()
    write(path, made)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 3_000_000


# ---------------------------------------------------------------- its page


class _Page(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.rows: list[list[str]] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in ("meta", "br"):
            self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        elif tag in ("th", "td"):
            self.rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.rows and {"th", "td"} & set(self.open):
            self.rows[-1][-1] += data


def _page(path: Path, made: Material) -> str:
    return members(write(path, made).read_bytes())["index.html"].decode()


def test_the_page_needs_nothing_but_itself(path: Path) -> None:
    text = _page(path, material(STORY))
    page = _Page(text)
    assert page.open == []
    assert not {"script", "link", "img", "iframe", "a", "form", "object"} & set(page.tags)
    assert not {"src", "href", "style", "onclick", "onload"} & {name for name, _ in page.attributes}
    assert not re.search(r"https?:|url\(|@import|javascript:", text)


def test_the_page_tells_who_what_and_on_whose_word(path: Path) -> None:
    text = _page(path, material(STORY))
    rows = _Page(text).rows
    assert "<h1>Fjordvik Kraft &amp; Sønner AS</h1>" in text
    assert "<dt>Records</dt><dd>68: all that the log had when it was exported</dd>" in text
    assert "from 2025-01-01 to 2025-01-06" in text
    name = "Contacts of <former> customersdeleted 1 year after the last contractex-customers, customer-contacts"
    assert [name, "R08", "6", "18", "126", "54", "2025-01-06\xa002:00\xa0UTC"] in rows
    assert ["batch", "rows were deleted or anonymised", "18"] in rows
    assert "6 plans were approved and 0 rejected" in text
    assert sum(row[1:] == ["ex-customers", "approved", "privacy-officer", digest("person")[:32]] for row in rows) == 6
    assert str(KEY.verifier) in text.replace("&#43;", "+")
    assert material(STORY).checkpoints[-1].note in text.replace("&#43;", "+")


def test_a_policy_cannot_put_markup_into_the_page(path: Path) -> None:
    assert "<former>" in POLICY
    text = _page(path, material(STORY))
    assert "<former>" not in text
    assert "&lt;former&gt;" in text


def test_the_page_does_without_a_policy(path: Path) -> None:
    text = _page(path, material(STORY, policies={}))
    assert "<h1>fjordvik.example/lethe</h1>" in text
    assert "ex-customersex-customers, customer-contacts" in {row[0] for row in _Page(text).rows}


def test_the_page_says_what_was_left_out(path: Path) -> None:
    text = _page(path, material(STORY, limits=PARTIAL))
    assert re.search(r"<dt>Records</dt><dd>\d+ of the 68 in the log</dd>", text)
    assert "from 2025-01-04 up to and including 2025-01-05" in text
    assert "<dd>customer-contacts, and what concerns every activity</dd>" in text
    assert "<dt>Limited to</dt>" not in _page(path, material(STORY))


def test_the_page_lists_the_latest_approvals_and_counts_all(path: Path) -> None:
    story = Story().begin()
    for _ in range(APPROVALS + 5):
        story.approve()
    text = _page(path, material(story))
    assert f"These are the latest {APPROVALS} of {APPROVALS + 5}" in text
    assert sum("privacy-officer" in row for row in _Page(text).rows) == APPROVALS


def test_a_log_without_rules_or_approvals_has_a_page_too(path: Path) -> None:
    text = _page(path, material(Story().begin()))
    assert "No record here is about a rule." in text
    assert "No record here is an approval" in text


def test_the_manifest_names_every_other_member(path: Path) -> None:
    data = write(path, material(STORY, limits=Limits(last=date(2025, 1, 5)))).read_bytes()
    lines = members(data)["manifest"].decode().split("\n")
    assert lines[:2] == ["fjordvik.example/lethe/bundle", "1"]
    assert lines[3] == "- 2025-01-05 -"
    assert [line.split(" ")[2] for line in lines[5:14]] == list(MEMBERS[:-1])
    assert forged(path, {}).read_bytes() == data
