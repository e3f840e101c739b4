-- A claim as JSON, with its place in the queue from 1 while it waits in one.
CREATE OR REPLACE FUNCTION capacity.claim_shown(c capacity.claim) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$
BEGIN
    IF c.state = 'waiting' THEN
        IF (SELECT p.waitlist FROM capacity.pool AS p WHERE p.tenant_id = c.tenant_id AND p.id = c.pool_id) THEN
            RETURN to_jsonb(c) || jsonb_build_object('position', (
                SELECT count(*) FROM capacity.claim AS w
                WHERE w.tenant_id = c.tenant_id AND w.pool_id = c.pool_id AND w.state = 'waiting'
                    AND (w.rank, w.place) <= (c.rank, c.place)
            ));
        END IF;
    END IF;
    RETURN to_jsonb(c);
END $$;
