"""A real Dovecot for tests: its own directories, ports of 127.0.0.1, certificate, SQL user database and passwords."""

from __future__ import annotations

import os
import secrets
import signal
import smtplib
import socket
import ssl
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

import imapclient
from psycopg.conninfo import conninfo_to_dict

from demo.dovecot import MAILBOX, Server, is_there
from lethe.offboarding.dovecot import DovecotPlatform
from lethe.offboarding.platform import Mailbox
from mailboxes import Given
from support import Database, need


def free_ports(count: int) -> list[int]:
    """Ports of 127.0.0.1 that nobody listens on."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


class Dovecot:
    """The server, and mailboxes on it; satisfies Bench."""

    def __init__(self, home: Path, database: Database, more: str = "", lazy_expunge: str = "") -> None:
        self.home, self.database = home, database
        known = conninfo_to_dict(database.conninfo("postgres"))
        usual = ("host", "port", "user", "password", "dbname")
        connect = " ".join(f"{name}={value}" for name, value in known.items() if name in usual)
        self.server = Server(home, *free_ports(3), connect, secrets.token_urlsafe(), secrets.token_urlsafe())
        self.server.configure(more, lazy_expunge)
        self.imaps, self.lmtp, self.http = self.server.imaps, self.server.lmtp, self.server.http
        self.passwords = dict[Mailbox, str]()
        self._process: subprocess.Popen[bytes] | None = None
        self.settings = self.server.settings(database.conninfo("lethe_worker"))
        self.platform = DovecotPlatform(self.settings)

    def start(self) -> None:
        """Start the server, and wait until it answers."""
        self._process = subprocess.Popen(self.server.command, start_new_session=True)
        for port in (self.imaps, self.lmtp, self.http):
            _wait_for(port, self.home / "dovecot.log")

    def stop(self) -> None:
        """End the server and everything that it started."""
        if self._process is not None:
            self._process.terminate()
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(10)
            with suppress(ProcessLookupError):  # who serves a client outlives the master
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None

    def create(self, given: Iterable[Given] = (), *, limit: int | None = None) -> Mailbox:
        """As Bench has it."""
        mailbox, password = Mailbox(f"{uuid4().hex[:12]}@tindheim.example"), secrets.token_urlsafe()
        self.passwords[mailbox] = password
        self.database.run(
            f"INSERT INTO mailbox (username, password, maildir, quota)"
            f" VALUES ('{mailbox}', '{{PLAIN}}{password}', '{mailbox}', {limit or 0})"
        )
        with self._client(mailbox) as client:
            for each in given:
                self._put(client, each)
        return mailbox

    @staticmethod
    def _put(client: imapclient.IMAPClient, given: Given) -> None:
        name = "/".join(given.folder)
        with suppress(imapclient.exceptions.IMAPClientError):  # it is there
            client.create_folder(name)
        told = [{"msg": given.message, "flags": sorted(given.flags), "date": given.received}]
        assert client.multiappend(name, told)[0] == "OK"

    @contextmanager
    def _client(self, mailbox: Mailbox) -> Iterator[imapclient.IMAPClient]:
        context = ssl.create_default_context(cafile=self.settings.ca)
        client = imapclient.IMAPClient("127.0.0.1", self.imaps, ssl_context=context)
        try:
            client.login(mailbox, self.passwords[mailbox])
            yield client
            client.logout()
        except BaseException:
            client.shutdown()
            raise

    def sign_in(self, mailbox: Mailbox) -> bool:
        """As Bench has it."""
        try:
            with self._client(mailbox):
                return True
        except imapclient.exceptions.LoginError:
            return False

    def session(self, mailbox: Mailbox) -> Callable[[], bool]:
        """As Bench has it."""
        context = ssl.create_default_context(cafile=self.settings.ca)
        client = imapclient.IMAPClient("127.0.0.1", self.imaps, ssl_context=context)
        client.login(mailbox, self.passwords[mailbox])

        def is_good() -> bool:
            try:
                client.noop()
                client.logout()
            except (imapclient.exceptions.IMAPClientError, OSError):
                client.shutdown()
                return False
            return True

        return is_good

    def replies(self, mailbox: Mailbox) -> str | None:
        """As Bench has it: somebody whom the mailbox never heard of writes to it."""
        before = set((self.home / "sent").iterdir())
        sender = f"{uuid4().hex[:8]}@fjord.example"
        with smtplib.LMTP("127.0.0.1", self.lmtp) as lmtp:
            lmtp.sendmail(sender, [mailbox], f"From: {sender}\r\nTo: {mailbox}\r\nSubject: Hei\r\n\r\nHei\r\n".encode())
        sent = set((self.home / "sent").iterdir()) - before
        return b"".join(each.read_bytes() for each in sent).decode() if sent else None


def _wait_for(port: int, log: Path) -> None:
    deadline = time.monotonic() + 20
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            told = log.read_text() if log.exists() else ""
            assert time.monotonic() < deadline, f"Dovecot did not start:\n{told}"
            time.sleep(0.05)
        else:
            return


@contextmanager
def dovecot(database: Database, more: str = "", lazy_expunge: str = "") -> Iterator[Dovecot]:
    """A Dovecot over the user database; skipped, loudly, where there is none."""
    need("dovecot", "mailboxes over IMAP", is_usable=is_there)
    database.run(MAILBOX)
    with tempfile.TemporaryDirectory(prefix="dv-") as made:
        home = Path(made)
        home.chmod(0o755)
        server = Dovecot(home, database, more, lazy_expunge)
        try:
            server.start()
            yield server
        finally:
            server.platform.close()
            server.stop()
