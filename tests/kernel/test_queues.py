"""Queues: who is offered what, when, and in which order."""

from datetime import datetime, timedelta

import asyncpg
import pytest

from asking import (
    OTHER,
    POOL,
    Json,
    adjust,
    ask,
    ask_one,
    close,
    codes,
    confirm,
    define,
    expire,
    hold,
    keyed,
    linked,
    move,
    numbers,
    release,
    reopen,
    resize,
    stage,
    take,
    touch,
    wait,
)
from capacity_gateway.kernel.database import Database


def queue(quota: int | None, pool: str = POOL, offer_seconds: float = 60) -> Json:
    """Make a pool with a queue."""
    return define(quota, pool, waitlist=True, offer_seconds=offer_seconds)


def join(claim: str, quantity: int = 1, pool: str = POOL, rank: int = 0) -> Json:
    """Take, or wait where there is no room."""
    return take(claim, quantity, pool, or_wait=True, rank=rank)


async def asked(database: Database, *commands: Json) -> list[str]:
    """The codes of commands that are sent one after the other."""
    return [(await ask_one(database, command))["code"] for command in commands]


async def standing(owner: asyncpg.Connection) -> dict[str, str]:
    """How each claim stands; an offer is offered."""
    rows = await owner.fetch(
        "SELECT id, CASE WHEN state = 'held' AND offered THEN 'offered' ELSE state END AS state FROM capacity.claim"
    )
    return {row["id"]: row["state"] for row in rows}


async def counts(owner: asyncpg.Connection, pool: str = POOL) -> tuple[int, int, int, int]:
    """Of a pool: held, confirmed, waiting, offered."""
    row = await owner.fetchrow("SELECT held, confirmed, waiting, offered FROM capacity.pool WHERE id = $1", pool)
    assert row is not None
    return tuple(row)


async def run_out(owner: asyncpg.Connection, *claims: str) -> None:
    """Let holds have run out a second ago."""
    await owner.execute(
        "UPDATE capacity.claim SET expires_at = clock_timestamp() - interval '1 second' WHERE id = ANY($1)", claims
    )


async def test_who_finds_no_room_waits_and_is_told_his_place(database: Database) -> None:
    """Places count from 1, and are given in the order of coming."""
    await asked(database, queue(1), join("a"))

    first, second = [await ask_one(database, join(claim)) for claim in ("b", "c")]

    assert [o["claim"]["state"] for o in (first, second)] == ["waiting", "waiting"]
    assert [o["claim"]["position"] for o in (first, second)] == [1, 2]
    assert (second["pool"]["waiting"], second["entries"]) == (2, [])


async def test_a_better_rank_comes_first_and_within_a_rank_who_came_first(
    database: Database, owner: asyncpg.Connection
) -> None:
    """Two seats that come free go to the VIP and to the first of the rest."""
    await asked(database, queue(2), join("a", 2), join("b", rank=2), join("c", rank=2), join("vip"))

    await ask(database, release("a"))

    assert await standing(owner) == {"a": "released", "b": "offered", "c": "waiting", "vip": "offered"}


async def test_an_offer_is_a_hold_with_an_entry(database: Database, owner: asyncpg.Connection) -> None:
    """The seat is out of what is available until it is taken up."""
    await asked(database, queue(1), join("a"), join("b"))

    freed = await ask_one(database, release("a"))

    reasons = [row["reason"] for row in await owner.fetch("SELECT reason FROM capacity.ledger ORDER BY version")]
    assert reasons == ["RESERVATION_APPROVAL", "RELEASE", "OFFER"]
    assert (freed["pool"]["held"], freed["pool"]["waiting"], freed["pool"]["offered"]) == (1, 0, 1)


async def test_an_offers_time_begins_when_it_is_made(database: Database, owner: asyncpg.Connection) -> None:
    """Not when the seat came free: whoever notices late does not shorten the offer."""
    await asked(database, queue(1), hold("a", 1), join("b"))
    await run_out(owner, "a")

    await ask(database, expire())

    since, until = await owner.fetchval("SELECT row(since, expires_at) FROM capacity.claim WHERE id = 'b'")
    freed = await owner.fetchval("SELECT expires_at FROM capacity.claim WHERE id = 'a'")
    assert until - since == timedelta(seconds=60)
    assert since - freed >= timedelta(seconds=1)


@pytest.mark.parametrize("accept", [take("b", 1, POOL), take("b", 1, None), hold("b", 1), confirm("b")])
async def test_an_offer_is_taken_up(database: Database, owner: asyncpg.Connection, accept: Json) -> None:
    """By whatever word for it; then it is no offer any more."""
    await asked(database, queue(1), join("a"), join("b"), release("a"))

    outcome = await ask_one(database, accept)

    assert (outcome["code"], outcome["claim"]["offered"], outcome["pool"]["offered"]) == ("OK", False, 0)
    assert sum((await counts(owner))[:2]) == 1


async def test_an_offer_is_taken_up_by_the_exclusive_word(database: Database, owner: asyncpg.Connection) -> None:
    """Whoever asks again, with a new id, takes up the offer that he has; and asks once more in vain."""
    await asked(database, queue(1), join("a"), join("b") | {"exclusive": "b"}, release("a"))

    assert await asked(database, *[join(id_) | {"exclusive": "b"} for id_ in ("b2", "b3")]) == ["OK", "DONE"]
    assert await standing(owner) == {"a": "released", "b": "confirmed"}


async def test_an_offer_is_taken_up_as_it_was_made(database: Database) -> None:
    """Whatever number is asked for."""
    await asked(database, queue(3), join("a", 3), join("b", 2), release("a"))

    outcome = await ask_one(database, take("b", 3))

    assert (outcome["code"], outcome["claim"]["quantity"], outcome["pool"]["confirmed"]) == ("OK", 2, 2)


async def test_an_offer_is_taken_up_though_the_pool_has_closed(database: Database) -> None:
    """What is held is held."""
    await asked(database, queue(1), join("a"), join("b"), release("a"), close())

    assert await asked(database, confirm("b")) == ["OK"]


async def test_a_declined_offer_passes_on_at_once(database: Database, owner: asyncpg.Connection) -> None:
    """To the next in line, in the same commit."""
    await asked(database, queue(1), join("a"), join("b"), join("c"), release("a"), release("b"))

    assert await standing(owner) == {"a": "released", "b": "released", "c": "offered"}


async def test_a_part_of_an_offer_given_back_passes_on_and_the_rest_stays_an_offer(
    database: Database, owner: asyncpg.Connection
) -> None:
    """A group that got smaller keeps its offer."""
    await asked(database, queue(3), join("a", 3), join("b", 3), join("c"), release("a"), release("b", 1))

    assert await standing(owner) == {"a": "released", "b": "offered", "c": "offered"}
    assert await counts(owner) == (3, 0, 0, 2)


async def test_several_offers_that_run_out_at_once_cascade(database: Database, owner: asyncpg.Connection) -> None:
    """Each passes to the next in line, and those to the ones behind, one step for each time it is noticed."""
    await asked(database, queue(3), join("a", 3), *[join(f"{n}") for n in range(8)], release("a"))
    for offered in ("012", "345"):
        assert {n for n, state in (await standing(owner)).items() if state == "offered"} == set(offered)
        await run_out(owner, *offered)
        await ask(database, expire())

    assert {n for n, state in (await standing(owner)).items() if state == "offered"} == {"6", "7"}
    assert await counts(owner) == (2, 0, 0, 2)


async def test_a_walk_in_waits_behind_who_waits(database: Database) -> None:
    """A group is first in line for two seats: one that is free is not for anybody behind it."""
    await asked(database, queue(2), join("a"), join("b"), join("group", 2), release("a"))

    refused = await ask_one(database, take("walk-in", 1))
    queued = await ask_one(database, join("patient"))

    assert (refused["code"], refused["detail"]["available"], refused["detail"]["queued"]) == ("INSUFFICIENT", 1, True)
    assert (queued["claim"]["state"], queued["claim"]["position"]) == ("waiting", 2)


async def test_nobody_passes_who_waits_by_moving_or_by_growing(database: Database) -> None:
    """The free seat is for the group that is first in line, by whatever way one would get it."""
    await asked(database, define(5, OTHER), take("outside", 1, OTHER))
    await asked(database, queue(2), join("a"), join("b"), join("group", 2), release("a"))

    assert await asked(database, move("outside", POOL), adjust("b", 2)) == ["INSUFFICIENT", "INSUFFICIENT"]


async def test_a_group_is_offered_all_its_seats_together(database: Database, owner: asyncpg.Connection) -> None:
    """It is not passed while they come free one by one, so it cannot starve."""
    await asked(database, queue(3), *[join(f"{n}") for n in range(3)], join("group", 2), join("single"))

    await ask(database, release("0"))
    assert await counts(owner) == (0, 2, 2, 0)
    await ask(database, release("1"))

    assert await standing(owner) == {
        "0": "released", "1": "released", "2": "confirmed", "group": "offered", "single": "waiting"
    }  # fmt: skip


async def test_a_group_larger_than_the_pool_waits_for_nothing(database: Database) -> None:
    """It is refused, as no seat that comes free would help."""
    await asked(database, queue(3), join("a", 3))

    assert await asked(database, join("group", 4)) == ["INSUFFICIENT"]


async def test_a_group_that_the_pool_has_shrunk_below_blocks_nobody(
    database: Database, owner: asyncpg.Connection
) -> None:
    """Who waits behind it is offered a seat, and nobody who walks in waits for it; grown again, it is first."""
    await asked(database, queue(3), join("a", 3), join("group", 3), join("b"), resize(2, allow_below_use=True))
    await ask(database, release("a"))

    assert (await standing(owner))["b"] == "offered"
    assert await asked(database, take("walk-in", 1)) == ["OK"]
    assert await asked(database, release("b"), release("walk-in"), resize(3)) == ["OK", "OK", "OK"]
    assert (await standing(owner))["group"] == "offered"


async def test_a_closed_pool_offers_nothing_and_opening_it_offers_at_once(
    database: Database, owner: asyncpg.Connection
) -> None:
    """What came free while it was closed is offered when it opens."""
    await asked(database, queue(1), join("a"), join("b"), close(), release("a"))
    assert await counts(owner) == (0, 0, 1, 0)

    await ask(database, reopen())

    assert await counts(owner) == (1, 0, 0, 1)


async def test_raising_or_lifting_the_quota_offers_at_once(database: Database, owner: asyncpg.Connection) -> None:
    """As many as there are seats now."""
    await asked(database, queue(1), join("a"), *[join(f"{n}") for n in range(4)], resize(3))
    assert await counts(owner) == (2, 1, 2, 2)

    await ask(database, resize(unlimited=True))

    assert await counts(owner) == (4, 1, 0, 4)


async def test_lowering_the_quota_throws_nobody_out_and_offers_nothing(
    database: Database, owner: asyncpg.Connection
) -> None:
    """Not before there is room again."""
    await asked(database, queue(2), join("a"), join("b"), join("c"), resize(1, allow_below_use=True), release("a"))
    assert await counts(owner) == (0, 1, 1, 0)

    await ask(database, release("b"))

    assert await counts(owner) == (1, 0, 0, 1)


@pytest.mark.parametrize("freeing", [move("a", OTHER), adjust("a", 1), release("a", 1)])
async def test_whatever_frees_a_seat_offers_it(database: Database, owner: asyncpg.Connection, freeing: Json) -> None:
    """Moving away, shrinking, or giving a part back."""
    await asked(database, define(9, OTHER), queue(2), join("a", 2), join("b"))

    await ask(database, freeing)

    assert (await standing(owner))["b"] == "offered"


async def test_a_part_of_a_hold_that_is_not_confirmed_is_offered(database: Database, owner: asyncpg.Connection) -> None:
    """The rest goes to who waits."""
    await asked(database, queue(2), hold("a", 2), join("b"), confirm("a", 1))

    assert await standing(owner) == {"a": "confirmed", "b": "offered"}


async def test_the_first_in_line_who_moves_away_lets_the_next_have_the_seat(
    database: Database, owner: asyncpg.Connection
) -> None:
    """To a pool without a queue as well: he is not offered anything where he no longer waits."""
    await asked(database, define(9, OTHER), queue(2), join("a"), join("b"), join("group", 2), join("c"), release("a"))

    await ask(database, *linked(move("group", OTHER), release("b")))

    assert await standing(owner) == {
        "a": "released", "b": "released", "group": "waiting", "c": "offered"
    }  # fmt: skip
    assert await counts(owner) == (1, 0, 0, 1)


async def test_who_moves_to_another_queue_is_last_there(database: Database) -> None:
    """However long he waited in the first."""
    await asked(database, queue(1), join("a"), join("b"), queue(1, OTHER), *[join(f"{n}", 1, OTHER) for n in range(3)])

    moved = await ask_one(database, move("b", OTHER))

    assert (moved["claim"]["state"], moved["claim"]["position"]) == ("waiting", 3)


async def test_an_offer_that_moves_is_counted_where_it_is(database: Database, owner: asyncpg.Connection) -> None:
    """And is an offer still."""
    await asked(database, queue(1), join("a"), join("b"), release("a"), queue(1, OTHER), move("b", OTHER))

    assert (await counts(owner), await counts(owner, OTHER)) == ((0, 0, 0, 0), (1, 0, 0, 1))


async def test_an_offer_that_has_run_out_is_said_once_to_who_minds(database: Database) -> None:
    """After that he queues anew."""
    await asked(database, queue(1, offer_seconds=0), join("a"), join("b"), release("a"))
    again = join("again") | {"holder": "holder of b", "mind_lapse": True}

    first = await ask_one(database, again)

    assert (first["code"], first["claim"]["id"]) == ("HOLD_EXPIRED", "b")
    assert await asked(database, again) == ["OK"]


async def test_who_comes_back_after_an_offer_has_run_out_is_last(database: Database, owner: asyncpg.Connection) -> None:
    """The place in the queue went with the offer."""
    await asked(database, queue(1), join("a"), join("b") | {"exclusive": "b"}, join("c"), join("d"), release("a"))
    await run_out(owner, "b")

    back = await ask_one(database, join("b2") | {"exclusive": "b"})

    assert (back["code"], back["claim"]["id"], back["claim"]["position"]) == ("OK", "b2", 2)
    assert (await standing(owner))["c"] == "offered"


async def test_a_word_is_free_when_its_claim_has_run_out_in_another_pool(
    database: Database, owner: asyncpg.Connection
) -> None:
    """Though nobody has asked for that pool since."""
    await asked(database, define(1), define(1, OTHER), hold("a", 1) | {"exclusive": "somebody"})
    elsewhere = hold("b", 1, OTHER) | {"exclusive": "somebody"}
    assert await asked(database, elsewhere) == ["ELSEWHERE"]

    await run_out(owner, "a")

    assert await asked(database, elsewhere) == ["OK"]


async def test_a_word_whose_claim_has_ended_finds_nobody(database: Database) -> None:
    """The claim of that id is there already, and is not in force."""
    command = hold("a", 1) | {"exclusive": "somebody"}
    await asked(database, define(1), command, release("a"))

    assert await asked(database, command, command | {"claim_id": "b"}) == ["EXISTS", "OK"]


async def test_entering_anew_leaves_the_other_pool_only_when_one_gets_in(
    database: Database, owner: asyncpg.Connection
) -> None:
    """Who has to queue stays where he is."""
    await asked(database, queue(1), join("a"), queue(1, OTHER), take("here", 1, OTHER))
    leave = release("here", if_live=True, unless_waiting=True)

    assert codes(await ask(database, *linked(join("there"), leave))) == ["OK", "DONE"]
    assert (await standing(owner))["here"] == "confirmed"

    await ask(database, release("a"))
    assert codes(await ask(database, *linked(confirm("there"), leave))) == ["OK", "OK"]
    assert (await standing(owner))["here"] == "released"


async def test_a_seat_may_need_a_claim_elsewhere(database: Database) -> None:
    """A confirmed one of the same holder."""
    seat = join("seat") | {"holder": "h", "needs_pool_id": OTHER}
    await asked(database, queue(1), define(9, OTHER))

    assert await asked(database, seat, hold("entry", 1, OTHER, holder="h"), seat) == [
        "NOT_ELIGIBLE",
        "OK",
        "NOT_ELIGIBLE",
    ]
    assert await asked(database, confirm("entry"), seat) == ["OK", "OK"]


async def test_a_heartbeat_moves_the_expiry_and_leaves_no_entry(database: Database) -> None:
    """The pool's row stays as it is."""
    _, held = [await ask_one(database, command) for command in (define(1), hold("a", 1, ttl_seconds=1))]

    kept = await ask_one(database, touch("a", 60))

    assert datetime.fromisoformat(kept["claim"]["expires_at"]) > datetime.fromisoformat(held["claim"]["expires_at"])
    assert (kept["entries"], kept["pool"]) == ([], held["pool"])


async def test_a_heartbeat_brings_nothing_back(database: Database, owner: asyncpg.Connection) -> None:
    """A lease that has run out is over."""
    await asked(database, define(1), hold("a", 1))
    await run_out(owner, "a")

    assert await asked(database, touch("a"), take("b", 1)) == ["HOLD_EXPIRED", "OK"]


async def test_a_heartbeat_makes_no_offer_longer(database: Database) -> None:
    """The next in line would wait for it."""
    await asked(database, queue(1), join("a"), join("b"))
    (_, offered) = [await ask_one(database, command) for command in (release("a"), stage("b"))]

    refused = await ask_one(database, touch("b", 3600))

    assert (refused["code"], refused["claim"]) == ("INVALID_TRANSITION", offered["claim"])


async def test_an_offer_of_a_batch_is_there_for_its_next_request(database: Database) -> None:
    """Also where the queue is not the first pool that the request names."""
    await asked(database, queue(1), join("a"), join("b"), define(9, OTHER))

    outcomes = await ask(database, release("a") | {"request": 1}, *linked(take("x", 1, OTHER), confirm("b"), request=2))

    assert codes(outcomes) == ["OK", "OK", "OK"]


@pytest.mark.parametrize(
    "command",
    [
        pytest.param(take("c", 1, OTHER, exclusive="word"), id="by its word"),
        pytest.param(take("b", 1, OTHER), id="by its id"),
        pytest.param(hold("c", 1, OTHER, exclusive="word"), id="as a hold"),
    ],
)
async def test_an_offer_of_a_batch_is_there_for_who_names_another_pool(database: Database, command: Json) -> None:
    """The answer is the same as when the offer was made in a batch of its own."""
    for tenant in ("batch", "apart"):
        for asking in (queue(1), define(9, OTHER), join("a"), join("b") | {"exclusive": "word"}):
            assert codes(await ask(database, asking, tenant=tenant)) == ["OK"]

    batch = await ask(database, release("a") | {"request": 1}, command | {"request": 2}, tenant="batch")
    apart = await ask(database, release("a"), tenant="apart") + await ask(database, command, tenant="apart")

    assert [(o["code"], o["detail"].get("state"), numbers(o)) for o in batch] == [
        (o["code"], o["detail"].get("state"), numbers(o)) for o in apart
    ]


async def test_a_replay_shows_the_pool_after_what_was_due(database: Database, owner: asyncpg.Connection) -> None:
    """Not as it stood in the table."""
    command = keyed(hold("a", 1), "key")
    await asked(database, define(1), command)
    await run_out(owner, "a")

    again = await ask_one(database, command)

    assert (again["replayed"], again["pool"]["held"], again["claim"]["state"]) == (True, 0, "expired")


async def test_waiting_takes_nothing_of_an_empty_pool_but_an_offer(database: Database) -> None:
    """Whoever only waits where there is room is offered it at once."""
    await asked(database, queue(1))

    outcome = await ask_one(database, wait("a", 1))

    assert (outcome["claim"]["state"], outcome["claim"]["offered"]) == ("held", True)
