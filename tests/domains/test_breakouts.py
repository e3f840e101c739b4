"""Breakout rooms: one room for each holder and session, and moving between them is one step."""

import asyncio
from collections import Counter
from typing import Any

import asyncpg
import pytest

from conftest import Gateway
from domains.conftest import Answer, Do, assert_made, crowd, lapse, names

pytestmark = pytest.mark.usefixtures("balanced", "rooms")


@pytest.fixture
async def rooms(do: Do, event: str) -> None:
    """Rooms `r1` and `r2`, for two each, in session `s` of Olga's event."""
    assert_made(await do("olga", "createSession", id="s", eventId=event, title="S"))
    for ref in ("r1", "r2"):
        await room(do, ref, 2)


async def room(do: Do, ref: str, quota: int, session: str = "s") -> None:
    """Make a room."""
    assert_made(await do("olga", "createBreakoutRoom", id=ref, sessionId=session, title=ref, quota=quota))


async def enter(do: Do, who: str | None, ref: str, **more: Any) -> Answer:
    """Enter a room."""
    return await do(who, "enter", kind="BREAKOUT_ROOM", ref=ref, **more)


async def inside(owner: asyncpg.Connection, ref: str) -> set[str]:
    """Who is in a room."""
    rows = await owner.fetch(
        "SELECT holder FROM capacity.claim WHERE pool_id = $1 AND state = 'held'", f"breakout_room:{ref}"
    )
    return {row["holder"] for row in rows}


async def test_of_two_hundred_on_the_last_twenty_places_twenty_get_in(patient: Do) -> None:
    """Nobody is refused while a place is free: every refusal is judged when all 25 are taken."""
    await room(patient, "big", 25)
    for number in range(5):
        await enter(patient, f"early {number}", "big")

    entered, refused = await crowd(200, lambda who: enter(patient, who, "big"))

    assert (len(entered), len(refused)) == (20, 180)
    assert {(r["available"], r["judgedVersion"]) for r in refused} == {(0, 25)}


async def test_one_is_in_one_room_of_a_session(do: Do) -> None:
    """In another one is told to leave the first; in the same one it is the same place."""
    first = await enter(do, "a", "r1")

    again, other = await enter(do, "a", "r1"), await enter(do, "a", "r2")

    assert (again["replayed"], again["claim"]["id"]) == (True, first["claim"]["id"])
    assert (other["__typename"], other["requirement"]) == ("NotEligibleError", "leave r1")


async def test_one_is_in_one_room_also_when_two_are_entered_at_once(do: Do, owner: asyncpg.Connection) -> None:
    """Whichever came first."""
    for number in range(10):
        who = f"p{number}"
        answers = await asyncio.gather(*(enter(do, who, ref) for ref in ("r1", "r2")))
        assert sorted(names(answers)) == ["LeaseSuccess", "NotEligibleError"]

        (lease,) = [answer["claim"]["id"] for answer in answers if "claim" in answer]
        await do(who, "leave", leaseId=lease)

    assert (await inside(owner, "r1"), await inside(owner, "r2")) == (set(), set())


async def test_a_session_shows_its_rooms(gateway: Gateway, do: Do) -> None:
    """And not those of another."""
    assert_made(await do("olga", "createSession", id="t", eventId="e", title="T"))
    await room(do, "there", 2, "t")

    found = await gateway.send('{ capacityEvent(id: "e") { sessions { id breakoutRooms { ref quota } } } }')

    assert found["sessions"] == [
        {"id": "s", "breakoutRooms": [{"ref": "r1", "quota": 2}, {"ref": "r2", "quota": 2}]},
        {"id": "t", "breakoutRooms": [{"ref": "there", "quota": 2}]},
    ]


async def test_rooms_of_other_sessions_do_not_matter(do: Do) -> None:
    """One room for each session."""
    assert_made(await do("olga", "createSession", id="t", eventId="e", title="T"))
    await room(do, "there", 2, "t")

    answers = [await enter(do, "a", ref) for ref in ("r1", "there")]

    assert names(answers) == ["LeaseSuccess", "LeaseSuccess"]


async def test_who_left_may_return(do: Do) -> None:
    """His place was given back, and he takes one anew; in whichever room."""
    seats = []
    for ref in ("r1", "r1", "r2"):
        seats.append(await enter(do, "a", ref))
        await do("a", "leave", leaseId=seats[-1]["claim"]["id"])

    assert names(seats) == ["LeaseSuccess"] * 3
    assert len({seat["claim"]["id"] for seat in seats}) == 3


async def test_who_fell_silent_may_go_to_another_room(do: Do, owner: asyncpg.Connection) -> None:
    """He is in none any more, though nobody has touched the first one since."""
    await enter(do, "a", "r1")
    await lapse(owner, "a", 45)

    answer = await enter(do, "a", "r2")

    assert answer["__typename"] == "LeaseSuccess"


async def test_moving_is_one_step(do: Do, owner: asyncpg.Connection) -> None:
    """The same lease, an entry in each room; again it is a replay."""
    lease = (await enter(do, "a", "r1"))["claim"]["id"]

    moved = [await do("a", "moveToRoom", leaseId=lease, toRef="r2") for _ in range(2)]

    assert [(answer["claim"]["id"], answer["replayed"]) for answer in moved] == [(lease, False), (lease, True)]
    assert [(entry["pool"]["id"], entry["change"], entry["reason"]) for entry in moved[0]["entries"]] == [
        ("breakout_room:r1", 1, "MOVE_OUT"),
        ("breakout_room:r2", -1, "MOVE_IN"),
    ]
    assert moved[0]["pool"]["id"] == "breakout_room:r2"
    assert (await inside(owner, "r1"), await inside(owner, "r2")) == (set(), {"a"})


async def test_nobody_moves_into_a_full_room(do: Do, owner: asyncpg.Connection) -> None:
    """He stays where he was, and is told about the room that he wanted."""
    for who in "bc":
        await enter(do, who, "r2")
    lease = (await enter(do, "a", "r1"))["claim"]["id"]

    refused = await do("a", "moveToRoom", leaseId=lease, toRef="r2")

    assert (refused["__typename"], refused["pool"]["id"]) == ("InsufficientCapacityError", "breakout_room:r2")
    assert (refused["requested"], refused["available"]) == (1, 0)
    assert await inside(owner, "r1") == {"a"}


async def test_rooms_may_be_changed_in_opposite_directions_at_once(do: Do, owner: asyncpg.Connection) -> None:
    """Pools are locked in one order: nobody is lost or doubled, and no deadlock shows."""
    await room(do, "x", 40)
    await room(do, "y", 40)
    leases = {f"p{n}": (await enter(do, f"p{n}", "xy"[n % 2]))["claim"]["id"] for n in range(30)}

    moved, refused = await crowd(
        30, lambda who: do(who, "moveToRoom", leaseId=leases[who], toRef="yx"[int(who[1:]) % 2])
    )

    assert (len(moved), refused) == (30, [])
    assert await inside(owner, "x") == {f"p{n}" for n in range(1, 30, 2)}
    assert await inside(owner, "y") == {f"p{n}" for n in range(0, 30, 2)}


async def test_of_two_who_move_to_the_last_place_one_gets_it(do: Do) -> None:
    """The other one stays."""
    await enter(do, "x", "r2")
    leases = {who: (await enter(do, who, "r1"))["claim"]["id"] for who in "ab"}

    answers = await asyncio.gather(*(do(who, "moveToRoom", leaseId=leases[who], toRef="r2") for who in "ab"))

    assert Counter(names(answers)) == {"LeaseSuccess": 1, "InsufficientCapacityError": 1}


async def test_nobody_moves_to_a_room_of_another_session(do: Do) -> None:
    """It is not there for him; nor is a stream."""
    assert_made(await do("olga", "createSession", id="t", eventId="e", title="T"))
    await room(do, "there", 2, "t")
    lease = (await enter(do, "a", "r1"))["claim"]["id"]

    answers = [await do("a", "moveToRoom", leaseId=lease, toRef=ref) for ref in ("there", "none", "e")]

    assert [(answer["__typename"], answer["ref"]) for answer in answers] == [
        ("NotFoundError", "there"),
        ("NotFoundError", "none"),
        ("NotFoundError", "e"),
    ]


async def test_nobody_moves_with_a_lease_that_has_ended(do: Do, owner: asyncpg.Connection) -> None:
    """One that ran out is told so; one that was left is none any more."""
    left, silent = [(await enter(do, who, "r1"))["claim"]["id"] for who in "ab"]
    await do("a", "leave", leaseId=left)
    await lapse(owner, "b")

    answers = [await do(who, "moveToRoom", leaseId=lease, toRef="r2") for who, lease in (("a", left), ("b", silent))]

    assert names(answers) == ["NotFoundError", "HoldExpiredError"]


async def test_a_key_replays_a_move(do: Do) -> None:
    """Also when one has moved back since, and it moves nobody."""
    lease = (await enter(do, "a", "r1"))["claim"]["id"]
    first = await do("a", "moveToRoom", leaseId=lease, toRef="r2", idempotencyKey="k")
    await do("a", "moveToRoom", leaseId=lease, toRef="r1")

    again = await do("a", "moveToRoom", leaseId=lease, toRef="r2", idempotencyKey="k")
    other = await do("a", "moveToRoom", leaseId=lease, toRef="r1", idempotencyKey="k")

    assert (again["replayed"], again["entries"], again["pool"]["held"]) == (True, first["entries"], 0)
    assert other["__typename"] == "IdempotencyConflictError"


async def test_who_may_move_whom(do: Do) -> None:
    """A holder himself, a service anybody; for others there is no such lease."""
    lease = (await enter(do, "bob", "r1"))["claim"]["id"]

    answers = [
        await do(who, "moveToRoom", leaseId=lease, toRef="r2")
        for who in ("ann", "otto", "erin", None, "service", "bob")
    ]

    assert names(answers) == ["NotFoundError"] * 3 + ["UNAUTHENTICATED"] + ["LeaseSuccess"] * 2


async def test_a_room_is_made_by_the_events_organiser(do: Do) -> None:
    """Two to fifty places, eight unless it says otherwise; the same again is a replay, other input is not."""
    given = {"id": "r", "sessionId": "s", "title": "R"}
    made = [await do("olga", "createBreakoutRoom", **given) for _ in range(2)]
    who = [await do(name, "createBreakoutRoom", **given) for name in ("ann", "otto", None, "service")]
    wrong = [
        await do("olga", "createBreakoutRoom", **given | change)
        for change in ({"quota": 9}, {"title": "Q"}, {"id": "q", "quota": 1}, {"id": "q", "quota": 51})
    ]
    missing = await do("olga", "createBreakoutRoom", **given | {"sessionId": "none"})

    assert [(answer["pool"]["quota"], answer["replayed"]) for answer in made] == [(8, False), (8, True)]
    assert names(who) == ["FORBIDDEN", "FORBIDDEN", "UNAUTHENTICATED", "FORBIDDEN"]
    assert [answer["field"] for answer in wrong] == ["id", "id", "quota", "quota"]
    assert (missing["__typename"], missing["ref"]) == ("NotFoundError", "none")
