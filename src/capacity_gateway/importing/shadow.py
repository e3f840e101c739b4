"""Beside a system that still counts: its numbers against the gateway's pools."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from capacity_gateway.importing.bring import SYSTEMS
from capacity_gateway.importing.source import Source
from capacity_gateway.kernel.pools import Pool

Numbers = tuple[int | None, int | None]
"""The total, and what is available; null = unlimited."""


@dataclass(frozen=True, kw_only=True)
class Divergence:
    """A pool whose numbers differ; null where one side has none such."""

    pool: str
    theirs: Numbers | None
    ours: Numbers | None

    def __str__(self) -> str:
        """In words."""
        return f"{self.pool}: {_said(self.theirs)} there, {_said(self.ours)} here"

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        return asdict(self)


class Shadow:
    """What has diverged so far; each divergence is told once, and told again when it ends or changes."""

    def __init__(self, looks: int) -> None:
        """Tell of what was seen in so many looks in a row: the two are written one after the other."""
        self._looks = looks
        self._seen: dict[str, tuple[Divergence, int]] = {}
        self.standing: dict[str, Divergence] = {}

    def look(self, found: Iterable[Divergence]) -> tuple[list[Divergence], list[Divergence]]:
        """What has begun since the last look, and what has ended."""
        now = {divergence.pool: divergence for divergence in found}
        self._seen = {
            pool: (divergence, 1 + (count if before == divergence else 0))
            for pool, divergence in now.items()
            for before, count in [self._seen.get(pool, (None, 0))]
        }
        ended = [divergence for pool, divergence in self.standing.items() if pool not in now]
        begun = [
            divergence
            for pool, (divergence, count) in self._seen.items()
            if count >= self._looks and self.standing.get(pool) != divergence
        ]
        self.standing = {pool: known for pool, known in self.standing.items() if pool in now}
        self.standing |= {divergence.pool: divergence for divergence in begun}
        return begun, ended


async def numbers_of(source: Source, tenant: str) -> dict[str, Numbers]:
    """What a source's counters say of each pool."""
    numbers: dict[str, Numbers] = {}
    for table, system in SYSTEMS.items():
        if await source.has(table):
            numbers |= await system.counters(source, tenant)
    return numbers


def divergences(theirs: Mapping[str, Numbers], pools: Iterable[Pool]) -> list[Divergence]:
    """Every pool of theirs that has other numbers here, or is not here; and what is only here, of their kinds."""
    kinds = {pool_id.partition(":")[0] for pool_id in theirs}
    ours = {
        str(pool.id): (pool.quota, None if pool.quota is None else pool.quota - pool.held - pool.confirmed)
        for pool in pools
        if pool.kind.value in kinds
    }
    return [
        Divergence(pool=pool_id, theirs=theirs.get(pool_id), ours=ours.get(pool_id))
        for pool_id in sorted(theirs.keys() | ours.keys())
        if theirs.get(pool_id) != ours.get(pool_id)
    ]


def _said(numbers: Numbers | None) -> str:
    if numbers is None:
        return "no such pool"
    total, available = numbers
    return "no limit" if total is None else f"{available} of {total} available"
