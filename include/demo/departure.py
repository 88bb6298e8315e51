"""An employee leaves, in the demo: HR starts it, the manager approves, and every message is looked for afterwards.

The directory says that yesterday was the last day. HR's word that the employee has answered ends the notice, so what
takes weeks elsewhere comes to the hand-over in a minute; the deletion waits for its day, as it must.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from demo.airflow_client import AirflowClient
from demo.planted.mail import ADDRESSES, FOLDERS, LEAVER, MANAGER, RECIPIENT, planted
from lethe import clock
from lethe.offboarding.platform import Mailbox, Platform
from lethe.run import Lethe

DAG = "offboard_mailbox"
KARI, PER = Mailbox(ADDRESSES[LEAVER]), Mailbox(ADDRESSES[RECIPIENT])
LETTERS = 2
"""To the employee and to the manager, before anything happens."""


def start(hr: AirflowClient, last_day: str) -> str:
    """Fill in HR's form; the run."""
    form: Mapping[str, object] = {
        "employee": LEAVER,
        "last_day": last_day,
        "manager": MANAGER,
        "recipients": [RECIPIENT],
        "folders": list(FOLDERS),
        "language": "nb",
    }
    return hr.trigger(DAG, form)


def to_the_hand_over(hr: AirflowClient, manager: AirflowClient, run: str, seconds: float) -> str:
    """Answer what HR and the manager are asked, until the messages are handed over; the task's state."""
    hr.answer(_asked(hr, run, "answer", seconds), "The employee has answered")
    manager.answer(_asked(manager, run, "ask_manager", seconds), "Approve")
    for name in ("page", "phone"):
        hr.answer(_asked(hr, run, name, seconds), "Done")
    deadline = time.monotonic() + seconds
    while (state := _state(hr, run, "conclude")) not in ("success", "failed", "upstream_failed", "skipped"):
        if time.monotonic() > deadline:
            return f"not there after {seconds:.0f} s ({state})"
        time.sleep(0.5)
    return str(state)


def _asked(client: AirflowClient, run: str, task: str, seconds: float) -> Mapping[str, Any]:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        for each in client.approvals(DAG, run):
            if each["task_instance"]["task_id"] == task:
                return each
        time.sleep(0.3)
    states = {each["task_id"]: each["state"] for each in client.tasks(DAG, run) if each["state"]}
    raise TimeoutError(f"{task} of {DAG} did not ask after {seconds:.0f} s: {states}")


def _state(client: AirflowClient, run: str, task: str) -> str | None:
    states: dict[str, str | None] = {each["task_id"]: each["state"] for each in client.tasks(DAG, run)}
    return states[task]


def numbers(lethe: Lethe) -> Mapping[str, int]:
    """How many messages came to what, as evidence has it."""
    (departure,) = lethe.state.departures.all()
    return lethe.state.departures.counts(departure.id, "chosen")


def wrong(platform: Platform, letters: Path) -> Iterator[str]:
    """What is not as it must be, in numbers, looked at on the mail platform itself."""
    mail = planted(clock.now())  # when they came is not looked at here
    folders = [each.path for each in platform.folders(PER) if each.messages]
    arrived = Counter(
        (platform.read(PER, folder, each.ref), each.flags) for folder in folders for each in platform.look(PER, folder)
    )
    if arrived != Counter((each.message, each.flags) for each in mail if each.fate == "chosen"):
        yield f"{arrived.total()} messages arrived, and not those that should have, byte for byte with their flags"
    left = sum(each.messages for each in platform.folders(KARI))
    if left != len(mail):
        yield f"{left} messages are in the mailbox of who left, expected {len(mail)} until it is deleted"
    if platform.account(KARI).may_sign_in:
        yield "who left can still sign in"
    if (sent := len(list(letters.rglob("new/*")))) != LETTERS:
        yield f"{sent} letters were sent, expected {LETTERS}"
