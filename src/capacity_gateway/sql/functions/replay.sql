-- The stored answers to a key again, one for each command of the request: the same code, numbers and entries; pool and
-- claim as they are now, as this batch leaves them. With another fingerprint it is a conflict.
CREATE OR REPLACE FUNCTION capacity.replay(
    p_tenant text, answer capacity.idempotency, request capacity.command[], pools capacity.pool[], now timestamptz
) RETURNS jsonb[]
LANGUAGE sql STABLE AS $$
    SELECT array_agg(CASE WHEN answer.fingerprint <> (request[n]).fingerprint THEN jsonb_build_object(
        'code', 'CONFLICT', 'replayed', false, 'as_of', now, 'entries', '[]'::jsonb, 'pool', NULL, 'claim', NULL,
        'detail', jsonb_build_object('first_seen_at', answer.created_at)
    ) ELSE jsonb_build_object(
        'code', s.stored -> 'code', 'replayed', true, 'as_of', now, 'detail', s.stored -> 'detail',
        'pool', coalesce(
            (SELECT to_jsonb(p) FROM unnest(pools) AS p WHERE p.id = s.stored ->> 'pool_id'),
            (SELECT to_jsonb(p) FROM capacity.pool AS p WHERE p.tenant_id = p_tenant AND p.id = s.stored ->> 'pool_id')
        ),
        'claim', (
            SELECT capacity.claim_shown(c) FROM capacity.claim AS c
            WHERE c.tenant_id = p_tenant AND c.id = s.stored ->> 'claim_id'
        ),
        'entries', (
            SELECT coalesce(jsonb_agg(to_jsonb(l) ORDER BY e.nth), '[]')
            FROM ROWS FROM (
                jsonb_array_elements_text(s.stored -> 'pool_ids'), jsonb_array_elements_text(s.stored -> 'versions')
            ) WITH ORDINALITY AS e (pool_id, version, nth)
            INNER JOIN capacity.ledger AS l
                ON l.tenant_id = p_tenant AND l.pool_id = e.pool_id AND l.version = e.version::integer
        )
    ) END ORDER BY n)
    FROM generate_subscripts(request, 1) AS n
    -- A command that the first request did not have has nothing of its own to say.
    CROSS JOIN LATERAL (SELECT coalesce(answer.outcomes -> (n - 1), '{"code": "LINKED"}')) AS s (stored)
$$;
