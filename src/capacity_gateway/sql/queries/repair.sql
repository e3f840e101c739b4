-- name: begin_audit(tenant)$
-- Sets the tenant of this transaction, and lets its statements take their time: large ledgers are read whole.
SELECT capacity.enter_tenant(:tenant), set_config('statement_timeout', '10min', true);

-- name: pools_of_kinds(tenant, kinds)
-- The ids of a tenant's pools of these kinds. Needs the tenant of the transaction.
SELECT p.id FROM capacity.pool AS p
WHERE p.tenant_id = :tenant AND p.kind = ANY(:kinds::text[])
ORDER BY p.id;

-- name: repair(tenant, pool, signed, actor, note)$
-- Repairs a pool, and says what was done.
SELECT capacity.repair(:tenant, :pool, :signed, jsonb_populate_record(
    NULL::capacity.command, jsonb_build_object('operation', 'repair', 'actor', :actor::text, 'note', :note::text)));

-- name: sign_seal(tenant, pool, sealed_at, signature)!
-- Signs a seal that was made in this transaction.
UPDATE capacity.seal SET signature = :signature
WHERE tenant_id = :tenant AND pool_id = :pool AND sealed_at = :sealed_at AND signature = '';
