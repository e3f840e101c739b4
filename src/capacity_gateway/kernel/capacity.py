"""The one door: a request of commands goes in, a success or a refusal comes out."""

import asyncio
import functools
import random
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import orjson
import structlog

from capacity_gateway.kernel.combiner import Combiner, Overloaded
from capacity_gateway.kernel.commands import Attribution, Command, Expire, Repair
from capacity_gateway.kernel.database import (
    CONNECTION_LOST,
    NOT_APPLIED,
    REFUSED,
    ROLLED_BACK,
    TAKEN_MEANWHILE,
    Database,
    NoConnection,
)
from capacity_gateway.kernel.history import History, bring_in
from capacity_gateway.kernel.outcomes import (
    BusyOutcome,
    CapacityChange,
    CapacityError,
    GatewayBusyError,
    WhatIf,
    busy,
    decode,
)
from capacity_gateway.kernel.paging import LARGEST_PAGE
from capacity_gateway.kernel.pools import Json

Success = TypeVar("Success", bound=CapacityChange)
Statement = Callable[[str, str], Awaitable[list[str]]]
"""Runs commands of a tenant, as JSON, in one transaction; one JSON outcome for each."""

log = structlog.get_logger()

PAUSES_SECONDS = (
    0.02,
    0.1,
)  # before a request is sent again; a retry library took 33 µs where nothing failed (measured)
TRANSIENT = (*ROLLED_BACK, *TAKEN_MEANWHILE, NoConnection)
SETTLED_AT_ONCE = 256  # pools


class Capacity:
    """Submits commands within a deadline and settles doubts by sending the same again."""

    def __init__(self, database: Database, *, deadline_seconds: float, combining: bool = True) -> None:
        """Take these connections; without `combining`, each request is a transaction, as benchmarks compare it."""
        self._database = database
        self.combiner = Combiner(database) if combining else None
        self.deadline_seconds = deadline_seconds
        self.changed: Callable[[], None] = lambda: None
        """Called when this process has changed something, for whoever watches."""

    async def submit(
        self, tenant: str, commands: Sequence[Command], by: Attribution, success: Callable[..., Success]
    ) -> Success | CapacityError:
        """Do all of the commands or none.

        Args:
            tenant: whose pools they are.
            commands: linked, and under the one key of `by`.
            by: who asks, by which operation, under which key.
            success: makes the success to return.

        Returns:
            A success, or the refusal of the first command that was refused. GatewayBusyError, which leaves no
            trace under the key, where it could not be done within the deadline.
        """
        attributed = {name: value for name, value in vars(by).items() if value is not None}
        rows = await self._apply(
            tenant,
            [command.fields() | attributed for command in commands],
            repeatable=by.key is not None or all(command.repeatable for command in commands),
            alone=self._database.repair if isinstance(commands[0], Repair) else None,
        )
        if isinstance(rows, GatewayBusyError):
            return rows
        if any(row["entries"] for row in rows):
            self.changed()
        return decode(rows, commands, by, success)

    async def record(
        self, tenant: str, command: Command, by: Attribution, success: Callable[..., Success]
    ) -> Success | CapacityError:
        """Bring in what happened elsewhere: a command at its own historic time. Imports use this door, nobody else.

        Returns:
            What `submit` returns; with the same key again a replay, so that an import may be run twice.
        """
        attributed = {name: value for name, value in vars(by).items() if value is not None}
        historic = functools.partial(self._database.apply, historic=True)
        rows = await self._apply(tenant, [command.fields() | attributed], alone=historic)
        return rows if isinstance(rows, GatewayBusyError) else decode(rows, [command], by, success)

    async def what_if(self, tenant: str, commands: Sequence[Command], by: Attribution) -> WhatIf | CapacityError:
        """What `submit` would do, found out by doing it and undoing it in the same statement. Nothing changes.

        Returns:
            What would be, or the refusal that `submit` would answer with; GatewayBusyError where it could not be
            found out within the deadline.
        """
        text = orjson.dumps([{"request": 1, **command.fields(), "actor": by.actor} for command in commands]).decode()
        try:
            async with asyncio.timeout(self.deadline_seconds):
                told = orjson.loads(await self._database.what_if(tenant, text, size=LARGEST_PAGE))
        except (*TRANSIENT, *CONNECTION_LOST, *NOT_APPLIED):
            return busy(BusyOutcome.NOT_APPLIED)
        rows = told["outcomes"]
        outcome = decode(rows, commands, by, CapacityChange)
        return outcome if isinstance(outcome, CapacityError) else WhatIf.decode(told["pools"], rows[0]["as_of"])

    async def bring_in(self, tenant: str, history: History) -> bool:
        """Bring in a pool with all that happened to it elsewhere; False where it is here already."""
        async with self._database.connection() as connection:
            return await bring_in(connection, tenant, history)

    async def settle(self, tenant: str, pool_ids: Sequence[str]) -> int:
        """End the holds of these pools that are due, within the deadline; returns in how many that was done.

        A pool that cannot be settled is logged, and keeps nobody else's place from coming free.
        """
        settled = 0
        for start in range(0, len(pool_ids), SETTLED_AT_ONCE):
            ids = pool_ids[start : start + SETTLED_AT_ONCE]
            settled += sum(await asyncio.gather(*(self._settle_one(tenant, pool_id) for pool_id in ids)))
        return settled

    async def _settle_one(self, tenant: str, pool_id: str) -> bool:
        try:
            rows = await self._apply(tenant, [{"verb": Expire.verb, "pool_id": pool_id}])
        except REFUSED as error:
            log.warning("could not settle a pool", tenant=tenant, pool=pool_id, reason=str(error))
            return False
        return not isinstance(rows, GatewayBusyError)

    async def _apply(
        self, tenant: str, commands: list[Json], *, repeatable: bool = True, alone: Statement | None = None
    ) -> list[Json] | GatewayBusyError:
        """The rows of `capacity.apply`, or of a statement that is for these commands alone.

        Retries are here and nowhere else: at most 3 times, the same commands.
        """
        until = asyncio.get_running_loop().time() + self.deadline_seconds
        pauses = iter(PAUSES_SECONDS)
        in_doubt = False
        while True:
            try:
                if alone or self.combiner is None:
                    return await _rows(alone or self._database.apply, tenant, commands, until)
                return await self.combiner.apply(tenant, commands, until=until)
            except (*TRANSIENT, *CONNECTION_LOST) as error:
                lost = isinstance(error, CONNECTION_LOST)
                in_doubt = in_doubt or lost
                pause_seconds = next(pauses, None)
                late = asyncio.get_running_loop().time() + (pause_seconds or 0) >= until
                if pause_seconds is None or late or (lost and not repeatable):
                    if isinstance(error, TAKEN_MEANWHILE):
                        raise
                    return busy(BusyOutcome.UNKNOWN if in_doubt else BusyOutcome.NOT_APPLIED)
                await asyncio.sleep(pause_seconds * random.uniform(0.5, 1.5))  # noqa: S311 - against stampedes
            except (*NOT_APPLIED, Overloaded):
                return busy(BusyOutcome.UNKNOWN if in_doubt else BusyOutcome.NOT_APPLIED)


async def _rows(statement: Statement, tenant: str, commands: list[Json], until: float) -> list[Json]:
    """The rows of one transaction for these commands alone."""
    text = orjson.dumps([{"request": 1, **command} for command in commands]).decode()
    async with asyncio.timeout_at(until):
        rows = await statement(tenant, text)
    return [orjson.loads(row) for row in rows]
