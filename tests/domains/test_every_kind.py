"""The hard behaviours of every kind, on concurrent requests where they speak of concurrency."""

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine
from typing import Any

import asyncpg
import pytest

from conftest import Gateway
from invariants import check_invariants

Do = Callable[..., Coroutine[Any, Any, Any]]

SELECTION = """{
  __typename
  ... on CapacityChange { replayed pool { id held confirmed available version waitlist { waiting offered } }
    entries { reason change pool { id } } }
  ... on RegistrationSuccess { registration { id status ticketCode } }
  ... on OrderSuccess { order { id status lines { quantity ticketType { id } } } }
  ... on SessionJoined { claim { id state } }
  ... on SessionWaiting { claim { id state position } }
  ... on BoothEntered { claim { id state } }
  ... on BoothQueued { claim { id state position } }
  ... on LeaseSuccess { claim { id state expiresAt } }
  ... on InsufficientCapacityError { requested available cause shortfalls { pool { id } requested available } }
  ... on NotEligibleError { requirement }
  ... on HoldExpiredError { pool { available } }
  ... on PoolClosedError { opensAt }
  ... on PerHolderLimitError { limit current }
  ... on CapacityError { code message }
}"""
INPUTS = {
    "acceptOffer": "SessionRefInput",
    "cancelRegistration": "RegistrationRefInput",
    "checkIn": "RegistrationRefInput",
    "confirmTickets": "OrderRefInput",
    "declineOffer": "SessionRefInput",
    "enter": "EnterInput",
    "enterBooth": "EnterBoothInput",
    "heartbeat": "HeartbeatInput",
    "holdTickets": "HoldTicketsInput",
    "joinSession": "JoinSessionInput",
    "leave": "LeaveInput",
    "leaveBooth": "BoothRefInput",
    "leaveSession": "SessionRefInput",
    "moveToRoom": "MoveInput",
    "refundTickets": "OrderRefInput",
    "releaseTickets": "OrderRefInput",
    "setQuota": "SetQuotaInput",
}


@pytest.fixture
def do(gateway: Gateway) -> Do:
    """Do a mutation as somebody: an attendee by name, "olga" the organiser, "service", or nobody (None)."""
    union = gateway_unions()

    async def send(who: str | None, operation: str, **given: Any) -> Any:
        roles = {"olga": "organizer", "otto": "organizer", "service": "service", "ada": "admin"}
        headers = {} if who is None else gateway.login(who, roles.get(who))
        kind = INPUTS.get(operation) or operation[0].upper() + operation[1:] + "Input"
        document = f"mutation ($i: {kind}!) {{ {operation}(input: $i) {union(operation)} }}"
        answer = await gateway.post(document, {"i": given}, headers)
        if "errors" in answer:
            return {"__typename": answer["errors"][0]["extensions"]["code"]}
        return answer["data"][operation]

    return send


def gateway_unions() -> Callable[[str], str]:
    """The selection, less the members that an operation's union does not have."""
    from capacity_gateway.schema import schema  # noqa: PLC0415 - built once, and only here

    built = schema()._schema  # noqa: SLF001 - the built schema

    def selection(operation: str) -> str:
        assert built.mutation_type is not None
        names = {member.name for member in built.mutation_type.fields[operation].type.types}
        names |= {"CapacityChange", "CapacityError"}
        parts = SELECTION.split("  ... on ")
        return "  ... on ".join([parts[0], *(part for part in parts[1:] if part.split()[0] in names)]).rstrip(
            "}\n "
        ) + (" } }" if parts[-1].split()[0] in names else " }")

    return selection


@pytest.fixture(autouse=True)
async def books_balance(owner: asyncpg.Connection) -> Any:
    """After every test: counters, ledger and claims agree."""
    yield
    assert await check_invariants(owner) == []


@pytest.fixture
async def event(do: Do) -> str:
    """Olga's event, with no limit of its own."""
    assert (await do("olga", "createEvent", id="e", name="E", streamQuota=2))["__typename"] == "PoolSuccess"
    return "e"


async def session(do: Do, quota: int | None, ref: str = "s", **more: Any) -> str:
    """A session of Olga's that needs no registration."""
    made = await do(
        "olga", "createSession", id=ref, eventId="e", title=ref, quota=quota, requiresRegistration=False, **more
    )
    assert made["__typename"] == "PoolSuccess"
    return ref


def kinds(answers: list[Any]) -> Counter[str]:
    """How often each member of the union came."""
    return Counter(answer["__typename"] for answer in answers)


# ---------------------------------------------------------------- sessions and their waitlist


async def test_of_two_on_the_last_seat_one_gets_it(do: Do, event: str) -> None:
    """And the same person twice is one seat."""
    await session(do, 1)

    answers = await asyncio.gather(*(do(who, "joinSession", sessionId="s") for who in ("a", "b", "a", "b")))

    assert kinds(answers) == {"SessionJoined": 2, "InsufficientCapacityError": 2}
    assert {answer["replayed"] for answer in answers if answer["__typename"] == "SessionJoined"} == {True, False}


@pytest.mark.parametrize("kind", ["session", "event", "booth", "stream", "ticket"])
async def test_of_two_hundred_on_the_last_twenty_exactly_twenty_get_in(
    do: Do, owner: asyncpg.Connection, kind: str
) -> None:
    """No more, no fewer, and none is refused while a place is free."""
    await do("olga", "createEvent", id="e", name="E", quota=20 if kind == "event" else None, streamQuota=20)
    await session(do, 20, waitlist=False)
    await do("olga", "createBooth", id="b", eventId="e", name="B", quota=20, queue=False)
    await do("olga", "createTicketType", id="t", eventId="e", name="T", quota=20)
    line = [{"ticketTypeId": "t", "quantity": 1}]
    calls = {
        "session": lambda who: do(who, "joinSession", sessionId="s"),
        "event": lambda who: do(who, "register", eventId="e"),
        "booth": lambda who: do(who, "enterBooth", boothId="b"),
        "stream": lambda who: do(who, "enter", kind="STREAM", ref="e"),
        "ticket": lambda who: do(who, "holdTickets", eventId="e", lines=line, idempotencyKey=who),
    }

    answers: list[Any] = []

    async def insist(who: str) -> None:
        while (answer := await calls[kind](who))["__typename"] == "GatewayBusyError":
            pass
        answers.append(answer)

    await asyncio.gather(*(insist(f"p{number}") for number in range(200)))

    refused = [answer for answer in answers if answer["__typename"] == "InsufficientCapacityError"]
    assert (len(answers) - len(refused), len(refused)) == (20, 180)
    assert {answer["available"] for answer in refused} == {0}
    assert (
        await owner.fetchval(
            "SELECT count(*) FROM capacity.ledger WHERE pool_id = $1",
            {
                "session": "session:s",
                "event": "event:e",
                "booth": "booth:b",
                "stream": "stream:e",
                "ticket": "ticket_type:t",
            }[kind],
        )
        == 20
    )


async def test_who_left_does_not_get_round_the_limit(do: Do, event: str) -> None:
    """A left, B took the seat: A is refused, and in again once there is room."""
    await session(do, 1)
    for who, operation in (("a", "joinSession"), ("a", "leaveSession"), ("b", "joinSession")):
        await do(who, operation, sessionId="s")

    refused = await do("a", "joinSession", sessionId="s")
    await do("b", "leaveSession", sessionId="s")
    back = await do("a", "joinSession", sessionId="s")

    assert (refused["__typename"], back["__typename"]) == ("InsufficientCapacityError", "SessionJoined")


async def test_an_offer_holds_the_seat(do: Do, event: str) -> None:
    """While it stands no walk-in gets it; declined, it goes to the next; with nobody left, to whoever comes."""
    await session(do, 1)
    await do("x", "joinSession", sessionId="s")
    places = [(await do(who, "joinSession", sessionId="s", orWait=True))["claim"]["position"] for who in "abc"]
    left = await do("x", "leaveSession", sessionId="s")
    walk_in = await do("w", "joinSession", sessionId="s")
    declined = await do("a", "declineOffer", sessionId="s")
    accepted = [await do("b", "acceptOffer", sessionId="s") for _ in range(2)]
    again = await do("a", "joinSession", sessionId="s", orWait=True)

    assert places == [1, 2, 3]
    assert (left["pool"]["available"], left["pool"]["waitlist"]) == (0, {"waiting": 2, "offered": 1})
    assert (walk_in["__typename"], walk_in["cause"]) == ("InsufficientCapacityError", "OFFERED")
    assert declined["__typename"] == "SessionLeft"
    assert [(a["__typename"], a["replayed"]) for a in accepted] == [("SessionJoined", False), ("SessionJoined", True)]
    assert again["claim"]["position"] == 2


async def test_an_offer_that_ran_out_is_too_late(do: Do, event: str, pause: Any) -> None:
    """No seat is taken, the next is offered it, and nobody needed to sweep."""
    await session(do, 1, offerSeconds=1)
    await do("x", "joinSession", sessionId="s")
    for who in "ab":
        await do(who, "joinSession", sessionId="s", orWait=True)
    await do("x", "leaveSession", sessionId="s")
    await pause(1.1)

    late = await do("a", "acceptOffer", sessionId="s")
    stranger = await do("c", "acceptOffer", sessionId="s")
    in_time = await do("b", "acceptOffer", sessionId="s")

    assert (late["__typename"], stranger["__typename"]) == ("HoldExpiredError", "OfferUnavailableError")
    assert in_time["__typename"] == "SessionJoined"


async def test_tiers_are_set_by_organisers_only(do: Do, event: str) -> None:
    """VIP before PREMIUM before STANDARD, first come first served within; an attendee's own wish is ignored."""
    await session(do, 0)
    for who, tier in (("s1", None), ("v1", "VIP"), ("p1", "PREMIUM"), ("v2", "VIP")):
        await do("olga", "joinSession", sessionId="s", holder=who, orWait=True, tier=tier)
    wish = await do("s2", "joinSession", sessionId="s", orWait=True, tier="VIP")

    raised = await do("olga", "setQuota", kind="SESSION", ref="s", quota=3, idempotencyKey="k")
    accepted = [(await do(who, "acceptOffer", sessionId="s"))["__typename"] for who in ("v1", "v2", "p1", "s1", "s2")]

    assert wish["claim"]["position"] == 5
    assert raised["pool"]["waitlist"] == {"waiting": 2, "offered": 3}
    assert accepted == ["SessionJoined"] * 3 + ["OfferUnavailableError"] * 2


async def test_raising_the_quota_offers_as_many_as_there_are_seats(do: Do, event: str) -> None:
    """Behaviour 20: 9 in, one live offer, 5 waiting; 10 becomes 13: three go out, to three people."""
    await session(do, 10)
    for number in range(10):
        await do(f"p{number}", "joinSession", sessionId="s")
    for number in range(6):
        await do(f"w{number}", "joinSession", sessionId="s", orWait=True)
    await do("p0", "leaveSession", sessionId="s")

    raised = await do("olga", "setQuota", kind="SESSION", ref="s", quota=13, idempotencyKey="k")
    nobody = await do("olga", "setQuota", kind="SESSION", ref="s", quota=50, idempotencyKey="l")

    assert (raised["pool"]["available"], raised["pool"]["waitlist"]) == (0, {"waiting": 2, "offered": 4})
    assert nobody["pool"]["waitlist"] == {"waiting": 0, "offered": 6}


async def test_a_group_is_not_passed(do: Do, event: str) -> None:
    """Who waits for two seats keeps his place before who waits for one."""
    await session(do, 3)
    for who in "xyz":
        await do(who, "joinSession", sessionId="s")
    await do("group", "joinSession", sessionId="s", orWait=True, quantity=2)
    await do("single", "joinSession", sessionId="s", orWait=True)

    one_free = await do("x", "leaveSession", sessionId="s")
    two_free = await do("y", "leaveSession", sessionId="s")

    assert one_free["pool"]["waitlist"] == {"waiting": 2, "offered": 0}
    assert two_free["pool"]["waitlist"] == {"waiting": 1, "offered": 1}


async def test_no_limit_stays_no_limit(do: Do, event: str) -> None:
    """However it is read or joined."""
    await session(do, None)

    answers = [await do(f"p{number}", "joinSession", sessionId="s") for number in range(3)]

    assert {answer["pool"]["available"] for answer in answers} == {None}


async def test_registration_is_needed_where_the_session_says_so(do: Do, event: str) -> None:
    """Registered is confirmed; a cancelled one is none."""
    await do("olga", "createSession", id="s", eventId="e", title="S", quota=5)
    before = await do("a", "joinSession", sessionId="s")
    registration = (await do("a", "register", eventId="e"))["registration"]["id"]
    joined = await do("a", "joinSession", sessionId="s")
    await do("a", "leaveSession", sessionId="s")
    await do("a", "cancelRegistration", registrationId=registration)
    after = await do("a", "joinSession", sessionId="s")

    assert [answer["__typename"] for answer in (before, joined, after)] == [
        "NotEligibleError",
        "SessionJoined",
        "NotEligibleError",
    ]


# ---------------------------------------------------------------- events


async def test_of_two_on_the_last_registration_one_gets_it(do: Do) -> None:
    """The same person twice is one; cancelled may register again."""
    await do("olga", "createEvent", id="e", name="E", quota=1)

    answers = await asyncio.gather(*(do(who, "register", eventId="e") for who in ("a", "a", "b", "b")))
    (registration,) = {answer["registration"]["id"] for answer in answers if "registration" in answer}
    holder = next(who for who, answer in zip("aabb", answers, strict=True) if "registration" in answer)
    cancelled = [await do(holder, "cancelRegistration", registrationId=registration) for _ in range(2)]
    again = await do(holder, "register", eventId="e")

    assert kinds(answers) == {"RegistrationSuccess": 2, "InsufficientCapacityError": 2}
    assert [c["replayed"] for c in cancelled] == [False, True]
    assert again["registration"]["id"] != registration


async def test_a_guest_registers_once_by_his_address(do: Do, event: str) -> None:
    """Case does not matter; again is refused without being shown anything, but with the same key it is a replay."""
    guest = {"eventId": "e", "guestName": "G"}
    first = await do(None, "register", **guest, guestEmail="Ann@x.org", idempotencyKey="k")
    replay = await do(None, "register", **guest, guestEmail="Ann@x.org", idempotencyKey="k")
    other = await do(None, "register", **guest, guestEmail="aNN@X.org")

    assert (first["__typename"], first["replayed"], replay["replayed"]) == ("RegistrationSuccess", False, True)
    assert replay["registration"] == first["registration"]
    assert (other["__typename"], other["code"]) == ("NotEligibleError", "ALREADY_REGISTERED")


async def test_a_guest_who_is_refused_takes_nothing(do: Do, event: str, owner: asyncpg.Connection) -> None:
    """A refusal means that nothing changed, in none of the pools."""
    await session(do, 5)
    await do("olga", "createTicketType", id="t", eventId="e", name="T", quota=5)
    await do(None, "register", eventId="e", guestEmail="g@x.org", guestName="G")

    again = await do(None, "register", eventId="e", guestEmail="g@x.org", ticketTypeId="t", sessionIds=["s"])

    assert again["code"] == "ALREADY_REGISTERED"
    assert await owner.fetchval("SELECT sum(confirmed) FROM capacity.pool WHERE kind <> 'event'") == 0


async def test_a_registration_draws_on_all_its_pools_or_on_none(do: Do, event: str) -> None:
    """Every short pool is named; cancelled, all of it comes back, also what was added later."""
    await session(do, 1)
    await session(do, 0, "full", waitlist=False)
    await do("olga", "createTicketType", id="t", eventId="e", name="T", quota=0)
    short = await do("a", "register", eventId="e", ticketTypeId="t", sessionIds=["s", "full"])
    await do("a", "register", eventId="e")
    more = await do("a", "register", eventId="e", sessionIds=["s"])
    cancelled = await do("a", "cancelRegistration", registrationId=more["registration"]["id"])

    assert {shortfall["pool"]["id"] for shortfall in short["shortfalls"]} == {"ticket_type:t", "session:full"}
    assert sorted(entry["pool"]["id"] for entry in cancelled["entries"]) == ["event:e", "session:s"]


async def test_an_organiser_acts_for_others_at_his_own_events_only(do: Do, event: str) -> None:
    """A service does everywhere, an attendee nowhere."""
    await session(do, 5)
    await do("bob", "joinSession", sessionId="s")

    answers = [await do(who, "leaveSession", sessionId="s", holder="bob") for who in ("otto", "ann", "olga", "service")]

    assert [answer["__typename"] for answer in answers] == ["FORBIDDEN", "FORBIDDEN", "SessionLeft", "SessionLeft"]


# ---------------------------------------------------------------- tickets


async def order(do: Do, who: str | None, key: str, *lines: tuple[str, int]) -> Any:
    """Hold tickets."""
    given = [{"ticketTypeId": ref, "quantity": quantity} for ref, quantity in lines]
    return await do(who, "holdTickets", eventId="e", lines=given, idempotencyKey=key)


async def test_the_life_of_a_ticket_hold(do: Do, event: str) -> None:
    """Held, refused to others with the true number, paid once, given back."""
    await do("olga", "createTicketType", id="t", eventId="e", name="T", quota=5)
    held = await order(do, "x", "1", ("t", 3))
    short = await order(do, "y", "2", ("t", 3))
    paid = [await do("x", "confirmTickets", orderId=held["order"]["id"]) for _ in range(2)]
    released = await do("x", "releaseTickets", orderId=held["order"]["id"])
    refunded = await do("olga", "refundTickets", orderId=held["order"]["id"])

    assert (held["order"]["status"], held["order"]["lines"]) == (
        "PENDING",
        [{"quantity": 3, "ticketType": {"id": "t"}}],
    )
    assert [(s["pool"]["id"], s["requested"], s["available"]) for s in short["shortfalls"]] == [("ticket_type:t", 3, 2)]
    assert [(p["order"]["status"], p["replayed"]) for p in paid] == [("COMPLETED", False), ("COMPLETED", True)]
    assert released["__typename"] == "InvalidTransitionError"
    assert (refunded["order"]["status"], sorted(e["change"] for e in refunded["entries"])) == ("REFUNDED", [3, 3])


async def test_an_order_is_held_whole_or_not_at_all(do: Do, event: str) -> None:
    """Of two types one is short: nothing is held, and the short one is named."""
    await do("olga", "createTicketType", id="t", eventId="e", name="T", quota=5)
    await do("olga", "createTicketType", id="u", eventId="e", name="U", quota=1)

    short = await order(do, "x", "1", ("t", 2), ("u", 2))
    rest = await order(do, "x", "2", ("t", 5))

    assert [s["pool"]["id"] for s in short["shortfalls"]] == ["ticket_type:u"]
    assert rest["__typename"] == "OrderSuccess"


async def test_an_order_runs_out_by_itself(do: Do, event: str, pause: Any, gateway: Gateway) -> None:
    """Exactly and without anybody calling; a late payment is told so."""
    await do("olga", "createTicketType", id="t", eventId="e", name="T", quota=5, holdSeconds=1)
    held = await order(do, "x", "1", ("t", 5))
    await pause(1.05)

    free = await gateway.send('{ capacity(kind: TICKET_TYPE, ref: "t") { available held } }')
    late = await do("x", "confirmTickets", orderId=held["order"]["id"])

    assert free == {"available": 5, "held": 0}
    assert late["__typename"] == "HoldExpiredError"


async def test_payment_and_release_at_once_have_one_winner(do: Do, event: str) -> None:
    """Either way the counters match the order's status."""
    await do("olga", "createTicketType", id="t", eventId="e", name="T", quota=100)
    for number in range(10):
        held = await order(do, "x", f"{number}", ("t", 1))
        answers = await asyncio.gather(
            do("service", "confirmTickets", orderId=held["order"]["id"]),
            do("x", "releaseTickets", orderId=held["order"]["id"]),
        )

        assert sorted(kinds(list(answers))) == ["InvalidTransitionError", "OrderSuccess"]


async def test_orders_keep_to_the_rules_of_their_types(do: Do, event: str) -> None:
    """The window of sale, the fewest and the most in an order, and a type of another event."""
    await do("olga", "createTicketType", id="later", eventId="e", name="L", salesStartAt="2999-01-01T00:00:00Z")
    await do("olga", "createTicketType", id="over", eventId="e", name="O", salesEndAt="2001-01-01T00:00:00Z")
    await do("olga", "createTicketType", id="pairs", eventId="e", name="P", minPerOrder=2, maxPerOrder=4)
    orders = [("later", 1), ("over", 1), ("pairs", 1), ("pairs", 5), ("none", 1), ("pairs", 4)]

    answers = [await order(do, "x", f"{number}", line) for number, line in enumerate(orders)]

    assert [answer["__typename"] for answer in answers] == [
        "PoolClosedError",
        "PoolClosedError",
        "InvalidInputError",
        "PerHolderLimitError",
        "NotFoundError",
        "OrderSuccess",
    ]
    assert answers[0]["opensAt"] == "2999-01-01T00:00:00.000000+00:00"


async def test_what_costs_something_is_not_confirmed_by_its_holder(do: Do, event: str) -> None:
    """But by whoever has seen the payment; and nobody else's order exists."""
    await do("olga", "createTicketType", id="t", eventId="e", name="T", quota=5, price=100)
    held = await order(do, "x", "1", ("t", 1))

    answers = [await do(who, "confirmTickets", orderId=held["order"]["id"]) for who in ("x", "y", "otto", "service")]

    assert [answer["__typename"] for answer in answers] == [
        "FORBIDDEN",
        "NotFoundError",
        "NotFoundError",
        "OrderSuccess",
    ]


async def test_an_anonymous_caller_holds_tickets_and_registers_guests_and_nothing_else(do: Do, event: str) -> None:
    """Everything else needs a login."""
    await do("olga", "createTicketType", id="t", eventId="e", name="T", quota=5)
    held = await order(do, None, "1", ("t", 1))

    assert held["__typename"] == "OrderSuccess"
    assert (await do(None, "confirmTickets", orderId=held["order"]["id"]))["__typename"] == "UNAUTHENTICATED"
    assert (await do(None, "register", eventId="e"))["__typename"] == "UNAUTHENTICATED"
    assert (await do(None, "enter", kind="STREAM", ref="e"))["__typename"] == "UNAUTHENTICATED"


# ---------------------------------------------------------------- booths, streams, huddles, breakout rooms


async def test_a_booth_admits_the_first_in_its_queue(do: Do, event: str, owner: asyncpg.Connection) -> None:
    """The place is kept for him; in time he is in, too late he is told once, and queues anew at the tail."""
    await do("olga", "createBooth", id="b", eventId="e", name="B", quota=1)
    await do("a", "enterBooth", boothId="b")
    queue = [(await do(who, "enterBooth", boothId="b"))["claim"]["position"] for who in "bc"]
    await do("a", "leaveBooth", boothId="b")
    walk_in = await do("d", "enterBooth", boothId="b")
    await owner.execute("UPDATE capacity.claim SET expires_at = clock_timestamp() WHERE holder = 'b' AND offered")

    late = await do("b", "enterBooth", boothId="b")
    anew = await do("b", "enterBooth", boothId="b")
    admitted = [await do("c", "enterBooth", boothId="b") for _ in range(2)]

    assert queue == [1, 2]
    assert (walk_in["__typename"], walk_in["claim"]["position"]) == ("BoothQueued", 2)
    assert late["__typename"] == "HoldExpiredError"
    assert (anew["__typename"], anew["claim"]["position"]) == ("BoothQueued", 2)
    assert [(a["__typename"], a["replayed"]) for a in admitted] == [("BoothEntered", False), ("BoothEntered", True)]


async def test_entering_another_booth_leaves_the_first(do: Do, event: str) -> None:
    """And admits its next; queueing for another leaves nothing. Quota 0 means nobody, raising it admits."""
    for ref, quota in (("b1", 1), ("b2", 1), ("b0", 0)):
        await do("olga", "createBooth", id=ref, eventId="e", name=ref, quota=quota)
    await do("a", "enterBooth", boothId="b1")
    await do("b", "enterBooth", boothId="b1")
    queued = await do("a", "enterBooth", boothId="b0")
    still = await do("a", "enterBooth", boothId="b1")
    moved = await do("a", "enterBooth", boothId="b2")
    admitted = await do("b", "enterBooth", boothId="b1")
    raised = await do("olga", "setQuota", kind="BOOTH", ref="b0", quota=1, idempotencyKey="k")

    assert (queued["__typename"], still["replayed"]) == ("BoothQueued", True)
    assert sorted(entry["pool"]["id"] for entry in moved["entries"]) == ["booth:b1", "booth:b2"]
    assert admitted["__typename"] == "BoothEntered"
    assert raised["pool"]["waitlist"] == {"waiting": 0, "offered": 1}


async def test_a_viewer_who_reconnects_is_one_viewer(do: Do, event: str, owner: asyncpg.Connection) -> None:
    """The same device is the same place, another one another; a heartbeat writes no entry; leaving twice is once."""
    first, again = [await do("a", "enter", kind="STREAM", ref="e", clientId="tab") for _ in range(2)]
    phone = await do("a", "enter", kind="STREAM", ref="e", clientId="phone")
    full = await do("b", "enter", kind="STREAM", ref="e")
    alive = await do("a", "heartbeat", leaseId=first["claim"]["id"])
    entries = await owner.fetchval("SELECT count(*) FROM capacity.ledger")
    left = [await do("a", "leave", leaseId=phone["claim"]["id"]) for _ in range(2)]
    in_now = await do("b", "enter", kind="STREAM", ref="e")

    assert (again["claim"]["id"], again["replayed"]) == (first["claim"]["id"], True)
    assert full["__typename"] == "InsufficientCapacityError"
    assert alive["claim"]["expiresAt"] > first["claim"]["expiresAt"]
    assert entries == 2
    assert [answer["replayed"] for answer in left] == [False, True]
    assert in_now["__typename"] == "LeaseSuccess"


async def test_a_dead_lease_is_not_brought_back(do: Do, event: str, owner: asyncpg.Connection) -> None:
    """A late heartbeat or leave changes nothing, and ends nobody's newer place."""
    dead = await do("a", "enter", kind="STREAM", ref="e", clientId="tab")
    await owner.execute("UPDATE capacity.claim SET expires_at = clock_timestamp()")
    newer = await do("a", "enter", kind="STREAM", ref="e", clientId="tab")

    late = [await do("a", operation, leaseId=dead["claim"]["id"]) for operation in ("heartbeat", "leave")]
    alive = await do("a", "heartbeat", leaseId=newer["claim"]["id"])
    stranger = await do("b", "leave", leaseId=newer["claim"]["id"])

    assert [answer["__typename"] for answer in late] == ["HoldExpiredError", "HoldExpiredError"]
    assert (alive["__typename"], alive["pool"]["held"]) == ("LeaseSuccess", 1)
    assert stranger["__typename"] == "NotFoundError"


async def test_a_huddle_begins_with_its_creator_in(do: Do, gateway: Gateway) -> None:
    """It is confirmed from the minimum on, refused when full, and leaving frees a place."""
    made = await do("a", "createHuddle", id="h", quota=2, minimum=2)
    alone = await gateway.send('{ huddle(id: "h") { confirmed minimum } }')
    await do("b", "enter", kind="HUDDLE", ref="h")
    both = await gateway.send('{ huddle(id: "h") { confirmed minimum } }')
    full = await do("c", "enter", kind="HUDDLE", ref="h")
    await do("a", "leave", leaseId=made["claim"]["id"])
    freed = await do("c", "enter", kind="HUDDLE", ref="h")
    wrong = [await do("a", "createHuddle", id="x", quota=quota) for quota in (1, 11)]

    assert (alone, both) == ({"confirmed": False, "minimum": 2}, {"confirmed": True, "minimum": 2})
    assert (full["__typename"], freed["__typename"]) == ("InsufficientCapacityError", "LeaseSuccess")
    assert kinds(wrong) == {"InvalidInputError": 2}


async def test_one_is_in_one_breakout_room_of_a_session(do: Do, event: str) -> None:
    """Also when two are entered at once; moving is one step, refused when full, and who left may return."""
    await session(do, 10)
    for ref, quota in (("r1", 2), ("r2", 2)):
        await do("olga", "createBreakoutRoom", id=ref, sessionId="s", title=ref, quota=quota)
    both = await asyncio.gather(*(do("a", "enter", kind="BREAKOUT_ROOM", ref=ref) for ref in ("r1", "r2")))
    lease = next(answer["claim"]["id"] for answer in both if "claim" in answer)
    here = next(answer["pool"]["id"][-2:] for answer in both if "claim" in answer)
    there = {"r1": "r2", "r2": "r1"}[here]
    moved = [await do("a", "moveToRoom", leaseId=lease, toRef=there) for _ in range(2)]
    for who in "bc":
        await do(who, "enter", kind="BREAKOUT_ROOM", ref=here)
    full = await do("a", "moveToRoom", leaseId=lease, toRef=here)
    await do("a", "leave", leaseId=lease)
    back = await do("a", "enter", kind="BREAKOUT_ROOM", ref=there)

    assert kinds(list(both)) == {"LeaseSuccess": 1, "NotEligibleError": 1}
    assert [(m["pool"]["id"], m["replayed"]) for m in moved] == [(f"breakout_room:{there}", r) for r in (False, True)]
    assert (full["__typename"], back["__typename"]) == ("InsufficientCapacityError", "LeaseSuccess")


async def test_nobody_moves_to_a_room_of_another_session(do: Do, event: str) -> None:
    """It is not there for him."""
    for ref in ("s1", "s2"):
        await session(do, 10, ref)
        await do("olga", "createBreakoutRoom", id=f"{ref}-room", sessionId=ref, title=ref)
    lease = (await do("a", "enter", kind="BREAKOUT_ROOM", ref="s1-room"))["claim"]["id"]

    moved = await do("a", "moveToRoom", leaseId=lease, toRef="s2-room")

    assert moved["__typename"] == "NotFoundError"
