-- Competitions as the portal had them, for its own SQL: after `SELECT capacity.enter_portal('tenant')` it runs unchanged.
-- The views show what their reader may see: nothing to who has not said which tenant he is of.

SET LOCAL lock_timeout = '5s';
SET LOCAL statement_timeout = '60s';

CREATE SCHEMA portal;

CREATE VIEW portal.competitions WITH (security_invoker = true) AS
SELECT
    p.ref AS id, p.tenant_id, p.title AS name, p.quota AS total_reservation_tokens,
    p.quota - p.held - p.confirmed AS available_reservation_tokens, p.oversell_max > 0 AS tokens_override_enabled
FROM capacity.pool AS p
WHERE p.kind = 'competition';

CREATE VIEW portal.reservations WITH (security_invoker = true) AS
SELECT
    c.id, c.tenant_id, c.holder AS studio_id, p.ref AS competition_id,
    (c.facts ->> 'spaces_requested')::integer AS spaces_requested,
    CASE WHEN c.state = 'confirmed' THEN c.quantity ELSE 0 END AS spaces_confirmed, lower(c.stage) AS status,
    c.confirmed_at AT TIME ZONE 'UTC' AS approved_at, c.facts ->> 'approved_by' AS approved_by,
    c.stage IN ('SUMMARIZED', 'INVOICED', 'CLOSED') AS is_closed,
    (c.facts ->> 'pending_spaces')::integer AS pending_additional_spaces, c.created_at AT TIME ZONE 'UTC' AS created_at
FROM capacity.claim AS c
INNER JOIN capacity.pool AS p ON p.tenant_id = c.tenant_id AND p.id = c.pool_id
WHERE p.kind = 'competition';

-- What moved spaces. A change of the quota is no entry there: it moved total and available together. An entry written
-- later is the approval that it stands for, with the time that it counts from.
CREATE VIEW portal.capacity_ledger WITH (security_invoker = true) AS
SELECT
    l.pool_id || '/' || l.version AS id, l.tenant_id, p.ref AS competition_id, l.claim_id AS reservation_id,
    -l.held_change - l.confirmed_change AS change_amount, CASE l.reason
        WHEN 'BACKFILL' THEN 'reservation_approval'
        WHEN 'ADJUSTMENT_INCREASE' THEN 'cd_adjustment_increase'
        WHEN 'ADJUSTMENT_DECREASE' THEN 'cd_adjustment_decrease'
        ELSE lower(l.reason) END AS reason,
    l.note AS notes, l.effective_at AT TIME ZONE 'UTC' AS created_at, l.actor AS created_by
FROM capacity.ledger AS l
INNER JOIN capacity.pool AS p ON p.tenant_id = l.tenant_id AND p.id = l.pool_id
WHERE p.kind = 'competition' AND (l.held_change <> 0 OR l.confirmed_change <> 0);
