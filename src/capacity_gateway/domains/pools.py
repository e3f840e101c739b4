"""Pools of any kind: their numbers, their ledgers, and their quotas."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import datetime
from typing import Annotated, Any

import strawberry

from capacity_gateway.kernel.commands import Attribution, Close, Define, Open, Repair, Resize
from capacity_gateway.kernel.context import Info
from capacity_gateway.kernel.errors import BadUserInput, Busy, Forbidden, Unauthenticated
from capacity_gateway.kernel.ledger import LedgerConnection, LedgerEntry, LedgerFilter
from capacity_gateway.kernel.outcomes import (
    DefinePoolResult,
    GatewayBusyError,
    IdempotencyConflictError,
    InvalidInputError,
    InvalidTransitionError,
    NotFoundError,
    PoolSuccess,
    QuotaBelowUseError,
    WhatIf,
)
from capacity_gateway.kernel.paging import Connection, Edge, connect, page_size, read_cursor
from capacity_gateway.kernel.pools import Claim, ClaimState, Pool, page_of_pools
from capacity_gateway.kernel.reconciliation import Reconciliation
from capacity_gateway.kernel.submission import at_least, governed, submit
from capacity_gateway.kernel.vocabulary import PoolKind

CHANGES_MAX = 10  # tried together
BUSY_SECONDS = 0.25  # before an offer is read again


@strawberry.input
class DefinePoolInput:
    """A pool to be made."""

    kind: PoolKind
    """What is counted."""
    ref: strawberry.ID
    """Its id outside."""
    title: str | None = None
    """A name for people."""
    quota: int | None = None
    """How many there are."""
    unlimited: bool = False
    """No limit at all; then quota must be absent."""
    oversell_max: int = 0
    """How far beyond the quota it may go by itself."""
    idempotency_key: str | None = None
    """Sent again with the same key, this is done once."""


@strawberry.input
class QuotaChangeInput:
    """Another quota for a pool."""

    kind: PoolKind
    """What is counted."""
    ref: strawberry.ID
    """Its id outside."""
    quota: int | None = None
    """Null or absent: unchanged."""
    unlimited: bool = False
    """No limit any more; then quota must be absent."""
    oversell_max: int | None = None
    """How far beyond the quota it may go by itself. Null or absent: unchanged."""
    allow_below_use: bool = False
    """Shrink below what is in use, knowingly: nothing is taken until there is room again."""

    def command(self) -> Resize:
        """The same for the kernel."""
        return Resize(
            kind=self.kind,
            pool_id=self.kind.pool_id(self.ref),
            quota=self.quota,
            unlimited=self.unlimited,
            oversell_max=self.oversell_max,
            allow_below_use=self.allow_below_use,
        )

    def checks(self) -> list[InvalidInputError | None]:
        """What is wrong with it before anything is asked."""
        return [
            both_given(self),
            at_least("quota", self.quota, 0),
            at_least("oversellMax", self.oversell_max, 0),
        ]


@strawberry.input
class SetQuotaInput(QuotaChangeInput):
    """A new quota for a pool."""

    note: str | None = None
    """Why, for the ledger."""
    idempotency_key: str
    """Sent again with the same key, this is done once."""


@strawberry.input
class PoolRefInput:
    """A pool."""

    kind: PoolKind
    """What is counted."""
    ref: strawberry.ID
    """Its id outside."""
    note: str | None = None
    """Why."""
    idempotency_key: str | None = None
    """Sent again with the same key, this is done once."""


PoolResult = Annotated[
    PoolSuccess
    | QuotaBelowUseError
    | InvalidTransitionError
    | NotFoundError
    | InvalidInputError
    | IdempotencyConflictError
    | GatewayBusyError,
    strawberry.union("PoolResult", description="The pool, or why it was not changed."),
]


WhatIfResult = Annotated[
    WhatIf | QuotaBelowUseError | NotFoundError | InvalidInputError | GatewayBusyError,
    strawberry.union("WhatIfResult", description="What would be, or why it would be refused."),
]


def may_govern(info: Info, kind: PoolKind) -> None:
    """Check that the caller may make and change pools of this kind."""
    info.context.caller.require("admin", "director")
    if kind not in info.context.caller.governs:
        raise Forbidden


def both_given(given: DefinePoolInput | QuotaChangeInput) -> InvalidInputError | None:
    """The refusal of a limit on what has none."""
    if given.unlimited and given.quota is not None:
        return InvalidInputError(field="quota", message="quota must be absent when unlimited is true")
    return None


def none_given(given: DefinePoolInput) -> InvalidInputError | None:
    """The refusal of neither a limit nor the word that there is none."""
    if not given.unlimited and given.quota is None:
        return InvalidInputError(field="quota", message="quota must be given, or unlimited be true")
    return None


@strawberry.type
class Queries:
    """Reads of pools of any kind."""

    @strawberry.field
    async def capacity(self, info: Info, kind: PoolKind, ref: strawberry.ID) -> Pool | None:
        """One pool; null when there is none."""
        return await info.context.reads.find_pool(kind.pool_id(ref))

    @strawberry.field
    async def pools(
        self, info: Info, kind: PoolKind | None = None, first: int = 50, after: str | None = None
    ) -> Connection[Pool]:
        """The tenant's pools, in the order of their ids."""
        return await page_of_pools(info, kind, first, after)

    @strawberry.field
    async def ledger(
        self,
        info: Info,
        kind: PoolKind,
        ref: strawberry.ID,
        first: int = 50,
        after: str | None = None,
        filter: LedgerFilter | None = None,  # noqa: A002 - the contract's name
    ) -> LedgerConnection | None:
        """A pool's history, newest first; null when there is no such pool or the caller may not read it."""
        pool = await info.context.reads.find_pool(kind.pool_id(ref))
        if pool is None:
            return None
        return await info.context.reads.ledger(pool, info.context.caller, first, after, filter)

    @strawberry.field
    async def ledger_activity(
        self,
        info: Info,
        kind: PoolKind | None = None,
        first: int = 50,
        after: str | None = None,
        filter: LedgerFilter | None = None,  # noqa: A002 - the contract's name
    ) -> LedgerConnection | None:
        """The latest entries over all pools of the tenant whose ledgers the caller may read."""
        kinds = _audited(info, kind)
        return await info.context.reads.activity(kinds, first, after, filter)

    @strawberry.field
    async def reconcile(
        self,
        info: Info,
        kind: PoolKind | None = None,
        ref: strawberry.ID | None = None,
        first: int = 50,
        after: str | None = None,
        full: bool = False,
    ) -> Connection[Reconciliation] | None:
        """Counter against ledger, for one pool or page by page for all that the caller may audit.

        A ledger of more than 10,000 entries is verified from its last checkpoint on; `full` begins at its opening.
        """
        size = page_size(first)
        (last,) = read_cursor(after, str)
        reads = info.context.reads
        if kind is None and ref is not None:
            raise BadUserInput("ref needs a kind")
        if kind is not None and ref is not None:
            pool = await governed(info, kind, ref)
            pools = [pool] if isinstance(pool, Pool) else []
        else:
            kinds = _audited(info, kind)
            pools = await reads.pools_page(kinds, after=last, limit=size + 1)
        page = connect(pools, lambda pool: (pool.id,), first=size, after=after)
        found = await asyncio.gather(*(reads.reconciliation(edge.node.id, full=full) for edge in page.edges))
        edges = [Edge(cursor=edge.cursor, node=node) for edge, node in zip(page.edges, found, strict=True)]
        return Connection(edges=edges, page_info=page.page_info)

    @strawberry.field
    async def what_if(self, info: Info, changes: list[QuotaChangeInput]) -> WhatIfResult | None:
        """What `setQuota` would do to these pools together, all or none: tried under the lock and undone.

        Nothing changes. For whoever may change the pools.
        """
        if not 1 <= len(changes) <= CHANGES_MAX:
            raise BadUserInput(f"changes must be 1 to {CHANGES_MAX}")
        for change in changes:
            pool = await governed(info, change.kind, change.ref)
            if not isinstance(pool, Pool):
                return pool
            if refusal := next((check for check in change.checks() if check), None):
                return refusal
        caller = info.context.caller
        by = Attribution(operation=info.field_name, actor=caller.holder)
        outcome: Any = await info.context.capacity.what_if(caller.tenant, [c.command() for c in changes], by)
        return outcome

    @strawberry.field
    async def my_claims(
        self, info: Info, kind: PoolKind | None = None, first: int = 50, after: str | None = None
    ) -> Connection[Claim]:
        """The caller's own live claims over all pools, newest first."""
        size = page_size(first)
        last = read_cursor(after, str, str)
        names = {k: name for k, name in info.context.caller.names.items() if kind in (None, k)}
        claims = await info.context.reads.own_claims(names, after=last, limit=size + 1)
        return connect(claims, lambda claim: (claim.created_at.isoformat(), claim.id), first=size, after=after)


def _audited(info: Info, kind: PoolKind | None) -> list[PoolKind]:
    """The kinds asked for, of those whose ledgers the caller may read."""
    kinds = [k for k in PoolKind if k in info.context.caller.audits and kind in (None, k)]
    if not kinds:
        raise Forbidden
    return kinds


@strawberry.type
class Mutations:
    """Changes to pools of any kind."""

    @strawberry.mutation
    async def define_pool(self, info: Info, input: DefinePoolInput) -> DefinePoolResult | None:  # noqa: A002
        """Make a pool. The same again with the same id is a replay."""
        may_govern(info, input.kind)
        return await submit(
            info,
            input,
            Define(
                kind=input.kind,
                pool_id=input.kind.pool_id(input.ref),
                title=input.title,
                quota=input.quota,
                oversell_max=input.oversell_max,
                definition={"title": input.title, "quota": input.quota, "oversell_max": input.oversell_max},
            ),
            success=PoolSuccess,
            checks=[
                both_given(input),
                none_given(input),
                at_least("quota", input.quota, 0),
                at_least("oversellMax", input.oversell_max, 0),
            ],
        )

    @strawberry.mutation
    async def set_quota(self, info: Info, input: SetQuotaInput) -> PoolResult | None:  # noqa: A002
        """Raise, lower or lift a quota. Nobody is thrown out."""
        pool = await governed(info, input.kind, input.ref)
        if not isinstance(pool, Pool):
            return await submit(info, input, success=PoolSuccess, checks=[pool])
        return await submit(info, input, input.command(), success=PoolSuccess, checks=input.checks())

    @strawberry.mutation
    async def close_pool(self, info: Info, input: PoolRefInput) -> PoolResult | None:  # noqa: A002
        """Let nobody in any more; giving back still works."""
        pool = await governed(info, input.kind, input.ref)
        if not isinstance(pool, Pool):
            return await submit(info, input, success=PoolSuccess, checks=[pool])
        command = Close(kind=input.kind, pool_id=input.kind.pool_id(input.ref))
        return await submit(info, input, command, success=PoolSuccess)

    @strawberry.mutation
    async def open_pool(self, info: Info, input: PoolRefInput) -> PoolResult | None:  # noqa: A002
        """Let people in again."""
        pool = await governed(info, input.kind, input.ref)
        if not isinstance(pool, Pool):
            return await submit(info, input, success=PoolSuccess, checks=[pool])
        command = Open(kind=input.kind, pool_id=input.kind.pool_id(input.ref))
        return await submit(info, input, command, success=PoolSuccess)

    @strawberry.mutation
    async def repair_pool(self, info: Info, input: PoolRefInput) -> PoolResult | None:  # noqa: A002
        """Write the entries that a ledger lacks, and set the counter to what the claims have. Nobody loses a place.

        What goes past the quota is recorded as overbooked. A ledger that does not follow is refused with
        InvalidTransitionError from BROKEN: only the database's owner can take it as it is. When nothing is wrong, it is
        a replay.
        """
        pool = await governed(info, input.kind, input.ref)
        if not isinstance(pool, Pool):
            return await submit(info, input, success=PoolSuccess, checks=[pool])
        command = Repair(kind=input.kind, pool_id=input.kind.pool_id(input.ref))
        return await submit(info, input, command, success=PoolSuccess)


@strawberry.type
class PoolEvent:
    """A change of a pool, or at the beginning the pool as it is."""

    pool: Pool
    """The pool as it stood after this change."""
    entry: LedgerEntry | None
    """The change; the last of those that are folded into this event under load, and the versions tell which.

    Null at the beginning, and where the caller may not read it.
    """
    coalesced: int
    """How many changes are in this event: 0 at the beginning, 1 as a rule, more for who does not keep up."""


@strawberry.type
class OfferEvent:
    """A place is held for the caller, who waited for it."""

    pool: Pool
    """Where."""
    claim: Claim
    """The offer: a hold."""
    expires_at: datetime
    """Until when it may be taken up."""
    join_token: str | None
    """What acceptWaitlistOffer asks for, of this offer alone."""


@strawberry.type
class Subscriptions:
    """What goes on in pools of any kind."""

    @strawberry.subscription
    async def capacity_changed(
        self, info: Info, kind: PoolKind, ref: strawberry.ID, after: int | None = None
    ) -> AsyncGenerator[PoolEvent, None]:
        """First the pool as it is (or, with after, exactly the entries missed), then every change in order.

        `after` is the last version the caller knows, so that nothing is missed between two subscriptions.
        """
        caller = info.context.caller
        pool = await info.context.reads.find_pool(kind.pool_id(ref))
        if pool is None:
            raise BadUserInput("There is no such pool")
        if after is not None and not 0 <= after <= pool.version:
            raise BadUserInput(f"after must be a version of the pool, 0 to {pool.version}")
        if after is None:
            after = pool.version
            yield PoolEvent(pool=pool, entry=None, coalesced=0)
        await info.context.close()
        async with aclosing(info.context.feed.changes(caller.tenant, pool, after)) as changes:
            async for change, coalesced in changes:
                yield PoolEvent(pool=change.pool, entry=change.shown_to(caller), coalesced=coalesced)

    @strawberry.subscription
    async def waitlist_offer(self, info: Info) -> AsyncGenerator[OfferEvent, None]:
        """Offers made to the caller; first those that still hold."""
        caller = info.context.caller
        if caller.holder is None:
            raise Unauthenticated
        async with aclosing(info.context.feed.offers(caller.tenant, caller.holder)) as offers:
            async for claim_id in offers:
                event = await read_offer(info, claim_id)
                if event and caller.owns(event.claim):
                    yield event
                await info.context.close()


async def read_offer(info: Info, claim_id: str) -> OfferEvent | None:
    """A claim as the offer that it is, as soon as it can be read; None when it no longer is one."""
    while True:
        try:
            claim = await info.context.reads.claim(claim_id)
            if claim and claim.offered and claim.state is ClaimState.HELD and claim.expires_at:
                pool = await info.context.reads.pool(claim.pool_id)
                token = info.context.offers.token(info.context.caller.tenant, claim)
                return OfferEvent(pool=pool, claim=claim, expires_at=claim.expires_at, join_token=token)
        except Busy:
            await info.context.close()
            await asyncio.sleep(BUSY_SECONDS)
        else:
            return None
