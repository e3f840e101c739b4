-- The entries with these versions in these pools, in that order.
CREATE OR REPLACE FUNCTION capacity.entries_at(p_tenant text, pool_ids jsonb, versions jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$
DECLARE
    entries jsonb := '[]';
    p_pool text;
    p_version integer;
BEGIN
    FOR n IN 0 .. coalesce(jsonb_array_length(versions), 0) - 1 LOOP
        p_pool := pool_ids ->> n;
        p_version := versions -> n;
        entries := entries || (
            SELECT to_jsonb(l) FROM capacity.ledger AS l
            WHERE l.tenant_id = p_tenant AND l.pool_id = p_pool AND l.version = p_version
        );
    END LOOP;
    RETURN entries;
END $$;
