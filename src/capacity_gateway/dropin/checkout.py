"""Ticket types and orders, as the older service has them. No payment is taken here: confirmTickets says it was."""

import hashlib
import uuid
from datetime import datetime
from enum import Enum
from typing import Any

import strawberry

from capacity_gateway.domains.tickets import (
    KIND,
    HoldTicketsInput,
    OrderRefInput,
    TicketLineInput,
    TicketType,
    as_ordered,
    held_order,
    lines_of,
    released_order,
    status_of,
)
from capacity_gateway.dropin.legacy import Refused, done, found
from capacity_gateway.kernel.context import Info
from capacity_gateway.kernel.outcomes import (
    HoldExpiredError,
    InsufficientCapacityError,
    InvalidTransitionError,
    NotFoundError,
    PoolClosedError,
)
from capacity_gateway.kernel.pools import Claim, ClaimState, Json, Pool
from capacity_gateway.kernel.vocabulary import PoolKind

SYMBOLS = {"USD": "$", "EUR": "€", "GBP": "£", "JPY": "¥"}
DECIMALS = dict.fromkeys(("CLP", "ISK", "JPY", "KRW", "PYG", "UGX", "VND", "XAF", "XOF", "XPF"), 0) | dict.fromkeys(
    ("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"), 3
)
"""By ISO 4217 how many digits of an amount are behind the point, where it is not two."""


@strawberry.enum
class OrderStatusEnum(Enum):
    """How far an order has come."""

    PENDING = "PENDING"
    """Its tickets are held."""
    PROCESSING = "PROCESSING"
    """Not used: whoever takes the payment knows."""
    COMPLETED = "COMPLETED"
    """Paid for."""
    CANCELLED = "CANCELLED"
    """Called off before it was paid for."""
    REFUNDED = "REFUNDED"
    """Given back after it was paid for."""
    PARTIALLY_REFUNDED = "PARTIALLY_REFUNDED"
    """Not used: an order is given back whole."""
    EXPIRED = "EXPIRED"
    """Not paid for in time."""


@strawberry.type
class MoneyType:
    """An amount of money."""

    amount: int
    """In the currency's smallest unit."""
    currency: str
    """The currency's three letters."""

    @strawberry.field
    def formatted(self) -> str:
        """For people: $12.50, or 12.50 CHF."""
        decimals = DECIMALS.get(self.currency, 2)
        number = f"{self.amount / 10**decimals:,.{decimals}f}"
        symbol = SYMBOLS.get(self.currency)
        return f"{symbol}{number}" if symbol else f"{number} {self.currency}"


@strawberry.type
class TicketTypeType:
    """A kind of tickets to an event."""

    id: str
    """Its id."""
    name: str
    """Its name."""
    description: str | None
    """More about it."""
    price: MoneyType
    """What one costs."""
    quantity_total: int | None
    """How many there are; null = unlimited."""
    quantity_available: int | None
    """How many are neither sold nor held; null = unlimited."""
    min_per_order: int
    """The fewest in an order."""
    max_per_order: int
    """The most in an order."""
    sales_start_at: datetime | None
    """Nobody buys before."""
    sales_end_at: datetime | None
    """Nobody buys from then on."""
    is_on_sale: bool
    """Whether they are sold at present; they may be sold out all the same."""
    sort_order: int
    """Its place among the event's, from 0."""

    @classmethod
    def of(cls, pool: Pool, sort_order: int) -> "TicketTypeType":
        """The ticket type of a pool."""
        available = None if pool.quota is None else max(0, pool.quota - pool.held - pool.confirmed)
        begun = pool.opens_at is None or pool.opens_at <= pool.as_of
        ended = pool.closed_at is not None or (pool.closes_at is not None and pool.closes_at <= pool.as_of)
        return cls(
            id=pool.ref,
            name=pool.title or pool.ref,
            description=pool.facts.get("description"),
            price=MoneyType(amount=pool.facts["price"], currency=pool.facts["currency"]),
            quantity_total=pool.quota,
            quantity_available=available,
            min_per_order=pool.facts["min_per_order"],
            max_per_order=pool.facts["max_per_order"],
            sales_start_at=pool.opens_at,
            sales_end_at=pool.closes_at,
            is_on_sale=begun and not ended,
            sort_order=sort_order,
        )


@strawberry.type
class OrderItemType:
    """So many tickets of a type, as they were when they were ordered."""

    id: str
    """Its id."""
    quantity: int
    """How many."""
    ticket_type_name: str
    """What the ticket type was called."""
    unit_price: MoneyType
    """What one cost."""
    total_price: MoneyType
    """What all of them cost."""


@strawberry.type
class OrderType:
    """Tickets that are bought together."""

    id: str
    """Its id; whoever has that of a guest's order may call it off."""
    order_number: str
    """Its number for people."""
    status: OrderStatusEnum
    """How far it has come."""
    items: list[OrderItemType]
    """What is bought."""
    subtotal: MoneyType
    """What the items cost."""
    discount_amount: MoneyType
    """What is taken off: nothing."""
    total_amount: MoneyType
    """What is to be paid."""
    expires_at: datetime | None
    """Until when it is held; null unless pending."""


@strawberry.type
class PaymentIntentType:
    """How to pay."""

    client_secret: str
    """The payment provider's."""
    intent_id: str
    """The payment provider's."""
    publishable_key: str
    """The payment provider's."""
    expires_at: datetime | None
    """Until when."""


@strawberry.type
class CheckoutSessionType:
    """An order that waits for its payment."""

    order: OrderType
    """The order."""
    payment_intent: PaymentIntentType | None = None
    """Null: no payment is taken here."""


@strawberry.input
class OrderItemInput:
    """So many tickets of a type."""

    ticket_type_id: str
    """Of which type."""
    quantity: int
    """How many."""


@strawberry.input
class CreateOrderInput:
    """An order."""

    event_id: str
    """To which event."""
    items: list[OrderItemInput]
    """What is bought."""
    promo_code: str | None = None
    """There are none."""
    guest_email: str | None = None
    """Where to reach a buyer without a login, who must give it."""
    guest_first_name: str | None = None
    """The guest's first name."""
    guest_last_name: str | None = None
    """The guest's last name."""
    guest_phone: str | None = None
    """The guest's telephone number."""


@strawberry.type
class Queries:
    """What clients of the older service read of tickets."""

    @strawberry.field
    async def event_ticket_types(self, info: Info, event_id: strawberry.ID) -> list[TicketTypeType]:
        """The ticket types of an event in the order they were made, with what is left of them."""
        types: list[TicketType] = await info.context.reads.children(PoolKind.EVENT.pool_id(event_id), KIND)
        pools = sorted((ticket_type.pool for ticket_type in types), key=lambda pool: (pool.opened_at, pool.ref))
        return [TicketTypeType.of(pool, place) for place, pool in enumerate(pools)]


@strawberry.type
class Mutations:
    """What clients of the older service send about orders."""

    @strawberry.mutation
    async def create_checkout_session(self, info: Info, input: CreateOrderInput) -> CheckoutSessionType:  # noqa: A002
        """Hold tickets until they are paid for, all or none. What is not paid for in time comes free by itself.

        A user's last order asked for again, as with a double click, is the same order while it is pending.
        """
        if (input.promo_code or "").strip():
            raise Refused(400, "Invalid or expired promo code")
        await found(info, PoolKind.EVENT, input.event_id, "Event")
        holder, key = info.context.caller.holder, info.context.header_key
        guest_email = (input.guest_email or "").strip() or None
        if holder is None and guest_email is None:
            raise Refused(400, "Email is required for guest checkout")
        wanted = HoldTicketsInput(
            event_id=strawberry.ID(input.event_id),
            lines=[
                TicketLineInput(ticket_type_id=strawberry.ID(item.ticket_type_id), quantity=item.quantity)
                for item in input.items
            ],
            guest_email=guest_email,
            guest_name=" ".join(filter(None, (input.guest_first_name, input.guest_last_name))) or None,
            guest_phone=input.guest_phone,
            idempotency_key=str(uuid.uuid4()) if key is None else key,
        )
        word = None
        if holder is not None and key is None:
            last = await info.context.reads.last_claim(PoolKind.EVENT.pool_id(wanted.event_id), holder)
            if last is not None and await _is_pending(info, last, wanted):
                return CheckoutSessionType(order=await _shown(info, last))
            word = _word(wanted, holder, last)
        order = await _placed(info, await held_order(info, wanted, holder, word=word))
        return CheckoutSessionType(order=await _shown(info, order))

    @strawberry.mutation
    async def cancel_order(self, info: Info, order_id: strawberry.ID) -> OrderType:
        """Call an order off before it is paid for: its owner, or for a guest's whoever has its id."""
        outcome = await released_order(info, OrderRefInput(order_id=order_id), guests=True)
        match outcome:
            case NotFoundError():
                raise Refused(404, "Order not found")
            case HoldExpiredError():
                raise Refused(400, "Order cannot be cancelled: status is expired")
            case InvalidTransitionError():
                raise Refused(400, f"Order cannot be cancelled: status is {outcome.from_.lower()}")
        return await _shown(info, done(outcome).claimed)


async def _is_pending(info: Info, order: Claim, wanted: HoldTicketsInput) -> bool:
    """Whether a claim is an order of these very lines that is not paid for yet."""
    lines = {KIND.pool_id(line.ticket_type_id): line.quantity for line in wanted.lines}
    return order.state is ClaimState.HELD and lines == {
        line.pool_id: line.facts["ordered"] for line in await lines_of(info, order)
    }


def _word(wanted: HoldTicketsInput, holder: str, last: Claim | None) -> str:
    """What two clicks on the same order have in common: who orders what, after which order."""
    lines = sorted((line.ticket_type_id, line.quantity) for line in wanted.lines)
    asked = (wanted.event_id, holder, last and last.id, lines)
    return "order:" + hashlib.sha256(repr(asked).encode()).hexdigest()


async def _placed(info: Info, outcome: Any) -> Claim:
    """The order that was placed.

    Raises:
        Refused: where none was.
    """
    match outcome:
        case NotFoundError():
            elsewhere = await info.context.reads.find_pool(KIND.pool_id(outcome.ref))
            raise Refused(400, f"Ticket type {'does not belong to this event' if elsewhere else 'not found'}")
        case InsufficientCapacityError(pool=Pool(kind=PoolKind.EVENT)):
            raise Refused(409, "This event has reached its maximum capacity.", outcome.retry_after_ms)
        case InsufficientCapacityError():
            raise Refused(400, "Tickets are no longer available", outcome.retry_after_ms)
        case PoolClosedError():
            raise Refused(400, "Tickets are not available")
    order: Claim = done(outcome).claimed
    return order


async def _shown(info: Info, order: Claim) -> OrderType:
    """An order with its money."""
    items = [_item(line, await as_ordered(info, line)) for line in await lines_of(info, order)]
    total = MoneyType(amount=sum(item.total_price.amount for item in items), currency=items[0].unit_price.currency)
    digest = hashlib.sha256(order.id.encode()).hexdigest()
    return OrderType(
        id=order.id,
        order_number=f"ORD-{order.created_at.year}-{digest[:6].upper()}",
        status=OrderStatusEnum(status_of(order).value),
        items=items,
        subtotal=total,
        discount_amount=MoneyType(amount=0, currency=total.currency),
        total_amount=total,
        expires_at=order.expires_at if order.state is ClaimState.HELD else None,
    )


def _item(line: Claim, sold: Json) -> OrderItemType:
    price, quantity, currency = sold["price"], sold["ordered"], sold["currency"]
    return OrderItemType(
        id=line.id,
        quantity=quantity,
        ticket_type_name=sold["name"],
        unit_price=MoneyType(amount=price, currency=currency),
        total_price=MoneyType(amount=price * quantity, currency=currency),
    )
