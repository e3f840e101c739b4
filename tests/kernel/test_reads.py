"""What a request reads, when the database is unkind to it."""

import asyncio

import asyncpg
import pytest

from asking import POOL, TENANT, ask, define
from capacity_gateway.kernel.capacity import Capacity
from capacity_gateway.kernel.database import Database
from capacity_gateway.kernel.errors import Busy
from capacity_gateway.kernel.reads import Reads
from conftest import NOBODY_READS, eventually


@pytest.fixture
async def reads(database: Database, capacity: Capacity) -> Reads:
    """The reads of a request that has begun."""
    await ask(database, define(10))
    reads = Reads(database, capacity, TENANT)
    assert await reads.find_pool(POOL)
    return reads


async def test_a_reader_that_was_held_up_too_long_is_busy(reads: Reads) -> None:
    """The server ends a snapshot that lay idle for two seconds; that is no bug, and the next request reads again."""
    await asyncio.sleep(2.2)

    with pytest.raises(Busy):
        await reads.find_pool("competition:another")
    await reads.close()
    assert await reads.find_pool(POOL)
    await reads.close()


async def test_a_reader_whose_backend_dies_is_busy(reads: Reads, owner: asyncpg.Connection) -> None:
    """A connection that is cut off in the middle of a request leaves nothing behind that could be used again."""
    await owner.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND state = 'idle in transaction'"
    )

    with pytest.raises(Busy):
        await reads.find_pool("competition:another")
    await reads.close()
    assert await reads.find_pool(POOL)
    await reads.close()


async def test_who_is_cancelled_takes_no_answer_from_others(reads: Reads) -> None:
    """A field that fails cancels its neighbours; what another part of the answer has asked for as well still comes."""
    one, other = (asyncio.create_task(reads.reconciliation(POOL)) for _ in range(2))
    await asyncio.sleep(0)

    one.cancel()

    assert (await other).is_accurate
    with pytest.raises(asyncio.CancelledError):
        await one
    await reads.close()


async def test_what_all_have_left_goes_on_for_nobody(reads: Reads, owner: asyncpg.Connection) -> None:
    """A read that is under way when its request ends keeps no connection, and a later one gets none."""
    begun = asyncio.create_task(reads.reconciliation(POOL))
    for _ in range(5):
        await asyncio.sleep(0)

    await reads.end()

    with pytest.raises(asyncio.CancelledError):
        await begun
    with pytest.raises(Busy):
        await reads.find_pool(POOL)
    await eventually(owner, NOBODY_READS)
