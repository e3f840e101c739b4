"""A crash between any two statements of an approval leaves all of it or nothing, and its key then answers truly.

Each instant is held open by a pause before one of the statements that write, or at the commit.
"""

import asyncio
import re
import signal
import time
from collections.abc import Callable
from typing import Any

import asyncpg
import httpx
import pytest

from capacity_gateway.demo import PENDING_RESERVATION
from capacity_gateway.kernel.database import SQL
from e2e.processes import APPROVE, GatewayProcess

Start = Callable[..., GatewayProcess]

KEYED = {"input": APPROVE.variables["input"] | {"idempotencyKey": "a key"}}  # type: ignore[operator]

HEAD, BODY = re.split(r"(?<=^BEGIN\n)", (SQL / "functions" / "write.sql").read_text(), flags=re.MULTILINE)
STATEMENTS = re.split(r"^(?=    (?:FOR|IF|INSERT|UPDATE|DELETE|PERFORM)\b|END \$\$)", BODY, flags=re.MULTILINE)[1:]
PAUSE = """
CREATE FUNCTION capacity.pause() RETURNS void LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(1.5); END $$;
"""
END_OF_PAUSE = "CREATE OR REPLACE FUNCTION capacity.pause() RETURNS void LANGUAGE plpgsql AS $$ BEGIN END $$"
AT_COMMIT = """
CREATE FUNCTION capacity.pause_at_commit() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN PERFORM capacity.pause(); RETURN NULL; END $$;
CREATE CONSTRAINT TRIGGER pause AFTER INSERT ON capacity.ledger DEFERRABLE INITIALLY DEFERRED
FOR EACH ROW EXECUTE FUNCTION capacity.pause_at_commit();
"""
INSTANTS = {
    f"{number}, before {' '.join(statement.split()[:3])}": HEAD
    + "".join([*STATEMENTS[:number], "    PERFORM capacity.pause();\n", *STATEMENTS[number:]])
    for number, statement in enumerate(STATEMENTS)
} | {"at the commit": AT_COMMIT}

STATE = """
SELECT (SELECT count(*) FROM capacity.ledger WHERE claim_id = c.id), p.version, p.confirmed, p.ledger_confirmed,
    c.state, c.stage, c.quantity, (SELECT count(*) FROM capacity.idempotency WHERE key = 'a key'),
    (SELECT count(*) FROM pg_locks AS l INNER JOIN pg_database AS d ON d.oid = l.database
     WHERE l.locktype = 'advisory' AND d.datname = current_database())
FROM capacity.claim AS c INNER JOIN capacity.pool AS p ON p.tenant_id = c.tenant_id AND p.id = c.pool_id
WHERE c.id = $1
"""
NOTHING = (0, 0, 0, 0, "waiting", "PENDING", 40, 0, 0)
ALL = (1, 1, 40, 40, "confirmed", "APPROVED", 40, 1, 0)
ENTRIES = [{"version": 1, "change": -40, "availableAfter": 560, "reason": "RESERVATION_APPROVAL"}]

PAUSING = "SELECT min(pid) FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep'"
WORKING = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid = $1 AND state = 'active'"


@pytest.fixture(params=INSTANTS)
async def instant(request: pytest.FixtureRequest, demo_url: str, owner: asyncpg.Connection) -> None:
    """An approval in this test's database, with the demo in it, pauses at an instant."""
    await owner.execute(PAUSE + INSTANTS[request.param])


@pytest.mark.usefixtures("instant")
async def test_a_killed_gateway_leaves_all_or_nothing(start: Start, demo_url: str, owner: asyncpg.Connection) -> None:
    """After kill -9 a new gateway answers the same key as what it is: a replay if it was done, else the first time."""
    killed = start("serve", database_url=demo_url).ready()
    approval = asyncio.create_task(asyncio.to_thread(killed.post, APPROVE.document, KEYED))
    backend = await pausing(owner)
    killed.kill()
    with pytest.raises(httpx.HTTPError):
        await approval
    new = start("serve", database_url=demo_url)
    await owner.execute(END_OF_PAUSE)
    await at_rest(owner, backend)
    left = await state(owner)
    assert left in (NOTHING, ALL)

    answer = new.ready().send(APPROVE.document, KEYED)
    assert (answer["replayed"], answer["entries"]) == (left == ALL, ENTRIES)
    assert await state(owner) == ALL


async def test_a_gateway_killed_after_the_commit_has_done_it(
    start: Start, demo_url: str, owner: asyncpg.Connection
) -> None:
    """It was frozen before it could hear of the commit and killed after it; the same key is a replay."""
    await owner.execute(PAUSE + INSTANTS["at the commit"])
    killed = start("serve", database_url=demo_url).ready()
    approval = asyncio.create_task(asyncio.to_thread(killed.post, APPROVE.document, KEYED))
    backend = await pausing(owner)
    killed.process.send_signal(signal.SIGSTOP)
    await at_rest(owner, backend)
    killed.kill()
    with pytest.raises(httpx.HTTPError):
        await approval
    assert await state(owner) == ALL

    answer = start("serve", database_url=demo_url).ready().send(APPROVE.document, KEYED)
    assert (answer["replayed"], answer["entries"]) == (True, ENTRIES)
    assert await state(owner) == ALL


@pytest.mark.usefixtures("instant")
async def test_a_terminated_backend_is_survived(gateway: Any, owner: asyncpg.Connection) -> None:
    """The gateway asks again under the same key, in time, and the caller learns nothing of it."""
    approval = asyncio.create_task(gateway.send(APPROVE.document, KEYED))
    backend = await pausing(owner)
    await owner.execute("SELECT pg_terminate_backend($1)", backend)
    await owner.execute(END_OF_PAUSE)

    answer = await approval
    assert (answer["replayed"], answer["entries"]) == (False, ENTRIES)
    assert await state(owner) == ALL
    assert (await gateway.send(APPROVE.document, KEYED))["replayed"] is True


async def test_a_backend_terminated_after_the_commit_has_done_it(
    start: Start, demo_url: str, owner: asyncpg.Connection
) -> None:
    """The gateway, frozen meanwhile, answers with what was committed."""
    await owner.execute(PAUSE + INSTANTS["at the commit"])
    gateway = start("serve", database_url=demo_url).ready()
    approval = asyncio.create_task(asyncio.to_thread(gateway.send, APPROVE.document, KEYED))
    backend = await pausing(owner)
    gateway.process.send_signal(signal.SIGSTOP)
    await at_rest(owner, backend)
    await owner.execute("SELECT pg_terminate_backend($1)", backend)
    gateway.process.send_signal(signal.SIGCONT)

    assert (await approval)["entries"] == ENTRIES
    assert await state(owner) == ALL
    assert gateway.send(APPROVE.document, KEYED)["replayed"] is True


async def pausing(owner: asyncpg.Connection) -> int:
    """Wait for a backend to pause; its pid."""
    ends = time.monotonic() + 10
    while not (pid := await owner.fetchval(PAUSING)):
        assert time.monotonic() < ends, "the approval does not come to its pause"
        await asyncio.sleep(0.01)
    return int(pid)


async def at_rest(owner: asyncpg.Connection, backend: int) -> None:
    """Wait until a backend has finished or gone."""
    ends = time.monotonic() + 10
    while await owner.fetchval(WORKING, backend):
        assert time.monotonic() < ends, "the backend does not come to an end"
        await asyncio.sleep(0.01)


async def state(owner: asyncpg.Connection) -> tuple[Any, ...]:
    """Everything that an approval changes, and what it locks."""
    return tuple((await owner.fetch(STATE, PENDING_RESERVATION))[0])
