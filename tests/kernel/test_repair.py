"""What reconcile names is mended by further entries, or sealed; nothing is ever changed or removed."""

import asyncio
from typing import Any

import asyncpg
import pytest

from asking import POOL, TENANT, Json, ask, codes, confirm, define, expire, hold, release, resize, take
from capacity_gateway.kernel.capacity import Capacity
from capacity_gateway.kernel.database import Database
from capacity_gateway.kernel.reads import Reads
from capacity_gateway.kernel.reconciliation import LedgerProblemKind, Reconciliation
from capacity_gateway.kernel.repair import Repair, reconcile, repair
from capacity_gateway.kernel.sweeper import Sweeper
from capacity_gateway.kernel.vocabulary import PoolKind
from invariants import check_invariants

KEY = b"a key for tests"
ORPHAN = (
    "INSERT INTO capacity.claim SELECT (jsonb_populate_record(c, jsonb_build_object("
    "'id', 'orphan', 'exclusive', 'orphan', 'expires_at', clock_timestamp() + interval {}))).*"
    " FROM capacity.claim AS c WHERE id = 'd'"
)
DOUBLED = (
    "ALTER TABLE capacity.ledger DROP CONSTRAINT ledger_key;"
    " INSERT INTO capacity.ledger SELECT * FROM capacity.ledger WHERE version = 2"
)


@pytest.fixture
async def history(database: Database) -> None:
    """A pool of 100 in which 45 are taken, 5 of them for a while: seven entries."""
    await ask(database, define(100), take("a", 10), take("b", 10), take("c", 20))
    await ask(database, release("a"), take("e", 10), hold("d", 5), resize(90))


async def mend(owner: asyncpg.Connection, *, dry: bool = False, key: bytes = KEY) -> list[Repair]:
    """What the repair of everything does, or would."""
    repairs = repair(owner, TENANT, PoolKind, seal_key=key, actor="olga", note="after a crash", dry=dry)
    return [each async for each in repairs]


async def look(owner: asyncpg.Connection, key: bytes = KEY) -> Reconciliation:
    """The pool's reconciliation."""
    (found,) = [each async for each in reconcile(owner, TENANT, PoolKind, key)]
    return found


async def everything(owner: asyncpg.Connection) -> list[Any]:
    """All that the database holds."""
    tables = ("pool", "claim", "ledger", "seal", "checkpoint", "idempotency")
    return [await owner.fetch(f"SELECT t::text FROM capacity.{table} AS t ORDER BY 1") for table in tables]


def told(found: Reconciliation) -> list[tuple[str, int | None, int | None, bool]]:
    """What is wrong, and whether it is sealed."""
    return sorted(((p.kind.value, p.version, p.delta, p.sealed) for p in found.problems), key=str)


def written(done: Repair) -> list[tuple[int, str, str | None, int, int, int]]:
    """What the entries of a repair say."""
    return [
        (e.version, e.reason.value, e.claim_id, e.quota_change, e.held_change, e.confirmed_change) for e in done.entries
    ]


MENDED = {
    "counter one up": (
        "UPDATE capacity.pool SET confirmed = confirmed + 1",
        [("CLAIMS_DISAGREE", None, -1, False), ("DRIFT", None, -1, False)],
        [(8, "REPAIR", None, 0, 0, 0)],
        -1,
    ),
    "counter one down": (
        "UPDATE capacity.pool SET confirmed = confirmed - 1",
        [("CLAIMS_DISAGREE", None, 1, False), ("DRIFT", None, 1, False)],
        [(8, "REPAIR", None, 0, 0, 0)],
        1,
    ),
    "a quota moved by hand": (
        "UPDATE capacity.pool SET quota = quota + 7",
        [("DRIFT", None, 7, False)],
        [(8, "REPAIR", None, 7, 0, 0)],
        0,
    ),
    "an orphan hold": (
        ORPHAN.format("'1 hour'"),
        [("CLAIMS_DISAGREE", None, 5, False), ("ORPHAN", None, -5, False)],
        [(8, "BACKFILL", "orphan", 0, 5, 0)],
        5,
    ),
    "a claim with too much": (
        "UPDATE capacity.claim SET quantity = quantity + 2 WHERE id = 'b'",
        [("CLAIMS_DISAGREE", None, 2, False), ("ORPHAN", None, -2, False)],
        [(8, "REPAIR", "b", 0, 0, 2)],
        2,
    ),
    "a claim that is gone": (
        "DELETE FROM capacity.claim WHERE id = 'b'",
        [("CLAIMS_DISAGREE", None, -10, False)],
        [(8, "REPAIR", "b", 0, 0, -10)],
        -10,
    ),
}


@pytest.mark.usefixtures("history")
@pytest.mark.parametrize(("statement", "problems", "entries", "moved"), MENDED.values(), ids=MENDED)
async def test_what_has_come_apart_is_brought_together_by_further_entries(
    owner: asyncpg.Connection, statement: str, problems: Any, entries: Any, moved: int
) -> None:
    """Counter and ledger are brought to what the claims have, and all that is true of a sound pool is again."""
    before = await owner.fetch("SELECT * FROM capacity.ledger ORDER BY version")
    await owner.execute(statement)
    assert told(await look(owner)) == problems

    (done,) = await mend(owner)

    assert (written(done), done.counter_change, done.sealed_at) == (entries, moved, None)
    assert {(e.actor, (e.note or "").partition(";")[0]) for e in done.entries} == {("olga", "after a crash")}
    assert told(await look(owner)) == []
    assert await check_invariants(owner) == []
    assert (await owner.fetch("SELECT * FROM capacity.ledger ORDER BY version"))[: len(before)] == before


@pytest.mark.usefixtures("history")
async def test_what_an_older_system_counted_without_an_entry_gets_one(
    database: Database, owner: asyncpg.Connection
) -> None:
    """It counts from when that was, and the counter stays as it is."""
    then = "2026-01-01T00:00:00+00:00"
    await ask(database, take("lost", 6, effective_at=then, unledgered=True), historic=True)
    assert told(await look(owner)) == [("DRIFT", None, -6, False), ("ORPHAN", None, -6, False)]

    (done,) = await mend(owner)

    assert (written(done), done.counter_change) == ([(8, "BACKFILL", "lost", 0, 0, 6)], 0)
    assert done.entries[0].effective_at.isoformat() == then
    assert await check_invariants(owner) == []


SEALED = {
    "an entry deleted": (
        "DELETE FROM capacity.ledger WHERE version = 2",
        {
            ("BALANCE_BROKEN", 3, None),
            ("DRIFT", None, -10),
            ("HASH_BROKEN", 3, None),
            ("ORPHAN", None, -10),
            ("VERSION_GAP", 3, None),
        },
        [(8, "BACKFILL", "b", 0, 0, 10)],
    ),
    "the last entries deleted": (
        "DELETE FROM capacity.ledger WHERE version >= 6",
        {("DRIFT", None, -15), ("ORPHAN", None, -5), ("VERSION_GAP", 6, None)},
        [(8, "BACKFILL", "d", 0, 5, 0), (9, "REPAIR", None, -10, 0, 0)],
    ),
    "a version doubled": (
        DOUBLED,
        {("BALANCE_BROKEN", 2, None), ("DRIFT", None, 10), ("HASH_BROKEN", 2, None), ("VERSION_REPEATED", 2, None)},
        [(8, "REPAIR", "b", 0, 0, -10)],
    ),
    "a hash altered": (
        "UPDATE capacity.ledger SET hash = 'altered' WHERE version = 2",
        {("HASH_BROKEN", 2, None)},
        [],
    ),
    "an actor altered": (
        "UPDATE capacity.ledger SET actor = 'somebody else' WHERE version = 3",
        {("HASH_BROKEN", 3, None)},
        [],
    ),
    "the pool's own hash altered": ("UPDATE capacity.pool SET hash = 'altered'", {("HASH_BROKEN", 8, None)}, []),
    "the pool's own sums altered": (
        "UPDATE capacity.pool SET ledger_held = ledger_held + 1",
        {("BALANCE_BROKEN", 8, None)},
        [],
    ),
    "the pool behind its ledger": ("UPDATE capacity.pool SET version = 6", {("VERSION_GAP", 7, None)}, []),
}


@pytest.mark.usefixtures("history")
@pytest.mark.parametrize(("statement", "problems", "entries"), SEALED.values(), ids=SEALED)
async def test_a_broken_ledger_is_sealed_and_followed_from_there(
    database: Database, owner: asyncpg.Connection, statement: str, problems: Any, entries: Any
) -> None:
    """Its faults go on being named, as sealed; its sums are right again, and what comes after it is verified."""
    await owner.execute(statement)
    found = await look(owner)
    assert {(p.kind.value, p.version, p.delta) for p in found.problems} == problems
    assert not found.chain_intact

    (done,) = await mend(owner)

    after = await look(owner)
    assert (written(done), done.sealed_at, after.sealed_before) == (entries, 7, 7)
    assert set(told(after)) == {(kind, version, None, True) for kind, version, _ in problems if version}
    assert (after.chain_intact, after.is_accurate, after.actual_available) == (True, True, 45)
    assert after.ledger_entry_count == await owner.fetchval("SELECT count(*) FROM capacity.ledger")
    assert codes(await ask(database, take("f", 3), confirm("d"), release("c", 1))) == ["OK"] * 3
    assert (await look(owner)).chain_intact
    unmendable = ("running sums", "at version")
    assert [each for each in await check_invariants(owner) if not any(word in each for word in unmendable)] == []


@pytest.mark.usefixtures("history")
@pytest.mark.parametrize(
    "statement", [each[0] for each in (*MENDED.values(), *SEALED.values())], ids=[*MENDED, *SEALED]
)
async def test_a_dry_run_says_what_would_be_done_and_does_nothing(owner: asyncpg.Connection, statement: str) -> None:
    """The same entries as the repair that follows; and a second repair has nothing to do."""
    await owner.execute(statement)
    before = await everything(owner)

    (would,) = await mend(owner, dry=True)
    assert await everything(owner) == before
    (done,) = await mend(owner)
    repaired = await everything(owner)

    assert written(would) == written(done)
    assert (would.sealed_at, would.counter_change, would.problems) == (
        done.sealed_at,
        done.counter_change,
        done.problems,
    )
    assert await mend(owner) == []
    assert await everything(owner) == repaired


@pytest.mark.usefixtures("history")
async def test_a_sound_pool_is_left_alone(owner: asyncpg.Connection) -> None:
    """No entry says that nothing was to be done."""
    before = await everything(owner)

    assert await mend(owner) == []
    assert await everything(owner) == before


@pytest.mark.usefixtures("history")
async def test_an_orphan_that_has_run_out_no_longer_blocks_its_pool(
    database: Database, owner: asyncpg.Connection
) -> None:
    """Nobody could settle it, for the counter did not have it; its entry is written, and then that of its end."""
    await owner.execute("UPDATE capacity.pool SET held = 0")
    await owner.execute("UPDATE capacity.claim SET expires_at = clock_timestamp() - interval '1 second' WHERE id = 'd'")
    with pytest.raises(asyncpg.CheckViolationError):
        await ask(database, expire())

    await mend(owner)

    await ask(database, expire())
    assert await owner.fetchval("SELECT state FROM capacity.claim WHERE id = 'd'") == "expired"
    assert told(await look(owner)) == []
    assert await check_invariants(owner) == []


@pytest.mark.usefixtures("history")
async def test_promises_beyond_the_quota_are_recorded_as_overbooked(
    database: Database, owner: asyncpg.Connection
) -> None:
    """Nobody's place is taken away by a repair, and nobody gets in until there is room."""
    await owner.execute("UPDATE capacity.claim SET quantity = 80 WHERE id = 'b'")

    (done,) = await mend(owner)

    assert done.overbooked == 25
    assert codes(await ask(database, take("f", 1))) == ["INSUFFICIENT"]
    assert await check_invariants(owner) == []


@pytest.mark.usefixtures("history")
async def test_what_is_altered_below_a_seal_is_named_and_sealed_anew(owner: asyncpg.Connection) -> None:
    """A seal vouches for what was there, and for nothing else."""
    await owner.execute("UPDATE capacity.ledger SET hash = 'altered' WHERE version = 2")
    await mend(owner)
    await owner.execute("UPDATE capacity.ledger SET confirmed_change = 11 WHERE version = 3")

    found = await look(owner)
    await mend(owner)
    after = await look(owner)

    assert ("SEAL_BROKEN", 7, None, False) in told(found)
    assert not found.chain_intact
    assert after.chain_intact
    assert all(problem.sealed for problem in after.problems)
    assert ("SEAL_BROKEN", 7, None, True) in told(after)


@pytest.mark.usefixtures("history")
async def test_a_seal_that_the_gateway_did_not_sign_seals_nothing(owner: asyncpg.Connection) -> None:
    """Who can write into the database cannot make faults known ones without the gateway's key."""
    await owner.execute("UPDATE capacity.ledger SET hash = 'altered' WHERE version = 2")
    await mend(owner, key=b"another key")

    found = await look(owner)

    assert not found.chain_intact
    assert told(found) == [("HASH_BROKEN", 2, None, False), ("SEAL_BROKEN", 7, None, False)]
    await mend(owner)
    assert (await look(owner)).chain_intact


@pytest.mark.usefixtures("history")
async def test_the_gateways_role_cannot_seal(database: Database, owner: asyncpg.Connection) -> None:
    """Neither in a repair of what does not follow nor otherwise, and no seal goes away."""
    await owner.execute("UPDATE capacity.ledger SET actor = 'somebody else' WHERE version = 3")
    async with database.connection() as connection:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute("SELECT capacity.repair($1, $2, true, NULL::capacity.command)", TENANT, POOL)
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute("DELETE FROM capacity.seal")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute("INSERT INTO capacity.seal DEFAULT VALUES")


@pytest.mark.usefixtures("history")
async def test_checkpoints_go_on_from_a_seal(
    database: Database, capacity: Capacity, owner: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A large ledger need not be verified whole for ever because it was broken once."""
    monkeypatch.setattr("capacity_gateway.kernel.sweeper.VERIFIED_AT_ONCE", 3)
    await owner.execute("DELETE FROM capacity.ledger WHERE version = 2")
    await mend(owner)
    await ask(database, take("f", 3), confirm("d"), release("c", 1))

    await Sweeper(database, capacity, idempotency_days=30).verify()
    reads = Reads(database, capacity, TENANT, seal_key=KEY)
    found = await reads.reconciliation(POOL)
    await reads.close()

    assert (found.verified_before, found.chain_intact, found.ledger_entry_count) == (11, True, 11 - 1)
    assert [problem.kind for problem in found.problems if not problem.sealed] == []
    assert LedgerProblemKind.VERSION_GAP in {problem.kind for problem in found.problems}


RECONCILE = "{ reconcile { edges { node { chainIntact sealedBefore problems { kind sealed message } } } } }"


@pytest.mark.usefixtures("history")
async def test_callers_are_told_of_the_seal(gateway: Any, owner: asyncpg.Connection) -> None:
    """The API names what was wrong, and that it is sealed, by the gateway's own key."""
    await owner.execute("UPDATE capacity.ledger SET hash = 'altered' WHERE version = 2")
    await mend(owner, key=gateway.settings.seal_key())

    answer: Json = await gateway.send(RECONCILE)

    (node,) = [edge["node"] for edge in answer["edges"]]
    assert node == {
        "chainIntact": True,
        "sealedBefore": 7,
        "problems": [
            {"kind": "HASH_BROKEN", "sealed": True, "message": "the hash of version 2 does not follow (sealed)"}
        ],
    }


@pytest.mark.usefixtures("history")
async def test_a_pool_may_be_repaired_while_it_is_taken_from(database: Database, owner: asyncpg.Connection) -> None:
    """All of it happens under the pool's lock: what is taken meanwhile comes before or after."""
    await owner.execute("UPDATE capacity.pool SET confirmed = confirmed + 3")

    takes = asyncio.gather(*(ask(database, take(f"t{n}", 1)) for n in range(10)))
    await mend(owner)
    await takes

    assert told(await look(owner)) == []
    assert await check_invariants(owner) == []
    assert await owner.fetchval("SELECT confirmed FROM capacity.pool") == 40 + 10
