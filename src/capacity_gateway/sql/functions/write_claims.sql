-- New claims are inserted and never merged, so that an id or an exclusive word taken at the same moment in another
-- pool raises; the batch is then sent again and sees it. Old ones get their new state.
CREATE OR REPLACE FUNCTION capacity.write_claims(new_claims capacity.claim[], claims capacity.claim[]) RETURNS void
LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    IF cardinality(new_claims) > 0 THEN
        INSERT INTO capacity.claim SELECT n.* FROM unnest(new_claims) AS n;
    END IF;
    IF cardinality(claims) > 0 THEN
        UPDATE capacity.claim AS c
        SET pool_id = n.pool_id, quantity = n.quantity, state = n.state, stage = n.stage, facts = n.facts,
            since = n.since, confirmed_at = n.confirmed_at, expires_at = n.expires_at, offered = n.offered,
            rank = n.rank, place = n.place
        FROM unnest(claims) AS n
        WHERE c.tenant_id = n.tenant_id AND c.id = n.id;
    END IF;
END $$;
