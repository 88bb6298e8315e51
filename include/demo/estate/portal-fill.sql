INSERT INTO customers (id, name, sector, status, ended_at, dispute_status)
SELECT g, CASE WHEN r.public THEN p.city || ' kommune' ELSE c.name END,
       CASE WHEN r.public THEN 'offentlig' ELSE 'privat' END,
       CASE WHEN r.ended THEN 'avsluttet' ELSE 'aktiv' END,
       CASE WHEN r.ended THEN pg_temp.today() - 1 - pg_temp.roll(g, 1, 1500) END,
       CASE WHEN pg_temp.roll(g, 2, 15) = 0 THEN pg_temp.pick(g, 3, ARRAY['tvist', 'inkasso']) ELSE 'ingen' END
FROM generate_series(1, 600) g
JOIN person p ON p.i = pg_temp.roll(g, 4, 2000)
JOIN company c ON c.i = pg_temp.roll(g, 5, 400),
LATERAL (SELECT pg_temp.roll(g, 6, 5) = 0 AS public, pg_temp.roll(g, 7, 3) = 0 AS ended) r
ORDER BY g;

CREATE TEMP TABLE asked AS
SELECT g AS i, c.id AS customer_id, c.sector = 'offentlig' AND pg_temp.roll(g, 12, 2) = 0 AS public_record,
       coalesce(c.ended_at::timestamp, pg_temp.today()) - make_interval(days => 1 + pg_temp.roll(g, 13, 1200),
           secs => pg_temp.roll(g, 14, 86400)) AS at,
       c.ended_at < pg_temp.today() - 500 AND pg_temp.roll(g, 15, 12) = 0 AS forgotten,
       p.name, p.email, p.phone, p.street || ', ' || p.postcode || ' ' || p.city AS home, p.national_id
FROM generate_series(1, 6000) g
JOIN customers c ON c.id = 1 + pg_temp.roll(g, 11, 600)
JOIN person p ON p.i = pg_temp.roll(g, 16, 2000);

INSERT INTO cases (id, customer_id, subject, reporter_name, reporter_email, reporter_phone, reporter_address, description,
    form, opened_at, closed_at, public_record, archive_delivered_at)
SELECT i, customer_id,
       CASE WHEN forgotten THEN 'anonymisert' ELSE format(pg_temp.pick(i, 21, ARRAY[
           'Ny PC til %s', '%s får ikke logget inn', 'Passord for %s', 'Skriveren til %s', 'VPN virker ikke for %s']), name) END,
       CASE WHEN NOT forgotten THEN name END,
       CASE WHEN NOT forgotten THEN email END,
       CASE WHEN NOT forgotten THEN phone END,
       CASE WHEN NOT forgotten THEN home END,
       CASE WHEN NOT forgotten THEN format(pg_temp.pick(i, 22, ARRAY[
           'Hei, %s melder at maskinen ikke starter. Ring %s.',
           'Ny ansatt: %s, mobil %s. Trenger tilgang fra mandag.',
           '%s har mistet telefonen og kan nås på %s inntil videre.']), name, phone)
           || CASE WHEN pg_temp.roll(i, 23, 60) = 0 THEN ' Fødselsnummer ' || national_id ELSE '' END END,
       CASE WHEN NOT forgotten THEN jsonb_build_object(
           'navn', name, 'mobil', phone, 'kategori', pg_temp.pick(i, 24, ARRAY['bestilling', 'feil', 'tilgang']),
           'godkjent_av', jsonb_build_object('epost', email)) END,
       at AT TIME ZONE 'Europe/Oslo',
       (at + make_interval(days => pg_temp.roll(i, 25, 20))) AT TIME ZONE 'Europe/Oslo',
       public_record,
       CASE WHEN public_record AND at < pg_temp.today() - 41 AND pg_temp.roll(i, 26, 2) = 0
            THEN (at + interval '40 days') AT TIME ZONE 'Europe/Oslo' END
FROM asked ORDER BY i;

INSERT INTO case_messages (id, case_id, direction, sender_name, body, sent_at)
SELECT 3 * a.i + k, a.i, (ARRAY['inn', 'ut', 'notat'])[1 + k],
       CASE WHEN NOT forgotten THEN CASE k WHEN 0 THEN name ELSE 'Servicedesk' END END,
       CASE WHEN NOT forgotten THEN format((ARRAY[
           'Takk for rask hjelp. Hilsen %s, %s', 'Hei %s, vi prøver å ringe deg på %s i dag.',
           'Snakket med %s på %s, saken kan lukkes.'])[1 + k], name, phone) END,
       (at + make_interval(hours => 3 * k)) AT TIME ZONE 'Europe/Oslo'
FROM asked a, generate_series(0, 2) k WHERE pg_temp.roll(3 * a.i + k, 31, 6) > 0 ORDER BY a.i, k;

INSERT INTO attachments (id, case_id, file_name, path, content_type, size_bytes, uploaded_at)
SELECT i, i, file, format('/saker/%s/%s', i, file), 'application/pdf', 2000 + pg_temp.roll(i, 41, 900000),
       at AT TIME ZONE 'Europe/Oslo'
FROM asked, LATERAL (SELECT 'skjema-' || replace(lower(name), ' ', '-') || '.pdf' AS file) f
WHERE NOT forgotten AND pg_temp.roll(i, 42, 2) = 0 ORDER BY i;
