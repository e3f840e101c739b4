"""What must hold when nobody hears what became of a commit. A check asks at a wire, and says what went wrong."""

import asyncio
import random
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import parse_qs, quote, urlsplit

import asyncpg

from asking import POOL, TENANT, define, take
from capacity_gateway.kernel.capacity import Capacity
from capacity_gateway.kernel.commands import Attribution, Command, Release, Take
from capacity_gateway.kernel.database import Database, application_url
from capacity_gateway.kernel.outcomes import BusyOutcome, CapacityChange, CapacityError, GatewayBusyError
from capacity_gateway.kernel.vocabulary import LedgerReason, PoolKind
from invariants import check_invariants
from races import connected, tell
from torture.proxy import Cut, Proxy

OPERATION = "test"
UNDER_A_KEY = """
SELECT pool_id || '/' || version AS id, hash FROM capacity.ledger WHERE operation = $1 AND idempotency_key = $2
"""
AT_WORK = """
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND state <> 'idle' AND pid <> pg_backend_pid()
"""


@asynccontextmanager
async def wire(owner_url: str) -> AsyncIterator[tuple[str, Proxy]]:
    """The address, as the application role, of a wire that can be cut; the database must listen on a socket."""
    (socket_dir,) = parse_qs(urlsplit(owner_url).query)["host"]
    url = await application_url(owner_url)
    folder = Path(tempfile.mkdtemp(prefix="wire-"))
    try:
        async with Proxy(folder, Path(socket_dir)) as proxy:
            yield url.replace(quote(socket_dir), quote(str(folder))), proxy
    finally:
        shutil.rmtree(folder)


@asynccontextmanager
async def at_the_wire(owner_url: str) -> AsyncIterator[tuple[Capacity, Proxy]]:
    """The one door, behind such a wire."""
    async with wire(owner_url) as (url, proxy), Database.open(url) as database:
        yield Capacity(database, deadline_seconds=3), proxy


def some_takes_and_returns(claims: int) -> Iterator[Command]:
    """Commands that make claims, and others that lessen some: a claim is made once, but a part might go back twice."""
    for number in range(claims):
        yield Take(
            kind=PoolKind.COMPETITION,
            pool_id=POOL,
            claim_id=f"new {number}",
            holder="h",
            quantity=1,
            reason=LedgerReason.RESERVATION_APPROVAL,
        )
        yield Release(
            kind=PoolKind.COMPETITION, claim_id=f"old {number}", quantity=1, reason=LedgerReason.SUMMARY_REFUND
        )


async def submit(capacity: Capacity, command: Command, key: str) -> CapacityChange | CapacityError:
    """Submit a command under a key."""
    by = Attribution(operation=OPERATION, actor="h", key=key, fingerprint=key)
    return await capacity.submit(TENANT, [command], by, CapacityChange)


async def cut_commits(owner_url: str, *, claims: int = 10, seed: int = 1) -> list[str]:
    """Connections are cut around the commit: each key is applied once, and answered by what it did."""
    chance = random.Random(seed)  # noqa: S311 - no secret
    wrong: list[str] = []
    async with connected(owner_url, 1) as (connection,), at_the_wire(owner_url) as (capacity, proxy):
        await tell(connection, define(1000), *(take(f"old {number}", 10) for number in range(claims)))
        owner = await asyncpg.connect(owner_url)
        for number, command in enumerate(some_takes_and_returns(claims)):
            key, cut = f"key {number}", asyncio.create_task(proxy.cut(chance.choice(list(Cut))))
            wrong += await told_and_done(owner, key, await submit(capacity, command, key))
            await cut
            again = await submit(capacity, command, key)
            if not again.replayed:
                wrong.append(f"{key} sent again was done again: {again}")
            wrong += await told_and_done(owner, key, again)
        entries = await owner.fetchval("SELECT count(*) FROM capacity.ledger")
        if entries != 3 * claims:
            wrong.append(f"S3: {3 * claims} were asked for, and {entries} are there")
        wrong += await check_invariants(owner)
        await owner.close()
    return wrong


async def cut_while_at_work(owner_url: str) -> list[str]:
    """A connection is cut while its transaction waits for a lock: what is told of it is true when it has ended."""
    async with connected(owner_url, 1) as (connection,), at_the_wire(owner_url) as (capacity, proxy):
        await tell(connection, define(1000), take("old 0", 10))
        owner = await asyncpg.connect(owner_url)
        command = next(some_takes_and_returns(1))
        async with owner.transaction():
            await owner.execute("SELECT FROM capacity.pool FOR UPDATE")
            answering = asyncio.create_task(submit(capacity, command, "key"))
            await proxy.cut(Cut.DURING)
            await asyncio.sleep(0.4)
        answer = await answering
        await at_rest(owner)
        wrong = await told_and_done(owner, "key", answer)
        wrong += await told_and_done(owner, "key", await submit(capacity, command, "key"))
        await owner.close()
    return wrong


async def busy_and_then_free(owner_url: str) -> list[str]:
    """A lock cannot be had in time: nothing is applied, and the same key is, once the lock is free."""
    async with connected(owner_url, 1) as (connection,), at_the_wire(owner_url) as (capacity, _):
        await tell(connection, define(1000))
        owner = await asyncpg.connect(owner_url)
        command = next(some_takes_and_returns(1))
        async with owner.transaction():
            await owner.execute("SELECT FROM capacity.pool FOR UPDATE")
            refused = await submit(capacity, command, "key")
        wrong = await told_and_done(owner, "key", refused)
        if not isinstance(refused, GatewayBusyError) or refused.outcome is not BusyOutcome.NOT_APPLIED:
            wrong.append(f"while the lock was held the answer was {refused}")
        answer = await submit(capacity, command, "key")
        if not isinstance(answer, CapacityChange):
            wrong.append(f"when the lock was free the answer was {answer}")
        wrong += await told_and_done(owner, "key", answer)
        await owner.close()
    return wrong


async def told_and_done(owner: asyncpg.Connection, key: str, answer: CapacityChange | CapacityError) -> list[str]:
    """What is wrong with an answer: its entries are those under its key; NOT_APPLIED means that there are none."""
    there = {row["id"]: row["hash"] for row in await owner.fetch(UNDER_A_KEY, OPERATION, key)}
    if isinstance(answer, GatewayBusyError) and answer.outcome is BusyOutcome.UNKNOWN:
        return []
    told = {str(e.id): e.hash for e in answer.entries} if isinstance(answer, CapacityChange) else {}
    return [] if told == there else [f"S7: {key} was told {answer}, and under it there is {there}"]


async def at_rest(owner: asyncpg.Connection) -> None:
    """Wait until nobody else is at work in a database."""
    ends = time.monotonic() + 5
    while await owner.fetchval(AT_WORK):
        assert time.monotonic() < ends, "the transaction does not end"
        await asyncio.sleep(0.01)
