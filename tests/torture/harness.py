"""Puts it all together: so many operations, so many faults, one seed, one summary."""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx

from torture.clients import PATIENCE_SECONDS, Clients
from torture.faults import FAULTS, Fault, World, drawn, world
from torture.judge import judge, left_behind
from torture.observer import Observer

CLIENTS = 24
NO_LIMITS = httpx.Limits(max_connections=None, max_keepalive_connections=2 * CLIENTS)
REPEATED = 1000  # keys that are sent again at the end
SETTLED_SECONDS = 60  # at most, on a busy machine


@dataclass
class Summary:
    """What came of it."""

    seed: int
    operations: int
    """That clients asked for, reads among them."""
    repeated: int
    """Keys that were sent again after they had been answered."""
    seconds: float
    settled_seconds: float
    faults: Counter[str]
    attempts: Counter[str]
    answers: Counter[str]
    entries: int
    snapshots: int
    wrong: list[str]

    def __str__(self) -> str:
        asked = f"{self.operations} operations, and {self.repeated} sent again"
        lines = [
            f"seed {self.seed}: {asked}, in {self.seconds:.0f} s under {self.faults.total()} faults",
            f"  faults: {listed(self.faults)}",
            f"  attempts: {listed(self.attempts)}",
            f"  answers: {listed(self.answers)}",
            f"  {self.entries} ledger entries, {self.snapshots} snapshots of the whole",
            f"  all that was in doubt was settled in {self.settled_seconds:.1f} s",
            f"  violations: {len(self.wrong)}",
        ]
        return "\n".join(lines + [f"    {sentence}" for sentence in self.wrong[:20]])


def listed(counts: Counter[str]) -> str:
    """Names and how often, the most frequent first."""
    return ", ".join(f"{count} {name}" for name, count in counts.most_common())


async def torture(
    folder: Path, *, operations: int, faults: int, seed: int, kinds: Sequence[Fault] = FAULTS, sabotage: str = ""
) -> Summary:
    """Run clients and faults side by side until all operations are done, and judge what was told.

    Args:
        folder: for all that the processes leave.
        operations: asked for by clients; what they repeat is not counted.
        faults: spread over the operations.
        seed: decides who asks what and which faults come; not how the processes are scheduled.
        kinds: of faults.
        sabotage: statements that break the gateway, run as the owner before it begins.
    """
    began, chance = time.monotonic(), random.Random(seed)  # noqa: S311 - no secret
    async with world(folder) as made, httpx.AsyncClient(timeout=PATIENCE_SECONDS, limits=NO_LIMITS) as http:
        if sabotage:
            async with made.owner() as owner:
                await owner.execute(sabotage)
        clients, observer, over = Clients(made, http, str(seed), operations), Observer(made), asyncio.Event()
        await clients.create()
        async with asyncio.TaskGroup() as watching:
            watching.create_task(observer.watch(over))
            async with asyncio.TaskGroup() as living:
                for number in range(CLIENTS):
                    living.create_task(clients.live(number))
                failed = await fail(made, clients, operations, drawn(chance, kinds, faults), chance)
                clients.failing = False
            healed = time.monotonic()
            async with asyncio.timeout(SETTLED_SECONDS):
                await asyncio.gather(*(clients.settle() for _ in range(CLIENTS)))
            settled_seconds = time.monotonic() - healed
            await ask_again(clients, chance)
            over.set()
        async with made.owner() as owner:
            await observer.look(owner)
            left = await left_behind(owner)
    history = clients.history
    return Summary(
        seed=seed,
        operations=sum(call.first is None for call in history.calls),
        repeated=sum(call.first is not None for call in history.calls),
        seconds=time.monotonic() - began,
        settled_seconds=settled_seconds,
        faults=failed,
        attempts=Counter(told for call in history.calls for told in call.told),
        answers=Counter(call.answer.get("__typename", "abandoned") for call in history.calls),
        entries=len(left.ledger),
        snapshots=observer.snapshots,
        wrong=observer.wrong + judge(history, left),
    )


async def fail(
    made: World, clients: Clients, operations: int, faults: list[Fault], chance: random.Random
) -> Counter[str]:
    """Let one fault after the other happen, evenly over the operations; how often which did."""
    failed: Counter[str] = Counter()
    for number, fault in enumerate(faults):
        while clients.begun < operations * number / len(faults):  # noqa: ASYNC110 - the clients' own count
            await asyncio.sleep(0.02)
        await fault(made, chance)
        failed[fault.__name__] += 1
    return failed


async def ask_again(clients: Clients, chance: random.Random) -> None:
    """Send many of the keys again that were answered long ago."""
    answered = [call for call in clients.history.calls if call.key and call.answer and call.first is None]
    repeated = iter(chance.sample(answered, min(REPEATED, len(answered))))

    async def ask() -> None:
        for call in repeated:
            await clients.again(call, chance)

    await asyncio.gather(*(ask() for _ in range(CLIENTS)))
