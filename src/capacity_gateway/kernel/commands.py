"""What can be asked of the kernel. A command is plain data; `capacity.apply` in SQL decides it."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime
from functools import cache
from typing import Any, ClassVar, cast

from capacity_gateway.kernel.vocabulary import LedgerReason, PoolKind


@dataclass(frozen=True, kw_only=True)
class Attribution:
    """Who asks, by which operation, under which key: the same for all commands of a request."""

    operation: str
    actor: str | None
    key: str | None = None
    fingerprint: str | None = None
    """Of the input and the actor; the same key with another one is a conflict."""
    note: str | None = None


@dataclass(frozen=True, kw_only=True)
class Command:
    """One command, for one outcome."""

    verb: ClassVar[str]

    @property
    def repeatable(self) -> bool:
        """Whether it may be sent again, without a key, when it is not known to have been done: twice is once."""
        return True

    def fields(self) -> dict[str, Any]:
        """The command as `capacity.command` in SQL names its fields, without what is unset."""
        given = {
            name: value for name in _sent(cast(Hashable, type(self))) if (value := getattr(self, name)) is not None
        }
        return {"verb": self.verb} | given


@cache
def _sent(command: Hashable) -> list[str]:
    """The names of the fields of a command that go to the database."""
    return [each.name for each in fields(cast(Any, command)) if not each.metadata.get("local")]


@dataclass(frozen=True, kw_only=True)
class PoolCommand(Command):
    """A command about a pool itself."""

    kind: PoolKind
    pool_id: str
    effective_at: datetime | None = None
    """Imports only: when it really happened."""


@dataclass(frozen=True, kw_only=True)
class Define(PoolCommand):
    """Make a pool; the same definition again is a replay."""

    verb = "define"
    title: str | None = None
    quota: int | None = None
    oversell_max: int = 0
    opens_at: datetime | None = None
    closes_at: datetime | None = None
    parent_id: str | None = None
    """The pool it belongs to, as a session to its event."""
    pool_facts: dict[str, Any] | None = None
    """The domain's own data on the pool."""
    waitlist: bool = False
    """Who waits is offered what comes free, in order."""
    offer_seconds: float | None = None
    hold_seconds: float | None = None
    definition: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Resize(PoolCommand):
    """Change a pool's quota, or how far beyond it the pool may go."""

    verb = "resize"
    reason: LedgerReason = LedgerReason.QUOTA_CHANGE
    quota: int | None = None
    unlimited: bool = False
    oversell_max: int | None = None
    allow_below_use: bool = False


@dataclass(frozen=True, kw_only=True)
class Close(PoolCommand):
    """Let nobody in any more; giving back still works."""

    verb = "close"
    reason: LedgerReason = LedgerReason.CLOSE


@dataclass(frozen=True, kw_only=True)
class Open(PoolCommand):
    """Let people in again."""

    verb = "open"
    reason: LedgerReason = LedgerReason.OPEN


@dataclass(frozen=True, kw_only=True)
class Repair(PoolCommand):
    """Bring a pool's ledger and counter to what its claims have; by itself, as all that it reads must be written."""

    verb = "repair"


@dataclass(frozen=True, kw_only=True)
class Expire(PoolCommand):
    """Settle what is due in a pool; every command to the pool does that too."""

    verb = "expire"


@dataclass(frozen=True, kw_only=True)
class ClaimCommand(Command):
    """A command about one claim.

    The stage and the facts are the domain's own: compared and set under the pool's lock, opaque to the kernel.
    """

    kind: PoolKind
    claim_id: str
    effective_at: datetime | None = None
    """Imports only: when it really happened."""
    only_holder: str | None = None
    """Anybody else's claim does not exist."""
    from_stages: Sequence[str] | None = None
    to_stage: str | None = None
    done_stages: Sequence[str] | None = None
    """In one of these, with done_facts, it has been done already."""
    done_facts: dict[str, Any] | None = None
    done_state: str | None = None
    """And with its claim in this state."""
    needs_fact: str | None = None
    facts: dict[str, Any] | None = None
    """Facts to set; None takes one away."""
    from_state: str | None = None
    """The claim must be in this state."""
    if_live: bool = False
    """Do nothing where the claim has ended."""
    unless_waiting: bool = False
    """Do nothing when an earlier command of the request has had to queue."""
    instead: Mapping[str, Callable[[], Any]] = field(default_factory=dict, metadata={"local": True})
    """Another refusal than the usual one for some of the kernel's codes."""

    @property
    def repeatable(self) -> bool:
        """As for every command: it is recognised as done by its facts or its exclusive word."""
        return self.done_facts is not None or isinstance(self, Touch | Move | Backfill)

    quantity_field: str | None = field(default=None, metadata={"local": True})
    """Set where more than the claim has is a wrong input: how the caller's input calls the quantity."""


@dataclass(frozen=True, kw_only=True)
class NewClaim(ClaimCommand):
    """A command that makes its claim, or where the pool is not named takes up one that waits."""

    pool_id: str | None = None
    holder: str | None = None
    subject: str | None = None
    title: str | None = None
    quantity: int
    exclusive: str | None = None
    """Of live claims with the same word there is one: it is done already, unless it is an offer or in `from_stages`."""
    or_wait: bool = False
    """Queue where there is no room, in a pool with a waitlist."""
    rank: int | None = None
    """In the queue; the lower, the sooner."""
    needs_pool_id: str | None = None
    """The holder must have a confirmed claim in that pool."""
    once: bool = False
    """Where it is taken up already, refuse with TAKEN instead."""
    mind_lapse: bool = False
    """Say once that an offer has run out, before beginning anew."""
    tally: str | None = None
    """A fact that sums up what was ever taken."""
    overbook: bool = False

    @property
    def repeatable(self) -> bool:
        """As for every command."""
        return self.exclusive is not None or self.done_facts is not None


@dataclass(frozen=True, kw_only=True)
class Wait(NewClaim):
    """Ask for capacity without taking any."""

    verb = "wait"


@dataclass(frozen=True, kw_only=True)
class Hold(NewClaim):
    """Take for a while."""

    verb = "hold"
    reason: LedgerReason = LedgerReason.HOLD
    ttl_seconds: float | None = None
    """Absent: the pool's own."""


@dataclass(frozen=True, kw_only=True)
class Take(NewClaim):
    """Hold and confirm at once."""

    verb = "take"
    reason: LedgerReason
    unledgered: bool = False
    """Imports only: the legacy moved its counter and wrote no entry."""


@dataclass(frozen=True, kw_only=True)
class Confirm(ClaimCommand):
    """Make a hold final; with a quantity, that part of it, and the rest is given back."""

    verb = "confirm"
    reason: LedgerReason = LedgerReason.CONFIRM
    quantity: int | None = None


@dataclass(frozen=True, kw_only=True)
class Release(ClaimCommand):
    """Give back: all, which ends the claim, or so many of it."""

    verb = "release"
    reason: LedgerReason
    quantity: int | None = None


@dataclass(frozen=True, kw_only=True)
class ReleaseElsewhere(Command):
    """Give back what a holder has in force of this kind outside of a pool; nothing, where that is nothing.

    In a request with whatever lets him into that pool, it lets him be in one at a time.
    """

    verb = "release"
    kind: PoolKind
    outside_pool_id: str
    holder: str
    reason: LedgerReason
    unless_waiting: bool = False
    """Do nothing when an earlier command of the request has had to queue."""


@dataclass(frozen=True, kw_only=True)
class Touch(ClaimCommand):
    """Move a lease's expiry; leaves no entry."""

    verb = "touch"
    ttl_seconds: float


@dataclass(frozen=True, kw_only=True)
class Adjust(ClaimCommand):
    """Bring a claim to a quantity, up or down; without `reason` it may only go down."""

    verb = "adjust"
    reason: LedgerReason | None = None
    other_reason: LedgerReason | None = None
    """Of going down."""
    quantity: int | None = None
    quantity_fact: str | None = None
    """Take the quantity from this fact of the claim."""
    relative: bool = False
    """Add it to what the claim has."""
    remember: str | None = None
    """Keep how many are given back in this fact."""
    tally: str | None = None
    overbook: bool = False


@dataclass(frozen=True, kw_only=True)
class Move(ClaimCommand):
    """Take a claim with all it has to another pool."""

    verb = "move"
    reason: LedgerReason = LedgerReason.MOVE_OUT
    other_reason: LedgerReason = LedgerReason.MOVE_IN
    to_pool_id: str


@dataclass(frozen=True, kw_only=True)
class Stage(ClaimCommand):
    """Change a claim's stage or facts; moves no capacity."""

    verb = "stage"


@dataclass(frozen=True, kw_only=True)
class Backfill(ClaimCommand):
    """Write the entry that a claim lacks, counting from when it was confirmed; the counter stays as it is."""

    verb = "backfill"
    reason: LedgerReason = LedgerReason.BACKFILL


@dataclass(frozen=True, kw_only=True)
class Refuse(Command):
    """Remember a refusal that was found before the database was asked, so that it is final for its key."""

    verb = "refuse"
    pool_id: str | None = None
    """The pool that it shows."""
    definition: dict[str, Any]
    """Which refusal, and what it says."""
