-- The kernel. Takes a batch of commands of one tenant and returns exactly one outcome for each, in order. One
-- call = one statement = one transaction: lock, read, settle, decide in memory, write in bulk. A refusal is an
-- outcome, so that one refused command does not roll back its neighbours; exceptions are bugs and outages. Beside each
-- outcome stands how long the batch waited for its locks.
-- Commands of one request are linked: all of them or none, under one idempotency key.
-- Here and in what decides, a condition has no subquery of its own where it can do without: to PL/pgSQL it is a query,
-- and seven of them fewer took a command from 190 µs to 150 (measured).
CREATE OR REPLACE FUNCTION capacity.apply(p_tenant text, p_commands jsonb, p_import boolean DEFAULT false)
RETURNS TABLE (outcome jsonb, lock_seconds double precision)
LANGUAGE plpgsql VOLATILE
-- The hot path reads by key alone; its plans must not depend on how small the tables were at the first call.
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
DECLARE
    batch CONSTANT capacity.command[] := capacity.read_commands(p_commands, p_import);
    locked text[];
    ids text[];
    pools capacity.pool[];
    loaded integer;                 -- how many pools were read; those behind are new
    queues boolean := false;        -- has a pool at hand a waitlist?
    claims capacity.claim[];
    new_claims capacity.claim[] := '{}';    -- still to be written
    old_claims capacity.claim[] := '{}';
    entries capacity.ledger[];
    seen capacity.idempotency[];    -- the answers to keys that have been used before
    answers capacity.idempotency[] := '{}';
    outcomes jsonb[] := '{}';
    began timestamptz;              -- before the locks
    waited interval;                -- for them
    now timestamptz;
    first integer := 1;             -- and last command of the request at hand
    last integer;
    places integer[];               -- where its pools are
    its_pools capacity.pool[];
    request capacity.command[];
    own capacity.claim[];           -- the request's claims
    d capacity.decision;
BEGIN
    PERFORM capacity.enter_tenant(p_tenant);
    locked := capacity.pools_of(p_tenant, batch);
    began := clock_timestamp();
    PERFORM capacity.lock_pools(p_tenant, locked);
    -- Rule 3: this read is a statement of its own, so it sees all that was committed before the lock was had.
    pools := ARRAY(
        SELECT p FROM capacity.pool AS p WHERE p.tenant_id = p_tenant AND p.id = ANY (locked) ORDER BY p.id FOR UPDATE
    );
    -- Rule 4: time is read after the lock, and never runs backwards within a pool.
    now := clock_timestamp();
    waited := now - began;
    SELECT s.pools, s.entries INTO pools, entries FROM capacity.settle(p_tenant, now, pools) AS s;
    claims := capacity.load_claims(p_tenant, batch, locked);
    -- Rule 7: claims are read and written once, so no two commands of a batch are about the same. Two requests are sent
    -- again apart; within a request it is a bug.
    IF cardinality(batch) > 1 THEN
        IF (SELECT count(c.id) <> count(DISTINCT c.id) FROM unnest(claims) AS c) THEN
            RAISE EXCEPTION 'two commands about one claim' USING ERRCODE = CASE
                WHEN batch[1].request = batch[cardinality(batch)].request THEN 'feature_not_supported'
                ELSE 'serialization_failure' END;
        END IF;
    END IF;
    seen := capacity.recall(p_tenant, batch);
    ids := ARRAY(SELECT p.id FROM unnest(pools) AS p);
    loaded := cardinality(ids);
    FOR i IN 1 .. loaded LOOP
        queues := queues OR (pools[i]).waitlist;
    END LOOP;

    WHILE first <= cardinality(batch) LOOP
        last := first;
        WHILE batch[last + 1].request = batch[first].request LOOP
            last := last + 1;
        END LOOP;
        -- A slice copies the whole array; most requests are of one command.
        request := CASE WHEN first = last THEN ARRAY[batch[first]] ELSE batch[first:last] END;
        own := CASE WHEN first = last THEN ARRAY[claims[first]] ELSE claims[first:last] END;
        IF (seen[first]).key IS NOT NULL THEN
            d := NULL;
            d.outcomes := capacity.replay(p_tenant, seen[first], request, pools, now);
        ELSE
            places := capacity.places_of(request, own, ids);
            its_pools := '{}';
            FOR i IN 1 .. cardinality(places) LOOP
                its_pools := its_pools || pools[places[i]];
            END LOOP;
            IF first > 1 AND queues THEN  -- an offer, of another pool too, may have changed what had been read
                own := capacity.load_claims(p_tenant, request, locked);
            END IF;
            d := capacity.decide_request(p_tenant, request, its_pools, own, now);
            FOR i IN 1 .. cardinality(request) LOOP
                IF d.outcomes[i] ->> 'code' = 'INSUFFICIENT' THEN
                    d.outcomes[i] := capacity.tell_release(p_tenant, d.outcomes[i], new_claims || old_claims);
                END IF;
            END LOOP;
            IF (request[1]).key IS NOT NULL THEN
                answers := answers || capacity.answer(p_tenant, request[1], d.outcomes, now);
            END IF;
        END IF;
        FOR i IN 1 .. coalesce(cardinality(d.pools), 0) LOOP
            IF i > cardinality(places) THEN
                places := places || cardinality(ids) + 1;
                ids := ids || (d.pools[i]).id;
            END IF;
            pools[places[i]] := d.pools[i];
            queues := queues OR (d.pools[i]).waitlist;
        END LOOP;
        FOR i IN 1 .. cardinality(request) LOOP
            outcomes[first + i - 1] := d.outcomes[i];
            IF (own[i]).id IS NULL AND (d.claims[i]).id IS NOT NULL THEN
                new_claims := new_claims || d.claims[i];
            ELSIF (d.claims[i]).id IS NOT NULL THEN
                old_claims := old_claims || d.claims[i];
            END IF;
        END LOOP;
        FOR i IN 1 .. coalesce(cardinality(d.entries), 0) LOOP
            entries := entries || d.entries[i];
        END LOOP;
        first := last + 1;
    END LOOP;

    PERFORM capacity.write(p_tenant, pools, loaded, new_claims, old_claims, entries, answers);
    RETURN QUERY SELECT unnest(outcomes), extract(epoch FROM waited)::double precision;
END $$;
