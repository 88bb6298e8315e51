"""A time-stamp authority of our own: `openssl ts` behind HTTP on 127.0.0.1; certificates for it and for other servers.

authority = make_authority(folder)                 keys, certificates and settings
with serving(granting(authority)) as url: …        answers time-stamp requests there
verify_by_openssl(token, content, ca, folder)      a second opinion on a token
"""

from __future__ import annotations

import ssl
import subprocess
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path
from threading import Thread

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from support import need

SETTINGS = """
[tsa]
default_tsa = own
[own]
serial = {folder}/serial
crypto_device = builtin
signer_cert = {folder}/tsa.pem
certs = {folder}/ca.pem
signer_key = {folder}/tsa.key
signer_digest = sha256
default_policy = 1.3.6.1.4.1.99999.1
digests = {digests}
accuracy = secs:1
ess_cert_id_alg = sha256
"""

Answer = tuple[int, bytes, dict[str, str]]
"""Status, body and headers."""


@dataclass(frozen=True)
class Authority:
    """A folder with ca.pem, tsa.pem and the settings of `openssl ts`."""

    folder: Path

    @property
    def ca(self) -> Path:
        """The root certificate that its time-stamps are held to."""
        return self.folder / "ca.pem"

    def stamp(self, query: bytes) -> bytes:
        """The TimeStampResp to a TimeStampReq, both in DER."""
        (self.folder / "query.tsq").write_bytes(query)
        files = ["-queryfile", str(self.folder / "query.tsq"), "-out", str(self.folder / "answer.tsr")]
        _openssl("ts", "-reply", "-config", str(self.folder / "settings"), *files)
        return (self.folder / "answer.tsr").read_bytes()


def make_authority(folder: Path, *, days: int = 365, digests: str = "sha256, sha384, sha512") -> Authority:
    """A new authority whose certificate holds until `days` from now, and which takes these digests."""
    need("openssl", "a time-stamp authority")
    folder.mkdir(parents=True, exist_ok=True)
    make_certificate(folder / "ca", "Fjordvik Time Root")
    make_certificate(folder / "tsa", "Fjordvik Time", issuer=folder / "ca", days=days, usage="TIME_STAMPING")
    (folder / "serial").write_text("01")
    (folder / "settings").write_text(SETTINGS.format(folder=folder, digests=digests))
    return Authority(folder)


@contextmanager
def serving(
    answer: Callable[[bytes], Answer], tls: ssl.SSLContext | None = None, login: tuple[str, str] | None = None
) -> Iterator[str]:
    """The URL of a server that gives each POST the answer to its body; 401 without the login, when it has one."""
    authorization = f"Basic {b64encode(':'.join(login).encode()).decode()}" if login else None

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            query = self.rfile.read(int(self.headers["Content-Length"]))
            known = self.headers["Authorization"] == authorization
            status, body, headers = answer(query) if known else (401, b"", {})
            self.send_response(status)
            for name, value in {"Content-Length": str(len(body)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        if tls is not None:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"{'http' if tls is None else 'https'}://127.0.0.1:{server.server_address[1]}/tsr"
        finally:
            server.shutdown()
            thread.join()


def granting(authority: Authority) -> Callable[[bytes], Answer]:
    """Answers each request with a time-stamp."""
    return lambda query: (200, authority.stamp(query), {"Content-Type": "application/timestamp-reply"})


def verify_by_openssl(token: bytes, content: bytes, ca: Path, folder: Path) -> bool:
    """Whether `openssl ts -verify` accepts the token over the content."""
    (folder / "token.tsr").write_bytes(token)
    (folder / "content").write_bytes(content)
    files = ["-in", str(folder / "token.tsr"), "-data", str(folder / "content"), "-CAfile", str(ca)]
    return _openssl("ts", "-verify", *files, check=False).returncode == 0


def _openssl(*arguments: str, check: bool = True) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(["openssl", *arguments], check=check, capture_output=True, timeout=60)  # noqa: S607


def make_certificate(at: Path, name: str, *, issuer: Path | None = None, days: int = 365, usage: str = "") -> None:
    """Write `at`.pem and `at`.key: a root, or one for `usage` (a name of ExtendedKeyUsageOID) that `issuer` signs.

    It holds from 30 days ago until `days` from now; a server may use it on 127.0.0.1.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    of_issuer = x509.load_pem_x509_certificate(issuer.with_suffix(".pem").read_bytes()).subject if issuer else subject
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(of_issuer, subject, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(now - timedelta(days=30)).not_valid_after(now + timedelta(days=days))
    for extension, critical in _extensions(usage):
        builder = builder.add_extension(extension, critical=critical)
    signer = serialization.load_pem_private_key(issuer.with_suffix(".key").read_bytes(), None) if issuer else key
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    at.with_suffix(".key").write_bytes(private)
    at.with_suffix(".pem").write_bytes(builder.sign(signer, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))


def _extensions(usage: str) -> list[tuple[x509.ExtensionType, bool]]:
    extensions: list[tuple[x509.ExtensionType, bool]] = [(x509.BasicConstraints(ca=not usage, path_length=None), True)]
    if usage:
        extensions.append((x509.ExtendedKeyUsage([getattr(ExtendedKeyUsageOID, usage)]), True))
    if usage == "SERVER_AUTH":
        extensions.append((x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), False))
    return extensions


def server_tls(folder: Path) -> tuple[ssl.SSLContext, Path]:
    """TLS for a server on 127.0.0.1, and the root certificate that its clients must trust."""
    make_certificate(folder / "tls-ca", "Fjordvik TLS Root")
    make_certificate(folder / "server", "127.0.0.1", issuer=folder / "tls-ca", usage="SERVER_AUTH")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem", folder / "server.key")
    return context, folder / "tls-ca.pem"
