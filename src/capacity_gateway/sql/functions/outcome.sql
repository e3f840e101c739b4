-- One outcome as the caller gets it: the verdict, the pool and the claim as they stand, the entries made. What had
-- been done already shows the entries of that time; who waits is told his place. `state` is what the command made of its
-- claim, whatever has become of it since.
CREATE OR REPLACE FUNCTION capacity.outcome(
    p_tenant text, r capacity.recorded, pool capacity.pool, m capacity.command, now timestamptz
) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$
DECLARE
    v CONSTANT capacity.verdict := r.verdict;
    c capacity.claim := v.claim;
    entries jsonb := '[]';
    detail jsonb := coalesce(v.detail, '{}') || jsonb_build_object(
        'judged_version', pool.version, 'state', c.state,
        'overbooked_by', greatest(0, pool.held::bigint + pool.confirmed - pool.quota));
BEGIN
    IF v.code = 'OK' THEN
        entries := to_jsonb(r.entries);
    ELSIF v.code = 'DONE' THEN
        entries := capacity.entries_of(p_tenant, c.id, m);
    END IF;
    IF pool.waitlist AND c.id IS NOT NULL THEN  -- an offer may have been made to it meanwhile
        SELECT * INTO c FROM capacity.claim AS n WHERE n.tenant_id = p_tenant AND n.id = c.id;
    END IF;
    RETURN jsonb_build_object(
        'code', v.code, 'replayed', v.code = 'DONE', 'as_of', greatest(now, pool.clock), 'entries', entries, 'detail', detail,
        'pool', CASE WHEN pool.id IS NOT NULL THEN to_jsonb(pool) END,
        'claim', CASE WHEN c.id IS NOT NULL THEN capacity.claim_shown(c) END
    );
END $$;
