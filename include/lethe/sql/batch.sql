-- What every batch does besides its deed, inside the batch's own transaction.

-- name: timeouts
SELECT set_config('lock_timeout', %(lock)s, true), set_config('statement_timeout', %(statement)s, true)

-- name: share_holds
SELECT pg_advisory_xact_lock_shared(%(lock)s)

-- name: epoch
SELECT epoch, (clock_timestamp() AT TIME ZONE %(zone)s)::date FROM lethe.store

-- name: held_kinds
SELECT DISTINCT dataset, kind, key = '*' FROM lethe.hold

-- name: try_shard
SELECT pg_try_advisory_xact_lock(hashtextextended(%(key)s, 0))

-- name: progress
SELECT batch, upto, finished FROM lethe.progress WHERE epoch = %(epoch)s AND plan = %(plan)s AND shard = %(shard)s

-- name: save_progress
INSERT INTO lethe.progress (epoch, plan, shard, batch, upto, rows, reach, finished)
VALUES (%(epoch)s, %(plan)s, %(shard)s, %(batch)s, %(upto)s, %(rows)s, %(reach)s, %(finished)s)
ON CONFLICT (epoch, plan, shard) DO UPDATE
SET batch = excluded.batch, upto = excluded.upto, finished = excluded.finished,
    rows = lethe.progress.rows + excluded.rows, reach = lethe.progress.reach + excluded.reach

-- name: so_far
SELECT coalesce(sum(rows), 0)::bigint, coalesce(sum(reach), 0)::bigint, coalesce(sum(batch) FILTER (WHERE shard >= 0), 0)::bigint
FROM lethe.progress WHERE epoch = %(epoch)s AND plan = %(plan)s

-- name: mark_redacted
INSERT INTO lethe.redacted (dataset, key, field, digest)
SELECT %(dataset)s, key, %(field)s, sha256(convert_to(text::{type}::text, 'UTF8'))
FROM unnest(%(keys)s::text[], %(texts)s::text[]) AS done (key, text)
ON CONFLICT (dataset, key, field) DO UPDATE SET digest = excluded.digest

-- name: intend
INSERT INTO lethe.partition_intent (epoch, plan, shard, dataset, parent, partition, bound)
VALUES (%(epoch)s, %(plan)s, %(shard)s, %(dataset)s, %(parent)s, %(partition)s, %(bound)s)
ON CONFLICT DO NOTHING

-- name: intent
SELECT parent, partition, bound, settled FROM lethe.partition_intent
WHERE epoch = %(epoch)s AND plan = %(plan)s AND shard = %(shard)s

-- name: settle
UPDATE lethe.partition_intent SET settled = %(settled)s
WHERE epoch = %(epoch)s AND plan = %(plan)s AND shard = %(shard)s

-- name: unsettled
SELECT partition FROM lethe.partition_intent WHERE dataset = %(dataset)s AND settled IS NULL ORDER BY partition

-- name: attachment
SELECT i.inhdetachpending FROM pg_inherits i
WHERE i.inhrelid = to_regclass(%(partition)s) AND i.inhparent = to_regclass(%(parent)s)

-- name: left_behind
SELECT epoch, plan, shard, parent, partition, bound FROM lethe.partition_intent
WHERE dataset = %(dataset)s AND settled IS NULL AND plan <> %(plan)s AND to_regclass(partition) IS NOT NULL

-- name: try_detaching
SELECT pg_try_advisory_lock(hashtextextended('detach ' || %(key)s, 0))

-- name: unlock_detaching
SELECT pg_advisory_unlock(hashtextextended('detach ' || %(key)s, 0))

-- name: document_intents
SELECT i.dataset, i.key, i.field, i.path, i.found FROM lethe.document_intent AS i
JOIN unnest(%(datasets)s::text[], %(keys)s::text[], %(fields)s::text[]) AS named (dataset, key, field)
USING (dataset, key, field) FOR UPDATE OF i

-- name: intend_document
INSERT INTO lethe.document_intent (dataset, key, field, folder, path, found)
VALUES (%(dataset)s, %(key)s, %(field)s, %(folder)s, %(path)s, %(found)s)
ON CONFLICT (dataset, key, field) DO UPDATE SET folder = excluded.folder, path = excluded.path, found = excluded.found

-- name: settle_document
DELETE FROM lethe.document_intent WHERE (dataset, key, field) = (%(dataset)s, %(key)s, %(field)s)

-- name: open_documents
SELECT key, path, found FROM lethe.document_intent
WHERE dataset = %(dataset)s AND field = %(field)s FOR UPDATE SKIP LOCKED

-- name: unsettled_documents
SELECT count(*) FROM lethe.document_intent WHERE dataset = %(dataset)s AND field = %(field)s

-- name: one_at_a_time
SELECT pg_advisory_xact_lock(hashtextextended('documents ' || %(plan)s, 0))
