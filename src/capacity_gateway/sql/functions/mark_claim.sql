-- The domain's part of a command that passes: stage and facts; and what follows from the claim's change of state:
-- its times, and the pool's count of who waits and who has an offer.
CREATE OR REPLACE FUNCTION capacity.mark_claim(
    v capacity.verdict, was capacity.claim, m capacity.command, at timestamptz
) RETURNS capacity.verdict
LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    c capacity.claim := v.claim;
    waited CONSTANT integer := (was.state = 'waiting' IS TRUE)::integer;
    waits CONSTANT integer := (c.state = 'waiting')::integer;
BEGIN
    c.stage := coalesce(m.to_stage, c.stage);
    c.facts := c.facts || coalesce(m.facts, '{}');
    IF m.remember IS NOT NULL THEN
        c.facts := c.facts || jsonb_build_object(m.remember, was.quantity - c.quantity);
    END IF;
    IF m.tally IS NOT NULL AND v.confirmed_change > 0 THEN
        c.facts := c.facts || jsonb_build_object(
            m.tally, least(2147483647, coalesce((c.facts ->> m.tally)::bigint, 0) + v.confirmed_change));
    END IF;
    c.facts := jsonb_strip_nulls(c.facts);
    IF c.state IS DISTINCT FROM was.state THEN
        c.since := at;
    END IF;
    IF c.state = 'confirmed' THEN
        c.confirmed_at := coalesce(c.confirmed_at, at);
    END IF;
    IF m.verb = 'move' THEN
        v.pool.waiting := (v.pool).waiting - waited;
        v.pool.offered := (v.pool).offered - c.offered::integer;
        v.to_pool.waiting := (v.to_pool).waiting + waits;
        v.to_pool.offered := (v.to_pool).offered + c.offered::integer;
        v.to_pool.last_place := (v.to_pool).last_place + waits;
        c.place := CASE WHEN waits = 1 THEN (v.to_pool).last_place ELSE c.place END;
    ELSE
        v.pool.waiting := (v.pool).waiting + waits - waited;
        v.pool.offered := (v.pool).offered + c.offered::integer - (was.offered IS TRUE)::integer;
    END IF;
    IF waits > waited THEN
        v.pool.last_place := (v.pool).last_place + 1;
        c.place := (v.pool).last_place;
    END IF;
    v.claim := c;
    RETURN v;
END $$;
