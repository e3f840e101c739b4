-- The stored answers to a key again, one for each command of the request: the same code, numbers and entries; pool and
-- claim as they are now, as this batch leaves them. With another fingerprint it is a conflict. What is looked up stands in
-- a variable each: row-level security keeps an expression such as ->> out of an index condition, and the whole tenant
-- would be read (measured: 100,000 rows for one replay).
CREATE OR REPLACE FUNCTION capacity.replay(
    p_tenant text, answer capacity.idempotency, request capacity.command[], pools capacity.pool[], now timestamptz
) RETURNS jsonb[]
LANGUAGE plpgsql STABLE AS $$
DECLARE
    outcomes jsonb[] := '{}';
    stored jsonb;
    pool_id text;
    claim_id text;
    pool jsonb;
    claim jsonb;
BEGIN
    FOR n IN 1 .. cardinality(request) LOOP
        IF answer.fingerprint <> (request[n]).fingerprint THEN
            outcomes := outcomes || jsonb_build_object(
                'code', 'CONFLICT', 'replayed', false, 'as_of', now, 'entries', '[]'::jsonb, 'pool', NULL, 'claim', NULL,
                'detail', jsonb_build_object('first_seen_at', answer.created_at));
            CONTINUE;
        END IF;
        -- A command that the first request did not have has nothing of its own to say.
        stored := coalesce(answer.outcomes -> (n - 1), '{"code": "LINKED"}');
        pool_id := stored ->> 'pool_id';
        claim_id := stored ->> 'claim_id';
        SELECT coalesce(
            (SELECT to_jsonb(p) FROM unnest(pools) AS p WHERE p.id = pool_id),
            (SELECT to_jsonb(p) FROM capacity.pool AS p WHERE p.tenant_id = p_tenant AND p.id = pool_id)
        ) INTO pool;
        SELECT (
            SELECT capacity.claim_shown(c) FROM capacity.claim AS c WHERE c.tenant_id = p_tenant AND c.id = claim_id
        ) INTO claim;
        outcomes := outcomes || jsonb_build_object(
            'code', stored -> 'code', 'replayed', true, 'as_of', now, 'detail', stored -> 'detail',
            'pool', pool, 'claim', claim,
            'entries', capacity.entries_at(p_tenant, stored -> 'pool_ids', stored -> 'versions'));
    END LOOP;
    RETURN outcomes;
END $$;
