INSERT INTO respondents
SELECT pg_temp.key('respondent', g), p.name, p.email, pg_temp.moment(g, 1, 1000, 30)
FROM generate_series(1, 1500) g JOIN person p ON p.i = pg_temp.roll(g, 2, 2000) ORDER BY g;

INSERT INTO survey_answers
SELECT pg_temp.key('answer', g), pg_temp.pick(g, 11, ARRAY['etter samtale', 'etter sak', 'årlig']),
       CASE WHEN r.tied THEN pg_temp.key('respondent', 1 + pg_temp.roll(g, 12, 1500)) END, 1 + pg_temp.roll(g, 13, 6),
       CASE WHEN r.tied AND pg_temp.roll(g, 14, 2) = 0 THEN format(pg_temp.pick(g, 15, ARRAY[
           'Fikk god hjelp, hilsen %s', 'Måtte vente lenge. Ring meg: %2$s', '%s på kundesenteret var flink!']), p.name, p.phone) END,
       CASE WHEN pg_temp.roll(g, 16, 80) > 0 THEN pg_temp.moment(g, 17, 900, 0) END
FROM generate_series(1, 5000) g JOIN person p ON p.i = pg_temp.roll(g, 18, 2000),
LATERAL (SELECT pg_temp.roll(g, 19, 10) > 0 AS tied) r
ORDER BY g;

INSERT INTO anonymous_answers
SELECT pg_temp.key('anonymous', g), 'årlig', pg_temp.pick(g, 21, ARRAY['privat', 'offentlig']), 1 + pg_temp.roll(g, 22, 6),
       date_trunc('week', (pg_temp.today() - 300 - 365 * pg_temp.roll(g, 23, 2) - 7 * pg_temp.roll(g, 24, 3))::timestamp)::date
FROM generate_series(1, 2000) g ORDER BY g;
