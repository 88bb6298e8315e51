-- Mailboxes of employees that were looked through, in lethe_state.

-- name: until
SELECT employee, until FROM lethe.looked WHERE what = %(what)s

-- name: looked
INSERT INTO lethe.looked AS l (employee, what, until, identity_numbers, health_words)
VALUES (%(employee)s, %(what)s, %(until)s, %(identity_numbers)s, %(health_words)s)
ON CONFLICT (employee, what) DO UPDATE SET until = excluded.until,
    identity_numbers = l.identity_numbers + excluded.identity_numbers,
    health_words = l.health_words + excluded.health_words

-- name: again
DELETE FROM lethe.looked WHERE employee = %(employee)s AND what = %(what)s

-- name: untold
SELECT employee, identity_numbers, health_words FROM lethe.looked
WHERE what = 'scan' AND identity_numbers + health_words > 0 ORDER BY employee

-- name: told
UPDATE lethe.looked SET identity_numbers = 0, health_words = 0
WHERE what = 'scan' AND employee = ANY(%(employees)s::text[])

-- name: keep_only
DELETE FROM lethe.looked WHERE employee <> ALL(%(employees)s::text[])
