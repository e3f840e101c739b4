-- A claim as it begins: with nothing, and neither waiting nor held yet.
CREATE OR REPLACE FUNCTION capacity.new_claim(
    p capacity.pool, m capacity.command, at timestamptz
) RETURNS capacity.claim
LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    c capacity.claim;
BEGIN
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
    c.offered := false;
    c.rank := coalesce(m.rank, 0);
    c.exclusive := m.exclusive;
    RETURN c;
END $$;
