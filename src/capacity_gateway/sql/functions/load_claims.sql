-- The claims that a batch names, one for each command, null where there is none yet. Their pools are locked by
-- now; a claim that has moved to another pool since is a lost race, and the batch is sent again.
CREATE OR REPLACE FUNCTION capacity.load_claims(
    p_tenant text, batch capacity.command[], locked text[]
) RETURNS capacity.claim[]
LANGUAGE plpgsql STABLE AS $$
DECLARE
    claims CONSTANT capacity.claim[] := ARRAY(
        SELECT c FROM unnest(batch) WITH ORDINALITY AS m
        LEFT JOIN capacity.claim AS c ON c.tenant_id = p_tenant AND c.id = m.claim_id
        ORDER BY m.ordinality
    );
BEGIN
    IF EXISTS (SELECT FROM unnest(claims) AS c WHERE NOT c.pool_id = ANY (locked)) THEN
        RAISE EXCEPTION 'a claim has moved to another pool' USING ERRCODE = 'serialization_failure';
    END IF;
    RETURN claims;
END $$;
