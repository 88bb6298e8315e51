-- Five sorts of customers: active; long ended; ended within the year; marked active with an old closing date, because they
-- came back; marked ended without a date. The third and the fifth are customers since four years at most.
CREATE TEMP TABLE buyer AS
SELECT g AS i, 'K' || (10000 + g) AS kundenr, c.name,
       CASE WHEN r.n < 6 THEN 'active' WHEN r.n < 9 THEN 'long ended' WHEN r.n < 10 THEN 'just ended'
            WHEN r.n < 11 THEN 'came back' ELSE 'ended, no date' END AS sort,
       CASE WHEN r.n < 6 OR r.n = 11 THEN pg_temp.pick(g, 1, ARRAY['9999-12-31', '1970-01-01'])::date
            WHEN r.n = 9 THEN pg_temp.today() - 1 - pg_temp.roll(g, 2, 350)
            ELSE pg_temp.today() - 400 - pg_temp.roll(g, 3, 3000) END AS avsluttet
FROM generate_series(1, 1200) g JOIN company c ON c.i = pg_temp.roll(g, 4, 400),
LATERAL (SELECT pg_temp.roll(g, 5, 12) AS n) r;

INSERT INTO kunde
SELECT kundenr, name, CASE WHEN sort IN ('active', 'came back') THEN 'A' ELSE 'S' END,
       (pg_temp.today() - CASE WHEN sort IN ('just ended', 'ended, no date') THEN 1500 ELSE 6000 END)::timestamp
           + make_interval(secs => pg_temp.roll(i, 11, 86400)), avsluttet
FROM buyer ORDER BY i;

INSERT INTO faktura
SELECT 100000 + g, b.kundenr, p.name, p.street || ', ' || p.postcode || ' ' || p.city, p.email, p.phone,
       CASE WHEN r.draft THEN pg_temp.pick(g, 21, ARRAY['9999-12-31', '1970-01-01'])::date ELSE r.day END,
       CASE WHEN r.draft THEN '9999-12-31' ELSE r.day + 14 END,
       100 + pg_temp.roll(g, 22, 9000000) / 100.0, r.day + make_interval(secs => pg_temp.roll(g, 23, 86400))
FROM generate_series(1, 12000) g
JOIN buyer b ON b.i = 1 + pg_temp.roll(g, 24, 1200)
JOIN person p ON p.i = pg_temp.roll(b.i, 25, 2000),
LATERAL (SELECT pg_temp.roll(g, 26, 150) = 0 AS draft,
    CASE b.sort WHEN 'long ended' THEN b.avsluttet - pg_temp.roll(g, 27, 2500)
                WHEN 'just ended' THEN b.avsluttet - pg_temp.roll(g, 28, 1000)
                WHEN 'ended, no date' THEN pg_temp.today() - 1 - pg_temp.roll(g, 29, 1400)
                ELSE pg_temp.today() - 1 - pg_temp.roll(g, 30, 3500) END AS day) r
ORDER BY g;

-- Delivery notes are numbered on their own: the same number may stand on an invoice and on a stranger's delivery note.
INSERT INTO foelgeseddel
SELECT 100000 + g, f.fakturanr, f.kunde_navn, f.kunde_adresse,
       CASE WHEN pg_temp.roll(g, 41, 90) = 0 OR f.fakturadato IN ('1970-01-01', '9999-12-31') THEN '1970-01-01'::timestamp
            ELSE f.fakturadato - make_interval(days => pg_temp.roll(g, 42, 9), secs => -pg_temp.roll(g, 43, 86400)) END
FROM generate_series(1, 8000) g JOIN faktura f ON f.fakturanr = 100001 + pg_temp.roll(g, 44, 12000) ORDER BY g;

INSERT INTO bilag
SELECT fakturanr - 100000, 'FAKTURA', fakturanr::text, fakturadato, '3000', 'Salg til ' || kunde_navn, beloep
FROM faktura ORDER BY fakturanr;

INSERT INTO bilag
SELECT 50000 + id - 100000, 'FOELGESEDDEL', id::text, levert::date, '4300', 'Levert til ' || mottaker, 0
FROM foelgeseddel ORDER BY id;

INSERT INTO bilag
SELECT 80000 + g, 'BANK', NULL, pg_temp.today() - 1 - pg_temp.roll(g, 51, 3500), '1920', 'Innbetaling', pg_temp.roll(g, 52, 90000)
FROM generate_series(1, 2000) g ORDER BY g;
