"""The two rounds through the mailboxes of employees: a monthly reminder of old mail, and a scan for what is sensitive.

A mailbox that cannot be looked through stops no other; it is counted, and the next try or round comes back to it.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time
from uuid import uuid4

from lethe.errors import ConfigError, StoreError
from lethe.model import Policy
from lethe.offboarding import letters
from lethe.offboarding.directory import Directory, Employee, mailbox_of
from lethe.offboarding.letters import Letter
from lethe.offboarding.looked import Looked, What
from lethe.offboarding.platform import Platform
from lethe.offboarding.rules import Offboarding
from lethe.offboarding.sensitive import words_of
from lethe.offboarding.upkeep import Found, old, scan, total

log = logging.getLogger("lethe")


@dataclass(frozen=True)
class Caretaker:
    """Whoever goes round, with what it takes; `send` raises where a letter is not taken."""

    policy: Policy
    looked: Looked
    directory: Directory
    platform: Platform
    send: Callable[[Letter], None]

    def remind(self, now: datetime) -> Counter[str]:
        """Tell each employee how much old mail they have, once a month; in numbers, what came of it.

        It is written down before the letter goes: whoever is killed in between sends none twice, and the next month's
        comes. A letter that is not taken is tried again.
        """
        rules, zone = self._rules, self.policy.organisation.zone
        if rules.upkeep is None:
            raise ConfigError("offboarding.yaml has no upkeep: nobody is reminded")
        today, ages = now.astimezone(zone).date(), rules.upkeep.older_than
        month = datetime.combine(today.replace(day=1), time(), zone)
        before = self.looked.until("reminder")

        def remind(employee: Employee) -> Counter[str]:
            if employee.number in before and before[employee.number] >= month:
                return Counter()
            found = old(self.platform, mailbox_of(employee), ages, today, zone)
            self.looked.looked(employee.number, "reminder", month)
            if not found:
                return Counter()
            try:
                self.send(letters.reminder(employee, found, self.policy))
            except BaseException:
                self.looked.again(employee.number, "reminder")
                raise
            return Counter(told=1, messages=sum(sum(by_age.values()) for by_age in found.values()))

        return self._round("reminder", rules.upkeep.obligation, today, remind)

    def scan(self, now: datetime, report: Callable[[Mapping[str, Found]], None]) -> Counter[str]:
        """Tell each employee what is sensitive in mail that came since the last scan, and `report` all to the officer.

        Whoever is told and then not written down is told again: a report twice is better than none.
        """
        rules = self._rules
        if rules.scan is None:
            raise ConfigError("offboarding.yaml has no scan: nobody's mail is looked into")
        before = self.looked.until("scan")

        def look_into(employee: Employee) -> Counter[str]:
            found = scan(self.platform, mailbox_of(employee), words_of(rules), before.get(employee.number))
            told = {folder: each for folder, each in found.items() if each.is_sensitive}
            if told:
                self.send(letters.sensitive(employee, told, self.policy))
            whole = total(found.values())
            self.looked.looked(employee.number, "scan", now, whole)
            return Counter({"told": int(bool(told)), **whole._asdict()})

        today = now.astimezone(self.policy.organisation.zone).date()
        return self._round("scan", rules.scan, today, look_into, lambda: self._report(report))

    def _report(self, report: Callable[[Mapping[str, Found]], None]) -> None:
        untold = self.looked.untold()
        if untold:
            report(untold)
            self.looked.told(untold)

    @property
    def _rules(self) -> Offboarding:
        if self.policy.offboarding is None:
            raise ConfigError("the policy has no offboarding.yaml: Lethe looks into nobody's mailbox")
        return self.policy.offboarding

    def _round(
        self, what: What, obligation: str, today: date, each: Callable[[Employee], Counter[str]],
        end: Callable[[], None] = lambda: None,
    ) -> Counter[str]:  # fmt: skip
        """Do something for everybody who works here and has a mailbox; StoreError in the end when some failed."""
        employees, counts, failed = self.directory.employed(today), Counter[str](), 0
        self.looked.keep_only([employee.number for employee in employees])
        for employee in employees:
            try:
                counts += each(employee)
            except StoreError as error:
                failed += 1
                log.warning("employee %s: %s", employee.number, error)
        counts += Counter(employees=len(employees), failed=failed)
        self.looked.ran(uuid4().hex, what, obligation, counts)
        end()
        if failed:
            raise StoreError(f"{failed} of {len(employees)} mailboxes could not be looked through; the others were")
        return counts
