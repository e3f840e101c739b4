-- The webhooks that are to be told something, that nobody is delivering to, and whose next attempt is due, over all tenants.
-- The tenant is set for one after the other, so that row-level security holds here as well.
CREATE OR REPLACE FUNCTION capacity.due_webhooks() RETURNS TABLE (tenant text, id text, next_attempt_at timestamptz)
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    t capacity.tenant;
BEGIN
    FOR t IN SELECT * FROM capacity.tenant LOOP
        PERFORM set_config('capacity.tenant', t.id, true);
        RETURN QUERY
        SELECT w.tenant_id, w.id, w.next_attempt_at FROM capacity.webhook AS w
        WHERE w.tenant_id = t.id AND w.disabled_at IS NULL AND w.next_attempt_at <= now() AND w.leased_until <= now()
            AND EXISTS (
                SELECT FROM capacity.webhook_cursor AS c
                WHERE c.tenant_id = t.id AND c.webhook_id = w.id AND c.pending
            );
    END LOOP;
END $$;
