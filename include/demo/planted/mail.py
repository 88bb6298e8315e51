"""The mailboxes of the demo: what of the leaver's mail is handed over, and what nobody but they may see.

Names, customers and cases are invented, and every domain ends in .example.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from demo.people import national_id

LEAVER, MANAGER, RECIPIENT = "1004", "1001", "1002"
ADDRESSES = {
    LEAVER: "kari.nordmo@tindheim.example",
    MANAGER: "ola.storvik@tindheim.example",
    RECIPIENT: "per.blaafjell@tindheim.example",
}
"""As the directory has them."""
FOLDERS = ("Prosjekter/Nordlys",)
"""What the form hands over by choice."""
Fate = Literal["chosen", "private", "sensitive", "left"]


@dataclass(frozen=True)
class Planted:
    """A message in the leaver's mailbox, and what becomes of it."""

    fate: Fate
    folder: tuple[str, ...]
    message: bytes
    received: datetime
    flags: frozenset[str]


_MAIL: tuple[tuple[Fate, str, str, str, str], ...] = (
    ("chosen", "Overlevering", ADDRESSES[MANAGER], "Rutiner for vakttelefonen", "Slik gjør vi det om natta."),
    ("chosen", "Overlevering/Avtaler", "innkjop@havgap-sjømat.example", "Forslag til avtale", "Utkast vedlagt."),
    ("chosen", "INBOX", "it@nordlys-kommune.example", "Ny skriver i tredje etasje", "Kan dere se på den?"),
    ("chosen", "INBOX", "noen@fjord.example", "SV: [TD-20417] VPN faller ut", "Nå virker det igjen."),
    ("chosen", "Sent", ADDRESSES[LEAVER], "TD-20417: VPN faller ut", "Vi ser på det i dag."),
    ("chosen", "Prosjekter/Nordlys", "plan@fjord.example", "Møteplan for høsten", "Se vedlegg."),
    ("private", "Privat", "skolen@bygda.example", "Foreldremøte TD-20500", "Torsdag klokken seks."),
    ("private", "INBOX", "søster@hjemme.example", "Privat: helga", "Kommer dere på fjellet?"),
    ("private", "INBOX", "raad@forbundet.example", "TD-20417 og overtid", "Ta det opp med tillitsvalgte."),
    ("private", "Prosjekter/Nordlys", "time@bedriftshelsa.example", "Time på mandag", "Oppmøte klokken ni."),
    ("sensitive", "INBOX", "it@nordlys-kommune.example", "TD-20633 ny bruker", "Fødselsnummer {nin}."),
    ("sensitive", "Overlevering", ADDRESSES[MANAGER], "Vaktbytte", "Sindre er sykmeldt ut uka."),
    ("left", "INBOX", "nyheter@fagblad.example", "Ukens nytt", "Les mer på nettsidene."),
    ("left", "Sent", ADDRESSES[LEAVER], "Lunsj?", "Kantina klokken tolv?"),
)


def planted(now: datetime) -> tuple[Planted, ...]:
    """The leaver's messages, of the last months before `now`."""
    nin = national_id(now.date().replace(year=1980, month=5, day=17), 0)
    return tuple(
        Planted(
            fate,
            tuple(folder.split("/")),
            _message(number, sender, subject, text.format(nin=nin)),
            (now - timedelta(days=9 * number + 3)).replace(microsecond=0),
            frozenset({"\\Seen"} if number % 2 else {"\\Flagged"}),
        )
        for number, (fate, folder, sender, subject, text) in enumerate(_MAIL)
    )


def mailboxes(now: datetime) -> Mapping[str, tuple[Planted, ...]]:
    """Who has a mailbox at first, and what is in it."""
    return {address: planted(now) if number == LEAVER else () for number, address in ADDRESSES.items()}


def _message(number: int, sender: str, subject: str, text: str) -> bytes:
    """With one byte that is in no character set: a hand-over that reads messages as text would lose it."""
    header = f"From: {sender}\r\nTo: {ADDRESSES[LEAVER]}\r\nMessage-ID: <{number}@planted.example>\r\n"
    return f"{header}Subject: {subject}\r\n\r\n{text}\r\n".encode() + b"\xff\r\n"
