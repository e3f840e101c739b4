-- The stored answer to a key again: the same code, numbers and entries; pool and claim as they are now. With
-- another fingerprint it is a conflict.
CREATE OR REPLACE FUNCTION capacity.replay(
    p_tenant text, answer capacity.idempotency, m capacity.command, nth integer, at timestamptz
) RETURNS jsonb
LANGUAGE sql STABLE AS $$
    SELECT CASE WHEN answer.fingerprint <> m.fingerprint THEN jsonb_build_object(
        'code', 'CONFLICT', 'replayed', false, 'as_of', at, 'entries', '[]'::jsonb, 'pool', NULL, 'claim', NULL,
        'detail', jsonb_build_object('first_seen_at', answer.created_at)
    ) ELSE jsonb_build_object(
        'code', stored -> 'code', 'replayed', true, 'as_of', at, 'detail', stored -> 'detail',
        'pool', (
            SELECT to_jsonb(p) FROM capacity.pool AS p
            WHERE p.tenant_id = p_tenant AND p.id = stored ->> 'pool_id'
        ),
        'claim', (
            SELECT to_jsonb(c) FROM capacity.claim AS c
            WHERE c.tenant_id = p_tenant AND c.id = stored ->> 'claim_id'
        ),
        'entries', (
            SELECT coalesce(jsonb_agg(to_jsonb(l) ORDER BY e.nth), '[]')
            FROM ROWS FROM (
                jsonb_array_elements_text(stored -> 'pool_ids'), jsonb_array_elements_text(stored -> 'versions')
            ) WITH ORDINALITY AS e (pool_id, version, nth)
            INNER JOIN capacity.ledger AS l
                ON l.tenant_id = p_tenant AND l.pool_id = e.pool_id AND l.version = e.version::integer
        )
    ) END
    FROM (SELECT answer.outcomes -> nth) AS s (stored)
$$;
