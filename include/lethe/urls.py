"""The URL of an anchor or a folder of documents, from an Airflow connection of type http, smtp, fs, aws or others.

http   https://tsa.example/tsr
smtp   smtp://user:password@mail.example:587/?starttls=1&from=lethe@example, smtps://… with TLS from the start
fs     file:///srv/evidence
aws    s3://key:secret@bucket?endpoint_url=…&region_name=…
other  sftp://user@host/folder, s3://bucket/prefix, gs://bucket/prefix, as it stands
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlencode, urlsplit

from lethe.connections import Parts, parts_from_environment
from lethe.errors import ConfigError


def url_from_environment(connection: str, environment: Mapping[str, str] = os.environ) -> str:
    """The URL of AIRFLOW_CONN_<ID>; ConfigError when it is missing, unreadable or incomplete."""
    parts = parts_from_environment(connection, environment, "https://tsa.example/tsr or file:///srv/evidence")
    return url_from_parts(connection, parts)


def url_from_parts(connection: str, parts: Parts) -> str:
    """The URL of a connection's fields, read as Airflow's own hooks read them; ConfigError when one is missing."""
    makers = {"http": _http, "https": _http, "smtp": _smtp, "smtps": _smtp, "fs": _folder, "aws": _bucket}
    try:
        return makers.get(parts.kind, _other)(parts)
    except _Missing as missing:
        raise ConfigError(f"connection {connection} of type {parts.kind}: {missing}") from None
    except ValueError:
        raise ConfigError(f"connection {connection} of type {parts.kind}: its host is no host or URL") from None


class _Missing(Exception):
    """What a connection lacks, and how to set it."""


def _http(parts: Parts) -> str:
    host = _host(parts, "host: set it to the authority's URL such as https://tsa.example/tsr")
    of_scheme = parts.schema in ("http", "https")  # Airflow keeps the scheme there, a URI its path
    url = urlsplit(host if "://" in host else f"{parts.schema if of_scheme else parts.kind}://{host}")
    port = _port(parts) if url.port is None else ""
    path = url.path or (f"/{parts.schema}" if parts.schema and not of_scheme else "")
    return url._replace(netloc=f"{_login(parts)}{url.netloc}{port}", path=path).geturl()


def _smtp(parts: Parts) -> str:
    """Airflow's rule: TLS from the start unless disable_ssl, then STARTTLS unless disable_tls."""
    host = _host(parts, "host: set it to the mail server")
    extra = parts.extra
    later = "starttls" in extra or _is_on(extra.get("disable_ssl"))
    starttls = later and _is_on(extra.get("starttls", not _is_on(extra.get("disable_tls"))))
    scheme = "smtp" if later and parts.kind == "smtp" else "smtps"
    sender = extra.get("from") or extra.get("from_email") or parts.login
    query = {"starttls": "1"} if starttls and scheme == "smtp" else {}
    return f"{scheme}://{_login(parts)}{host}{_port(parts)}/?{urlencode({**query, 'from': sender or ''})}"


def _folder(parts: Parts) -> str:
    path = parts.extra.get("path")
    if not isinstance(path, str) or not path.startswith("/"):
        raise _Missing('no folder: set its extra to {"path": "/srv/evidence"}, absolute')
    return f"file://{path}"


def _bucket(parts: Parts) -> str:
    of_s3 = _part(_part(parts.extra, "service_config"), "s3")
    if not (bucket := of_s3.get("bucket_name")):
        raise _Missing('no bucket: set its extra to {"service_config": {"s3": {"bucket_name": "…"}}}')
    endpoint = of_s3.get("endpoint_url") or parts.extra.get("endpoint_url")
    options = {"endpoint_url": endpoint, "region_name": parts.extra.get("region_name")}
    query = urlencode({key: value for key, value in options.items() if value})
    return f"s3://{_login(parts)}{bucket}{f'?{query}' if query else ''}"


def _other(parts: Parts) -> str:
    path = f"/{parts.schema}" if parts.schema else ""
    query = f"?{urlencode(parts.extra)}" if parts.extra else ""
    return f"{parts.kind}://{_login(parts)}{_bracketed(parts.host or '')}{_port(parts)}{path}{query}"


def _host(parts: Parts, missing: str) -> str:
    if not parts.host:
        raise _Missing(f"no {missing}")
    return _bracketed(parts.host)


def _bracketed(host: str) -> str:
    is_ipv6 = host.count(":") > 1 and "/" not in host
    return f"[{host}]" if is_ipv6 else host


def _login(parts: Parts) -> str:
    if not parts.login and not parts.password:
        return ""
    password = f":{quote(parts.password, safe='')}" if parts.password else ""
    return f"{quote(parts.login or '', safe='')}{password}@"


def _port(parts: Parts) -> str:
    return f":{parts.port}" if parts.port else ""


def _part(extra: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = extra.get(name)
    return value if isinstance(value, dict) else {}


def _is_on(value: object) -> bool:
    return str(value).strip().lower() in ("true", "1", "yes", "on")


def storage_of(url: str) -> tuple[str, dict[str, Any]]:
    """A URL and options as fsspec takes them: s3fs reads neither keys nor an endpoint from its URL."""
    parts = urlsplit(url)
    if parts.scheme not in ("s3", "s3a"):
        return url, {}
    query = {key: values[0] for key, values in parse_qs(parts.query).items()}
    options = {
        "key": unquote(parts.username) if parts.username else None,
        "secret": unquote(parts.password) if parts.password else None,
        "endpoint_url": query.get("endpoint_url"),
        "client_kwargs": {"region_name": query["region_name"]} if "region_name" in query else None,
    }
    bucket = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
    return bucket, {key: value for key, value in options.items() if value}
