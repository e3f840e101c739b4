"""A PostgreSQL, a wire to it, and two gateways behind the wire; and every way in which they are made to fail."""

import asyncio
import os
import random
import shutil
import signal
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

import asyncpg

from capacity_gateway.embedded import EmbeddedPostgres
from capacity_gateway.kernel.database import APPLICATION_ROLE
from capacity_gateway.kernel.migrations import migrate
from e2e.processes import GatewayProcess, postmaster
from torture.proxy import Cut, Proxy

GATEWAYS = 2
SECRET = "a secret for tests, 32 bytes or more"  # noqa: S105 - for tests
LEASE_HEARTBEAT_SECONDS = 1
HEALED_SECONDS = 60  # at most, on a busy machine
UNREACHABLE = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError)
BACKENDS = "SELECT pid, state = 'active' AS busy FROM pg_stat_activity WHERE usename = $1 ORDER BY busy DESC, pid"


class World:
    """What may fail. A fault returns when it is mended."""

    def __init__(self, folder: Path, postgres: EmbeddedPostgres, owner_url: str, proxy: Proxy, proxy_url: str) -> None:
        self._folder = folder
        self._postgres = postgres
        self._proxy = proxy
        self._proxy_url = proxy_url
        self._started = 0
        self.owner_url = owner_url
        self.gateways: list[GatewayProcess] = []

    async def start_gateway(self) -> GatewayProcess:
        """One more gateway, ready."""
        self._started += 1
        gateway = GatewayProcess(
            self._folder / f"words-{self._started}",
            "serve",
            database_url=self._proxy_url,
            jwt_secret=SECRET,
            heartbeat_seconds=LEASE_HEARTBEAT_SECONDS,
        )
        try:
            return await asyncio.to_thread(gateway.ready)
        except BaseException:
            gateway.kill()
            raise

    def stop(self) -> None:
        """End the gateways."""
        for gateway in self.gateways:
            gateway.kill()

    async def _replace(self, number: int) -> None:
        self.gateways[number].kill()
        self.gateways[number] = await self.start_gateway()

    async def kill_gateway(self, chance: random.Random) -> None:
        """Kill -9 a gateway."""
        await self._replace(chance.randrange(GATEWAYS))

    async def freeze_gateway(self, chance: random.Random) -> None:
        """Stop a gateway for a while, sometimes for longer than anybody waits for it."""
        process = self.gateways[chance.randrange(GATEWAYS)].process
        process.send_signal(signal.SIGSTOP)
        await asyncio.sleep(chance.choice([0.3, 1, 4]))
        process.send_signal(signal.SIGCONT)

    async def freeze_and_kill_gateway(self, chance: random.Random) -> None:
        """Stop a gateway, which holds what it holds, and kill it then."""
        number = chance.randrange(GATEWAYS)
        self.gateways[number].process.send_signal(signal.SIGSTOP)
        await asyncio.sleep(chance.uniform(0.1, 1))
        await self._replace(number)

    async def terminate_backends(self, chance: random.Random) -> None:
        """Have the server end half of the gateways' connections, those at work first."""
        async with self.owner() as owner:
            backends = await owner.fetch(BACKENDS, APPLICATION_ROLE)
            for backend in backends[: chance.randint(1, 1 + len(backends) // 2)]:
                await owner.execute("SELECT pg_terminate_backend($1)", backend["pid"])

    async def kill_backend(self, _chance: random.Random) -> None:
        """Kill -9 a backend: the server ends all the others too, and recovers from its log."""
        async with self.owner() as owner:
            backends = await owner.fetch(BACKENDS, APPLICATION_ROLE)
        if backends:
            with suppress(ProcessLookupError):
                os.kill(backends[0]["pid"], signal.SIGKILL)
        await asyncio.sleep(0.2)
        await self._healed()

    async def freeze_backend(self, chance: random.Random) -> None:
        """Stop a backend, if possible with its locks, for longer than a lock is waited for."""
        async with self.owner() as owner:
            backends = await owner.fetch(BACKENDS, APPLICATION_ROLE)
        if backends:
            with suppress(ProcessLookupError):
                os.kill(backends[0]["pid"], signal.SIGSTOP)
                await asyncio.sleep(chance.uniform(0.5, 2.5))
                os.kill(backends[0]["pid"], signal.SIGCONT)

    async def stop_postgres(self, chance: random.Random) -> None:
        """Stop PostgreSQL as `pg_ctl stop -m immediate` does, without a checkpoint, and start it again."""
        server = postmaster(self._postgres.data_dir)
        assert server is not None
        server.send_signal(signal.SIGQUIT)
        await asyncio.to_thread(server.wait, HEALED_SECONDS)
        await asyncio.sleep(chance.uniform(0, 0.5))
        await asyncio.to_thread(self._postgres.start)
        await self._healed()

    async def cut_before(self, _chance: random.Random) -> None:
        """Cut a connection before the commit is delivered."""
        await asyncio.wait_for(self._proxy.cut(Cut.BEFORE), HEALED_SECONDS)

    async def cut_during(self, _chance: random.Random) -> None:
        """Cut a connection once the commit is delivered."""
        await asyncio.wait_for(self._proxy.cut(Cut.DURING), HEALED_SECONDS)

    async def cut_after(self, _chance: random.Random) -> None:
        """Cut a connection after the commit, before its answer is delivered."""
        await asyncio.wait_for(self._proxy.cut(Cut.AFTER), HEALED_SECONDS)

    @asynccontextmanager
    async def owner(self) -> AsyncIterator[asyncpg.Connection]:
        """A connection past the wire, as the database's owner."""
        connection = await asyncpg.connect(self.owner_url, timeout=10)
        try:
            yield connection
        finally:
            connection.terminate()

    async def _healed(self) -> None:
        ends = time.monotonic() + HEALED_SECONDS
        while True:
            try:
                async with self.owner() as owner:
                    await owner.execute("SELECT 1")
            except UNREACHABLE:
                assert time.monotonic() < ends, "PostgreSQL does not come back"
                await asyncio.sleep(0.05)
            else:
                return


Fault = Callable[[World, random.Random], Coroutine[Any, Any, None]]

FAULTS: list[Fault] = [
    *(2 * [World.cut_before, World.cut_during, World.cut_after, World.terminate_backends]),
    *(2 * [World.kill_gateway, World.freeze_gateway]),
    *[World.freeze_and_kill_gateway, World.kill_backend, World.freeze_backend, World.stop_postgres],
]
"""As often as they come."""


def drawn(chance: random.Random, faults: Sequence[Fault], count: int) -> list[Fault]:
    """So many faults; all of them before any comes once more than the list has it."""
    bag: list[Fault] = []
    while len(bag) < count:
        bag += chance.sample(faults, len(faults))
    return bag[:count]


@asynccontextmanager
async def world(folder: Path) -> AsyncIterator[World]:
    """All of it, fresh and running; nothing of it is left afterwards."""
    async with AsyncExitStack() as stack:
        postgres = EmbeddedPostgres(folder / "data")
        stack.callback(postgres.stop)
        owner_url = await asyncio.to_thread(postgres.start)
        await migrate(owner_url)
        wire = Path(tempfile.mkdtemp(prefix="wire-"))  # a socket's path must be short
        stack.callback(shutil.rmtree, wire)
        proxy = await stack.enter_async_context(Proxy(wire, postgres.socket_dir))
        at_the_wire = owner_url.replace(quote(str(postgres.socket_dir)), quote(str(wire)))
        made = World(folder, postgres, owner_url, proxy, at_the_wire)
        stack.callback(made.stop)
        made.gateways = list(await asyncio.gather(*(made.start_gateway() for _ in range(GATEWAYS))))
        yield made
