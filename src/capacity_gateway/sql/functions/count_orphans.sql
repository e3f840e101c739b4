-- How many claims hold capacity with no ledger entry at all behind them, a row for each tenant and kind. It looks up
-- every live claim, so it is for once an hour.
CREATE OR REPLACE FUNCTION capacity.count_orphans() RETURNS TABLE (kind text, orphans bigint)
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    t capacity.tenant;
BEGIN
    FOR t IN SELECT * FROM capacity.tenant LOOP
        PERFORM set_config('capacity.tenant', t.id, true);
        RETURN QUERY
        SELECT p.kind, coalesce(sum(o.orphans), 0)::bigint
        FROM capacity.pool AS p
        CROSS JOIN LATERAL (
            SELECT count(*) AS orphans FROM capacity.claim AS c
            WHERE c.tenant_id = t.id AND c.pool_id = p.id AND c.state IN ('held', 'confirmed') AND c.quantity > 0
                AND NOT EXISTS (
                    SELECT FROM capacity.ledger AS l WHERE l.tenant_id = t.id AND l.claim_id = c.id
                )
        ) AS o
        WHERE p.tenant_id = t.id
        GROUP BY p.kind;
    END LOOP;
END $$;
