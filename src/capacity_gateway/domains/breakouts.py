"""Breakout rooms: one room for each holder and session, and moving between them is one step."""

import strawberry

from capacity_gateway.kernel.commands import Move
from capacity_gateway.kernel.context import Info
from capacity_gateway.kernel.errors import Unauthenticated
from capacity_gateway.kernel.outcomes import (
    DefinePoolResult,
    EnterResult,
    LeaseSuccess,
    NotFoundError,
    not_found,
)
from capacity_gateway.kernel.submission import at_least, at_most, define_within, governed, submit
from capacity_gateway.kernel.vocabulary import PoolKind

KIND = PoolKind.BREAKOUT_ROOM
FEWEST, MOST = 2, 50


@strawberry.input
class CreateBreakoutRoomInput:
    """A breakout room to be made."""

    id: strawberry.ID | None = None
    """Its id; absent = one is made up."""
    session_id: strawberry.ID
    """Of which session."""
    title: str
    """Its name for people."""
    quota: int = 8
    """How many places there are, 2 to 50."""
    idempotency_key: str | None = None
    """Sent again with the same key, this is done once."""


@strawberry.input
class MoveInput:
    """Another room for somebody."""

    lease_id: strawberry.ID
    """Whose place."""
    to_ref: strawberry.ID
    """Which room."""
    idempotency_key: str | None = None
    """Sent again with the same key, this is done once."""


@strawberry.type
class Mutations:
    """Changes to breakout rooms; one goes in by enter, stays by heartbeat and goes by leave."""

    @strawberry.mutation
    async def create_breakout_room(self, info: Info, input: CreateBreakoutRoomInput) -> DefinePoolResult | None:  # noqa: A002
        """Make a breakout room. The same again with the same id is a replay."""
        session = await governed(info, PoolKind.SESSION, input.session_id, field="sessionId")
        checks = [at_least("quota", input.quota, FEWEST), at_most("quota", input.quota, MOST)]
        return await define_within(info, input, session, KIND, title=input.title, checks=checks)

    @strawberry.mutation
    async def move_to_room(self, info: Info, input: MoveInput) -> EnterResult | None:  # noqa: A002
        """Go from one room to another in one step, with the same lease; or stay, when the other is full."""
        caller = info.context.caller
        if caller.holder is None:
            raise Unauthenticated
        command = Move(
            kind=KIND,
            claim_id=input.lease_id,
            only_holder=None if caller.role in ("admin", "service") else caller.holder,
            to_pool_id=KIND.pool_id(input.to_ref),
            instead={"INVALID_TRANSITION": lambda: _gone(input.lease_id)},
        )
        return await submit(info, input, command, success=LeaseSuccess)


def _gone(lease_id: str) -> NotFoundError:
    return not_found(lease_id)
