-- name: enter_tenant(tenant)$
-- Sets the tenant of the transaction.
SELECT capacity.enter_tenant(:tenant);

-- name: webhook_is_there(tenant, id, at_most)$
-- Is there a webhook of this id, or so many already that there can be no other?
SELECT count(*) FILTER (WHERE w.id = :id) > 0 OR count(*) >= :at_most FROM capacity.webhook AS w WHERE w.tenant_id = :tenant;

-- name: make_webhook(tenant, id, url, kinds, reasons)$
-- Makes a webhook, unless there is one of this id; answers when it was made.
INSERT INTO capacity.webhook (tenant_id, id, url, kinds, reasons, created_at)
VALUES (:tenant, :id, :url, :kinds::text[], :reasons::text[], clock_timestamp())
ON CONFLICT ON CONSTRAINT webhook_key DO NOTHING
RETURNING created_at;

-- name: put_cursors(tenant, id, kinds, since, after, size)$
-- Puts a webhook in so many pools after one, where their ledgers stood at an instant; null = where they are. Answers which
-- was the last pool that was looked at; none = there are no more.
WITH page AS MATERIALIZED (
    SELECT p.id, p.version FROM capacity.pool AS p
    WHERE p.tenant_id = :tenant AND p.id > :after AND (:kinds::text[] IS NULL OR p.kind = ANY(:kinds))
    ORDER BY p.id
    LIMIT :size
), put AS (
    INSERT INTO capacity.webhook_cursor (tenant_id, webhook_id, pool_id, version, tried_at, pending)
    SELECT :tenant, :id, p.id, l.version, now(), l.version < p.version
    FROM page AS p
    CROSS JOIN LATERAL (
        SELECT CASE WHEN :since::timestamptz IS NULL THEN p.version ELSE coalesce((
            SELECT l.version FROM capacity.ledger AS l
            WHERE l.tenant_id = :tenant AND l.pool_id = p.id AND l.recorded_at < :since
            ORDER BY l.recorded_at DESC, l.version DESC
            LIMIT 1
        ), 0) END AS version
    ) AS l
    ON CONFLICT ON CONSTRAINT webhook_cursor_key DO UPDATE SET version = excluded.version, pending = excluded.pending
)
SELECT max(page.id) FROM page;

-- name: put_cursor(tenant, id, pool, version)$
-- Puts a webhook in one pool where it has been told everything up to a version; none where the pool has not come so far,
-- or is of a kind that the webhook does not ask for.
INSERT INTO capacity.webhook_cursor (tenant_id, webhook_id, pool_id, version, tried_at, pending)
SELECT :tenant, :id, p.id, :version, now(), :version < p.version
FROM capacity.pool AS p
INNER JOIN capacity.webhook AS w ON w.tenant_id = p.tenant_id AND w.id = :id AND (w.kinds IS NULL OR p.kind = ANY(w.kinds))
WHERE p.tenant_id = :tenant AND p.id = :pool AND p.version >= :version
ON CONFLICT ON CONSTRAINT webhook_cursor_key DO UPDATE SET version = excluded.version, pending = excluded.pending
RETURNING true;

-- name: resume_webhook(tenant, id, seconds)^
-- Takes a webhook up again after so many seconds, whatever has failed; who is delivering to it now has lost it. Answers
-- which kinds it asks for.
UPDATE capacity.webhook AS w SET
    lease = w.lease + 1, leased_until = now() + make_interval(secs => :seconds), attempts = 0,
    next_attempt_at = '-infinity', failing_since = NULL, disabled_at = NULL
WHERE w.tenant_id = :tenant AND w.id = :id
RETURNING w.kinds;

-- name: drop_webhook(tenant, id)!
-- Forgets a webhook and how far it has come.
WITH gone AS (
    DELETE FROM capacity.webhook_cursor AS c WHERE c.tenant_id = :tenant AND c.webhook_id = :id
)
DELETE FROM capacity.webhook AS w WHERE w.tenant_id = :tenant AND w.id = :id;

-- name: notice_recent()$
-- Marks what webhooks are to be told of what has changed of late.
SELECT capacity.notice_recent();

-- name: notice_page(tenant, after, size)$
-- Marks what they are to be told of so many pools after one; answers which was the last.
SELECT capacity.notice_page(:tenant, :after, :size);

-- name: due_webhooks(at_most)
-- The webhooks that are to be told something, those first that have waited longest.
SELECT d.tenant, d.id FROM capacity.due_webhooks() AS d ORDER BY d.next_attempt_at, d.tenant, d.id LIMIT :at_most;

-- name: lease_webhook(tenant, id, seconds)^
-- Leases a webhook that is due; none where another gateway was first.
UPDATE capacity.webhook AS w SET lease = w.lease + 1, leased_until = now() + make_interval(secs => :seconds)
WHERE w.tenant_id = :tenant AND w.id = :id AND w.disabled_at IS NULL
    AND w.next_attempt_at <= now() AND w.leased_until <= now()
RETURNING w.url, w.reasons, w.created_at, w.lease, w.attempts;

-- name: note_deliveries(tenant, id, lease, lease_seconds, versions, attempts, pause_seconds, failure, status, give_up_seconds)$
-- Notes how far the deliveries of a lease have come; false where the lease has been lost.
SELECT capacity.note_deliveries(
    :tenant, :id, :lease, :lease_seconds, :versions::jsonb, :attempts, :pause_seconds, :failure, :status, :give_up_seconds
);

-- name: next_deliveries(tenant, id, pools, size)
-- Of so many pools, those that were tried longest ago, the next so many entries that a webhook has not been told: each with
-- the pool as it stood after it, the holder whose claim it changed, and the offer that it made, if that still holds.
WITH turn AS MATERIALIZED (
    SELECT c.pool_id, c.version AS told FROM capacity.webhook_cursor AS c
    WHERE c.tenant_id = :tenant AND c.webhook_id = :id AND c.pending
    ORDER BY c.tried_at
    LIMIT :pools
)
SELECT to_jsonb(u.pool) AS pool, e.entries
FROM turn
CROSS JOIN LATERAL (
    SELECT p.id, turn.told, p AS pool FROM capacity.pool AS p WHERE p.tenant_id = :tenant AND p.id = turn.pool_id OFFSET 0
) AS u
CROSS JOIN LATERAL (
    SELECT coalesce(jsonb_agg(to_jsonb(l) ORDER BY l.version), '[]') AS entries
    FROM (
        SELECT l.*, c.holder, (u.pool).held - (u.pool).ledger_held + l.held_after AS held,
            (u.pool).confirmed - (u.pool).ledger_confirmed + l.confirmed_after AS confirmed,
            CASE
                WHEN l.reason = 'OFFER' AND c.pool_id = l.pool_id AND c.state = 'held' AND c.offered AND c.expires_at > now()
                    THEN c.expires_at
            END AS offered_until
        FROM capacity.ledger AS l
        LEFT JOIN capacity.claim AS c ON c.tenant_id = l.tenant_id AND c.id = l.claim_id
        WHERE l.tenant_id = :tenant AND l.pool_id = u.id AND l.version > u.told
        ORDER BY l.version
        LIMIT :size
    ) AS l
) AS e;

-- name: webhooks(tenant)
-- The tenant's webhooks, and how far behind each is.
SELECT w.id AS key, to_jsonb(w) || jsonb_build_object('pending', b.pending, 'oldest_at', b.oldest_at) AS value
FROM capacity.webhook AS w
CROSS JOIN LATERAL capacity.backlog(w) AS b
WHERE w.tenant_id = :tenant
ORDER BY w.id;

-- name: survey_webhooks()^
-- How all webhooks fare.
SELECT
    coalesce(sum(s.webhooks), 0)::bigint AS webhooks, coalesce(sum(s.failing), 0)::bigint AS webhooks_failing,
    coalesce(sum(s.disabled), 0)::bigint AS webhooks_disabled,
    coalesce(sum(s.pending), 0)::bigint AS webhook_pending_entries, coalesce(max(s.lag_seconds), 0) AS webhook_lag_seconds
FROM capacity.survey_webhooks() AS s;
