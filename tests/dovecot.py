"""A real Dovecot for tests: its own directories, ports of 127.0.0.1, certificate, SQL user database and passwords."""

from __future__ import annotations

import grp
import os
import pwd
import secrets
import shutil
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

from demo.certificates import certify
from lethe.offboarding.dovecot import DovecotPlatform, Settings
from lethe.offboarding.platform import Mailbox
from mailboxes import Given
from support import Database, need

MAILBOX = """
CREATE TABLE mailbox (username varchar(255) PRIMARY KEY, password text NOT NULL, name text NOT NULL DEFAULT '',
    maildir text NOT NULL, quota bigint NOT NULL DEFAULT 0, domain text NOT NULL DEFAULT '', active boolean NOT NULL
    DEFAULT true);
GRANT SELECT, UPDATE (active), DELETE ON mailbox TO lethe_worker;
"""
CONFIGURATION = """
base_dir = {home}/run
state_dir = {home}/state
default_internal_user = {internal}
default_login_user = {login}
default_internal_group = {group}
log_path = {home}/dovecot.log
protocols = imap lmtp
listen = 127.0.0.1
ssl = required
ssl_cert = <{home}/server.pem
ssl_key = <{home}/server.key
ssl_dh =
disable_plaintext_auth = yes
auth_mechanisms = plain login
auth_cache_size = 1M
auth_failure_delay = 0
mail_location = maildir:~/Maildir:LAYOUT=fs
mail_plugins = quota{expunge_plugin}
mail_fsync = never
first_valid_uid = 0
first_valid_gid = 0
hostname = mail.tindheim.example
postmaster_address = postmaster@tindheim.example
sendmail_path = {home}/sendmail
doveadm_api_key = {key}
{more}
passdb {{
  driver = passwd-file
  args = {home}/masters
  master = yes
}}
passdb {{
  driver = sql
  args = {home}/sql.conf
}}
userdb {{
  driver = sql
  args = {home}/sql.conf
}}
namespace inbox {{
  inbox = yes
  separator = /
  mailbox Drafts {{
    auto = create
    special_use = \\Drafts
  }}
  mailbox Sent {{
    auto = create
    special_use = \\Sent
  }}
  mailbox Junk {{
    special_use = \\Junk
  }}
  mailbox Trash {{
    auto = create
    special_use = \\Trash
  }}
  mailbox Archive {{
    special_use = \\Archive
  }}
}}
protocol imap {{
  mail_plugins = quota imap_quota{expunge_plugin}
  mail_max_userip_connections = 50
}}
protocol lmtp {{
  mail_plugins = quota sieve
}}
plugin {{
  quota = maildir:User quota
  sieve = file:~/sieve;active=~/.dovecot.sieve
  sieve_extensions = +vacation-seconds
  sieve_vacation_min_period = 0
}}
service imap-login {{
  chroot =
  inet_listener imap {{
    port = 0
  }}
  inet_listener imaps {{
    port = {imaps}
    ssl = yes
  }}
}}
service anvil {{
  chroot =
}}
service lmtp {{
  inet_listener lmtp {{
    port = {lmtp}
  }}
}}
service doveadm {{
  inet_listener http {{
    port = {http}
    ssl = yes
  }}
}}
service stats {{
  unix_listener stats-writer {{
    mode = 0666
  }}
}}
"""
SQL = """
driver = pgsql
connect = {connect}
default_pass_scheme = PLAIN
password_query = SELECT username AS user, password FROM mailbox WHERE username = '%u' AND active
user_query = SELECT '{home}/mail/' || maildir AS home, '{uid}' AS uid, '{gid}' AS gid, \\
  CASE WHEN quota > 0 THEN '*:bytes=' || quota END AS quota_rule FROM mailbox WHERE username = '%u'
iterate_query = SELECT username AS user FROM mailbox
"""
SENDMAIL = """#!/bin/sh
cat > "$(mktemp {home}/sent/XXXXXXXX)"
"""


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
        self.imaps, self.lmtp, self.http = free_ports(3)
        self.master, self.key, self.passwords = secrets.token_urlsafe(), secrets.token_urlsafe(), dict[Mailbox, str]()
        self._configure(more, lazy_expunge)
        self._process: subprocess.Popen[bytes] | None = None
        self.settings = Settings(
            host="127.0.0.1", port=self.imaps, master="lethe", password=self.master,
            doveadm=f"https://127.0.0.1:{self.http}/doveadm/v1", api_key=self.key,
            accounts=database.conninfo("lethe_worker"), ca=str(home / "ca.pem"),
        )  # fmt: skip
        self.platform = DovecotPlatform(self.settings)

    def _configure(self, more: str, expunge_plugin: str) -> None:
        home, root = self.home, os.geteuid() == 0
        me = pwd.getpwuid(os.getuid())
        mail = pwd.getpwnam("dovecot") if root else me
        internal, login = ("dovecot", "dovenull") if root else (me.pw_name, me.pw_name)
        group, uid, gid = grp.getgrgid(mail.pw_gid).gr_name, mail.pw_uid, mail.pw_gid
        certify(home)
        for name in ("mail", "sent", "run", "state"):
            (home / name).mkdir()
            (home / name).chmod(0o777 if name in ("mail", "sent") else 0o755)
        known = conninfo_to_dict(self.database.conninfo("postgres"))
        connect = " ".join(f"{name}={value}" for name, value in known.items() if name in
                           ("host", "port", "user", "password", "dbname"))  # fmt: skip
        told = {
            "home": home, "internal": internal, "login": login, "group": group, "key": self.key, "more": more,
            "imaps": self.imaps, "lmtp": self.lmtp, "http": self.http, "connect": connect, "uid": uid, "gid": gid,
            "expunge_plugin": expunge_plugin,
        }  # fmt: skip
        (home / "dovecot.conf").write_text(CONFIGURATION.format(**told))
        (home / "sql.conf").write_text(SQL.format(**told))
        (home / "masters").write_text(f"lethe:{{PLAIN}}{self.master}\n")
        (home / "sendmail").write_text(SENDMAIL.format(**told))
        (home / "sendmail").chmod(0o755)
        (home / "masters").chmod(0o644)

    def start(self) -> None:
        """Start the server, and wait until it answers."""
        command = [_program(), "-F", "-c", str(self.home / "dovecot.conf")]
        self._process = subprocess.Popen(command, start_new_session=True)
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


def _program() -> str:
    return shutil.which("dovecot") or "/usr/sbin/dovecot"


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
    need("dovecot", "mailboxes over IMAP")
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
