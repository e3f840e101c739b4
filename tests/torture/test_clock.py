"""PostgreSQL's clock is set back an hour, and forward ten minutes: time does not run backwards within a pool."""

import asyncio
import os
import random
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from pathlib import Path

import asyncpg
import pytest

from asking import OTHER, POOL, ask, ask_one, codes, confirm, define, hold, release, take
from capacity_gateway.embedded import EmbeddedPostgres
from capacity_gateway.kernel.database import SQL, WAITED_TOO_LONG, Database, application_url
from capacity_gateway.kernel.migrations import migrate
from e2e.processes import postmaster
from invariants import check_invariants
from skipping import not_tested

Step = Callable[[int], None]

LIBRARY = next(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"), None)
HOUR, TEN_MINUTES = 3600, 600
ENTRIES = "SELECT reason, claim_id FROM capacity.ledger WHERE pool_id = $1 ORDER BY version"


@pytest.fixture
def offset(folder: Path) -> Path:
    """The file that tells by how many seconds PostgreSQL's clock is off."""
    file = folder / "offset"
    file.write_text("+0")
    return file


@pytest.fixture
def clock_url(folder: Path, offset: Path) -> Iterator[str]:
    """The address of a PostgreSQL whose clock can be set."""
    if LIBRARY is None:
        not_tested("steps of the clock, as there is no libfaketime (apt-get install faketime)")
    postgres = EmbeddedPostgres(folder / "data")
    postgres.start()
    running = postmaster(postgres.data_dir)
    assert running is not None
    program = Path(running.exe()).with_name("pg_ctl")
    postgres.stop()
    owner = postgres.pgdata.stat() if os.geteuid() == 0 else None
    subprocess.run(  # noqa: S603 - PostgreSQL's own
        [
            program,
            "start",
            "-w",
            "-D",
            postgres.pgdata,
            "-l",
            postgres.pgdata / "server.log",
            "-o",
            f"-k {postgres.socket_dir}",
        ],
        check=True,
        cwd="/",
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        env={
            "PATH": os.defpath,
            "LD_PRELOAD": str(LIBRARY),
            "FAKETIME_TIMESTAMP_FILE": str(offset),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        },
        user=owner and owner.st_uid,
        group=owner and owner.st_gid,
        extra_groups=[] if owner else None,
    )
    yield postgres.start()  # joins it
    postgres.stop()


@pytest.fixture
def step(offset: Path) -> Step:
    """Set the clock to so many seconds from now."""

    def step(seconds: int) -> None:
        moved = offset.with_suffix(".new")
        moved.write_text(f"{seconds:+d}")
        moved.replace(offset)

    return step


@pytest.fixture
async def database(clock_url: str) -> AsyncIterator[Database]:
    """The gateway's connections to it."""
    await migrate(clock_url)
    async with Database.open(await application_url(clock_url)) as database:
        yield database


@pytest.fixture
async def owner(clock_url: str) -> AsyncIterator[asyncpg.Connection]:
    """Its owner."""
    connection = await asyncpg.connect(clock_url)
    yield connection
    await connection.close()


async def test_a_step_back_revives_nothing_and_keeps_entries_in_order(
    database: Database, owner: asyncpg.Connection, step: Step
) -> None:
    """A hold that has run out stays so, and what is recorded next is not recorded before it."""
    await ask(database, define(10), hold("a", 10, ttl_seconds=0.5))
    await asyncio.sleep(0.6)
    assert (await ask_one(database, take("b", 10)))["code"] == "OK"  # which sees that it has run out

    step(-HOUR)

    assert (await ask_one(database, confirm("a")))["code"] == "HOLD_EXPIRED"
    assert codes(await ask(database, release("b", 4), take("c", 4))) == ["OK", "OK"]
    assert await check_invariants(owner) == []


async def test_a_step_forward_ends_what_is_due_by_then_and_a_step_back_does_not_undo_it(
    database: Database, owner: asyncpg.Connection, step: Step
) -> None:
    """Ten minutes on, a hold of five is over; one that is made then lasts from then."""
    await ask(database, define(10), define(10, OTHER), hold("a", 10, ttl_seconds=300), hold("d", 1, OTHER, 900))

    step(TEN_MINUTES)
    held = await ask_one(database, hold("b", 10, ttl_seconds=60))
    assert held["code"] == "OK"

    step(0)
    assert (await ask_one(database, confirm("a")))["code"] == "HOLD_EXPIRED"
    assert codes(await ask(database, confirm("b"), confirm("d"))) == ["OK", "OK"]
    entries = [tuple(row) for row in await owner.fetch(ENTRIES, POOL)]
    assert entries == [("HOLD", "a"), ("EXPIRY", "a"), ("HOLD", "b"), ("CONFIRM", "b")]
    assert await check_invariants(owner) == []


async def test_the_books_balance_whatever_the_clock_does_meanwhile(
    database: Database, owner: asyncpg.Connection, step: Step
) -> None:
    """Eight take, hold and give back while it steps to and fro."""
    await ask(database, define(40))
    over = asyncio.Event()

    async def work(worker: int) -> int:
        chance, done = random.Random(worker), 0  # noqa: S311 - no secret
        while not over.is_set():
            claim = f"{worker}/{chance.randrange(4)}/{done // 4}"
            commands = [
                take(claim, 2),
                hold(claim, 3, ttl_seconds=chance.choice([0.05, 60])),
                confirm(claim),
                release(claim),
            ]
            with suppress(*WAITED_TOO_LONG):  # by the clock that was set
                await ask_one(database, chance.choice(commands))
            done += 1
        return done

    workers = [asyncio.create_task(work(worker)) for worker in range(8)]
    for seconds in (0, -HOUR, 0, TEN_MINUTES, -HOUR, TEN_MINUTES, 0):
        step(seconds)
        await asyncio.sleep(0.5)
    over.set()

    assert sum(await asyncio.gather(*workers)) > 50
    assert await check_invariants(owner) == []
    assert await owner.fetchval("SELECT count(*) FROM capacity.ledger WHERE reason = 'EXPIRY'") > 0


@pytest.mark.controls
async def test_by_the_servers_clock_alone_entries_are_out_of_order(
    database: Database, owner: asyncpg.Connection, step: Step
) -> None:
    """A control: what is recorded after the step is recorded before what was there."""
    text = (SQL / "functions" / "decide_request.sql").read_text()
    by_the_server = text.replace("greatest(now, (d.pools[a]).clock)", "now")
    assert by_the_server != text
    await owner.execute(by_the_server)
    await ask(database, define(10), take("a", 1))

    step(-HOUR)

    assert (await ask_one(database, take("b", 1)))["code"] == "OK"
    assert any("recorded before" in sentence for sentence in await check_invariants(owner))
