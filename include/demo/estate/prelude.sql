-- Tools of the generator, gone with its connection. Nothing here is random: the same seed and day give the same rows.
-- Settings: demo.today (date), demo.seed (integer), demo.rows (factor on the tables that grow without end).
CREATE FUNCTION pg_temp.today() RETURNS date LANGUAGE sql STABLE
    RETURN current_setting('demo.today')::date;

CREATE FUNCTION pg_temp.many(base bigint) RETURNS bigint LANGUAGE sql STABLE
    RETURN base * current_setting('demo.rows')::bigint;

-- A number below n that depends on the row and the salt only.
CREATE FUNCTION pg_temp.roll(i bigint, salt integer, n integer) RETURNS integer LANGUAGE sql STABLE
    RETURN ((hashint8extended(i, salt + current_setting('demo.seed')::bigint) & 2147483647) % n)::integer;

CREATE FUNCTION pg_temp.key(kind text, i bigint) RETURNS uuid LANGUAGE sql STABLE
    RETURN md5(kind || i || current_setting('demo.seed'))::uuid;

-- Midnight in Norway that begins the day so many days ago.
CREATE FUNCTION pg_temp.midnight(days_ago integer) RETURNS timestamptz LANGUAGE sql STABLE
    RETURN (pg_temp.today() - days_ago)::timestamp AT TIME ZONE 'Europe/Oslo';

-- Some second in the Norwegian days from oldest days ago up to, not including, newest days ago.
CREATE FUNCTION pg_temp.moment(i bigint, salt integer, oldest integer, newest integer) RETURNS timestamptz
    LANGUAGE sql STABLE
    RETURN ((pg_temp.today() - oldest + pg_temp.roll(i, salt, oldest - newest))::timestamp
        + make_interval(secs => pg_temp.roll(i, salt + 1000, 86400))) AT TIME ZONE 'Europe/Oslo';

CREATE FUNCTION pg_temp.pick(i bigint, salt integer, choices text[]) RETURNS text LANGUAGE sql STABLE
    RETURN choices[1 + pg_temp.roll(i, salt, cardinality(choices))];

CREATE FUNCTION pg_temp.address(i bigint, salt integer) RETURNS inet LANGUAGE sql STABLE
    RETURN (ARRAY['192.0.2.0', '198.51.100.0', '203.0.113.0'])[1 + pg_temp.roll(i, salt, 3)]::inet
        + pg_temp.roll(i, salt + 1000, 254) + 1;

-- Monthly partitions, ten months back and one ahead, cut at midnight of the zone; left-overs of an earlier estate go.
CREATE FUNCTION pg_temp.monthly_partitions(parent text, zone text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    month timestamp;
    name text;
BEGIN
    FOR back IN -1..10 LOOP
        month := date_trunc('month', pg_temp.today()::timestamp) - make_interval(months => back);
        name := parent || to_char(month, '_YYYY_MM');
        EXECUTE format('DROP TABLE IF EXISTS %I', name);
        EXECUTE format('CREATE TABLE %I PARTITION OF %I FOR VALUES FROM (%L) TO (%L)', name, parent,
            month AT TIME ZONE zone, (month + interval '1 month') AT TIME ZONE zone);
    END LOOP;
END $$;

CREATE TEMP TABLE person (
    i bigint PRIMARY KEY, name text, email text, phone text, street text, postcode text, city text, national_id text
);
CREATE TEMP TABLE company (i bigint PRIMARY KEY, name text);
