-- Notes how a gateway has fared with a webhook that it has leased: up to which version each pool was delivered, whether
-- or not that is further than before; and the failure, if there was one, with the pause before the next attempt. Keeps
-- the lease for so many seconds more; with 0 it is over. False, and nothing noted, where the lease is somebody else's by
-- now: what he delivers, or from where the webhook was told to resume, stands.
CREATE OR REPLACE FUNCTION capacity.note_deliveries(
    p_tenant text, p_webhook text, p_lease integer, p_lease_seconds double precision, p_versions jsonb,
    p_attempts integer, p_pause_seconds double precision, p_failure text, p_status integer, p_give_up_seconds integer
) RETURNS boolean
LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    PERFORM set_config('capacity.tenant', p_tenant, true);
    UPDATE capacity.webhook AS w SET
        leased_until = now() + make_interval(secs => p_lease_seconds),
        attempts = p_attempts,
        next_attempt_at = now() + make_interval(secs => p_pause_seconds),
        failing_since = CASE WHEN p_attempts > 1 THEN coalesce(w.failing_since, now()) WHEN p_attempts = 1 THEN now() END,
        last_failure = coalesce(p_failure, w.last_failure),
        last_status = CASE WHEN p_failure IS NULL THEN w.last_status ELSE p_status END,
        disabled_at = CASE
            WHEN p_status = 410 OR p_attempts > 1 AND w.failing_since < now() - make_interval(secs => p_give_up_seconds)
                THEN now()
        END
    WHERE w.tenant_id = p_tenant AND w.id = p_webhook AND w.lease = p_lease;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    INSERT INTO capacity.webhook_cursor AS c (tenant_id, webhook_id, pool_id, version, tried_at, pending)
    SELECT p_tenant, p_webhook, d.key, d.value::integer, clock_timestamp(), p.version > d.value::integer
    FROM jsonb_each_text(p_versions) AS d
    CROSS JOIN LATERAL (
        SELECT p.version FROM capacity.pool AS p WHERE p.tenant_id = p_tenant AND p.id = d.key OFFSET 0
    ) AS p
    ON CONFLICT ON CONSTRAINT webhook_cursor_key
    DO UPDATE SET version = excluded.version, tried_at = excluded.tried_at, pending = excluded.pending;
    RETURN true;
END $$;
