"""What the restore drills share: a company whose three databases can be backed up, and put back one by one."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

from faults import NOW, answer, at_pace
from lethe import clock
from lethe.evidence import verify_bundle
from lethe.evidence.bundle import Limits, write_bundle
from lethe.evidence.log import Sealed
from lethe.evidence.replay import Replayed, replay
from lethe.evidence.restore import Declared, declare_restore
from lethe.evidence.seal import Sealing
from lethe.evidence.verify import verify_log
from lethe.run import Lethe
from sealing import TODAY, Company
from support import PASSWORDS, Database

RULE = "ex-customers"
NAMES = {"log": "lethe_evidence", "lethe_state": "lethe_state", "crm": "crm"}
"""What is declared, in the order in which it is, and the database that is meant."""


class Drill:
    """A company as its processes come and go: `lethe` and `sealing` are those that are open now."""

    def __init__(self, firm: Company, directory: Path) -> None:
        self.key, self.outside, self.directory = firm.key, firm.outside, directory
        self.policy_dir, self.addresses = firm.lethe.policy_dir, firm.lethe.addresses
        self.databases: dict[str, Database] = {
            "crm": firm.lethe.database,
            "lethe_state": firm.lethe.state_database,
            "lethe_evidence": firm.lethe.log_database,
        }
        self.lethe, self.sealing = firm.lethe, firm.sealing
        self._backups: list[str] = []
        (directory / "archive").mkdir()

    def close(self) -> None:
        """End the open sessions."""
        self.sealing.close()
        self.lethe.__exit__(None, None, None)

    def open(self, **addresses: str) -> Lethe:
        """Another process."""
        self.lethe = Lethe.open(self.policy_dir, {**self.addresses, **addresses}.__getitem__)
        self.lethe.database, self.lethe.state_database = self.databases["crm"], self.databases["lethe_state"]
        self.lethe.policy_dir = self.policy_dir
        self.sealing: Sealing = self.lethe.sealing()
        return self.lethe

    def backup(self, tag: str = "old") -> None:
        """Copy all three databases as they are."""
        self.close()
        for database in self.databases.values():
            self._copy(database.name, f"{database.name}_{tag}")
            self._backups.append(f"{database.name}_{tag}")
        self.open()

    def put_back(self, *names: str, tag: str = "old") -> None:
        """Replace databases by their copies."""
        self.close()
        for database in (self.databases[name] for name in names):
            with database.server.admin() as admin:
                admin.execute(f"DROP DATABASE {database.name} WITH (FORCE)")
            self._copy(f"{database.name}_{tag}", database.name)
            database.server.ensure_database(database.name, "postgres", tuple(PASSWORDS))
        self.open()

    def _copy(self, name: str, to: str) -> None:
        with self.databases["crm"].server.admin() as admin:
            ends = f"SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = '{name}'"
            admin.execute(ends)
            admin.execute(f"CREATE DATABASE {to} TEMPLATE {name} STRATEGY file_copy")

    def throw_away(self) -> None:
        """Remove the copies."""
        self.close()
        with self.databases["crm"].server.admin() as admin:
            for name in self._backups:
                admin.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    def declare(self, name: str) -> Declared:
        """Declare a restore as the owner of the database."""
        self.close()
        owner = {name: self.databases[name].conninfo()} if name in self.databases else {}
        self.open(**owner)
        told = declare_restore(self.sealing, name, uuid4().hex)
        self.close()
        self.open()
        return told

    def add(self, first: int, last: int) -> None:
        """Customers who are due, five in a block."""
        self.databases["crm"].run(
            f"INSERT INTO customer SELECT n, rpad('Kunde ' || n, 1500), date '2024-01-01'"
            f" FROM generate_series({first}, {last}) n"
        )

    def sweep(self, size: int = 1000) -> int:
        """Plan, approve where it is asked for, carry out in batches of `size` blocks; the rows that went."""
        at_pace(self.lethe, size)
        plan, run = self.lethe.plan(RULE, NOW, uuid4().hex), uuid4().hex
        if self.lethe.gate(plan.digest).state == "waiting":
            assert answer(self.lethe, plan)
        remaining = self.lethe.carry_out(plan.digest, NOW, run)
        assert remaining is not None
        assert remaining.rows == 0
        return self.lethe.done(plan.digest).rows

    def seal(self) -> Sealed:
        """Collect, sign, anchor; and once more, for the leaves on the key and the anchor."""
        for _ in range(2):
            assert not self.sealing.collect().gaps
            sealed = self.sealing.checkpoint(self.key, uuid4().hex, TODAY)
            told = self.sealing.anchor(lambda _: f"file://{self.directory / 'archive'}", uuid4().hex)
            assert told in ({}, {"archive": None})
        assert sealed is not None
        return sealed

    def replay(self) -> list[Replayed]:
        """`lethe replay crm`."""
        return replay(self.lethe, self.sealing, "crm", NOW, uuid4().hex)

    def replay_approved(self) -> list[Replayed]:
        """The same, with the privacy officer's word on what waits."""
        for each in self.replay():
            if each.state == "waiting":
                assert answer(self.lethe, self.lethe.state.plan(each.plan))
        return self.replay()

    def customers(self) -> int:
        """How many there are."""
        return int(self.databases["crm"].one("SELECT count(*) FROM customer"))

    def logged(self) -> list[dict[str, Any]]:
        """The log."""
        rows = self.databases["lethe_evidence"].rows("SELECT leaf FROM evidence.leaf ORDER BY index")
        return [json.loads(leaf) for (leaf,) in rows]

    def rows_told(self) -> int:
        """Rows of all batches in the log."""
        return sum(leaf["rows"] for leaf in self.logged() if leaf["kind"] == "batch")


def require_sound(drill: Drill, before: Sealed, history: list[dict[str, Any]]) -> None:
    """The log went on from where it was published: nothing lost, doubled, moved or missing, to an auditor either."""
    logged = drill.logged()
    assert logged[: len(history)] == history
    _require_places(logged)
    for sealed in drill.sealing.log.checkpoints():
        assert drill.sealing.log.root(sealed.size) == sealed.root
    assert drill.sealing.log.root(before.size) == before.root
    assert before.size in {sealed.size for sealed in drill.sealing.log.checkpoints()}
    found = verify_log(drill.sealing.log, drill.outside, drill.sealing.setting.origin, full=True)
    assert (found.findings, found.unsigned) == ((), 0)
    told = _to_an_auditor(drill, before)
    assert told == ("ok", ()), told


def _require_places(logged: list[dict[str, Any]]) -> None:
    """Each place once; numbers without a gap, in a later epoch from right after what was found of the one before."""
    numbers = defaultdict[tuple[str, int], list[int]](list)
    for leaf in logged:
        place = leaf["outbox"]
        numbers[place["store"], place["epoch"]].append(place["seq"])
    begins = {
        (leaf["outbox"]["store"], leaf["outbox"]["epoch"]): leaf["found"] + 1
        for leaf in logged
        if leaf["kind"] == "restore" and leaf["database"] != "log"
    }
    for at, found in numbers.items():
        first = begins.get(at, 1)
        assert (at[1] == 1) == (at not in begins)
        assert found == list(range(first, first + len(found)))


def _to_an_auditor(drill: Drill, before: Sealed) -> tuple[str, tuple[Any, ...]]:
    """What verify_bundle.py says to who trusts the key and the checkpoint from before the restore."""
    bundle, trusted = drill.directory / "bundle.zip", drill.directory / "before"
    trusted.write_text(before.note)
    write_bundle(bundle, drill.sealing.material(Limits(), clock.now()), drill.key)
    report = verify_bundle.verify(bundle, [str(drill.key.verifier), str(trusted)])
    return report.status, tuple(report.findings)


def unguarded(drill: Drill, monkeypatch, work: Callable[[], Any]) -> Any:
    """What a process does that looked at the directory outside before the backup was put back."""
    with monkeypatch.context() as patch:
        patch.setattr(Lethe, "_in_order", lambda *_: None)
        patch.setattr(Lethe, "_guard", lambda *_: None)
        drill.close()
        drill.open()
        done = work()
    drill.close()
    drill.open()
    return done
