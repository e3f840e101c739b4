-- What is stored under a key: of each outcome its code and numbers, and which pool, claim and entries it shows.
CREATE OR REPLACE FUNCTION capacity.answer(
    p_tenant text, m capacity.command, outcomes jsonb[], at timestamptz
) RETURNS capacity.idempotency
LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    answer capacity.idempotency;
    o jsonb;
BEGIN
    answer.tenant_id := p_tenant;
    answer.operation := m.operation;
    answer.key := m.key;
    answer.fingerprint := m.fingerprint;
    answer.outcomes := '[]';
    answer.created_at := at;
    FOREACH o IN ARRAY outcomes LOOP
        answer.outcomes := answer.outcomes || jsonb_build_object(
            'code', o -> 'code', 'detail', o -> 'detail',
            'pool_id', o #> '{pool,id}', 'claim_id', o #> '{claim,id}',
            'pool_ids', jsonb_path_query_array(o, '$.entries[*].pool_id'),
            'versions', jsonb_path_query_array(o, '$.entries[*].version')
        );
    END LOOP;
    RETURN answer;
END $$;
