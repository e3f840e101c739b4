"""Looks at the whole state all the time, at one committed instant each, and says what does not hold there."""

import asyncio
import time
from collections.abc import Iterator

import asyncpg

from invariants import check_invariants
from torture.faults import UNREACHABLE, World

HEADS = """
SELECT p.tenant_id, p.id, p.version, p.hash FROM capacity.pool AS p
"""
AS_BEFORE = """
SELECT b.tenant_id, b.id, b.version FROM unnest($1::text[], $2::text[], $3::integer[], $4::text[])
    AS b (tenant_id, id, version, hash)
LEFT JOIN capacity.ledger AS l ON l.tenant_id = b.tenant_id AND l.pool_id = b.id AND l.version = b.version
WHERE b.version > 0 AND l.hash IS DISTINCT FROM b.hash
"""


class Observer:
    """Takes snapshots until it is told to stop."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._heads: list[asyncpg.Record] = []
        self.snapshots = 0
        self.wrong: list[str] = []

    async def watch(self, over: asyncio.Event) -> None:
        """Look again and again; while the database is away there is nothing to see."""
        while not over.is_set():
            began = time.monotonic()
            try:
                async with self._world.owner() as owner:
                    await self.look(owner)
            except UNREACHABLE:
                pass
            await asyncio.sleep(max(0.1, 2 * (time.monotonic() - began)))  # a third of a core at most

    async def look(self, owner: asyncpg.Connection) -> None:
        """Take one snapshot."""
        async with owner.transaction(isolation="repeatable_read", readonly=True):
            broken = await check_invariants(owner)
            changed = await owner.fetch(AS_BEFORE, *self._columns())
            self._heads = await owner.fetch(HEADS)
        self.snapshots += 1
        self.wrong += [f"S1, S2 or S3: {sentence}" for sentence in broken]
        self.wrong += [f"S2: entry {row['id']}/{row['version']} is gone or not what it was" for row in changed]

    def _columns(self) -> Iterator[list[str | int]]:
        for name in ("tenant_id", "id", "version", "hash"):
            yield [head[name] for head in self._heads]
