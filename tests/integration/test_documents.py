"""Documents go with the rows that name them: never without them, never before they are meant to, and told once."""

import json
import threading
import time
from collections import Counter

import pytest
from jsonschema import Draft202012Validator

from faults import NOW, act, again, approved, at_pace, carry_out, leaves
from lethe.errors import BoundExceeded, ConfigError, LetheError, SchemaMismatch, StoreRefused, StoreUnreachable
from lethe.evidence.leaf import schema
from lethe.model import Verdict, Way
from lethe.run import Lethe
from lethe.stores.postgres import documents
from support import open_folder, without_rights

SCHEMA = """
CREATE TABLE cases (id bigint PRIMARY KEY, ended_on date);
CREATE TABLE attachment (id bigint PRIMARY KEY, case_id bigint, path text, thumbnail text);
INSERT INTO cases SELECT n, CASE WHEN n <= 20 THEN date '2020-01-01' ELSE date '2025-01-01' END
FROM generate_series(1, 30) n;
INSERT INTO attachment SELECT n, n, '/saker/' || n || '/cv.pdf' FROM generate_series(1, 30) n;
UPDATE attachment SET path = NULL WHERE id = 20;
"""
ACTIVITY = """
serves: [R08]
datasets:
  cases: {in: crm, table: cases, key: id, personal_data: {}}
  attachments:
    in: crm
    table: attachment
    key: id
    personal_data: {path: user.content.private}
    refers_to: {case: {to: cases, by: case_id}}
    documents: {path: papers}
rules:
  ex-customers:
    obligation: R08
    of: attachments
    title: {nb: Vedlegg, en: Attachments}
    clock: case.ended_on
    keep: P1Y
    then: delete
    limits: {rows: 1000, share: 100%}
"""
DROPS = ACTIVITY.replace("then: delete", "then: {anonymise: {path: drop}}")
CASES_GO = ACTIVITY.replace("of: attachments", "of: cases").replace("clock: case.ended_on", "clock: ended_on").replace(
    "    documents:", "    follows: case\n    documents:"
)  # fmt: skip
DUE = {f"saker/{n}/cv.pdf" for n in range(1, 20)}


@pytest.fixture
def lethe(open_lethe) -> Lethe:
    return filled(open_lethe(ACTIVITY, SCHEMA))


def filled(lethe: Lethe) -> Lethe:
    for number in (n for n in range(1, 31) if n != 20):
        place = lethe.papers / "saker" / str(number) / "cv.pdf"
        place.parent.mkdir(parents=True)
        place.write_bytes(b"%PDF-1.7 " + str(number).encode())
    return lethe


def there(lethe: Lethe) -> set[str]:
    return {str(file.relative_to(lethe.papers)) for file in lethe.papers.rglob("*") if file.is_file()}


def rows(lethe: Lethe) -> set[int]:
    return {number for (number,) in lethe.database.rows("SELECT id FROM attachment")}


def told(lethe: Lethe) -> dict[str, int]:
    """What the evidence says of documents, all outcomes together, and how many were intended."""
    sums: Counter[str] = Counter()
    for leaf in leaves(lethe.database):
        if leaf["kind"] == "intent":
            sums["intended"] += leaf["documents"]["papers"]
        for counts in leaf["outcome"].values() if leaf["kind"] == "outcome" else ():
            sums.update(counts)
    return dict(sums)


@pytest.mark.parametrize("size", [1, 1000])
def test_a_document_goes_with_its_row_and_no_other_does(lethe: Lethe, size: int) -> None:
    before = there(lethe)
    assert carry_out(at_pace(lethe, size)) == 20
    assert there(lethe) == before - DUE
    assert rows(lethe) == set(range(21, 31))
    assert told(lethe) == {"intended": 19, "deleted": 19}
    assert lethe.database.one("SELECT count(*) FROM lethe.document_intent") == 0


def test_a_field_that_names_a_document_can_be_dropped_with_it(open_lethe) -> None:
    lethe = filled(open_lethe(DROPS, SCHEMA))
    before = there(lethe)
    assert carry_out(lethe) == 19  # one row names none: it is done
    assert there(lethe) == before - DUE
    assert lethe.database.one("SELECT count(*) FROM attachment WHERE path IS NULL") == 20
    assert lethe.plan("ex-customers", NOW, "run").survey.of(Verdict.DUE) == 0


def test_documents_of_rows_that_go_along_go_too(open_lethe) -> None:
    lethe = filled(open_lethe(CASES_GO, SCHEMA))
    before = there(lethe)
    assert carry_out(lethe) == 20
    assert there(lethe) == before - DUE
    assert told(lethe) == {"intended": 19, "deleted": 19}


def test_evidence_of_documents_is_what_the_schema_says_and_names_none(lethe: Lethe) -> None:
    plan = approved(lethe)
    act(lethe, plan, run="0" * 32)
    found = leaves(lethe.database)
    assert {"intent", "outcome", "batch"} <= {leaf["kind"] for leaf in found}
    for leaf in found:
        Draft202012Validator(schema()).validate(leaf)
    assert "cv" not in json.dumps(found)
    assert "saker" not in json.dumps(found)


def test_a_held_row_keeps_its_document(lethe: Lethe) -> None:
    lethe.database.run("INSERT INTO lethe.hold VALUES ('cases', '7', 'held')")
    before = there(lethe)
    assert carry_out(lethe) == 19
    assert there(lethe) == before - DUE | {"saker/7/cv.pdf"}


POINTS = ("after what is intended", "before a document", "half of the documents", "all documents", "before the commit")


class Killed(BaseException):
    """The process ends here, as it were: nothing catches it."""


def stop_at(point: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Be killed at a point of the first batch."""
    remove, tell = documents.Folder.remove, documents.tell

    def killed(*_: object) -> None:
        raise Killed

    def part(self: documents.Folder, paths: list[str]) -> None:
        share = {"before a document": 0, "half of the documents": len(paths) // 2, "all documents": len(paths)}
        remove(self, paths[: share[point]])
        raise Killed

    def told_and_killed(*args: object) -> None:
        tell(*args)
        if args[-1]:
            raise Killed

    if point == "after what is intended":
        monkeypatch.setattr(documents, "all_intended", killed)
    elif point == "before the commit":
        monkeypatch.setattr(documents, "tell", told_and_killed)
    else:
        monkeypatch.setattr(documents.Folder, "remove", part)


@pytest.mark.parametrize("point", POINTS)
def test_killed_at_any_point_and_run_again_it_is_done_and_told_once(
    lethe: Lethe, point: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, plan = there(lethe), approved(lethe)
    with monkeypatch.context() as patched:
        stop_at(point, patched)
        with pytest.raises(Killed), again(lethe) as killed:
            act(at_pace(killed, 1), plan)
    assert rows(lethe) == set(range(1, 31))  # the deed was undone
    assert act(at_pace(lethe, 1), plan) == 20
    lethe.finish(plan.digest, NOW, "run")
    assert lethe.verify(plan.digest, "run").is_nothing
    assert there(lethe) == before - DUE
    assert told(lethe) == {"intended": 19, "deleted": 19}


@pytest.mark.parametrize("gone", [False, True])
def test_what_was_intended_and_is_held_by_the_next_run_stays(
    lethe: Lethe, gone: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan, before = approved(lethe), there(lethe)
    with monkeypatch.context() as patched:
        stop_at("all documents" if gone else "before a document", patched)
        with pytest.raises(Killed), again(lethe) as killed:
            act(killed, plan)
    lethe.database.run("INSERT INTO lethe.hold VALUES ('attachments', '7', 'held')")
    assert act(lethe, plan) == 19
    lethe.finish(plan.digest, NOW, "run")
    assert 7 in rows(lethe)
    if gone:  # nobody can bring it back: that it is missing, and why, stays to be seen
        assert lethe.verify(plan.digest, "run").documents == 1
        assert told(lethe) == {"intended": 19, "deleted": 18}
    else:
        assert lethe.verify(plan.digest, "run").is_nothing
        assert there(lethe) == before - DUE | {"saker/7/cv.pdf"}
        assert told(lethe) == {"intended": 19, "deleted": 18, "withdrawn": 1}


def test_a_document_that_is_missing_stops_the_batch_before_anything_is_changed(lethe: Lethe) -> None:
    (lethe.papers / "saker/7/cv.pdf").unlink()
    before, plan = there(lethe), approved(lethe)
    with pytest.raises(StoreRefused, match=r"found 1 rows of attachments whose documents are not in papers, expected"):
        act(lethe, plan)
    assert (there(lethe), rows(lethe)) == (before, set(range(1, 31)))
    assert leaves(lethe.database) == []
    assert lethe.database.one("SELECT count(*) FROM lethe.document_intent") == 0


def test_a_document_may_be_missing_where_that_is_declared(open_lethe) -> None:
    accepts = ACTIVITY.replace("{path: papers}", "{path: {in: papers, missing: accept}}")
    lethe = filled(open_lethe(accepts, SCHEMA))
    (lethe.papers / "saker/7/cv.pdf").unlink()
    assert carry_out(lethe) == 20
    assert told(lethe) == {"intended": 19, "deleted": 18, "missing": 1}


@pytest.mark.parametrize("elsewhere", ["file:///unmounted", "memory://misspelt"])
def test_a_folder_that_is_not_there_is_no_folder_of_missing_documents(open_lethe, elsewhere: str) -> None:
    accepts = ACTIVITY.replace("{path: papers}", "{path: {in: papers, missing: accept}}")
    lethe = filled(open_lethe(accepts, SCHEMA))
    lethe.addresses["papers"] = elsewhere
    with pytest.raises(StoreUnreachable, match=r"documents papers: its folder is not there; is it mounted"):
        act(lethe, approved(lethe))
    assert rows(lethe) == set(range(1, 31))


def test_a_document_that_another_row_names_is_left_to_that_row(lethe: Lethe) -> None:
    lethe.database.run("UPDATE attachment SET path = 'saker/7/cv.pdf' WHERE id = 25")
    assert carry_out(lethe) == 20
    assert "saker/7/cv.pdf" in there(lethe)
    assert told(lethe) == {"intended": 19, "deleted": 18, "shared": 1}
    lethe.database.run("UPDATE cases SET ended_on = '2020-01-01' WHERE id = 25")
    assert carry_out(lethe) == 1
    assert "saker/7/cv.pdf" not in there(lethe)


def test_two_rows_that_go_together_take_the_document_that_both_name(lethe: Lethe) -> None:
    lethe.database.run("UPDATE attachment SET path = 'saker/7/cv.pdf' WHERE id = 20")
    assert carry_out(lethe) == 20
    assert "saker/7/cv.pdf" not in there(lethe)


@pytest.mark.parametrize(
    "path",
    ["../secret", "/saker/../../secret", "", "/", "saker//7", "saker/7", "C:\\secret", "a\tb", "./secret", "link/x"],
)
def test_a_path_that_could_mean_another_place_stops_the_batch_and_is_not_repeated(lethe: Lethe, path: str) -> None:
    outside = lethe.papers.with_name("secret")
    outside.write_text("not a document")
    (lethe.papers / "link").symlink_to(lethe.papers.parent)
    lethe.database.run(f"UPDATE attachment SET path = E'{path}' WHERE id = 7".replace("\\s", "\\\\s"))
    before = there(lethe)
    with pytest.raises(StoreRefused, match="documents papers: a row names") as told_of:
        act(lethe, approved(lethe))
    assert "secret" not in str(told_of.value)
    assert (there(lethe), rows(lethe)) == (before, set(range(1, 31)))
    assert outside.exists()


def test_a_link_in_place_of_a_document_is_not_taken_for_it(lethe: Lethe) -> None:
    place = lethe.papers / "saker/7/cv.pdf"
    place.rename(lethe.papers / "original.pdf")
    place.symlink_to(lethe.papers / "original.pdf")
    with pytest.raises(StoreRefused, match="a row names a link, expected the document itself"):
        act(lethe, approved(lethe))
    assert rows(lethe) == set(range(1, 31))


def test_a_folder_that_may_not_be_written_undoes_the_batch(open_lethe, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documents.Folder, "remove", without_rights()(documents.Folder.remove))
    with open_folder() as papers:
        lethe = open_lethe(ACTIVITY, SCHEMA)
        lethe.papers, lethe.addresses["papers"] = papers, f"file://{papers}"
        before = there(filled(lethe))
        (papers / "saker/7").chmod(0o555)
        with without_rights():
            assert there(lethe) == before  # it can be reached: only writing is refused
        with pytest.raises(StoreUnreachable, match="documents papers: permission denied"):
            act(lethe, approved(lethe))
        assert "saker/7/cv.pdf" in there(lethe)
    assert rows(lethe) == set(range(1, 31))


def test_an_error_of_the_storage_undoes_the_batch_and_tells_no_path(
    lethe: Lethe, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fsspec.implementations.local import LocalFileSystem

    def refuse(self, path):
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr(LocalFileSystem, "rm_file", refuse)
    with pytest.raises(StoreUnreachable, match="documents papers: permission denied; check") as told_of:
        act(lethe, approved(lethe))
    assert "saker" not in str(told_of.value)
    assert rows(lethe) == set(range(1, 31))


def test_a_document_that_comes_back_as_it_is_deleted_undoes_the_batch(
    lethe: Lethe, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fsspec.implementations.local import LocalFileSystem

    monkeypatch.setattr(LocalFileSystem, "rm_file", lambda *_: None)
    with pytest.raises(StoreRefused, match="19 of 19 are still there after they were deleted"):
        act(lethe, approved(lethe))
    assert rows(lethe) == set(range(1, 31))


def test_past_the_bound_no_document_goes(lethe: Lethe) -> None:
    plan, before = approved(lethe), there(lethe)
    for number in range(31, 61):
        file = lethe.papers / f"{number}.pdf"
        file.write_text("x")
        lethe.database.run(f"INSERT INTO attachment VALUES ({number}, 1, '{number}.pdf')")
    with pytest.raises(BoundExceeded):
        act(lethe, plan)
    assert there(lethe) >= before


def test_a_row_that_is_added_between_the_two_transactions_takes_no_document_unseen(
    lethe: Lethe, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan, intend, added = approved(lethe), documents.intend, []

    def then_add(conn, work, found, shard):
        intend(conn, work, found, shard)
        if not added:
            (lethe.papers / "late.pdf").write_text("x")
            added.append(1)
            lethe.database.run("INSERT INTO attachment VALUES (99, 1, 'late.pdf')")

    monkeypatch.setattr(documents, "intend", then_add)
    assert act(lethe, plan) == 21
    assert "late.pdf" not in there(lethe)
    assert told(lethe) == {"intended": 20, "deleted": 20}


def test_two_runs_at_once_delete_and_tell_each_document_once(lethe: Lethe) -> None:
    plan, before, done = approved(lethe), there(lethe), []
    with again(lethe) as other:
        threads = [
            threading.Thread(target=lambda each=each: done.append(act(at_pace(each, 1), plan)))
            for each in (lethe, other)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
    assert sum(done) == 20
    assert there(lethe) == before - DUE
    assert told(lethe) == {"intended": 19, "deleted": 19}


def test_what_verification_finds_open_fails_it(lethe: Lethe) -> None:
    plan = approved(lethe)
    lethe.database.run("INSERT INTO lethe.document_intent VALUES ('attachments', '7', 'path', 'papers', 'x', true)")
    assert lethe.remaining("ex-customers", plan.today).documents == 1


def test_a_column_of_documents_that_is_not_there_is_told(open_lethe) -> None:
    lethe = open_lethe(ACTIVITY.replace("{path: papers}", "{pathh: papers}"), SCHEMA)
    with pytest.raises(SchemaMismatch, match="pathh: not found in the database"):
        lethe.plan("ex-customers", NOW, "run")


def test_a_bucket_is_a_folder_too(open_lethe) -> None:
    import fsspec

    lethe = open_lethe(ACTIVITY, SCHEMA)
    bucket = fsspec.filesystem("memory")
    lethe.addresses["papers"] = "memory://bucket"
    for number in (n for n in range(1, 31) if n != 20):
        bucket.pipe_file(f"/bucket/saker/{number}/cv.pdf", b"x")
    try:
        assert carry_out(lethe) == 20
        assert set(bucket.find("/bucket")) == {f"/bucket/saker/{n}/cv.pdf" for n in range(21, 31)}
    finally:
        bucket.rm("/bucket", recursive=True)


def test_where_the_storage_cannot_be_opened_that_is_told(lethe: Lethe) -> None:
    lethe.addresses["papers"] = "nowhere://x"
    with pytest.raises(ConfigError, match="documents papers: connection papers leads to a storage that nothing here"):
        act(lethe, approved(lethe))


THREE_LEVELS = CASES_GO.replace("of: cases", "of: customers").replace(
    "  cases: {in: crm, table: cases, key: id, personal_data: {}}",
    """  customers: {in: crm, table: customer, key: id, personal_data: {}}
  cases:
    in: crm
    table: cases
    key: id
    personal_data: {}
    refers_to: {customer: {to: customers, by: customer_id}}
    follows: customer""",
)
CUSTOMERS = """
CREATE TABLE customer (id bigint PRIMARY KEY, ended_on date);
INSERT INTO customer SELECT id, ended_on FROM cases;
ALTER TABLE cases ADD customer_id bigint;
UPDATE cases SET customer_id = id;
"""


def test_documents_go_however_far_down_their_rows_hang(open_lethe) -> None:
    lethe = filled(open_lethe(THREE_LEVELS, SCHEMA + CUSTOMERS))
    before = there(lethe)
    assert carry_out(lethe) == 20
    assert there(lethe) == before - DUE


def test_a_row_that_names_another_document_by_now_takes_that_one(lethe: Lethe, monkeypatch: pytest.MonkeyPatch) -> None:
    plan, before = approved(lethe), there(lethe)
    with monkeypatch.context() as patched:
        stop_at("after what is intended", patched)
        with pytest.raises(Killed), again(lethe) as killed:
            act(killed, plan)
    (lethe.papers / "new.pdf").write_text("x")
    lethe.database.run("UPDATE attachment SET path = 'new.pdf' WHERE id = 7")
    assert act(lethe, plan) == 20
    assert there(lethe) == before - DUE | {"saker/7/cv.pdf"}  # nothing names it: nobody knows whose it is
    assert told(lethe) == {"intended": 20, "deleted": 19}


def test_a_row_that_is_added_just_before_the_deed_is_not_deleted_without_its_document(
    open_lethe, monkeypatch: pytest.MonkeyPatch
) -> None:
    lethe = filled(open_lethe(CASES_GO, SCHEMA))
    plan, find, calls = approved(lethe), documents.find, []

    def then_add(conn, predicate, where):
        found = find(conn, predicate, where)
        calls.append(1)
        if len(calls) == 2:  # the one inside the batch
            (lethe.papers / "late.pdf").write_text("x")
            lethe.database.run("INSERT INTO attachment VALUES (99, 1, 'late.pdf')")
        return found

    monkeypatch.setattr(documents, "find", then_add)
    act(lethe, plan)
    assert ("late.pdf" in there(lethe)) == (99 in rows(lethe))


OWN_CLOCK = ACTIVITY.replace("clock: case.ended_on", "clock: uploaded_on")
UPLOADED = (
    "ALTER TABLE attachment ADD uploaded_on date; UPDATE attachment SET uploaded_on = '2020-01-01' WHERE id <= 20;"
)


def test_a_row_that_the_application_is_renaming_takes_the_document_that_it_then_names(open_lethe) -> None:
    lethe = filled(open_lethe(OWN_CLOCK, SCHEMA + UPLOADED))
    (lethe.papers / "new.pdf").write_text("x")
    plan, done = approved(lethe), []
    thread = threading.Thread(target=lambda: done.append(act(lethe, plan)))
    with lethe.database.connect() as application:
        with application.transaction():
            application.execute("UPDATE attachment SET path = 'new.pdf' WHERE id = 7")
            thread.start()
            thread.join(0.5)
            assert done == []
        thread.join(20)
    assert done == [20]
    assert "new.pdf" not in there(lethe)
    assert "saker/7/cv.pdf" in there(lethe)


def test_a_partition_whose_rows_name_documents_is_not_dropped_whole(open_lethe) -> None:
    parted = """
    CREATE TABLE attachment (id bigint, uploaded_on date NOT NULL, path text, PRIMARY KEY (id, uploaded_on))
        PARTITION BY RANGE (uploaded_on);
    CREATE TABLE attachment_2020 PARTITION OF attachment FOR VALUES FROM ('2020-01-01') TO ('2021-01-01');
    INSERT INTO attachment SELECT n, '2020-05-05', NULL FROM generate_series(1, 20) n;
    """
    head = OWN_CLOCK.replace("    refers_to: {case: {to: cases, by: case_id}}\n", "")
    lethe = open_lethe(head, "CREATE TABLE cases (id bigint PRIMARY KEY);" + parted)
    lethe.database.run(
        "ALTER TABLE attachment OWNER TO lethe_worker; ALTER TABLE attachment_2020 OWNER TO lethe_worker"
    )
    ways = {shard.way for shard in lethe.plan("ex-customers", NOW, "run").survey.shards}
    assert ways == {Way.BLOCKS}


def test_two_parts_at_once_cannot_pass_the_bound_together(open_lethe, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each alone is within what was approved; the second learns of the first before it deletes a document."""
    from lethe.stores.postgres import survey

    monkeypatch.setattr(survey, "SHARD_ROWS", 10)
    wide = (
        "ALTER TABLE attachment ALTER thumbnail SET STORAGE PLAIN; UPDATE attachment SET thumbnail = repeat('x', 3000)"
    )
    lethe = filled(open_lethe(OWN_CLOCK, f"{SCHEMA} {UPLOADED} {wide}; CLUSTER attachment USING attachment_pkey;"))
    plan, remove, failed = approved(lethe), documents.Folder.remove, []
    assert len(plan.survey.shards) == 2
    for number in range(21, 31):  # as many again as the bound leaves room for
        lethe.database.run(f"UPDATE attachment SET uploaded_on = '2020-01-01' WHERE id = {number}")

    def slowly(self: documents.Folder, paths: list[str]) -> None:
        time.sleep(0.5)
        remove(self, paths)

    monkeypatch.setattr(documents.Folder, "remove", slowly)

    def work(run: Lethe, shard: int) -> None:
        try:
            run.act(plan.digest, shard, NOW, "run")
        except LetheError as error:
            failed.append(type(error))

    with again(lethe) as other:
        threads = [threading.Thread(target=work, args=(run, n)) for n, run in enumerate((lethe, other))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
    assert failed == [BoundExceeded]
    assert {f"saker/{n}/cv.pdf" for n in rows(lethe) if n != 20} == there(lethe)
