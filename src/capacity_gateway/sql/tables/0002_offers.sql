-- The live offers of a holder, which are looked for several times a second while he is subscribed to them.

SET LOCAL lock_timeout = '5s';
SET LOCAL statement_timeout = '60s';

-- Made within the migration's transaction: writers are told BUSY for as long as it takes to read the claims once.
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX claim_offered ON capacity.claim (tenant_id, holder) WHERE state = 'held' AND offered;
