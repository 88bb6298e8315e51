"""Dovecot as a mail platform: mailboxes over IMAP, accounts in its SQL user database, the rest by doveadm's HTTP API.

block      the account's row is not active: no password opens it; mail still arrives, and the master user enters
sessions   doveadm kick, once the server's memory of passwords is flushed
reply      a Sieve script of our own in place of the employee's, which is kept, and put back when the reply ends
delete     all mail by doveadm, looked for, and only then the row by which it could be found
"""

from __future__ import annotations

import base64
import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import httpx
import psycopg
from psycopg.sql import SQL, Identifier

from lethe.errors import StoreError, StoreRefused, StoreUnreachable
from lethe.offboarding.imap import SECONDS, Mailboxes, Server
from lethe.offboarding.platform import Account, Mailbox, NoSuchMailbox, Reply
from lethe.stores.postgres.connection import Connection, tell

SCRIPT = "lethe-departure"
_BEFORE = re.compile(r"^# before: ([A-Za-z0-9+/=]*)$", re.MULTILINE)
_NOBODY = 67
"""doveadm's exit code for a user that is not there (sysexits.h, EX_NOUSER)."""
_NOT_FOUND = 68


@dataclass(frozen=True)
class Settings:
    """Where Dovecot is reached: IMAP, doveadm's HTTP API, and the database of accounts, by a libpq connection string.

    `table` has the accounts as Postfix Admin does: username, and whether it is active.
    """

    host: str
    port: int
    master: str
    password: str = field(repr=False)
    doveadm: str
    api_key: str = field(repr=False)
    accounts: str = field(repr=False)
    ca: str | None = None
    table: str = "public.mailbox"


class Administration:
    """Accounts and what is Dovecot's own to do with them; errors are StoreError, and name nobody."""

    def __init__(self, settings: Settings) -> None:
        key = base64.b64encode(settings.api_key.encode()).decode()
        self._accounts = Connection("mail accounts", settings.accounts)
        self._table = Identifier(*settings.table.split("."))
        self._url = settings.doveadm
        self._client = httpx.Client(
            headers={"Authorization": f"X-Dovecot-API {key}"},
            timeout=SECONDS,
            verify=ssl.create_default_context(cafile=settings.ca),
        )

    def close(self) -> None:
        """Close the connections."""
        self._client.close()
        self._accounts.close()

    def is_active(self, mailbox: Mailbox) -> bool | None:
        """Whether the account is signed in to by password; None when there is none."""
        found = self._run("SELECT active FROM {} WHERE username = %(name)s", name=mailbox).fetchone()
        return None if found is None else bool(found[0])

    def activate(self, mailbox: Mailbox, *, active: bool) -> None:
        """Let the account be signed in to, or not; NoSuchMailbox."""
        query = "UPDATE {} SET active = %(active)s WHERE username = %(name)s"
        if not self._run(query, name=mailbox, active=active).rowcount:
            raise _no_account()
        self.ask("authCacheFlush", user=[mailbox])

    def drop(self, mailbox: Mailbox) -> None:
        """Delete the account's row."""
        self._run("DELETE FROM {} WHERE username = %(name)s", name=mailbox)
        self.ask("authCacheFlush", user=[mailbox])

    def knows(self, mailbox: Mailbox) -> bool:
        """Whether Dovecot finds the account."""
        return self.ask("user", userMask=[mailbox], missing={}).get(mailbox) is not None

    def sizes(self, mailbox: Mailbox) -> tuple[int | None, int | None]:
        """Bytes that are used, and that may be; None where the server counts none, or has no limit."""
        for each in self.ask("quotaGet", user=mailbox):
            if each.get("type") == "STORAGE":  # in blocks of 1,024
                return tuple(int(each[n]) * 1024 if each[n].isdigit() else None for n in ("value", "limit"))  # type: ignore[return-value]
        return None, None

    def messages(self, mailbox: Mailbox) -> int:
        """How many messages the account has, wherever they are."""
        found = self.ask("mailboxStatus", user=mailbox, field=["messages"], mailboxMask=["*"], missing=[])
        return sum(int(each["messages"]) for each in found)

    def ask(self, command: str, missing: Any = None, **parameters: Any) -> Any:
        """What doveadm answers to a command; `missing` where there is no such user or thing, else NoSuchMailbox."""
        _require_one(parameters)
        problem: StoreError | None = None
        try:
            answer = self._client.post(self._url, json=[[command, parameters, "lethe"]])
        except httpx.HTTPError as error:
            problem = _unreachable(error)
        if problem is not None:
            raise problem
        if answer.status_code != httpx.codes.OK:
            raise StoreRefused(
                f"mail: doveadm answered {answer.status_code}, expected 200; see its key in the connection"
            )
        ((kind, told, _),) = answer.json()
        if kind == "doveadmResponse":
            return told
        code = told.get("exitCode")
        if code in (_NOBODY, _NOT_FOUND):
            if missing is None:
                raise _no_account()
            return missing
        raise StoreRefused(f"mail: doveadm's {command} failed with {code}; Dovecot's own log says why")

    def _run(self, query: str, **params: object) -> psycopg.Cursor[tuple[Any, ...]]:
        problem: StoreError | None = None
        try:
            return self._accounts.get().execute(SQL(query).format(self._table), params)
        except psycopg.Error as error:
            problem = tell("mail accounts", error)
        raise problem


class DovecotPlatform(Mailboxes):
    """Mailboxes on Dovecot, with what is done to their accounts; satisfies Platform."""

    def __init__(self, settings: Settings) -> None:
        server = Server(settings.host, settings.port, settings.master, settings.password, settings.ca)
        self._administration = Administration(settings)
        super().__init__(server, lambda mailbox: self._administration.is_active(mailbox) is not None)

    def close(self) -> None:
        """Close all connections."""
        super().close()
        self._administration.close()

    def account(self, mailbox: Mailbox) -> Account:
        """As Platform has it."""
        is_active = self._administration.is_active(mailbox)
        if is_active is None:
            raise _no_account()
        return Account(is_active, *self._administration.sizes(mailbox))

    def block(self, mailbox: Mailbox) -> None:
        """As Platform has it."""
        self._administration.activate(mailbox, active=False)

    def unblock(self, mailbox: Mailbox) -> None:
        """As Platform has it."""
        self._administration.activate(mailbox, active=True)

    def end_sessions(self, mailbox: Mailbox) -> None:
        """As Platform has it; our own sessions end with them, and are opened again when they are needed."""
        self.forget(mailbox)
        self._administration.ask("authCacheFlush", user=[mailbox])
        self._administration.ask("kick", mask=[mailbox], missing=[])

    def reply(self, mailbox: Mailbox, reply: Reply | None) -> None:
        """As Platform has it."""
        ask, scripts = self._administration.ask, self._scripts(mailbox)
        if reply is not None:
            before = self._before(mailbox) if SCRIPT in scripts else next((n for n, on in scripts.items() if on), "")
            ask("sievePut", user=mailbox, scriptname=SCRIPT, activate=True, file=script(reply, before))
        elif SCRIPT in scripts:
            before = self._before(mailbox)
            if before in scripts and before != SCRIPT:
                ask("sieveActivate", user=mailbox, scriptname=before)
            else:
                ask("sieveDeactivate", user=mailbox)
            ask("sieveDelete", user=mailbox, scriptname=[SCRIPT])

    def _scripts(self, mailbox: Mailbox) -> dict[str, bool]:
        """The account's Sieve scripts, and which of them is active."""
        found = self._administration.ask("sieveList", user=mailbox)
        return {each["script"]: each.get("active") == "ACTIVE" for each in found}

    def _before(self, mailbox: Mailbox) -> str:
        """Which script was active before ours: ours says so."""
        found = self._administration.ask("sieveGet", user=mailbox, scriptname=SCRIPT)
        name = _BEFORE.search("".join(each.get("sieve script", "") for each in found))
        return base64.b64decode(name[1]).decode() if name else ""

    def delete(self, mailbox: Mailbox) -> None:
        """As Platform has it."""
        if self._administration.is_active(mailbox) is None:
            return
        self.forget(mailbox)
        ask = self._administration.ask
        if self._administration.knows(mailbox):
            for _ in range(2):  # what is expunged once may lie among what can be put back
                ask("expunge", user=mailbox, query=["mailbox", "*", "all"])
            for each in sorted(self._folders_by_doveadm(mailbox), reverse=True):  # those inside others first
                ask("mailboxDelete", user=mailbox, mailbox=[each], missing=[])
            scripts = self._scripts(mailbox)
            if scripts:
                ask("sieveDeactivate", user=mailbox)
                ask("sieveDelete", user=mailbox, scriptname=list(scripts))
            left = self._administration.messages(mailbox)
            if left:
                raise StoreRefused(f"mail: {left} messages are left after all were deleted; Dovecot's own log says why")
        self._administration.drop(mailbox)

    def _folders_by_doveadm(self, mailbox: Mailbox) -> list[str]:
        found = self._administration.ask("mailboxList", user=mailbox, missing=[])
        return [each["mailbox"] for each in found if each["mailbox"] != "INBOX"]

    def left(self, mailbox: Mailbox) -> tuple[str, ...]:
        """As Platform has it."""
        found = (
            ("the account", self._administration.is_active(mailbox) is not None),
            ("its mailbox", self._administration.knows(mailbox)),
            ("a way in", self.may_enter(mailbox)),
        )
        return tuple(what for what, is_there in found if is_there)


def script(reply: Reply, before: str) -> str:
    """The Sieve script of an automatic reply (RFC 5230): between two moments, to each correspondent once in a week.

    It has no word that sends the message on. `before` is the name of the script that it takes the place of.
    """
    begins, ends = (f'"{_moment(each)}"' for each in (reply.begins, reply.ends))
    now = 'currentdate :zone "+0000" :value'
    return (
        'require ["vacation", "date", "relational"];\n'
        f"# before: {base64.b64encode(before.encode()).decode()}\n"
        f'if allof ({now} "ge" "iso8601" {begins}, {now} "lt" "iso8601" {ends}) {{\n'
        f"  vacation :days 7 :subject {_quoted(reply.subject)} {_quoted(reply.text)};\n}}\n"
    )


def _moment(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S+00:00")


def _quoted(text: str) -> str:
    """A string of Sieve's (RFC 5228, 2.4.2): two characters end or escape, all others are themselves."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\0", "")
    return '"' + "\r\n".join(escaped.splitlines()) + '"'


def _require_one(parameters: Mapping[str, Any]) -> None:
    """An address with a wildcard in it means many accounts to doveadm: nothing is done to those."""
    named = [parameters.get(name, ()) for name in ("user", "userMask", "mask")]
    addresses = [each for one in named for each in ([one] if isinstance(one, str) else one)]
    if any(sign in address for address in addresses for sign in "*?"):
        raise StoreRefused("mail: found a wildcard in an address, expected one account; correct the directory")


def _no_account() -> NoSuchMailbox:
    return NoSuchMailbox("mail: the platform has no such account")


def _unreachable(error: httpx.HTTPError) -> StoreError:
    if "CERTIFICATE_VERIFY_FAILED" in str(error):
        return StoreRefused("mail: doveadm's certificate is not trusted; see the connection")
    return StoreUnreachable("mail: doveadm does not answer; try again")
