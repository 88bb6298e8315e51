INSERT INTO companies (id, name, kind, relationship_started_at, relationship_ended_at)
SELECT g, c.name, CASE WHEN pg_temp.roll(g, 1, 4) = 0 THEN 'supplier' ELSE 'customer' END,
       pg_temp.today() - 7000 - pg_temp.roll(g, 2, 900),
       CASE WHEN pg_temp.roll(g, 3, 2) = 0 THEN pg_temp.today() - 1 - pg_temp.roll(g, 4, 5000) END
FROM generate_series(1, 800) g JOIN company c ON c.i = pg_temp.roll(g, 5, 400) ORDER BY g;

INSERT INTO contacts (id, company_id, name, email, phone, job_title, updated_at)
SELECT g, 1 + pg_temp.roll(g, 11, 800), p.name, p.email, p.phone,
       pg_temp.pick(g, 12, ARRAY['Daglig leder', 'IT-sjef', 'Økonomiansvarlig', 'Innkjøper', 'Kontorleder']),
       pg_temp.moment(g, 13, 4000, 0)
FROM generate_series(1, 2500) g JOIN person p ON p.i = pg_temp.roll(g, 14, 2000) ORDER BY g;
