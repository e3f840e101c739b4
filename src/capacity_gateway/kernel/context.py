"""What every resolver finds in `info.context`: who asks, the one door for changes, and one snapshot for reads."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import strawberry

from capacity_gateway.kernel.errors import Forbidden, Unauthenticated
from capacity_gateway.kernel.vocabulary import PoolKind

if TYPE_CHECKING:
    from capacity_gateway.kernel.capacity import Capacity
    from capacity_gateway.kernel.feed import Feed
    from capacity_gateway.kernel.pools import Claim, Pool
    from capacity_gateway.kernel.reads import Reads
    from capacity_gateway.kernel.webhooks import Webhooks
    from capacity_gateway.offers import Offers


@dataclass(frozen=True, kw_only=True)
class Caller:
    """Who asks."""

    tenant: str
    holder: str | None = None
    """The login's subject: the holder of claims and the ledger's actor; None = anonymous."""
    role: str | None = None
    """None = attendee, for itself."""
    names: Mapping[PoolKind, str] = field(default_factory=dict)
    """As whom the caller holds claims of each kind: as a rule as itself."""
    organization: str | None = None
    email: str | None = None
    audits: frozenset[PoolKind] = frozenset()
    """The kinds whose whole ledgers the caller may read."""
    governs: frozenset[PoolKind] = frozenset()
    """The kinds of which the caller may make and change pools."""
    until: float | None = field(default=None, compare=False)
    """When the login ends, in seconds since 1970; None = never."""

    def owns(self, claim: "Claim") -> bool:
        """Whether a claim is the caller's own."""
        return claim.holder == self.names.get(claim.kind)

    def may_audit(self, pool: "Pool") -> bool:
        """Whether the caller may read a pool's whole ledger, and govern it: by role, or as its organiser."""
        if pool.kind in self.audits:
            return True
        owner, organization = pool.facts.get("owner_id"), pool.facts.get("organization_id")
        return self.role == "organizer" and (
            (self.holder is not None and self.holder == owner)
            or (self.organization is not None and self.organization == organization)
        )

    def may_govern(self, pool: "Pool") -> bool:
        """Whether the caller may change a pool: by role, or as its organiser."""
        return pool.kind in self.governs and self.may_audit(pool)

    def require(self, *roles: str) -> None:
        """Check for one of these roles.

        Raises:
            Unauthenticated: without a login.
            Forbidden: with another role.
        """
        if self.holder is None:
            raise Unauthenticated
        if self.role not in roles:
            raise Forbidden


@dataclass
class Context:
    """One request."""

    caller: Caller
    """Who asks; anonymous, where a login is shown that does not hold."""
    capacity: "Capacity"
    reads: "Reads"
    """What the caller reads."""
    feed: "Feed"
    offers: "Offers"
    """Signs what the holder of an offer may show."""
    webhooks: "Webhooks"
    """Whom to tell of changes."""
    lease_seconds: float
    """How long a place holds without a heartbeat."""
    header_key: str | None = None
    """The X-Idempotency-Key header."""
    no_login: Unauthenticated | None = None
    """Why the login that is shown does not hold, for every operation but those of the older service to raise."""

    wait_seconds: Callable[[str], int] | None = None
    """Counts a call of an operation: how long the caller has to wait for it, 0 as a rule. None: there is no limit."""

    turned_away: bool = False
    """Whether its mutation could not be done now, and is known not to have been."""

    async def close(self) -> None:
        """Give back what the request has used so far."""
        await self.reads.close()

    async def end(self) -> None:
        """Give back what the request has used, which is over."""
        await self.reads.end()


Info = strawberry.Info[Context, None]
