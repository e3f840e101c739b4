-- Who is told of changes at a URL of his own, and how far. What is told is the ledger; there is no other list of events.

SET LOCAL lock_timeout = '5s';
SET LOCAL statement_timeout = '60s';

CREATE TABLE capacity.webhook (
    tenant_id text NOT NULL,
    id text NOT NULL,
    url text NOT NULL,
    kinds text[],                   -- of pools; null = all
    reasons text[],                 -- of entries; null = all
    created_at timestamptz NOT NULL,
    lease integer NOT NULL DEFAULT 0,   -- number of the last one: who has lost it writes nothing any more
    leased_until timestamptz NOT NULL DEFAULT '-infinity',  -- a gateway delivers; one that dies lets go by then
    attempts integer NOT NULL DEFAULT 0,    -- that failed since something was delivered
    next_attempt_at timestamptz NOT NULL DEFAULT '-infinity',
    failing_since timestamptz,
    last_failure text,
    last_status integer,            -- of HTTP, where an answer was the failure
    disabled_at timestamptz,
    CONSTRAINT webhook_key PRIMARY KEY (tenant_id, id)
);

-- Up to this version of a pool everything has been delivered. Where there is none, nothing has.
CREATE TABLE capacity.webhook_cursor (
    tenant_id text NOT NULL,
    webhook_id text NOT NULL,
    pool_id text NOT NULL,
    version integer NOT NULL,
    tried_at timestamptz NOT NULL,  -- whose turn it is: the one that was tried longest ago
    CONSTRAINT webhook_cursor_key PRIMARY KEY (tenant_id, webhook_id, pool_id)
);

ALTER TABLE capacity.webhook ENABLE ROW LEVEL SECURITY;
ALTER TABLE capacity.webhook FORCE ROW LEVEL SECURITY;
CREATE POLICY webhook_of_tenant ON capacity.webhook
USING (tenant_id = nullif(current_setting('capacity.tenant', true), ''));

ALTER TABLE capacity.webhook_cursor ENABLE ROW LEVEL SECURITY;
ALTER TABLE capacity.webhook_cursor FORCE ROW LEVEL SECURITY;
CREATE POLICY webhook_cursor_of_tenant ON capacity.webhook_cursor
USING (tenant_id = nullif(current_setting('capacity.tenant', true), ''));
