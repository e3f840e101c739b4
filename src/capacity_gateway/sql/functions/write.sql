-- Rule 6: what was decided is written in bulk, one statement a table, and only what changed.
CREATE OR REPLACE FUNCTION capacity.write(
    p_tenant text, pools capacity.pool[], loaded integer, new_claims capacity.claim[], old_claims capacity.claim[],
    entries capacity.ledger[], answers capacity.idempotency[]
) RETURNS void
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    new_pools CONSTANT capacity.pool[] := pools[loaded + 1:];
BEGIN
    IF cardinality(new_pools) > 0 THEN
        INSERT INTO capacity.tenant VALUES (p_tenant) ON CONFLICT DO NOTHING;
        INSERT INTO capacity.pool SELECT n.* FROM unnest(new_pools) AS n;
    END IF;
    UPDATE capacity.pool AS p
    SET quota = n.quota, oversell_max = n.oversell_max, held = n.held, confirmed = n.confirmed,
        overbooked = n.overbooked, version = n.version, clock = n.clock, ledger_quota = n.ledger_quota,
        ledger_held = n.ledger_held, ledger_confirmed = n.ledger_confirmed, hash = n.hash, closed_at = n.closed_at,
        waiting = n.waiting, offered = n.offered, last_place = n.last_place
    FROM unnest(pools) AS n
    WHERE p.tenant_id = p_tenant AND p.id = n.id AND p IS DISTINCT FROM n;
    PERFORM capacity.write_claims(new_claims, old_claims);
    INSERT INTO capacity.ledger SELECT n.* FROM unnest(entries) AS n;
    INSERT INTO capacity.idempotency SELECT n.* FROM unnest(answers) AS n;
END $$;
