-- A linked request of which some commands were refused: nothing of it stands. The refused keep their refusals, told
-- of the pool as it was before the request and of all that the request wants of it; the rest say LINKED.
CREATE OR REPLACE FUNCTION capacity.unlink(outcomes jsonb[], pools capacity.pool[]) RETURNS jsonb[]
LANGUAGE sql STABLE AS $$
    SELECT array_agg(CASE
        WHEN o ->> 'code' IN ('OK', 'DONE') THEN o || '{"code": "LINKED", "entries": [], "claim": null}'
        WHEN o ->> 'code' <> 'INSUFFICIENT' THEN o
        ELSE o || jsonb_build_object('pool', to_jsonb(p), 'detail', o -> 'detail' || jsonb_build_object(
            'available', p.quota - p.held - p.confirmed, 'judged_version', p.version,
            'requested', (o -> 'detail' ->> 'requested')::bigint
            + p.quota - p.held - p.confirmed - (o -> 'detail' ->> 'available')::bigint))
        END ORDER BY nth)
    FROM unnest(outcomes) WITH ORDINALITY AS t (o, nth)
    LEFT JOIN unnest(pools) AS p ON p.id = o -> 'pool' ->> 'id'
$$;
