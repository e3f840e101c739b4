-- What a batch locks. The ids of all pools that it touches: those it names; that of the live claim with its exclusive
-- word, whose hold may be due; where it names only a claim, that claim's pool as it is before the lock; and where a
-- holder is to be in one pool only, those that he is in, and a word that stands for any that he may be entering now.
-- Should a claim move or be made between this read and the lock, load_claims notices. Here and in the other look-ups a
-- subquery for each command pins the plan to the key; as a join, planned while the tables were small, it read the whole
-- tenant for every batch (measured: 40 times as long at 4,000 rows).
CREATE OR REPLACE FUNCTION capacity.pools_of(p_tenant text, batch capacity.command[]) RETURNS text[]
LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN ARRAY(
        SELECT coalesce((batch[n]).pool_id, (
            SELECT c.pool_id FROM capacity.claim AS c
            WHERE c.tenant_id = p_tenant AND c.id = (batch[n]).claim_id
        ))
        FROM generate_subscripts(batch, 1) AS n
        UNION
        SELECT (
            SELECT c.pool_id FROM capacity.claim AS c
            WHERE c.tenant_id = p_tenant AND c.exclusive = (batch[n]).exclusive
                AND c.state IN ('waiting', 'held', 'confirmed')
        )
        FROM generate_subscripts(batch, 1) AS n
        UNION
        SELECT (batch[n]).to_pool_id FROM generate_subscripts(batch, 1) AS n
        UNION
        SELECT e.pool_id
        FROM generate_subscripts(batch, 1) AS n
        CROSS JOIN LATERAL capacity.elsewhere(p_tenant, batch[n]) AS e
        WHERE (batch[n]).outside_pool_id IS NOT NULL
        UNION
        SELECT (batch[n]).kind || E'\n' || (batch[n]).holder FROM generate_subscripts(batch, 1) AS n
        WHERE (batch[n]).outside_pool_id IS NOT NULL
        EXCEPT
        SELECT NULL
    );
END $$;
