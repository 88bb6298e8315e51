"""How long an anchor may take in all: a timeout begins anew with every byte that a server sends."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from threading import Thread
from typing import TypeVar

T = TypeVar("T")


def within(seconds: float, work: Callable[[], T]) -> T:
    """What `work` gives; TimeoutError when that takes longer, whatever it waits for: it is left behind then."""
    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as error:  # noqa: BLE001 - raised where it is waited for
            future.set_exception(error)

    Thread(target=run, daemon=True).start()  # no process waits for it at its end
    return future.result(seconds)
