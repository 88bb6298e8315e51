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
