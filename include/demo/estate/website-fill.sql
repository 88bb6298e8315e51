CREATE TEMP TABLE seen AS
SELECT g AS i, pg_temp.key('visitor', g) AS id,
       CASE WHEN pg_temp.roll(g, 1, 100) > 0 THEN pg_temp.moment(g, 2, 1100, 0) END AS last_at
FROM generate_series(1, pg_temp.many(4000)) g;

INSERT INTO visitors
SELECT id, 'GA1.2.' || (100000000 + pg_temp.roll(i, 3, 900000000)) || '.' || i,
       coalesce(last_at, pg_temp.midnight(30)) - make_interval(days => pg_temp.roll(i, 4, 300)), last_at
FROM seen ORDER BY i;

INSERT INTO visits (id, visitor_id, at, page, referrer)
SELECT 3 * s.i + k, s.id,
       coalesce(s.last_at, pg_temp.midnight(30)) - make_interval(days => k * pg_temp.roll(s.i, 5 + k, 90)),
       pg_temp.pick(3 * s.i + k, 6, ARRAY['/', '/tjenester', '/drift', '/kontakt', '/om-oss', '/nettbutikk']),
       pg_temp.pick(3 * s.i + k, 7, ARRAY[NULL, 'https://sok.example/', 'https://nyheter.example/'])
FROM seen s, generate_series(0, 2) k ORDER BY s.i, k;

INSERT INTO form_messages (id, form, name, email, phone, message, received_at, status, handled_at)
SELECT g, pg_temp.pick(g, 11, ARRAY['kontakt', 'tilbud', 'stilling']), p.name, p.email, p.phone,
       format(pg_temp.pick(g, 12, ARRAY[
           'Hei, jeg heter %s og vil gjerne ha et tilbud på drift. Ring meg på %s.',
           '%s her. Kan noen ta kontakt på %s før helgen?',
           'Vi vurderer å bytte leverandør. Hilsen %s, tlf. %s']), p.name, p.phone),
       h.at - make_interval(days => pg_temp.roll(g, 13, 14)),
       CASE WHEN h.done THEN 'ferdig' ELSE pg_temp.pick(g, 14, ARRAY['ny', 'under arbeid']) END,
       CASE WHEN h.done THEN h.at END
FROM generate_series(1, 1500) g
JOIN person p ON p.i = pg_temp.roll(g, 15, 2000),
LATERAL (SELECT pg_temp.moment(g, 16, 120, 0) AS at, pg_temp.roll(g, 17, 5) > 0 AS done) h
ORDER BY g;

INSERT INTO consents (id, reference, purpose, name, email, message, given_at, withdrawn_at)
SELECT g, pg_temp.key('consent', g), pg_temp.pick(g, 21, ARRAY['nyhetsbrev', 'webinar', 'befaring']), p.name, p.email,
       CASE WHEN pg_temp.roll(g, 22, 3) = 0 THEN 'Send gjerne kopi til ' || p.email END,
       pg_temp.moment(g, 23, 900, 90),
       CASE WHEN pg_temp.roll(g, 24, 5) = 0 THEN pg_temp.moment(g, 25, 60, 0) END
FROM generate_series(1, 2000) g JOIN person p ON p.i = pg_temp.roll(g, 26, 2000)
ORDER BY g;

INSERT INTO consent_proofs (id, consent_reference, email, wording_version, shown_from, recorded_at)
SELECT id, reference, email, pg_temp.pick(id, 31, ARRAY['2022-1', '2023-1', '2024-2']), pg_temp.address(id, 32), given_at
FROM consents ORDER BY id;

INSERT INTO server_sessions
SELECT pg_temp.key('session', g), pg_temp.address(g, 41),
       pg_temp.pick(g, 42, ARRAY['Firefox/135', 'Chrome/133', 'Safari/18']),
       at - make_interval(mins => 2 + pg_temp.roll(g, 43, 50)),
       CASE WHEN pg_temp.roll(g, 44, 30) > 0 THEN at END
FROM generate_series(1, 3000) g, LATERAL (SELECT pg_temp.moment(g, 45, 12, 0) AS at) m
ORDER BY g;

-- A log grows in the order of time.
INSERT INTO access_log (id, ip, at, path, status, user_agent)
SELECT g, pg_temp.address(g, 51),
       pg_temp.midnight(200) + make_interval(secs => 200 * 86400.0 * g / (pg_temp.many(30000) + 1)),
       pg_temp.pick(g, 52, ARRAY['/', '/drift', '/logg-inn', '/kontakt?epost=skjult', '/robots.txt']),
       CASE WHEN pg_temp.roll(g, 53, 20) = 0 THEN 404 ELSE 200 END,
       pg_temp.pick(g, 54, ARRAY['Firefox/135', 'Chrome/133', 'Safari/18', 'bot/2.1'])
FROM generate_series(1, pg_temp.many(30000)) g ORDER BY g;
