-- Where the pools of a request stand among those at hand, each once.
CREATE OR REPLACE FUNCTION capacity.places_of(
    request capacity.command[], claims capacity.claim[], ids text[]
) RETURNS integer[]
LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    places integer[] := '{}';
    place integer;
BEGIN
    FOR i IN 1 .. cardinality(request) LOOP
        FOREACH place IN ARRAY ARRAY[
            array_position(ids, coalesce((request[i]).pool_id, (claims[i]).pool_id)),
            array_position(ids, (request[i]).to_pool_id)
        ] LOOP
            IF place IS NOT NULL AND NOT place = ANY (places) THEN
                places := places || place;
            END IF;
        END LOOP;
    END LOOP;
    RETURN places;
END $$;
