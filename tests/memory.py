"""The gateway's reads and changes with no database below them: rows by chance, the same for the same seed."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from random import Random
from typing import Any

import asyncpg
import orjson

from capacity_gateway.kernel.capacity import Capacity
from capacity_gateway.kernel.context import Caller, Context
from capacity_gateway.kernel.database import Database, NoConnection
from capacity_gateway.kernel.errors import Busy, Forbidden
from capacity_gateway.kernel.feed import Feed
from capacity_gateway.kernel.reads import Reads
from capacity_gateway.kernel.vocabulary import LedgerReason, PoolKind
from capacity_gateway.kernel.webhooks import Webhooks
from capacity_gateway.offers import Offers
from capacity_gateway.settings import Settings

TIME = "2026-11-24T07:30:00.5+00:00"
KINDS = [kind.value for kind in PoolKind]
Row = dict[str, Any]
SETTINGS = Settings(jwt_secret="a secret for tests, 32 bytes or more")  # noqa: S106 - of nothing


def pool_row(random: Random, pool_id: str) -> Row:
    """A pool; of a kind that its id says, or any."""
    kind, _, ref = pool_id.partition(":")
    return {
        "id": pool_id,
        "kind": kind if kind in KINDS else random.choice(KINDS),
        "ref": ref or pool_id,
        "title": random.choice(["A title", None]),
        "quota": random.choice([100, None]),
        "oversell_max": 0,
        "held": random.randrange(5),
        "confirmed": random.randrange(5),
        "version": random.randrange(9),
        "waitlist": random.random() < 0.5,
        "waiting": 1,
        "offered": 0,
        "opening_quota": random.choice([100, None]),
        "opened_at": TIME,
        "closed_at": random.choice([TIME, None]),
        "as_of": TIME,
        "parent_id": random.choice(["event:e", None]),
        "due": False,
        "facts": {"owner_id": "olga"},
    }


def claim_row(random: Random, claim_id: str) -> Row:
    """A claim."""
    return {
        "id": claim_id,
        "holder": random.choice(["ann", "olga"]),
        "subject": random.choice(["a subject", None]),
        "quantity": random.randrange(1, 9),
        "state": random.choice(["waiting", "held", "confirmed", "released", "expired"]),
        "position": random.choice([None, 1]),
        "expires_at": random.choice([TIME, None]),
        "since": TIME,
        "pool_id": f"{random.choice(KINDS)}:e",
        "title": random.choice(["Ann", None]),
        "stage": random.choice(["CONFIRMED", "PENDING", None]),
        "facts": random.choice([{}, {"ticket_code": "CODE"}]),
        "offered": False,
        "created_at": TIME,
        "confirmed_at": random.choice([TIME, None]),
    }


def entry_row(random: Random, pool_id: str) -> Row:
    """A ledger entry."""
    return {
        "pool_id": pool_id,
        "version": random.randrange(1, 9),
        "quota_change": 0,
        "held_change": random.randrange(-2, 3),
        "confirmed_change": random.randrange(-2, 3),
        "quota_after": random.choice([100, None]),
        "held_after": 1,
        "confirmed_after": 2,
        "reason": random.choice([reason.value for reason in LedgerReason]),
        "claim_id": random.choice(["c", None]),
        "subject": random.choice(["s", None]),
        "subject_title": random.choice(["Ann", None]),
        "note": random.choice(["a note", None]),
        "actor": random.choice(["ann", None]),
        "idempotency_key": random.choice(["k", None]),
        "effective_at": TIME,
        "recorded_at": TIME,
        "hash": "00",
    }


def reconciliation_row(random: Random, pool_id: str) -> Row:
    """A reconciliation, right or wrong."""
    numbers = ["held", "confirmed", "held_sum", "confirmed_sum", "held_by_claims", "confirmed_by_claims"]
    places = ["gap_at", "repeated_at", "hash_broken_at", "balance_broken_at"]
    orphan = {"id": "c", "subject": None, "missing": 2, "confirmed_at": None, "since": TIME}
    return {
        "id": pool_id,
        "quota": random.choice([100, None]),
        "opening_quota": 100,
        "quota_sum": 0,
        "version": 3,
        "last_version": random.choice([2, 3]),
        "entries": 3,
        "orphans": random.choice([[], [orphan]]),
        **{name: random.randrange(2) for name in numbers},
        **{name: random.choice([None, 2]) for name in places},
    }


def snapshot_row(random: Random, _: str) -> Row:
    """A pool at an instant."""
    return {"time": TIME, "version": 1, "quota": random.choice([1, None]), "held": 1, "confirmed": 0}


def webhook_row(random: Random, webhook_id: str) -> Row:
    """A webhook, as it fares."""
    return {
        "id": webhook_id,
        "url": "https://example.org/",
        "kinds": random.choice([KINDS, [], None]),
        "reasons": random.choice([["OFFER"], None]),
        "created_at": TIME,
        "pending": random.choice([0, 2**40]),
        "oldest_at": random.choice([TIME, None]),
        "attempts": random.choice([0, 3]),
        "next_attempt_at": TIME,
        "failing_since": random.choice([TIME, None]),
        "last_failure": random.choice(["STATUS", None]),
        "last_status": random.choice([500, None]),
        "disabled_at": random.choice([TIME, None]),
    }


MAKERS: dict[str, Callable[[Random, str], Any]] = {
    "pools": pool_row,
    "claims": claim_row,
    "entries": entry_row,
    "activity": entry_row,
    "reconciliations": reconciliation_row,
    "pools_at": snapshot_row,
    "webhooks": webhook_row,
    "known": lambda _random, _key: True,
}


class RowsInMemory(Reads):
    """Reads that get their rows by chance, through the same dataloaders."""

    def __init__(self, seed: str, capacity: Capacity) -> None:
        super().__init__(Database(None), capacity, "tenant")  # type: ignore[arg-type]
        self._seed = seed
        self.log: list[str] = []

    async def _rows(self, query: str, **arguments: Any) -> list[tuple[str, Any]]:
        self.log.append(f"{query} {arguments}")
        random = Random(f"{self._seed} {query} {arguments}")  # noqa: S311 - repeated by its seed
        if random.random() < 0.06:
            raise random.choice([Busy(), Forbidden(), ValueError("a bug")])
        word = query if query in MAKERS else query.partition("_")[0]
        make = MAKERS["claims" if "claim" in query and word != "entries" else word]
        many = random.randrange(4)
        keys = arguments.get("ids") or [f"{random.choice(KINDS)}:{number}" for number in range(many)]
        single = query in ("pools", "claims", "pools_at", "reconciliations", "live_claims", "last_claims")
        return [(key, make(random, key)) for key in keys for _ in range(random.random() < 0.9 if single else many)]


class OutcomesInMemory(Database):
    """A database that answers commands by chance."""

    def __init__(self, seed: str) -> None:
        super().__init__(None)  # type: ignore[arg-type]
        self._seed = seed

    @asynccontextmanager
    async def connection(self, *, wait_seconds: float = 0.25) -> AsyncIterator[Any]:  # noqa: ARG002
        """There is none."""
        raise NoConnection
        yield

    async def apply(self, tenant: str, commands: str, *, historic: bool = False) -> list[str]:  # noqa: ARG002
        """As many outcomes as commands: done, refused, or none for want of a connection."""
        random = Random(self._seed)  # noqa: S311 - same
        if random.random() < 0.1:
            raise random.choice([NoConnection(), asyncpg.LockNotAvailableError()])
        detail = {
            "requested": 2,
            "available": 1,
            "judged_version": 3,
            "cause": "HELD",
            "earliest_release_at": random.choice([TIME, None]),
            "expired_at": TIME,
            "first_seen_at": TIME,
            "missing": "x:y",
            "state": "confirmed",
            "overbooked_by": 0,
        }
        code = random.choice(["OK", "OK", "OK", "DONE", "INSUFFICIENT", "NOT_FOUND", "CONFLICT", "HOLD_EXPIRED"])
        rows = [
            {
                "code": code,
                "replayed": code == "DONE",
                "as_of": TIME,
                "detail": detail,
                "pool": pool_row(random, "event:e"),
                "claim": claim_row(random, "c"),
                "entries": [entry_row(random, "event:e") for _ in range(random.randrange(3))],
            }
            for _ in orjson.loads(commands)
        ]
        return [orjson.dumps(row).decode() for row in rows]


def context(seed: str) -> Context:
    """A request of somebody, to whom chance answers."""
    database = OutcomesInMemory(seed)
    capacity = Capacity(database, deadline_seconds=3)
    random = Random(seed)  # noqa: S311 - same
    role = random.choice(["admin", "organizer", "director", None])
    caller = Caller(
        tenant="tenant",
        holder=random.choice(["olga", "olga", "olga", None]),
        role=role,
        names=dict.fromkeys(PoolKind, "olga"),
        audits=frozenset(PoolKind) if role == "admin" else frozenset(),
        governs=frozenset(PoolKind) if role in ("admin", "organizer") else frozenset(),
    )
    return Context(
        caller=caller,
        capacity=capacity,
        reads=RowsInMemory(seed, capacity),
        feed=Feed(database, capacity),
        offers=Offers(SETTINGS),
        webhooks=Webhooks(database, SETTINGS.webhook_key(), anywhere=False),
        lease_seconds=45,
    )
