"""Planted cases of surveys, contacts and webshop (R05, R07, R08)."""

from __future__ import annotations

from demo.people import phone
from demo.planted.case import (
    FUTURE_DAY,
    NAMED,
    YEAR_OF_MOMENTS,
    Row,
    Values,
    done,
    due,
    exempt,
    kept,
    mail,
    name,
    number,
    uuid,
)


def answer(n: int, clock: str | None, *, forgotten: bool = False) -> tuple[Row, ...]:
    tie = {"respondent_id": None if forgotten else uuid(n), "comment": None if forgotten else f"Hilsen {name(n)}"}
    who = {"id": uuid(n), "name": name(n), "email": mail(n), "invited_at": "2020-01-01T08:00:00Z"}
    return (
        Row("survey_answers", {"id": uuid(n), "survey": "årlig", "score": 5, **tie, "answered_at": clock}, True),
        Row("respondents", who),
    )


SURVEY_ANSWERS = [
    kept("unconfirmed", "over by an assumption that nobody has confirmed", "2021-01-01T12:00:00Z"),
    kept("unconfirmed", "answered lately", "2025-02-01T12:00:00Z"),
    kept("undated", "undated", None),
    done("untied before", "2020-01-02T12:00:00Z", forgotten=True),
]


def contact(n: int, clock: str | None, *, kind: str = "customer") -> tuple[Row, ...]:
    company = {"name": f"Prøvebedrift {n} AS", "kind": kind, "relationship_started_at": "2001-01-01"}
    who = {"name": name(n), "email": mail(n), "phone": phone(n), "job_title": "IT-sjef"}
    ids = {"id": number(n), "company_id": number(n), "updated_at": "2010-01-01T08:00:00Z"}
    return (
        Row("contacts", {**ids, **who}, True),
        Row("companies", {"id": number(n), **company, "relationship_ended_at": clock}),
    )


CONTACTS = [
    due("due long since", "2010-11-30"),
    due("supplier, due long since", "2012-10-28", kind="supplier"),
    due("leap day: ten years end on 28 February", "2012-02-29"),
    due("due since yesterday", "2015-02-27"),
    due("due since today 00:00", "2015-02-28"),
    kept("not_due", "due tomorrow: the last day of its period", "2015-03-01"),
    kept("not_due", "over after one year, but ten are promised", "2024-01-01"),
    kept("undated", "relationship goes on", None),
    FUTURE_DAY,
    *exempt("2011-01-31"),
]

FORGOTTEN_ORDER: Values = {
    "customer_id": None, "ship_name": None, "ship_address": None, "ship_postcode": "2800", "email": None, "phone": None,
    "note": None, "placed_at": "2018-04-30T22:00:00+00:00",
}  # fmt: skip


def shop_customer(n: int, clock: str | None) -> Row:
    values = {"id": number(n), "company_name": f"Prøvebedrift {n} AS", "created_at": "2015-01-01T08:00:00Z"}
    return Row("customers", {**values, "ended_at": clock})


def order(
    n: int, clock: str | None, *, tied: bool = True, forgotten: bool = False, who: str | None = None
) -> tuple[Row, ...]:
    people = FORGOTTEN_ORDER if forgotten else {
        "customer_id": number(n) if tied else None, "ship_name": who or name(n), "ship_address": "Prøveveien 2",
        "ship_postcode": "2815", "email": mail(n), "phone": phone(n), "note": f"Spør etter {who or name(n)}",
    }  # fmt: skip
    line = {"id": number(n), "order_id": uuid(n), "line_no": 1, "product": "Skjerm", "quantity": 1, "price_nok": 1990}
    return (
        Row("orders", {"id": uuid(n), "placed_at": "2018-05-01T08:00:00Z", **people, "total_nok": 1990}, True),
        shop_customer(n, clock),
        Row("order_lines", line),
    )


ORDERS = [
    *YEAR_OF_MOMENTS,
    kept("undated", "order that no customer is known for", "2020-01-01T12:00:00Z", tied=False),
    done("anonymised before", "2019-01-01T12:00:00Z", forgotten=True),
    *exempt("2021-01-01T12:00:00Z"),
    *NAMED,
]


def shop_message(n: int, clock: str | None, *, who: str | None = None) -> tuple[Row, ...]:
    called = who or name(n)
    text = {"kind": "henvendelse", "recipient_name": called, "recipient_email": mail(n), "body": f"Hei {called}"}
    ids = {"id": number(n), "customer_id": number(n), "sent_at": "2019-01-01T08:00:00Z"}
    return (Row("messages", {**ids, **text}, True), shop_customer(n, clock))


MESSAGES = [*YEAR_OF_MOMENTS, *exempt("2021-01-01T12:00:00Z"), *NAMED]
