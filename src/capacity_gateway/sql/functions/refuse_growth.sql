-- Is `p` open, with room for `growth` more? If not, the verdict names the refusal, the pool and
-- its true numbers; otherwise it stays as it is. Sums are
-- 64-bit and no pool holds more than 2^31 - 1, so nothing wraps.
CREATE OR REPLACE FUNCTION capacity.refuse_growth(
    v capacity.verdict, p capacity.pool, growth bigint, overbook boolean
) RETURNS capacity.verdict
LANGUAGE plpgsql STABLE AS $$
DECLARE
    largest CONSTANT bigint := 2147483647;
    available bigint := coalesce(p.quota, largest) - p.held - p.confirmed;
    room bigint := least(
        CASE WHEN p.quota IS NULL OR overbook THEN largest ELSE p.quota::bigint + p.oversell_max END, largest
    ) - p.held - p.confirmed;
BEGIN
    v.pool := p;
    IF p.closed_at IS NOT NULL THEN
        v.code := 'POOL_CLOSED';
        v.detail := jsonb_build_object('pool_id', p.id);
    ELSIF growth > 0 AND growth > room THEN
        v.code := 'INSUFFICIENT';
        v.detail := jsonb_build_object(
            'pool_id', p.id, 'requested', growth, 'available', available,
            'cause', CASE WHEN growth <= room + p.held THEN 'HELD' ELSE 'CONFIRMED' END,
            'earliest_release_at', (
                SELECT min(expires_at) FROM capacity.claim
                WHERE p.held > 0 AND tenant_id = p.tenant_id AND pool_id = p.id AND state = 'held'
            )
        );
    END IF;
    RETURN v;
END $$;
