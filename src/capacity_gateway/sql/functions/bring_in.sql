-- A pool that was kept elsewhere until now, with all its claims as they stand there and all its history: entries are
-- posted in their order as `record` would have posted them one by one, and the counters are what the claims have. The two
-- may differ, for an older system may have moved its counter without an entry. False where the pool is here already: then
-- nothing changes.
CREATE OR REPLACE FUNCTION capacity.bring_in(
    p_tenant text, p_define jsonb, p_claims jsonb[], p_claim_ids text[], p_subjects text[], p_held integer[],
    p_confirmed integer[], p_reasons text[], p_effective_at timestamptz[], p_actors text[], p_notes text[], p_keys text[]
) RETURNS boolean
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    m capacity.command := jsonb_populate_record(NULL::capacity.command, p_define);
    now timestamptz;
    v capacity.verdict;
    p capacity.pool;
    posting capacity.posting;
    entries capacity.ledger[] := '{}';
    e record;
BEGIN
    PERFORM capacity.enter_tenant(p_tenant);
    PERFORM capacity.lock_pools(p_tenant, ARRAY[m.pool_id]);
    IF EXISTS (SELECT FROM capacity.pool WHERE tenant_id = p_tenant AND id = m.pool_id) THEN
        RETURN false;
    END IF;
    now := clock_timestamp();
    p := (capacity.decide_pool(v, m, now)).pool;
    SELECT
        coalesce(sum(c.quantity) FILTER (WHERE c.state = 'held'), 0),
        coalesce(sum(c.quantity) FILTER (WHERE c.state = 'confirmed'), 0),
        count(*) FILTER (WHERE c.state = 'waiting'), count(*) FILTER (WHERE c.offered), coalesce(max(c.place), 0)
    INTO p.held, p.confirmed, p.waiting, p.offered, p.last_place
    FROM unnest(p_claims) AS j
    CROSS JOIN LATERAL jsonb_populate_record(NULL::capacity.claim, j) AS c;
    p.overbooked := greatest(0, p.held::bigint + p.confirmed - p.quota - p.oversell_max);

    v.quota_change := 0;
    m.operation := 'import';
    FOR e IN
        SELECT * FROM unnest(
            p_claim_ids, p_subjects, p_held, p_confirmed, p_reasons, p_effective_at, p_actors, p_notes, p_keys
        ) AS n (claim_id, subject, held, confirmed, reason, effective_at, actor, note, key)
    LOOP
        v.claim.id := e.claim_id;
        v.claim.subject := e.subject;
        v.held_change := e.held;
        v.confirmed_change := e.confirmed;
        m.actor := e.actor;
        m.note := e.note;
        m.key := e.key;
        m.effective_at := least(e.effective_at, now);
        posting := capacity.post(p, v, m, e.reason, now, 1);
        p := posting.pool;
        entries := entries || posting.entry;
        IF cardinality(entries) = 1000 THEN
            INSERT INTO capacity.ledger SELECT n.* FROM unnest(entries) AS n;
            entries := '{}';
        END IF;
    END LOOP;
    INSERT INTO capacity.ledger SELECT n.* FROM unnest(entries) AS n;
    INSERT INTO capacity.claim
    SELECT c.* FROM unnest(p_claims) AS j
    CROSS JOIN LATERAL jsonb_populate_record(
        NULL::capacity.claim, j || jsonb_build_object('tenant_id', p_tenant, 'pool_id', p.id)
    ) AS c;
    INSERT INTO capacity.tenant VALUES (p_tenant) ON CONFLICT DO NOTHING;
    INSERT INTO capacity.pool SELECT p.*;
    RETURN true;
END $$;
