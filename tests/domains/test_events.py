"""Events: who is registered, once each, with what was drawn in the same step."""

import asyncio
from collections import Counter
from typing import Any

import asyncpg
import pytest

from conftest import Gateway
from domains.conftest import Answer, Do, assert_made, crowd, lapse, members, names

pytestmark = pytest.mark.usefixtures("balanced")


@pytest.fixture
async def full_set(do: Do, event: str) -> None:
    """At Olga's event a free ticket type `t` for five, one `paid`, and sessions `s1` and `s2` for five each."""
    assert event == "e"
    assert_made(await do("olga", "createTicketType", id="t", eventId="e", name="T", quota=5))
    assert_made(await do("olga", "createTicketType", id="paid", eventId="e", name="P", quota=5, price=100))
    for ref in ("s1", "s2"):
        assert_made(await do("olga", "createSession", id=ref, eventId="e", title=ref, quota=5))


async def limited(do: Do, quota: int | None) -> None:
    """Make Olga's event `e` for so many."""
    assert_made(await do("olga", "createEvent", id="e", name="E", quota=quota))


async def guest(do: Do, who: str | None, address: str, **more: Any) -> Answer:
    """Register a guest by e-mail."""
    return await do(who, "register", eventId="e", guestEmail=address, guestName="G", **more)


async def confirmed(owner: asyncpg.Connection) -> dict[str, int]:
    """How many are confirmed in each pool where anybody is."""
    rows = await owner.fetch("SELECT id, confirmed FROM capacity.pool WHERE confirmed > 0")
    return {row["id"]: row["confirmed"] for row in rows}


# ---------------------------------------------------------------- registering


async def test_of_two_on_the_last_place_one_gets_it(do: Do) -> None:
    """Behaviour 25: at once; the same person twice is once."""
    await limited(do, 1)

    answers = await asyncio.gather(*(do(who, "register", eventId="e") for who in "aabb"))

    assert Counter(names(answers)) == {"RegistrationSuccess": 2, "InsufficientCapacityError": 2}
    (registered,) = {a["registration"]["id"]: a["registration"] for a in answers if "registration" in a}.values()
    assert registered["status"] == "CONFIRMED"
    assert sorted(a["replayed"] for a in answers if "registration" in a) == [False, True]


async def test_of_two_hundred_on_the_last_twenty_places_twenty_get_in(do: Do) -> None:
    """Nobody is refused while a place is free: every refusal is judged when all 25 are taken."""
    await limited(do, 25)
    for number in range(5):
        await do(f"early {number}", "register", eventId="e")

    registered, refused = await crowd(200, lambda who: do(who, "register", eventId="e"))

    assert (len(registered), len(refused)) == (20, 180)
    assert {(r["available"], r["judgedVersion"]) for r in refused} == {(0, 25)}
    assert len({a["registration"]["ticketCode"] for a in registered}) == 20


async def test_without_a_quota_there_is_no_limit(do: Do) -> None:
    """Null stays null; 0 is nobody."""
    await limited(do, None)
    assert_made(await do("olga", "createEvent", id="shut", name="S", quota=0))

    registered, refused = await crowd(30, lambda who: do(who, "register", eventId="e"))
    nobody = await do("a", "register", eventId="shut")

    assert (len(registered), refused) == (30, [])
    assert {(a["pool"]["quota"], a["pool"]["available"]) for a in registered} == {(None, None)}
    assert (nobody["__typename"], nobody["requested"], nobody["available"]) == ("InsufficientCapacityError", 1, 0)


async def test_who_cancelled_may_register_again(do: Do) -> None:
    """Where there is room; it is another registration."""
    await limited(do, 1)
    first = (await do("a", "register", eventId="e"))["registration"]["id"]

    cancelled = await asyncio.gather(*(do("a", "cancelRegistration", registrationId=first) for _ in range(3)))
    await do("b", "register", eventId="e")
    full = await do("a", "register", eventId="e")
    await do("olga", "setQuota", kind="EVENT", ref="e", quota=2, idempotencyKey="k")
    again = await do("a", "register", eventId="e")

    assert {a["registration"]["status"] for a in cancelled} == {"CANCELLED"}
    assert sorted(a["replayed"] for a in cancelled) == [False, True, True]
    assert {a["pool"]["available"] for a in cancelled} == {1}
    assert full["__typename"] == "InsufficientCapacityError"
    assert again["registration"]["id"] != first


async def test_a_new_key_for_what_is_done_is_a_replay(do: Do) -> None:
    """With the first entries."""
    await limited(do, 5)
    first = await do("a", "register", eventId="e", idempotencyKey="1")

    again = await do("a", "register", eventId="e", idempotencyKey="2")

    assert (again["replayed"], again["entries"]) == (True, first["entries"])
    assert again["registration"] == first["registration"]


# ---------------------------------------------------------------- guests


async def test_a_guest_registers_once_by_his_address(do: Do) -> None:
    """Capitals and blanks around it do not matter, nor that eight ask at once."""
    await limited(do, 9)

    answers = await asyncio.gather(
        *(guest(do, None, address) for address in ["Ann@X.org", "ann@x.org", " aNN@x.ORG "] * 3)
    )

    assert Counter(names(answers)) == {"RegistrationSuccess": 1, "NotEligibleError": 8}
    assert {answer["code"] for answer in answers if "code" in answer} == {"ALREADY_REGISTERED"}


async def test_a_guest_with_the_first_times_key_is_a_replay(do: Do) -> None:
    """Anybody else who knows the address is shown nothing."""
    await limited(do, 9)
    first = await guest(do, None, "ann@x.org", idempotencyKey="k")

    again = await guest(do, None, "ann@x.org", idempotencyKey="k")
    other = await guest(do, None, "ann@x.org", idempotencyKey="l")

    assert (again["__typename"], again["replayed"]) == ("RegistrationSuccess", True)
    assert (again["registration"], again["entries"]) == (first["registration"], first["entries"])
    assert (other["code"], "registration" in other) == ("ALREADY_REGISTERED", False)


async def test_a_guest_whose_registration_was_cancelled_may_register_again(do: Do) -> None:
    """The organiser called it off."""
    await limited(do, 1)
    first = await guest(do, None, "ann@x.org")
    await do("olga", "cancelRegistration", registrationId=first["registration"]["id"])

    again = await guest(do, None, "ANN@x.org")

    assert again["__typename"] == "RegistrationSuccess"


async def test_a_guest_registers_with_a_ticket_and_seats(do: Do, full_set: None, owner: asyncpg.Connection) -> None:
    """In the same step; again takes nothing more."""
    first = await guest(do, None, "ann@x.org", ticketTypeId="t", sessionIds=["s1"])
    again = await guest(do, None, "ann@x.org", ticketTypeId="t", sessionIds=["s2"])

    assert names([first, again]) == ["RegistrationSuccess", "NotEligibleError"]
    assert await confirmed(owner) == {"event:e": 1, "ticket_type:t": 1, "session:s1": 1}


@pytest.mark.parametrize("address", ["", "ann", "@x.org", "ann@", "a\n@x.org", "a" * 250 + "@x.org"])
async def test_an_address_must_be_one(do: Do, address: str) -> None:
    """Anything else is refused."""
    await limited(do, 9)

    answer = await guest(do, None, address)

    assert (answer["__typename"], answer["field"]) == ("InvalidInputError", "guestEmail")


async def test_a_registration_is_for_a_holder_or_for_a_guest(do: Do) -> None:
    """Not for both."""
    await limited(do, 9)

    answer = await guest(do, "service", "ann@x.org", holder="bob")

    assert (answer["__typename"], answer["field"]) == ("InvalidInputError", "holder")


# ---------------------------------------------------------------- all in one step


async def test_a_registration_draws_on_all_its_pools(do: Do, full_set: None) -> None:
    """An entry in each; a seat named twice is one."""
    registered = await do("a", "register", eventId="e", ticketTypeId="t", sessionIds=["s1", "s2", "s1"])

    assert [(entry["pool"]["id"], entry["change"], entry["reason"]) for entry in registered["entries"]] == [
        ("event:e", -1, "JOIN"),
        ("ticket_type:t", -1, "CONFIRM"),
        ("session:s1", -1, "JOIN"),
        ("session:s2", -1, "JOIN"),
    ]


async def test_a_registration_draws_on_all_its_pools_or_on_none(
    do: Do, full_set: None, owner: asyncpg.Connection
) -> None:
    """Every one that was short is named."""
    for kind, ref in (("TICKET_TYPE", "t"), ("SESSION", "s2")):
        await do("olga", "setQuota", kind=kind, ref=ref, quota=0, idempotencyKey=ref)

    short = await do("a", "register", eventId="e", ticketTypeId="t", sessionIds=["s1", "s2"])

    assert [(s["pool"]["id"], s["requested"], s["available"]) for s in short["shortfalls"]] == [
        ("ticket_type:t", 1, 0),
        ("session:s2", 1, 0),
    ]
    assert await confirmed(owner) == {}


async def test_cancelling_gives_all_of_it_back(do: Do, full_set: None, owner: asyncpg.Connection) -> None:
    """Also the seats that were added later; who waits for one of them is offered it."""
    await do("olga", "setQuota", kind="SESSION", ref="s1", quota=1, idempotencyKey="k")
    await do("a", "register", eventId="e", ticketTypeId="t")
    more = await do("a", "register", eventId="e", sessionIds=["s1", "s2"])
    await do("b", "register", eventId="e")
    await do("b", "joinSession", sessionId="s1", orWait=True)

    cancelled = await do("a", "cancelRegistration", registrationId=more["registration"]["id"])
    accepted = await do("b", "acceptOffer", sessionId="s1")

    assert sorted(entry["pool"]["id"] for entry in cancelled["entries"]) == [
        "event:e",
        "session:s1",
        "session:s2",
        "ticket_type:t",
    ]
    assert accepted["__typename"] == "SessionJoined"
    assert await confirmed(owner) == {"event:e": 1, "session:s1": 1}


async def test_a_place_in_a_queue_is_no_seat(do: Do, full_set: None, owner: asyncpg.Connection) -> None:
    """Who waits for a session does not register with it; who has an offer takes it up."""
    await do("olga", "setQuota", kind="SESSION", ref="s1", quota=0, idempotencyKey="0")
    await do("a", "register", eventId="e")
    await do("a", "joinSession", sessionId="s1", orWait=True)
    waiting = await do("a", "register", eventId="e", sessionIds=["s1"])
    await do("olga", "setQuota", kind="SESSION", ref="s1", quota=1, idempotencyKey="1")

    offered = await do("a", "register", eventId="e", sessionIds=["s1"])

    assert names([waiting, offered]) == ["NotEligibleError", "RegistrationSuccess"]
    assert await confirmed(owner) == {"event:e": 1, "session:s1": 1}


async def test_what_belongs_to_another_event_is_not_drawn(do: Do, full_set: None) -> None:
    """It is not there."""
    assert_made(await do("olga", "createEvent", id="f", name="F"))
    assert_made(await do("olga", "createTicketType", id="u", eventId="f", name="U"))
    assert_made(await do("olga", "createSession", id="r", eventId="f", title="R"))

    answers = [
        await do("a", "register", eventId="e", ticketTypeId="u"),
        await do("a", "register", eventId="e", sessionIds=["s1", "r"]),
        await do("a", "register", eventId="e", sessionIds=["none"]),
    ]

    assert [(answer["__typename"], answer["ref"]) for answer in answers] == [
        ("NotFoundError", "u"),
        ("NotFoundError", "r"),
        ("NotFoundError", "none"),
    ]


async def test_a_ticket_that_costs_something_is_not_had_by_registering(do: Do, full_set: None) -> None:
    """Nobody gets round the payment; whoever has seen it may register the buyer with it."""
    bought = [
        await do("a", "register", eventId="e", ticketTypeId="paid"),
        await guest(do, None, "ann@x.org", ticketTypeId="paid"),
        await do("service", "register", eventId="e", holder="a", ticketTypeId="paid"),
        await guest(do, "olga", "bob@x.org", ticketTypeId="paid"),
    ]

    assert names(bought) == ["NotEligibleError"] * 2 + ["RegistrationSuccess"] * 2
    assert {answer["requirement"] for answer in bought[:2]} == {"payment"}


# ---------------------------------------------------------------- checking in


async def test_checking_in_moves_nothing(do: Do) -> None:
    """It is noted once, and what is noted is not called off."""
    await limited(do, 5)
    registration = (await do("a", "register", eventId="e"))["registration"]["id"]

    came = [await do("olga", "checkIn", registrationId=registration) for _ in range(2)]
    cancelled = await do("a", "cancelRegistration", registrationId=registration)

    assert [(c["registration"]["status"], c["replayed"], c["entries"]) for c in came] == [
        ("CHECKED_IN", False, []),
        ("CHECKED_IN", True, []),
    ]
    assert (cancelled["__typename"], cancelled["from"]) == ("InvalidTransitionError", "CHECKED_IN")


async def test_who_has_cancelled_is_not_checked_in(do: Do) -> None:
    """There is no registration any more."""
    await limited(do, 5)
    registration = (await do("a", "register", eventId="e"))["registration"]["id"]
    await do("a", "cancelRegistration", registrationId=registration)

    answer = await do("olga", "checkIn", registrationId=registration)

    assert (answer["__typename"], answer["from"]) == ("InvalidTransitionError", "CANCELLED")


async def test_an_order_is_no_registration(do: Do, full_set: None) -> None:
    """Though both are places at the event, at whatever stage."""
    lines = [{"ticketTypeId": "t", "quantity": 1}]
    orders = [
        (await do("a", "holdTickets", eventId="e", lines=lines, idempotencyKey=key))["order"]["id"] for key in "12"
    ]
    await do("a", "releaseTickets", orderId=orders[1])

    answers = [
        await do("olga", operation, registrationId=order)
        for operation in ("checkIn", "cancelRegistration")
        for order in orders
    ]

    assert names(answers) == ["NotFoundError"] * 4


# ---------------------------------------------------------------- keys


@pytest.mark.parametrize("operation", ["register", "cancelRegistration", "checkIn"])
async def test_a_key_replays_what_was_done(do: Do, full_set: None, operation: str) -> None:
    """The same entries, whatever has become of the registration; another input under it is a conflict."""
    made = await do("olga", "register", eventId="e", sessionIds=["s1"])
    given = {"registrationId": made["registration"]["id"]}
    if operation == "register":
        await do("olga", "cancelRegistration", **given)
        given = {"eventId": "e"}
    first = await do("olga", operation, **given, idempotencyKey="k")
    again = await do("olga", operation, **given, idempotencyKey="k")
    other = await do("ada", operation, **given, idempotencyKey="k")

    assert (again["__typename"], again["replayed"], again["entries"]) == (
        "RegistrationSuccess",
        True,
        first["entries"],
    )
    assert (again["registration"], other["__typename"]) == (first["registration"], "IdempotencyConflictError")


# ---------------------------------------------------------------- who may


async def test_who_may_register_whom(do: Do) -> None:
    """A service and an admin anybody, an organiser at his own events, an attendee himself."""
    await limited(do, 20)
    askers = ["ann", "otto", None, "eve", "olga", "service", "ada", "bob"]

    holders = [await do(who, "register", eventId="e", holder="bob") for who in askers]
    guests = [await guest(do, who, f"{who}@x.org") for who in ["ann", "otto", "olga", "service", "ada", None]]
    elsewhere = await do("eve", "register", eventId="e")

    assert names(holders) == ["FORBIDDEN", "FORBIDDEN", "UNAUTHENTICATED", "FORBIDDEN"] + ["RegistrationSuccess"] * 4
    assert names(guests) == ["FORBIDDEN"] * 2 + ["RegistrationSuccess"] * 4
    assert (elsewhere["__typename"], elsewhere["ref"]) == ("NotFoundError", "e")


async def test_who_may_cancel_and_check_in(do: Do) -> None:
    """Its holder may cancel; the event's organiser may both; for others there is no such registration."""
    await limited(do, 20)
    assert_made(await do("otto", "createEvent", id="f", name="F"))
    registration = (await do("otto", "register", eventId="e"))["registration"]["id"]
    askers = ["ann", "orla", "eve", None, "otto", "olga"]

    came = [await do(who, "checkIn", registrationId=registration) for who in askers]
    cancelled = [
        await do(
            who, "cancelRegistration", registrationId=(await do("bob", "register", eventId="e"))["registration"]["id"]
        )
        for who in ["ann", "orla", "eve", None, "bob", "olga", "service"]
    ]

    assert names(came) == [
        "FORBIDDEN",
        "NotFoundError",
        "FORBIDDEN",
        "UNAUTHENTICATED",
        "NotFoundError",
        "RegistrationSuccess",
    ]
    assert names(cancelled) == ["NotFoundError"] * 3 + ["UNAUTHENTICATED"] + ["RegistrationSuccess"] * 3


async def test_an_organiser_makes_his_own_events(do: Do) -> None:
    """His own or his organisation's; an admin makes anybody's."""
    made = [
        await do("olga", "createEvent", id="1", name="E"),
        await do("olga", "createEvent", id="2", name="E", ownerId="otto"),
        await do("orla", "createEvent", id="3", name="E", ownerId="otto"),
        await do("orla", "createEvent", id="4", name="E", ownerId="otto", organizationId="other"),
        await do("ada", "createEvent", id="5", name="E", ownerId="otto"),
        await do("ann", "createEvent", id="6", name="E"),
        await do("service", "createEvent", id="7", name="E"),
        await do(None, "createEvent", id="8", name="E"),
    ]
    governed = [await do("otto", "setQuota", kind="EVENT", ref=ref, quota=5, idempotencyKey=ref) for ref in "135"]

    assert names(made) == [
        "PoolSuccess",
        "FORBIDDEN",
        "PoolSuccess",
        "FORBIDDEN",
        "PoolSuccess",
        "FORBIDDEN",
        "FORBIDDEN",
        "UNAUTHENTICATED",
    ]
    assert names(governed) == ["FORBIDDEN", "PoolSuccess", "PoolSuccess"]


async def test_an_event_made_again_is_a_replay(do: Do) -> None:
    """With other input it is not; what is wrong is named."""
    given = {"id": "e", "name": "E", "quota": 5, "streamQuota": 2, "startsAt": "2030-01-01T10:00:00Z"}

    made = await asyncio.gather(*(do("olga", "createEvent", **given) for _ in range(4)))
    wrong = [
        await do("olga", "createEvent", **given | change)
        for change in ({"quota": 6}, {"streamQuota": None}, {"id": "f", "quota": -1}, {"id": "f", "streamQuota": -1})
    ]

    assert sorted((answer["__typename"], answer["replayed"]) for answer in made) == [
        ("PoolSuccess", False),
        *[("PoolSuccess", True)] * 3,
    ]
    assert [answer["field"] for answer in wrong] == ["id", "id", "quota", "streamQuota"]


# ---------------------------------------------------------------- what is refused, and what is shown


async def test_registering_answers_with_every_member_of_its_union(do: Do, full_set: None) -> None:
    """And with no other."""
    assert_made(await do("olga", "createEvent", id="shut", name="S", quota=0))
    assert_made(await do("olga", "createEvent", id="closed", name="C"))
    await do("olga", "closePool", kind="EVENT", ref="closed")
    await guest(do, None, "ann@x.org")
    answers = [await do("a", "register", eventId=ref, idempotencyKey="k") for ref in ("e", "shut")]
    answers += [await do("a", "register", eventId=ref) for ref in ("shut", "closed", "none", "")]
    answers.append(await guest(do, None, "ann@x.org"))

    assert set(names(answers)) == members("register") - {"GatewayBusyError"}


async def test_a_registration_answers_with_every_member_of_its_union(do: Do) -> None:
    """And with no other."""
    await limited(do, 5)
    first, second = [(await do(who, "register", eventId="e"))["registration"]["id"] for who in "ab"]
    answers = [
        await do("olga", "cancelRegistration", registrationId=first, idempotencyKey="k"),
        await do("olga", "cancelRegistration", registrationId=second, idempotencyKey="k"),
        await do("olga", "cancelRegistration", registrationId=second, idempotencyKey=""),
        await do("olga", "cancelRegistration", registrationId="none"),
        await do("olga", "checkIn", registrationId=first),
    ]

    assert set(names(answers)) == members("cancelRegistration") - {"GatewayBusyError"}


async def test_an_event_shows_what_belongs_to_it(gateway: Gateway, do: Do, full_set: None) -> None:
    """Its sessions, ticket types, booths and stream, to everybody."""
    assert_made(await do("olga", "createBooth", id="b", eventId="e", name="B"))

    found = await gateway.send(
        '{ capacityEvent(id: "e") { id name stream { quota } sessions { id event { id } } '
        "ticketTypes { id price event { id } } booths { id event { id } } } }",
        headers={},
    )

    e = {"event": {"id": "e"}}
    assert found == {
        "id": "e",
        "name": "E",
        "stream": {"quota": 2},
        "sessions": [{"id": "s1", **e}, {"id": "s2", **e}],
        "ticketTypes": [{"id": "paid", "price": 100, **e}, {"id": "t", "price": 0, **e}],
        "booths": [{"id": "b", **e}],
    }


async def test_a_held_order_keeps_its_place_at_the_event(do: Do, owner: asyncpg.Connection) -> None:
    """Until it runs out: nobody registers into a place that somebody is paying for."""
    await limited(do, 1)
    assert_made(await do("olga", "createTicketType", id="t", eventId="e", name="T"))
    lines = [{"ticketTypeId": "t", "quantity": 1}]
    await do("a", "holdTickets", eventId="e", lines=lines, idempotencyKey="1")

    during = await do("b", "register", eventId="e")
    await lapse(owner, "a")
    after = await do("b", "register", eventId="e")

    assert (during["cause"], after["__typename"]) == ("HELD", "RegistrationSuccess")


async def test_while_somebody_keeps_the_lock_everybody_is_told_to_send_the_same_again(
    do: Do, full_set: None, owner: asyncpg.Connection
) -> None:
    """Of every kind; nothing has happened, and under the same key it then does."""
    assert_made(await do("olga", "createBooth", id="b", eventId="e", name="B"))
    asked: list[tuple[str, dict[str, Any]]] = [
        ("register", {"eventId": "e"}),
        ("holdTickets", {"eventId": "e", "lines": [{"ticketTypeId": "t", "quantity": 1}]}),
        ("joinSession", {"sessionId": "s1"}),
        ("enterBooth", {"boothId": "b"}),
        ("enter", {"kind": "STREAM", "ref": "e"}),
    ]

    async def all_of_it() -> list[Answer]:
        return await asyncio.gather(*(do("a", name, **given, idempotencyKey="k") for name, given in asked))

    async with owner.transaction():
        await owner.execute("SELECT FROM capacity.pool FOR UPDATE")
        busy = await all_of_it()
    then = await do("a", "register", eventId="e", idempotencyKey="k")
    rest = await all_of_it()

    assert {(a["__typename"], a["code"], a["retry"]) for a in busy} == {
        ("GatewayBusyError", "GATEWAY_BUSY", "SAME_KEY")
    }
    assert (then["__typename"], then["replayed"]) == ("RegistrationSuccess", False)
    assert names(rest) == ["RegistrationSuccess", "OrderSuccess", "SessionJoined", "BoothEntered", "LeaseSuccess"]
    assert [answer["replayed"] for answer in rest] == [True, False, False, False, False]
