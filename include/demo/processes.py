"""Background processes of the demo: each leads a session, so that it can be ended with everything it started."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil

GRACE_SECONDS = 8.0


_CHILDREN: list[subprocess.Popen[bytes]] = []
"""They outlive whoever started them here: another view of the same environment may end them."""


@dataclass
class Service:
    """One long-running program: its name, how it is started, and where its log and its pid file lie."""

    name: str
    command: tuple[str, ...]
    log: Path
    pid_file: Path

    def start(self, environment: Mapping[str, str], directory: Path) -> None:
        """Start the program in a session of its own and write down which process leads it."""
        with self.log.open("wb") as log:
            child = subprocess.Popen(
                self.command,
                cwd=directory,
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        _CHILDREN.append(child)
        born = psutil.Process(child.pid).create_time()
        self.pid_file.write_text(json.dumps({"pid": child.pid, "born": born}))

    def leader(self) -> psutil.Process | None:
        """Return the process that the pid file names; None when it ended, even if its number is in use again."""
        try:
            written = json.loads(self.pid_file.read_text())
            process = psutil.Process(written["pid"])
            same = abs(process.create_time() - written["born"]) < 1
        except (FileNotFoundError, psutil.NoSuchProcess, json.JSONDecodeError):
            return None
        return process if same and alive(process) else None

    def forget(self) -> None:
        """Remove the pid file of a process that has ended, and collect those of our children that have."""
        self.pid_file.unlink(missing_ok=True)
        _CHILDREN[:] = [child for child in _CHILDREN if child.poll() is None]

    def tail(self, lines: int = 15) -> str:
        """Return the last lines of the log, for an error message."""
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        return "\n".join(text.splitlines()[-lines:])

    def members(self) -> list[psutil.Process]:
        """Return every process of this service: its session, and children that left for a session of their own."""
        try:
            number = int(json.loads(self.pid_file.read_text())["pid"])
        except (FileNotFoundError, json.JSONDecodeError):
            return []
        leader = self.leader()
        # A session outlives its leader, but its number is not given to a new process as long as one member lives.
        if leader is None and psutil.pid_exists(number):
            return []
        children = leader.children(recursive=True) if leader else []
        found = {process.pid: process for process in [*_session(number), *children]}
        return [process for process in found.values() if alive(process)]


def stop(services: Iterable[Service]) -> list[int]:
    """End the services and all they started, politely first; return the ids of processes that would not go."""
    services = list(services)
    members = [process for service in services for process in service.members()]
    _signal(members, signal.SIGTERM)
    stubborn = _wait(members, GRACE_SECONDS)
    late = [process for service in services for process in service.members()]
    _signal([*stubborn, *late], signal.SIGKILL)
    left = _wait([*stubborn, *late], GRACE_SECONDS)
    for service in services:
        service.forget()
    return sorted({process.pid for process in left})


def alive(process: psutil.Process) -> bool:
    """Tell whether a process still runs; one that has ended and waits to be collected by its parent does not."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _wait(processes: list[psutil.Process], seconds: float) -> list[psutil.Process]:
    deadline = time.monotonic() + seconds
    while (left := [process for process in processes if alive(process)]) and time.monotonic() < deadline:
        time.sleep(0.05)
    return left


def _session(number: int) -> list[psutil.Process]:
    return [process for process in psutil.process_iter() if _session_of(process.pid) == number]


def _session_of(pid: int) -> int | None:
    try:
        return os.getsid(pid)
    except (ProcessLookupError, PermissionError):
        return None


def _signal(processes: Iterable[psutil.Process], number: signal.Signals) -> None:
    for process in processes:
        try:
            process.send_signal(number)
        except psutil.NoSuchProcess:
            continue
