"""Counter against ledger: every number can be explained, or is named here."""

from datetime import datetime
from enum import Enum
from typing import Self

import strawberry

from capacity_gateway.kernel import seals
from capacity_gateway.kernel.context import Info
from capacity_gateway.kernel.pools import Json, Pool, moment_or_none


@strawberry.type
class OrphanClaim:
    """A claim that holds capacity, or had some, with no ledger entry behind it."""

    claim_id: strawberry.ID
    """The claim."""
    subject: strawberry.ID | None
    """The outside object it is for."""
    quantity: int
    """How many are not explained."""
    since: datetime | None
    """Since when."""


@strawberry.enum
class LedgerProblemKind(Enum):
    """What can be wrong between a counter, its ledger and its claims."""

    DRIFT = "DRIFT"
    """The counter is not what the ledger adds up to."""
    ORPHAN = "ORPHAN"
    """A claim holds capacity with no entry behind it."""
    VERSION_GAP = "VERSION_GAP"
    """An entry is missing."""
    VERSION_REPEATED = "VERSION_REPEATED"
    """A version stands twice."""
    HASH_BROKEN = "HASH_BROKEN"
    """An entry is not as it was written, or the one before it is not."""
    BALANCE_BROKEN = "BALANCE_BROKEN"
    """An entry's running sum is not the sum of the changes so far."""
    CLAIMS_DISAGREE = "CLAIMS_DISAGREE"
    """The counter is not what the live claims add up to."""
    SEAL_BROKEN = "SEAL_BROKEN"
    """What was sealed has changed since, or somebody else has sealed it."""


@strawberry.type
class LedgerProblem:
    """One thing that is wrong."""

    kind: LedgerProblemKind
    """What it is."""
    version: int | None
    """The first entry it shows at, where it shows at one."""
    delta: int | None
    """By how much, where it is a number."""
    message: str
    """The same in words."""
    sealed: bool = False
    """Whether it is known: the ledger was taken as it is, with this fault, and is trusted again from there on."""


@strawberry.type
class Reconciliation:
    """Counter against ledger. discrepancy = actualAvailable - expectedAvailable (of use, where the quota is null)."""

    total: int | None
    """The quota now."""
    actual_available: int | None
    """What the counter says."""
    expected_available: int | None
    """Opening quota + sum of every change."""
    discrepancy: int
    """How far the counter is from the ledger."""
    is_accurate: bool
    """Whether the discrepancy is 0."""
    ledger_entry_count: int
    """How many entries the pool has."""
    chain_intact: bool
    """Whether versions, running sums and hashes all follow from one another, since the last seal if there is one."""
    orphans: list[OrphanClaim]
    """Claims that hold capacity with no ledger entry behind them."""
    problems: list[LedgerProblem]
    """All that is wrong, and all that was and is sealed; empty when all is well and has been."""
    verified_before: int
    """Up to this version the ledger was verified earlier and not now; 0 = all of it was now."""
    sealed_before: int
    """Up to this version the ledger was taken as it is, since something was wrong with it; 0 = it has no seal."""
    pool_id: strawberry.Private[str]
    title: strawberry.Private[str | None]

    @classmethod
    def decode(cls, row: Json, seal_key: bytes | None) -> Self:
        """The reconciliation of a row of the query `reconciliations`; without the key no signature is checked."""
        limited = row["quota"] is not None
        used = row["held"] + row["confirmed"]
        used_by_ledger = row["held_sum"] + row["confirmed_sum"]
        actual = row["quota"] - used if limited else None
        expected = (row["opening_quota"] or 0) + row["quota_sum"] - used_by_ledger if limited else None
        discrepancy = used - used_by_ledger if actual is None or expected is None else actual - expected
        problems = [*_sealed(row["seal"], seal_key), *_problems(row, discrepancy)]
        sound = {LedgerProblemKind.DRIFT, LedgerProblemKind.ORPHAN, LedgerProblemKind.CLAIMS_DISAGREE}
        return cls(
            total=row["quota"],
            actual_available=actual,
            expected_available=expected,
            discrepancy=discrepancy,
            is_accurate=discrepancy == 0,
            ledger_entry_count=row["entries"],
            chain_intact=all(problem.sealed or problem.kind in sound for problem in problems),
            orphans=[
                OrphanClaim(
                    claim_id=orphan["id"],
                    subject=orphan["subject"],
                    quantity=orphan["missing"],
                    since=moment_or_none(orphan["confirmed_at"] or orphan["since"]),
                )
                for orphan in row["orphans"]
            ],
            problems=problems,
            verified_before=row["verified_before"],
            sealed_before=row["seal"]["version"] or 0,
            pool_id=row["id"],
            title=row["title"],
        )

    @property
    def open_problems(self) -> list[LedgerProblem]:
        """What is wrong and not sealed."""
        return [problem for problem in self.problems if not problem.sealed]

    @strawberry.field
    async def pool(self, info: Info) -> Pool:
        """The pool in question."""
        return await info.context.reads.pool(self.pool_id)


def _problems(row: Json, discrepancy: int) -> list[LedgerProblem]:
    found: list[LedgerProblem] = []

    def note(kind: LedgerProblemKind, message: str, *, version: int | None = None, delta: int | None = None) -> None:
        found.append(LedgerProblem(kind=kind, version=version, delta=delta, message=message))

    if discrepancy:
        note(
            LedgerProblemKind.DRIFT,
            f"the counter differs from the ledger by {discrepancy}",
            delta=discrepancy,
        )
    for orphan in row["orphans"]:
        note(
            LedgerProblemKind.ORPHAN,
            f"claim {orphan['id']} holds {orphan['missing']} with no ledger entry",
            delta=-orphan["missing"],
        )
    found += [_fault(fault, last_version=row["last_version"], pool_version=row["version"]) for fault in row["faults"]]
    by_claims = (row["held_by_claims"], row["confirmed_by_claims"])
    if None not in by_claims and by_claims != (row["held"], row["confirmed"]):
        difference = row["held"] + row["confirmed"] - sum(by_claims)
        note(
            LedgerProblemKind.CLAIMS_DISAGREE,
            f"the counter says {row['held']} held and {row['confirmed']} confirmed, the claims"
            f" {row['held_by_claims']} and {row['confirmed_by_claims']}",
            delta=-difference,
        )
    return found


def _sealed(seal: Json, key: bytes | None) -> list[LedgerProblem]:
    """The faults of a sealed ledger: sealed, as long as the seal holds."""
    if seal["version"] is None:
        return []
    holds = seal.get("holds") is not False and (key is None or seals.holds(seal, key))
    faults = seal["faults"] if holds else [*seal["faults"], {"kind": "SEAL_BROKEN", "version": seal["version"]}]
    return [_fault(fault, last_version=seal["version"], pool_version=seal["version"], sealed=holds) for fault in faults]


def _fault(fault: Json, *, last_version: int, pool_version: int, sealed: bool = False) -> LedgerProblem:
    """A fault of the chain, in words."""
    kind, version = LedgerProblemKind(fault["kind"]), fault["version"]
    message = FAULTS[kind].format(version=version)
    if kind is LedgerProblemKind.VERSION_GAP and version > min(last_version, pool_version):
        message = f"the ledger ends at version {last_version}, the pool at {pool_version}"
    return LedgerProblem(
        kind=kind, version=version, delta=None, message=f"{message} (sealed)" if sealed else message, sealed=sealed
    )


FAULTS = {
    LedgerProblemKind.VERSION_GAP: "an entry before version {version} is missing",
    LedgerProblemKind.VERSION_REPEATED: "version {version} stands twice",
    LedgerProblemKind.HASH_BROKEN: "the hash of version {version} does not follow",
    LedgerProblemKind.BALANCE_BROKEN: "the running sum of version {version} does not follow",
    LedgerProblemKind.SEAL_BROKEN: "the seal of version {version} does not hold",
}
