-- How far each large ledger has been verified, so that to reconcile it need not begin at the opening every time.

SET LOCAL lock_timeout = '5s';
SET LOCAL statement_timeout = '60s';

-- Up to this version a pool's entries follow from its opening, and explain the claims that they are about.
CREATE TABLE capacity.checkpoint (
    tenant_id text NOT NULL,
    pool_id text NOT NULL,
    version integer NOT NULL,
    hash text NOT NULL,             -- of that entry
    quota_sum bigint NOT NULL,      -- of the changes up to it
    held_sum bigint NOT NULL,
    confirmed_sum bigint NOT NULL,
    recorded_at timestamptz NOT NULL,  -- when it was written; claims that are older have been looked at
    CONSTRAINT checkpoint_key PRIMARY KEY (tenant_id, pool_id)
);

ALTER TABLE capacity.checkpoint ENABLE ROW LEVEL SECURITY;
ALTER TABLE capacity.checkpoint FORCE ROW LEVEL SECURITY;
CREATE POLICY checkpoint_of_tenant ON capacity.checkpoint
USING (tenant_id = nullif(current_setting('capacity.tenant', true), ''));
