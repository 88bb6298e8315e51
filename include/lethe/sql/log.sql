-- What the log is asked, and what is added to it.

-- name: try_lock
SELECT pg_try_advisory_lock(%(lock)s)

-- name: unlock
SELECT pg_advisory_unlock(%(lock)s)

-- name: size
SELECT coalesce(max(index) + 1, 0) FROM evidence.leaf

-- name: positions
WITH RECURSIVE outbox AS (  -- from one outbox to the next by the index, however many leaves lie between
    (SELECT store FROM evidence.leaf ORDER BY store LIMIT 1)
    UNION ALL
    SELECT (SELECT l.store FROM evidence.leaf l WHERE l.store > o.store ORDER BY l.store LIMIT 1)
    FROM outbox o WHERE o.store IS NOT NULL
)
SELECT o.store::text, last.epoch, last.seq FROM outbox o CROSS JOIN LATERAL (
    SELECT l.epoch, l.seq FROM evidence.leaf l WHERE l.store = o.store ORDER BY l.epoch DESC, l.seq DESC LIMIT 1
) last

-- name: positions_before
SELECT DISTINCT ON (store) store::text, epoch, seq FROM evidence.leaf WHERE index < %(size)s
ORDER BY store, epoch DESC, seq DESC

-- name: leaves_of
SELECT l.leaf FROM evidence.leaf l
LEFT JOIN unnest(%(epochs)s::integer[], %(numbers)s::bigint[]) AS held (epoch, seq) ON held.epoch = l.epoch
WHERE l.store = %(store)s AND l.seq > coalesce(held.seq, 0) AND l.leaf LIKE '%%"kind":"' || %(kind)s || '"%%'
ORDER BY l.epoch, l.seq

-- name: place
SELECT leaf FROM evidence.leaf WHERE store = %(store)s AND epoch = %(epoch)s AND seq = %(seq)s

-- name: as_writer
SET LOCAL ROLE lethe_evidence_writer

-- name: as_integrator
SET LOCAL ROLE lethe_evidence_integrator

-- name: copy_in
COPY evidence.leaf (index, store, epoch, seq, leaf) FROM STDIN

-- name: lines
SELECT convert_to(string_agg(leaf || E'\n', '' ORDER BY index), 'UTF8'), count(*) FROM (
    SELECT index, leaf FROM evidence.leaf WHERE index >= %(first)s AND index < %(end)s ORDER BY index
) AS part HAVING count(*) > 0

-- name: add_nodes
INSERT INTO evidence.node (level, first, hashes) VALUES (%(level)s, %(first)s, %(hashes)s)

-- name: node
SELECT substring(hashes FROM (32 * (%(index)s - first) + 1)::integer FOR 32) FROM evidence.node
WHERE level = %(level)s AND first <= %(index)s ORDER BY first DESC LIMIT 1

-- name: hashes
SELECT first, hashes FROM evidence.node WHERE level = %(level)s AND first < %(end)s AND first + length(hashes) / 32 > %(first)s ORDER BY first

-- name: add_checkpoint
INSERT INTO evidence.checkpoint (size, root, note) VALUES (%(size)s, %(root)s, %(note)s) ON CONFLICT DO NOTHING

-- name: checkpoints
SELECT size, root, note, at FROM evidence.checkpoint WHERE size >= %(size)s ORDER BY size

-- name: last_checkpoint
SELECT size, root, note, at FROM evidence.checkpoint ORDER BY size DESC LIMIT 1

-- name: keys
SELECT vkey, endorsement, size FROM evidence.key ORDER BY number

-- name: add_key
INSERT INTO evidence.key (number, vkey, endorsement, size)
SELECT coalesce(max(number) + 1, 1), %(vkey)s, %(endorsement)s, %(size)s FROM evidence.key ON CONFLICT DO NOTHING

-- name: anchors
SELECT anchor, kind, size, token, at FROM evidence.anchor ORDER BY size, anchor

-- name: anchored
SELECT coalesce(max(size), 0) FROM evidence.anchor WHERE anchor = %(anchor)s

-- name: add_anchor
INSERT INTO evidence.anchor (anchor, kind, size, token) VALUES (%(anchor)s, %(kind)s, %(size)s, %(token)s)
ON CONFLICT DO NOTHING

-- name: first_besides_anchors
SELECT leaf FROM evidence.leaf WHERE index >= %(size)s AND index < %(end)s AND leaf NOT LIKE '%%"kind":"anchor"%%'
ORDER BY index LIMIT 1

-- name: policies
SELECT digest, body FROM evidence.policy ORDER BY digest

-- name: add_policy
INSERT INTO evidence.policy (digest, body) VALUES (%(digest)s, %(body)s) ON CONFLICT DO NOTHING

-- name: last_verified
SELECT size, root FROM evidence.verified ORDER BY size DESC, at DESC LIMIT 1

-- name: add_verified
INSERT INTO evidence.verified (size, root) VALUES (%(size)s, %(root)s)

-- name: gaps
SELECT store::text, epoch, coalesce(before, 0) + 1, seq - 1 FROM (
    SELECT store, epoch, seq, lag(seq) OVER (PARTITION BY store, epoch ORDER BY seq) AS before FROM evidence.leaf
) AS places
WHERE seq > before + 1 OR before IS NULL AND epoch = 1 AND seq > 1
ORDER BY store, epoch, seq
