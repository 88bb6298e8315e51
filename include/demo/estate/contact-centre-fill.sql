INSERT INTO agents
SELECT DISTINCT ON (username) username, p.name, pg_temp.today() - 400 - pg_temp.roll(g, 1, 3000)
FROM generate_series(1, 24) g JOIN person p ON p.i = pg_temp.roll(g, 2, 2000),
LATERAL (SELECT 'agent' || to_char(g, 'FM00') AS username) u
ORDER BY username;

-- A log grows in the order of time. The duty queue rings a few times a day only.
INSERT INTO call_log (id, started_at, queue, caller_number, duration_s, answered_by)
SELECT g, pg_temp.midnight(265) + make_interval(secs => 265 * 86400.0 * g / (pg_temp.many(40000) + 1)),
       CASE WHEN pg_temp.roll(g, 11, 100) < 2 THEN 'vakt'
            ELSE pg_temp.pick(g, 12, ARRAY['servicedesk', 'salg', 'sentralbord']) END,
       p.phone, 5 + pg_temp.roll(g, 13, 1500),
       CASE WHEN pg_temp.roll(g, 14, 8) > 0 THEN 'agent' || to_char(1 + pg_temp.roll(g, 15, 24), 'FM00') END
FROM generate_series(1, pg_temp.many(40000)) g JOIN person p ON p.i = pg_temp.roll(g, 16, 2000)
ORDER BY g;

-- What earlier sweeps have boiled down.
INSERT INTO call_statistics (id, day, queue, calls, seconds)
SELECT row_number() OVER (ORDER BY d, q), pg_temp.today() - d, q, 40 + pg_temp.roll(d, 21, 30), 20000 + pg_temp.roll(d, 22, 9000)
FROM generate_series(266, 400) d, unnest(ARRAY['servicedesk', 'salg', 'sentralbord']) q;
