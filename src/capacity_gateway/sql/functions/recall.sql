-- Which keys of a batch have been used? For each command the stored answer, null for a new key. A key that has left
-- entries in the ledger but has no answer any more is answered by a conflict: it is never applied twice, and nobody is
-- told what somebody else's key did.
CREATE OR REPLACE FUNCTION capacity.recall(p_tenant text, batch capacity.command[]) RETURNS capacity.idempotency[]
LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN ARRAY(
        SELECT coalesce((
            SELECT i FROM capacity.idempotency AS i
            WHERE i.tenant_id = p_tenant AND i.operation = (batch[n]).operation AND i.key = (batch[n]).key
        ), (
            SELECT row(p_tenant, l.operation, l.idempotency_key, '', '[]', l.recorded_at)::capacity.idempotency
            FROM capacity.ledger AS l
            WHERE l.tenant_id = p_tenant AND l.operation = (batch[n]).operation
                AND l.idempotency_key = (batch[n]).key AND l.part = 1
        ))
        FROM generate_subscripts(batch, 1) AS n
        ORDER BY n
    );
END $$;
