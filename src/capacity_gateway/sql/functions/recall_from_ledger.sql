-- The answer to a key out of the entries that it left in the ledger.
CREATE OR REPLACE FUNCTION capacity.recall_from_ledger(
    p_tenant text, m capacity.command
) RETURNS capacity.idempotency
LANGUAGE sql STABLE AS $$
    SELECT p_tenant, m.operation, m.key, m.fingerprint, jsonb_build_array(jsonb_build_object(
        'code', 'OK', 'detail', '{"overbooked_by": 0}'::jsonb,
        'pool_id', (array_agg(l.pool_id ORDER BY l.part DESC))[1], 'claim_id', min(l.claim_id),
        'pool_ids', jsonb_agg(l.pool_id ORDER BY l.part), 'versions', jsonb_agg(l.version ORDER BY l.part)
    )), min(l.recorded_at)
    FROM capacity.ledger AS l
    WHERE l.tenant_id = p_tenant AND l.operation = m.operation AND l.idempotency_key = m.key
$$;
