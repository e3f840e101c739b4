-- The checkpoint from which all of a pool's ledger is verified: its last seal, or where it has none, its opening.
CREATE OR REPLACE FUNCTION capacity.first_checkpoint(p capacity.pool, s capacity.seal) RETURNS capacity.checkpoint
LANGUAGE sql STABLE AS $$
    SELECT p.tenant_id, p.id, coalesce(s.version, 0), coalesce(s.hash, capacity.opening_hash(p.id, p.opening_quota)),
        coalesce(s.quota_sum, 0), coalesce(s.held_sum, 0), coalesce(s.confirmed_sum, 0),
        coalesce(s.sealed_at, '-infinity')
$$;
