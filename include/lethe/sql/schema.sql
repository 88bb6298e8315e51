-- The live schema of a table, read before anything is planned or done. %(oid)s is the table's regclass as oid.

-- name: relation
SELECT c.oid, c.relkind, n.nspname, c.relname, c.reltuples::bigint, pg_has_role(c.relowner, 'USAGE') AS owned
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = %(schema)s AND c.relname = %(table)s AND c.relkind IN ('r', 'p')

-- name: columns
SELECT a.attname, format_type(t.oid, NULL), a.attnotnull, a.attgenerated <> '', format_type(a.atttypid, a.atttypmod),
       CASE WHEN t.typtype = 'e' THEN 'enum' WHEN t.typnamespace = 'pg_catalog'::regnamespace THEN 'builtin' ELSE 'added' END
FROM pg_attribute a
JOIN pg_type o ON o.oid = a.atttypid
JOIN pg_type t ON t.oid = CASE WHEN o.typtype = 'd' THEN o.typbasetype ELSE o.oid END
WHERE a.attrelid = %(oid)s AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY a.attname

-- name: keys
SELECT array_agg(a.attname ORDER BY a.attname)
FROM pg_index i
CROSS JOIN unnest(i.indkey::int2[]) AS k(attnum)
JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
WHERE i.indrelid = %(oid)s AND i.indisunique AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL
  AND i.indnkeyatts = i.indnatts
GROUP BY i.indexrelid
HAVING bool_and(a.attnotnull)

-- name: unique_sets
SELECT array_agg(a.attname ORDER BY a.attname), i.indnullsnotdistinct OR bool_and(a.attnotnull)
FROM pg_index i
CROSS JOIN unnest(i.indkey::int2[]) AS k(attnum)
JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
WHERE i.indrelid = %(oid)s AND i.indisunique AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL
GROUP BY i.indexrelid, i.indnullsnotdistinct

-- name: leading_columns
SELECT DISTINCT a.attname
FROM pg_index i
JOIN pg_am m ON m.oid = (SELECT relam FROM pg_class WHERE oid = i.indexrelid)
JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
WHERE i.indrelid = %(oid)s AND i.indisvalid AND i.indpred IS NULL AND m.amname = 'btree'

-- name: inbound
WITH tree AS (SELECT %(oid)s::regclass AS relid UNION SELECT relid FROM pg_partition_tree(%(oid)s))
SELECT con.conname, n.nspname, c.relname, con.confdeltype, con.confupdtype,
       (SELECT array_agg(a.attname ORDER BY k.ord) FROM unnest(con.conkey) WITH ORDINALITY AS k(num, ord)
        JOIN pg_attribute a ON a.attrelid = con.conrelid AND a.attnum = k.num),
       (SELECT array_agg(a.attname ORDER BY k.ord) FROM unnest(con.confkey) WITH ORDINALITY AS k(num, ord)
        JOIN pg_attribute a ON a.attrelid = con.confrelid AND a.attnum = k.num)
FROM pg_constraint con
JOIN pg_class c ON c.oid = con.conrelid
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE con.contype = 'f' AND con.confrelid IN (SELECT relid FROM tree)
  AND NOT EXISTS (SELECT FROM pg_constraint whole  -- what a partition has of its table's foreign key is no other key
                  WHERE whole.oid = con.conparentid AND whole.confrelid IN (SELECT relid FROM tree))
ORDER BY n.nspname, c.relname, con.conname

-- name: triggers
WITH tree AS (SELECT %(oid)s::regclass AS relid UNION SELECT relid FROM pg_partition_tree(%(oid)s)),
found AS (
    SELECT t.tgname AS name, t.tgtype & 4 <> 0 AS on_insert, t.tgtype & 16 <> 0 AS on_update,
           t.tgtype & 8 <> 0 AS on_delete
    FROM pg_trigger t
    WHERE NOT t.tgisinternal AND t.tgparentid = 0 AND t.tgenabled <> 'D' AND t.tgrelid IN (SELECT relid FROM tree)
    UNION ALL
    SELECT r.rulename, r.ev_type = '3', r.ev_type = '2', r.ev_type = '4'
    FROM pg_rewrite r WHERE r.ev_class IN (SELECT relid FROM tree) AND r.ev_enabled <> 'D'
)
SELECT name, bool_or(on_insert), bool_or(on_update), bool_or(on_delete) FROM found GROUP BY name ORDER BY name

-- name: copies
WITH RECURSIVE reads AS (
    SELECT %(oid)s::oid AS oid
    UNION
    SELECT r.ev_class FROM reads
    JOIN pg_depend d ON d.refobjid = reads.oid AND d.refclassid = 'pg_class'::regclass
        AND d.classid = 'pg_rewrite'::regclass
    JOIN pg_rewrite r ON r.oid = d.objid
)
SELECT n.nspname || '.' || c.relname FROM reads JOIN pg_class c USING (oid) JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'm' ORDER BY 1

-- name: parts
SELECT c.oid, n.nspname, c.relname, p.nspname, pc.relname,
       pg_get_expr(c.relpartbound, c.oid) AS bound,
       pg_has_role(c.relowner, 'USAGE') AND pg_has_role(pc.relowner, 'USAGE') AS owned,
       c.relkind = 'r' AS plain,
       (pg_relation_size(c.oid) / current_setting('block_size')::bigint)::bigint AS blocks,
       EXISTS (SELECT FROM pg_partitioned_table d WHERE d.partrelid = pc.oid AND d.partdefid <> 0) AS beside_default,
       (SELECT a.attname FROM pg_partitioned_table d
        JOIN pg_attribute a ON a.attrelid = d.partrelid AND a.attnum = d.partattrs[0]
        WHERE d.partrelid = pc.oid AND d.partstrat = 'r' AND d.partnatts = 1) AS ranged_by,
       substring(pg_get_expr(c.relpartbound, c.oid) FROM $$TO \('([^']+)'\)$$) AS upper
FROM pg_partition_tree(%(oid)s) tree
JOIN pg_class c ON c.oid = tree.relid
JOIN pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_class pc ON pc.oid = tree.parentrelid
LEFT JOIN pg_namespace p ON p.oid = pc.relnamespace
WHERE tree.isleaf
ORDER BY n.nspname, c.relname

-- name: partition_columns
SELECT a.attname FROM pg_partitioned_table d
CROSS JOIN unnest(d.partattrs::int2[]) AS k(attnum)
JOIN pg_attribute a ON a.attrelid = d.partrelid AND a.attnum = k.attnum
WHERE d.partrelid IN (SELECT relid FROM pg_partition_tree(%(oid)s))

-- name: blocks
SELECT (pg_relation_size(%(oid)s) / current_setting('block_size')::bigint)::bigint

-- name: children
SELECT count(*) FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhparent
WHERE i.inhparent = %(oid)s AND c.relkind = 'r'

-- name: identity
SELECT id::text, epoch FROM lethe.store

-- name: outbound
SELECT con.conname, con.confrelid::regclass::text,
       (SELECT array_agg(a.attname ORDER BY k.ord) FROM unnest(con.conkey) WITH ORDINALITY AS k(num, ord)
        JOIN pg_attribute a ON a.attrelid = con.conrelid AND a.attnum = k.num)
FROM pg_constraint con WHERE con.contype = 'f' AND con.conrelid = %(oid)s ORDER BY con.conname

-- name: checks
SELECT con.conname, pg_get_expr(con.conbin, con.conrelid),
       (SELECT array_agg(a.attname ORDER BY a.attname) FROM pg_attribute a
        WHERE a.attrelid = con.conrelid AND a.attnum = ANY (con.conkey))
FROM pg_constraint con WHERE con.contype = 'c' AND con.conrelid = %(oid)s AND con.conkey <> '{}' ORDER BY con.conname
