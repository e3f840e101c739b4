"""Sessions: seats, and a waitlist in which a freed seat becomes an offer that holds it."""

import uuid
from collections.abc import Callable, Sequence
from datetime import datetime
from enum import Enum
from typing import TYPE_CHECKING, Annotated, Any, Self

import strawberry

from capacity_gateway.kernel.commands import Confirm, Release, Take, Wait
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
    OfferUnavailableError,
    PoolClosedError,
    not_found,
)
from capacity_gateway.kernel.pools import Claim, Pool, find_view, shows
from capacity_gateway.kernel.submission import at_least, define_within, governed, holder_of, submit
from capacity_gateway.kernel.vocabulary import LedgerReason, PoolKind

if TYPE_CHECKING:
    from capacity_gateway.domains.events import Event

KIND = PoolKind.SESSION
SEAT, VIRTUAL, DECLINED = "SEAT", "VIRTUAL", "DECLINED"
"""Stages: of a seat that was asked for; of one that lasts as long as its holder watches; of an offer declined."""


@strawberry.enum
class WaitlistTier(Enum):
    """Who is offered a seat first; within a tier, first come, first served."""

    VIP = 0
    """Before all others."""
    PREMIUM = 1
    """Before the rest."""
    STANDARD = 2
    """Everybody."""


TICKETS = {
    "VIP": WaitlistTier.VIP,
    "PREMIUM": WaitlistTier.PREMIUM,
    "GOLD": WaitlistTier.PREMIUM,
    "PLATINUM": WaitlistTier.PREMIUM,
}
"""The tier of who has a ticket with one of these words in its name."""


@shows(KIND)
@strawberry.federation.type(keys=["id"])
class Session:
    """A session of an event."""

    pool: Pool
    """Its seats."""

    @classmethod
    async def resolve_reference(cls, info: Info, id: strawberry.ID) -> Self | None:  # noqa: A002 - the key's name
        """The session of an id; None when there is none."""
        return await find_view(info, KIND, id)

    @strawberry.field
    def id(self) -> strawberry.ID:
        """Its id, the pool's ref."""
        return self.pool.ref

    @strawberry.field
    async def event(self, info: Info) -> Annotated["Event", strawberry.lazy("capacity_gateway.domains.events")]:
        """What it is part of."""
        return await info.context.reads.parent(self.pool)

    @strawberry.field
    def title(self) -> str:
        """Its title."""
        return self.pool.title or self.pool.ref

    @strawberry.field
    async def breakout_rooms(self, info: Info) -> list[Pool]:
        """Its breakout rooms."""
        return await info.context.reads.within(self.pool.id, PoolKind.BREAKOUT_ROOM)


@strawberry.input
class CreateSessionInput:
    """A session to be made."""

    id: strawberry.ID | None = None
    """Its id; absent = one is made up."""
    event_id: strawberry.ID
    """Of which event."""
    title: str
    """Its title."""
    quota: int | None = None
    """How many seats there are. Absent: no limit."""
    waitlist: bool = True
    """Whether one may queue when it is full."""
    offer_seconds: int = 300
    """How long a freed seat is offered to who waits."""
    requires_registration: bool = True
    """Whether one must be registered for the event."""
    starts_at: datetime | None = None
    """When it begins."""
    ends_at: datetime | None = None
    """When it ends."""
    session_type: str | None = None
    """What sort of session it is."""
    speakers: str | None = None
    """Who speaks."""
    idempotency_key: str | None = None
    """Sent again with the same key, this is done once."""


@strawberry.input
class JoinSessionInput:
    """Somebody who wants a seat."""

    session_id: strawberry.ID
    """In which session."""
    holder: strawberry.ID | None = None
    """For whom; for role service and organisers."""
    or_wait: bool = False
    """Queue when it is full."""
    quantity: int = 1
    """A group takes its seats together."""
    tier: WaitlistTier | None = None
    """Where to queue; organisers only, for anybody else it goes by his ticket's name."""
    idempotency_key: str | None = None
    """Sent again with the same key, this is done once."""


@strawberry.input
class SessionRefInput:
    """A session, for somebody."""

    session_id: strawberry.ID
    """Which."""
    holder: strawberry.ID | None = None
    """For whom; for role service and organisers."""
    idempotency_key: str | None = None
    """Sent again with the same key, this is done once."""


@strawberry.type
class SessionJoined(CapacityChange):
    """There is a seat."""

    @strawberry.field
    def session(self) -> Session:
        """The session as it stands now."""
        return Session(pool=self.pool)

    @strawberry.field
    def claim(self) -> Claim:
        """The seat."""
        return self.claimed


@strawberry.type
class SessionWaiting(CapacityChange):
    """There is a place in the queue, or by now an offer."""

    @strawberry.field
    def session(self) -> Session:
        """The session as it stands now."""
        return Session(pool=self.pool)

    @strawberry.field
    def claim(self) -> Claim:
        """The place in the queue, or the offer."""
        return self.claimed


@strawberry.type
class SessionLeft(CapacityChange):
    """The seat, the offer or the place in the queue is given back."""

    @strawberry.field
    def session(self) -> Session:
        """The session as it stands now."""
        return Session(pool=self.pool)


JoinSessionResult = Annotated[
    SessionJoined
    | SessionWaiting
    | InsufficientCapacityError
    | NotEligibleError
    | NotFoundError
    | InvalidInputError
    | PoolClosedError
    | IdempotencyConflictError
    | GatewayBusyError,
    strawberry.union("JoinSessionResult", description="The seat, the place in the queue, or why there is neither."),
]
LeaveSessionResult = Annotated[
    SessionLeft
    | InvalidTransitionError
    | NotFoundError
    | InvalidInputError
    | IdempotencyConflictError
    | GatewayBusyError,
    strawberry.union("LeaveSessionResult", description="What was left, or why nothing was."),
]
OfferResult = Annotated[
    SessionJoined
    | SessionLeft
    | HoldExpiredError
    | OfferUnavailableError
    | NotFoundError
    | InvalidInputError
    | IdempotencyConflictError
    | GatewayBusyError,
    strawberry.union("OfferResult", description="The seat, the offer declined, or why there is neither."),
]


def seat_or_place(**outcome: Any) -> SessionJoined | SessionWaiting:
    """The success of whoever may have had to queue."""
    return SessionJoined(**outcome) if outcome["numbers"]["state"] == "confirmed" else SessionWaiting(**outcome)


@strawberry.type
class Mutations:
    """Changes to sessions, seats and queues."""

    @strawberry.mutation
    async def create_session(self, info: Info, input: CreateSessionInput) -> DefinePoolResult | None:  # noqa: A002
        """Make a session. The same again with the same id is a replay."""
        event = await governed(info, PoolKind.EVENT, input.event_id, field="eventId")
        facts = {
            "requires_registration": input.requires_registration,
            "starts_at": input.starts_at,
            "ends_at": input.ends_at,
            "session_type": input.session_type,
            "speakers": input.speakers,
        }
        return await define_within(
            info,
            input,
            event,
            KIND,
            title=input.title,
            facts=facts,
            checks=[at_least("offerSeconds", input.offer_seconds, 1)],
            waitlist=input.waitlist,
            offer_seconds=input.offer_seconds,
        )

    @strawberry.mutation
    async def join_session(self, info: Info, input: JoinSessionInput) -> JoinSessionResult | None:  # noqa: A002
        """Take a seat, or take up the offer of one; when it is full, queue if asked to. Twice is once."""
        return await join(info, input)

    @strawberry.mutation
    async def leave_session(self, info: Info, input: SessionRefInput) -> LeaveSessionResult | None:  # noqa: A002
        """Give back a seat, an offer or a place in the queue. Twice is once."""
        return await leave(info, input)

    @strawberry.mutation
    async def accept_offer(self, info: Info, input: SessionRefInput) -> OfferResult | None:  # noqa: A002
        """Take up the offer of a seat, before it runs out. Twice is once."""
        return await accept(info, input)

    @strawberry.mutation
    async def decline_offer(self, info: Info, input: SessionRefInput) -> OfferResult | None:  # noqa: A002
        """Give the offer of a seat to the next in line; this ends the wait. Twice is once."""
        return await decline(info, input)


async def join(
    info: Info, given: JoinSessionInput, *, only_queue: bool = False, checks: Sequence[CapacityError | None] = ()
) -> Any:
    """A seat, or a place in the queue; `only_queue`, that place and no seat, even if there should be one."""
    pool_id = KIND.pool_id(given.session_id)
    holder = await holder_of(info, given.holder, pool_id)
    pool = await info.context.reads.find_pool(pool_id)
    seat: dict[str, Any] = {
        "kind": KIND,
        "pool_id": pool_id,
        "claim_id": str(uuid.uuid4()),
        "holder": holder,
        "quantity": given.quantity,
        "exclusive": f"{pool_id}\n{holder}",
        "rank": await _rank(info, pool, holder, given.tier) if only_queue or given.or_wait else None,
        "needs_pool_id": registration_pool(pool),
    }
    take = Take(**seat, or_wait=given.or_wait, from_stages=[VIRTUAL], to_stage=SEAT, reason=LedgerReason.JOIN)
    command = Wait(**seat) if only_queue else take
    checks = [*checks, at_least("quantity", given.quantity, 1)]
    return await submit(info, given, command, success=seat_or_place, checks=checks)


async def leave(info: Info, given: SessionRefInput, *, checks: Sequence[CapacityError | None] = ()) -> Any:
    """The seat, the offer or the place in the queue given back."""
    claim_id, instead = await _last_claim(info, given)
    command = Release(kind=KIND, claim_id=claim_id, reason=LedgerReason.LEAVE, done_facts={}, instead=instead)
    return await submit(info, given, command, success=SessionLeft, checks=checks)


async def accept(info: Info, given: SessionRefInput, *, checks: Sequence[CapacityError | None] = ()) -> Any:
    """The offer of a seat taken up."""
    claim_id, instead = await _last_claim(info, given, never=OfferUnavailableError)
    command = Confirm(
        kind=KIND,
        claim_id=claim_id,
        reason=LedgerReason.JOIN,
        from_stages=[SEAT],
        to_stage=SEAT,
        done_facts={},
        done_state="confirmed",
        instead={"INVALID_TRANSITION": OfferUnavailableError, **instead},
    )
    return await submit(info, given, command, success=SessionJoined, checks=checks)


async def decline(info: Info, given: SessionRefInput) -> Any:
    """The offer of a seat given to the next in line."""
    claim_id, instead = await _last_claim(info, given, never=OfferUnavailableError)
    command = Release(
        kind=KIND,
        claim_id=claim_id,
        reason=LedgerReason.RELEASE,
        from_state="held",
        from_stages=[SEAT],
        to_stage=DECLINED,
        done_facts={},
        done_state="released",
        instead={"INVALID_TRANSITION": OfferUnavailableError, **instead},
    )
    return await submit(info, given, command, success=SessionLeft)


def registration_pool(pool: Pool | None) -> str | None:
    """Where one must be registered to have a seat in a session."""
    return pool.parent_id if pool and pool.facts.get("requires_registration") else None


async def _rank(info: Info, pool: Pool | None, holder: str, asked: WaitlistTier | None) -> int:
    """Where a holder queues: as the session's organiser says, or by the names of the tickets that he has."""
    if pool is None or pool.parent_id is None:
        return WaitlistTier.STANDARD.value
    if asked is not None and info.context.caller.may_audit(pool):
        return asked.value
    rows = await info.context.reads.many("titles_held", pool.parent_id, kind=PoolKind.TICKET_TYPE.value, holder=holder)
    words = " ".join(row["title"] or "" for row in rows).upper()
    return min((tier.value for name, tier in TICKETS.items() if name in words), default=WaitlistTier.STANDARD.value)


async def _last_claim(
    info: Info, given: SessionRefInput, never: Callable[[], CapacityError] | None = None
) -> tuple[str, dict[str, Callable[[], CapacityError]]]:
    """The id of the holder's last claim in a session, and what to say instead where the kernel finds none.

    There may be no such session; or he has never been in it, for which `never` may have another word.
    """
    pool_id = KIND.pool_id(given.session_id)
    holder = await holder_of(info, given.holder, pool_id)
    pool = await info.context.reads.find_pool(pool_id)

    def refusal() -> CapacityError:
        if pool is None:
            return not_found(given.session_id)
        if never is not None:
            return never()
        return InvalidTransitionError(
            message=f"Cannot {info.field_name}: the holder is not in this session",
            pool=pool,
            from_="NONE",
            attempted=info.field_name,
            allowed=["WAITING", "HELD", "CONFIRMED"],
        )

    claim = await info.context.reads.last_claim(pool.id, holder) if pool else None
    return (claim.id if claim else f"{pool_id}/none"), {"NOT_FOUND": refusal}
