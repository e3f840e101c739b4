"""Sessions: seats, and a waitlist in which a freed seat becomes an offer that holds it."""

import asyncio
from collections import Counter
from typing import Any

import asyncpg
import pytest

from conftest import Gateway
from domains.conftest import Answer, Do, assert_made, crowd, lapse, members, names

pytestmark = pytest.mark.usefixtures("balanced", "event")


async def session(do: Do, quota: int | None, ref: str = "s", **more: Any) -> None:
    """Make a session of Olga's that needs no registration."""
    given = {"id": ref, "eventId": "e", "title": ref, "quota": quota, "requiresRegistration": False, **more}
    assert_made(await do("olga", "createSession", **given))


async def full(do: Do, *waiting: str, **more: Any) -> None:
    """Make a session with one seat, taken by x, and people in its queue."""
    await session(do, 1, **more)
    await do("x", "joinSession", sessionId="s")
    for who in waiting:
        await wait(do, who)


async def wait(do: Do, who: str, **more: Any) -> Answer:
    """Join, or queue."""
    return await do(who, "joinSession", sessionId="s", orWait=True, **more)


async def queue(owner: asyncpg.Connection) -> list[str]:
    """Who waits, in order."""
    rows = await owner.fetch("SELECT holder FROM capacity.claim WHERE state = 'waiting' ORDER BY rank, place")
    return [row["holder"] for row in rows]


async def offered(owner: asyncpg.Connection) -> list[str]:
    """Who has an offer, in the order they were made."""
    rows = await owner.fetch(
        "SELECT c.holder FROM capacity.claim AS c INNER JOIN capacity.ledger AS l ON l.claim_id = c.id "
        "WHERE c.state = 'held' AND c.offered AND l.reason = 'OFFER' ORDER BY l.version"
    )
    return [row["holder"] for row in rows]


# ---------------------------------------------------------------- seats


async def test_of_two_on_the_last_seat_one_gets_it(do: Do) -> None:
    """Behaviour 15: at once; the other one is told what there is: nothing."""
    for number in range(10):
        await session(do, 1, f"s{number}")

        answers = await asyncio.gather(*(do(who, "joinSession", sessionId=f"s{number}") for who in "ab"))

        assert sorted(names(answers)) == ["InsufficientCapacityError", "SessionJoined"]
        assert [a["available"] for a in answers if "available" in a] == [0]


async def test_two_devices_of_one_person_are_one_seat(do: Do) -> None:
    """At once: both are told of the same seat, one as a replay."""
    await session(do, 1)

    answers = await asyncio.gather(*(do("a", "joinSession", sessionId="s") for _ in range(8)))

    assert Counter(names(answers)) == {"SessionJoined": 8}
    assert len({answer["claim"]["id"] for answer in answers}) == 1
    assert sorted(answer["replayed"] for answer in answers) == [False] + [True] * 7


async def test_of_two_hundred_on_the_last_twenty_seats_twenty_get_in(do: Do) -> None:
    """Nobody is refused while a seat is free: every refusal is judged when all 25 are taken."""
    await session(do, 25, waitlist=False)
    for number in range(5):
        await do(f"early {number}", "joinSession", sessionId="s")

    joined, refused = await crowd(200, lambda who: do(who, "joinSession", sessionId="s"))

    assert (len(joined), len(refused)) == (20, 180)
    assert {(r["available"], r["judgedVersion"]) for r in refused} == {(0, 25)}


async def test_of_two_hundred_who_would_wait_all_have_a_seat_or_a_place(do: Do, owner: asyncpg.Connection) -> None:
    """Twenty joined at once; the others have the places 1 to 180, each once."""
    await session(do, 20)

    answers, refused = await crowd(200, lambda who: wait(do, who))

    places = await owner.fetch(
        "SELECT capacity.claim_shown(c) ->> 'position' AS place FROM capacity.claim AS c WHERE state = 'waiting'"
    )
    assert (Counter(names(answers)), refused) == ({"SessionJoined": 20, "SessionWaiting": 180}, [])
    assert sorted(int(row["place"]) for row in places) == list(range(1, 181))


async def test_who_left_does_not_get_round_the_limit(do: Do) -> None:
    """Behaviour 16: A left, B took the seat: A is refused, and in again once there is room."""
    await session(do, 1)
    for who, operation in (("a", "joinSession"), ("a", "leaveSession"), ("b", "joinSession")):
        await do(who, operation, sessionId="s")

    refused = await do("a", "joinSession", sessionId="s")
    await do("b", "leaveSession", sessionId="s")
    back = await do("a", "joinSession", sessionId="s")

    assert names([refused, back]) == ["InsufficientCapacityError", "SessionJoined"]


async def test_leaving_twice_is_once(do: Do) -> None:
    """At once: the seat comes back once."""
    await session(do, 2)
    for who in "ab":
        await do(who, "joinSession", sessionId="s")

    left = await asyncio.gather(*(do("a", "leaveSession", sessionId="s") for _ in range(4)))

    assert Counter(names(left)) == {"SessionLeft": 4}
    assert sorted(answer["replayed"] for answer in left) == [False, True, True, True]
    assert {answer["pool"]["available"] for answer in left} == {1}


async def test_no_limit_stays_no_limit(do: Do) -> None:
    """Behaviour 22: however it is read or joined."""
    await session(do, None)

    joined, refused = await crowd(20, lambda who: do(who, "joinSession", sessionId="s"))

    assert (len(joined), refused) == (20, [])
    assert {(a["pool"]["quota"], a["pool"]["available"]) for a in joined} == {(None, None)}


async def test_no_seats_are_for_nobody(do: Do) -> None:
    """A quota of 0 is a limit."""
    await session(do, 0)

    answers = [await do("a", "joinSession", sessionId="s"), await wait(do, "a")]

    assert names(answers) == ["InsufficientCapacityError", "SessionWaiting"]


async def test_registration_is_needed_where_the_session_says_so(do: Do) -> None:
    """Registered is confirmed; a cancelled registration is none, and in the queue one needs it too."""
    await session(do, 5, requiresRegistration=True)
    before = [await do("a", "joinSession", sessionId="s"), await wait(do, "a")]
    registration = (await do("a", "register", eventId="e"))["registration"]["id"]
    joined = await do("a", "joinSession", sessionId="s")
    await do("a", "leaveSession", sessionId="s")
    await do("a", "cancelRegistration", registrationId=registration)
    after = await do("a", "joinSession", sessionId="s")

    assert names([*before, joined, after]) == ["NotEligibleError"] * 2 + ["SessionJoined", "NotEligibleError"]
    assert after["requirement"] == "registration"


async def test_a_registration_elsewhere_does_not_count(do: Do) -> None:
    """It must be for the session's own event."""
    assert_made(await do("olga", "createEvent", id="f", name="F"))
    await session(do, 5, requiresRegistration=True)
    await do("a", "register", eventId="f")

    answer = await do("a", "joinSession", sessionId="s")

    assert answer["__typename"] == "NotEligibleError"


# ---------------------------------------------------------------- offers


async def test_a_freed_seat_is_offered_and_held(do: Do) -> None:
    """Behaviour 17: while the offer stands nobody else gets the seat, and nothing is available."""
    await full(do, "a", "b")

    left = await do("x", "leaveSession", sessionId="s")
    walk_in = await do("w", "joinSession", sessionId="s")

    assert (left["pool"]["available"], left["pool"]["waitlist"]) == (0, {"waiting": 1, "offered": 1})
    assert (walk_in["__typename"], walk_in["cause"], walk_in["available"]) == (
        "InsufficientCapacityError",
        "OFFERED",
        0,
    )
    assert walk_in["earliestReleaseAt"] is not None


async def test_an_offer_is_accepted_once(do: Do) -> None:
    """Behaviour 19: twice at once is one seat, and one entry."""
    await full(do, "a")
    await do("x", "leaveSession", sessionId="s")

    accepted = await asyncio.gather(*(do("a", "acceptOffer", sessionId="s") for _ in range(2)))

    assert names(accepted) == ["SessionJoined"] * 2
    assert sorted(a["replayed"] for a in accepted) == [False, True]
    assert {(a["pool"]["held"], a["pool"]["confirmed"], a["pool"]["version"]) for a in accepted} == {(0, 1, 4)}


async def test_joining_takes_up_an_offer(do: Do) -> None:
    """It is the caller's own seat already."""
    await full(do, "a")
    await do("x", "leaveSession", sessionId="s")

    joined = await do("a", "joinSession", sessionId="s")

    assert (joined["__typename"], joined["claim"]["state"]) == ("SessionJoined", "CONFIRMED")


@pytest.mark.parametrize("how", ["declineOffer", "leaveSession"])
async def test_an_offer_given_up_goes_to_the_next(do: Do, owner: asyncpg.Connection, how: str) -> None:
    """And again, until nobody waits; then to whoever comes."""
    await full(do, "a", "b")
    await do("x", "leaveSession", sessionId="s")

    first = await do("a", how, sessionId="s")
    waiting = await offered(owner)
    second = await do("b", how, sessionId="s")
    walk_in = await do("w", "joinSession", sessionId="s")

    assert waiting == ["b"]
    assert (first["pool"]["available"], second["pool"]["available"]) == (0, 1)
    assert names([first, second, walk_in]) == ["SessionLeft", "SessionLeft", "SessionJoined"]


async def test_an_offer_that_runs_out_goes_to_the_next(do: Do, owner: asyncpg.Connection) -> None:
    """Behaviour 18: nobody swept: the late one is told so and takes no seat, and the next one can accept."""
    await full(do, "a", "b")
    await do("x", "leaveSession", sessionId="s")
    await lapse(owner, "a")

    late = await do("a", "acceptOffer", sessionId="s")
    stranger = await do("c", "acceptOffer", sessionId="s")
    in_time = await do("b", "acceptOffer", sessionId="s")

    assert names([late, stranger, in_time]) == ["HoldExpiredError", "OfferUnavailableError", "SessionJoined"]
    assert (late["pool"]["available"], late["pool"]["waitlist"]) == (0, {"waiting": 0, "offered": 1})


async def test_an_offer_runs_out_by_the_clock_alone(do: Do, pause: Any, gateway: Gateway) -> None:
    """A second is a second; a page that only reads sees the seat free again."""
    await full(do, "a", offerSeconds=1)
    await do("x", "leaveSession", sessionId="s")
    asked = '{ capacity(kind: SESSION, ref: "s") { available waitlist { waiting offered } } }'
    during = await gateway.send(asked)
    await pause(1.05)

    after = await gateway.send(asked)

    assert during == {"available": 0, "waitlist": {"waiting": 0, "offered": 1}}
    assert after == {"available": 1, "waitlist": {"waiting": 0, "offered": 0}}


async def test_an_offer_is_for_whom_it_was_made(do: Do) -> None:
    """Who waits, who has a seat and who has neither are told the same: there is no offer."""
    await full(do, "a", "b")
    await do("x", "leaveSession", sessionId="s")

    answers = [await do(who, "acceptOffer", sessionId="s") for who in ("b", "c")]
    declined = [await do(who, "declineOffer", sessionId="s") for who in ("b", "c")]
    await do("a", "acceptOffer", sessionId="s")
    seated = await do("a", "declineOffer", sessionId="s")

    assert {answer["message"] for answer in (*answers, *declined, seated)} == {"There is no offer to take up"}


async def test_who_comes_back_queues_at_the_tail(do: Do, owner: asyncpg.Connection) -> None:
    """Behaviour 21: after leaving, declining or running out there is one new place, behind all others."""
    await full(do, "a", "b", "c", "d")
    await do("b", "leaveSession", sessionId="s")
    left = await wait(do, "b")
    await do("x", "leaveSession", sessionId="s")
    await do("a", "declineOffer", sessionId="s")
    declined = await wait(do, "a")
    await lapse(owner, "c")
    ran_out = await wait(do, "c")

    assert [answer["claim"]["position"] for answer in (left, declined, ran_out)] == [4, 3, 3]
    assert (await offered(owner), await queue(owner)) == (["d"], ["b", "a", "c"])


async def test_two_calls_at_once_are_one_place_in_the_queue(do: Do) -> None:
    """The same claim, the same position."""
    await full(do)

    answers = await asyncio.gather(*(wait(do, "a") for _ in range(6)))

    assert {(a["__typename"], a["claim"]["id"]) for a in answers} == {("SessionWaiting", answers[0]["claim"]["id"])}
    assert {a["claim"]["position"] for a in answers} == {1}


async def test_positions_have_no_gaps(do: Do, gateway: Gateway) -> None:
    """Whoever goes, those behind move up; each one reads his own place."""
    await full(do, *"abcde")
    await do("b", "leaveSession", sessionId="s")
    await do("x", "leaveSession", sessionId="s")

    mine = [
        await gateway.send('{ capacity(kind: SESSION, ref: "s") { mine { position } } }', {}, gateway.login(who, None))
        for who in "cde"
    ]

    assert [pool["mine"]["position"] for pool in mine] == [1, 2, 3]


async def test_the_last_in_the_queue_may_leave_it(do: Do) -> None:
    """With nobody behind to be offered anything."""
    await full(do, "a")

    left = await do("a", "leaveSession", sessionId="s")

    assert (left["__typename"], left["pool"]["waitlist"]) == ("SessionLeft", {"waiting": 0, "offered": 0})


async def test_a_hundred_waiters_get_the_seats_in_order(do: Do, owner: asyncpg.Connection) -> None:
    """Each seat that comes free goes to exactly one, first come, first served, though all answer at once."""
    await session(do, 10)
    for number in range(10):
        await do(f"x{number}", "joinSession", sessionId="s")
    await crowd(30, lambda who: wait(do, who))
    order = await queue(owner)

    for number in range(10):
        await do(f"x{number}", "leaveSession", sessionId="s")
    accepted = await asyncio.gather(*(do(who, "acceptOffer", sessionId="s") for who in order))

    assert names(accepted) == ["SessionJoined"] * 10 + ["OfferUnavailableError"] * 20
    assert await queue(owner) == order[10:]


# ---------------------------------------------------------------- tiers, quotas, groups


async def test_only_organisers_set_a_tier(do: Do, owner: asyncpg.Connection) -> None:
    """VIP before PREMIUM before STANDARD, first come first served within; what others ask for is ignored."""
    await session(do, 0)
    for who, tier in (("s1", None), ("p1", "PREMIUM"), ("v1", "VIP"), ("p2", "PREMIUM"), ("v2", "VIP")):
        await wait(do, "olga", holder=who, tier=tier)
    wished = [await wait(do, "s2", tier="VIP"), await wait(do, "service", holder="s3", tier="VIP")]

    assert await queue(owner) == ["v1", "v2", "p1", "p2", "s1", "s2", "s3"]
    assert [answer["claim"]["position"] for answer in wished] == [6, 7]


async def test_raising_the_quota_offers_what_it_adds(do: Do, owner: asyncpg.Connection) -> None:
    """Behaviour 20: 9 of 10 in, one live offer, 5 waiting; with 13 three go out, to three people, by tier and turn."""
    await session(do, 10)
    for number in range(10):
        await do(f"x{number}", "joinSession", sessionId="s")
    for who, tier in (("w0", None), ("w1", None), ("w2", None), ("p", "PREMIUM"), ("v", "VIP"), ("w3", None)):
        await wait(do, "olga", holder=who, tier=tier)
    await do("x0", "leaveSession", sessionId="s")

    raised = await do("olga", "setQuota", kind="SESSION", ref="s", quota=13, idempotencyKey="k")

    assert await offered(owner) == ["v", "p", "w0", "w1"]
    assert (raised["pool"]["available"], raised["pool"]["waitlist"]) == (0, {"waiting": 2, "offered": 4})


async def test_raising_the_quota_with_nobody_waiting_is_fine(do: Do) -> None:
    """The seats are simply free."""
    await full(do)

    raised = await do("olga", "setQuota", kind="SESSION", ref="s", quota=3, idempotencyKey="k")

    assert (raised["__typename"], raised["pool"]["available"]) == ("PoolSuccess", 2)


async def test_lifting_the_limit_offers_to_all(do: Do, owner: asyncpg.Connection) -> None:
    """Unlimited seats are enough for everybody who waits."""
    await full(do, "a", "b", "c")

    await do("olga", "setQuota", kind="SESSION", ref="s", unlimited=True, idempotencyKey="k")

    assert await offered(owner) == ["a", "b", "c"]


async def test_a_group_is_not_passed(do: Do, owner: asyncpg.Connection) -> None:
    """Who waits for two seats keeps his place before who waits for one, and before who walks in."""
    await session(do, 3)
    for who in "xyz":
        await do(who, "joinSession", sessionId="s")
    await wait(do, "group", quantity=2)
    await wait(do, "single")

    one_free = await do("x", "leaveSession", sessionId="s")
    walk_in = await do("w", "joinSession", sessionId="s")
    two_free = await do("y", "leaveSession", sessionId="s")
    accepted = await do("group", "acceptOffer", sessionId="s")

    assert (one_free["pool"]["available"], one_free["pool"]["waitlist"]) == (1, {"waiting": 2, "offered": 0})
    assert (walk_in["__typename"], walk_in["message"]) == (
        "InsufficientCapacityError",
        "1 were asked for and 1 are available, and others wait for them",
    )
    assert two_free["pool"]["waitlist"] == {"waiting": 1, "offered": 1}
    assert (accepted["claim"]["quantity"], await queue(owner)) == (2, ["single"])


async def test_a_group_larger_than_the_session_does_not_queue(do: Do) -> None:
    """It would wait for ever."""
    await full(do)

    answer = await wait(do, "group", quantity=2)

    assert (answer["__typename"], answer["requested"]) == ("InsufficientCapacityError", 2)


# ---------------------------------------------------------------- keys


async def test_a_key_replays_the_seat_also_when_it_is_gone(do: Do) -> None:
    """The same member with the same entries; the claim in it as it is now."""
    await session(do, 5)
    first = await do("a", "joinSession", sessionId="s", idempotencyKey="k")
    await do("a", "leaveSession", sessionId="s")

    again = await do("a", "joinSession", sessionId="s", idempotencyKey="k")

    assert (again["__typename"], again["replayed"]) == ("SessionJoined", True)
    assert (again["entries"], again["claim"]["id"]) == (first["entries"], first["claim"]["id"])
    assert again["claim"]["state"] == "RELEASED"


async def test_a_key_replays_the_wait_also_when_it_has_ended(do: Do) -> None:
    """It had led to a place in the queue, and still says so; the claim in it is the seat by now."""
    await full(do)
    first = await wait(do, "a", idempotencyKey="k")
    await do("x", "leaveSession", sessionId="s")
    await do("a", "acceptOffer", sessionId="s")

    again = await wait(do, "a", idempotencyKey="k")

    assert names([first, again]) == ["SessionWaiting"] * 2
    assert (again["replayed"], again["entries"], again["claim"]["state"]) == (True, [], "CONFIRMED")


@pytest.mark.parametrize("operation", ["leaveSession", "acceptOffer", "declineOffer"])
async def test_a_key_replays_what_became_of_an_offer(do: Do, operation: str) -> None:
    """Also when the holder has joined anew since."""
    await full(do, "a")
    await do("x", "leaveSession", sessionId="s")
    first = await do("a", operation, sessionId="s", idempotencyKey="k")
    await do("a", "leaveSession", sessionId="s")
    await do("a", "joinSession", sessionId="s")

    again = await do("a", operation, sessionId="s", idempotencyKey="k")
    other = await do("a", operation, sessionId="t", idempotencyKey="k")
    pool = await do("olga", "setQuota", kind="SESSION", ref="s", quota=1, idempotencyKey="q")

    assert (again["__typename"], again["entries"]) == (first["__typename"], first["entries"])
    assert again["replayed"]
    assert other["__typename"] == "IdempotencyConflictError"
    assert pool["pool"]["confirmed"] == 1


@pytest.mark.parametrize("operation", ["leaveSession", "acceptOffer", "declineOffer"])
async def test_a_refusal_is_final_for_its_key(do: Do, operation: str) -> None:
    """Also of who was not in the session then, and is now."""
    await session(do, 5)
    refused = await do("a", operation, sessionId="s", idempotencyKey="k")
    await do("a", "joinSession", sessionId="s")

    again = await do("a", operation, sessionId="s", idempotencyKey="k")

    assert (again["__typename"], again["replayed"]) == (refused["__typename"], True)


async def test_without_a_key_a_refusal_is_not_remembered(do: Do) -> None:
    """One may simply try again; with a key it is final."""
    await session(do, 0, waitlist=False)
    refused = [await do("a", "joinSession", sessionId="s", **key) for key in ({}, {"idempotencyKey": "k"})]
    await do("olga", "setQuota", kind="SESSION", ref="s", quota=5, idempotencyKey="q")

    final = await do("a", "joinSession", sessionId="s", idempotencyKey="k")
    joined = await do("a", "joinSession", sessionId="s")

    assert names([*refused, final, joined]) == ["InsufficientCapacityError"] * 3 + ["SessionJoined"]
    assert final["replayed"]


# ---------------------------------------------------------------- who may, and what is refused


async def test_who_may_act_for_whom(do: Do) -> None:
    """A service and an admin everywhere, an organiser at his own events, an attendee for nobody else."""
    await session(do, 5)
    askers = ["ann", "otto", "olga", "service", "ada"]

    joined = [await do(who, "joinSession", sessionId="s", holder="bob") for who in askers]
    left = [await do(who, "leaveSession", sessionId="s", holder="bob") for who in askers]

    assert names(joined) == ["FORBIDDEN"] * 2 + ["SessionJoined"] * 3
    assert names(left) == ["FORBIDDEN"] * 2 + ["SessionLeft"] * 3
    assert {answer["claim"]["holder"] for answer in joined[2:]} == {"bob"}


async def test_without_a_login_there_is_no_seat(do: Do) -> None:
    """Nor a place in the queue, nor an offer."""
    await session(do, 5)

    answers = [await do(None, name, sessionId="s") for name in ("joinSession", "leaveSession", "acceptOffer")]

    assert set(names(answers)) == {"UNAUTHENTICATED"}


async def test_a_session_of_another_tenant_does_not_exist(do: Do) -> None:
    """It answers as one that nobody has made."""
    await session(do, 5)

    here = [await do("eve", name, sessionId="s") for name in ("joinSession", "leaveSession", "acceptOffer")]
    nowhere = [await do("eve", name, sessionId="t") for name in ("joinSession", "leaveSession", "acceptOffer")]

    assert set(names(here)) == {"NotFoundError"}
    assert [answer | {"ref": "t"} for answer in here] == nowhere


async def test_a_session_is_made_by_the_events_organiser(do: Do) -> None:
    """The same again is a replay, other input is not; what is wrong is named."""
    given = {"id": "s", "eventId": "e", "title": "S", "quota": 5}
    made = [await do("olga", "createSession", **given) for _ in range(2)]
    who = [await do(name, "createSession", **given | {"id": "t"}) for name in ("ann", "otto", None, "service")]
    wrong = [
        await do("olga", "createSession", **given | change)
        for change in ({"quota": 6}, {"waitlist": False}, {"id": "t", "quota": -1}, {"id": "t", "offerSeconds": 0})
    ]
    missing = await do("olga", "createSession", **given | {"eventId": "f"})

    assert [(answer["__typename"], answer["replayed"]) for answer in made] == [
        ("PoolSuccess", False),
        ("PoolSuccess", True),
    ]
    assert names(who) == ["FORBIDDEN", "FORBIDDEN", "UNAUTHENTICATED", "FORBIDDEN"]
    assert [answer["field"] for answer in wrong] == ["id", "id", "quota", "offerSeconds"]
    assert (missing["__typename"], missing["ref"]) == ("NotFoundError", "f")


async def test_joining_answers_with_every_member_of_its_union(do: Do) -> None:
    """And with no other."""
    await full(do, waitlist=False)
    await session(do, 0, "queue")
    await session(do, 5, "strict", requiresRegistration=True)
    await session(do, 5, "closed")
    await do("olga", "closePool", kind="SESSION", ref="closed")
    refs = ["s", "queue", "strict", "closed", "none"]
    answers = [await do("a", "joinSession", sessionId=ref, orWait=True) for ref in refs]
    answers.append(await do("a", "joinSession", sessionId="s", quantity=0))
    await do("x", "joinSession", sessionId="s", idempotencyKey="k")
    answers += [await do("x", "joinSession", sessionId=ref, idempotencyKey="k") for ref in ("s", "queue")]

    assert set(names(answers)) == members("joinSession") - {"GatewayBusyError"}


async def test_leaving_answers_with_every_member_of_its_union(do: Do) -> None:
    """And with no other."""
    await full(do)
    await session(do, 5, "t")
    await do("x", "joinSession", sessionId="t")
    given = [("s", "1"), ("none", "2"), ("t", "1"), ("t", "")]
    answers = [await do("x", "leaveSession", sessionId=ref, idempotencyKey=key) for ref, key in given]
    answers.append(await do("a", "leaveSession", sessionId="s"))

    assert set(names(answers)) == members("leaveSession") - {"GatewayBusyError"}


async def test_an_offer_answers_with_every_member_of_its_union(do: Do, owner: asyncpg.Connection) -> None:
    """And with no other."""
    await full(do, "a", "b", "c")
    await do("x", "leaveSession", sessionId="s")
    await lapse(owner, "a")
    answers = [
        await do("a", "acceptOffer", sessionId="s"),
        await do("b", "declineOffer", sessionId="s"),
        await do("c", "acceptOffer", sessionId="s", idempotencyKey="k"),
        await do("c", "acceptOffer", sessionId="none", idempotencyKey="k"),
        await do("c", "acceptOffer", sessionId="none"),
        await do("c", "acceptOffer", sessionId="none", idempotencyKey=""),
        await do("c", "declineOffer", sessionId="s"),
    ]

    assert set(names(answers)) == members("acceptOffer") - {"GatewayBusyError"}


async def test_closed_nobody_gets_in_and_whoever_is_in_may_leave(do: Do, owner: asyncpg.Connection) -> None:
    """Nothing is offered meanwhile; re-opened, the next one gets his offer."""
    await full(do, "a")
    await do("olga", "closePool", kind="SESSION", ref="s")
    left = await do("x", "leaveSession", sessionId="s")
    while_closed = await offered(owner)
    refused = await do("w", "joinSession", sessionId="s", orWait=True)

    await do("olga", "openPool", kind="SESSION", ref="s")

    assert names([left, refused]) == ["SessionLeft", "PoolClosedError"]
    assert (while_closed, await offered(owner)) == ([], ["a"])
