"""What the tests of sealing share: a policy whose evidence is sealed, a key, a directory outside."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from faults import ACTIVITY, NOW, SCHEMA, act, approved
from lethe.evidence.keys import create_key
from lethe.evidence.log import Sealed
from lethe.evidence.note import SigningKey
from lethe.evidence.outside import Outside
from lethe.evidence.seal import Collected, Sealing
from lethe.run import Lethe
from support import EVIDENCE, ORIGIN

TODAY = date(2025, 3, 1)
RUN = "0123456789abcdef" * 2


@dataclass
class Company:
    """A company with one store, customers who are due, and a log."""

    lethe: Lethe
    sealing: Sealing
    key: SigningKey
    outside: Outside

    def sweep(self) -> int:
        """Plan, approve, act, finish, verify and record; the rows that went."""
        plan = approved(self.lethe)
        self.lethe.begin(plan.rule, RUN, "started")
        gone = act(self.lethe, plan, run=RUN)
        self.lethe.finish(plan.digest, NOW, RUN)
        self.lethe.verify(plan.digest, RUN)
        self.lethe.record(plan.rule, RUN, digest=plan.digest)
        return gone

    def collect(self) -> Collected:
        """Collect what there is."""
        return self.sealing.collect()

    def seal(self) -> Sealed:
        """Collect and sign."""
        self.collect()
        sealed = self.sealing.checkpoint(self.key, RUN, TODAY)
        assert sealed is not None
        return sealed


def company(
    open_lethe: Callable[..., Lethe], tmp_path: Path, monkeypatch, activity: str = ACTIVITY, schema: str = SCHEMA
) -> Company:
    """A company that has done nothing yet."""
    directory = tmp_path / "outside"
    directory.mkdir()
    monkeypatch.setenv("LETHE_EVIDENCE_OUTSIDE", str(directory))
    lethe = open_lethe(activity, schema, evidence=EVIDENCE)
    key = create_key(tmp_path / "evidence.key", ORIGIN)
    return Company(lethe, lethe.sealing(), key, Outside(directory))


def at_the_command_line(found: Company, tmp_path: Path, monkeypatch) -> Company:
    """The same company, whose databases, key and one anchor the environment tells of."""
    found.sealing.close()
    (tmp_path / "archive").mkdir()
    monkeypatch.setenv("AIRFLOW_CONN_ARCHIVE", f"file://{tmp_path / 'archive'}")
    monkeypatch.setenv("LETHE_EVIDENCE_KEY_FILE", str(tmp_path / "evidence.key"))
    monkeypatch.setenv("LETHE_POLICY", str(found.lethe.policy_dir))
    for name, address in found.lethe.addresses.items():
        monkeypatch.setenv(f"AIRFLOW_CONN_{name.upper()}", address)
    return found
