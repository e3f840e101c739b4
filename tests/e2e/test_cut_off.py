"""A gateway whose packets are lost: others get its pools, its own callers are answered in time, and it comes back."""

import asyncio
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import asyncpg
import pytest

from capacity_gateway.embedded import EmbeddedPostgres
from capacity_gateway.kernel.database import APPLICATION_ROLE
from capacity_gateway.kernel.migrations import migrate
from e2e.conftest import Start
from e2e.network import MISSING, Network, can_be_made, listen, network
from e2e.test_stop import (
    CREATE,
    HELD,
    ROOT,
    SECRET,
    TENANT,
    client,
    login,
    register,
    registered,
    until_told,
)
from skipping import not_tested

DEADLINE_SECONDS = 3.25  # of the deadline as it comes, and as much as it may take besides


@pytest.fixture
def afar() -> Iterator[Network]:
    """A network of its own."""
    if not can_be_made():
        not_tested(MISSING)
    with network() as made:
        yield made


@pytest.fixture
def postgres(afar: Network, tmp_path: Path) -> Iterator[tuple[str, str]]:
    """The addresses of a PostgreSQL here, and of the same from afar, as its owner."""
    server = EmbeddedPostgres(tmp_path / "postgres")
    try:
        there = listen(server, afar)
        here = server.start()
        asyncio.run(migrate(here))
        yield here, there
    finally:
        server.stop()


@pytest.fixture
async def near(postgres: tuple[str, str]) -> AsyncIterator[asyncpg.Connection]:
    """The owner, on this side of the wire."""
    connection = await asyncpg.connect(postgres[0])
    yield connection
    await connection.close()


async def test_a_gateway_that_is_cut_off(
    start: Start, afar: Network, postgres: tuple[str, str], near: asyncpg.Connection
) -> None:
    """It keeps no pool; says BUSY in time; and is definite again once packets arrive."""
    here, there = postgres
    awake = start("serve", database_url=here, jwt_secret=SECRET).ready()
    awake.send(CREATE, headers=login("organizer"))
    cut = start("serve", prefix=afar.command(), host=afar.gateway_host, database_url=there, jwt_secret=SECRET).ready()
    holder = there.replace("postgres@", f"{APPLICATION_ROLE}@")
    with subprocess.Popen(  # noqa: ASYNC220, S603 - our own command, and it says when it is ready
        afar.command(sys.executable, "-m", "e2e.holding", holder, "unheard", TENANT, "event:hot"),
        stdout=subprocess.PIPE,
        cwd=ROOT / "tests",
    ) as holding:
        try:
            async with client() as http:
                await registered(http, cut, "before")
                assert holding.stdout
                assert await asyncio.to_thread(holding.stdout.readline) == b"held\n"
                afar.cut()
                assert (await registered(http, awake, "meanwhile"))["replayed"] is False
                began = time.monotonic()
                told = await register(http, cut, "in doubt")
                seconds = time.monotonic() - began
                await until_told(near, HELD, none=True)
                afar.mend()
                assert (await registered(http, cut, "in doubt"))["replayed"] in (True, False)
                assert (await registered(http, cut, "before"))["replayed"] is True
        finally:
            holding.kill()

    assert told["code"] == "GATEWAY_BUSY"
    assert seconds <= DEADLINE_SECONDS
