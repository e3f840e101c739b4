"""People at an event, who ask the gateway in GraphQL for what is limited there."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from functools import cache
from typing import Any

import asyncpg
import pytest
from graphql import GraphQLSchema, GraphQLUnionType, get_named_type

from capacity_gateway.schema import schema
from conftest import Gateway, running
from invariants import check_invariants

Answer = dict[str, Any]
Do = Callable[..., Coroutine[Any, Any, Answer]]

LOGINS: dict[str, dict[str, str]] = {
    "olga": {"role": "organizer"},
    "otto": {"role": "organizer"},
    "orla": {"role": "organizer", "orgId": "org"},
    "ada": {"role": "admin"},
    "service": {"role": "service"},
    "eve": {"tenant": "elsewhere"},
    "erin": {"tenant": "elsewhere", "role": "admin"},
}
"""What is special about some people's logins; everybody else is an attendee."""

POOL = "pool { id quota held confirmed available version waitlist { waiting offered } }"
CLAIM = "claim { id holder quantity state position expiresAt }"
FIELDS = {
    "RegistrationSuccess": "registration { id holder status ticketCode event { id } }",
    "OrderSuccess": "order { id status expiresAt event { id } lines { quantity ticketType { id } } }",
    "SessionJoined": f"session {{ id }} {CLAIM}",
    "SessionWaiting": f"session {{ id }} {CLAIM}",
    "SessionLeft": "session { id }",
    "BoothEntered": f"booth {{ id }} {CLAIM}",
    "BoothQueued": f"booth {{ id }} {CLAIM}",
    "BoothLeft": "booth { id }",
    "LeaseSuccess": CLAIM,
    "InsufficientCapacityError": f"{POOL} judgedVersion requested available cause earliestReleaseAt "
    "shortfalls { pool { id } requested available }",
    "HoldExpiredError": f"{POOL} expiredAt",
    "IdempotencyConflictError": "firstSeenAt",
    "InvalidInputError": "field",
    "InvalidTransitionError": f"{POOL} from attempted allowed",
    "NotEligibleError": "requirement",
    "NotFoundError": "ref",
    "PerHolderLimitError": f"{POOL} limit current",
    "PoolClosedError": f"{POOL} opensAt",
    "QuotaBelowUseError": f"{POOL} inUse requestedQuota",
}


@cache
def built() -> GraphQLSchema:
    """The schema, as GraphQL knows it."""
    return schema()._schema  # noqa: SLF001 - Strawberry has no other way to it


def members(operation: str) -> set[str]:
    """The names of what a mutation's union may be."""
    mutations = built().mutation_type
    assert mutations is not None
    union = get_named_type(mutations.fields[operation].type)
    assert isinstance(union, GraphQLUnionType)
    return {member.name for member in union.types}


@cache
def document(operation: str) -> str:
    """A mutation that selects all that a test may ask about."""
    mutations = built().mutation_type
    assert mutations is not None
    given = mutations.fields[operation].args["input"].type
    parts = "\n".join(f"... on {name} {{ {FIELDS[name]} }}" for name in sorted(members(operation) & FIELDS.keys()))
    return f"""
    mutation ($input: {given}) {{
      {operation}(input: $input) {{
        __typename
        ... on CapacityChange {{ replayed {POOL} entries {{ version reason change pool {{ id }} }} }}
        ... on CapacityError {{ code message retry replayed }}
        {parts}
      }}
    }}"""


def people(gateway: Gateway) -> Do:
    """How people do a mutation: do("ann", "joinSession", sessionId="s"), or None for who has no login."""

    async def do(who: str | None, operation: str, **given: Any) -> Answer:
        claims = LOGINS.get(who or "", {})
        headers = {} if who is None else gateway.login(who, **{"role": None, **claims})
        answer = await gateway.post(document(operation), {"input": given}, headers)
        if "errors" in answer:
            code = answer["errors"][0]["extensions"]["code"]
            assert code in ("FORBIDDEN", "UNAUTHENTICATED", "BUSY"), answer["errors"]
            return {"__typename": code}
        value: Answer = answer["data"][operation]
        return value

    return do


@pytest.fixture
def do(gateway: Gateway) -> Do:
    """How people do a mutation."""
    return people(gateway)


@pytest.fixture
async def patient(owner_url: str) -> AsyncIterator[Do]:
    """How people do a mutation where a lease lasts for hours, however long the test takes."""
    async with running(owner_url, heartbeat_seconds=3600) as gateway:
        yield people(gateway)


@pytest.fixture
async def event(do: Do) -> str:
    """Olga's event `e`, without a limit of its own, with a stream for two."""
    assert_made(await do("olga", "createEvent", id="e", name="E", streamQuota=2))
    return "e"


@pytest.fixture
async def balanced(owner: asyncpg.Connection) -> AsyncIterator[None]:
    """After the test counters, ledgers and claims agree, and nothing is oversold."""
    yield
    assert await check_invariants(owner) == []


def assert_made(answer: Answer) -> None:
    """Fails unless a pool was made."""
    assert answer["__typename"] == "PoolSuccess", answer


def names(answers: list[Answer]) -> list[str]:
    """Which member of the union each answer is."""
    return [answer["__typename"] for answer in answers]


async def crowd(size: int, call: Callable[[str], Coroutine[Any, Any, Answer]]) -> tuple[list[Answer], list[Answer]]:
    """So many people ask at once, and again while the gateway is busy: who got it, and who did not.

    BUSY means that it was done, or refused, and that what was asked for besides could not be read in time.
    """

    async def insist(who: str) -> Answer:
        while (answer := await call(who))["__typename"] in ("GatewayBusyError", "BUSY"):  # noqa: ASYNC110 - no event tells when it is over
            await asyncio.sleep(0.25)
        return answer

    answers = await asyncio.gather(*(insist(f"p{number}") for number in range(size)))
    return [a for a in answers if "replayed" in a and "code" not in a], [a for a in answers if "code" in a]


async def lapse(owner: asyncpg.Connection, holder: str, seconds: float = 1_000_000) -> None:
    """So much of the time of somebody's holds has passed."""
    await owner.execute(
        "UPDATE capacity.claim SET expires_at = expires_at - make_interval(secs => $2) "
        "WHERE holder = $1 AND state = 'held'",
        holder,
        seconds,
    )
