"""Five hundred viewers of a stream with three hundred places, kept by heartbeats."""

import asyncio
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import asyncpg

from asking import POOL, Json, define, hold, touch
from invariants import check_invariants
from races import connected, tell

VIEWERS, QUOTA, GATEWAYS = 500, 300, 10
HEARTBEAT_SECONDS, LEASE_SECONDS, BEATS = 1.0, 3.0, 9
NEVER = datetime.min.replace(tzinfo=UTC)


@dataclass
class Viewer:
    """One of them."""

    name: str
    silent: bool
    reconnects: bool
    lease: str | None = None
    ends: datetime = NEVER
    wrong: list[str] = field(default_factory=list)

    def command(self, beat: int) -> Json | None:
        """What is sent at a beat: coming in, a heartbeat, the same place again after a reconnect, or nothing."""
        if self.lease and not self.reconnects:
            return None if self.silent else touch(self.lease, LEASE_SECONDS)
        return hold(f"{self.name} at {beat}", 1, ttl_seconds=LEASE_SECONDS, exclusive=self.name)

    def hear(self, outcome: Json) -> None:
        """Take an answer; what is wrong with it, by its own time, is kept."""
        code, as_of = outcome["code"], datetime.fromisoformat(outcome["as_of"])
        in_time = self.lease is not None and as_of < self.ends
        if code in ("OK", "DONE"):
            if in_time and outcome["claim"]["id"] != self.lease:
                self.wrong.append(f"{self.name} got another place while he had one")
            self.lease, self.ends = outcome["claim"]["id"], datetime.fromisoformat(outcome["claim"]["expires_at"])
            return
        if in_time:
            self.wrong.append(f"{self.name} lost his place {self.ends - as_of} too early: {code}")
        if code == "INSUFFICIENT" and outcome["detail"]["available"] > 0:
            self.wrong.append(f"{self.name} was refused while {outcome['detail']['available']} places were free")
        self.lease = None


async def test_never_above_the_quota_and_the_silent_are_gone_within_a_heartbeat(
    owner: asyncpg.Connection, owner_url: str
) -> None:
    """A third are silent once they are in, and a tenth reconnect at every beat; each gateway combines what it hears."""
    viewers = [Viewer(f"{n}", silent=n % 3 == 0, reconnects=n % 10 == 1 and n % 3 != 0) for n in range(VIEWERS)]
    most = 0

    async def serve(connection: asyncpg.Connection, own: list[Viewer], delay: float) -> None:
        await asyncio.sleep(delay)
        for beat in range(BEATS):
            asked = [(viewer, command) for viewer in own if (command := viewer.command(beat))]
            for (viewer, _), outcome in zip(asked, await tell(connection, *(c for _, c in asked)), strict=True):
                viewer.hear(outcome)
            await asyncio.sleep(HEARTBEAT_SECONDS)

    async def observe() -> None:
        nonlocal most
        while True:
            row = await owner.fetchrow(
                "SELECT (SELECT held FROM capacity.pool) AS told,"
                " (SELECT count(*) FROM capacity.claim WHERE state = 'held') AS seen"
            )
            assert row is not None
            most = max(most, row["told"], row["seen"])
            await asyncio.sleep(0.01)

    async with connected(owner_url, GATEWAYS) as gateways:
        await tell(gateways[0], define(QUOTA))
        observer = asyncio.create_task(observe())
        await asyncio.gather(*(serve(gateways[n], viewers[n::GATEWAYS], n / GATEWAYS) for n in range(GATEWAYS)))
        observer.cancel()
        await asyncio.gather(observer, return_exceptions=True)

    assert [sentence for viewer in viewers for sentence in viewer.wrong] == []
    assert most == QUOTA
    assert await owner.fetchval("SELECT max(held_after) FROM capacity.ledger") == QUOTA
    assert await check_invariants(owner) == []
    late = await owner.fetch(
        "SELECT c.id, l.recorded_at - c.expires_at AS late FROM capacity.ledger AS l"
        " JOIN capacity.claim AS c ON c.id = l.claim_id WHERE l.reason = 'EXPIRY'"
    )
    assert len(late) >= 100  # of the first three hundred a third
    assert [row for row in late if row["late"] > timedelta(seconds=HEARTBEAT_SECONDS)] == []
    assert await owner.fetchval("SELECT held FROM capacity.pool WHERE id = $1", POOL) == QUOTA
