"""What stands before a number and says what it is, and what stands after it and says that it is an amount."""

from __future__ import annotations

import re

from lethe.anonymise.fold import FILLER

_GAP = rf"[^\w\n\[\]{FILLER}]{{0,4}}"
_LABEL = re.compile(
    rf"(?<!\w)(?:"
    r"(?P<phone>(?:\w{0,14}-?)(?:tlf|telefon|mobil|phone)\w{0,9}|tel|tif|mob|t|m|ring|ringe|fax|faks|sms|vipps|cell|kontakt\w{0,4})|"
    r"(?P<orgnr>org\w{0,16}|foretaksn\w{0,6}|mva\w{0,8}|vat)|"
    r"(?P<account>\w{0,6}konto\w{0,8}|kto\w{0,4}|iban|account)|"
    r"(?P<nin>fødsels\w{0,8}|fnr|person\w{0,8}|d-?n\w{0,6}|h-?nummer|nin|ssn)|"
    r"(?P<other>(?:ordre|bestilling|faktura|sak|kid|ref|kunde|vare|serie|avtale|polise|måler|måle|medlem|bilag|pakke|sending|"
    r"sporing|tracking|order|invoice|case|ticket|artikkel|produkt|prosjekt|rekvisisjon|løpe|versjon|beløp|sum|pris|lisens|"
    r"passord|kode|isbn|ean|gtin|imei|postboks|gnr|bnr|transaksjon|betaling|journal|meter|skade)[\w-]{0,14}|"
    r"\w{2,14}(?:nr|nummer|number|-id)|id|kr|nok|eur|usd|build|v)"
    rf"){_GAP}(?:(?:nr|nummer|no|number|er|is|id|mitt|min){_GAP}){{0,2}}\Z"
)
_AMOUNT = re.compile(
    rf"[^\S\n]?(?:kr(?!{chr(92)}w)|nok(?!\w)|kroner|mill|stk|kwh|mwh|kw(?!\w)|usd|eur|m²|m2|km|kg|%|,-|:-|€|\$)|[.,][0-9]|[^\W\d]|[-_]\w|/[^\W\d]"
    r"|/[0-9]{1,4}(?![0-9 ])"
)
_ATTACHED = re.compile(
    r"(?:[^\W\d]|[_#=&%$€£]|[^\W_]-|[^\W\d_]/|(?<![0-9])(?:19|20)[0-9]{2}/|(?<![0-9 ])[0-9]{1,3}/|[0-9][.,])\Z"
)


def label(text: str, floor: int, start: int) -> str | None:
    """What the words right before a number call it: phone, orgnr, account, nin, other; None when they do not."""
    match = _LABEL.search(text, max(floor, start - 64), start)
    return match.lastgroup if match else None


def is_amount(text: str, end: int, ceiling: int) -> bool:
    """Whether a unit, a decimal or a letter follows the number."""
    return _AMOUNT.match(text, end, min(ceiling, end + 12)) is not None


def is_attached(text: str, floor: int, start: int) -> bool:
    """Whether the number is the rest of something longer, such as INV-1234 or id=1234."""
    return _ATTACHED.search(text, max(floor, start - 6), start) is not None
