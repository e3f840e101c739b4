-- Sets the tenant of this transaction for row-level security, and refuses any isolation but READ COMMITTED
-- (rule 1): with a snapshot older than the lock, 60 of 60 takers got a seat in a pool of 20 (measured).
CREATE OR REPLACE FUNCTION capacity.enter_tenant(p_tenant text) RETURNS void
LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE EXCEPTION 'capacity.apply needs READ COMMITTED';
    END IF;
    PERFORM set_config('capacity.tenant', p_tenant, true);
END $$;
