-- The hash before a pool's first entry: SHA-256, in hex, over its id and its opening quota, one a line.
CREATE OR REPLACE FUNCTION capacity.opening_hash(pool_id text, opening_quota integer) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT encode(sha256(convert_to(pool_id || E'\n' || coalesce(opening_quota::text, ''), 'UTF8')), 'hex')
$$;
