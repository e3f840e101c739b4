-- Of which pools a webhook has something still to be told: to compare all pools with what it has been told took 14 ms for
-- 10,000 of them each time (measured).

SET LOCAL lock_timeout = '5s';
SET LOCAL statement_timeout = '60s';

ALTER TABLE capacity.webhook_cursor ADD COLUMN pending boolean NOT NULL DEFAULT true;

-- Whose turn it is. Made within the migration's transaction: nothing is delivered for as long as it takes.
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX webhook_cursor_pending ON capacity.webhook_cursor (tenant_id, webhook_id, tried_at) WHERE pending;
