"""The bulk path against the one door: what is brought in at once is what `record` makes of the same, one by one."""

import random
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from capacity_gateway.domains.competitions import APPROVED, CANCELLED, ReservationSuccess
from capacity_gateway.importing.portal import Competition, Entry, Portal, Reservation
from capacity_gateway.importing.source import Naming
from capacity_gateway.kernel.capacity import Capacity
from capacity_gateway.kernel.commands import Adjust, Attribution, Command, Define, Release, Take
from capacity_gateway.kernel.outcomes import CapacityChange, PoolSuccess
from capacity_gateway.kernel.vocabulary import LedgerReason, PoolKind

BEGIN = datetime(2025, 11, 1, tzinfo=UTC)
KIND = PoolKind.COMPETITION
ONE_BY_ONE, AT_ONCE = "one by one", "at once"
"""Two tenants."""


@dataclass
class Tale:
    """The same history twice: as the rows of the portal, and as commands with their keys."""

    rng: random.Random
    quota: int
    has: dict[str, int] = field(default_factory=dict)
    rows: dict[str, dict[str, Any]] = field(default_factory=dict)
    entries: list[Entry] = field(default_factory=list)
    commands: list[tuple[Command, str]] = field(default_factory=list)

    def step(self, number: int) -> None:
        """Something happens to a reservation."""
        at = BEGIN + timedelta(minutes=number)
        live = [name for name, quantity in self.has.items() if quantity]
        if not live or self.rng.random() < 0.4:
            self._approve(f"r{number}", at, unledgered=self.rng.random() < 0.2)
        else:
            self._change(self.rng.choice(live), at)

    def _approve(self, name: str, at: datetime, *, unledgered: bool) -> None:
        n = self.has[name] = self.rng.randint(1, 60)
        self.rows[name] = {"approved_at": at, "spaces_requested": n, "status": "approved"}
        facts = {"spaces_requested": n, "approval": n}
        more: dict[str, Any] = {"facts": facts, "tally": "spaces_approved", "overbook": True, "to_stage": APPROVED}
        take = Take(
            kind=KIND,
            pool_id="competition:c",
            claim_id=name,
            holder="studio",
            subject=name,
            quantity=n,
            reason=LedgerReason.RESERVATION_APPROVAL,
            effective_at=at,
            unledgered=unledgered,
            **more,
        )
        self._record(take, name, -n, "reservation_approval", at)

    def _change(self, name: str, at: datetime) -> None:
        before = self.has[name]
        after = self.has[name] = self.rng.choice([0, *range(1, 60)])
        claim: dict[str, Any] = {"kind": KIND, "claim_id": name, "effective_at": at}
        if after == 0:
            self.rows[name]["status"] = "cancelled"
            reason = LedgerReason.RESERVATION_CANCELLATION
            self._record(
                Release(reason=reason, to_stage=CANCELLED, **claim), name, before, "reservation_cancellation", at
            )
        elif after != before:
            adjust = Adjust(
                quantity=after,
                reason=LedgerReason.ADJUSTMENT_INCREASE,
                other_reason=LedgerReason.ADJUSTMENT_DECREASE,
                tally="spaces_approved",
                overbook=True,
                **claim,
            )
            word = "cd_adjustment_increase" if after > before else "cd_adjustment_decrease"
            self._record(adjust, name, before - after, word, at)

    def _record(self, command: Command, name: str, change: int, reason: str, at: datetime) -> None:
        key = f"{len(self.commands):04}"
        self.commands.append((command, f"capacity_ledger:{key}"))
        if not getattr(command, "unledgered", False):
            self.entries.append(
                Entry(
                    id=key,
                    competition_id="c",
                    reservation_id=name,
                    change_amount=change,
                    reason=reason,
                    created_at=at,
                    created_by="dora",
                )
            )

    def reservations(self) -> list[Reservation]:
        """The portal's rows."""
        return [
            Reservation(
                id=name,
                competition_id="c",
                studio_id="studio",
                spaces_confirmed=self.has[name],
                created_at=row["approved_at"],
                **row,
            )
            for name, row in self.rows.items()
        ]


async def rows_of(owner: asyncpg.Connection, tenant: str) -> dict[str, list[dict[str, Any]]]:
    """All that a tenant has, but for the hour at which it was written and what follows from that."""
    left_out = {"tenant_id", "recorded_at", "hash", "clock"}
    return {
        table: [
            {name: value for name, value in row.items() if name not in left_out}
            for row in await owner.fetch(
                f"SELECT * FROM capacity.{table} WHERE tenant_id = $1 ORDER BY {order}", tenant
            )
        ]
        for table, order in (("pool", "id"), ("claim", "id"), ("ledger", "version"))
    }


@pytest.mark.parametrize("seed", range(12))
async def test_what_comes_in_at_once_is_what_comes_in_one_by_one(
    seed: int, capacity: Capacity, owner: asyncpg.Connection
) -> None:
    """Pools, claims and entries with their versions and running sums; and both chains of hashes hold."""
    rng = random.Random(seed)  # noqa: S311 - to be had again
    tale = Tale(rng, quota=rng.choice([100, 2000]))
    for number in range(rng.randint(0, 40)):
        tale.step(number)
    taken = sum(tale.has.values())
    portal = Portal(Naming())
    portal.sort({"c"}, tale.reservations(), tale.entries)
    competition = Competition(
        id="c",
        name="C",
        total_reservation_tokens=tale.quota,
        available_reservation_tokens=tale.quota - taken,
        created_at=BEGIN,
    )
    history = portal.history(competition)
    definition: dict[str, Any] = {"title": "C", "quota": tale.quota}
    define = Define(
        kind=KIND,
        pool_id="competition:c",
        effective_at=BEGIN,
        definition=definition | {"oversell_max": 0},
        **definition,
    )

    for command, key in [(define, "define"), *tale.commands]:
        by = Attribution(operation="import", actor="dora", key=key, fingerprint="tale")
        success = PoolSuccess if command is define else ReservationSuccess
        outcome = await capacity.record(ONE_BY_ONE, command, by, success)
        assert isinstance(outcome, CapacityChange), outcome
    assert await capacity.bring_in(AT_ONCE, history)

    at_once, one_by_one = await rows_of(owner, AT_ONCE), await rows_of(owner, ONE_BY_ONE)
    for table, rows in one_by_one.items():
        assert at_once[table] == rows, table
    faults = await owner.fetch(
        "SELECT p.tenant_id, v.faults FROM capacity.pool AS p CROSS JOIN LATERAL"
        " capacity.verify(p, capacity.first_checkpoint(p, NULL::capacity.seal), p.version) AS v"
        " WHERE v.faults <> '[]'"
    )
    assert faults == []


async def test_a_pool_comes_in_whole_or_not_at_all(capacity: Capacity, owner: asyncpg.Connection) -> None:
    """One entry that cannot be written, and there is no pool, claim or entry of it."""
    tale = Tale(random.Random(1), quota=2000)  # noqa: S311 - to be had again
    for number in range(20):
        tale.step(number)
    portal = Portal(Naming())
    portal.sort({"c"}, tale.reservations(), [*tale.entries, tale.entries[0]])
    history = portal.history(
        Competition(id="c", name="C", total_reservation_tokens=2000, available_reservation_tokens=0)
    )

    with pytest.raises(asyncpg.UniqueViolationError):
        await capacity.bring_in(AT_ONCE, history)

    assert await rows_of(owner, AT_ONCE) == {"pool": [], "claim": [], "ledger": []}
