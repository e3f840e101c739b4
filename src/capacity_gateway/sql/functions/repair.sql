-- Brings a pool's ledger and counter to what its claims have, for that is what people were promised, by further entries;
-- a ledger that does not follow is sealed before, as it is. Where the claims have more than the quota, that is recorded
-- as overbooked. The quota stands as it is, and the ledger is brought to it. What an entry says of its claim for the first
-- time counts from when the claim had it. `m` says who does it, why, and under which key. Only the owner may seal.
CREATE OR REPLACE FUNCTION capacity.repair(
    p_tenant text, p_pool text, signed boolean, m capacity.command
) RETURNS jsonb
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    was capacity.pool;
    p capacity.pool;
    s capacity.seal;
    at timestamptz;
    lack record;
    v capacity.verdict;
    posting capacity.posting;
    entries capacity.ledger[] := '{}';
BEGIN
    PERFORM capacity.enter_tenant(p_tenant);
    PERFORM capacity.lock_pools(p_tenant, ARRAY[p_pool]);
    SELECT * INTO was FROM capacity.pool WHERE tenant_id = p_tenant AND id = p_pool FOR UPDATE;
    at := greatest(clock_timestamp(), was.clock);
    p := was;
    s := capacity.seal_ledger(p, at, signed, m.actor, m.note);
    IF s.version IS NOT NULL THEN
        p.version := s.version;
        p.hash := s.hash;
        p.ledger_quota := coalesce(p.opening_quota, 0) + s.quota_sum;
        p.ledger_held := s.held_sum;
        p.ledger_confirmed := s.confirmed_sum;
    END IF;
    SELECT coalesce(sum(c.quantity) FILTER (WHERE c.state = 'held'), 0),
        coalesce(sum(c.quantity) FILTER (WHERE c.state = 'confirmed'), 0)
    INTO p.held, p.confirmed
    FROM capacity.claim AS c
    WHERE c.tenant_id = p_tenant AND c.pool_id = p_pool;
    p.overbooked := greatest(p.overbooked, p.held::bigint + p.confirmed - p.quota - p.oversell_max);
    v.quota_change := 0;
    FOR lack IN SELECT * FROM capacity.unexplained(p) LOOP
        v.claim.id := lack.id;
        v.claim.subject := lack.subject;
        v.held_change := lack.held_change;
        v.confirmed_change := lack.confirmed_change;
        m.effective_at := least(lack.since, at);
        posting := capacity.post(
            p, v, m, CASE WHEN lack.since IS NULL THEN 'REPAIR' ELSE 'BACKFILL' END, at, cardinality(entries) + 1);
        p := posting.pool;
        entries := entries || posting.entry;
    END LOOP;
    v.claim := NULL;
    v.quota_change := coalesce(p.quota, 0) - p.ledger_quota;
    v.held_change := p.held - p.ledger_held;
    v.confirmed_change := p.confirmed - p.ledger_confirmed;
    m.effective_at := NULL;
    -- A counter that had moved by itself is an entry too, though its ledger was right.
    IF (v.quota_change, v.held_change, v.confirmed_change) <> (0, 0, 0)
        OR (p.held, p.confirmed) <> (was.held, was.confirmed) AND entries = '{}' THEN
        m.note := concat_ws('; ', m.note, format(
            'counter: %s held, %s confirmed; before: %s, %s', p.held, p.confirmed, was.held, was.confirmed));
        posting := capacity.post(p, v, m, 'REPAIR', at, cardinality(entries) + 1);
        p := posting.pool;
        entries := entries || posting.entry;
    END IF;
    p.clock := CASE WHEN p IS DISTINCT FROM was THEN at ELSE p.clock END;
    PERFORM capacity.write(p_tenant, ARRAY[p], 1, '{}', '{}', entries, '{}');
    RETURN jsonb_build_object(
        'pool', p.id, 'title', p.title, 'entries', entries, 'seal', CASE WHEN s.version IS NOT NULL THEN to_jsonb(s) END,
        'held', p.held, 'confirmed', p.confirmed, 'overbooked', p.overbooked - was.overbooked,
        'held_before', was.held, 'confirmed_before', was.confirmed);
END $$;
