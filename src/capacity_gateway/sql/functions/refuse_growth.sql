-- Is `p` open, with room for `growth` more? If not, the verdict names the refusal, the pool and its true numbers;
-- otherwise it stays as it is. Who waited before the request comes first: while anybody does whom the pool could hold
-- at all, nobody else gets more of it, by whatever way. Sums are 64-bit and no pool holds more than 2^31 - 1, so
-- nothing wraps.
CREATE OR REPLACE FUNCTION capacity.refuse_growth(
    v capacity.verdict, p capacity.pool, growth bigint, m capacity.command
) RETURNS capacity.verdict
LANGUAGE plpgsql STABLE AS $$
DECLARE
    largest CONSTANT bigint := 2147483647;
    available bigint := coalesce(p.quota, largest) - p.held - p.confirmed;
    room bigint := least(
        CASE WHEN p.quota IS NULL OR m.overbook THEN largest ELSE p.quota::bigint + p.oversell_max END, largest
    ) - p.held - p.confirmed;
    queued boolean := false;
BEGIN
    v.pool := p;
    IF p.waitlist AND p.waiting > 0 AND m.reason IS DISTINCT FROM 'OFFER' THEN
        queued := EXISTS (
            SELECT FROM capacity.claim AS w
            WHERE w.tenant_id = p.tenant_id AND w.pool_id = p.id AND w.state = 'waiting'
                AND (p.quota IS NULL OR w.quantity <= p.quota::bigint + p.oversell_max)
        );
    END IF;
    IF p.closed_at IS NOT NULL OR clock_timestamp() < p.opens_at OR clock_timestamp() >= p.closes_at THEN
        v.code := 'POOL_CLOSED';
        v.detail := jsonb_build_object('pool_id', p.id, 'opens_at', p.opens_at);
    ELSIF growth > 0 AND (growth > room OR queued) THEN
        v.code := 'INSUFFICIENT';
        v.detail := jsonb_build_object(
            'pool_id', p.id, 'requested', growth, 'available', available, 'queued', queued,
            'cause', CASE
                WHEN p.offered > 0 THEN 'OFFERED'
                WHEN growth <= room + p.held AND p.held > 0 THEN 'HELD'
                ELSE 'CONFIRMED' END
        );
    END IF;
    RETURN v;
END $$;
