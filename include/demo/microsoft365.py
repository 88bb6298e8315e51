"""A stand-in for Microsoft 365: mailboxes in memory behind Microsoft Graph's requests, over real HTTPS.

`python -m demo.microsoft365 DIRECTORY PORT` serves the demo's mailboxes. It answers what Lethe asks, and keeps the
limits that the documentation tells: 20 items an export, pages, an import address that ends, an account that is deleted
and can be restored. The tests hold it to the published contract, and have things go wrong in it.
"""

from __future__ import annotations

import base64
import json
import os
import re
import secrets
import ssl
import sys
import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from pathlib import Path
from typing import Any, ClassVar, NamedTuple
from urllib.parse import parse_qs, unquote, urlencode, urlsplit
from uuid import UUID, uuid4

from demo.configuration import CLIENT, TENANT
from demo.planted.mail import mailboxes
from lethe import clock

PAGE = 40
"""Entities of a page, whatever is asked for."""
WELL_KNOWN = {
    "inbox": "Innboks",
    "sentitems": "Sent",
    "drafts": "Drafts",
    "junkemail": "Junk",
    "deleteditems": "Trash",
    "archive": "Archive",
    "recoverableitemsdeletions": "Deletions",
}
HIDDEN = {"recoverableitemsdeletions"}
_TEXT = "'((?:[^']|'')+)'"
_WANTED = re.compile(
    rf"mail eq {_TEXT} or userPrincipalName eq {_TEXT} or proxyAddresses/any\(p:p eq 'smtp:{_TEXT[1:]}\)"
)


@dataclass
class Folder:
    """A folder of a mailbox."""

    id: str
    name: str
    parent: str | None = None


@dataclass
class Item:
    """A message as Exchange keeps it; `answered` is what its mail properties do not show."""

    id: str
    folder: str
    mime: bytes
    received: datetime
    is_read: bool = False
    is_draft: bool = False
    is_flagged: bool = False
    is_answered: bool = False
    categories: list[str] = field(default_factory=list)
    exports: bool = True


@dataclass
class User:
    """An account and its mailbox."""

    id: str
    address: str
    limit: int | None = None
    enabled: bool = True
    revoked: int = 0
    has_mailbox: bool = True
    settings: dict[str, Any] = field(default_factory=lambda: {"automaticRepliesSetting": {"status": "disabled"}})
    folders: dict[str, Folder] = field(default_factory=dict)
    items: dict[str, Item] = field(default_factory=dict)
    well_known: dict[str, str] = field(default_factory=dict)

    @property
    def mailbox_id(self) -> str:
        """What Exchange calls the mailbox."""
        return f"MBX:{self.id[:8]}@{TENANT}"


class Asked(NamedTuple):
    """A request, once it was held to the contract."""

    method: str
    path: list[str]
    options: dict[str, str]
    sent: Any


class Refused(Exception):
    """An answer that is an error, as Graph words it."""

    def __init__(self, status: int, code: str, **headers: str) -> None:
        self.status, self.code, self.headers = status, code, {k.replace("_", "-"): v for k, v in headers.items()}
        super().__init__(code)


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: Any) -> None:
        """A client that hangs up in the middle is no news."""


class Handler(BaseHTTPRequestHandler):
    """One connection to the stand-in."""

    graph: ClassVar[Microsoft365]
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # an answer is one write

    def log_message(self, *_: Any) -> None:
        """Nothing is logged."""

    def asked(self) -> None:
        """Answer one request."""
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        try:
            status, found = self.graph.answer(self.command, self.path, self.headers, body)
            headers = dict[str, str]()
        except Refused as error:
            status, headers = error.status, error.headers
            found = {"error": {"code": error.code, "message": f"for {self.path}"}}
        self.say(status, found, headers)

    def do_GET(self) -> None:
        """As http.server calls it."""
        self.asked()

    do_POST = do_PATCH = do_DELETE = do_GET  # noqa: N815 - http.server's names

    def say(self, status: int, found: Any, headers: Mapping[str, str]) -> None:
        """Send an answer: bytes as they are, anything else as JSON."""
        told = found if isinstance(found, bytes) else b"" if found is None else json.dumps(found).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(told)))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(told)


class Microsoft365:
    """The stand-in: accounts by id, what is deleted and can be restored, and what was asked."""

    handler: ClassVar[type[Handler]] = Handler

    def __init__(self, home: Path, secret: str, port: int = 0) -> None:
        """Listen on a port of 127.0.0.1, with server.pem and server.key of `home`."""
        self.users, self.deleted, self.secret = dict[str, User](), dict[str, User](), secret
        self._tokens, self._imports = set[str](), dict[str, str]()
        self._lock, self._numbers = threading.RLock(), count(1)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(home / "server.pem", home / "server.key")
        self._server = _Server(("127.0.0.1", port), type("Handler", (self.handler,), {"graph": self}))
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.url = f"https://127.0.0.1:{self._server.server_address[1]}"

    def serve(self) -> None:
        """Answer until stop() is called."""
        self._server.serve_forever(poll_interval=0.05)

    def stop(self) -> None:
        """Answer no more."""
        self._server.shutdown()
        self._server.server_close()

    # ------------------------------------------------------------ who sets it up

    def create(self, address: str, limit: int | None = None) -> User:
        """A new account with an empty mailbox, with room for `limit` bytes."""
        user = User(str(uuid4()), address, limit)
        for name, shown in WELL_KNOWN.items():
            user.well_known[name] = self._add_folder(user, shown).id
        self.users[user.id] = user
        return user

    def put(
        self, user: User, message: bytes, folder: tuple[str, ...], flags: frozenset[str], received: datetime
    ) -> Item:
        """A message into a mailbox, as if it had come; `flags` are IMAP's words."""
        at: str | None = None
        for depth, name in enumerate(folder):
            shown = WELL_KNOWN["inbox"] if (depth, name) == (0, "INBOX") else name
            there = [each.id for each in user.folders.values() if (each.name, each.parent) == (shown, at)]
            at = there[0] if there else self._add_folder(user, shown, at).id
        item = Item(
            self._id(), at or "", message, received, "\\Seen" in flags, "\\Draft" in flags,
            "\\Flagged" in flags, "\\Answered" in flags, sorted(each for each in flags if not each.startswith("\\")),
        )  # fmt: skip
        user.items[item.id] = item
        return item

    def _add_folder(self, user: User, name: str, parent: str | None = None) -> Folder:
        made = Folder(self._id(), name, parent)
        user.folders[made.id] = made
        return made

    def _id(self) -> str:
        return base64.urlsafe_b64encode(f"item {next(self._numbers):06}".encode()).decode()

    # ------------------------------------------------------------ one request

    def answer(self, method: str, url: str, headers: Message, body: bytes) -> tuple[int, Any]:
        """The status and the body of an answer; Refused."""
        parts = urlsplit(url)
        options = {name: values[0] for name, values in parse_qs(parts.query, keep_blank_values=True).items()}
        path = [unquote(each) for each in parts.path.strip("/").split("/")]
        if path[0] == "importItem":
            return self._import(options.get("authtoken", ""), headers, json.loads(body))
        if path[0] != "v1.0":
            return self._sign_in(path, body)
        if headers.get("Authorization", "").removeprefix("Bearer ") not in self._tokens:
            raise Refused(401, "InvalidAuthenticationToken")
        return self._graph(method, path[1:], options, headers, body)

    def _sign_in(self, path: list[str], body: bytes) -> tuple[int, Any]:
        where = f"{self.url}/{path[0]}/oauth2/v2.0"
        if path[-1] == "openid-configuration":
            ends = {"authorization_endpoint": f"{where}/authorize", "token_endpoint": f"{where}/token"}
            return 200, {"issuer": f"{self.url}/{path[0]}/v2.0", **ends}
        told = {name: values[0] for name, values in parse_qs(body.decode()).items()}
        assert told["scope"] == "https://graph.microsoft.com/.default"
        is_known = told["client_id"] == CLIENT and (
            told.get("client_secret") == self.secret or "client_assertion" in told
        )
        if path[0] != TENANT or not is_known:
            return 401, {"error": "invalid_client", "error_description": "AADSTS7000215 for the app"}
        token = secrets.token_urlsafe()
        self._tokens.add(token)
        return 200, {"access_token": token, "expires_in": 3600, "token_type": "Bearer"}

    def _graph(
        self, method: str, path: list[str], options: dict[str, str], headers: Message, body: bytes
    ) -> tuple[int, Any]:
        sent: Any = None
        if body:
            sent = base64.b64decode(body) if headers["Content-Type"] == "text/plain" else json.loads(body)
        asked = Asked(method, path, options, sent)
        with self._lock:
            status, found = self._do(asked)
        return status, found if isinstance(found, bytes | None) else self._shown(found, options)

    @staticmethod
    def _shown(found: Any, options: Mapping[str, str]) -> Any:
        """What was selected of an answer; header lines are shown to those only who select them."""
        names = set(options.get("$select", "").split(",")) | {"id"}

        def select(each: dict[str, Any]) -> dict[str, Any]:
            if "$select" in options:
                return {name: value for name, value in each.items() if name in names}
            return {name: value for name, value in each.items() if name != "internetMessageHeaders"}

        many = found.get("value")
        return {**found, "value": [select(each) for each in many]} if isinstance(many, list) else select(found)

    def _page(self, asked: Asked, found: list[Any]) -> dict[str, Any]:
        options = asked.options
        start, size = int(options.get("$skip", "0")), min(int(options.get("$top", "10")), PAGE)
        answer: dict[str, Any] = {"value": found[start : start + size]}
        if start + size < len(found):
            told = urlencode({**options, "$skip": str(start + size)})
            answer["@odata.nextLink"] = f"{self.url}/v1.0/{'/'.join(asked.path)}?{told}"
        return answer

    # ------------------------------------------------------------ what is done

    def _do(self, asked: Asked) -> tuple[int, Any]:
        match asked.path:
            case ["users", user, "settings", "exchange"]:
                return 200, {"primaryMailboxId": self._user(user).mailbox_id}
            case ["users", user, ("mailFolders" | "messages") as first, *rest]:
                found = self._user(user)
                if not found.has_mailbox:
                    raise Refused(404, "MailboxNotEnabledForRESTAPI")
                return self._message(asked, found, rest) if first == "messages" else self._mail(asked, found, rest)
            case ["admin", "exchange", "mailboxes", mailbox, *rest]:
                owners = [each for each in self.users.values() if each.mailbox_id == mailbox]
                if not owners:
                    raise Refused(404, "ErrorMailboxNotFound")
                return self._exchange(asked, owners[0], rest)
            case ["directory", "deletedItems", what]:
                return self._bin(asked, what)
            case ["users"]:
                return 200, self._page(asked, self._found(asked.options["$filter"]))
            case ["users", user, *rest]:
                return self._account(asked, self._user(user), rest)
        raise Refused(405, "MethodNotAllowed")

    def _account(self, asked: Asked, user: User, rest: list[str]) -> tuple[int, Any]:
        match asked.method, rest:
            case "GET", []:
                return 200, self._as_user(user)
            case "PATCH", []:
                user.enabled = asked.sent["accountEnabled"]
                return 204, None
            case "DELETE", []:
                self.deleted[user.id] = self.users.pop(user.id)
                return 204, None
            case "PATCH", ["mailboxSettings"]:
                user.settings |= asked.sent
                return 200, user.settings
            case "POST", ["revokeSignInSessions"]:
                user.revoked += 1
                return 200, {"value": True}
        raise Refused(405, "MethodNotAllowed")

    def _bin(self, asked: Asked, what: str) -> tuple[int, Any]:
        if asked.method == "GET":
            return 200, self._page(asked, [self._as_user(each) for each in self.deleted.values()])
        if self.deleted.pop(what, None) is None:
            raise Refused(404, "Request_ResourceNotFound")
        return 204, None

    def _user(self, name: str) -> User:
        for each in self.users.values():
            if name in (each.id, each.address):
                return each
        raise Refused(404, "Request_ResourceNotFound")

    def _found(self, wanted: str) -> list[dict[str, Any]]:
        asked = _WANTED.fullmatch(wanted)
        if asked is None or len(set(asked.groups())) != 1:
            raise Refused(400, "BadRequest")
        address = asked[1].replace("''", "'")
        return [self._as_user(each) for each in self.users.values() if each.address.lower() == address.lower()]

    def _as_user(self, user: User) -> dict[str, Any]:
        prefix = UUID(user.id).hex if user.id in self.deleted else ""
        return {
            "id": user.id, "accountEnabled": user.enabled, "mail": user.address,
            "userPrincipalName": prefix + user.address, "proxyAddresses": [f"SMTP:{user.address}"],
        }  # fmt: skip

    def _mail(self, asked: Asked, user: User, rest: list[str]) -> tuple[int, Any]:
        match rest:
            case []:
                return self._folder_in(asked, user, None)
            case [folder]:
                return 200, self._as_folder(user, self._one_folder(user, folder))
            case [folder, "childFolders"]:
                return self._folder_in(asked, user, self._one_folder(user, folder).id)
            case [folder, "messages"]:
                return self._message_in(asked, user, self._one_folder(user, folder).id)
            case [folder, "messages", message, *_]:
                if self._item(user, message).folder != self._one_folder(user, folder).id:
                    raise Refused(404, "ErrorItemNotFound")
                return self._message(asked, user, rest[2:])
        raise Refused(405, "MethodNotAllowed")

    def _folder_in(self, asked: Asked, user: User, parent: str | None) -> tuple[int, Any]:
        if asked.method == "GET":
            return 200, self._page(asked, self._folders(user, parent))
        return 201, self._new_folder(user, asked.sent["displayName"], parent)

    def _message_in(self, asked: Asked, user: User, folder: str) -> tuple[int, Any]:
        if asked.method == "GET":
            found = [each for each in user.items.values() if each.folder == folder]
            if asked.options.get("$orderby", "").startswith("receivedDateTime"):
                found.sort(key=lambda each: each.received)
            return 200, self._page(asked, [self._as_message(user, each) for each in found])
        item = Item(self._id(), folder, asked.sent, clock.now(), is_draft=True)
        self._require_room(user, item)
        user.items[item.id] = item
        return 201, self._as_message(user, item)

    def _one_folder(self, user: User, name: str) -> Folder:
        found = user.folders.get(user.well_known.get(name, name))
        if found is None:
            raise Refused(404, "ErrorItemNotFound")
        return found

    def _folders(self, user: User, parent: str | None) -> list[dict[str, Any]]:
        hidden = {user.well_known[name] for name in HIDDEN}
        found = (each for each in user.folders.values() if each.parent == parent and each.id not in hidden)
        return [self._as_folder(user, each) for each in found]

    def _new_folder(self, user: User, name: str, parent: str | None) -> dict[str, Any]:
        there = ((each.name.lower(), each.parent) for each in user.folders.values())
        if (name.lower(), parent) in there:
            raise Refused(409, "ErrorFolderExists")
        return self._as_folder(user, self._add_folder(user, name, parent))

    def _as_folder(self, user: User, folder: Folder) -> dict[str, Any]:
        inside = sum(each.parent == folder.id for each in user.folders.values())
        items = [each for each in user.items.values() if each.folder == folder.id]
        return {
            "id": folder.id, "displayName": folder.name, "parentFolderId": folder.parent or "root",
            "childFolderCount": inside, "totalItemCount": len(items), "isHidden": False,
            "unreadItemCount": sum(not each.is_read for each in items),
        }  # fmt: skip

    def _item(self, user: User, name: str) -> Item:
        if name not in user.items:
            raise Refused(404, "ErrorItemNotFound")
        return user.items[name]

    def _message(self, asked: Asked, user: User, rest: list[str]) -> tuple[int, Any]:
        item, sent = self._item(user, rest[0]), asked.sent
        match asked.method, rest[1:]:
            case "GET", []:
                return 200, self._as_message(user, item)
            case "GET", ["$value"]:
                return 200, item.mime
            case "PATCH", []:
                item.is_read, item.categories = sent["isRead"], sent["categories"]
                item.is_flagged = sent["flag"]["flagStatus"] == "flagged"
                return 200, self._as_message(user, item)
            case "POST", ["permanentDelete"]:
                del user.items[item.id]
                return 204, None
        raise Refused(405, "MethodNotAllowed")

    def _as_message(self, user: User, item: Item) -> dict[str, Any]:
        is_own = item.is_draft or item.folder == user.well_known["sentitems"]
        return {
            "id": item.id, "parentFolderId": item.folder, "isRead": item.is_read, "isDraft": item.is_draft,
            "receivedDateTime": item.received.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "flag": {"flagStatus": "flagged" if item.is_flagged else "notFlagged"}, "categories": item.categories,
            "internetMessageHeaders": [] if is_own else _headers(item.mime), "subject": "not shown to anybody",
            "changeKey": item.id,
        }  # fmt: skip

    def _exchange(self, asked: Asked, user: User, rest: list[str]) -> tuple[int, Any]:
        match rest:
            case ["folders", folder, "items"]:
                found = [each for each in user.items.values() if each.folder == folder]
                shown = [{"id": each.id, "size": len(each.mime), "type": "IPM.Note"} for each in found]
                return 200, self._page(asked, shown)
            case ["exportItems"]:
                if len(asked.sent["ItemIds"]) > 20:
                    raise Refused(400, "ErrorInvalidRequest")
                return 200, {"value": [self._export(user, each) for each in asked.sent["ItemIds"]]}
            case ["createImportSession"]:
                token = secrets.token_urlsafe()
                self._imports[token] = user.id
                told = {"importUrl": f"{self.url}/importItem?authtoken={token}"}
                return 200, {**told, "expirationDateTime": "2099-01-01T00:00:00Z"}
        raise Refused(405, "MethodNotAllowed")

    def _export(self, user: User, name: str) -> dict[str, Any]:
        item = user.items.get(name)
        if item is None or not item.exports:
            return {"itemId": name}
        told = {**asdict(item), "mime": base64.b64encode(item.mime).decode(), "received": item.received.isoformat()}
        stream = base64.b64encode(json.dumps(told).encode()).decode()
        return {"itemId": name, "changeKey": item.id, "data": stream}

    def _import(self, token: str, headers: Message, sent: dict[str, str]) -> tuple[int, Any]:
        assert "Authorization" not in headers, "the address lets its bearer in"
        assert sent.keys() == {"FolderId", "Mode", "Data"}
        assert sent["Mode"] == "create"
        if token not in self._imports:
            raise Refused(401, "InvalidAuthenticationToken")
        with self._lock:
            user = self._user(self._imports[token])
            folder = self._one_folder(user, sent["FolderId"])
            told = json.loads(base64.b64decode(sent["Data"]))
            told |= {"mime": base64.b64decode(told["mime"]), "received": datetime.fromisoformat(told["received"])}
            item = replace(Item(**told), id=self._id(), folder=folder.id)
            self._require_room(user, item)
            user.items[item.id] = item
            return 200, {"itemId": item.id, "changeKey": item.id}

    def end_imports(self) -> None:
        """The time of all addresses to import to is over."""
        self._imports.clear()

    @staticmethod
    def _require_room(user: User, item: Item) -> None:
        used = sum(len(each.mime) for each in user.items.values())
        if user.limit is not None and used + len(item.mime) > user.limit:
            raise Refused(507, "ErrorQuotaExceeded")


def _headers(mime: bytes) -> list[dict[str, str]]:
    """Header lines as Exchange shows them: unfolded, and bytes that are no text as some text."""
    head = re.sub(rb"\r\n(?=[ \t])", b"", mime.partition(b"\r\n\r\n")[0]).decode("latin-1")
    found = (line.partition(":") for line in head.split("\r\n") if ":" in line)
    return [{"name": name, "value": value.strip()} for name, _, value in found]


def main(home: str, port: str) -> None:
    """Serve the mailboxes of the demo's employees; the application's secret is LETHE_DEMO_MAIL_SECRET."""
    server = Microsoft365(Path(home), os.environ["LETHE_DEMO_MAIL_SECRET"], int(port))
    for address, messages in mailboxes(clock.now()).items():
        user = server.create(address)
        for each in messages:
            server.put(user, each.message, each.folder, each.flags, each.received)
    server.serve()


if __name__ == "__main__":
    main(*sys.argv[1:])
