"""Waitlists and the capacity of sessions, as the older service has them."""

import strawberry

from capacity_gateway.dropin.legacy import found
from capacity_gateway.kernel.context import Info
from capacity_gateway.kernel.pools import Pool
from capacity_gateway.kernel.submission import LARGEST_INT
from capacity_gateway.kernel.vocabulary import PoolKind


@strawberry.type
class SessionCapacityType:
    """The seats of a session, in one notion of full: what nobody else may take is not available."""

    session_id: str
    """Which session."""
    maximum_capacity: int
    """How many seats there are; the largest number there is, where there is no limit."""
    current_attendance: int
    """How many are taken."""
    available_spots: int
    """How many are neither taken nor held by an offer."""
    is_available: bool
    """Whether one may have a seat now."""
    waitlist_count: int
    """How many wait."""

    @classmethod
    def of(cls, pool: Pool) -> "SessionCapacityType":
        """The seats of a session's pool."""
        offered, waiting = (pool.queue.offered, pool.queue.waiting) if pool.queue else (0, 0)
        maximum = LARGEST_INT if pool.quota is None else pool.quota
        available = max(0, maximum - pool.held - pool.confirmed)
        return cls(
            session_id=pool.ref,
            maximum_capacity=maximum,
            current_attendance=pool.held + pool.confirmed - offered,
            available_spots=available,
            is_available=available > 0 and waiting == 0,
            waitlist_count=waiting,
        )


@strawberry.type
class Queries:
    """What clients of the older service read of waitlists."""

    @strawberry.field
    async def session_capacity(self, info: Info, session_id: strawberry.ID) -> SessionCapacityType:
        """The seats of a session; for everybody."""
        return SessionCapacityType.of(await found(info, PoolKind.SESSION, session_id, "Session"))
