"""Two hundred wait for twenty seats, change their minds, fall silent, and lose their gateways."""

import asyncio
import random
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
from waiting import ENTRIES, FOLDED, OFFERS, had_two, passed_over

WAITERS, SEATS, GATEWAYS, LIFETIMES = 200, 20, 4, 5
OFFER_SECONDS = 0.4
KIND = PoolKind.COMPETITION


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
    entries = await owner.fetch(ENTRIES)
    reasons = {entry["reason"] for entry in entries}
    assert reasons >= {"OFFER", "CONFIRM", "LEAVE", "EXPIRY"}
    assert had_two(entries) == []
    assert max(entry["held_after"] + entry["confirmed_after"] for entry in entries) == SEATS
    pool = last["pool"]
    assert pool["waiting"] > 0
    assert pool["held"] + pool["confirmed"] == SEATS
    assert await check_invariants(owner) == []
