"""Real processes are started and ended; nothing of them may be left, however they behave."""

import sys
import time
from pathlib import Path

import psutil
import pytest

from demo import processes
from demo.processes import Service, alive, stop

CHILD_WITH_A_SESSION_OF_ITS_OWN = """
import subprocess, sys, time
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], start_new_session=True)
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
print("started", flush=True)
time.sleep(60)
"""
DEAF = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("started", flush=True)
time.sleep(60)
"""


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "GRACE_SECONDS", 0.5)


def started(directory: Path, program: str) -> Service:
    service = Service("one", (sys.executable, "-c", program), directory / "log", directory / "pid")
    service.start({}, directory)
    deadline = time.monotonic() + 10
    while "started" not in service.tail():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return service


def test_stopping_ends_children_even_those_with_a_session_of_their_own(tmp_path: Path) -> None:
    service = started(tmp_path, CHILD_WITH_A_SESSION_OF_ITS_OWN)
    members = service.members()
    assert len(members) == 3
    assert stop([service]) == []
    assert not any(alive(process) for process in members)


def test_stopping_ends_a_process_that_ignores_the_polite_signal(tmp_path: Path) -> None:
    service = started(tmp_path, DEAF)
    (process,) = service.members()
    assert stop([service]) == []
    assert not alive(process)


def test_children_of_a_killed_leader_are_still_found(tmp_path: Path) -> None:
    service = started(tmp_path, CHILD_WITH_A_SESSION_OF_ITS_OWN)
    leader = service.leader()
    assert leader is not None
    apart = [child for child in leader.children() if processes._session_of(child.pid) == child.pid]
    leader.kill()
    leader.wait()
    assert service.leader() is None
    (orphan,) = service.members()
    assert stop([service]) == []
    assert not alive(orphan)
    # What left the session before its parent was killed cannot be told from a stranger: it is the test's to end.
    for process in apart:
        process.kill()


def test_a_pid_file_of_a_process_long_gone_names_nothing(tmp_path: Path) -> None:
    mine = psutil.Process()
    service = Service("one", ("unused",), tmp_path / "log", tmp_path / "pid")
    service.pid_file.write_text(f'{{"pid": {mine.pid}, "born": {mine.create_time() - 60}}}')
    assert service.leader() is None
    assert service.members() == []


def test_a_service_that_was_never_started_is_stopped_without_complaint(tmp_path: Path) -> None:
    assert stop([Service("one", ("unused",), tmp_path / "log", tmp_path / "pid")]) == []
