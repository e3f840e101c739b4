-- Which keys of a batch have been used? For each command the stored answer, null for a new key. Once the answer has
-- been swept, the entries that the key left in the ledger are the answer, so that a key is never applied twice.
CREATE OR REPLACE FUNCTION capacity.recall(p_tenant text, batch capacity.command[]) RETURNS capacity.idempotency[]
LANGUAGE plpgsql STABLE AS $$
DECLARE
    answers capacity.idempotency[] := ARRAY(
        SELECT (
            SELECT i FROM capacity.idempotency AS i
            WHERE i.tenant_id = p_tenant AND i.operation = (batch[n]).operation AND i.key = (batch[n]).key
        )
        FROM generate_subscripts(batch, 1) AS n
        ORDER BY n
    );
    swept integer[] := ARRAY(
        SELECT n FROM generate_subscripts(batch, 1) AS n
        WHERE (answers[n]).key IS NULL AND (
            SELECT true FROM capacity.ledger AS l
            WHERE l.tenant_id = p_tenant AND l.operation = (batch[n]).operation
                AND l.idempotency_key = (batch[n]).key AND l.part = 1
        )
    );
    nth integer;
BEGIN
    FOREACH nth IN ARRAY swept LOOP
        answers[nth] := capacity.recall_from_ledger(p_tenant, batch[nth]);
    END LOOP;
    RETURN answers;
END $$;
