-- The last seal of a pool's ledger; null where it has none.
CREATE OR REPLACE FUNCTION capacity.last_seal(p capacity.pool) RETURNS capacity.seal
LANGUAGE sql STABLE AS $$
    SELECT s FROM capacity.seal AS s
    WHERE s.tenant_id = p.tenant_id AND s.pool_id = p.id
    ORDER BY s.sealed_at DESC LIMIT 1
$$;
