"""The disk is full: a typed refusal, nothing lost, and the service resumes by itself when there is room again."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest

from capacity_gateway.embedded import EmbeddedPostgres
from capacity_gateway.kernel.capacity import Capacity
from capacity_gateway.kernel.commands import Attribution, Define, Take
from capacity_gateway.kernel.database import Database, application_url
from capacity_gateway.kernel.migrations import migrate
from capacity_gateway.kernel.outcomes import BusyOutcome, CapacityChange, CapacityError, GatewayBusyError
from capacity_gateway.kernel.vocabulary import LedgerReason, PoolKind
from invariants import check_invariants

TENANT, POOL = "tenant", "competition:p"
SIZE = "48m"


@pytest.fixture
def disk(folder: Path) -> Iterator[Path]:
    """A small disk of its own."""
    disk = folder / "disk"
    disk.mkdir()
    mount, unmount = shutil.which("mount"), shutil.which("umount")
    given = ["-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(disk)]
    if not mount or not unmount or subprocess.run([mount, *given], check=False, capture_output=True).returncode:  # noqa: S603
        pytest.skip(
            "NOT TESTED: a full disk, as there is no right to mount one"
        )  # no package brings that, in CI either
    yield disk
    subprocess.run([unmount, str(disk)], check=True)  # noqa: S603


@pytest.fixture
def disk_url(folder: Path, disk: Path) -> Iterator[str]:
    """The address of a PostgreSQL whose tables have a disk of their own, as is usual; its log has another."""
    postgres = EmbeddedPostgres(folder / "data")
    url = postgres.start()
    tables = disk / "tables"
    tables.mkdir()
    if os.geteuid() == 0:
        server = postgres.pgdata.stat()
        os.chown(tables, server.st_uid, server.st_gid)
    yield url
    postgres.stop()


async def test_a_full_disk_is_a_typed_refusal_and_nothing_is_lost(disk: Path, disk_url: str) -> None:
    """What was acknowledged is there, what was refused is not; with room again the same key is applied."""
    server = await asyncpg.connect(disk_url)
    await server.execute(f"CREATE TABLESPACE small LOCATION '{disk / 'tables'}'")
    await server.execute("CREATE DATABASE small TABLESPACE small")
    await server.close()
    url = urlunsplit(urlsplit(disk_url)._replace(path="/small"))
    await migrate(url)
    async with Database.open(await application_url(url)) as database:
        capacity, done = Capacity(database, deadline_seconds=3), 0
        await ask(capacity, "pool")
        filler = disk / "filler"
        with filler.open("wb") as file:
            file.write(b"\0" * (shutil.disk_usage(disk).free - 2**18))
        while isinstance(answer := await ask(capacity, f"{done}"), CapacityChange):
            done += 1
        refused = f"{done}"
        assert isinstance(answer, GatewayBusyError)
        assert answer.outcome is BusyOutcome.NOT_APPLIED

        owner = await asyncpg.connect(url)
        assert done > 0
        assert await owner.fetchval("SELECT confirmed FROM capacity.pool") == done
        assert await check_invariants(owner) == []

        filler.unlink()
        answer = await ask(capacity, refused)
        assert isinstance(answer, CapacityChange)
        assert not answer.replayed
        assert await owner.fetchval("SELECT confirmed FROM capacity.pool") == done + 1
        assert await check_invariants(owner) == []
        await owner.close()


async def ask(capacity: Capacity, key: str) -> CapacityChange | CapacityError:
    """Make the pool, or take one of it."""
    command = (
        Define(kind=PoolKind.COMPETITION, pool_id=POOL, quota=10**6, definition={})
        if key == "pool"
        else Take(
            kind=PoolKind.COMPETITION,
            pool_id=POOL,
            claim_id=key,
            holder="h",
            subject="x" * 200,
            quantity=1,
            reason=LedgerReason.RESERVATION_APPROVAL,
        )
    )
    by = Attribution(operation="test", actor="h", key=key, fingerprint=key)
    return await capacity.submit(TENANT, [command], by, CapacityChange)
