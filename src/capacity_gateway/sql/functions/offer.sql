-- Offers what is free in a pool to who waits, in order: by rank, and within a rank first come, first served. The first
-- in line is never passed, so a group that waits for several places cannot starve; only one that is larger than the
-- whole pool is. An offer is a hold: the place is out of what is available until it is taken up, declined or run out.
CREATE OR REPLACE FUNCTION capacity.offer(
    p_tenant text, INOUT p capacity.pool, at timestamptz, OUT made capacity.ledger[]
)
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    c capacity.claim;
    v capacity.verdict;
    m capacity.command;
    r capacity.recorded;
BEGIN
    made := '{}';
    m.verb := 'hold';
    m.reason := 'OFFER';
    m.ttl_seconds := p.offer_seconds;
    WHILE p.waiting > 0 LOOP
        SELECT * INTO c FROM capacity.claim AS w
        WHERE w.tenant_id = p_tenant AND w.pool_id = p.id AND w.state = 'waiting'
            AND (p.quota IS NULL OR w.quantity <= p.quota::bigint + p.oversell_max)
        ORDER BY w.rank, w.place
        LIMIT 1;
        EXIT WHEN c.id IS NULL;
        v := NULL;
        v.code := 'OK';
        v.pool := p;
        v.claim := c;
        v.quota_change := 0;
        v := capacity.decide_claim(v, m, c.quantity, at);
        EXIT WHEN v.code <> 'OK';
        v := capacity.mark_claim(v, c, m, at);
        r := capacity.record(v, m, at, NULL);
        p := (r.verdict).pool;
        made := made || r.entries;
        PERFORM capacity.write_claims('{}', ARRAY[(r.verdict).claim]);
    END LOOP;
END $$;
