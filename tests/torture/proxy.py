"""A wire between gateways and PostgreSQL that is cut at will, at the end of a transaction.

`capacity.apply` is one statement that commits by itself: its transaction ends with the Sync message behind it. So these
are the instants of a cut.
"""

import asyncio
from contextlib import suppress
from enum import Enum
from pathlib import Path
from types import TracebackType
from typing import Self

APPLY = b"capacity.apply"
SOCKET_NAME = ".s.PGSQL.5432"
PARSE, BIND, SYNC, READY = b"P", b"B", b"S", b"Z"


class Cut(Enum):
    """When a connection is cut."""

    BEFORE = "before the commit is delivered"
    """The server has done all but commit, and never will."""
    DURING = "once the commit is delivered"
    """The server may still be at work while the gateway sends the same again."""
    AFTER = "after the commit, before its answer is delivered"
    """It is done, and the gateway does not know."""


class Proxy:
    """Listens on a socket in its own folder, as a server on `folder` would.

    Args:
        folder: of its socket.
        server: the folder of PostgreSQL's socket.
    """

    def __init__(self, folder: Path, server: Path) -> None:
        self._path = folder / SOCKET_NAME
        self._server_path = server / SOCKET_NAME
        self._cuts: list[tuple[Cut, asyncio.Event]] = []
        self._links: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._listener = await asyncio.start_unix_server(self._link, self._path)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listener.close()
        for link in list(self._links):
            link.cancel()
        await asyncio.gather(*self._links, return_exceptions=True)

    async def cut(self, when: Cut) -> None:
        """Cut the next connection of which a `capacity.apply` ends; returns when that has happened."""
        done = asyncio.Event()
        self._cuts.append((when, done))
        await done.wait()

    async def _link(self, client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._links.add(task)
        try:
            with suppress(OSError, asyncio.CancelledError):
                server, to_server = await asyncio.open_unix_connection(self._server_path)
                try:
                    await Link(client, to_client, server, to_server, self._cuts).run()
                finally:
                    to_server.transport.abort()
        finally:
            to_client.transport.abort()
            self._links.discard(task)


class Link:
    """One connection, both ways."""

    def __init__(
        self,
        client: asyncio.StreamReader,
        to_client: asyncio.StreamWriter,
        server: asyncio.StreamReader,
        to_server: asyncio.StreamWriter,
        cuts: list[tuple[Cut, asyncio.Event]],
    ) -> None:
        self._client, self._to_client, self._server, self._to_server = client, to_client, server, to_server
        self._cuts = cuts

    async def run(self) -> None:
        """Carry what either side says until one goes away or the connection is cut."""
        answers = asyncio.create_task(self._carry_answers())
        requests = asyncio.create_task(self._carry_requests(answers))
        try:
            await asyncio.wait({answers, requests}, return_when=asyncio.FIRST_COMPLETED)
            if answers.cancelled():  # by a cut, which is to be gone through with
                await requests
        finally:
            answers.cancel()
            requests.cancel()
            await asyncio.gather(answers, requests, return_exceptions=True)

    async def _carry_answers(self) -> None:
        while chunk := await self._server.read(65536):
            self._to_client.write(chunk)
            await self._to_client.drain()

    async def _carry_requests(self, answers: asyncio.Task[None]) -> None:
        """Statements are known by name once they are parsed; the startup message has no letter before its length."""
        length = await self._client.readexactly(4)
        self._to_server.write(length + await self._client.readexactly(int.from_bytes(length) - 4))
        names: set[bytes] = set()
        applying = False
        while True:
            letter, frame = await read_frame(self._client)
            if letter == PARSE:
                name, query, *_ = frame[5:].split(b"\0", 2)
                names.discard(name)
                if APPLY in query:
                    names.add(name)
            elif letter == BIND:
                applying = frame[5:].split(b"\0", 2)[1] in names
            elif letter == SYNC and applying:
                applying = False
                if self._cuts:
                    await self._cut(frame, answers)
                    return
            self._to_server.write(frame)
            await self._to_server.drain()

    async def _cut(self, sync: bytes, answers: asyncio.Task[None]) -> None:
        when, done = self._cuts.pop(0)
        answers.cancel()
        await asyncio.wait({answers})
        if when is not Cut.AFTER:
            self._to_client.transport.abort()
        if when is not Cut.BEFORE:
            self._to_server.write(sync)
            done.set()
            with suppress(asyncio.IncompleteReadError, OSError):
                while (await read_frame(self._server))[0] != READY:
                    pass
        done.set()


async def read_frame(stream: asyncio.StreamReader) -> tuple[bytes, bytes]:
    """The letter of the next message, and the whole of it."""
    head = await stream.readexactly(5)
    return head[:1], head + await stream.readexactly(int.from_bytes(head[1:]) - 4)
