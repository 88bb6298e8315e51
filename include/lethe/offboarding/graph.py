"""Microsoft 365 as a mail platform, by Microsoft Graph v1.0.

block      accountEnabled is off: nobody signs in; mail still arrives, and the application still reads it
sessions   revokeSignInSessions
reply      the mailbox's automatic reply, scheduled, to everybody
copy       exportItems and an import session: the item as Exchange keeps it, with flags, dates and all
delete     each folder for good, then the user, then the deleted user by which all of it could be restored

The inbox is called INBOX here whatever language it is named in; all other folders have the names that people see.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from html import escape
from itertools import chain
from typing import Any, NamedTuple

import httpx

from lethe.errors import StoreRefused, StoreUnreachable
from lethe.offboarding.graph_client import Client, Settings, code
from lethe.offboarding.header import LARGEST
from lethe.offboarding.platform import (
    Account,
    Envelope,
    Folder,
    Mailbox,
    MailboxFull,
    MessageGone,
    MessageRefused,
    NoSuchMailbox,
    Ref,
    Reply,
    Role,
    Sent,
)

INBOX = "INBOX"
EXPORTED = 20
"""Items that Exchange exports at once, at most."""
PAGE, REFS = 100, 1000
"""Messages of a page, and of one that has their numbers only."""
SIZE = 1_000_000
"""Bytes that a message is taken for whose size is not told: few of them are held in memory at once."""
PASSES = 6
"""How often a folder is looked through until it was the same twice: pages shift while it changes."""
_WELL_KNOWN: dict[str, Role] = {
    "inbox": "inbox",
    "sentitems": "sent",
    "drafts": "drafts",
    "junkemail": "junk",
    "deleteditems": "trash",
    "archive": "archive",
    "recoverableitemsdeletions": "recoverable",
}
_FULL = frozenset({"ErrorQuotaExceeded", "ErrorMailboxFull", "ErrorMailboxStoreQuotaExceeded"})
_ENDED = frozenset({401, 403, 404, 410})
"""What an address to import to answers when its time is over."""
_SHOWN = "id,internetMessageHeaders,receivedDateTime,isRead,isDraft,flag,categories"


class _User(NamedTuple):
    id: str
    may_sign_in: bool


class GraphPlatform:
    """Mailboxes of Microsoft 365; satisfies Platform."""

    def __init__(self, settings: Settings) -> None:
        self._client, self._fidelity = Client(settings), settings.fidelity
        self._ids = dict[Mailbox, str]()
        self._mailbox_ids = dict[str, str]()
        self._paths = dict[str, dict[tuple[str, ...], str]]()
        self._sessions = dict[str, str]()
        """Where items are imported to, by user: an address that lets whoever has it in, for a while."""

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    # ------------------------------------------------------------ accounts

    def account(self, mailbox: Mailbox) -> Account:
        """As Platform has it; Graph tells neither what a mailbox holds nor what it may."""
        user = self._find(mailbox)
        if user is None or self._client.get("users", user.id, "mailFolders", "inbox", select="id") is None:
            raise _no_account()
        return Account(user.may_sign_in, None, None)

    def block(self, mailbox: Mailbox) -> None:
        """As Platform has it."""
        self._enable(mailbox, to=False)

    def unblock(self, mailbox: Mailbox) -> None:
        """As Platform has it."""
        self._enable(mailbox, to=True)

    def _enable(self, mailbox: Mailbox, *, to: bool) -> None:
        if not self._client.change("users", self._user(mailbox), to={"accountEnabled": to}):
            raise _no_account()

    def end_sessions(self, mailbox: Mailbox) -> None:
        """As Platform has it; tokens that were given out hold up to an hour where a program does not ask again."""
        if self._client.act("users", self._user(mailbox), "revokeSignInSessions") is None:
            raise _no_account()

    def reply(self, mailbox: Mailbox, reply: Reply | None) -> None:
        """As Platform has it; Exchange words the subject itself."""
        setting: dict[str, Any] = {"status": "disabled"}
        if reply is not None:
            text = "<br>".join(escape(reply.text).splitlines())
            setting = {
                "status": "scheduled",
                "externalAudience": "all",
                "internalReplyMessage": text,
                "externalReplyMessage": text,
                "scheduledStartDateTime": _moment(reply.begins),
                "scheduledEndDateTime": _moment(reply.ends),
            }
        user = self._user(mailbox)
        if not self._client.change("users", user, "mailboxSettings", to={"automaticRepliesSetting": setting}):
            raise _no_account()

    def _user(self, mailbox: Mailbox) -> str:
        """The id of the user with this address, which keeps it; NoSuchMailbox."""
        if mailbox not in self._ids:
            found = self._find(mailbox)
            if found is None:
                raise _no_account()
            self._ids[mailbox] = found.id
        return self._ids[mailbox]

    def _find(self, mailbox: Mailbox) -> _User | None:
        """The user with this address; StoreRefused when there are two: nothing is done to either."""
        address = mailbox.replace("'", "''")
        wanted = (
            f"mail eq '{address}' or userPrincipalName eq '{address}' or proxyAddresses/any(p:p eq 'smtp:{address}')"
        )
        found = list(chain(*self._client.pages("users", filter=wanted, select="id,accountEnabled")))
        if len(found) > 1:
            raise StoreRefused(f"mail: found {len(found)} accounts with one address, expected one; correct the tenant")
        return _User(found[0]["id"], found[0]["accountEnabled"]) if found else None

    # ------------------------------------------------------------ folders and messages

    def folders(self, mailbox: Mailbox) -> tuple[Folder, ...]:
        """As Platform has it."""
        user, roles = self._user(mailbox), dict[str, Role]()
        hidden = list[tuple[tuple[str, ...], Any]]()
        for name, role in _WELL_KNOWN.items():
            found = self._client.get("users", user, "mailFolders", name, select="id,displayName,totalItemCount")
            if found is not None:
                roles[found["id"]] = role
                if role == "recoverable":  # no list of folders has it
                    hidden.append((("Recoverable Items", found["displayName"]), found))
            elif role == "inbox":
                raise _no_account()
        found = [*self._under(user, "mailFolders", roles=roles), *hidden]
        self._paths[user] = {path: each["id"] for path, each in found}
        return tuple(
            sorted(
                (Folder(path, roles.get(each["id"], ""), each["totalItemCount"]) for path, each in found),
                key=lambda folder: folder.path,
            )
        )

    def _under(self, user: str, *where: str, roles: Mapping[str, Role], above: tuple[str, ...] = ()) -> Iterator[Any]:
        """The folders there and inside them, with their paths."""
        shown = "id,displayName,childFolderCount,totalItemCount"
        for each in list(chain(*self._client.pages("users", user, *where, select=shown, top=PAGE))):
            name = each["displayName"] if each["displayName"] != INBOX or above else f"{INBOX} (2)"
            if roles.get(each["id"]) == "inbox":
                name = INBOX
            yield (*above, name), each
            if each["childFolderCount"]:
                inside = ("mailFolders", each["id"], "childFolders")
                yield from self._under(user, *inside, roles=roles, above=(*above, name))

    def _folder(self, mailbox: Mailbox, folder: tuple[str, ...]) -> str | None:
        """A folder's id; None when it is not there."""
        known = self._paths.get(self._user(mailbox), {})
        if folder not in known:
            self.folders(mailbox)
        return self._paths[self._user(mailbox)].get(folder)

    def look(self, mailbox: Mailbox, folder: tuple[str, ...]) -> Iterator[Envelope]:
        """As Platform has it; headers as they came, and where Exchange keeps none, as it writes them."""
        where = self._folder(mailbox, folder)
        if where is None:
            return
        user = self._user(mailbox)
        wanted = dict.fromkeys(self._messages(user, where))
        sizes = self._sizes(mailbox, where) if self._fidelity == "full" else {}
        pages = self._client.pages(
            "users", user, "mailFolders", where, "messages", select=_SHOWN, orderby="receivedDateTime", top=PAGE
        )
        for each in chain(*pages):
            if wanted.pop(each["id"], 1) is None:
                yield self._envelope(user, each, sizes)
        for ref in wanted:  # the pages shifted
            found = self._client.get("users", user, "messages", ref, select=f"{_SHOWN},parentFolderId")
            if found is not None and found["parentFolderId"] == where:
                yield self._envelope(user, found, sizes)

    def refs(self, mailbox: Mailbox, folder: tuple[str, ...]) -> Sequence[Ref]:
        """As Platform has it."""
        where = self._folder(mailbox, folder)
        return [] if where is None else self._messages(self._user(mailbox), where)

    def _messages(self, user: str, folder: str) -> list[Ref]:
        """The ids of a folder's messages, looked through until they were the same twice."""
        before: set[Ref] | None = None
        for _ in range(PASSES):
            pages = self._client.pages(
                "users", user, "mailFolders", folder, "messages", select="id", orderby="receivedDateTime", top=REFS
            )
            found = list(dict.fromkeys(Ref(each["id"]) for each in chain(*pages)))
            if before == set(found):
                return found
            before = set(found)
        raise StoreUnreachable("mail: a folder changes faster than it can be looked through; try again")

    def _sizes(self, mailbox: Mailbox, folder: str) -> dict[str, int]:
        where = ("admin", "exchange", "mailboxes", self._exchange_id(mailbox), "folders", folder, "items")
        return {each["id"]: each["size"] for each in chain(*self._client.pages(*where, select="id,size", top=PAGE))}

    def _exchange_id(self, mailbox: Mailbox) -> str:
        """The mailbox's own id, by which it is exported from and imported to."""
        user = self._user(mailbox)
        if user not in self._mailbox_ids:
            found = self._client.get("users", user, "settings", "exchange")
            if found is None or not found.get("primaryMailboxId"):
                raise _no_account()
            self._mailbox_ids[user] = found["primaryMailboxId"]
        return self._mailbox_ids[user]

    def _envelope(self, user: str, found: Mapping[str, Any], sizes: Mapping[str, int]) -> Envelope:
        header = _lines(found.get("internetMessageHeaders") or ())
        if not header:  # what was written in Exchange has none until it is sent
            where = ("users", user, "messages", found["id"], "$value")
            header = self._client.beginning(*where, until=b"\r\n\r\n", most=LARGEST) or b""
        flags = {
            "\\Seen": found.get("isRead"),
            "\\Draft": found.get("isDraft"),
            "\\Flagged": (found.get("flag") or {}).get("flagStatus") == "flagged",
        }
        said = {name for name, is_set in flags.items() if is_set} | set(found.get("categories") or ())
        received = datetime.fromisoformat(found["receivedDateTime"])
        return Envelope(Ref(found["id"]), header, sizes.get(found["id"], SIZE), received, frozenset(said))

    def read(self, mailbox: Mailbox, folder: tuple[str, ...], ref: Ref) -> bytes:
        """As Platform has it."""
        for _, message in self.read_all(mailbox, folder, [ref]):
            return message
        raise MessageGone("mail: the message is not in its folder any more; it was moved or deleted meanwhile")

    def read_all(self, mailbox: Mailbox, folder: tuple[str, ...], refs: Sequence[Ref]) -> Iterator[tuple[Ref, bytes]]:
        """As Platform has it."""
        where = self._folder(mailbox, folder)
        if where is None:
            return
        for ref in refs:
            found = self._client.content("users", self._user(mailbox), "mailFolders", where, "messages", ref, "$value")
            if found is not None:
                yield ref, found

    # ------------------------------------------------------------ hand-over

    def deposit_all(self, mailbox: Mailbox, folder: tuple[str, ...], messages: Sequence[Sent]) -> list[Ref]:
        """As Platform has it: each item is exported from its source and imported; or, where it cannot be, as MIME."""
        where, added = self._folder(mailbox, folder) or self._made(mailbox, folder), list[Ref]()
        put = self._put if self._fidelity == "mime" else self._import
        try:
            for ref in put(mailbox, where, messages):
                added.append(ref)
        except (MailboxFull, MessageRefused):
            if not added:
                raise
        return added

    def _made(self, mailbox: Mailbox, folder: tuple[str, ...]) -> str:
        """A folder's id, made with those that it lies in."""
        above: tuple[str, ...] = ("mailFolders",)
        user = self._user(mailbox)
        if len(folder) > 1:
            parent = self._folder(mailbox, folder[:-1]) or self._made(mailbox, folder[:-1])
            above = ("mailFolders", parent, "childFolders")
        answer = self._client.add("users", user, *above, what={"displayName": folder[-1]})
        if not answer.is_success and code(answer) != "ErrorFolderExists":
            raise StoreRefused(f"mail: a folder cannot be made ({answer.status_code} {code(answer)})")
        self._paths.pop(user, None)
        made = self._folder(mailbox, folder)
        if made is None:
            raise StoreUnreachable("mail: a folder that was made is not there yet; try again")
        return made

    def _import(self, mailbox: Mailbox, folder: str, messages: Sequence[Sent]) -> Iterator[Ref]:
        for start in range(0, len(messages), EXPORTED):
            some = messages[start : start + EXPORTED]
            exported = self._exported(some)
            for each in some:
                data = exported.get(each.source.ref)
                if data is None:
                    raise MessageRefused("mail: Exchange does not export a message; it was moved, or it is broken")
                yield self._placed(self._upload(mailbox, {"FolderId": folder, "Mode": "create", "Data": data}))

    def _exported(self, messages: Sequence[Sent]) -> Mapping[str, str]:
        """The items as Exchange keeps them, by their ids in their source; without those that it does not export."""
        found, by_mailbox = dict[str, str](), dict[Mailbox, list[str]]()
        for each in messages:
            by_mailbox.setdefault(each.source.mailbox, []).append(each.source.ref)
        for source, refs in by_mailbox.items():
            where = ("admin", "exchange", "mailboxes", self._exchange_id(source), "exportItems")
            answer = self._client.act(*where, ItemIds=refs) or {"value": []}
            found |= {each["itemId"]: each["data"] for each in answer["value"] if each.get("data")}
        return found

    def _upload(self, mailbox: Mailbox, item: Mapping[str, str]) -> httpx.Response:
        """The answer to an import; a session that has ended takes nothing, so another one is opened for it."""
        answer = self._client.upload(self._session(mailbox), item)
        if answer.status_code in _ENDED:
            self._sessions.pop(self._user(mailbox))
            answer = self._client.upload(self._session(mailbox), item)
        return answer

    def _session(self, mailbox: Mailbox) -> str:
        user = self._user(mailbox)
        if user not in self._sessions:
            where = ("admin", "exchange", "mailboxes", self._exchange_id(mailbox), "createImportSession")
            found = self._client.act(*where)
            if found is None:
                raise _no_account()
            self._sessions[user] = found["importUrl"]
        return self._sessions[user]

    def _put(self, mailbox: Mailbox, folder: str, messages: Sequence[Sent]) -> Iterator[Ref]:
        """As MIME, of which Exchange makes a draft of today: read, flagged and categories are set after it."""
        user = self._user(mailbox)
        for each in messages:
            mime = base64.b64encode(each.message)
            ref = self._placed(self._client.add("users", user, "mailFolders", folder, "messages", mime=mime))
            is_flagged = "flagged" if "\\Flagged" in each.flags else "notFlagged"
            to = {
                "isRead": "\\Seen" in each.flags,
                "flag": {"flagStatus": is_flagged},
                "categories": sorted(flag for flag in each.flags if not flag.startswith("\\")),
            }
            self._client.change("users", user, "messages", ref, to=to)
            yield ref

    def _placed(self, answer: httpx.Response) -> Ref:
        """Where something new is; MailboxFull, MessageRefused."""
        if answer.is_success:
            found = answer.json()
            return Ref(found.get("itemId") or found["id"])
        if code(answer) in _FULL or answer.status_code == httpx.codes.INSUFFICIENT_STORAGE:
            raise MailboxFull("mail: the mailbox has no room for the message; make room, or choose another recipient")
        if answer.status_code == httpx.codes.FORBIDDEN:
            raise StoreRefused(f"mail: Microsoft Graph refuses to copy ({code(answer)}); see docs/platform-team.md")
        if answer.status_code in _ENDED:
            raise StoreUnreachable("mail: the folder to copy to, or the leave to do so, is not there; try again")
        raise MessageRefused(f"mail: Exchange refused a message ({answer.status_code} {code(answer)})")

    # ------------------------------------------------------------ the end

    def delete(self, mailbox: Mailbox) -> None:
        """As Platform has it; StoreRefused while another's account with the address lies among the deleted ones."""
        user, deleted = self._find(mailbox), set(self._deleted(mailbox))
        if len(deleted | ({user.id} if user else set())) > 1:
            raise StoreRefused(
                "mail: another account with the same address lies among the deleted ones; nobody can tell whose it is: "
                "restore it, or remove it by hand"
            )
        if user is not None:
            self._empty(mailbox, user.id)
            self._client.delete("users", user.id)
            deleted = {user.id}
        for each in deleted:
            if not self._client.delete("directory", "deletedItems", each) and user is not None:
                raise StoreUnreachable("mail: the deleted account is not among the deleted ones yet; try again")
        for known in (self._paths, self._sessions, self._mailbox_ids):
            known.pop(self._ids.get(mailbox, ""), None)
        self._ids.pop(mailbox, None)

    def _empty(self, mailbox: Mailbox, user: str) -> None:
        """All mail for good, folder by folder; Exchange keeps the folders that every mailbox has."""
        try:
            folders = self.folders(mailbox)
        except NoSuchMailbox:  # a user without a mailbox
            return
        for each in folders:
            where = self._paths[user][each.path]
            before = set[str]()
            while some := self._first(user, where):
                if before == set(some):
                    raise StoreRefused(
                        "mail: messages are still there after they were deleted for good; see holds in Exchange"
                    )
                before = set(some)
                for ref in some:
                    self._client.act("users", user, "messages", ref, "permanentDelete")

    def _first(self, user: str, folder: str) -> list[str]:
        where = ("users", user, "mailFolders", folder, "messages")
        for page in self._client.pages(*where, select="id", top=PAGE):
            return [each["id"] for each in page]
        return []

    def _deleted(self, mailbox: Mailbox) -> list[str]:
        """The ids of deleted users with this address; a deleted user's name has its id before it."""
        shown = "id,mail,userPrincipalName,proxyAddresses"
        wanted = mailbox.lower()
        found = chain(*self._client.pages("directory", "deletedItems", "microsoft.graph.user", select=shown, top=PAGE))
        return [each["id"] for each in found if wanted in _addresses(each)]

    def left(self, mailbox: Mailbox) -> tuple[str, ...]:
        """As Platform has it."""
        there = self._client.get("users", mailbox, select="id")
        found = (
            ("the account", there is not None or self._find(mailbox) is not None),
            ("its mailbox", self._client.get("users", mailbox, "mailFolders", "inbox", select="id") is not None),
            ("the deleted account, which could be restored", bool(self._deleted(mailbox))),
        )
        return tuple(what for what, is_there in found if is_there)


def _addresses(user: Mapping[str, Any]) -> set[str]:
    name = (user.get("userPrincipalName") or "").removeprefix(user["id"].replace("-", ""))
    proxies = (each.partition(":")[2] for each in user.get("proxyAddresses") or ())
    return {each.lower() for each in (name, user.get("mail") or "", *proxies) if each}


def _lines(headers: Sequence[Mapping[str, str]]) -> bytes:
    """Header lines from what Graph says of them; none of their values begins another."""
    found = (f"{each['name']}: {' '.join(each['value'].splitlines())}\r\n" for each in headers)
    lines = "".join(found).encode("utf-8", "replace")
    return lines + b"\r\n" if lines else b""


def _moment(at: datetime) -> dict[str, str]:
    return {"dateTime": at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S"), "timeZone": "UTC"}


def _no_account() -> NoSuchMailbox:
    return NoSuchMailbox("mail: the platform has no such account")
