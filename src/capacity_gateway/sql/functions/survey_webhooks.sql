-- How webhooks fare over all tenants: how many there are, fail, and are disabled; how many entries those that are not
-- disabled have not been told, and how old the oldest of these is.
CREATE OR REPLACE FUNCTION capacity.survey_webhooks() RETURNS TABLE (
    webhooks bigint, failing bigint, disabled bigint, pending bigint, lag_seconds double precision
)
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    t capacity.tenant;
BEGIN
    FOR t IN SELECT * FROM capacity.tenant LOOP
        PERFORM set_config('capacity.tenant', t.id, true);
        RETURN QUERY
        SELECT count(*), count(*) FILTER (WHERE w.failing_since IS NOT NULL AND w.disabled_at IS NULL),
            count(w.disabled_at), coalesce(sum(b.pending), 0)::bigint,
            extract(epoch FROM clock_timestamp() - min(b.oldest_at))::double precision
        FROM capacity.webhook AS w
        LEFT JOIN LATERAL capacity.backlog(w) AS b ON w.disabled_at IS NULL
        WHERE w.tenant_id = t.id;
    END LOOP;
END $$;
