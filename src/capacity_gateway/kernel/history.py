"""What was counted elsewhere until now: a pool's whole history, brought in at once."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

import asyncpg
import orjson

from capacity_gateway.kernel.commands import Define
from capacity_gateway.kernel.database import Connection
from capacity_gateway.kernel.pools import Json
from capacity_gateway.kernel.vocabulary import LedgerReason

IMPORT = "import"
"""The actor of entries of which nobody knows who did it."""


class Change(NamedTuple):
    """One entry to be: what it did to its claim."""

    claim_id: str
    subject: str | None
    held: int
    confirmed: int
    reason: LedgerReason
    effective_at: datetime
    actor: str | None
    note: str | None
    key: str
    """Out of the id that it had there: it comes in once."""


@dataclass(frozen=True, kw_only=True)
class History:
    """A pool, its claims as they stand, and every change that is known of, in their order."""

    define: Define
    claims: list[Json] = field(
        repr=False
    )  # asyncio.run writes out what it returns: a third of an import's reading (measured)
    """Columns of `capacity.claim`; the pool and the tenant are filled in."""
    changes: list[Change] = field(repr=False)

    @property
    def size(self) -> int:
        """How many rows it makes."""
        return 1 + len(self.claims) + len(self.changes)

    def used(self, state: str) -> int:
        """How many its claims of a state have."""
        return sum(claim["quantity"] for claim in self.claims if claim["state"] == state)


async def bring_in(connection: "asyncpg.Connection | Connection", tenant: str, history: History) -> bool:
    """Bring a pool in with all its history, in one transaction.

    The entries are those that `Capacity.record` would make of the same changes one by one, all recorded now.

    Returns:
        False where the pool is here already: then nothing changes.
    """
    columns: Iterable[tuple[object, ...]] = zip(*history.changes, strict=True) if history.changes else ((),) * 9
    claim_ids, subjects, held, confirmed, reasons, *others = columns
    brought: bool = await connection.fetchval(
        "SELECT capacity.bring_in($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
        tenant,
        orjson.dumps(history.define.fields()).decode(),
        [orjson.dumps(claim).decode() for claim in history.claims],
        claim_ids,
        subjects,
        held,
        confirmed,
        [reason.value for reason in reasons],  # type: ignore[attr-defined]
        *others,
    )
    return brought


async def pools_here(connection: asyncpg.Connection, tenant: str, pool_ids: list[str]) -> set[str]:
    """Which of these pools a tenant has."""
    async with connection.transaction(readonly=True):
        await connection.execute("SELECT set_config('capacity.tenant', $1, true)", tenant)
        rows = await connection.fetch(
            "SELECT id FROM capacity.pool WHERE tenant_id = $1 AND id = ANY ($2::text[])", tenant, pool_ids
        )
    return {row["id"] for row in rows}
