-- One outcome as the caller gets it: the verdict, the pool and the claim as they stand, the entries made. What had
-- been done already shows the entries of that time.
CREATE OR REPLACE FUNCTION capacity.outcome(
    p_tenant text, r capacity.recorded, m capacity.command, at timestamptz
) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$
DECLARE
    v capacity.verdict := r.verdict;
    pool capacity.pool := CASE WHEN v.code = 'OK' AND m.verb = 'move' THEN v.to_pool ELSE v.pool END;
    entries jsonb := '[]';
BEGIN
    IF v.code = 'OK' THEN
        entries := to_jsonb(r.entries);
    ELSIF v.code = 'DONE' AND m.claim_id IS NOT NULL THEN
        SELECT coalesce(jsonb_agg(to_jsonb(l) ORDER BY l.recorded_at, l.pool_id, l.version), '[]')
        INTO entries FROM capacity.ledger AS l
        WHERE l.tenant_id = p_tenant AND l.claim_id = m.claim_id AND l.reason IN (m.reason, m.other_reason);
    END IF;
    RETURN jsonb_build_object(
        'code', v.code, 'replayed', v.code = 'DONE', 'as_of', at, 'entries', entries,
        'pool', CASE WHEN pool.id IS NOT NULL THEN to_jsonb(pool) END,
        'claim', CASE WHEN (v.claim).id IS NOT NULL THEN to_jsonb(v.claim) END,
        'detail', coalesce(v.detail, '{}') || jsonb_build_object(
            'judged_version', pool.version,
            'overbooked_by', greatest(0, pool.held::bigint + pool.confirmed - pool.quota))
    );
END $$;
