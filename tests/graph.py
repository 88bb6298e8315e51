"""A stand-in for Microsoft Graph: mailboxes in memory behind real HTTPS, held to the published contract, with faults.

Every path, property and value that a client sends, and every one that is answered, is looked up in the contract
(graph_contract.py); what it does not have is an error of the test. Limits are those that the documentation tells: 20
items an export, pages, an import address that ends, an account that is deleted and can be restored.
"""

from __future__ import annotations

import base64
import html
import json
import re
import secrets
import ssl
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from pathlib import Path
from typing import Any, ClassVar, NamedTuple
from urllib.parse import parse_qs, unquote, urlencode, urlsplit
from uuid import UUID, uuid4

from dovecot import certify
from graph_contract import NOT_IN_IT, Broken, Contract, Place
from lethe.offboarding.graph import GraphPlatform
from lethe.offboarding.graph_client import Settings
from lethe.offboarding.platform import Mailbox
from mailboxes import Given

TENANT, CLIENT, SECRET = "tindheim.example", "lethe", secrets.token_urlsafe()
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
_WANTED = re.compile(
    r"mail eq '(.+)' or userPrincipalName eq '(.+)' or proxyAddresses/any\(p:p eq 'smtp:(.+)'\)", re.DOTALL
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


class Graph:
    """The stand-in; satisfies Bench. `faults` says what goes wrong at which request, `meanwhile` is called before."""

    def __init__(self, home: Path, fidelity: str = "full") -> None:
        self.contract, self.broken = Contract(), list[str]()
        self.users, self.deleted = dict[str, User](), dict[str, User]()
        self.requests, self.faults = list[tuple[str, str]](), dict[int, str]()
        self.meanwhile: Callable[[int], None] = lambda _: None
        self._tokens, self._imports = set[str](), dict[str, str]()
        self._lock, self._numbers = threading.RLock(), count(1)
        certify(home)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(home / "server.pem", home / "server.key")
        self._server = _Server(("127.0.0.1", 0), type("Handler", (_Handler,), {"graph": self}))
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.url = f"https://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        self.settings = Settings(
            tenant=TENANT, client=CLIENT, secret=SECRET, url=f"{self.url}/v1.0", authority=self.url,
            ca=str(home / "ca.pem"), fidelity=fidelity,
        )  # fmt: skip
        self.platform = GraphPlatform(self.settings)

    def start(self) -> None:
        """Answer from now on."""
        self._thread.start()

    def stop(self) -> None:
        """Answer no more."""
        self.platform.close()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    # ------------------------------------------------------------ Bench

    def create(self, given: Iterable[Given] = (), *, limit: int | None = None) -> Mailbox:
        """As Bench has it."""
        user = User(str(uuid4()), f"{uuid4().hex[:12]}@tindheim.example", limit)
        for name, shown in WELL_KNOWN.items():
            user.well_known[name] = self._add_folder(user, shown).id
        self.users[user.id] = user
        for each in given:
            self.put(user, each)
        return Mailbox(user.address)

    def put(self, user: User, given: Given) -> Item:
        """A message into a mailbox, as if it had come."""
        at: str | None = None
        for depth, name in enumerate(given.folder):
            shown = WELL_KNOWN["inbox"] if (depth, name) == (0, "INBOX") else name
            there = [each.id for each in user.folders.values() if (each.name, each.parent) == (shown, at)]
            at = there[0] if there else self._add_folder(user, shown, at).id
        flags = given.flags
        item = Item(
            self._id(), at or "", given.message, given.received, "\\Seen" in flags, "\\Draft" in flags,
            "\\Flagged" in flags, "\\Answered" in flags, sorted(each for each in flags if not each.startswith("\\")),
        )  # fmt: skip
        user.items[item.id] = item
        return item

    def of(self, mailbox: Mailbox) -> User:
        """The account with an address."""
        return next(each for each in self.users.values() if each.address == mailbox)

    def sign_in(self, mailbox: Mailbox) -> bool:
        """As Bench has it."""
        return any(each.address == mailbox and each.enabled for each in self.users.values())

    def session(self, mailbox: Mailbox) -> Callable[[], bool]:
        """As Bench has it."""
        user = self.of(mailbox)
        began = user.revoked
        return lambda: user.revoked == began

    def replies(self, mailbox: Mailbox) -> str | None:
        """As Bench has it."""
        told = self.of(mailbox).settings["automaticRepliesSetting"]
        if told["status"] == "disabled" or told.get("externalAudience") != "all":
            return None
        times = (told[name] for name in ("scheduledStartDateTime", "scheduledEndDateTime"))
        begins, ends = (datetime.fromisoformat(each["dateTime"]).replace(tzinfo=UTC) for each in times)
        if not begins <= datetime.now(UTC) < ends:
            return None
        return html.unescape(told["externalReplyMessage"].replace("<br>", "\n"))

    def _add_folder(self, user: User, name: str, parent: str | None = None) -> Folder:
        made = Folder(self._id(), name, parent)
        user.folders[made.id] = made
        return made

    def _id(self) -> str:
        return base64.urlsafe_b64encode(f"item {next(self._numbers):06}".encode()).decode()

    # ------------------------------------------------------------ one request

    def answer(self, method: str, url: str, headers: Mapping[str, str], body: bytes, fault: str) -> tuple[int, Any]:
        """The status and the body of an answer; Refused."""
        if fault == "expired":
            self._tokens.clear()
            self.end_imports()
        elif fault.isdigit():
            raise Refused(int(fault), "TooManyRequests", Retry_After="0")
        parts = urlsplit(url)
        options = {name: values[0] for name, values in parse_qs(parts.query, keep_blank_values=True).items()}
        path = [unquote(each) for each in parts.path.strip("/").split("/")]
        if path[0] == "importItem":
            return self._import(options.get("authtoken", ""), headers, json.loads(body))
        if path[0] != "v1.0":
            return self._sign_in(path, body)
        if headers.get("Authorization", "").removeprefix("Bearer ") not in self._tokens:
            raise Refused(401, "InvalidAuthenticationToken")
        try:
            return self._graph(method, path[1:], options, headers, body)
        except Broken as error:
            self.broken.append(f"{method} {'/'.join(path)}: {error}")
            raise Refused(400, "NotInTheContract") from None

    def _sign_in(self, path: list[str], body: bytes) -> tuple[int, Any]:
        where = f"{self.url}/{path[0]}/oauth2/v2.0"
        if path[-1] == "openid-configuration":
            ends = {"authorization_endpoint": f"{where}/authorize", "token_endpoint": f"{where}/token"}
            return 200, {"issuer": f"{self.url}/{path[0]}/v2.0", **ends}
        told = {name: values[0] for name, values in parse_qs(body.decode()).items()}
        assert told["scope"] == "https://graph.microsoft.com/.default"
        is_known = told["client_id"] == CLIENT and (told.get("client_secret") == SECRET or "client_assertion" in told)
        if path[0] != TENANT or not is_known:
            return 401, {"error": "invalid_client", "error_description": "AADSTS7000215 for the app"}
        token = secrets.token_urlsafe()
        self._tokens.add(token)
        return 200, {"access_token": token, "expires_in": 3600, "token_type": "Bearer"}

    def _graph(
        self, method: str, path: list[str], options: dict[str, str], headers: Mapping[str, str], body: bytes
    ) -> tuple[int, Any]:
        if (path[0], path[2] if len(path) > 2 else "") in NOT_IN_IT:
            return 200, {"primaryMailboxId": self._user(path[1]).mailbox_id}
        place = self.contract.walk(path)
        if "$select" in options:
            self.contract.select(place.type, options["$select"])
        if "$orderby" in options:
            self.contract.select(place.type, options["$orderby"].removesuffix(" asc"))
        sent: Any = None
        if body:
            sent = base64.b64decode(body) if headers["Content-Type"] == "text/plain" else json.loads(body)
        if place.action is not None:
            for name, value in (sent or {}).items():
                if name not in place.action:
                    raise Broken(f"the action takes no {name}")
                self.contract.check(place.action[name], value)
        elif isinstance(sent, dict):
            self.contract.check(place.type, sent)
        with self._lock:
            status, found = self._do(Asked(method, path, options, sent))
        if found is not None and not isinstance(found, bytes):
            self._check(place, found)
            found = self._shown(place, found, options)
        return status, found

    def _check(self, place: Place, found: Any) -> None:
        """An answer, too, is as the contract says."""
        if place.type.startswith("Edm."):
            self.contract.check(place.type, found["value"])
            return
        of = re.sub(r"Collection\((.*)\)", r"\1", place.type)
        for each in found["value"] if isinstance(found, dict) and "value" in found else [found]:
            self.contract.check(of, each)

    @staticmethod
    def _shown(place: Place, found: Any, options: Mapping[str, str]) -> Any:
        """What was selected of an answer, and a page of many."""
        names = set(options.get("$select", "").split(",")) | {"id"}

        def select(each: dict[str, Any]) -> dict[str, Any]:
            if "$select" not in options:
                return {name: value for name, value in each.items() if name != "internetMessageHeaders"}
            return {name: value for name, value in each.items() if name in names}

        if place.action is not None:
            return found
        return {**found, "value": [select(each) for each in found["value"]]} if "value" in found else select(found)

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
        item = Item(self._id(), folder, asked.sent, datetime.now(UTC), is_draft=True)
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

    def _import(self, token: str, headers: Mapping[str, str], sent: dict[str, str]) -> tuple[int, Any]:
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


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: Any) -> None:
        """A client that hangs up in the middle is no news."""


class _Handler(BaseHTTPRequestHandler):
    graph: ClassVar[Graph]
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # an answer is one write

    def log_message(self, *_: Any) -> None:
        """Nothing is logged."""

    def _any(self) -> None:
        graph, body = self.graph, self.rfile.read(int(self.headers.get("Content-Length") or 0))
        fault = ""
        if self.path.startswith(("/v1.0", "/importItem")):
            graph.requests.append((self.command, urlsplit(self.path).path))
            graph.meanwhile(len(graph.requests))
            fault = graph.faults.pop(len(graph.requests), "")
        if fault == "lost before":
            self._hang_up()
            return
        try:
            status, found = graph.answer(self.command, self.path, self.headers, body, fault)
            headers = {}
            if fault == "503 after":
                status, found = 503, {"error": {"code": "ServiceUnavailable"}}
        except Refused as error:
            status, headers = error.status, error.headers
            found = {"error": {"code": error.code, "message": f"for {self.path}"}}
            graph.contract.check("publicErrorResponse", found)
        if fault == "lost after":
            self._hang_up()
        else:
            self._say(status, found, headers)

    do_GET = do_POST = do_PATCH = do_DELETE = _any  # noqa: N815 - http.server's names

    def _hang_up(self) -> None:
        self.close_connection = True
        with suppress(OSError):
            self.connection.unwrap()
        self.connection.close()

    def _say(self, status: int, found: Any, headers: Mapping[str, str]) -> None:
        told = found if isinstance(found, bytes) else b"" if found is None else json.dumps(found).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(told)))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(told)


@contextmanager
def graph(fidelity: str = "full") -> Iterator[Graph]:
    """A Microsoft Graph of the test's own; in the end, whatever was not in the contract is an error."""
    with tempfile.TemporaryDirectory(prefix="graph-") as home:
        found = Graph(Path(home), fidelity)
        found.start()
        try:
            yield found
        finally:
            found.stop()
        assert not found.broken, found.broken
