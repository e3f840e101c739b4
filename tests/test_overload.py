"""Who must be turned away is, before anything is done for him, and nobody else."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import httpx
import orjson
import pytest

from capacity_gateway import overload, wire
from capacity_gateway.kernel import combiner, database
from capacity_gateway.kernel.database import APPLICATION_ROLE
from capacity_gateway.kernel.measures import OUTCOMES, REQUEST_SECONDS
from subscribing import Served, serving

TENANT = "00000000-0000-0000-0000-000000000001"
REGISTER = """
mutation Register($input: RegisterInput!) {
  register(input: $input) { __typename ... on CapacityError { code message retry retryAfterMs } }
}"""
BUSY = {
    "__typename": "GatewayBusyError",
    "code": "GATEWAY_BUSY",
    "message": "The gateway is busy; nothing has changed",
    "retry": "SAME_KEY",
    "retryAfterMs": 250,
}


class Crowd:
    """Registrations for events `hot` and `cold`, over real sockets."""

    def __init__(self, served: Served, http: httpx.AsyncClient) -> None:
        self.served = served
        self._http = http
        self._number = 0

    async def register(self, ref: str = "hot", *, query: str = REGISTER, tenant: str = TENANT, **headers: str) -> Any:
        """What one more person is answered."""
        self._number += 1
        variables = {"input": {"eventId": ref, "holder": f"h{self._number}", "idempotencyKey": f"k{self._number}"}}
        login = self.served.gateway.login("service", "service", tenant=tenant)
        answer = await self._http.post(
            "/graphql", json={"query": query, "variables": variables}, headers=login | headers
        )
        return answer.json()["data"]["register"]

    def started(self) -> Any:
        """How many requests this process has looked at."""
        samples = next(iter(REQUEST_SECONDS.collect())).samples
        return sum(sample.value for sample in samples if sample.name.endswith("_count"))


@pytest.fixture
async def crowd(owner_url: str, owner: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Crowd]:
    """A gateway with little room, and two events in it."""
    monkeypatch.setattr(database, "COMMAND_SECONDS", 30)
    name = await owner.fetchval("SELECT current_database()")
    for setting in ("lock_timeout", "statement_timeout"):  # so that time does not end what a test looks at
        await owner.execute(f"ALTER ROLE {APPLICATION_ROLE} IN DATABASE {name} SET {setting} = '30s'")
    monkeypatch.setattr(combiner, "BATCH_MAX", 3)
    monkeypatch.setattr(combiner, "QUEUE_OF_POOL_MAX", 6)
    monkeypatch.setattr(wire, "CROWD", 7)
    async with serving(owner_url, deadline_seconds=30) as served:
        create = 'mutation { createEvent(input: { id: "%s", name: "E", quota: 100 }) { __typename } }'
        for ref in ("hot", "cold"):
            await served.gateway.send(create % ref, headers=served.gateway.login("olga", "organizer"))
        async with httpx.AsyncClient(base_url=f"http://{served.address}", trust_env=False, timeout=60) as http:
            yield Crowd(served, http)


@asynccontextmanager
async def full(crowd: Crowd, owner: asyncpg.Connection) -> AsyncIterator[None]:
    """While somebody keeps the event `hot`: one registration at work, six that wait, and one that was turned away."""
    await owner.execute("SELECT pg_advisory_lock(hashtextextended($1 || E'\\n' || 'event:hot', 0))", TENANT)
    tasks = []
    while True:
        tasks.append(asyncio.create_task(crowd.register()))
        done, _ = await asyncio.wait(tasks, timeout=0.02)
        if tasks[-1] in done and len(tasks) - len(done) >= 7:  # others may have had no connection in time
            break
    assert [task.result() for task in done] == [BUSY] * len(done)
    try:
        yield
    finally:
        await owner.execute("SELECT pg_advisory_unlock_all()")
        await asyncio.gather(*tasks)


def turned_away() -> Any:
    """How many registrations were told that the gateway is busy."""
    return OUTCOMES.labels("register", "GATEWAY_BUSY")._value.get()  # noqa: SLF001 - it has no other way


async def test_the_next_is_turned_away_before_anything_is_done(crowd: Crowd, owner: asyncpg.Connection) -> None:
    """It is told and counted the same, but no request is begun."""
    async with full(crowd, owner):
        looked_at, refused = crowd.started(), turned_away()

        assert await crowd.register() == BUSY
        assert (crowd.started(), turned_away()) == (looked_at, refused + 1)


async def test_only_who_asks_for_the_crowded_pool_is_turned_away(crowd: Crowd, owner: asyncpg.Connection) -> None:
    """Others are served meanwhile: for another event, or for one of the same name of another tenant."""
    async with full(crowd, owner):
        assert (await crowd.register("cold"))["__typename"] == "RegistrationSuccess"
        assert (await crowd.register(tenant="another"))["code"] == "NOT_FOUND"


async def test_nobody_else_gets_a_remembered_answer(crowd: Crowd, owner: asyncpg.Connection) -> None:
    """Another document, a page of another origin, and a login that was never seen are looked at as ever."""
    async with full(crowd, owner):
        looked_at = crowd.started()
        assert await crowd.register(query=REGISTER.replace("code message", "code")) == {
            name: value for name, value in BUSY.items() if name != "message"
        }
        assert await crowd.register(origin=f"http://{crowd.served.address}", host=crowd.served.address) == BUSY
        assert crowd.started() == looked_at + 2


async def test_all_are_turned_away_when_the_process_is_full(
    crowd: Crowd, owner: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whichever pool they ask for; afterwards they are served."""
    monkeypatch.setattr(overload, "THRONG", 7)
    async with full(crowd, owner):
        assert await crowd.register("cold") == BUSY

    assert (await crowd.register("cold"))["__typename"] == "RegistrationSuccess"


async def test_a_body_in_pieces_is_taken_as_ever(crowd: Crowd, owner: asyncpg.Connection) -> None:
    """What is not here as a whole is not turned away by what is here."""
    async with full(crowd, owner):
        looked_at = crowd.started()

        reader, writer = await asyncio.open_connection("127.0.0.1", crowd.served.port)
        body = b'{"query": "{ __typename }"}'
        writer.write(
            b"POST /graphql HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
            b"content-length: %d\r\n\r\n" % len(body) + body[:5]
        )
        await asyncio.sleep(0.1)
        writer.write(body[5:])
        assert b" 200 " in await reader.readline()
        writer.close()
        await writer.wait_closed()
        assert crowd.started() == looked_at + 1


async def test_who_sends_the_very_same_again_is_answered_the_same(crowd: Crowd, owner: asyncpg.Connection) -> None:
    """Whole, in pieces, two at once, and when it is a pool again that is not crowded, each on one connection."""
    login = crowd.served.gateway.login("service", "service")["authorization"]

    def request(ref: str, number: int) -> bytes:
        given = {"eventId": ref, "holder": f"raw {number}", "idempotencyKey": f"raw {number}"}
        body = orjson.dumps({"query": REGISTER, "variables": {"input": given}})
        head = f"POST /graphql HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\nauthorization: {login}\r\n"
        return head.encode() + b"content-length: %d\r\n\r\n" % len(body) + body

    async def answer(reader: asyncio.StreamReader) -> Any:
        head = await reader.readuntil(b"\r\n\r\n")
        (length,) = (int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        return orjson.loads(await reader.readexactly(length))["data"]["register"]

    async with full(crowd, owner):
        reader, writer = await asyncio.open_connection("127.0.0.1", crowd.served.port)
        writer.write(request("hot", 0))  # with another `Accept` than before
        assert await answer(reader) == BUSY
        looked_at, refused = crowd.started(), turned_away()
        for number in (1, 2, 3):
            writer.write(request("hot", number))
            assert await answer(reader) == BUSY
        writer.write(request("hot", 4) + request("hot", 5))
        assert [await answer(reader), await answer(reader)] == [BUSY] * 2
        assert (crowd.started(), turned_away()) == (looked_at, refused + 5)

        writer.write(request("hot", 6)[:-9])
        await asyncio.sleep(0.1)
        writer.write(request("hot", 6)[-9:])
        assert await answer(reader) == BUSY
        writer.write(request("cold", 7))
        assert (await answer(reader))["__typename"] == "RegistrationSuccess"
    writer.write(request("hot", 8))
    assert (await answer(reader))["__typename"] == "RegistrationSuccess"
    writer.close()
    await writer.wait_closed()
