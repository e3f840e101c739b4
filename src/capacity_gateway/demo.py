"""The demo: the five competitions of the report that this project began with, and an event with a bit of every kind."""

import json
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from capacity_gateway.domains.competitions import (
    APPROVED,
    KIND,
    PENDING,
    SUMMARIZED,
    ReservationSuccess,
)
from capacity_gateway.kernel.capacity import Capacity
from capacity_gateway.kernel.commands import Attribution, Command, Define, Hold, Release, Take, Wait
from capacity_gateway.kernel.outcomes import CapacityChange, PoolSuccess
from capacity_gateway.kernel.vocabulary import LedgerReason, PoolKind

REPLAY = Path(__file__).parent / "demo" / "competitions.json"
PENDING_RESERVATION = "cccc0001-0000-4000-8000-000000000000"
EVENT = "demo-summit"
TICKET = {"price": 4900, "currency": "USD", "min_per_order": 1, "max_per_order": 10, "hold_seconds": 1800}
DECADE_SECONDS = 10 * 365 * 86_400  # the demo's visitors send no heartbeats
JOINED = CapacityChange


async def load_demo(capacity: Capacity, tenant: str) -> int:
    """Replay the report's operations with their real times, and fill an event half.

    One reservation is left pending, to try an approval with.

    Returns:
        How many changes were made; 0 when all had been loaded before.

    Raises:
        RuntimeError: when an operation is refused.
    """
    changed = 0
    operations = (*commands(json.loads(REPLAY.read_text())), *event_commands())
    for number, (command, success) in enumerate(operations, start=1):
        by = Attribution(operation="import", actor="demo", key=f"demo:{number}", fingerprint="demo")
        outcome = await capacity.record(tenant, command, by, success)
        if not isinstance(outcome, CapacityChange):
            raise RuntimeError(  # noqa: TRY004 - a refusal, no wrong type
                f"operation {number} of the demo was refused: {outcome.message}"
            )
        changed += not outcome.replayed
    return changed


def commands(replay: dict[str, Any]) -> Iterator[tuple[Command, type[CapacityChange]]]:
    """The replay's competitions and operations as commands, in their order."""
    opened_at = min(moment(operation) for operation in replay["operations"])
    for competition in replay["competitions"]:
        name, quota = competition["name"], competition["quota"]
        yield (
            Define(
                kind=KIND,
                pool_id=KIND.pool_id(competition["id"]),
                title=name,
                quota=quota,
                definition={"title": name, "quota": quota, "oversell_max": 0},
                effective_at=opened_at,
            ),
            PoolSuccess,
        )
    approved: dict[str, int] = {}
    for operation in replay["operations"]:
        if operation["op"] == "refund":
            yield refund(operation, approved[operation["reservation"]]), ReservationSuccess
        else:
            approved[operation["reservation"]] = operation["spaces"]
            yield approval(operation), ReservationSuccess
    yield pending(replay["competitions"][-1]["id"]), ReservationSuccess


def approval(operation: dict[str, Any]) -> Take:
    """A reservation that was approved; by the legacy with no ledger entry."""
    return Take(
        kind=KIND,
        pool_id=KIND.pool_id(operation["competition"]),
        claim_id=operation["reservation"],
        holder=operation["studio"].lower().replace(" ", "-"),
        subject=operation["reservation"],
        title=operation["studio"],
        quantity=operation["spaces"],
        reason=LedgerReason.RESERVATION_APPROVAL,
        to_stage=APPROVED,
        facts={"spaces_requested": operation["spaces"], "approval": operation["spaces"]},
        tally="spaces_approved",
        effective_at=moment(operation),
        unledgered=operation["op"] == "legacy_approve",
    )


def refund(operation: dict[str, Any], approved: int) -> Release:
    """What a studio's summary gave back."""
    return Release(
        kind=KIND,
        claim_id=operation["reservation"],
        quantity=operation["spaces"],
        reason=LedgerReason.SUMMARY_REFUND,
        from_stages=[APPROVED],
        to_stage=SUMMARIZED,
        facts={"entries_used": approved - operation["spaces"], "given_back": operation["spaces"]},
        effective_at=moment(operation),
    )


def pending(competition_id: str) -> Wait:
    """A reservation that nobody has approved yet."""
    return Wait(
        kind=KIND,
        pool_id=KIND.pool_id(competition_id),
        claim_id=PENDING_RESERVATION,
        holder="studio-demo",
        subject=PENDING_RESERVATION,
        title="Demo Dance Studio",
        quantity=40,
        to_stage=PENDING,
        facts={"spaces_requested": 40},
    )


def moment(operation: dict[str, Any]) -> datetime:
    """When an operation of the replay happened."""
    return datetime.fromisoformat(operation["at"])


def event_commands() -> Iterator[tuple[Command, type[CapacityChange]]]:
    """An event with a bit of every kind, half full; its organiser is Olga."""
    event = PoolKind.EVENT.pool_id(EVENT)
    yield pool(PoolKind.EVENT, EVENT, "Demo Summit", 40), PoolSuccess
    yield pool(PoolKind.STREAM, EVENT, "Demo Summit", 10, parent_id=event), PoolSuccess
    yield pool(PoolKind.TICKET_TYPE, "demo-early-bird", "Early bird", 20, parent_id=event, facts=TICKET), PoolSuccess
    yield pool(PoolKind.SESSION, "demo-keynote", "Keynote", 30, parent_id=event, offer_seconds=300), PoolSuccess
    yield pool(PoolKind.SESSION, "demo-workshop", "Workshop", 4, parent_id=event, offer_seconds=300), PoolSuccess
    yield pool(PoolKind.BOOTH, "demo-booth", "Robots", 4, parent_id=event, offer_seconds=60), PoolSuccess
    yield pool(PoolKind.HUDDLE, "demo-huddle", "Coffee", 6, facts={"minimum": 2, "creator": "guest-1"}), PoolSuccess
    session = PoolKind.SESSION.pool_id("demo-workshop")
    yield pool(PoolKind.BREAKOUT_ROOM, "demo-room", "Room 1", 8, parent_id=session), PoolSuccess
    for number in range(1, 21):
        yield place(Take, PoolKind.EVENT, EVENT, number, to_stage="CONFIRMED", ticket_code=f"DEMO-{number:04}"), JOINED
    for number in range(1, 11):
        yield place(Take, PoolKind.TICKET_TYPE, "demo-early-bird", number), JOINED
    for number in range(1, 16):
        yield place(Take, PoolKind.SESSION, "demo-keynote", number), JOINED
    for number in range(1, 8):
        yield place(Take, PoolKind.SESSION, "demo-workshop", number, or_wait=True), JOINED
    for kind, ref, many in (
        (PoolKind.BOOTH, "demo-booth", 2),
        (PoolKind.STREAM, EVENT, 5),
        (PoolKind.HUDDLE, "demo-huddle", 3),
        (PoolKind.BREAKOUT_ROOM, "demo-room", 4),
    ):
        for number in range(1, many + 1):
            yield place(Hold, kind, ref, number, ttl_seconds=DECADE_SECONDS), JOINED


def pool(kind: PoolKind, ref: str, title: str, quota: int, **policy: Any) -> Define:
    """A pool of the demo's event."""
    facts = {"owner_id": "olga", "requires_registration": False, **policy.pop("facts", {})}
    return Define(
        kind=kind,
        pool_id=kind.pool_id(ref),
        title=title,
        quota=quota,
        pool_facts=facts,
        waitlist="offer_seconds" in policy,
        definition={"demo": True},
        **policy,
    )


def place(command: type[Take] | type[Hold], kind: PoolKind, ref: str, number: int, **more: Any) -> Take | Hold:
    """A guest's place in one of the demo's pools."""
    code = more.pop("ticket_code", None)
    pool_id, holder = kind.pool_id(ref), f"guest-{number}"
    return command(
        kind=kind,
        pool_id=pool_id,
        claim_id=f"demo/{pool_id}/{number}",
        holder=holder,
        title=f"Guest {number}",
        quantity=1,
        exclusive=f"{pool_id}\n{holder}",
        reason=LedgerReason.JOIN,
        facts={"ticket_code": code} if code else None,
        **more,
    )
