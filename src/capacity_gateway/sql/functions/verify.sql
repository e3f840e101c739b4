-- Does a pool's ledger follow from a checkpoint? The sums up to its last entry, or up to a version, and the first entry
-- at which each fault shows.
CREATE OR REPLACE FUNCTION capacity.verify(
    p capacity.pool, since capacity.checkpoint, upto integer,
    OUT entries bigint, OUT last_version integer, OUT quota_sum bigint, OUT held_sum bigint, OUT confirmed_sum bigint,
    OUT gap_at integer, OUT repeated_at integer, OUT hash_broken_at integer, OUT balance_broken_at integer
)
LANGUAGE sql STABLE AS $$
    SELECT
        since.version + count(*), coalesce(max(w.version), since.version),
        since.quota_sum + coalesce(sum(w.quota_change), 0), since.held_sum + coalesce(sum(w.held_change), 0),
        since.confirmed_sum + coalesce(sum(w.confirmed_change), 0),
        min(w.version) FILTER (WHERE w.step > 1),
        min(w.version) FILTER (WHERE w.step = 0),
        min(w.version) FILTER (WHERE w.hash <> w.right_hash),
        min(w.version) FILTER (
            WHERE w.held_after <> since.held_sum + w.held_so_far
            OR w.confirmed_after <> since.confirmed_sum + w.confirmed_so_far
            OR w.quota_after <> coalesce(p.opening_quota, 0) + since.quota_sum + w.quota_so_far
        )
    FROM (
        SELECT
            l.*, l.version - lag(l.version, 1, since.version) OVER chain AS step,
            capacity.entry_hash(lag(l.hash, 1, since.hash) OVER chain, l) AS right_hash,
            sum(l.quota_change) OVER chain AS quota_so_far, sum(l.held_change) OVER chain AS held_so_far,
            sum(l.confirmed_change) OVER chain AS confirmed_so_far
        FROM capacity.ledger AS l
        WHERE l.tenant_id = p.tenant_id AND l.pool_id = p.id AND l.version > since.version AND l.version <= upto
        WINDOW chain AS (ORDER BY l.version ROWS UNBOUNDED PRECEDING)
    ) AS w
$$;
