"""What holds of every database at every moment, whatever was asked of it."""

import asyncpg

BROKEN = """
WITH sums AS (
    SELECT
        tenant_id, pool_id, count(*) AS entries, max(version) AS version,
        count(DISTINCT version) AS versions, sum(quota_change) AS quota, sum(held_change) AS held,
        sum(confirmed_change) AS confirmed
    FROM capacity.ledger GROUP BY tenant_id, pool_id
),

claimed AS (
    SELECT
        tenant_id, pool_id, sum(quantity) FILTER (WHERE state = 'held') AS held,
        sum(quantity) FILTER (WHERE state = 'confirmed') AS confirmed
    FROM capacity.claim GROUP BY tenant_id, pool_id
),

books AS (
    SELECT
        p.*, coalesce(s.entries, 0) AS entries, coalesce(s.version, 0) AS last, coalesce(s.versions, 0) AS versions,
        coalesce(s.quota, 0) AS quota_sum, coalesce(s.held, 0) AS held_sum, coalesce(s.confirmed, 0) AS confirmed_sum,
        coalesce(c.held, 0) AS held_by_claims, coalesce(c.confirmed, 0) AS confirmed_by_claims
    FROM capacity.pool AS p
    LEFT JOIN sums AS s ON s.tenant_id = p.tenant_id AND s.pool_id = p.id
    LEFT JOIN claimed AS c ON c.tenant_id = p.tenant_id AND c.pool_id = p.id
),

steps AS (
    SELECT
        l.*, sum(held_change) OVER chain AS held_so_far, sum(confirmed_change) OVER chain AS confirmed_so_far,
        lag(recorded_at) OVER chain AS recorded_before
    FROM capacity.ledger AS l
    WINDOW chain AS (PARTITION BY tenant_id, pool_id ORDER BY version)
)

SELECT id || ': quota ' || coalesce(quota::text, 'unlimited') || ' is not its opening and changes' AS broken FROM books
WHERE coalesce(quota, 0) <> coalesce(opening_quota, 0) + quota_sum
UNION ALL
SELECT id || ': the counter says ' || held || ' held, the ledger ' || held_sum FROM books WHERE held <> held_sum
UNION ALL
SELECT id || ': the counter says ' || confirmed || ' confirmed, the ledger ' || confirmed_sum FROM books
WHERE confirmed <> confirmed_sum
UNION ALL
SELECT id || ': the counter says ' || held || ' held, the claims ' || held_by_claims FROM books
WHERE held <> held_by_claims
UNION ALL
SELECT id || ': the counter says ' || confirmed || ' confirmed, the claims ' || confirmed_by_claims FROM books
WHERE confirmed <> confirmed_by_claims
UNION ALL
SELECT id || ': at version ' || version || ' with ' || entries || ' entries up to ' || last FROM books
WHERE version <> entries OR version <> last OR entries <> versions
UNION ALL
SELECT id || ': oversold by ' || -(quota - held_by_claims - confirmed_by_claims) FROM books
WHERE held_by_claims + confirmed_by_claims > quota + oversell_max + overbooked
UNION ALL
SELECT pool_id || '/' || version || ': the running sums are not the sums so far' FROM steps
WHERE held_after <> held_so_far OR confirmed_after <> confirmed_so_far
UNION ALL
SELECT pool_id || '/' || version || ': recorded before the entry before it' FROM steps
WHERE recorded_at < recorded_before
UNION ALL
SELECT min(pool_id) || ': key ' || idempotency_key || ' was applied twice' FROM capacity.ledger
WHERE idempotency_key IS NOT NULL
GROUP BY tenant_id, operation, idempotency_key, part HAVING count(*) > 1
"""


async def check_invariants(connection: asyncpg.Connection) -> list[str]:
    """What is broken, a sentence each; nothing when all is well.

    A pool whose drift was imported is broken by this: its counter is not what its ledger adds up to.
    """
    return [row["broken"] for row in await connection.fetch(BROKEN)]
