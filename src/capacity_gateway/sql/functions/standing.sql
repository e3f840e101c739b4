-- May the command be carried out on the claim as it stands? OK, DONE (it has been, nothing changes now), or the refusal.
-- A claim that is not there yet (null) lets everything pass that may begin one.
CREATE OR REPLACE FUNCTION capacity.standing(c capacity.claim, m capacity.command) RETURNS text
LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    here CONSTANT boolean := coalesce(m.pool_id = c.pool_id, true);
    staged CONSTANT boolean := coalesce(c.stage = ANY (m.from_stages), true) AND coalesce(c.state = m.from_state, true);
BEGIN
    IF c.id IS NULL THEN
        RETURN 'OK';
    ELSIF c.exclusive = m.exclusive AND c.state IN ('waiting', 'held', 'confirmed') THEN
        RETURN CASE
            WHEN NOT here THEN 'ELSEWHERE'
            WHEN m.once AND c.id <> m.claim_id THEN 'TAKEN'
            WHEN m.verb IN ('hold', 'take') AND (c.offered OR c.stage = ANY (m.from_stages)) THEN 'OK'
            WHEN c.state <> m.done_state THEN 'INVALID_TRANSITION'
            ELSE 'DONE' END;
    ELSIF m.if_live AND c.state IN ('released', 'expired') OR staged AND m.to_pool_id = c.pool_id THEN
        RETURN 'DONE';
    ELSIF here AND staged AND (m.needs_fact IS NULL OR c.facts ? m.needs_fact) AND (CASE
            WHEN m.verb = 'wait' THEN false
            WHEN m.verb IN ('hold', 'take') THEN c.state = 'waiting' OR c.state = 'held' AND c.offered
            WHEN m.verb = 'confirm' THEN c.state = 'held'
            WHEN m.verb = 'touch' THEN c.state = 'held' AND NOT c.offered
            WHEN m.verb IN ('release', 'adjust', 'move') THEN c.state IN ('waiting', 'held', 'confirmed')
            ELSE true END) THEN
        RETURN 'OK';
    END IF;
    RETURN CASE
        WHEN here AND c.facts @> m.done_facts AND coalesce(c.stage = ANY (m.done_stages), true)
            AND c.state = coalesce(m.done_state, c.state) THEN 'DONE'
        WHEN m.pool_id IS NOT NULL THEN 'EXISTS'
        WHEN c.state = 'expired' OR m.verb = 'touch' AND NOT c.offered THEN 'HOLD_EXPIRED'
        ELSE 'INVALID_TRANSITION' END;
END $$;
