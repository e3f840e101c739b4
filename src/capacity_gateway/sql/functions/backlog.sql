-- How many entries a webhook has not been told, and when the oldest of them was written.
CREATE OR REPLACE FUNCTION capacity.backlog(w capacity.webhook, OUT pending bigint, OUT oldest_at timestamptz)
LANGUAGE sql STABLE AS $$
    SELECT coalesce(sum(p.version - c.version), 0), min(l.recorded_at)
    FROM capacity.webhook_cursor AS c
    CROSS JOIN LATERAL (
        SELECT p.version FROM capacity.pool AS p WHERE p.tenant_id = c.tenant_id AND p.id = c.pool_id OFFSET 0
    ) AS p
    LEFT JOIN LATERAL (
        SELECT l.recorded_at FROM capacity.ledger AS l
        WHERE l.tenant_id = c.tenant_id AND l.pool_id = c.pool_id AND l.version = c.version + 1
        OFFSET 0
    ) AS l ON true
    WHERE c.tenant_id = w.tenant_id AND c.webhook_id = w.id AND c.pending
$$;
