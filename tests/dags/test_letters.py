"""Mail about findings: to the role that answers, once, weekly while they are open, through a real SMTP server."""

import json
import socket
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from datetime import timedelta
from email import message_from_bytes, policy

import pytest
from aiosmtpd.controller import Controller
from airflow.sdk.exceptions import AirflowException

from faults import ACTIVITY, NOW, SCHEMA
from lethe import checking, clock
from lethe.run import Lethe
from lethe_airflow import letters

OFFICER, OTHER = "ombud@fjordvik.example", "drift@fjordvik.example"


class Mailbox:
    """Takes mail, or nothing."""

    def __init__(self) -> None:
        self.taken, self.refuses = [], False

    async def handle_DATA(self, _, __, envelope) -> str:  # noqa: N802 - aiosmtpd names it
        """Whether the content is taken."""
        if self.refuses:
            return "452 not now, kari@fjordvik.example"
        self.taken.append(envelope)
        return "250 OK"


@pytest.fixture
def mailbox(monkeypatch: pytest.MonkeyPatch) -> Iterator[Mailbox]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    box = Mailbox()
    server = Controller(box, "127.0.0.1", port)
    extra = {"disable_ssl": True, "disable_tls": True, "from_email": "lethe@fjordvik.example", "retry_limit": 1}
    told = {"conn_type": "smtp", "host": "127.0.0.1", "port": port, "extra": extra}
    monkeypatch.setenv("AIRFLOW_CONN_SMTP_DEFAULT", json.dumps(told))
    server.start()
    yield box
    server.stop()


@pytest.fixture
def send(open_lethe, monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Check the store, then run the task as of so many days later."""
    lethe: Lethe = open_lethe(ACTIVITY, SCHEMA)
    object.__setattr__(lethe.policy.organisation, "notify", {"privacy-officer": (OFFICER,), "somebody-else": (OTHER,)})
    monkeypatch.setattr(letters, "lethe_at_work", lambda: nullcontext(lethe))

    def run(days: int = 0) -> None:
        found = checking.look(lethe, "crm", NOW.date())
        lethe.state.checked(lethe.policy, found, f"{days:032x}")
        with monkeypatch.context() as context:
            context.setattr(clock, "now", lambda: NOW + timedelta(days=days))
            letters.letters.function()

    run.lethe = lethe
    return run


def test_its_role_is_told_once_and_again_each_week_while_it_is_open(send, mailbox: Mailbox) -> None:
    for days, mails in ((0, 1), (1, 1), (6, 1), (7, 2), (8, 2), (14, 3)):
        send(days)
        assert len(mailbox.taken) == mails, days
    send.lethe.database.run("DELETE FROM customer WHERE ended_on < '2025-01-01'; INSERT INTO customer VALUES (1000)")
    send(30)
    assert len(mailbox.taken) == 3


def test_it_says_what_where_and_since_when_and_no_value(send, mailbox: Mailbox) -> None:
    send()
    (envelope,) = mailbox.taken
    message = message_from_bytes(envelope.content, policy=policy.default)
    assert (envelope.rcpt_tos, message["Subject"]) == ([OFFICER], "Lethe: åpne funn (1)")
    text = message.get_body().get_content()
    opened = send.lethe.state.findings.known()[0].opened_at.date()
    assert f"alarm: crm: ex-customers: utløpte opplysninger finnes fortsatt (58 rows), siden {opened}" in text
    assert "Kunde" not in text


def test_what_the_server_does_not_take_is_told_next_time(send, mailbox: Mailbox, caplog) -> None:
    mailbox.refuses = True
    with pytest.raises(AirflowException, match="no mail to privacy-officer"):
        send()
    ours = "".join(record.getMessage() for record in caplog.records if record.name != "mail.log")  # the server's
    assert "SMTPDataError" in ours
    assert "kari" not in ours
    assert OFFICER not in ours
    mailbox.refuses = False
    send(1)
    assert len(mailbox.taken) == 1


def test_a_new_finding_is_told_without_those_that_were(send, mailbox: Mailbox) -> None:
    send()
    send.lethe.database.run("CREATE TABLE patient (email text); GRANT SELECT ON patient TO lethe_worker")
    send(1)
    text = message_from_bytes(mailbox.taken[1].content, policy=policy.default).get_body().get_content()
    assert "public.patient" in text
    assert "ex-customers" not in text
