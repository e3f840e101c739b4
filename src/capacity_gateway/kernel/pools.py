"""Pools and claims, as GraphQL shows them."""

from collections.abc import Callable
from datetime import datetime
from enum import Enum
from typing import TYPE_CHECKING, Annotated, Any, Self, TypeVar

import strawberry

from capacity_gateway.kernel.context import Info
from capacity_gateway.kernel.errors import Forbidden
from capacity_gateway.kernel.paging import Connection, connect, page_size, read_cursor
from capacity_gateway.kernel.vocabulary import PoolKind

if TYPE_CHECKING:
    from capacity_gateway.kernel.ledger import LedgerConnection, LedgerFilter
    from capacity_gateway.kernel.reconciliation import Reconciliation

Json = dict[str, Any]
"""A row as PostgreSQL's to_jsonb gives it."""


def moment(text: str) -> datetime:
    """A point in time out of PostgreSQL's JSON."""
    return datetime.fromisoformat(text)


def moment_or_none(text: str | None) -> datetime | None:
    """The same, where there may be none."""
    return None if text is None else datetime.fromisoformat(text)


@strawberry.type
class PoolSnapshot:
    """A pool's numbers at an instant, by its ledger."""

    time: datetime
    """The instant asked for; now, where that lies in the future."""
    version: int
    """Number of the last entry that counts by then; 0 before the first."""
    quota: int | None
    """How many there were; null = unlimited."""
    held: int
    """Promised for a while."""
    confirmed: int
    """Promised for good."""

    @strawberry.field
    def available(self) -> int | None:
        """Quota - held - confirmed; null while unlimited."""
        return None if self.quota is None else self.quota - self.held - self.confirmed


@strawberry.type
class WaitlistSummary:
    """The queue of a pool that has one."""

    waiting: int
    """How many wait."""
    offered: int
    """How many have an offer that still holds."""
    open: bool
    """Whether one may join the queue."""


@strawberry.enum
class ClaimState(Enum):
    """How far a claim has come: waiting, held, confirmed, released; or held, expired."""

    WAITING = "waiting"
    """Asked for; nothing taken yet."""
    HELD = "held"
    """Taken until expiresAt, unless confirmed."""
    CONFIRMED = "confirmed"
    """Taken for good."""
    RELEASED = "released"
    """Given back."""
    EXPIRED = "expired"
    """The hold ran out."""


@strawberry.type
class Claim:
    """A holder's share of a pool."""

    id: strawberry.ID
    """The claim's own id."""
    holder: strawberry.ID
    """Who has it."""
    subject: strawberry.ID | None
    """What it is for outside: a reservation, an order line."""
    title: str | None
    """A name that a person knows: the studio, the guest."""
    quantity: int
    """How many: asked for while waiting, taken afterwards."""
    state: ClaimState
    """How far it has come."""
    position: int | None
    """Place in the queue, from 1; null when not waiting in one."""
    expires_at: datetime | None
    """When a hold runs out."""
    since: datetime
    """When it entered its state."""
    pool_id: strawberry.Private[str]
    stage: strawberry.Private[str | None]
    facts: strawberry.Private[Json]
    offered: strawberry.Private[bool]
    created_at: strawberry.Private[datetime]
    confirmed_at: strawberry.Private[datetime | None]
    rank: strawberry.Private[int] = 0
    place: strawberry.Private[int | None] = None

    @property
    def kind(self) -> PoolKind:
        """What it is a share of."""
        return PoolKind(self.pool_id.partition(":")[0])

    @classmethod
    def decode(cls, row: Json) -> Self:
        """The claim of a `capacity.claim` row."""
        return cls(
            id=strawberry.ID(row["id"]),
            holder=strawberry.ID(row["holder"]),
            subject=strawberry.ID(row["subject"]) if row["subject"] else None,
            quantity=row["quantity"],
            state=ClaimState(row["state"]),
            position=row.get("position"),
            expires_at=moment_or_none(row["expires_at"]),
            since=moment(row["since"]),
            pool_id=row["pool_id"],
            title=row["title"],
            stage=row["stage"],
            facts=row["facts"],
            offered=row["offered"],
            created_at=moment(row["created_at"]),
            confirmed_at=moment_or_none(row["confirmed_at"]),
            rank=row["rank"],
            place=row["place"],
        )

    @strawberry.field
    async def pool(self, info: Info) -> Annotated["Pool", strawberry.lazy(__name__)]:
        """What it is a share of."""
        return await info.context.reads.pool(self.pool_id)


@strawberry.federation.type(keys=["id"])
class Pool:
    """A countable resource.

    available = quota - held - confirmed; a take is refused when available + oversellMax would fall below 0.
    """

    id: strawberry.ID
    """Kind and ref in one word: competition:79cef00c-…"""
    kind: PoolKind
    """What is counted."""
    ref: strawberry.ID
    """Its id outside."""
    title: str | None
    """A name for people."""
    quota: int | None
    """How many there are; null = unlimited."""
    oversell_max: int
    """How far beyond the quota the pool may go by itself."""
    held: int
    """Promised for a while: holds and offers."""
    confirmed: int
    """Promised for good."""
    version: int
    """Number of the last ledger entry of this pool: 1, 2, 3 … without gaps; 0 before the first."""
    as_of: datetime
    """Database clock when these numbers were read; in a mutation's answer, read under the lock."""
    opening_quota: int | None
    """The quota it was opened with: where its ledger begins."""
    opened_at: datetime
    """When it was opened."""
    closed_at: datetime | None
    """Since when nobody gets in; null while open."""
    opens_at: strawberry.Private[datetime | None]
    closes_at: strawberry.Private[datetime | None]
    parent_id: strawberry.Private[str | None]
    facts: strawberry.Private[Json]
    queue: strawberry.Private[WaitlistSummary | None]

    @classmethod
    def decode(cls, row: Json, as_of: str) -> Self:
        """The pool of a `capacity.pool` row, read at `as_of`."""
        return cls(
            id=strawberry.ID(row["id"]),
            kind=PoolKind(row["kind"]),
            ref=strawberry.ID(row["ref"]),
            title=row["title"],
            quota=row["quota"],
            oversell_max=row["oversell_max"],
            held=row["held"],
            confirmed=row["confirmed"],
            version=row["version"],
            as_of=moment(as_of),
            opening_quota=row["opening_quota"],
            opened_at=moment(row["opened_at"]),
            closed_at=moment_or_none(row["closed_at"]),
            opens_at=moment_or_none(row["opens_at"]),
            closes_at=moment_or_none(row["closes_at"]),
            parent_id=row["parent_id"],
            facts=row["facts"],
            queue=WaitlistSummary(waiting=row["waiting"], offered=row["offered"], open=row["closed_at"] is None)
            if row["waitlist"]
            else None,
        )

    @classmethod
    async def resolve_reference(cls, info: Info, id: strawberry.ID) -> "Pool | None":  # noqa: A002 - the key's name
        """The pool of an id; None when there is none."""
        return await info.context.reads.find_pool(id)

    @strawberry.field
    def available(self) -> int | None:
        """Null exactly while the quota is null (unlimited).

        Negative only by overbooking or a deliberate shrink below use.
        """
        return None if self.quota is None else self.quota - self.held - self.confirmed

    @strawberry.field
    def waitlist(self) -> WaitlistSummary | None:
        """Its queue; null where it has none."""
        return self.queue

    @strawberry.field
    async def mine(self, info: Info) -> Claim | None:
        """The caller's own live claim in this pool; the oldest, should there be several."""
        return await info.context.reads.live_claim(self.id, info.context.caller.names.get(self.kind))

    @strawberry.field
    def may_govern(self, info: Info) -> bool:
        """Whether the caller may change its quota and read all of its ledger."""
        return info.context.caller.may_govern(self)

    @strawberry.field
    async def claims(
        self, info: Info, states: list[ClaimState] | None = None, first: int = 50, after: str | None = None
    ) -> Connection[Claim] | None:
        """Its claims, in the order they came. Null where the caller may not read its whole ledger."""
        if not info.context.caller.may_audit(self):
            raise Forbidden
        size = page_size(first)
        last = read_cursor(after, str, str)
        wanted = None if states is None else [state.value for state in states]
        claims = await info.context.reads.claims_of_pool(self.id, states=wanted, after=last, limit=size + 1)
        return connect(claims, lambda claim: (claim.created_at.isoformat(), claim.id), first=size, after=after)

    @strawberry.field
    async def line(self, info: Info, first: int = 50, after: str | None = None) -> Connection[Claim] | None:
        """Who waits for it, the next first. Null where the caller may not read its whole ledger."""
        if not info.context.caller.may_audit(self):
            raise Forbidden
        size = page_size(first)
        last = read_cursor(after, int, int)
        claims = await info.context.reads.line_of_pool(self.id, after=last, limit=size + 1)
        return connect(claims, lambda claim: (claim.rank, claim.place or 0), first=size, after=after)

    @strawberry.field
    async def at(self, info: Info, time: datetime) -> PoolSnapshot:
        """The pool as it stood: every entry with effectiveAt <= time, whatever its version.

        Before opening: the opening quota, version 0. The future: now.
        """
        return await info.context.reads.pool_at(self.id, time)

    @strawberry.field
    async def ledger(
        self,
        info: Info,
        first: int = 50,
        after: str | None = None,
        filter: Annotated["LedgerFilter", strawberry.lazy(".ledger")] | None = None,  # noqa: A002 - the contract's name
    ) -> Annotated["LedgerConnection", strawberry.lazy(".ledger")] | None:
        """Its history, newest first. Null where the caller may not read it."""
        return await info.context.reads.ledger(self, info.context.caller, first, after, filter)

    @strawberry.field
    async def reconciliation(
        self, info: Info
    ) -> Annotated["Reconciliation", strawberry.lazy(".reconciliation")] | None:
        """Its counter against its ledger. Null where the caller may not read it."""
        if not info.context.caller.may_audit(self):
            raise Forbidden
        return await info.context.reads.reconciliation(self.id)


View = TypeVar("View")

_VIEWS: dict[PoolKind, Callable[..., Any]] = {}


def shows(kind: PoolKind) -> Callable[[type[View]], type[View]]:
    """Make a class, whose instances are made of a `pool`, a domain's own view of the pools of a kind."""

    def register(view: type[View]) -> type[View]:
        _VIEWS[kind] = view
        return view

    return register


def view(pool: Pool) -> Any:
    """A pool as its domain shows it: how a domain gets at another's type without knowing it."""
    return _VIEWS[pool.kind](pool=pool)


async def find_view(info: Info, kind: PoolKind, ref: str) -> Any:
    """The pool of a ref as its domain shows it; None when there is none."""
    pool = await info.context.reads.find_pool(kind.pool_id(ref))
    return None if pool is None else view(pool)


async def page_of_pools(info: Info, kind: PoolKind | None, first: int, after: str | None) -> Connection[Pool]:
    """A page of the tenant's pools in the order of their ids."""
    size = page_size(first)
    (last,) = read_cursor(after, str)
    kinds = PoolKind if kind is None else [kind]
    pools = await info.context.reads.pools_page(kinds, after=last, limit=size + 1)
    return connect(pools, lambda pool: (pool.id,), first=size, after=after)
