"""The demo: the five competitions of the report that this project began with, replayed with their real times."""

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
from capacity_gateway.kernel.commands import Attribution, Command, Define, Release, Take, Wait
from capacity_gateway.kernel.outcomes import CapacityChange, PoolSuccess
from capacity_gateway.kernel.vocabulary import LedgerReason

REPLAY = Path(__file__).parent / "demo" / "competitions.json"
PENDING_RESERVATION = "cccc0001-0000-4000-8000-000000000000"


async def load_demo(capacity: Capacity, tenant: str) -> int:
    """Replay the report's operations, and leave one reservation pending to try an approval with.

    Returns:
        How many changes were made; 0 when all had been loaded before.

    Raises:
        RuntimeError: when an operation is refused.
    """
    changed = 0
    for number, (command, success) in enumerate(commands(json.loads(REPLAY.read_text())), start=1):
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
