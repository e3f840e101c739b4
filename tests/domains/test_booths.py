"""Booths: visitors inside at a time, and a queue in which the first is admitted when a place frees."""

import asyncio
from collections import Counter
from datetime import datetime

import asyncpg
import pytest

from conftest import running
from domains.conftest import Answer, Do, assert_made, crowd, lapse, members, names, people

pytestmark = pytest.mark.usefixtures("balanced", "event")


async def booth(do: Do, quota: int | None = 1, ref: str = "b", **more: object) -> None:
    """Make a booth of Olga's."""
    assert_made(await do("olga", "createBooth", id=ref, eventId="e", name=ref, quota=quota, **more))


async def full(do: Do, *queued: str) -> None:
    """Make a booth for one, with x inside, and people in its queue."""
    await booth(do)
    for who in ("x", *queued):
        await do(who, "enterBooth", boothId="b")


async def admitted(owner: asyncpg.Connection) -> set[str]:
    """Whom a place is kept for."""
    rows = await owner.fetch("SELECT holder FROM capacity.claim WHERE state = 'held' AND offered")
    return {row["holder"] for row in rows}


async def inside(owner: asyncpg.Connection, holder: str) -> set[str]:
    """Which booths somebody is in."""
    rows = await owner.fetch(
        "SELECT pool_id FROM capacity.claim WHERE holder = $1 AND state = 'held' AND NOT offered", holder
    )
    return {row["pool_id"] for row in rows}


def places(answers: list[Answer]) -> list[tuple[str, int | None]]:
    """What each one got, and his place in the queue."""
    return [(answer["__typename"], answer["claim"]["position"]) for answer in answers]


# ---------------------------------------------------------------- inside, and the queue


async def test_who_finds_it_full_queues(do: Do) -> None:
    """Positions count from 1; who would rather not queue is told there is no room."""
    await booth(do)

    answers = [await do(who, "enterBooth", boothId="b") for who in "abc"]
    refused = await do("d", "enterBooth", boothId="b", orWait=False)

    assert places(answers) == [("BoothEntered", None), ("BoothQueued", 1), ("BoothQueued", 2)]
    assert (refused["__typename"], refused["available"]) == ("InsufficientCapacityError", 0)


async def test_entering_twice_is_one_visit(do: Do) -> None:
    """At once, inside or in the queue."""
    await booth(do)

    entered = await asyncio.gather(*(do("a", "enterBooth", boothId="b") for _ in range(5)))
    queued = await asyncio.gather(*(do("b", "enterBooth", boothId="b") for _ in range(5)))

    assert places(list(entered)) == [("BoothEntered", None)] * 5
    assert places(list(queued)) == [("BoothQueued", 1)] * 5
    assert len({answer["claim"]["id"] for answer in (*entered, *queued)}) == 2


async def test_of_two_hundred_at_a_booth_for_twenty_more_twenty_get_in(patient: Do) -> None:
    """Without a queue the others are refused, and only once all 25 are inside."""
    await booth(patient, 25, queue=False)
    for number in range(5):
        await patient(f"early {number}", "enterBooth", boothId="b")

    entered, refused = await crowd(200, lambda who: patient(who, "enterBooth", boothId="b"))

    assert (len(entered), len(refused)) == (20, 180)
    assert {(r["available"], r["judgedVersion"]) for r in refused} == {(0, 25)}


async def test_no_limit_and_no_places(do: Do) -> None:
    """Null lets everybody in; 0 nobody."""
    await booth(do, None, "open")
    await booth(do, 0, "shut")

    answers = [await do("a", "enterBooth", boothId=ref) for ref in ("shut", "open")]

    assert names(answers) == ["BoothQueued", "BoothEntered"]


# ---------------------------------------------------------------- admission


async def test_a_place_that_frees_is_kept_for_the_first_in_the_queue(do: Do) -> None:
    """A walk-in queues behind; the admitted one gets in, once."""
    await full(do, "a", "b")

    left = await do("x", "leaveBooth", boothId="b")
    walk_in = await do("w", "enterBooth", boothId="b")
    entered = await asyncio.gather(*(do("a", "enterBooth", boothId="b") for _ in range(3)))

    assert (left["pool"]["available"], left["pool"]["waitlist"]) == (0, {"waiting": 1, "offered": 1})
    assert places([walk_in]) == [("BoothQueued", 2)]
    assert Counter(names(list(entered))) == {"BoothEntered": 3}
    assert {(answer["pool"]["held"], answer["claim"]["id"]) for answer in entered} == {(1, entered[0]["claim"]["id"])}


async def test_an_admission_lasts_a_minute(do: Do, owner: asyncpg.Connection) -> None:
    """Behaviour 24: at 59 seconds one gets in; at 61 it has passed on, though nobody else left."""
    await booth(do, 2)
    for who in ("x", "y", "a", "b", "c"):
        await do(who, "enterBooth", boothId="b")
    for who in "xy":
        await do(who, "leaveBooth", boothId="b")
    await lapse(owner, "a", 59)
    await lapse(owner, "b", 61)

    in_time = await do("a", "enterBooth", boothId="b")
    late = await do("b", "enterBooth", boothId="b")

    assert names([in_time, late]) == ["BoothEntered", "HoldExpiredError"]
    assert await admitted(owner) == {"c"}
    assert late["pool"]["waitlist"] == {"waiting": 0, "offered": 1}


async def test_a_lapsed_admission_is_said_once(do: Do, owner: asyncpg.Connection) -> None:
    """After that one queues anew, at the tail."""
    await full(do, "a", "b", "c")
    await do("x", "leaveBooth", boothId="b")
    await lapse(owner, "a", 61)

    answers = [await do("a", "enterBooth", boothId="b") for _ in range(3)]

    assert names(answers) == ["HoldExpiredError", "BoothQueued", "BoothQueued"]
    assert places(answers[1:]) == [("BoothQueued", 2)] * 2


async def test_raising_the_quota_admits_from_the_queue(do: Do, owner: asyncpg.Connection) -> None:
    """As many as there are places, in order."""
    await full(do, "a", "b", "c")

    raised = await do("olga", "setQuota", kind="BOOTH", ref="b", quota=3, idempotencyKey="k")

    assert await admitted(owner) == {"a", "b"}
    assert (raised["pool"]["available"], raised["pool"]["waitlist"]) == (0, {"waiting": 1, "offered": 2})


# ---------------------------------------------------------------- leaving, and other booths


async def test_leaving_twice_is_once(do: Do) -> None:
    """At once: the place is given back once."""
    await booth(do, 2)
    for who in "ab":
        await do(who, "enterBooth", boothId="b")

    left = await asyncio.gather(*(do("a", "leaveBooth", boothId="b") for _ in range(4)))

    assert sorted((answer["__typename"], answer["replayed"]) for answer in left) == [
        ("BoothLeft", False),
        *[("BoothLeft", True)] * 3,
    ]
    assert {answer["pool"]["held"] for answer in left} == {1}


async def test_who_leaves_the_queue_or_an_admission_lets_the_next_up(do: Do, owner: asyncpg.Connection) -> None:
    """And may queue again, at the tail."""
    await full(do, "a", "b", "c")
    await do("b", "leaveBooth", boothId="b")
    await do("x", "leaveBooth", boothId="b")

    await do("a", "leaveBooth", boothId="b")
    again = [await do(who, "enterBooth", boothId="b") for who in "ba"]

    assert await admitted(owner) == {"c"}
    assert places(again) == [("BoothQueued", 1), ("BoothQueued", 2)]


async def test_entering_another_booth_leaves_the_first(do: Do, owner: asyncpg.Connection) -> None:
    """One step, with an entry in each; the next in the first one's queue is admitted."""
    await full(do, "a")
    await booth(do, 1, "other")

    moved = await do("x", "enterBooth", boothId="other")

    assert [(entry["pool"]["id"], entry["change"], entry["reason"]) for entry in moved["entries"]] == [
        ("booth:other", -1, "JOIN"),
        ("booth:b", 1, "LEAVE"),
    ]
    assert await admitted(owner) == {"a"}


async def test_queueing_for_another_booth_leaves_nothing(do: Do, owner: asyncpg.Connection) -> None:
    """Until one is admitted there, and goes in."""
    await full(do)
    await booth(do, 1, "other")
    await do("y", "enterBooth", boothId="other")

    queued = await do("x", "enterBooth", boothId="other")
    before = await inside(owner, "x")
    await do("y", "leaveBooth", boothId="other")
    while_admitted = await inside(owner, "x")
    await do("x", "enterBooth", boothId="other")

    assert (queued["__typename"], queued["entries"]) == ("BoothQueued", [])
    assert (before, while_admitted, await inside(owner, "x")) == ({"booth:b"}, {"booth:b"}, {"booth:other"})


@pytest.mark.parametrize("queue", [True, False])
async def test_one_is_in_one_booth_also_when_three_are_entered_at_once(
    do: Do, owner: asyncpg.Connection, *, queue: bool
) -> None:
    """Whichever came last."""
    for ref in ("b1", "b2", "b3"):
        await booth(do, 9, ref, queue=queue)

    for _ in range(5):
        answers = await asyncio.gather(*(do("x", "enterBooth", boothId=ref) for ref in ("b1", "b2", "b3")))

        assert set(names(answers)) == {"BoothEntered"}
        assert len(await inside(owner, "x")) == 1


# ---------------------------------------------------------------- leases


async def test_who_falls_silent_is_outside_and_the_next_admitted(do: Do, owner: asyncpg.Connection) -> None:
    """A visit is kept alive by heartbeats; a late one brings nothing back."""
    await booth(do)
    visit = await do("x", "enterBooth", boothId="b")
    await do("a", "enterBooth", boothId="b")
    await lapse(owner, "x", 46)

    late = await do("x", "heartbeat", leaseId=visit["claim"]["id"])
    entered = await do("a", "enterBooth", boothId="b")

    assert names([late, entered]) == ["HoldExpiredError", "BoothEntered"]


async def test_an_admission_is_no_lease(do: Do) -> None:
    """No heartbeat makes it longer, nor does one keep a place in the queue."""
    await full(do, "a", "b")
    admission, place = [(await do(who, "enterBooth", boothId="b"))["claim"]["id"] for who in "ab"]
    await do("x", "leaveBooth", boothId="b")

    answers = [await do("a", "heartbeat", leaseId=admission), await do("b", "heartbeat", leaseId=place)]

    assert "LeaseSuccess" not in names(answers)


async def test_a_visit_lasts_three_heartbeats(owner_url: str) -> None:
    """Whatever a heartbeat is; taking up an admission begins such a lease."""
    async with running(owner_url, heartbeat_seconds=7) as gateway:
        do = people(gateway)
        await full(do, "a")
        await do("x", "leaveBooth", boothId="b")
        entered = await do("a", "enterBooth", boothId="b")
        lasts = await gateway.send(
            '{ capacity(kind: BOOTH, ref: "b") { asOf mine { expiresAt } } }', {}, gateway.login("a", None)
        )

    assert entered["__typename"] == "BoothEntered"
    assert seconds(lasts["asOf"], lasts["mine"]["expiresAt"]) == pytest.approx(21, abs=1)


def seconds(start: str, end: str) -> float:
    """From one time to another."""
    return (datetime.fromisoformat(end) - datetime.fromisoformat(start)).total_seconds()


# ---------------------------------------------------------------- keys


async def test_a_key_replays_the_visit_and_the_place_in_the_queue(do: Do) -> None:
    """Each stays what it was, though the claim has changed since."""
    await booth(do)
    first = [await do(who, "enterBooth", boothId="b", idempotencyKey=f"{who}'s") for who in "ab"]
    await do("a", "leaveBooth", boothId="b")
    await do("b", "leaveBooth", boothId="b")

    again = [await do(who, "enterBooth", boothId="b", idempotencyKey=f"{who}'s") for who in "ab"]

    assert names(again) == names(first) == ["BoothEntered", "BoothQueued"]
    assert [answer["replayed"] for answer in again] == [True, True]
    assert [answer["entries"] for answer in again] == [answer["entries"] for answer in first]


async def test_a_key_replays_though_one_has_gone_to_another_booth_since(do: Do, owner: asyncpg.Connection) -> None:
    """It does not bring one back, and leaves nothing."""
    await booth(do, 5)
    await booth(do, 5, "other")
    first = await do("a", "enterBooth", boothId="b", idempotencyKey="k")
    await do("a", "enterBooth", boothId="other")

    again = await do("a", "enterBooth", boothId="b", idempotencyKey="k")

    assert (again["__typename"], again["entries"], again["replayed"]) == ("BoothEntered", first["entries"], True)
    assert await inside(owner, "a") == {"booth:other"}


async def test_a_key_replays_the_taking_up_of_an_admission(do: Do) -> None:
    """Also when one has left again."""
    await full(do, "a")
    await do("x", "leaveBooth", boothId="b")
    await do("a", "enterBooth", boothId="b", idempotencyKey="k")
    await do("a", "leaveBooth", boothId="b")

    again = await do("a", "enterBooth", boothId="b", idempotencyKey="k")

    assert (again["__typename"], again["replayed"]) == ("BoothEntered", True)


async def test_a_key_replays_that_one_left(do: Do) -> None:
    """Also when one is inside again; and a refusal is final for its key."""
    await booth(do, 5)
    refused = await do("a", "leaveBooth", boothId="b", idempotencyKey="early")
    await do("a", "enterBooth", boothId="b")
    first = await do("a", "leaveBooth", boothId="b", idempotencyKey="k")
    await do("a", "enterBooth", boothId="b")

    again = [await do("a", "leaveBooth", boothId="b", idempotencyKey=key) for key in ("early", "k")]

    assert names(again) == [refused["__typename"], "BoothLeft"] == ["InvalidTransitionError", "BoothLeft"]
    assert (again[1]["entries"], again[1]["pool"]["held"]) == (first["entries"], 1)


# ---------------------------------------------------------------- who may, and what is refused


async def test_who_may_act_for_whom(do: Do) -> None:
    """A service and an admin everywhere, an organiser at his own events, an attendee for nobody else."""
    await booth(do, 9)
    askers = ["ann", "otto", None, "eve", "olga", "service", "ada"]

    entered = [await do(who, "enterBooth", boothId="b", holder="bob") for who in askers]
    left = [await do(who, "leaveBooth", boothId="b", holder="bob") for who in askers]
    elsewhere = [await do("eve", name, boothId="b") for name in ("enterBooth", "leaveBooth")]

    no = ["FORBIDDEN", "FORBIDDEN", "UNAUTHENTICATED", "FORBIDDEN"]
    assert names(entered) == no + ["BoothEntered"] * 3
    assert names(left) == no + ["BoothLeft"] * 3
    assert [(answer["__typename"], answer["ref"]) for answer in elsewhere] == [("NotFoundError", "b")] * 2


async def test_a_booth_is_made_by_the_events_organiser(do: Do) -> None:
    """The same again is a replay, other input is not; what is wrong is named."""
    given = {"id": "b", "eventId": "e", "name": "B", "quota": 5}
    made = [await do("olga", "createBooth", **given) for _ in range(2)]
    who = [await do(name, "createBooth", **given | {"id": "c"}) for name in ("ann", "otto", None, "service")]
    wrong = [
        await do("olga", "createBooth", **given | change)
        for change in ({"quota": None}, {"queue": False}, {"id": "c", "quota": -1}, {"id": "c", "admissionSeconds": 0})
    ]

    assert [answer["replayed"] for answer in made] == [False, True]
    assert names(who) == ["FORBIDDEN", "FORBIDDEN", "UNAUTHENTICATED", "FORBIDDEN"]
    assert [answer["field"] for answer in wrong] == ["id", "id", "quota", "admissionSeconds"]


async def test_entering_answers_with_the_members_of_its_union(do: Do, owner: asyncpg.Connection) -> None:
    """All but NotEligibleError, for which there is no cause yet, and no other."""
    await full(do, "a", "b")
    await booth(do, 5, "closed")
    await do("olga", "closePool", kind="BOOTH", ref="closed")
    await do("x", "leaveBooth", boothId="b")
    await lapse(owner, "a")
    answers = [
        await do("a", "enterBooth", boothId="b"),
        await do("b", "enterBooth", boothId="b", idempotencyKey="k"),
        await do("b", "enterBooth", boothId="closed", idempotencyKey="k"),
        await do("b", "enterBooth", boothId="closed"),
        await do("b", "enterBooth", boothId="none"),
        await do("b", "enterBooth", boothId=""),
        await do("w", "enterBooth", boothId="b", orWait=False),
        await do("w", "enterBooth", boothId="b"),
    ]

    assert set(names(answers)) == members("enterBooth") - {"GatewayBusyError", "NotEligibleError"}


async def test_leaving_answers_with_every_member_of_its_union(do: Do) -> None:
    """And with no other."""
    await full(do)
    given = [("x", "b", "1"), ("x", "none", "1"), ("x", "none", "2"), ("y", "b", "3"), ("y", "", "4")]
    answers = [await do(who, "leaveBooth", boothId=ref, idempotencyKey=key) for who, ref, key in given]

    assert set(names(answers)) == members("leaveBooth") - {"GatewayBusyError"}
