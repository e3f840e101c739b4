"""Tells webhooks what is new, in the order of each pool's versions, until they have said that they have it.

A message is sent only after the one before it in its pool was acknowledged. So whatever is sent twice, because a
gateway died or an answer was lost, the first time that each arrives is in order.
"""

import asyncio
import base64
import hmac
import random
import time
from dataclasses import replace
from typing import Any

import orjson
import structlog

from capacity_gateway.kernel import measures
from capacity_gateway.kernel.pools import Json, moment
from capacity_gateway.kernel.vocabulary import PoolKind
from capacity_gateway.kernel.webhooks import Failure, Lease, PoolNews, Webhooks
from capacity_gateway.posting import Poster

TICK_SECONDS = 0.25  # between two looks for webhooks that may have to be told something
NOTICE_ALL_SECONDS = 60.0  # between two looks at all pools, whatever the clocks say of when something was written
RETRY_SECONDS = 1.0  # while the database is away
WEBHOOKS_AT_ONCE = 64
POOLS_AT_ONCE = 8  # of a webhook, side by side
ENTRIES_AT_ONCE = 20  # of a pool, one after the other, before it is noted how far it has come
STATEMENTS_AT_ONCE = 2  # of the connections that reads have
PAUSE_MAX_SECONDS = 3600.0

log = structlog.get_logger()


class Deliveries:
    """Delivers to all webhooks; of several gateways one at a time to each, by a lease that a dead one lets go of."""

    def __init__(self, webhooks: Webhooks, poster: Poster, *, retry_seconds: float) -> None:
        self._webhooks = webhooks
        self._poster = poster
        self._lease_seconds = 2 * poster.timeout_seconds
        self._retry_seconds = retry_seconds
        self._tasks: dict[tuple[str, str], asyncio.Task[None]] = {}
        self._look_again: dict[tuple[str, str], float] = {}
        self._notice_all_at = 0.0
        self._statements = asyncio.Semaphore(STATEMENTS_AT_ONCE)

    async def run(self) -> None:
        """Look every tick for whom to tell, until cancelled; what is in flight then is noted as far as it has come."""
        try:
            while True:
                try:
                    await self.look()
                except Exception as error:  # noqa: BLE001 - nothing was told, so nothing is lost by looking again
                    log.warning("could not look for webhooks; trying again", reason=f"{type(error).__name__}: {error}")
                    await asyncio.sleep(RETRY_SECONDS)
                await asyncio.sleep(TICK_SECONDS)
        finally:
            tasks = list(self._tasks.values())
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def look(self) -> None:
        """Begin to deliver to every webhook that is due and that this process is not delivering to."""
        now = asyncio.get_running_loop().time()
        await self._webhooks.notice()
        if now >= self._notice_all_at:
            await self._webhooks.notice_all()
            self._notice_all_at = now + NOTICE_ALL_SECONDS
        due = await self._webhooks.due(WEBHOOKS_AT_ONCE)
        self._look_again = {key: at for key, at in self._look_again.items() if at > now}
        for key in due:
            if key not in self._tasks and key not in self._look_again and len(self._tasks) < WEBHOOKS_AT_ONCE:
                self._tasks[key] = asyncio.create_task(self._deliver(*key))

    async def _deliver(self, tenant: str, webhook_id: str) -> None:
        """Deliver to one webhook until it has been told all, or fails, or others have waited for their turn."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        try:
            async with self._statements:
                lease = await self._webhooks.lease(tenant, webhook_id, seconds=self._lease_seconds)
            while lease and await self._turn(lease, last=loop.time() > began + self._lease_seconds):
                lease = replace(lease, attempts=0)
        except Exception as error:  # noqa: BLE001 - what was not noted is delivered again
            reason = f"{type(error).__name__}: {error}"
            log.warning(
                "could not deliver to a webhook; trying again", tenant=tenant, webhook=webhook_id, reason=reason
            )
            self._look_again[tenant, webhook_id] = loop.time() + RETRY_SECONDS
        finally:
            del self._tasks[tenant, webhook_id]

    async def _turn(self, lease: Lease, *, last: bool) -> bool:
        """Deliver a page of what is new, and note how far it has come. Returns whether there may be more to do now."""
        ends = asyncio.get_running_loop().time() + self._poster.timeout_seconds
        async with self._statements:
            news = await self._webhooks.news(lease, pools=POOLS_AT_ONCE, size=ENTRIES_AT_ONCE)
        told: dict[str, int] = {}
        try:
            failures = await asyncio.gather(*(self._tell(lease, each, told, ends) for each in news))
        except asyncio.CancelledError:
            await self._webhooks.note(lease, told, lease_seconds=0)
            raise
        failure = next((each for each in failures if each), None)
        progress = any(each.entries and told[each.pool["id"]] >= each.entries[0]["version"] for each in news)
        attempts = 0 if failure is None else 1 if progress else lease.attempts + 1
        more = bool(news) and failure is None and not last
        async with self._statements:
            held = await self._webhooks.note(
                lease,
                told,
                lease_seconds=self._lease_seconds if more else 0,
                attempts=attempts,
                pause_seconds=self._pause_seconds(attempts) if failure else 0,
                failure=failure,
            )
        return more and held

    def _pause_seconds(self, attempts: int) -> float:
        """How long to wait after so many failures: twice as long after each, and never quite as long as others."""
        longest = min(self._retry_seconds * 2.0 ** min(attempts - 1, 30), PAUSE_MAX_SECONDS)
        return longest * random.uniform(0.5, 1)  # noqa: S311 - nobody gains by guessing it

    async def _tell(self, lease: Lease, news: PoolNews, told: dict[str, int], ends: float) -> Failure | None:
        """Send a pool's entries one after the other, until one fails or it is time to note how far it has come."""
        pool_id = news.pool["id"]
        told[pool_id] = news.entries[0]["version"] - 1 if news.entries else news.pool["version"]
        for entry in news.entries:
            if lease.reasons is None or entry["reason"] in lease.reasons:
                if asyncio.get_running_loop().time() > ends:
                    return None
                body = orjson.dumps(message(news.pool, entry))
                failure = await self._poster.post(lease.url, signed(lease.secret, entry["hash"], body), body)
                measures.WEBHOOK_DELIVERIES.labels(failure.reason.value if failure else "OK").inc()
                if failure:
                    return failure
            told[pool_id] = entry["version"]
        return None


def signed(secret: bytes, message_id: str, body: bytes) -> dict[bytes | str, bytes | str]:
    """The headers of a message, signed now, as Standard Webhooks has it."""
    sent_at = str(int(time.time()))
    signature = hmac.digest(secret, b".".join((message_id.encode(), sent_at.encode(), body)), "sha256")
    return {
        "content-type": "application/json",
        "user-agent": "capacity-gateway",
        "webhook-id": message_id,
        "webhook-timestamp": sent_at,
        "webhook-signature": f"v1,{base64.b64encode(signature).decode()}",
    }


def message(pool: Json, entry: Json) -> dict[str, Any]:
    """What is told of an entry: names are those of GraphQL's LedgerEntry, Pool and Claim."""
    quota, claim_id, until = entry["quota_after"], entry["claim_id"], entry["offered_until"]
    recorded_at = text_of(entry["recorded_at"])
    return {
        "type": f"capacity.{entry['reason'].lower()}",
        "timestamp": recorded_at,
        "data": {
            "entry": {
                "id": f"{pool['id']}/{entry['version']}",
                "version": entry["version"],
                "quotaChange": entry["quota_change"],
                "heldChange": entry["held_change"],
                "confirmedChange": entry["confirmed_change"],
                "reason": entry["reason"],
                "claimId": claim_id,
                "subject": entry["subject"],
                "note": entry["note"],
                "actor": entry["actor"],
                "effectiveAt": text_of(entry["effective_at"]),
                "recordedAt": recorded_at,
                "hash": entry["hash"],
            },
            "pool": {
                "id": pool["id"],
                "kind": PoolKind(pool["kind"]).name,
                "ref": pool["ref"],
                "title": pool["title"],
                "quota": quota,
                "held": entry["held"],
                "confirmed": entry["confirmed"],
                "available": None if quota is None else quota - entry["held"] - entry["confirmed"],
                "version": entry["version"],
            },
            "holder": entry["holder"],
            "offer": until and {"claimId": claim_id, "holder": entry["holder"], "expiresAt": text_of(until)},
        },
    }


def text_of(time_in_row: str) -> str:
    """A point in time as callers get it: with microseconds and an offset."""
    return moment(time_in_row).isoformat(timespec="microseconds")
