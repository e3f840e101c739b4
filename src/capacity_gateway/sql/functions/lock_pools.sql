-- Rule 2: lock pools, never claims, in the order of their 64-bit keys, so that no two batches wait for each
-- other. The advisory lock is the queue; the row lock that follows it, the checks and the keys are the truth.
CREATE OR REPLACE FUNCTION capacity.lock_pools(p_tenant text, p_ids text[]) RETURNS void
LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(k.key)
    FROM (
        SELECT DISTINCT hashtextextended(p_tenant || E'\n' || id, 0) AS key
        FROM unnest(p_ids) AS id
        ORDER BY key
    ) AS k;
END $$;
