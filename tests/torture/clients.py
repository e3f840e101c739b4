"""Clients who ask for anything, under keys, until they are answered; and what they remember of it."""

import asyncio
import random
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import httpx

from capacity_gateway.login import mint
from capacity_gateway.settings import Settings
from torture.faults import SECRET, World

Json = dict[str, Any]

TENANTS = ("tenant-a", "tenant-b")
PEOPLE = [f"person-{n}" for n in range(40)]
ADMINS = ["ada", "bob"]
QUOTAS = {"event:e": 30, "stream:e": 15, "ticket_type:t1": 30, "ticket_type:t2": 20, "session:s": 10}
QUOTAS |= {"competition:c": 300}
PATIENCE_SECONDS = 5  # more than the gateway's deadline
TOKEN_SECONDS = 6 * 3600

NUMBERS = "pool { id version quota held confirmed available }"
SHOWN = f"""{{
  __typename
  ... on CapacityChange {{
    replayed {NUMBERS} entries {{ id quotaChange heldChange confirmedChange reason idempotencyKey hash recordedAt }}
  }}
  ... on CapacityError {{ code message retry replayed }}
  ... on GatewayBusyError {{ outcome }}
  %s
}}"""
SHORT = f"""... on InsufficientCapacityError {{
  judgedVersion requested available {NUMBERS} shortfalls {{ requested available judgedVersion pool {{ id }} }}
}}"""
DUE = f"... on HoldExpiredError {{ {NUMBERS} }}"
NO_TRANSITION = f"... on InvalidTransitionError {{ {NUMBERS} }}"
SEAT = "... on SessionJoined { claim { id } } ... on SessionWaiting { claim { id } }"
LEASE = "... on LeaseSuccess { claim { id } }"
ORDER = "... on OrderSuccess { order { id } }"
RESERVATION = "... on ReservationSuccess { reservation { id spacesConfirmed } }"
OPERATIONS = {
    "register": ("RegisterInput", f"{SHORT} ... on RegistrationSuccess {{ registration {{ id }} }}"),
    "cancelRegistration": ("RegistrationRefInput", NO_TRANSITION),
    "holdTickets": ("HoldTicketsInput", f"{SHORT} {ORDER}"),
    "confirmTickets": ("OrderRefInput", f"{NO_TRANSITION} {DUE} {ORDER}"),
    "releaseTickets": ("OrderRefInput", f"{NO_TRANSITION} {DUE}"),
    "refundTickets": ("OrderRefInput", NO_TRANSITION),
    "joinSession": ("JoinSessionInput", f"{SHORT} {SEAT}"),
    "leaveSession": ("SessionRefInput", NO_TRANSITION),
    "acceptOffer": ("SessionRefInput", DUE),
    "enter": ("EnterInput", f"{SHORT} {LEASE}"),
    "heartbeat": ("HeartbeatInput", f"{DUE} {LEASE}"),
    "leave": ("LeaveInput", DUE),
    "requestReservation": ("RequestReservationInput", RESERVATION),
    "approve": ("ApproveInput", f"{SHORT} {NO_TRANSITION} {RESERVATION}"),
    "refund": ("RefundInput", NO_TRANSITION),
    "cancelReservation": ("ReservationRefInput", NO_TRANSITION),
    "setQuota": ("SetQuotaInput", f"... on QuotaBelowUseError {{ inUse requestedQuota {NUMBERS} }}"),
}
DOCUMENTS = {
    name: f"mutation ($input: {given}!) {{ {name}(input: $input) {SHOWN % more} }}"
    for name, (given, more) in OPERATIONS.items()
}
READ = f"query ($kind: PoolKind!, $ref: ID!) {{ capacity(kind: $kind, ref: $ref) {{ __typename {NUMBERS[7:-2]} }} }}"
CREATE = [
    'createEvent(input: { id: "e", name: "E", quota: 30, streamQuota: 15 })',
    'createTicketType(input: { id: "t1", eventId: "e", name: "1", quota: 30, holdSeconds: 5 })',
    'createTicketType(input: { id: "t2", eventId: "e", name: "2", quota: 20, holdSeconds: 5 })',
    """createSession(input: {
      id: "s", eventId: "e", title: "S", quota: 10, offerSeconds: 2, requiresRegistration: false
    })""",
    'createCompetition(input: { id: "c", name: "C", quota: 300 })',
]

GIVEN = {
    ("register", "RegistrationSuccess"): ("registration", "registration"),
    ("holdTickets", "OrderSuccess"): ("held order", "order"),
    ("confirmTickets", "OrderSuccess"): ("order", "order"),
    ("enter", "LeaseSuccess"): ("lease", "claim"),
    ("requestReservation", "ReservationSuccess"): ("request", "reservation"),
    ("approve", "ReservationSuccess"): ("approval", "reservation"),
    ("joinSession", "SessionJoined"): ("seat", "claim"),
    ("joinSession", "SessionWaiting"): ("seat", "claim"),
}
"""What an answer gives, and in which field."""


@dataclass
class Call:
    """One mutation under one key, or a read, however often it had to be sent."""

    tenant: str
    who: str
    operation: str
    given: Json
    key: str | None = None
    told: list[str] = field(default_factory=list)
    """What came of each attempt: UNREACHABLE, NOT_APPLIED, UNKNOWN, LOST, and at last ANSWERED."""
    began_at: float = 0
    """When it was sent first, in seconds since 1970, and when last."""
    sent_at: float = 0
    heard_at: float = 0
    denied_at: float = 0
    """Until when every attempt was told that it was not applied."""
    answer: Json = field(default_factory=dict)
    """The definite one; empty while there is none."""
    first: "Call | None" = None
    """The call that this one repeats, with the same input or as somebody else."""

    @property
    def surely_not_applied(self) -> bool:
        """Whether every attempt was told that it was not, or could not even be sent."""
        return set(self.told) <= {"NOT_APPLIED", "UNREACHABLE"}


class History:
    """All that was asked and answered."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.doubtful: list[Call] = []
        self.unexpected: list[str] = []
        """Answers that are none: errors, status codes."""
        self.things: dict[tuple[str, str], list[tuple[str, str]]] = defaultdict(list)
        """By tenant and kind, what clients have and may give back: whose it is, and its id."""

    def learn(self, call: Call) -> None:
        """Remember what an answer gave somebody."""
        if given := GIVEN.get((call.operation, call.answer["__typename"])):
            kind, field = given
            self.things[call.tenant, kind].append((call.who, call.answer[field]["id"]))


class Clients:
    """Many who ask two gateways, each under keys of his own."""

    def __init__(self, world: World, http: httpx.AsyncClient, seed: str, operations: int) -> None:
        self._world = world
        self._http = http
        self._seed = seed
        self._left = operations
        self.failing = True
        """Whether faults are still to come: then there is more to ask."""
        self.history = History()
        self._tokens: dict[tuple[str, str], str] = {}

    @property
    def begun(self) -> int:
        """How many operations have been begun."""
        return len(self.history.calls)

    async def create(self) -> None:
        """Make each tenant's pools."""
        for tenant in TENANTS:
            for made in CREATE:
                response = await self._send(0, tenant, "ada", f"mutation {{ {made} {{ __typename }} }}", {})
                assert "PoolSuccess" in response.text, response.text

    async def live(self, number: int) -> None:
        """One client asks, until all together have asked enough; some he gives up, or asks again."""
        chance = random.Random(f"{self._seed}/client {number}")  # noqa: S311 - no secret
        while self._left > 0 or self.failing:
            self._left -= 1
            call = self._next(chance, f"{number}/{self._left}")
            self.history.calls.append(call)
            if not await self._ask(call, chance, patient=False):
                continue
            if call.key and chance.random() < 0.1:
                await self.again(call, chance)
            elif call.key and chance.random() < 0.03:
                await self.as_somebody_else(call, chance)

    async def settle(self) -> None:
        """Send every key that is in doubt again, until it is answered."""
        chance = random.Random(f"{self._seed}/doubt")  # noqa: S311 - no secret
        while self.history.doubtful:
            await self._ask(self.history.doubtful.pop(), chance, patient=True)

    async def again(self, call: Call, chance: random.Random) -> None:
        """Ask the same under the same key."""
        repeated = Call(call.tenant, call.who, call.operation, call.given, call.key, first=call)
        self.history.calls.append(repeated)
        await self._ask(repeated, chance, patient=True)

    async def as_somebody_else(self, call: Call, chance: random.Random) -> None:
        """Use the key of another, which is a conflict."""
        who = chance.choice([other for other in (ADMINS if call.who in ADMINS else PEOPLE) if other != call.who])
        stolen = Call(call.tenant, who, call.operation, call.given, call.key, first=call)
        self.history.calls.append(stolen)
        await self._ask(stolen, chance, patient=True)

    async def _ask(self, call: Call, chance: random.Random, *, patient: bool) -> bool:
        """Send a call until it is answered; who is not patient gives some up. Returns whether it was answered."""
        document = DOCUMENTS.get(call.operation, READ)
        given = {"input": call.given | ({"idempotencyKey": call.key} if call.key else {})}
        number = chance.randrange(2)
        while True:
            number = 1 - number
            call.sent_at = time.time()
            call.began_at = call.began_at or call.sent_at
            told = await self._attempt(number, call, document, given if call.operation in DOCUMENTS else call.given)
            call.heard_at = time.time()
            call.told.append(told)
            if call.surely_not_applied:
                call.denied_at = call.heard_at
            if told == "ANSWERED":
                if call.first is None:
                    self.history.learn(call)
                return True
            if not patient and told == "NOT_APPLIED" and call.surely_not_applied and chance.random() < 0.3:
                return False
            if not patient and told in ("UNKNOWN", "LOST") and chance.random() < 0.3:
                self.history.doubtful.append(call)
                return False
            await asyncio.sleep(chance.uniform(0.05, 0.3))

    async def _attempt(self, number: int, call: Call, document: str, given: Json) -> str:
        try:
            response = await self._send(number, call.tenant, call.who, document, given)
        except (httpx.ConnectError, httpx.ConnectTimeout):
            return "UNREACHABLE"
        except httpx.HTTPError:
            return "LOST"
        body = response.json() if "json" in response.headers.get("content-type", "") else {}
        codes = [error.get("extensions", {}).get("code") for error in body.get("errors", [])]
        if codes == ["BUSY"]:
            return "NOT_APPLIED"
        if codes or not body.get("data"):
            self.history.unexpected.append(f"{call.operation} was answered by {response.status_code} {response.text}")
            return "LOST"
        (answer,) = body["data"].values()
        if answer.get("__typename") == "GatewayBusyError":
            return str(answer["outcome"])
        call.answer = answer
        return "ANSWERED"

    async def _send(self, number: int, tenant: str, who: str, document: str, given: Json) -> httpx.Response:
        if (tenant, who) not in self._tokens:
            claims = {"sub": who, "tenant": tenant, "role": "admin" if who in ADMINS else None}
            self._tokens[tenant, who] = mint(Settings(jwt_secret=SECRET), claims, ttl_seconds=TOKEN_SECONDS)
        return await self._http.post(
            f"{self._world.gateways[number].url}/graphql",
            json={"query": document, "variables": given},
            headers={"authorization": f"Bearer {self._tokens[tenant, who]}"},
        )

    def _next(self, chance: random.Random, key: str) -> Call:
        """What a client asks next."""
        tenant, who = chance.choice(TENANTS), chance.choice(PEOPLE)
        make = chance.choices(list(MAKERS), list(MAKERS.values()))[0]
        who, operation, given = make(chance, self.history.things, tenant, who)
        # Keys are of a tenant: the other one uses the same.
        return Call(tenant, who, operation, given, None if operation in ("capacity", "heartbeat") else key)


Things = dict[tuple[str, str], list[tuple[str, str]]]
Asked = tuple[str, str, Json]
Maker = Callable[[random.Random, Things, str, str], Asked]


def taken(chance: random.Random, things: Things, tenant: str, kind: str) -> tuple[str, str] | None:
    """One of what clients have, which nobody else gets to give back; now and then it stays, to be given back twice."""
    have = things[tenant, kind]
    if not have:
        return None
    index = chance.randrange(len(have))
    return have[index] if chance.random() < 0.1 else have.pop(index)


def register(chance: random.Random, things: Things, tenant: str, who: str) -> Asked:
    """Somebody registers, or calls it off."""
    if chance.random() < 0.45 and (has := taken(chance, things, tenant, "registration")):
        return has[0], "cancelRegistration", {"registrationId": has[1]}
    return who, "register", {"eventId": "e"}


def order(chance: random.Random, things: Things, tenant: str, who: str) -> Asked:
    """Somebody orders tickets of two types, all or none; confirms the order, or gives it back."""
    feels = chance.random()
    if feels < 0.3 and (has := taken(chance, things, tenant, "held order")):
        return has[0], "confirmTickets", {"orderId": has[1]}
    if feels < 0.4 and (has := taken(chance, things, tenant, "held order")):
        return has[0], "releaseTickets", {"orderId": has[1]}
    if feels < 0.6 and (has := taken(chance, things, tenant, "order")):
        return "ada", "refundTickets", {"orderId": has[1]}
    types = chance.sample(["t1", "t2"], 2)
    return (
        who,
        "holdTickets",
        {
            "eventId": "e",
            "lines": [{"ticketTypeId": kind, "quantity": chance.randint(1, 4)} for kind in types],
        },
    )


def seat(chance: random.Random, things: Things, tenant: str, who: str) -> Asked:
    """Somebody wants a seat and would wait for it, takes up an offer, or leaves."""
    if chance.random() < 0.6 and (has := taken(chance, things, tenant, "seat")):
        return has[0], chance.choice(["acceptOffer", "leaveSession"]), {"sessionId": "s"}
    return who, "joinSession", {"sessionId": "s", "orWait": chance.random() < 0.8}


def watch(chance: random.Random, things: Things, tenant: str, who: str) -> Asked:
    """Somebody watches the stream, stays, or leaves."""
    feels = chance.random()
    if feels < 0.3 and things[tenant, "lease"]:
        holder, lease = chance.choice(things[tenant, "lease"][-20:])
        return holder, "heartbeat", {"leaseId": lease}
    if feels < 0.6 and (has := taken(chance, things, tenant, "lease")):
        return has[0], "leave", {"leaseId": has[1]}
    return who, "enter", {"kind": "STREAM", "ref": "e"}


def reserve(chance: random.Random, things: Things, tenant: str, who: str) -> Asked:
    """A studio requests spaces; they are approved, and given back in part or whole."""
    feels = chance.random()
    if feels < 0.35 and (has := taken(chance, things, tenant, "request")):
        return "ada", "approve", {"reservationId": has[1], "spacesConfirmed": chance.randint(5, 40)}
    if feels < 0.5 and things[tenant, "approval"]:
        _, approved = chance.choice(things[tenant, "approval"])
        return "ada", "refund", {"reservationId": approved, "spaces": chance.randint(1, 10)}
    if feels < 0.7 and (has := taken(chance, things, tenant, "approval")):
        return "ada", "cancelReservation", {"reservationId": has[1]}
    return "ada", "requestReservation", {"competitionId": "c", "studioId": who, "spacesRequested": 20}


def resize(chance: random.Random, things: Things, tenant: str, who: str) -> Asked:
    """A quota is changed."""
    pool, quota = chance.choice(list(QUOTAS.items()))
    kind, ref = pool.split(":")
    return (
        "ada",
        "setQuota",
        {"kind": kind.upper(), "ref": ref, "quota": quota + chance.randint(-quota // 4, quota // 4)},
    )


def look(chance: random.Random, things: Things, tenant: str, who: str) -> Asked:
    """Somebody looks how much is left."""
    kind, ref = chance.choice(list(QUOTAS)).split(":")
    return who, "capacity", {"kind": kind.upper(), "ref": ref}


MAKERS: dict[Maker, int] = {register: 25, order: 22, seat: 18, watch: 18, reserve: 14, resize: 3, look: 8}
