"""What a check holds against a store: what is wrong, with what, how grave it is, and who answers for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

from lethe.model import Policy

Severity = Literal["alarm", "warning", "notice"]
"""An alarm: a promise is broken, or nobody can tell. A warning: it may be. A notice: somebody should look."""


class Kind(NamedTuple):
    """What can be wrong: how grave it is, and the words for it, by language; `{}` is what it is wrong with."""

    severity: Severity
    en: str
    nb: str


KINDS = {
    # what the rules' own questions find; the subject is a rule
    "remaining": Kind("alarm", "{}: expired data remains", "{}: utløpte opplysninger finnes fortsatt"),
    "blind": Kind("alarm", "{}: the check sees too little to prove anything", "{}: kontrollen ser for lite"),
    "unknown": Kind("warning", "{}: could not be asked", "{}: kunne ikke kontrolleres"),
    "floor-gone": Kind("alarm", "{}: rows that a law keeps are gone", "{}: rader som loven krever, er borte"),
    "canary-died": Kind("alarm", "{}: a planted row went too early", "{}: en utplassert rad ble borte for tidlig"),
    "canary-lives": Kind("alarm", "{}: a planted row did not go", "{}: en utplassert rad ble ikke borte"),
    "canary-unplanted": Kind("warning", "{}: no row can be planted", "{}: ingen rad kan utplasseres"),
    "trial-missed": Kind("alarm", "{}: the check does not see what it should", "{}: kontrollen ser ikke det den skal"),
    # whether it is the database, and the table, that was meant; the subject is a store or a table
    "another-database": Kind("alarm", "{}: answers from another database", "{}: svarer fra en annen database"),
    "another-table": Kind("alarm", "{}: another table bears the name", "{}: en annen tabell har navnet"),
    "changed-table": Kind("warning", "{}: its columns are not those it had", "{}: kolonnene er ikke de som var"),
    "gone-back": Kind("alarm", "{}: an older state of the database", "{}: en eldre tilstand av databasen"),
    "held-gone": Kind("alarm", "{}: rows on hold are gone", "{}: rader som skal holdes, er borte"),
    "closed": Kind("warning", "{}: closed to this user", "{}: lukket for denne brukeren"),
    "statistics": Kind("notice", "{}: statistics hold values of deleted rows", "{}: statistikk har slettede verdier"),
    # personal data that the policy does not name; the subject is a table, a column, or another object of the store
    "personal": Kind("warning", "{}: looks like personal data, and no rule knows it", "{}: ligner personopplysninger"),
    "undeclared": Kind("notice", "{}: neither in the policy nor free", "{}: verken i reglene eller erklært fri"),
    "new-column": Kind("warning", "{}: new since the last check", "{}: ny siden forrige kontroll"),
    "view": Kind("warning", "{}: a materialized view keeps copies", "{}: en materialisert visning har kopier"),
    "publication": Kind("warning", "{}: a publication sends copies away", "{}: en publikasjon sender kopier ut"),
    "large-objects": Kind("warning", "{}: large objects that no rule reaches", "{}: store objekter uten regel"),
    "log": Kind("warning", "{}: a log of visitors or users without a rule", "{}: en logg uten regel"),
    "detached": Kind("warning", "{}: a partition taken off its table", "{}: en partisjon tatt av tabellen"),
    "backup": Kind("warning", "{}: looks like a copy that was left behind", "{}: ligner en glemt kopi"),
}  # fmt: skip

WHOLE = ("another-database", "another-table", "changed-table", "gone-back", "held-gone")
"""Kinds about the store and its tables that whoever reaches the store can tell."""


@dataclass(frozen=True, order=True)
class Finding:
    """Something of a kind that is wrong with a subject: a rule or a store of the policy, or a table of the store.

    Two that differ in `detail` only are one finding. None of it is a value of a row.
    """

    store: str
    kind: str
    subject: str
    detail: str = ""

    @property
    def severity(self) -> Severity:
        """How grave it is."""
        return KINDS[self.kind].severity

    def words(self, lang: str) -> str:
        """What it is, in one line."""
        return (KINDS[self.kind].nb if lang == "nb" else KINDS[self.kind].en).format(self.subject)

    def role(self, policy: Policy) -> str:
        """Who answers for it: the role of the activity that the subject belongs to, else the privacy officer."""
        rule = policy.rules.get(self.subject)
        if rule is not None:
            return policy.activities[rule.activity].responsible
        place = self.subject.split(".")
        for dataset in policy.datasets.values():
            if dataset.store == self.store and [dataset.schema, dataset.table] == place[:2]:
                return policy.activities[dataset.activity].responsible
        return policy.organisation.privacy_officer
