"""What a request reads: one snapshot of one tenant, through dataloaders, so that nesting costs no statement more."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Hashable, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from datetime import datetime
from typing import Any

import orjson
from strawberry.dataloader import DataLoader

from capacity_gateway.kernel.capacity import Capacity
from capacity_gateway.kernel.context import Caller
from capacity_gateway.kernel.database import (
    CONNECTION_LOST,
    NOT_APPLIED,
    QUERIES,
    ROLLED_BACK,
    UNREADABLE,
    Connection,
    Database,
    NoConnection,
)
from capacity_gateway.kernel.errors import BadUserInput, Busy, Forbidden, LimitExceeded
from capacity_gateway.kernel.ledger import LedgerConnection, LedgerEdge, LedgerEntry, LedgerFilter
from capacity_gateway.kernel.paging import connect, page_size, read_cursor
from capacity_gateway.kernel.pools import Claim, Json, Pool, PoolSnapshot, moment, view
from capacity_gateway.kernel.reconciliation import Reconciliation
from capacity_gateway.kernel.vocabulary import PoolKind
from capacity_gateway.kernel.webhooks import Webhook

NODES_MAX = 10_000  # rows and pages in an answer; nested lists multiply, and cached rows cost time as well
ENTRIES_AT_ONCE = 1000  # of a ledger that is read whole
READ_WAIT_SECONDS = 1.0  # for a connection; a read is held up by other reads' work, not by a lock
NOT_READ = (*NOT_APPLIED, *ROLLED_BACK, *CONNECTION_LOST, NoConnection)
"""The database could not be asked now."""


class Reads:
    """The reads of one request.

    The snapshot opens with the first of them, on one connection: all numbers in an answer are of one instant.
    Every method raises Busy when the database cannot be asked in time.
    """

    def __init__(self, database: Database, capacity: Capacity, tenant: str, *, seal_key: bytes | None = None) -> None:
        self._seal_key = seal_key
        self._database = database
        self._capacity = capacity
        self._tenant = tenant
        self._stack = AsyncExitStack()
        self._connection: Connection | None = None
        self._lost = False
        self._ended = False
        self._nodes = 0
        self._unsettled: set[str] = set()
        self._until: float | None = self._deadline()
        self._turn = asyncio.Lock()  # a connection answers one query at a time
        self._loaders: dict[Hashable, DataLoader[Any, Any]] = {}
        self._asked: list[asyncio.Future[Any]] = []

    async def close(self) -> None:
        """Give the connection back; what is read afterwards is of a new snapshot."""
        self._until = None  # a subscription may read again in an hour
        if self._connection is None and not self._lost and not self._loaders:  # nothing has been read
            return
        for asked in self._asked:
            asked.cancel()  # by now nobody waits for those that are yet to come
        async with self._turn:
            with suppress(*NOT_READ):
                if self._lost and self._connection is not None:
                    self._connection.terminate()
            self._connection = None
            self._lost = False
            self._nodes = 0
            self._unsettled = set()
            self._loaders.clear()
            self._asked.clear()
            with suppress(*NOT_READ):
                await self._stack.aclose()

    async def end(self) -> None:
        """Close for good. A field that an error has left behind may go on for a while, but reads nothing more."""
        self._ended = True
        await self.close()

    def _deadline(self) -> float:
        return asyncio.get_running_loop().time() + self._capacity.deadline_seconds

    async def _rows(self, query: str, **arguments: Any) -> list[tuple[str, Json]]:
        async with self._turn:
            if self._lost or self._ended:  # the transaction is aborted, and with it the snapshot
                raise Busy
            self._until = self._until or self._deadline()
            try:
                async with asyncio.timeout_at(self._until):
                    connection = self._connection or await self._open()
                    rows = getattr(QUERIES, query)(connection, tenant=self._tenant, **arguments)
                    return [(row["key"], orjson.loads(row["value"])) async for row in rows]
            except NOT_READ as error:
                self._lost = True
                raise Busy from error
            except asyncio.CancelledError:
                self._lost = True
                raise
            except UNREADABLE as error:
                self._lost = True
                raise BadUserInput("An argument cannot be read") from error

    async def _open(self) -> Connection:
        while True:
            connection = await self._stack.enter_async_context(
                self._database.connection(wait_seconds=READ_WAIT_SECONDS)
            )
            self._connection = connection  # before anything is asked of it, so that close lets go of it if it is lost
            await self._stack.enter_async_context(connection.transaction(isolation="repeatable_read", readonly=True))
            due = set(await QUERIES.open_snapshot(connection, tenant=self._tenant))
            if due <= self._unsettled:
                return connection
            self._connection = None
            await self._stack.aclose()
            await self._capacity.settle(self._tenant, sorted(due))
            self._unsettled = due  # what is still due after that is stuck, and only who reads it is told so

    async def one(self, query: str, key: str, **shared: Any) -> Json | None:
        """The value that a named query has for a key; keys asked for at the same time share one statement."""

        async def load(keys: list[str]) -> list[Json | None]:
            values = dict(await self._rows(query, ids=keys, **shared))
            return [values.get(key) for key in keys]

        self._spend(1)
        value: Json | None = await self._loaded(load, query, shared, key)
        return value

    async def many(self, query: str, key: str, **shared: Any) -> list[Json]:
        """The values that a named query has for a key, in their order; likewise."""

        async def load(keys: list[str]) -> list[list[Json]]:
            values = defaultdict(list)
            for owner, value in await self._rows(query, ids=keys, **shared):
                values[owner].append(value)
            return [values[key] for key in keys]

        found: list[Json] = await self._loaded(load, query, shared, key)
        self._spend(1 + len(found))
        return found

    async def page(self, query: str, **arguments: Any) -> list[Json]:
        """All values that a named query has, in their order; asked for twice, they are read once."""

        async def load(_: list[str]) -> list[list[Json]]:
            return [[value for _, value in await self._rows(query, **arguments)]]

        found: list[Json] = await self._loaded(load, query, arguments, "")
        self._spend(len(found))
        return found

    def _spend(self, nodes: int) -> None:
        self._nodes += nodes
        if self._nodes > NODES_MAX:
            raise LimitExceeded

    async def _loaded(self, load: Any, query: str, shared: dict[str, Any], key: str) -> Any:
        """What a dataloader has for a key. Who is cancelled meanwhile takes it from nobody who asked for the same."""
        name = (query, repr(shared))
        if name not in self._loaders:
            self._loaders[name] = DataLoader(load_fn=load)
        asked: Any = self._loaders[name].load(key)
        self._asked.append(asked)
        return await asyncio.shield(asked)

    async def find_pool(self, pool_id: str) -> Pool | None:
        """The pool of an id, if there is one."""
        row = await self.one("pools", pool_id) if pool_id.isprintable() else None
        return None if row is None else self._pool(row)

    def _pool(self, row: Json) -> Pool:
        if row["id"] in self._unsettled and row["held"] and row["due"]:
            raise Busy
        return Pool.decode(row, row["as_of"])

    async def pool(self, pool_id: str) -> Pool:
        """The pool of an id that is known to exist."""
        pool = await self.find_pool(pool_id)
        if pool is None:
            raise LookupError(f"pool {pool_id} is gone")
        return pool

    async def pools_page(self, kinds: Iterable[PoolKind], *, after: Any, limit: int) -> list[Pool]:
        """Pools of these kinds in the order of their ids."""
        rows = await self.page("pools_page", kinds=[kind.value for kind in kinds], after=after, size=limit)
        return [self._pool(row) for row in rows]

    async def claim(self, claim_id: str) -> Claim | None:
        """The claim of an id, if there is one."""
        row = await self.one("claims", claim_id) if claim_id.isprintable() else None
        return None if row is None else Claim.decode(row)

    async def live_claim(self, pool_id: str, holder: str | None) -> Claim | None:
        """The oldest live claim of a holder in a pool."""
        row = await self.one("live_claims", pool_id, holder=holder) if holder else None
        return None if row is None else Claim.decode(row)

    async def within(self, parent_id: str, kind: PoolKind) -> list[Pool]:
        """The pools of a kind that belong to another."""
        return [self._pool(row) for row in await self.many("pools_of_parents", parent_id, kind=kind.value)]

    async def children(self, parent_id: str, kind: PoolKind) -> list[Any]:
        """The same, as their domain shows them."""
        return [view(pool) for pool in await self.within(parent_id, kind)]

    async def parent(self, pool: Pool) -> Any:
        """The pool that another belongs to, as its domain shows it."""
        if pool.parent_id is None:
            raise BadUserInput("This belongs to nothing")
        return view(await self.pool(pool.parent_id))

    async def claims_for(self, subject: str) -> list[Claim]:
        """The claims that are for an outside object, such as an order."""
        rows = await self.many("claims_of_subjects", subject) if subject.isprintable() else []
        return [Claim.decode(row) for row in rows]

    async def last_claim(self, pool_id: str, holder: str, subject: str | None = None) -> Claim | None:
        """The last claim of a holder in a pool, or there for one outside object, whatever has become of it."""
        row = await self.one("last_claims", pool_id, holder=holder, subject=subject)
        return None if row is None else Claim.decode(row)

    async def claims_of_pool(
        self,
        pool_id: str,
        *,
        holder: str | None = None,
        stage: str | None = None,
        states: Sequence[str] | None = None,
        after: Sequence[Any],
        limit: int,
    ) -> list[Claim]:
        """Claims of a pool in the order they came: all, or of one holder, in one stage, in some states."""
        time, claim_id = after
        rows = await self.many(
            "claims_of_pools",
            pool_id,
            holder=holder,
            stage=stage,
            states=states,
            after_time=as_time(time),
            after_id=claim_id,
            size=limit,
        )
        return [Claim.decode(row) for row in rows]

    async def line_of_pool(self, pool_id: str, *, after: Sequence[Any], limit: int) -> list[Claim]:
        """Who waits for a pool, the next first."""
        rank, place = after
        rows = await self.many("lines_of_pools", pool_id, after_rank=rank, after_place=place, size=limit)
        return [Claim.decode(row) for row in rows]

    async def own_claims(
        self, names: Mapping[PoolKind, str], *, after: Sequence[Any] = (None, None), limit: int
    ) -> list[Claim]:
        """The live claims of whoever has these names for these kinds, newest first."""
        time, claim_id = after
        rows = await self.page(
            "own_claims",
            kinds=[kind.value for kind in names],
            holders=list(names.values()),
            after_time=as_time(time),
            after_id=claim_id,
            size=limit,
        )
        return [Claim.decode(row) for row in rows]

    async def pool_at(self, pool_id: str, time: datetime) -> PoolSnapshot:
        """A pool as its ledger has it at an instant."""
        row = await self.one("pools_at", pool_id, at=time)
        if row is None:
            raise LookupError(f"pool {pool_id} is gone")
        return PoolSnapshot(**row | {"time": moment(row["time"])})

    async def reconciliation(self, pool_id: str, *, full: bool = False) -> Reconciliation:
        """A pool's counter against its ledger: from its last checkpoint on, unless that shows a fault, or `full`."""
        if not full and (row := await self.one("reconciliations_since", pool_id)):
            found = Reconciliation.decode(row, self._seal_key)
            if not found.open_problems:
                return found
        row = await self.one("reconciliations", pool_id)
        if row is None:
            raise LookupError(f"pool {pool_id} is gone")
        return Reconciliation.decode(row, self._seal_key)

    async def ledger(
        self, pool: Pool, caller: Caller, first: int, after: str | None, only: LedgerFilter | None
    ) -> LedgerConnection:
        """A page of a pool's ledger, newest first: all of it, or the entries of the caller's own claims.

        Raises:
            Forbidden: when the caller may not read it all and has never had a claim here.
        """
        size = page_size(first)
        (before,) = read_cursor(after, int)
        all_of_it = caller.may_audit(pool)
        holder = None if all_of_it else caller.names.get(pool.kind)
        if not all_of_it and (holder is None or not await self.one("known_holders", pool.id, holder=holder)):
            raise Forbidden
        rows = await self.many(
            "entries_of_pools", pool.id, holder=holder, before=before, size=size + 1, **conditions(only)
        )
        entries = [LedgerEntry.decode(row) for row in rows]
        total_count = pool.version if only is None and all_of_it else None
        return ledger_page(entries, first=size, after=after, total_count=total_count, by_version=True)

    async def whole_ledger(self, pool: Pool) -> AsyncIterator[list[LedgerEntry]]:
        """A pool's ledger from its first entry on, page by page, each a read of its own, however long it takes."""
        after = 0
        while True:
            try:
                rows = await self.many("entries_after", pool.id, after=after, size=ENTRIES_AT_ONCE)
            finally:
                await self.close()
            if not rows:
                return
            after = rows[-1]["version"]
            yield [LedgerEntry.decode(row) for row in rows]

    async def seal(self, pool: Pool) -> Json | None:
        """The last seal of a pool's ledger, as it stands in `capacity.seal`."""
        try:
            return await self.one("seals", pool.id)
        finally:
            await self.close()

    async def ledger_of_claim(self, claim_id: str, first: int, after: str | None) -> LedgerConnection:
        """A page of a claim's own history, newest first, over all the pools it has been in."""
        size = page_size(first)
        time, pool_id, version = read_cursor(after, str, str, int)
        rows = await self.many(
            "entries_of_claims",
            claim_id,
            before_time=as_time(time),
            before_pool=pool_id,
            before_version=version,
            size=size + 1,
        )
        return ledger_page([LedgerEntry.decode(row) for row in rows], first=size, after=after)

    async def activity(
        self, kinds: Sequence[PoolKind], first: int, after: str | None, only: LedgerFilter | None
    ) -> LedgerConnection:
        """A page of the latest entries over all pools of these kinds."""
        size = page_size(first)
        time, pool_id, version = read_cursor(after, str, str, int)
        rows = await self.page(
            "activity",
            kinds=[kind.value for kind in kinds],
            before_time=as_time(time),
            before_pool=pool_id,
            before_version=version,
            size=size + 1,
            **conditions(only),
        )
        return ledger_page([LedgerEntry.decode(row) for row in rows], first=size, after=after)

    async def webhooks(self) -> list[Webhook]:
        """The tenant's webhooks, in the order of their ids."""
        return [Webhook.decode(row) for row in await self.page("webhooks")]


def as_time(cursor_part: Any) -> datetime | None:
    """The time in a cursor's key; BAD_USER_INPUT when it is none."""
    try:
        time = None if cursor_part is None else moment(cursor_part)
    except ValueError:
        raise BadUserInput("after is not a cursor of this list") from None
    if time is not None and time.tzinfo is None:
        raise BadUserInput("after is not a cursor of this list")
    return time


def conditions(only: LedgerFilter | None) -> dict[str, Any]:
    """A filter as the ledger's queries take it."""
    only = only or LedgerFilter()
    return {
        "reasons": None if only.reasons is None else [reason.value for reason in only.reasons],
        "subject": only.subject,
        "actor": only.actor,
        "since": only.since,
        "until": only.until,
    }


def ledger_page(
    entries: list[LedgerEntry],
    *,
    first: int,
    after: str | None,
    total_count: int | None = None,
    by_version: bool = False,
) -> LedgerConnection:
    """A page of entries whose cursors are versions within one pool, or times over several."""
    page = connect(
        entries,
        (lambda entry: (entry.version,))
        if by_version
        else (lambda entry: (entry.recorded_at.isoformat(), entry.pool_id, entry.version)),
        first=first,
        after=after,
        edge=LedgerEdge,
    )
    edges: list[Any] = page.edges
    return LedgerConnection(edges=edges, page_info=page.page_info, total_count=total_count)
