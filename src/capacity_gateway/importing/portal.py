"""The competition portal: competitions with a counter, reservations, and a ledger that may lack entries."""

from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from functools import partial
from typing import TypeVar

from capacity_gateway.domains.competitions import (
    APPROVED,
    CANCELLED,
    CLOSED,
    GRANTED,
    INVOICED,
    KIND,
    PENDING,
    REJECTED,
    SUMMARIZED,
)
from capacity_gateway.importing.finding import Discrepancy, Finding
from capacity_gateway.importing.source import Int, Moment, Naming, Source
from capacity_gateway.kernel.commands import Define
from capacity_gateway.kernel.history import IMPORT, Change, History
from capacity_gateway.kernel.pools import Json
from capacity_gateway.kernel.vocabulary import LedgerReason

STATUSES = {
    "pending": PENDING,
    "approved": APPROVED,
    "adjusted": APPROVED,
    "summarized": SUMMARIZED,
    "invoiced": INVOICED,
    "paid": CLOSED,
    "closed": CLOSED,
    "rejected": REJECTED,
    "cancelled": CANCELLED,
}
REASONS = {
    "reservation_approval": LedgerReason.RESERVATION_APPROVAL,
    "reservation_cancellation": LedgerReason.RESERVATION_CANCELLATION,
    "summary_refund": LedgerReason.SUMMARY_REFUND,
    "summary_refund_by_cd": LedgerReason.SUMMARY_REFUND,
    "cd_adjustment_increase": LedgerReason.ADJUSTMENT_INCREASE,
    "cd_adjustment_decrease": LedgerReason.ADJUSTMENT_DECREASE,
    "space_request_approved": LedgerReason.SPACE_REQUEST_APPROVED,
    "sd_space_increase": LedgerReason.SPACE_REQUEST_APPROVED,
    "studio_withdraw": LedgerReason.RESERVATION_CANCELLATION,
    "studio_hard_delete": LedgerReason.RESERVATION_CANCELLATION,
    "manual_adjustment": LedgerReason.MANUAL_ADJUSTMENT,
    "Move to *": LedgerReason.MOVE_OUT,
    "Move from *": LedgerReason.MOVE_IN,
}
STATES = {
    PENDING: "waiting",
    **dict.fromkeys(GRANTED, "confirmed"),
    REJECTED: "released",
    CANCELLED: "released",
}
"""What a claim is in each stage."""
NOBODY = "unknown"
"""The holder of what is taken by nobody that is known."""


@dataclass(frozen=True, slots=True)
class Competition:
    """A row of `competitions`."""

    id: str
    name: str
    total_reservation_tokens: Int
    available_reservation_tokens: Int
    tenant_id: str | None = None
    created_at: Moment | None = None


@dataclass(frozen=True, slots=True)
class Reservation:
    """A row of `reservations`."""

    id: str
    competition_id: str
    status: str = "pending"
    spaces_confirmed: Int = 0
    spaces_requested: Int = 0
    studio_id: str = NOBODY
    studio_name: str | None = None
    tenant_id: str | None = None
    approved_at: Moment | None = None
    approved_by: str | None = None
    created_at: Moment | None = None
    pending_additional_spaces: Int | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """A row of `capacity_ledger`."""

    id: str
    competition_id: str
    change_amount: Int
    reason: str
    created_at: Moment
    reservation_id: str | None = None
    tenant_id: str | None = None
    created_by: str | None = None
    notes: str | None = None


Row = TypeVar("Row", Competition, Reservation, Entry)
ROWS = {"competitions": Competition, "reservations": Reservation, "capacity_ledger": Entry}


async def counters(source: Source, tenant: str) -> dict[str, tuple[int | None, int | None]]:
    """What the portal's counters say: by pool the total and what is available."""
    return {
        KIND.pool_id(row.id): (row.total_reservation_tokens, row.available_reservation_tokens)
        for row in await source.read("competitions", Competition)
        if row.tenant_id in (None, tenant)
    }


async def histories(source: Source, tenant: str) -> tuple[list[History], list[Finding]]:
    """The competitions of a tenant as pools, and all that is wrong with them.

    A row without a tenant is this tenant's; those of others are left out.
    """
    portal = Portal(source.naming)
    competitions = _of(tenant, await source.read("competitions", Competition))
    portal.sort(
        {row.id for row in competitions},
        _of(tenant, await source.read("reservations", Reservation)),
        _of(tenant, await source.read("capacity_ledger", Entry)),
    )
    return [portal.history(competition) for competition in competitions], portal.findings


def _of(tenant: str, rows: list[Row]) -> list[Row]:
    return [row for row in rows if row.tenant_id in (None, tenant)]


class Portal:
    """The rows of the three tables, put together."""

    def __init__(self, naming: Naming) -> None:
        self.findings: list[Finding] = []
        self._stages = STATUSES | {theirs: STATUSES.get(ours, ours) for theirs, ours in naming.statuses.items()}
        self._reasons = REASONS | naming.reasons
        self._known: set[str] = set()
        self._reservations: dict[str, list[Reservation]] = defaultdict(list)
        self._entries: dict[str, list[Entry]] = defaultdict(list)

    def _find(self, table: str, ref: str, kind: Discrepancy, message: str) -> None:
        self.findings.append(Finding(kind, table, ref, message))

    def sort(self, competitions: set[str], reservations: list[Reservation], entries: list[Entry]) -> None:
        """Put reservations and entries to their competitions, entries in the order of time."""
        self._known = {row.id for row in reservations}
        for row in reservations:
            self._reservations[row.competition_id].append(row)
            if row.competition_id not in competitions:
                message = f"its competition {row.competition_id} does not exist; it stays behind"
                self._find("reservations", row.id, Discrepancy.ORPHAN, message)
        for entry in sorted(entries, key=lambda entry: (entry.created_at, entry.id)):
            self._entries[entry.competition_id].append(entry)
            if entry.competition_id not in competitions:
                message = f"its competition {entry.competition_id} does not exist; it stays behind"
                self._find("capacity_ledger", entry.id, Discrepancy.ORPHAN, message)

    def history(self, competition: Competition) -> History:
        """A competition as a pool: its reservations as claims, its ledger as entries."""
        quota = competition.total_reservation_tokens
        if quota < 0:
            self._find("competitions", competition.id, Discrepancy.VALUE, "its total is below 0")
        entries = self._entries[competition.id]
        changes = [self._change(competition, entry) for entry in entries if entry.change_amount]
        claims = self._claims(competition, changes)
        define = Define(
            kind=KIND,
            pool_id=KIND.pool_id(competition.id),
            title=competition.name,
            quota=quota,
            effective_at=competition.created_at or (changes[0].effective_at if changes else None),
            definition={"title": competition.name, "quota": quota, "oversell_max": 0},
        )
        return History(define=define, claims=claims, changes=changes)

    def _change(self, competition: Competition, entry: Entry) -> Change:
        find = partial(self._find, "capacity_ledger", entry.id)
        reason, note = self._reason(entry), entry.notes
        if reason is None:
            reason, note = LedgerReason.MANUAL_ADJUSTMENT, entry.notes or entry.reason
            find(
                Discrepancy.REASON,
                f"{entry.reason!r} is not known; it becomes a MANUAL_ADJUSTMENT with this as its note",
            )
        claim_id = entry.reservation_id or f"{competition.id}/{NOBODY}"
        if claim_id not in self._known:
            whose = entry.reservation_id or "null"
            find(Discrepancy.ORPHAN, f"its reservation {whose} does not exist; what it took, {NOBODY!r} has")
        return Change(
            claim_id=claim_id,
            subject=claim_id,
            held=0,
            confirmed=-entry.change_amount,
            reason=reason,
            effective_at=entry.created_at,
            actor=entry.created_by or IMPORT,
            note=note,
            key=f"capacity_ledger:{entry.id}",
        )

    def _reason(self, entry: Entry) -> LedgerReason | None:
        if entry.reason in self._reasons:
            return self._reasons[entry.reason]
        return next((ours for theirs, ours in self._reasons.items() if fnmatchcase(entry.reason, theirs)), None)

    def _claims(self, competition: Competition, changes: list[Change]) -> list[Json]:
        """Who has something, waits for it, or had it once; and nobody, for what is taken besides."""
        by_claim: dict[str, list[Change]] = defaultdict(list)
        for change in changes:
            by_claim[change.claim_id].append(change)
        claims = [self._claim(row, by_claim[row.id]) for row in self._reservations[competition.id]]
        waiting = [claim for claim in claims if claim["state"] == "waiting"]
        for place, claim in enumerate(sorted(waiting, key=lambda claim: (claim["created_at"], claim["id"])), start=1):
            claim["place"] = place
        claims += [
            _nobodys(claim_id, sum(change.confirmed for change in own), own[0].effective_at)
            for claim_id, own in by_claim.items()
            if claim_id not in self._known
        ]
        taken = sum(claim["quantity"] for claim in claims if claim["state"] == "confirmed")
        uncounted = self._uncounted(competition, taken, sum(change.confirmed for change in changes))
        if uncounted > 0:
            claims.append(_nobodys(f"{competition.id}/uncounted", uncounted, datetime.now(UTC)))
        return claims

    def _claim(self, row: Reservation, changes: list[Change]) -> Json:
        """A reservation as a claim, as it stands."""
        stage = self._stages.get(row.status)
        state = STATES.get(stage or "", "released")
        quantity = {"confirmed": row.spaces_confirmed, "waiting": row.spaces_requested}.get(state, 0)
        self._check(row, stage, quantity, state, changes)
        first, last = (changes[0].effective_at, changes[-1].effective_at) if changes else (None, None)
        created_at = row.created_at or first or row.approved_at or datetime.now(UTC)
        confirmed_at = row.approved_at or first or (created_at if state == "confirmed" else None)
        ended_at = last or row.approved_at or created_at
        return {
            "id": row.id,
            "holder": row.studio_id,
            "subject": row.id,
            "title": row.studio_name,
            "quantity": quantity,
            "state": state,
            "stage": stage,
            "facts": _facts(row, changes, stage),
            "created_at": min(created_at, confirmed_at or created_at),
            "since": {"confirmed": confirmed_at, "waiting": created_at}.get(state, ended_at),
            "confirmed_at": confirmed_at,
            "offered": False,
            "rank": 0,
        }

    def _check(self, row: Reservation, stage: str | None, quantity: int, state: str, changes: list[Change]) -> None:
        """What is wrong with a reservation."""
        find = partial(self._find, "reservations", row.id)
        taken, by_ledger = quantity if state == "confirmed" else 0, sum(change.confirmed for change in changes)
        if stage not in STATES:
            find(Discrepancy.STATUS, f"the status {row.status!r} is not known; name it in [statuses] of the mapping")
        elif quantity < 0:
            find(Discrepancy.VALUE, f"it has {quantity} spaces")
        if taken > 0 and not changes:
            find(Discrepancy.NO_ENTRY, f"it has {taken} spaces, and no entry says so; backfill writes it later")
        elif taken != by_ledger:
            find(Discrepancy.OTHER_AMOUNT, f"it is {row.status} and has {taken} spaces, by its entries {by_ledger}")

    def _uncounted(self, competition: Competition, taken: int, by_ledger: int) -> int:
        """How many the counter takes that nobody has; negative where it takes fewer than they have."""
        find = partial(self._find, "competitions", competition.id)
        name, total = competition.name, competition.total_reservation_tokens
        available = competition.available_reservation_tokens
        drift, uncounted = available - (total - by_ledger), total - available - taken
        if drift:
            find(
                Discrepancy.COUNTER, f"{name}: {available} by the counter, {total - by_ledger} by the ledger: {drift:+}"
            )
        if available < 0:
            find(Discrepancy.NEGATIVE, f"{name}: {-available} more are taken than there are; it comes in overbooked")
        if uncounted > 0:
            find(Discrepancy.UNCOUNTED, f"{name}: the counter takes {uncounted} that nobody has; {NOBODY!r} has them")
        if uncounted < 0:
            find(Discrepancy.TOO_FREE, f"{name}: {available} by the counter; the reservations leave {total - taken}")
        return uncounted


def _nobodys(claim_id: str, quantity: int, at: datetime) -> Json:
    """A claim for what is taken by nobody that is known; of less than nothing it has nothing."""
    quantity = max(0, quantity)
    return {
        "id": claim_id,
        "holder": NOBODY,
        "subject": claim_id,
        "quantity": quantity,
        "state": "confirmed" if quantity else "released",
        "stage": APPROVED if quantity else CANCELLED,
        "facts": {"spaces_requested": quantity, "spaces_approved": quantity},
        "created_at": at,
        "since": at,
        "confirmed_at": at,
        "offered": False,
        "rank": 0,
    }


def _facts(row: Reservation, changes: list[Change], stage: str | None) -> Json:
    """What `domains/competitions.py` keeps of a reservation."""
    facts: Json = {"spaces_requested": row.spaces_requested}
    taken = [change.confirmed for change in changes if change.confirmed > 0]
    if all(change.reason is not LedgerReason.RESERVATION_APPROVAL for change in changes):
        has = row.spaces_confirmed if stage in GRANTED else 0
        taken.insert(0, has - sum(change.confirmed for change in changes))  # what it had before its first entry
    if stage != PENDING and taken and taken[0] > 0:
        facts |= {"approval": taken[0], "spaces_approved": sum(taken)}
    if stage in (SUMMARIZED, INVOICED, CLOSED):
        returned = [-change.confirmed for change in changes if change.reason is LedgerReason.SUMMARY_REFUND]
        facts |= {"entries_used": row.spaces_confirmed, "given_back": sum(returned[-1:])}
    optional = {"approved_by": row.approved_by, "pending_spaces": row.pending_additional_spaces}
    return facts | {name: value for name, value in optional.items() if value is not None}
