-- What one command does to one pool and one claim, decided in memory: nothing is written here. The refusals, in
-- the order of precedence in which the first that applies is the answer:
--   NOT_FOUND · EXISTS · ELSEWHERE · HOLD_EXPIRED · INVALID_TRANSITION · NOT_ELIGIBLE · EXCEEDS_CLAIM
--   · QUOTA_BELOW_USE · POOL_CLOSED · INSUFFICIENT
-- DONE stands where INVALID_TRANSITION would, if what is asked for has been done already.
CREATE OR REPLACE FUNCTION capacity.decide(
    p capacity.pool, q capacity.pool, c capacity.claim, m capacity.command, at timestamptz, queued boolean
) RETURNS capacity.verdict
LANGUAGE plpgsql STABLE AS $$
DECLARE
    v capacity.verdict;
    n bigint;                       -- how many the claim is to have
BEGIN
    v.pool := p;
    v.to_pool := q;
    v.claim := c;
    v.quota_change := 0;
    v.held_change := 0;
    v.confirmed_change := 0;
    IF m.verb IN ('define', 'resize', 'close', 'open', 'expire', 'refuse') THEN
        RETURN capacity.decide_pool(v, m, at);
    ELSIF m.outside_pool_id IS NOT NULL AND c.id IS NULL THEN
        v.code := 'DONE';
        RETURN v;
    ELSIF p.id IS NULL OR p.kind <> m.kind OR c.holder <> m.only_holder
        OR (c.id IS NULL AND (m.pool_id IS NULL OR m.verb NOT IN ('wait', 'hold', 'take')))
        OR (m.to_pool_id IS NOT NULL AND (q.id IS NULL OR q.parent_id IS DISTINCT FROM p.parent_id)) THEN
        v.code := 'NOT_FOUND';
        v.detail := jsonb_build_object('missing', CASE
            WHEN m.to_pool_id IS NOT NULL AND p.id IS NOT NULL AND c.id IS NOT NULL
                AND (c.holder <> m.only_holder) IS NOT TRUE THEN m.to_pool_id
            ELSE coalesce(m.pool_id, m.claim_id) END);
        RETURN v;
    END IF;
    v.code := CASE WHEN queued AND m.unless_waiting THEN 'DONE' ELSE capacity.standing(c, m) END;
    IF v.code = 'DONE' AND m.verb = 'hold' AND c.state = 'held' AND NOT c.offered THEN
        v.claim.expires_at := greatest(
            c.expires_at, at + make_interval(secs => coalesce(m.ttl_seconds, p.hold_seconds)));
        v.claim.facts := jsonb_strip_nulls(c.facts || coalesce(m.facts, '{}'));
    END IF;
    IF c.id IS NULL AND m.mind_lapse THEN
        SELECT l INTO v.claim FROM capacity.claim AS l
        WHERE l.tenant_id = p.tenant_id AND l.holder = m.holder AND l.pool_id = p.id
            AND l.state = 'expired' AND l.offered
        LIMIT 1;
        IF (v.claim).id IS NOT NULL THEN
            v.code := 'HOLD_EXPIRED';
            v.detail := jsonb_build_object('expired_at', (v.claim).expires_at);
            RETURN v;
        END IF;
        v.claim := c;
    END IF;
    IF v.code = 'OK' AND c.id IS NULL AND m.needs_pool_id IS NOT NULL THEN
        IF NOT EXISTS (
            SELECT FROM capacity.claim AS n
            WHERE n.tenant_id = p.tenant_id AND n.pool_id = m.needs_pool_id AND n.holder = m.holder
                AND n.state = 'confirmed'
        ) THEN
            v.code := 'NOT_ELIGIBLE';
        END IF;
    END IF;
    IF v.code <> 'OK' THEN
        v.detail := jsonb_build_object(
            'from', coalesce(c.stage, c.state), 'expired_at', coalesce(c.expires_at, c.since),
            'elsewhere', c.pool_id);
        RETURN v;
    END IF;

    n := coalesce((c.facts ->> m.quantity_fact)::bigint, m.quantity, c.quantity);
    IF m.relative THEN
        n := n + c.quantity;
    ELSIF m.verb = 'release' THEN
        n := c.quantity - coalesce(m.quantity, c.quantity);
    ELSIF c.offered AND m.verb <> 'adjust' OR m.verb = 'touch' THEN
        n := c.quantity;            -- an offer is taken up as it was made
    END IF;
    IF c.id IS NULL THEN
        v.claim := capacity.new_claim(p, m, at);
    END IF;
    v := capacity.decide_claim(v, m, n, at);
    IF v.code = 'OK' THEN
        v := capacity.mark_claim(v, c, m, at);
    END IF;
    RETURN v;
END $$;
