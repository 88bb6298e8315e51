"""offboarding.yaml → Offboarding: stores, datasets and obligations exist, and nothing is chosen and private at once."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import date

from lethe.deadlines import Period, last_day
from lethe.offboarding.addresses import Listed
from lethe.offboarding.rules import (
    AutomaticReply,
    Directory,
    HandOver,
    LastDay,
    Offboarding,
    Private,
    Upkeep,
)
from lethe.offboarding.words import is_named
from lethe.policy.datasets import Estate
from lethe.policy.offboarding_forms import (
    DirectoryForm,
    HandOverForm,
    LetterForm,
    LettersForm,
    OffboardingFile,
    PrivateForm,
    ReplyForm,
    UpkeepForm,
)
from lethe.policy.problems import Spot, one_of

_SOME_DAY = date(2025, 1, 1)  # periods of months and of days are compared from here
_PLACEHOLDERS = ("name", "contact", "controller")


@dataclass(frozen=True)
class Around:
    """What other files say; None where their whole section is not in view."""

    stores: Collection[str] | None
    obligations: Collection[str] | None
    contact: str
    """The organisation's, which tells its own domain when it is a mail address."""
    officer_is_told: bool = True
    """Whether `notify` has a way to the privacy officer."""


def resolve_offboarding(form: OffboardingFile, spot: Spot, estate: Estate, around: Around) -> Offboarding:
    """The section with its names looked up; what does not fit is reported, but within sections that are broken."""
    for place, obligation in obligations_of(form, spot):
        if around.obligations is not None and obligation not in around.obligations:
            place.expected(one_of("an obligation of organisation.yaml", obligation, around.obligations))
    if form.scan is not None and not around.officer_is_told:
        (spot / "scan").report("found nobody who is told, expected the privacy officer in notify of organisation.yaml")
    if _is_whole(spot, "directory"):
        _check_directory(form.directory, spot / "directory", around.stores)
    if _is_whole(spot, "reply"):
        _check_reply(form, spot)
    if _is_whole(spot, "hand_over"):
        _check_hand_over(form.hand_over, spot / "hand_over", estate)
    if _is_whole(spot, "hand_over") and _is_whole(spot, "private"):
        _check_apart(form, spot, around)
    return _offboarding(form)


def obligations_of(form: OffboardingFile, spot: Spot) -> Iterator[tuple[Spot, str]]:
    """The obligations that the file serves, and where it says so; those that cannot be read are left out."""
    sections = {"upkeep": form.upkeep, "scan": form.scan}
    if not spot.tree.is_broken(("obligation",)):
        yield spot / "obligation", form.obligation
    for name, section in sections.items():
        if section is not None and _is_whole(spot, name):
            yield spot / name / "obligation", section.obligation


def _is_whole(spot: Spot, section: str) -> bool:
    return all(path[:1] != (section,) for path in spot.tree.broken)


def _check_directory(form: DirectoryForm, spot: Spot, stores: Collection[str] | None) -> None:
    if stores is not None and form.in_ not in stores:
        (spot / "in").expected(one_of("a store of stores.yaml", form.in_, stores))
    first: dict[str, str] = {}
    for key in ("number", "mailbox", "name", "manager", "language", "hired", "last_day", "status"):
        column = getattr(form, key)
        if first.setdefault(column, key) != key:
            (spot / key).report(f'found "{column}", expected another column than {first[column]}')


def _check_reply(form: OffboardingFile, spot: Spot) -> None:
    for language, letter in _letters(form.reply.letters).items():
        here = spot / "reply" / "letters" / language
        for key in ("subject", "text"):
            _check_placeholders(getattr(letter, key), here / key)
        if "{contact}" not in letter.text:
            (here / "text").report("found no {contact}, expected to be told whom to write to instead")
    lasts, until = (last_day(_SOME_DAY, Period.parse(each)) for each in (form.reply.lasts, form.delete_after))
    if lasts > until and _is_whole(spot, "delete_after"):
        expected = f"no longer than delete_after ({form.delete_after}): the reply goes with the mailbox"
        (spot / "reply" / "lasts").expected(expected)


def _check_placeholders(text: str, spot: Spot) -> None:
    """Braces mean only what is filled in."""
    for found in re.findall(r"\{[^{}]*\}|[{}]", text):
        if found[1:-1] not in _PLACEHOLDERS:
            known = ", ".join(f"{{{name}}}" for name in _PLACEHOLDERS)
            spot.report(f'found "{found}", expected {one_of("a word that is filled in", found, ())} ({known})')


def _check_hand_over(form: HandOverForm, spot: Spot, estate: Estate) -> None:
    source = form.customers.from_ if form.customers else None
    place = spot / "customers" / "from"
    dataset = estate.find(source.dataset, place / "dataset") if source else None
    if source is None or dataset is None:
        return
    known = {*dataset.key, *dataset.personal_data, *dataset.no_personal_data}
    if source.column not in known:
        (place / "column").expected(one_of(f"a column that {dataset.name} declares", source.column, known))


def _check_apart(form: OffboardingFile, spot: Spot, around: Around) -> None:
    """What is private beats what is chosen; whoever lists the same as both means something else."""
    words = tuple(form.private.folders)
    for number, name in enumerate(form.hand_over.folders):
        if is_named(words, name):
            (spot / "hand_over" / "folders" / number).expected("a name without a word of private.folders")
    private = Listed.of(each for _, _, each in _correspondents(form.private))
    own = around.contact.rpartition("@")[2] if "@" in around.contact else ""
    domains = form.hand_over.customers.domains if form.hand_over.customers else ()
    for number, domain in enumerate(domains):
        place = spot / "hand_over" / "customers" / "domains" / number
        if any(private.has(f"@{each}") for each in Listed.of([domain]).domains):
            place.expected("a domain that is not under private.correspondents")
        if Listed.of([domain]).has(f"@{own}"):
            place.expected("a customer's domain: the organisation's own would choose every message")
    for kind, number, each in _correspondents(form.private):
        if Listed.of([each]).has(f"@{own}"):
            place = spot / "private" / "correspondents" / kind / number
            place.expected("an address: the organisation's own domain would make every message private")


def _correspondents(form: PrivateForm) -> Iterable[tuple[str, int, str]]:
    for kind in ("union", "occupational_health", "others"):
        for number, each in enumerate(getattr(form.correspondents, kind)):
            yield kind, number, each


def _letters(form: LettersForm) -> dict[str, LetterForm]:
    return {"nb": form.nb, "en": form.en}


def _offboarding(form: OffboardingFile) -> Offboarding:
    words = form.sensitive.health_words
    return Offboarding(
        obligation=form.obligation,
        directory=_directory(form.directory),
        platform=form.platform.kind,
        connection=form.platform.connection,
        last_day=LastDay(Period.parse(form.last_day.ahead), Period.parse(form.last_day.ago)),
        notice=Period.parse(form.notice),
        reply=_reply(form.reply),
        delete_after=Period.parse(form.delete_after),
        hand_over=_hand_over(form.hand_over),
        private=_private(form.private),
        health_words={"nb": _in_order(words.nb), "en": _in_order(words.en)},
        messages=form.limits.messages,
        upkeep=_upkeep(form.upkeep) if form.upkeep else None,
        scan=form.scan.obligation if form.scan else None,
    )


def _upkeep(form: UpkeepForm) -> Upkeep:
    ages = {Period.parse(each) for each in form.older_than}
    return Upkeep(form.obligation, tuple(sorted(ages, key=lambda age: last_day(_SOME_DAY, age))))


def _directory(form: DirectoryForm) -> Directory:
    schema, _, table = form.table.rpartition(".")
    return Directory(
        store=form.in_,
        schema=schema or "public",
        table=table,
        number=form.number,
        mailbox=form.mailbox,
        name=form.name,
        manager=form.manager,
        language=form.language,
        hired=form.hired,
        last_day=form.last_day,
        status=form.status,
        withdrawn=_in_order(form.withdrawn),
    )


def _reply(form: ReplyForm) -> AutomaticReply:
    letters = _letters(form.letters)
    return AutomaticReply(
        lasts=Period.parse(form.lasts),
        contact=form.contact,
        subjects={language: letter.subject for language, letter in letters.items()},
        texts={language: letter.text for language, letter in letters.items()},
    )


def _hand_over(form: HandOverForm) -> HandOver:
    customers = form.customers
    column = customers.from_ if customers else None
    return HandOver(
        folders=_in_order(form.folders),
        case_numbers=_in_order(form.case_numbers),
        customers=_in_order(customers.domains if customers else ()),
        customers_in=(column.dataset, column.column) if column else None,
        within=Period.parse(form.within),
        direction=form.direction,
    )


def _private(form: PrivateForm) -> Private:
    return Private(
        folders=_in_order(form.folders),
        subjects=_in_order(form.subjects),
        correspondents=_in_order(form.correspondents.others),
        union=_in_order(form.correspondents.union),
        occupational_health=_in_order(form.correspondents.occupational_health),
    )


def _in_order(names: Iterable[str]) -> tuple[str, ...]:
    """Lists here have no order of their own: what is equal has one digest."""
    return tuple(sorted(set(names)))
