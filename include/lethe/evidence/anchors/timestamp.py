"""Time-stamps (RFC 3161): an authority signs the digest of a note together with its own time."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import NamedTuple

import httpx
from cryptography import x509
from rfc3161_client import (
    HashAlgorithm,
    PKIStatus,
    TimestampRequestBuilder,
    TimeStampResponse,
    VerificationError,
    VerifierBuilder,
    decode_timestamp_response,
)

from lethe.errors import ConfigError
from lethe.evidence.anchors.failure import unreachable
from lethe.evidence.anchors.patience import within
from lethe.model import AnchorSetting
from lethe.outages import in_words

TIMEOUT = 30.0
"""Seconds without a sign of life from the authority."""

PATIENCE = 120.0
"""Seconds for all of an answer."""

LIMIT = 1_000_000
"""Bytes of an answer; a token with its certificates has some thousands."""

_HASHES = {
    "2.16.840.1.101.3.4.2.1": hashlib.sha256,
    "2.16.840.1.101.3.4.2.2": hashlib.sha384,
    "2.16.840.1.101.3.4.2.3": hashlib.sha512,
}


class Trusted(NamedTuple):
    """The certificates that an authority is held to; that of the signer itself must come with each token."""

    roots: list[x509.Certificate]
    intermediates: list[x509.Certificate]


class Timestamp:
    """Asks an authority at an http:// or https:// URL; the token is its TimeStampResp in DER, as it came.

    The signature is checked against the setting's certificates; without them it is left to whoever verifies later.
    """

    kind = "rfc3161"

    def __init__(self, setting: AnchorSetting, url: str) -> None:
        self.name = setting.name
        self._connection = setting.connection
        try:
            self._url = httpx.URL(url)
        except httpx.InvalidURL:
            raise ConfigError(f"anchor {self.name}: the address of connection {setting.connection} is no URL") from None
        if self._url.scheme not in ("http", "https") or not self._url.host:
            raise ConfigError(
                f"anchor {self.name}: the address of connection {setting.connection} is no http:// or https:// URL "
                "of a time-stamp authority"
            )
        self._trusted = trusted_from(Path(setting.ca)) if setting.ca is not None else None

    def publish(self, note: str) -> bytes:
        """A token over the SHA-256 of the note's bytes."""
        content = note.encode()
        request = TimestampRequestBuilder().data(content).hash_algorithm(HashAlgorithm.SHA256).build()
        token = self._ask(request.as_bytes())
        if flaw := flaw_of(token, content, request.nonce, self._trusted):
            raise unreachable(self.name, flaw, f"ask the authority, or name another in connection {self._connection}")
        return token

    def _ask(self, query: bytes) -> bytes:
        headers = {"Content-Type": "application/timestamp-query", "Accept-Encoding": "identity"}
        # Taken out of the URL, because httpx logs each URL.
        login = (self._url.username, self._url.password) if self._url.userinfo else None
        url = self._url.copy_with(userinfo=b"")

        def ask() -> bytes | str:
            with (
                httpx.Client(timeout=TIMEOUT) as client,
                client.stream("POST", url, content=query, headers=headers, auth=login) as answer,
            ):
                return _read(answer)

        try:
            found = within(PATIENCE, ask)
        except (httpx.HTTPError, OSError, UnicodeError) as error:
            raise unreachable(self.name, in_words(error), f"check connection {self._connection}") from None
        if isinstance(found, str):
            raise unreachable(self.name, found, f"check connection {self._connection}")
        return found


def _read(answer: httpx.Response) -> bytes | str:
    """The body, or what is wrong with it."""
    if answer.status_code != httpx.codes.OK:
        return f"its authority answered with status {answer.status_code}, expected 200"
    content = b""
    for part in answer.iter_raw():
        content += part
        if len(content) > LIMIT:
            return f"its authority answered with more than {LIMIT} bytes"
    return content


def trusted_from(path: Path) -> Trusted:
    """The certificates of a PEM file, roots being those that vouch for themselves; ConfigError without any root."""
    try:
        certificates = x509.load_pem_x509_certificates(path.read_bytes())
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: cannot be read as certificates in PEM ({type(error).__name__})") from None
    roots = [certificate for certificate in certificates if certificate.issuer == certificate.subject]
    if not roots:
        raise ConfigError(f"{path}: has {len(certificates)} certificates and no root among them; add the authority's")
    others = [certificate for certificate in certificates if certificate not in roots]
    return Trusted(roots, list(filter(_may_sign_others, others)))


def _may_sign_others(certificate: x509.Certificate) -> bool:
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except (x509.ExtensionNotFound, ValueError):
        return False


def flaw_of(token: bytes, content: bytes, nonce: int | None, trusted: Trusted | None) -> str | None:
    """What is wrong with a TimeStampResp over `content`, or None (RFC 3161 2.4.2).

    Certificates must hold at the time of the stamp, not today; the signature counts only where `trusted` is given.
    """
    try:
        response = _decoded(token)
        return _refusal(response) or _mismatch(response, content, nonce) or _distrust(response, content, trusted)
    except Exception:  # noqa: BLE001 - bytes from outside: the parsers have many errors of their own for them
        return "its authority answered with something that is no time-stamp"


def _decoded(token: bytes) -> TimeStampResponse:
    try:
        return decode_timestamp_response(token)
    except ValueError:
        return decode_timestamp_response(_with_sorted_certificates(token))


def _with_sorted_certificates(token: bytes) -> bytes:
    """The same response with its certificates in the order of DER: openssl sends them unsorted, and nobody signs them.

    They are the fourth part of SignedData, in the [0] of a ContentInfo, the second part of a response (RFC 5652 5.1).
    """
    at = end = 0
    for skipped in (0, 1, 1, 0, 3):
        for _ in range(skipped):
            at = _inside(token, at)[1]
        at, end = _inside(token, at)
    start, certificates = at, []
    while at < end:
        _, after = _inside(token, at)
        certificates.append(token[at:after])
        at = after
    return token[:start] + b"".join(sorted(certificates)) + token[end:]


def _inside(der: bytes, at: int) -> tuple[int, int]:
    """Where the content of the element at `at` begins and ends (X.690 8.1.3)."""
    length, start = der[at + 1], at + 2
    if length & 0x80:
        start += length & 0x7F
        length = int.from_bytes(der[at + 2 : start], "big")
    return start, start + length


def _refusal(response: TimeStampResponse) -> str | None:
    if response.status == PKIStatus.GRANTED:
        return None
    return f"its authority did not grant a time-stamp (status {int(response.status)})"


def _mismatch(response: TimeStampResponse, content: bytes, nonce: int | None) -> str | None:
    imprint = response.tst_info.message_imprint
    digest = _HASHES.get(imprint.hash_algorithm.dotted_string)
    if digest is None or imprint.message != digest(content).digest():
        return "the time-stamp is over something else"
    if nonce is not None and response.tst_info.nonce != nonce:
        return "the time-stamp answers another request (nonce)"
    if not response.signed_data.certificates:
        return "the time-stamp lacks the certificate that was asked for, so nobody could check it later"
    return None


def _distrust(response: TimeStampResponse, content: bytes, trusted: Trusted | None) -> str | None:
    if trusted is None:
        return None
    try:
        VerifierBuilder(roots=trusted.roots, intermediates=trusted.intermediates).build().verify_message(
            response, content
        )
    except VerificationError:
        return "the signature of the time-stamp does not hold with the certificates of `ca`"
    return None
