"""Webhooks over two gateways, one of which is killed, with a receiver that fails half the time."""

import asyncio
import os
import random
import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import httpx
import psutil  # type: ignore[import-untyped, unused-ignore]

from e2e.processes import GatewayProcess
from receiving import Message, receiving

Start = Callable[..., GatewayProcess]

POOLS, CHANGES = 6, 8  # of each
EVENTS = POOLS * CHANGES
CREATE = """mutation ($url: String!) {
  createWebhook(input: { id: "w", url: $url }) { ... on WebhookSuccess { secret } }
}"""
DEFINE = """mutation ($ref: ID!) {
  definePool(input: { kind: COMPETITION, ref: $ref, quota: 100 }) { __typename }
}"""
CHANGE = """mutation ($ref: ID!, $quota: Int!, $key: String!) {
  setQuota(input: { kind: COMPETITION, ref: $ref, quota: $quota, idempotencyKey: $key }) { __typename }
}"""


async def test_every_event_arrives_in_order_over_a_kill(start: Start, owner_url: str) -> None:
    """Each once after de-duplication. Half the answers are failures, and half of those lie: the message was stored."""
    seed = int(os.environ.get("CAPACITY_TEST_SEED", time.time_ns()))
    print(f"CAPACITY_TEST_SEED={seed}")  # noqa: T201 - shown when it fails
    chance = random.Random(seed)  # noqa: S311 - repeated by its seed
    knobs = {"webhooks_anywhere": True, "webhook_timeout_seconds": 1, "webhook_retry_seconds": 0.02}
    alive = [start("serve", database_url=owner_url, **knobs) for _ in range(2)]
    stored: list[Message] = []
    killed: list[GatewayProcess] = []

    def answer(message: Message) -> int:
        if len(stored) > EVENTS // 4 and not killed:
            killed.append(next(gateway for gateway in alive if sends_from(gateway, message.port)))
            alive.remove(killed[0])
            killed[0].kill()
        fails, stores = chance.random() < 0.5, chance.random() < 0.5
        if stores or not fails:
            stored.append(message)
        return 500 if fails else 204

    def send(document: str, **variables: object) -> Any:
        """Ask a gateway, and when that is killed the other."""
        while True:
            gateway = alive[0]
            with suppress(httpx.HTTPError):
                return gateway.send(document, variables, admin)
            assert gateway in killed

    def change(ref: str) -> None:
        send(DEFINE, ref=ref)
        for quota in range(CHANGES):
            send(CHANGE, ref=ref, quota=quota, key=f"{ref} {quota}")

    async with receiving(answer) as receiver:
        for gateway in alive:
            await asyncio.to_thread(gateway.ready)
        admin = alive[0].login("admin")
        secret = (await asyncio.to_thread(send, CREATE, url=receiver.url))["secret"]
        await asyncio.gather(*(asyncio.to_thread(change, f"c{number}") for number in range(POOLS)))
        await receiver.until(lambda: len({message.id for message in stored}) == EVENTS)

    told: dict[str, list[int]] = defaultdict(list)
    for message in {message.id: message for message in reversed(stored)}.values():
        entry = message.read(secret)["data"]["entry"]
        told[entry["id"].partition("/")[0]].insert(0, entry["version"])
    assert told == {f"competition:c{number}": list(range(1, CHANGES + 1)) for number in range(POOLS)}
    assert len(stored) > EVENTS
    assert killed


def sends_from(gateway: GatewayProcess, port: int) -> bool:
    """Whether a port of this machine is a gateway's."""
    return any(link.laddr.port == port for link in psutil.Process(gateway.process.pid).net_connections("tcp"))
