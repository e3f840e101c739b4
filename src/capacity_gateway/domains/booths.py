"""Booths: visitors inside at a time, and a queue in which the first is admitted when a place frees."""

import uuid
from typing import TYPE_CHECKING, Annotated, Any, Self

import strawberry

from capacity_gateway.kernel.commands import Hold, Release, ReleaseElsewhere
from capacity_gateway.kernel.context import Info
from capacity_gateway.kernel.outcomes import (
    CapacityChange,
    CapacityError,
    DefinePoolResult,
    GatewayBusyError,
    HoldExpiredError,
    IdempotencyConflictError,
    InsufficientCapacityError,
    InvalidInputError,
    InvalidTransitionError,
    NotEligibleError,
    NotFoundError,
    PoolClosedError,
    not_found,
)
from capacity_gateway.kernel.pools import Claim, Pool, find_view, shows
from capacity_gateway.kernel.submission import at_least, define_within, governed, holder_of, submit
from capacity_gateway.kernel.vocabulary import LedgerReason, PoolKind

if TYPE_CHECKING:
    from capacity_gateway.domains.events import Event

KIND = PoolKind.BOOTH


@shows(KIND)
@strawberry.federation.type(keys=["id"])
class Booth:
    """A booth at an event."""

    pool: Pool
    """Its visitors."""

    @classmethod
    async def resolve_reference(cls, info: Info, id: strawberry.ID) -> Self | None:  # noqa: A002 - the key's name
        """The booth of an id; None when there is none."""
        return await find_view(info, KIND, id)

    @strawberry.field
    def id(self) -> strawberry.ID:
        """Its id, the pool's ref."""
        return self.pool.ref

    @strawberry.field
    async def event(self, info: Info) -> Annotated["Event", strawberry.lazy("capacity_gateway.domains.events")]:
        """Where it stands."""
        return await info.context.reads.parent(self.pool)

    @strawberry.field
    def name(self) -> str:
        """Its name."""
        return self.pool.title or self.pool.ref


@strawberry.input
class CreateBoothInput:
    """A booth to be made."""

    id: strawberry.ID | None = None
    """Its id; absent = one is made up."""
    event_id: strawberry.ID
    """At which event."""
    name: str
    """Its name for people."""
    quota: int | None = None
    """How many may be inside at a time. Absent: no limit; 0: nobody."""
    queue: bool = True
    """Whether one may queue when it is full."""
    admission_seconds: int = 60
    """How long a free place is kept for the next in line."""
    idempotency_key: str | None = None
    """Sent again with the same key, this is done once."""


@strawberry.input
class EnterBoothInput:
    """Somebody who wants in."""

    booth_id: strawberry.ID
    """Which booth."""
    holder: strawberry.ID | None = None
    """Who; for role service."""
    or_wait: bool = True
    """Queue when it is full."""
    idempotency_key: str | None = None
    """Sent again with the same key, this is done once."""


@strawberry.input
class BoothRefInput:
    """A booth, for somebody."""

    booth_id: strawberry.ID
    """Which."""
    holder: strawberry.ID | None = None
    """Who; for role service."""
    idempotency_key: str | None = None
    """Sent again with the same key, this is done once."""


@strawberry.type
class BoothEntered(CapacityChange):
    """Inside. claim.id is the lease: renew it by heartbeat before claim.expiresAt, or the place is given back."""

    @strawberry.field
    def booth(self) -> Booth:
        """The booth as it stands now."""
        return Booth(pool=self.pool)

    @strawberry.field
    def claim(self) -> Claim:
        """The lease."""
        return self.claimed


@strawberry.type
class BoothQueued(CapacityChange):
    """In the queue."""

    @strawberry.field
    def booth(self) -> Booth:
        """The booth as it stands now."""
        return Booth(pool=self.pool)

    @strawberry.field
    def claim(self) -> Claim:
        """The place in the queue."""
        return self.claimed


@strawberry.type
class BoothLeft(CapacityChange):
    """Outside again, or out of the queue."""

    @strawberry.field
    def booth(self) -> Booth:
        """The booth as it stands now."""
        return Booth(pool=self.pool)


EnterBoothResult = Annotated[
    BoothEntered
    | BoothQueued
    | InsufficientCapacityError
    | HoldExpiredError
    | NotEligibleError
    | NotFoundError
    | InvalidInputError
    | PoolClosedError
    | IdempotencyConflictError
    | GatewayBusyError,
    strawberry.union("EnterBoothResult", description="The place inside or in the queue, or why there is neither."),
]
LeaveBoothResult = Annotated[
    BoothLeft
    | InvalidTransitionError
    | NotFoundError
    | InvalidInputError
    | IdempotencyConflictError
    | GatewayBusyError,
    strawberry.union("LeaveBoothResult", description="What was left, or why nothing was."),
]


def inside_or_queued(**outcome: Any) -> BoothEntered | BoothQueued:
    """The success of whoever may have had to queue."""
    if outcome["numbers"]["state"] == "held":
        return BoothEntered(**outcome)
    return BoothQueued(**outcome | {"entries": []})  # nothing was moved; the booth before is not left


@strawberry.type
class Mutations:
    """Changes to booths and their visitors."""

    @strawberry.mutation
    async def create_booth(self, info: Info, input: CreateBoothInput) -> DefinePoolResult | None:  # noqa: A002
        """Make a booth. The same again with the same id is a replay."""
        event = await governed(info, PoolKind.EVENT, input.event_id, field="eventId")
        return await define_within(
            info,
            input,
            event,
            KIND,
            title=input.name,
            checks=[at_least("admissionSeconds", input.admission_seconds, 1)],
            waitlist=input.queue,
            offer_seconds=input.admission_seconds,
        )

    @strawberry.mutation
    async def enter_booth(self, info: Info, input: EnterBoothInput) -> EnterBoothResult | None:  # noqa: A002
        """Go in, or take up an admission; when it is full, queue. Going in leaves the booth one was in before.

        An admission that has run out is said once; after that one queues anew, at the tail.
        """
        pool_id = KIND.pool_id(input.booth_id)
        holder = await holder_of(info, input.holder, pool_id)
        enter = Hold(
            kind=KIND,
            pool_id=pool_id,
            claim_id=str(uuid.uuid4()),
            holder=holder,
            quantity=1,
            exclusive=f"{pool_id}\n{holder}",
            or_wait=input.or_wait,
            mind_lapse=True,
            ttl_seconds=info.context.lease_seconds,
            reason=LedgerReason.JOIN,
        )
        leave = ReleaseElsewhere(
            kind=KIND, outside_pool_id=pool_id, holder=holder, reason=LedgerReason.LEAVE, unless_waiting=True
        )
        return await submit(info, input, enter, leave, success=inside_or_queued)

    @strawberry.mutation
    async def leave_booth(self, info: Info, input: BoothRefInput) -> LeaveBoothResult | None:  # noqa: A002
        """Go out, or out of the queue. Twice is once."""
        pool_id = KIND.pool_id(input.booth_id)
        holder = await holder_of(info, input.holder, pool_id)
        pool = await info.context.reads.find_pool(pool_id)
        claim = await info.context.reads.last_claim(pool.id, holder) if pool else None

        def refusal() -> CapacityError:
            if pool is None:
                return not_found(input.booth_id)
            return InvalidTransitionError(
                message="Cannot leaveBooth: the holder is not in this booth",
                pool=pool,
                from_="NONE",
                attempted=info.field_name,
                allowed=["WAITING", "HELD"],
            )

        command = Release(
            kind=KIND,
            claim_id=claim.id if claim else f"{pool_id}/none",
            reason=LedgerReason.LEAVE,
            done_facts={},
            instead={"NOT_FOUND": refusal},
        )
        return await submit(info, input, command, success=BoothLeft)
