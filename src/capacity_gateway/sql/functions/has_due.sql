-- Has a pool holds that had run out when this transaction began?
CREATE OR REPLACE FUNCTION capacity.has_due(p capacity.pool) RETURNS boolean
LANGUAGE sql STABLE AS $$
    SELECT p.held > 0 AND EXISTS (
        SELECT FROM capacity.claim AS c
        WHERE c.tenant_id = p.tenant_id AND c.pool_id = p.id AND c.state = 'held' AND c.expires_at <= now()
    )
$$;
