"""Looks the whole installation over: server, clock, role, tables; drift, orphans and growth of every ledger."""

from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime

import asyncpg

from capacity_gateway.kernel.database import QUERIES, Database
from capacity_gateway.kernel.migrations import pending
from capacity_gateway.kernel.reconciliation import Reconciliation
from capacity_gateway.kernel.repair import reconcile
from capacity_gateway.kernel.vocabulary import PoolKind

CLOCK_SECONDS = 2.0  # apart, at most: logins end by the gateway's clock, holds by the database's


@dataclass(frozen=True)
class Check:
    """One thing that was looked at."""

    name: str
    problems: list[str] = field(default_factory=list)
    """What is wrong, one sentence each."""
    figures: dict[str, int | str | None] = field(default_factory=dict)
    """What was counted."""


async def examine(
    owner: asyncpg.Connection,
    database: Database,
    tenants: Iterable[str] | None,
    *,
    threshold: int,
    seal_key: bytes | None,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> AsyncIterator[Check]:
    """Look at everything.

    Args:
        owner: connected as the database's owner.
        database: connected as the gateway is.
        tenants: whose ledgers are looked at; None = everybody's.
        threshold: how far a counter may be off.
        seal_key: what seals are signed with.
        now: this machine's clock.
    """
    if due := await pending(owner):
        yield Check("schema", [f"not applied yet: {', '.join(due)}; run capacity-gateway migrate"])
        return
    yield Check("schema", [row["problem"] async for row in QUERIES.foreign_objects(owner)])
    yield Check("server", await database.unsafe_settings())
    async with database.connection() as connection:
        yield Check("role", [row["problem"] async for row in QUERIES.powers(connection)])
    yield await _clock(owner, now)
    for tenant in tenants or [row["id"] async for row in QUERIES.tenants(owner)]:
        found = [each async for each in reconcile(owner, tenant, PoolKind, seal_key)]
        yield _drift(tenant, found, threshold)
        yield _orphans(tenant, found)
        yield _chains(tenant, found)
        yield await _growth(owner, tenant)


async def _clock(owner: asyncpg.Connection, now: Callable[[], datetime]) -> Check:
    before = now()
    server = await QUERIES.server_time(owner)
    here = before + (now() - before) / 2
    apart = abs((server - here).total_seconds())
    problems = [f"the database's clock and this machine's are {apart:.0f} s apart"] if apart > CLOCK_SECONDS else []
    return Check("clock", problems)


def _drift(tenant: str, found: list[Reconciliation], threshold: int) -> Check:
    """The daily monitor."""
    off = [each for each in found if each.discrepancy]
    return Check(
        "drift",
        [
            f"{each.title or each.pool_id}: the counter differs from the ledger by {each.discrepancy}"
            for each in off
            if abs(each.discrepancy) > threshold
        ],
        {"tenant": tenant, "pools": len(found), "drifting_pools": len(off)},
    )


def _orphans(tenant: str, found: list[Reconciliation]) -> Check:
    """The weekly monitor."""
    orphans = [(each, orphan) for each in found for orphan in each.orphans]
    return Check(
        "orphans",
        [
            f"{each.title or each.pool_id}: claim {orphan.claim_id} holds {orphan.quantity} with no ledger entry"
            for each, orphan in orphans
        ],
        {"tenant": tenant, "orphans": len(orphans)},
    )


def _chains(tenant: str, found: list[Reconciliation]) -> Check:
    broken = [each for each in found if not each.chain_intact]
    sealed = sum(each.sealed_before > 0 for each in found)
    return Check(
        "chains",
        [
            f"{each.title or each.pool_id}: {problem.message}"
            for each in broken
            for problem in each.open_problems
            if problem.version is not None
        ],
        {"tenant": tenant, "broken_ledgers": len(broken), "sealed_ledgers": sealed},
    )


async def _growth(owner: asyncpg.Connection, tenant: str) -> Check:
    """The third monitor: it has no limit of its own, and is there to be compared with last week's."""
    async with owner.transaction():
        await QUERIES.begin_audit(owner, tenant=tenant)
        row = await QUERIES.growth(owner, tenant=tenant)
    oldest, newest = (row[name] and row[name].isoformat() for name in ("oldest", "newest"))
    counts = {name: row[name] for name in ("entries", "last_day", "last_week")}
    return Check("growth", [], {"tenant": tenant, **counts, "oldest": oldest, "newest": newest})
