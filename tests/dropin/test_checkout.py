"""Checkout as clients of the older service send it, and its bugs that are gone."""

import asyncio
from typing import Any

import asyncpg
import pytest

from conftest import Gateway
from domains.conftest import Do, assert_made, lapse
from dropin.conftest import SECRET_WORDS, platform, weak_logins
from dropin.documents import DOCUMENTS

ANN = "cluser0000000000000000ann"
BOB = "cluser0000000000000000bob"

pytestmark = pytest.mark.usefixtures("balanced", "event", "tickets")

Headers = dict[str, str]


@pytest.fixture
async def tickets(event: str, do: Do) -> None:
    """Five tickets `t` at $12.50, and `u` without a limit, free of charge."""
    given = {"description": "Front row", "price": 1250, "minPerOrder": 1, "maxPerOrder": 4}
    assert_made(await do("olga", "createTicketType", id="t", eventId="e", name="Front", quota=5, **given))
    assert_made(await do("olga", "createTicketType", id="u", eventId="e", name="Back", maxPerOrder=100))


async def checkout(gateway: Gateway, headers: Headers, key: Any = None, more: Any = None, **lines: int) -> Any:
    """The session, or the message of why there is none."""
    items = [{"ticketTypeId": ref, "quantity": quantity} for ref, quantity in lines.items()]
    headers = headers | ({} if key is None else {"x-idempotency-key": key})
    given = {"eventId": "e", "items": items, **(more or {})}
    return read(await gateway.post(DOCUMENTS["createCheckoutSession"], {"input": given}, headers))


async def cancel(gateway: Gateway, headers: Headers, order_id: str) -> Any:
    """The order, or the message of why it is not called off."""
    return read(await gateway.post(DOCUMENTS["cancelOrder"], {"orderId": order_id}, headers))


def read(answer: Any) -> Any:
    """The value of the answer's only field, or the message of its error."""
    if "errors" not in answer:
        (value,) = answer["data"].values()
        return value
    message: str = answer["errors"][0]["message"]
    assert answer["data"] is None
    assert not any(word in message.lower() for word in SECRET_WORDS)
    return message


async def types(gateway: Gateway, headers: Headers | None = None) -> dict[str, Any]:
    """The ticket types, by id."""
    found = await gateway.send(DOCUMENTS["eventTicketTypes"], {"eventId": "e"}, headers or {})
    return {one["id"]: one for one in found}


async def free(gateway: Gateway) -> int:
    """How many of `t` are left, as the older service says it."""
    left: int = (await types(gateway))["t"]["quantityAvailable"]
    return left


def dollars(amount: int) -> dict[str, Any]:
    """So much money."""
    return {"amount": amount, "currency": "USD", "formatted": f"${amount / 100:,.2f}"}


def guest(email: str = "Gwen@example.org") -> dict[str, str]:
    """The details of a guest."""
    return {"guestEmail": email, "guestFirstName": "Gwen", "guestLastName": "Guest", "guestPhone": "+1 555 0100"}


async def test_a_checkout_holds_the_tickets_and_says_what_they_cost(gateway: Gateway) -> None:
    """Money in the smallest unit, from the ticket types' prices; no payment intent; half an hour to pay."""
    session = await checkout(gateway, platform(gateway, ANN), t=3, u=1)

    order = session["order"]
    assert session["paymentIntent"] is None
    assert (order["status"], order["expiresAt"] is not None) == ("PENDING", True)
    assert [(item["quantity"], item["ticketTypeName"], item["unitPrice"]["amount"]) for item in order["items"]] == [
        (3, "Front", 1250),
        (1, "Back", 0),
    ]
    assert [item["totalPrice"] for item in order["items"]] == [dollars(3750), dollars(0)]
    assert [order[name] for name in ("subtotal", "discountAmount", "totalAmount")] == [
        dollars(3750),
        dollars(0),
        dollars(3750),
    ]
    assert await free(gateway) == 2


async def test_an_order_keeps_its_number_name_and_price(gateway: Gateway, owner: asyncpg.Connection) -> None:
    """As they were when it was ordered, whatever becomes of the ticket type."""
    before = (await checkout(gateway, platform(gateway, ANN), t=1))["order"]
    await owner.execute(
        "UPDATE capacity.pool SET title = 'Dear', facts = facts || '{\"price\": 99999}' WHERE id = 'ticket_type:t'"
    )

    after = (await checkout(gateway, platform(gateway, ANN), t=1))["order"]

    assert after == before
    assert before["orderNumber"].startswith("ORD-20")
    assert len(before["orderNumber"]) == len("ORD-2026-ABCDEF")


async def test_ticket_types_are_shown_with_what_is_left(gateway: Gateway) -> None:
    """To everybody; what is held is not left."""
    await checkout(gateway, platform(gateway, ANN), t=3)

    assert await types(gateway) == {
        "t": {
            "id": "t",
            "name": "Front",
            "description": "Front row",
            "price": dollars(1250),
            "quantityTotal": 5,
            "quantityAvailable": 2,
            "minPerOrder": 1,
            "maxPerOrder": 4,
            "salesStartAt": None,
            "salesEndAt": None,
            "isOnSale": True,
            "sortOrder": 0,
        },
        "u": {
            "id": "u",
            "name": "Back",
            "description": None,
            "price": dollars(0),
            "quantityTotal": None,
            "quantityAvailable": None,
            "minPerOrder": 1,
            "maxPerOrder": 100,
            "salesStartAt": None,
            "salesEndAt": None,
            "isOnSale": True,
            "sortOrder": 1,
        },
    }
    assert await types(gateway, platform(gateway, ANN, tenant="elsewhere")) == {}


async def test_tickets_are_sold_in_their_window_only(gateway: Gateway, do: Do) -> None:
    """And are shown as not on sale before and after it."""
    past, future = "2020-01-01T00:00:00+00:00", "2999-01-01T00:00:00+00:00"
    for ref, window in (("early", {"salesStartAt": future}), ("late", {"salesEndAt": past})):
        assert_made(await do("olga", "createTicketType", id=ref, eventId="e", name=ref, **window))

    found = await types(gateway)

    assert [found[ref]["isOnSale"] for ref in ("early", "late", "t")] == [False, False, True]
    for ref in ("early", "late"):
        assert await checkout(gateway, platform(gateway, ANN), **{ref: 1}) == "400: Tickets are not available"


@pytest.mark.parametrize("login", ["none", "empty", "blank", "expired", "onboarding", "nonsense"])
async def test_without_a_login_one_buys_as_a_guest(gateway: Gateway, login: str) -> None:
    """Whatever login that does not hold is shown; with an address, and not without."""
    headers = weak_logins(gateway)[login]

    assert await checkout(gateway, headers, t=1) == "400: Email is required for guest checkout"
    session = await checkout(gateway, headers, more=guest(), t=1)
    assert (session["order"]["status"], await free(gateway)) == ("PENDING", 4)
    assert await cancel(gateway, headers, session["order"]["id"]) == session["order"] | {
        "status": "CANCELLED",
        "expiresAt": None,
    }
    assert len(await types(gateway, headers)) == 2


@pytest.mark.parametrize(
    ("lines", "more", "message"),
    [
        ({"t": 1}, {"promoCode": "SAVE10"}, "400: Invalid or expired promo code"),
        ({"t": 1}, {"eventId": "nowhere"}, "404: Event not found"),
        ({"t": 1}, {"guestEmail": "nowhere"}, "400: guestEmail must be an e-mail address"),
        ({"nothing": 1}, {}, "400: Ticket type not found"),
        ({"foreign": 1}, {}, "400: Ticket type does not belong to this event"),
        ({"t": 5}, {}, "400: Maximum 4 tickets allowed"),
        ({"t": 2**31 - 1}, {}, "400: Maximum 4 tickets allowed"),
        ({"t": 0}, {}, "400: Minimum 1 tickets required"),
        ({"t": -1}, {}, "400: Minimum 1 tickets required"),
        ({"t": 1, "chf": 1}, {}, "400: All tickets must have the same currency"),
        ({"gold": 2}, {}, "400: an order costs at most 2147483647"),
        ({}, {}, "400: an order has 1 to 20 lines, each of another ticket type"),
    ],
)
async def test_a_wrong_order_is_refused_and_holds_nothing(
    gateway: Gateway, do: Do, lines: dict[str, int], more: Any, message: str
) -> None:
    """In the older service's texts, for users and guests."""
    assert_made(await do("olga", "createEvent", id="f", name="F"))
    assert_made(await do("olga", "createTicketType", id="foreign", eventId="f", name="F"))
    assert_made(await do("olga", "createTicketType", id="chf", eventId="e", name="C", currency="CHF"))
    assert_made(await do("olga", "createTicketType", id="gold", eventId="e", name="G", price=2**31 - 1))

    assert await checkout(gateway, platform(gateway, ANN), more=more, **lines) == message
    assert await checkout(gateway, {}, more=guest() | more, **lines) == message
    assert await free(gateway) == 5


async def test_an_empty_field_is_none(gateway: Gateway) -> None:
    """As forms send them."""
    empty = dict.fromkeys(("promoCode", "guestEmail", "guestFirstName", "guestLastName", "guestPhone"), "")
    session = await checkout(gateway, platform(gateway, ANN), more=empty, t=1)

    assert session["order"]["status"] == "PENDING"


@pytest.mark.parametrize("key", ["", "x" * 300])
async def test_a_key_that_is_none_is_refused(gateway: Gateway, key: str) -> None:
    """And nothing is held."""
    assert (await checkout(gateway, platform(gateway, ANN), key, t=1)).startswith("400: idempotencyKey must be ")
    assert await free(gateway) == 5


async def test_money_is_written_as_its_currency_has_it(gateway: Gateway, do: Do) -> None:
    """With the digits behind the point that there are."""
    for currency in ("EUR", "JPY", "CHF", "KWD"):
        given = {"name": currency, "price": 123456, "currency": currency}
        assert_made(await do("olga", "createTicketType", id=currency, eventId="e", **given))

    found = await types(gateway)

    assert [found[currency]["price"]["formatted"] for currency in ("EUR", "JPY", "CHF", "KWD")] == [
        "€1,234.56",
        "¥123,456",
        "1,234.56 CHF",
        "123.456 KWD",
    ]


async def test_a_sold_out_ticket_is_no_longer_available(gateway: Gateway) -> None:
    """And a line that is short leaves nothing held of the others."""
    await checkout(gateway, platform(gateway, ANN), t=3)

    assert await checkout(gateway, platform(gateway, BOB), u=1, t=3) == "400: Tickets are no longer available"
    assert (await gateway.send('{ capacity(kind: TICKET_TYPE, ref: "u") { held } }', headers={}))["held"] == 0


async def test_a_full_event_sells_no_tickets(gateway: Gateway, do: Do) -> None:
    """In the text that the clients look for."""
    assert_made(await do("olga", "createEvent", id="small", name="S", quota=1))
    assert_made(await do("olga", "createTicketType", id="s", eventId="small", name="S"))

    answer = await checkout(gateway, platform(gateway, ANN), more={"eventId": "small"}, s=2)

    assert answer == "409: This event has reached its maximum capacity."


async def test_a_double_click_is_one_order(gateway: Gateway) -> None:
    """A user's, at once or one after the other; with other lines it is another order."""
    headers = platform(gateway, ANN)
    clicks = await asyncio.gather(*(checkout(gateway, headers, t=1) for _ in range(4)))
    later = await checkout(gateway, headers, t=1)

    assert {click["order"]["id"] for click in clicks} == {later["order"]["id"]}
    assert (await checkout(gateway, headers, t=2))["order"]["id"] != later["order"]["id"]
    assert await free(gateway) == 2


async def test_what_is_paid_for_or_called_off_can_be_bought_again(gateway: Gateway, do: Do) -> None:
    """It is another order then."""
    headers = platform(gateway, ANN)
    paid = (await checkout(gateway, headers, t=1))["order"]["id"]
    await do("service", "confirmTickets", orderId=paid)
    called_off = (await checkout(gateway, headers, t=1))["order"]["id"]
    await cancel(gateway, headers, called_off)
    third = (await checkout(gateway, headers, t=1))["order"]["id"]

    assert len({paid, called_off, third}) == 3
    assert await free(gateway) == 3


async def test_sent_again_with_its_key_it_is_the_same_order(gateway: Gateway) -> None:
    """A guest's too, and as it is now; another key is another order, and other input a conflict."""
    first, again = [await checkout(gateway, {}, "k", guest(), t=1) for _ in range(2)]
    await cancel(gateway, {}, first["order"]["id"])

    assert again == first
    assert (await checkout(gateway, {}, "k", guest(), t=1))["order"]["status"] == "CANCELLED"
    assert (await checkout(gateway, {}, "other", guest(), t=1))["order"]["status"] == "PENDING"
    assert (await checkout(gateway, {}, "k", guest("x@example.org"), t=1)).startswith("422: ")


async def test_two_guests_of_one_address_have_an_order_each(gateway: Gateway) -> None:
    """Who merely knows an address is shown no order."""
    orders = [(await checkout(gateway, {}, more=guest(), t=1))["order"]["id"] for _ in range(2)]

    assert len(set(orders)) == 2


async def test_an_order_is_called_off_by_its_owner(gateway: Gateway) -> None:
    """Twice is once; nobody else's order is there, not without a login either."""
    order_id = (await checkout(gateway, platform(gateway, ANN), t=3))["order"]["id"]
    others = [platform(gateway, BOB), platform(gateway, ANN, tenant="elsewhere"), *weak_logins(gateway).values()]

    assert {await cancel(gateway, headers, order_id) for headers in others} == {"404: Order not found"}
    assert await free(gateway) == 2
    clicks = await asyncio.gather(*(cancel(gateway, platform(gateway, ANN), order_id) for _ in range(3)))
    assert [click["status"] for click in clicks] == ["CANCELLED"] * 3
    assert await free(gateway) == 5


async def test_an_order_that_is_not_there_is_not_found(gateway: Gateway) -> None:
    """And what is no id is said to be none."""
    answers = [
        await cancel(gateway, platform(gateway, ANN), order_id) for order_id in ("nothing", "", "x" * 300, "a\nb")
    ]

    assert answers == ["404: Order not found", *["400: orderId must be 1 to 255 printable characters"] * 3]


async def test_a_registration_is_no_order(gateway: Gateway, do: Do) -> None:
    """Its id calls no order off."""
    registration = (await do(ANN, "register", eventId="e"))["registration"]["id"]

    assert await cancel(gateway, platform(gateway, ANN), registration) == "404: Order not found"


async def test_what_is_paid_for_is_not_called_off(gateway: Gateway, do: Do) -> None:
    """Nor what is given back or has run out; each with its status."""
    headers = platform(gateway, ANN)
    order_id = (await checkout(gateway, headers, t=1))["order"]["id"]
    await do("service", "confirmTickets", orderId=order_id)
    paid = await cancel(gateway, headers, order_id)
    await do("ada", "refundTickets", orderId=order_id)

    assert paid == "400: Order cannot be cancelled: status is completed"
    assert await cancel(gateway, headers, order_id) == "400: Order cannot be cancelled: status is refunded"


async def test_bug_abandoned_checkouts_hold_stock_for_ever(gateway: Gateway, owner: asyncpg.Connection, do: Do) -> None:
    """After half an hour the tickets are free by themselves: nobody calls anything off, and no sweeper runs."""
    held = (await checkout(gateway, platform(gateway, ANN), t=3))["order"]
    await lapse(owner, ANN, 1790)
    almost = await free(gateway)
    await lapse(owner, ANN, 20)

    assert (almost, await free(gateway)) == (2, 5)
    assert (await checkout(gateway, platform(gateway, ANN), t=3))["order"]["id"] != held["id"]
    assert (
        await cancel(gateway, platform(gateway, ANN), held["id"]) == "400: Order cannot be cancelled: status is expired"
    )
    assert (await do("service", "confirmTickets", orderId=held["id"]))["__typename"] == "HoldExpiredError"


async def test_paying_at_the_last_minute_counts(gateway: Gateway, owner: asyncpg.Connection, do: Do) -> None:
    """Sold once, however often the payment says so; and nothing is held any more."""
    order_id = (await checkout(gateway, platform(gateway, ANN), t=3))["order"]["id"]
    await lapse(owner, ANN, 1740)

    paid = [await do("service", "confirmTickets", orderId=order_id) for _ in range(2)]

    assert [(one["order"]["status"], one["replayed"]) for one in paid] == [("COMPLETED", False), ("COMPLETED", True)]
    pool = await gateway.send('{ capacity(kind: TICKET_TYPE, ref: "t") { confirmed held } }', headers={})
    assert pool == {"confirmed": 3, "held": 0}


async def test_of_paying_and_calling_off_one_happens(gateway: Gateway, do: Do) -> None:
    """Ten times over; the numbers are those of whichever it was."""
    left = 5
    for _ in range(10):
        order_id = (await checkout(gateway, platform(gateway, ANN), t=1))["order"]["id"]
        paid, off = await asyncio.gather(
            do("service", "confirmTickets", orderId=order_id), cancel(gateway, platform(gateway, ANN), order_id)
        )
        won = paid["__typename"] == "OrderSuccess"
        assert won == isinstance(off, str)
        left -= won
        assert await free(gateway) == left
        if left == 0:
            break


async def test_a_crowd_buys_what_there_is(gateway: Gateway) -> None:
    """Of fifteen on five tickets five get one."""
    answers = await asyncio.gather(*(checkout(gateway, platform(gateway, f"p{n}"), t=1) for n in range(15)))

    assert sum(isinstance(answer, dict) for answer in answers) == 5
    assert {answer for answer in answers if isinstance(answer, str)} == {"400: Tickets are no longer available"}
