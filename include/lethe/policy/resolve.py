"""Forms → model: names are looked up, references followed, and what does not fit together is reported."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Generic, TypeVar
from zoneinfo import ZoneInfo

from lethe.deadlines import Period, YearEnd
from lethe.model import (
    Activity,
    AnchorSetting,
    Anonymity,
    DocumentStore,
    Evidence,
    Floor,
    Organisation,
    Policy,
    Role,
    Rule,
    Store,
)
from lethe.offboarding.rules import Offboarding
from lethe.policy.anonymity import resolve_anonymity
from lethe.policy.canaries import check_canaries
from lethe.policy.coverage import (
    check_activity,
    check_obligations,
    check_order,
    warn_of_gaps,
    warn_of_old_law,
)
from lethe.policy.datasets import DatasetSource, Estate, read_zone, resolve_datasets
from lethe.policy.dependents import check_reads, dependents_of
from lethe.policy.digest import policy_digest, rule_digest
from lethe.policy.format import (
    ActivityFile,
    AnonymiseStep,
    EvidenceForm,
    Form,
    OrganisationFile,
    Redacted,
    RuleForm,
    StoresFile,
)
from lethe.policy.free import check_free_tables, qualified
from lethe.policy.kinds import many
from lethe.policy.offboarding import Around, obligations_of, resolve_offboarding
from lethe.policy.offboarding_forms import OffboardingFile
from lethe.policy.problems import Problems, Spot, one_of
from lethe.policy.reading import Tree
from lethe.policy.rules import place_of_fields, redactions, resolve_floor, resolve_rule

F = TypeVar("F", bound=Form)


@dataclass(frozen=True)
class Source(Generic[F]):
    """A file: the place where it begins, and its form, None when nothing of it can be used."""

    spot: Spot
    form: F | None


@dataclass(frozen=True)
class Sources:
    """All files of a policy directory."""

    organisation: Source[OrganisationFile]
    stores: Source[StoresFile]
    activities: tuple[Source[ActivityFile], ...]
    offboarding: Source[OffboardingFile] | None = None

    def readable(self) -> tuple[tuple[Spot, ActivityFile], ...]:
        """The activities that can be looked at."""
        return tuple((source.spot, source.form) for source in self.activities if source.form is not None)

    @property
    def complete(self) -> bool:
        """False when a whole file is missing from view: then what others say of it cannot be judged."""
        return len(self.readable()) == len(self.activities)


def resolve(sources: Sources, problems: Problems) -> Policy | None:
    """The policy, or None; what is wrong is added to `problems`."""
    organisation = _organisation(sources.organisation)
    stores = _stores(sources.stores)
    _check_names(sources)
    estate = _estate(sources, stores, problems)
    if sources.stores.form is not None:
        check_free_tables(sources.stores.form, sources.stores.spot, estate.datasets.values())
    activities = {form.activity: _activity(spot, form, sources.organisation) for spot, form in sources.readable()}
    floors = _floors(sources, estate)
    rules = _rules(sources, estate, floors)
    check_order(rules)
    check_reads(rules, estate.datasets)
    anonymity = _anonymity(sources, estate, [rule for rule, _ in rules])
    if sources.stores.form is not None and sources.complete:
        check_canaries(stores, sources.stores.spot, [rule for rule, _ in rules], floors.values(), estate.datasets)
    mailboxes = _offboarding(sources, estate)
    if sources.complete and organisation is not None:
        by_mailboxes = _answered_by_mailboxes(sources.offboarding, organisation.obligations)
        check_obligations(organisation.obligations, sources.organisation.spot, sources.readable(), by_mailboxes)
    if problems.found or organisation is None:
        return None
    warn_of_old_law(sources.readable())
    warn_of_gaps(sources.readable(), [rule for rule, _ in rules])
    known = [rule for rule, _ in rules]
    by_name = {r.name: replace(r, dependents=dependents_of(r, known, estate.datasets)) for r in known}
    lines, documents = problems.warning_lines(), _document_stores(sources.stores)
    return _sealed(
        Policy(
            organisation,
            stores,
            activities,
            estate.datasets,
            by_name,
            floors,
            "",
            lines,
            documents,
            anonymity,
            mailboxes,
        )
    )


def _sealed(policy: Policy) -> Policy:
    """The policy with the digests that approvals are bound to."""
    rules = {name: replace(rule, digest=rule_digest(rule, policy)) for name, rule in policy.rules.items()}
    policy = replace(policy, rules=rules)
    return replace(policy, digest=policy_digest(policy))


def _organisation(source: Source[OrganisationFile]) -> Organisation | None:
    form, spot = source.form, source.spot
    if form is None:
        return None
    zone = read_zone(form.time_zone, spot / "time_zone")
    _check_known(form.privacy_officer, spot.tree.names("roles"), "a role", spot / "privacy_officer")
    roles = spot.tree.names("roles")
    for role in form.notify:
        if role not in roles:
            (spot / "notify" / role).report(f'found "{role}", expected {one_of("a role", role, roles)}', key=True)
    month, day = map(int, form.fiscal_year_end.split("-"))
    return Organisation(
        controller=form.controller,
        represented_by=form.represented_by,
        privacy_officer=form.privacy_officer,
        zone=zone or ZoneInfo("UTC"),
        year_end=YearEnd(month, day),
        languages=tuple(form.languages),
        roles={name: Role(name, title.by_language()) for name, title in form.roles.items()},
        processors={name: title.by_language() for name, title in form.processors.items()},
        contact=form.contact,
        obligations={name: title.by_language() for name, title in form.obligations.items()},
        notify={role: tuple(addresses) for role, addresses in form.notify.items()},
        evidence=_evidence(form.evidence, spot / "evidence") if form.evidence else None,
    )


def _evidence(form: EvidenceForm, spot: Spot) -> Evidence:
    for name, anchor in form.anchors.items():
        for key, kind in (("to", "mail"), ("ca", "rfc3161")):
            if getattr(anchor, key) is not None and anchor.kind != kind:
                (spot / "anchors" / name / key).expected(f"nothing: only anchors of kind {kind} have it")
        if anchor.kind == "mail" and anchor.to is None:
            (spot / "anchors" / name).expected("to: the addresses that get the mail")
    anchors = {
        name: AnchorSetting(name, anchor.kind, anchor.connection, tuple(anchor.to or ()), anchor.ca)
        for name, anchor in form.anchors.items()
    }
    stop_after, receipts, backups = map(Period.parse, (form.stop_after, form.receipts, form.backups))
    return Evidence(form.origin, stop_after, receipts, backups, anchors)


def _stores(source: Source[StoresFile]) -> dict[str, Store]:
    if source.form is None:
        return {}
    return {
        name: Store(
            name=name,
            kind=form.kind,
            connection=form.connection,
            title=form.title.by_language(),
            backups=Period.parse(form.backups) if form.backups is not None else None,
            zone=read_zone(form.unzoned, source.spot / "stores" / name / "unzoned") if form.unzoned else None,
            no_personal_data={qualified(table): tuple(columns) for table, columns in form.no_personal_data.items()},
            accepted=dict(form.accepted),
            canaries={rule: dict(values) for rule, values in form.canaries.items()},
        )
        for name, form in source.form.stores.items()
    }


def _document_stores(source: Source[StoresFile]) -> dict[str, DocumentStore]:
    forms = source.form.documents if source.form else {}
    return {
        name: DocumentStore(
            name, form.connection, form.title.by_language(), Period.parse(form.backups) if form.backups else None
        )
        for name, form in forms.items()
    }


def _activity(spot: Spot, form: ActivityFile, organisation: Source[OrganisationFile]) -> Activity:
    if organisation.form is not None:
        _check_head(spot, form, organisation.form, organisation.spot.tree)
    check_activity(spot, form)
    return Activity(
        name=form.activity,
        title=form.title.by_language(),
        purpose=form.purpose.by_language(),
        legal_basis=many(form.legal_basis),
        responsible=form.responsible,
        people=tuple(form.people),
        processors=tuple(form.processors),
        recipients=tuple(form.recipients),
        transfers=tuple(form.transfers),
        measures=tuple(form.measures),
        serves=tuple(form.serves),
        not_automated=dict(form.not_automated),
        datasets=tuple(form.datasets),
        rules=tuple(form.rules),
        floors=tuple(form.floors),
    )


def _check_head(spot: Spot, form: ActivityFile, organisation: OrganisationFile, head: Tree) -> None:
    """Roles, processors and obligations are those of organisation.yaml."""
    roles, processors = head.names("roles"), head.names("processors")
    _check_known(form.responsible, roles, "a role of organisation.yaml", spot / "responsible")
    for number, name in enumerate(form.processors):
        _check_known(name, processors, "a processor of organisation.yaml", spot / "processors" / number)
    for name, rule in form.rules.items():
        if not isinstance(rule.keep, str):
            here = spot / "rules" / name / "keep" / "confirm_by"
            _check_confirms(rule.keep.confirm_by, organisation.privacy_officer, roles, here)
        for field, redacted in _redactions(rule, spot / "rules" / name / "then"):
            here = field / "redact" / "confirm_by"
            _check_confirms(redacted.redact.confirm_by, organisation.privacy_officer, roles, here)
    if not head.is_broken(("obligations",)):
        _check_obligations(spot, form, head.names("obligations"))


def _redactions(rule: RuleForm, spot: Spot) -> Iterator[tuple[Spot, Redacted]]:
    for step in many(rule.then):
        for path, form in redactions(step, ()) if isinstance(step, AnonymiseStep) else ():
            place = place_of_fields(spot)
            for name in path:
                place = place / name
            yield place, form


def _check_confirms(role: str, officer: str, roles: Collection[str], spot: Spot) -> None:
    """Only the privacy officer's sign-in is told apart by the database, so nobody else can confirm."""
    _check_known(role, roles, "a role of organisation.yaml", spot)
    if role in roles and officer in roles and role != officer:
        spot.expected(f"{officer}, the privacy officer's role: the database can prove no other")


def _check_obligations(spot: Spot, form: ActivityFile, known: Iterable[str]) -> None:
    """An unknown one is broken from here on: that nothing answers it would be said of a slip of the pen."""
    places = [(name, spot / "serves" / number) for number, name in enumerate(form.serves)]
    places += [(name, spot / "not_automated" / name) for name in form.not_automated]
    for name, place in places:
        if name not in known:
            expected = one_of("an obligation of organisation.yaml", name, known)
            place.report(f'found "{name}", expected {expected}', key=name in place.path)
            spot.tree.broken.add(place.path)


def _check_names(sources: Sources) -> None:
    """A name means one thing in the whole policy."""
    for section in ("datasets", "floors", "rules"):
        first: dict[str, str] = {}
        for spot, _ in sources.readable():
            for name in spot.tree.names(section):
                if name in first:
                    text = f'found the name "{name}" again, expected it once (first in {first[name]})'
                    (spot / section / name).report(text, key=True)
                first.setdefault(name, spot.tree.file)


def _estate(sources: Sources, stores: Mapping[str, Store], problems: Problems) -> Estate:
    items = [
        DatasetSource(name, form, spot / "datasets" / name, activity.activity)
        for spot, activity in sources.readable()
        for name, form in activity.datasets.items()
    ]
    known = {name for spot, _ in sources.readable() for name in spot.tree.names("datasets")}
    return resolve_datasets(
        items,
        stores,
        store_names=sources.stores.spot.tree.names("stores") if sources.stores.form else None,
        document_stores=sources.stores.spot.tree.names("documents") if sources.stores.form else None,
        names=known if sources.complete else None,
        problems=problems,
    )


def _floors(sources: Sources, estate: Estate) -> dict[str, Floor]:
    found = (
        resolve_floor(form, activity.activity, spot / "floors" / name, estate)
        for spot, activity in sources.readable()
        for name, form in activity.floors.items()
    )
    return {floor.name: floor for floor in found if floor is not None}


def _anonymity(sources: Sources, estate: Estate, rules: list[Rule]) -> dict[str, Anonymity]:
    found = (
        resolve_anonymity(form.anonymity, dataset, spot / "datasets" / name / "anonymity", estate, rules)
        for spot, activity in sources.readable()
        for name, form in activity.datasets.items()
        if form.anonymity is not None and (dataset := estate.datasets.get(name)) is not None
    )
    return {each.dataset: each for each in found}


def _rules(sources: Sources, estate: Estate, floors: Mapping[str, Floor]) -> list[tuple[Rule, Spot]]:
    spots = (
        (resolve_rule(form, activity.activity, spot / "rules" / name, estate, floors), spot / "rules" / name)
        for spot, activity in sources.readable()
        for name, form in activity.rules.items()
    )
    return [(rule, spot) for rule, spot in spots if rule is not None]


def _offboarding(sources: Sources, estate: Estate) -> Offboarding | None:
    source = sources.offboarding
    if source is None or source.form is None:
        return None
    stores = sources.stores.spot.tree.names("stores") if sources.stores.form else None
    head, tree = sources.organisation.form, sources.organisation.spot.tree
    obligations = None if tree.is_broken(("obligations",)) else tree.names("obligations")
    contact = head.contact if head else ""
    is_told = head is None or head.privacy_officer in head.notify
    return resolve_offboarding(source.form, source.spot, estate, Around(stores, obligations, contact, is_told))


def _answered_by_mailboxes(source: Source[OffboardingFile] | None, obligations: Iterable[str]) -> Iterable[str]:
    """The obligations that offboarding.yaml serves; any, where what it says cannot be read."""
    if source is None:
        return ()
    if source.form is None or source.spot.tree.is_broken(("obligation",)):
        return obligations
    return [obligation for _, obligation in obligations_of(source.form, source.spot)]


def _check_known(name: str, known: Iterable[str], what: str, spot: Spot) -> None:
    if name not in known:
        spot.expected(one_of(what, name, known))
