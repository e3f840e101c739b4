-- name: take_broom()$
-- Is this gateway the one to sweep? The lock goes with the transaction.
SELECT pg_try_advisory_xact_lock(hashtextextended('capacity.sweeper', 0));

-- name: tenants()
-- All tenants.
SELECT t.id FROM capacity.tenant AS t ORDER BY t.id;

-- name: forget_answers(tenant, days)$
-- Deletes a thousand answers that are older than so many days; says how many it were.
WITH old AS (
    DELETE FROM capacity.idempotency AS i
    WHERE i.tenant_id = :tenant AND (i.operation, i.key) IN (
        SELECT o.operation, o.key FROM capacity.idempotency AS o
        WHERE o.tenant_id = :tenant AND o.created_at < clock_timestamp() - make_interval(days => :days)
        ORDER BY o.created_at
        LIMIT 1000
    )
    RETURNING 1
)
SELECT count(*) FROM old;
