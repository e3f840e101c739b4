-- The batch as typed commands, in order. Historic times and unledgered moves are for imports alone.
CREATE OR REPLACE FUNCTION capacity.read_commands(p_commands jsonb, p_import boolean) RETURNS capacity.command[]
LANGUAGE sql STABLE AS $$
    SELECT array_agg(jsonb_populate_record(
        NULL::capacity.command,
        CASE WHEN p_import THEN c.command ELSE c.command - 'effective_at' - 'unledgered' END
        || jsonb_build_object('request', coalesce((c.command ->> 'request')::integer, -c.position))
    ) ORDER BY c.position)
    FROM jsonb_array_elements(p_commands) WITH ORDINALITY AS c (command, position)
$$;
