-- The register of findings in lethe_state.

-- name: one_takes
SELECT pg_advisory_xact_lock(hashtextextended('finding/' || %(store)s, 0))

-- name: known
SELECT id, store, kind, subject, detail, severity, role, opened_at, gone_at FROM lethe.finding
WHERE gone_at IS NULL OR %(gone)s
ORDER BY gone_at IS NOT NULL, array_position(ARRAY['alarm', 'warning', 'notice'], severity), opened_at, store, kind, subject

-- name: open_of
SELECT id, store, kind, subject, detail, severity, role, opened_at, gone_at FROM lethe.finding
WHERE store = %(store)s AND gone_at IS NULL

-- name: open
INSERT INTO lethe.finding (id, store, kind, subject, detail, severity, role)
VALUES (%(id)s, %(store)s, %(kind)s, %(subject)s, %(detail)s, %(severity)s, %(role)s)
RETURNING id, store, kind, subject, detail, severity, role, opened_at, gone_at

-- name: gone
UPDATE lethe.finding SET gone_at = clock_timestamp() WHERE id = %(id)s

-- name: still
UPDATE lethe.finding SET detail = %(detail)s WHERE id = %(id)s AND detail <> %(detail)s

-- name: one_tells
SELECT pg_advisory_xact_lock(hashtextextended('told/' || %(role)s || '/' || %(channel)s, 0))

-- name: to_tell
SELECT id, store, kind, subject, detail, severity, role, opened_at, gone_at FROM lethe.finding
WHERE role = %(role)s AND gone_at IS NULL AND NOT EXISTS (
    SELECT FROM lethe.told WHERE finding = id AND channel = %(channel)s AND at > %(now)s - interval '7 days')
ORDER BY array_position(ARRAY['alarm', 'warning', 'notice'], severity), opened_at, store, kind, subject

-- name: told
INSERT INTO lethe.told (finding, channel, at) SELECT unnest(%(ids)s::text[]), %(channel)s, %(now)s
ON CONFLICT (finding, channel) DO UPDATE SET at = excluded.at

-- name: remembered
SELECT body FROM lethe.remembered WHERE store = %(store)s

-- name: remember
INSERT INTO lethe.remembered (store, body) VALUES (%(store)s, %(body)s)
ON CONFLICT (store) DO UPDATE SET body = excluded.body, at = clock_timestamp() WHERE remembered.body <> excluded.body

-- name: keep_validation
INSERT INTO lethe.validation (digest, store, today, body) VALUES (%(digest)s, %(store)s, %(today)s, %(body)s)
ON CONFLICT DO NOTHING
