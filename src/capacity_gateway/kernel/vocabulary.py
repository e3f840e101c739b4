"""The one place in the kernel where domain words stand: what is counted, and why it changed."""

from enum import Enum

import strawberry


@strawberry.enum
class PoolKind(Enum):
    """What the gateway counts. One pool per (tenant, kind, ref)."""

    COMPETITION = "competition"
    """Spaces of a competition, taken by studios' reservations."""
    TICKET_TYPE = "ticket_type"
    """Tickets of one type."""
    EVENT = "event"
    """Registrations to an event."""
    SESSION = "session"
    """Seats of a session, with a waitlist."""
    BOOTH = "booth"
    """Visitors inside an expo booth, with a queue."""
    STREAM = "stream"
    """Concurrent viewers of a stream."""
    HUDDLE = "huddle"
    """Places in a huddle."""
    BREAKOUT_ROOM = "breakout_room"
    """Places in a breakout room."""

    def pool_id(self, ref: str) -> str:
        """Kind and ref in one word."""
        return f"{self.value}:{ref}"


@strawberry.enum
class LedgerReason(Enum):
    """Why a pool changed."""

    QUOTA_CHANGE = "QUOTA_CHANGE"
    """The quota, or how far it may be exceeded, was raised, lowered or lifted."""
    CLOSE = "CLOSE"
    """Nobody gets in any more; moves no number."""
    OPEN = "OPEN"
    """People get in again; moves no number."""
    RESERVATION_APPROVAL = "RESERVATION_APPROVAL"
    """A director approved a reservation."""
    RESERVATION_CANCELLATION = "RESERVATION_CANCELLATION"
    """A reservation was cancelled or rejected, and gave back all it had."""
    SUMMARY_REFUND = "SUMMARY_REFUND"
    """Spaces that a studio had not used came back."""
    SPACE_REQUEST_APPROVED = "SPACE_REQUEST_APPROVED"
    """A director approved further spaces for a reservation."""
    ADJUSTMENT_INCREASE = "ADJUSTMENT_INCREASE"
    """A director raised what a reservation has."""
    ADJUSTMENT_DECREASE = "ADJUSTMENT_DECREASE"
    """A director lowered what a reservation has."""
    MOVE_IN = "MOVE_IN"
    """A claim came from another pool."""
    MOVE_OUT = "MOVE_OUT"
    """A claim went to another pool."""
    MANUAL_ADJUSTMENT = "MANUAL_ADJUSTMENT"
    """A correction by hand; the note says more."""
    BACKFILL = "BACKFILL"
    """The missing entry of a claim that had been counted without one."""
    REPAIR = "REPAIR"
    """Brings counter and ledger to what the claims have, after they had come apart; the note says more."""
    HOLD = "HOLD"
    """Taken for a while, unless confirmed."""
    CONFIRM = "CONFIRM"
    """A hold became final."""
    RELEASE = "RELEASE"
    """Given back."""
    EXPIRY = "EXPIRY"
    """A hold ran out."""
    JOIN = "JOIN"
    """Somebody came in."""
    LEAVE = "LEAVE"
    """Somebody left."""
    OFFER = "OFFER"
    """A place is held for the next in line."""
