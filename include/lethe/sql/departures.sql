-- Departures in lethe_state: the messages that are handed over.

-- name: one_chooses
SELECT pg_advisory_xact_lock(hashtextextended('departure/' || %(departure)s, 0))

-- name: choose
INSERT INTO lethe.handed (departure, number, recipient, folder, ref)
SELECT %(departure)s, (SELECT coalesce(max(number), 0) FROM lethe.handed WHERE departure = %(departure)s)
    + row_number() OVER (), %(recipient)s, %(folder)s, c.ref
FROM unnest(%(refs)s::text[]) AS c(ref)
WHERE NOT EXISTS (
    SELECT FROM lethe.handed h
    WHERE (h.departure, h.recipient, h.folder, h.ref) = (%(departure)s, %(recipient)s, %(folder)s::text[], c.ref))

-- name: folders
SELECT DISTINCT folder FROM lethe.handed
WHERE departure = %(departure)s AND recipient = %(recipient)s AND state = 'chosen' ORDER BY folder

-- name: pending
SELECT ref, number FROM lethe.handed
WHERE departure = %(departure)s AND recipient = %(recipient)s AND folder = %(folder)s AND state = 'chosen'

-- name: intend
UPDATE lethe.handed h SET digest = i.digest
FROM unnest(%(numbers)s::bigint[], %(digests)s::bytea[]) AS i(number, digest)
WHERE h.departure = %(departure)s AND h.recipient = %(recipient)s AND h.number = i.number

-- name: intended
SELECT number, digest FROM lethe.handed
WHERE departure = %(departure)s AND recipient = %(recipient)s AND state = 'chosen' AND digest IS NOT NULL ORDER BY number

-- name: targets
SELECT target FROM lethe.handed WHERE departure = %(departure)s AND recipient = %(recipient)s AND target IS NOT NULL

-- name: received
UPDATE lethe.handed h SET state = 'received', target = r.target
FROM unnest(%(numbers)s::bigint[], %(targets)s::text[]) AS r(number, target)
WHERE h.departure = %(departure)s AND h.recipient = %(recipient)s AND h.number = r.number

-- name: settle
UPDATE lethe.handed SET state = %(state)s
WHERE departure = %(departure)s AND recipient = %(recipient)s AND number = ANY(%(numbers)s::bigint[])

-- name: try_again
UPDATE lethe.handed SET state = 'chosen'
WHERE departure = %(departure)s AND recipient = %(recipient)s AND state IN ('gone', 'refused')

-- name: unconfirmed
SELECT number, target, digest FROM lethe.handed
WHERE departure = %(departure)s AND recipient = %(recipient)s AND state = 'received' ORDER BY number

-- name: by_folder
SELECT folder, count(*) FROM lethe.handed WHERE departure = %(departure)s AND recipient = %(recipient)s
GROUP BY folder ORDER BY folder

-- name: counts
SELECT state, count(*) FROM lethe.handed WHERE departure = %(departure)s AND recipient = %(recipient)s GROUP BY state

-- name: without_nonce
SELECT number FROM lethe.handed
WHERE departure = %(departure)s AND recipient = %(recipient)s AND state = 'confirmed' AND nonce IS NULL

-- name: give_nonces
UPDATE lethe.handed h SET nonce = n.nonce FROM unnest(%(numbers)s::bigint[], %(nonces)s::bytea[]) AS n(number, nonce)
WHERE h.departure = %(departure)s AND h.recipient = %(recipient)s AND h.number = n.number

-- name: confirmed
SELECT digest, nonce FROM lethe.handed
WHERE departure = %(departure)s AND recipient = %(recipient)s AND state = 'confirmed' ORDER BY number

-- name: open
INSERT INTO lethe.departure (id, employee, manager, recipients, last_day, lang, picked)
VALUES (%(id)s, %(employee)s, %(manager)s, %(recipients)s, %(last_day)s, %(lang)s, %(picked)s)
ON CONFLICT (employee) WHERE NOT ended DO NOTHING

-- name: departures
SELECT id, employee, manager, recipients, last_day, lang, picked FROM lethe.departure d
WHERE NOT ended OR %(ended)s
ORDER BY (SELECT at FROM lethe.departure_event e WHERE e.departure = d.id AND e.event = 'opened'), id

-- name: counts_of
SELECT counts FROM lethe.departure_event WHERE departure = %(departure)s AND event = %(event)s

-- name: events
SELECT departure, event, at FROM lethe.departure_event ORDER BY at

-- name: lock
SELECT FROM lethe.departure WHERE id = %(departure)s FOR UPDATE

-- name: events_of
SELECT event FROM lethe.departure_event WHERE departure = %(departure)s

-- name: happen
INSERT INTO lethe.departure_event (departure, event, at, counts, approver)
VALUES (%(departure)s, %(event)s, %(at)s, %(counts)s, %(approver)s)

-- name: end
UPDATE lethe.departure SET ended = true WHERE id = %(departure)s
