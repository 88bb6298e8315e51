"""Planted cases of the case system (R04, R14)."""

from __future__ import annotations

from typing import Any

from demo.people import phone
from demo.planted.case import (
    FUTURE_DAY,
    NAMED,
    YEAR_OF_DAYS,
    Row,
    Values,
    done,
    due,
    exempt,
    kept,
    mail,
    name,
    number,
)

FORGOTTEN_CASE: Values = {
    "subject": "anonymisert", "reporter_name": None, "reporter_email": None, "reporter_phone": None,
    "reporter_address": None, "description": None, "form": None,
}  # fmt: skip
FORGOTTEN_MESSAGE: Values = {"sender_name": None, "body": None}


def ex_customer(n: int, ended: str | None, status: str, dispute: str) -> Row:
    values = {"id": number(n), "name": f"Prøvebedrift {n} AS", "sector": "privat", "status": status}
    return Row("customers", {**values, "ended_at": ended, "dispute_status": dispute})


def a_case(n: int, public: bool, delivered: str | None) -> dict[str, Any]:
    values = {"id": number(n), "customer_id": number(n), "opened_at": "2021-02-01T08:00:00Z"}
    return {**values, "public_record": public, "archive_delivered_at": delivered}


def case(
    n: int, clock: str | None, *, status: str = "avsluttet", dispute: str = "ingen", public: bool = False,
    delivered: str | None = None, forgotten: bool = False, who: str | None = None,
) -> tuple[Row, ...]:  # fmt: skip
    called = who or name(n)
    people: Values = FORGOTTEN_CASE if forgotten else {
        "subject": f"Ny PC til {called}", "reporter_name": called, "reporter_email": mail(n),
        "reporter_phone": phone(n), "reporter_address": "Prøveveien 1", "description": f"{called} ber: ring {phone(n)}",
        "form": {"navn": called, "mobil": phone(n)},
    }  # fmt: skip
    talk: Values = FORGOTTEN_MESSAGE if forgotten else {"sender_name": called, "body": f"Hilsen {called}"}
    ids = {"id": number(n), "case_id": number(n), "direction": "inn", "sent_at": "2021-02-01T09:00:00Z"}
    return (
        Row("cases", {**a_case(n, public, delivered), **people}, True),
        ex_customer(n, clock, status, dispute),
        Row("case_messages", {**ids, **talk}, True),
    )


def attachment(
    n: int, clock: str | None, *, status: str = "avsluttet", dispute: str = "ingen", public: bool = False,
    delivered: str | None = None,
) -> tuple[Row, ...]:  # fmt: skip
    file = {"file_name": f"cv-{n}.pdf", "path": f"/saker/{n}/cv-{n}.pdf", "content_type": "application/pdf"}
    ids = {"id": number(n), "case_id": number(n), "size_bytes": 4096, "uploaded_at": "2021-02-01T09:00:00Z"}
    return (
        Row("attachments", {**ids, **file}, True),
        ex_customer(n, clock, status, dispute),
        Row("cases", {**a_case(n, public, delivered), **FORGOTTEN_CASE}),
    )


PORTAL = [
    *YEAR_OF_DAYS,
    kept("undated", "ended, but nobody wrote down when", None),
    FUTURE_DAY,
    kept("condition", "status mismatch: came back, the old date stands", "2020-01-31", status="aktiv"),
    kept("held", "held by the policy: dispute", "2020-02-29", dispute="tvist"),
    kept("held", "held by the policy: debt collection", "2024-02-29", dispute="inkasso"),
    kept("floor", "public record, not delivered to the archive", "2021-06-30", public=True),
    due("public record, delivered to the archive", "2021-06-30", public=True, delivered="2022-01-10T09:00:00Z"),
    *exempt("2020-08-15"),
]
CASES_OF_EX_CUSTOMERS = [*PORTAL, *NAMED, done("anonymised before", "2019-03-31", forgotten=True)]
