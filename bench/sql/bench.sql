-- What the references call. `bench.register` sends capacity.apply what the gateway sends it for a registration;
-- pgbench and PostGraphile call it, so that the database has the same to do for all.
CREATE SCHEMA bench;

CREATE FUNCTION bench.registration(event_id text, holder text, idempotency_key text, request integer) RETURNS jsonb
LANGUAGE sql VOLATILE AS $$
    SELECT jsonb_build_object(
        'request', request, 'verb', 'take', 'kind', 'event', 'claim_id', c.id, 'to_stage', 'CONFIRMED',
        'facts', jsonb_build_object('ticket_code', left(c.id, 10)), 'pool_id', 'event:' || event_id,
        'holder', holder, 'subject', c.id, 'quantity', 1, 'exclusive', 'event:' || event_id || E'\n' || holder,
        'reason', 'JOIN', 'operation', 'register', 'actor', 'bench', 'key', idempotency_key,
        'fingerprint', encode(sha256(convert_to(event_id || holder, 'UTF8')), 'hex'))
    FROM (SELECT gen_random_uuid()::text AS id) AS c
$$;

CREATE FUNCTION bench.register(event_id text, holder text, idempotency_key text) RETURNS jsonb
LANGUAGE sql VOLATILE AS $$
    SELECT outcome FROM capacity.apply(
        '00000000-0000-0000-0000-000000000001',
        jsonb_build_array(bench.registration(event_id, holder, idempotency_key, 1)))
$$;

-- So many registrations in one transaction. Not in the schema that PostGraphile shows.
CREATE SCHEMA batch;
CREATE FUNCTION batch.register(event_id text, size integer) RETURNS bigint
LANGUAGE sql VOLATILE AS $$
    SELECT count(*) FILTER (WHERE a.outcome ->> 'code' = 'OK') FROM capacity.apply(
        '00000000-0000-0000-0000-000000000001',
        (
            SELECT jsonb_agg(bench.registration(event_id, n.id, n.id, n.number::integer))
            FROM (SELECT number, gen_random_uuid()::text AS id FROM generate_series(1, size) AS number) AS n
        )) AS a
$$;

-- The naive transaction's own tables, with no more indexes than it needs.
CREATE SCHEMA naive;
CREATE TABLE naive.event (id text PRIMARY KEY, quota integer NOT NULL, taken integer NOT NULL DEFAULT 0);
CREATE TABLE naive.registration (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(), event_id text NOT NULL, holder text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(), UNIQUE (event_id, holder)
);
CREATE TABLE naive.ledger (
    event_id text NOT NULL, version integer NOT NULL, change integer NOT NULL, holder text NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT now(), PRIMARY KEY (event_id, version)
);
CREATE TABLE naive.idempotency (key text PRIMARY KEY, created_at timestamptz NOT NULL DEFAULT now());

-- What is there before each round.
CREATE SCHEMA past;
CREATE FUNCTION past.keep() RETURNS void
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    name text;
BEGIN
    FOR name IN SELECT tablename FROM pg_tables WHERE schemaname = 'capacity' AND tablename <> 'migration' LOOP
        EXECUTE format('CREATE TABLE past.%I AS SELECT * FROM capacity.%1$I', name);
    END LOOP;
END $$;
CREATE FUNCTION past.restore(quota integer) RETURNS void
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    name text;
BEGIN
    FOR name IN SELECT tablename FROM pg_tables WHERE schemaname = 'past' LOOP
        EXECUTE format('TRUNCATE capacity.%I; INSERT INTO capacity.%1$I SELECT * FROM past.%1$I', name);
    END LOOP;
    TRUNCATE naive.event, naive.registration, naive.ledger, naive.idempotency;
    INSERT INTO naive.event (id, quota) VALUES ('hot', restore.quota);
END $$;

GRANT USAGE ON SCHEMA bench, batch, naive TO capacity_app;
GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA naive TO capacity_app;

-- A ledger of so many entries for one event, chained and summed as capacity.apply does it: 2,000 claims take and
-- give back in turn. For a look at what grows with it.
CREATE FUNCTION batch.grow(event_id text, size integer) RETURNS void
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    pool capacity.pool;
    e capacity.ledger;
    began CONSTANT timestamptz := now() - interval '1 day';
BEGIN
    SELECT * INTO STRICT pool FROM capacity.pool WHERE id = 'event:' || event_id;
    INSERT INTO capacity.claim (tenant_id, id, pool_id, holder, quantity, state, created_at, since)
    SELECT pool.tenant_id, 'claim-' || n, pool.id, 'holder-' || n, 0, 'released', began, began
    FROM generate_series(0, 1999) AS n;
    e.tenant_id := pool.tenant_id;
    e.pool_id := pool.id;
    e.quota_change := 0;
    e.held_change := 0;
    e.held_after := 0;
    e.quota_after := pool.quota;
    e.confirmed_after := 0;
    e.reason := 'JOIN';
    e.hash := pool.hash;
    FOR n IN 0 .. size - 1 LOOP
        e.version := n + 1;
        e.confirmed_change := CASE WHEN n / 2000 % 2 = 0 THEN 1 ELSE -1 END;
        e.confirmed_after := e.confirmed_after + e.confirmed_change;
        e.claim_id := 'claim-' || n % 2000;
        e.recorded_at := began + n * interval '1 millisecond';
        e.effective_at := e.recorded_at;
        e.hash := capacity.entry_hash(e.hash, e);
        INSERT INTO capacity.ledger SELECT e.*;
    END LOOP;
    UPDATE capacity.pool AS p
    SET version = e.version, clock = e.recorded_at, hash = e.hash, confirmed = e.confirmed_after,
        ledger_confirmed = e.confirmed_after
    WHERE p.tenant_id = pool.tenant_id AND p.id = pool.id;
END $$;
