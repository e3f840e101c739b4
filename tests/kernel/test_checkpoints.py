"""Large ledgers are reconciled from a verified checkpoint on, and that misses nothing that came after it."""

import asyncpg
import pytest
import structlog

from asking import POOL, TENANT, Json, adjust, ask, define, release, resize, take
from capacity_gateway.kernel import sweeper as sweeping
from capacity_gateway.kernel.capacity import Capacity
from capacity_gateway.kernel.database import Database
from capacity_gateway.kernel.reads import Reads
from capacity_gateway.kernel.reconciliation import Reconciliation
from capacity_gateway.kernel.sweeper import Sweeper


@pytest.fixture
async def history(database: Database) -> None:
    """A pool with thirty entries: ten who came, changed and went in part."""
    await ask(database, define(100), *(take(f"c{n}", 3) for n in range(10)))
    await ask(database, *(adjust(f"c{n}", 5) for n in range(10)))
    await ask(database, resize(200), *(release(f"c{n}", 2) for n in range(9)))


@pytest.fixture
def sweeper(database: Database, capacity: Capacity, monkeypatch: pytest.MonkeyPatch) -> Sweeper:
    """A sweeper to which ten entries are many."""
    monkeypatch.setattr(sweeping, "VERIFIED_AT_ONCE", 10)
    return Sweeper(database, capacity, idempotency_days=30)


async def reconcile(database: Database, capacity: Capacity, *, full: bool = False) -> Reconciliation:
    """The pool's reconciliation."""
    reads = Reads(database, capacity, TENANT)
    try:
        return await reads.reconciliation(POOL, full=full)
    finally:
        await reads.close()


def but_for_where_it_began(found: Reconciliation) -> Json:
    """All that a reconciliation says, but not from where on it looked."""
    return vars(found) | {"verified_before": None}


@pytest.mark.usefixtures("history")
async def test_from_a_checkpoint_on_reconcile_says_what_it_says_of_the_whole(
    database: Database, capacity: Capacity, sweeper: Sweeper
) -> None:
    """The same totals, before and after more happens; and it says how much of the ledger it did not look at."""
    before = await reconcile(database, capacity)
    assert await sweeper.verify() == 30
    after = await reconcile(database, capacity)
    await ask(database, take("late", 7), release("c3", 1), release("c4"))
    later = await reconcile(database, capacity)

    assert (before.verified_before, after.verified_before, later.verified_before) == (0, 30, 30)
    assert but_for_where_it_began(after) == but_for_where_it_began(before)
    assert but_for_where_it_began(later) == but_for_where_it_began(await reconcile(database, capacity, full=True))
    assert (later.ledger_entry_count, later.problems) == (33, [])


AFTER = {
    "the counter": "UPDATE capacity.pool SET confirmed = confirmed + 1",
    "a hash": "UPDATE capacity.ledger SET hash = 'altered' WHERE version = 32",
    "the first hash after the checkpoint": "UPDATE capacity.ledger SET hash = 'altered' WHERE version = 31",
    "a change": "UPDATE capacity.ledger SET confirmed_change = confirmed_change - 1 WHERE version = 32",
    "a running sum": "UPDATE capacity.ledger SET confirmed_after = confirmed_after + 1 WHERE version = 31",
    "a missing entry": "DELETE FROM capacity.ledger WHERE version = 31",
    "a missing last entry": "DELETE FROM capacity.ledger WHERE version = 33",
    "a claim with too much": "UPDATE capacity.claim SET quantity = quantity + 1 WHERE id = 'late'",
}


@pytest.mark.usefixtures("history")
@pytest.mark.parametrize("statement", AFTER.values(), ids=AFTER)
async def test_what_is_broken_after_a_checkpoint_is_named_as_in_the_whole(
    database: Database, capacity: Capacity, sweeper: Sweeper, owner: asyncpg.Connection, statement: str
) -> None:
    """Where anything is wrong, the whole ledger is looked at, so that everything is told."""
    await sweeper.verify()
    await ask(database, take("late", 7), release("c3", 1), release("c4"))
    await owner.execute(statement)

    found = await reconcile(database, capacity)

    assert found.problems
    assert found == await reconcile(database, capacity, full=True)


@pytest.mark.usefixtures("history")
async def test_what_is_altered_behind_a_checkpoint_is_found_by_looking_at_the_whole(
    database: Database, capacity: Capacity, sweeper: Sweeper, owner: asyncpg.Connection
) -> None:
    """A checkpoint trusts the database since it was made; `full` trusts nothing."""
    await sweeper.verify()
    await owner.execute("UPDATE capacity.ledger SET actor = 'somebody else' WHERE version = 12")

    assert (await reconcile(database, capacity)).problems == []
    (problem,) = (await reconcile(database, capacity, full=True)).problems
    assert problem.version == 12


BEFORE = {
    "a hash": "UPDATE capacity.ledger SET hash = 'altered' WHERE version = 15",
    "a missing entry": "DELETE FROM capacity.ledger WHERE version = 15",
    "a claim that nothing explains": "UPDATE capacity.claim SET quantity = quantity + 1 WHERE id = 'c5'",
}


@pytest.mark.usefixtures("history")
@pytest.mark.parametrize("statement", BEFORE.values(), ids=BEFORE)
async def test_no_checkpoint_is_made_behind_what_is_broken(
    database: Database, capacity: Capacity, sweeper: Sweeper, owner: asyncpg.Connection, statement: str
) -> None:
    """It is found every time from then on, and the log says so each time that it is tried."""
    await owner.execute(statement)

    with structlog.testing.capture_logs() as logs:
        assert await sweeper.verify() <= 10
    assert [line["event"] for line in logs] == ["a ledger does not hold; reconcile says why"]
    assert (await reconcile(database, capacity)).problems


@pytest.mark.usefixtures("history")
async def test_small_ledgers_have_no_checkpoint(
    database: Database, capacity: Capacity, sweeper: Sweeper, owner: asyncpg.Connection
) -> None:
    """They are verified whole every time."""
    await ask(database, define(5, "competition:small"), take("s", 1, "competition:small"))
    await sweeper.verify()

    assert [row["pool_id"] for row in await owner.fetch("SELECT pool_id FROM capacity.checkpoint")] == [POOL]
