"""Tidies in the background: ends holds that are due and makes the offers that follow, and forgets old refusals.

Nothing depends on it but the time at which offers go out while nobody asks; whoever reads or writes a pool settles it.
"""

import asyncio
from collections import Counter

import structlog

from capacity_gateway.kernel import measures
from capacity_gateway.kernel.capacity import Capacity
from capacity_gateway.kernel.database import QUERIES, REFUSED, Database

SWEEP_SECONDS = 1.0
FORGET_SECONDS = 3600.0
ORPHANS_SECONDS = 10  # at most, to look up every live claim (0.3 s for 200,000, measured); nothing is swept meanwhile
FORGOTTEN_AT_ONCE = 1000
VERIFIED_AT_ONCE = 10_000  # entries; smaller ledgers are verified whole whenever they are reconciled (0.2 s, measured)

log = structlog.get_logger()


class Sweeper:
    """One sweeper at a time for a tenant, over all gateways of a database: it holds a lock while it sweeps."""

    def __init__(self, database: Database, capacity: Capacity, *, idempotency_days: int) -> None:
        self._database = database
        self._capacity = capacity
        self._idempotency_days = idempotency_days

    async def run(self) -> None:
        """Sweep every second, forget and verify every hour, until cancelled; what fails is tried again next time."""
        loop = asyncio.get_running_loop()
        forget_at = loop.time()
        while True:
            try:
                await self.sweep()
                measures.SWEPT.set_to_current_time()
                if loop.time() >= forget_at:
                    await self.forget()
                    await self.verify()
                    forget_at = loop.time() + FORGET_SECONDS
                    await self.count_orphans()
            except Exception as error:  # noqa: BLE001 - a sweep is worth less than the next one
                log.warning("could not sweep; trying again", reason=f"{type(error).__name__}: {error}")
            await asyncio.sleep(SWEEP_SECONDS)

    async def sweep(self) -> int:
        """Settle what is due in every tenant that no other gateway is sweeping; returns in how many pools.

        One tenant's fault is logged, and keeps nobody else's offers from going out.
        """
        settled = 0
        for tenant in await self._tenants():
            try:
                async with self._database.connection() as connection, connection.transaction():
                    if await QUERIES.take_broom(connection, tenant=tenant):
                        due = await QUERIES.open_snapshot(connection, tenant=tenant)
                        settled += await self._capacity.settle(tenant, due)
            except REFUSED as error:
                log.warning("could not sweep a tenant", tenant=tenant, reason=f"{type(error).__name__}: {error}")
        return settled

    async def forget(self) -> int:
        """Delete refusals that have been kept long enough. Returns how many."""
        forgotten = 0
        for tenant in await self._tenants():
            batch = FORGOTTEN_AT_ONCE
            while batch == FORGOTTEN_AT_ONCE:
                async with self._database.connection() as connection, connection.transaction():
                    await QUERIES.open_snapshot(connection, tenant=tenant)
                    batch = await QUERIES.forget_refusals(connection, tenant=tenant, days=self._idempotency_days)
                forgotten += batch
        return forgotten

    async def verify(self) -> int:
        """Move the checkpoints of large ledgers on, entry by entry verified. Returns over how many entries.

        A ledger in which something is wrong keeps its checkpoint: whoever reconciles it is told each time.
        """
        verified = 0
        for tenant in await self._tenants():
            async with self._database.connection() as connection, connection.transaction():
                await QUERIES.open_snapshot(connection, tenant=tenant)
                pools = [
                    row["id"] async for row in QUERIES.unverified(connection, tenant=tenant, entries=VERIFIED_AT_ONCE)
                ]
            for pool in pools:
                verified += await self._verify_pool(tenant, pool)
        return verified

    async def count_orphans(self) -> int:
        """Count the claims with no ledger entry behind them, for whoever watches. Returns how many there are."""
        async with self._database.connection() as connection, connection.transaction():
            await connection.execute(f"SET LOCAL statement_timeout = '{ORPHANS_SECONDS}s'")
            rows = await connection.fetch("SELECT kind, orphans FROM capacity.count_orphans()", timeout=ORPHANS_SECONDS)
        found = Counter[str]()
        for row in rows:
            found[row["kind"]] += row["orphans"]
        for kind, orphans in found.items():
            measures.ORPHANS.labels(kind).set(orphans)
        return found.total()

    async def _verify_pool(self, tenant: str, pool: str) -> int:
        verified, batch = 0, VERIFIED_AT_ONCE
        while batch == VERIFIED_AT_ONCE:
            async with self._database.connection() as connection:
                batch = await QUERIES.advance_checkpoint(connection, tenant=tenant, pool=pool, entries=batch)
            if batch is None:
                log.error("a ledger does not hold; reconcile says why", tenant=tenant, pool=pool)
                return verified
            verified += batch
        return verified

    async def _tenants(self) -> list[str]:
        async with self._database.connection() as connection:
            return [row["id"] async for row in QUERIES.tenants(connection)]
