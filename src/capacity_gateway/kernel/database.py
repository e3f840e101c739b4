"""Connections to PostgreSQL, and what its errors mean to a caller. Nothing but the kernel names asyncpg."""

import asyncio
import hashlib
import hmac
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeAlias
from urllib.parse import quote, unquote, urlsplit, urlunsplit

import aiosql
import asyncpg
from asyncpg.pool import PoolConnectionProxy

from capacity_gateway.kernel import measures, traces

SQL = Path(__file__).parents[1] / "sql"
QUERIES = aiosql.from_path(SQL / "queries", "asyncpg", kwargs_only=True)

Connection: TypeAlias = "PoolConnectionProxy[asyncpg.Record]"

APPLICATION_ROLE = "capacity_app"
COMMAND_SECONDS = 2.5  # the server itself gives up after 2
REPLAN_SECONDS = 1.0  # at most; it takes 15 ms

WAITED_TOO_LONG = (asyncpg.LockNotAvailableError, asyncpg.QueryCanceledError)
"""A lock could not be had in time, or what was asked for took too long; nothing was applied."""

NOT_APPLIED = (
    *WAITED_TOO_LONG,
    asyncpg.InsufficientResourcesError,
    asyncpg.CannotConnectNowError,
    asyncpg.ReadOnlySQLTransactionError,
)
"""The server said that nothing was applied; the same key may be sent again."""

ROLLED_BACK = (asyncpg.SerializationError, asyncpg.DeadlockDetectedError)
"""Rolled back because of a neighbour; sent again at once."""

TAKEN_MEANWHILE = (asyncpg.UniqueViolationError,)
"""An id or a key was used at the same moment; sent again, it is seen. If it stays it is a bug."""

CONNECTION_LOST = (
    asyncpg.PostgresConnectionError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.DatabaseDroppedError,
    asyncpg.IdleInTransactionSessionTimeoutError,  # told in answer to what was just being sent
    asyncpg.IdleSessionTimeoutError,
    asyncpg.TransactionTimeoutError,
    asyncpg.PostgresSystemError,  # its disk cannot be read or written
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # how asyncpg reports a backend that died (measured)
    OSError,
    TimeoutError,
)
"""Perhaps applied, perhaps not: only the same key, sent again, can tell."""


UNREADABLE = (asyncpg.DataError, asyncpg.exceptions.DataError, OverflowError)
"""An argument of a read that PostgreSQL has no value for: NUL in a text, a time before all times."""


REFUSED = (asyncpg.PostgresError,)
"""The server's own words, for whoever started the gateway: no such database, a wrong password."""


class NoConnection(Exception):
    """No connection could be had in time: nothing was sent."""


def as_role(url: str, role: str) -> str:
    """The same database's URL for another role.

    Its password is derived from the owner's, so that every gateway that knows the one knows the other; it has
    none where the owner has none (a trusting socket).
    """
    parts = urlsplit(url)
    _, _, place = parts.netloc.rpartition("@")
    password = derived_password(url, role)
    login = quote(role) + (f":{password}" if password else "")
    return urlunsplit(parts._replace(netloc=f"{login}@{place}"))


def derived_password(url: str, role: str) -> str | None:
    """The password of `role` in a database that the gateway makes it in; None where the owner has none."""
    owner = urlsplit(url).password
    if not owner:
        return None
    return hmac.new(unquote(owner).encode(), role.encode(), hashlib.sha256).hexdigest()


async def application_url(url: str) -> str:
    """The URL to serve with: `url` itself, or the application role's when `url` is an owner's or superuser's."""
    connection = await asyncpg.connect(url, timeout=5)
    try:
        powerful = await connection.fetchval(
            "SELECT rolsuper OR rolbypassrls OR pg_has_role(n.nspowner, 'MEMBER')"
            " FROM pg_roles LEFT JOIN pg_namespace AS n ON n.nspname = 'capacity' WHERE rolname = current_user"
        )
    finally:
        await connection.close()
    return as_role(url, APPLICATION_ROLE) if powerful else url


class Replanning:
    """Makes each connection's plans anew from time to time, the more often the younger it is.

    A plan that was made while a table was empty is kept until the table is analysed, and may read all of it for each
    key: on the first night a batch of 64 took 60 ms instead of 11 (measured). To plan anew takes 15 ms.
    """

    LONGEST_SECONDS = 60.0

    def __init__(self) -> None:
        self._due: dict[int, tuple[float, float]] = {}
        """By the process of the server behind a connection: when next, and how long the pause after that."""

    async def opened(self, connection: asyncpg.Connection) -> None:
        """Look after a new connection."""
        server = connection.get_server_pid()
        self._due[server] = (asyncio.get_running_loop().time() + 1, 2)

        def forget(_: object) -> None:
            self._due.pop(server, None)

        connection.add_termination_listener(forget)

    async def taken(self, connection: Connection) -> None:
        """Plan anew where it is time, before a connection is used."""
        now, server = asyncio.get_running_loop().time(), connection.get_server_pid()
        at, pause_seconds = self._due.get(server, (now + 1, 1))  # behind a pooler two may have the same number
        if now >= at:
            self._due[server] = (now + pause_seconds, min(2 * pause_seconds, self.LONGEST_SECONDS))
            await connection.execute("DISCARD PLANS", timeout=REPLAN_SECONDS)


class Lane:
    """A connection that batch after batch is sent over."""

    def __init__(self, connection: Connection, replan: Callable[[Connection], Awaitable[None]]) -> None:
        self._connection = connection
        self._replan = replan

    async def apply(self, tenant: str, commands: str, *, historic: bool = False) -> list[str]:
        """Run one batch of commands as one transaction; returns one JSON outcome for each, in order."""
        await self._replan(self._connection)
        rows = await self._connection.fetch(
            "SELECT outcome, lock_seconds FROM capacity.apply($1, $2, $3)", tenant, commands, historic
        )
        if rows:
            measures.LOCK_SECONDS.observe(rows[0]["lock_seconds"])
        return [row["outcome"] for row in rows]


class Database:
    """A pool of database connections as the application role."""

    def __init__(self, connections: asyncpg.Pool, replanning: Replanning | None = None) -> None:
        self._connections = connections
        self._replanning = replanning or Replanning()

    @classmethod
    @asynccontextmanager
    async def open(cls, url: str, *, connections_max: int = 8) -> AsyncIterator["Database"]:
        """Open the connections, and close them at the end; raises what asyncpg raises when it cannot."""
        replanning = Replanning()

        async def opened(connection: asyncpg.Connection) -> None:
            await replanning.opened(connection)
            traces.tracer.connected(connection)

        async with asyncpg.create_pool(
            url,
            init=opened,
            min_size=1,
            max_size=connections_max,
            timeout=1,
            command_timeout=COMMAND_SECONDS,
            statement_cache_size=100,
            max_inactive_connection_lifetime=60,
            reset=_no_reset,
            server_settings={"application_name": "capacity-gateway"},
        ) as pool:
            yield cls(pool, replanning)

    @asynccontextmanager
    async def connection(self, *, wait_seconds: float = 0.25) -> AsyncIterator[Connection]:
        """A connection for one statement or transaction.

        Raises:
            NoConnection: when none is free in time or the database is away.
        """
        try:
            async with asyncio.timeout(wait_seconds):  # acquire's own timeout strikes who need not wait, in a busy loop
                connection = await self._connections.acquire()
        except (*CONNECTION_LOST, *REFUSED) as error:
            raise NoConnection from error
        try:
            await self._replan(connection)
            yield connection
        except (*CONNECTION_LOST, asyncio.CancelledError):
            connection.terminate()  # what is left of it must never be used again, nor waited for: it may be frozen
            raise
        finally:
            await self._connections.release(connection, timeout=1)

    async def _replan(self, connection: Connection) -> None:
        try:
            await self._replanning.taken(connection)
        except (*CONNECTION_LOST, *REFUSED) as error:
            connection.terminate()
            raise NoConnection from error

    @asynccontextmanager
    async def lane(self) -> AsyncIterator[Lane]:
        """A connection for one batch after another; raises what `connection` raises."""
        async with self.connection() as connection:
            yield Lane(connection, self._replan)

    async def apply(self, tenant: str, commands: str, *, historic: bool = False) -> list[str]:
        """Run one batch of commands as one transaction; returns one JSON outcome for each, in order."""
        async with self.lane() as lane:
            return await lane.apply(tenant, commands, historic=historic)

    async def repair(self, tenant: str, commands: str) -> list[str]:
        """Run one repair as one transaction; returns its JSON outcome."""
        async with self.connection() as connection:
            rows = await connection.fetch("SELECT outcome FROM capacity.repair_asked($1, $2)", tenant, commands)
        return [row["outcome"] for row in rows]

    async def what_if(self, tenant: str, commands: str, *, size: int) -> str:
        """What one request of commands would do, as JSON, with at most `size` rows of each sort; changes nothing."""
        async with self.connection() as connection:
            told: str = await connection.fetchval("SELECT capacity.what_if($1, $2, $3)", tenant, commands, size)
        return told

    async def end_stalled(self) -> int:
        """End the transactions of gateways that keep a pool's lock and do not take their answer. Returns how many."""
        async with self.connection() as connection:
            return len([row async for row in QUERIES.end_stalled(connection)])

    async def unsafe_settings(self) -> list[str]:
        """What makes this server or role unfit to keep promises, one sentence each; empty when fit."""
        async with self.connection() as connection:
            return [row["problem"] async for row in QUERIES.unsafe_settings(connection)]


async def _no_reset(connection: asyncpg.Connection) -> None:
    """Nothing is ever set for longer than a transaction, so the round trip of a RESET would be for nothing."""
