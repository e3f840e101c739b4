"""Two hundred wait for twenty seats, change their minds, fall silent, and lose their gateways."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext, suppress
from itertools import count

import asyncpg
import pytest

from asking import TENANT, ask, define, expire
from capacity_gateway.kernel.capacity import Capacity
from capacity_gateway.kernel.commands import Attribution, Command, Confirm, Release, Take
from capacity_gateway.kernel.database import Database, application_url
from capacity_gateway.kernel.outcomes import CapacityChange
from capacity_gateway.kernel.sweeper import Sweeper
from capacity_gateway.kernel.vocabulary import LedgerReason, PoolKind
from invariants import check_invariants

WAITERS, SEATS, GATEWAYS, LIFETIMES = 200, 20, 4, 5
OFFER_SECONDS = 0.4
KIND = PoolKind.COMPETITION

FOLDED = """
SELECT DISTINCT ON (holder) holder, id, offered, CASE WHEN state = 'held' THEN 'offered' ELSE state END AS state
FROM capacity.claim ORDER BY holder, created_at DESC
"""
OFFERS = """
SELECT c.id, c.holder, c.rank, c.place, c.created_at, l.version, l.recorded_at,
    CASE WHEN c.state = 'waiting' THEN NULL ELSE c.since END AS left_at
FROM capacity.claim AS c
LEFT JOIN capacity.ledger AS l ON l.claim_id = c.id AND l.reason = 'OFFER'
WHERE c.place IS NOT NULL
"""


def choice(random_: random.Random, name: str, row: asyncpg.Record | None, new_id: str) -> Command | None:
    """What somebody does next: as he stands, and as he feels."""
    state, feels = row["state"] if row else "released", random_.random()
    if state in ("released", "expired"):
        return Take(
            kind=KIND,
            pool_id=KIND.pool_id("p"),
            claim_id=new_id,
            holder=name,
            quantity=1,
            exclusive=name,
            or_wait=True,
            rank=int(name) % 3,
            reason=LedgerReason.JOIN,
        )
    assert row is not None
    if state == "offered" and feels < 0.5 and int(row["id"].split("/")[1]) % 4:  # every fourth offer is left to run out
        return Confirm(kind=KIND, claim_id=row["id"], done_facts={}, done_state="confirmed")
    leaves = {"offered": 0.55 < feels < 0.65, "waiting": feels < 0.05, "confirmed": feels < 0.5}[state]
    return Release(kind=KIND, claim_id=row["id"], reason=LedgerReason.LEAVE, done_facts={}) if leaves else None


async def live(owner_url: str, url: str, number: int, seed: int) -> None:
    """A gateway's life: its people do as they like, and then it is gone, whatever it was about to answer."""
    random_ = random.Random(f"{seed} {number}")  # noqa: S311 - no secret
    people, ids = [f"{n}" for n in range(number % GATEWAYS, WAITERS, GATEWAYS)], count(1)
    owner = await asyncpg.connect(owner_url)
    try:
        async with Database.open(url, connections_max=3) as database:
            capacity = Capacity(database, deadline_seconds=3)
            while True:
                rows = {row["holder"]: row for row in await owner.fetch(FOLDED)}
                for name in random_.sample(people, 12):
                    new_id = f"{number}.{name}/{next(ids)}"
                    command = choice(random_, name, rows.get(name), new_id)
                    if command:
                        by = Attribution(operation="test", actor=name, key=f"key of {new_id}", fingerprint="f")
                        await capacity.submit(TENANT, [command], by, CapacityChange)
    finally:
        await owner.close()


async def cut_off(owner: asyncpg.Connection) -> None:
    """End every connection of the gateways at once, in whatever statement they are."""
    await owner.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE application_name = 'capacity-gateway' AND datname = current_database()"
    )


@asynccontextmanager
async def sweeping(database: Database) -> AsyncIterator[None]:
    """With a sweeper in the background."""
    task = asyncio.create_task(Sweeper(database, Capacity(database, deadline_seconds=3), idempotency_days=30).run())
    yield
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


def passed_over(rows: list[asyncpg.Record]) -> list[str]:
    """Who was offered a seat while somebody waited who came before him."""
    return [
        f"{first['id']} was passed by {offer['id']}"
        for offer in rows
        if offer["version"]
        for first in rows
        if (first["rank"], first["place"]) < (offer["rank"], offer["place"])
        and first["created_at"] < offer["recorded_at"]
        and (
            first["version"] > offer["version"]
            if first["version"]
            else first["left_at"] is None or first["left_at"] > offer["recorded_at"]
        )
    ]


def had_two(entries: list[asyncpg.Record]) -> list[str]:
    """Who has had two seats, or two offers, at once."""
    has: Counter[str] = Counter()
    wrong = []
    for entry in entries:
        has[entry["holder"]] += entry["held_change"] + entry["confirmed_change"]
        if has[entry["holder"]] not in (0, 1):
            wrong.append(f"{entry['holder']} had {has[entry['holder']]} at version {entry['version']}")
    return wrong


@pytest.mark.parametrize("swept", [True, False], ids=["swept", "unswept"])
async def test_order_is_kept_and_every_seat_is_one_persons(
    database: Database, owner: asyncpg.Connection, owner_url: str, *, swept: bool
) -> None:
    """Whoever leaves, declines, accepts, falls silent, comes back; and though gateways die under them."""
    await ask(database, define(SEATS, waitlist=True, offer_seconds=OFFER_SECONDS))
    url = await application_url(owner_url)
    async with sweeping(database) if swept else nullcontext():
        for lifetime in range(LIFETIMES):
            gateways = [
                asyncio.create_task(live(owner_url, url, lifetime * GATEWAYS + n, seed=1)) for n in range(GATEWAYS)
            ]
            await asyncio.sleep(1.2)
            await cut_off(owner)
            await asyncio.sleep(0.2)
            for gateway in gateways:
                gateway.cancel()
            ended = await asyncio.gather(*gateways, return_exceptions=True)
            assert [repr(end) for end in ended if not isinstance(end, asyncio.CancelledError)] == []
    await asyncio.sleep(OFFER_SECONDS)
    (last,) = await ask(database, expire())

    rows = await owner.fetch(OFFERS)
    assert sum(row["version"] is not None for row in rows) > 3 * SEATS
    assert passed_over(rows) == []
    entries = await owner.fetch(
        "SELECT l.*, c.holder FROM capacity.ledger AS l JOIN capacity.claim AS c ON c.id = l.claim_id ORDER BY version"
    )
    reasons = {entry["reason"] for entry in entries}
    assert reasons >= {"OFFER", "CONFIRM", "LEAVE", "EXPIRY"}
    assert had_two(entries) == []
    assert max(entry["held_after"] + entry["confirmed_after"] for entry in entries) == SEATS
    pool = last["pool"]
    assert pool["waiting"] > 0
    assert pool["held"] + pool["confirmed"] == SEATS
    assert await check_invariants(owner) == []
