-- What a request of commands would do: it is done by capacity.apply under the same locks, looked at, and undone, all in
-- one statement, so that the lock is held no longer than for the change itself. The undoing is the rollback of a
-- subtransaction, so nothing is left of it: no version, no clock, no claim, no entry, no lock. Of each pool it shows how
-- it was and would be, and at most `p_size` of the entries, of the offers and of those who would wait, the next first.
CREATE OR REPLACE FUNCTION capacity.what_if(p_tenant text, p_commands jsonb, p_size integer)
RETURNS jsonb
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    named CONSTANT text[] := ARRAY(
        SELECT c.command ->> 'pool_id' FROM jsonb_array_elements(p_commands) WITH ORDINALITY AS c (command, position)
        ORDER BY c.position
    );
    ids text[];
    before capacity.pool[];
    outcomes jsonb;
    shown jsonb;
BEGIN
    BEGIN
        PERFORM capacity.enter_tenant(p_tenant);
        ids := capacity.pools_of(p_tenant, capacity.read_commands(p_commands, false));
        PERFORM capacity.lock_pools(p_tenant, ids);
        before := ARRAY(SELECT p FROM capacity.pool AS p WHERE p.tenant_id = p_tenant AND p.id = ANY (ids));
        outcomes := (SELECT jsonb_agg(a.outcome) FROM capacity.apply(p_tenant, p_commands) AS a);
        shown := (
            SELECT jsonb_agg(jsonb_build_object(
                'before', to_jsonb(b),
                'after', to_jsonb(p),
                'entries', ARRAY(
                    SELECT to_jsonb(l) || jsonb_build_object('subject_title', c.title)
                    FROM capacity.ledger AS l
                    LEFT JOIN capacity.claim AS c ON c.tenant_id = l.tenant_id AND c.id = l.claim_id
                    WHERE l.tenant_id = p_tenant AND l.pool_id = p.id AND l.version > b.version
                    ORDER BY l.version
                    LIMIT p_size
                ),
                'offers', ARRAY(
                    SELECT capacity.claim_shown(c)
                    FROM capacity.ledger AS l
                    INNER JOIN capacity.claim AS c ON c.tenant_id = l.tenant_id AND c.id = l.claim_id
                    WHERE l.tenant_id = p_tenant AND l.pool_id = p.id AND l.version > b.version AND l.reason = 'OFFER'
                    ORDER BY l.version
                    LIMIT p_size
                ),
                'waiting', ARRAY(
                    SELECT capacity.claim_shown(c)
                    FROM capacity.claim AS c
                    WHERE c.tenant_id = p_tenant AND c.pool_id = p.id AND c.state = 'waiting'
                    ORDER BY c.rank, c.place
                    LIMIT p_size
                )
            ) ORDER BY array_position(named, p.id))
            FROM unnest(before) AS b
            INNER JOIN capacity.pool AS p ON p.tenant_id = b.tenant_id AND p.id = b.id
        );
        RAISE EXCEPTION 'only looked at' USING ERRCODE = 'CP000';
    EXCEPTION WHEN SQLSTATE 'CP000' THEN
        RETURN jsonb_build_object('outcomes', outcomes, 'pools', shown);
    END;
END $$;
