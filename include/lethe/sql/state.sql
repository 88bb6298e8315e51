-- The database lethe_state: plans, answers and runs. Idempotent; run by its owner after store.sql, whose outbox it shares.
-- The roles lethe_worker (tasks and command line) and lethe_officer (the privacy officer's sign-in) exist beforehand.

CREATE TABLE IF NOT EXISTS lethe.plan (
    digest      text PRIMARY KEY,
    rule        text NOT NULL,
    rule_digest text NOT NULL,
    today       date NOT NULL,
    body        text NOT NULL,
    made_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    outcome     text CHECK (outcome IN ('done', 'stopped'))
);
CREATE INDEX IF NOT EXISTS plan_rule ON lethe.plan (rule, made_at DESC);

-- Whether the rule was planned anew since, for the same day or a later one. A plan for a day to come replaces nothing.
CREATE OR REPLACE FUNCTION lethe.superseded(p lethe.plan) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT EXISTS (
        SELECT FROM lethe.plan newer
        WHERE newer.rule = p.rule AND newer.made_at > p.made_at
          AND newer.today BETWEEN p.today AND current_date + 1
    )
$$;

-- Policies as they came into use, in canonical JSON: what an auditor reads leaves against, years later.
CREATE TABLE IF NOT EXISTS lethe.policy (
    digest     text PRIMARY KEY,
    body       text NOT NULL,
    first_used timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- Who a random approver id stands for; the person is forgotten when `until` is past, the id stays with its answers.
CREATE TABLE IF NOT EXISTS lethe.approver (
    id     text PRIMARY KEY,
    person text,
    until  date NOT NULL DEFAULT (current_date + interval '5 years')::date
);
CREATE OR REPLACE FUNCTION lethe.forget_approvers() RETURNS trigger LANGUAGE plpgsql
SECURITY DEFINER SET search_path = pg_catalog AS $$
BEGIN
    UPDATE lethe.approver SET person = NULL WHERE until < current_date AND person IS NOT NULL;
    RETURN NULL;
END $$;
CREATE OR REPLACE TRIGGER forget_approvers AFTER INSERT ON lethe.approver
    FOR EACH STATEMENT EXECUTE FUNCTION lethe.forget_approvers();

CREATE TABLE IF NOT EXISTS lethe.approval (
    plan     text PRIMARY KEY REFERENCES lethe.plan,
    approved boolean NOT NULL,
    role     text NOT NULL,
    via      text NOT NULL CHECK (via IN ('cli', 'airflow')),
    approver text NOT NULL REFERENCES lethe.approver,
    at       timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- An assumed period becomes one to act on when the role that the policy names says so, for this meaning of the rule.
CREATE TABLE IF NOT EXISTS lethe.confirmation (
    rule_digest text PRIMARY KEY,
    rule        text NOT NULL,
    role        text NOT NULL,
    via         text NOT NULL CHECK (via IN ('cli', 'airflow')),
    approver    text NOT NULL REFERENCES lethe.approver,
    at          timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- Holds: what must be kept, on whose word, and until when that is looked at again. A hold without an event is none.
-- Each store has a mirror of them; `in_force_at` and `lifted_at` are when it had what is said here.
CREATE TABLE IF NOT EXISTS lethe.placed_hold (
    id      text PRIMARY KEY,
    because text NOT NULL
);
ALTER TABLE lethe.placed_hold DROP CONSTRAINT IF EXISTS placed_hold_because_check;
ALTER TABLE lethe.placed_hold ADD CONSTRAINT placed_hold_because_check CHECK (because IN ('legal-claim',
    'authority-request', 'accuracy-contested', 'unlawful-processing', 'subject-needs-it', 'objection-pending', 'canary'));
CREATE TABLE IF NOT EXISTS lethe.hold_target (
    hold        text NOT NULL REFERENCES lethe.placed_hold,
    number      integer NOT NULL,
    store       text NOT NULL,
    dataset     text NOT NULL,
    key         text,  -- names a person; forgotten a year after the hold was released
    in_force_at timestamptz,
    lifted_at   timestamptz,
    PRIMARY KEY (hold, number)
);
CREATE INDEX IF NOT EXISTS hold_target_store ON lethe.hold_target (store);
CREATE TABLE IF NOT EXISTS lethe.hold_event (
    hold     text NOT NULL REFERENCES lethe.placed_hold,
    event    text NOT NULL CHECK (event IN ('placed', 'reviewed', 'released')),
    review   date CHECK ((review IS NULL) = (event = 'released')),
    role     text NOT NULL,
    via      text NOT NULL CHECK (via IN ('cli', 'airflow')),
    approver text NOT NULL REFERENCES lethe.approver,
    at       timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE UNIQUE INDEX IF NOT EXISTS hold_event_once ON lethe.hold_event (hold, event) WHERE event <> 'reviewed';
CREATE OR REPLACE VIEW lethe.known_hold AS
    SELECT h.id, h.because, p.role, p.at AS placed_at, r.at AS released_at, p.approver, r.approver AS released_by,
        (SELECT e.review FROM lethe.hold_event e WHERE e.hold = h.id AND e.review IS NOT NULL ORDER BY e.at DESC LIMIT 1)
    FROM lethe.placed_hold h
    JOIN lethe.hold_event p ON p.hold = h.id AND p.event = 'placed'
    LEFT JOIN lethe.hold_event r ON r.hold = h.id AND r.event = 'released';
CREATE OR REPLACE FUNCTION lethe.forget_holds() RETURNS trigger LANGUAGE plpgsql
SECURITY DEFINER SET search_path = pg_catalog AS $$
BEGIN
    UPDATE lethe.hold_target SET key = NULL
    WHERE key IS NOT NULL AND (lifted_at IS NOT NULL OR in_force_at IS NULL) AND hold IN (
        SELECT e.hold FROM lethe.hold_event e WHERE e.event = 'released' AND e.at < now() - interval '1 year');
    RETURN NULL;
END $$;
CREATE OR REPLACE TRIGGER forget_holds AFTER INSERT ON lethe.hold_event
    FOR EACH STATEMENT EXECUTE FUNCTION lethe.forget_holds();

CREATE TABLE IF NOT EXISTS lethe.run (
    run   text NOT NULL,
    rule  text NOT NULL,
    state text NOT NULL CHECK (state IN ('scheduled', 'started', 'waiting', 'rejected', 'nothing', 'ended', 'failed')),
    plan  text REFERENCES lethe.plan,
    counts jsonb NOT NULL,
    at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (run, rule, state)
);

-- What checks hold against the stores: open until a check that could look sees it no more; what is gone is history.
CREATE TABLE IF NOT EXISTS lethe.finding (
    id        text PRIMARY KEY,
    store     text NOT NULL,
    kind      text NOT NULL,
    subject   text NOT NULL,
    detail    text NOT NULL,
    severity  text NOT NULL CHECK (severity IN ('alarm', 'warning', 'notice')),
    role      text NOT NULL,
    opened_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    gone_at   timestamptz
);
CREATE UNIQUE INDEX IF NOT EXISTS finding_open ON lethe.finding (store, kind, subject) WHERE gone_at IS NULL;

-- When its role was told of a finding last, by each of its channels: one that fails makes no other tell it again.
CREATE TABLE IF NOT EXISTS lethe.told (
    finding text NOT NULL REFERENCES lethe.finding,
    channel text NOT NULL,  -- mail, or webhook:CONNECTION
    at      timestamptz NOT NULL,
    PRIMARY KEY (finding, channel)
);
DO $$ BEGIN  -- a column of the finding, when there was mail only
    IF EXISTS (SELECT FROM pg_attribute
            WHERE attrelid = 'lethe.finding'::regclass AND attname = 'told_at' AND NOT attisdropped) THEN
        INSERT INTO lethe.told SELECT id, 'mail', told_at FROM lethe.finding WHERE told_at IS NOT NULL;
        ALTER TABLE lethe.finding DROP told_at;
    END IF;
END $$;

-- Validations as Great Expectations tells them, in canonical JSON: what the digest of a check's leaf is of.
CREATE TABLE IF NOT EXISTS lethe.validation (
    digest text PRIMARY KEY,
    store  text NOT NULL,
    today  date NOT NULL,
    body   text NOT NULL,
    at     timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- Rows of nobody that were planted to see what becomes of them: the only list there is of which these are.
CREATE TABLE IF NOT EXISTS lethe.canary (
    id          text PRIMARY KEY,
    store       text NOT NULL,
    rule        text NOT NULL,
    part        text NOT NULL CHECK (part IN ('due', 'held', 'not-due')),
    key         text NOT NULL,
    planted_on  date NOT NULL,
    last        date NOT NULL,
    planted     boolean NOT NULL DEFAULT false,
    released_on date,
    fate        text CHECK (fate IN ('gone', 'died', 'lost')),
    ended_on    date,
    CHECK ((fate IS NULL) = (ended_on IS NULL))
);
CREATE INDEX IF NOT EXISTS canary_store ON lethe.canary (store);

-- Which database, and which tables, answered for a store when it was first asked, or when somebody said that it is they.
CREATE TABLE IF NOT EXISTS lethe.remembered (
    store text PRIMARY KEY,
    body  text NOT NULL,
    at    timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- Who leaves, by numbers of the directory, and what has happened with their mailbox: each event once.
CREATE TABLE IF NOT EXISTS lethe.departure (
    id         text PRIMARY KEY,
    employee   text NOT NULL,
    manager    text NOT NULL,
    recipients text[] NOT NULL,
    last_day   date NOT NULL,
    lang       text NOT NULL CHECK (lang IN ('nb', 'en')),
    picked     jsonb NOT NULL,
    ended      boolean NOT NULL DEFAULT false
);
CREATE UNIQUE INDEX IF NOT EXISTS departure_open ON lethe.departure (employee) WHERE NOT ended;
CREATE TABLE IF NOT EXISTS lethe.departure_event (
    departure text NOT NULL REFERENCES lethe.departure,
    event     text NOT NULL,
    counts    jsonb NOT NULL,
    approver  text REFERENCES lethe.approver,
    at        timestamptz NOT NULL,
    PRIMARY KEY (departure, event)
);

-- The messages that are handed over when somebody leaves: where each was, what it was, and where it is now.
CREATE TABLE IF NOT EXISTS lethe.handed (
    departure text NOT NULL REFERENCES lethe.departure,
    number    bigint NOT NULL,
    recipient text NOT NULL,
    folder    text[] NOT NULL,
    ref       text NOT NULL,
    digest    bytea,
    target    text,
    nonce     bytea,  -- hides the digest in evidence
    state     text NOT NULL DEFAULT 'chosen' CHECK (state IN ('chosen', 'received', 'confirmed', 'gone', 'refused')),
    PRIMARY KEY (departure, number),
    UNIQUE (departure, recipient, folder, ref)
);

-- Mailboxes of employees that were looked through, and what the privacy officer was not told yet of them, in numbers.
CREATE TABLE IF NOT EXISTS lethe.looked (
    employee         text NOT NULL,
    what             text NOT NULL CHECK (what IN ('reminder', 'scan')),
    until            timestamptz NOT NULL,
    identity_numbers integer NOT NULL DEFAULT 0,
    health_words     integer NOT NULL DEFAULT 0,
    PRIMARY KEY (employee, what)
);

-- A person answers under the database role that signed in. Airflow's tasks hand on what a signed-in user of Airflow
-- answered, and can say nothing else. Being a superuser makes nobody a privacy officer.
CREATE OR REPLACE FUNCTION lethe.signed_in_as(wanted name) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT r.rolname = wanted OR CASE
        WHEN r.rolsuper THEN EXISTS (  -- of every role by nature: only what it was made a member of by hand counts
            SELECT FROM pg_catalog.pg_auth_members m
            WHERE m.member = r.oid AND m.roleid = (SELECT g.oid FROM pg_catalog.pg_roles g WHERE g.rolname = wanted)
        )
        ELSE pg_catalog.pg_has_role(r.oid, wanted, 'MEMBER')
    END
    FROM pg_catalog.pg_roles r WHERE r.rolname = session_user
$$;
CREATE OR REPLACE FUNCTION lethe.only_who_may_answer() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.via = 'cli' AND NOT lethe.signed_in_as('lethe_officer')
       OR NEW.via = 'airflow' AND NOT lethe.signed_in_as('lethe_worker') THEN
        RAISE EXCEPTION 'this sign-in may not answer' USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN NEW;
END $$;
CREATE OR REPLACE TRIGGER only_who_may_answer BEFORE INSERT ON lethe.approval
    FOR EACH ROW EXECUTE FUNCTION lethe.only_who_may_answer();
CREATE OR REPLACE TRIGGER only_who_may_answer BEFORE INSERT ON lethe.confirmation
    FOR EACH ROW EXECUTE FUNCTION lethe.only_who_may_answer();
CREATE OR REPLACE TRIGGER only_who_may_answer BEFORE INSERT ON lethe.hold_event
    FOR EACH ROW EXECUTE FUNCTION lethe.only_who_may_answer();

GRANT USAGE ON SCHEMA lethe TO lethe_worker, lethe_officer;
GRANT SELECT ON ALL TABLES IN SCHEMA lethe TO lethe_worker, lethe_officer;
GRANT UPDATE (seq) ON lethe.store TO lethe_worker, lethe_officer;
REVOKE SELECT ON lethe.approver FROM lethe_worker;  -- who answered is nothing that a task needs to know
GRANT INSERT ON lethe.outbox, lethe.approver, lethe.approval TO lethe_worker, lethe_officer;
REVOKE INSERT ON lethe.confirmation FROM lethe_worker;
GRANT INSERT ON lethe.confirmation TO lethe_officer;
GRANT INSERT ON lethe.placed_hold, lethe.hold_target, lethe.hold_event TO lethe_worker, lethe_officer;
GRANT UPDATE (in_force_at, lifted_at) ON lethe.hold_target TO lethe_worker, lethe_officer;
GRANT INSERT ON lethe.policy, lethe.plan, lethe.run, lethe.finding, lethe.told, lethe.remembered, lethe.validation,
    lethe.canary, lethe.departure, lethe.departure_event, lethe.handed TO lethe_worker;
GRANT INSERT, UPDATE, DELETE ON lethe.looked TO lethe_worker;
GRANT UPDATE (made_at, outcome) ON lethe.plan TO lethe_worker;
GRANT UPDATE (detail, gone_at) ON lethe.finding TO lethe_worker;
GRANT UPDATE (at) ON lethe.told TO lethe_worker;
GRANT UPDATE (ended) ON lethe.departure TO lethe_worker;
GRANT UPDATE (digest, target, nonce, state) ON lethe.handed TO lethe_worker;
GRANT UPDATE (body, at) ON lethe.remembered TO lethe_worker;
GRANT UPDATE (planted, released_on, fate, ended_on) ON lethe.canary TO lethe_worker;
