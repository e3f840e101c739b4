-- The entry that a claim lacks: what it has, less what the ledger knows of. The counter stays as it is.
CREATE OR REPLACE FUNCTION capacity.decide_backfill(
    v capacity.verdict, held integer, confirmed integer
) RETURNS capacity.verdict
LANGUAGE plpgsql STABLE AS $$
BEGIN
    SELECT held - coalesce(sum(l.held_change), 0), confirmed - coalesce(sum(l.confirmed_change), 0)
    INTO v.held_change, v.confirmed_change
    FROM capacity.ledger AS l
    WHERE l.tenant_id = (v.claim).tenant_id AND l.claim_id = (v.claim).id;
    v.code := CASE WHEN v.held_change = 0 AND v.confirmed_change = 0 THEN 'DONE' ELSE 'OK' END;
    RETURN v;
END $$;
