-- The claims that a batch is about, one for each command, null where there is none yet: the live one with the
-- command's exclusive word, or else the one of its id; or what its holder has elsewhere. A command that names no pool has
-- had that of its claim locked; if that has moved to another pool since, or is new, the batch is sent again.
CREATE OR REPLACE FUNCTION capacity.load_claims(
    p_tenant text, batch capacity.command[], locked text[]
) RETURNS capacity.claim[]
LANGUAGE plpgsql STABLE AS $$
DECLARE
    claims CONSTANT capacity.claim[] := ARRAY(
        SELECT coalesce((
            SELECT c FROM capacity.claim AS c
            WHERE c.tenant_id = p_tenant AND c.exclusive = (batch[n]).exclusive
                AND c.state IN ('waiting', 'held', 'confirmed')
        ), (
            SELECT c FROM capacity.claim AS c
            WHERE c.tenant_id = p_tenant AND c.id = (batch[n]).claim_id
        ), CASE WHEN (batch[n]).outside_pool_id IS NOT NULL THEN (
            SELECT (array_agg(e ORDER BY e.id))[1] FROM capacity.elsewhere(p_tenant, batch[n]) AS e
        ) END)
        FROM generate_subscripts(batch, 1) AS n
        ORDER BY n
    );
BEGIN
    FOR i IN 1 .. cardinality(batch) LOOP
        IF (batch[i]).pool_id IS NULL AND (claims[i]).id IS NOT NULL AND NOT (claims[i]).pool_id = ANY (locked) THEN
            RAISE EXCEPTION 'a claim has moved to another pool' USING ERRCODE = 'serialization_failure';
        END IF;
    END LOOP;
    RETURN claims;
END $$;
