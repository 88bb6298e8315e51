-- What Lethe keeps inside a store: the schema `lethe`. Idempotent; run by the store's owner or DBA.

CREATE SCHEMA IF NOT EXISTS lethe;

-- Who this store is. Restoring a backup raises the epoch: what came back is deleted again, and that too is written down.
CREATE TABLE IF NOT EXISTS lethe.store (
    single boolean PRIMARY KEY DEFAULT true CHECK (single),
    id     uuid    NOT NULL DEFAULT gen_random_uuid(),
    epoch  integer NOT NULL DEFAULT 1 CHECK (epoch > 0),
    seq    bigint  NOT NULL DEFAULT 0 CHECK (seq >= 0)
);
INSERT INTO lethe.store DEFAULT VALUES ON CONFLICT DO NOTHING;

-- One row a deed, written in the deed's own transaction. `seq` has no gaps: a row that is missing was removed.
-- The number is taken under the lock on the row above, kept to the commit: rows become visible in the order of `seq`.
CREATE TABLE IF NOT EXISTS lethe.outbox (
    epoch      integer NOT NULL,
    seq        bigint NOT NULL,
    key        text NOT NULL,  -- plan/shard/batch: no deed can be written down twice
    leaf       text NOT NULL,
    written_at timestamptz NOT NULL DEFAULT now(),  -- its transaction's: a server adds rows faster whose default is one
    PRIMARY KEY (epoch, seq),
    UNIQUE (epoch, key)
);

-- How far each shard of a plan has come, so that a stopped run goes on where it was.
CREATE TABLE IF NOT EXISTS lethe.progress (
    epoch    integer NOT NULL,
    plan     text NOT NULL,
    shard    integer NOT NULL,
    batch    integer NOT NULL,
    upto     text,
    rows     bigint NOT NULL,
    reach    bigint NOT NULL,
    finished boolean NOT NULL,
    PRIMARY KEY (epoch, plan, shard)
);

-- The mirror of the holds in force: which rows of which dataset nobody may touch, nor what hangs on them. Key * is all of
-- a dataset, dataset rule:NAME all that a rule would do. `hold` is the id in lethe_state; empty where it was put by hand.
CREATE TABLE IF NOT EXISTS lethe.hold (
    dataset text NOT NULL,
    key     text NOT NULL,
    kind    text NOT NULL CHECK (kind IN ('held', 'restricted')),
    hold    text NOT NULL DEFAULT '',
    PRIMARY KEY (dataset, key, kind, hold)
);

-- Restriction (GDPR 18) is there for everyone who reads this database to see: such rows may be stored, and nothing else.
CREATE OR REPLACE VIEW lethe.restricted AS SELECT DISTINCT dataset, key FROM lethe.hold WHERE kind = 'restricted';
GRANT USAGE ON SCHEMA lethe TO PUBLIC;
GRANT SELECT ON lethe.restricted TO PUBLIC;

-- What was put by hand is taken off by hand, by who owns the table.
CREATE OR REPLACE FUNCTION lethe.only_by_hand() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.hold = '' AND NOT pg_catalog.pg_has_role(
        (SELECT relowner FROM pg_catalog.pg_class WHERE oid = TG_RELID), 'MEMBER') THEN
        RAISE EXCEPTION 'this hold was put by hand' USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN OLD;
END $$;
CREATE OR REPLACE TRIGGER only_by_hand BEFORE DELETE ON lethe.hold FOR EACH ROW EXECUTE FUNCTION lethe.only_by_hand();

-- Text that was redacted, and what it was then: written anew by somebody, it is due once more.
CREATE TABLE IF NOT EXISTS lethe.redacted (
    dataset text NOT NULL,
    key     text NOT NULL,
    field   text NOT NULL,
    digest  bytea NOT NULL,
    PRIMARY KEY (dataset, key, field)
);

-- Documents on their way out: written and committed before the first of them goes, settled with their row.
CREATE TABLE IF NOT EXISTS lethe.document_intent (
    dataset text NOT NULL,
    key     text NOT NULL,
    field   text NOT NULL,
    folder  text NOT NULL,
    path    text NOT NULL,
    found   boolean NOT NULL,  -- whether it was there then: one that is gone since was deleted by a run that stopped
    PRIMARY KEY (dataset, key, field)
);

-- Partitions on their way out: written before the partition is taken off its table, settled with its fate.
CREATE TABLE IF NOT EXISTS lethe.partition_intent (
    epoch     integer NOT NULL,
    plan      text NOT NULL,
    shard     integer NOT NULL,
    dataset   text NOT NULL,
    parent    text NOT NULL,
    partition text NOT NULL,
    bound     text NOT NULL,
    settled   text CHECK (settled IN ('dropped', 'attached')),
    PRIMARY KEY (epoch, plan, shard)
);

-- Who can still be given a receipt that their record went. The nonce is destroyed when the receipt is issued; the row
-- stays for the others of its batch, and all of a batch go when `until` has passed. No copy of a key stays in
-- statistics or in an index.
CREATE TABLE IF NOT EXISTS lethe.receipt (
    epoch    integer NOT NULL,
    seq      bigint NOT NULL,  -- the batch's evidence in the outbox
    position integer NOT NULL CHECK (position >= 0),
    rule     text NOT NULL,
    plan     text NOT NULL,
    shard    integer NOT NULL,
    batch    integer NOT NULL,
    hash     bytea NOT NULL,
    subject  text NOT NULL,
    nonce    bytea,
    until    date NOT NULL,
    PRIMARY KEY (epoch, seq, position)
);
ALTER TABLE lethe.receipt ALTER subject SET STATISTICS 0, ALTER nonce SET STATISTICS 0;
CREATE INDEX IF NOT EXISTS receipt_subject ON lethe.receipt USING hash (subject);
CREATE INDEX IF NOT EXISTS receipt_until ON lethe.receipt (until);
