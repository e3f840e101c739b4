-- SHA-256, in hex, over the hash before it in the pool and the entry's exported fields, one a line, absent
-- ones empty. Names, notes and holders are left out, so that a person can be erased and the chain still holds.
CREATE OR REPLACE FUNCTION capacity.entry_hash(previous text, e capacity.ledger) RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT encode(sha256(convert_to(
        previous || E'\n' || e.pool_id || E'\n' || e.version || E'\n' || e.quota_change || E'\n'
        || e.held_change || E'\n' || e.confirmed_change || E'\n'
        || coalesce((e.quota_after - e.held_after - e.confirmed_after)::text, '') || E'\n' || e.reason || E'\n'
        || coalesce(e.claim_id, '') || E'\n' || coalesce(e.subject, '') || E'\n' || coalesce(e.actor, '') || E'\n'
        || coalesce(e.idempotency_key, '') || E'\n'
        || to_char(e.effective_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"+00:00"') || E'\n'
        || to_char(e.recorded_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"+00:00"'), 'UTF8')), 'hex')
$$;
