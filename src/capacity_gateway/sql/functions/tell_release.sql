-- A shortage with the time at which the next hold of its pool runs out: of those in the table, or of this batch, which
-- are not there yet.
CREATE OR REPLACE FUNCTION capacity.tell_release(
    p_tenant text, o jsonb, unwritten capacity.claim[]
) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$
DECLARE
    earliest CONSTANT timestamptz := CASE WHEN (o -> 'pool' ->> 'held')::integer > 0 THEN least((
        SELECT min(c.expires_at) FROM capacity.claim AS c
        WHERE c.tenant_id = p_tenant AND c.pool_id = o -> 'pool' ->> 'id' AND c.state = 'held'
            AND NOT EXISTS (SELECT FROM unnest(unwritten) AS u WHERE u.id = c.id)
    ), (
        SELECT min(u.expires_at) FROM unnest(unwritten) AS u
        WHERE u.pool_id = o -> 'pool' ->> 'id' AND u.state = 'held'
    )) END;
BEGIN
    RETURN jsonb_set(o, '{detail,earliest_release_at}', coalesce(to_jsonb(earliest), 'null'));
END $$;
