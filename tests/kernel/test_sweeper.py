"""The sweeper: what it does while nobody asks, and what it leaves alone."""

import asyncio

import asyncpg
import pytest

from asking import OTHER, POOL, ask, ask_one, codes, define, hold, keyed, release, resize, take
from capacity_gateway.kernel import sweeper as module
from capacity_gateway.kernel.capacity import Capacity
from capacity_gateway.kernel.database import QUERIES, Database
from capacity_gateway.kernel.sweeper import Sweeper
from conftest import eventually

TENANTS = ["a", "b", "c"]


@pytest.fixture
def sweeper(database: Database, capacity: Capacity) -> Sweeper:
    """Of a gateway that keeps refusals for 30 days."""
    return Sweeper(database, capacity, idempotency_days=30)


async def states(owner: asyncpg.Connection, claim: str) -> list[str]:
    """The states of the claims of this id, tenant by tenant."""
    rows = await owner.fetch("SELECT state FROM capacity.claim WHERE id = $1 ORDER BY tenant_id", claim)
    return [row["state"] for row in rows]


async def test_a_sweep_ends_what_is_due_in_every_tenant(
    database: Database, owner: asyncpg.Connection, sweeper: Sweeper
) -> None:
    """And nothing else."""
    for tenant in TENANTS:
        await ask(database, define(2), hold("due", 1, ttl_seconds=0), hold("later", 1), tenant=tenant)

    assert await sweeper.sweep() == 3
    assert await states(owner, "due") == ["expired"] * 3
    assert await states(owner, "later") == ["held"] * 3
    assert await sweeper.sweep() == 0


async def test_a_tenant_is_swept_by_one_gateway_at_a_time(
    database: Database, owner: asyncpg.Connection, sweeper: Sweeper
) -> None:
    """While another one holds a tenant's broom, only the others are swept; then it is as well."""
    for tenant in TENANTS:
        await ask(database, define(1), hold("due", 1, ttl_seconds=0), tenant=tenant)
    async with database.connection() as another, another.transaction():
        assert await QUERIES.take_broom(another, tenant="b")

        assert await sweeper.sweep() == 2
        assert await states(owner, "due") == ["expired", "held", "expired"]

    assert await sweeper.sweep() == 1


async def test_two_gateways_that_sweep_at_once_end_everything_once(
    database: Database, owner: asyncpg.Connection, capacity: Capacity
) -> None:
    """One entry a hold, whoever comes first."""
    for tenant in TENANTS:
        await ask(database, define(9), *[hold(f"{n}", 1, ttl_seconds=0) for n in range(9)], tenant=tenant)
    both = [Sweeper(database, capacity, idempotency_days=30) for _ in range(2)]

    await asyncio.gather(*(each.sweep() for each in both))
    await both[0].sweep()

    assert await owner.fetchval("SELECT count(*) FROM capacity.ledger WHERE reason = 'EXPIRY'") == 27
    assert await owner.fetchval("SELECT sum(held) FROM capacity.pool") == 0


async def test_offers_go_out_and_pass_on_though_nobody_asks(
    database: Database, owner: asyncpg.Connection, sweeper: Sweeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One after the other is offered the seat, and lets it run out."""
    monkeypatch.setattr(module, "SWEEP_SECONDS", 0.05)
    await ask(database, define(1, waitlist=True, offer_seconds=0.1), hold("a", 1, ttl_seconds=0.1))
    await ask(database, *[take(f"{n}", 1, POOL, or_wait=True) for n in range(3)])

    running = asyncio.create_task(sweeper.run())
    await eventually(owner, "count(*) = 4 FROM capacity.claim WHERE state = 'expired'")
    running.cancel()

    offers = await owner.fetch("SELECT claim_id FROM capacity.ledger WHERE reason = 'OFFER' ORDER BY version")
    assert [row["claim_id"] for row in offers] == ["0", "1", "2"]


async def aged(owner: asyncpg.Connection, days: int) -> None:
    """Let all answers be so many days older."""
    await owner.execute("UPDATE capacity.idempotency SET created_at = created_at - make_interval(days => $1)", days)


@pytest.mark.parametrize(("days", "kept"), [(29, True), (31, False)])
async def test_a_refusal_is_kept_so_many_days(
    database: Database, owner: asyncpg.Connection, sweeper: Sweeper, days: int, *, kept: bool
) -> None:
    """After that its key may be used anew: nothing had been done under it."""
    command = keyed(take("a", 2, POOL), "key")
    await ask(database, define(1), command)
    await aged(owner, days)

    assert await sweeper.forget() == (not kept)
    await ask(database, resize(2))
    assert codes(await ask(database, command)) == (["INSUFFICIENT"] if kept else ["OK"])


async def test_what_was_done_under_a_key_is_never_done_again(
    database: Database, owner: asyncpg.Connection, sweeper: Sweeper
) -> None:
    """However old it is: sent again, it is answered as the first time."""
    commands = [keyed(take("a", 1, POOL), "key 1"), keyed(release("a"), "key 2")]
    await ask(database, define(1))
    first = [await ask_one(database, command) for command in commands]
    await aged(owner, 10_000)

    assert await sweeper.forget() == 0
    again = [await ask_one(database, command) for command in commands]
    assert [(o["code"], o["replayed"], o["entries"]) for o in again] == [("OK", True, o["entries"]) for o in first]
    assert again[-1]["pool"]["version"] == 2


async def test_more_than_a_batch_of_refusals_is_forgotten_at_once(
    database: Database, owner: asyncpg.Connection, sweeper: Sweeper
) -> None:
    """As many as there are, or a busy tenant would never be rid of them."""
    await ask(database, define(0), keyed(take("a", 1, POOL), "key"))
    await owner.execute(
        "INSERT INTO capacity.idempotency SELECT tenant_id, operation, key || n, fingerprint, outcomes, created_at"
        " FROM capacity.idempotency CROSS JOIN generate_series(1, 2500) AS n"
    )
    await aged(owner, 31)

    assert await sweeper.forget() == 2501


async def test_one_pools_fault_keeps_no_other_pools_offers_back(
    database: Database, owner: asyncpg.Connection, sweeper: Sweeper
) -> None:
    """A pool whose counter has been spoilt cannot be settled; those beside it are."""
    for pool in (POOL, OTHER, "competition:r"):
        await ask(database, define(1, pool), hold(f"due in {pool}", 1, pool, ttl_seconds=0))
    await owner.execute("UPDATE capacity.pool SET held = 0 WHERE id = $1", OTHER)

    assert await sweeper.sweep() == 2
    assert await states(owner, f"due in {OTHER}") == ["held"]
    assert await states(owner, f"due in {POOL}") == ["expired"]


async def test_one_tenants_fault_keeps_no_other_tenants_offers_back(
    database: Database, owner: asyncpg.Connection, sweeper: Sweeper
) -> None:
    """A pool whose counter has been spoilt cannot be settled; those behind it are."""
    for tenant in TENANTS:
        await ask(database, define(1), hold("due", 1, ttl_seconds=0), tenant=tenant)
    await owner.execute("UPDATE capacity.pool SET held = 0 WHERE tenant_id = 'a'")

    assert await sweeper.sweep() == 2
    assert await states(owner, "due") == ["held", "expired", "expired"]


TABLE_AWAY = "ALTER TABLE capacity.tenant RENAME TO away"
CONNECTIONS_END = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE application_name = 'capacity-gateway' AND datname = current_database()
"""


@pytest.mark.parametrize("fault", [TABLE_AWAY, CONNECTIONS_END], ids=["a table is away", "connections end"])
async def test_a_sweep_that_fails_is_tried_again(
    database: Database, owner: asyncpg.Connection, sweeper: Sweeper, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    """The next one does it."""
    monkeypatch.setattr(module, "SWEEP_SECONDS", 0.05)
    await ask(database, define(1), hold("due", 1, ttl_seconds=0.5))
    running = asyncio.create_task(sweeper.run())
    await asyncio.sleep(0.1)

    await owner.execute(fault)
    await asyncio.sleep(0.2)
    assert not running.done()
    await owner.execute("ALTER TABLE IF EXISTS capacity.away RENAME TO tenant")

    await eventually(owner, "state = 'expired' FROM capacity.claim")
    running.cancel()
