-- The receipts of a store: kept in the transaction of the deed, issued once, forgotten when nobody can ask any more.

-- name: keep
COPY lethe.receipt (epoch, seq, position, rule, plan, shard, batch, hash, subject, nonce, until) FROM STDIN

-- name: find
SELECT r.epoch, r.seq, r.position, r.plan, r.nonce, s.id::text FROM lethe.receipt r, lethe.store s
WHERE r.subject = %(subject)s AND r.rule = %(rule)s
ORDER BY r.epoch DESC, r.seq DESC LIMIT 1 FOR UPDATE OF r

-- name: hashes
SELECT hash FROM lethe.receipt WHERE epoch = %(epoch)s AND seq = %(seq)s ORDER BY position

-- name: destroy
UPDATE lethe.receipt SET nonce = NULL WHERE epoch = %(epoch)s AND seq = %(seq)s AND position = %(position)s

-- name: forget
DELETE FROM lethe.receipt WHERE until < %(today)s

-- name: subjects_after
SELECT epoch, seq, plan, rule, subject FROM lethe.receipt WHERE (epoch, seq) > (%(epoch)s, %(seq)s)
ORDER BY epoch, seq, position
