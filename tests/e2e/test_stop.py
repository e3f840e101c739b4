"""A gateway that stops, on purpose or by standing still, leaves nothing undone and keeps nothing from others."""

import asyncio
import itertools
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest

from capacity_gateway.kernel.database import application_url
from capacity_gateway.login import mint
from capacity_gateway.settings import Settings
from e2e.processes import GatewayProcess

Start = Callable[..., GatewayProcess]

TENANT = "00000000-0000-0000-0000-000000000001"
SECRET = "a secret for tests, 32 bytes or more"  # noqa: S105 - for tests
PATIENCE_SECONDS = 30  # on a busy machine; how long it really takes is measured by `scripts/bench liveness`
ROOT = Path(__file__).parents[2]
LOCK = "SELECT pg_advisory_lock(hashtextextended($1 || E'\\n' || 'event:hot', 0))"
CREATE = 'mutation { createEvent(input: { id: "hot", name: "E", quota: 100000 }) { __typename } }'
REGISTER = """
mutation Register($input: RegisterInput!) {
  register(input: $input) { __typename ... on RegistrationSuccess { replayed } ... on CapacityError { code } }
}"""
WAITING = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
HELD = """
SELECT count(*) FROM pg_locks AS l INNER JOIN pg_database AS d ON d.oid = l.database
WHERE l.locktype = 'advisory' AND d.datname = current_database()
"""


async def register(http: httpx.AsyncClient, gateway: GatewayProcess, key: str) -> dict[str, Any]:
    """What somebody is answered who registers under a key."""
    variables = {"input": {"eventId": "hot", "holder": key, "idempotencyKey": key}}
    body = {"query": REGISTER, "variables": variables}
    answer = await http.post(f"{gateway.url}/graphql", json=body, headers=login("service"))
    told: dict[str, Any] = answer.json()["data"]["register"]
    return told


def login(role: str) -> dict[str, str]:
    """The header of a login."""
    token = mint(Settings(jwt_secret=SECRET), {"sub": role, "role": role}, ttl_seconds=600)
    return {"authorization": f"Bearer {token}"}


async def until(so: Callable[[], bool]) -> None:
    """Wait until something is so."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not so():  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.01)


async def until_told(owner: asyncpg.Connection, query: str, *, none: bool = False) -> None:
    """Wait until a query counts something, or nothing any more."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while bool(await owner.fetchval(query)) is none:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.01)


def client() -> httpx.AsyncClient:
    """A client that waits for long."""
    return httpx.AsyncClient(
        trust_env=False,
        timeout=PATIENCE_SECONDS,
        limits=httpx.Limits(max_connections=None, max_keepalive_connections=None),
    )


async def registered(http: httpx.AsyncClient, gateway: GatewayProcess, key: str) -> dict[str, Any]:
    """The same, asked until it is done."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            told = await register(http, gateway, key)
            if told["__typename"] == "RegistrationSuccess":
                return told


async def test_a_stop_under_load_finishes_what_is_in_flight(
    start: Start, demo_url: str, owner: asyncpg.Connection
) -> None:
    """Not ready from the signal on; every call at work is answered; and what was acknowledged is there."""
    stopping = start("serve", database_url=demo_url, jwt_secret=SECRET).ready()
    stopping.send(CREATE, headers=login("organizer"))
    begun: set[str] = set()
    done: dict[str, dict[str, Any]] = {}

    async def keep_asking(caller: int) -> str:
        for number in itertools.count():
            key = f"{caller}-{number}"
            begun.add(key)
            try:
                done[key] = await register(http, stopping, key)
            except httpx.HTTPError:  # it has stopped
                return key
        raise AssertionError

    async with client() as http:
        callers = [asyncio.create_task(keep_asking(caller)) for caller in range(16)]
        await until(lambda: len(done) > 30)
        await owner.execute(LOCK, TENANT)
        await until_told(owner, WAITING)
        await asyncio.sleep(0.1)
        at_work = begun - done.keys()
        await http.get(f"{stopping.url}/healthz")  # what came before this has been read
        stopping.process.send_signal(signal.SIGTERM)
        said = await readiness(stopping)
        await owner.execute("SELECT pg_advisory_unlock_all()")
        unanswered = await asyncio.gather(*callers)
        code = await asyncio.to_thread(stopping.process.wait, PATIENCE_SECONDS)
        other = start("serve", database_url=demo_url, jwt_secret=SECRET).ready()
        for key in unanswered:
            await registered(http, other, key)
    keys = {row["idempotency_key"] for row in await owner.fetch("SELECT idempotency_key FROM capacity.ledger")}

    assert (code, said) == (0, "not ready")
    assert len(at_work) == len(callers)
    assert at_work <= done.keys()
    assert {key for key, told in done.items() if told["__typename"] == "RegistrationSuccess"} <= keys
    assert set(unanswered) <= keys


async def readiness(gateway: GatewayProcess) -> str:
    """What a load balancer is told by a gateway that is about to stop, as soon as it is not that it is ready."""
    async with asyncio.timeout(PATIENCE_SECONDS), client() as http:
        while True:
            try:
                answer = await http.get(f"{gateway.url}/readyz")
            except httpx.TransportError:
                return "not ready"
            if not answer.json()["ready"]:
                return "not ready"


@pytest.mark.parametrize("way", ["idle", "unheard"])
async def test_a_frozen_gateway_keeps_no_pool(start: Start, demo_url: str, owner: asyncpg.Connection, way: str) -> None:
    """Another gateway gets the pool while the first one, with its transaction open, still stands still."""
    awake = start("serve", database_url=demo_url, jwt_secret=SECRET).ready()
    awake.send(CREATE, headers=login("organizer"))
    arguments = [await application_url(demo_url), way, TENANT, "event:hot"]
    with subprocess.Popen(  # noqa: ASYNC220, S603 - our own command, and it says when it is ready
        [sys.executable, "-m", "e2e.holding", *arguments], stdout=subprocess.PIPE, cwd=ROOT / "tests"
    ) as frozen:
        try:
            assert frozen.stdout
            assert await asyncio.to_thread(frozen.stdout.readline) == b"held\n"
            frozen.send_signal(signal.SIGSTOP)
            assert await owner.fetchval(HELD) > 0
            async with client() as http:
                assert (await registered(http, awake, "a key"))["replayed"] is False
            await until_told(owner, HELD, none=True)
        finally:
            frozen.kill()
