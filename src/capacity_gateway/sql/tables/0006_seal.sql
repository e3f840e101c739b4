-- What a broken ledger looked like when somebody took it as it was, so that it can be trusted again from there on.

SET LOCAL lock_timeout = '5s';
SET LOCAL statement_timeout = '60s';

-- Up to this version a pool's ledger is as it is, with these faults. Its next entry follows from the seal's hash. The last
-- seal of a pool counts; the application role may read seals, and make none.
CREATE TABLE capacity.seal (
    tenant_id text NOT NULL,
    pool_id text NOT NULL,
    sealed_at timestamptz NOT NULL,
    version integer NOT NULL,
    entries bigint NOT NULL,        -- how many there are up to it; not its version, where one is missing or doubled
    quota_sum bigint NOT NULL,      -- of the changes in them
    held_sum bigint NOT NULL,
    confirmed_sum bigint NOT NULL,
    faults jsonb NOT NULL,          -- kind and version of each
    actor text NOT NULL,
    note text,
    hash text NOT NULL,             -- of all of the above but actor and note, and of the entries as they stood
    signature text NOT NULL,        -- of the hash, with the gateway's key, which the database does not have
    CONSTRAINT seal_key PRIMARY KEY (tenant_id, pool_id, sealed_at)
);

ALTER TABLE capacity.seal ENABLE ROW LEVEL SECURITY;
ALTER TABLE capacity.seal FORCE ROW LEVEL SECURITY;
CREATE POLICY seal_of_tenant ON capacity.seal
USING (tenant_id = nullif(current_setting('capacity.tenant', true), ''));
