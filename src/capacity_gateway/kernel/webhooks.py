"""Webhooks: who is told of changes at a URL of his own, and how far he has been told.

The ledger is the list of what is to be told. A webhook is a row, and a version for each pool up to which it has been
told everything; nothing is lost by being late.
"""

import base64
import hmac
from collections.abc import AsyncIterator, Awaitable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Self, TypeVar
from urllib.parse import urlsplit

import orjson
import strawberry

from capacity_gateway.kernel.database import CONNECTION_LOST, NOT_APPLIED, QUERIES, Connection, Database, NoConnection
from capacity_gateway.kernel.outcomes import BusyOutcome, GatewayBusyError, busy
from capacity_gateway.kernel.pools import Json, moment, moment_or_none
from capacity_gateway.kernel.vocabulary import LedgerReason, PoolKind

WEBHOOKS_MAX = 10  # of a tenant: each is noted and told by itself
POOLS_AT_ONCE = 5000  # looked at in one transaction: 0.1 s
REWIND_SECONDS = 60  # at most, for a webhook to be put elsewhere; nobody delivers to it meanwhile
GIVE_UP_SECONDS = 5 * 86_400  # of nothing but failures, before a webhook is disabled
LONGEST_URL = 2000

Answer = TypeVar("Answer")


@strawberry.enum
class WebhookFailure(Enum):
    """Why something could not be delivered."""

    STATUS = "STATUS"
    """It was answered with another status than 200 to 299."""
    TIMEOUT = "TIMEOUT"
    """It was not answered in time."""
    CONNECTION = "CONNECTION"
    """There was no connection: no such name, nobody listens, a certificate that does not hold."""
    ADDRESS = "ADDRESS"
    """The name leads to an address that is not public."""


@strawberry.type
class Webhook:
    """A URL that is told of every change."""

    id: strawberry.ID
    """As it was given."""
    url: str
    """Where to."""
    kinds: list[PoolKind] | None
    """Of which pools; null = all."""
    reasons: list[LedgerReason] | None
    """Which entries; null = all."""
    created_at: datetime
    """When it was made."""
    pending: int
    """How many entries of these pools are still to be told, or to be passed over for their reasons."""
    oldest_pending_at: datetime | None
    """When the oldest of these was written: up to then all is delivered. Null = all is."""
    attempts: int
    """How many have failed since something was delivered."""
    next_attempt_at: datetime | None
    """When the next one is due, where the last has failed."""
    failing_since: datetime | None
    """Since when something fails and nothing is delivered; after five days it is disabled."""
    last_failure: WebhookFailure | None
    """Why it failed the last time that it did."""
    last_status: int | None
    """The status it was answered with then, if it was."""
    disabled_at: datetime | None
    """Since when nothing is sent any more; resumeWebhook goes on from there, and nothing is lost."""

    @classmethod
    def decode(cls, row: Json) -> Self:
        """The webhook of a row of the query `webhooks`."""
        return cls(
            id=strawberry.ID(row["id"]),
            url=row["url"],
            kinds=None if row["kinds"] is None else [PoolKind(kind) for kind in row["kinds"]],
            reasons=None if row["reasons"] is None else [LedgerReason(reason) for reason in row["reasons"]],
            created_at=moment(row["created_at"]),
            pending=min(row["pending"], 2**31 - 1),
            oldest_pending_at=moment_or_none(row["oldest_at"]),
            attempts=row["attempts"],
            next_attempt_at=moment(row["next_attempt_at"]) if row["attempts"] and not row["disabled_at"] else None,
            failing_since=moment_or_none(row["failing_since"]),
            last_failure=None if row["last_failure"] is None else WebhookFailure(row["last_failure"]),
            last_status=row["last_status"],
            disabled_at=moment_or_none(row["disabled_at"]),
        )


@dataclass(frozen=True, kw_only=True)
class Lease:
    """The right to deliver to a webhook, for a while."""

    tenant: str
    id: str
    number: int
    url: str
    reasons: frozenset[str] | None
    secret: bytes
    attempts: int
    """That have failed since something was delivered."""


@dataclass(frozen=True, kw_only=True)
class PoolNews:
    """What a webhook is to be told next of a pool."""

    pool: Json
    entries: list[Json]
    """In the order of their versions; none where the pool's ledger lacks them, which reconcile names."""


@dataclass(frozen=True, kw_only=True)
class Failure:
    """Why a delivery failed."""

    reason: WebhookFailure
    status: int | None = None


class Webhooks:
    """The webhooks of all tenants.

    Their secrets are made from a key, and are nowhere kept.
    """

    def __init__(self, database: Database, key: bytes | None, *, anywhere: bool) -> None:
        self._database = database
        self._key = key
        self._anywhere = anywhere

    @property
    def possible(self) -> bool:
        """Whether there is a key to sign with."""
        return self._key is not None

    def unfit(self, url: str) -> str | None:
        """What is wrong with a URL as such; where its name leads is looked at when something is sent there."""
        try:
            parts = urlsplit(url)
            whole = bool(parts.hostname) and (parts.port is None or parts.port > 0)
        except ValueError:
            whole = False
        if not whole or len(url) > LONGEST_URL or not url.isascii() or not url.isprintable() or " " in url:
            return f"url must be a URL of at most {LONGEST_URL} characters, all of them ASCII"
        if parts.scheme != "https" and not (self._anywhere and parts.scheme == "http"):
            return "url must begin with https://"
        if "@" in parts.netloc:
            return "url must have no user and no password: the signature tells who sends"
        return None

    def _secret(self, tenant: str, webhook_id: str, created_at: datetime) -> bytes:
        """What the messages to a webhook are signed with; one that is made anew has another."""
        if self._key is None:
            raise LookupError("no key to make secrets from")
        name = orjson.dumps([tenant, webhook_id, created_at.isoformat()])
        return hmac.digest(self._key, name, "sha256")

    async def make(
        self,
        tenant: str,
        webhook_id: str,
        url: str,
        *,
        kinds: Sequence[str] | None,
        reasons: Sequence[str] | None,
        since: datetime | None,
    ) -> str | GatewayBusyError | None:
        """Make a webhook that is told all from an instant on, or from now on.

        Returns:
            Its secret, as receivers take it; None where there is one of this id, or too many.
        """

        async def work() -> str | None:
            async with self._transaction(tenant) as connection:
                if await QUERIES.webhook_is_there(connection, tenant=tenant, id=webhook_id, at_most=WEBHOOKS_MAX):
                    return None
            await self._put_cursors(tenant, webhook_id, kinds, since)
            async with self._transaction(tenant) as connection:
                made = await QUERIES.make_webhook(
                    connection, tenant=tenant, id=webhook_id, url=url, kinds=kinds, reasons=reasons
                )
            return made and f"whsec_{base64.b64encode(self._secret(tenant, webhook_id, made)).decode()}"

        return await attempted(work())

    async def resume(
        self, tenant: str, webhook_id: str, *, since: datetime | None = None, after: tuple[str, int] | None = None
    ) -> bool | GatewayBusyError:
        """Take a webhook up again: where it is, from an instant on, or in one pool after a version.

        Returns:
            Whether there is such a webhook, and such a version of the pool.
        """

        async def work() -> bool:
            async with self._transaction(tenant) as connection:
                hold = REWIND_SECONDS if since else 0
                found = await QUERIES.resume_webhook(connection, tenant=tenant, id=webhook_id, seconds=hold)
                if found is None:
                    return False
                if after is not None:
                    pool, version = after
                    return bool(
                        await QUERIES.put_cursor(connection, tenant=tenant, id=webhook_id, pool=pool, version=version)
                    )
            if since is not None:
                await self._put_cursors(tenant, webhook_id, found["kinds"], since)
                async with self._transaction(tenant) as connection:
                    await QUERIES.resume_webhook(connection, tenant=tenant, id=webhook_id, seconds=0)
            return True

        return await attempted(work())

    async def drop(self, tenant: str, webhook_id: str) -> GatewayBusyError | None:
        """Forget a webhook."""

        async def work() -> None:
            async with self._transaction(tenant) as connection:
                await QUERIES.drop_webhook(connection, tenant=tenant, id=webhook_id)

        return await attempted(work())

    async def _put_cursors(
        self, tenant: str, webhook_id: str, kinds: Sequence[str] | None, since: datetime | None
    ) -> None:
        """Put a webhook that nobody delivers to where all pools stood at an instant, or where they are."""
        last = ""
        while last is not None:
            async with self._transaction(tenant) as connection:
                last = await QUERIES.put_cursors(
                    connection,
                    tenant=tenant,
                    id=webhook_id,
                    kinds=kinds,
                    since=since,
                    after=last,
                    size=POOLS_AT_ONCE,
                )

    @asynccontextmanager
    async def _transaction(self, tenant: str) -> AsyncIterator[Connection]:
        """A transaction of a tenant."""
        async with self._database.connection(wait_seconds=1.0) as connection, connection.transaction():
            await QUERIES.enter_tenant(connection, tenant=tenant)
            yield connection

    async def notice(self) -> None:
        """Take note of what webhooks are to be told of what has changed in the last ten seconds."""
        async with self._database.connection(wait_seconds=1.0) as connection:
            await QUERIES.notice_recent(connection)

    async def notice_all(self) -> None:
        """The same of all pools, whenever they have changed."""
        async with self._database.connection(wait_seconds=1.0) as connection:
            tenants = [row["id"] async for row in QUERIES.tenants(connection)]
        for tenant in tenants:
            last = ""
            while last is not None:
                async with self._database.connection(wait_seconds=1.0) as connection:
                    last = await QUERIES.notice_page(connection, tenant=tenant, after=last, size=POOLS_AT_ONCE)

    async def due(self, at_most: int) -> list[tuple[str, str]]:
        """Tenant and id of the webhooks that are to be told something, those first that have waited longest."""
        async with self._database.connection(wait_seconds=1.0) as connection:
            return [(row["tenant"], row["id"]) async for row in QUERIES.due_webhooks(connection, at_most=at_most)]

    async def lease(self, tenant: str, webhook_id: str, *, seconds: float) -> Lease | None:
        """The right to deliver to a webhook; None where another gateway was first."""
        async with self._transaction(tenant) as connection:
            row = await QUERIES.lease_webhook(connection, tenant=tenant, id=webhook_id, seconds=seconds)
        return row and Lease(
            tenant=tenant,
            id=webhook_id,
            number=row["lease"],
            url=row["url"],
            reasons=None if row["reasons"] is None else frozenset(row["reasons"]),
            secret=self._secret(tenant, webhook_id, row["created_at"]),
            attempts=row["attempts"],
        )

    async def news(self, lease: Lease, *, pools: int, size: int) -> list[PoolNews]:
        """What a webhook is to be told next: of so many pools so many entries each."""
        async with self._transaction(lease.tenant) as connection:
            rows = QUERIES.next_deliveries(connection, tenant=lease.tenant, id=lease.id, pools=pools, size=size)
            return [
                PoolNews(pool=orjson.loads(row["pool"]), entries=orjson.loads(row["entries"])) async for row in rows
            ]

    async def note(
        self,
        lease: Lease,
        versions: Mapping[str, int],
        *,
        lease_seconds: float,
        attempts: int = 0,
        pause_seconds: float = 0,
        failure: Failure | None = None,
    ) -> bool:
        """Note up to which version each pool has been delivered, and what has failed. False = the lease was lost.

        Args:
            lease: under which that was.
            versions: by the pools' ids.
            lease_seconds: how much longer it is to last; 0 = it is over.
            attempts: that have failed since something was delivered.
            pause_seconds: before the next one.
            failure: of the last one.
        """
        async with self._database.connection(wait_seconds=1.0) as connection:
            return bool(
                await QUERIES.note_deliveries(
                    connection,
                    tenant=lease.tenant,
                    id=lease.id,
                    lease=lease.number,
                    lease_seconds=lease_seconds,
                    versions=orjson.dumps(versions).decode(),
                    attempts=attempts,
                    pause_seconds=pause_seconds,
                    failure=failure and failure.reason.value,
                    status=failure and failure.status,
                    give_up_seconds=GIVE_UP_SECONDS,
                )
            )


async def attempted(work: Awaitable[Answer]) -> Answer | GatewayBusyError:
    """What comes of work, or that it could not be done now."""
    try:
        return await work
    except (*NOT_APPLIED, NoConnection):
        return busy(BusyOutcome.NOT_APPLIED)
    except CONNECTION_LOST:
        return busy(BusyOutcome.UNKNOWN)
