"""The demo's mail: a real Dovecot where there is one, else a stand-in for Microsoft 365; and who takes letters."""

from __future__ import annotations

import json
import shutil
import socket
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path

import psycopg

from demo import dovecot
from demo.certificates import certify
from demo.configuration import CLIENT, TENANT, connection_variable
from demo.planted.mail import mailboxes
from lethe import clock
from lethe.offboarding import graph_client
from lethe.offboarding.dovecot import DovecotPlatform
from lethe.offboarding.graph import GraphPlatform
from lethe.offboarding.platform import Mailbox, Ref, Sent, Source

ACCOUNTS = "demo_mail"
"""The database of accounts."""
PORTS = ("mail", "letters", "lmtp", "doveadm")
LONGEST = 60
"""Letters of a directory that Dovecot's sockets can lie below."""
WORKER = "lethe_worker"

Address = Callable[[str], str]
"""A database's address for a role."""


class Mail:
    """The mail servers of one environment: how they are started, laid and reached."""

    def __init__(self, home: Path, ports: Mapping[str, int], secret: str, accounts: Address) -> None:
        self.home, self._ports, self._secret, self._accounts = home / "mail", ports, secret, accounts
        self.letters = home / "letters"
        self.is_real = dovecot.is_there() and len(str(self.home)) <= LONGEST

    @property
    def kind(self) -> str:
        """What offboarding.yaml calls the platform."""
        return "imap" if self.is_real else "graph"

    @property
    def commands(self) -> Mapping[str, tuple[str, ...]]:
        """What runs, by name."""
        taker = ("-m", "aiosmtpd", "-n", "-l", f"127.0.0.1:{self._ports['letters']}", "-c", "aiosmtpd.handlers.Mailbox")
        stand_in = (sys.executable, "-m", "demo.microsoft365", str(self.home), str(self._ports["mail"]))
        return {
            "mail": self._server().command if self.is_real else stand_in,
            "letters": (sys.executable, *taker, str(self.letters)),
        }

    def prepare(self) -> None:
        """What the servers need before they start; no mail and no letter of an earlier time is left."""
        shutil.rmtree(self.letters, ignore_errors=True)
        if self.is_real:
            shutil.rmtree(self.home / "mail", ignore_errors=True)
            self.home.chmod(0o755)
            self._server().configure()
        else:
            certify(self.home)

    def lay(self) -> None:
        """Fill the mailboxes, once the servers run; the stand-in has filled its own."""
        for name in ("mail", "letters"):
            _wait_for(self._ports[name])
        if not self.is_real:
            return
        with psycopg.connect(self._accounts("postgres"), autocommit=True) as connection:
            connection.execute(f"DROP TABLE IF EXISTS mailbox; {dovecot.MAILBOX}".encode())
            for address in mailboxes(clock.now()):
                insert = "INSERT INTO mailbox (username, password, maildir) VALUES (%s, '{PLAIN}' || %s, %s)"
                connection.execute(insert, [address, self._secret, address])
        with closing(self.platform()) as platform:
            for address, messages in mailboxes(clock.now()).items():
                for each in messages:
                    nowhere = Source(Mailbox(address), each.folder, Ref(""))
                    sent = Sent(each.message, each.flags, each.received, nowhere)
                    platform.deposit_all(Mailbox(address), each.folder, [sent])

    def answers(self, name: str) -> bool:
        """Whether one of them takes connections."""
        return _answers(self._ports[name])

    def platform(self) -> DovecotPlatform | GraphPlatform:
        """The mail platform as Lethe reaches it."""
        if self.is_real:
            return DovecotPlatform(self._server().settings(self._accounts(WORKER)))
        url = f"https://127.0.0.1:{self._ports['mail']}"
        return GraphPlatform(
            graph_client.Settings(
                tenant=TENANT, client=CLIENT, secret=self._secret, url=f"{url}/v1.0", authority=url,
                ca=str(self.home / "ca.pem"),
            )
        )  # fmt: skip

    def variables(self) -> dict[str, str]:
        """Airflow's connections: where letters go, and the mail platform."""
        to = {"from_email": "personal@tindheim.example", "disable_tls": True, "disable_ssl": True}
        smtp = {"conn_type": "smtp", "host": "127.0.0.1", "port": self._ports["letters"], "extra": to}
        found = {"AIRFLOW_CONN_SMTP_DEFAULT": json.dumps(smtp)}
        ca = str(self.home / "ca.pem")
        if self.is_real:
            known = self._server().settings(self._accounts(WORKER))
            extra = {"doveadm": known.doveadm, "api_key": known.api_key, "accounts": "lethe_mail_accounts", "ca": ca}
            mail = {"host": known.host, "port": known.port, "login": known.master, "password": known.password}
            found[connection_variable("mail-accounts")] = known.accounts
        else:
            url = f"https://127.0.0.1:{self._ports['mail']}"
            extra = {"tenant": TENANT, "url": f"{url}/v1.0", "authority": url, "ca": ca}
            mail = {"login": CLIENT, "password": self._secret}
        return {**found, connection_variable("mail"): json.dumps({"conn_type": "generic", **mail, "extra": extra})}

    def _server(self) -> dovecot.Server:
        ports, known = self._ports, psycopg.conninfo.conninfo_to_dict(self._accounts("postgres"))
        connect = " ".join(f"{name}={value}" for name, value in known.items())
        return dovecot.Server(
            self.home, ports["mail"], ports["lmtp"], ports["doveadm"], connect, self._secret, self._secret
        )


def _wait_for(port: int) -> None:
    deadline = time.monotonic() + 20
    while not _answers(port):
        if time.monotonic() > deadline:
            raise TimeoutError(f"nobody answers on port {port} of the mail servers; see their logs")
        time.sleep(0.05)


def _answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True
