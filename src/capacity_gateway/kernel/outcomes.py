"""What comes back from the kernel: a success, or a refusal that a caller can act on. Values, never exceptions."""

import dataclasses
from collections.abc import Callable, Sequence
from datetime import datetime
from enum import Enum
from typing import Annotated, Self, TypeVar

import strawberry

from capacity_gateway.kernel.commands import Attribution, ClaimCommand, Command, Refuse
from capacity_gateway.kernel.ledger import LedgerEntry
from capacity_gateway.kernel.pools import Claim, Json, Pool, moment, moment_or_none


@strawberry.interface
class CapacityChange:
    """Every success."""

    replayed: bool
    """This had been done before and nothing changed now.

    It may be true on a first call when the gateway itself had to settle a doubt.
    """
    pool: Pool
    """What it was taken from or given back to, as it stands now."""
    entries: list[LedgerEntry]
    """The ledger entries that it made, or in a replay had made."""
    share: strawberry.Private[Claim | None] = None
    """The claim in question, for the domains' own fields."""
    numbers: strawberry.Private[Json] = dataclasses.field(default_factory=dict)
    """Further numbers of the outcome, for the same, and in which state it left the claim."""

    @property
    def claimed(self) -> Claim:
        """The claim in question, where there must be one."""
        if self.share is None:
            raise LookupError("a success without its claim")
        return self.share


@strawberry.enum
class RetryAdvice(Enum):
    """Whether to try again, and how."""

    NEVER = "NEVER"
    """Pointless."""
    NEW_KEY = "NEW_KEY"
    """A new attempt may succeed (without a key: just send again)."""
    SAME_KEY = "SAME_KEY"
    """Not applied, or unknown; the same key settles it."""


@strawberry.type
class WhatIfPool:
    """A pool in question: as it is, and as it would be."""

    before: Pool
    """As it is."""
    after: Pool
    """As it would be."""
    entries: list[LedgerEntry]
    """The entries that would be written, at most the first 100; the versions tell how many there would be."""
    offers: list[Claim]
    """The offers that would go out to who waits, at most the first 100."""
    waiting: list[Claim]
    """Who would wait, or wait still, the next first, at most 100."""

    @classmethod
    def decode(cls, row: Json, as_of: str) -> Self:
        """One pool of `capacity.what_if`'s answer."""
        return cls(
            before=Pool.decode(row["before"], as_of),
            after=Pool.decode(row["after"], as_of),
            entries=[LedgerEntry.decode(entry) for entry in row["entries"]],
            offers=[Claim.decode(claim) for claim in row["offers"]],
            waiting=[Claim.decode(claim) for claim in row["waiting"]],
        )


@strawberry.type
class WhatIf:
    """What would be. Nothing of it is."""

    pools: list[WhatIfPool]
    """The pools in question."""

    @classmethod
    def decode(cls, rows: Sequence[Json], as_of: str) -> Self:
        """What `capacity.what_if` found out."""
        return cls(pools=[WhatIfPool.decode(row, as_of) for row in rows])


@strawberry.interface
class CapacityError:
    """Every refusal. A refusal means that nothing changed; its numbers were read under the lock."""

    code: str
    """The refusal in one word, for programs."""
    message: str
    """The refusal in a sentence, for people."""
    retry: RetryAdvice
    """Whether to try again, and how."""
    retry_after_ms: int | None = None
    """How long to wait before, in milliseconds, where that is known."""
    replayed: bool = False
    """Whether this is the stored answer to a key."""


@strawberry.enum
class ShortageCause(Enum):
    """What stands in the way."""

    CONFIRMED = "CONFIRMED"
    """It is taken for good."""
    HELD = "HELD"
    """It is held, and may come free."""
    OFFERED = "OFFERED"
    """It is offered to who waits, and may come free."""


@strawberry.type
class Shortfall:
    """A pool that was short."""

    pool: Pool
    """Which."""
    requested: int
    """How many were wanted of it."""
    available: int
    """How many it had."""
    judged_version: int
    """Its version when this was judged."""


@strawberry.type
class InsufficientCapacityError(CapacityError):
    """There is not enough left."""

    code: str = "INSUFFICIENT_CAPACITY"
    retry: RetryAdvice = RetryAdvice.NEW_KEY
    pool: Pool
    """The pool that was short; the first of them, when one request draws on several."""
    judged_version: int
    """The pool's version when this was judged: with it the refusal can be checked against the ledger."""
    requested: int
    """How many were wanted."""
    available: int
    """How many there were."""
    cause: ShortageCause
    """What stands in the way."""
    shortfalls: list[Shortfall]
    """Every pool that was short, when one request draws on several."""
    earliest_release_at: datetime | None = None
    """When the next hold or offer runs out, if any."""


@strawberry.type
class NotFoundError(CapacityError):
    """There is no such thing, or not for this caller."""

    code: str = "NOT_FOUND"
    retry: RetryAdvice = RetryAdvice.NEVER
    ref: strawberry.ID
    """What was asked for."""


@strawberry.type
class InvalidInputError(CapacityError):
    """A field of the input is wrong."""

    code: str = "INVALID_INPUT"
    retry: RetryAdvice = RetryAdvice.NEVER
    field: str
    """Which one."""


@strawberry.type
class InvalidTransitionError(CapacityError):
    """This cannot be done in the state it is in."""

    code: str = "INVALID_TRANSITION"
    retry: RetryAdvice = RetryAdvice.NEVER
    pool: Pool
    """The pool in question."""
    from_: str = strawberry.field(name="from")
    """The state it is in."""
    attempted: str
    """The operation that was tried."""
    allowed: list[str]
    """The states in which that operation can be done."""


@strawberry.type
class RefundExceedsClaimError(CapacityError):
    """More was to be given back than is there."""

    code: str = "REFUND_EXCEEDS_CLAIM"
    retry: RetryAdvice = RetryAdvice.NEVER
    pool: Pool
    """The pool in question."""
    requested: int
    """How many were to be given back."""
    refundable: int
    """How many can be."""


@strawberry.type
class HoldExpiredError(CapacityError):
    """The hold ran out before it was confirmed."""

    code: str = "HOLD_EXPIRED"
    retry: RetryAdvice = RetryAdvice.NEW_KEY
    pool: Pool
    """The pool in question, with what is available now."""
    expired_at: datetime
    """When it ran out."""


@strawberry.type
class OfferUnavailableError(CapacityError):
    """An offer that does not hold (superseded, used, another's); it does not say which."""

    code: str = "OFFER_UNAVAILABLE"
    retry: RetryAdvice = RetryAdvice.NEVER
    message: str = "There is no offer to take up"


@strawberry.type
class NotEligibleError(CapacityError):
    """Something is needed first."""

    code: str = "NOT_ELIGIBLE"
    retry: RetryAdvice = RetryAdvice.NEW_KEY
    requirement: str
    """What."""


@strawberry.type
class PerHolderLimitError(CapacityError):
    """More than one may have."""

    code: str = "PER_HOLDER_LIMIT"
    retry: RetryAdvice = RetryAdvice.NEVER
    pool: Pool
    """The pool in question."""
    limit: int
    """How many one may have at a time."""
    current: int
    """How many were asked for, with those that the holder has."""


@strawberry.type
class PoolClosedError(CapacityError):
    """Nobody gets in at present."""

    code: str = "POOL_CLOSED"
    retry: RetryAdvice = RetryAdvice.NEW_KEY
    pool: Pool
    """The pool in question."""
    opens_at: datetime | None = None
    """When it opens, if that is known."""


@strawberry.type
class QuotaBelowUseError(CapacityError):
    """The quota would be below what is in use; ask for that with allowBelowUse."""

    code: str = "QUOTA_BELOW_USE"
    retry: RetryAdvice = RetryAdvice.NEW_KEY
    pool: Pool
    """The pool in question."""
    in_use: int
    """How many are held or confirmed."""
    requested_quota: int
    """The quota that was asked for."""


@strawberry.type
class IdempotencyConflictError(CapacityError):
    """The key has been used for another input."""

    code: str = "IDEMPOTENCY_CONFLICT"
    retry: RetryAdvice = RetryAdvice.NEW_KEY
    first_seen_at: datetime
    """When the key was first used."""


@strawberry.enum
class BusyOutcome(Enum):
    """Is a busy call known not to have happened, or may it yet? Sending the same key again settles it."""

    NOT_APPLIED = "NOT_APPLIED"
    """It did not happen and will not."""
    UNKNOWN = "UNKNOWN"
    """It may have happened."""


@strawberry.type
class GatewayBusyError(CapacityError):
    """Overload, a lock that could not be had in time, or the database away."""

    code: str = "GATEWAY_BUSY"
    retry: RetryAdvice = RetryAdvice.SAME_KEY
    outcome: BusyOutcome
    """Whether it is known not to have happened."""


@strawberry.type
class PoolSuccess(CapacityChange):
    """The pool is as asked for."""


@strawberry.type
class LeaseSuccess(CapacityChange):
    """A place that is kept alive by heartbeats."""

    @strawberry.field
    def claim(self) -> Claim:
        """The lease: its id, and when it runs out without a heartbeat."""
        return self.claimed


EnterResult = Annotated[
    LeaseSuccess
    | InsufficientCapacityError
    | NotEligibleError
    | HoldExpiredError
    | NotFoundError
    | InvalidInputError
    | PoolClosedError
    | IdempotencyConflictError
    | GatewayBusyError,
    strawberry.union("EnterResult", description="The place, or why there is none."),
]
DefinePoolResult = Annotated[
    PoolSuccess | NotFoundError | InvalidInputError | IdempotencyConflictError | GatewayBusyError,
    strawberry.union("DefinePoolResult", description="The pool, or why it was not made."),
]

LARGEST_INT = 2**31 - 1  # of GraphQL
Success = TypeVar("Success", bound=CapacityChange)
Rows = Sequence[Json]


def decode(
    rows: Rows, commands: Sequence[Command], by: Attribution, success: Callable[..., Success]
) -> Success | CapacityError:
    """The outcome of a request out of the rows of its commands: one success, or the first refusal."""
    for row, command in zip(rows, commands, strict=True):
        instead = command.instead.get(row["code"]) if isinstance(command, ClaimCommand) else None
        if instead or row["code"] not in ("OK", "DONE", "LINKED"):
            refusal: CapacityError = instead() if instead else _REFUSALS[row["code"]](_Refused(row, command, by, rows))
            refusal.replayed = row["replayed"]
            return refusal
    main = next((row for row in rows if row["claim"]), rows[0])
    return success(
        replayed=all(row["replayed"] for row in rows),
        pool=_pool(main),
        entries=[
            LedgerEntry.decode(entry | {"subject_title": row["claim"] and row["claim"]["title"]})
            for row in rows
            for entry in row["entries"]
        ],
        share=Claim.decode(main["claim"]) if main["claim"] else None,
        numbers=main["detail"],
    )


def not_found(ref: str) -> NotFoundError:
    """The refusal of what is not there. Messages repeat no text of callers: `ref` does."""
    return NotFoundError(message="There is no such thing here", ref=strawberry.ID(ref))


def remembered(refusal: CapacityError) -> Refuse:
    """The command that makes a refusal final for its key: what it says is kept, its pool shown as it is by then."""
    pool = getattr(refusal, "pool", None)
    says = {name: value for name, value in vars(refusal).items() if isinstance(value, str | int | list)}
    return Refuse(pool_id=pool and pool.id, definition={"refusal": type(refusal).__name__, "says": says})


def busy(outcome: BusyOutcome, *, retry_after_ms: int = 250) -> GatewayBusyError:
    """The refusal of a call that could not be done now."""
    said = {
        BusyOutcome.NOT_APPLIED: "The gateway is busy; nothing has changed",
        BusyOutcome.UNKNOWN: "The gateway could not find out in time whether this was done; send it again to see",
    }
    return GatewayBusyError(message=said[outcome], outcome=outcome, retry_after_ms=retry_after_ms)


@dataclasses.dataclass(frozen=True)
class _Refused:
    """A refused command, with all that its refusal may tell of."""

    row: Json
    command: Command
    by: Attribution
    rows: Rows

    @property
    def detail(self) -> Json:
        detail: Json = self.row["detail"]
        return detail

    @property
    def pool(self) -> Pool:
        return _pool(self.row)


def _pool(row: Json) -> Pool:
    return Pool.decode(row["pool"], row["as_of"])


def _broken(refused: _Refused) -> CapacityError:
    return InvalidTransitionError(
        message="The ledger does not follow; the database's owner can seal it, by capacity-gateway repair",
        pool=refused.pool,
        from_="BROKEN",
        attempted=refused.by.operation,
        allowed=[],
    )


def _conflict(refused: _Refused) -> CapacityError:
    return IdempotencyConflictError(
        message="This idempotency key has been used for another input",
        first_seen_at=moment(refused.detail["first_seen_at"]),
    )


def _exceeds_claim(refused: _Refused) -> CapacityError:
    requested, refundable = refused.detail["requested"], refused.detail["refundable"]
    field = refused.command.quantity_field if isinstance(refused.command, ClaimCommand) else None
    if field:
        message = f"{field} is {requested}, but only {refundable} are confirmed"
        return InvalidInputError(field=field, message=message)
    return RefundExceedsClaimError(
        message=f"{requested} were to be given back and {refundable} can be",
        pool=refused.pool,
        requested=requested,
        refundable=refundable,
    )


def _exists(_: _Refused) -> CapacityError:
    return InvalidInputError(field="id", message="This id has been used with other input")


def _hold_expired(refused: _Refused) -> CapacityError:
    expired_at = moment(refused.detail["expired_at"])
    return HoldExpiredError(message="The hold has run out", pool=refused.pool, expired_at=expired_at)


def _insufficient(refused: _Refused) -> CapacityError:
    detail = refused.detail
    earliest = moment_or_none(detail["earliest_release_at"])
    seconds_left = (earliest - moment(refused.row["as_of"])).total_seconds() if earliest else None
    short = {row["pool"]["id"]: row for row in refused.rows if row["code"] == "INSUFFICIENT"}
    others = ", and others wait for them" if detail.get("queued") else ""
    return InsufficientCapacityError(
        message=f"{detail['requested']} were asked for and {max(0, detail['available'])} are available{others}",
        pool=refused.pool,
        judged_version=detail["judged_version"],
        requested=min(LARGEST_INT, detail["requested"]),
        available=detail["available"],
        cause=ShortageCause(detail["cause"]),
        earliest_release_at=earliest,
        retry_after_ms=None if seconds_left is None else min(LARGEST_INT, max(0, round(seconds_left * 1000))),
        shortfalls=[
            Shortfall(
                pool=_pool(row),
                requested=min(LARGEST_INT, row["detail"]["requested"]),
                available=row["detail"]["available"],
                judged_version=row["detail"]["judged_version"],
            )
            for row in short.values()
        ],
    )


def _invalid_transition(refused: _Refused) -> CapacityError:
    operation, current = refused.by.operation, refused.detail["from"].upper()
    stages = refused.command.from_stages if isinstance(refused.command, ClaimCommand) else None
    allowed = list(stages or [])
    if current in allowed or not allowed:
        message = f"Cannot {operation}: there is nothing to do it to (currently {current})"
    else:
        message = f"Cannot {operation}: it must be {' or '.join(allowed)} (currently {current})"
    return InvalidTransitionError(
        message=message, pool=refused.pool, from_=current, attempted=operation, allowed=allowed
    )


def _elsewhere(refused: _Refused) -> CapacityError:
    ref = refused.detail["elsewhere"].partition(":")[2]
    return NotEligibleError(message="There is a place elsewhere already; leave it first", requirement=f"leave {ref}")


def _not_eligible(_: _Refused) -> CapacityError:
    return NotEligibleError(message="Register first", requirement="registration")


def _not_found(refused: _Refused) -> CapacityError:
    ref = refused.detail["missing"]
    if ref in (getattr(refused.command, name, None) for name in ("pool_id", "to_pool_id")):
        ref = ref.partition(":")[2]
    return not_found(ref)


def _pool_closed(refused: _Refused) -> CapacityError:
    opens_at = moment_or_none(refused.detail.get("opens_at"))
    return PoolClosedError(message="This is closed at present", pool=refused.pool, opens_at=opens_at)


def _quota_below_use(refused: _Refused) -> CapacityError:
    in_use, quota = refused.detail["in_use"], refused.detail["requested_quota"]
    return QuotaBelowUseError(
        message=f"{in_use} are in use, more than a quota of {quota}; allowBelowUse sets it all the same",
        pool=refused.pool,
        in_use=in_use,
        requested_quota=quota,
    )


def _refused_before(refused: _Refused) -> CapacityError:
    kind = next(kind for kind in CapacityError.__subclasses__() if kind.__name__ == refused.detail["refusal"])
    says = refused.detail["says"] | ({"pool": refused.pool} if refused.row["pool"] else {})
    return kind(**says)


_REFUSALS: dict[str, Callable[[_Refused], CapacityError]] = {
    "BROKEN": _broken,
    "CONFLICT": _conflict,
    "ELSEWHERE": _elsewhere,
    "EXCEEDS_CLAIM": _exceeds_claim,
    "EXISTS": _exists,
    "HOLD_EXPIRED": _hold_expired,
    "INSUFFICIENT": _insufficient,
    "INVALID_TRANSITION": _invalid_transition,
    "NOT_ELIGIBLE": _not_eligible,
    "NOT_FOUND": _not_found,
    "POOL_CLOSED": _pool_closed,
    "QUOTA_BELOW_USE": _quota_below_use,
    "REFUSED": _refused_before,
}
"""The codes of `capacity.apply` and `capacity.repair_asked`, and what each becomes."""
