"""Places kept alive by heartbeats: viewers of a stream, people in a huddle or a breakout room."""

import uuid
from typing import Annotated

import strawberry

from capacity_gateway.kernel.commands import Hold, Release, Touch
from capacity_gateway.kernel.context import Info
from capacity_gateway.kernel.errors import Unauthenticated
from capacity_gateway.kernel.outcomes import (
    EnterResult,
    GatewayBusyError,
    HoldExpiredError,
    IdempotencyConflictError,
    InvalidInputError,
    LeaseSuccess,
    NotFoundError,
    not_found,
)
from capacity_gateway.kernel.pools import Claim, Pool
from capacity_gateway.kernel.submission import LONGEST_ID, holder_of, is_id, submit
from capacity_gateway.kernel.vocabulary import LedgerReason, PoolKind

ENTERED = (PoolKind.STREAM, PoolKind.HUDDLE, PoolKind.BREAKOUT_ROOM)
KEPT_ALIVE = (*ENTERED, PoolKind.BOOTH)


@strawberry.input
class EnterInput:
    """Somebody who wants a place that is kept alive by heartbeats."""

    kind: PoolKind
    """STREAM, HUDDLE or BREAKOUT_ROOM."""
    ref: strawberry.ID
    """The stream's event, the huddle or the room."""
    holder: strawberry.ID | None = None
    """Who; for role service."""
    client_id: strawberry.ID | None = None
    """Tells two devices of one holder apart from a reconnect."""
    idempotency_key: str | None = None
    """Sent again with the same key, this is done once."""


@strawberry.input
class HeartbeatInput:
    """A sign of life."""

    lease_id: strawberry.ID
    """Of which place."""


@strawberry.input
class LeaveInput:
    """A place to be given back."""

    lease_id: strawberry.ID
    """Which."""
    idempotency_key: str | None = None
    """Sent again with the same key, this is done once."""


HeartbeatResult = Annotated[
    LeaseSuccess | HoldExpiredError | NotFoundError | InvalidInputError | GatewayBusyError,
    strawberry.union("HeartbeatResult", description="The place with its new expiry, or why it is lost."),
]
LeaveResult = Annotated[
    LeaseSuccess | HoldExpiredError | NotFoundError | InvalidInputError | IdempotencyConflictError | GatewayBusyError,
    strawberry.union("LeaveResult", description="The place given back, or why it had been lost already."),
]


@strawberry.type
class Mutations:
    """Going in, staying and leaving."""

    @strawberry.mutation
    async def enter(self, info: Info, input: EnterInput) -> EnterResult | None:  # noqa: A002
        """Take a place and keep it alive by heartbeats. The same again, as after a reconnect, is the same place."""
        pool_id = input.kind.pool_id(input.ref)
        holder = await holder_of(info, input.holder, pool_id)
        pool = await info.context.reads.find_pool(pool_id)
        command = Hold(
            kind=input.kind,
            pool_id=pool_id,
            claim_id=str(uuid.uuid4()),
            holder=holder,
            quantity=1,
            exclusive=one_of(input.kind, pool, pool_id, holder, input.client_id),
            ttl_seconds=info.context.lease_seconds,
            reason=LedgerReason.JOIN,
        )
        wrong_kind = None
        if input.kind not in ENTERED:
            names = ", ".join(kind.name for kind in ENTERED)
            wrong_kind = InvalidInputError(field="kind", message=f"kind must be one of {names}")
        return await submit(info, input, command, success=LeaseSuccess, checks=[wrong_kind])

    @strawberry.mutation
    async def heartbeat(self, info: Info, input: HeartbeatInput) -> HeartbeatResult | None:  # noqa: A002
        """Stay: the place is kept for another lease. A lease that has run out is not brought back."""
        claim = await own_lease(info, input.lease_id)
        if not isinstance(claim, Claim):
            return claim
        command = Touch(kind=claim.kind, claim_id=claim.id, from_state="held", ttl_seconds=info.context.lease_seconds)
        return await submit(info, input, command, success=LeaseSuccess, keyed=False)

    @strawberry.mutation
    async def leave(self, info: Info, input: LeaveInput) -> LeaveResult | None:  # noqa: A002
        """Give the place back. Twice is once; a lease that has run out is not counted twice."""
        claim = await own_lease(info, input.lease_id)
        if not isinstance(claim, Claim):
            return await submit(info, input, success=LeaseSuccess, checks=[claim])
        command = Release(
            kind=claim.kind, claim_id=claim.id, reason=LedgerReason.LEAVE, done_facts={}, done_state="released"
        )
        return await submit(info, input, command, success=LeaseSuccess)


def one_of(kind: PoolKind, pool: Pool | None, pool_id: str, holder: str, client_id: str | None) -> str:
    """What a holder has one place of: in a stream one a device, unless that counts holders; one room a session."""
    if kind is PoolKind.STREAM and (pool is None or pool.facts.get("counts_devices", True)):
        return f"{pool_id}\n{holder}\n{client_id or ''}"
    if kind is PoolKind.BREAKOUT_ROOM:
        return f"{kind.value}\n{pool.parent_id if pool else None}\n{holder}"
    return f"{pool_id}\n{holder}"


async def own_lease(info: Info, lease_id: str) -> Claim | NotFoundError | InvalidInputError:
    """A place that is the caller's to keep or leave, or a service's; anybody else's does not exist."""
    caller = info.context.caller
    if caller.holder is None:
        raise Unauthenticated
    if not is_id(lease_id):
        return InvalidInputError(field="leaseId", message=f"leaseId must be 1 to {LONGEST_ID} printable characters")
    claim = await info.context.reads.claim(lease_id)
    own = claim is not None and (caller.owns(claim) or caller.role in ("admin", "service"))
    if claim is not None and own and claim.kind in KEPT_ALIVE and not claim.offered:
        return claim
    return not_found(lease_id)
