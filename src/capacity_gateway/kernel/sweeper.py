"""Tidies in the background: ends holds that are due and makes the offers that follow, and forgets old answers.

Nothing depends on it but the time at which offers go out while nobody asks; whoever reads or writes a pool settles it.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import structlog

from capacity_gateway.kernel.capacity import Capacity
from capacity_gateway.kernel.database import CONNECTION_LOST, NOT_APPLIED, QUERIES, Database, NoConnection

SWEEP_SECONDS = 1.0
FORGET_SECONDS = 3600.0

log = structlog.get_logger()


class Sweeper:
    """One sweeper at a time over all gateways of a database: it holds a lock while it sweeps."""

    def __init__(self, database: Database, capacity: Capacity, *, idempotency_days: int) -> None:
        self._database = database
        self._capacity = capacity
        self._idempotency_days = idempotency_days

    async def run(self) -> None:
        """Sweep every second, and forget every hour, until cancelled."""
        loop = asyncio.get_running_loop()
        forget_at = loop.time()
        while True:
            with _patient():
                await self.sweep()
                if loop.time() >= forget_at:
                    forget_at = loop.time() + FORGET_SECONDS
                    await self.forget()
            await asyncio.sleep(SWEEP_SECONDS)

    async def sweep(self) -> int:
        """Settle what is due in every tenant; returns in how many pools. 0 while another gateway sweeps."""
        settled = 0
        async with self._database.connection() as connection, connection.transaction():
            if await QUERIES.take_broom(connection):
                for tenant in [row["id"] async for row in QUERIES.tenants(connection)]:
                    due = await QUERIES.open_snapshot(connection, tenant=tenant)
                    await self._capacity.settle(tenant, due)
                    settled += len(due)
        return settled

    async def forget(self) -> int:
        """Delete answers that have been kept long enough; their keys stay in the ledger. Returns how many."""
        forgotten = 0
        async with self._database.connection() as connection:
            tenants = [row["id"] async for row in QUERIES.tenants(connection)]
            for tenant in tenants:
                async with connection.transaction():
                    await QUERIES.open_snapshot(connection, tenant=tenant)
                    forgotten += await QUERIES.forget_answers(connection, tenant=tenant, days=self._idempotency_days)
        return forgotten


@contextmanager
def _patient() -> Iterator[None]:
    """What cannot be swept now is swept next time."""
    try:
        yield
    except (*NOT_APPLIED, *CONNECTION_LOST, NoConnection) as error:
        log.warning("could not sweep; trying again", reason=type(error).__name__)
