"""The steps of a departure. Each can be called again, does only what was not done, and says when it is too early.

    enter ─ notice ─ close ─ choose ─ approve ─ hand over ─ delete ─ look again
                                         └─ past limits, the privacy officer too
        └─ withdraw: at any time before the deletion begins; the account is given back

Before every step the directory is asked whether the departure still stands. Mail has no transactions: what cannot be
undone is intended in evidence first, then done, then looked for by other means, then told.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time
from typing import NamedTuple

from lethe.deadlines import last_day, next_day
from lethe.errors import StoreError
from lethe.evidence.receipts import commit_root
from lethe.holds import ALL
from lethe.model import Policy
from lethe.offboarding.choose import PRIVATE, Choice, Selection, Verdict, Why, choose
from lethe.offboarding.departures import Departure, DepartureError, Event, Withdrawn, Word
from lethe.offboarding.directory import Directory, Employee, mailbox_of
from lethe.offboarding.entering import problems
from lethe.offboarding.handover import Route, hand_over
from lethe.offboarding.platform import Folder, NoSuchMailbox, Platform, Ref, Reply
from lethe.offboarding.rules import Offboarding
from lethe.offboarding.sensitive import sensitive, words_of
from lethe.state import State

HANDED_OVER = {"nb": "Overlevert fra", "en": "Handed over from"}
"""What the folder in a colleague's mailbox is called, before the name of who left."""
BY_HAND: tuple[Event, ...] = ("page-taken-down", "phone-cleared")
"""What a person does and confirms: the published name (R17), the calls on the phone (R18)."""


class TooEarly(DepartureError):
    """What the step waits for has not come yet."""


class NotAllHandedOver(DepartureError):
    """Messages that were chosen and cannot be handed over: a person must accept that before anything is deleted."""


class Held(DepartureError):
    """A legal hold is on the employee: nothing is deleted."""


class People(NamedTuple):
    """Who a departure is about."""

    employee: Employee
    manager: Employee
    recipients: tuple[Employee, ...]


@dataclass(frozen=True)
class Desk:
    """Whoever carries out departures, with what it takes: the policy, the registers, the directory, the platform."""

    policy: Policy
    state: State
    directory: Directory
    platform: Platform
    customers: Callable[[], Iterable[str]] = tuple
    """What the policy's column of customers has: addresses, or domains."""

    @property
    def rules(self) -> Offboarding:
        """What the policy says of departures."""
        if self.policy.offboarding is None:
            raise DepartureError("the policy has no offboarding.yaml: Lethe touches nobody's mailbox")
        return self.policy.offboarding

    # ------------------------------------------------------------ before anything

    def enter(self, wanted: Departure, now: datetime, word: Word) -> str:
        """Enter a departure; its id. DepartureError with everything that speaks against it, and nothing is done."""
        if wanted.id and self.state.departures.is_known(wanted.id):
            return wanted.id
        numbers = (wanted.employee, wanted.manager, *wanted.recipients)
        employees = self.directory.find(numbers)
        found = list(problems(wanted, employees, self.rules, self._today(now)))
        if not found:
            found = [
                f"{what}: found no such account on the mail platform, expected the directory's mailbox there"
                for what, number in _named(wanted)
                if not self._has_mailbox(employees[number])
            ]
        if found:
            raise DepartureError("; ".join(found))
        return self.state.departures.open(wanted, now, word)

    def _has_mailbox(self, employee: Employee) -> bool:
        try:
            self.platform.account(mailbox_of(employee))
        except NoSuchMailbox:
            return False
        return True

    def standing(self, departure: str, now: datetime) -> tuple[Departure, People]:
        """The departure and its people. Withdrawn when HR or the directory says so; then the account is given back."""
        found = self.state.departures.find(departure)
        employees = self.directory.find((found.employee, found.manager, *found.recipients))
        employee = employees.get(found.employee)
        stays = found.has("withdrawn") or (employee is not None and not employee.is_leaving())
        if stays and not found.has("deleting"):  # whoever else the directory has lost since
            self.withdraw(found.id, now)
            raise Withdrawn(f"departure {found.id[:12]}: it was withdrawn, and the account was given back")
        missing = [what for what, number in _named(found) if number not in employees]
        if missing:
            raise DepartureError(f"departure {found.id[:12]}: the directory has no {', '.join(missing)} any more")
        recipients = tuple(employees[each] for each in found.recipients)
        return found, People(employees[found.employee], employees[found.manager], recipients)

    def withdraw(self, departure: str, now: datetime, word: Word | None = None) -> None:
        """The employee stays: sign-in works again, the automatic reply ends. DepartureError once the deletion began.

        Once: what another departure of theirs has closed since is not opened by this one.
        """
        found = self.state.departures.find(departure)
        if found.has("given-back"):
            return
        self.state.departures.happened(found.id, "withdrawn", now, word=word)
        employee = self.directory.find([found.employee]).get(found.employee)
        if employee is not None and found.has("closing"):
            self.platform.reply(mailbox_of(employee), None)
            self.platform.unblock(mailbox_of(employee))
        self.state.departures.happened(found.id, "given-back", now)
        self.state.departures.happened(found.id, "ended", now)

    # ------------------------------------------------------------ notice and closing

    def notice(self, departure: str, now: datetime, tell: Callable[[Departure, People, date], None]) -> None:
        """Let `tell` tell the employee and the manager what will happen, and from which day; once."""
        found, people = self.standing(departure, now)
        if not found.has("noticed"):
            tell(found, people, self.acts_on(found, noticed=self._today(now)))
            self.state.departures.happened(found.id, "noticed", now)

    def acts_on(self, departure: Departure, *, noticed: date | None = None) -> date:
        """The day from which messages may be looked at: once the notice is over, or the employee has answered."""
        told = noticed or self._day(departure, "noticed")
        if told is None:
            raise TooEarly(f"departure {departure.id[:12]}: the employee was not told yet")
        after = next_day(departure.last_day)
        return after if departure.has("answered") else max(after, next_day(last_day(told, self.rules.notice)))

    def close(self, departure: str, now: datetime) -> None:
        """After the last day: nobody signs in, sessions end, and whoever writes is told whom to write to."""
        found, people = self.standing(departure, now)
        if found.has("closed"):
            return
        if self._today(now) <= found.last_day:
            raise TooEarly(f"departure {found.id[:12]}: the last working day is {found.last_day}")
        mailbox, register = mailbox_of(people.employee), self.state.departures
        register.happened(found.id, "closing", now)
        self.platform.block(mailbox)
        self.platform.end_sessions(mailbox)
        self.platform.reply(mailbox, self._reply(people, now))
        if self.platform.account(mailbox).may_sign_in:
            raise StoreError(f"departure {found.id[:12]}: sign-in was blocked, and works; ask the mail platform's log")
        register.happened(found.id, "closed", now)

    def _reply(self, people: People, now: datetime) -> Reply:
        rules, organisation = self.rules.reply, self.policy.organisation
        contact = {"recipient": people.recipients[0].mailbox, "manager": people.manager.mailbox}
        words = {
            "name": people.employee.name,
            "contact": contact.get(rules.contact, rules.contact),
            "controller": organisation.controller,
        }
        languages = sorted(organisation.languages, key=lambda lang: lang != people.employee.lang)
        ends = datetime.combine(next_day(last_day(self._today(now), rules.lasts)), time(), organisation.zone)
        return Reply(
            " / ".join(rules.subjects[lang].format(**words) for lang in languages),
            "\n\n".join(rules.texts[lang].format(**words).strip() for lang in languages),
            now,
            ends,
        )

    # ------------------------------------------------------------ hand-over

    def choose(self, departure: str, now: datetime) -> Mapping[str, int]:
        """Choose what is handed over, by header and, where one speaks for it, by content; how many came to what.

        Nothing is looked at while the notice lasts.
        """
        found, people = self.standing(departure, now)
        self._require(found, "closed", "the mailbox is not closed yet")
        if self._today(now) < self.acts_on(found):
            raise TooEarly(
                f"departure {found.id[:12]}: the notice lasts; nothing is looked at before {self.acts_on(found)}"
            )
        if not found.has("chosen"):
            selection = Selection.of(
                self.rules,
                mailbox_of(people.employee),
                found.last_day,
                self.policy.organisation.zone,
                customers=self.customers(),
                chosen=[(folder, None) for folder in found.picked],
            )
            counts = Counter({"recipients": len(found.recipients)})
            for folder in self.platform.folders(mailbox_of(people.employee)):
                counts += self._choose_of(found, people.employee, selection, folder)
            self.state.departures.happened(found.id, "chosen", now, counts)
        return self.state.departures.counts(found.id, "chosen")

    def _choose_of(
        self, departure: Departure, employee: Employee, selection: Selection, folder: Folder
    ) -> Counter[str]:
        counts, chosen = Counter({"folders": 1}), list[Ref]()
        for envelope in self.platform.look(mailbox_of(employee), folder.path):
            choice = choose(selection, folder, envelope)
            if choice.verdict is Verdict.HAND_OVER:
                choice = choice.with_sensitive(is_sensitive=self._is_sensitive(employee, folder, envelope.ref))
            if choice.verdict is Verdict.HAND_OVER:
                chosen.append(envelope.ref)
            counts += Counter(["messages", _end_of(choice)])
        for number in departure.recipients:
            self.state.departures.handed(departure.id, number).choose(folder.path, chosen)
        return counts

    def _is_sensitive(self, employee: Employee, folder: Folder, ref: Ref) -> bool:
        message = self.platform.read(mailbox_of(employee), folder.path, ref)
        return sensitive(message, words_of(self.rules)).is_sensitive

    def proposal(self, departure: str) -> Mapping[tuple[str, ...], int]:
        """What whoever approves sees: how many messages of which folders; no subject and no correspondent."""
        found, counts = self.state.departures.find(departure), Counter[tuple[str, ...]]()
        for number in found.recipients:
            counts |= Counter(self.state.departures.handed(found.id, number).by_folder())
        return counts

    def needs_officer(self, departure: str) -> bool:
        """Whether more is handed over than the manager alone may approve."""
        return self.state.departures.counts(departure, "chosen").get("chosen", 0) > self.rules.messages

    def hand_over(
        self, departure: str, now: datetime, progress: Callable[[int], None] = lambda _: None
    ) -> Counter[str]:
        """Hand over what was chosen, once it is approved; NotAllHandedOver while a message needs a person's word.

        What was gone or refused is tried again each time, until the hand-over is over: its root stands in evidence.
        """
        found, people = self.standing(departure, now)
        self._require(found, "approved", "the manager has not approved what is handed over")
        if self.needs_officer(found.id):
            self._require(found, "officer-approved", "the privacy officer has not approved what is handed over")
        counts = Counter[str]()
        for recipient in people.recipients:
            handed = self.state.departures.handed(found.id, recipient.number)
            if not found.has("handed-over"):
                handed.try_again()
            counts += hand_over(self.platform, handed, _route(people.employee, recipient), progress)
        if (counts["gone"] or counts["refused"]) and not found.has("exceptions-accepted"):
            raise NotAllHandedOver(
                f"departure {found.id[:12]}: {counts['gone']} messages are not in the mailbox any more and "
                f"{counts['refused']} were refused by the recipient's; nothing is deleted until a person accepts that"
            )
        self.state.departures.happened(found.id, "handed-over", now, counts, root=self._root(found))
        return counts

    def exceptions(self, departure: str) -> Counter[str]:
        """How many chosen messages are gone from the mailbox, and how many the recipient's refused."""
        counts = self._counts(self.state.departures.find(departure))
        return Counter({name: counts[name] for name in ("gone", "refused")})

    def _root(self, departure: Departure) -> str:
        """One root over the nonced digests of all that was confirmed."""
        handed = (self.state.departures.handed(departure.id, number) for number in departure.recipients)
        return commit_root(nonce + digest for each in handed for digest, nonce in each.committed())

    # ------------------------------------------------------------ the end

    def deletes_on(self, departure: Departure) -> date:
        """The day from which the account may be deleted: when the reply has ended, some time after the hand-over."""
        closed, handed = self._day(departure, "closed"), self._day(departure, "handed-over")
        if closed is None or handed is None:
            raise TooEarly(f"departure {departure.id[:12]}: nothing was handed over yet")
        return next_day(max(last_day(closed, self.rules.reply.lasts), last_day(handed, self.rules.delete_after)))

    def delete(self, departure: str, now: datetime) -> None:
        """Delete the account and all its mail; TooEarly, Held, and DepartureError while anything is not confirmed."""
        found, people = self.standing(departure, now)
        if found.has("deleted"):
            return
        if not found.has("deleting"):
            self._require_deletable(found, now)
        mailbox, register = mailbox_of(people.employee), self.state.departures
        register.happened(found.id, "deleting", now)
        self.platform.delete(mailbox)
        left = self.platform.left(mailbox)
        if left:
            raise StoreError(f"departure {found.id[:12]}: after the deletion there is still {', '.join(left)}")
        register.happened(found.id, "deleted", now)

    def _require_deletable(self, found: Departure, now: datetime) -> None:
        self._require(found, "handed-over", "the hand-over has not ended")
        if self._today(now) < self.deletes_on(found):
            raise TooEarly(f"departure {found.id[:12]}: the account is deleted from {self.deletes_on(found)} on")
        counts = self._counts(found)
        if counts["chosen"] or counts["received"]:
            raise DepartureError(
                f"departure {found.id[:12]}: {counts['chosen'] + counts['received']} chosen messages have no confirmed "
                "receipt; nothing is deleted; hand over again"
            )
        if self.is_held(found):
            raise Held(
                f"departure {found.id[:12]}: a legal hold is on the employee; it is deleted when that is released"
            )

    def is_held(self, departure: Departure) -> bool:
        """Whether a hold in force is on the employee's row of the directory, or on all of it."""
        return any(
            target.dataset in self._directory_datasets() and target.key in (departure.employee, ALL)
            for hold in self.state.holds.holds()
            for target in hold.targets
        )

    def _directory_datasets(self) -> set[str]:
        where = self.rules.directory
        return {
            name
            for name, each in self.policy.datasets.items()
            if (each.store, each.schema, each.table) == (where.store, where.schema, where.table)
        }

    @property
    def hr(self) -> str | None:
        """The role that answers for the directory; None where the policy has no dataset over it."""
        for name in sorted(self._directory_datasets()):
            return self.policy.activities[self.policy.datasets[name].activity].responsible
        return None

    def verify(self, departure: str, now: datetime) -> Counter[str]:
        """Look again, by other means: the account is gone. `there` counts what is still where it was handed over to."""
        found, people = self.standing(departure, now)
        self._require(found, "deleted", "the account was not deleted yet")
        left = self.platform.left(mailbox_of(people.employee))
        if left:
            raise StoreError(f"departure {found.id[:12]}: after the deletion there is still {', '.join(left)}")
        counts = self._counts(found) + self._there(found, people)
        self.state.departures.happened(found.id, "verified", now, counts)
        return counts

    def _there(self, departure: Departure, people: People) -> Counter[str]:
        """Colleagues may have sorted what they were given: that is theirs to do, and told by number."""
        there = Counter[str]()
        for each in people.recipients:
            route = _route(people.employee, each)
            targets = self.state.departures.handed(departure.id, each.number).targets()
            there["there"] += len(targets & set(self.platform.refs(route.target, route.folder)))
        return there

    def say(self, departure: str, event: Event, now: datetime, word: Word) -> None:
        """Write down a person's word: an answer, an approval, that something was done by hand."""
        self.state.departures.happened(self.state.departures.find(departure).id, event, now, word=word)

    def end(self, departure: str, now: datetime) -> tuple[Event, ...]:
        """End the departure; what a person has yet to confirm, and then it stays open."""
        found = self.state.departures.find(departure)
        self._require(found, "verified", "it was not looked for again what is left")
        missing = tuple(event for event in BY_HAND if not found.has(event))
        if not missing:
            self.state.departures.happened(found.id, "ended", now)
        return missing

    # ------------------------------------------------------------ what they share

    def _counts(self, departure: Departure) -> Counter[str]:
        counts = Counter[str]()
        for number in departure.recipients:
            counts += self.state.departures.handed(departure.id, number).counts()
        return counts

    def _require(self, departure: Departure, event: Event, why: str) -> None:
        if not departure.has(event):
            raise TooEarly(f"departure {departure.id[:12]}: {why}")

    def _today(self, now: datetime) -> date:
        return now.astimezone(self.policy.organisation.zone).date()

    def _day(self, departure: Departure, event: Event) -> date | None:
        at = departure.events.get(event)
        return None if at is None else self._today(at)


def _end_of(choice: Choice) -> str:
    """Under what a message is counted in evidence."""
    if choice.verdict is Verdict.HAND_OVER:
        return "chosen"
    if choice.reasons & PRIVATE:
        return "private"
    return "sensitive" if choice.reasons & Why.SENSITIVE else "left"


def _named(departure: Departure) -> list[tuple[str, str]]:
    """The people of a departure by what they are, with their numbers."""
    recipients = [(f"recipient {place}", number) for place, number in enumerate(departure.recipients, 1)]
    return [("employee", departure.employee), ("manager", departure.manager), *recipients]


def _route(employee: Employee, recipient: Employee) -> Route:
    folder = f"{HANDED_OVER[recipient.lang]} {employee.name}"
    return Route(mailbox_of(employee), mailbox_of(recipient), (folder,))
