from __future__ import annotations

import shutil
from datetime import date
from pathlib import Path
from zoneinfo import ZoneInfo

from lethe.policy import load

BASE = Path(__file__).parent / "broken_policies" / "base"


def test_a_clock_is_read_where_its_column_lives(tmp_path: Path) -> None:
    """Zone and unset dates come from that column, then from its dataset's store, wherever the rule is."""
    shutil.copytree(BASE, tmp_path, dirs_exist_ok=True)
    stores, shop = tmp_path / "stores.yaml", tmp_path / "activities" / "shop.yaml"
    stores.write_text(stores.read_text().replace("backups: P35D", "unzoned: Europe/Oslo", 1))
    declared = "{name: user.name}\n    unzoned: {ended_at: UTC}\n    unset: {ended_at: [1970-01-01]}"
    shop.write_text(shop.read_text().replace("{name: user.name}", declared, 1))
    rules = load(tmp_path).rules
    found = {name: (rule.clock.zone, rule.clock.unset) for name, rule in rules.items()}
    assert found == {
        "old-customers": (ZoneInfo("UTC"), (date(1970, 1, 1),)),
        "ex-customer-orders": (ZoneInfo("UTC"), (date(1970, 1, 1),)),
        "old-orders": (ZoneInfo("Europe/Oslo"), ()),
        "old-calls": (None, ()),
    }


def test_a_company_names_its_own_obligations(tmp_path: Path) -> None:
    shutil.copytree(BASE, tmp_path, dirs_exist_ok=True)
    for file in tmp_path.rglob("*.yaml"):
        file.write_text(file.read_text("utf-8").replace("R08", "GDPR17"), encoding="utf-8")
    policy = load(tmp_path)
    assert policy.organisation.obligations["GDPR17"] == {"nb": "Tidligere kunder", "en": "Ex-customers"}
    assert {rule.obligation for rule in policy.rules.values()} == {"GDPR17", "R09", "R13"}


def test_what_the_period_counts_from_is_kept_by_language(tmp_path: Path) -> None:
    shutil.copytree(BASE, tmp_path, dirs_exist_ok=True)
    shop = tmp_path / "activities" / "shop.yaml"
    since = "since: {nb: slutten, en: the end}\n    clock: ended_at"
    shop.write_text(shop.read_text("utf-8").replace("clock: ended_at", since, 1), encoding="utf-8")
    rules = load(tmp_path).rules
    assert rules["old-customers"].since == {"nb": "slutten", "en": "the end"}
    assert rules["old-calls"].since == {}
    assert rules["old-customers"].title == {"nb": "Kunder", "en": "Customers"}
