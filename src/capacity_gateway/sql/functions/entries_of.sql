-- The entries that a claim got when what is asked for again was done: those of the same operation, the last time; or, as
-- after an import, those for the same reason.
CREATE OR REPLACE FUNCTION capacity.entries_of(p_tenant text, p_claim text, m capacity.command) RETURNS jsonb
LANGUAGE sql STABLE AS $$
    WITH own AS (
        SELECT l.*, l.operation = m.operation IS TRUE AS same FROM capacity.ledger AS l
        WHERE l.tenant_id = p_tenant AND l.claim_id = p_claim
            AND (l.operation = m.operation OR l.reason IN (m.reason, m.other_reason))
    ), last AS (
        SELECT * FROM own ORDER BY same DESC, recorded_at DESC, part DESC LIMIT 1
    )
    SELECT coalesce(jsonb_agg(to_jsonb(own) - 'same' ORDER BY own.part, own.recorded_at), '[]')
    FROM own INNER JOIN last ON own.same = last.same AND (
        own.recorded_at = last.recorded_at OR own.operation = last.operation AND own.idempotency_key = last.idempotency_key
    )
$$;
