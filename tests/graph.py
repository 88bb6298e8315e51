"""Microsoft 365 for tests: the demo's stand-in, held to the published contract, with faults.

Every path, property and value that a client sends, and every one that is answered, is looked up in the contract
(graph_contract.py); what it does not have is an error of the test.
"""

from __future__ import annotations

import html
import re
import secrets
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from email.message import Message
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import urlsplit
from uuid import uuid4

from demo import microsoft365
from demo.certificates import certify
from demo.configuration import CLIENT, TENANT
from demo.microsoft365 import Asked, Handler, Item, Microsoft365, Refused, User
from graph_contract import NOT_IN_IT, Broken, Contract
from lethe.offboarding.graph import GraphPlatform
from lethe.offboarding.graph_client import Settings
from lethe.offboarding.platform import Mailbox
from mailboxes import Given

PAGE, SECRET = microsoft365.PAGE, secrets.token_urlsafe()


class Graph(Microsoft365):
    """The stand-in; satisfies Bench. `faults` says what goes wrong at which request, `meanwhile` is called before."""

    def __init__(self, home: Path, fidelity: str = "full") -> None:
        certify(home)
        self.contract, self.broken = Contract(), list[str]()
        self.requests, self.faults = list[tuple[str, str]](), dict[int, str]()
        self.meanwhile: Callable[[int], None] = lambda _: None
        super().__init__(home, SECRET)
        self._thread = threading.Thread(target=self.serve)
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
        super().stop()
        self._thread.join()

    # ------------------------------------------------------------ Bench

    def create(self, given: Iterable[Given] = (), *, limit: int | None = None) -> Mailbox:
        """As Bench has it."""
        user = super().create(f"{uuid4().hex[:12]}@tindheim.example", limit)
        for each in given:
            self.given(user, each)
        return Mailbox(user.address)

    def given(self, user: User, given: Given) -> Item:
        """A message into a mailbox, as if it had come."""
        return self.put(user, given.message, given.folder, given.flags, given.received)

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

    # ------------------------------------------------------------ the contract, and what goes wrong

    def fail(self, fault: str) -> None:
        """What goes wrong before anything is looked at; Refused."""
        if fault == "expired":
            self._tokens.clear()
            self.end_imports()
        elif fault.isdigit():
            raise Refused(int(fault), "TooManyRequests", Retry_After="0")

    def _graph(
        self, method: str, path: list[str], options: dict[str, str], headers: Message, body: bytes
    ) -> tuple[int, Any]:
        try:
            return super()._graph(method, path, options, headers, body)
        except Broken as error:
            self.broken.append(f"{method} {'/'.join(path)}: {error}")
            raise Refused(400, "NotInTheContract") from None

    def _do(self, asked: Asked) -> tuple[int, Any]:
        if (asked.path[0], asked.path[2] if len(asked.path) > 2 else "") in NOT_IN_IT:
            return super()._do(asked)
        place = self.contract.walk(asked.path)
        if "$select" in asked.options:
            self.contract.select(place.type, asked.options["$select"])
        if "$orderby" in asked.options:
            self.contract.select(place.type, asked.options["$orderby"].removesuffix(" asc"))
        if place.action is not None:
            for name, value in (asked.sent or {}).items():
                if name not in place.action:
                    raise Broken(f"the action takes no {name}")
                self.contract.check(place.action[name], value)
        elif isinstance(asked.sent, dict):
            self.contract.check(place.type, asked.sent)
        status, found = super()._do(asked)
        if found is not None and not isinstance(found, bytes):
            self._check(place.type, found)
        return status, found

    def _check(self, of: str, found: Any) -> None:
        """An answer, too, is as the contract says."""
        if of.startswith("Edm."):
            self.contract.check(of, found["value"])
            return
        one = re.sub(r"Collection\((.*)\)", r"\1", of)
        for each in found.get("value", [found]):
            self.contract.check(one, each)


class Faulty(Handler):
    """A connection on which something goes wrong."""

    graph: ClassVar[Graph]  # type: ignore[misc]

    def asked(self) -> None:
        """Answer one request, or fail at it."""
        graph, fault = self.graph, ""
        if self.path.startswith(("/v1.0", "/importItem")):
            graph.requests.append((self.command, urlsplit(self.path).path))
            graph.meanwhile(len(graph.requests))
            fault = graph.faults.pop(len(graph.requests), "")
        self.fault = fault
        try:
            graph.fail(fault)
        except Refused as error:
            self._read()
            self.say(error.status, {"error": {"code": error.code}}, error.headers)
            return
        if fault == "lost before":
            self._read()
            self._hang_up()
        else:
            super().asked()

    def _read(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def say(self, status: int, found: Any, headers: Mapping[str, str]) -> None:
        """Send the answer, or none, or another."""
        if self.fault == "lost after":
            self._hang_up()
        elif self.fault == "503 after":
            super().say(503, {"error": {"code": "ServiceUnavailable"}}, {})
        else:
            if status >= 400 and self.path.startswith("/v1.0"):
                self.graph.contract.check("publicErrorResponse", found)
            super().say(status, found, headers)

    def _hang_up(self) -> None:
        self.close_connection = True
        with suppress(OSError):
            self.connection.unwrap()
        self.connection.close()


Graph.handler = Faulty


@contextmanager
def graph(fidelity: str = "full") -> Iterator[Graph]:
    """A Microsoft 365 of the test's own; in the end, whatever was not in the contract is an error."""
    with tempfile.TemporaryDirectory(prefix="graph-") as home:
        found = Graph(Path(home), fidelity)
        found.start()
        try:
            yield found
        finally:
            found.stop()
        assert not found.broken, found.broken
