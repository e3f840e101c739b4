-- Makes the application role if it is missing, and gives it exactly what the gateway needs: it owns nothing, cannot
-- bypass row-level security, and may neither change nor remove a ledger entry. Timeouts are the role's, so that
-- they hold behind a connection pooler too: lock 0.8 s < statement 2 s < the gateway's deadline 3 s. A gateway that is
-- frozen or cut off loses its transaction after 1.5 s, and its idle connections after 8 s.
CREATE OR REPLACE FUNCTION capacity.admit_role(role_name text, role_password text) RETURNS void
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    setting text;
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = role_name) THEN
        BEGIN
            EXECUTE format(
                'CREATE ROLE %I LOGIN NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE NOREPLICATION', role_name
            ) || coalesce(format(' PASSWORD %L', role_password), '');
        EXCEPTION WHEN duplicate_object OR unique_violation THEN
            NULL;                   -- roles are the server's: a migration of another database has just made it
        END;
    END IF;
    FOREACH setting IN ARRAY ARRAY[
        'lock_timeout = ''800ms''', 'statement_timeout = ''2s''', 'idle_in_transaction_session_timeout = ''1500ms''',
        'tcp_user_timeout = ''1500ms''', 'tcp_keepalives_idle = 5', 'tcp_keepalives_interval = 1', 'tcp_keepalives_count = 3',
        'synchronous_commit = on', 'default_transaction_isolation = ''read committed''', 'timezone = ''UTC''',
        'jit = off'  -- compiling a plan took longer than running it, twice over for batches (measured)
    ] LOOP
        EXECUTE format('ALTER ROLE %I IN DATABASE %I SET ', role_name, current_database()) || setting;
    END LOOP;
    EXECUTE format('GRANT USAGE ON SCHEMA capacity, portal TO %I', role_name);
    EXECUTE format('GRANT SELECT ON ALL TABLES IN SCHEMA portal TO %I', role_name);
    EXECUTE format('GRANT SELECT, INSERT ON capacity.tenant, capacity.pool, capacity.claim, capacity.ledger,'
        ' capacity.idempotency, capacity.checkpoint, capacity.webhook, capacity.webhook_cursor TO %I', role_name);
    EXECUTE format('GRANT SELECT ON capacity.seal TO %I', role_name);
    EXECUTE format('GRANT UPDATE ON capacity.pool, capacity.claim, capacity.checkpoint, capacity.webhook,'
        ' capacity.webhook_cursor TO %I', role_name);
    EXECUTE format('GRANT DELETE ON capacity.idempotency, capacity.webhook, capacity.webhook_cursor TO %I', role_name);
END $$;
