-- How a command moves the capacity of its claim. `n` is how many the claim is to have afterwards; the quota
-- check applies to growth only (rule 9).
CREATE OR REPLACE FUNCTION capacity.decide_claim(
    v capacity.verdict, m capacity.command, n bigint, at timestamptz
) RETURNS capacity.verdict
LANGUAGE plpgsql STABLE AS $$
DECLARE
    p capacity.pool := v.pool;
    c capacity.claim := v.claim;
    into_pool capacity.pool := CASE WHEN m.verb = 'move' THEN v.to_pool ELSE v.pool END;
    had integer := CASE WHEN c.state IN ('held', 'confirmed') THEN c.quantity ELSE 0 END;
    held_before integer := CASE WHEN c.state = 'held' THEN c.quantity ELSE 0 END;
    growth bigint;
    missing record;
    refusal capacity.verdict;
BEGIN
    v.quota_change := 0;
    v.held_change := 0;
    v.confirmed_change := 0;
    v.code := 'OK';
    IF m.verb = 'backfill' THEN
        SELECT held_before - coalesce(sum(l.held_change), 0) AS held,
            had - held_before - coalesce(sum(l.confirmed_change), 0) AS confirmed
        INTO missing FROM capacity.ledger AS l WHERE l.tenant_id = p.tenant_id AND l.claim_id = c.id;
        v.held_change := missing.held;
        v.confirmed_change := missing.confirmed;
        v.code := CASE WHEN missing.held = 0 AND missing.confirmed = 0 THEN 'DONE' ELSE 'OK' END;
        RETURN v;
    END IF;

    -- A waiting claim has nothing yet; a wait, a stage or the move or release of one takes nothing.
    growth := CASE
        WHEN m.verb IN ('wait', 'stage') OR (c.state = 'waiting' AND m.verb NOT IN ('hold', 'take')) THEN 0
        WHEN m.verb = 'move' THEN c.quantity
        ELSE n - had END;
    IF n < 0 OR (m.verb = 'confirm' AND n > had) OR (m.verb = 'adjust' AND growth > 0 AND m.reason IS NULL)
        OR (growth < 0 AND -growth > CASE c.state WHEN 'held' THEN p.held ELSE p.confirmed END) THEN
        v.code := 'EXCEEDS_CLAIM';
        v.detail := jsonb_build_object('requested', coalesce(m.quantity, had), 'refundable',
            least(had, CASE c.state WHEN 'held' THEN p.held ELSE p.confirmed END));
        RETURN v;
    ELSIF growth > 0 OR m.verb IN ('wait', 'move') THEN
        refusal := capacity.refuse_growth(v, into_pool, growth, m.overbook);
        IF refusal.code <> 'OK' THEN
            RETURN refusal;
        END IF;
    END IF;

    IF m.verb = 'wait' THEN
        c.state := 'waiting';
    ELSIF m.verb = 'hold' THEN
        c.state := 'held';
        c.expires_at := at + make_interval(secs => m.ttl_seconds);
    ELSIF m.verb IN ('take', 'confirm') THEN
        c.state := 'confirmed';
        c.expires_at := NULL;
    ELSIF m.verb = 'release' AND m.quantity IS NULL THEN
        c.state := 'released';
    ELSIF m.verb = 'move' THEN
        c.pool_id := m.to_pool_id;
    END IF;
    IF m.verb NOT IN ('stage', 'move') THEN
        c.quantity := n;
    END IF;
    IF m.verb = 'move' THEN         -- what leaves here arrives there: apply posts the second entry
        v.held_change := -held_before;
        v.confirmed_change := -(had - held_before);
        v.to_pool.held := (v.to_pool).held + held_before;
        v.to_pool.confirmed := (v.to_pool).confirmed + had - held_before;
    ELSE
        v.held_change := CASE WHEN c.state = 'held' THEN c.quantity ELSE 0 END - held_before;
        v.confirmed_change := CASE WHEN c.state = 'confirmed' THEN c.quantity ELSE 0 END - (had - held_before);
    END IF;
    p.held := p.held + v.held_change;
    p.confirmed := p.confirmed + v.confirmed_change;
    v.pool := p;
    v.claim := c;
    RETURN v;
END $$;
