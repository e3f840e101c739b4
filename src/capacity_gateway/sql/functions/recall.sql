-- Has this key been used? Its stored answer; or, once that has been swept, one made of the entries that the key
-- left in the ledger, so that a key is never applied twice.
CREATE OR REPLACE FUNCTION capacity.recall(p_tenant text, m capacity.command) RETURNS capacity.idempotency
LANGUAGE plpgsql STABLE AS $$
DECLARE
    found capacity.idempotency;
BEGIN
    SELECT * INTO found FROM capacity.idempotency AS i
    WHERE i.tenant_id = p_tenant AND i.operation = m.operation AND i.key = m.key;
    IF found.key IS NULL THEN
        SELECT p_tenant, m.operation, m.key, m.fingerprint, jsonb_build_array(jsonb_build_object(
            'code', 'OK', 'detail', jsonb_build_object('overbooked_by', 0),
            'pool_id', min(l.pool_id), 'claim_id', min(l.claim_id), 'entries', jsonb_agg(
                jsonb_build_object('pool_id', l.pool_id, 'version', l.version) ORDER BY l.part)
        )), min(l.recorded_at)
        INTO found FROM capacity.ledger AS l
        WHERE l.tenant_id = p_tenant AND l.operation = m.operation AND l.idempotency_key = m.key
        HAVING count(*) > 0;
    END IF;
    RETURN found;
END $$;
