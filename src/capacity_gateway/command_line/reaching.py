"""How commands reach the database."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from capacity_gateway.command_line.saying import fail
from capacity_gateway.kernel.capacity import Capacity
from capacity_gateway.kernel.database import Database, application_url
from capacity_gateway.settings import Settings, settings


def address(knobs: Settings) -> str:
    """The database to serve from: the setting, or the embedded one of the data folder."""
    file = knobs.data_dir / "database-url"
    if knobs.database_url:
        return knobs.database_url
    if file.exists():
        return file.read_text().strip()
    return fail("There is no database: set CAPACITY_DATABASE_URL, or start one with `capacity-gateway up`.")


def owner_address(knobs: Settings) -> str:
    """The database as its owner reaches it."""
    return knobs.admin_database_url or address(knobs)


@asynccontextmanager
async def gateway() -> AsyncIterator[tuple[Database, Capacity]]:
    """The kernel over the configured database, for commands."""
    async with Database.open(await application_url(address(settings())), connections_max=2) as database:
        yield database, Capacity(database, deadline_seconds=settings().deadline_seconds)
