-- What is new for whoever watches, over all tenants in one statement, a row for each: the pools whose holds are due; the
-- next entries of each watched pool after the version that is known, at most p_size, with the pool as it stood after
-- each and the holder whose claim it changed; and the live offers of each watched holder. The tenant is set for one
-- after the other, so that row-level security holds here as well.
CREATE OR REPLACE FUNCTION capacity.watch(p_watched jsonb, p_size integer)
RETURNS TABLE (tenant text, due text[], changes jsonb, offers jsonb)
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    w record;
BEGIN
    FOR w IN SELECT * FROM jsonb_to_recordset(p_watched) AS w (tenant text, versions jsonb, holders text[]) LOOP
        tenant := w.tenant;
        due := capacity.open_snapshot(w.tenant);
        -- Cast apart: row-level security keeps a cast out of an index condition.
        WITH known AS MATERIALIZED (
            SELECT e.key AS pool_id, e.value::integer AS version FROM jsonb_each_text(w.versions) AS e
        )
        SELECT coalesce(jsonb_agg(
            jsonb_build_object(
                'entry', l.entry,
                'holder', l.holder,
                'pool', to_jsonb(p) || jsonb_build_object(
                    'version', l.version, 'as_of', l.recorded_at, 'quota', l.quota_after,
                    'held', p.held - p.ledger_held + l.held_after,
                    'confirmed', p.confirmed - p.ledger_confirmed + l.confirmed_after
                )
            ) ORDER BY l.pool_id, l.version
        ), '[]') INTO changes
        FROM known
        CROSS JOIN LATERAL (
            SELECT l.*, to_jsonb(l) || jsonb_build_object('subject_title', c.title) AS entry, c.holder
            FROM capacity.ledger AS l
            LEFT JOIN capacity.claim AS c ON c.tenant_id = l.tenant_id AND c.id = l.claim_id
            WHERE l.tenant_id = w.tenant AND l.pool_id = known.pool_id AND l.version > known.version
            ORDER BY l.version
            LIMIT p_size
        ) AS l
        CROSS JOIN LATERAL (
            SELECT p.* FROM capacity.pool AS p WHERE p.tenant_id = w.tenant AND p.id = known.pool_id OFFSET 0
        ) AS p;
        SELECT coalesce(jsonb_object_agg(o.holder, o.claim_ids), '{}') INTO offers
        FROM (
            SELECT c.holder, jsonb_agg(c.id ORDER BY c.since, c.id) AS claim_ids
            FROM capacity.claim AS c
            WHERE c.tenant_id = w.tenant AND c.holder = ANY(w.holders) AND c.state = 'held' AND c.offered
                AND c.expires_at > now()
            GROUP BY c.holder
        ) AS o;
        RETURN NEXT;
    END LOOP;
END $$;
