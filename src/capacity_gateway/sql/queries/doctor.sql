-- name: foreign_objects()
-- What is on the gateway's tables, or missing there, that its migrations have not made so, one sentence a row.
SELECT 'the trigger ' || t.tgname || ' on ' || t.tgrelid::regclass || ' is not the gateway''s' AS problem
FROM pg_trigger AS t INNER JOIN pg_class AS c ON c.oid = t.tgrelid
WHERE c.relnamespace = 'capacity'::regnamespace AND NOT t.tgisinternal
UNION ALL
SELECT 'the rule ' || r.rulename || ' on ' || r.ev_class::regclass || ' is not the gateway''s'
FROM pg_rewrite AS r INNER JOIN pg_class AS c ON c.oid = r.ev_class
WHERE c.relnamespace = 'capacity'::regnamespace AND r.rulename <> '_RETURN'
UNION ALL
SELECT 'the policy ' || p.polname || ' on ' || p.polrelid::regclass || ' is not the gateway''s'
FROM pg_policy AS p INNER JOIN pg_class AS c ON c.oid = p.polrelid
WHERE c.relnamespace = 'capacity'::regnamespace AND p.polname <> c.relname || '_of_tenant'
UNION ALL
SELECT 'row-level security is not forced on capacity.' || c.relname
FROM pg_class AS c
WHERE c.relnamespace = 'capacity'::regnamespace AND NOT (c.relrowsecurity AND c.relforcerowsecurity)
    AND c.relname IN ('pool', 'claim', 'ledger', 'idempotency', 'checkpoint', 'seal', 'webhook', 'webhook_cursor')
UNION ALL
SELECT 'the index ' || i.name || ' is missing: what must be once may be twice'
FROM unnest(ARRAY[
    'pool_key', 'claim_key', 'ledger_key', 'idempotency_key', 'checkpoint_key', 'seal_key', 'claim_exclusive',
    'ledger_key_once', 'webhook_key', 'webhook_cursor_key'
]) AS i (name)
LEFT JOIN pg_index AS x ON x.indexrelid = to_regclass('capacity.' || i.name)
WHERE (x.indisunique AND x.indisvalid) IS NOT TRUE
UNION ALL
SELECT 'the check pool_within_quota is missing: the last line against overselling'
WHERE NOT EXISTS (
    SELECT FROM pg_constraint AS k
    WHERE k.connamespace = 'capacity'::regnamespace AND k.conname = 'pool_within_quota' AND k.convalidated
);

-- name: powers()
-- What the application role may do and should not, one sentence a row. To be asked as that role.
SELECT 'the role ' || current_user || ' may ' || p.power || ' entries of the ledger' AS problem
FROM unnest(ARRAY['UPDATE', 'DELETE', 'TRUNCATE']) AS p (power)
WHERE has_table_privilege('capacity.ledger', p.power)
UNION ALL
SELECT 'the role ' || current_user || ' may ' || p.power || ' seals'
FROM unnest(ARRAY['INSERT', 'UPDATE', 'DELETE', 'TRUNCATE']) AS p (power)
WHERE has_table_privilege('capacity.seal', p.power)
UNION ALL
SELECT 'the role ' || current_user || ' has no lock_timeout: one lock may hold up everybody'
WHERE current_setting('lock_timeout') = '0'
UNION ALL
SELECT 'the role ' || current_user || ' has no statement_timeout' WHERE current_setting('statement_timeout') = '0';

-- name: server_time()$
-- The server's clock.
SELECT clock_timestamp();

-- name: growth(tenant)^
-- How many entries a tenant's ledgers have, how many of the last day and week, and since when. Needs the tenant of the
-- transaction.
SELECT
    count(*) AS entries, count(*) FILTER (WHERE l.recorded_at > clock_timestamp() - interval '1 day') AS last_day,
    count(*) FILTER (WHERE l.recorded_at > clock_timestamp() - interval '7 days') AS last_week,
    min(l.recorded_at) AS oldest, max(l.recorded_at) AS newest
FROM capacity.ledger AS l
WHERE l.tenant_id = :tenant;
