-- May the command be carried out on the claim as it stands? OK, DONE, or the refusal. A claim that is not there yet
-- (null) lets everything pass that may begin one.
CREATE OR REPLACE FUNCTION capacity.standing(c capacity.claim, m capacity.command) RETURNS text
LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    IF c.id IS NULL THEN
        RETURN 'OK';
    ELSIF c.exclusive = m.exclusive THEN
        RETURN CASE
            WHEN c.pool_id <> m.pool_id THEN 'ELSEWHERE'
            WHEN c.offered AND m.verb IN ('hold', 'take') THEN 'OK'
            ELSE 'DONE' END;
    ELSIF m.if_live AND c.state IN ('released', 'expired') OR m.to_pool_id = c.pool_id AND c.stage = ANY (m.from_stages)
        OR m.verb = 'release' AND m.quantity IS NULL AND c.state = 'released' AND m.from_stages IS NULL THEN
        RETURN 'DONE';
    ELSIF m.pool_id = c.pool_id IS NOT FALSE AND c.stage = ANY (m.from_stages) IS NOT FALSE
        AND (m.needs_fact IS NULL OR c.facts ? m.needs_fact)
        AND (CASE
            WHEN m.verb = 'wait' THEN false
            WHEN m.verb IN ('hold', 'take') THEN c.state = 'waiting' OR c.offered
            WHEN m.verb IN ('confirm', 'touch') THEN c.state = 'held'
            WHEN m.verb IN ('release', 'adjust', 'backfill', 'move') THEN c.state IN ('waiting', 'held', 'confirmed')
            ELSE true END) THEN
        RETURN 'OK';
    END IF;
    RETURN CASE
        WHEN m.verb = 'confirm' AND c.state = 'confirmed' THEN 'DONE'
        WHEN m.pool_id = c.pool_id IS NOT FALSE AND c.facts @> m.done_facts
            AND c.stage = ANY (m.done_stages) IS NOT FALSE THEN 'DONE'
        WHEN m.pool_id IS NOT NULL THEN 'EXISTS'
        WHEN c.state = 'expired' OR m.verb = 'touch' THEN 'HOLD_EXPIRED'
        ELSE 'INVALID_TRANSITION' END;
END $$;
