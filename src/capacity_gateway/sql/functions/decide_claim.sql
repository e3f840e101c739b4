-- How a command moves the capacity of its claim. `n` is how many the claim is to have afterwards; the quota
-- check applies to growth only (rule 9).
CREATE OR REPLACE FUNCTION capacity.decide_claim(
    v capacity.verdict, m capacity.command, n bigint, at timestamptz
) RETURNS capacity.verdict
LANGUAGE plpgsql STABLE AS $$
DECLARE
    c capacity.claim := v.claim;
    had CONSTANT integer := CASE WHEN c.state IN ('held', 'confirmed') THEN c.quantity ELSE 0 END;
    held_before CONSTANT integer := CASE WHEN c.state = 'held' THEN c.quantity ELSE 0 END;
    counted CONSTANT integer := CASE c.state WHEN 'held' THEN (v.pool).held ELSE (v.pool).confirmed END;
    -- A waiting claim has nothing yet; to wait takes nothing, nor does moving or releasing one that waits.
    growth CONSTANT bigint := CASE
        WHEN m.verb IN ('wait', 'stage') OR (c.state = 'waiting' AND m.verb NOT IN ('hold', 'take')) THEN 0
        WHEN m.verb = 'move' THEN c.quantity
        ELSE n - had END;
    refusal capacity.verdict;
BEGIN
    IF m.verb = 'backfill' THEN
        RETURN capacity.decide_backfill(v, held_before, had - held_before);
    ELSIF n < 0 OR m.quantity < 0 AND m.verb = 'release' OR n > 2147483647 AND growth = 0 OR (m.verb = 'confirm' AND n > had) OR (m.verb = 'adjust' AND growth > 0 AND m.reason IS NULL)
        OR (growth < 0 AND -growth > counted) THEN
        v.code := 'EXCEEDS_CLAIM';
        v.detail := jsonb_build_object(
            'requested', least(2147483647, coalesce(m.quantity, had)), 'refundable', least(had, counted));
        RETURN v;
    ELSIF growth > 0 OR m.verb IN ('wait', 'move') THEN
        refusal := capacity.refuse_growth(
            v, CASE WHEN m.verb = 'move' THEN v.to_pool ELSE v.pool END, growth, m);
        IF refusal.code = 'INSUFFICIENT' AND m.or_wait AND (v.pool).waitlist
            AND n <= greatest(1, (v.pool).quota::bigint + (v.pool).oversell_max) THEN
            m.verb := 'wait';
        ELSIF refusal.code <> 'OK' THEN
            RETURN refusal;
        END IF;
    END IF;

    IF m.verb NOT IN ('stage', 'move', 'touch') THEN
        c.quantity := n;
        -- Of an offer a part may be given back; it is still one.
        c.offered := m.verb = 'hold' AND m.reason IS NOT DISTINCT FROM 'OFFER'
            OR c.offered AND (m.verb = 'adjust' OR m.verb = 'release' AND m.quantity IS NOT NULL);
    END IF;
    IF m.verb = 'wait' THEN
        c.state := 'waiting';
    ELSIF m.verb IN ('hold', 'touch') THEN
        c.state := 'held';
        c.expires_at := at + make_interval(secs => coalesce(m.ttl_seconds, (v.pool).hold_seconds));
    ELSIF m.verb IN ('take', 'confirm') THEN
        c.state := 'confirmed';
        c.expires_at := NULL;
    ELSIF m.verb = 'release' AND m.quantity IS NULL THEN
        c.state := 'released';
    ELSIF m.verb = 'move' THEN      -- what leaves here arrives there: record posts the second entry
        c.pool_id := m.to_pool_id;
        v.held_change := -held_before;
        v.confirmed_change := -(had - held_before);
        v.to_pool.held := (v.to_pool).held + held_before;
        v.to_pool.confirmed := (v.to_pool).confirmed + had - held_before;
    END IF;
    IF m.verb <> 'move' THEN
        v.held_change := CASE WHEN c.state = 'held' THEN c.quantity ELSE 0 END - held_before;
        v.confirmed_change := CASE WHEN c.state = 'confirmed' THEN c.quantity ELSE 0 END - (had - held_before);
    END IF;
    v.pool.held := (v.pool).held + v.held_change;
    v.pool.confirmed := (v.pool).confirmed + v.confirmed_change;
    v.claim := c;
    RETURN v;
END $$;
