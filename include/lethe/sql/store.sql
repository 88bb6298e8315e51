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
    written_at timestamptz NOT NULL DEFAULT clock_timestamp(),
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

-- The mirror of the holds in force: which rows of which dataset nobody may touch.
CREATE TABLE IF NOT EXISTS lethe.hold (
    dataset text NOT NULL,
    key     text NOT NULL,
    kind    text NOT NULL CHECK (kind IN ('held', 'restricted')),
    PRIMARY KEY (dataset, key, kind)
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
