-- name: take_broom(tenant)$
-- Is this gateway the one to sweep a tenant? The lock goes with the transaction.
SELECT pg_try_advisory_xact_lock(hashtextextended('capacity.sweeper' || E'\n' || :tenant, 0));

-- name: tenants()
-- All tenants.
SELECT t.id FROM capacity.tenant AS t ORDER BY t.id;

-- name: forget_refusals(tenant, days)$
-- Deletes a thousand refusals that are older than so many days; says how many it were. Whatever has been done stays: its
-- key is applied once, for ever, and answers as the first time.
WITH old AS (
    DELETE FROM capacity.idempotency AS i
    WHERE i.tenant_id = :tenant AND (i.operation, i.key) IN (
        SELECT o.operation, o.key FROM capacity.idempotency AS o
        WHERE o.tenant_id = :tenant AND o.created_at < clock_timestamp() - make_interval(days => :days)
            AND NOT o.outcomes @? '$[*] ? (@.code == "OK" || @.code == "DONE")'
        ORDER BY o.created_at
        LIMIT 1000
    )
    RETURNING 1
)
SELECT count(*) FROM old;

-- name: unverified(tenant, entries)
-- The pools with so many entries after their checkpoint. Needs the tenant of the transaction.
SELECT p.id FROM capacity.pool AS p
LEFT JOIN capacity.checkpoint AS k ON k.tenant_id = p.tenant_id AND k.pool_id = p.id
WHERE p.tenant_id = :tenant AND p.version - coalesce(k.version, 0) >= :entries
ORDER BY p.id;

-- name: advance_checkpoint(tenant, pool, entries)$
-- Verifies the next so many entries of a pool; says how many they were, null where something is wrong.
SELECT capacity.advance_checkpoint(:tenant, :pool, :entries);
