"""Stands between one process and its PostgreSQL: sees its transactions, and cuts a connection exactly at a COMMIT."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from threading import Event, Lock, Thread
from types import TracebackType
from typing import BinaryIO, Literal, Self

Cut = Literal["lost", "unanswered"]
"""Before the server hears of the COMMIT, or after it has carried it out and before the client hears of that."""


class Proxy:
    """Listens on a free port of 127.0.0.1 and hands on to the server's port; sslmode and gssencmode must be disable."""

    def __init__(self, server: int) -> None:
        self._server = server
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.commits = 0
        """COMMITs that were answered."""
        self.broken = 0
        """Transactions that were open when their connection ended."""
        self._links: set[_Link] = set()
        self._lock = Lock()
        self._ordered: tuple[Cut, Event] | None = None
        self._acceptor = Thread(target=self._accept, daemon=True)
        self._acceptor.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes who waits for the next client
        self._acceptor.join()
        self._listener.close()
        for link in self._open():
            link.end()
        for link in self._open():
            link.join()

    def cut(self, how: Cut) -> Event:
        """Cut at the next COMMIT; the event is set when that has happened."""
        happened = Event()
        with self._lock:
            self._ordered = (how, happened)
        return happened

    def connected(self) -> bool:
        """Whether a client is connected."""
        return bool(self._open())

    def amid(self) -> bool:
        """Whether a transaction is open."""
        return any(link.is_amid for link in self._open())

    def answered(self) -> None:
        """A COMMIT came through."""
        with self._lock:
            self.commits += 1

    def ordered(self) -> tuple[Cut, Event] | None:
        """The cut that was asked for, to be made once."""
        with self._lock:
            taken, self._ordered = self._ordered, None
            return taken

    def ended(self, link: _Link, *, amid: bool) -> None:
        """A connection ended, perhaps amid a transaction."""
        with self._lock:
            self.broken += amid
            self._links.discard(link)

    def _open(self) -> list[_Link]:
        with self._lock:
            return list(self._links)

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                try:
                    server = socket.create_connection(("127.0.0.1", self._server))
                except OSError:
                    client.close()
                    continue
                link = _Link(self, client, server)
                with self._lock:
                    self._links.add(link)
                link.start()


class _Link:
    """One connection: a thread for each direction, ended together."""

    def __init__(self, proxy: Proxy, client: socket.socket, server: socket.socket) -> None:
        self._proxy, self._client, self._server = proxy, client, server
        self._amid = False
        """Whether a transaction was begun whose end the client has not heard of."""
        self._ending = False
        """Whether its COMMIT is on its way."""
        self._withheld: Event | None = None
        self._threads = [Thread(target=run, daemon=True) for run in (self._from_client, self._from_server)]
        self._left = len(self._threads)
        self._lock = Lock()

    @property
    def is_amid(self) -> bool:
        """Whether a transaction was begun whose end the client has not heard of."""
        return self._amid

    def start(self) -> None:
        """Hand on from now on, each message at once."""
        for side in (self._client, self._server):
            with suppress(OSError):
                side.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for thread in self._threads:
            thread.start()

    def end(self) -> None:
        """Neither side hears from the other any more."""
        for side in (self._client, self._server):
            with suppress(OSError):
                side.shutdown(socket.SHUT_RDWR)

    def join(self) -> None:
        """Wait until both directions have ended."""
        for thread in self._threads:
            thread.join()

    def _from_client(self) -> None:
        with self._ending_both(), closing(self._client.makefile("rb")) as stream:
            for message in _messages(stream):
                if message.startswith(b"Q") and not self._sees(message[5:].rstrip(b"\0")):
                    return
                self._server.sendall(message)

    def _sees(self, command: bytes) -> bool:
        """Follow the transaction; False when the connection is to end here, before the server hears of it."""
        if command == b"COMMIT":
            how, happened = self._proxy.ordered() or ("", Event())
            if how == "lost":
                happened.set()
                return False
            self._withheld = happened if how == "unanswered" else None
            self._ending = True
        elif command.startswith(b"BEGIN"):
            self._amid = True
        elif command == b"ROLLBACK":
            self._amid = False
        return True

    def _from_server(self) -> None:
        with self._ending_both():
            while data := self._server.recv(65536):
                if self._withheld is not None:  # the answer is there, so the commit is done
                    self._withheld.set()
                    return
                if self._ending:
                    self._amid = self._ending = False
                    self._proxy.answered()
                self._client.sendall(data)

    @contextmanager
    def _ending_both(self) -> Iterator[None]:
        """A direction that ends takes the other with it, and the last one closes the door."""
        try:
            with suppress(OSError):  # that a connection breaks is nothing unusual here
                yield
        finally:
            self._leave()

    def _leave(self) -> None:
        self.end()
        with self._lock:
            self._left -= 1
            last = not self._left
        if last:
            self._client.close()
            self._server.close()
            self._proxy.ended(self, amid=self._amid)


def _messages(stream: BinaryIO) -> Iterator[bytes]:
    """The frontend's messages, whole: the first without a type, each other a type byte, a length, and so much more."""
    head = stream.read(4)
    while len(head) in (4, 5):
        rest = stream.read(int.from_bytes(head[-4:], "big") - 4)
        yield head + rest
        head = stream.read(5)
