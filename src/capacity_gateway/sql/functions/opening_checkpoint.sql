-- The checkpoint from which all of a pool's ledger is verified.
CREATE OR REPLACE FUNCTION capacity.opening_checkpoint(p capacity.pool) RETURNS capacity.checkpoint
LANGUAGE sql STABLE AS $$
    SELECT p.tenant_id, p.id, 0, capacity.opening_hash(p.id, p.opening_quota), 0::bigint, 0::bigint, 0::bigint,
        '-infinity'::timestamptz
$$;
