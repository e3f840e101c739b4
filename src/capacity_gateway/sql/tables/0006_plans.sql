-- A holder's claims in one pool are found by an index of their own; and of indexes that cost the same while a table is
-- empty the planner mostly takes the newest, so the ones that name what is looked for most closely are made last.

SET LOCAL lock_timeout = '5s';
SET LOCAL statement_timeout = '60s';

-- squawk-ignore require-concurrent-index-deletion
DROP INDEX capacity.ledger_key_once;
-- A key is applied at most once, for ever: this outlives the stored answers.
-- squawk-ignore require-concurrent-index-creation
CREATE UNIQUE INDEX ledger_key_once ON capacity.ledger (tenant_id, operation, idempotency_key, part)
WHERE idempotency_key IS NOT NULL;

-- squawk-ignore require-concurrent-index-deletion
DROP INDEX capacity.claim_exclusive;
-- One live claim per holder, or whatever the domain says it is one of.
-- squawk-ignore require-concurrent-index-creation
CREATE UNIQUE INDEX claim_exclusive ON capacity.claim (tenant_id, exclusive)
WHERE state IN ('waiting', 'held', 'confirmed');

-- squawk-ignore require-concurrent-index-deletion
DROP INDEX capacity.claim_due_in_pool;
-- What is due in the pools at hand, asked by every apply; and when the next hold runs out.
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX claim_due_in_pool ON capacity.claim (tenant_id, pool_id, expires_at) WHERE state = 'held';

-- squawk-ignore require-concurrent-index-deletion
DROP INDEX capacity.claim_of_holder;
-- "Where do I stand?": a holder's claims in a pool, and over all pools.
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX claim_of_holder ON capacity.claim (tenant_id, holder, pool_id, created_at);
