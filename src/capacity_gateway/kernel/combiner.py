"""The write combiner: requests that arrive while others are in flight share the next transaction.

What costs is the transaction, not the command, so neighbours that share one are served several times as fast. There
is no timer: a request that finds a lane free is sent at once, and one that does not rides in the next batch.
"""

import asyncio
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import orjson

from capacity_gateway.kernel import measures, traces
from capacity_gateway.kernel.database import (
    CONNECTION_LOST,
    NOT_APPLIED,
    WAITED_TOO_LONG,
    Database,
    Lane,
    NoConnection,
)
from capacity_gateway.kernel.pools import Json

LANES = 6  # transactions at a time; those of different tenants share a commit's flush in PostgreSQL
LANES_OF_TENANT = 2  # so that its requests are combined, and no tenant takes all the lanes
LANES_APART = 2  # besides these, for pools whose lock was not to be had
BATCH_MAX = 256  # commands in a transaction
QUEUE_MAX = 2000  # requests that wait
QUEUE_OF_POOL_MAX = 1000  # of these, for one pool

Pools = frozenset[str]
Word = tuple[str, ...]


class Overloaded(Exception):
    """Too many wait already; nothing was sent."""


@dataclass(eq=False, slots=True)
class Request:
    """Linked commands, and who waits for their outcomes."""

    commands: list[Json]
    answer: asyncio.Future[list[Json]]
    pools: Pools
    words: frozenset[Word]
    """No two requests that have one of these in common share a batch."""
    sent: bool = False
    alone: bool = False
    """Its batch raised; by itself it shows whether it is the culprit."""
    traced: Any = field(default_factory=traces.here)

    def give_up(self) -> None:
        """Say that it could not be done in time."""
        if not self.answer.done():
            self.answer.set_exception(TimeoutError() if self.sent else NoConnection())


@dataclass(eq=False, slots=True)
class Tenant:
    """What waits for one tenant's pools, and what is in flight there."""

    queues: dict[Pools, deque[Request]] = field(default_factory=dict)
    in_flight: set[str] = field(default_factory=set)
    lanes: int = 0
    crowded: dict[Pools, list[bytes]] = field(default_factory=dict)
    """Pools for which a whole batch waits, and their names outside, as JSON has them."""

    def enqueue(self, request: Request) -> None:
        """Put a request at the end of its pools' queue."""
        queue = self.queues.setdefault(request.pools, deque())
        queue.append(request)
        if len(queue) == BATCH_MAX:
            self.crowded[request.pools] = [orjson.dumps(pool.partition(":")[2]) for pool in request.pools]

    def withdraw(self, request: Request) -> None:
        """Take back a request that has not been sent."""
        queue = self.queues[request.pools]
        queue.remove(request)
        self._calm(request.pools, queue)
        if not queue:
            del self.queues[request.pools]

    def take(self, pools: Pools, words: set[Word], room: int, *, first: bool) -> list[Request]:
        """The requests for these pools that may share a batch, in their order; the others stay where they are.

        Args:
            pools: whose queue it is.
            words: of the batch so far; grows.
            room: commands that fit.
            first: whether the batch is empty.
        """
        queue, taken, stays = self.queues.pop(pools), [], []
        while queue and room > 0:
            request = queue.popleft()
            if (request.alone and not first) or not words.isdisjoint(request.words):
                stays.append(request)
                continue
            request.sent = True
            taken.append(request)
            words.update(request.words)
            room -= len(request.commands)
            first = False
            if request.alone:
                break
        queue.extendleft(reversed(stays))
        self._calm(pools, queue)
        if queue:
            self.queues[pools] = queue  # behind the tenant's other queues
        return taken

    def _calm(self, pools: Pools, queue: deque[Request]) -> None:
        if len(queue) < BATCH_MAX:
            self.crowded.pop(pools, None)

    def is_idle(self) -> bool:
        """Whether nothing waits and nothing is in flight."""
        return not self.queues and not self.in_flight


@dataclass(frozen=True, slots=True)
class Batch:
    """The requests that share a transaction, and whose they are."""

    name: str
    tenant: Tenant
    requests: list[Request]
    apart: bool


class Combiner:
    """Sends requests in as few transactions as it can; a batch is of one tenant, a pool in one batch at a time."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._tenants: dict[str, Tenant] = {}
        self._queued = 0
        self._lanes = LANES
        self._lanes_apart = LANES_APART
        self._apart: set[tuple[str, Pools]] = set()
        """Tenants' pools that share no batch with others until one of theirs passes: a lock was not to be had."""
        self._sending: set[asyncio.Task[None]] = set()

    async def apply(self, name: str, commands: list[Json], *, until: float) -> list[Json]:
        """The outcomes of linked commands, one for each.

        Args:
            name: of the tenant whose pools they are.
            commands: as `capacity.command` in SQL names their fields.
            until: when to give up, in the event loop's time.

        Raises:
            Overloaded: too many wait already; nothing was sent.
            NoConnection: nothing was sent, for want of a connection or of time.
            TimeoutError: it was sent, and may or may not be applied.
            Exception: whatever the database raised.
        """
        loop = asyncio.get_running_loop()
        request = Request(commands, loop.create_future(), pools_of(commands), words_of(commands))
        tenant = self._tenants.get(name) or Tenant()
        if self._queued >= QUEUE_MAX or len(tenant.queues.get(request.pools, ())) >= QUEUE_OF_POOL_MAX:
            raise Overloaded
        self._tenants[name] = tenant
        tenant.enqueue(request)
        self._queued += 1
        self._send_what_can_go()
        giving_up = loop.call_at(until, request.give_up)  # a third of what asyncio.timeout takes
        try:
            return await request.answer
        finally:
            giving_up.cancel()
            if not request.sent:  # the caller went away before it was its turn
                tenant.withdraw(request)
                self._queued -= 1
            self._forget(name, tenant)

    @property
    def queued(self) -> int:
        """How many requests wait."""
        return self._queued

    def is_crowded(self, name: str, body: bytes) -> bool:
        """Whether a request of this tenant names a pool for which a whole batch waits."""
        tenant = self._tenants.get(name)
        return tenant is not None and any(ref in body for refs in tenant.crowded.values() for ref in refs)

    @property
    def lanes_in_use(self) -> int:
        """How many transactions are in flight."""
        return LANES + LANES_APART - self._lanes - self._lanes_apart

    def is_idle(self) -> bool:
        """Whether nothing waits and nothing is in flight, for anybody."""
        return not self._tenants and not self._queued and not self._sending

    def _send_what_can_go(self) -> None:
        if self._lanes == 0 and not self._apart:
            return
        while batch := self._next_batch():
            task = asyncio.create_task(self._drive(batch))
            self._sending.add(task)
            task.add_done_callback(self._sending.discard)

    def _next_batch(self) -> Batch | None:
        """The batch to send next, its lane taken; None where none may go."""
        for name, tenant in self._tenants.items():
            requests = self._requests_of(name, tenant)
            if requests:
                batch = Batch(name, tenant, requests, apart=(name, requests[0].pools) in self._apart)
                self._queued -= len(requests)
                self._occupy(batch, 1)
                self._tenants[name] = self._tenants.pop(name)  # behind the other tenants
                return batch
        return None

    def _requests_of(self, name: str, tenant: Tenant) -> list[Request]:
        """As many of a tenant's requests as may share a batch; empty where none may go."""
        requests: list[Request] = []
        words: set[Word] = set()
        room = BATCH_MAX if self._lanes > 0 and tenant.lanes < LANES_OF_TENANT else 0
        for pools in list(tenant.queues):
            if not tenant.in_flight.isdisjoint(pools):
                continue
            if (name, pools) in self._apart:
                if self._lanes_apart > 0 and not requests:
                    return tenant.take(pools, words, BATCH_MAX, first=True)
            elif room > 0:
                taken = tenant.take(pools, words, room, first=not requests)
                requests += taken
                alone = requests and requests[0].alone
                room = 0 if alone else room - sum(len(request.commands) for request in taken)
        return requests

    def _occupy(self, batch: Batch, lanes: int) -> None:
        """Take a lane for a batch, or with -1 give it back."""
        batch.tenant.in_flight ^= {pool for request in batch.requests for pool in request.pools}
        if batch.apart:
            self._lanes_apart -= lanes
        else:
            self._lanes -= lanes
            batch.tenant.lanes += lanes

    async def _drive(self, batch: Batch) -> None:
        """Send a batch, and over the same connection whatever may follow it, for as long as none raises."""
        in_flight: Batch | None = batch
        try:
            async with self._database.lane() as lane:
                sent = asyncio.create_task(self._send(lane, batch))
                while in_flight:
                    rows = await sent
                    batch = in_flight
                    self._occupy(batch, -1)
                    in_flight = self._next_batch()
                    if in_flight:  # on its way before the outcomes of the last are acted on, which takes as long
                        sent = asyncio.create_task(self._send(lane, in_flight))
                        self._send_what_can_go()
                    self._hand_out(batch, rows)
        except Exception as error:  # noqa: BLE001 - it is the callers'
            if in_flight:
                batch = in_flight
                self._occupy(batch, -1)
                self._fail(batch, error)
            if isinstance(error, WAITED_TOO_LONG):
                await self._end_stalled()
        finally:
            self._send_what_can_go()
            self._forget(batch.name, batch.tenant)

    async def _send(self, lane: Lane, batch: Batch) -> list[str]:
        """The database's answer to one batch."""
        commands = [
            {"request": number, **command}
            for number, request in enumerate(batch.requests)
            for command in request.commands
        ]
        measures.BATCH_COMMANDS.observe(len(commands))
        began = time.perf_counter()
        try:
            with traces.tracer.batch([request.traced for request in batch.requests], commands=len(commands)):
                rows = await lane.apply(batch.name, orjson.dumps(commands).decode())
        finally:
            measures.BATCH_SECONDS.observe(time.perf_counter() - began)
        if len(rows) != len(commands):
            raise RuntimeError("not one outcome for each command")
        return rows

    def _hand_out(self, batch: Batch, rows: list[str]) -> None:
        """Give each request its outcomes."""
        self._apart.discard((batch.name, batch.requests[0].pools))
        following = iter(rows)
        for request in batch.requests:
            own = list(islice(following, len(request.commands)))
            if not request.answer.done():  # its caller may have gone away
                request.answer.set_result([orjson.loads(row) for row in own])
        self._forget(batch.name, batch.tenant)

    async def _end_stalled(self) -> None:
        """See to it that no frozen gateway keeps what could not be had."""
        with suppress(*CONNECTION_LOST, *NOT_APPLIED, NoConnection):
            await self._database.end_stalled()

    def _fail(self, batch: Batch, error: Exception) -> None:
        """Hand out an error, unless it may be a neighbour's: then its requests wait for another, smaller batch."""
        of_pools = {request.pools for request in batch.requests}
        blocked = isinstance(error, WAITED_TOO_LONG)
        if blocked:
            self._apart.update((batch.name, pools) for pools in of_pools)
            again = len(of_pools) > 1
        else:
            again = len(batch.requests) > 1 and not isinstance(error, (*NOT_APPLIED, *CONNECTION_LOST, NoConnection))
        for request in reversed(batch.requests):
            if request.answer.done():  # its caller has gone away
                continue
            if again:
                request.sent = False
                request.alone = not blocked
                batch.tenant.queues.setdefault(request.pools, deque()).appendleft(request)
                self._queued += 1
            else:
                request.answer.set_exception(error)

    def _forget(self, name: str, tenant: Tenant) -> None:
        if tenant.is_idle() and self._tenants.get(name) is tenant:
            del self._tenants[name]
            self._apart = {(other, pools) for other, pools in self._apart if other != name}


def pools_of(commands: list[Json]) -> Pools:
    """The pools that commands name."""
    return frozenset(command[name] for command in commands for name in ("pool_id", "to_pool_id") if command.get(name))


def words_of(commands: list[Json]) -> frozenset[Word]:
    """What makes two requests each other's business: key, claim, exclusive word, a holder in a pool or a kind."""
    words: list[Word] = []
    for command in commands:
        words += [(name, command[name]) for name in ("claim_id", "exclusive") if command.get(name)]
        words += [
            (command[name], command["holder"])
            for name in ("pool_id", "needs_pool_id")
            if command.get(name) and command.get("holder")
        ]
        if command.get("outside_pool_id"):
            words.append((command["kind"], command["holder"]))
        if command.get("key"):
            words.append((command["operation"], command["key"], "key"))
    return frozenset(words)
