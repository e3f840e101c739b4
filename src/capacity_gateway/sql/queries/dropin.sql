-- name: waitlist_entries(tenant, ids, holder, status, size)
-- For each of these pools who waits or has waited there, each by his last such claim, or one holder; in all statuses or
-- one: the offered first, then who waits, both in the order of the line, then the others, the latest first.
WITH line AS (
    SELECT
        c.id, row_number() OVER (PARTITION BY c.pool_id, c.state ORDER BY c.rank, c.place) AS place,
        c.state = 'waiting' AS waits
    FROM capacity.claim AS c
    WHERE c.tenant_id = :tenant AND c.pool_id = ANY(:ids::text[])
        AND (c.state = 'waiting' OR c.state = 'held' AND c.offered)
), entry AS (
    SELECT DISTINCT ON (c.pool_id, c.holder)
        c.*, l.place AS line, CASE WHEN l.waits THEN l.place END AS position, CASE
            WHEN c.state = 'waiting' THEN 'WAITING'
            WHEN c.state = 'held' THEN 'OFFERED'
            WHEN c.confirmed_at IS NOT NULL THEN 'ACCEPTED'
            WHEN c.state = 'expired' THEN 'EXPIRED'
            WHEN c.stage = 'DECLINED' THEN 'DECLINED'
            ELSE 'LEFT' END AS status
    FROM capacity.claim AS c
    LEFT JOIN line AS l ON l.id = c.id
    WHERE c.tenant_id = :tenant AND c.pool_id = ANY(:ids::text[]) AND c.place IS NOT NULL
        AND (:holder::text IS NULL OR c.holder = :holder)
    ORDER BY c.pool_id, c.holder, c.created_at DESC, c.id DESC
)
SELECT i.id AS key, to_jsonb(e) || jsonb_build_object('offered_at', (
    SELECT min(o.recorded_at) FROM capacity.ledger AS o
    WHERE o.tenant_id = :tenant AND o.claim_id = e.id AND o.reason = 'OFFER'
)) AS value
FROM unnest(:ids::text[]) AS i (id)
CROSS JOIN LATERAL (
    SELECT * FROM entry
    WHERE entry.pool_id = i.id AND (:status::text IS NULL OR entry.status = :status)
    ORDER BY entry.status <> 'OFFERED', entry.line, entry.since DESC, entry.id
    LIMIT :size
) AS e
ORDER BY i.id, e.status <> 'OFFERED', e.line, e.since DESC, e.id;

-- name: waitlist_numbers(tenant, ids)
-- What has become of all who ever waited in these pools, who waits by rank, and how long one waits and answers.
SELECT c.pool_id AS key, jsonb_build_object(
    'entries', count(*),
    'waiting', count(*) FILTER (WHERE c.state = 'waiting'),
    'ranks', jsonb_build_array(
        count(*) FILTER (WHERE c.state = 'waiting' AND c.rank = 0),
        count(*) FILTER (WHERE c.state = 'waiting' AND c.rank = 1),
        count(*) FILTER (WHERE c.state = 'waiting' AND c.rank = 2)
    ),
    'offered', count(*) FILTER (WHERE c.state = 'held'),
    'accepted', count(*) FILTER (WHERE c.confirmed_at IS NOT NULL),
    'expired', count(*) FILTER (WHERE c.state = 'expired'),
    'declined', count(*) FILTER (WHERE c.state = 'released' AND c.confirmed_at IS NULL AND c.stage = 'DECLINED'),
    'left', count(*) FILTER (
        WHERE c.state = 'released' AND c.confirmed_at IS NULL AND c.stage IS DISTINCT FROM 'DECLINED'
    ),
    'wait_seconds', coalesce(sum(extract(EPOCH FROM o.offered_at - c.created_at)), 0),
    'waits', count(o.offered_at),
    'answer_seconds', avg(extract(EPOCH FROM coalesce(c.confirmed_at, c.since) - o.offered_at))
    FILTER (WHERE c.confirmed_at IS NOT NULL OR c.stage = 'DECLINED')
) AS value
FROM capacity.claim AS c
LEFT JOIN LATERAL (
    SELECT min(l.recorded_at) AS offered_at FROM capacity.ledger AS l
    WHERE c.state <> 'waiting' AND l.tenant_id = :tenant AND l.claim_id = c.id AND l.reason = 'OFFER'
) AS o ON true
WHERE c.tenant_id = :tenant AND c.pool_id = ANY(:ids::text[]) AND c.place IS NOT NULL
GROUP BY c.pool_id;

-- name: seats_offered(tenant, ids)
-- How many seats the live offers of each of these pools hold.
SELECT c.pool_id AS key, jsonb_build_object('seats', sum(c.quantity)) AS value
FROM capacity.claim AS c
WHERE c.tenant_id = :tenant AND c.pool_id = ANY(:ids::text[]) AND c.state = 'held' AND c.offered
GROUP BY c.pool_id;

-- name: seats_of_holders(tenant, ids, holder)
-- For each of these pools when this holder first had a seat there.
SELECT c.pool_id AS key, jsonb_build_object('first_at', min(c.confirmed_at)) AS value
FROM capacity.claim AS c
WHERE c.tenant_id = :tenant AND c.holder = :holder AND c.pool_id = ANY(:ids::text[]) AND c.confirmed_at IS NOT NULL
GROUP BY c.pool_id;

-- name: attendances(tenant, ids, pool)
-- Of each of these sessions who has watched it, by the claims on its event's stream: how often, how many, how many now,
-- for how long, and how many at most at a time. The cost grows with how often people came: 50 ms for 10,000 times.
WITH visit AS (
    SELECT c.subject, c.holder, c.created_at, CASE WHEN c.state <> 'held' THEN c.since END AS left_at
    FROM capacity.claim AS c
    WHERE c.tenant_id = :tenant AND c.subject = ANY(:ids::text[]) AND c.pool_id = :pool
), moved AS (
    SELECT v.subject, v.created_at AS at, 1 AS step FROM visit AS v
    UNION ALL
    SELECT v.subject, v.left_at, -1 FROM visit AS v WHERE v.left_at IS NOT NULL
), inside AS (
    SELECT m.subject, sum(m.step) OVER (PARTITION BY m.subject ORDER BY m.at, m.step ROWS UNBOUNDED PRECEDING) AS people
    FROM moved AS m
), peak AS (
    SELECT i.subject, max(i.people) AS people FROM inside AS i GROUP BY i.subject
)
SELECT v.subject AS key, jsonb_build_object(
    'views', count(*), 'viewers', count(DISTINCT v.holder), 'now', count(*) FILTER (WHERE v.left_at IS NULL),
    'seconds', avg(extract(EPOCH FROM v.left_at - v.created_at)),
    'peak', max(p.people)
) AS value
FROM visit AS v
INNER JOIN peak AS p ON p.subject = v.subject
GROUP BY v.subject;

-- name: attendances_of_pools(tenant, ids)
-- The same over all sessions of each of these streams; who watches two at a time is one viewer.
SELECT c.pool_id AS key, jsonb_build_object(
    'views', count(*), 'viewers', count(DISTINCT c.holder),
    'now', count(DISTINCT c.holder) FILTER (WHERE c.state = 'held'),
    'seconds', avg(extract(EPOCH FROM c.since - c.created_at)) FILTER (WHERE c.state <> 'held')
) AS value
FROM capacity.claim AS c
WHERE c.tenant_id = :tenant AND c.pool_id = ANY(:ids::text[]) AND c.subject IS NOT NULL
GROUP BY c.pool_id;

-- name: attendances_of_holders(tenant, ids, holder, size)
-- For each of these streams what this holder has watched, the latest first.
SELECT i.id AS key, c.claim AS value
FROM unnest(:ids::text[]) AS i (id)
CROSS JOIN LATERAL (
    SELECT to_jsonb(c) AS claim, c.created_at, c.id FROM capacity.claim AS c
    WHERE c.tenant_id = :tenant AND c.holder = :holder AND c.pool_id = i.id AND c.subject IS NOT NULL
    ORDER BY c.created_at DESC, c.id DESC
    LIMIT :size
) AS c
ORDER BY i.id, c.created_at DESC, c.id DESC;
