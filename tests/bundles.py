"""Invented histories, the bundles that are made of them, and what somebody could do to a bundle.

story = Story().days(3)                        leaves of three quiet days
write(path, material(story))                   a bundle of all of it
data = forged(path, {"leaves.jsonl": f}, key)  changed, every digest put right, signed anew or not
"""

from __future__ import annotations

import io
import json
import zipfile
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import Any, Self

import rfc8785

from lethe.evidence.bundle import Limits, Material, write_bundle
from lethe.evidence.log import Anchored, Sealed
from lethe.evidence.note import Checkpoint, SigningKey, endorsement, sign_note
from lethe.evidence.tree import Frontier, Node, leaf_hash, node_hash
from lethe.evidence.verify_bundle import MEMBERS, Member, directory, local_header

ORIGIN = "fjordvik.example/lethe"
STATE, CRM = "0b6f1e5c-7a54-4f0e-9c39-0a5f6f0c2d11", "6f0b1b8e-6d0a-4c1e-9f43-1d7a8f5d2c11"
START = date(2025, 1, 1)
RULE = {"rule": "ex-customers", "obligation": "R08", "activity": "customer-contacts"}

Lines = list[bytes]
Keys = Sequence[tuple[SigningKey, int]]
"""Each with the size of the log when it came into use."""


def signing_key(number: int = 0) -> SigningKey:
    """One of the keys that a log can have; the number is all that its secret is made of."""
    return SigningKey(ORIGIN, sha256(b"key %d" % number).digest())


KEY, NEXT_KEY, FOREIGN_KEY = map(signing_key, range(3))

_TITLE = {"en": "Contacts of <former> customers", "nb": "Kontakter hos <tidligere> kunder"}
_POLICY_RULE = {"action": {"is": "Delete"}, "keep": "P1Y", "limits": {"share": 0.00001}, "title": _TITLE}
POLICY = rfc8785.dumps(
    {
        "organisation": {"controller": "Fjordvik Kraft & Sønner AS"},
        "rules": {"ex-customers": {**_POLICY_RULE, "since": {"en": "the last contract", "nb": "siste avtale"}}},
    }
).decode()
POLICY_DIGEST = sha256(POLICY.encode()).hexdigest()


def digest(text: str) -> str:
    """A digest of something that is not there."""
    return sha256(text.encode()).hexdigest()


class Story:
    """A company that deletes its former customers' contacts, night after night, as the leaves in its log tell it."""

    def __init__(self, start: date = START) -> None:
        self.today = start
        self.leaves: list[dict[str, Any]] = []
        self._places = {STATE: [1, 0], CRM: [1, 0]}
        self._clock = datetime(start.year, start.month, start.day, 2, tzinfo=UTC)

    def tell(self, kind: str, outbox: str = STATE, **fields: Any) -> dict[str, Any]:
        """One more leaf, written to an outbox one second after the last."""
        self._clock += timedelta(seconds=1)
        place = self._places[outbox]
        place[1] += 1
        run = digest(str(self.today))[:32]
        at = self._clock.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        head = {"v": 1, "kind": kind, "at": at, "run": run, "code": "unknown"}
        leaf = {**head, "outbox": {"store": outbox, "epoch": place[0], "seq": place[1]}, **fields}
        self.leaves.append(leaf)
        return leaf

    def begin(self) -> Self:
        """The first key and the first policy."""
        self.tell("key", new=KEY.verifier.id.hex(), old=None, size=0)
        rules = {"rules": {"ex-customers": digest("rule")}, "obligations": ["R08"], "assumptions": []}
        self.tell("policy", policy=POLICY_DIGEST, **rules)
        return self

    def days(self, count: int, batches: int = 12) -> Self:
        """Quiet days on which everything goes its way."""
        for _ in range(count):
            self.day(batches)
        return self

    def day(self, batches: int = 12, *, approved: bool = True) -> Self:
        """A sign of life, what should have run, and one run from its beginning to its end."""
        self.tell("heartbeat", day=str(self.today), size=len(self.leaves), unreachable=0, unanchored_since=None)
        self.tell("manifest", day=str(self.today - timedelta(days=1)), expected=["ex-customers"], missing=[])
        self.run("started")
        plan = self.plan()
        if approved:
            self.approve()
        for number in range(1, batches + 1):
            self.batch(number)
        self.tell("purge", **plan, tables=1)
        self.tell("verification", **plan, today=str(self.today), remaining=0, detached=0)
        self.run("ended", {"rows": 7 * batches, "reach": 3 * batches, "batches": batches + 1})
        return self.sleep()

    def sleep(self, days: int = 1) -> Self:
        """Nothing, until two o'clock of a day after."""
        self.today += timedelta(days=days)
        self._clock = datetime(self.today.year, self.today.month, self.today.day, 2, tzinfo=UTC)
        return self

    def plan(self, *, needs_approval: bool = True) -> dict[str, Any]:
        """Today's plan; what every leaf about it says of it."""
        told = self._of_plan()
        bounds = {"bounds": {"rows": 500, "reach": 500}, "rule_digest": digest("rule"), "schema": digest("schema")}
        counts = {"due": 84, "done": 0, "kept": 9, "reasons": {"not_due": 9}, "reach": {"contacts": 36}, "shards": 1}
        days = {"today": str(self.today), "cutoff": str(self.today - timedelta(days=366))}
        self.tell("plan", **told, **bounds, **counts, **days, needs_approval=needs_approval)
        return told

    def approve(self, decision: str = "approved") -> None:
        """A person's answer to it."""
        person = {"role": "privacy-officer", "approver": digest("person")[:32], "via": "cli"}
        self.tell("approval", **self._of_plan(), decision=decision, **person)

    def batch(self, number: int = 1, rows: int = 7) -> None:
        """One batch of it, in the store."""
        where = {"shard": 0, "batch": number, "way": "blocks", "suppressed": 0, "receipts": None}
        done = {"rows": rows, "reach": {"contacts": 3}, "gone_from_backups": str(self.today + timedelta(days=35))}
        self.tell("batch", CRM, **self._of_plan(), **where, **done)

    def intend(self, documents: int, folder: str = "papers") -> None:
        """So many documents of a folder are about to go."""
        self.tell("intent", CRM, **self._of_plan(), shard=0, documents={folder: documents})

    def settle(self, folder: str = "papers", **fates: int) -> None:
        """What became of them."""
        self.tell("outcome", CRM, **self._of_plan(), shard=0, batch=1, outcome={folder: fates})

    def run(self, state: str, counts: Mapping[str, int] | None = None) -> None:
        """How its run stands."""
        over = state not in ("scheduled", "started")
        plan = {name: self._of_plan()[name] if over else None for name in ("plan", "policy")}
        self.tell("run", **RULE, state=state, **plan, dag=None, dag_run=None, counts=counts or {})

    def restore(self, seq: int) -> Self:
        """The store is put back to where its last number was `seq`, and says so."""
        place = self._places[CRM]
        found, place[0], place[1] = place[1], place[0] + 1, seq
        self.tell("restore", CRM, database="store", found=seq, published=found)
        return self

    def lose(self, outbox: str = CRM) -> Self:
        """A row of an outbox is removed before it is collected."""
        self._places[outbox][1] += 1
        return self

    def _of_plan(self) -> dict[str, Any]:
        plan = {"plan": digest(f"plan {self.today}"), "policy": POLICY_DIGEST}
        return {**RULE, **plan, "store": CRM, "epoch": self._places[CRM][0]}

    def lines(self) -> Lines:
        """The leaves as the log gives them."""
        return [rfc8785.dumps(leaf) + b"\n" for leaf in self.leaves]


def tree(lines: Lines) -> Node:
    """Looks up the complete nodes of the tree over these lines."""
    levels = [[leaf_hash(line[:-1]) for line in lines]]
    while len(levels[-1]) > 1:
        pairs = iter(levels[-1])
        levels.append([node_hash(left, right) for left, right in zip(pairs, pairs, strict=False)])
    return lambda level, index: levels[level][index]


def sealed(lines: Lines, size: int, key: SigningKey = KEY) -> Sealed:
    """A signed checkpoint over the first `size` lines."""
    frontier = Frontier()
    frontier.extend([leaf_hash(line[:-1]) for line in lines[:size]])
    note = sign_note(Checkpoint(ORIGIN, size, frontier.root()).text(), key)
    return Sealed(size, frontier.root(), note, datetime(2025, 1, 1, tzinfo=UTC))


def stamp(note: str) -> bytes:
    """What could pass for a time-stamp token as long as nobody asks openssl."""
    return b"\x30\x24\x04\x20" + sha256(note.encode()).digest() + b"\x05\x00"


def handed_over(keys: Keys) -> list[tuple[str, str | None, int]]:
    """The keys as the log keeps them, each but the first endorsed by the one before."""
    before = [None, *(key for key, _ in keys)]
    return [
        (str(key.verifier), endorsement(old, key.verifier, size) if old else None, size)
        for old, (key, size) in zip(before, keys, strict=False)
    ]


def material(story: Story | Lines, *, sizes: Iterable[int] = (), keys: Keys = ((KEY, 0),), **changes: Any) -> Material:
    """What the log of a story gives out an hour after its last leaf; signed at some sizes, at the last one stamped."""
    lines = story.lines() if isinstance(story, Story) else story
    signed = [sealed(lines, size, _in_use(keys, size)) for size in (*sizes, len(lines))]
    at = datetime.fromisoformat(json.loads(lines[-1])["at"]) + timedelta(hours=1)
    anchors = [
        Anchored("archive", "folder", len(lines), None, at),
        Anchored("authority", "rfc3161", len(lines), stamp(signed[-1].note), at),
    ]
    made = Material(
        origin=ORIGIN,
        leaves=lambda first, end: islice(lines, first, end),
        node=tree(lines),
        checkpoints=signed,
        keys=handed_over(keys),
        anchors=anchors,
        policies={POLICY_DIGEST: POLICY},
        exported_at=at,
    )
    return replace(made, **changes)


def _in_use(keys: Keys, size: int) -> SigningKey:
    return next(key for key, start in reversed(keys) if start < size)


def write(path: Path, made: Material, key: SigningKey = KEY) -> Path:
    """Write the bundle; the path again."""
    write_bundle(path, made, key)
    return path


PARTIAL = Limits(first=START + timedelta(days=3), last=START + timedelta(days=4), activity="customer-contacts")


def members(data: bytes) -> dict[str, bytes]:
    """What is in a bundle, by name."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def packed(content: Mapping[str, bytes]) -> bytes:
    """A container around members, as it should be."""
    data, listed = b"", []
    for name in MEMBERS:
        listed.append(Member(name, zlib.crc32(content[name]), len(content[name]), len(data)))
        data += local_header(*listed[-1][:3]) + content[name]
    return data + directory(listed)


def forged(bundle: Path, changes: Mapping[str, Callable[[bytes], bytes]], key: SigningKey | None = None) -> Path:
    """The bundle with members changed and all digests put right; signed with a key, or with the signature it had."""
    content = members(bundle.read_bytes())
    content.update({name: change(content[name]) for name, change in changes.items() if name != "manifest"})
    text, signature = content["manifest"].decode().split("\n\n")
    head = text.split("\n")[:5]
    listed = [f"{sha256(content[name]).hexdigest()} {len(content[name])} {name}" for name in MEMBERS[:-1]]
    text = "\n".join([*head, *listed, ""])
    if "manifest" in changes:
        text = changes["manifest"](text.encode()).decode()
    content["manifest"] = (sign_note(text, key) if key else f"{text}\n{signature}").encode()
    path = bundle.with_name("forged.zip")
    path.write_bytes(packed(content))
    return path
