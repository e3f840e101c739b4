-- The kernel's tables. They are private: readers use the named queries and writers capacity.apply.
-- tenant_id leads every key, so that the schema shards by tenant and row-level security has a column.
-- There are no foreign keys between them: dropping two was worth 1.5 times the throughput (measured), every
-- write goes through one function under the pool's lock, and reconcile names whatever should not be.

SET LOCAL lock_timeout = '5s';
SET LOCAL statement_timeout = '60s';

CREATE SCHEMA IF NOT EXISTS capacity;

-- What background work walks, one tenant a transaction. Outside row-level security; it holds nothing else.
CREATE TABLE capacity.tenant (
    id text NOT NULL,
    CONSTRAINT tenant_key PRIMARY KEY (id)
);

-- A countable resource. available = quota - held - confirmed.
CREATE TABLE capacity.pool (
    tenant_id text NOT NULL,
    id text NOT NULL,               -- kind and ref in one word: competition:79cef00c-…
    kind text NOT NULL,
    ref text NOT NULL,
    title text,
    quota integer,                  -- null = unlimited
    oversell_max integer NOT NULL DEFAULT 0,
    held integer NOT NULL DEFAULT 0,
    confirmed integer NOT NULL DEFAULT 0,
    overbooked integer NOT NULL DEFAULT 0,  -- how far past quota + oversell_max somebody went knowingly
    version integer NOT NULL DEFAULT 0,     -- of the last ledger entry; 0 before the first
    clock timestamptz NOT NULL,             -- of the last change: time never runs backwards within a pool
    ledger_quota integer NOT NULL DEFAULT 0,  -- the ledger's own running sums, beside the counters above:
    ledger_held integer NOT NULL DEFAULT 0,   -- the two differ only by drift that came in by import
    ledger_confirmed integer NOT NULL DEFAULT 0,
    hash text NOT NULL,             -- of the last ledger entry; before the first, of the opening
    opening_quota integer,
    opened_at timestamptz NOT NULL,
    opens_at timestamptz,           -- nobody gets in before
    closes_at timestamptz,          -- nor from then on
    closed_at timestamptz,          -- nor since somebody closed it by hand
    parent_id text,                 -- the pool it belongs to, as a session to its event
    facts jsonb NOT NULL DEFAULT '{}',  -- the domain's own; opaque to the kernel
    waitlist boolean NOT NULL DEFAULT false,  -- who waits is offered what comes free, in order
    offer_seconds double precision, -- how long an offer holds
    hold_seconds double precision,  -- how long a hold or a lease holds
    waiting integer NOT NULL DEFAULT 0,     -- claims that wait, and
    offered integer NOT NULL DEFAULT 0,     -- that have an offer
    last_place integer NOT NULL DEFAULT 0,  -- given in the queue
    definition jsonb NOT NULL,      -- the input it was defined with: the same again is a replay
    CONSTRAINT pool_id_is_kind_and_ref CHECK (id = kind || ':' || ref),
    CONSTRAINT pool_quota_not_negative CHECK (quota >= 0),
    CONSTRAINT pool_oversell_not_negative CHECK (oversell_max >= 0),
    CONSTRAINT pool_held_not_negative CHECK (held >= 0),
    CONSTRAINT pool_confirmed_not_negative CHECK (confirmed >= 0),
    CONSTRAINT pool_overbooked_not_negative CHECK (overbooked >= 0),
    -- The last line: never above the quota, but by a deliberate overbooking.
    CONSTRAINT pool_within_quota CHECK (
        quota IS NULL OR held::bigint + confirmed <= quota::bigint + oversell_max + overbooked
    )
);

-- Pages of the pools of one kind.
CREATE INDEX pool_of_kind ON capacity.pool (tenant_id, kind, id);
-- What belongs to a pool: the sessions of an event.
CREATE INDEX pool_of_parent ON capacity.pool (tenant_id, parent_id, kind, id) WHERE parent_id IS NOT NULL;
-- Keys are made last: of plans that cost the same while a table is empty, the planner takes that of the newest index.
ALTER TABLE capacity.pool ADD CONSTRAINT pool_key PRIMARY KEY (tenant_id, id);

-- A holder's share of a pool. waiting -> held -> confirmed -> released, or held -> expired.
CREATE TABLE capacity.claim (
    tenant_id text NOT NULL,
    id text NOT NULL,
    pool_id text NOT NULL,
    holder text NOT NULL,
    subject text,                   -- what it is for outside: reservation, order line
    title text,                     -- a name a person knows; here and not in the ledger, so it can be erased
    quantity integer NOT NULL,      -- what it asks for while waiting, what it has afterwards
    state text NOT NULL,
    stage text,                     -- the domain's workflow; opaque to the kernel
    facts jsonb NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL,
    since timestamptz NOT NULL,     -- when it entered its state
    confirmed_at timestamptz,
    expires_at timestamptz,         -- of a hold
    offered boolean NOT NULL DEFAULT false, -- this hold is an offer to who waited; or has run out, and nobody said so
    rank smallint NOT NULL DEFAULT 0,       -- in the queue, the lower the sooner, and
    place integer,                          -- within a rank, in the order they came
    exclusive text,                 -- of live claims with the same word there is one
    CONSTRAINT claim_quantity_not_negative CHECK (quantity >= 0),
    CONSTRAINT claim_state_known CHECK (state IN ('waiting', 'held', 'confirmed', 'released', 'expired'))
);
-- Pages of a pool's claims, in the order they came.
CREATE INDEX claim_of_pool ON capacity.claim (tenant_id, pool_id, created_at, id);
-- "Where do I stand?": a holder's claims over all pools.
CREATE INDEX claim_of_holder ON capacity.claim (tenant_id, holder, created_at, id);
-- What is due in the pools at hand, asked by every apply; and when the next hold runs out.
CREATE INDEX claim_due_in_pool ON capacity.claim (tenant_id, pool_id, expires_at) WHERE state = 'held';
-- What is due anywhere in the tenant, asked before a read.
CREATE INDEX claim_due ON capacity.claim (tenant_id, expires_at) WHERE state = 'held';
-- The queue of a pool, in its order.
CREATE INDEX claim_queue ON capacity.claim (tenant_id, pool_id, rank, place) WHERE state = 'waiting';
-- The claims of an order, a registration: what they are for.
CREATE INDEX claim_of_subject ON capacity.claim (tenant_id, subject);
-- One live claim per holder, or whatever the domain says it is one of.
CREATE UNIQUE INDEX claim_exclusive ON capacity.claim (tenant_id, exclusive)
WHERE state IN ('waiting', 'held', 'confirmed');
ALTER TABLE capacity.claim ADD CONSTRAINT claim_key PRIMARY KEY (tenant_id, id);

-- One immutable change of a pool. change = quota_change - held_change - confirmed_change.
CREATE TABLE capacity.ledger (
    tenant_id text NOT NULL,
    pool_id text NOT NULL,
    version integer NOT NULL,       -- 1, 2, 3 … in each pool, without gaps
    quota_change integer NOT NULL,  -- an unlimited quota counts as 0
    held_change integer NOT NULL,
    confirmed_change integer NOT NULL,
    quota_after integer,            -- running sums; null = unlimited
    held_after integer NOT NULL,
    confirmed_after integer NOT NULL,
    reason text NOT NULL,
    claim_id text,
    subject text,
    actor text,                     -- null = the gateway itself, as when a hold expires
    note text,
    operation text,
    idempotency_key text,
    part smallint,                  -- of the entries made under one key: 1, 2 …
    effective_at timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL,
    hash text NOT NULL,
    CONSTRAINT ledger_changes_something CHECK (quota_change <> 0 OR held_change <> 0 OR confirmed_change <> 0),
    CONSTRAINT ledger_not_from_the_future CHECK (effective_at <= recorded_at)
);
-- A claim's own history, and "is there any entry behind this claim?".
CREATE INDEX ledger_of_claim ON capacity.ledger (tenant_id, claim_id, recorded_at);
-- Entries that count from before they were written: imports, backfills, expiries. Few, but `at` needs them.
CREATE INDEX ledger_backdated ON capacity.ledger (tenant_id, pool_id, effective_at)
WHERE effective_at < recorded_at;
-- The pool as it stood at an instant: the last entry recorded by then.
CREATE INDEX ledger_recorded ON capacity.ledger (tenant_id, pool_id, recorded_at, version);
-- The latest entries over all pools of a tenant.
CREATE INDEX ledger_activity ON capacity.ledger (tenant_id, recorded_at, pool_id, version);
-- A key is applied at most once, for ever: this outlives the stored answers.
CREATE UNIQUE INDEX ledger_key_once ON capacity.ledger (tenant_id, operation, idempotency_key, part)
WHERE idempotency_key IS NOT NULL;
ALTER TABLE capacity.ledger ADD CONSTRAINT ledger_key PRIMARY KEY (tenant_id, pool_id, version);

-- The answer to each key, written in the commit of its effect.
CREATE TABLE capacity.idempotency (
    tenant_id text NOT NULL,
    operation text NOT NULL,
    key text NOT NULL,
    fingerprint text NOT NULL,      -- of the input and the actor
    outcomes jsonb NOT NULL,        -- one per command of the request
    created_at timestamptz NOT NULL
);
-- Old answers are swept by age.
CREATE INDEX idempotency_age ON capacity.idempotency (tenant_id, created_at);
ALTER TABLE capacity.idempotency ADD CONSTRAINT idempotency_key PRIMARY KEY (tenant_id, operation, key);

-- One command to capacity.apply, as its JSON gives it; every field but verb may be absent.
CREATE TYPE capacity.command AS (
    verb text,
    request integer,                -- commands of one number are linked: all or none
    operation text,
    key text,
    fingerprint text,
    actor text,
    note text,
    pool_id text,
    kind text,                      -- the claim must be of this kind
    to_pool_id text,
    claim_id text,
    holder text,
    only_holder text,               -- the claim must be this holder's; anybody else's does not exist
    subject text,
    title text,
    quantity bigint,                -- absent: all
    quantity_fact text,             -- the quantity is this fact of the claim
    relative boolean,               -- the quantity is added to what the claim has
    ttl_seconds double precision,   -- absent: the pool's hold_seconds
    exclusive text,                 -- take up the live claim with this word, if there is one
    or_wait boolean,                -- queue when there is no room
    rank smallint,                  -- in the queue
    needs_pool_id text,             -- the holder must have a confirmed claim there
    once boolean,                   -- refuse with TAKEN where that claim is there already
    mind_lapse boolean,             -- say once that an offer has run out
    from_state text,                -- the claim must be in it
    if_live boolean,                -- do nothing where the claim has ended
    unless_waiting boolean,         -- do nothing when the request has had to queue
    quota bigint,
    unlimited boolean,
    oversell_max bigint,
    allow_below_use boolean,
    overbook boolean,
    opens_at timestamptz,
    closes_at timestamptz,
    parent_id text,
    pool_facts jsonb,
    waitlist boolean,
    offer_seconds double precision,
    hold_seconds double precision,
    definition jsonb,
    reason text,
    other_reason text,              -- adjust: of a shrink; move: of the entry in the other pool
    from_stages text[],
    to_stage text,
    done_stages text[],             -- in one of these, with these facts, it has been done already
    done_facts jsonb,
    done_state text,                -- and with its claim in this state
    needs_fact text,
    facts jsonb,                    -- set; null takes a fact away
    remember text,                  -- keep how many are given back under this name
    tally text,                     -- add what is taken to this fact
    effective_at timestamptz,       -- imports and backfills only
    unledgered boolean              -- imports only: the legacy moved its counter and wrote no entry
);

-- What capacity.decide says of one command.
CREATE TYPE capacity.verdict AS (
    code text,                      -- OK, DONE (before; nothing changed now), or a refusal
    detail jsonb,
    pool capacity.pool,
    to_pool capacity.pool,
    claim capacity.claim,
    quota_change integer,
    held_change integer,
    confirmed_change integer
);

-- An entry and the pool after it.
CREATE TYPE capacity.posting AS (pool capacity.pool, entry capacity.ledger);

-- A verdict with its pools brought up to date, and the entries it made.
CREATE TYPE capacity.recorded AS (verdict capacity.verdict, entries capacity.ledger[]);

-- What capacity.decide_request says of one request.
CREATE TYPE capacity.decision AS (
    pools capacity.pool[],
    claims capacity.claim[],        -- still to be written; null where there is nothing to write
    entries capacity.ledger[],
    outcomes jsonb[]
);

-- No tenant sees another. An unset tenant is '' after a transaction that set it, so nullif fails closed.
ALTER TABLE capacity.pool ENABLE ROW LEVEL SECURITY;
ALTER TABLE capacity.pool FORCE ROW LEVEL SECURITY;
CREATE POLICY pool_of_tenant ON capacity.pool
USING (tenant_id = nullif(current_setting('capacity.tenant', true), ''));

ALTER TABLE capacity.claim ENABLE ROW LEVEL SECURITY;
ALTER TABLE capacity.claim FORCE ROW LEVEL SECURITY;
CREATE POLICY claim_of_tenant ON capacity.claim
USING (tenant_id = nullif(current_setting('capacity.tenant', true), ''));

ALTER TABLE capacity.ledger ENABLE ROW LEVEL SECURITY;
ALTER TABLE capacity.ledger FORCE ROW LEVEL SECURITY;
CREATE POLICY ledger_of_tenant ON capacity.ledger
USING (tenant_id = nullif(current_setting('capacity.tenant', true), ''));

ALTER TABLE capacity.idempotency ENABLE ROW LEVEL SECURITY;
ALTER TABLE capacity.idempotency FORCE ROW LEVEL SECURITY;
CREATE POLICY idempotency_of_tenant ON capacity.idempotency
USING (tenant_id = nullif(current_setting('capacity.tenant', true), ''));
