-- What the pages ask of lethe_state: they only read.

-- name: plans
SELECT p.digest, p.body, p.made_at, a.approved, a.role, a.via, a.at, p.finished_at,
       EXISTS (SELECT FROM lethe.run r WHERE r.plan = p.digest AND r.state = 'ended')
FROM lethe.plan p LEFT JOIN lethe.approval a ON a.plan = p.digest
WHERE p.rule = coalesce(%(rule)s, p.rule) AND p.digest = coalesce(%(digest)s, p.digest)
ORDER BY p.made_at DESC, p.rule LIMIT %(limit)s

-- name: runs
SELECT run, state, at, coalesce((leaf::jsonb #>> '{counts,rows}')::bigint, 0),
       coalesce((leaf::jsonb #>> '{counts,reach}')::bigint, 0)
FROM lethe.run WHERE plan = %(digest)s ORDER BY at, run
