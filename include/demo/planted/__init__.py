"""The truth table of the demo estate: CASES, and the HOLDS that some of them need."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from demo.planted import bookkeeping, contact_centre, people, portal, website
from demo.planted.case import TODAY, Case, Hold, Row, Situation

__all__ = ["CASES", "DATASETS", "HOLDS", "TODAY", "Case", "Hold", "Row", "Situation"]

Maker = Callable[..., tuple[Row, ...]]
TABLES: Sequence[tuple[str, str, Maker, Sequence[Situation]]] = (
    ("website", "visitors-26-months", website.visitor, website.VISITORS),
    ("website", "form-messages-when-handled", website.form_message, website.FORM_MESSAGES),
    ("website", "consents-withdrawn", website.consent, website.CONSENTS),
    ("website", "consent-proofs", website.consent_proof, website.CONSENT_PROOFS),
    ("website", "sessions-ended", website.session, website.SESSIONS),
    ("website", "access-log", website.access, website.ACCESS_LOG),
    ("portal", "cases-of-ex-customers", portal.case, portal.CASES_OF_EX_CUSTOMERS),
    ("portal", "attachments-of-ex-customers", portal.attachment, portal.PORTAL),
    ("surveys", "survey-answers-lose-their-person", people.answer, people.SURVEY_ANSWERS),
    ("contacts", "contacts-10-years", people.contact, people.CONTACTS),
    ("webshop", "ex-customer-orders", people.order, people.ORDERS),
    ("webshop", "ex-customer-messages", people.shop_message, people.MESSAGES),
    ("bookkeeping", "invoices-after-floor", bookkeeping.invoice, bookkeeping.INVOICES),
    ("bookkeeping", "ex-customer-invoice-contacts", bookkeeping.invoice_contact, bookkeeping.INVOICE_CONTACTS),
    ("bookkeeping", "delivery-notes-after-floor", bookkeeping.delivery_note, bookkeeping.DELIVERY_NOTES),
    ("contact-centre", "call-log-90-days", contact_centre.call, contact_centre.CALLS),
    ("contact-centre", "call-log-90-days", contact_centre.calls, contact_centre.GROUPS),
)

# dataset → (store, table, column of its key)
DATASETS = {
    "visitors": ("website", "visitors", "id"),
    "visits": ("website", "visits", "id"),
    "form-messages": ("website", "form_messages", "id"),
    "consents": ("website", "consents", "id"),
    "consent-proofs": ("website", "consent_proofs", "id"),
    "sessions": ("website", "server_sessions", "id"),
    "access-log": ("website", "access_log", "id"),
    "portal-customers": ("portal", "customers", "id"),
    "cases": ("portal", "cases", "id"),
    "case-messages": ("portal", "case_messages", "id"),
    "attachments": ("portal", "attachments", "id"),
    "survey-answers": ("surveys", "survey_answers", "id"),
    "respondents": ("surveys", "respondents", "id"),
    "companies": ("contacts", "companies", "id"),
    "contacts": ("contacts", "contacts", "id"),
    "webshop-customers": ("webshop", "customers", "id"),
    "orders": ("webshop", "orders", "id"),
    "order-lines": ("webshop", "order_lines", "id"),
    "webshop-messages": ("webshop", "messages", "id"),
    "invoices": ("bookkeeping", "faktura", "fakturanr"),
    "delivery-notes": ("bookkeeping", "foelgeseddel", "id"),
    "vouchers": ("bookkeeping", "bilag", "id"),
    "ledger-customers": ("bookkeeping", "kunde", "kundenr"),
    "call-log": ("contact-centre", "call_log", "id"),
}


def _cases() -> list[Case]:
    return [
        _case(store, rule, make, situation, 100 * (block + 1) + number)
        for block, (store, rule, make, table) in enumerate(TABLES)
        for number, situation in enumerate(table)
    ]


def _case(store: str, rule: str, make: Maker, situation: Situation, number: int) -> Case:
    more: dict[str, Any] = {name: value for name, value in situation.more.items() if name != "hold"}
    return Case(store, rule, situation, make(number, situation.clock, **more))


def _holds(cases: Sequence[Case]) -> list[Hold]:
    names = {(store, table): dataset for dataset, (store, table, _) in DATASETS.items()}
    return [
        Hold(case.store, names[case.store, case.table], case.table, case.key, case.situation.more["hold"])
        for case in cases
        if "hold" in case.situation.more
    ]


CASES: tuple[Case, ...] = tuple(_cases())
HOLDS: tuple[Hold, ...] = tuple(_holds(CASES))
