"""The statement of one batch: which rows, and what becomes of them and of the rows that follow them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime

from psycopg.sql import SQL, Composable, Composed, Identifier, Literal, Placeholder

from lethe.deadlines import start_of
from lethe.model import (
    Aggregate,
    Anonymise,
    ByPath,
    ColumnRef,
    Condition,
    Dataset,
    Kin,
    Redact,
    Relation,
    Rule,
    Shard,
    Way,
    WriteDown,
)
from lethe.reach import documents_of
from lethe.stores.postgres.changes import assignment
from lethe.stores.postgres.elsewhere import Rows, key_of
from lethe.stores.postgres.predicate import (
    Predicate,
    Question,
    Scope,
    among,
    dependent_scopes,
    key_text,
    link,
    plain,
    protection,
    table_name,
)

_DUE = "lethe_due"
_TID = "lethe_tid"
_SUBJECT = "lethe_subject"
_NOBODYS = "lethe_nobodys"
_TEXT = "lethe_text"
_WRITTEN = "lethe_written_"


@dataclass(frozen=True)
class Range:
    """The part of a relation that one batch looks at; `start` and `end` as in Shard, end None is open.

    `rows` are the places of candidates found in it, once they are locked.
    """

    relation: Identifier
    way: Way
    start: str | None
    end: str | None
    rows: tuple[str, ...] | None = None


def range_of(shard: Shard, start: str | None, end: str | None) -> Range:
    """The range of a shard's next batch."""
    return Range(Identifier(*shard.relation.split(".", 1)), shard.way, start, end)


def within(predicate: Predicate, where: Range) -> Composable:
    """The range as a condition on `t`; it only locates rows, the predicate alone decides."""
    if where.rows is not None:
        places = ",".join(f'"{place}"' for place in where.rows)
        return SQL("t.ctid = ANY ({}::tid[])").format(Literal(f"{{{places}}}"))
    if where.way is Way.BLOCKS:
        tests: list[Composable] = [SQL("t.ctid >= {}::tid").format(Literal(f"({where.start or 0},0)"))]
        if where.end is not None:
            tests.append(SQL("t.ctid < {}::tid").format(Literal(f"({where.end},0)")))
        return SQL(" AND ").join(tests)
    tests = []
    if where.start is not None:
        tests.append(SQL("{} >= {}").format(predicate.clock, edge(predicate, where.start)))
    if where.end is not None:
        tests.append(SQL("{} < {}").format(predicate.clock, edge(predicate, where.end)))
    return SQL(" AND ").join(tests) if tests else SQL("true")


def edge(predicate: Predicate, text: str) -> Composable:
    """The end of an index range as a value of the clock: a local date, or a moment that an earlier batch ended at."""
    if predicate.clock_type == "date":
        return SQL("{}::date").format(Literal(text))
    if len(text) > len("2025-03-01"):
        return SQL("{}::{}").format(Literal(text), SQL(_cast(predicate.clock_type)))
    clock, zone = predicate.question.rule.clock, predicate.question.agreed.policy.organisation.zone
    moment = start_of(date.fromisoformat(text), zone)
    if predicate.clock_type == "timestamp with time zone":
        return Literal(moment)
    return Literal(datetime.replace(moment.astimezone(clock.zone), tzinfo=None))


def _cast(clock_type: str) -> str:
    return "timestamptz" if clock_type == "timestamp with time zone" else "timestamp"


def is_plain(predicate: Predicate) -> bool:
    """Whether a row's verdict and fate are its own alone: then one statement judges and acts."""
    rule = predicate.question.rule
    kin = rule.followers or rule.leaders or rule.dependents
    return not (predicate.joins or kin or rewritten_of(rule) or names_documents(rule))


def names_documents(rule: Rule) -> bool:
    """Whether documents go with the rows."""
    return any(documents_of(rule))


def rewritten_of(rule: Rule) -> Mapping[str, Redact | ByPath]:
    """The fields whose new texts the deed gets as parameters, once they were read under the locks."""
    return rule.action.rewritten if isinstance(rule.action, Anonymise) else {}


def written_down_by(rule: Rule) -> Mapping[str, ColumnRef]:
    """The fields that the deed fills with what it reaches by way of others."""
    return rule.action.written_down if isinstance(rule.action, Anonymise) else {}


def candidates(predicate: Predicate, where: Range) -> Composed:
    """The places of the rows that are due, locked: an array of text, one row.

    Whoever is changing one of them, or adding a row that refers to one by a foreign key, is waited for.
    """
    return SQL(
        "SELECT coalesce(array_agg(c.ctid::text), '{{}}') FROM"
        " (SELECT t.ctid FROM ONLY {} AS t{} WHERE {} AND {} FOR UPDATE OF t) AS c"
    ).format(where.relation, predicate.scope.joined(), within(predicate, where), predicate.due)


def locks(predicate: Predicate, where: Range) -> Iterator[Composed | Rows]:
    """Locks on all that the verdict on the candidates is read from, so that the deed's own snapshot stays true.

    Rows of other stores are to be read again and held there, in the order in which they come.
    """
    question, rule = predicate.question, predicate.question.rule
    rows = SQL("SELECT t.* FROM ONLY {} AS t WHERE {}").format(where.relation, within(predicate, where))
    yield from _join_locks(predicate.scope, rows)
    yield from _kin_locks(question, rows, rule.followers, down=True)
    yield from _kin_locks(question, rows, rule.leaders, down=False)
    for _, scope, linked in dependent_scopes(Scope(question.agreed, rule.dataset, "p"), rule):
        yield SQL(
            "SELECT count(*) FROM (SELECT FROM {} AS {}{} JOIN ({}) AS p ON {} FOR SHARE OF {}) AS locked"
        ).format(
            table_name(scope.dataset), Identifier(scope.alias), scope.joined(), rows, linked, Identifier(scope.alias)
        )


def _kin_locks(question: Question, below: Composable, kin: tuple[Kin, ...], *, down: bool) -> Iterator[Composed | Rows]:
    for each in kin:
        ends = ("k", "p") if down else ("p", "k")
        rows = SQL("SELECT k.* FROM {} AS k WHERE EXISTS (SELECT FROM ({}) AS p WHERE {})").format(
            table_name(each.dataset), below, link(each.relation, *ends)
        )
        yield SQL("SELECT count(*) FROM ({} {} OF k) AS locked").format(
            rows, SQL("FOR UPDATE" if down else "FOR SHARE")
        )
        scope = Scope(question.agreed, each.dataset, "k")
        protection(question, scope, each.floors)  # names the joins that its conditions and floors need
        yield from _join_locks(scope, rows)
        yield from _kin_locks(question, rows, each.kin, down=down)
        yield from _kin_locks(question, rows, each.others, down=False)


def _join_locks(scope: Scope, rows: Composable) -> Iterator[Composed | Rows]:
    for path in scope.joins:
        inner = Scope(scope.agreed, scope.dataset, "p")
        *way, last = path
        here = inner.join(tuple(way))
        relation = scope.agreed.owner(scope.dataset, ColumnRef("", tuple(way))).relations[last]
        target = scope.agreed.policy.datasets[relation.to]
        if target.store != scope.dataset.store:
            yield Rows(target, _keys(inner, here, relation, target, rows), relation.as_text)
            continue
        alias = inner.join(path)
        yield SQL("SELECT count(*) FROM (SELECT FROM ({}) AS p{} FOR SHARE OF {}) AS locked").format(
            rows, inner.joined(inner=path), Identifier(alias)
        )


def _keys(scope: Scope, here: str, relation: Relation, target: Dataset, rows: Composable) -> Composed:
    """The keys of what the rows refer to by a relation that starts at the alias `here`."""
    own = {other: own for own, other in relation.columns}
    columns = [SQL("{}.{}").format(Identifier(here), Identifier(own[name])) for name in target.key]
    tests: list[Composable] = [SQL("{} IS NOT NULL").format(column) for column in columns]
    if relation.when is not None:
        tests.append(among(SQL("{}.{}").format(Identifier(here), Identifier(relation.when.at.column)), relation.when))
    return SQL("SELECT DISTINCT {} FROM ({}) AS p{} WHERE {}").format(
        key_of(columns), rows, scope.joined(), SQL(" AND ").join(tests)
    )


def deed(predicate: Predicate, where: Range) -> tuple[Composed, tuple[str, ...]]:
    """The statement of one batch, and the datasets that follow.

    Its row count is that of the rule's own dataset. Where something follows, is added up or gets a receipt it returns
    one row instead: that count, how many of each following dataset and, for receipts, the keys as an array of text.
    """
    rule, tree = predicate.question.rule, list(_tree(predicate.question.rule.followers))
    before, texts = list[Composable](), rewritten_of(rule)
    given = [_texts(texts)] if texts else []

    def literal(part: Composable) -> Composable:
        return plain(part) if texts else part

    if not (predicate.joins or tree or texts or written_down_by(rule)):  # the predicate in the statement itself
        change = _change(predicate, where, None, SQL("{} AND {}").format(within(predicate, where), predicate.due))
    else:
        here = SQL("t.ctid = {}.{} AND {}").format(Identifier(_DUE), Identifier(_TID), within(predicate, where))
        before = [_due(predicate, where), *(_follow(alias, parent, follower) for alias, parent, follower in tree)]
        change = _change(predicate, where, Identifier(_DUE), here)
    if not tree and not (rule.aggregate or rule.receipts):  # handing on every row to count it takes half as long again
        return SQL("{}{}").format(_with([*given, *map(literal, before)]), literal(change)), ()
    told = [SQL("(SELECT count(*) FROM {})").format(Identifier(name)) for name in ["gone", *(each[0] for each in tree)]]
    if rule.receipts:
        told.append(SQL("(SELECT coalesce(array_agg({}), '{{}}') FROM gone)").format(Identifier(_SUBJECT)))
    ctes = _with([*given, *map(literal, [*before, *_handed_on(predicate, change)])])
    return SQL("{}SELECT {}").format(ctes, SQL(", ").join(told)), tuple(f.dataset.name for _, _, f in tree)


def _with(ctes: list[Composable]) -> Composable:
    return SQL("WITH {} ").format(SQL(", ").join(ctes)) if ctes else SQL("")


def _tree(followers: tuple[Kin, ...], parent: str = _DUE) -> Iterator[tuple[str, str, Kin]]:
    """Every follower with a name for its rows and that of the rows it follows, parents first."""
    for number, follower in enumerate(followers):
        alias = f"{parent}_{number}"
        yield alias, parent, follower
        yield from _tree(follower.kin, alias)


def _due(predicate: Predicate, where: Range) -> Composable:
    """The candidates that are still due now that nobody can change what that hangs on."""
    columns = [SQL("t.{}").format(Identifier(name)) for name in predicate.question.rule.dataset.key]
    columns += [
        SQL("{} AS {}").format(predicate.scope.column(ref), Identifier(f"{_WRITTEN}{name}"))
        for name, ref in written_down_by(predicate.question.rule).items()
    ]
    key = SQL(", ").join(columns)
    return SQL("{} AS MATERIALIZED (SELECT t.ctid AS {}, {} FROM ONLY {} AS t{} WHERE {} AND {})").format(
        Identifier(_DUE),
        Identifier(_TID),
        key,
        where.relation,
        predicate.scope.joined(),
        within(predicate, where),
        predicate.due,
    )


def _follow(alias: str, parent: str, follower: Kin) -> Composable:
    return SQL("{} AS (DELETE FROM {} AS c USING {} AS p WHERE {} RETURNING c.*)").format(
        Identifier(alias), table_name(follower.dataset), Identifier(parent), link(follower.relation, "c", "p")
    )


def _change(predicate: Predicate, where: Range, source: Identifier | None, test: Composable) -> Composable:
    """The deletion or update."""
    rule = predicate.question.rule
    if isinstance(rule.action, Anonymise):
        agreed = predicate.question.agreed
        columns, zone = agreed.table(rule.dataset).columns, agreed.policy.organisation.zone
        texts = rewritten_of(rule)
        assignments = [
            SQL("{} = {}.{}::{}").format(*map(Identifier, (name, _TEXT, name)), SQL(columns[name].declared))
            if name in texts
            else SQL("{0} = coalesce(t.{0}, {1}.{2})").format(*map(Identifier, (name, _DUE, f"{_WRITTEN}{name}")))
            if isinstance(change, WriteDown)
            else assignment(name, columns[name], change, zone)
            for name, change in rule.action.fields.items()
        ]
        sources = [*([source] if source else []), *([Identifier(_TEXT)] if texts else [])]
        origin = SQL(" FROM {}").format(SQL(", ").join(sources)) if sources else SQL("")
        if texts:
            test = SQL("{} AND t.ctid = {}.place").format(test, Identifier(_TEXT))
        return SQL("UPDATE ONLY {} AS t SET {}{} WHERE {}").format(
            where.relation, SQL(", ").join(assignments), origin, test
        )
    origin = SQL(" USING {}").format(source) if source else SQL("")
    return SQL("DELETE FROM ONLY {} AS t{} WHERE {}").format(where.relation, origin, test)


def _texts(names: Iterable[str]) -> Composable:
    """The texts by the places of their rows, as parameters: no server's log repeats those."""
    given = [SQL("{}::text[]").format(Placeholder(f"text_{number}")) for number, _ in enumerate(names)]
    return SQL("{} (place, {}) AS (SELECT * FROM unnest({}::text[]::tid[], {}))").format(
        Identifier(_TEXT), SQL(", ").join(map(Identifier, names)), Placeholder("places"), SQL(", ").join(given)
    )


def _handed_on(predicate: Predicate, change: Composable) -> list[Composable]:
    """The change as CTE `gone`, and behind it the aggregation of what went."""
    rule = predicate.question.rule
    aggregate, returned = rule.aggregate, list[Composable]()
    if aggregate is not None:
        returned.append(grouped(predicate, aggregate))
    if rule.receipts:
        returned.append(SQL("{} AS {}").format(key_text(rule.dataset, "t"), Identifier(_SUBJECT)))
    gone = SQL("gone AS ({} RETURNING {})").format(change, SQL(", ").join(returned or [SQL("1")]))
    if aggregate is None:
        return [gone]
    return [gone, SQL("added AS ({})").format(add_up(predicate, aggregate, Identifier("gone")))]


def grouped(predicate: Predicate, aggregate: Aggregate) -> Composable:
    """What the statistics need of a row: its group, and the columns that are summed."""
    columns = [SQL("{} AS {}").format(_group(predicate, by), Identifier(into)) for into, by in aggregate.by.items()]
    columns += [SQL("t.{} AS {}").format(Identifier(of), Identifier(into)) for into, of in aggregate.sums.items()]
    if aggregate.unless:
        columns.append(SQL("{} AS {}").format(_is_nobodys(aggregate.unless), Identifier(_NOBODYS)))
    return SQL(", ").join(columns)


def _is_nobodys(unless: tuple[Condition, ...]) -> Composable:
    tests = (
        SQL("coalesce(t.{}::text IN ({}), false)").format(
            Identifier(each.at.column), SQL(", ").join(map(Literal, each.values))
        )
        for each in unless
    )
    return SQL("({})").format(SQL(" OR ").join(tests))


def _group(predicate: Predicate, by: str) -> Composable:
    if not by.startswith("day("):
        return SQL("t.{}").format(Identifier(by))
    return predicate.day_of(by[4:-1])


def add_up(predicate: Predicate, aggregate: Aggregate, rows: Composable) -> Composed:
    """Add the groups of `rows` to the statistics, which may hold earlier batches of the same group."""
    groups = SQL(", ").join(map(Identifier, aggregate.by))
    numbers = [aggregate.count, *aggregate.sums]
    sums = [SQL("coalesce(sum({}), 0)").format(Identifier(into)) for into in aggregate.sums]
    return SQL(
        "INSERT INTO {into} AS s ({columns}) SELECT {values} FROM {rows} AS r {counted} GROUP BY {groups}"
        " ON CONFLICT ({groups}) DO UPDATE SET {added}"
    ).format(
        into=statistics(predicate, aggregate),
        columns=SQL(", ").join(map(Identifier, [*aggregate.by, *numbers])),
        values=SQL(", ").join([groups, SQL("count(*)"), *sums]),
        rows=rows,
        counted=SQL("WHERE NOT r.{}").format(Identifier(_NOBODYS)) if aggregate.unless else SQL(""),
        groups=groups,
        added=SQL(", ").join(
            SQL("{0} = coalesce(s.{0}, 0) + excluded.{0}").format(Identifier(name)) for name in numbers
        ),
    )


def statistics(predicate: Predicate, aggregate: Aggregate) -> Identifier:
    """The table that an aggregate goes into; unqualified, it stands beside the dataset's own."""
    schema, _, table = aggregate.into.rpartition(".")
    return Identifier(schema or predicate.question.rule.dataset.schema, table)


def suppress(predicate: Predicate, aggregate: Aggregate, oldest: date, newest: date) -> Composed:
    """Take out the groups that stayed too small to say nothing of a person, once none of their rows is left.

    Only days from `oldest` to `newest` are looked at: what the plan was about. Other statistics are others' to keep.
    """
    day = next((into for into, by in aggregate.by.items() if by.startswith("day(")), None)
    rule = predicate.question.rule
    same = [
        SQL("s.{} IS NOT DISTINCT FROM {}").format(Identifier(into), _group(predicate, by))
        for into, by in aggregate.by.items()
        if day is None or into == day
    ]
    span: Composable = SQL("true")
    if day is not None:
        span = SQL("s.{} BETWEEN {} AND {}").format(Identifier(day), Literal(oldest), Literal(newest))
    return SQL("DELETE FROM {} AS s WHERE {} AND s.{} < {} AND NOT EXISTS (SELECT FROM {} AS t WHERE {})").format(
        statistics(predicate, aggregate),
        span,
        Identifier(aggregate.count),
        Literal(aggregate.suppress_below),
        table_name(rule.dataset),
        SQL(" AND ").join(same),
    )
