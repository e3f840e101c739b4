"""Two hundred wait for twenty seats of a session, change their minds, and have their gateways killed under them."""

import asyncio
import os
import random
import uuid
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import asyncpg
import httpx

from capacity_gateway.login import mint
from capacity_gateway.settings import Settings
from e2e.processes import GatewayProcess
from invariants import check_invariants
from waiting import ENTRIES, FOLDED, OFFERS, had_two, passed_over

Start = Callable[..., GatewayProcess]

WAITERS, SEATS, WORKERS, KILLS = 200, 20, 8, 6
OFFER_SECONDS = 1
SECRET = "a secret for tests, 32 bytes or more"  # noqa: S105 - for tests
TIERS = ("VIP", "PREMIUM", "STANDARD")

INPUTS = {"createEvent": "CreateEvent", "createSession": "CreateSession", "closePool": "PoolRef"}
INPUTS |= {"joinSession": "JoinSession"} | dict.fromkeys(("acceptOffer", "declineOffer", "leaveSession"), "SessionRef")
PLACE = "... on SessionWaiting { claim { position } pool { waitlist { waiting } } }"
MINE = """{ capacity(kind: SESSION, ref: "s") { mine { state position } } }"""

TOO_LATE = {"HoldExpiredError", "OfferUnavailableError"}
TOLD = {
    "joinSession": {"SessionJoined", "SessionWaiting"},
    "acceptOffer": {"SessionJoined"} | TOO_LATE,
    "declineOffer": {"SessionLeft"} | TOO_LATE,
    "leaveSession": {"SessionLeft", "InvalidTransitionError"},
}


class Gateways:
    """Two gateways on one database, each of which may be gone at any moment, and whoever asks them."""

    def __init__(self, start: Start, database_url: str, http: httpx.AsyncClient) -> None:
        self._start = lambda: start("serve", database_url=database_url, jwt_secret=SECRET).ready()
        self._http = http
        self.serving: list[GatewayProcess] = []

    async def begin(self) -> None:
        """Start both."""
        self.serving = await asyncio.gather(*(asyncio.to_thread(self._start) for _ in range(2)))

    async def replace(self, which: list[int]) -> None:
        """End some with kill -9, and start others in their place."""
        for n in which:
            self.serving[n].kill()
        for n in which:
            self.serving[n] = await asyncio.to_thread(self._start)

    async def post(self, who: str, document: str, given: dict[str, Any] | None = None) -> Any:
        """Somebody asks, and again, now this gateway and now that, until he is answered."""
        token = mint(
            Settings(jwt_secret=SECRET), {"sub": who, "role": "admin" if who == "ada" else None}, ttl_seconds=60
        )
        n = random.randrange(2)  # noqa: S311 - no secret
        while True:
            n = 1 - n
            with suppress(httpx.HTTPError):
                response = await self._http.post(
                    f"{self.serving[n].url}/graphql",
                    json={"query": document, "variables": given},
                    headers={"authorization": f"Bearer {token}"},
                )
                if "BUSY" not in response.text and "GatewayBusyError" not in response.text:
                    (value,) = response.json()["data"].values()
                    return value
            await asyncio.sleep(0.05)

    async def do(self, who: str, operation: str, **given: Any) -> Any:
        """Somebody does a mutation, under one key however often he must ask."""
        shown = f"{{ __typename {PLACE if operation == 'joinSession' else ''} }}"
        document = f"mutation ($input: {INPUTS[operation]}Input!) {{ {operation}(input: $input) {shown} }}"
        return await self.post(who, document, {"input": {"idempotencyKey": str(uuid.uuid4()), **given}})


def choice(chance: random.Random, row: asyncpg.Record | None) -> str | None:
    """What somebody does next: as he stands, and as he feels. Four offers of ten are left to run out."""
    state, feels = row["state"] if row else "released", chance.random()
    if state == "offered":
        return "acceptOffer" if feels < 0.5 else "declineOffer" if feels < 0.6 else None
    if state in ("released", "expired"):
        return "joinSession"
    return "leaveSession" if feels < {"waiting": 0.03, "confirmed": 0.5}[state] else None


async def live(
    gateways: Gateways, owner_url: str, people: list[str], chance: random.Random, over: asyncio.Event
) -> list[str]:
    """Some people do as they like until it is over; what they were told that cannot be."""
    wrong: list[str] = []
    owner = await asyncpg.connect(owner_url)
    try:
        while not over.is_set():
            rows = {row["holder"]: row for row in await owner.fetch(FOLDED)}
            for who in chance.sample(people, 5):
                operation = choice(chance, rows.get(who))
                if operation == "joinSession":
                    more = {"holder": who, "orWait": True, "tier": TIERS[int(who) % 3]}
                    answer = await gateways.do("ada", operation, sessionId="s", **more)
                elif operation:
                    answer = await gateways.do(who, operation, sessionId="s")
                else:
                    continue
                if answer["__typename"] not in TOLD[operation]:
                    wrong.append(f"{operation} was answered by {answer}")
                place = answer.get("claim", {}).get("position")
                if place and not 1 <= place <= answer["pool"]["waitlist"]["waiting"]:
                    wrong.append(f"{who} was told of place {place}: {answer}")
    finally:
        await owner.close()
    return wrong


async def test_order_is_kept_and_every_seat_is_one_persons_though_gateways_are_killed(
    start: Start, owner: asyncpg.Connection, owner_url: str
) -> None:
    """Whoever leaves, declines, accepts, falls silent, comes back: nobody is passed over, nobody has two seats."""
    seed = int(os.environ.get("CAPACITY_SEED", "20261124"))
    print(f"seed {seed}")  # noqa: T201 - shown when the test fails
    chance, over = random.Random(seed), asyncio.Event()  # noqa: S311 - no secret
    async with httpx.AsyncClient(timeout=5) as http:
        gateways = Gateways(start, owner_url, http)
        await gateways.begin()
        await gateways.do("ada", "createEvent", id="e", name="E")
        session = {"quota": SEATS, "offerSeconds": OFFER_SECONDS, "requiresRegistration": False}
        await gateways.do("ada", "createSession", id="s", eventId="e", title="S", **session)
        lives = []
        for number in range(WORKERS):
            people, own = [f"{n}" for n in range(number, WAITERS, WORKERS)], random.Random(chance.random())  # noqa: S311
            lives.append(asyncio.create_task(live(gateways, owner_url, people, own, over)))
        await asyncio.sleep(2)
        for kill in range(KILLS):
            await gateways.replace([0, 1] if kill % 3 == 2 else [chance.randrange(2)])
            await asyncio.sleep(chance.uniform(0.2, 0.8))
        over.set()
        wrong = [sentence for told in await asyncio.gather(*lives) for sentence in told]
        await gateways.do("ada", "closePool", kind="SESSION", ref="s")  # nobody moves up while all are asked
        places = {f"{n}": (await gateways.post(f"{n}", MINE))["mine"] for n in range(WAITERS)}

    assert wrong == []
    rows = await owner.fetch(OFFERS)
    assert sum(row["version"] is not None for row in rows) > 3 * SEATS
    assert passed_over(rows) == []
    waiting = sorted((row["rank"], row["place"], row["holder"]) for row in rows if row["left_at"] is None)
    told = {who: mine["position"] for who, mine in places.items() if mine and mine["state"] == "WAITING"}
    assert told == {who: position for position, (_, _, who) in enumerate(waiting, start=1)}
    entries = await owner.fetch(ENTRIES)
    assert {entry["reason"] for entry in entries} >= {"JOIN", "OFFER", "LEAVE", "RELEASE", "EXPIRY"}
    assert had_two(entries) == []
    assert max(entry["held_after"] + entry["confirmed_after"] for entry in entries) == SEATS
    assert await check_invariants(owner) == []
