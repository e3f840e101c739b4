"""Huddles: small talks that begin once enough have come."""

import uuid

import strawberry

from capacity_gateway.kernel.commands import Define, Hold
from capacity_gateway.kernel.context import Info
from capacity_gateway.kernel.outcomes import EnterResult, LeaseSuccess
from capacity_gateway.kernel.pools import Pool, shows
from capacity_gateway.kernel.submission import at_least, at_most, holder_of, submit
from capacity_gateway.kernel.vocabulary import LedgerReason, PoolKind

KIND = PoolKind.HUDDLE
FEWEST, MOST = 2, 10


@shows(KIND)
@strawberry.type
class Huddle:
    """A small talk."""

    pool: Pool
    """Its places."""

    @strawberry.field
    def id(self) -> strawberry.ID:
        """Its id, the pool's ref."""
        return self.pool.ref

    @strawberry.field
    def minimum(self) -> int:
        """How many must have come for it to begin."""
        return int(self.pool.facts.get("minimum", FEWEST))

    @strawberry.field
    def confirmed(self) -> bool:
        """Whether enough have come."""
        return self.pool.held + self.pool.confirmed >= int(self.pool.facts.get("minimum", FEWEST))


@strawberry.input
class CreateHuddleInput:
    """A huddle to be made; whoever makes it is in."""

    id: strawberry.ID | None = None
    """Its id; absent = one is made up."""
    title: str | None = None
    """What it is about."""
    holder: strawberry.ID | None = None
    """Who makes it; for role service."""
    quota: int = 6
    """How many places there are, 2 to 10."""
    minimum: int = FEWEST
    """How many must have come for it to begin."""
    idempotency_key: str | None = None
    """Sent again with the same key, this is done once."""


@strawberry.type
class Queries:
    """Reads of huddles."""

    @strawberry.field
    async def huddle(self, info: Info, id: strawberry.ID) -> Huddle | None:  # noqa: A002
        """One huddle; null when there is none."""
        pool = await info.context.reads.find_pool(KIND.pool_id(id))
        return None if pool is None else Huddle(pool=pool)


@strawberry.type
class Mutations:
    """Changes to huddles; one goes in by enter, stays by heartbeat and goes by leave."""

    @strawberry.mutation
    async def create_huddle(self, info: Info, input: CreateHuddleInput) -> EnterResult | None:  # noqa: A002
        """Make a huddle and be the first in it."""
        holder = await holder_of(info, input.holder)
        pool_id = KIND.pool_id(input.id or str(uuid.uuid4()))
        facts = {"minimum": input.minimum, "creator": holder}
        checks = [
            at_least("quota", input.quota, FEWEST),
            at_most("quota", input.quota, MOST),
            at_least("minimum", input.minimum, FEWEST),
            at_most("minimum", input.minimum, input.quota),
        ]
        define = Define(
            kind=KIND,
            pool_id=pool_id,
            title=input.title,
            quota=input.quota,
            pool_facts=facts,
            definition={"title": input.title, "quota": input.quota, **facts},
        )
        hold = Hold(
            kind=KIND,
            pool_id=pool_id,
            claim_id=str(uuid.uuid4()),
            holder=holder,
            quantity=1,
            exclusive=f"{pool_id}\n{holder}",
            ttl_seconds=info.context.lease_seconds,
            reason=LedgerReason.JOIN,
        )
        return await submit(info, input, define, hold, success=LeaseSuccess, checks=checks)
