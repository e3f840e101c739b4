"""The feed: what it tells to whoever watches, in which order, and what it costs."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import Any

import asyncpg
import pytest

from asking import POOL, TENANT, ask, close, confirm, define, hold, release, resize, take
from capacity_gateway.kernel import feed as module
from capacity_gateway.kernel.capacity import Capacity
from capacity_gateway.kernel.context import Caller
from capacity_gateway.kernel.database import Database, application_url
from capacity_gateway.kernel.feed import RECENT_MAX, Change, Feed
from capacity_gateway.kernel.pools import Pool
from capacity_gateway.kernel.reads import Reads
from capacity_gateway.kernel.vocabulary import PoolKind

Event = tuple[Change, int]
Events = AsyncGenerator[Event, None]

CONNECTIONS_END = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE application_name = 'capacity-gateway' AND datname = current_database()
"""


@asynccontextmanager
async def feeding(database: Database) -> AsyncIterator[Feed]:
    """A feed that runs."""
    feed = Feed(database, Capacity(database, deadline_seconds=3))
    running = asyncio.create_task(feed.run())
    yield feed
    assert not running.done()
    running.cancel()


@pytest.fixture
async def feed(database: Database) -> AsyncIterator[Feed]:
    """A feed that runs."""
    async with feeding(database) as feed:
        yield feed


async def pool_now(database: Database, tenant: str = TENANT) -> Pool:
    """The pool of the tests as it is."""
    reads = Reads(database, Capacity(database, deadline_seconds=3), tenant)
    try:
        return await reads.pool(POOL)
    finally:
        await reads.close()


async def watch(feed: Feed, database: Database, after: int | None = None, tenant: str = TENANT) -> Events:
    """The changes of the pool of the tests from now on, or after a version."""
    pool = await pool_now(database, tenant)
    return feed.changes(tenant, pool, pool.version if after is None else after)


async def up_to(version: int, events: Events, pause_seconds: float = 0) -> list[Event]:
    """What is told up to a version to who pauses after each; nobody waits for longer than half a minute."""
    found: list[Event] = []
    async with asyncio.timeout(30), aclosing(events):
        async for event in events:
            found.append(event)
            if event[0].version >= version:
                break
            await asyncio.sleep(pause_seconds)
    return found


def versions(events: list[Event]) -> list[int]:
    """Which versions were told."""
    return [change.version for change, _ in events]


def without_gap(events: list[Event], after: int = 0) -> bool:
    """Whether each event goes on where the one before it ended."""
    ends = [after, *versions(events)]
    return all(before + coalesced == end for before, end, (_, coalesced) in zip(ends, ends[1:], events, strict=False))


async def grow(database: Database, size: int, tenant: str = TENANT) -> None:
    """A pool with so many entries."""
    await ask(database, define(size), *[take(f"{n}", 1, POOL) for n in range(size)], tenant=tenant)


async def test_every_change_is_told_in_order_whoever_made_it(owner_url: str, database: Database) -> None:
    """Two gateways write at once, and whoever watches at either sees every version once."""
    await ask(database, define(200))
    async with (
        Database.open(await application_url(owner_url)) as other,
        feeding(database) as here,
        feeding(other) as there,
    ):
        watching = [
            asyncio.create_task(up_to(200, await watch(feed, at)))
            for feed, at in ((here, database), (here, database), (there, other), (there, other))
        ]

        async def write(at: Database, name: str) -> None:
            for n in range(100):
                await ask(at, take(f"{name}{n}", 1, POOL))

        await asyncio.gather(write(database, "a"), write(other, "b"))
        seen = await asyncio.gather(*watching)

    assert [versions(events) for events in seen] == [list(range(1, 201))] * 4
    assert all(without_gap(events) for events in seen)


@pytest.mark.parametrize("after", [0, 1, 350, 699, 700])
async def test_who_comes_back_is_told_exactly_what_he_has_missed(database: Database, feed: Feed, after: int) -> None:
    """One by one, though it is more than is kept in memory, and then what happens next."""
    await grow(database, 700)
    events = await watch(feed, database, after)
    first = asyncio.create_task(anext(events))
    await asyncio.sleep(0)
    await ask(database, release("0"))

    seen = [await first]
    seen += await up_to(701, events) if seen[0][0].version < 701 else []
    assert versions(seen) == list(range(after + 1, 702))
    assert {coalesced for _, coalesced in seen} == {1}


async def test_two_who_have_missed_different_parts_are_both_told_theirs(database: Database, feed: Feed) -> None:
    """What is kept for the one who came first is not all that the other one needs."""
    await grow(database, 600)
    early = asyncio.create_task(up_to(601, await watch(feed, database, 590)))
    await asyncio.sleep(0.1)
    late = asyncio.create_task(up_to(601, await watch(feed, database, 10)))
    await asyncio.sleep(0.3)
    await ask(database, release("0"))

    assert [versions(await early), versions(await late)] == [list(range(591, 602)), list(range(11, 602))]


async def test_who_read_the_pool_before_the_first_watcher_did_is_told_what_came_between(
    database: Database, feed: Feed
) -> None:
    """Two begin at once: nothing is kept yet from before the one who began to watch first."""
    await ask(database, define(10))
    slow = await watch(feed, database)
    await ask(database, *[take(f"{n}", 1, POOL) for n in range(3)])
    quick = asyncio.create_task(up_to(4, await watch(feed, database)))
    await asyncio.sleep(0)
    told = asyncio.create_task(up_to(4, slow))
    await asyncio.sleep(0.3)
    await ask(database, release("0"))

    assert [versions(await told), versions(await quick)] == [[1, 2, 3, 4], [4]]


async def test_what_was_missed_is_told_one_by_one_however_long_ago_it_was(database: Database, feed: Feed) -> None:
    """Somebody else has been watching all the time, so it is kept; but it is not he who was slow."""
    await ask(database, define(300))
    other = asyncio.create_task(up_to(121, await watch(feed, database)))
    await asyncio.sleep(0.2)
    await ask(database, *[take(f"{n}", 1, POOL) for n in range(120)])
    await asyncio.sleep(module.PATIENCE_SECONDS + 0.5)

    back = asyncio.create_task(up_to(121, await watch(feed, database, 7)))
    await asyncio.sleep(0.2)
    await ask(database, release("0"))

    assert [versions(await back), versions(await other)] == [list(range(8, 122)), list(range(1, 122))]


async def test_the_pool_is_told_as_it_stood_after_each_change(database: Database, feed: Feed) -> None:
    """Although it has moved on by the time that it is read."""
    for command in (
        define(10),
        take("a", 3, POOL),
        hold("b", 2, POOL),
        confirm("b"),
        resize(20),
        release("a"),
        close(),
    ):
        await ask(database, command)

    seen = await up_to(5, await watch(feed, database, 0))

    numbers = [(c.pool.version, c.pool.quota, c.pool.held, c.pool.confirmed) for c, _ in seen]
    assert numbers == [(1, 10, 0, 3), (2, 10, 2, 3), (3, 10, 0, 5), (4, 20, 0, 5), (5, 20, 0, 2)]
    assert all(c.pool.as_of == c.entry.recorded_at and c.pool.closed_at for c, _ in seen)


async def test_a_drift_is_in_every_event(database: Database, owner: asyncpg.Connection, feed: Feed) -> None:
    """The numbers are the counter's, as everywhere."""
    await ask(database, define(10), take("a", 3, POOL), take("b", 1, POOL))
    await owner.execute("UPDATE capacity.pool SET confirmed = confirmed + 5")

    seen = await up_to(2, await watch(feed, database, 0))

    assert [change.pool.confirmed for change, _ in seen] == [8, 9]
    assert (await pool_now(database)).confirmed == 9


async def test_who_does_not_keep_up_gets_the_newest_of_what_has_waited(database: Database, feed: Feed) -> None:
    """In one event that says how many it stands for; before a second has passed, one by one."""
    await ask(database, define(1000))
    events = await watch(feed, database)
    first = asyncio.create_task(anext(events))
    await asyncio.sleep(0.2)
    await ask(database, *[take(f"a{n}", 1, POOL) for n in range(3)])
    assert [(await first)[1], (await anext(events))[1], (await anext(events))[1]] == [1, 1, 1]

    await ask(database, *[take(f"b{n}", 1, POOL) for n in range(400)])
    await asyncio.sleep(module.PATIENCE_SECONDS + 0.5)
    change, coalesced = await anext(events)

    assert (change.version, change.entry.version, coalesced) == (403, 403, 400)
    await events.aclose()


async def test_a_crowd_of_slow_ones_costs_no_memory(database: Database, feed: Feed) -> None:
    """What is kept is kept once, and so much of it."""
    await ask(database, define(5000))
    crowd = [await watch(feed, database) for _ in range(50)]
    waiting = [asyncio.create_task(anext(events)) for events in crowd]
    await asyncio.sleep(0.2)

    for batch in range(10):
        await ask(database, *[take(f"{batch}/{n}", 1, POOL) for n in range(100)])
    async with asyncio.timeout(20):
        while (watched := feed.watched_pool(TENANT, POOL)) is None or watched.version < 1000:  # noqa: ASYNC110 - it is only looked at
            await asyncio.sleep(0.05)

    assert len(watched.recent) == RECENT_MAX
    firsts = await asyncio.gather(*waiting)
    assert all(without_gap([event]) for event in firsts)
    for events, first in zip(crowd, firsts, strict=True):
        assert without_gap(await up_to(1000, events), after=first[0].version)
    assert feed.watched_pool(TENANT, POOL) is None


async def test_a_hold_runs_out_before_the_eyes_of_who_watches(database: Database, feed: Feed) -> None:
    """With no sweeper, and nobody else who reads."""
    await ask(database, define(1))
    events = await watch(feed, database)
    first = asyncio.create_task(anext(events))
    await asyncio.sleep(0.1)
    await ask(database, hold("a", 1, POOL, ttl_seconds=0.3))
    assert (await first)[0].entry.reason.name == "HOLD"

    async with asyncio.timeout(5):
        change, _ = await anext(events)

    assert (change.entry.reason.name, change.pool.held) == ("EXPIRY", 0)
    assert (change.entry.recorded_at - change.entry.effective_at).total_seconds() < 1
    await events.aclose()


async def test_what_cannot_be_settled_keeps_nobody_from_being_told(
    database: Database, owner: asyncpg.Connection, feed: Feed
) -> None:
    """A pool of the tenant whose counter has been spoilt."""
    await ask(database, define(5))
    await ask(database, define(1, "competition:spoilt"), hold("due", 1, "competition:spoilt", ttl_seconds=0))
    events = await watch(feed, database)
    await owner.execute("UPDATE capacity.pool SET held = 0 WHERE id = 'competition:spoilt'")
    first = asyncio.create_task(anext(events))
    await asyncio.sleep(0.3)

    await ask(database, hold("a", 1, POOL, ttl_seconds=0.2))

    assert (await first)[0].entry.reason.name == "HOLD"
    async with asyncio.timeout(10):
        assert (await anext(events))[0].entry.reason.name == "EXPIRY"
    await events.aclose()


async def test_no_tenant_is_told_of_another(database: Database, feed: Feed) -> None:
    """Pools of one name, in one statement."""
    for tenant, size in (("a", 3), ("b", 5)):
        await grow(database, size, tenant)

    seen = [
        versions(await up_to(size, await watch(feed, database, 0, tenant))) for tenant, size in (("a", 3), ("b", 5))
    ]

    assert seen == [[1, 2, 3], [1, 2, 3, 4, 5]]
    events = await watch(feed, database, tenant="a")
    waiting = asyncio.create_task(anext(events))
    await asyncio.sleep(0.1)
    await ask(database, release("0"), tenant="b")
    await asyncio.sleep(0.5)
    assert not waiting.done()
    waiting.cancel()


async def test_nothing_is_lost_when_connections_end(
    database: Database, owner: asyncpg.Connection, feed: Feed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is told meanwhile, and afterwards it goes on from where each one was."""
    monkeypatch.setattr(module, "RETRY_SECONDS", 0.05)
    await grow(database, 300)
    watching = [asyncio.create_task(up_to(340, await watch(feed, database, after))) for after in (0, 150, 300)]

    for n in range(20):
        await owner.execute(CONNECTIONS_END)
        await asyncio.sleep(0.05)
        await ask(database, release(f"{n}"), release(f"{n + 100}"))

    assert [versions(await seen) for seen in watching] == [list(range(after + 1, 341)) for after in (0, 150, 300)]


async def offered_pool(database: Database, tenant: str = TENANT) -> None:
    """A pool for two with a queue in which w1, w2 and w3 wait."""
    await ask(
        database,
        define(2, waitlist=True, offer_seconds=60),
        take("a", 1, POOL),
        take("b", 1, POOL),
        *[take(f"w{n}", 1, POOL, or_wait=True) for n in (1, 2, 3)],
        tenant=tenant,
    )


async def test_an_offer_is_told_to_its_holder_alone_and_once(database: Database, feed: Feed) -> None:
    """Those that hold already come first."""
    await offered_pool(database)
    await ask(database, release("a"))
    inboxes: dict[str, list[str]] = {name: [] for name in ("w1", "w2", "w3", "w1 elsewhere")}

    async def listen(name: str, tenant: str = TENANT) -> None:
        async for claim_id in feed.offers(tenant, f"holder of {name.split(maxsplit=1)[0]}"):
            inboxes[name].append(claim_id)

    listening = [asyncio.create_task(listen(name)) for name in ("w1", "w2", "w3")]
    listening.append(asyncio.create_task(listen("w1 elsewhere", "elsewhere")))
    await asyncio.sleep(0.4)
    assert inboxes == {"w1": ["w1"], "w2": [], "w3": [], "w1 elsewhere": []}

    await ask(database, release("w1"))
    await asyncio.sleep(0.4)

    assert inboxes == {"w1": ["w1"], "w2": ["w2"], "w3": [], "w1 elsewhere": []}
    for task in listening:
        task.cancel()


async def test_an_offer_passes_on_before_the_eyes_of_who_waits(database: Database, feed: Feed) -> None:
    """The one before lets it run out, with no sweeper, and nobody else who reads."""
    await ask(database, define(1, waitlist=True, offer_seconds=0.3), take("a", 1, POOL))
    await ask(database, *[take(f"w{n}", 1, POOL, or_wait=True) for n in (1, 2)])
    waiting = asyncio.create_task(anext(feed.offers(TENANT, "holder of w2")))
    await asyncio.sleep(0.1)

    await ask(database, release("a"))

    async with asyncio.timeout(5):
        assert await waiting == "w2"


@pytest.fixture
async def statements(owner_url: str) -> AsyncIterator[tuple[Database, list[str]]]:
    """A gateway's connections, and what is asked over them."""
    asked: list[str] = []

    async def listen(connection: Any) -> None:
        connection.add_query_logger(lambda record: asked.append(record.query))

    async with asyncpg.create_pool(await application_url(owner_url), init=listen) as connections:
        yield Database(connections), asked


async def test_nothing_is_asked_while_nobody_watches(
    database: Database, statements: tuple[Database, list[str]]
) -> None:
    """Neither before nor after."""
    await ask(database, define(5))
    own, asked = statements
    async with feeding(own) as feed:
        await asyncio.sleep(0.3)
        assert asked == []
        events = await watch(feed, database)
        waiting = asyncio.create_task(anext(events))
        await asyncio.sleep(0.3)
        assert asked
        waiting.cancel()
        await asyncio.sleep(0.3)
        asked.clear()
        await asyncio.sleep(0.5)

        assert asked == []


async def test_a_change_is_read_once_however_many_watch(
    database: Database, statements: tuple[Database, list[str]]
) -> None:
    """200 who watch are told 20 changes each."""
    own, asked = statements
    await ask(database, define(50))
    async with feeding(own) as feed:
        watching = [asyncio.create_task(up_to(20, await watch(feed, database))) for _ in range(200)]
        await asyncio.sleep(0.2)
        asked.clear()
        for n in range(20):
            await ask(database, take(f"{n}", 1, POOL))
        seen = await asyncio.gather(*watching)

    assert all(without_gap(events) for events in seen)
    assert len([query for query in asked if "capacity.watch" in query]) < 100


@pytest.mark.parametrize(
    ("caller", "shown"),
    [
        (Caller(tenant=TENANT), False),
        (Caller(tenant=TENANT, holder="x", names=dict.fromkeys(PoolKind, "x")), False),
        (Caller(tenant=TENANT, holder="x", names=dict.fromkeys(PoolKind, "holder of a")), True),
        (Caller(tenant=TENANT, holder="x", audits=frozenset({PoolKind.COMPETITION})), True),
        (Caller(tenant=TENANT, holder="x", audits=frozenset({PoolKind.EVENT})), False),
    ],
    ids=["anonymous", "somebody else", "its holder", "an auditor", "an auditor of other kinds"],
)
async def test_an_entry_is_shown_to_who_may_read_it(
    database: Database, feed: Feed, caller: Caller, *, shown: bool
) -> None:
    """As the ledger shows it."""
    await ask(database, define(5), take("a", 1, POOL))

    ((change, _),) = await up_to(1, await watch(feed, database, 0))

    assert (change.shown_to(caller) is not None) == shown
