"""RSVPs, as the older service has them: a seat that somebody has for good."""

import asyncio
from datetime import datetime
from enum import Enum

import strawberry

from capacity_gateway.domains import sessions
from capacity_gateway.domains.sessions import JoinSessionInput, SessionRefInput
from capacity_gateway.dropin.legacy import Refused, done, found, logged_in
from capacity_gateway.kernel.context import Info
from capacity_gateway.kernel.outcomes import InsufficientCapacityError, NotEligibleError, NotFoundError, PoolClosedError
from capacity_gateway.kernel.pools import Claim, ClaimState, Pool, moment, moment_or_none
from capacity_gateway.kernel.vocabulary import PoolKind

KIND = PoolKind.SESSION
FULL = "Session is full. Join the waitlist for a chance to get a spot."


@strawberry.enum
class RsvpStatus(Enum):
    """Whether an RSVP stands."""

    CONFIRMED = "CONFIRMED"
    """There is a seat."""
    CANCELLED = "CANCELLED"
    """The seat was given back."""


@strawberry.type
class SessionRsvpType:
    """Somebody's seat in a session."""

    id: str
    """The claim's id."""
    session_id: str
    """In which session."""
    user_id: str
    """Whose it is."""
    event_id: str
    """Of which event."""
    status: RsvpStatus
    """Whether it stands."""
    rsvp_at: datetime
    """When its holder first had a seat in this session; a cancelled RSVP that is renewed keeps its time."""
    cancelled_at: datetime | None
    """When it was given back."""


@strawberry.type
class RsvpToSessionResponse:
    """The seat, or why there is none."""

    success: bool
    """Whether there is one."""
    rsvp: SessionRsvpType | None
    """The seat."""
    message: str | None
    """What was done, or why not."""


@strawberry.type
class CancelSessionRsvpResponse:
    """The seat is given back."""

    success: bool
    """True: refusals are errors."""
    message: str | None
    """What was done."""


@strawberry.type
class MyScheduleSessionType:
    """A session in which the caller has a seat."""

    rsvp_id: str
    """The seat."""
    rsvp_status: RsvpStatus
    """CONFIRMED."""
    rsvp_at: datetime
    """Since when."""
    session_id: str
    """Which session."""
    title: str
    """Its title."""
    start_time: datetime
    """When it begins; where nobody said, when its event does, or when it was made."""
    end_time: datetime
    """When it ends; where nobody said, when its event does, or when it begins."""
    session_type: str | None
    """What sort of session it is."""
    speakers: str | None
    """Who speaks."""


@strawberry.input
class RsvpToSessionInput:
    """A seat that is wanted."""

    session_id: str
    """In which session."""


@strawberry.input
class CancelSessionRsvpInput:
    """A seat to be given back."""

    session_id: str
    """In which session."""


@strawberry.type
class Queries:
    """What clients of the older service read of seats."""

    @strawberry.field
    async def my_schedule(self, info: Info, event_id: strawberry.ID) -> list[MyScheduleSessionType]:
        """The sessions of an event in which the caller has a seat, in the order they begin."""
        holder = logged_in(info)
        event = await found(info, PoolKind.EVENT, event_id, "Event")
        pools = [session.pool for session in await info.context.reads.children(event.id, KIND)]
        items = await asyncio.gather(*(_scheduled(info, event, pool, holder) for pool in pools))
        return sorted((item for item in items if item), key=lambda item: (item.start_time, item.session_id))


@strawberry.type
class Mutations:
    """What clients of the older service do with seats."""

    @strawberry.mutation
    async def rsvp_to_session(self, info: Info, input: RsvpToSessionInput) -> RsvpToSessionResponse:  # noqa: A002
        """Take a seat in a session, or the one that is offered. Twice is once."""
        logged_in(info)
        pool = await found(info, KIND, input.session_id, "Session")
        outcome = await sessions.join(info, JoinSessionInput(session_id=pool.ref))
        if isinstance(outcome, NotEligibleError):
            raise Refused(403, "You must be registered for this event to RSVP")
        if isinstance(outcome, PoolClosedError):
            return RsvpToSessionResponse(success=False, rsvp=None, message="This session is closed at present")
        if isinstance(outcome, InsufficientCapacityError):
            return RsvpToSessionResponse(success=False, rsvp=None, message=FULL)
        claim: Claim = done(outcome).claimed
        if claim.state is ClaimState.WAITING:
            return RsvpToSessionResponse(success=False, rsvp=None, message=f"{FULL} You are on it.")
        message = "Already RSVPed" if outcome.replayed else "RSVP confirmed"
        return RsvpToSessionResponse(success=True, rsvp=await _rsvp(info, pool, claim), message=message)

    @strawberry.mutation
    async def cancel_session_rsvp(self, info: Info, input: CancelSessionRsvpInput) -> CancelSessionRsvpResponse:  # noqa: A002
        """Give a seat back; who waits for it is offered it at once. Twice is once."""
        holder = logged_in(info)
        pool = await found(info, KIND, input.session_id, "Session")
        claim = await info.context.reads.last_claim(pool.id, holder)
        never = None
        if claim is None or claim.confirmed_at is None:
            never = NotFoundError(message="No active RSVP found for this session", ref=pool.ref)
        outcome = done(await sessions.leave(info, SessionRefInput(session_id=pool.ref), checks=[never]))
        message = "RSVP was cancelled before" if outcome.replayed else "RSVP cancelled"
        return CancelSessionRsvpResponse(success=True, message=message)


async def _rsvp(info: Info, pool: Pool, claim: Claim) -> SessionRsvpType:
    first = await info.context.reads.one("seats_of_holders", pool.id, holder=claim.holder)
    stands = claim.state is ClaimState.CONFIRMED
    return SessionRsvpType(
        id=claim.id,
        session_id=pool.ref,
        user_id=claim.holder,
        event_id=(pool.parent_id or "").partition(":")[2],
        status=RsvpStatus.CONFIRMED if stands else RsvpStatus.CANCELLED,
        rsvp_at=moment(first["first_at"]) if first else claim.created_at,
        cancelled_at=None if stands else claim.since,
    )


async def _scheduled(info: Info, event: Pool, pool: Pool, holder: str) -> MyScheduleSessionType | None:
    claim = await info.context.reads.last_claim(pool.id, holder)
    if claim is None or claim.state is not ClaimState.CONFIRMED:
        return None
    rsvp = await _rsvp(info, pool, claim)
    start, end = (
        next((moment_or_none(of.facts[name]) for of in (pool, event) if of.facts.get(name)), None)
        for name in ("starts_at", "ends_at")
    )
    return MyScheduleSessionType(
        rsvp_id=rsvp.id,
        rsvp_status=rsvp.status,
        rsvp_at=rsvp.rsvp_at,
        session_id=pool.ref,
        title=pool.title or pool.ref,
        start_time=start or pool.opened_at,
        end_time=end or start or pool.opened_at,
        session_type=pool.facts.get("session_type"),
        speakers=pool.facts.get("speakers"),
    )
