"""Messages as they are judged for a hand-over: each header with the reasons that it must get, and what it is for."""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from typing import NamedTuple
from zoneinfo import ZoneInfo

from lethe.offboarding.choose import Verdict, Why
from lethe.offboarding.platform import Role

FROM, CASE = b"From: Kari <kari@kunde.example>", b"Subject: Sak TD-12345"
NEUTRAL = b"From: nyhetsbrev@avis.example\r\nSubject: Ukens nyheter"
RECEIVED = datetime(2025, 3, 1, 9, 30, tzinfo=UTC)
NONE, CHOSEN, FOLDER, NUMBER, CUSTOMER = Why.NOTHING, Why.CHOSEN, Why.FOLDER, Why.CASE, Why.CUSTOMER
SUBJECT, INSIDE, BY = Why.PRIVATE_SUBJECT, Why.PRIVATE_FOLDER, Why.PRIVATE_CORRESPONDENT
UNION, HEALTH, UNREADABLE = Why.UNION, Why.OCCUPATIONAL_HEALTH, Why.UNREADABLE
THROWN, OUTSIDE, OTHER_WAY = Why.THROWN_AWAY, Why.OUTSIDE_PERIOD, Why.OTHER_DIRECTION
GO, STAY = Verdict.HAND_OVER, Verdict.LEAVE


def word(text: str, charset: str = "utf-8") -> bytes:
    """The text as one encoded word in base64."""
    return b"=?" + charset.encode() + b"?B?" + base64.b64encode(text.encode(charset)) + b"?="


class Case(NamedTuple):
    what: str
    header: bytes
    reasons: Why
    folder: tuple[str, ...] = ("INBOX",)
    role: Role = ""


CASES = [
    # what speaks for it
    Case("nothing speaks for a newsletter", NEUTRAL, NONE),
    Case("a case number in the subject", CASE, NUMBER),
    Case("a case number in small letters, in brackets", b"Subject: SV: [td-12345] Skriver", NUMBER),
    Case("a case number with a non-breaking hyphen", "Subject: TD‑12345".encode(), NUMBER),
    Case("a case number in full-width digits", "Subject: TD-１２３４５".encode(), NUMBER),
    Case("a case number with a zero-width space inside", "Subject: TD-12\u200b345".encode(), NUMBER),
    Case("a case number split over two lines", b"Subject: Om saken\r\n TD-12345", NUMBER),
    Case("a case number in an encoded word", b"Subject: " + word("Før TD-12345"), NUMBER),
    Case("one digit too many is no case number", b"Subject: TD-123456", NONE),
    Case("one digit too few is no case number", b"Subject: TD-1234", NONE),
    Case("the end of a longer word is no case number", b"Subject: STD-12345", NONE),
    Case("a lookalike is no case number: Cyrillic Т", "Subject: ТD-12345".encode(), NONE),
    Case("a case number in another field is none", b"X-Spam: TD-12345\r\nSubject: hei", NONE),
    Case("from a customer", FROM, CUSTOMER),
    Case("to a customer", b"From: ola@firma.example\r\nTo: post@kunde.example", CUSTOMER, role="sent"),
    Case("a customer in copy", b"From: x@y.example\r\nCc: a@b.example, Kari <KARI@Kunde.Example>", CUSTOMER),
    Case("a customer in blind copy", b"From: ola@firma.example\r\nBcc: kari@kunde.example", CUSTOMER),
    Case("a customer is answered to", b"From: robot@saker.example\r\nReply-To: kari@kunde.example", CUSTOMER),
    Case("below a customer's domain", b"From: kari@post.oslo.kunde.example", CUSTOMER),
    Case("with a full stop behind the domain", b"From: kari@kunde.example.", CUSTOMER),
    Case("with a comment in the address", b"From: kari(hei)@(ho)kunde.example (Kari, daglig leder)", CUSTOMER),
    Case("with a quoted local part", b'From: "kari; (nord)"@kunde.example', CUSTOMER),
    Case(
        "a forged From is a claim, and enough", b"From: kari@kunde.example\r\nReturn-Path: <x@evil.example>", CUSTOMER
    ),
    Case("several From, one of a customer", b"From: a@b.example\r\nFrom: kari@kunde.example", CUSTOMER),
    Case("several addresses in From", b"From: a@b.example, kari@kunde.example", CUSTOMER),
    Case("group syntax", b"To: Kunder: Per <per@annen.example>, kari@kunde.example;", CUSTOMER),
    Case("an empty group", b"To: undisclosed-recipients:;\r\nFrom: x@avis.example", NONE),
    Case("a route before the address", b"From: <@relay.example,@b.example:kari@kunde.example>", CUSTOMER),
    Case("no From at all", b"Subject: hei", NONE),
    Case("no header at all", b"", NONE),
    Case("the customer's domain begins another one", b"From: kari@kunde.example.evil.example", NONE),
    Case("the customer's domain ends another one", b"From: kari@minkunde.example", NONE),
    Case("the customer's domain is a local part", b"From: kunde.example@evil.example", NONE),
    Case("two @ in one address", b"From: <kari@kunde.example@evil.example>", NONE),
    Case("two @ in one address, the last one a customer's", b"From: <a@b.example@kunde.example>", NONE),
    Case("a customer's address as a display name", b'From: "kari@kunde.example" <x@evil.example>', NONE),
    Case("the same without quotes", b"From: kari@kunde.example <x@evil.example>", NONE),
    Case("the same in an encoded word", b"From: " + word("<kari@kunde.example>") + b" <x@evil.example>", NONE),
    Case("the same in a comment", b"From: x@evil.example (kari@kunde.example)", NONE),
    Case("an encoded word that says an address is none", b"From: =?utf-8?Q?kari=40kunde.example?=", NONE),
    Case("a lookalike of the domain: Cyrillic е", "From: kari@kundе.example".encode(), NONE),
    Case("a domain in punycode", b"From: kari@xn--blbr-roah.example", CUSTOMER),
    Case("a domain in UTF-8", "From: kari@BLÅBÆR.example".encode(), CUSTOMER),
    Case("a domain in Latin-1", "From: kari@blåbær.example".encode("latin-1"), CUSTOMER),
    Case("a domain with æøå in NFD", "From: kari@bla\u030abær.example".encode(), CUSTOMER),
    Case("what only looks like punycode", b"From: kari@xn--kunde-.example", NONE),
    Case("plus-addressing at a customer", b"From: kari+tilbud@kunde.example", CUSTOMER),
    Case("a customer known by address", b"From: Kari@gmail.example", CUSTOMER),
    Case("a customer known by address, with a plus", b"From: kari+sak@gmail.example", CUSTOMER),
    Case("another one at the same provider", b"From: per@gmail.example", NONE),
    Case("a hand-over folder", NEUTRAL, FOLDER, ("Overlevering",)),
    Case("a folder inside a hand-over folder", NEUTRAL, FOLDER, ("Overlevering", "Til Per")),
    Case("a hand-over folder in NFD and capitals", NEUTRAL, FOLDER, ("INBOX", "HA\u030aNDOVER")),
    Case("a folder that is named like one is none", NEUTRAL, NONE, ("Ikke overlevering",)),
    Case("all that speaks for it", FROM + b"\r\n" + CASE, FOLDER | NUMBER | CUSTOMER, ("Overlevering",)),
    # private, whatever speaks for it
    Case("a case number inside a private mail", b"Subject: Privat: TD-12345", NUMBER | SUBJECT),
    Case("marked in English", b"Subject: PRIVATE", SUBJECT | NONE),
    Case("a reply to a private mail", b"Subject: Re: SV: Privat", SUBJECT | NONE),
    Case("a mark in brackets", b"Subject: [privat] TD-12345", NUMBER | SUBJECT),
    Case("a mark with an underscore and a year", b"Subject: Privat_2024", SUBJECT | NONE),
    Case("a mark that is part of a compound with a hyphen", b"Subject: privat-telefon", SUBJECT | NONE),
    Case("a mark of two words, over two lines", b"Subject: Dette er ikke\r\n\tjobb", SUBJECT | NONE),
    Case("a word with any ending where the policy says so", b"Subject: Unntatte saker", SUBJECT | NONE),
    Case("a private customer is business", b"Subject: Ny privatkunde TD-12345", NUMBER),
    Case("privatisation is business", b"Subject: Privatisering av TD-12345", NUMBER),
    Case("the ending of another word", b"Subject: Halvprivat TD-12345", NUMBER),
    Case("a mark in an encoded word", b"Subject: " + word("Privat"), SUBJECT | NONE),
    Case("in quoted-printable with an underscore", b"Subject: =?iso-8859-1?q?_Privat=E5_privat_?=", SUBJECT | NONE),
    Case("split over two encoded words", b"Subject: =?utf-8?Q?Pri?=\r\n =?utf-8?Q?vat?= TD-12345", NUMBER | SUBJECT),
    Case("split over words of different charsets", b"Subject: =?utf-8?Q?Pri?= =?iso-8859-1?B?dmF0?=", SUBJECT | NONE),
    Case(
        "a letter split over two words",
        b"Folder: x\nSubject: =?utf-8?Q?L=C3?= =?utf-8?Q?=B8nn?=",
        SUBJECT | NONE,
    ),
    Case("an encoded word within a word", b"Subject: Pri=?utf-8?Q?vat?=", SUBJECT | NONE),
    Case("an unknown charset in ASCII", b"Subject: =?x-nowhere?Q?Privat?=", SUBJECT | NONE),
    Case(
        "another charset than it says",
        b"Subject: =?utf-8?B?" + base64.b64encode("på privat".encode("latin-1")) + b"?=",
        SUBJECT | NONE,
    ),
    Case("a language behind the charset", b"Subject: =?utf-8*nb?B?UHJpdmF0?=", SUBJECT | NONE),
    Case("base64 without its padding", b"Subject: =?utf-8?B?UHJpdmF0ZQ?=", SUBJECT | NONE),
    Case("base64 behind its padding", b"Subject: =?utf-8?B?SGVpIA==UHJpdmF0?=", SUBJECT | NONE),
    Case("in UTF-16", b"Subject: " + word("Privat", "utf-16"), SUBJECT | NONE),
    Case("in UTF-7", b"Subject: =?utf-7?Q?+AFAAcgBpAHYAYQB0-?=", SUBJECT | NONE),
    Case("an encoded word that never ends", b"Subject: =?utf-8?Q?Privat", SUBJECT | NONE),
    Case("a question mark in an encoded word", b"Subject: =?utf-8?Q?Privat?_ja?=", SUBJECT | NONE),
    Case("a zero-width space in it", "Subject: pri\u200bvat".encode(), SUBJECT | NONE),
    Case("a soft hyphen and a joiner in it", "Subject: p\u00adri\u2060vat".encode(), SUBJECT | NONE),
    Case("a NUL in it", b"Subject: pri\0vat", SUBJECT | NONE),
    Case("Cyrillic lookalikes", "Subject: РRІVАТ".encode(), SUBJECT | NONE),
    Case("Greek lookalikes", "Subject: ρriνατ".encode(), SUBJECT | NONE),
    Case("mathematical letters", "Subject: 𝐩𝐫𝐢𝐯𝐚𝐭".encode(), SUBJECT | NONE),
    Case("small capitals", "Subject: ᴘʀɪᴠᴀᴛ".encode(), SUBJECT | NONE),
    Case("struck through by marks", "Subject: p̶r̶i̶v̶a̶t̶".encode(), SUBJECT | NONE),
    Case("a second subject", CASE + b"\r\nSubject: privat", NUMBER | SUBJECT),
    Case("a space before the colon", b"Subject : privat", SUBJECT | NONE),
    Case("lines that end in CR alone", b"From: x@y.example\rSubject: privat\rTo: z@y.example", SUBJECT | NONE),
    Case("a category", CASE + b"\r\nKeywords: jobb, Privat", NUMBER | SUBJECT),
    Case("the topic of its thread", CASE + b"\r\nThread-Topic: privat", NUMBER | SUBJECT),
    Case("Outlook's mark", CASE + b"\r\nSensitivity: Private", NUMBER | SUBJECT),
    Case("Outlook's mark of confidence is not private", CASE + b"\r\nSensitivity: Company-Confidential", NUMBER),
    Case("a private folder", FROM, CUSTOMER | INSIDE, ("Privat",)),
    Case("a folder inside a private folder", FROM, CUSTOMER | INSIDE, ("INBOX", "Privat", "Hus")),
    Case("a private folder in NFD", FROM, CUSTOMER | INSIDE, ("Ba\u030aTEN",)),
    Case("a hand-over folder in a private folder", FROM, FOLDER | CUSTOMER | INSIDE, ("Privat", "Overlevering")),
    Case("a private folder in a hand-over folder", CASE, FOLDER | NUMBER | INSIDE, ("Overlevering", "Privat 2")),
    Case("a folder of private customers is business", CASE, NUMBER, ("Privatkunder",)),
    Case("from a private correspondent", b"From: Mor <mor@hjemme.example>\r\n" + CASE, NUMBER | BY),
    Case("to one, with a plus", b"From: ola@firma.example\r\nTo: mor+ola@hjemme.example", BY | NONE),
    Case("another one at the same provider", b"From: far@hjemme.example\r\n" + CASE, NUMBER),
    Case("in copy to the union", FROM + b"\r\nCc: leder@forbundet.example", CUSTOMER | UNION),
    Case("the union's own address in this company", FROM + b"\r\nTo: Tillitsvalgt@firma.example", CUSTOMER | UNION),
    Case("below the union's domain", b"From: a@lokallag.forbundet.example", UNION | NONE),
    Case("not below the union's domain", b"From: a@forbundet.example.evil.example\r\n" + CASE, NUMBER),
    Case(
        "the union in a display name: a list rewrote it",
        b'From: "a@forbundet.example via liste" <l@lister.example>',
        UNION | NONE,
    ),
    Case(
        "the union in an encoded display name",
        b"From: " + word("a@forbundet.example via") + b" <l@lister.example>",
        UNION | NONE,
    ),
    Case("the union in a field that is broken", b'To: "Kari <a@forbundet.example>, b@kunde.example', UNION | NONE),
    Case("the union is answered to", FROM + b"\r\nReply-To: a@forbundet.example", CUSTOMER | UNION),
    Case("the union is the sender", FROM + b"\r\nSender: a@forbundet.example", CUSTOMER | UNION),
    Case("the union sent it on", FROM + b"\r\nResent-From: a@forbundet.example", CUSTOMER | UNION),
    Case("occupational health", FROM + b"\r\nBcc: lege@bedriftshelsa.example", CUSTOMER | HEALTH),
    Case(
        "union and health in one group",
        b"To: Meg: a@forbundet.example, lege@bedriftshelsa.example;",
        UNION | HEALTH | NONE,
    ),
    Case("a display name that says private", b"From: Ola (privat) <ola@hus.example>\r\n" + CASE, NUMBER | BY),
    Case("an address that says private", b"To: ola.privat@hus.example\r\n" + CASE, NUMBER | BY),
    Case("a company named so is business", b"From: a@privat-megleren.example\r\n" + CASE, NUMBER),
    # what cannot be read
    Case("a charset that nobody knows", b"Subject: =?x-nowhere?Q?=B0=B1=FF?= TD-12345", NUMBER | UNREADABLE),
    Case("UTF-16 cut off", b"Subject: =?utf-16?B?UP8A?= TD-12345", NUMBER | UNREADABLE),
    Case("a header of 5 MB", FROM + b"\r\nX: " + b"x" * 5_000_000 + b"\r\nSubject: privat", CUSTOMER | UNREADABLE),
    Case("ten thousand fields of nothing", b"X: y\r\n" * 10_000 + CASE, NUMBER),
    # limits
    Case("in the trash", CASE, NUMBER | THROWN, ("Trash",), "trash"),
    Case("deleted, and can still be put back", CASE, NUMBER | THROWN, ("Purges",), "recoverable"),
    Case("in the junk, from a customer", FROM, CUSTOMER | THROWN, ("Junk",), "junk"),
    Case("a hand-over folder that was thrown away", CASE, FOLDER | NUMBER | THROWN, ("Overlevering",), "trash"),
    Case("a draft was never sent", CASE, NUMBER | OTHER_WAY, ("Drafts",), "drafts"),
    Case("a Date long before it came", CASE + b"\r\nDate: Mon, 1 Jan 2018 10:00:00 +0100", NUMBER | OUTSIDE),
    Case("a Date that is yet to come is only false", CASE + b"\r\nDate: Mon, 1 Jan 2099 10:00:00 +0100", NUMBER),
    Case("no Date", CASE, NUMBER),
    Case("a Date that is none", CASE + b"\r\nDate: i dag, kl. 25:61 \xff", NUMBER),
    Case("a Date without a zone", CASE + b"\r\nDate: Sat, 1 Mar 2025 10:00:00 -0000", NUMBER),
    Case(
        "two Dates, one long before",
        CASE + b"\r\nDate: Sat, 1 Mar 2025 10:00:00 +0000\r\nDate: 1 Jan 2018 10:00 +0000",
        NUMBER | OUTSIDE,
    ),
]
PERIOD_AND_DIRECTION = {
    "the last day is within": (CASE, datetime(2025, 6, 30, 21, 59, tzinfo=UTC), "", "both", NUMBER),
    "midnight in Oslo after it is not": (CASE, datetime(2025, 6, 30, 22, 0, tzinfo=UTC), "", "both", NUMBER | OUTSIDE),
    "two years before is within": (CASE, datetime(2023, 6, 29, 22, 0, tzinfo=UTC), "", "both", NUMBER),
    "a day more is not": (CASE, datetime(2023, 6, 29, 21, 59, tzinfo=UTC), "", "both", NUMBER | OUTSIDE),
    "a forged Date brings nothing old back": (
        CASE + b"\nDate: Sat, 1 Mar 2025 10:00:00 +0000",
        datetime(2019, 1, 1, tzinfo=UTC),
        "",
        "both",
        NUMBER | OUTSIDE,
    ),
    "a platform that tells no zone proves nothing": (CASE, datetime(2025, 3, 1), "", "both", NUMBER | OUTSIDE),  # noqa: DTZ001
    "the first moment that Python knows": (
        CASE,
        datetime(1, 1, 1, tzinfo=ZoneInfo("Asia/Tokyo")),
        "",
        "both",
        NUMBER | OUTSIDE,
    ),
    "received in the inbox, only sent wanted": (CASE, RECEIVED, "inbox", "sent", NUMBER | OTHER_WAY),
    "a From of mine in the inbox is received": (
        CASE + b"\nFrom: ola@firma.example",
        RECEIVED,
        "inbox",
        "received",
        NUMBER,
    ),
    "sent in the sent folder, whatever From says": (CASE + b"\nFrom: x@y.example", RECEIVED, "sent", "sent", NUMBER),
    "sent, only received wanted": (CASE, RECEIVED, "sent", "received", NUMBER | OTHER_WAY),
    "mine in a folder of my own is sent": (CASE + b"\nFrom: Ola+x@firma.example", RECEIVED, "", "sent", NUMBER),
    "another's there is received": (CASE + b"\nFrom: x@y.example", RECEIVED, "", "received", NUMBER),
    "another's there, only sent wanted": (CASE + b"\nFrom: x@y.example", RECEIVED, "", "sent", NUMBER | OTHER_WAY),
    "of nobody: which way cannot be said": (CASE, RECEIVED, "", "received", NUMBER | OTHER_WAY),
    "of two, one of them me: neither": (
        CASE + b"\nFrom: ola@firma.example, x@y.example",
        RECEIVED,
        "",
        "sent",
        NUMBER | OTHER_WAY,
    ),
}


CHOSEN_BY_A_PERSON = {
    "a message that nothing speaks for": (("Valgt",), "7", NEUTRAL, CHOSEN, GO),
    "the same number in another folder is another message": (("Annet",), "7", NEUTRAL, NONE, STAY),
    "another message of the folder": (("Valgt",), "8", NEUTRAL, NONE, STAY),
    "all of a folder": (("Alt", "Her"), "9", NEUTRAL, CHOSEN, GO),
    "a folder inside it was not chosen": (("Alt", "Her", "Inni"), "9", NEUTRAL, NONE, STAY),
    "nor the one around it": (("Alt",), "9", NEUTRAL, NONE, STAY),
    "a private message all the same stays": (("Valgt",), "7", b"Subject: privat", CHOSEN | SUBJECT, STAY),
    "and so does one of the union": (("Valgt",), "7", b"From: a@forbundet.example", CHOSEN | UNION, STAY),
    "and what cannot be read": (("Valgt",), "7", b"Subject: =?x?B?/////w==?=", CHOSEN | UNREADABLE, STAY),
    "an old message goes": (("Valgt",), "7", b"Date: 1 Jan 2001 10:00 +0000", CHOSEN | OUTSIDE, GO),
}
