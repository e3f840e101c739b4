-- The claims of a pool of which its ledger says something else than they have, in the order they came, each with what is
-- missing; and where it says nothing at all, since when the claim has it.
CREATE OR REPLACE FUNCTION capacity.unexplained(p capacity.pool)
RETURNS TABLE (id text, subject text, since timestamptz, held_change integer, confirmed_change integer)
LANGUAGE sql STABLE AS $$
    WITH explained AS (
        SELECT l.claim_id AS id, max(l.subject) AS subject, sum(l.held_change) AS held,
            sum(l.confirmed_change) AS confirmed
        FROM capacity.ledger AS l
        WHERE l.tenant_id = p.tenant_id AND l.pool_id = p.id AND l.claim_id IS NOT NULL
        GROUP BY l.claim_id
    ), claims AS (
        SELECT c.*, CASE c.state WHEN 'held' THEN c.quantity ELSE 0 END AS held,
            CASE c.state WHEN 'confirmed' THEN c.quantity ELSE 0 END AS confirmed
        FROM capacity.claim AS c
        WHERE c.tenant_id = p.tenant_id AND c.pool_id = p.id
    ), compared AS (
        SELECT coalesce(c.id, e.id) AS id, coalesce(c.subject, e.subject) AS subject, c.created_at,
            CASE WHEN e.id IS NULL THEN coalesce(c.confirmed_at, c.since) END AS since,
            (coalesce(c.held, 0) - coalesce(e.held, 0))::integer AS held_change,
            (coalesce(c.confirmed, 0) - coalesce(e.confirmed, 0))::integer AS confirmed_change
        FROM claims AS c FULL JOIN explained AS e ON e.id = c.id
    )
    SELECT m.id, m.subject, m.since, m.held_change, m.confirmed_change FROM compared AS m
    WHERE (m.held_change, m.confirmed_change) <> (0, 0)
    ORDER BY m.created_at, m.id
$$;
