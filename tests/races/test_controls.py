"""Takes the gateway's defences away one by one, and sees the race checks fail: they would notice."""

import asyncpg
import pytest

from capacity_gateway.kernel.database import APPLICATION_ROLE, SQL
from races import (
    expiry_while_waiting,
    given_back_twice,
    mixed,
    one_claim,
    two_places,
    two_takers,
    two_tenants,
)

pytestmark = pytest.mark.controls

LOCK = "    PERFORM capacity.lock_pools(p_tenant, locked);\n"
READ = "SELECT p FROM capacity.pool AS p WHERE p.tenant_id = p_tenant AND p.id = ANY (locked) ORDER BY p.id FOR UPDATE"
PLAIN_READ = READ.removesuffix(" FOR UPDATE")
ONE_STATEMENT = PLAIN_READ.replace(
    "FROM capacity.pool AS p", "FROM (SELECT capacity.lock_pools(p_tenant, locked)) AS l CROSS JOIN capacity.pool AS p"
)
LOCK_CLAIMS = LOCK.replace("locked", "ARRAY(SELECT c.claim_id FROM unnest(batch) AS c)")

GUARD = "WHEN m.verb IN ('release', 'adjust', 'move') THEN c.state IN ('waiting', 'held', 'confirmed')"
NO_GUARD = "WHEN m.verb IN ('release', 'adjust', 'move') THEN true"
HAD = "CASE WHEN c.state IN ('held', 'confirmed') THEN c.quantity ELSE 0 END"
LEFT = "c.quantity := n;"
KEPT = "c.quantity := CASE WHEN m.verb = 'release' THEN c.quantity ELSE n END;"
OF_TENANT = "i.tenant_id = p_tenant AND i.operation"
OF_TENANTS_POOL = "l.tenant_id = p_tenant AND l.operation"


async def rewrite(owner: asyncpg.Connection, function: str, *replacements: tuple[str, str]) -> None:
    """Put another text in a function's place; it is an error when the text is not there any more."""
    text = (SQL / "functions" / f"{function}.sql").read_text()
    for old, new in replacements:
        assert text.count(old) == 1, f"{function}.sql does not say once: {old}"
        text = text.replace(old, new)
    await owner.execute(text)


async def forget_versions(owner: asyncpg.Connection) -> None:
    """Take away the key that alone would hold the line."""
    await owner.execute("ALTER TABLE capacity.ledger DROP CONSTRAINT ledger_key")


def oversold(wrong: list[str]) -> list[str]:
    """Of what went wrong, that more was given than there was."""
    return [sentence for sentence in wrong if "oversold" in sentence]


async def test_without_any_lock_two_takers_oversell(owner: asyncpg.Connection, owner_url: str) -> None:
    """Neither the queue nor the row lock, nor the ledger's key."""
    await rewrite(owner, "apply", (LOCK, ""), (READ, PLAIN_READ))
    await forget_versions(owner)

    assert oversold(await two_takers(owner_url, rounds=50)) != []


async def test_without_any_lock_the_ledgers_key_alone_holds_the_line(owner: asyncpg.Connection, owner_url: str) -> None:
    """Who comes second collides with the version, is sent again, and is told the truth."""
    await rewrite(owner, "apply", (LOCK, ""), (READ, PLAIN_READ))

    collided = await two_takers(owner_url, rounds=50)

    assert any("UniqueViolationError" in sentence for sentence in collided)
    assert oversold(collided) == []


async def test_a_version_that_collides_is_sent_again_and_answered_truly(
    owner: asyncpg.Connection, owner_url: str
) -> None:
    """As the door does: then nothing is wrong at all."""
    await rewrite(owner, "apply", (LOCK, ""), (READ, PLAIN_READ))

    assert await two_takers(owner_url, rounds=50, again=2) == []


@pytest.mark.parametrize("kept", [[(READ, PLAIN_READ)], [(LOCK, "")]], ids=["the queue alone", "the row lock alone"])
async def test_either_lock_alone_is_enough(
    owner: asyncpg.Connection, owner_url: str, kept: list[tuple[str, str]]
) -> None:
    """The row lock is the truth, and the queue before it is for fairness."""
    await rewrite(owner, "apply", *kept)
    await forget_versions(owner)

    assert await two_takers(owner_url, rounds=50) == []


async def test_under_repeatable_read_takers_are_not_answered(owner: asyncpg.Connection, owner_url: str) -> None:
    """The snapshot is older than the lock: who waited collides with what was written meanwhile."""
    await rewrite(owner, "enter_tenant", ("current_setting('transaction_isolation') <> 'read committed'", "false"))

    wrong = await two_takers(owner_url, rounds=50, default_transaction_isolation="repeatable read")

    assert any("SerializationError" in sentence for sentence in wrong)


async def test_with_lock_and_read_in_one_statement_two_takers_oversell(
    owner: asyncpg.Connection, owner_url: str
) -> None:
    """The statement's snapshot is older than its lock."""
    await rewrite(owner, "apply", (LOCK, ""), (READ, ONE_STATEMENT))
    await forget_versions(owner)

    assert oversold(await two_takers(owner_url, rounds=50)) != []


async def test_with_a_lock_on_the_claim_two_takers_oversell(owner: asyncpg.Connection, owner_url: str) -> None:
    """Two reservations of one competition do not meet."""
    await rewrite(owner, "apply", (LOCK, LOCK_CLAIMS), (READ, PLAIN_READ))
    await forget_versions(owner)

    assert oversold(await two_takers(owner_url, rounds=50)) != []


async def test_with_a_lock_on_the_claim_one_claim_is_still_taken_once(
    owner: asyncpg.Connection, owner_url: str
) -> None:
    """Which is why the fault is easily overlooked."""
    await rewrite(owner, "apply", (LOCK, LOCK_CLAIMS), (READ, PLAIN_READ))
    await forget_versions(owner)

    assert await one_claim(owner_url) == []


async def test_without_a_lock_on_the_holder_somebody_is_in_two_places(
    owner: asyncpg.Connection, owner_url: str
) -> None:
    """Neither of two batches sees what the other is about to make."""
    await rewrite(owner, "pools_of", ("(batch[n]).kind || E'\\n' || (batch[n]).holder", "NULL"))

    assert any("in 2" in sentence for sentence in await two_places(owner_url))


async def test_with_the_transactions_time_a_hold_outlives_itself(owner: asyncpg.Connection, owner_url: str) -> None:
    """It is older than the wait for the lock."""
    await rewrite(owner, "apply", ("now := clock_timestamp()", "now := transaction_timestamp()"))

    assert await expiry_while_waiting(owner_url) == ["INSUFFICIENT after the hold had run out"]


async def test_with_locks_in_any_order_moves_deadlock(owner: asyncpg.Connection, owner_url: str) -> None:
    """Two that go opposite ways wait for each other."""
    await rewrite(
        owner,
        "lock_pools",
        ("SELECT DISTINCT hashtextextended", "SELECT hashtextextended"),
        ("ORDER BY key", "ORDER BY random()"),
    )
    database = await owner.fetchval("SELECT current_database()")
    await owner.execute(f"ALTER ROLE {APPLICATION_ROLE} IN DATABASE {database} SET deadlock_timeout = '20ms'")

    wrong = await mixed(owner_url)

    assert any("DeadlockDetectedError" in sentence for sentence in wrong)


async def test_without_a_state_guard_a_claim_is_given_back_twice(owner: asyncpg.Connection, owner_url: str) -> None:
    """Where its quantity is not what it has left, either."""
    await rewrite(owner, "standing", (GUARD, NO_GUARD))
    await rewrite(owner, "decide_claim", (HAD, "c.quantity"), (LEFT, KEPT))

    assert any("the claims" in sentence for sentence in await given_back_twice(owner_url, rounds=10))


async def test_without_a_state_guard_the_quantity_alone_keeps_the_books(
    owner: asyncpg.Connection, owner_url: str
) -> None:
    """The second is answered as if he had given something back, but there is nothing left to give."""
    await rewrite(owner, "standing", (GUARD, NO_GUARD))

    wrong = await given_back_twice(owner_url, rounds=10)

    assert {sentence.partition(": ")[2] for sentence in wrong} == {"OK and OK"}


async def test_with_a_lock_of_the_session_the_next_is_not_answered(owner: asyncpg.Connection, owner_url: str) -> None:
    """It outlives its transaction."""
    await rewrite(owner, "lock_pools", ("pg_advisory_xact_lock", "pg_advisory_lock"))

    assert any("LockNotAvailableError" in sentence for sentence in await two_takers(owner_url, rounds=3))


async def test_a_key_that_is_not_a_tenants_answers_another(owner: asyncpg.Connection, owner_url: str) -> None:
    """Where nothing else keeps tenants apart."""
    await rewrite(owner, "recall", (OF_TENANT, "i.operation"), (OF_TENANTS_POOL, "l.operation"))
    await owner.execute("ALTER TABLE capacity.idempotency DISABLE ROW LEVEL SECURITY")

    assert any("replayed: True" in sentence for sentence in await two_tenants(owner_url))


async def test_row_level_security_alone_keeps_keys_apart(owner: asyncpg.Connection, owner_url: str) -> None:
    """A query that forgets the tenant finds nothing of another."""
    await rewrite(owner, "recall", (OF_TENANT, "i.operation"), (OF_TENANTS_POOL, "l.operation"))

    assert await two_tenants(owner_url) == []


@pytest.mark.parametrize("forced", [True, False])
async def test_security_that_is_not_forced_does_not_hold_for_the_owner(
    owner: asyncpg.Connection, owner_url: str, *, forced: bool
) -> None:
    """Where the gateway serves as the owner of the tables, by mistake: forced it holds all the same."""
    for table in ("pool", "claim", "ledger", "idempotency"):
        await owner.execute(f"ALTER TABLE capacity.{table} OWNER TO {APPLICATION_ROLE}")
        if not forced:
            await owner.execute(f"ALTER TABLE capacity.{table} NO FORCE ROW LEVEL SECURITY")

    wrong = await two_tenants(owner_url)

    assert any("saw what is of ['a', 'b']" in sentence for sentence in wrong) is not forced
    assert forced is (wrong == [])
