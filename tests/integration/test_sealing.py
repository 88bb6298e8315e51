"""From the outboxes into a signed log: everything once, in order, and nothing past a doubt."""

import json
from collections.abc import Iterator
from contextlib import closing, contextmanager
from itertools import product

import psycopg
import pytest

from faults import NOW, again, leaves
from lethe import clock
from lethe.errors import Behind, ConfigError, EvidenceError, Forked, StoreError
from lethe.evidence.keys import create_key
from lethe.evidence.note import Checkpoint, open_note
from lethe.evidence.restore import declare_restore
from lethe.evidence.tree import leaf_hash
from lethe.stores.postgres.connection import Connection
from lethe.stores.postgres.outbox import Outbox
from sealing import RUN, TODAY, Company, company
from support import ORIGIN


@pytest.fixture
def firm(open_lethe, tmp_path, monkeypatch) -> Iterator[Company]:
    found = company(open_lethe, tmp_path, monkeypatch)
    yield found
    found.sealing.close()


def logged(firm: Company) -> list[str]:
    return [leaf for (leaf,) in firm.lethe.log_database.rows("SELECT leaf FROM evidence.leaf ORDER BY index")]


def naive_root(hashes: list[bytes]) -> bytes:
    from hashlib import sha256

    if len(hashes) == 1:
        return hashes[0]
    split = 1
    while split * 2 < len(hashes):
        split *= 2
    return sha256(b"\x01" + naive_root(hashes[:split]) + naive_root(hashes[split:])).digest()


def test_a_sweep_comes_into_the_log_once_in_the_order_of_each_outbox_and_is_signed(firm: Company) -> None:
    assert firm.sweep() == 60
    sealed = firm.seal()
    found = [json.loads(leaf) for leaf in logged(firm)]
    kinds = [leaf["kind"] for leaf in found]
    assert sorted(kinds) == sorted(["policy", "plan", "approval", "run", "batch", "verification", "run"])
    for outbox in {leaf["outbox"]["store"] for leaf in found}:
        numbers = [leaf["outbox"]["seq"] for leaf in found if leaf["outbox"]["store"] == outbox]
        assert numbers == list(range(1, len(numbers) + 1))
    assert sealed.size == len(found)
    assert sealed.root == naive_root([leaf_hash(leaf.encode()) for leaf in logged(firm)])
    text, _ = open_note(sealed.note, [firm.key.verifier])
    assert Checkpoint.parse(text) == Checkpoint(ORIGIN, sealed.size, sealed.root)


def test_what_was_collected_is_not_collected_again(firm: Company) -> None:
    firm.sweep()
    first, second = firm.collect(), firm.collect()
    assert (first.leaves, second.leaves) == (len(logged(firm)), 0)


def test_a_key_that_comes_into_use_is_evidence_itself_and_the_next_seal_takes_it_up(firm: Company) -> None:
    firm.sweep()
    first = firm.seal()
    second = firm.seal()
    assert second.size == first.size + 1
    assert json.loads(logged(firm)[-1])["kind"] == "key"
    assert firm.seal() == second
    assert [sealed.size for sealed in firm.sealing.log.checkpoints()] == [first.size, second.size]


def test_nodes_lead_to_the_same_root_however_the_leaves_came_in(firm: Company) -> None:
    firm.sweep()
    roots = []
    for line in range(1, 40):
        firm.lethe.state.outbox.write_once(f"note/{line}", lambda place, line=line: beat(place, line))
        roots.append(firm.seal())
    hashes = [leaf_hash(leaf.encode()) for leaf in logged(firm)]
    for sealed in roots:
        assert sealed.root == naive_root(hashes[: sealed.size])
        assert firm.sealing.log.root(sealed.size) == sealed.root


def beat(place, size: int) -> dict:
    from lethe.evidence.leaf import heartbeat_leaf

    return heartbeat_leaf(place, RUN, day=TODAY, size=size, unreachable=0, unanchored_since=None)


COLUMNS = {
    "leaf": "leaf", "node": "hashes", "checkpoint": "note", "key": "vkey", "anchor": "kind", "policy": "body",
    "verified": "root",
}  # fmt: skip
DEEDS = ("UPDATE evidence.{0} SET {1} = {1}", "DELETE FROM evidence.{0}", "TRUNCATE evidence.{0}")


def test_nobody_changes_or_removes_what_is_in_the_log(firm: Company) -> None:
    """Not the role that seals, not the owner, and not an administrator, even as a replica would apply it."""
    firm.sweep()
    firm.seal()
    for role in ("lethe_sealer", "lethe_evidence_owner", "postgres"):
        with firm.lethe.log_database.connect() as connection:
            if role == "postgres":
                connection.execute("SET session_replication_role = replica")
            connection.execute(f"SET ROLE {role}")
            for deed, (table, column) in product(DEEDS, COLUMNS.items()):
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    connection.execute(deed.format(table, column))


def test_who_writes_leaves_can_neither_read_them_nor_sign(firm: Company) -> None:
    firm.sweep()
    firm.seal()
    with firm.lethe.log_database.connect() as connection:
        connection.execute("SET ROLE lethe_evidence_writer")
        for statement in ("SELECT FROM evidence.leaf", "INSERT INTO evidence.checkpoint VALUES (1, '', '')"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement)


def test_an_outbox_row_that_was_removed_before_it_was_collected_is_a_gap(firm: Company) -> None:
    firm.sweep()
    firm.lethe.state_database.run("DELETE FROM lethe.outbox WHERE seq IN (2, 3)")
    (gap,) = firm.collect().gaps
    assert (gap.outbox, gap.epoch, gap.first, gap.last) == ("lethe_state", 1, 2, 3)


def test_an_outbox_row_that_was_changed_or_made_up_is_not_taken_over(firm: Company) -> None:
    firm.sweep()
    firm.lethe.database.run("UPDATE lethe.outbox SET leaf = replace(leaf, '\"seq\":1', '\"seq\":7')")
    with pytest.raises(Forked, match="was changed in its store"):
        firm.collect()
    assert {json.loads(leaf)["kind"] for leaf in logged(firm)} >= {"plan", "approval"}  # the other outbox is collected


@pytest.mark.parametrize("end", ["\n", "\r", "\r\n"], ids=repr)
def test_a_row_that_would_read_as_two_leaves_is_refused(firm: Company, end: str) -> None:
    firm.sweep()
    (line,) = firm.sealing.outboxes["crm"].leaves_after(1, 0, 10)
    forged = line.rstrip(b"\n").replace(b"\t1\t1\t", b"\t1\t2\t").replace(b'"seq":1', b'"seq":2')
    with firm.lethe.database.connect() as connection:
        connection.execute("UPDATE lethe.outbox SET leaf = leaf || %s", [end + forged.decode()])
    with pytest.raises(Forked, match="changed"):
        firm.collect()
    assert "batch" not in {json.loads(leaf)["kind"] for leaf in logged(firm)}


def test_a_store_that_does_not_answer_is_left_for_the_next_time(firm: Company, monkeypatch) -> None:
    firm.sweep()
    with firm.lethe.database.server.admin() as admin:
        admin.execute(f"ALTER DATABASE {firm.lethe.database.name} ALLOW_CONNECTIONS false")
        admin.execute(
            f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{firm.lethe.database.name}'"
        )
        found = firm.collect()
        assert list(found.unreachable) == ["crm"]
        admin.execute(f"ALTER DATABASE {firm.lethe.database.name} ALLOW_CONNECTIONS true")
    assert firm.collect().leaves == 1


def test_only_one_collects_and_signs_at_a_time(firm: Company, monkeypatch) -> None:
    monkeypatch.setattr("lethe.evidence.log.BUSY_SECONDS", 0.3)
    firm.sweep()
    busy = pytest.raises(EvidenceError, match="another run is sealing")
    with closing(firm.lethe.sealing()) as other, other.log.alone(), busy:
        firm.collect()


def test_a_log_that_was_put_back_is_not_added_to_nor_signed(firm: Company) -> None:
    firm.sweep()
    firm.seal()
    head = firm.outside.head()
    firm.lethe.log_database.run(FORGET.format(size=3))
    for step in (firm.collect, firm.seal):
        with pytest.raises(Behind, match=f"found 3 leaves, but {head.size} were signed"):
            step()


FORGET = """
ALTER TABLE evidence.leaf DISABLE TRIGGER ALL; ALTER TABLE evidence.node DISABLE TRIGGER ALL;
ALTER TABLE evidence.checkpoint DISABLE TRIGGER ALL;
DELETE FROM evidence.leaf WHERE index >= {size}; DELETE FROM evidence.checkpoint WHERE size > {size};
"""


def test_a_log_whose_past_was_changed_is_not_signed(firm: Company) -> None:
    firm.sweep()
    firm.seal()
    firm.lethe.log_database.run(
        "ALTER TABLE evidence.node DISABLE TRIGGER ALL;"
        "UPDATE evidence.node SET hashes = set_byte(hashes, 9, get_byte(hashes, 9) # 1) WHERE level = 2"
    )
    with pytest.raises(Forked, match="not those that were signed"):
        firm.seal()


def test_a_head_that_is_lost_or_half_written_stops_the_signing(firm: Company) -> None:
    firm.sweep()
    firm.seal()
    head = firm.outside.directory / "head.json"
    whole = head.read_text()
    head.write_text(whole[: len(whole) // 2])
    with pytest.raises(Exception, match="cannot be read as the head of the evidence"):
        firm.seal()
    head.unlink()
    with pytest.raises(Behind, match="the head tells of 0 leaves"):
        firm.seal()


def test_without_the_head_that_was_there_nothing_is_done_in_the_stores(firm: Company) -> None:
    firm.sweep()
    firm.seal()
    firm.seal()
    firm.lethe.database.run("INSERT INTO customer VALUES (200, 'Kunde 200', '2020-01-01')")
    plan = firm.lethe.plan("ex-customers", NOW, RUN)
    (firm.outside.directory / "head.json").unlink()
    with pytest.raises(ConfigError, match="it is gone, though checkpoints were signed"):
        firm.lethe.act(plan.digest, 0, NOW, RUN)
    assert firm.lethe.database.one("SELECT count(*) FROM customer WHERE id = 200") == 1


def test_a_half_written_file_beside_the_head_is_nothing(firm: Company) -> None:
    firm.sweep()
    (firm.outside.directory / ".head.json.part").write_text('{"size": 12')
    assert firm.seal().size == 7


def test_another_key_does_not_sign(firm: Company, tmp_path) -> None:
    firm.sweep()
    firm.seal()
    with pytest.raises(EvidenceError, match="the log is signed by"):
        firm.sealing.checkpoint(create_key(tmp_path / "other.key", ORIGIN), RUN, TODAY)


def test_a_new_key_that_the_old_one_endorsed_signs_from_then_on(firm: Company, tmp_path) -> None:
    from lethe.evidence.note import read_endorsement

    firm.sweep()
    firm.seal()
    new = create_key(tmp_path / "new.key", ORIGIN)
    firm.sealing.rotate(firm.key, new, RUN)
    with pytest.raises(EvidenceError):
        firm.seal()
    firm.key, old = new, firm.key
    text, _ = open_note(firm.seal().note, [new.verifier])
    assert text
    (_, (_, endorsement, size)) = firm.sealing.log.key_chain()
    assert read_endorsement(endorsement, old.verifier) == (new.verifier, size)
    assert [leaf["old"] for leaf in map(json.loads, logged(firm)) if leaf["kind"] == "key"] == [
        None,
        old.verifier.id.hex(),
    ]


def test_a_store_that_was_put_back_is_not_acted_on_nor_collected(firm: Company) -> None:
    firm.sweep()
    firm.seal()
    firm.lethe.database.run(
        "DELETE FROM lethe.outbox; UPDATE lethe.store SET seq = 0;"
        "INSERT INTO customer VALUES (200, 'Kunde 200', '2020-01-01')"
    )
    plan = firm.lethe.plan("ex-customers", NOW, RUN)
    with pytest.raises(Behind, match="found evidence up to number 0 of epoch 1, but number 1 of epoch 1 was published"):
        firm.lethe.act(plan.digest, 0, NOW, RUN)
    with pytest.raises(Behind):
        firm.collect()


def test_a_lethe_state_that_was_put_back_is_read_but_not_written(firm: Company) -> None:
    firm.sweep()
    firm.seal()
    firm.lethe.state_database.run("DELETE FROM lethe.outbox WHERE seq > 2; UPDATE lethe.store SET seq = 2")
    with again(firm.lethe) as lethe:
        assert lethe.plans()
        with pytest.raises(Behind, match="lethe restore lethe_state"):
            lethe.plan("ex-customers", NOW, RUN)


def test_a_store_that_went_on_after_it_was_put_back_is_noticed(firm: Company) -> None:
    firm.sweep()
    firm.seal()
    (leaf,) = leaves(firm.lethe.database)
    leaf["rows"] += 1
    firm.lethe.database.run(
        f"UPDATE lethe.outbox SET leaf = '{json.dumps(leaf, separators=(',', ':'), sort_keys=True)}'"
    )
    with pytest.raises(Forked, match="is not the leaf that the log has from there"):
        firm.collect()


@pytest.mark.parametrize("step", ["collect", "checkpoint"])
def test_who_waited_for_another_that_sealed_goes_on_from_there(firm: Company, monkeypatch, step: str) -> None:
    firm.sweep()
    firm.seal()
    firm.collect()  # the key's leaf is there to be signed
    alone = firm.sealing.log.alone
    with closing(firm.lethe.sealing()) as other:

        @contextmanager
        def after_the_other() -> Iterator[None]:
            other.checkpoint(firm.key, RUN, TODAY)
            with alone():
                yield

        monkeypatch.setattr(firm.sealing.log, "alone", after_the_other)
        if step == "collect":
            assert firm.sealing.collect().leaves == 0
        else:
            assert firm.sealing.checkpoint(firm.key, RUN, TODAY).size == firm.outside.head().size


def test_a_lost_connection_to_the_log_ends_the_collecting_for_with_it_the_lock_is_lost(
    firm: Company, monkeypatch
) -> None:
    firm.sweep()
    append, seen = firm.sealing.log.append, []

    def cut(lines: list[bytes]) -> None:
        seen.append(lines)
        firm.lethe.log_database.rows(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE application_name = 'lethe' AND datname = current_database()"
        )
        append(lines)

    monkeypatch.setattr(firm.sealing.log, "append", cut)
    with pytest.raises(StoreError, match="lethe_evidence"):
        firm.collect()
    assert len(seen) == 1
    monkeypatch.undo()
    monkeypatch.setenv("LETHE_EVIDENCE_OUTSIDE", str(firm.outside.directory))
    assert firm.collect().leaves == 7


def test_leaves_are_added_under_the_lock_alone(firm: Company) -> None:
    with pytest.raises(EvidenceError, match="and with it the lock"):
        firm.sealing.log.append([])


def test_a_store_that_was_replaced_under_its_name_is_not_acted_on_until_that_is_declared(firm: Company) -> None:
    """As after a restore from before Lethe came: another id, an empty outbox."""
    firm.sweep()
    firm.seal()
    firm.lethe.database.run("DELETE FROM lethe.outbox; UPDATE lethe.store SET seq = 0, id = gen_random_uuid()")
    with pytest.raises(Behind, match="the database was replaced"):
        firm.collect()
    with closing(firm.lethe.sealing()) as sealing, closing(owners(firm)) as owner:
        sealing.outboxes = {**sealing.outboxes, "crm": owner}
        declared = declare_restore(sealing, "crm", RUN)
    assert (declared.found, declared.published, declared.epoch) == (0, 1, 2)
    firm.lethe.state.outbox.write_once("heartbeat/more", lambda place: beat(place, 1))
    assert firm.seal().size == firm.outside.head().size


def owners(firm: Company) -> Outbox:
    return Outbox(Connection("crm", firm.lethe.database.conninfo()))


def test_rows_that_were_removed_at_either_end_of_an_outbox_are_gaps_too(firm: Company) -> None:
    firm.sweep()
    firm.lethe.state_database.run("DELETE FROM lethe.outbox WHERE seq = 1; DELETE FROM lethe.outbox WHERE seq = 6")
    found = [(gap.first, gap.last) for gap in firm.collect().gaps]
    assert found == [(1, 1), (6, 6)]


def test_a_key_that_signed_before_does_not_come_back(firm: Company, tmp_path) -> None:
    firm.sweep()
    firm.seal()
    new = create_key(tmp_path / "new.key", ORIGIN)
    firm.sealing.rotate(firm.key, new, RUN)
    for key in (firm.key, new):
        with pytest.raises(EvidenceError, match="has signed before"):
            firm.sealing.rotate(new, key, RUN)


def test_a_manifest_misses_no_rule_that_no_policy_had_on_that_day(firm: Company) -> None:
    firm.lethe.plan("ex-customers", NOW, RUN)
    firm.lethe.state_database.run("UPDATE lethe.policy SET first_used = first_used - interval '3 days'")
    today = firm.lethe.today(clock.now())
    zone = firm.lethe.policy.organisation.zone
    firm.sealing.manifest(today, zone, lambda _: ("ex-customers", "a-new-rule"), RUN)
    told = [leaf for leaf in leaves(firm.lethe.state_database) if leaf["kind"] == "manifest"]
    assert [(leaf["expected"], leaf["missing"]) for leaf in told] == [(["ex-customers"], ["ex-customers"])] * 2
