-- Rule 5: holds that are due in the pools at hand end here, before anything is decided, so that expiry is exact
-- even when no sweeper runs. An expiry counts from its expires_at, never backwards within the pool.
CREATE OR REPLACE FUNCTION capacity.settle(
    p_tenant text, p_now timestamptz, INOUT pools capacity.pool[], INOUT entries capacity.ledger[]
)
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    due record;
    v capacity.verdict;
    m capacity.command;
    posting capacity.posting;
BEGIN
    FOR due IN
        SELECT c AS claim, position, (pools[position]).clock
        FROM generate_subscripts(pools, 1) AS position
        INNER JOIN capacity.claim AS c
            ON c.tenant_id = p_tenant AND c.pool_id = (pools[position]).id AND c.state = 'held'
            AND c.expires_at <= greatest(p_now, (pools[position]).clock)
        ORDER BY c.expires_at, c.id
    LOOP
        v.pool := pools[due.position];
        v.pool.held := (v.pool).held - (due.claim).quantity;
        v.claim := due.claim;
        v.quota_change := 0;
        v.held_change := -(due.claim).quantity;
        v.confirmed_change := 0;
        m.effective_at := greatest((due.claim).expires_at, due.clock);
        posting := capacity.post(v.pool, v, m, 'EXPIRY', greatest(p_now, due.clock), NULL);
        pools[due.position] := posting.pool;
        entries := entries || posting.entry;
        UPDATE capacity.claim SET state = 'expired', quantity = 0, since = m.effective_at
        WHERE tenant_id = p_tenant AND id = (due.claim).id;
    END LOOP;
END $$;
