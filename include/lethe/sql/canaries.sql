-- The register of canaries in lethe_state.

-- name: of
SELECT c.id, c.rule, c.part, c.key, c.planted_on, c.last, c.planted, h.id,
    coalesce(c.released_on, (h.released_at AT TIME ZONE 'UTC')::date), CASE c.fate WHEN 'died' THEN c.ended_on END
FROM lethe.canary c
LEFT JOIN (lethe.known_hold h JOIN lethe.hold_target t ON t.hold = h.id) ON h.because = 'canary' AND t.key = c.key
    AND t.store = c.store
WHERE c.store = %(store)s AND (c.fate IS NULL OR c.fate = 'died' AND c.ended_on > %(since)s)
ORDER BY c.rule, c.planted_on, c.part

-- name: intend
INSERT INTO lethe.canary (id, store, rule, part, key, planted_on, last)
VALUES (%(id)s, %(store)s, %(rule)s, %(part)s, %(key)s, %(planted_on)s, %(last)s)

-- name: planted
UPDATE lethe.canary SET planted = true WHERE id = %(id)s

-- name: released
UPDATE lethe.canary SET released_on = %(day)s WHERE id = %(id)s

-- name: ended
UPDATE lethe.canary SET fate = %(fate)s, ended_on = %(day)s WHERE id = %(id)s AND fate IS NULL
