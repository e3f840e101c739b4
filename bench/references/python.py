"""Strawberry with its caches of parsed and validated documents at /graphql, and bare Starlette at /bare.

Both answer from memory, without login or limits of their own:

    python -m bench.references.python PORT
"""

import sys
from enum import Enum
from typing import Annotated

import strawberry
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from strawberry.asgi import GraphQL
from strawberry.extensions import ParserCache, ValidationCache

NOW = "2026-11-24T11:13:21.068741+00:00"
CLAIM_ID = "5f0c1b7e-50f0-4a3c-9a55-1f0a64a0b9d1"


@strawberry.enum
class PoolKind(Enum):
    """Of what kind."""

    EVENT = "event"


@strawberry.enum
class LedgerReason(Enum):
    """Why."""

    JOIN = "JOIN"


@strawberry.enum
class RegistrationStatus(Enum):
    """How far."""

    CONFIRMED = "CONFIRMED"


@strawberry.enum
class RetryAdvice(Enum):
    """Whether again."""

    NEVER = "NEVER"


@strawberry.type
class LedgerEntry:
    """An entry."""

    id: strawberry.ID
    version: int
    available_after: int
    change: int = -1
    quota_change: int = 0
    held_change: int = 0
    confirmed_change: int = 1
    reason: LedgerReason = LedgerReason.JOIN
    subject: strawberry.ID | None = strawberry.ID(CLAIM_ID)
    actor: strawberry.ID | None = strawberry.ID("bench")
    effective_at: str = NOW
    recorded_at: str = NOW
    hash: str = "77cdfac464ff65bf141e913c2591e86b287ac9c76262019cfafef7ffe1064233"


@strawberry.type
class LedgerEntryEdge:
    """An entry, and where it stands."""

    cursor: str
    node: LedgerEntry


@strawberry.type
class PageInfo:
    """What more there is."""

    has_next_page: bool
    end_cursor: str | None


@strawberry.type
class LedgerEntryConnection:
    """A page."""

    edges: list[LedgerEntryEdge]
    page_info: PageInfo


ENTRIES = [
    LedgerEntry(id=strawberry.ID(f"event:hot/{version}"), version=version, available_after=1_000_000 - version)
    for version in range(100, 0, -1)
]
EDGES = [LedgerEntryEdge(cursor=str(entry.version), node=entry) for entry in ENTRIES]


@strawberry.type
class Pool:
    """A pool."""

    id: strawberry.ID
    available: int
    version: int

    @strawberry.field
    def ledger(self, first: int) -> LedgerEntryConnection:
        """Its latest entries."""
        return LedgerEntryConnection(edges=EDGES[:first], page_info=PageInfo(has_next_page=False, end_cursor="1"))


@strawberry.type
class Registration:
    """A registration."""

    id: strawberry.ID
    status: RegistrationStatus
    ticket_code: str


@strawberry.type
class RegistrationSuccess:
    """It is done."""

    replayed: bool
    registration: Registration
    pool: Pool
    entries: list[LedgerEntry]


@strawberry.interface
class CapacityError:
    """Why not."""

    code: str
    message: str
    retry: RetryAdvice
    retry_after_ms: int | None


@strawberry.type
class InsufficientCapacityError(CapacityError):
    """No room."""

    requested: int
    available: int
    judged_version: int | None


@strawberry.type
class NotFoundError(CapacityError):
    """Nothing there."""


RegisterResult = Annotated[
    RegistrationSuccess | InsufficientCapacityError | NotFoundError, strawberry.union("RegisterResult")
]
POOL = Pool(id=strawberry.ID("event:hot"), available=999_900, version=100)
REGISTRATION = Registration(id=strawberry.ID(CLAIM_ID), status=RegistrationStatus.CONFIRMED, ticket_code="ZWILPV2BYV")


@strawberry.input
class RegisterInput:
    """Who wants in."""

    event_id: strawberry.ID
    holder: strawberry.ID | None = None
    idempotency_key: str | None = None


@strawberry.type
class Query:
    """What can be asked."""

    @strawberry.field
    async def capacity(self, kind: PoolKind, ref: strawberry.ID) -> Pool | None:  # noqa: ARG002
        """The pool."""
        return POOL


@strawberry.type
class Mutation:
    """What can be done."""

    @strawberry.mutation
    async def register(self, input: RegisterInput) -> RegisterResult | None:  # noqa: A002, ARG002
        """Register."""
        return RegistrationSuccess(replayed=False, registration=REGISTRATION, pool=POOL, entries=ENTRIES[:1])


BARE = {
    "data": {
        "register": {
            "__typename": "RegistrationSuccess",
            "replayed": False,
            "registration": {"id": CLAIM_ID, "status": "CONFIRMED", "ticketCode": "ZWILPV2BYV"},
            "pool": {"id": "event:hot", "available": 999_900, "version": 100},
            "entries": [{"version": 100, "change": -1, "reason": "JOIN", "availableAfter": 999_900}],
        }
    }
}


async def bare(request: Request) -> JSONResponse:
    """Reads JSON, answers JSON: as little as a Starlette endpoint can do."""
    await request.json()
    return JSONResponse(BARE)


schema = strawberry.Schema(Query, Mutation, extensions=[ParserCache, ValidationCache])
app = Starlette(routes=[Route("/graphql", GraphQL[None, None](schema)), Route("/bare", bare, methods=["POST"])])

if __name__ == "__main__":
    uvicorn.run(app, port=int(sys.argv[1]), log_level="warning", access_log=False)
