"""Races, and what must hold of each. A check runs one on concurrent connections and says what went wrong."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

import asyncpg
import orjson

from asking import (
    OTHER,
    POOL,
    TENANT,
    Json,
    adjust,
    define,
    hold,
    keyed,
    linked,
    move,
    release,
    release_elsewhere,
    take,
    wait,
)
from capacity_gateway.kernel.database import ROLLED_BACK, TAKEN_MEANWHILE, application_url
from invariants import check_invariants

Outcomes = list[Json]
SENT_AGAIN = (*ROLLED_BACK, *TAKEN_MEANWHILE)
"""What the gateway answers by sending the same again."""

EVERYBODYS = """
SELECT tenant_id FROM capacity.pool UNION SELECT tenant_id FROM capacity.claim
UNION SELECT tenant_id FROM capacity.ledger UNION SELECT tenant_id FROM capacity.idempotency
"""


@asynccontextmanager
async def connected(owner_url: str, count: int, **settings: str) -> AsyncIterator[list[asyncpg.Connection]]:
    """So many connections as the application role."""
    url = await application_url(owner_url)
    async with AsyncExitStack() as stack:
        opened = []
        for _ in range(count):
            connection = await asyncpg.connect(url, server_settings=settings)
            stack.push_async_callback(connection.close)
            opened.append(connection)
        yield opened


async def tell(connection: asyncpg.Connection, *commands: Json, tenant: str = TENANT) -> Outcomes:
    """The outcomes of one batch."""
    text = orjson.dumps(commands).decode()
    rows = await connection.fetch("SELECT outcome FROM capacity.apply($1, $2)", tenant, text)
    return [orjson.loads(row["outcome"]) for row in rows]


async def attempt(connection: asyncpg.Connection, *commands: Json, delay: float = 0, again: int = 0) -> Outcomes:
    """The same after a delay; an error is an outcome whose code is its name."""
    await asyncio.sleep(delay)
    try:
        return await tell(connection, *commands)
    except SENT_AGAIN as error:
        if again:
            return await attempt(connection, *commands, again=again - 1)
        return [{"code": type(error).__name__}]
    except asyncpg.PostgresError as error:
        return [{"code": type(error).__name__}]


async def broken(owner_url: str) -> list[str]:
    """The invariants that do not hold."""
    owner = await asyncpg.connect(owner_url)
    try:
        return await check_invariants(owner)
    finally:
        await owner.close()


async def two_takers(owner_url: str, *, rounds: int = 200, seed: int = 1, again: int = 0, **settings: str) -> list[str]:
    """Two take 100 of 150 at once: one gets them, the other is told that 50 are left."""
    jitter = random.Random(seed)  # noqa: S311 - no secret
    wrong = []
    async with connected(owner_url, 2, **settings) as (first, second):
        await tell(first, *(define(150, f"competition:{n}") for n in range(rounds)))
        for n in range(rounds):
            pool = f"competition:{n}"
            answers = await asyncio.gather(
                attempt(first, take(f"first {n}", 100, pool), delay=jitter.uniform(0, 0.002), again=again),
                attempt(second, take(f"second {n}", 100, pool), delay=jitter.uniform(0, 0.002), again=again),
            )
            told = sorted(outcome["code"] for (outcome,) in answers)
            if told != ["INSUFFICIENT", "OK"]:
                wrong.append(f"round {n}: {told[0]} and {told[1]}")
            wrong += [
                f"round {n}: told that {outcome['detail']['available']} are left"
                for (outcome,) in answers
                if outcome["code"] == "INSUFFICIENT" and outcome["detail"]["available"] != 50
            ]
    return wrong + await broken(owner_url)


async def many_takers(owner_url: str, *, rounds: int = 5, **settings: str) -> list[str]:
    """Twenty take 10 of 150 at once: fifteen get them, and five are told that none is left."""
    wrong = []
    async with connected(owner_url, 20, **settings) as takers:
        await tell(takers[0], *(define(150, f"competition:{n}") for n in range(rounds)))
        for n in range(rounds):
            answers = await asyncio.gather(
                *(attempt(taker, take(f"{n}/{i}", 10, f"competition:{n}")) for i, taker in enumerate(takers))
            )
            told = Counter(outcome["code"] for (outcome,) in answers)
            left = {o["detail"]["available"] for (o,) in answers if o["code"] == "INSUFFICIENT"}
            if told != {"OK": 15, "INSUFFICIENT": 5} or left != {0}:
                wrong.append(f"round {n}: {dict(told)}, told that {left} are left")
    return wrong + await broken(owner_url)


async def mixed(owner_url: str, *, workers: int = 10, seed: int = 1, **settings: str) -> list[str]:
    """Approvals, refunds and moves over two pools in opposite orders: all are answered, and the books balance."""
    wrong: list[str] = []
    shuffled = random.Random(seed)  # noqa: S311 - no secret

    async def work(connection: asyncpg.Connection, n: int) -> None:
        here, there = (POOL, OTHER) if n % 2 else (OTHER, POOL)
        both = linked(take(f"{n} here", 5, here), take(f"{n} there", 5, there))
        asked = [[move(f"{n}", there)], [release(f"{n}", 1)], [adjust(f"{n}", 9)], [move(f"{n}", here)], both]
        shuffled.shuffle(asked)
        for commands in asked:
            told = {outcome["code"] for outcome in await attempt(connection, *commands)}
            if not told <= {"OK", "DONE", "INSUFFICIENT", "LINKED"}:
                wrong.append(f"worker {n}: {commands[0]['verb']} was answered by {told}")

    async with connected(owner_url, workers, **settings) as connections:
        await tell(connections[0], define(75), define(75, OTHER))
        await tell(connections[0], *(take(f"{n}", 10, POOL if n % 2 else OTHER) for n in range(workers)))
        await asyncio.gather(*(work(connection, n) for n, connection in enumerate(connections)))
    return wrong + await broken(owner_url)


async def one_claim(owner_url: str, *, rounds: int = 40, **settings: str) -> list[str]:
    """Two take up the same waiting claim at once: one does, and to the other it is taken."""
    wrong = []
    async with connected(owner_url, 2, **settings) as (first, second):
        await tell(first, define(1000), *(wait(f"{n}", 10) for n in range(rounds)))
        for n in range(rounds):
            answers = await asyncio.gather(*(attempt(taker, take(f"{n}", 10, None)) for taker in (first, second)))
            told = sorted(outcome["code"] for (outcome,) in answers)
            if told != ["INVALID_TRANSITION", "OK"]:
                wrong.append(f"round {n}: {told[0]} and {told[1]}")
    return wrong + await broken(owner_url)


async def given_back_twice(owner_url: str, *, rounds: int = 40, **settings: str) -> list[str]:
    """Two give back the same claim at once: one does, and to the other it is given back."""
    wrong = []
    async with connected(owner_url, 2, **settings) as (first, second):
        await tell(first, define(1000), take("stays", 500), *(take(f"{n}", 10) for n in range(rounds)))
        for n in range(rounds):
            answers = await asyncio.gather(*(attempt(giver, release(f"{n}")) for giver in (first, second)))
            told = sorted(outcome["code"] for (outcome,) in answers)
            if told != ["INVALID_TRANSITION", "OK"]:
                wrong.append(f"round {n}: {told[0]} and {told[1]}")
    return wrong + await broken(owner_url)


async def two_tenants(owner_url: str, *, rounds: int = 20, **settings: str) -> list[str]:
    """Two tenants use the same names and keys on one connection: neither is answered by what is the other's."""
    wrong = []
    async with connected(owner_url, 1, **settings) as (connection,):
        for n in range(rounds):
            for tenant in ("a", "b"):
                commands = [define(100 if tenant == "a" else 200), keyed(take(f"{n}", 1), f"key {n}")]
                made, taken = await tell(connection, *commands, tenant=tenant)
                if taken["code"] != "OK" or taken["replayed"] or taken["pool"]["quota"] != made["pool"]["quota"]:
                    wrong.append(f"tenant {tenant}, round {n}: {taken['code']}, replayed: {taken['replayed']}")
                async with connection.transaction():
                    await connection.execute("SELECT set_config('capacity.tenant', $1, true)", tenant)
                    seen = {row[0] for row in await connection.fetch(EVERYBODYS)}
                if seen != {tenant}:
                    wrong.append(f"tenant {tenant}, round {n}: saw what is of {sorted(seen)}")
    return wrong + await broken(owner_url)


async def moved_away(owner_url: str, *, rounds: int = 40, **settings: str) -> list[str]:
    """A claim is moved while somebody gives back of it: both happen, in the pools where they belong."""
    wrong = []
    async with connected(owner_url, 2, **settings) as (first, second):
        await tell(first, define(1000), define(1000, OTHER), *(take(f"{n}", 10) for n in range(rounds)))
        for n in range(rounds):
            answers = await asyncio.gather(
                attempt(first, move(f"{n}"), again=2), attempt(second, release(f"{n}", 3), again=2)
            )
            told = [outcome["code"] for (outcome,) in answers]
            if told != ["OK", "OK"]:
                wrong.append(f"round {n}: {told[0]} and {told[1]}")
    return wrong + await broken(owner_url)


async def two_places(owner_url: str, *, rounds: int = 40, **settings: str) -> list[str]:
    """Somebody goes into two pools at once, each time out of any other: he is in one, and the other one is free."""
    wrong = []
    async with connected(owner_url, 2, **settings) as (first, second):
        await tell(first, define(1), define(1, OTHER))
        for n in range(rounds):
            both = [
                linked(hold(f"{n} in {pool}", 1, pool, holder="h"), release_elsewhere("h", pool))
                for pool in (POOL, OTHER)
            ]
            answers = await asyncio.gather(attempt(first, *both[0], again=2), attempt(second, *both[1], again=2))
            told = [[outcome["code"] for outcome in outcomes] for outcomes in answers]
            left = await tell(
                first, *linked(release(f"{n} in {POOL}"), request=1), *linked(release(f"{n} in {OTHER}"), request=2)
            )
            was_in = [outcome["code"] for outcome in left].count("OK")
            if told[0][0] != "OK" or told[1][0] != "OK" or was_in != 1:
                wrong.append(f"round {n}: told {told}, and in {was_in}")
    return wrong + await broken(owner_url)


async def expiry_while_waiting(owner_url: str, **settings: str) -> list[str]:
    """A hold runs out while a taker waits for the pool: the taker gets the places."""
    owner = await asyncpg.connect(owner_url)
    async with connected(owner_url, 1, **settings) as (taker,):
        await tell(taker, define(10), hold("a", 10, ttl_seconds=0.3))
        async with owner.transaction():
            await owner.execute("SELECT FROM capacity.pool FOR UPDATE")
            waiting = asyncio.create_task(attempt(taker, take("b", 10)))
            await asyncio.sleep(0.35)
        (outcome,) = await waiting
    await owner.close()
    wrong = [] if outcome["code"] == "OK" else [f"{outcome['code']} after the hold had run out"]
    return wrong + await broken(owner_url)


async def ended_backends(owner_url: str, *, takers: int = 60, seed: int = 1) -> list[str]:
    """Backends are ended at any moment of a take: its key, sent again, is applied once and answered truly."""
    moments = random.Random(seed)  # noqa: S311 - no secret
    commands = [keyed(take(f"{n}", 1), f"key {n}") for n in range(takers)]
    owner = await asyncpg.connect(owner_url)
    async with connected(owner_url, 1) as (survivor,):
        await tell(survivor, define(takers))
        for start in range(0, takers, 10):
            await _end_while_asking(owner, owner_url, commands[start : start + 10], moments.uniform(0, 0.008))
        answers = [await attempt(survivor, command) for command in commands]
        full = await attempt(survivor, take("one more", 1))
    await owner.close()
    told = Counter(outcome["code"] for (outcome,) in answers)
    wrong = [] if told == {"OK": takers} else [f"the keys were answered by {dict(told)}"]
    wrong += [] if full[0]["code"] == "INSUFFICIENT" else ["a key was not applied"]
    return wrong + await broken(owner_url)


async def _end_while_asking(owner: asyncpg.Connection, owner_url: str, commands: Sequence[Json], delay: float) -> None:
    url = await application_url(owner_url)
    doomed = [await asyncpg.connect(url) for _ in commands]
    asked = [asyncio.create_task(tell(c, command)) for c, command in zip(doomed, commands, strict=True)]
    await asyncio.sleep(delay)
    for connection in doomed:
        await owner.execute("SELECT pg_terminate_backend($1)", connection.get_server_pid())
    await asyncio.gather(*asked, return_exceptions=True)
    for connection in doomed:
        connection.terminate()
