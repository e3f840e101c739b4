"""What is asked all the time costs the same however much there is: read by index, row by row that it is about."""

import os
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime

import asyncpg
import orjson
import pytest

from asking import POOL, TENANT, ask, confirm, define, hold, keyed, move, release, resize, stage, take, touch
from capacity_gateway.kernel.capacity import Capacity
from capacity_gateway.kernel.context import Caller
from capacity_gateway.kernel.database import Database, application_url
from capacity_gateway.kernel.reads import Reads
from capacity_gateway.kernel.vocabulary import PoolKind

ROWS = 1_000_000 if os.environ.get("CAPACITY_LONG") else 50_000
BLOCKS_MAX = 1500  # a step is some forty statements; the smallest of the tables has as many
QUEUE, PARENT = "competition:queue", "competition:parent"
TABLES = ("pool", "claim", "ledger", "idempotency", "checkpoint")

FILL = """
INSERT INTO capacity.pool (tenant_id, id, kind, ref, quota, clock, hash, opened_at, parent_id, definition)
SELECT $1, 'competition:x' || n, 'competition', 'x' || n, 10, now(), '', now(), 'competition:parent', '{}'
FROM generate_series(1, $2 / 20) AS n;
INSERT INTO capacity.claim (tenant_id, id, pool_id, holder, subject, quantity, state, created_at, since, expires_at)
SELECT
    $1, 'x' || n, CASE WHEN n % 2 = 0 THEN 'competition:p' ELSE 'competition:x' || n / 20 + 1 END, 'h' || n % 1000,
    's' || n, 1, (ARRAY['confirmed', 'released', 'held', 'confirmed'])[1 + n % 4], now(), now(),
    now() + interval '1 day'
FROM generate_series(1, $2) AS n;
INSERT INTO capacity.ledger (
    tenant_id, pool_id, version, quota_change, held_change, confirmed_change, held_after, confirmed_after, reason,
    claim_id, operation, idempotency_key, part, effective_at, recorded_at, hash
)
SELECT $1, 'competition:p', 1000 + n, 0, 0, 1, 0, n, 'JOIN', 'x' || n, 'old', 'k' || n, 1, now(), now(), ''
FROM generate_series(1, $2) AS n;
UPDATE capacity.pool SET version = 1000 + $2, confirmed = $2, quota = 2000000 WHERE id = 'competition:p';
INSERT INTO capacity.idempotency (tenant_id, operation, key, fingerprint, outcomes, created_at)
SELECT $1, 'old', 'k' || n, '', '[]', now() FROM generate_series(1, $2) AS n;
"""
"""Half of all claims and all entries are the hot pool's."""

Step = Callable[[], Awaitable[object]]


class Steps:
    """What callers do, through one connection, whose plans are kept."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.capacity = Capacity(database, deadline_seconds=3, combining=False)
        self.number = 0

    async def change(self) -> None:
        """All that moves capacity, once."""
        self.number += 1
        a, b = f"a{self.number}", f"b{self.number}"
        await ask(self.database, keyed(take(a, 1, exclusive=a), f"key {a}"), keyed(take("again", 1), "another"))
        await ask(self.database, keyed(take(a, 1, exclusive=a), f"key {a}"))
        await ask(self.database, hold(b, 2), touch("x2"), stage(a, facts={"seen": True}))
        await ask(self.database, confirm(b), release(a), resize(2_000_000 + self.number))
        await ask(self.database, move(b, QUEUE))
        await ask(self.database, take(f"c{self.number}", 9, QUEUE, or_wait=True), take(f"d{self.number}", 9, QUEUE))
        await ask(self.database, release(b))

    async def read(self) -> None:
        """All that a page shows, once."""
        reads = Reads(self.database, self.capacity, TENANT)
        caller = Caller(tenant=TENANT, holder="h1", audits=frozenset(PoolKind))
        pool = await reads.pool(POOL)
        entries = await reads.ledger(pool, caller, 10, None, None)
        await reads.ledger(pool, caller, 10, entries.page_info.end_cursor, None)
        await reads.pool_at(POOL, datetime.now(UTC))
        await reads.activity([PoolKind.COMPETITION], 10, None, None)
        await reads.live_claim(POOL, "h1")
        await reads.last_claim(POOL, "h1")
        await reads.claims_for("s7")
        await reads.ledger_of_claim("x7", 10, None)
        await reads.claims_of_pool(POOL, holder=None, stage=None, after=(None, None), limit=10)
        await reads.own_claims({PoolKind.COMPETITION: "h1"}, limit=10)
        await reads.pools_page([PoolKind.COMPETITION], after="competition:x100", limit=10)
        await reads.close()
        watched = [{"tenant": TENANT, "versions": {POOL: max(0, pool.version - 5)}, "holders": ["h1"]}]
        async with self.database.connection() as connection:
            await connection.fetch("SELECT * FROM capacity.watch($1, 100)", orjson.dumps(watched).decode())


@pytest.fixture
async def steps(owner_url: str) -> AsyncIterator[Steps]:
    """The steps, with the pools that they are about."""
    async with Database.open(await application_url(owner_url), connections_max=1) as database:
        queue = define(5, QUEUE, waitlist=True, offer_seconds=60, parent_id=PARENT)
        await ask(database, define(None, PARENT), define(1_000_000, parent_id=PARENT), queue)
        yield Steps(database)


async def touched(database: Database, owner: asyncpg.Connection, step: Step) -> int:
    """How many blocks of our tables and their indexes a step looks at."""

    async def counted() -> int:
        async with database.connection() as connection:
            await connection.execute("SELECT pg_stat_force_next_flush()")
        blocks: int = await owner.fetchval(
            "SELECT sum(heap_blks_hit + heap_blks_read + idx_blks_hit + idx_blks_read)::int"
            " FROM pg_statio_user_tables WHERE relname = ANY ($1)",
            TABLES,
        )
        return blocks

    before = await counted()
    await step()
    return await counted() - before


async def fill(owner: asyncpg.Connection) -> None:
    """The tables, with many rows."""
    for statement in FILL.split(";\n"):
        if statement.strip():
            await owner.execute(statement.replace("$1", f"'{TENANT}'").replace("$2", str(ROWS)))


async def test_no_change_reads_more_than_it_is_about(steps: Steps, owner: asyncpg.Connection) -> None:
    """With plans that were made while the tables were empty, as on the first night, and with statistics."""
    for _ in range(6):  # from the sixth time on a plan is kept
        await steps.change()
    await fill(owner)

    blind = await touched(steps.database, owner, steps.change)
    await owner.execute("ANALYZE")
    known = await touched(steps.database, owner, steps.change)

    assert max(blind, known) < BLOCKS_MAX, (blind, known)


async def test_no_page_reads_more_than_it_shows(steps: Steps, owner: asyncpg.Connection) -> None:
    """All that a page may show, and what subscribers watch, which is what is new."""
    for _ in range(6):
        await steps.read()
    await fill(owner)
    await owner.execute("ANALYZE")

    assert await touched(steps.database, owner, steps.read) < BLOCKS_MAX
