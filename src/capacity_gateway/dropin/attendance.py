"""Virtual attendance, as the older service has it: who watches a session, and for how long.

Who watches has a place in the event's stream, once however many of its sessions he watches, and a seat in the session:
the one that he has, or one for as long as he watches. Both are leases. The older clients send no heartbeats; they read
the session's statistics every 15 seconds while it is on the screen, and that keeps the leases alive. So whoever closes
the lid without a word is gone after five minutes, and twenty readings may be lost before that.
"""

import asyncio
import uuid
from datetime import datetime
from typing import Any, Self

import strawberry

from capacity_gateway.domains.sessions import SEAT, VIRTUAL, SessionRefInput, registration_pool
from capacity_gateway.dropin.legacy import done, found, logged_in
from capacity_gateway.kernel.commands import Adjust, Attribution, Command, Define, Hold, Release, Stage, Take, Touch
from capacity_gateway.kernel.context import Info
from capacity_gateway.kernel.outcomes import (
    InsufficientCapacityError,
    InvalidInputError,
    LeaseSuccess,
    NotEligibleError,
    PoolClosedError,
)
from capacity_gateway.kernel.pools import Claim, ClaimState, Json, Pool, moment
from capacity_gateway.kernel.submission import header_key_of, submit
from capacity_gateway.kernel.vocabulary import LedgerReason, PoolKind

LEASE_SECONDS = 300
MOST_ATTENDANCES = 1000  # of a list without pages
LATE_LEAVE = "late_leave"
"""The fact on an attendance that a leave of an earlier one of its holder may still be on its way."""

NOT_FOUND = "Session not found"
NOT_REGISTERED = "You must be registered for this event to join"
STREAM_FULL = "This event has reached its maximum viewer limit."
SESSION_FULL = "This session is full. Please join the waitlist."
CLOSED = "This session is closed at present"
ENDED = "This session has ended"
NOT_THERE = "No active session found"


@strawberry.type
class VirtualAttendanceType:
    """Somebody who watches a session, or has watched it."""

    id: str
    """The claim's id."""
    user_id: str
    """Who."""
    session_id: str
    """Which session."""
    event_id: str
    """Of which event."""
    joined_at: datetime
    """Since when."""
    left_at: datetime | None
    """Until when; null while watching."""
    watch_duration_seconds: int | None
    """For how long; null while watching."""
    device_type: str | None
    """On what sort of device."""

    @classmethod
    def of(cls, claim: Claim) -> Self:
        """The attendance that a claim on a stream is."""
        left_at = None if claim.state is ClaimState.HELD else claim.since
        return cls(
            id=claim.id,
            user_id=claim.holder,
            session_id=claim.subject or "",
            event_id=claim.pool_id.partition(":")[2],
            joined_at=claim.created_at,
            left_at=left_at,
            watch_duration_seconds=int((left_at - claim.created_at).total_seconds()) if left_at else None,
            device_type=claim.facts.get("device_type"),
        )


@strawberry.type
class JoinVirtualSessionResponse:
    """The attendance, or why there is none."""

    success: bool
    """Whether there is one."""
    attendance: VirtualAttendanceType | None
    """The attendance."""
    message: str | None
    """What was done, or why not."""


@strawberry.type
class LeaveVirtualSessionResponse:
    """The attendance that has ended, or why none has."""

    success: bool
    """Whether one has."""
    attendance: VirtualAttendanceType | None
    """The attendance."""
    watch_duration_seconds: int | None
    """For how long it lasted."""
    message: str | None
    """What was done, or why not."""


@strawberry.type
class VirtualAttendanceStatsType:
    """Who watches a session, and has watched it."""

    session_id: str
    """Which session."""
    total_views: int
    """How many attendances there have been."""
    unique_viewers: int
    """Of how many people."""
    current_viewers: int
    """How many watch now."""
    avg_watch_duration_seconds: float | None
    """How long an attendance that has ended lasted; null while none has."""
    peak_viewers: int
    """How many watched at a time, at most."""


@strawberry.type
class EventVirtualAttendanceStatsType:
    """Who watches an event, and has watched it. Somebody at two of its sessions is one viewer."""

    event_id: str
    """Which event."""
    total_views: int
    """How many attendances there have been."""
    unique_viewers: int
    """Of how many people."""
    current_viewers: int
    """How many people watch now."""
    avg_watch_duration_seconds: float | None
    """How long an attendance that has ended lasted; null while none has."""
    session_stats: list[VirtualAttendanceStatsType]
    """Session by session."""


@strawberry.input
class Joining:
    """The arguments of joinVirtualSession, to be checked and remembered together."""

    session_id: strawberry.ID
    """Which session."""
    device_type: str | None
    """On what sort of device."""
    user_agent: str | None
    """In which browser."""


@strawberry.type
class Queries:
    """What clients of the older service read of who watches."""

    @strawberry.field
    async def virtual_attendance_stats(self, info: Info, session_id: strawberry.ID) -> VirtualAttendanceStatsType:
        """Who watches a session. Somebody who watches it and asks shows thereby that he still does."""
        pool = await found(info, PoolKind.SESSION, session_id, "Session")
        await _keep_alive(info, pool)
        return await _stats(info, pool)

    @strawberry.field
    async def event_virtual_attendance_stats(
        self, info: Info, event_id: strawberry.ID
    ) -> EventVirtualAttendanceStatsType:
        """Who watches an event, over all its sessions."""
        event = await found(info, PoolKind.EVENT, event_id, "Event")
        sessions = await info.context.reads.children(event.id, PoolKind.SESSION)
        stats = await asyncio.gather(*(_stats(info, session.pool) for session in sessions))
        row = await info.context.reads.one("attendances_of_pools", PoolKind.STREAM.pool_id(event.ref)) or NOBODY
        return EventVirtualAttendanceStatsType(event_id=event.ref, session_stats=stats, **_people(row))

    @strawberry.field
    async def my_virtual_attendance(self, info: Info, event_id: strawberry.ID) -> list[VirtualAttendanceType]:
        """What the caller has watched of an event, the latest first, at most 1,000."""
        holder = logged_in(info)
        event = await found(info, PoolKind.EVENT, event_id, "Event")
        stream = PoolKind.STREAM.pool_id(event.ref)
        rows = await info.context.reads.many("attendances_of_holders", stream, holder=holder, size=MOST_ATTENDANCES)
        return [VirtualAttendanceType.of(Claim.decode(row)) for row in rows]


@strawberry.type
class Mutations:
    """What clients of the older service do to watch."""

    @strawberry.mutation
    async def join_virtual_session(
        self,
        info: Info,
        session_id: str,
        device_type: str | None = None,
        user_agent: str | None = None,
    ) -> JoinVirtualSessionResponse:
        """Watch a session. The same again, as from a new tab or out of an offline queue, is the same attendance."""
        holder = logged_in(info)
        session = await info.context.reads.find_pool(PoolKind.SESSION.pool_id(session_id))
        if session is None:
            return _not_joined(NOT_FOUND)
        seat = await info.context.reads.last_claim(session.id, holder)
        given = Joining(session_id=session.ref, device_type=device_type, user_agent=user_agent)
        commands = await _joining(info, session, seat, given)
        checks = [
            _refusal(ENDED) if _has_ended(session) else None,
            _refusal(SESSION_FULL) if seat is not None and seat.state is ClaimState.WAITING else None,
        ]
        outcome = await submit(info, given, *commands, success=LeaseSuccess, checks=checks)
        if (why_not := _why_not_joined(outcome)) is not None:
            return _not_joined(why_not)
        attendance = VirtualAttendanceType.of(done(outcome).claimed)
        new = any(isinstance(command, Hold) and command.claim_id == attendance.id for command in commands)
        message = "Joined" if new else "Already joined"
        return JoinVirtualSessionResponse(success=True, attendance=attendance, message=message)

    @strawberry.mutation
    async def leave_virtual_session(self, info: Info, session_id: str) -> LeaveVirtualSessionResponse:
        """Watch no longer. Twice is once; a leave that comes late ends no newer attendance."""
        holder = logged_in(info)
        reads = info.context.reads
        session = await reads.find_pool(PoolKind.SESSION.pool_id(session_id))
        last = await reads.last_claim(_stream(session), holder, session.ref) if session else None
        late = last is not None and header_key_of(info) is not None and last.facts.get(LATE_LEAVE)
        commands: list[Command] = []
        if last is not None and late:
            commands = [Stage(kind=PoolKind.STREAM, claim_id=last.id, facts={LATE_LEAVE: None}, done_facts={})]
        elif last is not None and session is not None:
            commands = await _leaving(info, session, last)
        never = None if commands else _refusal(NOT_THERE)
        given = SessionRefInput(session_id=strawberry.ID(session_id))
        outcome = await submit(info, given, *commands, success=LeaseSuccess, checks=[never])
        if isinstance(outcome, InvalidInputError):
            return LeaveVirtualSessionResponse(
                success=False, attendance=None, watch_duration_seconds=None, message=outcome.message
            )
        attendance = VirtualAttendanceType.of(done(outcome).claimed)
        return LeaveVirtualSessionResponse(
            success=True,
            attendance=attendance,
            watch_duration_seconds=attendance.watch_duration_seconds,
            message="Left" if attendance.left_at else "You have joined again since, and are still there",
        )


NOBODY: Json = {"views": 0, "viewers": 0, "now": 0, "seconds": None, "peak": 0}


def _stream(session: Pool) -> str:
    """The pool of who watches a session's event."""
    return PoolKind.STREAM.pool_id((session.parent_id or session.id).partition(":")[2])


def _has_ended(session: Pool) -> bool:
    ends_at = session.facts.get("ends_at")
    return ends_at is not None and moment(ends_at) <= session.as_of


def _refusal(message: str) -> InvalidInputError:
    return InvalidInputError(field="sessionId", message=message)


def _not_joined(message: str) -> JoinVirtualSessionResponse:
    return JoinVirtualSessionResponse(success=False, attendance=None, message=message)


def _why_not_joined(outcome: Any) -> str | None:
    if isinstance(outcome, NotEligibleError):
        return NOT_REGISTERED
    if isinstance(outcome, PoolClosedError):
        return CLOSED
    if isinstance(outcome, InsufficientCapacityError):
        return STREAM_FULL if outcome.pool.kind is PoolKind.STREAM else SESSION_FULL
    return outcome.message if isinstance(outcome, InvalidInputError) else None


async def _watched(info: Info, stream: str, holder: str) -> list[Claim]:
    """What a holder watches of an event now."""
    claims = await info.context.reads.own_claims({PoolKind.STREAM: holder}, limit=100)
    return [claim for claim in claims if claim.pool_id == stream and claim.subject]


async def _joining(info: Info, session: Pool, seat: Claim | None, given: Joining) -> list[Command]:
    """A place in the stream, which comes with the first session that is watched, and a seat in this one."""
    stream, holder = _stream(session), logged_in(info)
    watched = await _watched(info, stream, holder)
    here = next((claim for claim in watched if claim.subject == session.ref), None)
    last = here or await info.context.reads.last_claim(stream, holder, session.ref)
    # A client that joins, not out of its offline queue, without having left: that leave was lost, or is in the queue.
    unfinished = last is not None and last.state in (ClaimState.HELD, ClaimState.EXPIRED)
    late = {LATE_LEAVE: True} if unfinished and header_key_of(info) is None else {}
    device = {"device_type": given.device_type, "user_agent": given.user_agent}
    commands: list[Command] = []
    if await info.context.reads.find_pool(stream) is None:
        commands.append(_unlimited(session))
    commands.append(
        Hold(
            kind=PoolKind.STREAM,
            pool_id=stream,
            claim_id=str(uuid.uuid4()),
            holder=holder,
            subject=session.ref,
            quantity=0 if any(claim.quantity for claim in watched if claim is not here) else 1,
            exclusive=f"{stream}\n{holder}\n{session.ref}",
            ttl_seconds=LEASE_SECONDS,
            needs_pool_id=registration_pool(session),
            facts={name: text for name, text in device.items() if text} | late,
            reason=LedgerReason.JOIN,
        )
    )
    commands.append(_seat(session, holder, offered=seat is not None and seat.offered))
    return commands


def _seat(session: Pool, holder: str, *, offered: bool) -> Command:
    """A seat for as long as one watches, or the one that there is; an offer of one is taken up for good."""
    seat: dict[str, Any] = {
        "kind": PoolKind.SESSION,
        "pool_id": session.id,
        "claim_id": str(uuid.uuid4()),
        "holder": holder,
        "quantity": 1,
        "exclusive": f"{session.id}\n{holder}",
        "reason": LedgerReason.JOIN,
    }
    return Take(**seat, to_stage=SEAT) if offered else Hold(**seat, ttl_seconds=LEASE_SECONDS, to_stage=VIRTUAL)


def _unlimited(session: Pool) -> Define:
    """The stream of an event that has no limit of viewers: to count them without one."""
    facts = {name: session.facts.get(name) for name in ("owner_id", "organization_id")}
    return Define(
        kind=PoolKind.STREAM,
        pool_id=_stream(session),
        parent_id=session.parent_id,
        pool_facts=facts,
        definition={"quota": None, **facts},
    )


async def _leaving(info: Info, session: Pool, last: Claim) -> list[Command]:
    """An attendance ended, with the seat that lasted as long; another session that is watched counts instead."""
    commands: list[Command] = [
        Release(kind=PoolKind.STREAM, claim_id=last.id, reason=LedgerReason.LEAVE, done_facts={})
    ]
    seat = await info.context.reads.last_claim(session.id, last.holder)
    if seat is not None and seat.stage == VIRTUAL:
        commands.append(
            Release(
                kind=PoolKind.SESSION,
                claim_id=seat.id,
                reason=LedgerReason.LEAVE,
                from_stages=[VIRTUAL],
                done_facts={},
            )
        )
    others = [claim for claim in await _watched(info, last.pool_id, last.holder) if claim.id != last.id]
    if last.quantity and others and not any(claim.quantity for claim in others):
        commands.append(_count(others[0]))
    return commands


def _count(attendance: Claim) -> Adjust:
    """Somebody who watches several sessions counts once, by this one from now on."""
    return Adjust(kind=PoolKind.STREAM, claim_id=attendance.id, quantity=1, reason=LedgerReason.JOIN, if_live=True)


async def _keep_alive(info: Info, session: Pool) -> None:
    """Renew the leases of a caller who watches, once half of their time is gone: a reading in ten writes."""
    holder = info.context.caller.holder
    if holder is None:
        return
    place = await info.context.reads.last_claim(_stream(session), holder, session.ref)
    left = (place.expires_at - session.as_of).total_seconds() if place and place.expires_at else 0
    if place is None or place.state is not ClaimState.HELD or left > LEASE_SECONDS / 2:
        return
    seat = await info.context.reads.last_claim(session.id, holder)
    leases = [place, seat] if seat is not None and seat.stage == VIRTUAL else [place]
    commands: list[Command] = [
        Touch(kind=claim.kind, claim_id=claim.id, from_state="held", if_live=True, ttl_seconds=LEASE_SECONDS)
        for claim in leases
    ]
    if not any(claim.quantity for claim in await _watched(info, place.pool_id, holder)):
        commands = [_count(place)]  # the other session, which counted, has run out; the next reading renews the leases
    by = Attribution(operation=info.field_name, actor=holder)
    await info.context.capacity.submit(info.context.caller.tenant, commands, by, LeaseSuccess)


async def _stats(info: Info, session: Pool) -> VirtualAttendanceStatsType:
    row = await info.context.reads.one("attendances", session.ref, pool=_stream(session)) or NOBODY
    return VirtualAttendanceStatsType(session_id=session.ref, peak_viewers=row["peak"], **_people(row))


def _people(row: Json) -> dict[str, Any]:
    """The fields about viewers that two answers share."""
    return {
        "total_views": row["views"],
        "unique_viewers": row["viewers"],
        "current_viewers": row["now"],
        "avg_watch_duration_seconds": None if row["seconds"] is None else round(row["seconds"], 2),
    }
