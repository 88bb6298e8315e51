"""Datasets and how they hang together: relations, followers, and references such as customer.ended_at."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from lethe.model import Clock, ColumnRef, Condition, Dataset, Documents, Floor, Kin, Relation, Store
from lethe.policy.format import DatasetForm, RelationForm
from lethe.policy.free import check_free, qualified
from lethe.policy.kinds import Conditions, many
from lethe.policy.problems import Problems, Spot, one_of


@dataclass(frozen=True)
class DatasetSource:
    """A dataset's form and where it stands."""

    name: str
    form: DatasetForm
    spot: Spot
    activity: str


@dataclass(frozen=True)
class Estate:
    """All datasets that can be used, their stores, and every name that a file gives a dataset (None: not all known)."""

    datasets: Mapping[str, Dataset]
    stores: Mapping[str, Store]
    names: frozenset[str] | None

    def find(self, name: str, spot: Spot) -> Dataset | None:
        """The dataset of that name; None for an unknown one, which is a problem, or a broken one, which was one."""
        if self.names is not None and name not in self.names:
            spot.expected(one_of("a dataset", name, self.names))
        return self.datasets.get(name)

    def reference(self, text: str, start: Dataset, spot: Spot) -> ColumnRef | None:
        """`relation.column` as seen from a dataset; None, and a problem, when no such relation leads there."""
        *relations, column = text.split(".")
        dataset: Dataset | None = start
        for name in relations:
            if dataset is None:
                return None
            relation = dataset.relations.get(name)
            if relation is None:
                expected = one_of(f"a relation of {dataset.name}", name, dataset.relations)
                spot.report(f'found "{name}", expected {expected}')
                return None
            dataset = self.datasets.get(relation.to)
        return ColumnRef(column, tuple(relations))

    def end_of(self, ref: ColumnRef, start: Dataset) -> Dataset | None:
        """The dataset in which the reference's column lives."""
        dataset: Dataset | None = start
        for name in ref.path:
            dataset = self.datasets.get(dataset.relations[name].to) if dataset else None
        return dataset

    def clock(self, text: str, start: Dataset, spot: Spot) -> Clock | None:
        """A clock with the zone and the unset dates of the dataset in which its column lives."""
        ref = self.reference(text, start, spot)
        home = self.end_of(ref, start) if ref else None
        if ref is None or home is None:
            return None
        zone = home.zones.get(ref.column, self.stores[home.store].zone)
        return Clock(ref, zone, home.unset.get(ref.column, ()))

    def conditions(self, forms: Conditions, start: Dataset, spot: Spot) -> tuple[Condition, ...]:
        """Conditions by column reference, sorted by it."""
        found = ((self.reference(text, start, spot / text), many(values)) for text, values in sorted(forms.items()))
        return tuple(Condition(ref, values) for ref, values in found if ref is not None)

    def followers(self, of: Dataset, floors: Iterable[Floor]) -> tuple[Kin, ...]:
        """Everything that goes when rows of `of` go, by name."""
        return tuple(
            Kin(
                dataset=dataset,
                relation=dataset.relations[name],
                floors=tuple(floor for floor in floors if floor.dataset == dataset.name),
                kin=self.followers(dataset, floors),
                others=self.leaders(dataset, floors, besides=name),
            )
            for dataset in sorted(self.datasets.values(), key=lambda each: each.name)
            for name in dataset.follows
            if dataset.relations[name].to == of.name
        )

    def leaders(self, of: Dataset, floors: Iterable[Floor], besides: str | None = None) -> tuple[Kin, ...]:
        """Everything that rows of `of` follow, one relation left out: what protects it up there protects them."""
        relations = (of.relations[name] for name in of.follows if name != besides)
        above = ((relation, self.datasets[relation.to]) for relation in relations if relation.to in self.datasets)
        return tuple(
            Kin(
                dataset=dataset,
                relation=relation,
                floors=tuple(floor for floor in floors if floor.dataset == dataset.name),
                kin=self.leaders(dataset, floors),
            )
            for relation, dataset in above
        )


def resolve_datasets(
    sources: Iterable[DatasetSource],
    stores: Mapping[str, Store],
    *,
    store_names: Iterable[str] | None,
    document_stores: Iterable[str] | None,
    names: Iterable[str] | None,
    problems: Problems,
) -> Estate:
    """All datasets; `store_names`, `document_stores` and `names` are None when not all of them are in view."""
    sources = list(sources)
    _check_stores(sources, store_names)
    _check_documents(sources, document_stores)
    _check_tables(sources)
    for source in sources:
        check_free(source.form, source.spot)
    usable = {source.name: source for source in sources if source.form.in_ in stores}
    datasets = {name: _dataset(source) for name, source in usable.items()}
    known = None if names is None else frozenset(names)
    loose = Estate(datasets, stores, known)
    joined = Estate({name: _joined(source, loose) for name, source in usable.items()}, stores, known)
    for source in usable.values():
        _refuse_circle(source, joined)
    straight = joined if not problems.found else _without_circles(joined)
    held = {name: _with_holds(source, straight) for name, source in usable.items()}
    return Estate(held, stores, known)


def _check_stores(sources: Iterable[DatasetSource], known: Iterable[str] | None) -> None:
    for source in sources:
        if known is not None and source.form.in_ not in known:
            expected = one_of("a store of stores.yaml", source.form.in_, known)
            (source.spot / "in").expected(expected)


def _check_documents(sources: Iterable[DatasetSource], known: Iterable[str] | None) -> None:
    """A folder is known, and of one store: whether a row still names a document can be asked of one database only."""
    first: dict[str, str] = {}
    for source in sources:
        for column, form in source.form.documents.items():
            spot = source.spot / "documents" / column
            name, place = (form, spot) if isinstance(form, str) else (form.in_, spot / "in")
            store = first.setdefault(name, source.form.in_)
            if known is not None and name not in known:
                place.expected(one_of("a folder or bucket under documents: of stores.yaml", name, known))
            elif store != source.form.in_:
                place.report(f"found a folder of the store {store}, expected one whose documents no other store names")
            if column in source.form.key:
                spot.report("found a column of the key, expected one that rows are not known by", key=True)


def _check_tables(sources: Iterable[DatasetSource]) -> None:
    """One table, one dataset: a second would go without the holds and floors of the first."""
    first: dict[tuple[str, str, str], str] = {}
    for source in sources:
        place = (source.form.in_, *_schema_and_table(source.form))
        name = first.setdefault(place, source.name)
        if name != source.name:
            found = source.spot.tree.quote((*source.spot.path, "table"))
            text = f"found {found} again, expected one dataset for each table ({name} is over it already)"
            (source.spot / "table").report(text)


def _schema_and_table(form: DatasetForm) -> tuple[str, str]:
    schema, _, table = form.table.rpartition(".")
    return schema or "public", table


def _dataset(source: DatasetSource) -> Dataset:
    form = source.form
    schema, table = _schema_and_table(form)
    relations = {name: _relation(name, each) for name, each in form.refers_to.items()}
    return Dataset(
        name=source.name,
        activity=source.activity,
        store=form.in_,
        schema=schema,
        table=table,
        key=many(form.key),
        personal_data=dict(form.personal_data),
        relations=relations,
        follows=_follows(source, relations),
        unset={column: tuple(dates) for column, dates in form.unset.items()},
        zones=dict(_zones(source)),
        triggers=tuple(form.triggers),
        refreshed=tuple(qualified(name) for name in form.refreshed),
        no_personal_data=tuple(form.no_personal_data),
        documents={
            column: Documents(each) if isinstance(each, str) else Documents(each.in_, each.missing)
            for column, each in form.documents.items()
        },
    )


def _relation(name: str, form: RelationForm) -> Relation:
    """A relation whose columns are not yet held to the other's key: "" stands for a key of one column."""
    columns = ((form.by, ""),) if isinstance(form.by, str) else tuple(sorted(form.by.items()))
    when = [Condition(ColumnRef(column), many(values)) for column, values in (form.when or {}).items()]
    return Relation(name, form.to, columns, when[0] if when else None, form.as_text)


def _follows(source: DatasetSource, relations: Mapping[str, Relation]) -> tuple[str, ...]:
    names = many(source.form.follows)
    for number, name in enumerate(names):
        if name not in relations:
            spot = source.spot / "follows"
            spot = spot if isinstance(source.form.follows, str) else spot / number
            spot.expected(one_of("a relation under refers_to", name, relations))
    return tuple(name for name in names if name in relations)


def _zones(source: DatasetSource) -> Iterator[tuple[str, ZoneInfo]]:
    for column, name in source.form.unzoned.items():
        zone = read_zone(name, source.spot / "unzoned" / column)
        if zone is not None:
            yield column, zone


def read_zone(name: str, spot: Spot) -> ZoneInfo | None:
    """The zone of that name; None, and a problem, when there is none."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        spot.expected("a time zone such as Europe/Oslo")
        return None


def _joined(source: DatasetSource, estate: Estate) -> Dataset:
    """The dataset, its relations held to the keys they lead to."""
    dataset = estate.datasets[source.name]
    relations = {name: _join(source, relation, estate) for name, relation in dataset.relations.items()}
    return replace(dataset, relations=relations)


def _join(source: DatasetSource, relation: Relation, estate: Estate) -> Relation:
    """The relation with its columns paired; it must lead to the whole key of a dataset."""
    spot = source.spot / "refers_to" / relation.name
    target = estate.find(relation.to, spot / "to")
    if relation.when and "." in relation.when.at.column:
        (spot / "when").report("found a relation, expected a column of the same table")
    if target is None:
        return relation
    if target.store != source.form.in_ and relation.name in many(source.form.follows):
        (source.spot / "follows").report(
            f"found {relation.name}, which leads to the store {target.store}, expected a relation within "
            f"{source.form.in_}: two databases share no transaction; let a rule of its own be read from {target.name}"
        )
    if relation.columns[0][1] == "" and len(target.key) == 1:
        return replace(relation, columns=((relation.columns[0][0], target.key[0]),))
    if sorted(to for _, to in relation.columns) != sorted(target.key):
        expected = f"columns for the whole key of {target.name} ({', '.join(target.key)})"
        (spot / "by").expected(expected)
    return relation


def _refuse_circle(source: DatasetSource, estate: Estate) -> None:
    """Nothing can go with itself."""
    circle = _circle(estate, source.name)
    if circle:
        text = f"found a circle ({' > '.join((*circle, source.name))}), expected no dataset to follow itself"
        (source.spot / "follows").report(text, key=True)


def _without_circles(estate: Estate) -> Estate:
    """For looking on after a problem: followers would never end."""
    cut = {
        name: replace(dataset, follows=()) if _circle(estate, name) else dataset
        for name, dataset in estate.datasets.items()
    }
    return replace(estate, datasets=cut)


def _circle(estate: Estate, start: str) -> tuple[str, ...]:
    pending: list[tuple[str, ...]] = [(start,)]
    seen: set[str] = set()
    while pending:
        path = pending.pop()
        dataset = estate.datasets.get(path[-1])
        for name in dataset.follows if dataset else ():
            target = dataset.relations[name].to if dataset else ""
            if target == start:
                return path
            if target not in seen:
                seen.add(target)
                pending.append((*path, target))
    return ()


def _with_holds(source: DatasetSource, estate: Estate) -> Dataset:
    dataset = estate.datasets[source.name]
    holds = estate.conditions(source.form.held_when, dataset, source.spot / "held_when")
    return replace(dataset, held_when=holds)
