"""The ledger, as GraphQL shows it."""

from datetime import datetime
from typing import Self

import strawberry

from capacity_gateway.kernel.context import Info
from capacity_gateway.kernel.paging import PageInfo
from capacity_gateway.kernel.pools import Json, Pool, moment
from capacity_gateway.kernel.vocabulary import LedgerReason


@strawberry.type
class LedgerEntry:
    """One immutable change of a pool."""

    id: strawberry.ID
    """The pool's id and the version, with a slash between."""
    version: int
    """Its number in the pool: 1, 2, 3 … without gaps."""
    quota_change: int
    """What it did to the quota; an unlimited one counts as 0."""
    held_change: int
    """What it did to what is held."""
    confirmed_change: int
    """What it did to what is confirmed."""
    available_after: int | None
    """The ledger's own running sum at this version (opening quota + every change so far), not the counter.

    Null while unlimited.
    """
    reason: LedgerReason
    """Why."""
    claim_id: strawberry.ID | None
    """Whose share it changed."""
    subject: strawberry.ID | None
    """The outside object this was for: reservation, order, registration …"""
    subject_title: str | None
    """A name for it that a person knows: the studio, the guest."""
    note: str | None
    """What the actor said about it."""
    actor: strawberry.ID | None
    """Who did it; null = the gateway itself, as when a hold runs out."""
    idempotency_key: str | None
    """The key it was sent with."""
    effective_at: datetime
    """When it counts from. Differs from recordedAt only for imports, backfills and expiry."""
    recorded_at: datetime
    """When it was written, by the pool's clock."""
    hash: str
    """SHA-256 in hex over this entry and the hash before it in the pool, from exported fields alone.

    The text that is hashed has one field a line, joined by a line feed, absent ones empty: the hash before it,
    the pool's id, version, quotaChange, heldChange, confirmedChange, availableAfter, reason, claimId, subject,
    actor, idempotencyKey, effectiveAt, recordedAt, all just as they stand here. Before a pool's first entry
    stands the SHA-256 of the pool's id and its openingQuota. Names and notes are left out, so that they can be
    erased.
    """
    pool_id: strawberry.Private[str]
    held_after: strawberry.Private[int]
    confirmed_after: strawberry.Private[int]

    @classmethod
    def decode(cls, row: Json) -> Self:
        """The entry of a `capacity.ledger` row, with the claim's title as `subject_title` where it is known."""
        recorded_at, effective_at = row["recorded_at"], row["effective_at"]
        recorded = moment(recorded_at)
        available_after = None
        if row["quota_after"] is not None:
            available_after = row["quota_after"] - row["held_after"] - row["confirmed_after"]
        return cls(
            id=strawberry.ID(f"{row['pool_id']}/{row['version']}"),
            version=row["version"],
            quota_change=row["quota_change"],
            held_change=row["held_change"],
            confirmed_change=row["confirmed_change"],
            available_after=available_after,
            reason=LedgerReason(row["reason"]),
            claim_id=row["claim_id"],
            subject=row["subject"],
            subject_title=row.get("subject_title"),
            note=row["note"],
            actor=row["actor"],
            idempotency_key=row["idempotency_key"],
            effective_at=recorded if effective_at == recorded_at else moment(effective_at),
            recorded_at=recorded,
            hash=row["hash"],
            pool_id=row["pool_id"],
            held_after=row["held_after"],
            confirmed_after=row["confirmed_after"],
        )

    @strawberry.field
    def change(self) -> int:
        """Effect on what is available: negative = taken, positive = given back.

        = quotaChange - heldChange - confirmedChange
        """
        return self.quota_change - self.held_change - self.confirmed_change

    @strawberry.field
    async def pool(self, info: Info) -> Pool:
        """What it changed."""
        return await info.context.reads.pool(self.pool_id)


@strawberry.input
class LedgerFilter:
    """Which entries; all conditions must hold."""

    reasons: list[LedgerReason] | None = None
    """One of these reasons."""
    subject: strawberry.ID | None = None
    """For this reservation, order, registration …"""
    actor: strawberry.ID | None = None
    """By this actor."""
    since: datetime | None = None
    """effectiveAt at or after this."""
    until: datetime | None = None
    """effectiveAt before this."""


@strawberry.type
class LedgerEdge:
    """One row of a page."""

    cursor: str
    """Give it as `after` to go on behind this row."""
    node: LedgerEntry
    """The entry."""


@strawberry.type
class LedgerConnection:
    """Newest first. totalCount only where it costs nothing (no filter)."""

    edges: list[LedgerEdge]
    """The entries."""
    page_info: PageInfo
    """Where the page ends, and whether there is more."""
    total_count: int | None = None
    """How many there are in all, where that costs nothing; else null."""
