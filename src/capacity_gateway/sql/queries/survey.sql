-- name: survey()
-- The figures of all pools, a row for each kind.
SELECT
    s.kind, sum(s.pools)::bigint AS pools, sum(s.full_pools)::bigint AS full_pools, sum(s.quota)::bigint AS quota,
    sum(s.taken)::bigint AS taken,
    sum(s.held)::bigint AS held, sum(s.confirmed)::bigint AS confirmed, sum(s.waiting)::bigint AS waiting,
    sum(s.drifting_pools)::bigint AS drifting_pools, sum(s.drift)::bigint AS drift,
    max(s.largest_drift) AS largest_drift, sum(s.entries)::bigint AS ledger_entries,
    max(s.overdue_seconds) AS overdue_seconds
FROM capacity.survey() AS s
GROUP BY s.kind
ORDER BY s.kind;
