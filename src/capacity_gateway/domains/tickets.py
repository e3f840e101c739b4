"""Tickets: an order holds all its lines and its places at the event in one step, until it is paid for."""

import asyncio
import uuid
from collections.abc import Iterator
from datetime import datetime
from enum import Enum
from typing import TYPE_CHECKING, Annotated, Any, Self

import strawberry

from capacity_gateway.kernel.commands import Confirm, Hold, Release
from capacity_gateway.kernel.context import Info
from capacity_gateway.kernel.errors import Forbidden, Unauthenticated
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
    NotFoundError,
    PerHolderLimitError,
    PoolClosedError,
    not_found,
)
from capacity_gateway.kernel.pools import Claim, ClaimState, Json, Pool, find_view, shows, view
from capacity_gateway.kernel.submission import (
    LARGEST_INT,
    at_least,
    at_most,
    define_within,
    governed,
    holder_of,
    is_address,
    is_id,
    submit,
)
from capacity_gateway.kernel.vocabulary import LedgerReason, PoolKind

if TYPE_CHECKING:
    from capacity_gateway.domains.events import Event

KIND = PoolKind.TICKET_TYPE
PERSONAL = ("guest_email", "guest_name", "guest_phone")
"""The facts of an order that are of a person, to be erased."""
PENDING, COMPLETED, CANCELLED, REFUNDED = "PENDING", "COMPLETED", "CANCELLED", "REFUNDED"
MOST_LINES = 20
MOST_IN_LINE = 10_000
LONGEST_HOLD_SECONDS = 20 * 86_400

LazyEvent = Annotated["Event", strawberry.lazy("capacity_gateway.domains.events")]


@strawberry.enum
class OrderStatus(Enum):
    """How far an order has come."""

    PENDING = PENDING
    """Its tickets are held."""
    COMPLETED = COMPLETED
    """Paid for."""
    CANCELLED = CANCELLED
    """Called off before it was paid for."""
    EXPIRED = "EXPIRED"
    """Not paid for in time."""
    REFUNDED = REFUNDED
    """Given back after it was paid for."""


@shows(KIND)
@strawberry.federation.type(keys=["id"])
class TicketType:
    """A kind of tickets to an event."""

    pool: Pool
    """Its tickets."""

    @classmethod
    async def resolve_reference(cls, info: Info, id: strawberry.ID) -> Self | None:  # noqa: A002 - the key's name
        """The ticket type of an id; None when there is none."""
        return await find_view(info, KIND, id)

    @strawberry.field
    def id(self) -> strawberry.ID:
        """Its id, the pool's ref."""
        return self.pool.ref

    @strawberry.field
    async def event(self, info: Info) -> LazyEvent:
        """What it lets in to."""
        return await info.context.reads.parent(self.pool)

    @strawberry.field
    def name(self) -> str:
        """Its name."""
        return self.pool.title or self.pool.ref

    @strawberry.field
    def price(self) -> int:
        """What one costs, in the currency's smallest unit."""
        return int(self.pool.facts.get("price", 0))

    @strawberry.field
    def currency(self) -> str:
        """The currency of the price."""
        return str(self.pool.facts.get("currency", "USD"))


@strawberry.type
class OrderLine:
    """So many tickets of a type."""

    claim: strawberry.Private[Claim]

    @strawberry.field
    async def ticket_type(self, info: Info) -> TicketType:
        """Of which type."""
        return TicketType(pool=await info.context.reads.pool(self.claim.pool_id))

    @strawberry.field
    def quantity(self) -> int:
        """How many were ordered."""
        return int(self.claim.facts["ordered"])

    @strawberry.field
    async def name(self, info: Info) -> str:
        """What the ticket type was called when it was ordered."""
        return str((await as_ordered(info, self.claim))["name"])

    @strawberry.field
    async def price(self, info: Info) -> int:
        """What one cost when it was ordered, in the currency's smallest unit."""
        return int((await as_ordered(info, self.claim))["price"])

    @strawberry.field
    async def currency(self, info: Info) -> str:
        """The currency of the price."""
        return str((await as_ordered(info, self.claim))["currency"])


@strawberry.type
class Order:
    """Tickets that are bought together."""

    claim: strawberry.Private[Claim]

    @strawberry.field
    def id(self) -> strawberry.ID:
        """Its id."""
        return self.claim.id

    @strawberry.field
    async def event(self, info: Info) -> LazyEvent:
        """To which event."""
        return view(await info.context.reads.pool(self.claim.pool_id))

    @strawberry.field
    def status(self) -> OrderStatus:
        """How far it has come."""
        return status_of(self.claim)

    @strawberry.field
    async def lines(self, info: Info) -> list[OrderLine]:
        """What is bought."""
        return [OrderLine(claim=line) for line in await lines_of(info, self.claim)]

    @strawberry.field
    def expires_at(self) -> datetime | None:
        """Until when it is held; null unless pending."""
        return self.claim.expires_at if self.claim.state is ClaimState.HELD else None


@strawberry.input
class CreateTicketTypeInput:
    """A ticket type to be made."""

    id: strawberry.ID | None = None
    """Its id; absent = one is made up."""
    event_id: strawberry.ID
    """To which event."""
    name: str
    """Its name for people."""
    description: str | None = None
    """More about it."""
    price: int = 0
    """What one costs, in the currency's smallest unit."""
    currency: str = "USD"
    """The currency of the price."""
    quota: int | None = None
    """How many there are. Absent: unlimited."""
    min_per_order: int = 1
    """The fewest in an order."""
    max_per_order: int = 10
    """The most in an order."""
    hold_seconds: int = 1800
    """How long an order is held unpaid."""
    sales_start_at: datetime | None = None
    """Nobody buys before."""
    sales_end_at: datetime | None = None
    """Nobody buys from then on."""
    idempotency_key: str | None = None
    """Sent again with the same key, this is done once."""


@strawberry.input
class TicketLineInput:
    """So many tickets of a type."""

    ticket_type_id: strawberry.ID
    """Of which type."""
    quantity: int
    """How many."""


@strawberry.input
class HoldTicketsInput:
    """An order; all its lines are held or none."""

    event_id: strawberry.ID
    """To which event."""
    holder: strawberry.ID | None = None
    """For whom; for role service."""
    lines: list[TicketLineInput]
    """What is bought."""
    guest_email: str | None = None
    """Where to reach the buyer."""
    guest_name: str | None = None
    """The buyer's name."""
    guest_phone: str | None = None
    """The buyer's telephone number."""
    idempotency_key: str
    """Sent again with the same key, this is done once."""


@strawberry.input
class OrderRefInput:
    """An order."""

    order_id: strawberry.ID
    """Which."""
    idempotency_key: str | None = None
    """Sent again with the same key, this is done once."""


@strawberry.type
class OrderSuccess(CapacityChange):
    """The order is as asked for. Its pool is the event's."""

    @strawberry.field
    def order(self) -> Order:
        """The order as it stands now."""
        return Order(claim=self.claimed)


HoldTicketsResult = Annotated[
    OrderSuccess
    | InsufficientCapacityError
    | PerHolderLimitError
    | NotFoundError
    | InvalidInputError
    | PoolClosedError
    | IdempotencyConflictError
    | GatewayBusyError,
    strawberry.union("HoldTicketsResult", description="The order, or why there is none."),
]
OrderResult = Annotated[
    OrderSuccess
    | HoldExpiredError
    | InvalidTransitionError
    | NotFoundError
    | InvalidInputError
    | IdempotencyConflictError
    | GatewayBusyError,
    strawberry.union("OrderResult", description="The order as asked for, or why it is not."),
]


@strawberry.type
class Mutations:
    """Changes to ticket types and orders."""

    @strawberry.mutation
    async def create_ticket_type(self, info: Info, input: CreateTicketTypeInput) -> DefinePoolResult | None:  # noqa: A002
        """Make a ticket type. The same again with the same id is a replay."""
        event = await governed(info, PoolKind.EVENT, input.event_id, field="eventId")
        facts = {
            "description": input.description,
            "price": input.price,
            "currency": input.currency,
            "min_per_order": input.min_per_order,
            "max_per_order": input.max_per_order,
            "hold_seconds": input.hold_seconds,
        }
        checks = [
            at_least("price", input.price, 0),
            at_least("minPerOrder", input.min_per_order, 1),
            at_least("maxPerOrder", input.max_per_order, input.min_per_order),
            at_most("maxPerOrder", input.max_per_order, MOST_IN_LINE),
            at_least("holdSeconds", input.hold_seconds, 1),
            at_most("holdSeconds", input.hold_seconds, LONGEST_HOLD_SECONDS),
        ]
        window = {"opens_at": input.sales_start_at, "closes_at": input.sales_end_at}
        return await define_within(info, input, event, KIND, title=input.name, facts=facts, checks=checks, **window)

    @strawberry.mutation
    async def hold_tickets(self, info: Info, input: HoldTicketsInput) -> HoldTicketsResult | None:  # noqa: A002
        """Hold tickets until they are paid for; all lines and the places at the event, or none of it."""
        anonymous = info.context.caller.holder is None and input.holder is None
        holder = None if anonymous else await holder_of(info, input.holder, PoolKind.EVENT.pool_id(input.event_id))
        return await held_order(info, input, holder)

    @strawberry.mutation
    async def confirm_tickets(self, info: Info, input: OrderRefInput) -> OrderResult | None:  # noqa: A002
        """The order is paid for: what it holds is its own for good. Once it has run out, it is too late."""
        claims = await _own_claims(info, input.order_id, paying=True)
        if isinstance(claims, NotFoundError):
            return await submit(info, input, success=OrderSuccess, checks=[claims])
        commands = [
            Confirm(
                kind=claim.kind,
                claim_id=claim.id,
                from_stages=[PENDING],
                to_stage=COMPLETED,
                done_stages=[COMPLETED],
                done_facts={},
            )
            for claim in claims
        ]
        return await submit(info, input, *commands, success=OrderSuccess)

    @strawberry.mutation
    async def release_tickets(self, info: Info, input: OrderRefInput) -> OrderResult | None:  # noqa: A002
        """Call an order off before it is paid for."""
        return await released_order(info, input)

    @strawberry.mutation
    async def refund_tickets(self, info: Info, input: OrderRefInput) -> OrderResult | None:  # noqa: A002
        """Give the tickets of a paid order back. For organisers."""
        info.context.caller.require("admin", "organizer", "service")
        return await _give_back(info, input, from_stage=COMPLETED, to_stage=REFUNDED, holders=False)


def status_of(order: Claim) -> OrderStatus:
    """How far an order has come."""
    return OrderStatus.EXPIRED if order.state is ClaimState.EXPIRED else OrderStatus(order.stage)


async def lines_of(info: Info, order: Claim) -> list[Claim]:
    """The lines of an order, as they were asked for."""
    claims = await info.context.reads.claims_for(order.id)
    return sorted((claim for claim in claims if claim.id != order.id), key=lambda line: (len(line.id), line.id))


async def as_ordered(info: Info, line: Claim) -> Json:
    """How many were ordered, and the name, price and currency as they were then."""
    if "price" in line.facts:
        return line.facts
    return line.facts | _of_today(await info.context.reads.pool(line.pool_id))  # from before they were kept


async def held_order(info: Info, given: HoldTicketsInput, holder: str | None, *, word: str | None = None) -> Any:
    """Hold an order for a holder, or for a guest of its own where there is none; or why not.

    Args:
        info: of the mutation.
        given: what is asked for.
        holder: for whom, for whom the caller may buy.
        word: of all orders that are alive there is one with this word; asked for again it is the answer.
    """
    order_id = str(uuid.uuid4())
    types = await _types(info, given)
    ttl_seconds = min((pool.facts["hold_seconds"] for pool in types.values()), default=None)
    ordered: list[tuple[str, int, Json]] = [
        (KIND.pool_id(line.ticket_type_id), line.quantity, _of_today(types[line.ticket_type_id]))
        for line in given.lines
        if line.ticket_type_id in types
    ]
    buyer = {name: getattr(given, name) for name in PERSONAL}
    if given.guest_email is not None:
        buyer["guest_email"] = given.guest_email.strip().casefold()
    ordered.insert(0, (PoolKind.EVENT.pool_id(given.event_id), sum(quantity for _, quantity, _ in ordered), buyer))
    commands = [
        Hold(
            kind=KIND if number else PoolKind.EVENT,
            pool_id=pool_id,
            claim_id=f"{order_id}/{number}" if number else order_id,
            holder=holder or _guest_of(order_id),
            subject=order_id,
            quantity=quantity,
            ttl_seconds=ttl_seconds,
            exclusive=word and f"{word}/{number}",
            to_stage=PENDING,
            facts={"ordered": quantity, **facts},
        )
        for number, (pool_id, quantity, facts) in enumerate(ordered)
    ]
    checks = [_wrong_buyer(given), *_wrong_lines(given, types)]
    return await submit(info, given, *commands, success=OrderSuccess, checks=checks)


def _guest_of(order_id: str) -> str:
    return f"guest:{order_id}"


def _of_today(pool: Pool) -> Json:
    """What an order keeps of a ticket type."""
    return {"name": pool.title or pool.ref, "price": pool.facts["price"], "currency": pool.facts["currency"]}


async def _types(info: Info, given: HoldTicketsInput) -> dict[str, Pool]:
    """The ticket types of an order that are of its event."""
    refs = {line.ticket_type_id for line in given.lines[:MOST_LINES]}
    found = await asyncio.gather(*(info.context.reads.find_pool(KIND.pool_id(ref)) for ref in refs))
    event_id = PoolKind.EVENT.pool_id(given.event_id)
    return {pool.ref: pool for pool in found if pool is not None and pool.parent_id == event_id}


def _wrong_lines(given: HoldTicketsInput, types: dict[str, Pool]) -> Iterator[CapacityError]:
    """The refusals of an order's lines."""
    refs = [line.ticket_type_id for line in given.lines]
    if not refs or len(refs) > MOST_LINES or len(set(refs)) < len(refs) or not all(map(is_id, refs)):
        message = f"an order has 1 to {MOST_LINES} lines, each of another ticket type"
        yield InvalidInputError(field="lines", message=message)
        return
    for line in given.lines:
        pool = types.get(line.ticket_type_id)
        if pool is None:
            ref = line.ticket_type_id
            yield not_found(ref)
            return
        fewest, most = pool.facts["min_per_order"], pool.facts["max_per_order"]
        if line.quantity < fewest:
            yield InvalidInputError(field="lines", message=f"Minimum {fewest} tickets required")
        elif line.quantity > most:
            yield PerHolderLimitError(
                message=f"Maximum {most} tickets allowed", pool=pool, limit=most, current=line.quantity
            )
    if len({pool.facts["currency"] for pool in types.values()}) > 1:
        yield InvalidInputError(field="lines", message="All tickets must have the same currency")
    if sum(line.quantity * types[line.ticket_type_id].facts["price"] for line in given.lines) > LARGEST_INT:
        yield InvalidInputError(field="lines", message=f"an order costs at most {LARGEST_INT}")


def _wrong_buyer(given: HoldTicketsInput) -> InvalidInputError | None:
    if given.guest_email is None or is_address(given.guest_email):
        return None
    return InvalidInputError(field="guestEmail", message="guestEmail must be an e-mail address")


async def _own_claims(
    info: Info, order_id: str, *, paying: bool = False, holders: bool = True, guests: bool = False
) -> list[Claim] | NotFoundError:
    """The claims of an order, the event's first, where it is the caller's to touch.

    What costs something is confirmed by whoever has seen the payment, and never by its holder. Where guests may do it,
    a guest's order is the caller's by its id, which only the guest was told, and which cannot be guessed.
    """
    caller, reads = info.context.caller, info.context.reads
    if caller.holder is None and not guests:
        raise Unauthenticated
    claims = sorted(await reads.claims_for(order_id), key=lambda claim: claim.id != order_id)
    if claims and claims[0].id == order_id and claims[0].facts.get("ordered"):
        if guests and claims[0].holder == _guest_of(order_id):
            return claims
        event = await reads.pool(claims[0].pool_id)
        if caller.role in ("admin", "service") or caller.may_audit(event):
            return claims
        types = [await reads.pool(claim.pool_id) for claim in claims[1:]]
        if holders and caller.owns(claims[0]):
            if paying and any(pool.facts["price"] for pool in types):
                raise Forbidden("An order that costs something is confirmed by the payment")
            return claims
    return not_found(order_id)


async def released_order(info: Info, given: OrderRefInput, *, guests: bool = False) -> Any:
    """Call an order off before it is paid for, also a guest's where guests may; or why not."""
    return await _give_back(info, given, from_stage=PENDING, to_stage=CANCELLED, guests=guests)


async def _give_back(info: Info, given: OrderRefInput, *, from_stage: str, to_stage: str, **whose: bool) -> Any:
    claims = await _own_claims(info, given.order_id, **whose)
    if isinstance(claims, NotFoundError):
        return await submit(info, given, success=OrderSuccess, checks=[claims])
    commands = [
        Release(
            kind=claim.kind,
            claim_id=claim.id,
            reason=LedgerReason.RELEASE,
            from_stages=[from_stage],
            to_stage=to_stage,
            done_stages=[to_stage],
            done_facts={},
        )
        for claim in claims
    ]
    return await submit(info, given, *commands, success=OrderSuccess)
