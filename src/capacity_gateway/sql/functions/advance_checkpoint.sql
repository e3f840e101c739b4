-- Verifies the next so many entries of a pool's ledger and moves its checkpoint behind them; says how many they were.
-- Where anything is wrong the checkpoint stays, so that reconcile finds it every time, and the answer is null.
CREATE OR REPLACE FUNCTION capacity.advance_checkpoint(p_tenant text, p_pool text, p_entries integer) RETURNS integer
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    p capacity.pool;
    since capacity.checkpoint;
    till capacity.ledger;           -- the last entry of these
    sums record;
BEGIN
    PERFORM set_config('capacity.tenant', p_tenant, true);
    SELECT * INTO p FROM capacity.pool WHERE tenant_id = p_tenant AND id = p_pool;
    SELECT * INTO since FROM capacity.checkpoint WHERE tenant_id = p_tenant AND pool_id = p_pool;
    IF NOT FOUND THEN
        since := capacity.first_checkpoint(p, capacity.last_seal(p));
    END IF;
    SELECT * INTO till FROM capacity.ledger
    WHERE tenant_id = p_tenant AND pool_id = p_pool AND version > since.version
        AND version <= least(since.version + p_entries, p.version)
    ORDER BY version DESC LIMIT 1;
    IF NOT FOUND THEN
        RETURN 0;
    END IF;
    SELECT * INTO sums FROM capacity.verify(p, since, till.version);
    IF sums.faults <> '[]'
        OR EXISTS (SELECT FROM capacity.orphans(p, since, till.version, till.recorded_at)) THEN
        RETURN NULL;
    END IF;
    INSERT INTO capacity.checkpoint AS c
    VALUES (p_tenant, p_pool, till.version, till.hash, sums.quota_sum, sums.held_sum, sums.confirmed_sum,
        till.recorded_at)
    ON CONFLICT (tenant_id, pool_id) DO UPDATE
    SET version = excluded.version, hash = excluded.hash, quota_sum = excluded.quota_sum, held_sum = excluded.held_sum,
        confirmed_sum = excluded.confirmed_sum, recorded_at = excluded.recorded_at
    WHERE c.version < excluded.version;
    RETURN till.version - since.version;
END $$;
