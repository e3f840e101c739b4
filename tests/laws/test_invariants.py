"""What holds after anything at all; and that the check of it sees what is broken."""

import asyncio
import random

import asyncpg
import pytest

from asking import (
    OTHER,
    POOL,
    Json,
    adjust,
    ask,
    close,
    confirm,
    define,
    hold,
    linked,
    move,
    release,
    reopen,
    resize,
    take,
    wait,
)
from capacity_gateway.kernel.database import Database
from invariants import check_invariants

WORKERS = 8
COMMANDS = 30


def anything(chance: random.Random, worker: int) -> list[Json]:
    """A request about one of a worker's claims, and sometimes about a pool."""
    claim, quantity = f"{worker}/{chance.randrange(6)}", chance.randint(1, 8)
    here, there = chance.sample([POOL, OTHER], 2)
    commands = [
        take(claim, quantity, here),
        hold(claim, quantity, here, ttl_seconds=chance.choice([0.005, 60])),
        wait(claim, quantity, here),
        take(claim, quantity, None, overbook=chance.random() < 0.1),
        confirm(claim, quantity),
        release(claim),
        adjust(claim, quantity),
        move(claim, there),
    ]
    about_pools = [close(here), reopen(here), reopen(there), resize(chance.randint(20, 60), here)]
    if chance.random() < 0.2:
        return linked(take(f"{claim} here", quantity, here), take(f"{claim} there", quantity, there))
    return [chance.choice(commands if chance.random() < 0.85 else about_pools)]


async def storm(database: Database, seed: int) -> None:
    """Workers ask for anything at the same time."""

    async def work(worker: int) -> None:
        chance = random.Random(f"{seed}/{worker}")  # noqa: S311 - no secret
        for _ in range(COMMANDS):
            await ask(database, *anything(chance, worker))

    await ask(database, define(40), define(40, OTHER, oversell_max=3))
    await asyncio.gather(*(work(worker) for worker in range(WORKERS)))


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_the_books_balance_after_a_storm(database: Database, owner: asyncpg.Connection, seed: int) -> None:
    """Counters, ledger and claims agree, versions have no gaps, and nothing is oversold."""
    print(f"seed {seed}")  # noqa: T201 - to run it again
    await storm(database, seed)

    assert await check_invariants(owner) == []
    assert await owner.fetchval("SELECT count(*) FROM capacity.ledger") > WORKERS


@pytest.mark.parametrize(
    ("statement", "sentence"),
    [
        ("UPDATE capacity.pool SET quota = quota + 1", "quota 11 is not"),
        ("UPDATE capacity.pool SET held = held + 1", "the ledger 2"),
        ("UPDATE capacity.pool SET confirmed = confirmed - 1", "3 confirmed, the ledger 4"),
        ("UPDATE capacity.claim SET quantity = quantity + 1 WHERE state = 'held'", "held, the claims 3"),
        ("UPDATE capacity.claim SET quantity = 9 WHERE state = 'confirmed'", "oversold by 1"),
        ("UPDATE capacity.pool SET version = version + 1", "at version 3 with 2 entries"),
        ("DELETE FROM capacity.ledger WHERE version = 1", "at version 2 with 1 entries"),
        ("UPDATE capacity.ledger SET held_after = held_after + 1", "the running sums"),
        (
            "UPDATE capacity.ledger SET recorded_at = recorded_at + interval '1 hour' WHERE version = 1",
            "before the entry",
        ),
        (
            (
                "DROP INDEX capacity.ledger_key_once;"
                " UPDATE capacity.ledger SET operation = 'o', idempotency_key = 'k', part = 1"
            ),
            "key k was applied twice",
        ),
    ],
)
async def test_the_check_sees_what_is_broken(
    database: Database, owner: asyncpg.Connection, statement: str, sentence: str
) -> None:
    """A check that cannot fail proves nothing."""
    await ask(database, define(10), take("a", 4), hold("b", 2))
    await owner.execute(statement)

    assert sentence in "\n".join(await check_invariants(owner))
