INSERT INTO customers (id, company_name, created_at, ended_at)
SELECT g, c.name, pg_temp.moment(g, 1, 3000, 1800),
       CASE WHEN pg_temp.roll(g, 2, 3) = 0 THEN pg_temp.moment(g, 3, 1500, 0) END
FROM generate_series(1, 1000) g JOIN company c ON c.i = pg_temp.roll(g, 4, 400) ORDER BY g;

-- One order in thirty has lost its people in an earlier year.
INSERT INTO orders
SELECT pg_temp.key('order', g), CASE WHEN r.tied THEN c.id END,
       CASE WHEN r.tied THEN p.name END, CASE WHEN r.tied THEN p.street END, CASE WHEN r.tied THEN p.postcode END,
       CASE WHEN r.tied THEN p.email END, CASE WHEN r.tied THEN p.phone END,
       CASE WHEN r.tied AND pg_temp.roll(g, 12, 4) = 0 THEN
           format('Leveres til %s i resepsjonen, ring %s ved ankomst.', p.name, p.phone) END,
       CASE WHEN r.tied THEN o.at ELSE date_trunc('month', o.at, 'Europe/Oslo') END,
       100 + pg_temp.roll(g, 14, 5000000) / 100.0
FROM generate_series(1, 5000) g
JOIN customers c ON c.id = 1 + pg_temp.roll(g, 15, 1000)
JOIN person p ON p.i = pg_temp.roll(g, 16, 2000),
LATERAL (SELECT pg_temp.roll(g, 17, 30) > 0 AS tied) r,
LATERAL (SELECT coalesce(c.ended_at, pg_temp.midnight(0)) - make_interval(hours => 1 + pg_temp.roll(g, 13, 20000)) AS at) o
ORDER BY g;

INSERT INTO order_lines (id, order_id, line_no, product, quantity, price_nok)
SELECT 3 * g + k, pg_temp.key('order', g), 1 + k,
       pg_temp.pick(3 * g + k, 21, ARRAY['Bærbar PC', 'Skjerm 27"', 'Dokkingstasjon', 'Hodesett', 'Lisens, ett år']),
       1 + pg_temp.roll(3 * g + k, 22, 5), 100 + pg_temp.roll(3 * g + k, 23, 1500000) / 100.0
FROM generate_series(1, 5000) g, generate_series(0, 2) k
WHERE k = 0 OR pg_temp.roll(3 * g + k, 24, 3) > 0 ORDER BY g, k;

INSERT INTO messages (id, customer_id, kind, recipient_name, recipient_email, body, sent_at)
SELECT g, 1 + pg_temp.roll(g, 31, 1000), pg_temp.pick(g, 32, ARRAY['nyhetsbrev', 'ordrebekreftelse', 'henvendelse']),
       p.name, p.email, format('Hei %s, takk for at du handler hos oss. Svar går til %s.', p.name, p.email),
       pg_temp.moment(g, 33, 1700, 0)
FROM generate_series(1, 4000) g JOIN person p ON p.i = pg_temp.roll(g, 34, 2000) ORDER BY g;
