"""Judges a history by what it has left behind: each sentence begins with the guarantee that it falsifies."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import asyncpg

from capacity_gateway.kernel.database import APPLICATION_ROLE
from torture.clients import QUOTAS, TENANTS, Call, History, Json
from waiting import ENTRIES, OFFERS, had_two, passed_over

LEDGER = """
SELECT tenant_id, pool_id || '/' || version AS id, pool_id, version, quota_after, held_after, confirmed_after,
    operation, idempotency_key, hash, extract(epoch FROM recorded_at)::float8 AS recorded_at
FROM capacity.ledger ORDER BY tenant_id, pool_id, version
"""
ANSWERS = "SELECT tenant_id, operation, key FROM capacity.idempotency"
CHAINS = """
SELECT p.tenant_id, p.id, v.faults FROM capacity.pool AS p
CROSS JOIN LATERAL capacity.verify(p, capacity.first_checkpoint(p, NULL), p.version) AS v
WHERE v.faults <> '[]'
"""
CLOCK_SECONDS = 0.002  # time.time and clock_timestamp are of one clock, rounded differently

Key = tuple[str, str, str]


@dataclass
class Left:
    """What is in the database at the end."""

    ledger: dict[tuple[str, str], Json]
    """By tenant, and pool and version as GraphQL gives them."""
    answers: set[Key]
    wrong: list[str]
    """What can be told without a history: S2 by the chain of hashes, S12 by the queues."""


async def left_behind(owner: asyncpg.Connection) -> Left:
    """Read what is in the database."""
    wrong = [f"S2: the chain of {dict(row)} is broken" for row in await owner.fetch(CHAINS)]
    for tenant in TENANTS:
        async with owner.transaction():
            await owner.execute(f"SET LOCAL ROLE {APPLICATION_ROLE}")
            await owner.execute("SELECT set_config('capacity.tenant', $1, true)", tenant)
            offers, entries = [
                [row for row in await owner.fetch(query) if row["pool_id"] == "session:s"]
                for query in (OFFERS, ENTRIES)
            ]
            wrong += [f"S12: {sentence}" for sentence in (*passed_over(offers), *had_two(entries))]
    rows = await owner.fetch(LEDGER)
    ledger = {(row["tenant_id"], row["id"]): dict(row) for row in rows}
    return Left(ledger, {tuple(row) for row in await owner.fetch(ANSWERS)}, wrong)


def judge(history: History, left: Left) -> list[str]:
    """All that is wrong."""
    calls = [call for call in history.calls if call.answer]
    return [
        *left.wrong,
        *(f"G2: {sentence}" for sentence in history.unexpected),
        *(f"L4: {call.operation} {call.key} was never answered" for call in history.doubtful),
        *within_quota(left),
        *told_is_there(calls, left),
        *there_is_told(history, left),
        *same_again(calls),
        *refusals_are_true(calls, left),
        *numbers_are_true(calls, left),
        *time_goes_forward(calls, left),
        *all_or_none(calls),
    ]


def within_quota(left: Left) -> Iterator[str]:
    """S1, at every version: nobody overbooks here."""
    for entry in left.ledger.values():
        if entry["held_after"] + entry["confirmed_after"] > entry["quota_after"]:
            yield f"S1: {entry['tenant_id']} {entry['id']} is above the quota"


def told_is_there(calls: list[Call], left: Left) -> Iterator[str]:
    """S6: what was told is in the ledger, and as it was told."""
    for call in calls:
        for told in call.answer.get("entries", []):
            entry = left.ledger.get((call.tenant, told["id"]))
            if entry is None or entry["hash"] != told["hash"]:
                yield f"S6: {call.operation} {call.key} was told {told['id']}, which is not there"


def there_is_told(history: History, left: Left) -> Iterator[str]:
    """S3 and S7: what is in the ledger under a key was asked for, told once, and not told before to be not applied."""
    asked = {(call.tenant, call.operation, call.key): call for call in history.calls if call.first is None and call.key}
    for (tenant, operation, key), call in asked.items():
        if call.surely_not_applied and (tenant, operation, key) in left.answers:
            yield f"S7: {operation} {key} was told to be not applied, and has an answer"
    for entry in left.ledger.values():
        if entry["idempotency_key"] is None:
            continue
        by = asked.get((entry["tenant_id"], entry["operation"], entry["idempotency_key"]))
        if by is None:
            yield f"S7: nobody asked for {entry['id']}"
        elif by.surely_not_applied:
            yield f"S7: {by.operation} {by.key} was told to be not applied, and {entry['id']} is there"
        elif entry["recorded_at"] < by.denied_at - CLOCK_SECONDS:
            yield f"S7: {entry['id']} was there when {by.operation} {by.key} was told to be not applied"
        elif entry["id"] not in {told["id"] for told in by.answer.get("entries", [])}:
            yield f"S3 or S7: {entry['id']} is there, and {by.operation} {by.key} was answered by {by.answer}"


def same_again(calls: list[Call]) -> Iterator[str]:
    """S4 and S5: the same is answered by the same, and anything else under the key by a conflict."""
    for call in calls:
        if call.first is None or not call.first.answer:
            continue
        if call.who != call.first.who:
            if call.answer["__typename"] != "IdempotencyConflictError":
                yield f"S5: {call.operation} {call.key} of another was answered by {call.answer}"
        elif lasting(call.answer) != lasting(call.first.answer) or not call.answer["replayed"]:
            yield f"S4: {call.operation} {call.key} was answered by {call.first.answer}, then by {call.answer}"


def lasting(answer: Json) -> Json:
    """What of an answer stays as it was: not the pool, which is shown as it is by then."""
    return {name: value for name, value in answer.items() if name not in ("pool", "replayed", "reservation")}


def refusals_are_true(calls: list[Call], left: Left) -> Iterator[str]:
    """S8: the version that a refusal names had the number that it names, and that was too few."""
    for call in calls:
        answer = call.answer
        if answer["__typename"] == "InsufficientCapacityError":
            for short in answer["shortfalls"]:
                pool, version = short["pool"]["id"], short["judgedVersion"]
                was = numbers_at(left, call.tenant, pool, version)
                available = None if was is None else was[0] - was[1] - was[2]
                queued = "others wait" in answer["message"]
                if short["available"] != available or (short["requested"] <= short["available"] and not queued):
                    yield f"S8: {call.operation} {call.key} was told {short}, and it was {available}"
        elif answer["__typename"] == "QuotaBelowUseError":
            was = numbers_at(left, call.tenant, answer["pool"]["id"], answer["pool"]["version"])
            fits = answer["requestedQuota"] >= answer["inUse"]
            if fits or (not answer["replayed"] and (was is None or was[1] + was[2] != answer["inUse"])):
                yield f"S8: {call.operation} {call.key} was told {answer}, and it was {was}"


def numbers_are_true(calls: list[Call], left: Left) -> Iterator[str]:
    """S2: a pool that is shown has the numbers of its version."""
    for call, pool in pools_shown(calls):
        was = numbers_at(left, call.tenant, pool["id"], pool["version"])
        if was != (pool["quota"], pool["held"], pool["confirmed"]):
            yield f"S2 or S6: {call.operation} {call.key} was shown {pool}, and it was {was}"


def numbers_at(left: Left, tenant: str, pool: str, version: int) -> tuple[int, int, int] | None:
    """The quota, held and confirmed of a version; None where there is no such version."""
    if version == 0:
        return QUOTAS[pool], 0, 0
    entry = left.ledger.get((tenant, f"{pool}/{version}"))
    return None if entry is None else (entry["quota_after"], entry["held_after"], entry["confirmed_after"])


def time_goes_forward(calls: list[Call], left: Left) -> Iterator[str]:
    """S9: who asked after another was answered is shown no older version; an entry is made while it is asked for."""
    shown = defaultdict(list)
    for call, pool in pools_shown(calls):
        shown[call.tenant, pool["id"]].append((call.sent_at, call.heard_at, pool["version"]))
    for (tenant, pool), seen in shown.items():
        ends = sorted((heard, version) for _, heard, version in seen)
        newest, next_end = 0, 0
        for sent, _, version in sorted(seen):
            while ends[next_end][0] < sent:
                newest = max(newest, ends[next_end][1])
                next_end += 1
            if version < newest:
                yield f"S9: {tenant} {pool} was shown at {version} after it had been shown at {newest}"
    for call in calls:
        for told in call.answer.get("entries", []):
            entry = left.ledger.get((call.tenant, told["id"]))
            if call.first or entry is None or told["idempotencyKey"] != call.key or call.key is None:
                continue
            if not call.began_at - CLOCK_SECONDS <= entry["recorded_at"] <= call.heard_at + CLOCK_SECONDS:
                yield f"S9: {told['id']} was not made while {call.operation} {call.key} was asked for"


def pools_shown(calls: list[Call]) -> Iterator[tuple[Call, Json]]:
    """Every pool that was shown, whole, and in which answer."""
    for call in calls:
        pool: Any = call.answer if call.operation == "capacity" else call.answer.get("pool")
        if pool:
            yield call, pool


def all_or_none(calls: list[Call]) -> Iterator[str]:
    """S10: an order has an entry for each of its lines and one of its event, or there is none."""
    for call in calls:
        if call.operation == "holdTickets" and call.answer["__typename"] == "OrderSuccess":
            pools = {told["id"].partition("/")[0] for told in call.answer["entries"]}
            if pools != {"event:e", *(f"ticket_type:{line['ticketTypeId']}" for line in call.given["lines"])}:
                yield f"S10: {call.operation} {call.key} has entries in {pools} only"
