"""Whoever watches loses nothing when a gateway is stopped or killed: another one goes on from where he was."""

import asyncio
import signal
import time
from collections.abc import Callable

import httpx
import orjson
import pytest
from websockets.asyncio.client import connect

from e2e.processes import GatewayProcess
from subscribing import PROTOCOL, WATCH, Client

Start = Callable[..., GatewayProcess]

CREATE = 'mutation { createCompetition(input: { id: "p", name: "P", quota: 0 }) { __typename } }'
RESIZE = """
mutation ($quota: Int!, $key: String!) {
  setQuota(input: { kind: COMPETITION, ref: "p", quota: $quota, idempotencyKey: $key }) { __typename }
}"""


def resize(gateway: GatewayProcess, quota: int) -> None:
    """Make the next version of the competition, which is its quota."""
    gateway.send(RESIZE, {"quota": quota, "key": f"{quota}"})


async def come_in(gateway: GatewayProcess) -> Client:
    """A client of a gateway, with a director's login."""
    socket = await connect(gateway.url.replace("http", "ws") + "/graphql", subprotocols=[PROTOCOL], proxy=None)
    await socket.send(orjson.dumps({"type": "connection_init", "payload": gateway.login()}).decode())
    assert orjson.loads(await socket.recv()) == {"type": "connection_ack"}
    return Client(socket)


@pytest.mark.parametrize(
    ("by", "close_code"), [(signal.SIGTERM, 1012), (signal.SIGKILL, None)], ids=["stopped", "killed"]
)
async def test_who_watches_goes_on_at_another_gateway(
    start: Start, demo_url: str, by: signal.Signals, close_code: int | None
) -> None:
    """A stop closes his socket with 1012, upon which clients connect anew."""
    first = start("serve", database_url=demo_url).ready()
    first.send(CREATE)
    client = await come_in(first)
    watching = await client.ask(WATCH)
    versions = [(await watching.event())["pool"]["version"]]
    for quota in (1, 2, 3):
        await asyncio.to_thread(resize, first, quota)
        versions.append((await watching.event())["pool"]["version"])

    began = time.monotonic()
    await asyncio.to_thread(first.stop, by)
    assert time.monotonic() - began < 4  # sooner than what is waited for calls in flight
    assert await client.closed() in (close_code, 1006)
    second = start("serve", database_url=demo_url).ready()
    for quota in (4, 5):
        await asyncio.to_thread(resize, second, quota)
    again = await (await come_in(second)).ask(WATCH, after=versions[-1])
    versions += [(await again.event())["pool"]["version"] for _ in range(2)]
    await asyncio.to_thread(resize, second, 6)
    versions.append((await again.event())["pool"]["version"])

    assert versions == list(range(7))


async def test_a_stop_cuts_streams_short(start: Start, demo_url: str) -> None:
    """Without `complete`, so that clients ask again; and they do not hold the stop up."""
    gateway = start("serve", database_url=demo_url).ready()
    gateway.send(CREATE)
    lines = []
    async with httpx.AsyncClient(trust_env=False, timeout=20) as http:
        url, body = f"{gateway.url}/graphql/stream", {"query": WATCH}
        async with http.stream("POST", url, json=body, headers=gateway.login()) as response:
            stopping = None
            began = time.monotonic()
            async for line in response.aiter_lines():
                lines.append(line)
                stopping = stopping or asyncio.create_task(asyncio.to_thread(gateway.stop))
            assert stopping is not None
            await stopping

    assert time.monotonic() - began < 4
    assert [line for line in lines if line.startswith("event")] == ["event: next"]
