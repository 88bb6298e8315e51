"""What went wrong outside, in words of our own: what a server or a library says may hold addresses and logins."""

from __future__ import annotations

import errno
import os
import socket
import ssl
from collections.abc import Iterator

_NUMBERS: dict[type, int] = {FileNotFoundError: errno.ENOENT, PermissionError: errno.EACCES}
"""Of errors that storages raise without a number."""


def in_words(error: BaseException, otherwise: str | None = None) -> str:
    """The first of an error's causes that is known; `otherwise`, or the name of its class, when none is."""
    return next(filter(None, map(_known, _causes(error))), otherwise or type(error).__name__)


def _known(error: BaseException) -> str | None:
    if isinstance(error, ssl.SSLCertVerificationError):
        return "the certificate of its server is not trusted here, or is for another name"
    if isinstance(error, ssl.SSLError):
        return "TLS could not be agreed on with its server"
    if isinstance(error, socket.gaierror):
        return "the name of its server is not known here"
    if isinstance(error, UnicodeError):  # it holds the text itself, and that may be a password
        return "its host or its login has characters that cannot be sent"
    if isinstance(error, TimeoutError):
        return "no answer in time"
    number = getattr(error, "errno", None) or _NUMBERS.get(type(error))
    return os.strerror(number).lower() if isinstance(number, int) else None  # some libraries put a text there


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
