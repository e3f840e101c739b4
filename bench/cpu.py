"""What a request costs the gateway in CPU, with the database taken out.

Two requests are measured, a `register` and a ledger page of 100 entries, with login, limits and formatting as in
production. The database answers each once, for real, and afterwards the same rows come from memory. Beside them runs
a bare Starlette endpoint that reads a JSON body and answers a JSON body of the same sizes.

    python bench/cpu.py               in this process, without a server
    python bench/cpu.py --http        over uvicorn on loopback: the CPU of the server's process
    python bench/cpu.py --only register --seconds 30    one of them for a while, to look at with py-spy
"""

import argparse
import asyncio
import gc
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import orjson
import uvicorn
import uvloop
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from capacity_gateway.app import application
from capacity_gateway.command_line.serving import configuration
from capacity_gateway.embedded import EmbeddedPostgres
from capacity_gateway.kernel.database import Lane
from capacity_gateway.kernel.migrations import migrate
from capacity_gateway.kernel.reads import Reads
from capacity_gateway.login import mint
from capacity_gateway.settings import Settings

ENTRIES = 100
SECRET = "a secret for benchmarks, 32 bytes or more"  # noqa: S105 - of nothing

REGISTER = """
mutation Register($input: RegisterInput!) {
  register(input: $input) {
    __typename
    ... on RegistrationSuccess {
      replayed
      registration { id status ticketCode }
      pool { id available version }
      entries { version change reason availableAfter }
    }
    ... on InsufficientCapacityError { requested available judgedVersion }
    ... on CapacityError { code message retry retryAfterMs }
  }
}"""

LEDGER = """
query Ledger($ref: ID!, $first: Int!) {
  capacity(kind: EVENT, ref: $ref) {
    id available version
    ledger(first: $first) {
      edges { cursor node {
        id version change quotaChange heldChange confirmedChange availableAfter reason subject actor effectiveAt
        recordedAt hash
      } }
      pageInfo { hasNextPage endCursor }
    }
  }
}"""

Answers = dict[str, bytes]


class Memory:
    """What the database said the first time, said again."""

    def __init__(self) -> None:
        self.outcomes: list[str] = []
        self.rows: dict[str, list[tuple[str, bytes]]] = {}

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        """Keep what the database says now."""
        apply, rows = Lane.apply, Reads._rows  # noqa: SLF001 - the two places where answers come in

        async def kept_apply(lane: Lane, *given: Any, **more: Any) -> list[str]:
            self.outcomes = await apply(lane, *given, **more)
            return self.outcomes

        async def kept_rows(reads: Reads, query: str, **arguments: Any) -> list[tuple[str, Any]]:
            found = await rows(reads, query, **arguments)
            self.rows[query] = [(key, orjson.dumps(value)) for key, value in found]
            return found

        Lane.apply, Reads._rows = kept_apply, kept_rows  # type: ignore[method-assign,assignment] # noqa: SLF001
        yield
        Lane.apply, Reads._rows = apply, rows  # type: ignore[method-assign] # noqa: SLF001

    def answer(self) -> None:
        """Say it again, from now on, instead of asking the database. Reading the JSON stays the gateway's work."""

        async def apply(_: Lane, __: str, commands: str, **___: Any) -> list[str]:
            return self.outcomes * commands.count('"verb":')  # one for each command of the batch

        async def rows(_: Reads, query: str, **__: Any) -> list[tuple[str, Any]]:
            return [(key, orjson.loads(value)) for key, value in self.rows[query]]

        Lane.apply, Reads._rows = apply, rows  # type: ignore[method-assign,assignment] # noqa: SLF001


BARE_ANSWER: dict[str, Any] = {}


async def bare(request: Request) -> JSONResponse:
    """Reads JSON, answers JSON: as little as a Starlette endpoint can do."""
    await request.json()
    return JSONResponse(BARE_ANSWER)


BARE = Starlette(routes=[Route("/bare", bare, methods=["POST"])])


class Subject:
    """The gateway in this process, its database taken out, and the requests to send it."""

    def __init__(self, app: Starlette, settings: Settings) -> None:
        self.gateway = app
        self.settings = settings
        self.requests: dict[str, tuple[str, bytes, dict[str, str]]] = {}
        self._client = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://gateway")

    async def app(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The gateway, and the bare endpoint beside it."""
        await (BARE if scope["path"] == "/bare" else self.gateway)(scope, receive, send)

    def _login(self, **claims: Any) -> dict[str, str]:
        token = mint(self.settings, claims, ttl_seconds=86_400)
        return {"authorization": f"Bearer {token}", "content-type": "application/json"}

    async def post(self, content: bytes, headers: dict[str, str]) -> dict[str, Any]:
        """The answer; fails on errors."""
        response = await self._client.post("/graphql", content=content, headers=headers)
        answer: dict[str, Any] = response.json()
        if "errors" in answer:
            raise RuntimeError(answer["errors"])
        return answer

    async def prepare(self) -> None:
        """Ask the database everything once, and then never again."""
        organizer = self._login(sub="olga", role="admin")
        create = 'mutation { createEvent(input: {id: "e", name: "E", quota: 100000}) { __typename } }'
        await self.post(orjson.dumps({"query": create}), organizer)
        memory = Memory()
        register = orjson.dumps(
            {"query": REGISTER, "variables": {"input": {"eventId": "e", "idempotencyKey": "key-0"}}}
        )
        for number in range(ENTRIES):
            given = orjson.dumps({"query": REGISTER, "variables": {"input": {"eventId": "e"}}})
            await self.post(given, self._login(sub=f"holder-{number}"))
        ledger = orjson.dumps({"query": LEDGER, "variables": {"ref": "e", "first": ENTRIES}})
        async with memory.listening():
            registered = await self.post(register, self._login(sub="ann"))
            await self.post(ledger, organizer)
        memory.answer()
        BARE_ANSWER.update(registered)
        self.requests = {
            "bare": ("/bare", register, {"content-type": "application/json"}),
            "register": ("/graphql", register, self._login(sub="ann")),
            "ledger": ("/graphql", ledger, organizer),
        }


@asynccontextmanager
async def subject() -> AsyncIterator[Subject]:
    """A gateway over a database of its own."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)
        postgres = EmbeddedPostgres(Path(folder))
        url = postgres.start()
        try:
            await migrate(url)
            settings = Settings(jwt_secret=SECRET, sweeper=False)
            app = application(settings, url)
            async with app.router.lifespan_context(app):
                made = Subject(app, settings)
                await made.prepare()
                yield made
        finally:
            postgres.stop()


# ------------------------------------------------------------------ without a server


def call(app: ASGIApp, path: str, body: bytes, headers: dict[str, str]) -> Callable[[], Awaitable[None]]:
    """One request as a server would hand it over, and its answer thrown away."""
    raw = [(name.encode(), value.encode()) for name, value in {"host": "gateway", **headers}.items()]
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": raw,
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
    }

    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start" and message["status"] != 200:  # noqa: PLR2004
            raise RuntimeError(message)

    async def once() -> None:
        await app(scope.copy(), receive, send)

    return once


async def in_process(names: list[str], rounds: int, seconds: float) -> dict[str, list[float]]:
    """Microseconds of CPU a request, a round each, the rounds of all taking turns."""
    found: dict[str, list[float]] = {name: [] for name in names}
    async with subject() as gateway:
        calls = {name: call(gateway.app, *gateway.requests[name]) for name in names}
        for number in range(rounds + 1):
            for name, once in calls.items():
                gc.collect()
                count, start, until = 0, time.process_time(), time.perf_counter() + seconds
                while time.perf_counter() < until:
                    for _ in range(20):
                        await once()
                    count += 20
                if number:  # the first round warms up
                    found[name].append((time.process_time() - start) / count * 1e6)
    return found


# ------------------------------------------------------------------ over uvicorn


async def serve(socket: str) -> None:
    """Serve over a Unix socket's address file until told to stop; what to send is written beside it."""
    async with subject() as gateway:
        config = configuration(gateway.settings, gateway.gateway, "127.0.0.1", 0)
        config.app, config.interface = gateway.app, "asgi3"  # with the bare endpoint
        config.lifespan = "off"  # it has begun already
        server = uvicorn.Server(config)
        serving = asyncio.create_task(server.serve())
        while not server.started:
            await asyncio.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        told = {name: [path, body.decode(), headers] for name, (path, body, headers) in gateway.requests.items()}
        Path(socket).write_bytes(orjson.dumps({"port": port, "requests": told}))
        await serving


async def load(port: int, request: tuple[str, str, dict[str, str]], connections: int, seconds: float) -> int:
    """How many requests were answered, over so many connections that each wait for their answer."""
    path, body, headers = request
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    sent = f"POST {path} HTTP/1.1\r\nhost: gateway\r\n{head}content-length: {len(body)}\r\n\r\n{body}".encode()
    until = time.perf_counter() + seconds
    answered = 0

    async def caller() -> None:
        nonlocal answered
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while time.perf_counter() < until:
            writer.write(sent)
            top = await reader.readuntil(b"\r\n\r\n")
            length = int(top.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
            await reader.readexactly(length)
            if not top.startswith(b"HTTP/1.1 200"):
                raise RuntimeError(top)
            answered += 1
        writer.close()

    await asyncio.gather(*(caller() for _ in range(connections)))
    return answered


def cpu_seconds(pid: int) -> float:
    """What a process has used so far, in its own code and in the kernel's."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def over_http(names: list[str], rounds: int, seconds: float) -> dict[str, list[float]]:
    """The same over uvicorn, of the server's process alone."""
    found: dict[str, list[float]] = {name: [] for name in names}
    with tempfile.TemporaryDirectory() as folder:
        told = Path(folder) / "told"
        server = subprocess.Popen([sys.executable, __file__, "--serve", str(told)])  # noqa: ASYNC220, S603
        try:
            while not told.exists() or not told.read_bytes():
                await asyncio.sleep(0.1)
                if server.poll() is not None:
                    raise RuntimeError("the server did not start")
            to_send = orjson.loads(told.read_bytes())
            for number in range(rounds + 1):
                for name in names:
                    start = cpu_seconds(server.pid)
                    count = await load(to_send["port"], to_send["requests"][name], 16, seconds)
                    if number:
                        found[name].append((cpu_seconds(server.pid) - start) / count * 1e6)
        finally:
            server.terminate()
            server.wait()
    return found


def main() -> None:
    """Measure, and print medians and ranges."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--http", action="store_true", help="over uvicorn on loopback")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.0, help="of a round")
    parser.add_argument("--only", choices=["bare", "register", "ledger"])
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.serve:
        uvloop.run(serve(asked.serve))
        return
    names = [asked.only] if asked.only else ["bare", "register", "ledger"]
    measure = over_http if asked.http else in_process
    found = uvloop.run(measure(names, asked.rounds, asked.seconds))
    base = statistics.median(found["bare"]) if "bare" in found else None
    for name, values in found.items():
        median = statistics.median(values)
        ratio = f"  {median / base:5.2f} x bare" if base else ""
        print(f"{name:10} {median:8.1f} us ({min(values):.1f} to {max(values):.1f}){ratio}")


if __name__ == "__main__":
    main()
