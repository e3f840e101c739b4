-- Begins a read: sets the tenant, and says which pools have holds that are due. The reader settles those through
-- capacity.apply first, so that nobody reads a hold as alive after its time.
CREATE OR REPLACE FUNCTION capacity.open_snapshot(p_tenant text) RETURNS text[]
LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    PERFORM set_config('capacity.tenant', p_tenant, true);
    RETURN ARRAY(
        SELECT DISTINCT c.pool_id FROM capacity.claim AS c
        WHERE c.tenant_id = p_tenant AND c.state = 'held' AND c.expires_at <= now()
    );
END $$;
