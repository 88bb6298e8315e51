from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from lethe.errors import PolicyError
from lethe.model import Policy
from lethe.policy import load

BASE = Path(__file__).parent / "broken_policies" / "base"
SHIPPED = Path(__file__).parents[2] / "include" / "policy"
SHOP = "activities/shop.yaml"
RULES = ("old-orders", "ex-customer-orders", "old-customers", "old-calls")


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    shutil.copytree(BASE, tmp_path, dirs_exist_ok=True)
    return tmp_path


def change(policy: Path, file: str, old: str, new: str) -> Policy:
    path = policy / file
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    return load(policy)


def changed_rules(before: Policy, after: Policy) -> set[str]:
    return {name for name in RULES if before.rules[name].digest != after.rules[name].digest}


def test_digests_are_sha256_in_hex_and_all_different(policy: Path) -> None:
    loaded = load(policy)
    digests = [loaded.digest, *(rule.digest for rule in loaded.rules.values())]
    assert len(set(digests)) == len(digests)
    assert all(len(digest) == 64 and int(digest, 16) for digest in digests)


def _as_json(text: str) -> str:
    """JSON is YAML too: no comments, no layout."""
    return json.dumps(yaml.load(text, Loader=yaml.SafeLoader), default=str)


def _shuffled(text: str) -> str:
    chance = random.Random(4)  # noqa: S311  (any order will do)
    return json.dumps(_shuffle(yaml.load(text, Loader=yaml.SafeLoader), chance), default=str)


def _shuffle(value: Any, chance: random.Random) -> Any:
    if isinstance(value, dict):
        items = list(value.items())
        chance.shuffle(items)
        return {name: _shuffle(each, chance) for name, each in items}
    return value


@pytest.mark.parametrize(
    "rewrite",
    [_as_json, _shuffled, lambda text: f"# a comment\n\n{text}\n# another\n", lambda text: text.replace("\n", "\r\n")],
)
def test_digests_do_not_depend_on_how_the_files_look(policy: Path, rewrite: Callable[[str], str]) -> None:
    before = load(policy)
    for file in policy.rglob("*.yaml"):
        file.write_text(rewrite(file.read_text("utf-8")), encoding="utf-8")
    after = load(policy)
    assert after.digest == before.digest
    assert changed_rules(before, after) == set()


@pytest.mark.parametrize(
    ("file", "old", "new", "rules"),
    [
        (SHOP, "keep: P10Y", "keep: P9Y", {"old-customers"}),
        (SHOP, "assume: P1Y, confirm_by: officer, because: nobody said", "assume: P2Y, confirm_by: officer, because: x",
         {"ex-customer-orders"}),
        (SHOP, "clock: ended_at", "clock: left_at", {"old-customers"}),
        (SHOP, "status: ended", "status: gone", {"ex-customer-orders"}),
        (SHOP, "{note: delete}", "{note: {constant: x}}", {"ex-customer-orders"}),
        (SHOP, "suppress_below: 5", "suppress_below: 4", {"old-calls"}),
        (SHOP, "limits: {rows: 500, share: 5%}\n  ex", "limits: {rows: 501, share: 5%}\n  ex", {"old-orders"}),
        (SHOP, "table: order_lines", "table: lines", {"old-orders"}),
        (SHOP, "{order_year: year, order_number: number}", "{order_number: year, order_year: number}", {"old-orders"}),
        (SHOP, "by: customer_id", "by: buyer_id", {"ex-customer-orders"}),
        (SHOP, "by: customer_id", "by: customer_id, as_text: true", {"ex-customer-orders"}),
        (SHOP, "by: customer_id", "by: customer_id, when: {kind: buyer}", {"ex-customer-orders"}),
        (SHOP, "table: customers", "table: buyers", {"old-customers", "ex-customer-orders"}),
        (SHOP, "period: P5Y", "period: P6Y", {"old-orders"}),
        (SHOP, "    fields: [ship_name]\n", "", {"old-orders", "ex-customer-orders"}),
        (SHOP, "personal_data: {}\n", "personal_data: {}\n    held_when: {status: dispute}\n", {"old-orders"}),
        ("organisation.yaml", "12-31", "06-30", set(RULES)),
        ("organisation.yaml", "Europe/Oslo", "Europe/Stockholm", set(RULES)),
        ("stores.yaml", "connection: lethe_phone", "connection: lethe_other", {"old-calls"}),
        (SHOP, "title: {nb: Samtaler, en: Calls}", "title: {nb: Anrop, en: Phone calls}", set()),
        (SHOP, "law: bookkeeping act § 13", "law: bokføringsloven § 13", set()),
        (SHOP, "purpose: {nb: Selge, en: Selling}", "purpose: {nb: Selge, en: To sell}", set()),
        ("organisation.yaml", "officer: {nb: ombudet", "officer: {nb: personvernombudet", set()),
        ("organisation.yaml", "{nb: Logger, en: Logs}", "{nb: Logger, en: Server logs}", set()),
        (SHOP, "    clock: ended_at\n", "    since: {nb: slutten, en: the end}\n    clock: ended_at\n", set()),
        (SHOP, "{name: user.name}\n", "{name: user.name}\n    no_personal_data: [status]\n", set()),
        ("stores.yaml", "P35D\n", "P35D\n    no_personal_data: {settings: [key, value]}\n", set()),
        ("stores.yaml", "P35D\n", "P35D\n    accepted: {log public.access: looked at}\n", set()),
    ],
)  # fmt: skip
def test_a_changed_meaning_changes_the_policy_and_just_the_rules_it_is_about(
    policy: Path, file: str, old: str, new: str, rules: set[str]
) -> None:
    before = load(policy)
    after = change(policy, file, old, new)
    assert changed_rules(before, after) == rules
    assert after.digest != before.digest


ANONYMITY = """
    anonymity:
      k: 5
      by: [weight, region]
      linked: [{to: calls, by: {weight: duration}}]
      small_groups: [{region: blank}, {weight: {generalise: {band: 100}}}]
    documents: {receipt: scans}
"""
FOLDERS = """
documents:
  scans: {connection: lethe_scans, title: {nb: Bilder, en: Scans}}
  voices: {connection: lethe_voices, title: {nb: Opptak, en: Recordings}}
"""


@pytest.fixture
def anonymous(policy: Path) -> Path:
    """Orders that hide among each other once ex-customer-orders made them coarser, with documents, as calls have."""
    with (policy / "stores.yaml").open("a", encoding="utf-8") as stores:
        stores.write(FOLDERS)
    coarser = "{note: delete, region: {generalise: region}, weight: {generalise: {band: 10}}}"
    change(policy, SHOP, "{note: delete}", coarser)
    change(policy, SHOP, "    refers_to:\n      customer", f"{ANONYMITY}    refers_to:\n      customer")
    change(policy, SHOP, "table: calls\n", "table: calls\n    documents: {recording: voices}\n")
    return policy


@pytest.mark.parametrize(
    ("file", "old", "new", "rules"),
    [
        (SHOP, "k: 5", "k: 6", {"ex-customer-orders"}),
        (SHOP, "by: [weight, region]", "by: [weight]", {"ex-customer-orders"}),
        (SHOP, "{region: blank}, ", "", {"ex-customer-orders"}),
        (SHOP, "band: 100", "band: 1000", {"ex-customer-orders"}),
        (SHOP, "{weight: duration}", "{weight: queue}", {"ex-customer-orders"}),
        (SHOP, "table: calls", "table: talks", {"ex-customer-orders", "old-calls"}),
        (SHOP, "{number: user.contact.phone_number}", "{caller: user.name}", {"ex-customer-orders"}),
        ("stores.yaml", "lethe_phone", "lethe_other", {"ex-customer-orders", "old-calls"}),
        ("stores.yaml", "lethe_scans", "lethe_other", {"old-orders"}),
        ("stores.yaml", "lethe_voices", "lethe_other", {"old-calls"}),
        ("stores.yaml", "{nb: Bilder, en: Scans}", "{nb: Kopier, en: Copies}", set()),
    ],
)
def test_a_rule_means_how_anonymous_its_rows_must_be_and_where_their_documents_lie(
    anonymous: Path, file: str, old: str, new: str, rules: set[str]
) -> None:
    before = load(anonymous)
    assert changed_rules(before, change(anonymous, file, old, new)) == rules


def test_a_rule_means_what_it_follows_too(tmp_path: Path) -> None:
    """A changed floor over the cases is another meaning for the messages and attachments that follow them."""
    shutil.copytree(SHIPPED, tmp_path, dirs_exist_ok=True)
    before = load(tmp_path)
    after = change(tmp_path, "activities/case-system.yaml", "{public_record: true}", "{public_record: false}")
    changed = {name for name in before.rules if before.rules[name].digest != after.rules[name].digest}
    assert changed == {"cases-of-ex-customers", "case-messages-of-ex-customers", "attachments-of-ex-customers"}


def test_the_order_of_values_that_have_none_does_not_count(policy: Path) -> None:
    one = change(policy, SHOP, "status: ended", "status: [ended, gone]")
    two = change(policy, SHOP, "status: [ended, gone]", "status: [gone, ended]")
    assert one.rules["ex-customer-orders"].digest == two.rules["ex-customer-orders"].digest


@pytest.mark.parametrize(
    ("old", "new", "same"),
    [
        ("notice:       P7D", "notice: P8D", False),
        ("contact: recipient", "contact: manager", False),
        ("TD-#####", "TD-######", False),
        ("direction: both", "direction: sent", False),
        ("privat, private, personlig, familie", "privat, private, familie", False),
        ("bedriftshelsa.example", "helse.example", False),
        ("sick note, ", "", False),
        ("messages: 2_000", "messages: 0", False),
        ("{dataset: contacts, column: email}", "{dataset: contacts, column: phone}", False),
        ("arbeider ikke lenger", "jobber ikke lenger", False),
        ("ahead: P1Y", "ahead: P12M", True),
        ("[Overlevering, Overføring,", "[Overføring, Overlevering,", True),
    ],
)
def test_the_policy_means_what_it_says_of_mailboxes(tmp_path: Path, old: str, new: str, same: bool) -> None:
    before = load(shutil.copytree(SHIPPED, tmp_path, dirs_exist_ok=True))
    after = change(tmp_path, "offboarding.yaml", old, new)
    assert (after.digest == before.digest) is same
    assert {name: rule.digest for name, rule in after.rules.items()} == {
        name: rule.digest for name, rule in before.rules.items()
    }


def test_a_policy_without_mailboxes_is_another_policy(tmp_path: Path) -> None:
    before = load(shutil.copytree(SHIPPED, tmp_path, dirs_exist_ok=True))
    (tmp_path / "offboarding.yaml").unlink()
    with pytest.raises(PolicyError, match="no answer to"):
        load(tmp_path)
    by_hand = "not_automated:\n  R10: The leaver's checklist has a line for it.\n  R11: In the yearly talk."
    after = change(tmp_path, "activities/employee-mail.yaml", "not_automated:", by_hand)
    assert after.offboarding is None
    assert after.digest != before.digest
