-- What follows from a request that passed, in its pools with a waitlist: claims there are written at once, for the
-- queue is read from the table, and what came free is offered. Elsewhere claims are left to be written in bulk, those
-- that have changed.
CREATE OR REPLACE FUNCTION capacity.follow(
    p_tenant text, d capacity.decision, before capacity.claim[], now timestamptz
) RETURNS capacity.decision
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    offers record;
    queues text[] := '{}';          -- the pools with a waitlist
BEGIN
    FOR n IN 1 .. cardinality(d.pools) LOOP
        IF (d.pools[n]).waitlist THEN
            queues := queues || (d.pools[n]).id;
        END IF;
    END LOOP;
    FOR n IN 1 .. cardinality(d.claims) LOOP
        IF d.claims[n] IS NOT DISTINCT FROM before[n] THEN
            d.claims[n] := NULL;
        ELSIF (before[n]).pool_id = ANY (queues) OR (d.claims[n]).pool_id = ANY (queues) THEN
            IF (before[n]).id IS NULL THEN
                PERFORM capacity.write_claims(d.claims[n:n], '{}');
            ELSE
                PERFORM capacity.write_claims('{}', d.claims[n:n]);
            END IF;
            d.claims[n] := NULL;
        END IF;
    END LOOP;
    FOR n IN 1 .. cardinality(d.pools) LOOP
        IF (d.pools[n]).waitlist AND (d.pools[n]).waiting > 0 THEN
            offers := capacity.offer(p_tenant, d.pools[n], greatest(now, (d.pools[n]).clock));
            d.pools[n] := offers.p;
            d.entries := d.entries || offers.made;
        END IF;
    END LOOP;
    RETURN d;
END $$;
