"""The obligations of the privacy statement that the policy must answer, each by a rule, a floor or a reason."""

from __future__ import annotations

from collections.abc import Mapping

OBLIGATIONS: Mapping[str, Mapping[str, str]] = {
    "R01": {"nb": "Besøkende på nettstedet", "en": "Website visitors"},
    "R02": {"nb": "Skjemaer og samtykker", "en": "Forms and consents"},
    "R03": {"nb": "Øktinformasjon", "en": "Sessions"},
    "R04": {"nb": "Sakssystem og portal", "en": "Case system and portal"},
    "R05": {"nb": "Identifiserbare undersøkelser", "en": "Identifiable surveys"},
    "R06": {"nb": "Anonyme undersøkelser", "en": "Anonymous surveys"},
    "R07": {"nb": "Kunde- og leverandørkontakter", "en": "Customer and supplier contacts"},
    "R08": {"nb": "Tidligere kunders kjøp og meldinger", "en": "Purchases and messages of ex-customers"},
    "R09": {"nb": "Samtalelogg", "en": "Call log"},
    "R10": {"nb": "Ansattes e-post ved fratreden", "en": "Employee mailboxes at departure"},
    "R11": {"nb": "Opprydding i e-post", "en": "Mailbox upkeep"},
    "R12": {"nb": "Sensitive opplysninger i e-post", "en": "Sensitive data in e-mail"},
    "R13": {"nb": "Regnskapsmateriale", "en": "Accounting records"},
    "R14": {"nb": "Arkivpliktig materiale", "en": "Records under the archives act"},
    "R15": {"nb": "Data behandlet for kunder", "en": "Data handled for customers"},
    "R16": {"nb": "Server- og adgangslogger", "en": "Server and access logs"},
    "R17": {"nb": "Publiserte opplysninger om ansatte", "en": "Published details of employees"},
    "R18": {"nb": "Anropslister på telefoner", "en": "Call lists on phones"},
}
