from __future__ import annotations

import json
from typing import Any

import pytest
from airflow.sdk import Connection

from lethe.connections import Parts, conninfo_from_environment
from lethe.errors import ConfigError
from lethe.urls import url_from_environment, url_from_parts

PASSWORD = "p@/:s w%rd"
QUOTED = "p%40%2F%3As%20w%25rd"
BUCKET = {"service_config": {"s3": {"bucket_name": "evidence"}}}

FIELDS: dict[str, tuple[dict[str, Any], str]] = {
    "an authority's URL as host": ({"conn_type": "http", "host": "https://tsa.example/tsr"}, "https://tsa.example/tsr"),
    "upper case in its path": ({"conn_type": "http", "host": "http://tsa.example/TSR"}, "http://tsa.example/TSR"),
    "a query in its URL": ({"conn_type": "http", "host": "https://tsa.example/t?a=b"}, "https://tsa.example/t?a=b"),
    "a port in its URL": ({"conn_type": "http", "host": "https://tsa.example:8443/t"}, "https://tsa.example:8443/t"),
    "a scheme in the field schema": (
        {"conn_type": "http", "host": "tsa.example", "schema": "https"}, "https://tsa.example",
    ),
    "host, path, port and login": (
        {
            "conn_type": "http", "host": "tsa.example/tsr", "schema": "https", "port": 8443, "login": "kari",
            "password": PASSWORD,
        },
        f"https://kari:{QUOTED}@tsa.example:8443/tsr",
    ),
    "mail with TLS from the start, as Airflow has it": (
        {"conn_type": "smtp", "host": "mail.example", "port": 465, "extra": {"from_email": "lethe@fjordvik.example"}},
        "smtps://mail.example:465/?from=lethe%40fjordvik.example",
    ),
    "mail with STARTTLS and login": (
        {
            "conn_type": "smtp", "host": "mail.example", "port": 587, "login": "lethe@fjordvik.example",
            "password": PASSWORD, "extra": {"disable_ssl": True, "timeout": 30},
        },
        f"smtp://lethe%40fjordvik.example:{QUOTED}@mail.example:587/?starttls=1&from=lethe%40fjordvik.example",
    ),
    "mail without TLS": (
        {
            "conn_type": "smtp", "host": "mail.example",
            "extra": {"from_email": "lethe@fjordvik.example", "disable_ssl": "true", "disable_tls": "true"},
        },
        "smtp://mail.example/?from=lethe%40fjordvik.example",
    ),
    "a folder": ({"conn_type": "fs", "extra": {"path": "/srv/kept evidence"}}, "file:///srv/kept evidence"),
    "a bucket with keys": (
        {
            "conn_type": "aws", "login": "KEY", "password": PASSWORD,
            "extra": {**BUCKET, "region_name": "eu-north-1"},
        },
        f"s3://KEY:{QUOTED}@evidence?region_name=eu-north-1",
    ),
    "a bucket elsewhere, with the machine's own keys": (
        {"conn_type": "aws", "extra": {**BUCKET, "endpoint_url": "https://s3.example"}},
        "s3://evidence?endpoint_url=https%3A%2F%2Fs3.example",
    ),
    "files over SSH": (
        {"conn_type": "sftp", "host": "files.example", "port": 2222, "schema": "evidence", "login": "lethe"},
        "sftp://lethe@files.example:2222/evidence",
    ),
}  # fmt: skip

URLS = [
    "https://tsa.example/tsr",
    "http://127.0.0.1:8318/tsr",
    "http://[::1]:8318/tsr",
    "https://kari:p%40ss@tsa.example:8443/a/path",
    "smtp://kari:p%40ss@mail.example:587/?starttls=1&from=lethe%40fjordvik.example",
    "smtps://mail.example/?from=lethe%40fjordvik.example",
    "file:///srv/evidence",
    "s3://evidence/some/prefix",
    "gs://evidence/some/prefix",
    "memory://evidence",
    "sftp://lethe@files.example/evidence",
]


def _from(text: str) -> str:
    return url_from_environment("lethe_anchor", {"AIRFLOW_CONN_LETHE_ANCHOR": text})


@pytest.mark.parametrize("case", FIELDS)
def test_a_connection_of_airflow_gives_the_same_address_in_each_of_its_forms(case: str) -> None:
    """Its fields, its JSON form, and the URI that Airflow itself writes and reads again."""
    fields, address = FIELDS[case]
    extra = json.dumps(fields["extra"]) if "extra" in fields else None
    uri = Connection(conn_id="lethe_anchor", **{**fields, "extra": extra}).get_uri()
    read = Connection(conn_id="lethe_anchor", uri=uri)
    parts = Parts(
        read.conn_type, read.host, read.port, read.login, read.password, read.schema, read.extra_dejson
    )  # fmt: skip
    assert _from(json.dumps(fields)) == _from(json.dumps({**fields, "extra": extra})) == address
    assert _from(uri) == url_from_parts("lethe_anchor", parts) == address


@pytest.mark.parametrize("url", URLS)
def test_an_address_that_somebody_writes_as_it_is_stays_as_it_is(url: str) -> None:
    assert _from(url) == url


def test_mail_without_tls_has_to_be_asked_for() -> None:
    """As in Airflow, where TLS is what nobody switched off."""
    assert _from("smtp://mail.example:25/?from=a%40b.example") == "smtps://mail.example:25/?from=a%40b.example"
    assert (
        _from("smtp://mail.example:25/?starttls=0&from=a%40b.example") == "smtp://mail.example:25/?from=a%40b.example"
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "connection lethe_anchor: AIRFLOW_CONN_LETHE_ANCHOR is not set; set it to a URI such as https://tsa.ex"),
        ("hemmelig", "AIRFLOW_CONN_LETHE_ANCHOR: cannot be read as a connection of Airflow (URI or JSON)"),
        ('{"conn_type": "http", hemmelig', "AIRFLOW_CONN_LETHE_ANCHOR: cannot be read as"),
        ('{"conn_type": "http", "extra": "[\\"hemmelig\\"]"}', "AIRFLOW_CONN_LETHE_ANCHOR: cannot be read as"),
        ('{"conn_type": "http", "port": ["hemmelig"]}', "AIRFLOW_CONN_LETHE_ANCHOR: cannot be read as"),
        ("https://tsa.example:hemmelig/tsr", "AIRFLOW_CONN_LETHE_ANCHOR: cannot be read as"),
        ("http://", "connection lethe_anchor of type http: no host: set it to the authority's URL such as https://"),
        (
            '{"conn_type": "http", "host": "tsa.example:hemmelig"}',
            "connection lethe_anchor of type http: its host is no",
        ),
        ("smtp://:hemmelig@/", "connection lethe_anchor of type smtp: no host: set it to the mail server"),
        ("fs://", 'connection lethe_anchor of type fs: no folder: set its extra to {"path": "/srv/evidence"}'),
        ("fs:///?path=hemmelig", "connection lethe_anchor of type fs: no folder"),
        ("aws://key:hemmelig@", "connection lethe_anchor of type aws: no bucket: set its extra to"),
        (
            '{"conn_type": "aws", "extra": {"service_config": "hemmelig"}}',
            "connection lethe_anchor of type aws: no bucke",
        ),
    ],
)
def test_what_a_connection_lacks_is_said_without_its_secrets(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as refused:
        _from(text)
    assert str(refused.value).startswith(message)
    assert "hemmelig" not in str(refused.value)


def test_a_connections_fields_can_be_printed_without_its_secrets() -> None:
    assert "hemmelig" not in repr(Parts("smtp", password="hemmelig", extra={"access_token": "hemmelig"}))


@pytest.mark.parametrize(
    ("text", "conninfo"),
    [
        (
            "postgresql://kari:p%40ss@db.example:5433/crm",
            "host=db.example port=5433 user=kari password=p@ss dbname=crm",
        ),
        ("postgres://db.example/crm?sslmode=require&x=y", "host=db.example dbname=crm sslmode=require"),
        ("postgres://kari@%2Fvar%2Frun%2FPostgres/crm", "host=/var/run/Postgres user=kari dbname=crm"),
        ("postgres:///crm?host=/var/run/Postgres", "host=/var/run/Postgres dbname=crm"),
        ('{"host": "db.example", "port": "5433", "schema": "crm"}', "host=db.example port=5433 dbname=crm"),
        ('{"schema": "crm", "extra": "{\\"sslmode\\": \\"require\\", \\"x\\": 1}"}', "dbname=crm sslmode=require"),
    ],
)
def test_a_database_is_read_from_the_same_forms(text: str, conninfo: str) -> None:
    assert set(conninfo_from_environment("crm", {"AIRFLOW_CONN_CRM": text}).split()) == set(conninfo.split())
