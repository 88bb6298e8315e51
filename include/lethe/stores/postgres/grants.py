"""What a store's owner runs once: the schema `lethe`, and the least that Lethe's role needs on the owner's tables."""

from __future__ import annotations

from collections.abc import Iterator

from psycopg.sql import SQL, Composable, Identifier

from lethe.model import Aggregate, Anonymise, Dataset, Policy, Rule, Store
from lethe.sql import script
from lethe.stores.postgres.agree import along, involved
from lethe.stores.postgres.predicate import table_name

WORKER = "lethe_worker"

_OWN = """
GRANT USAGE ON SCHEMA lethe TO {role};
GRANT SELECT ON ALL TABLES IN SCHEMA lethe TO {role};
GRANT UPDATE (seq) ON lethe.store TO {role};
GRANT INSERT ON lethe.outbox TO {role};
GRANT INSERT, UPDATE ON lethe.progress, lethe.partition_intent TO {role};
"""

_OPTIONAL = """
-- Two things need more than the above; without them Lethe works row by row, and autovacuum cleans up when it comes by.
--   dropping whole partitions: the role owns the partitioned table and its partitions, itself or through a group role
--   VACUUM after a sweep (PostgreSQL 17 and later): GRANT MAINTAIN ON <table> TO {role};
"""


def grants(policy: Policy, store: Store, role: str = WORKER) -> str:
    """The SQL that a database's owner runs so that `role` can carry out the policy in this store, and no more."""
    name = Identifier(role).as_string()
    lines = sorted({statement.as_string() for statement in _statements(policy, store, Identifier(role))})
    head = f"-- Lethe in store {store.name}: run as the owner of the database and of its tables.\n\n"
    own = _OWN.format(role=name)
    return f"{head}{script('store')}{own}\n" + ";\n".join(lines) + ";\n" + _OPTIONAL.format(role=name)


def _statements(policy: Policy, store: Store, role: Identifier) -> Iterator[Composable]:
    for rule in policy.rules.values():
        if rule.dataset.store != store.name:
            continue
        for dataset in involved(policy, rule):
            yield _grant(SQL("SELECT"), table_name(dataset), role)
            yield SQL("GRANT USAGE ON SCHEMA {} TO {}").format(Identifier(dataset.schema), role)
        for dataset in _locked(policy, rule):  # a row lock asks for UPDATE on some column
            yield _grant(SQL("UPDATE ({})").format(Identifier(dataset.key[0])), table_name(dataset), role)
        if isinstance(rule.action, Anonymise):
            columns = SQL(", ").join(map(Identifier, sorted(rule.action.fields)))
            yield _grant(SQL("UPDATE ({})").format(columns), table_name(rule.dataset), role)
        else:
            yield from (_grant(SQL("DELETE"), table_name(dataset), role) for dataset in rule.datasets())
        if rule.aggregate is not None:
            what = SQL("SELECT, INSERT, UPDATE, DELETE")
            yield _grant(what, _into(rule.aggregate, rule.dataset), role)


def _grant(what: Composable, table: Composable, role: Identifier) -> Composable:
    return SQL("GRANT {} ON {} TO {}").format(what, table, role)


def _into(aggregate: Aggregate, dataset: Dataset) -> Identifier:
    schema, _, table = aggregate.into.rpartition(".")
    return Identifier(schema or dataset.schema, table)


def _locked(policy: Policy, rule: Rule) -> Iterator[Dataset]:
    """The rule's own rows, what its clock is read from, and followers that can be held."""
    yield from rule.datasets()
    yield from along(policy, rule.dataset, rule.clock.at.path)
