"""Requests to Microsoft Graph v1.0: signed in as an application, in pages, again when it asks to wait.

What was surely not done is asked for again. What may have been done, and would be done twice, is not: StoreUnreachable
then leaves it to whoever can look. Neither errors nor logs have an address, an URL, or anything of an answer but codes.
"""

from __future__ import annotations

import logging
import re
import ssl
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import msal
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from cryptography.x509 import load_pem_x509_certificate

from lethe.errors import StoreError, StoreRefused, StoreUnreachable

SECONDS = 60.0
"""How long Microsoft Graph may be silent."""
TRIES = 6
"""How often a request is made that is turned away, or whose answer is lost."""
PATIENCE = 120.0
"""Seconds that one request waits in all; after that the task's own retries take over, and hold no worker."""
_AGAIN = frozenset({500, 502, 503, 504})
_SCOPES = ["https://graph.microsoft.com/.default"]
_CODE = re.compile(r"[A-Za-z_]{1,60}")
for _name in ("httpx", "httpcore", "msal"):  # their lines have addresses, and URLs that let whoever has them in
    logging.getLogger(_name).setLevel(logging.WARNING)

sleep = time.sleep


@dataclass(frozen=True)
class Settings:
    """Where Microsoft Graph is, and which application signs in, by a secret or a certificate with its key, as PEM.

    `ca` is a PEM file, None for the authorities that the machine trusts. `fidelity` says how messages are copied:
    "full" by export and import, or "mime" where a tenant cannot import: a copy is then a draft, of the day of copying.
    """

    tenant: str
    client: str
    secret: str | None = field(default=None, repr=False)
    certificate: str | None = field(default=None, repr=False)
    url: str = "https://graph.microsoft.com/v1.0"
    authority: str = "https://login.microsoftonline.com"
    ca: str | None = None
    fidelity: str = "full"


class Client:
    """Microsoft Graph; errors are StoreError, and name nobody."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        verify = ssl.create_default_context(cafile=settings.ca)
        self._http = httpx.Client(timeout=SECONDS, verify=verify)
        self._application: msal.ConfidentialClientApplication | None = None
        self._token = ""

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def get(self, *path: str, **query: str | int) -> Any:
        """What Graph has there, None where it has nothing. The $ of options is put before their names."""
        answer = self._ask("GET", self._url(path), params=_options(query))
        return None if answer.status_code == httpx.codes.NOT_FOUND else _body(answer)

    def pages(self, *path: str, **query: str | int) -> Iterator[list[Any]]:
        """A collection page by page; nothing where it is not there."""
        url: str | None = self._url(path)
        options: Mapping[str, Any] | None = _options(query)
        while url is not None:
            answer = self._ask("GET", url, params=options)
            if answer.status_code == httpx.codes.NOT_FOUND:
                return
            found = _body(answer)
            yield found["value"]
            url, options = found.get("@odata.nextLink"), None
            if url is not None and not url.startswith(self._settings.url + "/"):
                raise StoreRefused("mail: found a next page that is not Microsoft Graph's, expected one there")

    def content(self, *path: str) -> bytes | None:
        """A stream as bytes; None where there is none."""
        answer = self._ask("GET", self._url(path))
        return None if answer.status_code == httpx.codes.NOT_FOUND else answer.content

    def beginning(self, *path: str, until: bytes, most: int) -> bytes | None:
        """A stream's bytes up to and with `until`, or `most` of them; the rest is not waited for."""
        found = bytearray()
        with suppress(StoreUnreachable), self._telling(), self._streamed(path) as answer:
            if answer.is_success:
                for chunk in answer.iter_bytes():
                    found += chunk
                    if until in found or len(found) >= most:
                        break
                return _up_to(until, bytes(found))[:most]
        whole = self.content(*path)  # turned away, or lost: asked for as everything else is
        return None if whole is None else _up_to(until, whole)[:most]

    def _streamed(self, path: tuple[str, ...]) -> AbstractContextManager[httpx.Response]:
        return self._http.stream("GET", self._url(path), headers=self._headers())

    def change(self, *path: str, to: Mapping[str, Any]) -> bool:
        """Set properties; whether there was anything to set them on."""
        answer = self._ask("PATCH", self._url(path), json=to)
        return self._was_there(answer)

    def delete(self, *path: str) -> bool:
        """Delete what is there; whether there was anything."""
        return self._was_there(self._ask("DELETE", self._url(path)))

    def act(self, *path: str, **parameters: Any) -> Any:
        """What an action answers that can be done again, None where what it acts on is not there."""
        answer = self._ask("POST", self._url(path), json=parameters or None)
        return None if answer.status_code == httpx.codes.NOT_FOUND else _body(answer) or {}

    def add(self, *path: str, what: Mapping[str, Any] | None = None, mime: bytes | None = None) -> httpx.Response:
        """The answer to something new, by properties or as MIME: a second would be another."""
        if mime is not None:
            return self._ask("POST", self._url(path), content=mime, kind="text/plain", repeatable=False)
        return self._ask("POST", self._url(path), json=what, repeatable=False)

    def upload(self, url: str, what: Mapping[str, Any]) -> httpx.Response:
        """The answer to something new at an address that lets its bearer in: no token goes there."""
        if not url.startswith("https://"):
            raise StoreRefused("mail: found an address to import to without TLS, expected https")
        return self._ask("POST", url, json=what, repeatable=False, signed=False)

    # ------------------------------------------------------------ one request

    def _ask(
        self,
        method: str,
        url: str,
        *,
        repeatable: bool = True,
        signed: bool = True,
        kind: str | None = None,
        **what: Any,
    ) -> httpx.Response:
        waited, renewed = 0.0, False
        for number in range(TRIES):
            lost: StoreError | None = None
            answer: httpx.Response | None = None
            try:
                with self._telling():
                    headers = self._headers() if signed else {}
                    if kind is not None:
                        headers["Content-Type"] = kind
                    answer = self._http.request(method, url, headers=headers, **what)
            except StoreUnreachable as error:
                if not repeatable:
                    raise
                lost = error
            if answer is not None:
                if signed and answer.status_code == httpx.codes.UNAUTHORIZED and not renewed:
                    self._token, renewed = "", True  # it has expired, or was revoked: nothing was done
                    continue
                if not (answer.status_code == httpx.codes.TOO_MANY_REQUESTS or
                        (answer.status_code in _AGAIN and repeatable)):  # fmt: skip
                    return self._sound(answer, signed=signed)
            pause = _pause(answer, number)
            if waited + pause > PATIENCE or number == TRIES - 1:
                status = "nothing" if answer is None else answer.status_code
                raise lost or StoreUnreachable(
                    f"mail: Microsoft Graph answers {status} and asks to wait; try again later"
                )
            sleep(pause)
            waited += pause
        raise StoreUnreachable("mail: the application's token ended at the last try; try again")

    def _sound(self, answer: httpx.Response, *, signed: bool) -> httpx.Response:
        """The answer, where a caller knows what it means; else its error in Lethe's words."""
        if signed and answer.status_code in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
            raise StoreRefused(
                f"mail: Microsoft Graph refuses what was asked ({answer.status_code} {code(answer)}); see which "
                "permissions the application needs in docs/platform-team.md"
            )
        if answer.status_code in _AGAIN:
            raise StoreUnreachable(f"mail: Microsoft Graph answers {answer.status_code}; try again")
        return answer

    def _was_there(self, answer: httpx.Response) -> bool:
        if answer.status_code == httpx.codes.NOT_FOUND:
            return False
        _body(answer)
        return True

    def _url(self, path: tuple[str, ...]) -> str:
        return "/".join([self._settings.url, *(quote(part, safe="$@:=") for part in path)])

    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._signed_in()}"}

    def _signed_in(self) -> str:
        """The application's token; a new one when the last was not taken."""
        if not self._token:
            settings, application = self._settings, self._application
            if application is None:
                credential = settings.secret if settings.certificate is None else _key(settings.certificate)
                try:
                    application = msal.ConfidentialClientApplication(
                        settings.client,
                        client_credential=credential,
                        authority=f"{settings.authority}/{settings.tenant}",
                        instance_discovery=False,
                        http_client=self._http,  # one way out, with one set of authorities that are trusted
                    )
                except ValueError:  # its message has the tenant
                    application = None
                if application is None:
                    raise StoreUnreachable("mail: no answer from where the application signs in; see its tenant")
                self._application = application
            application.remove_tokens_for_client()
            found = application.acquire_token_for_client(scopes=_SCOPES)
            if "access_token" not in found:
                told = str(found.get("error", ""))
                raise StoreRefused(
                    f"mail: Microsoft does not sign the application in ({_code(told)}); see tenant, client, and secret "
                    "or certificate in the connection"
                )
            self._token = found["access_token"]
        return self._token

    @contextmanager
    def _telling(self) -> Iterator[None]:
        """The network's errors in Lethe's words: their own have URLs, and these addresses."""
        problem: StoreError | None = None
        try:
            yield
        except (httpx.HTTPError, OSError) as error:
            problem = _lost(error)
        if problem is not None:
            raise problem


def code(answer: httpx.Response) -> str:
    """The code of Graph's error, a word such as ErrorItemNotFound; "" where it has none."""
    try:
        return _code(str(answer.json()["error"]["code"]))
    except (ValueError, KeyError, TypeError):
        return ""


def _code(told: str) -> str:
    return told if _CODE.fullmatch(told) else ""


def _body(answer: httpx.Response) -> Any:
    if answer.is_success:
        with suppress(ValueError):
            return answer.json() if answer.content else None
        raise StoreUnreachable("mail: found no JSON where Microsoft Graph should answer; try again")
    raise StoreRefused(f"mail: Microsoft Graph refused what was asked of it ({answer.status_code} {code(answer)})")


def _up_to(until: bytes, whole: bytes) -> bytes:
    head, end, _ = whole.partition(until)
    return head + end


def _options(query: Mapping[str, str | int]) -> dict[str, str | int]:
    return {f"${name}": value for name, value in query.items()}


def _pause(answer: httpx.Response | None, number: int) -> float:
    """As long as Graph says (Retry-After in seconds), else twice as long each time."""
    told = "" if answer is None else answer.headers.get("Retry-After", "")
    return float(told) if told.isdigit() else 0.5 * 2**number


def _key(certificate: str) -> dict[str, str]:
    """A certificate and its key, in one PEM file, as msal takes them."""
    problem, key = "", None
    try:
        pem = Path(certificate).read_bytes()
        load_pem_x509_certificate(pem)
        key = load_pem_private_key(pem, password=None)
    except (OSError, ValueError, TypeError) as error:
        problem = type(error).__name__
    if problem or not isinstance(key, RSAPrivateKey):
        raise StoreRefused(
            f"mail: the application's certificate cannot be used ({problem or 'its key is not RSA'}); expected one PEM "
            "file with the certificate and its RSA key, without a passphrase"
        )
    clear = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    return {"private_key": clear, "public_certificate": pem.decode("ascii", "replace")}


def _lost(error: Exception) -> StoreError:
    if "CERTIFICATE_VERIFY_FAILED" in str(error):
        return StoreRefused("mail: the certificate of Microsoft Graph is not trusted; see ca in the connection")
    return StoreUnreachable("mail: no connection to Microsoft Graph, or it was lost; try again")
