-- What a database holds, as its catalogue tells it. Lethe's own schema, temporary tables and members of extensions are left out.
-- Foreign tables are told by their columns, and not read.

-- name: tables
SELECT c.oid, n.nspname, c.relname, c.relkind = 'p', c.relkind = 'f', obj_description(c.oid, 'pg_class'),
       CASE WHEN c.relkind = 'p' THEN (
           SELECT coalesce(sum(greatest(l.reltuples, 0)), 0) FROM pg_partition_tree(c.oid) t JOIN pg_class l ON l.oid = t.relid
           WHERE t.isleaf) ELSE greatest(c.reltuples, 0) END::bigint
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'f') AND NOT c.relispartition AND c.relpersistence <> 't'
  AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast', 'lethe') AND n.nspname !~ '^pg_(toast_)?temp_'
  AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
ORDER BY n.nspname, c.relname

-- name: columns
SELECT a.attrelid, a.attname, format_type(t.oid, NULL), coalesce(t.typtype = 'e', false), col_description(a.attrelid, a.attnum),
       has_schema_privilege(c.relnamespace, 'USAGE') AND has_column_privilege(a.attrelid, a.attnum, 'SELECT'),
       coalesce((SELECT i.indkey::int2[] @> ARRAY[a.attnum] FROM pg_index i WHERE i.indrelid = a.attrelid AND i.indisprimary), false)
FROM pg_attribute a
JOIN pg_class c ON c.oid = a.attrelid
JOIN pg_type o ON o.oid = a.atttypid
JOIN pg_type t ON t.oid = CASE WHEN o.typtype = 'd' THEN o.typbasetype ELSE o.oid END
WHERE a.attrelid = ANY (%(oids)s) AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY a.attrelid, a.attnum

-- name: foreign_keys
SELECT con.conrelid, con.confrelid,
       (SELECT array_agg(a.attname ORDER BY k.ord) FROM unnest(con.conkey) WITH ORDINALITY AS k(num, ord)
        JOIN pg_attribute a ON a.attrelid = con.conrelid AND a.attnum = k.num)
FROM pg_constraint con
WHERE con.contype = 'f' AND con.conrelid = ANY (%(oids)s) AND con.confrelid = ANY (%(oids)s)
ORDER BY con.conrelid, con.conname

-- name: views
WITH RECURSIVE reads AS (
    SELECT r.ev_class AS view, d.refobjid AS oid FROM pg_rewrite r
    JOIN pg_class m ON m.oid = r.ev_class AND m.relkind = 'm'
    JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = r.oid AND d.refclassid = 'pg_class'::regclass
    UNION
    SELECT reads.view, d.refobjid FROM reads
    JOIN pg_rewrite r ON r.ev_class = reads.oid
    JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = r.oid AND d.refclassid = 'pg_class'::regclass
)
SELECT n.nspname || '.' || c.relname, array_agg(DISTINCT coalesce(pg_partition_root(reads.oid), reads.oid::regclass)::oid)
FROM reads JOIN pg_class c ON c.oid = reads.view JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname <> 'lethe'
GROUP BY 1 ORDER BY 1

-- name: publications
SELECT p.pubname, array_agg(DISTINCT coalesce(pg_partition_root(c.oid), c.oid::regclass)::oid)
FROM pg_publication_tables p
JOIN pg_namespace n ON n.nspname = p.schemaname
JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = p.tablename
GROUP BY 1 ORDER BY 1

-- name: blocks
SELECT coalesce(sum(pg_relation_size(t.relid)), 0)::bigint / current_setting('block_size')::bigint
FROM (SELECT relid FROM pg_partition_tree(%(oid)s) UNION SELECT %(oid)s::oid) t

-- name: large_objects
SELECT count(*) FROM pg_largeobject_metadata

-- name: partitions
SELECT pg_partition_root(c.oid)::oid, c.relname FROM pg_class c WHERE c.relispartition AND c.relkind = 'r'
ORDER BY c.relname
