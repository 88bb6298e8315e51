"""Measure 12: handing a mailbox over on Dovecot, against mbsync copying the same messages between the same mailboxes.

Ours reads each message, writes its digest down, deposits it, keeps a receipt, and reads it back; mbsync copies. What
doveadm copies it links on the disk, and moves no byte: it is told beside.
"""

from __future__ import annotations

import hashlib
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from uuid import uuid4

from bench.figures import Figure, beside, faster, in_turn
from bench.server import Server
from lethe.offboarding.handover import Route, hand_over
from lethe.offboarding.platform import Mailbox
from lethe.offboarding.receipts import Handed
from lethe.sql import script
from lethe.stores.postgres.connection import Connection

sys.path.append(str(Path(__file__).resolve().parent.parent / "tests"))  # Dovecot is set up as for the tests

from dovecot import Dovecot, dovecot
from mailboxes import DEPARTURE, Given
from support import Database

SIZE = 50_000
MBSYNC = shutil.which("mbsync") or "mbsync"
CONFIGURATION = """
IMAPAccount from
Host 127.0.0.1
Port {port}
User {source}
Pass {source_password}
SSLType IMAPS
CertificateFile {ca}

IMAPAccount to
Host 127.0.0.1
Port {port}
User {target}
Pass {target_password}
SSLType IMAPS
CertificateFile {ca}

IMAPStore theirs
Account from

IMAPStore mine
Account to

Channel all
Far :theirs:
Near :mine:
Pattern INBOX
Sync PullNew
CopyArrivalDate yes
SyncState {state}/
"""


def measure(server: Server, quick: bool) -> Iterator[Figure]:
    """Seconds for the same messages, and the most memory of ours; nothing where a program is missing."""
    if not (shutil.which("dovecot", path="/usr/sbin") and shutil.which(MBSYNC)):
        return
    messages = 200 if quick else 2_000
    for name in ("handover", "handover_state"):
        server.create(name)
    accounts, state = (Database(server.postgres, name) for name in ("handover", "handover_state"))
    state.run(script("store") + script("state"))
    with dovecot(accounts) as mail:
        source = mail.create([_message(number) for number in range(messages)])
        times, floors, links = zip(
            *in_turn(
                3,
                lambda: _ours(mail, state, source, messages),
                lambda: _mbsync(mail, source, messages),
                lambda: _doveadm(mail, source),
            ),
            strict=True,
        )
    size = f"{messages:,} messages of {SIZE // 1000} kB"
    yield faster(f"hand-over of {size}, speed against mbsync", times, floors, 0.8)
    yield beside("doveadm copy, which links on the disk, against mbsync", links, floors)
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    yield Figure("peak memory, that of the measuring included", f"{most:.0f} MB", "–", 1, "–", True)


def _message(number: int) -> Given:
    body = hashlib.shake_256(number.to_bytes(4, "big")).digest(SIZE).translate(None, b"\r\n\0")
    return Given(f"Subject: {number}\r\n\r\n".encode() + body + b"\r\n")


def _ours(mail: Dovecot, state: Database, source: Mailbox, messages: int) -> float:
    departure, target = uuid4().hex, mail.create()
    state.run(DEPARTURE.format(departure))
    with closing(Connection("lethe_state", state.conninfo("lethe_worker"))) as connection:
        handed = Handed(connection, departure, "1")
        handed.choose(("INBOX",), mail.platform.refs(source, ("INBOX",)))
        began = time.monotonic()
        found = hand_over(mail.platform, handed, Route(source, target, ("Handed over",)))
        took = time.monotonic() - began
    assert found == {"confirmed": messages}
    return took


def _mbsync(mail: Dovecot, source: Mailbox, messages: int) -> float:
    target, home = mail.create(), mail.home / uuid4().hex
    home.mkdir()
    told = {"port": mail.imaps, "ca": mail.settings.ca, "state": home, "source": source, "target": target}
    passwords = {"source_password": mail.passwords[source], "target_password": mail.passwords[target]}
    (home / "mbsyncrc").write_text(CONFIGURATION.format(**told, **passwords))
    began = time.monotonic()
    subprocess.run([MBSYNC, "-q", "-c", str(home / "mbsyncrc"), "all"], check=True)
    took = time.monotonic() - began
    assert len(mail.platform.refs(target, ("INBOX",))) == messages
    return took


def _doveadm(mail: Dovecot, source: Mailbox) -> float:
    command = ["doveadm", "-c", str(mail.home / "dovecot.conf"), "copy", "-u", mail.create(), "INBOX", "user", source]
    began = time.monotonic()
    subprocess.run([*command, "mailbox", "INBOX", "all"], check=True)
    return time.monotonic() - began
