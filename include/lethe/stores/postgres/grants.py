"""What a store's owner runs once: the schema `lethe`, and the least that Lethe's role needs on the owner's tables."""

from __future__ import annotations

from collections.abc import Iterator

from psycopg.sql import SQL, Composable, Identifier

from lethe.model import Aggregate, Anonymise, Dataset, Policy, Rule, Store
from lethe.reach import changed_by, datasets_of, naming, read_elsewhere
from lethe.sql import script
from lethe.stores.postgres.predicate import table_name

WORKER = "lethe_worker"

_OWN = """
GRANT USAGE ON SCHEMA lethe TO {role};
GRANT SELECT ON ALL TABLES IN SCHEMA lethe TO {role};
GRANT UPDATE (seq) ON lethe.store TO {role};
GRANT INSERT ON lethe.outbox TO {role};
GRANT INSERT, DELETE ON lethe.hold TO {role};
GRANT INSERT, UPDATE, DELETE ON lethe.redacted, lethe.document_intent TO {role};
GRANT INSERT, UPDATE ON lethe.progress, lethe.partition_intent TO {role};
GRANT INSERT, DELETE, UPDATE (nonce) ON lethe.receipt TO {role};
"""

_PARTITIONS = """
-- Partitions are worked on under their own names: they get what their table has. Run again after adding some.
DO $lethe$
DECLARE
    part record;
BEGIN
    FOR part IN SELECT what, relid FROM (VALUES
        {pairs}
    ) AS wanted (what, whole), pg_partition_tree(whole::regclass) WHERE level > 0 LOOP
        EXECUTE format('GRANT %s ON %s TO {role}', part.what, part.relid);
    END LOOP;
END $lethe$;
"""

_COPIES = """
-- Rows of other stores that verdicts are read from are copied for the session.
DO $lethe$ BEGIN
    EXECUTE format('GRANT TEMPORARY ON DATABASE %I TO %I', current_database(), '{role}');
END $lethe$"""

_OPTIONAL = """
-- Three things need more than the above. Without them Lethe works row by row, autovacuum cleans up when it comes
-- by, and the checks do not try themselves.
--   dropping whole partitions: the role owns the partitioned table and its partitions, itself or through a group role
--   VACUUM and ANALYZE after a sweep (PostgreSQL 17 and later): GRANT MAINTAIN ON <table> TO {role};
--   checks that put rows in, ask whether they see them, and roll back: GRANT INSERT ON <table> TO {role};
"""


def grants(policy: Policy, store: Store, role: str = WORKER) -> str:
    """The SQL that a database's owner runs so that `role` can carry out the policy in this store, and no more."""
    who, wanted = Identifier(role), sorted({(w.as_string(), t.as_string()) for w, t in _wanted(policy, store)})
    lines = sorted({SQL("GRANT USAGE ON SCHEMA {} TO {}").format(s, who).as_string() for s in _schemas(policy, store)})
    lines += [f"GRANT {what} ON {table} TO {who.as_string()}" for what, table in wanted]
    head = f"-- Lethe in store {store.name}: run as the owner of the database and of its tables.\n\n"
    lines += [_COPIES.format(role=role)] if read_elsewhere(policy, store.name) else []
    own, parts = _OWN.format(role=who.as_string()), _of_partitions(wanted, who) if wanted else ""
    granted = "".join(f"{line};\n" for line in lines)
    return f"{head}{script('store')}{own}\n{granted}{parts}{_OPTIONAL.format(role=who.as_string())}"


def _schemas(policy: Policy, store: Store) -> Iterator[Identifier]:
    for rule in policy.rules.values():
        if rule.dataset.store == store.name:
            yield from (Identifier(dataset.schema) for dataset in _here(policy, rule, store))
    yield from (Identifier(dataset.schema) for dataset in (*_measured(policy, store), *_asked(policy, store)))
    yield from (Identifier(schema) for _, schema, _ in _looked_up(policy, store))


def _here(policy: Policy, rule: Rule, store: Store) -> Iterator[Dataset]:
    """The rule's own rows, what shares their fate, and what their verdict is read from, as far as it is here."""
    yield from (dataset for dataset in datasets_of(policy, rule) if dataset.store == store.name)


def _asked(policy: Policy, store: Store) -> Iterator[Dataset]:
    """What verdicts in other stores are read from here."""
    names = {name for other in policy.stores if other != store.name for name in read_elsewhere(policy, other)}
    yield from (dataset for name in sorted(names) if (dataset := policy.datasets[name]).store == store.name)


def _measured(policy: Policy, store: Store) -> Iterator[Dataset]:
    """What is read to see whether rows without a person are anonymous enough."""
    names = {name for each in policy.anonymity.values() for name in (each.dataset, *(one.to for one in each.linked))}
    yield from (dataset for name in sorted(names) if (dataset := policy.datasets[name]).store == store.name)


def _looked_up(policy: Policy, store: Store) -> Iterator[tuple[tuple[str, ...], str, str]]:
    """Columns that a departure looks up, with schema and table: employees, and who is a customer."""
    if policy.offboarding is None:
        return
    where, customers = policy.offboarding.directory, policy.offboarding.hand_over.customers_in
    if where.store == store.name:
        columns = (where.number, where.mailbox, where.name, where.manager, where.language)
        dates = (where.hired, where.last_day, where.status)
        yield (*columns, *dates), where.schema, where.table
    if customers is not None and (dataset := policy.datasets[customers[0]]).store == store.name:
        yield (customers[1],), dataset.schema, dataset.table


def _wanted(policy: Policy, store: Store) -> Iterator[tuple[Composable, Identifier]]:
    """Privileges and the tables they are needed on."""
    yield from ((SQL("SELECT"), table_name(dataset)) for dataset in _measured(policy, store))
    for columns, schema, table in _looked_up(policy, store):
        looked_at = SQL(", ").join(map(Identifier, sorted(set(columns))))
        yield SQL("SELECT ({})").format(looked_at), Identifier(schema, table)
    for dataset in _asked(policy, store):
        yield SQL("SELECT"), table_name(dataset)
        yield SQL("UPDATE ({})").format(Identifier(dataset.key[0])), table_name(dataset)
    for rule in policy.rules.values():
        if rule.dataset.store != store.name:
            continue
        yield from ((SQL("SELECT"), table_name(dataset)) for dataset in _here(policy, rule, store))
        yield from ((SQL("SELECT"), table_name(dataset)) for dataset, _ in naming(policy, rule))
        for dataset in _here(policy, rule, store):  # a row lock asks for UPDATE on some column
            yield SQL("UPDATE ({})").format(Identifier(dataset.key[0])), table_name(dataset)
        if isinstance(rule.action, Anonymise):
            changed = SQL(", ").join(map(Identifier, sorted(rule.action.fields)))
            yield SQL("UPDATE ({})").format(changed), table_name(rule.dataset)
        else:
            yield from ((SQL("DELETE"), table_name(dataset)) for dataset in changed_by(rule))
        if rule.name in store.canaries:
            yield SQL("INSERT"), table_name(rule.dataset)
        if rule.aggregate is not None:
            yield SQL("SELECT, INSERT, UPDATE, DELETE"), _into(rule.aggregate, rule.dataset)


def _of_partitions(wanted: list[tuple[str, str]], role: Identifier) -> str:
    pairs = ",\n        ".join(SQL("({}, {})").format(what, table).as_string() for what, table in wanted)
    return _PARTITIONS.format(pairs=pairs, role=role.as_string())


def _into(aggregate: Aggregate, dataset: Dataset) -> Identifier:
    schema, _, table = aggregate.into.rpartition(".")
    return Identifier(schema or dataset.schema, table)
