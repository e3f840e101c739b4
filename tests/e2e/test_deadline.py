"""Every call is answered in time, whatever the database does meanwhile."""

import asyncio
import os
import signal
import time
from collections.abc import Callable
from typing import Any

import asyncpg
import httpx

from e2e.processes import APPROVE, GatewayProcess

Start = Callable[..., GatewayProcess]
DEADLINE_SECONDS = 3.25  # of the deadline as it comes, and as much as it may take besides
READ = "{ pools { edges { node { available } } } }"


async def timed(gateway: GatewayProcess, document: str, variables: Any = None) -> tuple[float, str]:
    """How long an answer takes, and its text."""
    began = time.monotonic()
    async with httpx.AsyncClient(trust_env=False, timeout=20) as http:
        answer = await http.post(
            f"{gateway.url}/graphql", json={"query": document, "variables": variables}, headers=gateway.login()
        )
    return time.monotonic() - began, answer.text


async def test_a_call_is_answered_in_time_whatever_the_database_does(start: Start, demo_url: str) -> None:
    """Changes and reads, while a lock is kept, and while the gateway's backends are frozen."""
    gateway = start("serve", database_url=demo_url).ready()
    keeper = await asyncpg.connect(demo_url)
    async with keeper.transaction():
        await keeper.execute("LOCK TABLE capacity.pool IN ACCESS EXCLUSIVE MODE")
        locked = [*await asyncio.gather(*(timed(gateway, READ) for _ in range(3)))]
        locked += [await timed(gateway, APPROVE.document, APPROVE.variables)]
    pids = await keeper.fetch("SELECT pid FROM pg_stat_activity WHERE application_name = 'capacity-gateway'")
    await keeper.close()
    for row in pids:
        os.kill(row["pid"], signal.SIGSTOP)
    try:
        frozen = [*await asyncio.gather(*(timed(gateway, READ) for _ in range(3)))]
        frozen += [await timed(gateway, APPROVE.document, APPROVE.variables)]
    finally:
        for row in pids:
            os.kill(row["pid"], signal.SIGCONT)

    for seconds, text in locked + frozen:
        assert seconds <= DEADLINE_SECONDS, text
    assert all("BUSY" in text for _, text in locked)
