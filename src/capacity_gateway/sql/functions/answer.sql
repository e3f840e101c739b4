-- What is stored under a key: of each outcome its code and numbers, and which pool, claim and entries it shows.
CREATE OR REPLACE FUNCTION capacity.answer(
    p_tenant text, m capacity.command, outcomes jsonb[], at timestamptz
) RETURNS capacity.idempotency
LANGUAGE sql STABLE AS $$
    SELECT p_tenant, m.operation, m.key, m.fingerprint, jsonb_agg(jsonb_build_object(
        'code', o -> 'code', 'detail', o -> 'detail',
        'pool_id', o -> 'pool' -> 'id', 'claim_id', o -> 'claim' -> 'id',
        'entries', (
            SELECT coalesce(jsonb_agg(jsonb_build_object('pool_id', e -> 'pool_id', 'version', e -> 'version')), '[]')
            FROM jsonb_array_elements(o -> 'entries') AS e
        )
    ) ORDER BY position), at
    FROM unnest(outcomes) WITH ORDINALITY AS t (o, position)
$$;
