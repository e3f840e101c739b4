-- What one command does to one pool and one claim, decided in memory: nothing is written here. The refusals, in
-- the order of precedence in which the first that applies is the answer:
--   NOT_FOUND · EXISTS · HOLD_EXPIRED · INVALID_TRANSITION · EXCEEDS_CLAIM · QUOTA_BELOW_USE · POOL_CLOSED · INSUFFICIENT
-- DONE stands where INVALID_TRANSITION would, if what is asked for has been done already.
CREATE OR REPLACE FUNCTION capacity.decide(
    p capacity.pool, q capacity.pool, c capacity.claim, m capacity.command, at timestamptz
) RETURNS capacity.verdict
LANGUAGE plpgsql STABLE AS $$
DECLARE
    v capacity.verdict;
    was capacity.claim := c;
    n bigint;                       -- how many the claim is to have
BEGIN
    v.pool := p;
    v.to_pool := q;
    v.claim := c;
    IF m.verb IN ('define', 'resize', 'close', 'open', 'expire', 'refuse') THEN
        RETURN capacity.decide_pool(v, m, at);
    ELSIF p.id IS NULL OR p.kind <> m.kind OR c.holder <> m.only_holder
        OR (c.id IS NULL AND m.pool_id IS NULL) OR (m.to_pool_id IS NOT NULL AND q.id IS NULL) THEN
        v.code := 'NOT_FOUND';
        v.detail := jsonb_build_object('missing', CASE
            WHEN m.to_pool_id IS NOT NULL AND p.id IS NOT NULL THEN m.to_pool_id ELSE coalesce(m.pool_id, m.claim_id) END);
        RETURN v;
    ELSIF c.id IS NOT NULL AND (m.pool_id <> c.pool_id OR NOT c.stage = ANY (m.from_stages)
        OR c.facts ->> m.needs_fact IS NULL AND m.needs_fact IS NOT NULL
        OR m.verb = 'wait' OR m.verb IN ('hold', 'take') AND c.state <> 'waiting'
        OR m.verb = 'confirm' AND c.state <> 'held'
        OR m.verb IN ('release', 'adjust', 'backfill') AND c.state NOT IN ('waiting', 'held', 'confirmed')) THEN
        v.code := CASE
            WHEN c.pool_id = coalesce(m.pool_id, c.pool_id) AND c.facts @> m.done_facts
                AND (m.done_stages IS NULL OR c.stage = ANY (m.done_stages)) THEN 'DONE'
            WHEN m.pool_id IS NOT NULL THEN 'EXISTS'
            WHEN c.state = 'expired' THEN 'HOLD_EXPIRED'
            ELSE 'INVALID_TRANSITION' END;
        v.detail := jsonb_build_object('from', coalesce(c.stage, c.state), 'expired_at', c.expires_at);
        RETURN v;
    ELSIF m.to_pool_id = c.pool_id THEN
        v.code := 'DONE';
        RETURN v;
    END IF;

    n := coalesce((c.facts ->> m.quantity_fact)::bigint, m.quantity, c.quantity);
    IF m.relative THEN
        n := n + c.quantity;
    ELSIF m.verb = 'release' THEN
        n := c.quantity - coalesce(m.quantity, c.quantity);
    END IF;
    IF c.id IS NULL THEN
        c.tenant_id := p.tenant_id;
        c.id := m.claim_id;
        c.pool_id := p.id;
        c.holder := m.holder;
        c.subject := m.subject;
        c.title := m.title;
        c.quantity := 0;
        c.facts := '{}';
        c.created_at := at;
        c.since := at;
    END IF;
    v.claim := c;
    v := capacity.decide_claim(v, m, n, at);
    IF v.code <> 'OK' THEN
        RETURN v;
    END IF;

    c := v.claim;
    c.stage := coalesce(m.to_stage, c.stage);
    c.facts := c.facts || coalesce(m.facts, '{}');
    IF m.remember IS NOT NULL THEN
        c.facts := c.facts || jsonb_build_object(m.remember, was.quantity);
    END IF;
    IF m.tally IS NOT NULL AND v.confirmed_change > 0 THEN
        c.facts := c.facts || jsonb_build_object(
            m.tally, coalesce((c.facts ->> m.tally)::integer, 0) + v.confirmed_change);
    END IF;
    c.facts := jsonb_strip_nulls(c.facts);
    IF c.state IS DISTINCT FROM was.state THEN
        c.since := at;
    END IF;
    IF c.state = 'confirmed' THEN
        c.confirmed_at := coalesce(c.confirmed_at, at);
    END IF;
    v.claim := c;
    RETURN v;
END $$;
