-- What run.py asks of lethe_state.

-- name: save_plan
INSERT INTO lethe.plan (digest, rule, rule_digest, today, body)
VALUES (%(digest)s, %(rule)s, %(rule_digest)s, %(today)s, %(body)s)
ON CONFLICT (digest) DO UPDATE SET made_at = excluded.made_at -- what was found before is found again, and counts again
WHERE EXISTS (SELECT FROM lethe.plan newer WHERE newer.rule = plan.rule AND newer.made_at > plan.made_at)
RETURNING xmax = 0

-- name: plan
SELECT body FROM lethe.plan WHERE digest = %(digest)s

-- name: digests_like
SELECT digest FROM lethe.plan WHERE starts_with(digest, %(start)s) LIMIT 2

-- name: state
SELECT a.approved, p.outcome, lethe.superseded(p)
FROM lethe.plan p LEFT JOIN lethe.approval a ON a.plan = p.digest WHERE p.digest = %(digest)s

-- name: open_plan
SELECT p.body FROM lethe.plan p JOIN lethe.approval a ON a.plan = p.digest
WHERE p.rule = %(rule)s AND p.rule_digest = %(rule_digest)s AND a.approved AND p.outcome IS NULL
  AND p.today BETWEEN %(first)s AND %(last)s
ORDER BY a.at DESC LIMIT 1

-- name: last_approved
SELECT p.body FROM lethe.plan p JOIN lethe.approval a ON a.plan = p.digest
WHERE p.rule = %(rule)s AND p.rule_digest = %(rule_digest)s AND a.approved ORDER BY a.at DESC LIMIT 1

-- name: finished
SELECT count(*) FROM lethe.plan WHERE rule = %(rule)s AND today = %(today)s AND outcome IS NOT NULL

-- name: approved_rules
SELECT DISTINCT p.rule FROM lethe.plan p JOIN lethe.approval a ON a.plan = p.digest
WHERE a.approved AND p.outcome IS NULL AND p.today <= %(today)s ORDER BY p.rule

-- name: list
SELECT p.digest, p.body, p.made_at, a.approved, p.outcome, lethe.superseded(p), a.role, a.via, a.at
FROM lethe.plan p LEFT JOIN lethe.approval a ON a.plan = p.digest
WHERE p.rule = coalesce(%(rule)s, p.rule) AND p.digest = coalesce(%(digest)s, p.digest)
ORDER BY p.made_at DESC, p.rule LIMIT %(limit)s

-- name: runs
SELECT run, state, at, coalesce((counts ->> 'rows')::bigint, 0), coalesce((counts ->> 'reach')::bigint, 0)
FROM lethe.run WHERE plan = %(digest)s AND state NOT IN ('scheduled', 'started') ORDER BY at, run

-- name: finish
UPDATE lethe.plan SET outcome = %(outcome)s WHERE digest = %(digest)s AND outcome IS NULL

-- name: name_approver
INSERT INTO lethe.approver (id, person) VALUES (%(approver)s, coalesce(%(person)s, session_user))

-- name: approve
INSERT INTO lethe.approval (plan, approved, role, via, approver)
VALUES (%(plan)s, %(approved)s, %(role)s, %(via)s, %(approver)s) ON CONFLICT DO NOTHING

-- name: confirm
INSERT INTO lethe.confirmation (rule_digest, rule, role, via, approver)
VALUES (%(rule_digest)s, %(rule)s, %(role)s, %(via)s, %(approver)s) ON CONFLICT DO NOTHING

-- name: confirmed
SELECT EXISTS (SELECT FROM lethe.confirmation WHERE rule_digest = %(rule_digest)s)

-- name: save_run
INSERT INTO lethe.run (run, rule, state, plan, counts)
VALUES (%(run)s, %(rule)s, %(state)s, %(plan)s, %(counts)s) ON CONFLICT DO NOTHING

-- name: put_back_run
INSERT INTO lethe.run (run, rule, state, plan, counts, at)
SELECT %(run)s, %(rule)s, %(state)s, (SELECT digest FROM lethe.plan WHERE digest = %(plan)s), %(counts)s, %(at)s
ON CONFLICT DO NOTHING

-- name: save_policy
INSERT INTO lethe.policy (digest, body) VALUES (%(digest)s, %(body)s) ON CONFLICT DO NOTHING

-- name: policies
SELECT digest, body FROM lethe.policy WHERE NOT digest = ANY (%(known)s) ORDER BY first_used

-- name: rules_run_on
SELECT DISTINCT rule FROM lethe.run
WHERE (at AT TIME ZONE %(zone)s)::date = %(day)s AND state <> 'scheduled'

-- name: first_used
SELECT min(first_used) FROM lethe.policy

-- name: rules_in_use
SELECT jsonb_object_keys(body::jsonb -> 'rules') FROM (
    SELECT body FROM lethe.policy WHERE (first_used AT TIME ZONE %(zone)s)::date < %(day)s ORDER BY first_used DESC LIMIT 1
) AS last
