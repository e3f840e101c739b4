-- A repair that is asked for through the gateway: one command in, one outcome out, as of capacity.apply, and once for its
-- key. The gateway's role may not seal, so where that is needed nothing is done.
CREATE OR REPLACE FUNCTION capacity.repair_asked(p_tenant text, p_commands jsonb) RETURNS TABLE (outcome jsonb)
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    m CONSTANT capacity.command := (capacity.read_commands(p_commands, false))[1];
    now timestamptz;
    seen capacity.idempotency;
    entries jsonb := '[]';
    code text;
    p capacity.pool;
BEGIN
    PERFORM capacity.enter_tenant(p_tenant);
    PERFORM capacity.lock_pools(p_tenant, ARRAY[m.pool_id]);
    now := clock_timestamp();
    seen := (capacity.recall(p_tenant, ARRAY[m]))[1];
    IF seen.key IS NOT NULL THEN
        RETURN QUERY SELECT unnest(capacity.replay(p_tenant, seen, ARRAY[m], '{}', now));
        RETURN;
    END IF;
    BEGIN
        entries := capacity.repair(p_tenant, m.pool_id, true, m) -> 'entries';
        code := CASE WHEN entries = '[]' THEN 'DONE' ELSE 'OK' END;
    EXCEPTION WHEN insufficient_privilege THEN
        code := 'BROKEN';
    END;
    SELECT * INTO p FROM capacity.pool AS n WHERE n.tenant_id = p_tenant AND n.id = m.pool_id;
    outcome := jsonb_build_object(
        'code', code, 'replayed', code = 'DONE', 'as_of', greatest(now, p.clock), 'entries', entries, 'detail', '{}'::jsonb,
        'pool', to_jsonb(p), 'claim', NULL);
    IF m.key IS NOT NULL THEN
        INSERT INTO capacity.idempotency SELECT (capacity.answer(p_tenant, m, ARRAY[outcome], now)).*;
    END IF;
    RETURN NEXT;
END $$;
