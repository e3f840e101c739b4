-- The hash that a seal of a pool's ledger has if the entries up to its version are now as they were: SHA-256, in hex, over
-- the seal's own fields, one a line, and each entry's hash, sums and content. Notes are left out, so that a person can be
-- erased and the seal still holds.
CREATE OR REPLACE FUNCTION capacity.seal_hash(s capacity.seal) RETURNS text
LANGUAGE sql STABLE AS $$
    SELECT encode(sha256(convert_to(
        s.tenant_id || E'\n' || s.pool_id || E'\n' || extract(epoch FROM s.sealed_at) || E'\n' || s.version || E'\n'
        || s.entries || E'\n' || s.quota_sum || E'\n' || s.held_sum || E'\n' || s.confirmed_sum || E'\n' || s.faults
        || coalesce((
            SELECT string_agg(
                E'\n' || capacity.entry_hash(l.hash, l) || l.held_after || E'\t' || l.confirmed_after, ''
                ORDER BY l.version, l.hash, l.recorded_at
            )
            FROM capacity.ledger AS l
            WHERE l.tenant_id = s.tenant_id AND l.pool_id = s.pool_id AND l.version <= s.version
        ), ''), 'UTF8')), 'hex')
$$;
