"""What changes, told to whoever watches: one feed a process, and one statement a tick however many there are.

A subscriber keeps no queue, only the version it has seen. It goes on from there when it is ready, so a slow one costs
nothing and misses nothing.
"""

import asyncio
from bisect import bisect_right
from collections import defaultdict, deque
from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TypeVar

import orjson
import structlog

from capacity_gateway.kernel.capacity import Capacity
from capacity_gateway.kernel.context import Caller
from capacity_gateway.kernel.database import CONNECTION_LOST, QUERIES, REFUSED, Database, NoConnection
from capacity_gateway.kernel.ledger import LedgerEntry
from capacity_gateway.kernel.pools import Json, Pool

TICK_SECONDS = 0.1  # between two looks at what other gateways have done
GAP_SECONDS = 0.005  # between two looks at what this one has done, and
GAP_PER_LOOK = 3  # times as long as a look takes, so that a busy feed leaves the database to others
RETRY_SECONDS = 0.5  # while the database is away, and for holds that could not be settled
PATIENCE_SECONDS = 1.0  # a change that a subscriber has not taken by then is folded into the newest
RECENT_MAX = 256  # changes kept of a watched pool, shared by all who watch it
TOLD_AT_ONCE = 8  # subscribers in a turn of the loop: an event takes 0.25 ms for each, and others go in between
PAGE = 100  # changes read at once
PAGES_AT_ONCE = 3  # read for those who have missed more than is kept

UNANSWERED = (*REFUSED, *CONNECTION_LOST, NoConnection)

log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True)
class Change:
    """One entry of a ledger."""

    entry: LedgerEntry
    pool: Pool
    """The pool as it stood after it."""
    holder: str | None
    """Whose claim it changed."""
    noticed: float
    """When the feed read it, by the loop's clock."""

    @classmethod
    def decode(cls, row: Json) -> "Change":
        """The change of a row of `capacity.watch`."""
        return cls(
            entry=LedgerEntry.decode(row["entry"]),
            pool=Pool.decode(row["pool"], row["pool"]["as_of"]),
            holder=row["holder"],
            noticed=asyncio.get_running_loop().time(),
        )

    @property
    def version(self) -> int:
        """The entry's number."""
        return self.entry.version

    def shown_to(self, caller: Caller) -> LedgerEntry | None:
        """The entry, for whoever may read it: who may audit the pool, and whose claim it is."""
        own = self.holder is not None and self.holder == caller.names.get(self.pool.kind)
        return self.entry if own or caller.may_audit(self.pool) else None


@dataclass
class Watched:
    """What somebody watches."""

    watchers: int = 0
    news: asyncio.Event = field(default_factory=asyncio.Event)

    def tell(self) -> None:
        """Wake all who wait for news."""
        self.news.set()
        self.news = asyncio.Event()


@dataclass
class WatchedPool(Watched):
    """The last changes of a pool: all after `start` up to `version`."""

    start: int = 0
    version: int = 0
    recent: deque[Change] = field(default_factory=deque)

    def add(self, change: Change) -> None:
        """Append the next change, and forget the oldest when there are too many."""
        self.recent.append(change)
        self.version = change.version
        if len(self.recent) > RECENT_MAX:
            self.start = self.recent.popleft().version

    def after(self, version: int, *, fold: bool) -> Change | None:
        """What to tell who has seen a version: the next change; the newest if that is gone, or is late and may fold."""
        if version >= self.version:
            return None
        following = self.recent[bisect_right(self.recent, version, key=lambda change: change.version)]
        late = fold and following.noticed < asyncio.get_running_loop().time() - PATIENCE_SECONDS
        return self.recent[-1] if late or version < self.start else following


@dataclass
class WatchedHolder(Watched):
    """The ids of the live offers that were made to somebody."""

    offers: list[str] = field(default_factory=list)

    def learn(self, offers: list[str]) -> None:
        """Take note of the offers as they are now."""
        if offers != self.offers:
            self.offers = offers
            self.tell()


Key = tuple[str, str]
"""A tenant, and a pool or a holder of it."""
AnyWatched = TypeVar("AnyWatched", WatchedPool, WatchedHolder)


class Turns:
    """Lets subscribers through a few at a time, so that a crowd of them holds up nothing else that the process does."""

    def __init__(self) -> None:
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def take(self) -> None:
        """Wait for one's turn."""
        loop = asyncio.get_running_loop()
        turn = loop.create_future()
        if not self._waiting:
            loop.call_soon(self._admit)
        self._waiting.append(turn)
        await turn

    def _admit(self) -> None:
        for _ in range(min(TOLD_AT_ONCE, len(self._waiting))):
            turn = self._waiting.popleft()
            if not turn.done():  # who has left in the meantime
                turn.set_result(None)
        if self._waiting:
            asyncio.get_running_loop().call_soon(self._admit)


class Feed:
    """Looks for what is new while somebody watches, and asks nothing while nobody does."""

    def __init__(self, database: Database, capacity: Capacity) -> None:
        self._database = database
        self._capacity = capacity
        self._pools: dict[Key, WatchedPool] = {}
        self._holders: dict[Key, WatchedHolder] = {}
        self._hurry = asyncio.Event()
        self._turns = Turns()
        self._paging = asyncio.Semaphore(PAGES_AT_ONCE)
        self._settling: asyncio.Task[None] | None = None
        self._settle_again = 0.0
        self._due: dict[str, list[str]] = {}
        capacity.changed = self.hurry

    def watched_pool(self, tenant: str, pool_id: str) -> WatchedPool | None:
        """What is kept of a pool that somebody watches."""
        return self._pools.get((tenant, pool_id))

    def hurry(self) -> None:
        """Look at once: this process has just changed something."""
        if self._pools or self._holders:
            self._hurry.set()

    async def run(self) -> None:
        """Look every tick while somebody watches, and at once when hurried, until cancelled."""
        loop = asyncio.get_running_loop()
        try:
            while True:
                self._hurry.clear()
                began = loop.time()
                try:
                    full = await self.look()
                except Exception as error:  # noqa: BLE001 - nothing was told, so nothing is lost by asking again
                    log.warning("could not look for changes; trying again", reason=f"{type(error).__name__}: {error}")
                    await asyncio.sleep(RETRY_SECONDS)
                    continue
                await asyncio.sleep(GAP_SECONDS + GAP_PER_LOOK * (loop.time() - began))
                if not full:
                    with suppress(TimeoutError):
                        async with asyncio.timeout(TICK_SECONDS if self._pools or self._holders else None):
                            await self._hurry.wait()
        finally:
            if self._settling:
                self._settling.cancel()

    async def look(self) -> bool:
        """Ask what is new and tell it. Returns whether there may be more at once."""
        pools, holders = dict(self._pools), dict(self._holders)
        if not pools and not holders:
            return False
        asked: dict[str, Json] = defaultdict(lambda: {"versions": {}, "holders": []})
        for (tenant, pool_id), pool in pools.items():
            asked[tenant]["versions"][pool_id] = pool.version
        for tenant, holder in holders:
            asked[tenant]["holders"].append(holder)
        new = await self._ask(asked)
        changed: dict[Key, int] = defaultdict(int)
        for tenant, row in new.items():
            for change in map(Change.decode, row["changes"]):
                key = (tenant, change.entry.pool_id)
                pools[key].add(change)
                changed[key] += 1
        for key in changed:
            pools[key].tell()
        for (tenant, holder), watched in holders.items():
            watched.learn(new[tenant]["offers"].get(holder, []))
        self._settle({tenant: row["due"] for tenant, row in new.items() if row["due"]})
        return PAGE in changed.values()

    def _settle(self, due: dict[str, list[str]]) -> None:
        """Have holds that are due end, beside the ticks: they end before the eyes of who watches, sweeper or not."""

        async def settle() -> None:
            for tenant, pool_ids in due.items():
                await self._capacity.settle(tenant, pool_ids)
            self._hurry.set()

        now = asyncio.get_running_loop().time()
        if self._settling and not self._settling.done():
            return
        if due and (due != self._due or now >= self._settle_again):  # what cannot be settled is not tried every tick
            self._settling = asyncio.create_task(settle())
            self._settling.add_done_callback(note_failure)
            self._settle_again = now + RETRY_SECONDS
        self._due = due

    async def _ask(self, watched: Mapping[str, Json]) -> dict[str, Json]:
        """What `capacity.watch` answers, by tenant."""
        text = orjson.dumps([{"tenant": tenant, **what} for tenant, what in watched.items()]).decode()
        async with self._database.connection(wait_seconds=1.0) as connection:
            return {
                row["tenant"]: {
                    "due": row["due"],
                    "changes": orjson.loads(row["changes"]),
                    "offers": orjson.loads(row["offers"]),
                }
                async for row in QUERIES.watch(connection, watched=text, size=PAGE)
            }

    async def _page(self, tenant: str, pool_id: str, after: int) -> list[Change]:
        """The changes of a pool next after a version, as soon as they can be read."""
        while True:
            with suppress(*UNANSWERED):
                async with self._paging:
                    new = await self._ask({tenant: {"versions": {pool_id: after}, "holders": []}})
                return [Change.decode(row) for row in new[tenant]["changes"]]
            await asyncio.sleep(RETRY_SECONDS)

    @contextmanager
    def _watch(self, watched: dict[Key, AnyWatched], key: Key, new: AnyWatched) -> Iterator[AnyWatched]:
        """Watch something, with whoever else does, until nobody does."""
        shared = watched.setdefault(key, new)
        shared.watchers += 1
        self._hurry.set()
        try:
            yield shared
        finally:
            shared.watchers -= 1
            if not shared.watchers:
                del watched[key]

    async def changes(self, tenant: str, pool: Pool, after: int) -> AsyncGenerator[tuple[Change, int], None]:
        """Every change of a pool after a version, in order and for ever, each with how many are folded into it.

        That is one, but for who does not keep up. What was missed before `pool` was read is told one by one,
        however much it is. While the database is away nothing is told, and nothing is left out afterwards.
        """
        seen = after
        first_known = max(after, pool.version - RECENT_MAX)
        with self._watch(
            self._pools, (tenant, pool.id), WatchedPool(start=first_known, version=first_known)
        ) as watched:
            missed = pool.version
            while True:
                news = watched.news
                await self._turns.take()
                if seen < (min(watched.start, missed) if watched.recent else watched.start):
                    page = await self._page(tenant, pool.id, seen)
                    for change in page:
                        yield change, 1
                        seen = change.version
                        await self._turns.take()
                    missed = missed if page else seen  # a ledger may lack its last entries, which reconcile names
                elif found := watched.after(seen, fold=seen >= missed):
                    yield found, found.version - seen
                    seen = found.version
                else:
                    await news.wait()

    async def offers(self, tenant: str, holder: str) -> AsyncGenerator[str, None]:
        """The ids of the claims that are offers to a holder, each once: first those that hold already."""
        told: set[str] = set()
        with self._watch(self._holders, (tenant, holder), WatchedHolder()) as watched:
            while True:
                news, offers = watched.news, watched.offers
                for claim_id in offers:
                    if claim_id not in told:
                        yield claim_id
                told = set(offers)
                await news.wait()


def note_failure(settling: asyncio.Task[None]) -> None:
    """Log what kept holds from being settled."""
    if not settling.cancelled() and (error := settling.exception()):
        log.warning("could not settle; trying again", reason=f"{type(error).__name__}: {error}")
