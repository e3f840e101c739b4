"""The demo: the five competitions of the report that this project began with, and an event with a bit of every kind."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from capacity_gateway.domains.competitions import KIND, PENDING
from capacity_gateway.importing.bring import plan_of, source_of
from capacity_gateway.kernel.capacity import Capacity
from capacity_gateway.kernel.commands import Attribution, Command, Define, Hold, Take, Wait
from capacity_gateway.kernel.outcomes import CapacityChange
from capacity_gateway.kernel.vocabulary import LedgerReason, PoolKind

REPLAY = Path(__file__).parent / "demo" / "competitions.json"
PENDING_RESERVATION = "cccc0001-0000-4000-8000-000000000000"
EVENT = "demo-summit"
TICKET = {"price": 4900, "currency": "USD", "min_per_order": 1, "max_per_order": 10, "hold_seconds": 1800}
DECADE_SECONDS = 10 * 365 * 86_400  # the demo's visitors send no heartbeats
FIRST_NUMBER = 31  # of the keys: those before were the replay's, when each of its operations was recorded by itself


async def load_demo(capacity: Capacity, tenant: str) -> int:
    """Bring in the report's competitions, leave a reservation pending to try an approval with, and fill an event half.

    Returns:
        How many pools, entries and claims were made; 0 when all had been loaded before.

    Raises:
        RuntimeError: when an operation is refused.
    """
    plan = await plan_of(source_of(str(REPLAY), None), tenant)
    changed = sum([await capacity.bring_in(tenant, history) and history.size for history in plan.histories])
    operations = (pending(plan.histories[-1].define.pool_id), *event_commands())
    for number, command in enumerate(operations, start=FIRST_NUMBER):
        by = Attribution(operation="import", actor="demo", key=f"demo:{number}", fingerprint="demo")
        outcome = await capacity.submit(tenant, [command], by, CapacityChange)
        if not isinstance(outcome, CapacityChange):
            raise RuntimeError(  # noqa: TRY004 - a refusal, no wrong type
                f"operation {number} of the demo was refused: {outcome.message}"
            )
        changed += not outcome.replayed
    return changed


def pending(pool_id: str) -> Wait:
    """A reservation that nobody has approved yet."""
    return Wait(
        kind=KIND,
        pool_id=pool_id,
        claim_id=PENDING_RESERVATION,
        holder="studio-demo",
        subject=PENDING_RESERVATION,
        title="Demo Dance Studio",
        quantity=40,
        to_stage=PENDING,
        facts={"spaces_requested": 40},
    )


def event_commands() -> Iterator[Command]:
    """An event with a bit of every kind, half full; its organiser is Olga."""
    event = PoolKind.EVENT.pool_id(EVENT)
    yield pool(PoolKind.EVENT, EVENT, "Demo Summit", 40)
    yield pool(PoolKind.STREAM, EVENT, "Demo Summit", 10, parent_id=event)
    yield pool(PoolKind.TICKET_TYPE, "demo-early-bird", "Early bird", 20, parent_id=event, facts=TICKET)
    yield pool(PoolKind.SESSION, "demo-keynote", "Keynote", 30, parent_id=event, offer_seconds=300)
    yield pool(PoolKind.SESSION, "demo-workshop", "Workshop", 4, parent_id=event, offer_seconds=300)
    yield pool(PoolKind.BOOTH, "demo-booth", "Robots", 4, parent_id=event, offer_seconds=60)
    yield pool(PoolKind.HUDDLE, "demo-huddle", "Coffee", 6, facts={"minimum": 2, "creator": "guest-1"})
    session = PoolKind.SESSION.pool_id("demo-workshop")
    yield pool(PoolKind.BREAKOUT_ROOM, "demo-room", "Room 1", 8, parent_id=session)
    for number in range(1, 21):
        yield place(Take, PoolKind.EVENT, EVENT, number, to_stage="CONFIRMED", ticket_code=f"DEMO-{number:04}")
    for number in range(1, 11):
        yield place(Take, PoolKind.TICKET_TYPE, "demo-early-bird", number)
    for number in range(1, 16):
        yield place(Take, PoolKind.SESSION, "demo-keynote", number)
    for number in range(1, 8):
        yield place(Take, PoolKind.SESSION, "demo-workshop", number, or_wait=True)
    for kind, ref, many in (
        (PoolKind.BOOTH, "demo-booth", 2),
        (PoolKind.STREAM, EVENT, 5),
        (PoolKind.HUDDLE, "demo-huddle", 3),
        (PoolKind.BREAKOUT_ROOM, "demo-room", 4),
    ):
        for number in range(1, many + 1):
            yield place(Hold, kind, ref, number, ttl_seconds=DECADE_SECONDS)


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
