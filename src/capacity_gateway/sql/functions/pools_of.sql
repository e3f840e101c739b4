-- The ids of all pools that a batch touches: those it names, and those of the claims it names as they are before
-- the lock. Should a claim move between this read and the lock, apply notices and the batch is sent again.
CREATE OR REPLACE FUNCTION capacity.pools_of(p_tenant text, batch capacity.command[]) RETURNS text[]
LANGUAGE sql STABLE AS $$
    SELECT array_agg(DISTINCT id) FROM (
        SELECT pool_id AS id FROM unnest(batch)
        UNION ALL
        SELECT to_pool_id FROM unnest(batch)
        UNION ALL
        SELECT pool_id FROM capacity.claim
        WHERE tenant_id = p_tenant AND id IN (SELECT claim_id FROM unnest(batch))
    ) AS named
    WHERE id IS NOT NULL
$$;
