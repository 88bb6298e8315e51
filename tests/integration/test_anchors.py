"""Time-stamps by an authority of our own, `openssl ts` behind HTTP, and by one that misbehaves."""

from __future__ import annotations

import logging
import socket
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event, Thread

import pytest
from rfc3161_client import TimestampRequestBuilder

from authority import Answer, Authority, granting, make_authority, server_tls, serving, verify_by_openssl
from lethe.errors import AnchorUnreachable, ConfigError
from lethe.evidence.anchors import open_anchor, timestamp
from lethe.model import AnchorSetting

NOTE = "fjordvik.example/lethe\n60\nGgdnqvQ1LGO7hGGvmvvhLFmcnBTJKkCTrKUj8iFMJlE=\n\n— fjordvik.example/lethe c2lnYQ==\n"
PASSWORD = "hemmelig passord"
SECRET = b"hemmelig: kari.nordmann@fjordvik.example"

pytestmark = pytest.mark.system


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return make_authority(tmp_path_factory.mktemp("authority"))


def _publish(url: str, ca: Path | None = None) -> bytes:
    setting = AnchorSetting("clock", "rfc3161", "lethe_tsa", ca=str(ca) if ca else None)
    token = open_anchor(setting, {"lethe_tsa": url}.__getitem__).publish(NOTE)
    assert token is not None
    return token


def _refusal(url: str, ca: Path | None = None) -> str:
    """Why the anchor was not reached; nothing that a server said or that is secret is part of it."""
    with pytest.raises(AnchorUnreachable) as refused:
        _publish(url, ca)
    assert "hemmelig" not in "".join(traceback.format_exception(refused.value))
    assert "127.0.0.1" not in str(refused.value)
    return str(refused.value)


def test_a_token_is_over_the_notes_bytes_and_openssl_agrees(authority: Authority, tmp_path: Path) -> None:
    with serving(granting(authority)) as url:
        token = _publish(url, authority.ca)
    assert verify_by_openssl(token, NOTE.encode(), authority.ca, tmp_path)
    assert not verify_by_openssl(token, NOTE.replace("60", "61").encode(), authority.ca, tmp_path)


def test_without_certificates_to_hold_it_to_a_token_is_taken_as_it_is(authority: Authority, tmp_path: Path) -> None:
    with serving(granting(authority)) as url:
        token = _publish(url)
    assert verify_by_openssl(token, NOTE.encode(), authority.ca, tmp_path)


def test_each_request_is_another_one(authority: Authority) -> None:
    """A nonce makes it so, and an answer that was kept cannot be given again."""
    queries: list[bytes] = []

    def answer(query: bytes) -> Answer:
        queries.append(query)
        return 200, authority.stamp(queries[0]), {}

    with serving(answer) as url:
        assert _publish(url, authority.ca)
        assert "the time-stamp answers another request (nonce)" in _refusal(url, authority.ca)
    assert len(set(queries)) == 2


def _answers(authority: Authority, folder: Path) -> dict[str, tuple[Callable[[bytes], Answer], str]]:
    other = make_authority(folder / "other")
    expired = make_authority(folder / "expired", days=-1)
    (expired.folder / "ca.pem").write_bytes(authority.ca.read_bytes())
    elsewhere = TimestampRequestBuilder().data(b"something else").build().as_bytes()
    return {
        "status 500": (lambda _: (500, SECRET, {}), "its authority answered with status 500, expected 200"),
        "status 401": (lambda _: (401, SECRET, {}), "its authority answered with status 401"),
        "nothing": (lambda _: (200, b"", {}), "something that is no time-stamp"),
        "a page": (lambda _: (200, b"<html>" + SECRET, {}), "something that is no time-stamp"),
        "too much": (lambda _: (200, b"\0" * 1_000_001, {}), "its authority answered with more than 1000000 bytes"),
        "half of it": (lambda query: (200, authority.stamp(query)[:-1], {}), "something that is no time-stamp"),
        "cut off": (lambda query: (200, authority.stamp(query), {"Content-Length": "9999"}), "RemoteProtocolError"),
        "over something else": (lambda _: (200, authority.stamp(elsewhere), {}), "is over something else"),
        "a refused digest": (
            granting(make_authority(folder / "narrow", digests="sha512")), "did not grant a time-stamp (status 2)",
        ),
        "another authority": (granting(other), "does not hold with the certificates of `ca`"),
        "a certificate that had run out": (granting(expired), "does not hold with the certificates of `ca`"),
    }  # fmt: skip


def test_whatever_else_an_authority_answers_is_refused(authority: Authority, tmp_path: Path) -> None:
    for case, (answer, found) in _answers(authority, tmp_path).items():
        with serving(answer) as url:
            message = _refusal(url, authority.ca)
        assert message.startswith("anchor clock: "), case
        assert found in message, case
        assert "lethe_tsa" in message, case


def test_a_certificate_that_runs_out_later_is_no_obstacle(authority: Authority, tmp_path: Path) -> None:
    """The counterpart to the refusal: made in the same way, in force when the stamp is made."""
    short = make_authority(tmp_path / "short", days=1)
    with serving(granting(short)) as url:
        assert _publish(url, short.ca)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirection_is_not_followed(authority: Authority, status: int) -> None:
    asked: list[bytes] = []

    def elsewhere(query: bytes) -> Answer:
        asked.append(query)
        return granting(authority)(query)

    with serving(elsewhere) as target, serving(lambda _: (status, b"", {"Location": target})) as url:
        assert f"status {status}" in _refusal(url, authority.ca)
    assert not asked


def test_an_authority_that_nobody_runs_is_unreachable() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        message = _refusal(f"http://kari:{PASSWORD.replace(' ', '%20')}@127.0.0.1:{free.getsockname()[1]}/tsr")
    assert message == "anchor clock: connection refused; check connection lethe_tsa"


def test_an_authority_whose_name_is_not_known_is_unreachable(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "hemmelig.example is not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    assert "the name of its server is not known here" in _refusal("http://hemmelig.example/tsr")


def test_an_authority_whose_name_cannot_be_one_is_unreachable() -> None:
    """Such an anchor stops no other."""
    for host in (f"{'hemmelig' * 8}.example", "hemmelig..example"):
        assert "its host or its login has characters" in _refusal(f"http://{host}/tsr")


def test_an_authority_that_says_nothing_is_not_waited_for_forever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timestamp, "TIMEOUT", 0.1)
    given_up = Event()

    def answer(_: bytes) -> Answer:
        given_up.wait(30)
        return 200, b"", {}

    with serving(answer) as url:
        message = _refusal(url)
        given_up.set()
    assert message == "anchor clock: no answer in time; check connection lethe_tsa"


@pytest.mark.parametrize("begin", [b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n", b"HTTP/1.1 200 OK\r\nX-Wait: "])
def test_an_authority_that_answers_byte_by_byte_is_not_waited_for_forever(
    begin: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each byte is a sign of life."""
    monkeypatch.setattr(timestamp, "PATIENCE", 0.3)
    given_up = Event()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def drip() -> None:
            with server.accept()[0] as connection:
                connection.sendall(begin)
                while not given_up.wait(0.02):
                    connection.sendall(b"x")

        dripping = Thread(target=drip, daemon=True)
        dripping.start()
        message = _refusal(f"http://127.0.0.1:{server.getsockname()[1]}/tsr")
        assert dripping.is_alive()
        given_up.set()
        dripping.join(10)
    assert message == "anchor clock: no answer in time; check connection lethe_tsa"


@pytest.fixture
def over_tls(authority: Authority, tmp_path: Path) -> Iterator[tuple[str, Path]]:
    tls, ca = server_tls(tmp_path)
    with serving(granting(authority), tls) as url:
        yield url, ca


def test_over_tls_the_server_must_be_who_it_says(
    over_tls: tuple[str, Path], authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, ca = over_tls
    assert "the certificate of its server is not trusted here" in _refusal(url, authority.ca)
    monkeypatch.setenv("SSL_CERT_FILE", str(ca))
    assert _publish(url, authority.ca)


def test_login_and_password_go_to_the_authority_and_into_no_log(
    authority: Authority, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("", "httpx", "httpcore"):  # who else uses them may have muted them in this process
        caplog.set_level(logging.DEBUG, name)
    with serving(granting(authority), login=("kari", PASSWORD)) as url:
        assert _publish(url.replace("//", f"//kari:{PASSWORD.replace(' ', '%20')}@"), authority.ca)
        assert "status 401" in _refusal(url, authority.ca)
        assert "status 401" in _refusal(url.replace("//", "//kari:hemmelig@"), authority.ca)
    assert caplog.records
    assert "hemmelig" not in caplog.text


@pytest.mark.parametrize(
    "url", ["ftp://tsa.example/tsr", "tsa.example/tsr", "https://", "http://tsa.example:hemmelig/", "file:///x"]
)
def test_an_address_that_is_none_of_an_authority_is_refused_when_the_anchor_is_opened(url: str) -> None:
    setting = AnchorSetting("clock", "rfc3161", "lethe_tsa")
    with pytest.raises(ConfigError, match="anchor clock: the address of connection lethe_tsa is no") as refused:
        open_anchor(setting, {"lethe_tsa": url}.__getitem__)
    assert "hemmelig" not in str(refused.value)
