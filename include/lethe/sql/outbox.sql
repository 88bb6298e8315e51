-- The outbox of a store or of lethe_state: a leaf is written in the transaction of its deed, and read by who seals.

-- name: take_place
UPDATE lethe.store SET seq = seq + 1 RETURNING id::text, epoch, seq, clock_timestamp()

-- name: write
INSERT INTO lethe.outbox (epoch, seq, key, leaf) VALUES (%(epoch)s, %(seq)s, %(key)s, %(leaf)s)

-- name: is_written
SELECT EXISTS (
    SELECT FROM lethe.outbox WHERE key = %(key)s AND epoch IN (SELECT generate_series(1, epoch) FROM lethe.store)
)

-- name: position
SELECT id::text, epoch, seq, clock_timestamp() FROM lethe.store

-- name: first_after
SELECT written_at FROM lethe.outbox WHERE (epoch, seq) > (%(epoch)s, %(seq)s) ORDER BY epoch, seq LIMIT 1

-- name: at
SELECT leaf FROM lethe.outbox WHERE epoch = %(epoch)s AND seq = %(seq)s

-- name: lines_after
SELECT convert_to(string_agg(line, '' ORDER BY epoch, seq), 'UTF8'), count(*) FROM (
    SELECT epoch, seq, concat((SELECT id FROM lethe.store), E'\t', epoch, E'\t', seq, E'\t', leaf, E'\n') AS line
    FROM lethe.outbox WHERE (epoch, seq) > (%(epoch)s, %(seq)s) ORDER BY epoch, seq LIMIT %(limit)s
) AS waiting HAVING count(*) > 0

-- name: begin_epoch
UPDATE lethe.store SET epoch = greatest(epoch, %(published)s) + 1, seq = %(shared)s + 1
RETURNING id::text, epoch, seq, clock_timestamp()

-- name: last_before
SELECT epoch, seq, leaf FROM lethe.outbox WHERE (epoch, seq) < (%(epoch)s, %(seq)s) ORDER BY epoch DESC, seq DESC LIMIT 1

-- name: held
SELECT epoch, max(seq) FROM lethe.outbox GROUP BY epoch

-- name: take_out
DELETE FROM lethe.outbox WHERE (epoch, seq) > (%(epoch)s, %(seq)s) RETURNING epoch, seq, key, leaf

-- name: move_receipts
UPDATE lethe.receipt SET epoch = %(epoch)s, seq = %(seq)s WHERE epoch = %(old_epoch)s AND seq = %(old_seq)s

-- name: go_on_from
UPDATE lethe.store SET seq = %(seq)s
