-- Holds: the register in lethe_state, and its mirror in each store.

-- name: place
INSERT INTO lethe.placed_hold (id, because) VALUES (%(hold)s, %(because)s)

-- name: target
INSERT INTO lethe.hold_target (hold, number, store, dataset, key)
VALUES (%(hold)s, %(number)s, %(store)s, %(dataset)s, %(key)s)

-- name: event
INSERT INTO lethe.hold_event (hold, event, review, role, via, approver)
VALUES (%(hold)s, %(event)s, %(review)s, %(role)s, %(via)s, %(approver)s)

-- name: known
SELECT id, because, role, placed_at, review, released_at FROM lethe.known_hold
WHERE released_at IS NULL OR %(released)s ORDER BY placed_at, id

-- name: targets
SELECT hold, store, dataset, key, in_force_at, lifted_at FROM lethe.hold_target ORDER BY hold, number

-- name: ids_like
SELECT id FROM lethe.known_hold WHERE starts_with(id, %(start)s) LIMIT 2

-- name: one_spreads
SELECT pg_advisory_xact_lock(%(lock)s)

-- name: spread
INSERT INTO lethe.hold_target (hold, number, store, dataset, key)
SELECT t.hold, t.last + row_number() OVER (PARTITION BY t.hold ORDER BY t.dataset, t.key), %(store)s, t.dataset, t.key
FROM (
    SELECT hold, dataset, key, max(max(number)) OVER (PARTITION BY hold) AS last, bool_or(store = %(store)s) AS has_it
    FROM lethe.hold_target GROUP BY hold, dataset, key
) AS t JOIN lethe.known_hold h ON h.id = t.hold
WHERE h.released_at IS NULL AND t.dataset = ANY (%(datasets)s) AND t.key IS NOT NULL AND NOT t.has_it

-- name: of_store
SELECT t.hold, t.number, t.dataset, t.key, h.because, h.role, h.review, h.released_at IS NOT NULL,
    coalesce(h.released_by, h.approver), t.in_force_at IS NOT NULL, t.lifted_at IS NOT NULL
FROM lethe.hold_target t JOIN lethe.known_hold h ON h.id = t.hold
WHERE t.store = %(store)s AND (h.released_at IS NULL OR t.lifted_at IS NULL) AND t.key IS NOT NULL
ORDER BY t.hold, t.number

-- name: in_force
UPDATE lethe.hold_target SET in_force_at = coalesce(in_force_at, clock_timestamp()) WHERE hold = %(hold)s AND number = %(number)s

-- name: lifted
UPDATE lethe.hold_target SET lifted_at = clock_timestamp() WHERE hold = %(hold)s AND number = %(number)s

-- name: mirror
SELECT dataset, key, kind, hold FROM lethe.hold

-- name: lock
SELECT set_config('lock_timeout', %(timeout)s, true), pg_advisory_xact_lock(%(lock)s)

-- name: put
INSERT INTO lethe.hold (dataset, key, kind, hold) VALUES (%(dataset)s, %(key)s, %(kind)s, %(hold)s) ON CONFLICT DO NOTHING

-- name: take_off
DELETE FROM lethe.hold WHERE dataset = %(dataset)s AND key = %(key)s AND kind = %(kind)s AND hold = %(hold)s
