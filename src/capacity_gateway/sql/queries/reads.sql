-- name: open_snapshot(tenant)$
-- Sets the tenant of the transaction; answers which pools have holds that are due and must be settled first.
SELECT capacity.open_snapshot(:tenant);

-- name: pools(tenant, ids)
-- The pools of these ids.
SELECT p.id AS key, to_jsonb(p) || jsonb_build_object('as_of', greatest(now(), p.clock), 'due', capacity.has_due(p)) AS value
FROM capacity.pool AS p
WHERE p.tenant_id = :tenant AND p.id = ANY(:ids::text[]);

-- name: pools_page(tenant, kinds, after, size)
-- A page of the tenant's pools of these kinds, in the order of their ids.
SELECT p.id AS key, to_jsonb(p) || jsonb_build_object('as_of', greatest(now(), p.clock), 'due', capacity.has_due(p)) AS value
FROM capacity.pool AS p
WHERE p.tenant_id = :tenant
    AND p.kind = ANY(:kinds::text[])
    AND (:after::text IS NULL OR p.id > :after)
ORDER BY p.id
LIMIT :size;

-- name: claims(tenant, ids)
-- The claims of these ids.
SELECT c.id AS key, capacity.claim_shown(c) AS value
FROM capacity.claim AS c
WHERE c.tenant_id = :tenant AND c.id = ANY(:ids::text[]);

-- name: live_claims(tenant, ids, holder)
-- For each of these pools the oldest live claim of this holder.
SELECT DISTINCT ON (c.pool_id) c.pool_id AS key, capacity.claim_shown(c) AS value
FROM capacity.claim AS c
WHERE c.tenant_id = :tenant AND c.holder = :holder AND c.pool_id = ANY(:ids::text[])
    AND c.state IN ('waiting', 'held', 'confirmed')
ORDER BY c.pool_id, c.created_at, c.id;

-- name: claims_of_pools(tenant, ids, holder, stage, states, after_time, after_id, size)
-- For each of these pools a page of its claims, in the order they came: all, or those of a holder, in a stage, or in
-- some states.
SELECT i.id AS key, capacity.claim_shown(c.claim) AS value
FROM unnest(:ids::text[]) AS i (id)
CROSS JOIN LATERAL (
    SELECT c AS claim, c.created_at, c.id FROM capacity.claim AS c
    WHERE c.tenant_id = :tenant AND c.pool_id = i.id
        AND (:holder::text IS NULL OR c.holder = :holder)
        AND (:stage::text IS NULL OR c.stage = :stage)
        AND (:states::text[] IS NULL OR c.state = ANY(:states))
        AND (:after_time::timestamptz IS NULL OR (c.created_at, c.id) > (:after_time, :after_id::text))
    ORDER BY c.created_at, c.id
    LIMIT :size
) AS c
ORDER BY i.id, c.created_at, c.id;

-- name: own_claims(tenant, kinds, holders, after_time, after_id, size)
-- A page of the live claims of whoever has these names for these kinds, newest first.
SELECT c.id AS key, capacity.claim_shown(c) AS value
FROM capacity.claim AS c
WHERE c.tenant_id = :tenant AND c.holder = ANY(:holders::text[])
    AND (split_part(c.pool_id, ':', 1), c.holder) IN (SELECT * FROM unnest(:kinds::text[], :holders::text[]))
    AND c.state IN ('waiting', 'held', 'confirmed')
    AND (:after_time::timestamptz IS NULL OR (c.created_at, c.id) < (:after_time, :after_id::text))
ORDER BY c.created_at DESC, c.id DESC
LIMIT :size;

-- name: pools_of_parents(tenant, ids, kind)
-- The pools of a kind that belong to each of these, in the order of their ids.
SELECT p.parent_id AS key, to_jsonb(p) || jsonb_build_object('as_of', greatest(now(), p.clock), 'due', capacity.has_due(p)) AS value
FROM capacity.pool AS p
WHERE p.tenant_id = :tenant AND p.parent_id = ANY(:ids::text[]) AND p.kind = :kind
ORDER BY p.parent_id, p.id;

-- name: claims_of_subjects(tenant, ids)
-- The claims that are for each of these outside objects, such as the lines of an order, in the order they were made.
SELECT c.subject AS key, capacity.claim_shown(c) AS value
FROM capacity.claim AS c
WHERE c.tenant_id = :tenant AND c.subject = ANY(:ids::text[])
ORDER BY c.subject, c.id;

-- name: last_claims(tenant, ids, holder, subject)
-- For each of these pools the last claim of this holder, or his last for an outside object, whatever has become of it.
SELECT DISTINCT ON (c.pool_id) c.pool_id AS key, capacity.claim_shown(c) AS value
FROM capacity.claim AS c
WHERE c.tenant_id = :tenant AND c.holder = :holder AND c.pool_id = ANY(:ids::text[])
    AND (:subject::text IS NULL OR c.subject = :subject)
ORDER BY c.pool_id, c.created_at DESC, c.id DESC;

-- name: titles_held(tenant, ids, kind, holder)
-- The titles of the pools of a kind, belonging to each of these, in which this holder has a confirmed claim.
SELECT DISTINCT p.parent_id AS key, jsonb_build_object('title', p.title) AS value
FROM capacity.claim AS c
INNER JOIN capacity.pool AS p ON p.tenant_id = c.tenant_id AND p.id = c.pool_id
WHERE c.tenant_id = :tenant AND c.holder = :holder AND c.state = 'confirmed'
    AND p.kind = :kind AND p.parent_id = ANY(:ids::text[]);

-- name: known_holders(tenant, ids, holder)
-- In which of these pools this holder has, or once had, a claim.
SELECT DISTINCT k.pool_id AS key, 'true'::jsonb AS value
FROM (
    SELECT c.pool_id FROM capacity.claim AS c WHERE c.tenant_id = :tenant AND c.holder = :holder
    UNION ALL
    SELECT l.pool_id FROM capacity.claim AS c
    INNER JOIN capacity.ledger AS l ON l.tenant_id = c.tenant_id AND l.claim_id = c.id
    WHERE c.tenant_id = :tenant AND c.holder = :holder
) AS k
WHERE k.pool_id = ANY(:ids::text[]);

-- name: entries_of_pools(tenant, ids, holder, reasons, subject, actor, since, until, before, size)
-- For each of these pools a page of its ledger, newest first; of one holder's claims only, where he is given.
SELECT i.id AS key, to_jsonb(l) AS value
FROM unnest(:ids::text[]) AS i (id)
CROSS JOIN LATERAL (
    SELECT l.*, c.title AS subject_title
    FROM capacity.ledger AS l
    LEFT JOIN capacity.claim AS c ON c.tenant_id = l.tenant_id AND c.id = l.claim_id
    WHERE l.tenant_id = :tenant AND l.pool_id = i.id
        AND (:before::integer IS NULL OR l.version < :before)
        AND (:holder::text IS NULL OR c.holder = :holder)
        AND (:reasons::text[] IS NULL OR l.reason = ANY(:reasons))
        AND (:subject::text IS NULL OR l.subject = :subject)
        AND (:actor::text IS NULL OR l.actor = :actor)
        AND (:since::timestamptz IS NULL OR l.effective_at >= :since)
        AND (:until::timestamptz IS NULL OR l.effective_at < :until)
    ORDER BY l.version DESC
    LIMIT :size
) AS l
ORDER BY i.id, l.version DESC;

-- name: entries_after(tenant, ids, after, size)
-- For each of these pools a page of its ledger, oldest first; versions that stand twice in the order of `seal_hash`.
SELECT i.id AS key, to_jsonb(l) AS value
FROM unnest(:ids::text[]) AS i (id)
CROSS JOIN LATERAL (
    SELECT l.*, c.title AS subject_title
    FROM capacity.ledger AS l
    LEFT JOIN capacity.claim AS c ON c.tenant_id = l.tenant_id AND c.id = l.claim_id
    WHERE l.tenant_id = :tenant AND l.pool_id = i.id AND l.version > :after
    ORDER BY l.version, l.hash, l.recorded_at
    LIMIT :size
) AS l
ORDER BY i.id, l.version, l.hash, l.recorded_at;

-- name: seals(tenant, ids)
-- The last seal of each of these pools that has one.
SELECT p.id AS key, to_jsonb(s) AS value
FROM capacity.pool AS p
CROSS JOIN LATERAL capacity.last_seal(p) AS s
WHERE p.tenant_id = :tenant AND p.id = ANY(:ids::text[]) AND s.version IS NOT NULL;

-- name: entries_of_claims(tenant, ids, before_time, before_pool, before_version, size)
-- For each of these claims a page of its entries, newest first, over all the pools it has been in.
SELECT i.id AS key, to_jsonb(l) AS value
FROM unnest(:ids::text[]) AS i (id)
CROSS JOIN LATERAL (
    SELECT l.*, c.title AS subject_title
    FROM capacity.ledger AS l
    LEFT JOIN capacity.claim AS c ON c.tenant_id = l.tenant_id AND c.id = l.claim_id
    WHERE l.tenant_id = :tenant AND l.claim_id = i.id
        AND (
            :before_time::timestamptz IS NULL
            OR (l.recorded_at, l.pool_id, l.version) < (:before_time, :before_pool::text, :before_version::integer)
        )
    ORDER BY l.recorded_at DESC, l.pool_id DESC, l.version DESC
    LIMIT :size
) AS l
ORDER BY i.id, l.recorded_at DESC, l.pool_id DESC, l.version DESC;

-- name: activity(tenant, kinds, reasons, subject, actor, since, until, before_time, before_pool, before_version, size)
-- A page of the latest entries over all pools of these kinds.
SELECT l.pool_id AS key, to_jsonb(l) || jsonb_build_object('subject_title', c.title) AS value
FROM capacity.ledger AS l
LEFT JOIN capacity.claim AS c ON c.tenant_id = l.tenant_id AND c.id = l.claim_id
WHERE l.tenant_id = :tenant
    AND split_part(l.pool_id, ':', 1) = ANY(:kinds::text[])
    AND (:reasons::text[] IS NULL OR l.reason = ANY(:reasons))
    AND (:subject::text IS NULL OR l.subject = :subject)
    AND (:actor::text IS NULL OR l.actor = :actor)
    AND (:since::timestamptz IS NULL OR l.effective_at >= :since)
    AND (:until::timestamptz IS NULL OR l.effective_at < :until)
    AND (
        :before_time::timestamptz IS NULL
        OR (l.recorded_at, l.pool_id, l.version) < (:before_time, :before_pool::text, :before_version::integer)
    )
ORDER BY l.recorded_at DESC, l.pool_id DESC, l.version DESC
LIMIT :size;

-- name: pools_at(tenant, ids, at)
-- Each of these pools as it stood at an instant: its last entry recorded by then, and what was recorded later but
-- counts from before. The cost does not grow with the ledger, but with what was backdated.
SELECT
    p.id AS key,
    jsonb_build_object(
        'time', least(:at::timestamptz, now()),
        'version', greatest(coalesce(base.version, 0), coalesce(late.version, 0)),
        'quota', CASE WHEN base.version IS NULL THEN p.opening_quota ELSE base.quota_after END
        + coalesce(late.quota_change, 0),
        'held', coalesce(base.held_after, 0) + coalesce(late.held_change, 0),
        'confirmed', coalesce(base.confirmed_after, 0) + coalesce(late.confirmed_change, 0)
    ) AS value
FROM capacity.pool AS p
LEFT JOIN LATERAL (
    SELECT * FROM capacity.ledger AS l
    WHERE l.tenant_id = :tenant AND l.pool_id = p.id AND l.recorded_at <= :at
    ORDER BY l.recorded_at DESC, l.version DESC
    LIMIT 1
) AS base ON true
CROSS JOIN LATERAL (
    SELECT
        max(l.version) AS version, sum(l.quota_change) AS quota_change, sum(l.held_change) AS held_change,
        sum(l.confirmed_change) AS confirmed_change
    FROM capacity.ledger AS l
    WHERE l.tenant_id = :tenant AND l.pool_id = p.id
        AND l.effective_at < l.recorded_at AND l.effective_at <= :at AND l.recorded_at > :at
) AS late
WHERE p.tenant_id = :tenant AND p.id = ANY(:ids::text[]);

-- name: reconciliations(tenant, ids)
-- Counter, ledger and claims of these pools side by side, and where the chain of entries first breaks: all of it,
-- from its last seal on, and whether what was sealed is still as it was.
SELECT p.id AS key, jsonb_build_object(
    'id', p.id, 'title', p.title, 'quota', p.quota, 'opening_quota', p.opening_quota, 'version', p.version,
    'held', p.held, 'confirmed', p.confirmed, 'entries', coalesce(s.entries, 0) + e.entries, 'last_version', e.last_version,
    'quota_sum', e.quota_sum, 'held_sum', e.held_sum, 'confirmed_sum', e.confirmed_sum,
    'faults', e.faults, 'verified_before', 0,
    'seal', to_jsonb(s) || jsonb_build_object('holds', s.hash = capacity.seal_hash(s)),
    'held_by_claims', c.held, 'confirmed_by_claims', c.confirmed, 'orphans', c.orphans
) AS value
FROM capacity.pool AS p
CROSS JOIN LATERAL capacity.last_seal(p) AS s
CROSS JOIN LATERAL capacity.verify(p, capacity.first_checkpoint(p, s), 2147483647) AS e
CROSS JOIN LATERAL (
    SELECT
        coalesce(sum(c.quantity) FILTER (WHERE c.state = 'held'), 0) AS held,
        coalesce(sum(c.quantity) FILTER (WHERE c.state = 'confirmed'), 0) AS confirmed,
        coalesce(jsonb_agg(
            to_jsonb(c) || jsonb_build_object('missing', c.has - c.explained) ORDER BY c.created_at, c.id
        ) FILTER (WHERE c.has > c.explained), '[]') AS orphans
    FROM (
        SELECT c.*, coalesce(l.explained, 0) AS explained,
            CASE WHEN c.state IN ('held', 'confirmed') THEN c.quantity ELSE 0 END AS has
        FROM capacity.claim AS c
        LEFT JOIN (
            SELECT l.claim_id, sum(l.held_change + l.confirmed_change) AS explained
            FROM capacity.ledger AS l
            WHERE l.tenant_id = :tenant AND l.pool_id = p.id
            GROUP BY l.claim_id
        ) AS l ON l.claim_id = c.id
        WHERE c.tenant_id = :tenant AND c.pool_id = p.id
    ) AS c
) AS c
WHERE p.tenant_id = :tenant AND p.id = ANY(:ids::text[])
ORDER BY p.id;

-- name: reconciliations_since(tenant, ids)
-- The same for pools that have a checkpoint: what came after it, and the claims that this is about.
SELECT p.id AS key, jsonb_build_object(
    'id', p.id, 'title', p.title, 'quota', p.quota, 'opening_quota', p.opening_quota, 'version', p.version,
    'held', p.held, 'confirmed', p.confirmed, 'entries', k.version + e.entries + coalesce(s.entries - s.version, 0), 'last_version', e.last_version,
    'quota_sum', e.quota_sum, 'held_sum', e.held_sum, 'confirmed_sum', e.confirmed_sum,
    'faults', e.faults, 'verified_before', k.version, 'seal', to_jsonb(s),
    'held_by_claims', c.held, 'confirmed_by_claims', c.confirmed, 'orphans', c.orphans
) AS value
FROM capacity.pool AS p
INNER JOIN capacity.checkpoint AS k ON k.tenant_id = p.tenant_id AND k.pool_id = p.id
CROSS JOIN LATERAL capacity.last_seal(p) AS s
CROSS JOIN LATERAL capacity.verify(p, k, 2147483647) AS e
CROSS JOIN LATERAL (
    SELECT
        NULL::bigint AS held, NULL::bigint AS confirmed,
        coalesce(jsonb_agg(to_jsonb(o.claim) || jsonb_build_object('missing', o.missing)), '[]') AS orphans
    FROM capacity.orphans(p, k, 2147483647, 'infinity') AS o
) AS c
WHERE p.tenant_id = :tenant AND p.id = ANY(:ids::text[])
ORDER BY p.id;

-- name: lines_of_pools(tenant, ids, after_rank, after_place, size)
-- For each of these pools a page of who waits, the next first.
SELECT i.id AS key, capacity.claim_shown(c.claim) AS value
FROM unnest(:ids::text[]) AS i (id)
CROSS JOIN LATERAL (
    SELECT c AS claim, c.rank, c.place FROM capacity.claim AS c
    WHERE c.tenant_id = :tenant AND c.pool_id = i.id AND c.state = 'waiting'
        AND (:after_rank::integer IS NULL OR (c.rank, c.place) > (:after_rank, :after_place::bigint))
    ORDER BY c.rank, c.place
    LIMIT :size
) AS c
ORDER BY i.id, c.rank, c.place;
