"""Events: who is registered. A registration is a claim on the event's pool, one for each holder."""

import asyncio
import hashlib
import secrets
import uuid
from datetime import UTC, datetime
from enum import Enum
from typing import TYPE_CHECKING, Annotated, Any, Self

import strawberry
from strawberry.federation.schema_directives import Key
from strawberry.federation.types import FieldSet

from capacity_gateway.kernel.commands import Define, Release, Stage, Take
from capacity_gateway.kernel.context import Info
from capacity_gateway.kernel.errors import Forbidden, Unauthenticated
from capacity_gateway.kernel.outcomes import (
    CapacityChange,
    CapacityError,
    DefinePoolResult,
    GatewayBusyError,
    IdempotencyConflictError,
    InsufficientCapacityError,
    InvalidInputError,
    InvalidTransitionError,
    NotEligibleError,
    NotFoundError,
    PoolClosedError,
    PoolSuccess,
    not_found,
)
from capacity_gateway.kernel.pools import Claim, Pool, find_view, shows
from capacity_gateway.kernel.submission import at_least, holder_of, is_address, is_id, submit
from capacity_gateway.kernel.vocabulary import LedgerReason, PoolKind

if TYPE_CHECKING:
    from capacity_gateway.domains.booths import Booth
    from capacity_gateway.domains.sessions import Session
    from capacity_gateway.domains.tickets import TicketType

KIND = PoolKind.EVENT
CONFIRMED, CANCELLED, CHECKED_IN = "CONFIRMED", "CANCELLED", "CHECKED_IN"
CHECKED_IN_AT = "checked_in_at"
SEAT, VIRTUAL = "SEAT", "VIRTUAL"
"""A session's own stages: of a seat that was asked for, and of a viewer's, which a registration with it makes one."""
MOST_SESSIONS = 20
GUEST = "guest:"
"""How a holder begins that stands for an address."""
PERSONAL = ("email",)
"""The facts of a registration that are of a person, to be erased."""


@strawberry.enum
class RegistrationStatus(Enum):
    """How far a registration has come."""

    CONFIRMED = CONFIRMED
    """Registered."""
    CANCELLED = CANCELLED
    """Called off; the place is free again."""
    CHECKED_IN = CHECKED_IN
    """The guest has come."""


@shows(KIND)
@strawberry.federation.type(keys=["id"])
class Event:
    """An event that people register for."""

    pool: Pool
    """Its registrations."""

    @classmethod
    async def resolve_reference(cls, info: Info, id: strawberry.ID) -> Self | None:  # noqa: A002 - the key's name
        """The event of an id; None when there is none."""
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
    async def stream(self, info: Info) -> Pool | None:
        """The concurrent viewers of its stream; null where it has none."""
        return await info.context.reads.find_pool(PoolKind.STREAM.pool_id(self.pool.ref))

    @strawberry.field
    async def sessions(
        self, info: Info
    ) -> list[Annotated["Session", strawberry.lazy("capacity_gateway.domains.sessions")]]:
        """Its sessions."""
        return await info.context.reads.children(self.pool.id, PoolKind.SESSION)

    @strawberry.field
    async def ticket_types(
        self, info: Info
    ) -> list[Annotated["TicketType", strawberry.lazy("capacity_gateway.domains.tickets")]]:
        """Its ticket types."""
        return await info.context.reads.children(self.pool.id, PoolKind.TICKET_TYPE)

    @strawberry.field
    async def booths(self, info: Info) -> list[Annotated["Booth", strawberry.lazy("capacity_gateway.domains.booths")]]:
        """Its booths."""
        return await info.context.reads.children(self.pool.id, PoolKind.BOOTH)


@strawberry.federation.type(keys=[Key(fields=FieldSet("id"), resolvable=False)])
class User:
    """Somebody with an account; other subgraphs know more."""

    id: strawberry.ID
    """The account's id, a login's subject."""


@strawberry.federation.type(keys=["id"])
class Registration:
    """Somebody's place at an event."""

    claim: strawberry.Private[Claim]

    @classmethod
    async def resolve_reference(cls, info: Info, id: strawberry.ID) -> Self | None:  # noqa: A002 - the key's name
        """The registration of an id; None when there is none, or it is not the caller's to see."""
        claim = await _own_claim(info, id)
        return None if claim is None else cls(claim=claim)

    @strawberry.field
    def id(self) -> strawberry.ID:
        """Its id; the claim's."""
        return self.claim.id

    @strawberry.field
    async def event(self, info: Info) -> Event:
        """Where the place is."""
        return Event(pool=await info.context.reads.pool(self.claim.pool_id))

    @strawberry.field
    def holder(self) -> strawberry.ID:
        """Whose it is."""
        return self.claim.holder

    @strawberry.field
    def user(self) -> User | None:
        """Whose it is, as other subgraphs know them; null for a guest."""
        return None if self.claim.holder.startswith(GUEST) else User(id=self.claim.holder)

    @strawberry.field
    def status(self) -> RegistrationStatus:
        """How far it has come."""
        return RegistrationStatus(self.claim.stage)

    @strawberry.field
    def ticket_code(self) -> str:
        """The code to show at the door."""
        return str(self.claim.facts["ticket_code"])


@strawberry.input
class CreateEventInput:
    """An event to be made."""

    id: strawberry.ID | None = None
    """Its id; absent = one is made up."""
    name: str
    """Its name for people."""
    quota: int | None = None
    """How many may register. Absent: unlimited."""
    owner_id: strawberry.ID | None = None
    """Who organises it; absent = the caller."""
    organization_id: strawberry.ID | None = None
    """The organisation behind it; absent = the caller's."""
    starts_at: datetime | None = None
    """When it begins."""
    ends_at: datetime | None = None
    """When it ends."""
    stream_quota: int | None = None
    """How many may watch its stream at a time. Absent: it has none."""
    stream_counts_devices: bool = True
    """Whether a second device of a viewer is another viewer."""
    idempotency_key: str | None = None
    """Sent again with the same key, this is done once."""


@strawberry.input
class RegisterInput:
    """A registration; what it draws on is drawn in one step, all or none."""

    event_id: strawberry.ID
    """To which event."""
    holder: strawberry.ID | None = None
    """For whom; for role service."""
    guest_email: str | None = None
    """For a guest without a login; capitals and small letters are the same."""
    guest_name: str | None = None
    """The guest's name."""
    ticket_type_id: strawberry.ID | None = None
    """With a ticket of this type."""
    session_ids: list[strawberry.ID] | None = None
    """With a seat in each of these sessions."""
    idempotency_key: str | None = None
    """Sent again with the same key, this is done once."""


@strawberry.input
class RegistrationRefInput:
    """A registration."""

    registration_id: strawberry.ID
    """Which."""
    idempotency_key: str | None = None
    """Sent again with the same key, this is done once."""


@strawberry.type
class RegistrationSuccess(CapacityChange):
    """The registration is as asked for."""

    @strawberry.field
    def registration(self) -> Registration:
        """The registration as it stands now."""
        return Registration(claim=self.claimed)


RegisterResult = Annotated[
    RegistrationSuccess
    | InsufficientCapacityError
    | NotFoundError
    | InvalidInputError
    | NotEligibleError
    | PoolClosedError
    | IdempotencyConflictError
    | GatewayBusyError,
    strawberry.union("RegisterResult", description="The registration, or why there is none."),
]
RegistrationResult = Annotated[
    RegistrationSuccess
    | InvalidTransitionError
    | NotFoundError
    | InvalidInputError
    | IdempotencyConflictError
    | GatewayBusyError,
    strawberry.union("RegistrationResult", description="The registration as asked for, or why it is not."),
]


@strawberry.type
class Queries:
    """Reads of events."""

    @strawberry.field
    async def capacity_event(self, info: Info, id: strawberry.ID) -> Event | None:  # noqa: A002
        """One event; null when there is none."""
        return await Event.resolve_reference(info, id)


@strawberry.type
class Mutations:
    """Changes to events and registrations."""

    @strawberry.mutation
    async def create_event(self, info: Info, input: CreateEventInput) -> DefinePoolResult | None:  # noqa: A002
        """Make an event, with a stream where it has one. The same again with the same id is a replay."""
        caller = info.context.caller
        caller.require("admin", "organizer")
        event_id = input.id or str(uuid.uuid4())
        facts = {
            "owner_id": input.owner_id or caller.holder,
            "organization_id": input.organization_id or caller.organization,
            "starts_at": input.starts_at,
            "ends_at": input.ends_at,
        }
        own = caller.holder == facts["owner_id"] or caller.organization == facts["organization_id"] is not None
        if caller.role == "organizer" and not own:
            raise Forbidden
        policy = {} if input.stream_counts_devices else {"counts_devices": False}
        asked = {"title": input.name, "quota": input.quota, "stream_quota": input.stream_quota, **policy, **facts}
        commands = [
            Define(
                kind=KIND,
                pool_id=KIND.pool_id(event_id),
                title=input.name,
                quota=input.quota,
                pool_facts=facts,
                definition=asked,
            )
        ]
        if input.stream_quota is not None:
            commands.append(
                Define(
                    kind=PoolKind.STREAM,
                    pool_id=PoolKind.STREAM.pool_id(event_id),
                    title=input.name,
                    quota=input.stream_quota,
                    parent_id=KIND.pool_id(event_id),
                    pool_facts=facts | policy,
                    definition=asked,
                )
            )
        checks = [at_least("quota", input.quota, 0), at_least("streamQuota", input.stream_quota, 0)]
        return await submit(info, input, *commands, success=PoolSuccess, checks=checks)

    @strawberry.mutation
    async def register(self, info: Info, input: RegisterInput) -> RegisterResult | None:  # noqa: A002
        """Register for an event, once each; a ticket and seats in sessions are drawn in the same step.

        A guest who registers again without the first time's key is told so, and is not shown the registration.
        """
        if input.guest_email is None:
            holder = await holder_of(info, input.holder, KIND.pool_id(input.event_id))
            return await registered(info, input, holder, once=False)
        if info.context.caller.holder is not None and not await _acts_for_others(info, input):
            raise Forbidden
        return await registered(info, input, guest_holder(info, input.guest_email), once=True)

    @strawberry.mutation
    async def cancel_registration(self, info: Info, input: RegistrationRefInput) -> RegistrationResult | None:  # noqa: A002
        """Call a registration off, with the ticket and seats that were drawn with it."""
        claims = await _own_claims(info, input.registration_id)
        if isinstance(claims, NotFoundError):
            return await submit(info, input, success=RegistrationSuccess, checks=[claims])
        commands = [
            Release(
                kind=claim.kind,
                claim_id=claim.id,
                reason=LedgerReason.RELEASE,
                from_stages=[CONFIRMED] if claim.id == input.registration_id else None,
                to_stage=CANCELLED,
                done_stages=[CANCELLED],
                done_facts={},
                if_live=claim.id != input.registration_id,
            )
            for claim in claims
        ]
        return await submit(info, input, *commands, success=RegistrationSuccess)

    @strawberry.mutation
    async def check_in(self, info: Info, input: RegistrationRefInput) -> RegistrationResult | None:  # noqa: A002
        """Note that the guest has come; moves no capacity. For organisers."""
        info.context.caller.require("admin", "organizer", "service")
        claims = await _own_claims(info, input.registration_id, holders=False)
        if isinstance(claims, NotFoundError):
            return await submit(info, input, success=RegistrationSuccess, checks=[claims])
        command = Stage(
            kind=KIND,
            claim_id=input.registration_id,
            from_stages=[CONFIRMED],
            to_stage=CHECKED_IN,
            done_stages=[CHECKED_IN],
            done_facts={},
            facts={CHECKED_IN_AT: datetime.now(UTC)},
        )
        return await submit(info, input, command, success=RegistrationSuccess)


def guest_holder(info: Info, email: str) -> str:
    """The holder that stands for a guest: the same for the same address, which it does not show."""
    return guest_of(info.context.caller.tenant, email)


def guest_of(tenant: str, email: str) -> str:
    """The same, of a tenant."""
    guest = f"{tenant}\n{email.strip().casefold()}"
    return GUEST + hashlib.sha256(guest.encode(errors="replace")).hexdigest()[:32]


async def registered(info: Info, given: RegisterInput, holder: str, *, once: bool) -> Any:
    """Register a holder, or the guest that it stands for, with all that is drawn besides; or why not.

    Args:
        info: of the mutation.
        given: what is asked for.
        holder: for whom, whom the caller may register.
        once: refuse who is registered already, instead of showing the registration.
    """
    commands = [_registration(given, holder, once=once)]
    if given.ticket_type_id is not None:
        commands.append(_part(PoolKind.TICKET_TYPE, given.ticket_type_id, commands[0], LedgerReason.CONFIRM))
    commands += [
        _part(PoolKind.SESSION, session_id, commands[0], LedgerReason.JOIN, from_stages=[VIRTUAL], to_stage=SEAT)
        for session_id in dict.fromkeys(given.session_ids or [])
    ]
    checks = [_wrong_guest(given), *_wrong_sessions(given), *await _wrong_parts(info, given)]
    return await submit(info, given, *commands, success=RegistrationSuccess, checks=checks)


async def registration_of(info: Info, event_id: str, holder: str) -> Claim | None:
    """A holder's registration for an event, unless it is called off."""
    for stage in (CONFIRMED, CHECKED_IN):
        for claim in await info.context.reads.claims_of_pool(
            KIND.pool_id(event_id), holder=holder, stage=stage, after=(None, None), limit=1
        ):
            return claim
    return None


async def _acts_for_others(info: Info, given: RegisterInput) -> bool:
    """Whether the caller is a service or an admin, or organises the event."""
    caller = info.context.caller
    if caller.role in ("admin", "service"):
        return True
    event = await info.context.reads.find_pool(KIND.pool_id(given.event_id))
    return event is not None and caller.may_audit(event)


async def _wrong_parts(info: Info, given: RegisterInput) -> list[CapacityError]:
    """The refusals of what is another event's, or is to be paid for first by whoever asks."""
    ids = [PoolKind.SESSION.pool_id(ref) for ref in (given.session_ids or [])[:MOST_SESSIONS]]
    if given.ticket_type_id is not None:
        ids.insert(0, PoolKind.TICKET_TYPE.pool_id(given.ticket_type_id))
    if not ids:
        return []
    found = await asyncio.gather(*(info.context.reads.find_pool(pool_id) for pool_id in ids))
    pools = [pool for pool in found if pool is not None]
    wrong: list[CapacityError] = [
        not_found(pool.ref) for pool in pools if pool.parent_id not in (None, KIND.pool_id(given.event_id))
    ]
    if any(pool.facts.get("price") for pool in pools) and not await _acts_for_others(info, given):
        wrong.append(NotEligibleError(message="This ticket is to be paid for first", requirement="payment"))
    return wrong


def _wrong_guest(given: RegisterInput) -> InvalidInputError | None:
    if given.guest_email is None:
        return None
    if given.holder is not None:
        return InvalidInputError(field="holder", message="give either holder or a guest's address, not both")
    if not is_address(given.guest_email):
        return InvalidInputError(field="guestEmail", message="guestEmail must be an e-mail address")
    return None


def _wrong_sessions(given: RegisterInput) -> list[InvalidInputError]:
    if len(given.session_ids or []) > MOST_SESSIONS or not all(is_id(i) for i in given.session_ids or []):
        return [InvalidInputError(field="sessionIds", message=f"sessionIds must be at most {MOST_SESSIONS} ids")]
    return []


def _already_registered() -> CapacityError:
    return NotEligibleError(
        code="ALREADY_REGISTERED",
        message="There is a registration already",
        requirement="no registration yet",
    )


def _waits_for_seat() -> CapacityError:
    return NotEligibleError(message="There is only a place in the queue so far", requirement="a seat in the session")


def _registration(given: RegisterInput, holder: str, *, once: bool) -> Take:
    registration_id = str(uuid.uuid4())
    facts: dict[str, Any] = {"ticket_code": secrets.token_hex(5).upper()}
    if given.guest_email is not None:
        facts["email"] = given.guest_email.strip().casefold()
    pool_id = KIND.pool_id(given.event_id)
    return Take(
        kind=KIND,
        pool_id=pool_id,
        claim_id=registration_id,
        holder=holder,
        subject=registration_id,
        title=given.guest_name,
        quantity=1,
        exclusive=f"{pool_id}\n{holder}",
        reason=LedgerReason.JOIN,
        to_stage=CONFIRMED,
        facts=facts,
        once=once,
        instead={"TAKEN": _already_registered},
    )


def _part(kind: PoolKind, ref: str, registration: Take, reason: LedgerReason, **stages: Any) -> Take:
    """What a registration draws on besides the event."""
    pool_id = kind.pool_id(ref)
    return Take(
        kind=kind,
        pool_id=pool_id,
        claim_id=str(uuid.uuid4()),
        holder=registration.holder,
        subject=registration.subject,
        quantity=1,
        exclusive=f"{pool_id}\n{registration.holder}",
        done_state="confirmed",
        instead={"INVALID_TRANSITION": _waits_for_seat},
        reason=reason,
        **stages,
    )


async def _own_claim(info: Info, registration_id: str, *, holders: bool = True) -> Claim | None:
    """A registration's own claim, where it is the caller's to see."""
    caller = info.context.caller
    claim = await info.context.reads.claim(registration_id)
    if claim is None or claim.kind is not KIND or "ticket_code" not in claim.facts:  # an order is no registration
        return None
    pool = await info.context.reads.pool(claim.pool_id)
    own = (holders and caller.owns(claim)) or caller.role in ("admin", "service") or caller.may_audit(pool)
    return claim if own else None


async def _own_claims(info: Info, registration_id: str, *, holders: bool = True) -> list[Claim] | NotFoundError:
    """The claims of a registration, its own first, where it is the caller's to touch."""
    if info.context.caller.holder is None:
        raise Unauthenticated
    if await _own_claim(info, registration_id, holders=holders) is None:
        return not_found(registration_id)
    claims = await info.context.reads.claims_for(registration_id)
    return sorted(claims, key=lambda claim: claim.id != registration_id)
