"""Asks `capacity.apply` itself: commands go in as plain data, and outcomes come out as plain data."""

from typing import Any

import orjson

from capacity_gateway.kernel.database import Database

Json = dict[str, Any]

TENANT = "00000000-0000-0000-0000-000000000001"
"""Whose everything is, where a test says nothing else; the gateway's own default."""

POOL = "competition:p"
OTHER = "competition:q"


async def ask(database: Database, *commands: Json, tenant: str = TENANT, historic: bool = False) -> list[Json]:
    """The outcomes of one batch, one for each command."""
    rows = await database.apply(tenant, orjson.dumps(commands).decode(), historic=historic)
    return [orjson.loads(row) for row in rows]


async def ask_one(database: Database, command: Json, *, tenant: str = TENANT, historic: bool = False) -> Json:
    """The outcome of a command sent alone."""
    (outcome,) = await ask(database, command, tenant=tenant, historic=historic)
    return outcome


def codes(outcomes: list[Json]) -> list[str]:
    """The codes of a batch's outcomes."""
    return [outcome["code"] for outcome in outcomes]


def numbers(outcome: Json) -> dict[str, int | None]:
    """The numbers of an outcome's pool that commands move."""
    return {name: outcome["pool"][name] for name in ("quota", "held", "confirmed", "version")}


def changes(outcome: Json) -> list[tuple[int, int, int, int]]:
    """Of each of an outcome's entries: the version, and what it did to the quota, to held and to confirmed."""
    names = ("version", "quota_change", "held_change", "confirmed_change")
    return [tuple(entry[name] for name in names) for entry in outcome["entries"]]


def keyed(command: Json, key: str, **attribution: Any) -> Json:
    """A command under a key; its text is its fingerprint."""
    fingerprint = orjson.dumps(command).decode()
    return command | {"operation": "test", "key": key, "fingerprint": fingerprint} | attribution


def linked(*commands: Json, request: int = 1) -> list[Json]:
    """Commands of one request: all or none."""
    return [command | {"request": request} for command in commands]


def define(quota: int | None, pool: str = POOL, **more: Any) -> Json:
    """Make a pool."""
    definition = {"quota": quota, **more}
    return _of_pool("define", pool) | {"quota": quota, "definition": definition} | more


def resize(quota: int | None = None, pool: str = POOL, **more: Any) -> Json:
    """Change a pool's quota."""
    return _of_pool("resize", pool) | {"quota": quota, "reason": "QUOTA_CHANGE"} | more


def close(pool: str = POOL) -> Json:
    """Let nobody in."""
    return _of_pool("close", pool) | {"reason": "CLOSE"}


def reopen(pool: str = POOL) -> Json:
    """Let people in again."""
    return _of_pool("open", pool) | {"reason": "OPEN"}


def expire(pool: str = POOL) -> Json:
    """Settle what is due."""
    return _of_pool("expire", pool)


def wait(claim: str, quantity: int, pool: str | None = POOL, **more: Any) -> Json:
    """Ask for capacity without taking any."""
    return _new_claim("wait", claim, quantity, pool) | more


def hold(
    claim: str, quantity: int | None = None, pool: str | None = POOL, ttl_seconds: float = 60, **more: Any
) -> Json:
    """Take for a while."""
    return _new_claim("hold", claim, quantity, pool) | {"ttl_seconds": ttl_seconds, "reason": "HOLD"} | more


def take(claim: str, quantity: int | None = None, pool: str | None = POOL, **more: Any) -> Json:
    """Take for good; without a pool, what the claim waits for."""
    return _new_claim("take", claim, quantity, pool) | {"reason": "RESERVATION_APPROVAL"} | more


def confirm(claim: str, quantity: int | None = None, **more: Any) -> Json:
    """Make a hold final, or a part of it."""
    return _of_claim("confirm", claim) | {"quantity": quantity, "reason": "CONFIRM"} | more


def release(claim: str, quantity: int | None = None, **more: Any) -> Json:
    """Give back all, or so many."""
    return _of_claim("release", claim) | {"quantity": quantity, "reason": "RELEASE"} | more


def release_elsewhere(holder: str, pool: str, **more: Any) -> Json:
    """Give back what a holder has in force outside of a pool."""
    named = {"verb": "release", "kind": "competition", "reason": "RELEASE", "holder": holder, "outside_pool_id": pool}
    return named | more


def touch(claim: str, ttl_seconds: float = 60, **more: Any) -> Json:
    """Move a hold's expiry."""
    return _of_claim("touch", claim) | {"ttl_seconds": ttl_seconds} | more


def adjust(claim: str, quantity: int | None = None, **more: Any) -> Json:
    """Bring a claim to a quantity."""
    reasons = {"reason": "ADJUSTMENT_INCREASE", "other_reason": "ADJUSTMENT_DECREASE"}
    return _of_claim("adjust", claim) | {"quantity": quantity} | reasons | more


def move(claim: str, to: str = OTHER, **more: Any) -> Json:
    """Take a claim to another pool."""
    return _of_claim("move", claim) | {"to_pool_id": to, "reason": "MOVE_OUT", "other_reason": "MOVE_IN"} | more


def stage(claim: str, **more: Any) -> Json:
    """Change a claim's stage or facts."""
    return _of_claim("stage", claim) | more


def backfill(claim: str) -> Json:
    """Write the entry that a claim lacks."""
    return _of_claim("backfill", claim) | {"reason": "BACKFILL"}


def refuse(field: str, message: str) -> Json:
    """Remember a refusal."""
    return {"verb": "refuse", "definition": {"field": field, "message": message}}


def _of_pool(verb: str, pool: str) -> Json:
    return {"verb": verb, "kind": "competition", "pool_id": pool}


def _of_claim(verb: str, claim: str) -> Json:
    return {"verb": verb, "kind": "competition", "claim_id": claim}


def _new_claim(verb: str, claim: str, quantity: int | None, pool: str | None) -> Json:
    return _of_claim(verb, claim) | {"holder": f"holder of {claim}", "quantity": quantity, "pool_id": pool}
