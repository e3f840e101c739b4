"""A gateway on a port of its own, and clients that subscribe to it as browsers do."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import orjson
import uvicorn
from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

from capacity_gateway.command_line.serving import configuration
from conftest import Gateway, running

PROTOCOL = Subprotocol("graphql-transport-ws")
WATCH = """
subscription ($kind: PoolKind! = COMPETITION, $ref: ID! = "p", $after: Int) {
  capacityChanged(kind: $kind, ref: $ref, after: $after) {
    pool { id available held confirmed version }
    entry { version change reason }
    coalesced
  }
}"""
OFFERS = "subscription { waitlistOffer { pool { id } claim { id holder state } expiresAt } }"


class Client:
    """One socket, with its operations side by side."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self._numbers = itertools.count(1)
        self._inboxes: dict[str, asyncio.Queue[Any]] = {}
        self._reading = asyncio.create_task(self._read())

    async def _read(self) -> None:
        async for text in self.socket:
            message = orjson.loads(text)
            if "id" in message:
                self._inboxes[message["id"]].put_nowait(message)

    async def send(self, message: Any) -> None:
        """Send a message."""
        await self.socket.send(orjson.dumps(message).decode())

    async def ask(self, query: str, **variables: Any) -> "Subscription":
        """Begin an operation."""
        number = str(next(self._numbers))
        self._inboxes[number] = asyncio.Queue()
        payload = {"query": query, "variables": variables}
        await self.send({"type": "subscribe", "id": number, "payload": payload})
        return Subscription(self, number, self._inboxes[number])

    async def closed(self) -> int | None:
        """Wait until the gateway closes the socket; the code that it gives."""
        async with asyncio.timeout(20):
            await self.socket.wait_closed()
        return self.socket.close_code


class Subscription:
    """What comes in for one operation."""

    def __init__(self, client: Client, number: str, inbox: "asyncio.Queue[Any]") -> None:
        self._client, self.number, self._inbox = client, number, inbox

    async def message(self, seconds: float = 20) -> Any:
        """The next message."""
        async with asyncio.timeout(seconds):
            return await self._inbox.get()

    async def event(self, seconds: float = 20) -> Any:
        """The value of the root field in the next message, which must be without errors."""
        message = await self.message(seconds)
        assert message["type"] == "next", message
        assert "errors" not in message["payload"], message
        (value,) = message["payload"]["data"].values()
        return value

    async def error(self) -> str:
        """The code of the error that ends the operation."""
        message = await self.message()
        assert message["type"] == "error", message
        code: str = message["payload"][0]["extensions"]["code"]
        return code

    async def until(self, version: int) -> list[Any]:
        """The events up to one of this version."""
        events = [await self.event()]
        while events[-1]["pool"]["version"] < version:
            events.append(await self.event())
        return events

    async def complete(self) -> None:
        """End it."""
        await self._client.send({"type": "complete", "id": self.number})


class Served:
    """A gateway that listens, and a client of it without sockets."""

    def __init__(self, gateway: Gateway, port: int) -> None:
        self.gateway = gateway
        self.port = port
        self.address = f"127.0.0.1:{port}"

    @asynccontextmanager
    async def socket(self, payload: Any = None, **options: Any) -> AsyncIterator[ClientConnection]:
        """A socket, with its login unless `payload` is False."""
        async with connect(f"ws://{self.address}/graphql", subprotocols=[PROTOCOL], proxy=None, **options) as socket:
            if payload is not False:
                await socket.send(orjson.dumps({"type": "connection_init", "payload": payload}).decode())
            yield socket

    @asynccontextmanager
    async def client(self, login: dict[str, str] | None = None, **options: Any) -> AsyncIterator[Client]:
        """A client that is let in, by default a director."""
        async with self.socket(self.gateway.login() if login is None else login, **options) as socket:
            assert orjson.loads(await socket.recv()) == {"type": "connection_ack"}
            yield Client(socket)

    @asynccontextmanager
    async def stream(self, query: str, login: dict[str, str] | None = None, **variables: Any) -> AsyncIterator[Any]:
        """The lines of a stream of events."""
        async with httpx.AsyncClient(trust_env=False, timeout=20) as http:
            body = {"query": query, "variables": variables}
            headers = {"accept": "text/event-stream", **(self.gateway.login() if login is None else login)}
            async with http.stream("POST", f"http://{self.address}/graphql/stream", json=body, headers=headers) as got:
                assert got.status_code == 200
                yield got.aiter_lines()


@asynccontextmanager
async def serving(owner_url: str, **knobs: Any) -> AsyncIterator[Served]:
    """A gateway over a database, with these settings, on a port of its own."""
    async with running(owner_url, **knobs) as gateway:
        server = uvicorn.Server(configuration(gateway.settings, gateway.app, "127.0.0.1", 0))
        server.config.lifespan = "off"  # it has begun already
        serving = asyncio.create_task(server.serve())
        while not server.started:  # noqa: ASYNC110 - uvicorn tells nobody
            await asyncio.sleep(0.01)
        try:
            yield Served(gateway, server.servers[0].sockets[0].getsockname()[1])
        finally:
            server.should_exit = True
            await serving
