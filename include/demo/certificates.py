"""Certificates of the demo's own servers on 127.0.0.1, from an authority that nobody else trusts."""

from __future__ import annotations

from datetime import UTC, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from lethe import clock


def certify(home: Path) -> None:
    """Make an authority, and a certificate for 127.0.0.1 from it: ca.pem, server.pem and server.key, for two days."""
    authority, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Test CA")])
    now = clock.now().astimezone(UTC)

    def certificate(subject: str, public: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)]))
            .issuer_name(name)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(hours=1))
            .not_valid_after(now + timedelta(days=2))
        )

    ca = certificate("Test CA", authority.public_key()).add_extension(x509.BasicConstraints(True, None), True)
    ca = ca.add_extension(x509.SubjectKeyIdentifier.from_public_key(authority.public_key()), False)
    usage = x509.KeyUsage(True, False, False, False, False, True, True, False, False)
    ca = ca.add_extension(usage, True)
    own = certificate("127.0.0.1", key.public_key())
    own = own.add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), False)
    own = own.add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.public_key()), False)
    pem = serialization.Encoding.PEM
    (home / "ca.pem").write_bytes(ca.sign(authority, hashes.SHA256()).public_bytes(pem))
    (home / "server.pem").write_bytes(own.sign(authority, hashes.SHA256()).public_bytes(pem))
    (home / "server.key").write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
