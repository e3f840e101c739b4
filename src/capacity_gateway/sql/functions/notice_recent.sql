-- Marks what webhooks are to be told of the pools that have changed in the last ten seconds, over all tenants: no entry takes
-- longer to be committed. Should a clock make that untrue, notice_page finds it. The tenant is set for one after the other,
-- so that row-level security holds here as well.
CREATE OR REPLACE FUNCTION capacity.notice_recent() RETURNS void
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    t capacity.tenant;
BEGIN
    FOR t IN SELECT * FROM capacity.tenant LOOP
        PERFORM set_config('capacity.tenant', t.id, true);
        IF EXISTS (SELECT FROM capacity.webhook AS w WHERE w.tenant_id = t.id) THEN
            PERFORM capacity.notice(t.id, ARRAY(
                SELECT DISTINCT l.pool_id FROM capacity.ledger AS l
                WHERE l.tenant_id = t.id AND l.recorded_at > now() - interval '10 s'
            ));
        END IF;
    END LOOP;
END $$;
