"""Public time-stamps, good and bad, through the check that each answer of an authority passes.

The vectors are test fixtures of rfc3161-client, and stand for what is met outside.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from rfc3161_client import decode_timestamp_response

from lethe.errors import ConfigError
from lethe.evidence.anchors.timestamp import flaw_of, trusted_from

VECTORS = Path(__file__).parents[1] / "data" / "vectors" / "rfc3161"
HELLO = b"hello"
PAYLOAD = (VECTORS / "sigstore.mock" / "payload").read_bytes()
NONCE = 0x36A44F9F4A391FD3
"""Of test_tsa/request.der, which test_tsa/response.tsr answers."""

NO_CERTIFICATE = "the time-stamp lacks the certificate that was asked for, so nobody could check it later"
ANOTHER = "the time-stamp answers another request (nonce)"
NOT_TRUSTED = "the signature of the time-stamp does not hold with the certificates of `ca`"
SOMETHING_ELSE = "the time-stamp is over something else"

CASES = {
    "SHA-256": ("sigstage/response-sha256.tsr", HELLO, None, None),
    "SHA-384": ("sigstage/response-sha384.tsr", HELLO, None, None),
    "SHA-512": ("sigstage/response-sha512.tsr", HELLO, None, None),
    "its own request": ("test_tsa/response.tsr", HELLO, NONCE, None),
    # Certificates stand outside of the signature: what somebody adds there is not taken for the signer, whom the
    # signed part names.
    "foreign certificates put in": ("test_tsa/response-injected-certs.tsr", HELLO, NONCE, None),
    "invalid signature": ("sigstage/response-invalid-signature.tsr", HELLO, None, NOT_TRUSTED),
    "no certificate": ("sigstage/response-no-embedded-cert.tsr", HELLO, None, NO_CERTIFICATE),
    "no certificate, and the authority's has run out since": (
        "sigstore.mock/response-expired.tsr", PAYLOAD, None, NO_CERTIFICATE,
    ),
    "another request": ("test_tsa/other_response.tsr", HELLO, NONCE, ANOTHER),
    "another authority of the same name": ("test_tsa/other_response.tsr", HELLO, None, NOT_TRUSTED),
    "other content": ("test_tsa/response.tsr", b"hallo", NONCE, SOMETHING_ELSE),
}  # fmt: skip


def _token(name: str) -> bytes:
    return (VECTORS / name).read_bytes()


@pytest.mark.parametrize("case", CASES)
def test_each_public_vector_gets_its_verdict(case: str) -> None:
    name, content, nonce, flaw = CASES[case]
    trusted = trusted_from(VECTORS / Path(name).parent / "ts_chain.pem")
    assert flaw_of(_token(name), content, nonce, trusted) == flaw


def test_every_response_among_the_vectors_has_a_verdict() -> None:
    assert {str(path.relative_to(VECTORS)) for path in VECTORS.glob("*/*.tsr")} == {name for name, *_ in CASES.values()}


@pytest.mark.parametrize("case", [case for case, (*_, flaw) in CASES.items() if flaw is None])
def test_a_good_token_does_not_hold_with_the_certificates_of_another_authority(case: str) -> None:
    name, content, nonce, _ = CASES[case]
    other = "test_tsa" if name.startswith("sigstage") else "sigstage"
    assert flaw_of(_token(name), content, nonce, trusted_from(VECTORS / other / "ts_chain.pem")) == NOT_TRUSTED


def test_without_certificates_to_hold_it_to_the_signature_is_left_to_who_verifies_later() -> None:
    assert flaw_of(_token("sigstage/response-invalid-signature.tsr"), HELLO, None, None) is None
    assert flaw_of(_token("test_tsa/response.tsr"), b"hallo", None, None) == SOMETHING_ELSE


def test_certificates_that_somebody_put_into_a_token_vouch_for_nothing(tmp_path: Path) -> None:
    """The impostor carries the authority's name, but another key."""
    token = _token("test_tsa/response-injected-certs.tsr")
    carried = map(x509.load_der_x509_certificate, decode_timestamp_response(token).signed_data.certificates)
    (impostor,) = (certificate for certificate in carried if certificate.issuer == certificate.subject)
    ca = tmp_path / "ca.pem"
    ca.write_bytes(impostor.public_bytes(Encoding.PEM))
    assert flaw_of(token, HELLO, NONCE, trusted_from(ca)) == NOT_TRUSTED


def test_certificates_may_come_in_any_order() -> None:
    """DER sorts them; an authority that runs openssl sends its own first."""
    token = _token("test_tsa/response-injected-certs.tsr")
    ordered = sorted(decode_timestamp_response(token).signed_data.certificates)
    unordered = token.replace(b"".join(ordered), b"".join(reversed(ordered)))
    with pytest.raises(ValueError, match="InvalidSetOrdering"):
        decode_timestamp_response(unordered)
    assert flaw_of(unordered, HELLO, NONCE, trusted_from(VECTORS / "test_tsa" / "ts_chain.pem")) is None


def test_an_answer_that_is_cut_short_or_goes_on_is_no_time_stamp() -> None:
    token = _token("test_tsa/response.tsr")
    answers = [token + b"\0", *(token[:length] for length in range(len(token)))]
    assert {flaw_of(answer, HELLO, NONCE, None) for answer in answers} == {
        "its authority answered with something that is no time-stamp"
    }


def test_a_changed_bit_is_found_or_touches_nothing_that_counts() -> None:
    """Every seventh bit: what passes all the same has the same stamp and the same certificates as before."""
    token = _token("sigstage/response-sha256.tsr")
    trusted = trusted_from(VECTORS / "sigstage" / "ts_chain.pem")
    passed = [changed for changed in _changed(token, 7) if flaw_of(changed, HELLO, None, trusted) is None]
    assert {_counts(changed) for changed in passed} <= {_counts(token)}
    assert len(passed) < len(token) * 8 / 7 / 50


def _changed(token: bytes, step: int) -> Iterator[bytes]:
    for bit in range(0, len(token) * 8, step):
        changed = bytearray(token)
        changed[bit // 8] ^= 1 << bit % 8
        yield bytes(changed)


def _counts(token: bytes) -> tuple[object, ...]:
    response = decode_timestamp_response(token)
    stamp = response.tst_info
    said = (stamp.gen_time, stamp.serial_number, stamp.nonce, stamp.policy, stamp.message_imprint.message)
    return (*said, *response.signed_data.certificates)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (None, "cannot be read as certificates in PEM (FileNotFoundError)"),
        ("", "cannot be read as certificates in PEM (ValueError)"),
        ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "cannot be read as certificates in PEM"),
    ],
)
def test_certificates_that_cannot_be_read_are_refused_by_name(tmp_path: Path, text: str | None, found: str) -> None:
    path = tmp_path / "ca.pem"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ConfigError) as refused:
        trusted_from(path)
    assert str(refused.value).startswith(f"{path}: {found}")


def test_certificates_without_a_root_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "ca.pem"
    signer, *_ = x509.load_pem_x509_certificates((VECTORS / "test_tsa" / "ts_chain.pem").read_bytes())
    path.write_bytes(signer.public_bytes(Encoding.PEM))
    with pytest.raises(ConfigError, match="has 1 certificates and no root among them"):
        trusted_from(path)
