-- How many entries a webhook has not been told, and when the oldest of them was written.
CREATE OR REPLACE FUNCTION capacity.backlog(w capacity.webhook, OUT pending bigint, OUT oldest_at timestamptz)
LANGUAGE sql STABLE AS $$
    SELECT coalesce(sum((u.pool).version - u.version), 0), min(l.recorded_at)
    FROM capacity.undelivered(w) AS u
    LEFT JOIN capacity.ledger AS l
        ON l.tenant_id = w.tenant_id AND l.pool_id = (u.pool).id AND l.version = u.version + 1
$$;
