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

from e2e.processes import START_SECONDS, GatewayProcess
from receiving import Message, receiving

Start = Callable[..., GatewayProcess]

POOLS, CHANGES = 6, 8  # of each
EVENTS = POOLS * CHANGES
CREATE = """mutation ($url: String!) {
  createWebhook(input: { id: "w", url: $url }) { __typename ... on WebhookSuccess { secret } }
}"""
DEFINE = """mutation ($ref: ID!) {
  definePool(input: { kind: COMPETITION, ref: $ref, quota: 100 }) { __typename }
}"""
CHANGE = """mutation ($ref: ID!, $quota: Int!, $key: String!) {
  setQuota(input: { kind: COMPETITION, ref: $ref, quota: $quota, idempotencyKey: $key }) { __typename }
}"""


class Night:
    """Two gateways, and a receiver whose answers are failures half the time; once a sender is killed as it waits."""

    def __init__(self, gateways: list[GatewayProcess], seed: int) -> None:
        self.alive = gateways
        self.killed: list[GatewayProcess] = []
        self.stored: list[Message] = []
        self._chance = random.Random(seed)  # noqa: S311 - repeated by its seed

    def answer(self, message: Message) -> int:
        """Store it or not, and say so or not; while it waits for that, its sender may die."""
        if len(self.stored) > EVENTS // 4 and not self.killed:
            self.killed = [gateway for gateway in self.alive if sends_from(gateway, message.port)]
            for gateway in self.killed:
                self.alive.remove(gateway)
                gateway.kill()
        fails, stores = self._chance.random() < 0.5, self._chance.random() < 0.5
        if stores or not fails:
            self.stored.append(message)
        return 500 if fails else 204

    def send(self, document: str, **variables: object) -> Any:
        """Ask a gateway until it is done: the other when that is killed, and again when it is busy or slow."""
        ends = time.monotonic() + START_SECONDS
        while time.monotonic() < ends:
            with suppress(httpx.HTTPError):
                gateway = self.alive[0]
                answer = gateway.send(document, variables, gateway.login("admin"))
                if answer["__typename"].endswith("Success"):
                    return answer
        raise TimeoutError

    def change(self, ref: str) -> None:
        """Make a pool, and change it so many times."""
        self.send(DEFINE, ref=ref)
        for quota in range(CHANGES):
            self.send(CHANGE, ref=ref, quota=quota, key=f"{ref} {quota}")

    def told(self, secret: str) -> dict[str, list[int]]:
        """The versions of each pool, each once, in the order in which they were first stored."""
        told: dict[str, list[int]] = defaultdict(list)
        for message in {message.id: message for message in reversed(self.stored)}.values():
            pool, _, version = message.read(secret)["data"]["entry"]["id"].partition("/")
            told[pool].insert(0, int(version))
        return told


async def test_every_event_arrives_in_order_over_a_kill(start: Start, owner_url: str) -> None:
    """Each once after de-duplication, from a receiver that fails half the time and a gateway that dies as it sends."""
    seed = int(os.environ.get("CAPACITY_TEST_SEED", time.time_ns()))
    print(f"CAPACITY_TEST_SEED={seed}")  # noqa: T201 - shown when it fails
    knobs = {"webhooks_anywhere": True, "webhook_timeout_seconds": 2, "webhook_retry_seconds": 0.02}
    night = Night([await asyncio.to_thread(start("serve", database_url=owner_url, **knobs).ready) for _ in "12"], seed)
    async with receiving(night.answer) as receiver:
        secret = (await asyncio.to_thread(night.send, CREATE, url=receiver.url))["secret"]
        await asyncio.gather(*(asyncio.to_thread(night.change, f"c{number}") for number in range(POOLS)))
        await receiver.until(lambda: len({message.id for message in night.stored}) == EVENTS, seconds=START_SECONDS)

    assert night.told(secret) == {f"competition:c{number}": list(range(1, CHANGES + 1)) for number in range(POOLS)}
    assert len(night.stored) > EVENTS
    assert len(night.killed) == 1


def sends_from(gateway: GatewayProcess, port: int) -> bool:
    """Whether a port of this machine is a gateway's."""
    return any(link.laddr.port == port for link in psutil.Process(gateway.process.pid).net_connections("tcp"))
