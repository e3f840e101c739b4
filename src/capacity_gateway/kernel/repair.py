"""Mends what reconcile names: by further entries, under the pool's lock, and never by changing or removing one."""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Self

import asyncpg
import orjson

from capacity_gateway.kernel import seals
from capacity_gateway.kernel.database import QUERIES
from capacity_gateway.kernel.ledger import LedgerEntry
from capacity_gateway.kernel.pools import Json, moment
from capacity_gateway.kernel.reconciliation import LedgerProblem, LedgerProblemKind, Reconciliation
from capacity_gateway.kernel.vocabulary import PoolKind


@dataclass(frozen=True)
class Repair:
    """What was done to a pool."""

    pool_id: str
    title: str | None
    problems: list[LedgerProblem]
    """What was wrong."""
    sealed_at: int | None
    """Up to this version the ledger was sealed as it is; None = it follows."""
    entries: list[LedgerEntry]
    """The entries that were written."""
    counter_change: int
    """By how much the counter moved."""
    overbooked: int
    """How far past what was allowed the claims turned out to go."""

    @classmethod
    def decode(cls, done: Json, problems: list[LedgerProblem]) -> Self:
        """What the function `capacity.repair` says that it has done."""
        return cls(
            pool_id=done["pool"],
            title=done["title"],
            problems=problems,
            sealed_at=done["seal"] and done["seal"]["version"],
            entries=[LedgerEntry.decode(entry) for entry in done["entries"]],
            counter_change=done["held"] + done["confirmed"] - done["held_before"] - done["confirmed_before"],
            overbooked=done["overbooked"],
        )


@asynccontextmanager
async def owning(owner_url: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection as the database's owner, on which statements may take their time."""
    connection = await asyncpg.connect(owner_url, timeout=5)
    try:
        yield connection
    finally:
        await connection.close()


async def reconcile(
    connection: asyncpg.Connection, tenant: str, kinds: Iterable[PoolKind], seal_key: bytes | None
) -> AsyncIterator[Reconciliation]:
    """Each pool of these kinds against its whole ledger, as it stands: nothing that is due is settled before."""
    names = [kind.value for kind in kinds]
    async with connection.transaction():
        await QUERIES.begin_audit(connection, tenant=tenant)
        ids = [row["id"] async for row in QUERIES.pools_of_kinds(connection, tenant=tenant, kinds=names)]
    for pool_id in ids:
        async with connection.transaction():
            await QUERIES.begin_audit(connection, tenant=tenant)
            rows = [row["value"] async for row in QUERIES.reconciliations(connection, tenant=tenant, ids=[pool_id])]
        yield Reconciliation.decode(orjson.loads(rows[0]), seal_key)


async def repair(
    connection: asyncpg.Connection,
    tenant: str,
    kinds: Iterable[PoolKind],
    *,
    seal_key: bytes,
    actor: str,
    note: str | None,
    dry: bool = False,
) -> AsyncIterator[Repair]:
    """Repair every pool of these kinds that needs it, each in a transaction of its own.

    Args:
        connection: as the database's owner; the application's role may not seal.
        tenant: whose pools they are.
        kinds: of the pools.
        seal_key: signs what has to be sealed.
        actor: who repairs.
        note: why, for the ledger.
        dry: do it, say what was done, and roll it back.
    """
    async for found in reconcile(connection, tenant, kinds, seal_key):
        if not found.open_problems:
            continue
        transaction = connection.transaction()
        await transaction.start()
        try:
            done = await _repair_pool(connection, tenant, found, seal_key, actor, note)
        except BaseException:
            await transaction.rollback()
            raise
        await (transaction.rollback() if dry else transaction.commit())
        yield Repair.decode(done, found.open_problems)


async def _repair_pool(
    connection: asyncpg.Connection, tenant: str, found: Reconciliation, seal_key: bytes, actor: str, note: str | None
) -> Json:
    signed = all(problem.kind is not LedgerProblemKind.SEAL_BROKEN for problem in found.problems)
    text = await QUERIES.repair(connection, tenant=tenant, pool=found.pool_id, signed=signed, actor=actor, note=note)
    done: Json = orjson.loads(text)
    if seal := done["seal"]:
        await QUERIES.sign_seal(
            connection,
            tenant=tenant,
            pool=found.pool_id,
            sealed_at=moment(seal["sealed_at"]),
            signature=seals.signature(seal, seal_key),
        )
    return done
