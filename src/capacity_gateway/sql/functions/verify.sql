-- Does a pool's ledger follow from a checkpoint? The sums up to its last entry, or up to a version, and every kind of
-- fault with the first entry at which it shows. That the pool's own sums and hash are not its last entry's shows at the
-- entry to come, and is said where nothing else is wrong.
CREATE OR REPLACE FUNCTION capacity.verify(
    p capacity.pool, since capacity.checkpoint, upto integer,
    OUT entries bigint, OUT last_version integer, OUT quota_sum bigint, OUT held_sum bigint, OUT confirmed_sum bigint,
    OUT faults jsonb
)
LANGUAGE plpgsql STABLE AS $$
DECLARE
    gap_at integer;
    repeated_at integer;
    hash_broken_at integer;
    balance_broken_at integer;
    head text;                      -- the hash of the pool's last entry
BEGIN
    SELECT
        count(*), coalesce(max(w.version), since.version),
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
    INTO entries, last_version, quota_sum, held_sum, confirmed_sum,
        gap_at, repeated_at, hash_broken_at, balance_broken_at
    FROM (
        SELECT
            l.*, l.version - lag(l.version, 1, since.version) OVER chain AS step,
            capacity.entry_hash(lag(l.hash, 1, since.hash) OVER chain, l) AS right_hash,
            sum(l.quota_change) OVER chain AS quota_so_far, sum(l.held_change) OVER chain AS held_so_far,
            sum(l.confirmed_change) OVER chain AS confirmed_so_far
        FROM capacity.ledger AS l
        WHERE l.tenant_id = p.tenant_id AND l.pool_id = p.id AND l.version > since.version AND l.version <= upto
        WINDOW chain AS (ORDER BY l.version ROWS UNBOUNDED PRECEDING)
    ) AS w;
    IF last_version <> least(upto, p.version) THEN
        gap_at := coalesce(gap_at, least(last_version, p.version) + 1);
    END IF;
    IF coalesce(gap_at, repeated_at, hash_broken_at, balance_broken_at) IS NULL AND last_version = p.version THEN
        SELECT l.hash INTO head FROM capacity.ledger AS l
        WHERE l.tenant_id = p.tenant_id AND l.pool_id = p.id AND l.version = p.version AND l.version > since.version;
        hash_broken_at := CASE WHEN p.hash <> coalesce(head, since.hash) THEN p.version + 1 END;
        balance_broken_at := CASE WHEN (p.ledger_quota, p.ledger_held, p.ledger_confirmed)
            <> (coalesce(p.opening_quota, 0) + quota_sum, held_sum, confirmed_sum) THEN p.version + 1 END;
    END IF;
    faults := coalesce((
        SELECT jsonb_agg(jsonb_build_object('kind', f.kind, 'version', f.version))
        FROM (VALUES
            ('VERSION_GAP', gap_at), ('VERSION_REPEATED', repeated_at), ('HASH_BROKEN', hash_broken_at),
            ('BALANCE_BROKEN', balance_broken_at)
        ) AS f (kind, version)
        WHERE f.version IS NOT NULL
    ), '[]');
END $$;
