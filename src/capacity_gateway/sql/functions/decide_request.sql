-- Decides the commands of one request, in order, each on what the ones before it left: all of them or none. Gets its
-- pools and claims, and gives back the pools as they are afterwards, and the claims that are still to be written.
CREATE OR REPLACE FUNCTION capacity.decide_request(
    p_tenant text, request capacity.command[], pools capacity.pool[], claims capacity.claim[], now timestamptz
) RETURNS capacity.decision
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    d capacity.decision;
    ids text[] := '{}';
    m capacity.command;
    r capacity.recorded;
    made capacity.recorded[] := '{}';
    shown integer[] := '{}';        -- the pool that each outcome shows
    wanted capacity.pool[];         -- the pools as a refused request would have left them
    refused boolean := false;
    queued boolean := false;        -- has a command of this request had to wait?
    a integer;
    b integer;
BEGIN
    FOR i IN 1 .. cardinality(pools) LOOP
        ids := ids || (pools[i]).id;
    END LOOP;
    d.pools := pools;
    d.claims := array_fill(NULL::capacity.claim, ARRAY[cardinality(request)]);
    d.entries := '{}';
    d.outcomes := '{}';
    FOR i IN 1 .. cardinality(request) LOOP
        m := request[i];
        IF i > 1 AND m.subject = request[1].claim_id THEN  -- the first may have taken up a claim of another id
            m.subject := ((made[1]).verdict).claim.id;
        END IF;
        a := coalesce(array_position(ids, coalesce(m.pool_id, (claims[i]).pool_id)), cardinality(ids) + 1);
        b := array_position(ids, m.to_pool_id);
        r := NULL;
        r.verdict := capacity.decide(
            d.pools[a], d.pools[b], claims[i], m,
            coalesce(m.effective_at, greatest(now, (d.pools[a]).clock)), queued);
        IF (r.verdict).code = 'OK' THEN
            r := capacity.record(r.verdict, m, greatest(now, (d.pools[a]).clock), 1 + cardinality(d.entries));
            d.pools[a] := (r.verdict).pool;
            ids[a] := (d.pools[a]).id;
            IF b IS NOT NULL THEN
                d.pools[b] := (r.verdict).to_pool;
            END IF;
            d.entries := d.entries || r.entries;
        END IF;
        IF (r.verdict).code IN ('OK', 'DONE') THEN
            d.claims[i] := (r.verdict).claim;
            queued := queued OR (r.verdict).claim.state = 'waiting' IS TRUE;
        ELSE
            refused := true;
            IF m.mind_lapse AND (r.verdict).code = 'HOLD_EXPIRED' THEN  -- said now, and not again
                UPDATE capacity.claim SET offered = false
                WHERE tenant_id = p_tenant AND id = ((r.verdict).claim).id;
            END IF;
        END IF;
        made[i] := r;
        shown[i] := CASE WHEN m.verb = 'move' AND (r.verdict).code IN ('OK', 'DONE', 'INSUFFICIENT', 'POOL_CLOSED')
            THEN b ELSE a END;
    END LOOP;

    IF refused THEN
        wanted := d.pools;
        d.pools := pools;
        d.entries := '{}';
        d.claims := array_fill(NULL::capacity.claim, ARRAY[cardinality(request)]);
    ELSE
        d := capacity.follow(p_tenant, d, claims, now);
    END IF;
    FOR i IN 1 .. cardinality(request) LOOP
        d.outcomes[i] := capacity.outcome(p_tenant, made[i], d.pools[shown[i]], request[i], now);
    END LOOP;
    IF refused AND cardinality(request) > 1 THEN
        d.outcomes := capacity.unlink(d.outcomes, pools, wanted);
    END IF;
    RETURN d;
END $$;
