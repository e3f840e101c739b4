-- name: unsafe_settings()
-- What makes this server or this role unfit to keep promises, one sentence a row.
SELECT 'the database has no tables yet: run capacity-gateway migrate' AS problem
WHERE to_regclass('capacity.ledger') IS NULL
UNION ALL
SELECT 'fsync is off: a power cut may lose acknowledged changes'
WHERE current_setting('fsync') = 'off'
UNION ALL
SELECT 'full_page_writes is off: a crash may corrupt pages' WHERE current_setting('full_page_writes') = 'off'
UNION ALL
SELECT 'synchronous_commit is off: a crash may lose acknowledged changes'
WHERE current_setting('synchronous_commit') = 'off'
UNION ALL
SELECT 'the default isolation is not READ COMMITTED: a snapshot older than the lock oversells'
WHERE current_setting('default_transaction_isolation') <> 'read committed'
UNION ALL
SELECT 'the application role is a superuser or bypasses row-level security'
FROM pg_roles WHERE rolname = current_user AND (rolsuper OR rolbypassrls);

-- name: end_stalled()
-- Ends our own backends that keep a pool's lock because their gateway does not take what they have to say: it is frozen.
-- While a backend waits for that on a Unix socket no timeout of the server ends it.
SELECT pg_terminate_backend(a.pid) AS ended
FROM pg_stat_activity AS a
WHERE a.datname = current_database() AND a.usename = current_user AND a.wait_event = 'ClientWrite'
    AND a.xact_start < clock_timestamp() - interval '0.5 s'
    AND EXISTS (SELECT FROM pg_locks AS l WHERE l.pid = a.pid AND l.locktype = 'advisory' AND l.granted);
