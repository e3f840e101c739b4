-- A linked request of which some commands were refused: nothing of it stands. The refused keep their refusals, and a
-- short pool is told as it was before the request, with all that the request wants of it; the rest say LINKED.
CREATE OR REPLACE FUNCTION capacity.unlink(
    outcomes jsonb[], pools capacity.pool[], wanted capacity.pool[]
) RETURNS jsonb[]
LANGUAGE sql STABLE AS $$
    SELECT array_agg(CASE
        WHEN o ->> 'code' IN ('OK', 'DONE') THEN o || '{"code": "LINKED", "replayed": false, "entries": [], "claim": null}'
        WHEN o ->> 'code' <> 'INSUFFICIENT' THEN o
        ELSE coalesce(jsonb_set(jsonb_set(o, '{detail,available}', to_jsonb(
            coalesce(p.quota, 2147483647) - p.held - p.confirmed
        )), '{detail,requested}', to_jsonb(
            w.held::bigint + w.confirmed - p.held - p.confirmed + (
                SELECT sum((s -> 'detail' ->> 'requested')::bigint) FROM unnest(outcomes) AS s
                WHERE s ->> 'code' = 'INSUFFICIENT' AND s -> 'pool' -> 'id' = o -> 'pool' -> 'id'
            )
        )), o) END ORDER BY nth)
    FROM unnest(outcomes) WITH ORDINALITY AS t (o, nth)
    LEFT JOIN unnest(pools) AS p ON p.id = o -> 'pool' ->> 'id'
    LEFT JOIN unnest(wanted) AS w ON w.id = p.id
$$;
