-- The kernel. Takes a batch of commands of one tenant and returns exactly one outcome for each, in order. One
-- call = one statement = one transaction: lock, read, settle, decide in memory, write in bulk. A refusal is an
-- outcome, so that one refused command does not roll back its neighbours; exceptions are bugs and outages.
-- Commands of one request are linked: all of them or none, under one idempotency key.
CREATE OR REPLACE FUNCTION capacity.apply(p_tenant text, p_commands jsonb, p_import boolean DEFAULT false)
RETURNS TABLE (outcome jsonb)
LANGUAGE plpgsql VOLATILE
-- The hot path reads by key alone; its plans must not depend on how small the tables were at the first call.
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
DECLARE
    batch CONSTANT capacity.command[] := capacity.read_commands(p_commands, p_import);
    ids text[];
    pools capacity.pool[];
    loaded capacity.pool[];         -- the pools as they were read
    saved capacity.pool[];          -- the pools as they were before the request at hand
    claims capacity.claim[];
    after capacity.claim[] := array_fill(NULL::capacity.claim, ARRAY[cardinality(batch)]);
    entries capacity.ledger[] := '{}';
    entries_saved integer;
    outcomes jsonb[] := '{}';
    seen capacity.idempotency[];    -- the answers to keys that have been used before
    answers capacity.idempotency[] := '{}';
    m capacity.command;
    r capacity.recorded;
    now timestamptz;
    at timestamptz;
    first integer;                  -- of the request's commands
    a integer;                      -- where its pool is
    b integer;                      -- where the pool to move to is
    refused boolean;
BEGIN
    PERFORM capacity.enter_tenant(p_tenant);
    ids := capacity.pools_of(p_tenant, batch);
    PERFORM capacity.lock_pools(p_tenant, ids);
    -- Rule 3: this read is a statement of its own, so it sees all that was committed before the lock was had.
    pools := ARRAY(
        SELECT p FROM capacity.pool AS p WHERE p.tenant_id = p_tenant AND p.id = ANY (ids) ORDER BY p.id FOR UPDATE
    );
    -- Rule 4: time is read after the lock, and never runs backwards within a pool.
    now := clock_timestamp();
    SELECT s.pools, s.entries INTO pools, entries FROM capacity.settle(p_tenant, now, pools, entries) AS s;
    loaded := pools;
    claims := capacity.load_claims(p_tenant, batch, ids);
    seen := capacity.recall(p_tenant, batch);
    ids := ARRAY(SELECT p.id FROM unnest(pools) AS p);

    FOR i IN 1 .. cardinality(batch) LOOP
        m := batch[i];
        IF i = 1 OR m.request <> batch[i - 1].request THEN
            first := i;
            refused := false;
            entries_saved := cardinality(entries);
            IF m.request = batch[i + 1].request THEN
                saved := pools;
            END IF;
        END IF;
        a := coalesce(array_position(ids, coalesce(m.pool_id, (claims[i]).pool_id)), cardinality(ids) + 1);
        b := array_position(ids, m.to_pool_id);
        at := greatest(now, (pools[a]).clock);
        IF (seen[i]).key IS NOT NULL THEN
            outcomes[i] := capacity.replay(p_tenant, seen[i], m, i - first, now);
            CONTINUE;
        END IF;

        r.verdict := capacity.decide(pools[a], pools[b], claims[i], m, coalesce(m.effective_at, at));
        IF (r.verdict).code = 'OK' THEN
            r := capacity.record(r.verdict, m, at, 1 + cardinality(entries) - entries_saved);
            entries := entries || r.entries;
            pools[a] := (r.verdict).pool;
            ids[a] := (pools[a]).id;
            IF b IS NOT NULL THEN
                pools[b] := (r.verdict).to_pool;
            END IF;
            after[i] := (r.verdict).claim;
        ELSIF (r.verdict).code <> 'DONE' THEN
            refused := true;
        END IF;
        outcomes[i] := capacity.outcome(p_tenant, r, m, at);

        IF m.request = batch[i + 1].request THEN
            CONTINUE;
        ELSIF refused AND first < i THEN
            pools := saved;
            entries := entries[:entries_saved];
            after[first:i] := array_fill(NULL::capacity.claim, ARRAY[i - first + 1]);
            outcomes[first:i] := capacity.unlink(outcomes[first:i], pools);
        END IF;
        IF m.key IS NOT NULL THEN
            answers := answers || capacity.answer(p_tenant, m, outcomes[first:i], now);
        END IF;
    END LOOP;

    PERFORM capacity.write(p_tenant, loaded, pools, claims, after, entries, answers);
    RETURN QUERY SELECT unnest(outcomes);
END $$;
