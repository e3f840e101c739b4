"""A real PostgreSQL for every test, each with a database of its own; and the gateway over it."""

import asyncio
import itertools
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import httpx
import pytest
from starlette.applications import Starlette
from starlette.routing import Route

from capacity_gateway.app import application
from capacity_gateway.embedded import EmbeddedPostgres
from capacity_gateway.endpoint import Endpoint
from capacity_gateway.kernel.capacity import Capacity
from capacity_gateway.kernel.database import Database, application_url
from capacity_gateway.kernel.feed import Feed
from capacity_gateway.kernel.migrations import migrate
from capacity_gateway.login import mint
from capacity_gateway.settings import Settings

TENANT = "00000000-0000-0000-0000-000000000001"
NOBODY_READS = """
NOT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND state LIKE 'idle in transaction%')
"""
"""No connection has begun to read, and not ended."""
_numbers = itertools.count(1)


def database_of(url: str, name: str) -> str:
    """The URL of another database of the same server."""
    return urlunsplit(urlsplit(url)._replace(path=f"/{name}"))


@pytest.fixture(scope="session")
def server(request: pytest.FixtureRequest) -> Iterator[str]:
    """The address, as its owner, of a PostgreSQL that all workers of this run share.

    CAPACITY_TEST_DATABASE_URL names another one, to try other versions with.
    """
    if "CAPACITY_TEST_DATABASE_URL" in os.environ:
        yield os.environ["CAPACITY_TEST_DATABASE_URL"]
        return
    run = getattr(request.config, "workerinput", {}).get("testrunuid", str(os.getpid()))
    folder = Path(tempfile.gettempdir()) / f"capacity-tests-{run}"
    postgres = EmbeddedPostgres(folder)
    yield postgres.start()
    postgres.stop()
    if not (folder / "pg" / "postmaster.pid").exists():  # the last worker to leave
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
async def template(server: str) -> str:
    """The name of a migrated, empty database to clone."""
    name = f"template_{os.environ.get('PYTEST_XDIST_WORKER', 'main')}"
    await _execute(server, f"CREATE DATABASE {name}")
    await migrate(database_of(server, name))
    return name


@pytest.fixture
async def owner_url(server: str, template: str) -> AsyncIterator[str]:
    """The address, as its owner, of a database of this test's own."""
    name = f"{template}_{next(_numbers)}"
    await _execute(server, f"CREATE DATABASE {name} TEMPLATE {template}")
    yield database_of(server, name)
    await _execute(server, f"DROP DATABASE {name} WITH (FORCE)")


async def _execute(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(statement)
        # A database keeps its settings for the application role only by name: a clone must be given them again.
        if statement.startswith("CREATE DATABASE") and "TEMPLATE" in statement:
            clone = await asyncpg.connect(database_of(url, statement.split()[2]))
            await clone.execute("SELECT capacity.admit_role('capacity_app', NULL)")
            await clone.close()
    finally:
        await connection.close()


@pytest.fixture
async def owner(owner_url: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection as the database's owner, to look behind the gateway and to break things."""
    connection = await asyncpg.connect(owner_url)
    yield connection
    await connection.close()


async def eventually(owner: asyncpg.Connection, true: str) -> None:
    """Wait until something is true in the database; give up after ten seconds."""
    async with asyncio.timeout(10):
        while not await owner.fetchval(f"SELECT {true}"):  # noqa: ASYNC110 - the database tells nobody
            await asyncio.sleep(0.02)


@pytest.fixture
async def database(owner_url: str) -> AsyncIterator[Database]:
    """The gateway's own connections, as the application role."""
    async with Database.open(await application_url(owner_url), connections_max=20) as database:
        yield database


@pytest.fixture
def capacity(database: Database) -> Capacity:
    """The kernel's one door."""
    return Capacity(database, deadline_seconds=3)


class Gateway:
    """A client of the gateway, in this process but through HTTP, GraphQL and a real database."""

    def __init__(self, app: Starlette, settings: Settings) -> None:
        self.app = app
        self.settings = settings
        self.http = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://gateway")

    def login(self, sub: str = "dora", role: str | None = "director", **claims: Any) -> dict[str, str]:
        """The header of a login."""
        token = mint(self.settings, {"sub": sub, "role": role, **claims}, ttl_seconds=60)
        return {"authorization": f"Bearer {token}"}

    async def post(
        self, document: str, variables: dict[str, Any] | None = None, headers: dict[str, str] | None = None
    ) -> dict[str, Any]:
        """The whole answer to an operation, by default a director's; `headers={}` is anonymous."""
        response = await self.http.post(
            "/graphql",
            json={"query": document, "variables": variables},
            headers=self.login() if headers is None else headers,
        )
        answer: dict[str, Any] = response.json()
        return answer

    async def send(
        self, document: str, variables: dict[str, Any] | None = None, headers: dict[str, str] | None = None
    ) -> Any:
        """The value of an operation's only root field; fails on top-level errors."""
        answer = await self.post(document, variables, headers)
        assert "errors" not in answer, answer["errors"]
        (value,) = answer["data"].values()
        return value


@asynccontextmanager
async def running(owner_url: str, **knobs: Any) -> AsyncIterator[Gateway]:
    """A gateway over a database, with these settings."""
    given: dict[str, Any] = {
        "jwt_secret": "a secret for tests, 32 bytes or more",
        "sweeper": False,
        "webhooks": False,
        **knobs,
    }
    settings = Settings(**given)
    app = application(settings, owner_url)
    async with app.router.lifespan_context(app):
        gateway = Gateway(app, settings)
        async with gateway.http:
            yield gateway


@asynccontextmanager
async def listening(owner_url: str) -> AsyncIterator[tuple[Gateway, list[str]]]:
    """A gateway, and every statement that it sends to the database."""
    statements: list[str] = []

    async def listen(connection: Any) -> None:
        connection.add_query_logger(lambda record: statements.append(record.query))

    settings = Settings(jwt_secret="a secret for tests, 32 bytes or more")  # noqa: S106 - for tests
    async with asyncpg.create_pool(await application_url(owner_url), init=listen) as connections:
        database = Database(connections)
        capacity = Capacity(database, deadline_seconds=settings.deadline_seconds)
        endpoint = Endpoint(settings, database, capacity, Feed(database, capacity))
        app = Starlette(routes=[Route("/graphql", endpoint)])
        yield Gateway(app, settings), statements


@pytest.fixture
async def gateway(owner_url: str) -> AsyncIterator[Gateway]:
    """A gateway over this test's own empty database."""
    async with running(owner_url) as gateway:
        yield gateway


@pytest.fixture
def pause() -> Any:
    """Let others run for so many seconds."""
    return asyncio.sleep
