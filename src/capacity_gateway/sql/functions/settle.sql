-- Rule 5: holds that are due in the pools at hand end here, before anything is decided, so that expiry is exact
-- even when no sweeper runs; and who waits is offered what came free. An expiry counts from its expires_at, never
-- backwards within the pool.
CREATE OR REPLACE FUNCTION capacity.settle(
    p_tenant text, p_now timestamptz, INOUT pools capacity.pool[], OUT entries capacity.ledger[]
)
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    due record;
    v capacity.verdict;
    m capacity.command;
    posting capacity.posting;
    offers record;
BEGIN
    entries := '{}';
    FOR due IN
        -- A subquery for each pool, or all its holds were read while the table had no statistics (measured: 1,000 blocks
        -- for 12,500 holds).
        SELECT d.claim, nth, (pools[nth]).clock
        FROM generate_subscripts(pools, 1) AS nth
        CROSS JOIN LATERAL (
            SELECT c AS claim FROM capacity.claim AS c
            WHERE c.tenant_id = p_tenant AND c.pool_id = (pools[nth]).id AND c.state = 'held'
                AND c.expires_at <= greatest(p_now, (pools[nth]).clock)
            OFFSET 0
        ) AS d
        ORDER BY (d.claim).expires_at, (d.claim).id
    LOOP
        v.pool := pools[due.nth];
        v.pool.held := (v.pool).held - (due.claim).quantity;
        v.pool.offered := (v.pool).offered - (due.claim).offered::integer;
        v.claim := due.claim;
        v.quota_change := 0;
        v.held_change := -(due.claim).quantity;
        v.confirmed_change := 0;
        m.effective_at := greatest((due.claim).expires_at, due.clock);
        IF (due.claim).quantity > 0 THEN
            posting := capacity.post(v.pool, v, m, 'EXPIRY', greatest(p_now, due.clock), NULL);
            v.pool := posting.pool;
            entries := entries || posting.entry;
        END IF;
        pools[due.nth] := v.pool;
        UPDATE capacity.claim SET state = 'expired', quantity = 0, since = m.effective_at
        WHERE tenant_id = p_tenant AND id = (due.claim).id;
    END LOOP;
    FOR nth IN 1 .. cardinality(pools) LOOP
        IF (pools[nth]).waitlist AND (pools[nth]).waiting > 0 THEN
            offers := capacity.offer(p_tenant, pools[nth], greatest(p_now, (pools[nth]).clock));
            pools[nth] := offers.p;
            entries := entries || offers.made;
        END IF;
    END LOOP;
END $$;
