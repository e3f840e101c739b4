"""Competitions: studios reserve spaces, directors approve, what is not used comes back.

A reservation is a claim. PENDING is a claim that waits, and nobody is promoted by himself; its stage is the
workflow, and what it holds is what the claim holds.
"""

import uuid
from datetime import datetime
from enum import Enum
from typing import Annotated, Self

import strawberry

from capacity_gateway.kernel.commands import (
    Adjust,
    Backfill,
    Define,
    Move,
    Release,
    Stage,
    Take,
    Wait,
)
from capacity_gateway.kernel.context import Info
from capacity_gateway.kernel.errors import Forbidden
from capacity_gateway.kernel.ledger import LedgerConnection
from capacity_gateway.kernel.outcomes import (
    CapacityChange,
    DefinePoolResult,
    GatewayBusyError,
    IdempotencyConflictError,
    InsufficientCapacityError,
    InvalidInputError,
    InvalidTransitionError,
    NotFoundError,
    PoolClosedError,
    PoolSuccess,
    RefundExceedsClaimError,
)
from capacity_gateway.kernel.paging import Connection, Edge, connect, page_size, read_cursor
from capacity_gateway.kernel.pools import Claim, ClaimState, Pool, find_view, page_of_pools, shows
from capacity_gateway.kernel.submission import at_least, fingerprint, submit
from capacity_gateway.kernel.vocabulary import LedgerReason, PoolKind

KIND = PoolKind.COMPETITION
REFUND_REASONS = (
    LedgerReason.SUMMARY_REFUND,
    LedgerReason.RESERVATION_CANCELLATION,
    LedgerReason.MANUAL_ADJUSTMENT,
)


@strawberry.enum
class ReservationStatus(Enum):
    """Workflow of a reservation. INVOICED and CLOSED come after SUMMARIZED and move no capacity."""

    PENDING = "PENDING"
    """Asked for; nothing taken yet."""
    APPROVED = "APPROVED"
    """A director granted spaces."""
    SUMMARIZED = "SUMMARIZED"
    """The studio said how many it uses; the rest came back."""
    INVOICED = "INVOICED"
    """The invoice is out."""
    CLOSED = "CLOSED"
    """All is done."""
    REJECTED = "REJECTED"
    """A director said no."""
    CANCELLED = "CANCELLED"
    """Called off; all it had came back."""


PENDING, APPROVED, SUMMARIZED, INVOICED, CLOSED, REJECTED, CANCELLED = (s.value for s in ReservationStatus)
GRANTED = (APPROVED, SUMMARIZED, INVOICED, CLOSED)


@shows(KIND)
@strawberry.federation.type(keys=["id"])
class Competition:
    """An event with spaces that studios reserve."""

    pool: Pool
    """Its spaces."""

    @classmethod
    async def resolve_reference(cls, info: Info, id: strawberry.ID) -> Self | None:  # noqa: A002 - the key's name
        """The competition of an id; None when there is none."""
        return await find_view(info, KIND, id)

    @strawberry.field
    def id(self) -> strawberry.ID:
        """Its id, the pool's ref."""
        return self.pool.ref

    @strawberry.field
    def name(self) -> str:
        """Its name."""
        return self.pool.title or self.pool.ref

    @strawberry.field
    async def reservations(
        self, info: Info, first: int = 50, after: str | None = None, status: ReservationStatus | None = None
    ) -> Connection[Annotated["Reservation", strawberry.lazy(__name__)]]:
        """The reservations that the caller may see, in the order they came: a studio sees its own."""
        size = page_size(first)
        last = read_cursor(after, str, str)
        caller = info.context.caller
        claims = await info.context.reads.claims_of_pool(
            self.pool.id,
            holder=None if KIND in caller.audits else caller.names.get(KIND, ""),
            stage=status and status.value,
            after=last,
            limit=size + 1,
        )
        page = connect(claims, lambda claim: (claim.created_at.isoformat(), claim.id), first=size, after=after)
        edges = [Edge(cursor=edge.cursor, node=Reservation(claim=edge.node)) for edge in page.edges]
        return Connection(edges=edges, page_info=page.page_info)


@strawberry.federation.type(keys=["id"])
class Reservation:
    """A studio's spaces in a competition."""

    claim: strawberry.Private[Claim]

    @classmethod
    async def resolve_reference(cls, info: Info, id: strawberry.ID) -> Self | None:  # noqa: A002 - the key's name
        """The reservation of an id; None when there is none, or it is not the caller's to see."""
        caller = info.context.caller
        claim = await info.context.reads.claim(id)
        if claim is None or claim.kind is not KIND or not (KIND in caller.audits or caller.owns(claim)):
            return None
        return cls(claim=claim)

    @strawberry.field
    def id(self) -> strawberry.ID:
        """Its id; the claim's, and the subject of its ledger entries."""
        return self.claim.id

    @strawberry.field
    async def competition(self, info: Info) -> Competition:
        """Where the spaces are."""
        return Competition(pool=await info.context.reads.pool(self.claim.pool_id))

    @strawberry.field
    def studio_id(self) -> strawberry.ID:
        """Whose it is."""
        return self.claim.holder

    @strawberry.field
    def studio_name(self) -> str | None:
        """The studio's name for people."""
        return self.claim.title

    @strawberry.field
    def status(self) -> ReservationStatus:
        """How far the workflow has come."""
        return ReservationStatus(self.claim.stage)

    @strawberry.field
    def spaces_requested(self) -> int:
        """How many the studio asked for."""
        return int(self.claim.facts["spaces_requested"])

    @strawberry.field
    def spaces_confirmed(self) -> int:
        """What it holds now: approved, less what was given back."""
        return self.claim.quantity if self.claim.state is ClaimState.CONFIRMED else 0

    @strawberry.field
    def spaces_approved(self) -> int | None:
        """How many were ever approved for it; null before."""
        return self.claim.facts.get("spaces_approved")

    @strawberry.field
    def entries_used(self) -> int | None:
        """How many the studio's summary says it uses; null without one."""
        return self.claim.facts.get("entries_used")

    @strawberry.field
    def pending_spaces(self) -> int | None:
        """How many further spaces are asked for; null when none are."""
        return self.claim.facts.get("pending_spaces")

    @strawberry.field
    def approved_at(self) -> datetime | None:
        """When it was approved."""
        return self.claim.confirmed_at

    @strawberry.field
    def approved_by(self) -> strawberry.ID | None:
        """Who approved it."""
        return self.claim.facts.get("approved_by")

    @strawberry.field
    async def ledger(self, info: Info, first: int = 50, after: str | None = None) -> LedgerConnection | None:
        """Its history, newest first."""
        return await info.context.reads.ledger_of_claim(self.claim.id, first, after)


@strawberry.input
class CreateCompetitionInput:
    """A competition to be made."""

    id: strawberry.ID | None = None
    """Its id; absent = one is made up."""
    name: str
    """Its name for people."""
    quota: int
    """How many spaces there are."""
    oversell_max: int = 0
    """How far beyond the quota directors may approve without saying so each time."""
    idempotency_key: str | None = None
    """Sent again with the same key, this is done once."""


@strawberry.input
class RequestReservationInput:
    """A studio's request for spaces."""

    id: strawberry.ID | None = None
    """The reservation's id; absent = one is made up."""
    competition_id: strawberry.ID
    """Where."""
    studio_id: strawberry.ID
    """For whom; a studio asks for itself."""
    studio_name: str | None = None
    """The studio's name for people."""
    spaces_requested: int
    """How many, at least 1."""
    idempotency_key: str | None = None
    """Sent again with the same key, this is done once."""


@strawberry.input
class ApproveInput:
    """An approval."""

    reservation_id: strawberry.ID
    """Of which reservation."""
    spaces_confirmed: int
    """How many spaces, at least 1; they may be fewer or more than were asked for."""
    allow_overbooking: bool = False
    """Directors only: go past the quota, knowingly."""
    idempotency_key: str | None = None
    """Sent again with the same key, this is done once."""


@strawberry.input
class RefundInput:
    """Spaces to be given back."""

    reservation_id: strawberry.ID
    """Of which reservation."""
    spaces: int
    """How many, at least 1 and at most what it holds."""
    reason: LedgerReason = LedgerReason.SUMMARY_REFUND
    """SUMMARY_REFUND, RESERVATION_CANCELLATION or MANUAL_ADJUSTMENT."""
    note: str | None = None
    """Why, for the ledger."""
    idempotency_key: str
    """Sent again with the same key, this is done once."""


@strawberry.input
class SubmitSummaryInput:
    """How many spaces a studio uses after all."""

    reservation_id: strawberry.ID
    """Of which reservation."""
    entries_used: int
    """How many, at most what it holds; the rest comes back."""
    idempotency_key: str | None = None
    """Sent again with the same key, this is done once."""


@strawberry.input
class ReservationRefInput:
    """A reservation."""

    reservation_id: strawberry.ID
    """Which."""
    note: str | None = None
    """Why, for the ledger."""
    idempotency_key: str | None = None
    """Sent again with the same key, this is done once."""


@strawberry.input
class AdjustReservationInput:
    """Another number of spaces for a reservation."""

    reservation_id: strawberry.ID
    """Which."""
    spaces_confirmed: int
    """How many it is to hold, at least 0."""
    note: str | None = None
    """Why, for the ledger."""
    idempotency_key: str
    """Sent again with the same key, this is done once."""


@strawberry.input
class MoveReservationInput:
    """Another competition for a reservation."""

    reservation_id: strawberry.ID
    """Which."""
    to_competition_id: strawberry.ID
    """Where it goes with all it holds."""
    note: str | None = None
    """Why, for the ledger."""
    idempotency_key: str
    """Sent again with the same key, this is done once."""


@strawberry.input
class RequestSpacesInput:
    """A request for further spaces."""

    reservation_id: strawberry.ID
    """For which reservation."""
    spaces: int
    """How many more, at least 1; it replaces an earlier request that is still open."""
    note: str | None = None
    """Why."""
    idempotency_key: str
    """Sent again with the same key, this is done once."""


@strawberry.input
class BackfillInput:
    """A reservation whose ledger entry is missing."""

    reservation_id: strawberry.ID
    """Which."""
    note: str | None = None
    """Why, for the ledger."""


@strawberry.type
class ReservationSuccess(CapacityChange):
    """The reservation is as asked for."""

    @strawberry.field
    def reservation(self) -> Reservation:
        """The reservation as it stands now."""
        return Reservation(claim=self.claimed)

    @strawberry.field
    def overbooked_by(self) -> int:
        """How far past the quota the pool now stands; 0 when within it."""
        return int(self.numbers["overbooked_by"] or 0)


RequestReservationResult = Annotated[
    ReservationSuccess
    | NotFoundError
    | InvalidInputError
    | PoolClosedError
    | IdempotencyConflictError
    | GatewayBusyError,
    strawberry.union("RequestReservationResult", description="The reservation, or why there is none."),
]
ApproveResult = Annotated[
    ReservationSuccess
    | InsufficientCapacityError
    | InvalidTransitionError
    | NotFoundError
    | InvalidInputError
    | PoolClosedError
    | IdempotencyConflictError
    | GatewayBusyError,
    strawberry.union("ApproveResult", description="The approved reservation, or why it was not approved."),
]
RefundResult = Annotated[
    ReservationSuccess
    | RefundExceedsClaimError
    | InvalidTransitionError
    | NotFoundError
    | InvalidInputError
    | IdempotencyConflictError
    | GatewayBusyError,
    strawberry.union("RefundResult", description="The reservation with what is left, or why nothing came back."),
]
ReservationResult = Annotated[
    ReservationSuccess
    | InsufficientCapacityError
    | InvalidTransitionError
    | NotFoundError
    | InvalidInputError
    | PoolClosedError
    | IdempotencyConflictError
    | GatewayBusyError,
    strawberry.union("ReservationResult", description="The reservation as asked for, or why it is not."),
]


def own(info: Info) -> str | None:
    """The studio to whose reservations the caller is confined; None for who may touch all.

    Raises:
        Unauthenticated: without a login.
        Forbidden: to who is neither a studio nor governs competitions.
    """
    caller = info.context.caller
    caller.require("admin", "director", "studio")
    if caller.role != "studio":
        return None
    if KIND not in caller.names:
        raise Forbidden
    return caller.names[KIND]


@strawberry.type
class Queries:
    """Reads of competitions."""

    @strawberry.field
    async def competition(self, info: Info, id: strawberry.ID) -> Competition | None:  # noqa: A002
        """One competition; null when there is none."""
        return await Competition.resolve_reference(info, id)

    @strawberry.field
    async def competitions(self, info: Info, first: int = 50, after: str | None = None) -> Connection[Competition]:
        """The tenant's competitions, in the order of their ids."""
        page = await page_of_pools(info, KIND, first, after)
        edges = [Edge(cursor=edge.cursor, node=Competition(pool=edge.node)) for edge in page.edges]
        return Connection(edges=edges, page_info=page.page_info)

    @strawberry.field
    async def reservation(self, info: Info, id: strawberry.ID) -> Reservation | None:  # noqa: A002
        """One reservation; null when there is none, or it is not the caller's to see."""
        return await Reservation.resolve_reference(info, id)


@strawberry.type
class Mutations:
    """Changes to competitions and reservations."""

    @strawberry.mutation
    async def create_competition(self, info: Info, input: CreateCompetitionInput) -> DefinePoolResult | None:  # noqa: A002
        """Make a competition. The same again with the same id is a replay."""
        info.context.caller.require("admin", "director")
        return await submit(
            info,
            input,
            Define(
                kind=KIND,
                pool_id=KIND.pool_id(input.id or str(uuid.uuid4())),
                title=input.name,
                quota=input.quota,
                oversell_max=input.oversell_max,
                definition={"title": input.name, "quota": input.quota, "oversell_max": input.oversell_max},
            ),
            success=PoolSuccess,
            checks=[at_least("quota", input.quota, 0), at_least("oversellMax", input.oversell_max, 0)],
        )

    @strawberry.mutation
    async def request_reservation(
        self,
        info: Info,
        input: RequestReservationInput,  # noqa: A002
    ) -> RequestReservationResult | None:
        """Ask for spaces; nothing is taken until a director approves."""
        if own(info) not in (None, input.studio_id):
            raise Forbidden
        reservation_id = input.id or str(uuid.uuid4())
        asked = {"request": fingerprint(input, None)}
        command = Wait(
            kind=KIND,
            pool_id=KIND.pool_id(input.competition_id),
            claim_id=reservation_id,
            holder=input.studio_id,
            subject=reservation_id,
            title=input.studio_name,
            quantity=input.spaces_requested,
            to_stage=PENDING,
            done_facts=asked,
            facts=asked | {"spaces_requested": input.spaces_requested},
        )
        checks = [at_least("spacesRequested", input.spaces_requested, 1)]
        return await submit(info, input, command, success=ReservationSuccess, checks=checks)

    @strawberry.mutation
    async def approve(self, info: Info, input: ApproveInput) -> ApproveResult | None:  # noqa: A002
        """Grant a pending reservation its spaces.

        The same number again is a replay; another number is refused, for adjustReservation is there for that.
        """
        info.context.caller.require("admin", "director")
        command = Take(
            kind=KIND,
            claim_id=input.reservation_id,
            quantity=input.spaces_confirmed,
            overbook=input.allow_overbooking,
            reason=LedgerReason.RESERVATION_APPROVAL,
            from_stages=[PENDING],
            to_stage=APPROVED,
            done_stages=GRANTED,
            done_facts={"approval": input.spaces_confirmed},
            facts={"approval": input.spaces_confirmed, "approved_by": info.context.caller.holder},
            tally="spaces_approved",
        )
        checks = [at_least("spacesConfirmed", input.spaces_confirmed, 1)]
        return await submit(info, input, command, success=ReservationSuccess, checks=checks)

    @strawberry.mutation
    async def refund(self, info: Info, input: RefundInput) -> RefundResult | None:  # noqa: A002
        """Give back some of what a reservation holds; never more than that, however often it is tried."""
        info.context.caller.require("admin", "director")
        command = Release(
            kind=KIND,
            claim_id=input.reservation_id,
            quantity=input.spaces,
            reason=input.reason,
            from_stages=GRANTED,
        )
        wrong_reason = None
        if input.reason not in REFUND_REASONS:
            names = ", ".join(reason.value for reason in REFUND_REASONS)
            wrong_reason = InvalidInputError(field="reason", message=f"reason must be one of {names}")
        checks = [at_least("spaces", input.spaces, 1), wrong_reason]
        return await submit(info, input, command, success=ReservationSuccess, checks=checks)

    @strawberry.mutation
    async def reject_reservation(self, info: Info, input: ReservationRefInput) -> ReservationResult | None:  # noqa: A002
        """Say no; what an approved reservation held comes back."""
        info.context.caller.require("admin", "director")
        command = _ending(input, from_stages=[PENDING, APPROVED], to_stage=REJECTED, only_holder=None)
        return await submit(info, input, command, success=ReservationSuccess)

    @strawberry.mutation
    async def cancel_reservation(self, info: Info, input: ReservationRefInput) -> ReservationResult | None:  # noqa: A002
        """Call it off: all that is outstanding comes back, once."""
        command = _ending(input, from_stages=[PENDING, *GRANTED], to_stage=CANCELLED, only_holder=own(info))
        return await submit(info, input, command, success=ReservationSuccess)

    @strawberry.mutation
    async def submit_summary(self, info: Info, input: SubmitSummaryInput) -> ReservationResult | None:  # noqa: A002
        """Say how many spaces are used; the rest comes back. More than are confirmed is refused."""
        command = Adjust(
            kind=KIND,
            claim_id=input.reservation_id,
            only_holder=own(info),
            quantity=input.entries_used,
            quantity_field="entriesUsed",
            other_reason=LedgerReason.SUMMARY_REFUND,
            from_stages=[APPROVED],
            to_stage=SUMMARIZED,
            done_stages=[SUMMARIZED],
            done_facts={"entries_used": input.entries_used},
            facts={"entries_used": input.entries_used},
            remember="given_back",
        )
        checks = [at_least("entriesUsed", input.entries_used, 0)]
        return await submit(info, input, command, success=ReservationSuccess, checks=checks)

    @strawberry.mutation
    async def reopen_summary(self, info: Info, input: ReservationRefInput) -> ReservationResult | None:  # noqa: A002
        """Undo a summary: the spaces that came back with it are taken again, or it is refused with the numbers."""
        info.context.caller.require("admin", "director")
        command = Adjust(
            kind=KIND,
            claim_id=input.reservation_id,
            quantity_fact="given_back",
            needs_fact="given_back",
            relative=True,
            reason=LedgerReason.MANUAL_ADJUSTMENT,
            from_stages=[SUMMARIZED, INVOICED, CLOSED],
            to_stage=APPROVED,
            facts={"entries_used": None, "given_back": None},
        )
        return await submit(info, input, command, success=ReservationSuccess)

    @strawberry.mutation
    async def mark_invoiced(self, info: Info, input: ReservationRefInput) -> ReservationResult | None:  # noqa: A002
        """The invoice is out; moves no capacity."""
        info.context.caller.require("admin", "director")
        command = _staging(input, from_stages=[SUMMARIZED], to_stage=INVOICED)
        return await submit(info, input, command, success=ReservationSuccess)

    @strawberry.mutation
    async def close_reservation(self, info: Info, input: ReservationRefInput) -> ReservationResult | None:  # noqa: A002
        """All is done; moves no capacity."""
        info.context.caller.require("admin", "director")
        command = _staging(input, from_stages=[SUMMARIZED, INVOICED], to_stage=CLOSED)
        return await submit(info, input, command, success=ReservationSuccess)

    @strawberry.mutation
    async def adjust_reservation(self, info: Info, input: AdjustReservationInput) -> ReservationResult | None:  # noqa: A002
        """Bring an approved reservation to another number of spaces, up or down."""
        info.context.caller.require("admin", "director")
        command = Adjust(
            kind=KIND,
            claim_id=input.reservation_id,
            quantity=input.spaces_confirmed,
            reason=LedgerReason.ADJUSTMENT_INCREASE,
            other_reason=LedgerReason.ADJUSTMENT_DECREASE,
            from_stages=[APPROVED],
            tally="spaces_approved",
        )
        checks = [at_least("spacesConfirmed", input.spaces_confirmed, 0)]
        return await submit(info, input, command, success=ReservationSuccess, checks=checks)

    @strawberry.mutation
    async def move_reservation(self, info: Info, input: MoveReservationInput) -> ReservationResult | None:  # noqa: A002
        """Take a reservation with all it holds to another competition, in one step."""
        info.context.caller.require("admin", "director")
        command = Move(
            kind=KIND,
            claim_id=input.reservation_id,
            to_pool_id=KIND.pool_id(input.to_competition_id),
            from_stages=[PENDING, APPROVED, SUMMARIZED, INVOICED],
        )
        return await submit(info, input, command, success=ReservationSuccess)

    @strawberry.mutation
    async def request_spaces(self, info: Info, input: RequestSpacesInput) -> ReservationResult | None:  # noqa: A002
        """Ask for further spaces; nothing is taken until a director approves them."""
        command = Stage(
            kind=KIND,
            claim_id=input.reservation_id,
            only_holder=own(info),
            from_stages=[APPROVED],
            facts={"pending_spaces": input.spaces, "pending_note": input.note},
        )
        checks = [at_least("spaces", input.spaces, 1)]
        return await submit(info, input, command, success=ReservationSuccess, checks=checks)

    @strawberry.mutation
    async def approve_spaces(self, info: Info, input: ReservationRefInput) -> ReservationResult | None:  # noqa: A002
        """Grant the further spaces that are asked for."""
        info.context.caller.require("admin", "director")
        command = Adjust(
            kind=KIND,
            claim_id=input.reservation_id,
            quantity_fact="pending_spaces",
            relative=True,
            needs_fact="pending_spaces",
            reason=LedgerReason.SPACE_REQUEST_APPROVED,
            from_stages=[APPROVED],
            facts={"pending_spaces": None, "pending_note": None},
            tally="spaces_approved",
        )
        return await submit(info, input, command, success=ReservationSuccess)

    @strawberry.mutation
    async def deny_spaces(self, info: Info, input: ReservationRefInput) -> ReservationResult | None:  # noqa: A002
        """Say no to the further spaces that are asked for."""
        info.context.caller.require("admin", "director")
        command = Stage(
            kind=KIND,
            claim_id=input.reservation_id,
            needs_fact="pending_spaces",
            from_stages=[APPROVED],
            facts={"pending_spaces": None, "pending_note": None},
        )
        return await submit(info, input, command, success=ReservationSuccess)

    @strawberry.mutation
    async def backfill(self, info: Info, input: BackfillInput) -> ReservationResult | None:  # noqa: A002
        """Write the ledger entry that a reservation lacks, effective when it was approved; counters stay."""
        info.context.caller.require("admin", "director")
        command = Backfill(kind=KIND, claim_id=input.reservation_id)
        return await submit(info, input, command, success=ReservationSuccess)


def _ending(given: ReservationRefInput, *, from_stages: list[str], to_stage: str, only_holder: str | None) -> Release:
    return Release(
        kind=KIND,
        claim_id=given.reservation_id,
        only_holder=only_holder,
        reason=LedgerReason.RESERVATION_CANCELLATION,
        from_stages=from_stages,
        to_stage=to_stage,
        done_stages=[to_stage],
        done_facts={},
    )


def _staging(given: ReservationRefInput, *, from_stages: list[str], to_stage: str) -> Stage:
    return Stage(
        kind=KIND,
        claim_id=given.reservation_id,
        from_stages=from_stages,
        to_stage=to_stage,
        done_stages=[to_stage],
        done_facts={},
    )
