"""Tickets: orders that are held together, paid for or not, and run out by themselves."""

import asyncio
import json
from collections import Counter
from typing import Any

import asyncpg
import pytest

from conftest import Gateway
from domains.conftest import Answer, Do, assert_made, crowd, lapse, members, names

pytestmark = pytest.mark.usefixtures("balanced", "event")


async def ticket_type(do: Do, ref: str = "t", quota: int | None = 5, **more: Any) -> None:
    """Make a ticket type of Olga's event, by default free of charge."""
    assert_made(await do("olga", "createTicketType", id=ref, eventId="e", name=ref, quota=quota, **more))


async def order(do: Do, who: str | None, key: str, **lines: int) -> Answer:
    """Hold so many tickets of each type."""
    given = [{"ticketTypeId": ref, "quantity": quantity} for ref, quantity in lines.items()]
    return await do(who, "holdTickets", eventId="e", lines=given, idempotencyKey=key)


async def free(gateway: Gateway, ref: str = "t") -> int:
    """How many tickets of a type are available, as anybody reads it."""
    pool = await gateway.send(
        "query ($ref: ID!) { capacity(kind: TICKET_TYPE, ref: $ref) { available } }", {"ref": ref}, {}
    )
    available: int = pool["available"]
    return available


async def statuses(owner: asyncpg.Connection) -> Counter[str]:
    """How many claims there are at each stage."""
    rows = await owner.fetch("SELECT stage FROM capacity.claim WHERE pool_id = 'ticket_type:t'")
    return Counter(row["stage"] for row in rows)


# ---------------------------------------------------------------- holding


async def test_an_order_holds_its_lines_and_the_places_at_the_event(do: Do, gateway: Gateway) -> None:
    """Linked: an entry in each pool; the answer's pool is the event's."""
    await ticket_type(do, "t")
    await ticket_type(do, "u")

    held = await order(do, "x", "1", t=3, u=1)

    assert (held["__typename"], held["pool"]["id"], held["pool"]["held"]) == ("OrderSuccess", "event:e", 4)
    assert held["order"]["status"] == "PENDING"
    assert held["order"]["lines"] == [
        {"quantity": 3, "ticketType": {"id": "t"}},
        {"quantity": 1, "ticketType": {"id": "u"}},
    ]
    assert [(entry["pool"]["id"], entry["change"], entry["reason"]) for entry in held["entries"]] == [
        ("event:e", -4, "HOLD"),
        ("ticket_type:t", -3, "HOLD"),
        ("ticket_type:u", -1, "HOLD"),
    ]
    assert (await free(gateway, "t"), await free(gateway, "u")) == (2, 4)


async def test_an_order_is_held_whole_or_not_at_all(do: Do, gateway: Gateway) -> None:
    """Every pool that was short is named with its true numbers, and nothing is held of any."""
    assert_made(await do("olga", "createEvent", id="small", name="S", quota=3))
    for ref, quota in (("t", 5), ("u", 1), ("v", 0)):
        given = {"id": ref, "eventId": "small", "name": ref, "quota": quota}
        assert_made(await do("olga", "createTicketType", **given))
    lines = [{"ticketTypeId": ref, "quantity": 2} for ref in "tuv"]

    short = await do("x", "holdTickets", eventId="small", lines=lines, idempotencyKey="1")

    assert short["__typename"] == "InsufficientCapacityError"
    assert [(s["pool"]["id"], s["requested"], s["available"]) for s in short["shortfalls"]] == [
        ("event:small", 6, 3),
        ("ticket_type:u", 2, 1),
        ("ticket_type:v", 2, 0),
    ]
    assert [await free(gateway, ref) for ref in "tuv"] == [5, 1, 0]


async def test_who_asks_for_more_than_is_left_is_told_how_many_are(do: Do) -> None:
    """And until when the others are held."""
    await ticket_type(do)
    held = await order(do, "x", "1", t=3)

    short = await order(do, "y", "2", t=3)

    assert (short["requested"], short["available"], short["cause"]) == (3, 2, "HELD")
    assert short["earliestReleaseAt"] == held["order"]["expiresAt"]


async def test_of_two_hundred_on_the_last_twenty_tickets_twenty_get_one(do: Do) -> None:
    """Nobody is refused while one is free: every refusal is judged when all 25 are held."""
    await ticket_type(do, quota=25)
    await order(do, "early", "early", t=5)

    held, refused = await crowd(200, lambda who: order(do, who, who, t=1))

    assert (len(held), len(refused)) == (20, 180)
    assert {(r["available"], r["judgedVersion"]) for r in refused} == {(0, 21)}


async def test_orders_of_two_types_in_opposite_order_do_not_hinder_each_other(do: Do, gateway: Gateway) -> None:
    """Pools are locked in one order, whatever the order of the lines."""
    await ticket_type(do, "t", 30)
    await ticket_type(do, "u", 30)

    async def either(who: str) -> Answer:
        lines = {"t": 1, "u": 1} if who[-1] in "02468" else {"u": 1, "t": 1}
        return await order(do, who, who, **lines)

    held, refused = await crowd(60, either)

    assert (len(held), len(refused)) == (30, 30)
    assert (await free(gateway, "t"), await free(gateway, "u")) == (0, 0)


async def test_the_window_of_sale_is_kept(do: Do) -> None:
    """Too early one is told when it opens; too late there is no such time."""
    await ticket_type(do, "later", salesStartAt="2999-01-01T00:00:00Z")
    await ticket_type(do, "over", salesEndAt="2001-01-01T00:00:00Z")
    await ticket_type(do, "now", salesStartAt="2001-01-01T00:00:00Z", salesEndAt="2999-01-01T00:00:00Z")

    answers = [await order(do, "x", ref, **{ref: 1}) for ref in ("later", "over", "now")]

    assert names(answers) == ["PoolClosedError", "PoolClosedError", "OrderSuccess"]
    assert [answer["opensAt"] for answer in answers[:2]] == ["2999-01-01T00:00:00.000000+00:00", None]
    assert answers[0]["pool"]["id"] == "ticket_type:later"


async def test_an_order_has_at_least_and_at_most_so_many_of_a_type(do: Do) -> None:
    """Outside of that it is refused with the limit."""
    await ticket_type(do, quota=100, minPerOrder=2, maxPerOrder=4)

    few, least, most, many = [await order(do, "x", f"{quantity}", t=quantity) for quantity in (1, 2, 4, 5)]

    assert names([few, least, most, many]) == [
        "InvalidInputError",
        "OrderSuccess",
        "OrderSuccess",
        "PerHolderLimitError",
    ]
    assert (few["field"], many["limit"], many["current"]) == ("lines", 4, 5)


@pytest.mark.parametrize("lines", [[], ["t", "t"], [""], ["t"] * 21])
async def test_an_order_names_some_types_each_once(do: Do, lines: list[str]) -> None:
    """Neither none, nor one twice, nor what is no id."""
    await ticket_type(do)
    given = [{"ticketTypeId": ref, "quantity": 1} for ref in lines]

    answer = await do("x", "holdTickets", eventId="e", lines=given, idempotencyKey="1")

    assert (answer["__typename"], answer["field"]) == ("InvalidInputError", "lines")


@pytest.mark.parametrize("quantity", [0, -1, 2**31 - 1])
async def test_an_order_of_an_absurd_number_is_refused(do: Do, quantity: int) -> None:
    """Without changing or overflowing anything."""
    await ticket_type(do)

    answer = await order(do, "x", "1", t=quantity)

    assert answer["__typename"] == ("PerHolderLimitError" if quantity > 0 else "InvalidInputError")


async def test_a_type_of_another_event_is_not_found(do: Do) -> None:
    """Its places would be at the wrong event."""
    assert_made(await do("olga", "createEvent", id="f", name="F"))
    assert_made(await do("olga", "createTicketType", id="u", eventId="f", name="U"))

    answers = [await order(do, "x", ref, **{ref: 1}) for ref in ("u", "none")]

    assert [(answer["__typename"], answer["ref"]) for answer in answers] == [
        ("NotFoundError", "u"),
        ("NotFoundError", "none"),
    ]


# ---------------------------------------------------------------- paying, running out, giving back


async def test_paying_makes_the_tickets_the_holders_for_good(do: Do) -> None:
    """Behaviour 25: held becomes confirmed, once, though two say so at once; nothing more is taken."""
    await ticket_type(do, price=100)
    held = await order(do, "x", "1", t=3)

    paid = await asyncio.gather(*(do("service", "confirmTickets", orderId=held["order"]["id"]) for _ in range(4)))

    assert Counter(names(paid)) == {"OrderSuccess": 4}
    assert sorted(answer["replayed"] for answer in paid) == [False, True, True, True]
    assert {answer["order"]["status"] for answer in paid} == {"COMPLETED"}
    assert {(answer["pool"]["held"], answer["pool"]["confirmed"]) for answer in paid} == {(0, 3)}
    assert {tuple(entry["change"] for entry in answer["entries"]) for answer in paid} == {(0, 0)}


async def test_an_order_runs_out_by_itself(do: Do, gateway: Gateway, pause: Any) -> None:
    """Nobody called anything: the next reader sees the tickets free, and a late payment is told how many are left."""
    await ticket_type(do, holdSeconds=1)
    held = await order(do, "x", "1", t=5)
    before = await free(gateway)
    await pause(1.05)

    after = await free(gateway)
    await order(do, "y", "2", t=2)
    late = await do("service", "confirmTickets", orderId=held["order"]["id"])

    assert (before, after) == (0, 5)
    assert (late["__typename"], late["pool"]["held"]) == ("HoldExpiredError", 2)
    assert late["expiredAt"] == held["order"]["expiresAt"]


async def test_an_order_is_held_for_as_long_as_its_type_says(do: Do, owner: asyncpg.Connection) -> None:
    """Half an hour by default; the shortest of several counts; paid at minute 29 it is in time."""
    await ticket_type(do, "t")
    await ticket_type(do, "u", holdSeconds=600)
    usual, shorter = await order(do, "x", "1", t=1), await order(do, "y", "2", t=1, u=1)
    lasts = await owner.fetch(
        "SELECT DISTINCT id, extract(epoch FROM expires_at - since)::integer AS seconds FROM capacity.claim "
        "WHERE pool_id = 'event:e'"
    )
    await lapse(owner, "x", 29 * 60)
    in_time = await do("x", "confirmTickets", orderId=usual["order"]["id"])
    await lapse(owner, "y", 10 * 60)
    late = await do("y", "confirmTickets", orderId=shorter["order"]["id"])

    assert {row["id"]: row["seconds"] for row in lasts} == {usual["order"]["id"]: 1800, shorter["order"]["id"]: 600}
    assert names([in_time, late]) == ["OrderSuccess", "HoldExpiredError"]


async def test_payment_and_release_at_once_have_one_winner(do: Do, owner: asyncpg.Connection) -> None:
    """Whoever loses is told so, and counters match the orders' statuses."""
    await ticket_type(do, quota=100)
    winners: Counter[str] = Counter()
    for number in range(15):
        held = await order(do, "x", f"{number}", t=1)
        ways = ["confirmTickets", "releaseTickets"][:: 1 if number % 2 else -1]
        answers = await asyncio.gather(*(do("x", way, orderId=held["order"]["id"]) for way in ways))
        assert sorted(names(answers)) == ["InvalidTransitionError", "OrderSuccess"]
        winners.update(a["order"]["status"] for a in answers if "order" in a)

    sold = await owner.fetchval("SELECT confirmed FROM capacity.pool WHERE id = 'ticket_type:t'")
    assert (await statuses(owner), sold) == (winners, winners["COMPLETED"])


async def test_payment_at_the_instant_of_expiry_has_one_outcome(do: Do, owner: asyncpg.Connection) -> None:
    """Confirmed with its tickets, or run out with none; a buyer who comes at the same time gets what is free."""
    await ticket_type(do, quota=1)
    seen = Counter[str]()
    for number in range(10):
        held = await order(do, "x", f"x{number}", t=1)
        await owner.execute(
            "UPDATE capacity.claim SET expires_at = clock_timestamp() + make_interval(secs => $1) WHERE state = 'held'",
            number * 0.002,
        )
        paid, other = await asyncio.gather(
            do("x", "confirmTickets", orderId=held["order"]["id"]), order(do, "y", f"y{number}", t=1)
        )
        seen[paid["__typename"]] += 1
        assert names([paid, other]) != ["OrderSuccess", "OrderSuccess"]
        for answer in (paid, other):
            if "order" in answer:
                await do("olga", "confirmTickets", orderId=answer["order"]["id"])
                await do("olga", "refundTickets", orderId=answer["order"]["id"])

    assert set(seen) <= {"OrderSuccess", "HoldExpiredError"}


async def test_releasing_gives_all_of_an_order_back_once(do: Do, gateway: Gateway) -> None:
    """Twice is once; paying for it afterwards is too late."""
    await ticket_type(do)
    held = await order(do, "x", "1", t=3)

    released = [await do("x", "releaseTickets", orderId=held["order"]["id"]) for _ in range(2)]
    paid = await do("x", "confirmTickets", orderId=held["order"]["id"])

    assert [(r["order"]["status"], r["replayed"]) for r in released] == [("CANCELLED", False), ("CANCELLED", True)]
    assert (paid["__typename"], paid["from"]) == ("InvalidTransitionError", "CANCELLED")
    assert await free(gateway) == 5


async def test_a_refund_gives_the_tickets_back(do: Do, gateway: Gateway) -> None:
    """By the organiser, once, and of a paid order only."""
    await ticket_type(do)
    held = await order(do, "x", "1", t=3)
    unpaid = await do("olga", "refundTickets", orderId=held["order"]["id"])
    await do("x", "confirmTickets", orderId=held["order"]["id"])

    refunded = await asyncio.gather(*(do("olga", "refundTickets", orderId=held["order"]["id"]) for _ in range(3)))
    released = await do("x", "releaseTickets", orderId=held["order"]["id"])

    assert unpaid["__typename"] == "InvalidTransitionError"
    assert sorted((r["order"]["status"], r["replayed"]) for r in refunded) == [
        ("REFUNDED", False),
        ("REFUNDED", True),
        ("REFUNDED", True),
    ]
    assert released["__typename"] == "InvalidTransitionError"
    assert await free(gateway) == 5


async def test_what_was_sold_stays_sold_when_sales_close(do: Do) -> None:
    """What is held may be paid for, what is paid refunded; only new orders are refused."""
    await ticket_type(do)
    held, other = await order(do, "x", "1", t=1), await order(do, "y", "2", t=1)
    await do("olga", "closePool", kind="TICKET_TYPE", ref="t")

    answers = [
        await do("x", "confirmTickets", orderId=held["order"]["id"]),
        await do("y", "releaseTickets", orderId=other["order"]["id"]),
        await do("olga", "refundTickets", orderId=held["order"]["id"]),
        await order(do, "z", "3", t=1),
    ]

    assert names(answers) == ["OrderSuccess"] * 3 + ["PoolClosedError"]


# ---------------------------------------------------------------- keys


async def test_the_same_key_is_the_same_order(do: Do, gateway: Gateway) -> None:
    """However often and however fast it is clicked; other lines under it are a conflict."""
    await ticket_type(do)

    clicks = await asyncio.gather(*(order(do, "x", "k", t=2) for _ in range(6)))
    other = await order(do, "x", "k", t=1)

    assert {answer["order"]["id"] for answer in clicks} == {clicks[0]["order"]["id"]}
    assert sorted(answer["replayed"] for answer in clicks) == [False] + [True] * 5
    assert other["__typename"] == "IdempotencyConflictError"
    assert await free(gateway) == 3


@pytest.mark.parametrize("operation", ["confirmTickets", "releaseTickets", "refundTickets"])
async def test_a_key_replays_what_was_done_with_an_order(do: Do, operation: str) -> None:
    """The same entries; the order as it is now."""
    await ticket_type(do)
    held = (await order(do, "olga", "1", t=2))["order"]["id"]
    if operation == "refundTickets":
        await do("olga", "confirmTickets", orderId=held)
    first = await do("olga", operation, orderId=held, idempotencyKey="k")
    if operation == "confirmTickets":
        await do("olga", "refundTickets", orderId=held)

    again = await do("olga", operation, orderId=held, idempotencyKey="k")

    assert (again["__typename"], again["replayed"], again["entries"]) == ("OrderSuccess", True, first["entries"])
    assert again["order"]["status"] == ("CANCELLED" if operation == "releaseTickets" else "REFUNDED")


async def test_a_refusal_is_final_for_its_key(do: Do) -> None:
    """More tickets later change nothing for it."""
    await ticket_type(do, quota=1)
    short = await order(do, "x", "k", t=2)
    await do("olga", "setQuota", kind="TICKET_TYPE", ref="t", quota=9, idempotencyKey="q")

    again, new = await order(do, "x", "k", t=2), await order(do, "x", "l", t=2)

    assert again | {"replayed": False, "pool": short["pool"]} == short
    assert (again["replayed"], new["__typename"]) == (True, "OrderSuccess")


# ---------------------------------------------------------------- who may


async def test_what_costs_nothing_is_confirmed_by_its_holder(do: Do) -> None:
    """What costs something is confirmed by whoever has seen the payment; for others the order does not exist."""
    await ticket_type(do, "t")
    await ticket_type(do, "u", price=100)
    costless, mixed = (
        (await order(do, "x", "1", t=1))["order"]["id"],
        (await order(do, "x", "2", t=1, u=1))["order"]["id"],
    )

    confirmed = await do("x", "confirmTickets", orderId=costless)
    paid = [await do(who, "confirmTickets", orderId=mixed) for who in ("x", "y", "otto", "eve", None, "service")]

    assert confirmed["__typename"] == "OrderSuccess"
    assert names(paid) == [
        "FORBIDDEN",
        "NotFoundError",
        "NotFoundError",
        "NotFoundError",
        "UNAUTHENTICATED",
        "OrderSuccess",
    ]


async def test_who_may_hold_for_whom(do: Do) -> None:
    """A service and an admin for anybody, the organiser at his event, nobody else for another."""
    await ticket_type(do, quota=100)
    lines = [{"ticketTypeId": "t", "quantity": 1}]

    answers = [
        await do(who, "holdTickets", eventId="e", holder="bob", lines=lines, idempotencyKey=f"{who}")
        for who in ("ann", "otto", None, "olga", "service", "ada", "bob")
    ]

    assert names(answers) == ["FORBIDDEN", "FORBIDDEN", "UNAUTHENTICATED"] + ["OrderSuccess"] * 4


async def test_who_may_give_an_order_back(do: Do) -> None:
    """Its holder and those above him while it is unpaid; refunds are not for holders."""
    await ticket_type(do, quota=100)
    held = [(await order(do, "x", f"{number}", t=1))["order"]["id"] for number in range(2)]

    released = [await do(who, "releaseTickets", orderId=held[0]) for who in ("y", "otto", "eve", None, "x")]
    await do("x", "confirmTickets", orderId=held[1])
    refunded = [await do(who, "refundTickets", orderId=held[1]) for who in ("x", "otto", "erin", None, "olga")]

    assert names(released) == ["NotFoundError"] * 3 + ["UNAUTHENTICATED", "OrderSuccess"]
    assert names(refunded) == ["FORBIDDEN", "NotFoundError", "NotFoundError", "UNAUTHENTICATED", "OrderSuccess"]


async def test_without_a_login_one_may_hold_tickets(do: Do) -> None:
    """In the default tenant; a service that has seen the payment confirms them."""
    await ticket_type(do)
    held = await order(do, None, "1", t=1)

    again = await order(do, None, "1", t=1)
    own = [await do(None, name, orderId=held["order"]["id"]) for name in ("confirmTickets", "releaseTickets")]
    paid = await do("service", "confirmTickets", orderId=held["order"]["id"])

    assert (held["__typename"], again["order"]["id"], again["replayed"]) == ("OrderSuccess", held["order"]["id"], True)
    assert names([*own, paid]) == ["UNAUTHENTICATED", "UNAUTHENTICATED", "OrderSuccess"]


async def test_tickets_of_another_tenant_do_not_exist(do: Do) -> None:
    """As if nobody had made them."""
    await ticket_type(do)

    answer = await order(do, "eve", "1", t=1)

    assert (answer["__typename"], answer["ref"]) == ("NotFoundError", "t")


async def test_a_registration_is_no_order(do: Do) -> None:
    """Though both are places at the event."""
    registration = (await do("x", "register", eventId="e"))["registration"]["id"]

    answers = [await do("olga", name, orderId=registration) for name in ("confirmTickets", "refundTickets")]

    assert names(answers) == ["NotFoundError"] * 2


async def test_a_ticket_type_is_made_by_the_events_organiser(do: Do) -> None:
    """The same again is a replay, other input is not; what is wrong is named."""
    given = {"id": "t", "eventId": "e", "name": "T", "quota": 5, "salesStartAt": "2001-01-01T00:00:00Z"}
    made = [await do("olga", "createTicketType", **given) for _ in range(2)]
    who = [await do(name, "createTicketType", **given | {"id": "u"}) for name in ("ann", "otto", None, "service")]
    changes: list[dict[str, Any]] = [
        {"quota": 6},
        {"price": 1},
        {"salesStartAt": None},
        {"id": "u", "quota": -1},
        {"id": "u", "price": -1},
        {"id": "u", "minPerOrder": 0},
        {"id": "u", "minPerOrder": 3, "maxPerOrder": 2},
        {"id": "u", "holdSeconds": 0},
    ]
    wrong = [await do("olga", "createTicketType", **given | change) for change in changes]

    assert [(answer["__typename"], answer["replayed"]) for answer in made] == [
        ("PoolSuccess", False),
        ("PoolSuccess", True),
    ]
    assert names(who) == ["FORBIDDEN", "FORBIDDEN", "UNAUTHENTICATED", "FORBIDDEN"]
    assert [answer["field"] for answer in wrong] == [
        "id",
        "id",
        "id",
        "quota",
        "price",
        "minPerOrder",
        "maxPerOrder",
        "holdSeconds",
    ]


async def test_holding_answers_with_every_member_of_its_union(do: Do) -> None:
    """And with no other."""
    await ticket_type(do, "t")
    await ticket_type(do, "shut", salesEndAt="2001-01-01T00:00:00Z")
    given: list[tuple[str, dict[str, int]]] = [
        ("1", {"t": 1}),
        ("2", {"t": 6}),
        ("3", {"t": 11}),
        ("4", {"shut": 1}),
        ("5", {"none": 1}),
        ("6", {}),
        ("1", {"t": 2}),
    ]
    answers = [await order(do, "x", key, **lines) for key, lines in given]

    assert set(names(answers)) == members("holdTickets") - {"GatewayBusyError"}


async def test_an_order_answers_with_every_member_of_its_union(do: Do, owner: asyncpg.Connection) -> None:
    """And with no other."""
    await ticket_type(do)
    first, second = [(await order(do, "x", key, t=1))["order"]["id"] for key in "12"]
    answers = [
        await do("x", "confirmTickets", orderId=first, idempotencyKey="k"),
        await do("x", "confirmTickets", orderId=second, idempotencyKey="k"),
        await do("x", "confirmTickets", orderId=second, idempotencyKey=""),
        await do("x", "confirmTickets", orderId="none"),
        await do("x", "releaseTickets", orderId=first),
    ]
    await lapse(owner, "x")
    answers.append(await do("x", "confirmTickets", orderId=second))

    assert set(names(answers)) == members("confirmTickets") - {"GatewayBusyError"}


# ---------------------------------------------------------------- what an order keeps


async def test_an_order_keeps_what_it_was_sold_as(do: Do, gateway: Gateway, owner: asyncpg.Connection) -> None:
    """Name, price and currency of that time; an order from before they were kept shows those of today."""
    await ticket_type(do, price=1250, currency="EUR")
    kept, older = [(await order(do, "x", key, t=1))["order"]["id"] for key in "12"]
    await owner.execute("UPDATE capacity.claim SET facts = facts - 'price' WHERE id = $1 || '/1'", older)
    await owner.execute("UPDATE capacity.pool SET title = 'Dear', facts = facts || '{\"price\": 9}' WHERE ref = 't'")
    release = """mutation ($id: ID!) { releaseTickets(input: {orderId: $id}) {
      ... on OrderSuccess { order { lines { name price currency } } }
    } }"""

    answers = [await gateway.send(release, {"id": order_id}, gateway.login("x", None)) for order_id in (kept, older)]

    assert [answer["order"]["lines"] for answer in answers] == [
        [{"name": "t", "price": 1250, "currency": "EUR"}],
        [{"name": "Dear", "price": 9, "currency": "EUR"}],
    ]


async def test_a_guest_may_say_where_to_be_reached(do: Do, owner: asyncpg.Connection) -> None:
    """It is kept with the order; what is no address is refused."""
    await ticket_type(do)
    given = {"eventId": "e", "lines": [{"ticketTypeId": "t", "quantity": 1}], "guestName": "Gwen", "guestPhone": "1"}

    wrong = await do(None, "holdTickets", **given, guestEmail="nowhere", idempotencyKey="1")
    held = await do(None, "holdTickets", **given, guestEmail="gwen@example.org", idempotencyKey="2")

    assert (wrong["__typename"], wrong["field"], held["__typename"]) == (
        "InvalidInputError",
        "guestEmail",
        "OrderSuccess",
    )
    facts = await owner.fetchval("SELECT facts - 'ordered' FROM capacity.claim WHERE id = subject")
    assert json.loads(facts) == {"guest_email": "gwen@example.org", "guest_name": "Gwen", "guest_phone": "1"}


async def test_an_order_is_of_one_currency_and_a_payable_sum(do: Do) -> None:
    """Anything else could not be paid for."""
    await ticket_type(do, "t", price=2**31 - 1)
    await ticket_type(do, "u", currency="CHF")

    answers = [await order(do, "x", "1", t=1, u=1), await order(do, "x", "2", t=2)]

    assert [answer["message"] for answer in answers] == [
        "All tickets must have the same currency",
        "an order costs at most 2147483647",
    ]
