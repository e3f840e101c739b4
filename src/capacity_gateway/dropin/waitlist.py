"""Waitlists and the capacity of sessions, as the older service has them: a place in a queue is an entry."""

import asyncio
from datetime import datetime
from enum import Enum
from typing import Any, Self

import strawberry

from capacity_gateway.domains import sessions
from capacity_gateway.domains.sessions import JoinSessionInput, SessionRefInput, WaitlistTier
from capacity_gateway.dropin.legacy import Refused, done, found, logged_in, organised
from capacity_gateway.kernel.commands import Hold, Release, Resize
from capacity_gateway.kernel.context import Info
from capacity_gateway.kernel.outcomes import (
    HoldExpiredError,
    InsufficientCapacityError,
    InvalidInputError,
    NotEligibleError,
    NotFoundError,
    OfferUnavailableError,
    PoolSuccess,
    QuotaBelowUseError,
)
from capacity_gateway.kernel.pools import Claim, ClaimState, Json, Pool, moment_or_none
from capacity_gateway.kernel.submission import LARGEST_INT, submit
from capacity_gateway.kernel.vocabulary import LedgerReason, PoolKind

KIND = PoolKind.SESSION
MOST_ENTRIES = 1000  # of a list without pages
MOST_OFFERS = 50
MOST_MINUTES = 24 * 60
ANSWER_SECONDS = 600  # how long one takes to answer an offer, where nobody has yet
NO_OFFER = "This offer is not available"
NO_SEAT = "No available spots in session"


@strawberry.enum
class WaitlistStatus(Enum):
    """What has become of an entry."""

    WAITING = "WAITING"
    """In the queue."""
    OFFERED = "OFFERED"
    """A seat is held for it until the offer runs out."""
    ACCEPTED = "ACCEPTED"
    """It became a seat."""
    DECLINED = "DECLINED"
    """The offer was given back."""
    EXPIRED = "EXPIRED"
    """The offer ran out."""
    LEFT = "LEFT"
    """Left, or removed by an organizer."""


@strawberry.enum
class PriorityTier(Enum):
    """Who is offered a seat first."""

    VIP = WaitlistTier.VIP.value
    """Before all others."""
    PREMIUM = WaitlistTier.PREMIUM.value
    """Before the rest."""
    STANDARD = WaitlistTier.STANDARD.value
    """Everybody."""


@strawberry.type
class WaitlistUserType:
    """Who an entry is of; the gateway itself knows no more of anybody than the id."""

    id: str
    """The login's subject."""
    email: str
    """An address."""
    first_name: str
    """The first name."""
    last_name: str
    """The last name."""
    image_url: str | None
    """A picture."""


@strawberry.type
class WaitlistEntryType:
    """A place in the queue, or what has become of it."""

    id: str
    """The claim's id."""
    session_id: str
    """In which session."""
    user_id: str
    """Whose it is."""
    user: WaitlistUserType | None
    """Null: people are another service's."""
    status: WaitlistStatus
    """What has become of it."""
    priority_tier: PriorityTier
    """Within which tier it waits."""
    position: int
    """1, 2, 3 … among all who wait, without gaps; 0 for who does not."""
    joined_at: datetime
    """When it began."""
    offer_sent_at: datetime | None
    """When the seat was offered."""
    offer_expires_at: datetime | None
    """When the offer runs out or ran out."""
    offer_responded_at: datetime | None
    """When the offer was accepted or declined."""
    left_at: datetime | None
    """When it was left."""
    join_token: str | None
    """What acceptWaitlistOffer asks for: of this offer alone, shown to its holder alone."""

    @classmethod
    def of(cls, info: Info, row: Json) -> Self:
        """The entry of a row of waitlist_entries."""
        claim, status = Claim.decode(row), WaitlistStatus(row["status"])
        answered = {WaitlistStatus.ACCEPTED: claim.confirmed_at, WaitlistStatus.DECLINED: claim.since}
        caller = info.context.caller
        own = status is WaitlistStatus.OFFERED and claim.holder == caller.holder
        return cls(
            id=claim.id,
            session_id=claim.pool_id.partition(":")[2],
            user_id=claim.holder,
            user=None,
            status=status,
            priority_tier=PriorityTier(row["rank"]),
            position=row["position"] or 0,
            joined_at=claim.created_at,
            offer_sent_at=moment_or_none(row["offered_at"]),
            offer_expires_at=claim.expires_at,
            offer_responded_at=answered.get(status),
            left_at=claim.since if status is WaitlistStatus.LEFT else None,
            join_token=info.context.offers.token(caller.tenant, claim) if own else None,
        )


@strawberry.type
class WaitlistPositionType:
    """Where one stands."""

    position: int
    """1, 2, 3 …; 0 with an offer."""
    total: int
    """How many wait."""
    estimated_wait_minutes: int | None
    """How long it may take, by how long others took to answer their offers."""
    priority_tier: PriorityTier
    """Within which tier."""
    status: WaitlistStatus
    """WAITING or OFFERED."""


@strawberry.type
class SessionCapacityType:
    """The seats of a session, in one notion of full: what nobody else may take is not available."""

    session_id: str
    """Which session."""
    maximum_capacity: int
    """How many seats there are; 2147483647 where there is no limit."""
    current_attendance: int
    """How many are taken."""
    available_spots: int
    """How many are neither taken nor held by an offer."""
    is_available: bool
    """Whether one may have a seat now: there is one, and nobody waits for it."""
    waitlist_count: int
    """How many wait."""


@strawberry.type
class WaitlistJoinResponseType:
    """The entry of who has joined, twice: in the fields that a plain join asks for, and as such."""

    id: str
    """The entry's id."""
    session_id: str
    """In which session."""
    position: int
    """1, 2, 3 …; 0 with an offer."""
    priority_tier: PriorityTier
    """Within which tier."""
    estimated_wait_minutes: int | None
    """How long it may take."""
    joined_at: datetime
    """When it began."""
    success: bool
    """True: refusals are errors."""
    message: str
    """What was done."""
    entry: WaitlistEntryType | None
    """The entry."""


@strawberry.type
class WaitlistAcceptOfferResponseType:
    """Whether there is a seat now."""

    success: bool
    """Whether there is."""
    message: str
    """What was done; not why it was not."""
    session_id: str
    """In which session."""


@strawberry.type
class WaitlistLeaveResponseType:
    """Who is off the waitlist."""

    success: bool
    """True: refusals are errors."""
    message: str
    """What was done."""


@strawberry.type
class WaitlistStatsByPriorityType:
    """Who waits in each tier. There is one count: what the older service kept a second time shows the same."""

    vip: int
    """Of VIP."""
    premium: int
    """Of PREMIUM."""
    standard: int
    """Of STANDARD."""
    redis_vip: int
    """The same as vip."""
    redis_premium: int
    """The same as premium."""
    redis_standard: int
    """The same as standard."""


@strawberry.type
class WaitlistStatsType:
    """What has become of all who ever joined a session's waitlist."""

    session_id: str
    """Which session."""
    total_waiting: int
    """How many wait."""
    total_offered: int
    """How many have an offer that still holds."""
    total_accepted: int
    """How many accepted one."""
    total_declined: int
    """How many declined one."""
    total_expired: int
    """How many let one run out."""
    total_left: int
    """How many left before."""
    by_priority: WaitlistStatsByPriorityType
    """Who waits in each tier."""


@strawberry.type
class SessionWaitlistStatsType:
    """A session's part in its event's waitlists."""

    session_id: str
    """Which session."""
    session_title: str
    """Its title."""
    waitlist_count: int
    """How many wait."""
    offers_issued: int
    """How many offers there have been."""
    acceptance_rate: float
    """How many of them were accepted, in percent."""


@strawberry.type
class EventWaitlistAnalyticsType:
    """All waitlists of an event, as they are now."""

    event_id: str
    """Which event."""
    total_waitlist_entries: float
    """How many entries there have been."""
    active_waitlist_count: float
    """How many wait or have an offer that still holds."""
    total_offers_issued: float
    """How many offers there have been."""
    total_offers_accepted: float
    """How many were accepted."""
    total_offers_declined: float
    """How many were declined."""
    total_offers_expired: float
    """How many ran out."""
    acceptance_rate: float
    """Accepted of issued, in percent."""
    decline_rate: float
    """Declined of issued, in percent."""
    expiry_rate: float
    """Run out of issued, in percent."""
    conversion_rate: float
    """Accepted of all entries, in percent."""
    average_wait_time_minutes: float
    """From joining to the offer."""
    cached_at: str | None
    """Null: nothing is cached."""
    by_session: list[SessionWaitlistStatsType]
    """Session by session."""


@strawberry.type
class BulkSendOffersResponseType:
    """How many offers were sent."""

    success: bool
    """Whether any was."""
    offers_sent: int
    """How many were."""
    message: str
    """What was done, or why nothing was."""


@strawberry.type
class UpdateCapacityResponseType:
    """A session's seats after a change of their number."""

    session_id: str
    """Which session."""
    maximum_capacity: int
    """How many seats there are."""
    current_attendance: int
    """How many are taken."""
    available_spots: int
    """How many are neither taken nor held by an offer."""
    is_available: bool
    """Whether one may have a seat now."""
    offers_automatically_sent: int
    """How many who waited were offered one in the same step."""


@strawberry.input
class JoinWaitlistInput:
    """Who would wait for a seat."""

    session_id: str
    """In which session."""
    priority_tier_override: str | None = None
    """The tier to wait in; an organizer's word, ignored of anybody else."""


@strawberry.input
class LeaveWaitlistInput:
    """A wait to be given up."""

    session_id: str
    """In which session."""


@strawberry.input
class AcceptOfferInput:
    """An offer to be taken up."""

    session_id: str
    """In which session."""
    join_token: str
    """The offer's own, from its entry."""


@strawberry.input
class DeclineOfferInput:
    """An offer to be given to the next."""

    session_id: str
    """In which session."""


@strawberry.input
class RemoveFromWaitlistInput:
    """Somebody to be taken off the waitlist."""

    session_id: str
    """In which session."""
    user_id: str
    """Who."""
    reason: str | None = "Removed by admin"
    """Why."""


@strawberry.input
class SendOfferInput:
    """Somebody who waits and is to be offered a free seat."""

    session_id: str
    """In which session."""
    user_id: str
    """Who."""
    expires_minutes: int | None = 5
    """How long the offer holds, 1 to 1440."""


@strawberry.input
class BulkSendOffersInput:
    """Free seats to be offered to who waits."""

    session_id: str
    """In which session."""
    count: int
    """How many at most, 1 to 50."""
    expires_minutes: int | None = 5
    """How long the offers hold, 1 to 1440."""


@strawberry.input
class UpdateCapacityInput:
    """Another number of seats."""

    session_id: str
    """In which session."""
    capacity: int
    """How many."""


@strawberry.type
class Queries:
    """What clients of the older service read of waitlists."""

    @strawberry.field
    async def session_waitlist(
        self, info: Info, session_id: strawberry.ID, status_filter: str | None = None
    ) -> list[WaitlistEntryType]:
        """Who waits or has waited, each once, in order, at most 1,000; for the session's organizers."""
        pool = await organised(info, KIND, session_id, "Session")
        if status_filter is not None and status_filter not in WaitlistStatus.__members__:
            raise Refused(400, f"statusFilter must be one of {', '.join(WaitlistStatus.__members__)}")
        return await _entries(info, pool, status=status_filter)

    @strawberry.field
    async def session_capacity(self, info: Info, session_id: strawberry.ID) -> SessionCapacityType:
        """The seats of a session; for everybody."""
        pool = await found(info, KIND, session_id, "Session")
        waiting = pool.queue.waiting if pool.queue else 0
        return SessionCapacityType(waitlist_count=waiting, **await _seats(info, pool))

    @strawberry.field
    async def session_waitlist_stats(self, info: Info, session_id: strawberry.ID) -> WaitlistStatsType:
        """What has become of all who ever joined; for the session's organizers."""
        pool = await organised(info, KIND, session_id, "Session")
        numbers = await _numbers(info, pool)
        vip, premium, standard = numbers["ranks"]
        return WaitlistStatsType(
            session_id=pool.ref,
            total_waiting=numbers["waiting"],
            total_offered=numbers["offered"],
            total_accepted=numbers["accepted"],
            total_declined=numbers["declined"],
            total_expired=numbers["expired"],
            total_left=numbers["left"],
            by_priority=WaitlistStatsByPriorityType(
                vip=vip,
                premium=premium,
                standard=standard,
                redis_vip=vip,
                redis_premium=premium,
                redis_standard=standard,
            ),
        )

    @strawberry.field
    async def event_waitlist_analytics(
        self,
        info: Info,
        event_id: strawberry.ID,
        use_cache: bool = True,  # noqa: ARG002 - the contract's
    ) -> EventWaitlistAnalyticsType:
        """All waitlists of an event; for its organizers."""
        event = await organised(info, PoolKind.EVENT, event_id, "Event")
        pools = [session.pool for session in await info.context.reads.children(event.id, KIND)]
        numbers = await asyncio.gather(*(_numbers(info, pool) for pool in pools))
        return _analytics(event, list(zip(pools, numbers, strict=True)))

    @strawberry.field
    async def my_waitlist_position(self, info: Info, session_id: strawberry.ID) -> WaitlistPositionType | None:
        """Where the caller stands; null when not on the waitlist."""
        holder = logged_in(info)
        pool = await found(info, KIND, session_id, "Session")
        entry = await _entry(info, pool, holder)
        if entry is None or entry.status not in (WaitlistStatus.WAITING, WaitlistStatus.OFFERED):
            return None
        return WaitlistPositionType(
            position=entry.position,
            total=pool.queue.waiting if pool.queue else 0,
            estimated_wait_minutes=await _wait_minutes(info, pool, entry.position),
            priority_tier=entry.priority_tier,
            status=entry.status,
        )

    @strawberry.field
    async def my_waitlist_entry(self, info: Info, session_id: strawberry.ID) -> WaitlistEntryType | None:
        """The caller's last entry, with what it takes to accept an offer; null without one."""
        holder = logged_in(info)
        return await _entry(info, await found(info, KIND, session_id, "Session"), holder)


@strawberry.type
class Mutations:
    """What clients of the older service do with waitlists."""

    @strawberry.mutation
    async def join_waitlist(self, info: Info, input: JoinWaitlistInput) -> WaitlistJoinResponseType:  # noqa: A002
        """Wait for a seat in a session that is full. Twice is once; who has left or declined joins at the tail."""
        holder = logged_in(info)
        pool = await found(info, KIND, input.session_id, "Session")
        entry = await _entry(info, pool, holder)
        needless = None
        if entry is None or entry.status not in (WaitlistStatus.WAITING, WaitlistStatus.OFFERED):
            needless = await _needless(info, pool)
        override = input.priority_tier_override
        tier = WaitlistTier.__members__.get((override or "").upper())
        given = JoinSessionInput(session_id=pool.ref, tier=tier)
        outcome = await sessions.join(info, given, only_queue=True, checks=[needless])
        if isinstance(outcome, NotEligibleError):
            raise Refused(403, "You must be registered for this event to join the waitlist")
        if done(outcome).claimed.state is ClaimState.CONFIRMED:
            raise Refused(400, "You have a spot in this session. No need to join waitlist.")
        entry = await _entry(info, pool, holder)
        if entry is None:
            raise Refused(400, "You are in this session. No need to join waitlist.")
        return WaitlistJoinResponseType(
            id=entry.id,
            session_id=pool.ref,
            position=entry.position,
            priority_tier=entry.priority_tier,
            estimated_wait_minutes=await _wait_minutes(info, pool, entry.position),
            joined_at=entry.joined_at,
            success=True,
            message="Already on the waitlist" if outcome.replayed else "Joined the waitlist",
            entry=entry,
        )

    @strawberry.mutation
    async def leave_waitlist(self, info: Info, input: LeaveWaitlistInput) -> WaitlistLeaveResponseType:  # noqa: A002
        """Give up a wait or an offer. Twice is once."""
        holder = logged_in(info)
        pool = await found(info, KIND, input.session_id, "Session")
        entry = await _entry(info, pool, holder)
        commands, never = [], None
        if entry is None or entry.status in (WaitlistStatus.ACCEPTED, WaitlistStatus.EXPIRED):
            never = NotFoundError(message="Not on waitlist", ref=pool.ref)
        else:  # the entry, and nothing that came later, such as a seat
            commands = [Release(kind=KIND, claim_id=entry.id, reason=LedgerReason.LEAVE, done_facts={})]
        done(await submit(info, input, *commands, success=PoolSuccess, checks=[never]))
        return WaitlistLeaveResponseType(success=True, message="You have left the waitlist")

    @strawberry.mutation
    async def accept_waitlist_offer(self, info: Info, input: AcceptOfferInput) -> WaitlistAcceptOfferResponseType:  # noqa: A002
        """Take up an offer before it runs out. Twice is once; why it cannot be done is not said."""
        holder = logged_in(info)
        pool = await found(info, KIND, input.session_id, "Session")
        claim = await info.context.reads.last_claim(pool.id, holder)
        tenant = info.context.caller.tenant
        holds = claim is not None and info.context.offers.holds(input.join_token, tenant, claim)
        wrong = None if holds else OfferUnavailableError()
        outcome = await sessions.accept(info, SessionRefInput(session_id=pool.ref), checks=[wrong])
        if isinstance(outcome, OfferUnavailableError | HoldExpiredError):
            return WaitlistAcceptOfferResponseType(success=False, message=NO_OFFER, session_id=pool.ref)
        done(outcome)
        return WaitlistAcceptOfferResponseType(success=True, message="You have a spot now", session_id=pool.ref)

    @strawberry.mutation
    async def decline_waitlist_offer(self, info: Info, input: DeclineOfferInput) -> WaitlistLeaveResponseType:  # noqa: A002
        """Give an offer to the next in line; this ends the wait. Twice is once."""
        logged_in(info)
        pool = await found(info, KIND, input.session_id, "Session")
        outcome = await sessions.decline(info, SessionRefInput(session_id=pool.ref))
        if isinstance(outcome, OfferUnavailableError | HoldExpiredError):
            raise Refused(404, "No active offer found")
        done(outcome)
        message = "Offer declined. You are no longer on the waitlist, and may join it again."
        return WaitlistLeaveResponseType(success=True, message=message)

    @strawberry.mutation
    async def remove_from_waitlist(self, info: Info, input: RemoveFromWaitlistInput) -> WaitlistLeaveResponseType:  # noqa: A002
        """Take somebody off the waitlist; for the session's organizers. Twice is once."""
        pool = await organised(info, KIND, input.session_id, "Session")
        claim, status = await _claim_on_waitlist(info, pool, input.user_id)
        if status not in (WaitlistStatus.WAITING, WaitlistStatus.OFFERED, WaitlistStatus.LEFT):
            raise Refused(404, "User is not on the waitlist")
        command = Release(
            kind=KIND,
            claim_id=claim.id,
            reason=LedgerReason.LEAVE,
            from_state=claim.state.value,
            done_facts={},
            done_state="released",
            facts={"removed_by": info.context.caller.holder, "removed_for": input.reason},
        )
        done(await submit(info, input, command, success=PoolSuccess))
        return WaitlistLeaveResponseType(success=True, message="User removed from waitlist")

    @strawberry.mutation
    async def send_waitlist_offer(self, info: Info, input: SendOfferInput) -> WaitlistEntryType:  # noqa: A002
        """Offer a free seat to somebody who waits, or give an offer more time; for the session's organizers.

        Seats are offered by themselves, in order; one is free for this only while the first in line waits for several.
        """
        pool = await organised(info, KIND, input.session_id, "Session")
        claim, status = await _claim_on_waitlist(info, pool, input.user_id)
        if status not in (WaitlistStatus.WAITING, WaitlistStatus.OFFERED):
            raise Refused(409, f"User status is {status.value}, cannot send offer")
        command = _offer(claim, _minutes(input.expires_minutes))
        outcome = await submit(info, input, command, success=PoolSuccess)
        if isinstance(outcome, InsufficientCapacityError):
            raise Refused(400, NO_SEAT)
        done(outcome)
        (entry,) = await _entries(info, pool, holder=claim.holder)
        return entry

    @strawberry.mutation
    async def bulk_send_waitlist_offers(self, info: Info, input: BulkSendOffersInput) -> BulkSendOffersResponseType:  # noqa: A002
        """Offer free seats to who waits, in order, to as many as there are seats; for the session's organizers."""
        pool = await organised(info, KIND, input.session_id, "Session")
        minutes = _minutes(input.expires_minutes)
        if not 1 <= input.count <= MOST_OFFERS:
            raise Refused(400, f"count must be between 1 and {MOST_OFFERS}")
        rows = await info.context.reads.many(
            "waitlist_entries", pool.id, holder=None, status="WAITING", size=MOST_ENTRIES
        )
        if not rows:
            message = "No users in waitlist with WAITING status"
            return BulkSendOffersResponseType(success=False, offers_sent=0, message=message)
        free = LARGEST_INT if pool.quota is None else pool.quota - pool.held - pool.confirmed
        commands: list[Hold] = []
        for claim in map(Claim.decode, rows):
            if len(commands) < input.count and claim.quantity <= free:
                commands.append(_offer(claim, minutes))
                free -= claim.quantity
        outcome = await submit(info, input, *commands, success=PoolSuccess) if commands else None
        if outcome is None or isinstance(outcome, InsufficientCapacityError):
            message = f"{NO_SEAT}: a seat that comes free is offered at once to who waits longest"
            return BulkSendOffersResponseType(success=False, offers_sent=0, message=message)
        done(outcome)
        sent = len(commands)
        return BulkSendOffersResponseType(success=True, offers_sent=sent, message=f"Sent {sent} offers")

    @strawberry.mutation
    async def update_session_capacity(self, info: Info, input: UpdateCapacityInput) -> UpdateCapacityResponseType:  # noqa: A002
        """Set how many seats there are; new ones are offered to who waits in the same step. For organizers."""
        pool = await organised(info, KIND, input.session_id, "Session")
        if input.capacity < 0:
            raise Refused(400, "Capacity cannot be negative")
        command = Resize(kind=KIND, pool_id=pool.id, quota=input.capacity)
        outcome = await submit(info, input, command, success=PoolSuccess)
        if isinstance(outcome, QuotaBelowUseError):
            in_use = outcome.in_use
            raise Refused(400, f"Cannot set capacity ({input.capacity}) below current attendance ({in_use})")
        done(outcome)
        # What follows a resize's own entry in the same step are offers, an entry each.
        sent = outcome.numbers["judged_version"] - outcome.entries[0].version if outcome.entries else 0
        return UpdateCapacityResponseType(offers_automatically_sent=sent, **await _seats(info, outcome.pool))


async def _entries(
    info: Info, pool: Pool, *, holder: str | None = None, status: str | None = None
) -> list[WaitlistEntryType]:
    rows = await info.context.reads.many("waitlist_entries", pool.id, holder=holder, status=status, size=MOST_ENTRIES)
    return [WaitlistEntryType.of(info, row) for row in rows]


async def _entry(info: Info, pool: Pool, holder: str) -> WaitlistEntryType | None:
    """The last entry of a holder."""
    return next(iter(await _entries(info, pool, holder=holder)), None)


async def _claim_on_waitlist(info: Info, pool: Pool, holder: str) -> tuple[Claim, WaitlistStatus]:
    """The last claim of a holder who waits or has waited; Refused of anybody else."""
    rows = await info.context.reads.many("waitlist_entries", pool.id, holder=holder, status=None, size=1)
    if not rows:
        raise Refused(404, "User is not on the waitlist")
    return Claim.decode(rows[0]), WaitlistStatus(rows[0]["status"])


async def _needless(info: Info, pool: Pool) -> InvalidInputError | None:
    """Why nobody needs to wait."""
    if pool.queue is None:
        return InvalidInputError(field="sessionId", message="This session has no waitlist")
    seats = await _seats(info, pool)
    if not seats["is_available"]:
        return None
    spots = "" if pool.quota is None else f"{seats['available_spots']} "
    message = f"Session has {spots}available spots. No need to join waitlist."
    return InvalidInputError(field="sessionId", message=message)


async def _seats(info: Info, pool: Pool) -> dict[str, Any]:
    """The fields about a session's seats that two answers share."""
    offered = 0
    if pool.queue and pool.queue.offered:
        offered = (await info.context.reads.one("seats_offered", pool.id) or {"seats": 0})["seats"]
    maximum = LARGEST_INT if pool.quota is None else pool.quota
    available = max(0, maximum - pool.held - pool.confirmed)
    return {
        "session_id": pool.ref,
        "maximum_capacity": maximum,
        "current_attendance": pool.held + pool.confirmed - offered,
        "available_spots": available,
        "is_available": available > 0 and pool.closed_at is None and not (pool.queue and pool.queue.waiting),
    }


async def _numbers(info: Info, pool: Pool) -> Json:
    nobody = dict.fromkeys(("entries", "waiting", "offered", "accepted", "declined", "expired", "left"), 0)
    nothing = {**nobody, "ranks": [0, 0, 0], "wait_seconds": 0, "waits": 0, "answer_seconds": None}
    return await info.context.reads.one("waitlist_numbers", pool.id) or nothing


async def _wait_minutes(info: Info, pool: Pool, position: int) -> int | None:
    """How long a place may take, to five minutes; None for who does not wait."""
    seconds = (await _numbers(info, pool))["answer_seconds"] if position else None
    return max(5, 5 * round(position * (seconds or ANSWER_SECONDS) / 300)) if position else None


def _minutes(given: int | None) -> int:
    minutes = 5 if given is None else given
    if not 1 <= minutes <= MOST_MINUTES:
        raise Refused(400, f"expiresMinutes must be between 1 and {MOST_MINUTES}")
    return minutes


def _offer(claim: Claim, minutes: int) -> Hold:
    return Hold(
        kind=KIND,
        claim_id=claim.id,
        quantity=claim.quantity,
        ttl_seconds=60 * minutes,
        reason=LedgerReason.OFFER,
        done_facts={},
        done_state="held",
    )


def _analytics(event: Pool, sessions_: list[tuple[Pool, Json]]) -> EventWaitlistAnalyticsType:
    def total(name: str) -> float:
        return float(sum(numbers[name] for _, numbers in sessions_))

    issued = sum(_issued(numbers) for _, numbers in sessions_)
    waits = total("waits")
    return EventWaitlistAnalyticsType(
        event_id=event.ref,
        total_waitlist_entries=total("entries"),
        active_waitlist_count=total("waiting") + total("offered"),
        total_offers_issued=float(issued),
        total_offers_accepted=total("accepted"),
        total_offers_declined=total("declined"),
        total_offers_expired=total("expired"),
        acceptance_rate=_percent(total("accepted"), issued),
        decline_rate=_percent(total("declined"), issued),
        expiry_rate=_percent(total("expired"), issued),
        conversion_rate=_percent(total("accepted"), total("entries")),
        average_wait_time_minutes=round(total("wait_seconds") / waits / 60, 2) if waits else 0.0,
        cached_at=None,
        by_session=[
            SessionWaitlistStatsType(
                session_id=pool.ref,
                session_title=pool.title or pool.ref,
                waitlist_count=numbers["waiting"],
                offers_issued=_issued(numbers),
                acceptance_rate=_percent(numbers["accepted"], _issued(numbers), digits=1),
            )
            for pool, numbers in sessions_
        ],
    )


def _issued(numbers: Json) -> int:
    return sum(numbers[name] for name in ("offered", "accepted", "declined", "expired"))


def _percent(part: float, whole: float, digits: int = 2) -> float:
    return round(100 * part / whole, digits) if whole else 0.0
