"""The one door: a request of commands goes in, a success or a refusal comes out."""

import asyncio
from collections.abc import Callable, Sequence
from typing import TypeVar

import orjson
import stamina
import structlog

from capacity_gateway.kernel.commands import Attribution, Command, Expire
from capacity_gateway.kernel.database import (
    CONNECTION_LOST,
    NOT_APPLIED,
    REFUSED,
    ROLLED_BACK,
    TAKEN_MEANWHILE,
    Database,
    NoConnection,
)
from capacity_gateway.kernel.outcomes import (
    BusyOutcome,
    CapacityChange,
    CapacityError,
    GatewayBusyError,
    busy,
    decode,
)
from capacity_gateway.kernel.pools import Json

Success = TypeVar("Success", bound=CapacityChange)

log = structlog.get_logger()

SETTLED_AT_ONCE = 64  # pools; a read that finds more due settles them in several transactions


class Capacity:
    """Submits commands within a deadline and settles doubts by sending the same again."""

    def __init__(self, database: Database, *, deadline_seconds: float) -> None:
        self._database = database
        self.deadline_seconds = deadline_seconds

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
        )
        return rows if isinstance(rows, GatewayBusyError) else decode(rows, commands, by, success)

    async def record(
        self, tenant: str, command: Command, by: Attribution, success: Callable[..., Success]
    ) -> Success | CapacityError:
        """Bring in what happened elsewhere: a command at its own historic time. Imports use this door, nobody else.

        Returns:
            What `submit` returns; with the same key again a replay, so that an import may be run twice.
        """
        attributed = {name: value for name, value in vars(by).items() if value is not None}
        rows = await self._apply(tenant, [command.fields() | attributed], historic=True)
        return rows if isinstance(rows, GatewayBusyError) else decode(rows, [command], by, success)

    async def settle(self, tenant: str, pool_ids: Sequence[str]) -> int:
        """End the holds of these pools that are due, within the deadline; returns in how many that was done.

        A pool that cannot be settled is logged, and keeps nobody else's place from coming free.
        """
        settled = 0
        for start in range(0, len(pool_ids), SETTLED_AT_ONCE):
            ids = pool_ids[start : start + SETTLED_AT_ONCE]
            try:
                rows = await self._apply(tenant, [{"verb": Expire.verb, "pool_id": pool_id} for pool_id in ids])
                settled += 0 if isinstance(rows, GatewayBusyError) else len(rows)
            except REFUSED as error:
                if len(ids) > 1:
                    settled += sum([await self.settle(tenant, [pool_id]) for pool_id in ids])
                else:
                    log.warning("could not settle a pool", tenant=tenant, pool=ids[0], reason=str(error))
        return settled

    async def _apply(
        self, tenant: str, commands: list[Json], *, repeatable: bool = True, historic: bool = False
    ) -> list[Json] | GatewayBusyError:
        """The rows of `capacity.apply`. Retries are here and nowhere else: at most 3 times, the same commands."""
        text = orjson.dumps([{"request": 1} | command for command in commands]).decode()
        in_doubt = False

        def worth_retrying(error: Exception) -> bool:
            lost = isinstance(error, CONNECTION_LOST)
            return isinstance(error, (*ROLLED_BACK, *TAKEN_MEANWHILE, NoConnection)) or (lost and repeatable)

        try:
            async with asyncio.timeout(self.deadline_seconds):
                async for attempt in stamina.retry_context(
                    on=worth_retrying,
                    attempts=3,
                    timeout=None,
                    wait_initial=0.01,
                    wait_max=0.2,
                    wait_jitter=0.05,
                ):
                    with attempt:
                        try:
                            rows = await self._database.apply(tenant, text, historic=historic)
                        except (*CONNECTION_LOST, asyncio.CancelledError):
                            in_doubt = True
                            raise
        except (*NOT_APPLIED, *ROLLED_BACK, *CONNECTION_LOST, NoConnection):
            return busy(BusyOutcome.UNKNOWN if in_doubt else BusyOutcome.NOT_APPLIED)
        return [orjson.loads(row) for row in rows]
