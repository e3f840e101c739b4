-- What the holder of a command has in force of its kind outside of the pool that it names.
CREATE OR REPLACE FUNCTION capacity.elsewhere(p_tenant text, m capacity.command) RETURNS SETOF capacity.claim
LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN QUERY SELECT c.* FROM capacity.claim AS c
    WHERE c.tenant_id = p_tenant AND c.holder = m.holder AND starts_with(c.pool_id, m.kind || ':')
        AND c.pool_id <> m.outside_pool_id AND (c.state = 'confirmed' OR c.state = 'held' AND NOT c.offered);
END $$;
