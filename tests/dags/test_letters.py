"""Findings are told to the role that answers, once, weekly while they are open: by real SMTP and HTTP servers."""

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from datetime import timedelta
from email import message_from_bytes, policy
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from aiosmtpd.controller import Controller
from airflow.sdk.exceptions import AirflowException

from faults import ACTIVITY, NOW, SCHEMA, again, wait_until
from lethe import checking, clock
from lethe.run import Lethe
from lethe.sql import script
from lethe_airflow import letters, webhook

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

    def tell(days: int = 0) -> None:
        with monkeypatch.context() as context:
            context.setattr(clock, "now", lambda: NOW + timedelta(days=days))
            letters.letters.function()

    def run(days: int = 0) -> None:
        found = checking.look(lethe, "crm", NOW.date())
        lethe.state.checked(lethe.policy, found, f"{days:032x}")
        tell(days)

    run.lethe, run.again = lethe, tell
    return run


def ours(caplog: pytest.LogCaptureFixture) -> str:
    """What the task wrote into its log; the mail server writes into another."""
    return "".join(record.getMessage() for record in caplog.records if record.name != "mail.log")


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
    with pytest.raises(AirflowException, match="not told: privacy-officer by mail; see"):
        send()
    assert "SMTPDataError" in ours(caplog)
    assert "kari" not in ours(caplog)
    assert OFFICER not in ours(caplog)
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


class Chat(ThreadingHTTPServer):
    """Takes what is posted, or answers something else."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Posted)
        self.taken, self.asked, self.status = [], 0, 200


class _Posted(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        """Whether it is taken."""
        chat, body = self.server, self.rfile.read(int(self.headers["Content-Length"]))
        chat.asked += 1
        if chat.status == 200:
            chat.taken.append((self.path, self.headers["Authorization"], json.loads(body)))
        self.send_response(chat.status)
        self.send_header("Location", "/elsewhere")
        self.end_headers()
        self.wfile.write(b"kari@fjordvik.example said so")

    def do_GET(self) -> None:
        """What follows a redirection of a POST."""
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_) -> None:
        """Nothing."""


SECRET = "T0LETHE-b0gus"


@pytest.fixture
def chat(send, monkeypatch: pytest.MonkeyPatch) -> Iterator[Chat]:
    """A chat that the officer has besides a mailbox."""
    server = Chat()
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    host = f"http://127.0.0.1:{server.server_port}/services/{SECRET}"
    told = {"conn_type": "http", "host": host, "extra": {"Authorization": "Bearer bogus"}}
    monkeypatch.setenv("AIRFLOW_CONN_LETHE_CHAT", json.dumps(told))
    notify(send, OFFICER, "webhook:lethe_chat")
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def notify(send, *places: str) -> None:
    object.__setattr__(send.lethe.policy.organisation, "notify", {"privacy-officer": places})


def told_of(chat: Chat) -> list[list[str]]:
    return [[each["subject"] for each in document["findings"]] for *_, document in chat.taken]


def test_a_webhook_gets_it_for_people_and_for_programs_and_no_value(send, mailbox: Mailbox, chat: Chat) -> None:
    send()
    ((path, authorization, document),) = chat.taken
    assert (path, authorization) == (f"/services/{SECRET}", "Bearer bogus")
    (known,) = send.lethe.state.findings.known()
    words = "ex-customers: utløpte opplysninger finnes fortsatt"
    assert document["text"].splitlines() == [
        "Lethe: åpne funn (1)",
        "Dette har de daglige kontrollene å utsette, og du har ansvaret for det:",
        f"- alarm: crm: {words} (58 rows), siden {known.opened_at.date()}",
        "Det meldes hver uke så lenge det er åpent. `lethe findings` viser alle.",
    ]
    assert (document["role"], document["findings"]) == (
        "privacy-officer",
        [
            {
                "id": known.id, "store": "crm", "kind": "remaining", "severity": "alarm", "subject": "ex-customers",
                "detail": "58 rows", "role": "privacy-officer", "words": words,
                "opened_at": known.opened_at.isoformat(),
            }
        ],
    )  # fmt: skip
    assert "Kunde" not in json.dumps(document)


def test_each_channel_is_told_once_and_again_each_week(send, mailbox: Mailbox, chat: Chat) -> None:
    for days, times in ((0, 1), (1, 1), (6, 1), (7, 2), (8, 2)):
        send(days)
        assert (len(mailbox.taken), len(chat.taken)) == (times, times), days


@pytest.mark.parametrize("status", [500, 404, 301, 302, 307])
def test_what_a_webhook_did_not_take_it_alone_is_told_at_the_retry(
    send, mailbox: Mailbox, chat: Chat, caplog, capfd, status: int
) -> None:
    chat.status = status
    with pytest.raises(AirflowException, match="not told: privacy-officer by webhook:lethe_chat; see") as failed:
        send()
    assert (len(mailbox.taken), chat.asked, chat.taken) == (1, 1, [])
    assert f"it answered {status}" in ours(caplog)
    chat.status = 200
    send.again()
    send.again()
    assert (len(mailbox.taken), told_of(chat)) == (1, [["ex-customers"]])
    said = ours(caplog) + str(failed.getrepr(chain=True)) + "".join(capfd.readouterr())  # where Airflow's own logs go
    assert not [secret for secret in (SECRET, "Bearer", "kari", OFFICER) if secret in said]


def test_what_the_mail_server_did_not_take_goes_by_mail_alone_at_the_retry(send, mailbox, chat: Chat) -> None:
    mailbox.refuses = True
    with pytest.raises(AirflowException, match="not told: privacy-officer by mail; see"):
        send()
    assert (len(mailbox.taken), len(chat.taken)) == (0, 1)
    mailbox.refuses = False
    send.again()
    assert (len(mailbox.taken), len(chat.taken)) == (1, 1)


def test_each_channel_has_weeks_of_its_own(send, mailbox: Mailbox, chat: Chat) -> None:
    chat.status = 500
    with pytest.raises(AirflowException):
        send()
    chat.status = 200
    for days, mails, posts in ((2, 1, 1), (7, 2, 1), (8, 2, 1), (9, 2, 2)):
        send(days)
        assert (len(mailbox.taken), len(chat.taken)) == (mails, posts), days


def test_a_webhook_that_nobody_answers_at_tells_nothing_of_its_secret(
    send, mailbox: Mailbox, chat: Chat, monkeypatch, caplog, capfd
) -> None:
    told = {"conn_type": "http", "host": f"http://127.0.0.1:1/services/{SECRET}"}
    monkeypatch.setenv("AIRFLOW_CONN_LETHE_CHAT", json.dumps(told))
    with pytest.raises(AirflowException, match="by webhook:lethe_chat") as failed:
        send()
    assert "not sent: ConnectionError" in ours(caplog)
    assert SECRET not in ours(caplog) + str(failed.getrepr(chain=True)) + "".join(capfd.readouterr())


def test_a_webhook_that_says_nothing_is_given_up(send, mailbox: Mailbox, chat: Chat, monkeypatch, caplog) -> None:
    monkeypatch.setattr(webhook, "SECONDS", 0.2)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        told = {"conn_type": "http", "host": "127.0.0.1", "port": silent.getsockname()[1]}
        monkeypatch.setenv("AIRFLOW_CONN_LETHE_CHAT", json.dumps(told))
        with pytest.raises(AirflowException, match="by webhook:lethe_chat"):
            send()
    assert "not sent: ReadTimeout" in ours(caplog)


def test_a_connection_that_airflow_does_not_have_is_not_told(send, mailbox: Mailbox, chat: Chat, caplog) -> None:
    notify(send, "webhook:nowhere")
    with pytest.raises(AirflowException, match="not told: privacy-officer by webhook:nowhere; see"):
        send()
    assert "not sent: AirflowNotFoundException" in ours(caplog)


def test_a_role_can_have_webhooks_only_and_one_twice_is_one(send, mailbox: Mailbox, chat: Chat) -> None:
    notify(send, "webhook:lethe_chat", "webhook:lethe_chat")
    send()
    assert (mailbox.taken, told_of(chat)) == ([], [["ex-customers"]])


def test_two_that_tell_at_once_tell_it_once(send, mailbox: Mailbox) -> None:
    """The second waits until the first has sent, and then sees that it is told."""
    lethe, posted = send.lethe, []
    lethe.state.checked(lethe.policy, checking.look(lethe, "crm", NOW.date()), "a" * 32)

    def slow(known) -> None:
        posted.append("first")
        other.start()
        query = "SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype = 'advisory'"
        wait_until(lambda: lethe.state_database.one(query))

    def second() -> None:
        with again(lethe) as opened:
            opened.state.findings.tell("privacy-officer", "mail", NOW, lambda _: posted.append("second"))

    other = threading.Thread(target=second)
    assert lethe.state.findings.tell("privacy-officer", "mail", NOW, slow) == 1
    other.join()
    assert posted == ["first"]


def test_a_register_from_before_webhooks_keeps_what_was_mailed(send, mailbox: Mailbox, chat: Chat) -> None:
    """The script of lethe_state is run anew over a database in which a finding had one moment of telling."""
    send()
    database = send.lethe.state_database
    database.run(
        "ALTER TABLE lethe.finding ADD told_at timestamptz;"
        f"UPDATE lethe.finding SET told_at = '{NOW.isoformat()}'; DROP TABLE lethe.told"
    )
    for _ in range(2):
        database.run(script("store") + script("state"))
    send(1)
    assert (len(mailbox.taken), len(chat.taken)) == (1, 2)
    send(7)
    assert (len(mailbox.taken), len(chat.taken)) == (2, 2)
