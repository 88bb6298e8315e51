"""Microsoft Graph's own: turned away, cut off, tokens that end, pages that shift, and what is deleted for good."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import islice

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from demo.certificates import certify
from demo.microsoft365 import User
from graph import PAGE, Graph, graph
from graph_contract import Broken, Contract
from lethe.errors import StoreRefused, StoreUnreachable
from lethe.offboarding import graph_client
from lethe.offboarding.graph import GraphPlatform
from lethe.offboarding.handover import Route, hand_over
from lethe.offboarding.platform import Mailbox, MessageRefused, Reply
from lethe.offboarding.receipts import Handed
from mailboxes import RECEIVED, Given, as_found, as_sent, choose_all, letters, sent_from

INBOX, INTO = ("INBOX",), ("Overlevert fra Kari",)
HELLO = b"Subject: Hei\r\n\r\nHei\r\n"


@pytest.fixture(scope="module")
def shared() -> Iterator[Graph]:
    with graph() as found:
        yield found


@pytest.fixture
def mail(shared: Graph, monkeypatch: pytest.MonkeyPatch) -> Iterator[Graph]:
    """The stand-in, where nobody waits and nothing is wrong yet."""
    monkeypatch.setattr(graph_client, "sleep", lambda _: None)
    shared.users.clear()
    shared.deleted.clear()
    shared.requests.clear()
    yield shared
    shared.faults.clear()
    shared.meanwhile = lambda _: None


@contextmanager
def platform(mail: Graph, **change: object) -> Iterator[GraphPlatform]:
    with closing(GraphPlatform(replace(mail.settings, **change))) as found:
        yield found


# ------------------------------------------------------------ the contract


@pytest.mark.parametrize(
    ("path", "broken"),
    [
        (["users", "1", "mailFolders", "2", "childFolders"], None),
        (["users", "1", "mailFolders", "2", "messages", "3", "$value"], None),
        (["admin", "exchange", "mailboxes", "1", "exportItems"], None),
        (["directory", "deletedItems", "microsoft.graph.user"], None),
        (["users", "1", "messages", "2", "forward"], "message has no forward"),
        (["users", "1", "inbox"], "user has no inbox"),
        (["groups"], "groups is not in the contract"),
        (["admin", "exchange", "mailboxes", "1", "importItems"], "mailbox has no importItems"),
    ],
)
def test_a_path_is_in_the_contract_or_not(path: list[str], broken: str | None) -> None:
    if broken is None:
        Contract().walk(path)
    else:
        with pytest.raises(Broken, match=broken):
            Contract().walk(path)


@pytest.mark.parametrize(
    ("of", "value", "broken"),
    [
        ("message", {"isRead": True, "flag": {"flagStatus": "flagged"}, "categories": ["a"]}, None),
        ("message", {"isRead": "yes"}, "Edm.Boolean"),
        ("message", {"isSeen": True}, "message has no isSeen"),
        ("message", {"flag": {"flagStatus": "raised"}}, "followupFlagStatus"),
        ("message", {"receivedDateTime": "2026-01-01T00:00:00"}, "Edm.DateTimeOffset"),
        ("user", {"accountEnabled": False}, None),
        ("mailboxSettings", {"automaticRepliesSetting": {"externalAudience": "everybody"}}, "externalAudienceScope"),
    ],
)
def test_a_value_is_as_the_contract_says_or_not(of: str, value: object, broken: str | None) -> None:
    if broken is None:
        Contract().check(of, value)
    else:
        with pytest.raises(Broken, match=broken):
            Contract().check(of, value)


def test_what_is_asked_and_not_in_the_contract_is_noticed() -> None:
    with pytest.raises(AssertionError, match="message has no isSeen"):
        _ask_for_more()


def _ask_for_more() -> None:
    with graph() as mail:
        mailbox = mail.create([Given(HELLO)])
        (ref,) = mail.platform.refs(mailbox, INBOX)
        with pytest.raises(StoreRefused):
            mail.platform._client.change("users", mail.of(mailbox).id, "messages", ref, to={"isSeen": True})


# ------------------------------------------------------------ hand-over, whatever goes wrong


def test_a_mailbox_is_handed_over_byte_for_byte_with_all_that_exchange_keeps(mail: Graph, register: Handed) -> None:
    given = [*letters(PAGE * 3), Given(HELLO, flags=frozenset({"\\Seen", "\\Answered"}))]
    source, target = mail.create(given), mail.create([Given(HELLO, INTO)])
    assert choose_all(mail, register, source) == len(given)
    for _ in range(2):
        assert hand_over(mail.platform, register, Route(source, target, INTO)) == {"confirmed": len(given)}
    shown = [replace(each, flags=each.flags - {"\\Answered"}) for each in given]
    assert as_found(mail, target, INTO) == as_sent([*shown, Given(HELLO)])
    assert sum(each.is_answered for each in mail.of(target).items.values()) == 1
    assert len(mail.of(source).items) == len(given)


KINDS = ("429", "500", "503", "503 after", "504", "lost before", "lost after", "expired")
AT = (1, 4, 7, 12, 17, 18, 20, 24, 25, 26, 30, 34, 41, 48)


@pytest.mark.parametrize("at", AT)
@pytest.mark.parametrize("kind", KINDS)
def test_a_fault_anywhere_loses_nothing_and_doubles_nothing(mail: Graph, register: Handed, kind: str, at: int) -> None:
    """As soon as it is called again after it failed, if it fails: what can be asked for again is, at once."""
    given = letters(5, 200)
    source, target = mail.create(given), mail.create([Given(HELLO)])
    choose_all(mail, register, source)
    mail.requests.clear()
    mail.faults[at] = kind
    with platform(mail) as fresh:
        for _ in range(3):
            try:
                hand_over(fresh, register, Route(source, target, INTO))
            except StoreUnreachable:
                continue
            break
    assert not mail.faults, f"there were {len(mail.requests)} requests"
    assert register.counts() == {"confirmed": 5}
    assert as_found(mail, target, INTO) == as_sent(given)


@pytest.mark.parametrize("kind", KINDS)
def test_a_storm_of_faults_ends_and_nothing_is_lost(mail: Graph, register: Handed, kind: str) -> None:
    """Every third request for a while."""
    given = letters(6, 200)
    source, target = mail.create(given), mail.create()
    choose_all(mail, register, source)
    mail.requests.clear()
    mail.faults |= dict.fromkeys(range(2, 90, 3), kind)
    for _ in range(30):
        try:
            hand_over(mail.platform, register, Route(source, target, INTO))
        except StoreUnreachable:
            continue
        break
    mail.faults.clear()
    assert register.counts() == {"confirmed": 6}
    assert as_found(mail, target, INTO) == as_sent(given)


def test_it_waits_as_long_as_it_is_told_and_then_leaves_it_to_the_task(
    mail: Graph, monkeypatch: pytest.MonkeyPatch
) -> None:
    mailbox, waited = mail.create(), list[float]()
    mail.platform.account(mailbox)
    monkeypatch.setattr(graph_client, "sleep", waited.append)
    monkeypatch.setattr(graph_client, "_pause", lambda answer, number: 50.0)
    mail.requests.clear()
    mail.faults |= dict.fromkeys(range(1, 20), "429")
    with pytest.raises(StoreUnreachable, match="429 and asks to wait; try again later"):
        mail.platform.account(mailbox)
    assert waited == [50.0, 50.0], "no worker is held for long"
    assert len(mail.requests) == 3


def test_retry_after_is_what_is_waited(mail: Graph, monkeypatch: pytest.MonkeyPatch) -> None:
    import httpx

    waits = [graph_client._pause(httpx.Response(429, headers={"Retry-After": told}), 3) for told in ("17", "soon")]
    assert waits == [17.0, 4.0]


def test_an_address_to_import_to_that_has_ended_is_asked_for_anew(mail: Graph, register: Handed) -> None:
    given = letters(45, 100)
    source, target = mail.create(given), mail.create()
    choose_all(mail, register, source)
    ends = {3, 21, 22, 30}

    def end(_: int) -> None:
        there = len(mail.of(target).items)
        if there in ends:
            ends.remove(there)
            mail.end_imports()

    mail.meanwhile = end
    hand_over(mail.platform, register, Route(source, target, INTO))
    assert register.counts() == {"confirmed": 45}
    assert as_found(mail, target, INTO) == as_sent(given)


def test_what_moves_and_goes_while_it_is_copied_is_told_and_the_rest_arrives(mail: Graph, register: Handed) -> None:
    given = letters(3 * PAGE, 100)
    source, target = mail.create(given), mail.create()
    choose_all(mail, register, source)
    mail.requests.clear()
    items = mail.of(source).items
    first, _, moved = islice(items, 3)

    def meanwhile(number: int) -> None:
        if number == 25:
            items.pop(first, None)
            items[moved].folder = mail.of(source).well_known["deleteditems"]

    mail.meanwhile = meanwhile
    hand_over(mail.platform, register, Route(source, target, INTO))
    counts = register.counts()
    assert counts.total() == len(given)
    assert counts["confirmed"] >= len(given) - 2
    assert counts["gone"] + counts["refused"] + counts["confirmed"] == len(given)
    assert len(mail.of(target).items) == counts["confirmed"]


def test_pages_that_shift_hide_no_message(mail: Graph) -> None:
    """One that is deleted from the first page moves all later ones by one: the second page would begin too late."""
    mailbox = mail.create([Given(HELLO, received=RECEIVED + timedelta(hours=n)) for n in range(3 * PAGE)])
    mail.platform.folders(mailbox)
    user, mail_requests = mail.of(mailbox), mail.requests
    mail_requests.clear()
    first = next(iter(user.items))
    seen = []

    def meanwhile(number: int) -> None:
        if len(seen) == PAGE and first in user.items:
            del user.items[first]

    mail.meanwhile = meanwhile
    for each in mail.platform.look(mailbox, INBOX):
        seen.append(each.ref)  # noqa: PERF401 - meanwhile looks at it
    assert set(user.items) <= set(seen)
    assert len(seen) == len(set(seen))


def test_a_folder_that_never_holds_still_is_tried_again_later(mail: Graph) -> None:
    mailbox = mail.create([Given(HELLO)])
    mail.platform.folders(mailbox)
    mail.meanwhile = lambda _: mail.given(mail.of(mailbox), Given(HELLO))
    with pytest.raises(StoreUnreachable, match="changes faster"):
        mail.platform.refs(mailbox, INBOX)


def test_a_message_that_exchange_does_not_export_is_refused_and_told(mail: Graph, register: Handed) -> None:
    given = letters(4, 100)
    source, target = mail.create(given), mail.create()
    choose_all(mail, register, source)
    list(mail.of(source).items.values())[1].exports = False
    assert hand_over(mail.platform, register, Route(source, target, INTO)) == {"confirmed": 3, "refused": 1}


def test_where_nothing_can_be_imported_messages_go_as_mime(register: Handed) -> None:
    """Which makes drafts of today of them; their own dates stand in their headers."""
    given = letters(6, 100)
    with graph("mime") as mail:
        source, target = mail.create(given), mail.create()
        choose_all(mail, register, source)
        assert hand_over(mail.platform, register, Route(source, target, INTO)) == {"confirmed": 6}
        items = mail.of(target).items.values()
        assert sorted(each.mime for each in items) == sorted(each.message for each in given)
        assert all(each.is_draft for each in items)
        assert sum(each.is_read for each in items) == 2
        assert sum(each.is_flagged and each.categories == ["$Kunde"] for each in items) == 2
        assert not [path for _, path in mail.requests if "/admin/" in path or "/settings/" in path]


# ------------------------------------------------------------ signing in


def test_a_certificate_signs_in_too(mail: Graph, tmp_path) -> None:
    mailbox = mail.create()
    pem = tmp_path / "app.pem"
    pem.write_bytes(_certificate(rsa.generate_private_key(65537, 2048)))
    with platform(mail, secret=None, certificate=str(pem)) as found:
        assert found.account(mailbox).may_sign_in
    pem.write_bytes(_certificate(ec.generate_private_key(ec.SECP256R1())))
    with platform(mail, secret=None, certificate=str(pem)) as found, pytest.raises(StoreRefused, match="is not RSA"):
        found.account(mailbox)


def _certificate(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> bytes:
    name, now = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Lethe")]), datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now)
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    clear = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return made.public_bytes(Encoding.PEM) + clear


@pytest.mark.parametrize(
    ("content", "told"),
    [(None, "FileNotFoundError"), ("", "ValueError"), ("-----BEGIN CERTIFICATE-----\nx", "ValueError")],
)
def test_a_certificate_that_is_none_is_said(mail: Graph, tmp_path, content: str | None, told: str) -> None:
    pem = tmp_path / "app.pem"
    if content is not None:
        pem.write_text(content)
    with (
        platform(mail, secret=None, certificate=str(pem)) as found,
        pytest.raises(StoreRefused, match=told),
    ):
        found.account(Mailbox("kari@tindheim.example"))


def test_a_wrong_secret_and_a_tenant_that_is_none_are_said(mail: Graph) -> None:
    mailbox = mail.create()
    with platform(mail, secret="wrong") as found, pytest.raises(StoreRefused, match="invalid_client"):
        found.account(mailbox)
    with platform(mail, tenant="nobody.example") as found, pytest.raises(StoreRefused, match="does not sign"):
        found.account(mailbox)


def test_a_certificate_of_somebody_else_is_refused_with_what_to_do(mail: Graph, tmp_path) -> None:
    mailbox = mail.create()
    certify(tmp_path)
    with (
        platform(mail, ca=str(tmp_path / "ca.pem")) as found,
        pytest.raises(StoreRefused, match="certificate of Microsoft Graph is not trusted"),
    ):
        found.account(mailbox)


def test_a_server_that_is_down_is_tried_again_and_nothing_is_called_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graph_client, "sleep", lambda _: None)
    with graph() as mail:
        mailbox = mail.create([Given(HELLO)])
        mail.platform.account(mailbox)
        mail._server.shutdown()
        mail._server.server_close()
        with closing(GraphPlatform(mail.settings)) as fresh:
            for ask in (fresh.folders, fresh.left, fresh.delete, fresh.block):
                with pytest.raises(StoreUnreachable, match="try again"):
                    ask(mailbox)


def test_a_permission_that_is_missing_is_said_with_where_to_look(mail: Graph) -> None:
    mailbox = mail.create()
    mail.platform.account(mailbox)
    mail.requests.clear()
    mail.faults[1] = "403"
    with pytest.raises(StoreRefused, match="permissions the application needs in docs"):
        mail.platform.block(mailbox)


# ------------------------------------------------------------ accounts


def test_two_accounts_with_one_address_are_left_alone(mail: Graph) -> None:
    mailbox = mail.create([Given(HELLO)])
    twin = User("e0643f21-0000-4000-8000-000000000001", mailbox)
    mail.users[twin.id] = twin
    for ask in (mail.platform.block, mail.platform.delete, mail.platform.folders):
        with pytest.raises(StoreRefused, match="2 accounts with one address"):
            ask(mailbox)
    assert len(mail.users) == 2


def test_an_address_with_a_quote_is_asked_for_as_it_is(mail: Graph) -> None:
    mail.users.clear()
    mailbox = mail.create()
    mail.of(mailbox).address = "o'brien@tindheim.example"
    assert mail.platform.account(Mailbox("o'brien@tindheim.example")).may_sign_in


def test_another_who_had_the_address_and_can_be_restored_is_not_removed(mail: Graph) -> None:
    mailbox = mail.create([Given(HELLO)])
    earlier = User("e0643f21-0000-4000-8000-000000000002", mailbox)
    mail.deleted[earlier.id] = earlier
    with pytest.raises(StoreRefused, match="lies among the deleted ones"):
        mail.platform.delete(mailbox)
    assert len(mail.of(mailbox).items) == 1
    assert earlier.id in mail.deleted
    assert len(mail.platform.left(mailbox)) == 3


@pytest.mark.parametrize("at", range(1, 28, 2))
@pytest.mark.parametrize("kind", ["lost before", "lost after", "503", "503 after"])
def test_a_deletion_that_is_stopped_goes_on(mail: Graph, monkeypatch: pytest.MonkeyPatch, kind: str, at: int) -> None:
    mailbox, other = mail.create([Given(HELLO), Given(HELLO, ("Kunder",))]), mail.create([Given(HELLO)])
    mail.given(mail.of(mailbox), Given(HELLO)).folder = mail.of(mailbox).well_known["recoverableitemsdeletions"]
    items = mail.of(mailbox).items
    monkeypatch.setattr(graph_client, "TRIES", 1)  # stopped, not waited for
    mail.requests.clear()
    mail.faults[at] = kind
    with platform(mail) as found:
        for _ in range(2):
            try:
                found.delete(mailbox)
            except StoreUnreachable:
                continue
            break
        assert not mail.faults, f"there were {len(mail.requests)} requests"
        assert found.left(mailbox) == ()
    assert items == {}
    assert not mail.deleted
    assert [each.address for each in mail.users.values()] == [other]


def test_an_account_that_was_deleted_and_can_be_restored_is_told_and_goes(mail: Graph) -> None:
    mailbox = mail.create()
    user = mail.of(mailbox)
    mail.deleted[user.id] = mail.users.pop(user.id)
    assert mail.platform.left(mailbox) == ("the deleted account, which could be restored",)
    mail.platform.delete(mailbox)
    assert mail.platform.left(mailbox) == ()


def test_messages_that_a_hold_keeps_end_the_deletion(mail: Graph) -> None:
    mailbox = mail.create([Given(HELLO)])
    user = mail.of(mailbox)
    kept = dict(user.items)
    mail.meanwhile = lambda _: user.items.update(kept)
    with pytest.raises(StoreRefused, match="still there after they were deleted for good"):
        mail.platform.delete(mailbox)
    assert mail.of(mailbox) is user


def test_a_folder_that_is_called_as_the_inbox_is_here_is_another(mail: Graph) -> None:
    mailbox = mail.create([Given(HELLO)])
    user = mail.of(mailbox)
    made = mail._add_folder(user, "INBOX")
    mail.given(user, Given(HELLO)).folder = made.id
    found = {each.path: each.messages for each in mail.platform.folders(mailbox)}
    assert (found[INBOX], found["INBOX (2)",]) == (1, 1)


def test_what_was_written_in_exchange_has_its_header_as_exchange_writes_it(mail: Graph) -> None:
    """What is sent has no header lines of its own there: only those are read further than that."""
    mailbox = mail.create([Given(b"Sensitivity: Private\r\nSubject: x\r\n\r\nlong" * 100, ("Sent",)), Given(HELLO)])
    (sent,), (came,) = (list(mail.platform.look(mailbox, folder)) for folder in (("Sent",), INBOX))
    assert sent.header == b"Sensitivity: Private\r\nSubject: x\r\n\r\n"
    assert came.header == b"Subject: Hei\r\n\r\n"
    assert len([path for _, path in mail.requests if path.endswith("$value")]) == 1


def test_a_header_line_begins_no_other(mail: Graph) -> None:
    from lethe.offboarding.graph import _lines

    assert _lines([{"name": "Subject", "value": "a\r\nFrom: b\u2028c"}]) == b"Subject: a From: b c\r\n\r\n"


def test_a_reply_is_text_whatever_stands_in_it(mail: Graph) -> None:
    mailbox = mail.create()
    mail.platform.reply(mailbox, Reply("x", "<script>a</script>\n& b", RECEIVED, RECEIVED + timedelta(days=9)))
    told = mail.of(mailbox).settings["automaticRepliesSetting"]
    assert told["externalReplyMessage"] == "&lt;script&gt;a&lt;/script&gt;<br>&amp; b"
    assert told["scheduledStartDateTime"] == {"dateTime": "2024-03-01T09:30:00", "timeZone": "UTC"}


def test_an_account_without_a_mailbox_is_none(mail: Graph) -> None:
    mailbox = mail.create()
    mail.of(mailbox).has_mailbox = False
    for ask in (mail.platform.account, mail.platform.folders):
        with pytest.raises(StoreRefused, match="no such account"):
            ask(mailbox)
    mail.platform.delete(mailbox)
    assert mail.platform.left(mailbox) == ()


def test_neither_logs_nor_errors_have_an_address_or_a_url(
    mail: Graph, register: Handed, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    for name in ("httpx", "httpcore", "msal"):
        assert logging.getLogger(name).getEffectiveLevel() >= logging.WARNING
    source, target = mail.create(letters(3, 100)), mail.create()
    choose_all(mail, register, source)
    hand_over(mail.platform, register, Route(source, target, INTO))
    mail.of(target).limit = 1
    with pytest.raises(StoreRefused) as caught:
        mail.platform.deposit_all(target, INTO, sent_from(mail, Given(HELLO)))
    assert not isinstance(caught.value, MessageRefused)
    for text in (caplog.text, str(caught.value)):
        assert source not in text
        assert target not in text
        assert "authtoken" not in text


def test_a_next_page_at_another_address_is_not_asked_for(mail: Graph, monkeypatch: pytest.MonkeyPatch) -> None:
    """The token would go there."""
    mailbox = mail.create([Given(HELLO)] * (PAGE + 1))
    mail.platform.folders(mailbox)
    monkeypatch.setattr(mail, "url", "https://elsewhere.example")
    with pytest.raises(StoreRefused, match="next page that is not Microsoft Graph's"):
        mail.platform.refs(mailbox, INBOX)
