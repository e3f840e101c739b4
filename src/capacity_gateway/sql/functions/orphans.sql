-- The claims of a pool that have more than its ledger explains, of those that are newer than a checkpoint or have
-- entries after it, up to a version and its time; in the order they came, each with what is missing. A subquery for each
-- claim, with nothing but its key in it, pins the plans (measured: 50 s for 10,000 entries where the pool stood beside it,
-- before the tables had statistics).
CREATE OR REPLACE FUNCTION capacity.orphans(
    p capacity.pool, since capacity.checkpoint, upto integer, until timestamptz
) RETURNS TABLE (claim capacity.claim, missing bigint)
LANGUAGE sql STABLE AS $$
    WITH near AS MATERIALIZED (
        SELECT n.id FROM capacity.claim AS n
        WHERE n.tenant_id = p.tenant_id AND n.pool_id = p.id
            AND n.created_at >= since.recorded_at AND n.created_at <= until
        UNION
        SELECT l.claim_id FROM capacity.ledger AS l
        WHERE l.tenant_id = p.tenant_id AND l.pool_id = p.id AND l.version > since.version AND l.version <= upto
    ), claims AS MATERIALIZED (
        SELECT
            (SELECT c FROM capacity.claim AS c WHERE c.tenant_id = p.tenant_id AND c.id = near.id) AS claim,
            (
                SELECT coalesce(sum(l.held_change + l.confirmed_change) FILTER (WHERE l.pool_id = p.id), 0)
                FROM capacity.ledger AS l WHERE l.tenant_id = p.tenant_id AND l.claim_id = near.id
            ) AS explained
        FROM near
    )
    SELECT claims.claim, (claims.claim).quantity - claims.explained
    FROM claims
    WHERE (claims.claim).pool_id = p.id AND (claims.claim).state IN ('held', 'confirmed')
        AND (claims.claim).quantity > claims.explained
    ORDER BY (claims.claim).created_at, (claims.claim).id
$$;
