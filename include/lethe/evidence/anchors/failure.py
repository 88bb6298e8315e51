"""What went wrong outside, in words of our own: what a server or a library says may hold addresses and logins."""

from __future__ import annotations

import os
import socket
import ssl
from collections.abc import Iterator

from lethe.errors import AnchorUnreachable


def unreachable(name: str, found: str, remedy: str) -> AnchorUnreachable:
    """The error of an anchor: what was found, and what to do."""
    return AnchorUnreachable(f"anchor {name}: {found}; {remedy}")


def in_words(error: BaseException) -> str:
    """The first of an error's causes that is known, else the name of its class."""
    return next(filter(None, map(_known, _causes(error))), type(error).__name__)


def _known(error: BaseException) -> str | None:
    if isinstance(error, ssl.SSLCertVerificationError):
        return "the certificate of its server is not trusted here, or is for another name"
    if isinstance(error, ssl.SSLError):
        return "TLS could not be agreed on with its server"
    if isinstance(error, socket.gaierror):
        return "the name of its server is not known here"
    if isinstance(error, TimeoutError):
        return "no answer in time"
    # Those of smtplib and of some storages put an answer's code or text where the number of an error belongs.
    if type(error).__module__ == "builtins" and isinstance(error, OSError) and error.errno:
        return os.strerror(error.errno).lower()
    return None


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
