"""Huddles: small talks that begin once enough have come."""

import asyncio
from collections import Counter
from typing import Any

import asyncpg
import pytest

from conftest import Gateway
from domains.conftest import Answer, Do, crowd, lapse, members, names

pytestmark = pytest.mark.usefixtures("balanced")


async def enter(do: Do, who: str | None, ref: str = "h", **more: Any) -> Answer:
    """Enter a huddle."""
    return await do(who, "enter", kind="HUDDLE", ref=ref, **more)


async def shown(gateway: Gateway) -> dict[str, Any]:
    """The huddle `h` as anybody sees it."""
    found: dict[str, Any] = await gateway.send(
        '{ huddle(id: "h") { minimum confirmed pool { quota held } } }', headers={}
    )
    return found


async def test_whoever_makes_a_huddle_is_in_it(do: Do, gateway: Gateway) -> None:
    """Six places and two to begin, unless it says otherwise."""
    made = await do("a", "createHuddle", id="h", title="Talk")

    assert (made["__typename"], made["claim"]["holder"], made["claim"]["state"]) == ("LeaseSuccess", "a", "HELD")
    assert (made["pool"]["id"], made["pool"]["quota"], made["pool"]["held"]) == ("huddle:h", 6, 1)
    assert await shown(gateway) == {"minimum": 2, "confirmed": False, "pool": {"quota": 6, "held": 1}}


async def test_a_huddle_is_confirmed_from_its_minimum_on(do: Do, gateway: Gateway) -> None:
    """And not any more when somebody leaves."""
    await do("a", "createHuddle", id="h", quota=5, minimum=3)
    seen = [(await shown(gateway))["confirmed"]]
    leases = []
    for who in "bc":
        leases.append((await enter(do, who))["claim"]["id"])
        seen.append((await shown(gateway))["confirmed"])
    await do("c", "leave", leaseId=leases[1])
    seen.append((await shown(gateway))["confirmed"])

    assert seen == [False, False, True, False]


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"quota": 1}, "quota"),
        ({"quota": 11}, "quota"),
        ({"minimum": 1}, "minimum"),
        ({"quota": 3, "minimum": 4}, "minimum"),
        ({"id": ""}, "id"),
    ],
)
async def test_a_huddle_has_two_to_ten_places(do: Do, given: dict[str, Any], field: str) -> None:
    """And no higher minimum; otherwise there is none."""
    answer = await do("a", "createHuddle", **given)

    assert (answer["__typename"], answer["field"]) == ("InvalidInputError", field)


@pytest.mark.parametrize("quota", [2, 10])
async def test_a_full_huddle_is_refused_at_once(patient: Do, quota: int) -> None:
    """Two hundred want the remaining places: no more get in, and nobody is told to try again later."""
    await patient("a", "createHuddle", id="h", quota=quota)

    entered, refused = await crowd(200 if quota > 2 else 20, lambda who: enter(patient, who))

    assert len(entered) == quota - 1
    assert {(r["__typename"], r["available"], r["judgedVersion"]) for r in refused} == {
        ("InsufficientCapacityError", 0, quota)
    }


async def test_who_is_in_a_full_huddle_is_let_in_again(do: Do) -> None:
    """With whatever device; it is the same place."""
    made = await do("a", "createHuddle", id="h", quota=2)
    await enter(do, "b")

    again = await enter(do, "a", clientId="phone")

    assert (again["replayed"], again["claim"]["id"]) == (True, made["claim"]["id"])


async def test_leaving_frees_a_place(do: Do) -> None:
    """So does falling silent."""
    made = await do("a", "createHuddle", id="h", quota=2)
    await enter(do, "b")
    full = await enter(do, "c")
    await do("a", "leave", leaseId=made["claim"]["id"])

    freed = await enter(do, "c")

    assert names([full, freed]) == ["InsufficientCapacityError", "LeaseSuccess"]


async def test_who_falls_silent_is_out(do: Do, owner: asyncpg.Connection, gateway: Gateway) -> None:
    """Also whoever made it."""
    await do("a", "createHuddle", id="h", quota=2)
    await enter(do, "b")
    await lapse(owner, "a", 45)

    answer = await enter(do, "c")

    assert (answer["__typename"], (await shown(gateway))["pool"]["held"]) == ("LeaseSuccess", 2)


async def test_a_huddle_made_again_is_a_replay(do: Do) -> None:
    """At once, too; by another or with other input it is refused."""
    made = await asyncio.gather(*(do("a", "createHuddle", id="h", quota=4) for _ in range(4)))
    others = [await do("b", "createHuddle", id="h", quota=4), await do("a", "createHuddle", id="h", quota=5)]

    assert Counter((answer["__typename"], answer["replayed"]) for answer in made) == {
        ("LeaseSuccess", False): 1,
        ("LeaseSuccess", True): 3,
    }
    assert {answer["claim"]["id"] for answer in made} == {made[0]["claim"]["id"]}
    assert [answer["field"] for answer in others] == ["id", "id"]


async def test_a_key_makes_one_huddle(do: Do, owner: asyncpg.Connection) -> None:
    """Though it names no id; also when its maker has left."""
    first = await do("a", "createHuddle", idempotencyKey="k")
    await do("a", "leave", leaseId=first["claim"]["id"])

    again = await do("a", "createHuddle", idempotencyKey="k")
    other = await do("a", "createHuddle", quota=3, idempotencyKey="k")

    assert (again["replayed"], again["entries"], again["pool"]["id"]) == (True, first["entries"], first["pool"]["id"])
    assert other["__typename"] == "IdempotencyConflictError"
    assert await owner.fetchval("SELECT count(*) FROM capacity.pool") == 1


async def test_who_may_make_a_huddle(do: Do) -> None:
    """Anybody with a login, for himself; a service and an admin for another."""
    answers = [await do(who, "createHuddle", holder="bob") for who in ("ann", "olga", None, "service", "ada", "bob")]
    elsewhere = await do("eve", "createHuddle", id="h")
    unseen = await enter(do, "a")

    assert names(answers) == ["FORBIDDEN", "FORBIDDEN", "UNAUTHENTICATED"] + ["LeaseSuccess"] * 3
    assert names([elsewhere, unseen]) == ["LeaseSuccess", "NotFoundError"]


async def test_making_a_huddle_answers_with_members_of_its_union(do: Do) -> None:
    """Those that making one can lead to; the others are for entering."""
    await do("a", "createHuddle", id="full", quota=2)
    made = await do("a", "createHuddle", id="left", quota=2)
    for who in "bc":
        await enter(do, who, "left")
    await do("a", "leave", leaseId=made["claim"]["id"])
    await enter(do, "c", "left")
    answers = [
        await do("a", "createHuddle", idempotencyKey="k"),
        await do("a", "createHuddle", quota=3, idempotencyKey="k"),
        await do("a", "createHuddle", quota=1),
        await do("a", "createHuddle", id="left", quota=2),
    ]
    await do("ada", "closePool", kind="HUDDLE", ref="left")
    answers.append(await do("a", "createHuddle", id="left", quota=2))

    assert names(answers) == [
        "LeaseSuccess",
        "IdempotencyConflictError",
        "InvalidInputError",
        "InsufficientCapacityError",
        "PoolClosedError",
    ]
    assert set(names(answers)) <= members("createHuddle")
