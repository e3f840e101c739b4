"""A key is applied once: now, at the same moment, and for ever."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime

import asyncpg
import orjson
import pytest

from asking import (
    OTHER,
    POOL,
    TENANT,
    Json,
    adjust,
    ask,
    ask_one,
    codes,
    define,
    hold,
    keyed,
    linked,
    move,
    numbers,
    refuse,
    release,
    stage,
    take,
)
from capacity_gateway.kernel.capacity import Capacity
from capacity_gateway.kernel.commands import Attribution, Take
from capacity_gateway.kernel.database import Database
from capacity_gateway.kernel.outcomes import BusyOutcome, CapacityChange, CapacityError, GatewayBusyError
from capacity_gateway.kernel.vocabulary import LedgerReason, PoolKind

WAITERS = "SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"


async def submit(capacity: Capacity, claim: str = "a", key: str = "k") -> CapacityChange | CapacityError:
    """Take 10 of the pool through the one door."""
    command = Take(
        kind=PoolKind.COMPETITION,
        claim_id=claim,
        pool_id=POOL,
        holder="h",
        quantity=10,
        reason=LedgerReason.RESERVATION_APPROVAL,
    )
    by = Attribution(operation="test", actor="dora", key=key, fingerprint=claim)
    return await capacity.submit(TENANT, [command], by, CapacityChange)


async def insist(capacity: Capacity) -> CapacityChange | CapacityError:
    """The same, again while the gateway is busy."""
    answer = await submit(capacity)
    while isinstance(answer, GatewayBusyError):
        answer = await submit(capacity)
    return answer


@asynccontextmanager
async def locked(owner: asyncpg.Connection, how: str) -> AsyncIterator[None]:
    """The pool is somebody else's for as long as this lasts."""
    async with owner.transaction():
        await owner.execute(how)
        yield


ADVISORY = f"SELECT pg_advisory_xact_lock(hashtextextended('{TENANT}' || E'\\n' || '{POOL}', 0))"
ROW = f"SELECT FROM capacity.pool WHERE id = '{POOL}' FOR UPDATE"


async def waiter(owner: asyncpg.Connection) -> int:
    """The process of the one who waits for a lock, as soon as there is one."""
    for _ in range(200):
        pid = await owner.fetchval(WAITERS)
        if pid is not None:
            return int(pid)
        await asyncio.sleep(0.003)
    pytest.fail("nobody waits for the lock")


async def effects(owner: asyncpg.Connection) -> list[int]:
    """The changes of what is confirmed, by all entries."""
    return [row[0] for row in await owner.fetch("SELECT confirmed_change FROM capacity.ledger ORDER BY recorded_at")]


@pytest.mark.parametrize(
    "command", [take("b", 20), hold("b", 20), adjust("a", 5), adjust("a", 15), release("a", 3), move("a")]
)
async def test_the_same_key_again_answers_the_same_and_does_nothing(database: Database, command: Json) -> None:
    """Code, numbers and entries of the first time."""
    await ask(database, define(100), define(100, OTHER), take("a", 10))
    first = await ask_one(database, keyed(command, "k"))

    again = await ask_one(database, keyed(command, "k"))

    assert (first["code"], first["replayed"]) == ("OK", False)
    assert again == first | {"replayed": True, "as_of": again["as_of"]}


async def test_a_replay_shows_the_pool_and_the_claim_as_they_are_now(database: Database) -> None:
    """The entries are of then."""
    await ask(database, define(100))
    first = await ask_one(database, keyed(take("a", 10), "k"))
    await ask(database, release("a", 4))

    again = await ask_one(database, keyed(take("a", 10), "k"))

    assert again["entries"] == first["entries"]
    assert numbers(again) == {"quota": 100, "held": 0, "confirmed": 6, "version": 2}
    assert again["claim"]["quantity"] == 6


async def test_the_same_key_for_something_else_is_a_conflict(database: Database) -> None:
    """It says when the key was first used, and changes nothing."""
    await ask(database, define(100))
    first = await ask_one(database, keyed(take("a", 10), "k"))

    other = await ask_one(database, keyed(take("a", 11), "k"))

    assert (other["code"], other["entries"], other["pool"], other["claim"]) == ("CONFLICT", [], None, None)
    assert datetime.fromisoformat(other["detail"]["first_seen_at"]) == datetime.fromisoformat(first["as_of"])


@pytest.mark.parametrize("refused", [take("b", 101), release("none"), release("a", 11), refuse("quantity", "small")])
async def test_a_refusal_is_final_for_its_key(database: Database, refused: Json) -> None:
    """Though it could be done by now; only a new key asks anew."""
    await ask(database, define(100), take("a", 10))
    first = await ask_one(database, keyed(refused, "k"))
    await ask(database, take("none", 5), release("a"), keyed(take("c", 1), "other"))

    again = await ask_one(database, keyed(refused, "k"))

    assert (again["code"], again["replayed"]) == (first["code"], True)
    assert again["detail"] == first["detail"]


async def test_what_was_done_already_is_so_for_its_key_too(database: Database) -> None:
    """A replay of a replay."""
    await ask(database, define(100))

    outcomes = [await ask_one(database, keyed(define(100), "k")) for _ in range(2)]

    assert codes(outcomes) == ["DONE", "DONE"]


async def test_a_key_belongs_to_its_tenant_and_its_operation(database: Database) -> None:
    """Another tenant's, or of another operation, is another key."""
    await ask(database, define(100))
    await ask(database, define(100), tenant="another")

    outcomes = [
        await ask_one(database, keyed(take("a", 10), "k")),
        await ask_one(database, keyed(take("b", 10), "k", operation="another")),
        await ask_one(database, keyed(take("b", 10), "k"), tenant="another"),
    ]

    assert codes(outcomes) == ["OK", "OK", "OK"]


async def test_a_request_of_several_commands_has_one_key(database: Database) -> None:
    """Its entries are numbered, and each command gets its own outcome again."""
    await ask(database, define(100), define(100, OTHER))
    request = [keyed(c, "k", fingerprint="f") for c in linked(take("a", 10), take("b", 20, OTHER))]
    first = await ask(database, *request)

    again = await ask(database, *request)

    assert [entry["part"] for outcome in first for entry in outcome["entries"]] == [1, 2]
    assert [o["entries"] for o in again] == [o["entries"] for o in first]
    assert [o["replayed"] for o in again] == [True, True]


async def test_a_refused_request_of_several_commands_is_final_for_its_key(database: Database) -> None:
    """All of its outcomes."""
    await ask(database, define(100), define(10, OTHER))
    request = [keyed(c, "k", fingerprint="f") for c in linked(take("a", 10), take("b", 20, OTHER))]

    outcomes = [await ask(database, *request) for _ in range(2)]

    assert [codes(o) for o in outcomes] == [["LINKED", "INSUFFICIENT"]] * 2
    assert outcomes[1][1]["detail"] == outcomes[0][1]["detail"]


async def test_a_key_is_applied_once_for_ever(database: Database, owner: asyncpg.Connection) -> None:
    """Its entries in the ledger outlive the stored answer: without it the key is a conflict, and nothing is told."""
    await ask(database, define(100))
    await ask_one(database, keyed(take("a", 10), "k"))
    await ask(database, release("a", 4))
    await owner.execute("DELETE FROM capacity.idempotency")

    again = await ask_one(database, keyed(take("a", 10), "k"))

    assert (again["code"], again["claim"], again["entries"]) == ("CONFLICT", None, [])
    assert await effects(owner) == [10, -4]


async def test_the_ledger_itself_refuses_a_key_twice(owner: asyncpg.Connection, database: Database) -> None:
    """A unique key holds where all else should fail."""
    await ask(database, define(100), keyed(take("a", 10), "k"))

    with pytest.raises(asyncpg.UniqueViolationError, match="ledger_key_once"):
        await owner.execute(
            "INSERT INTO capacity.ledger"
            " SELECT (jsonb_populate_record(l, '{\"version\": 2}')).* FROM capacity.ledger AS l"
        )


async def test_a_request_of_several_commands_is_answered_for_ever(
    database: Database, owner: asyncpg.Connection
) -> None:
    """Each of its commands gets an outcome, when the stored answer is gone too."""
    await ask(database, define(100), define(100, OTHER))
    request = [keyed(c, "k", fingerprint="f") for c in linked(take("a", 10), take("b", 20, OTHER))]
    await ask(database, *request)
    await owner.execute("DELETE FROM capacity.idempotency")

    assert codes(await ask(database, *request)) == ["CONFLICT", "CONFLICT"]


async def test_twenty_at_once_under_one_key_have_one_effect(
    database: Database, capacity: Capacity, owner: asyncpg.Connection
) -> None:
    """One does it, and all are told the same."""
    await ask(database, define(100))

    answers = await asyncio.gather(*(insist(capacity) for _ in range(20)))

    assert await effects(owner) == [10]
    successes = [answer for answer in answers if isinstance(answer, CapacityChange)]
    assert len(successes) == 20
    assert sorted(answer.replayed for answer in successes) == [False] + [True] * 19
    assert len({entry.hash for answer in successes for entry in answer.entries}) == 1


async def test_one_key_for_two_pools_at_once_is_applied_in_one(database: Database, owner: asyncpg.Connection) -> None:
    """No lock is common to the two: the unique key decides, and the other is a conflict."""
    await ask(database, define(1000), define(1000, OTHER))

    async def contend(round_: int) -> set[str]:
        commands = [keyed(take(f"{pool}/{round_}", 1, pool), f"k{round_}") for pool in (POOL, OTHER)]
        capacity = Capacity(database, deadline_seconds=3)
        rows = await asyncio.gather(*(capacity._apply(TENANT, [c]) for c in commands))  # noqa: SLF001 - raw codes
        return {row["code"] for found in rows if isinstance(found, list) for row in found}

    told = [await contend(round_) for round_ in range(30)]

    assert told == [{"OK", "CONFLICT"}] * 30
    assert await effects(owner) == [1] * 30


@pytest.mark.parametrize("how", [ADVISORY, ROW], ids=["queue", "row"])
async def test_a_lock_that_cannot_be_had_leaves_no_trace_under_the_key(
    database: Database, capacity: Capacity, owner: asyncpg.Connection, how: str
) -> None:
    """Busy, not applied; then the same key does it."""
    await ask(database, define(100))

    async with locked(owner, how):
        busy = await submit(capacity)
    kept = await owner.fetchval("SELECT count(*) FROM capacity.idempotency")
    after = await submit(capacity)

    assert isinstance(busy, GatewayBusyError)
    assert (busy.outcome, kept) == (BusyOutcome.NOT_APPLIED, 0)
    assert isinstance(after, CapacityChange)
    assert (after.replayed, await effects(owner)) == (False, [10])


async def test_a_backend_that_is_ended_while_it_waits_is_asked_again(
    database: Database, capacity: Capacity, owner: asyncpg.Connection
) -> None:
    """Nobody knows whether it was done; the same key, sent again, does."""
    await ask(database, define(100))

    async with locked(owner, ROW):
        submitted = asyncio.create_task(submit(capacity))
        await owner.execute("SELECT pg_terminate_backend($1)", await waiter(owner))
    answer = await submitted

    assert isinstance(answer, CapacityChange)
    assert (answer.replayed, await effects(owner)) == (False, [10])


async def test_a_gateway_lost_at_any_moment_leaves_all_or_nothing(
    database: Database, owner: asyncpg.Connection, owner_url: str
) -> None:
    """However far it had come when its connection ended, the same key afterwards is done once and answers truly."""
    await ask(database, define(1000))
    for n in range(40):
        command = keyed(take(f"c{n}", 10), f"k{n}")
        lost = await asyncpg.connect(owner_url)
        attempt = asyncio.create_task(
            lost.fetch("SELECT capacity.apply($1, $2)", TENANT, orjson.dumps([command]).decode())
        )
        await asyncio.sleep(n / 8000)
        lost.terminate()
        await asyncio.gather(attempt, return_exceptions=True)

        assert codes(await ask(database, command)) == ["OK"]

    assert await effects(owner) == [10] * 40


async def test_a_stage_under_a_key_is_done_once(database: Database) -> None:
    """What writes no entry is remembered as well."""
    await ask(database, define(100), take("a", 10))
    await ask(database, keyed(stage("a", to_stage="X"), "k"))
    await ask(database, stage("a", to_stage="Y"))

    again = await ask_one(database, keyed(stage("a", to_stage="X"), "k"))

    assert (again["code"], again["replayed"], again["claim"]["stage"]) == ("OK", True, "Y")
