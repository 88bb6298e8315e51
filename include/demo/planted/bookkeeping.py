"""Planted cases of the bookkeeping system (R08, R13): no foreign keys, sentinel dates, time stamps that mean UTC."""

from __future__ import annotations

from demo.people import phone
from demo.planted.case import FUTURE_DAY, Row, Values, done, due, exempt, kept, mail, name, number

NEVER, BEFORE_TIME = "9999-12-31", "1970-01-01"
FORGOTTEN_CONTACT: Values = {"kunde_epost": None, "kunde_telefon": None}
UNSET = {"unset by the new forms' sentinel": NEVER, "unset by the old import's sentinel": BEFORE_TIME}


def buyer(n: int, ended: str, status: str) -> Row:
    values = {"kundenr": f"P{n}", "navn": f"Prøvebedrift {n} AS", "opprettet": "2010-01-01 08:00:00"}
    return Row("kunde", {**values, "status": status, "avsluttet": ended})


def bill(n: int, day: str, *, forgotten: bool = False) -> dict[str, object]:
    money = {"forfall": NEVER, "beloep": 1250, "registrert": "2016-01-01 12:00:00"}
    contact = FORGOTTEN_CONTACT if forgotten else {"kunde_epost": mail(n), "kunde_telefon": phone(n)}
    who = {"kundenr": f"P{n}", "kunde_navn": name(n), "kunde_adresse": "Prøveveien 3"}
    return {"fakturanr": number(n), **who, **contact, "fakturadato": day, **money}


def voucher(key: int, kind: str, ref: int, *, subject: bool) -> Row:
    values = {"id": number(key), "ref_type": kind, "ref_id": str(number(ref)), "bilagsdato": "2016-01-01"}
    return Row("bilag", {**values, "konto": "3000", "tekst": f"Salg til {name(ref)}", "beloep": 1250}, subject)


def note(n: int, delivered: str, *, subject: bool) -> Row:
    values = {"id": number(n), "fakturanr": number(n), "mottaker": name(n), "adresse": "Prøveveien 3"}
    return Row("foelgeseddel", {**values, "levert": delivered}, subject)


def invoice(
    n: int, clock: str | None, *, status: str = "S", ended: str = "2018-06-30", blanked: bool = False,
    namesake: bool = False,
) -> tuple[Row, ...]:  # fmt: skip
    """An invoice by its date, with its voucher; `namesake` adds a delivery note of the same number that must stay."""
    after: Values = FORGOTTEN_CONTACT if blanked else {}
    rows = [
        Row("faktura", bill(n, str(clock)), True, after),
        buyer(n, ended, status),
        voucher(2 * n, "FAKTURA", n, subject=True),
    ]
    if namesake:
        rows += [note(n, "2023-05-05 10:00:00", subject=False), voucher(2 * n + 1, "FOELGESEDDEL", n, subject=False)]
    return tuple(rows)


INVOICES = [
    due("fiscal floor long over", "2017-05-17"),
    due("last day of the newest fiscal year whose floor is over", "2019-12-31"),
    due("polymorphic: a kept delivery note bears the same number", "2018-02-28", namesake=True),
    kept("floor", "first day under the floor; the contact goes", "2020-01-01", ended="2021-03-31", blanked=True),
    kept("floor", "leap day under the floor; the contact goes", "2020-02-29", ended="2021-03-31", blanked=True),
    kept("condition", "customer is active", "2016-03-01", status="A", ended=NEVER),
    kept("condition", "status mismatch: active with an old closing date", "2016-03-01", status="A"),
    *[kept("undated", f"invoice date {why}", day, blanked=True) for why, day in UNSET.items()],
    *exempt("2015-12-31"),
]  # fmt: skip


def invoice_contact(
    n: int, clock: str | None, *, status: str = "S", forgotten: bool = False, orphan: bool = False
) -> tuple[Row, ...]:
    """An invoice of 2022, under the floor for years to come, by its customer's closing date."""
    rows = (
        Row("faktura", bill(n, "2022-10-10", forgotten=forgotten), True),
        voucher(2 * n, "FAKTURA", n, subject=False),
    )
    return rows if orphan else (*rows, buyer(n, str(clock), status))


INVOICE_CONTACTS = [
    due("due long since: name and address stay", "2022-11-01"),
    due("due since yesterday", "2024-02-27"),
    due("due since today 00:00", "2024-02-28"),
    due("leap day: its year ends on 28 February", "2024-02-29"),
    kept("not_due", "due tomorrow: the last day of its period", "2024-03-01"),
    kept("not_due", "ended lately", "2025-02-28"),
    *[kept("undated", f"closing date {why}", day) for why, day in UNSET.items()],
    kept("condition", "status mismatch: active with an old closing date", "2020-01-15", status="A"),
    kept("undated", "customer is not in the ledger", None, orphan=True),
    done("blanked before", "2022-12-01", forgotten=True),
    FUTURE_DAY,
    *exempt("2022-11-30"),
]


def delivery_note(n: int, clock: str | None, *, namesake: bool = False) -> tuple[Row, ...]:
    """A delivery note by its delivery, in UTC, with its voucher; `namesake` adds a kept invoice of the same number."""
    rows = (note(n, str(clock), subject=True), voucher(2 * n, "FOELGESEDDEL", n, subject=True))
    others = (
        Row("faktura", bill(n, "2023-01-10")),
        buyer(n, NEVER, "A"),
        voucher(2 * n + 1, "FAKTURA", n, subject=False),
    )
    return (*rows, *others) if namesake else rows


DELIVERY_NOTES = [
    due("fiscal floor long over", "2018-03-03 10:00:00"),
    due("last second of the newest fiscal year whose floor is over", "2020-12-31 22:59:59"),
    due("polymorphic: a kept invoice bears the same number", "2019-09-09 09:00:00", namesake=True),
    kept("floor", "new fiscal year in Norway, in UTC still the old one", "2020-12-31 23:00:00"),
    kept("floor", "under the floor, older than three and a half years", "2021-06-15 12:00:00"),
    kept("floor", "delivered lately", "2025-02-10 12:00:00"),
    *[kept("undated", f"delivery {why}", f"{day} 00:00:00") for why, day in UNSET.items()],
    kept("future", "future-dated", "2025-08-01 12:00:00"),
    *exempt("2017-07-01 12:00:00"),
]
