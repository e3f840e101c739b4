-- Marks of which of these pools the tenant's webhooks have not been told everything. Versions alone decide: an entry that is
-- committed late is not passed over. Each row is looked up by its key, whatever the planner knows of the tables yet.
CREATE OR REPLACE FUNCTION capacity.notice(p_tenant text, p_pools text[]) RETURNS void
LANGUAGE sql VOLATILE AS $$
    INSERT INTO capacity.webhook_cursor (tenant_id, webhook_id, pool_id, version, tried_at, pending)
    SELECT w.tenant_id, w.id, p.id, 0, now(), true
    FROM capacity.webhook AS w
    CROSS JOIN unnest(p_pools) AS n (id)
    CROSS JOIN LATERAL (
        SELECT p.id, p.kind, p.version FROM capacity.pool AS p WHERE p.tenant_id = p_tenant AND p.id = n.id OFFSET 0
    ) AS p
    CROSS JOIN LATERAL (
        SELECT coalesce(bool_or(c.pending), false) AS pending, coalesce(max(c.version), 0) AS version
        FROM capacity.webhook_cursor AS c
        WHERE c.tenant_id = p_tenant AND c.webhook_id = w.id AND c.pool_id = p.id
    ) AS told
    WHERE w.tenant_id = p_tenant AND (w.kinds IS NULL OR p.kind = ANY(w.kinds))
        AND NOT told.pending AND told.version < p.version
    ON CONFLICT ON CONSTRAINT webhook_cursor_key DO UPDATE SET pending = true
$$;
