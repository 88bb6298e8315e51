"""Planted cases of the web site (R01, R02, R03, R16)."""

from __future__ import annotations

from demo.people import phone
from demo.planted.case import (
    FUTURE,
    UNDATED,
    Row,
    around,
    due,
    exempt,
    kept,
    mail,
    name,
    number,
    uuid,
)


def visitor(n: int, clock: str | None, *, first_visit: str = "2019-06-01T08:00:00Z") -> tuple[Row, ...]:
    at = first_visit if clock is None else min(clock, "2025-02-28T12:00:00Z")
    return (
        Row(
            "visitors",
            {"id": uuid(n), "cookie_id": f"GA1.2.{n}", "first_visit_at": first_visit, "last_visit_at": clock},
            True,
        ),
        Row("visits", {"id": number(2 * n), "visitor_id": uuid(n), "at": first_visit, "page": "/"}, True),
        Row("visits", {"id": number(2 * n + 1), "visitor_id": uuid(n), "at": at, "page": "/kontakt"}, True),
    )


VISITORS = [
    due("due long since", "2021-03-03T10:00:00+01:00"),
    due("leap day", "2020-02-29T10:00:00+01:00"),
    due("due since yesterday", "2022-12-27T12:00:00+01:00"),
    due("due since today 00:00, by its own day of the month", "2022-12-28T12:00:00+01:00"),
    due("month-end clamp: 31 December and 26 months end on 28 February", "2022-12-31T12:00:00+01:00"),
    *around("2022-12-31", "2023-01-01"),
    kept("not_due", "returned visitor: first seen 2019, back last week", "2025-02-20T18:00:00+01:00"),
    due("visitor who returned once, too long ago", "2022-07-01T00:30:00+02:00"),
    UNDATED,
    FUTURE,
    *exempt("2020-05-05T12:00:00+02:00"),
]


def form_message(n: int, clock: str | None, *, status: str = "ferdig") -> tuple[Row, ...]:
    text = f"Ring {name(n)} på {phone(n)}"
    values = {"id": number(n), "form": "kontakt", "name": name(n), "email": mail(n), "phone": phone(n), "message": text}
    when = {"received_at": "2024-06-01T08:00:00Z", "status": status, "handled_at": clock}
    return (Row("form_messages", {**values, **when}, True),)


FORM_MESSAGES = [
    due("due long since", "2024-07-01T00:30:00+02:00"),
    *around("2025-01-29", "2025-01-30"),
    kept("condition", "status mismatch: a handling date, but still being worked on", "2024-07-01T09:00:00Z",
         status="under arbeid"),
    UNDATED,
    FUTURE,
    *exempt("2024-08-01T12:00:00Z"),
]  # fmt: skip


def consent(n: int, clock: str | None) -> tuple[Row, ...]:
    who = {"name": name(n), "email": mail(n), "message": f"Svar til {mail(n)}"}
    when = {"given_at": "2023-04-01T08:00:00Z", "withdrawn_at": clock}
    proof = {"email": mail(n), "wording_version": "2023-1", "shown_from": "192.0.2.7", "recorded_at": when["given_at"]}
    return (
        Row("consents", {"id": number(n), "reference": uuid(n), "purpose": "nyhetsbrev", **who, **when}, True),
        Row("consent_proofs", {"id": number(n), "consent_reference": uuid(n), **proof}),
    )


CONSENTS = [
    due("withdrawn long since; its proof stays", "2024-12-24T12:00:00Z"),
    *around("2025-02-27", "2025-02-28"),
    kept("undated", "never withdrawn", None),
    FUTURE,
    *exempt("2024-10-01T12:00:00Z"),
]


def consent_proof(n: int, clock: str | None) -> tuple[Row, ...]:
    where = {"wording_version": "2018-1", "shown_from": "192.0.2.8"}
    ref = {"consent_reference": uuid(n), "email": mail(n)}
    return (Row("consent_proofs", {"id": number(n), **ref, **where, "recorded_at": clock}, True),)


CONSENT_PROOFS = [kept("unconfirmed", "over by an assumption that nobody has confirmed", "2018-01-01T12:00:00Z")]


def session(n: int, clock: str | None) -> tuple[Row, ...]:
    start = {"visitor_ip": "192.0.2.9", "started_at": "2024-12-01T08:00:00Z"}
    return (Row("server_sessions", {"id": uuid(n), **start, "ended_at": clock}, True),)


SESSIONS = [
    due("due long since", "2024-12-02T09:00:00Z"),
    *around("2025-02-27", "2025-02-28"),
    kept("undated", "still open", None),
    FUTURE,
    *exempt("2024-12-03T09:00:00Z"),
]


def access(n: int, clock: str | None) -> tuple[Row, ...]:
    return (Row("access_log", {"id": number(n), "ip": "203.0.113.9", "at": clock, "path": "/", "status": 200}, True),)


ACCESS_LOG = [
    due("due long since, summer, past midnight in Norway only", "2024-08-31T22:30:00Z"),
    due("the same hour twice: first of the two", "2024-10-27T00:30:00Z"),
    due("the same hour twice: second of the two", "2024-10-27T01:30:00Z"),
    *around("2024-11-30", "2024-12-01"),
    kept("future", "future-dated", "2025-03-20T12:00:00Z"),
    *exempt("2024-10-10T12:00:00Z"),
]
