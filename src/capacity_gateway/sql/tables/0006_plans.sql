-- Of indexes that cost the same while a table is empty the planner takes the newest; a plan that was made then is kept
-- until the table is analysed, and read all holds of a tenant for each batch meanwhile (measured). So the ones that name
-- what is looked for most closely come last.

SET LOCAL lock_timeout = '5s';
SET LOCAL statement_timeout = '60s';

-- squawk-ignore require-concurrent-index-deletion
DROP INDEX capacity.claim_due_in_pool;
-- What is due in the pools at hand, asked by every apply; and when the next hold runs out.
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX claim_due_in_pool ON capacity.claim (tenant_id, pool_id, expires_at) WHERE state = 'held';

-- squawk-ignore require-concurrent-index-deletion
DROP INDEX capacity.claim_of_holder;
-- "Where do I stand?": a holder's claims in a pool, and over all pools.
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX claim_of_holder ON capacity.claim (tenant_id, holder, pool_id, created_at, id);
