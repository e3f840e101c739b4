-- Turns a verdict that changes something into ledger entries: none, one, or for a move one in each pool. What governs a
-- pool is an entry also where it moves no number. `part` numbers them within their request.
CREATE OR REPLACE FUNCTION capacity.record(
    v capacity.verdict, m capacity.command, at timestamptz, part integer
) RETURNS capacity.recorded
LANGUAGE plpgsql STABLE AS $$
DECLARE
    r capacity.recorded;
    posting capacity.posting;
    excess bigint := greatest(
        0, (v.pool).held::bigint + (v.pool).confirmed - (v.pool).quota - (v.pool).oversell_max);
BEGIN
    r.entries := '{}';
    -- Only a deliberate step goes past the limit; every other one may at most go back.
    v.pool.overbooked := CASE
        WHEN m.overbook OR m.verb = 'resize' THEN excess ELSE least((v.pool).overbooked, excess) END;
    IF m.verb = 'backfill' THEN
        m.effective_at := least(coalesce(m.effective_at, (v.claim).confirmed_at, (v.claim).since), at);
    END IF;
    IF m.verb IN ('resize', 'close', 'open')
        OR (v.quota_change, v.held_change, v.confirmed_change) <> (0, 0, 0) AND m.unledgered IS NOT TRUE THEN
        posting := capacity.post(v.pool, v, m, CASE
            WHEN m.verb = 'adjust' AND v.held_change + v.confirmed_change < 0 THEN m.other_reason
            ELSE m.reason END, at, part);
        v.pool := posting.pool;
        r.entries := ARRAY[posting.entry];
        IF m.verb = 'move' THEN
            v.held_change := -v.held_change;
            v.confirmed_change := -v.confirmed_change;
            posting := capacity.post(
                v.to_pool, v, m, m.other_reason, greatest(at, (v.to_pool).clock), part + 1);
            v.to_pool := posting.pool;
            r.entries := r.entries || posting.entry;
        END IF;
    END IF;
    IF m.verb <> 'touch' THEN       -- a heartbeat leaves the pool's row alone
        v.pool.clock := greatest(at, (v.pool).clock);
    END IF;
    r.verdict := v;
    RETURN r;
END $$;
