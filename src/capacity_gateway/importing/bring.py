"""From a source to pools: what is there, what is wrong with it, and bringing it in."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import asyncpg

from capacity_gateway.importing import event_platform, portal
from capacity_gateway.importing.finding import Finding
from capacity_gateway.importing.source import Naming, Source, Unreadable, open_source
from capacity_gateway.kernel.history import History, bring_in, pools_here

SYSTEMS = {"competitions": portal, "events": event_platform}
"""By the table that each cannot be without."""
CONNECTIONS = 2
"""Pools come in side by side: the database's work on one does not wait for ours on the next."""


@dataclass(kw_only=True)
class Plan:
    """What is to come in."""

    histories: list[History] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)

    @property
    def stopped_by(self) -> list[Finding]:
        """What has to be mended, or named in the mapping, before anything comes in."""
        return [finding for finding in self.findings if finding.stops]

    @property
    def size(self) -> int:
        """How many rows it makes."""
        return sum(history.size for history in self.histories)


def source_of(place: str, mapping: Path | None) -> Source:
    """A source, with the names of a mapping file.

    Raises:
        Unreadable: where either cannot be read.
    """
    known = {table: row for system in SYSTEMS.values() for table, row in system.ROWS.items()}
    return open_source(place, Naming.read(mapping, known))


async def plan_of(source: Source, tenant: str) -> Plan:
    """All that a source has of a tenant; nothing is changed anywhere.

    Raises:
        Unreadable: where it has neither system's tables, or something in them cannot be read.
    """
    plan = Plan()
    there = [system for table, system in SYSTEMS.items() if await source.has(table)]
    if not there:
        raise Unreadable(f"There is none of these tables: {', '.join(SYSTEMS)}")
    for system in there:
        histories, findings = await system.histories(source, tenant)
        plan.histories += histories
        plan.findings += findings
    return plan


async def bring(owner_url: str, tenant: str, plan: Plan, tell: Callable[[History, bool], None]) -> None:
    """Bring in what is not here yet, each pool in a transaction of its own; `tell` hears of each and whether it is new.

    Raises:
        Unreadable: where an id is here already, as that of something else.
    """
    pool_ids = [history.define.pool_id for history in plan.histories]
    waiting = iter(plan.histories)

    async def work() -> None:
        connection = await asyncpg.connect(owner_url, timeout=5)
        try:
            here = await pools_here(connection, tenant, pool_ids)
            for history in waiting:
                new = history.define.pool_id not in here and await bring_in(connection, tenant, history)
                tell(history, new)
        except asyncpg.UniqueViolationError as error:
            raise Unreadable(f"An id is there twice, or here already: {error.detail or error}") from error
        finally:
            await connection.close()

    await asyncio.gather(*(work() for _ in range(CONNECTIONS)))
