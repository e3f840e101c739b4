-- Commands to a pool itself: define, resize, close, open, and expire, which asks only that what is due be settled.
-- `refuse` moves nothing: a refusal found before the database was asked is final for its key like any other.
CREATE OR REPLACE FUNCTION capacity.decide_pool(
    v capacity.verdict, m capacity.command, at timestamptz
) RETURNS capacity.verdict
LANGUAGE plpgsql STABLE AS $$
DECLARE
    p capacity.pool := v.pool;
    quota bigint := CASE WHEN m.unlimited THEN NULL ELSE coalesce(m.quota, p.quota) END;
    oversell_max bigint := coalesce(m.oversell_max, p.oversell_max, 0);
    used bigint := p.held::bigint + p.confirmed;
BEGIN
    v.code := 'OK';
    IF m.verb = 'refuse' THEN
        v.code := 'REFUSED';
        v.detail := m.definition;
    ELSIF m.verb = 'define' AND p.id IS NOT NULL THEN
        v.code := CASE WHEN p.definition = m.definition THEN 'DONE' ELSE 'EXISTS' END;
    ELSIF p.id IS NULL AND m.verb <> 'define' THEN
        v.code := 'NOT_FOUND';
        v.detail := jsonb_build_object('missing', m.pool_id);
    ELSIF m.verb = 'define' THEN
        p.tenant_id := current_setting('capacity.tenant');
        p.id := m.pool_id;
        p.kind := m.kind;
        p.ref := substr(m.pool_id, length(m.kind) + 2);
        p.title := m.title;
        p.quota := quota;
        p.oversell_max := oversell_max;
        p.held := 0;
        p.confirmed := 0;
        p.overbooked := 0;
        p.version := 0;
        p.clock := at;
        p.ledger_quota := coalesce(quota, 0);
        p.ledger_held := 0;
        p.ledger_confirmed := 0;
        p.hash := capacity.opening_hash(p.id, quota::integer);
        p.opening_quota := quota;
        p.opened_at := coalesce(m.effective_at, at);
        p.opens_at := m.opens_at;
        p.closes_at := m.closes_at;
        p.parent_id := m.parent_id;
        p.facts := coalesce(m.pool_facts, '{}');
        p.waitlist := coalesce(m.waitlist, false);
        p.offer_seconds := m.offer_seconds;
        p.hold_seconds := m.hold_seconds;
        p.waiting := 0;
        p.offered := 0;
        p.last_place := 0;
        p.definition := m.definition;
    ELSIF m.verb = 'resize' THEN
        -- A shrink below use is legal when asked for; nothing is taken until there is room again.
        IF NOT coalesce(m.allow_below_use, false) AND (
            (quota < used AND quota < coalesce(p.quota, 2147483647))
            OR (quota + oversell_max < used AND quota + oversell_max < p.quota::bigint + p.oversell_max)
        ) THEN
            v.code := 'QUOTA_BELOW_USE';
            v.detail := jsonb_build_object('in_use', used, 'requested_quota', quota);
            RETURN v;
        ELSIF quota IS NOT DISTINCT FROM p.quota AND oversell_max = p.oversell_max THEN
            v.code := 'DONE';
        END IF;
        v.quota_change := coalesce(quota, 0) - coalesce(p.quota, 0);
        p.quota := quota;
        p.oversell_max := oversell_max;
    ELSIF m.verb = 'close' THEN
        v.code := CASE WHEN p.closed_at IS NULL THEN 'OK' ELSE 'DONE' END;
        p.closed_at := coalesce(p.closed_at, at);
    ELSIF m.verb = 'open' THEN
        v.code := CASE WHEN p.closed_at IS NULL THEN 'DONE' ELSE 'OK' END;
        p.closed_at := NULL;
    END IF;
    v.pool := p;
    RETURN v;
END $$;
