"""Holds and offers end at their instant by the database's clock, with nobody sweeping."""

import asyncio
import random
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest

from asking import TENANT, Json, confirm, define, hold, release, stage, take
from capacity_gateway.kernel.database import application_url
from invariants import check_invariants
from races import connected, tell

OFFSETS = (-0.020, -0.005, 0.005, 0.020)

UNTIL = """
SELECT pg_sleep(greatest(0, extract(epoch FROM $1::timestamptz - clock_timestamp())))
"""


def instant(text: str) -> datetime:
    """A time of an outcome."""
    return datetime.fromisoformat(text)


async def probe(connection: asyncpg.Connection, at: datetime, command: Json) -> Json:
    """The outcome of a command that the database is asked for at an instant of its own clock."""
    await connection.execute(UNTIL, at)
    (outcome,) = await tell(connection, command)
    return outcome


def judged(outcome: Json, until: datetime, *, before: str, after: str) -> str | None:
    """What is wrong with an answer: it must be the one that was true when it was given."""
    as_of = instant(outcome["as_of"])
    right = before if as_of < until else after
    return None if outcome["code"] == right else f"{outcome['code']} {as_of - until} from the end"


@pytest.mark.parametrize("offered", [False, True], ids=["holds", "offers"])
async def test_no_answer_near_the_end_of_a_hold_is_wrong(
    owner: asyncpg.Connection, owner_url: str, *, offered: bool
) -> None:
    """Two hundred times each: confirmed until that instant, run out from then on; the place is free, or it is not."""
    shuffled = random.Random(1)  # noqa: S311 - no secret
    probes = [(offset, verb) for offset in OFFSETS for verb in ("confirm", "take")] * 25
    shuffled.shuffle(probes)
    sides: set[bool] = set()

    async def one(connection: asyncpg.Connection, number: int, offset: float, verb: str) -> str | None:
        pool, claim = f"competition:{number}", f"{number}"
        commands = [hold(claim, 1, pool, ttl_seconds=0.08)]
        if offered:
            seated, waits = take(f"{number} before", 1, pool), take(claim, 1, pool, or_wait=True)
            commands = [seated, waits, release(f"{number} before")]
        await tell(connection, define(1, pool, waitlist=True, offer_seconds=0.08))
        for command in commands:
            await tell(connection, command)
        until = await end_of(connection, claim)
        command, before, after = {
            "confirm": (confirm(claim), "OK", "HOLD_EXPIRED"),
            "take": (take(f"{number} after", 1, pool), "INSUFFICIENT", "OK"),
        }[verb]
        outcome = await probe(connection, until + timedelta(seconds=offset), command)
        sides.add(instant(outcome["as_of"]) < until)
        return judged(outcome, until, before=before, after=after)

    async def end_of(connection: asyncpg.Connection, claim: str) -> datetime:
        (shown,) = await tell(connection, stage(claim))
        return instant(shown["claim"]["expires_at"])

    async def some(connection: asyncpg.Connection, first: int) -> list[str | None]:
        return [await one(connection, n, *probes[n]) for n in range(first, len(probes), 4)]

    async with connected(owner_url, 4) as connections:
        answers = await asyncio.gather(*(some(connection, first) for first, connection in enumerate(connections)))

    assert [wrong for several in answers for wrong in several if wrong] == []
    assert sides == {True, False}
    assert await check_invariants(owner) == []


async def test_a_wait_for_the_lock_across_the_end_is_judged_after_the_wait(
    owner: asyncpg.Connection, owner_url: str
) -> None:
    """Asked in time, answered too late: the hold has run out, and the seat is the next one's."""
    async with connected(owner_url, 1) as (late,):
        await tell(late, define(1, waitlist=True, offer_seconds=60), hold("a", 1, ttl_seconds=0.2))
        await tell(late, take("b", 1, or_wait=True))
        until = await owner.fetchval("SELECT expires_at FROM capacity.claim WHERE id = 'a'")
        async with owner.transaction():
            await owner.execute("SELECT FROM capacity.pool FOR UPDATE")
            waiting = asyncio.create_task(tell(late, confirm("a")))
            await owner.execute(UNTIL, until + timedelta(seconds=0.05))
        (outcome,) = await waiting

    assert outcome["code"] == "HOLD_EXPIRED"
    assert instant(outcome["as_of"]) > until
    assert await owner.fetchval("SELECT offered FROM capacity.claim WHERE id = 'b' AND state = 'held'") is True


ASK = """
import asyncio, datetime, sys, time
real = time.time
time.time = lambda: real() + float(sys.argv[2])
class Shifted(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return cls.fromtimestamp(time.time(), tz)
datetime.datetime = Shifted
from capacity_gateway.kernel.capacity import Capacity
from capacity_gateway.kernel.commands import Attribution, Hold
from capacity_gateway.kernel.database import Database
from capacity_gateway.kernel.outcomes import LeaseSuccess
from capacity_gateway.kernel.vocabulary import PoolKind

async def main():
    async with Database.open(sys.argv[1]) as database:
        command = Hold(kind=PoolKind.COMPETITION, pool_id="competition:p", claim_id=sys.argv[2], holder="h",
            quantity=1, ttl_seconds=60)
        by = Attribution(operation="hold", actor="h", key=sys.argv[2], fingerprint="f")
        answer = await Capacity(database, deadline_seconds=3).submit(sys.argv[3], [command], by, LeaseSuccess)
        print(datetime.datetime.now(datetime.UTC).timestamp(), type(answer).__name__)

asyncio.run(main())
"""


@pytest.mark.parametrize("ahead", [3600, -3600])
async def test_a_gateway_whose_clock_is_an_hour_off_changes_nothing(
    owner: asyncpg.Connection, owner_url: str, ahead: int
) -> None:
    """Its process reads the wrong time, and everything that it writes has the database's."""
    async with connected(owner_url, 1) as (connection,):
        await tell(connection, define(2), hold("other", 1, ttl_seconds=60))
    url = await application_url(owner_url)

    process = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-c", ASK, url, f"{ahead}", TENANT], capture_output=True, text=True, check=True
    )

    told, answer = process.stdout.split()
    assert answer == "LeaseSuccess"
    assert abs(float(told) - datetime.now(UTC).timestamp() - ahead) < 60  # so it was off
    rows = await owner.fetch("SELECT recorded_at AS at FROM capacity.ledger UNION ALL SELECT since FROM capacity.claim")
    now = await owner.fetchval("SELECT clock_timestamp()")
    assert len(rows) == 4
    assert all(now - timedelta(minutes=1) < row["at"] <= now for row in rows)
    ends = await owner.fetch("SELECT expires_at - since AS lasts, state FROM capacity.claim")
    assert [(row["lasts"], row["state"]) for row in ends] == [(timedelta(seconds=60), "held")] * 2
