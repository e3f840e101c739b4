"""Places kept alive by heartbeats: viewers of a stream; what huddles and breakout rooms share with them."""

import asyncio
from collections import Counter
from datetime import datetime
from typing import Any

import asyncpg
import pytest

from conftest import Gateway, running
from domains.conftest import Answer, Do, assert_made, crowd, lapse, members, names, people

pytestmark = pytest.mark.usefixtures("balanced", "event")

VIEWERS = '{ capacity(kind: STREAM, ref: "e") { held available } }'


async def watch(do: Do, who: str | None, client: str | None = None, **more: Any) -> Answer:
    """Enter the stream of Olga's event, which has room for two."""
    return await do(who, "enter", kind="STREAM", ref="e", clientId=client, **more)


def seconds(start: str, end: str) -> float:
    """From one time to another."""
    return (datetime.fromisoformat(end) - datetime.fromisoformat(start)).total_seconds()


# ---------------------------------------------------------------- viewers


async def test_a_viewer_who_reconnects_is_one_viewer(do: Do) -> None:
    """The same device is the same place, though it comes several times at once."""
    answers = await asyncio.gather(*(watch(do, "a", "tab") for _ in range(6)))

    assert Counter(names(answers)) == {"LeaseSuccess": 6}
    assert {(answer["claim"]["id"], answer["pool"]["held"]) for answer in answers} == {(answers[0]["claim"]["id"], 1)}


async def test_a_viewer_who_reconnects_to_a_full_stream_is_let_in(do: Do) -> None:
    """He is inside already."""
    first = [await watch(do, who, "tab") for who in "ab"]

    again, stranger = await watch(do, "a", "tab"), await watch(do, "c", "tab")

    assert (again["__typename"], again["replayed"]) == ("LeaseSuccess", True)
    assert (again["claim"]["id"], again["entries"]) == (first[0]["claim"]["id"], first[0]["entries"])
    assert (stranger["__typename"], stranger["available"]) == ("InsufficientCapacityError", 0)


async def test_a_reconnect_begins_the_lease_anew(do: Do) -> None:
    """As a heartbeat does."""
    first = await watch(do, "a", "tab")

    again = await watch(do, "a", "tab")

    assert again["claim"]["expiresAt"] > first["claim"]["expiresAt"]


async def test_another_device_is_another_viewer(do: Do) -> None:
    """One without a name is one device as well."""
    answers = [await watch(do, "a", client) for client in ("tab", "phone", None)]

    assert names(answers) == ["LeaseSuccess", "LeaseSuccess", "InsufficientCapacityError"]


async def test_where_devices_do_not_count_a_holder_is_one_viewer(do: Do) -> None:
    """The event's policy says so."""
    assert_made(await do("olga", "createEvent", id="f", name="F", streamQuota=1, streamCountsDevices=False))

    answers = [await do("a", "enter", kind="STREAM", ref="f", clientId=client) for client in ("tab", "phone")]

    assert {answer["claim"]["id"] for answer in answers} == {answers[0]["claim"]["id"]}


async def test_of_two_hundred_viewers_on_the_last_twenty_places_twenty_get_in(patient: Do) -> None:
    """Nobody is refused while a place is free: every refusal is judged when all 25 are taken."""
    assert_made(await patient("olga", "createEvent", id="f", name="F", streamQuota=25))
    for number in range(5):
        await patient(f"early {number}", "enter", kind="STREAM", ref="f")

    entered, refused = await crowd(200, lambda who: patient(who, "enter", kind="STREAM", ref="f"))

    assert (len(entered), len(refused)) == (20, 180)
    assert {(r["available"], r["judgedVersion"]) for r in refused} == {(0, 25)}


async def test_an_event_without_a_stream_has_no_viewers(do: Do) -> None:
    """There is nothing to enter."""
    assert_made(await do("olga", "createEvent", id="f", name="F"))

    answer = await do("a", "enter", kind="STREAM", ref="f")

    assert (answer["__typename"], answer["ref"]) == ("NotFoundError", "f")


# ---------------------------------------------------------------- heartbeats and silence


async def test_a_heartbeat_writes_no_entry(do: Do, owner: asyncpg.Connection) -> None:
    """It moves the expiry, and not even the pool's row."""
    lease = (await watch(do, "a"))["claim"]
    asked = "SELECT count(*), (SELECT xmin::text FROM capacity.pool WHERE id = 'stream:e') FROM capacity.ledger"
    before = await owner.fetchrow(asked)

    beats = [await do("a", "heartbeat", leaseId=lease["id"]) for _ in range(3)]

    times = [lease["expiresAt"], *(beat["claim"]["expiresAt"] for beat in beats)]
    assert times == sorted(set(times))
    assert [beat["entries"] for beat in beats] == [[], [], []]
    assert await owner.fetchrow(asked) == before


async def test_a_lease_is_three_heartbeats(owner_url: str, gateway: Gateway) -> None:
    """From entering, and from each heartbeat."""
    async with running(owner_url, heartbeat_seconds=1) as quick:
        lasts = []
        for asked, beat in ((gateway, 15), (quick, 1)):
            lease = (await watch(people(asked), f"{beat}", "tab"))["claim"]
            assert (await people(asked)(f"{beat}", "heartbeat", leaseId=lease["id"]))["__typename"] == "LeaseSuccess"
            pool = await asked.send(
                '{ capacity(kind: STREAM, ref: "e") { asOf mine { expiresAt } } }', {}, asked.login(f"{beat}", None)
            )
            lasts.append(seconds(pool["asOf"], pool["mine"]["expiresAt"]))

    assert lasts == pytest.approx([45, 3], abs=0.5)


async def test_silence_frees_the_place_by_itself(owner_url: str, pause: Any) -> None:
    """Three heartbeats without a word, and a reader sees it free; who is heard of stays."""
    async with running(owner_url, heartbeat_seconds=1) as gateway:
        do = people(gateway)
        silent, alive = [(await watch(do, who))["claim"]["id"] for who in "ab"]
        await pause(2)
        await do("b", "heartbeat", leaseId=alive)
        before = await gateway.send(VIEWERS)
        await pause(1.1)

        after = await gateway.send(VIEWERS)
        entered = await watch(do, "c")
        late = await do("a", "heartbeat", leaseId=silent)

    assert (before, after) == ({"held": 2, "available": 0}, {"held": 1, "available": 1})
    assert names([entered, late]) == ["LeaseSuccess", "HoldExpiredError"]


async def test_a_dead_lease_is_not_brought_back(do: Do, owner: asyncpg.Connection) -> None:
    """A late heartbeat or leave changes nothing: no entry, nobody's newer place."""
    dead = (await watch(do, "a", "tab"))["claim"]["id"]
    await lapse(owner, "a")
    newer = (await watch(do, "a", "tab"))["claim"]["id"]

    late = [await do("a", operation, leaseId=dead) for operation in ("heartbeat", "leave", "leave", "heartbeat")]
    alive = await do("a", "heartbeat", leaseId=newer)

    assert Counter(names(late)) == {"HoldExpiredError": 4}
    assert {answer["pool"]["version"] for answer in late} == {3}
    assert (alive["__typename"], alive["pool"]["held"]) == ("LeaseSuccess", 1)


async def test_a_leave_that_comes_late_does_not_end_the_newer_place(do: Do) -> None:
    """It speaks of the lease that has been left already."""
    first = (await watch(do, "a", "tab"))["claim"]["id"]
    await do("a", "leave", leaseId=first)
    newer = (await watch(do, "a", "tab"))["claim"]["id"]

    late = await do("a", "leave", leaseId=first)

    assert newer != first
    assert (late["__typename"], late["replayed"], late["pool"]["held"]) == ("LeaseSuccess", True, 1)


async def test_leaving_twice_is_once(do: Do) -> None:
    """At once; the count never falls below what is true."""
    leases = [(await watch(do, who))["claim"]["id"] for who in "ab"]

    left = await asyncio.gather(*(do("a", "leave", leaseId=leases[0]) for _ in range(5)))
    beat = await do("a", "heartbeat", leaseId=leases[0])

    assert sorted((answer["__typename"], answer["replayed"]) for answer in left) == [
        ("LeaseSuccess", False),
        *[("LeaseSuccess", True)] * 4,
    ]
    assert {answer["pool"]["held"] for answer in left} == {1}
    assert beat["__typename"] == "HoldExpiredError"


async def test_of_two_at_the_last_place_one_gets_in(do: Do) -> None:
    """Behaviour 23: two at once with one place left."""
    await watch(do, "x")
    for _ in range(10):
        answers = await asyncio.gather(*(watch(do, who) for who in "ab"))
        assert sorted(names(answers)) == ["InsufficientCapacityError", "LeaseSuccess"]

        (lease,) = [answer["claim"] for answer in answers if "claim" in answer]
        await do(lease["holder"], "leave", leaseId=lease["id"])


async def test_viewers_who_come_and_go_at_once_are_never_too_many(do: Do, gateway: Gateway) -> None:
    """Whoever looks meanwhile sees at most two; in the end nobody is there."""
    seen = set()

    async def visit(who: str) -> None:
        for _ in range(4):
            answer = await watch(do, who, "tab")
            seen.add((await gateway.send(VIEWERS))["held"])
            if "claim" in answer:
                await do(who, "leave", leaseId=answer["claim"]["id"])

    await asyncio.gather(*(visit(f"p{number}") for number in range(12)))

    assert max(seen) == 2
    assert await gateway.send(VIEWERS) == {"held": 0, "available": 2}


# ---------------------------------------------------------------- keys


async def test_a_key_replays_the_place_also_when_it_is_left(do: Do) -> None:
    """The same entries; the lease as it is now, and no new one."""
    first = await watch(do, "a", "tab", idempotencyKey="k")
    left = await do("a", "leave", leaseId=first["claim"]["id"], idempotencyKey="l")

    again = await watch(do, "a", "tab", idempotencyKey="k")
    left_again = await do("a", "leave", leaseId=first["claim"]["id"], idempotencyKey="l")

    assert (again["replayed"], again["entries"], again["claim"]["state"]) == (True, first["entries"], "RELEASED")
    assert (left_again["replayed"], left_again["entries"], left_again["pool"]["held"]) == (True, left["entries"], 0)


# ---------------------------------------------------------------- who may, and what is refused


async def test_who_may_enter_for_whom(do: Do) -> None:
    """A service and an admin for anybody, the organiser at his event, nobody else for another."""
    assert_made(await do("olga", "createEvent", id="f", name="F", streamQuota=9))
    given = {"kind": "STREAM", "ref": "f", "holder": "bob"}

    answers = [await do(who, "enter", **given) for who in ("ann", "otto", None, "olga", "service", "ada", "bob")]
    elsewhere = await do("eve", "enter", kind="STREAM", ref="f")

    assert names(answers) == ["FORBIDDEN", "FORBIDDEN", "UNAUTHENTICATED"] + ["LeaseSuccess"] * 4
    assert (elsewhere["__typename"], elsewhere["ref"]) == ("NotFoundError", "f")


@pytest.mark.parametrize("operation", ["heartbeat", "leave"])
async def test_a_lease_is_its_holders(do: Do, operation: str) -> None:
    """Or a service's; for anybody else there is none."""
    lease = (await watch(do, "bob"))["claim"]["id"]

    answers = [await do(who, operation, leaseId=lease) for who in ("ann", "otto", "erin", None, "service", "bob")]

    assert names(answers) == ["NotFoundError"] * 3 + ["UNAUTHENTICATED"] + ["LeaseSuccess"] * 2


@pytest.mark.parametrize("operation", ["heartbeat", "leave"])
async def test_what_is_no_lease_is_not_kept_alive(do: Do, operation: str) -> None:
    """Neither a registration nor what does not exist."""
    registration = (await do("a", "register", eventId="e"))["registration"]["id"]

    answers = [await do("a", operation, leaseId=lease) for lease in (registration, "none")]

    assert names(answers) == ["NotFoundError"] * 2


@pytest.mark.parametrize("kind", ["EVENT", "SESSION", "BOOTH", "TICKET_TYPE", "COMPETITION"])
async def test_what_is_not_entered_is_refused(do: Do, kind: str) -> None:
    """It has operations of its own."""
    answer = await do("a", "enter", kind=kind, ref="e")

    assert (answer["__typename"], answer["field"]) == ("InvalidInputError", "kind")


async def test_entering_and_moving_answer_with_every_member_of_their_union(do: Do, owner: asyncpg.Connection) -> None:
    """And with no other."""
    assert_made(await do("olga", "createSession", id="s", eventId="e", title="S"))
    for ref in ("r1", "r2"):
        assert_made(await do("olga", "createBreakoutRoom", id=ref, sessionId="s", title=ref))
    assert_made(await do("olga", "createEvent", id="closed", name="C", streamQuota=1))
    await do("olga", "closePool", kind="STREAM", ref="closed")
    room = await do("a", "enter", kind="BREAKOUT_ROOM", ref="r1")
    answers = [
        await watch(do, "a"),
        await watch(do, "b", idempotencyKey="k"),
        await watch(do, "b", "tab", idempotencyKey="k"),
        await watch(do, "c"),
        await do("a", "enter", kind="STREAM", ref="closed"),
        await do("a", "enter", kind="STREAM", ref="none"),
        await do("a", "enter", kind="STREAM", ref=""),
        await do("a", "enter", kind="BREAKOUT_ROOM", ref="r2"),
    ]
    await lapse(owner, "a")
    answers.append(await do("a", "moveToRoom", leaseId=room["claim"]["id"], toRef="r2"))

    assert (
        set(names(answers)) == members("enter") - {"GatewayBusyError"} == members("moveToRoom") - {"GatewayBusyError"}
    )


async def test_staying_and_leaving_answer_with_every_member_of_their_unions(do: Do, owner: asyncpg.Connection) -> None:
    """And with no other."""
    dead, alive = [(await watch(do, "a", client))["claim"]["id"] for client in ("tab", "phone")]
    await owner.execute("UPDATE capacity.claim SET expires_at = clock_timestamp() WHERE id = $1", dead)
    beats = [await do("a", "heartbeat", leaseId=lease) for lease in (dead, alive, "none", "")]
    leaves = [await do("a", "leave", leaseId=lease) for lease in (dead, "none")]
    leaves += [await do("a", "leave", leaseId=alive, idempotencyKey=key) for key in ("", "k")]
    newer = (await watch(do, "a", "tab"))["claim"]["id"]
    leaves.append(await do("a", "leave", leaseId=newer, idempotencyKey="k"))

    assert set(names(beats)) == members("heartbeat") - {"GatewayBusyError"}
    assert set(names(leaves)) == members("leave") - {"GatewayBusyError"}
