-- The database lethe_evidence: the log of all leaves. Idempotent; run by the server's administrator in that database.
-- The owner cannot sign in. Who seals is a member of the writer (INSERT leaves, read nothing), the integrator and the reader.

DO $$
DECLARE
    wanted text;
BEGIN
    FOREACH wanted IN ARRAY ARRAY['owner', 'writer', 'integrator', 'reader'] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'lethe_evidence_' || wanted) THEN
            EXECUTE format('CREATE ROLE %I NOLOGIN', 'lethe_evidence_' || wanted);
        END IF;
    END LOOP;
END $$;
CREATE SCHEMA IF NOT EXISTS evidence AUTHORIZATION lethe_evidence_owner;
SET ROLE lethe_evidence_owner;

-- One row a leaf, in the order of the log. A leaf is in an outbox once, and comes into the log once.
CREATE TABLE IF NOT EXISTS evidence.leaf (
    index bigint PRIMARY KEY CHECK (index >= 0),
    store uuid NOT NULL,
    epoch integer NOT NULL,
    seq   bigint NOT NULL,
    leaf  text NOT NULL,
    UNIQUE (store, epoch, seq)
);

-- Complete nodes of the tree (RFC 6962), level 0 the leaves' hashes: `hashes` are those from `first` on, 32 bytes each.
CREATE TABLE IF NOT EXISTS evidence.node (
    level  smallint NOT NULL,
    first  bigint NOT NULL,
    hashes bytea NOT NULL,
    PRIMARY KEY (level, first)
);
ALTER TABLE evidence.node ALTER hashes SET STORAGE EXTERNAL;  -- a part of it is read without the rest

CREATE TABLE IF NOT EXISTS evidence.checkpoint (
    size bigint PRIMARY KEY,
    root bytea NOT NULL,
    note text NOT NULL,
    at   timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- The keys that signed, first to newest; each is endorsed by the one before it.
CREATE TABLE IF NOT EXISTS evidence.key (
    number      integer PRIMARY KEY,
    vkey        text NOT NULL UNIQUE,
    endorsement text,
    size        bigint NOT NULL
);

-- Checkpoints that were brought outside, with what came back.
CREATE TABLE IF NOT EXISTS evidence.anchor (
    anchor text NOT NULL,
    kind   text NOT NULL,
    size   bigint NOT NULL,
    token  bytea,
    at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (anchor, size)
);

CREATE TABLE IF NOT EXISTS evidence.policy (
    digest text PRIMARY KEY,
    body   text NOT NULL
);

-- How far the log was looked through before, so that the next look begins there.
CREATE TABLE IF NOT EXISTS evidence.verified (
    size bigint NOT NULL,
    root bytea NOT NULL,
    at   timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- Guard rails against slips and borrowed sign-ins; whoever owns the server can take them off. Against that there are
-- the checkpoints outside.
CREATE OR REPLACE FUNCTION evidence.only_added_to() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'evidence is only ever added to' USING ERRCODE = 'insufficient_privilege';
END $$;
DO $$
DECLARE
    part regclass;
BEGIN
    FOR part IN SELECT oid FROM pg_class WHERE relnamespace = 'evidence'::regnamespace AND relkind = 'r' LOOP
        EXECUTE format('CREATE OR REPLACE TRIGGER only_added_to BEFORE UPDATE OR DELETE OR TRUNCATE ON %s'
                       ' FOR EACH STATEMENT EXECUTE FUNCTION evidence.only_added_to()', part);
        EXECUTE format('ALTER TABLE %s ENABLE ALWAYS TRIGGER only_added_to', part);
    END LOOP;
END $$;

GRANT USAGE ON SCHEMA evidence TO lethe_evidence_writer, lethe_evidence_integrator, lethe_evidence_reader;
GRANT INSERT ON evidence.leaf TO lethe_evidence_writer;
GRANT SELECT ON ALL TABLES IN SCHEMA evidence TO lethe_evidence_integrator, lethe_evidence_reader;
GRANT INSERT ON evidence.node, evidence.checkpoint, evidence.key, evidence.anchor, evidence.policy, evidence.verified
    TO lethe_evidence_integrator;
RESET ROLE;
