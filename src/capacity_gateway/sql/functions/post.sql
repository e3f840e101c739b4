-- The next ledger entry of a pool, and the pool after it. `v` says what changed and `p` has the counters already;
-- the version, the running sums and the hash go on from the pool's last entry.
CREATE OR REPLACE FUNCTION capacity.post(
    p capacity.pool, v capacity.verdict, c capacity.command, reason text, at timestamptz, part integer
) RETURNS capacity.posting
LANGUAGE plpgsql STABLE AS $$
DECLARE
    e capacity.ledger;
    posting capacity.posting;
BEGIN
    p.version := p.version + 1;
    p.ledger_quota := p.ledger_quota + v.quota_change;
    p.ledger_held := p.ledger_held + v.held_change;
    p.ledger_confirmed := p.ledger_confirmed + v.confirmed_change;

    e.tenant_id := p.tenant_id;
    e.pool_id := p.id;
    e.version := p.version;
    e.quota_change := v.quota_change;
    e.held_change := v.held_change;
    e.confirmed_change := v.confirmed_change;
    e.quota_after := CASE WHEN p.quota IS NOT NULL THEN p.ledger_quota END;
    e.held_after := p.ledger_held;
    e.confirmed_after := p.ledger_confirmed;
    e.reason := reason;
    e.claim_id := (v.claim).id;
    e.subject := (v.claim).subject;
    e.actor := c.actor;
    e.note := c.note;
    e.operation := c.operation;
    e.idempotency_key := c.key;
    e.part := part;
    e.effective_at := coalesce(c.effective_at, at);
    e.recorded_at := at;
    e.hash := capacity.entry_hash(p.hash, e);

    p.hash := e.hash;
    p.clock := at;
    posting.pool := p;
    posting.entry := e;
    RETURN posting;
END $$;
