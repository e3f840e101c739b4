-- The figures of all pools, a row for each tenant and kind. The tenant is set for one after the other, so that row-level
-- security holds here as well. A counter's drift is read off the running sums beside it. `overdue_seconds` is how long
-- ago the first hold that nobody has settled yet ran out.
CREATE OR REPLACE FUNCTION capacity.survey() RETURNS TABLE (
    kind text, pools bigint, full_pools bigint, quota bigint, taken bigint, held bigint, confirmed bigint, waiting bigint,
    drifting_pools bigint, drift bigint, largest_drift bigint, entries bigint, overdue_seconds double precision
)
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    t capacity.tenant;
BEGIN
    FOR t IN SELECT * FROM capacity.tenant LOOP
        PERFORM set_config('capacity.tenant', t.id, true);
        RETURN QUERY
        SELECT p.kind, count(*), count(*) FILTER (WHERE p.held::bigint + p.confirmed >= p.quota),
            sum(p.quota)::bigint, sum(p.held::bigint + p.confirmed) FILTER (WHERE p.quota IS NOT NULL)::bigint,
            sum(p.held)::bigint, sum(p.confirmed)::bigint, sum(p.waiting)::bigint,
            count(*) FILTER (WHERE d.drift > 0), sum(d.drift)::bigint, max(d.drift), sum(p.version)::bigint,
            (
                SELECT extract(epoch FROM clock_timestamp() - min(c.expires_at)) FROM capacity.claim AS c
                WHERE c.tenant_id = t.id AND c.state = 'held' AND c.expires_at <= clock_timestamp()
                    AND starts_with(c.pool_id, p.kind || ':')
            )::double precision
        FROM capacity.pool AS p
        CROSS JOIN LATERAL (
            SELECT abs(p.held::bigint + p.confirmed - p.ledger_held - p.ledger_confirmed)
                + abs(coalesce(p.quota, 0)::bigint - p.ledger_quota) AS drift
        ) AS d
        WHERE p.tenant_id = t.id
        GROUP BY p.kind;
    END LOOP;
END $$;
