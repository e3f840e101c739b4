-- The pools of which a webhook has not been told everything: each with the version up to which it has been. Pools of
-- kinds that it does not ask for are not among them. Versions alone decide: an entry that is committed late is not
-- passed over, whatever the clocks say.
CREATE OR REPLACE FUNCTION capacity.undelivered(w capacity.webhook)
RETURNS TABLE (pool capacity.pool, version integer, tried_at timestamptz)
LANGUAGE sql STABLE ROWS 10 AS $$
    SELECT p, coalesce(c.version, 0), c.tried_at
    FROM capacity.pool AS p
    LEFT JOIN capacity.webhook_cursor AS c
        ON c.tenant_id = p.tenant_id AND c.webhook_id = w.id AND c.pool_id = p.id
    WHERE p.tenant_id = w.tenant_id AND (w.kinds IS NULL OR p.kind = ANY(w.kinds)) AND p.version > coalesce(c.version, 0)
$$;
