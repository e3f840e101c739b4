"""A pool's ledger as a file, CSV or JSON Lines, which whoever has it can verify with no database.

Its fields are those of `LedgerEntry` in the GraphQL schema, and the formula of the hash is told there. The file of a
sealed ledger begins with a row for the seal, which has the hash of all that it seals; the next entry follows from that.
"""

import calendar
import csv
import hashlib
import io
import json
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from enum import Enum
from pathlib import Path
from typing import Any

from capacity_gateway.kernel import seals
from capacity_gateway.kernel.ledger import LedgerEntry
from capacity_gateway.kernel.pools import Json, Pool, moment
from capacity_gateway.kernel.reads import Reads
from capacity_gateway.kernel.reconciliation import FAULTS, LedgerProblemKind

HASHED = (
    "poolId",
    "version",
    "quotaChange",
    "heldChange",
    "confirmedChange",
    "availableAfter",
    "reason",
    "claimId",
    "subject",
    "actor",
    "idempotencyKey",
    "effectiveAt",
    "recordedAt",
)
"""What the hash of an entry is over, besides the hash before it."""
FIELDS = ("openingQuota", *HASHED, "hash", "heldAfter", "confirmedAfter", "change", "subjectTitle", "note", "seal")

Row = Mapping[str, Any]
Sums = tuple[int, int, int]
"""Of the changes to quota, held and confirmed."""


class FileFormat(Enum):
    """How a ledger is written."""

    CSV = "csv"
    """A line with the names, then one for each entry."""
    JSONL = "jsonl"
    """A JSON object for each entry, one a line."""

    @property
    def media_type(self) -> str:
        """As HTTP calls it."""
        return "text/csv; charset=utf-8" if self is FileFormat.CSV else "application/jsonl"


class UnreadableLedger(RuntimeError):
    """Why a file is no ledger."""


@dataclass(frozen=True, kw_only=True)
class Sealed:
    """What a file says was sealed: entries that did not follow, taken as they stood."""

    version: int
    """Up to this version."""
    entries: int
    sealed_at: str
    actor: str
    faults: list[str]
    """What was wrong with them."""
    hash: str
    signature_holds: bool | None
    """None: there was no key to check it with."""


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What a file's hash chain says."""

    pool: str | None
    entries: int
    last_hash: str | None
    """Of the last entry that follows; to be compared with the pool's, for a file may end too early."""
    sealed: Sealed | None = None
    broken_at: int | None = None
    """The version at which the first fault shows."""
    problem: str | None = None

    @property
    def intact(self) -> bool:
        """Whether every entry follows from the one before it, from the opening on or from the seal."""
        return self.problem is None

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        return asdict(self) | {"intact": self.intact}


async def written(reads: Reads, pool: Pool, form: FileFormat) -> AsyncIterator[str]:
    """A pool's ledger as text, oldest entry first, page by page."""
    seal = await reads.seal(pool)
    head = _text_of([_row_of_seal(pool, seal)] if seal else [], form)
    yield (",".join(FIELDS) + "\n" if form is FileFormat.CSV else "") + head
    async for entries in reads.whole_ledger(pool):
        yield _text_of([_row(pool, entry) for entry in entries], form)


def _text_of(rows: Iterable[Row], form: FileFormat) -> str:
    if form is FileFormat.JSONL:
        return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(
        [json.dumps(value) if isinstance(value, dict) else value for value in row.values()] for row in rows
    )
    return text.getvalue()


def _row_of_seal(pool: Pool, seal: Json) -> Row:
    values = {
        "openingQuota": pool.opening_quota,
        "poolId": pool.id,
        "version": seal["version"],
        "hash": seal["hash"],
        "note": seal["note"],
        "seal": {
            "tenantId": seal["tenant_id"],
            "sealedAt": moment(seal["sealed_at"]).isoformat(timespec="microseconds"),
            "entries": seal["entries"],
            "quotaSum": seal["quota_sum"],
            "heldSum": seal["held_sum"],
            "confirmedSum": seal["confirmed_sum"],
            "faults": seal["faults"],
            "actor": seal["actor"],
            "signature": seal["signature"],
        },
    }
    return {name: values.get(name) for name in FIELDS}


def _row(pool: Pool, entry: LedgerEntry) -> Row:
    values = {
        "openingQuota": pool.opening_quota,
        "poolId": entry.pool_id,
        "version": entry.version,
        "quotaChange": entry.quota_change,
        "heldChange": entry.held_change,
        "confirmedChange": entry.confirmed_change,
        "availableAfter": entry.available_after,
        "reason": entry.reason.value,
        "claimId": entry.claim_id,
        "subject": entry.subject,
        "actor": entry.actor,
        "idempotencyKey": entry.idempotency_key,
        "effectiveAt": entry.effective_at.isoformat(timespec="microseconds"),
        "recordedAt": entry.recorded_at.isoformat(timespec="microseconds"),
        "hash": entry.hash,
        "heldAfter": entry.held_after,
        "confirmedAfter": entry.confirmed_after,
        "change": entry.quota_change - entry.held_change - entry.confirmed_change,
        "subjectTitle": entry.subject_title,
        "note": entry.note,
    }
    return {name: values.get(name) for name in FIELDS}


def verify(file: Path, expected_hash: str | None = None, *, seal_key: bytes | None = None) -> Verdict:
    """Follow a file's entries from the opening on, or from the seal, up to the first that does not follow.

    Args:
        file: CSV or JSON Lines.
        expected_hash: what the last entry's hash must be, where that is known from elsewhere.
        seal_key: what a seal must be signed with; None = its signature is not checked.

    Raises:
        UnreadableLedger: where it cannot be read as a ledger.
    """
    chain = None
    for number, row in enumerate(_rows(file), start=1):
        try:
            if chain is None:
                chain = Chain(row, seal_key)
                if chain.seal:
                    continue
            problem = chain.follow(row)
        except (KeyError, ValueError, TypeError) as error:
            raise UnreadableLedger(f"{file}: entry {number} is none: {error!r}") from error
        if problem is not None:
            return chain.verdict(problem)
    if chain is None:
        return Verdict(pool=None, entries=0, last_hash=None)
    problem = chain.seal_problem()
    if problem is None and expected_hash not in (None, chain.hash):
        problem = f"it should follow, for the last hash is not {expected_hash}"
    return chain.verdict(problem)


class Chain:
    """The entries of a file so far."""

    def __init__(self, row: Row, seal_key: bytes | None) -> None:
        """Begin with the first row, of an entry or of a seal."""
        self.pool = row["poolId"]
        self.opening = _text(row["openingQuota"])
        self.hash = sha256(self.pool, self.opening)
        self.version = self.entries = 0
        self.sums = (0, 0, 0)
        self.seal = Seal(row, seal_key) if row.get("seal") else None
        self._broken_at: int | None = None

    def follow(self, row: Row) -> str | None:
        """Go on to a row; why it does not follow, None where it does."""
        if row["poolId"] != self.pool:
            return f"it is of another pool, {row['poolId']}"
        if self.seal and int(row["version"]) <= self.seal.version:
            self.seal.take(row)
        elif (problem := self.seal_problem() or self._problem(row)) is not None:
            return problem
        self.entries += 1
        return None

    def seal_problem(self) -> str | None:
        """Why the seal does not hold for the entries before; None where it does, or there is none to be gone past."""
        if self.seal is None or self.version >= self.seal.version:
            return None
        problem = self.seal.problem()
        self._broken_at = self.seal.version if problem else None
        self.hash, self.version, self.sums = self.seal.hash, self.seal.version, self.seal.sums
        return problem

    def _problem(self, row: Row) -> str | None:
        if int(row["version"]) != self.version + 1:
            return f"version {self.version + 1} is missing: {row['version']} follows {self.version}"
        if hash_of(self.hash, row) != row["hash"]:
            return "it is not as it was written, or the one before it is not: its hash does not follow"
        self.sums = plus(self.sums, row)
        quota, held, confirmed = self.sums
        available = int(self.opening or 0) + quota - held - confirmed
        if _text(row["availableAfter"]) not in ("", str(available)):
            return f"its running sum is {row['availableAfter']}, and the changes so far make {available}"
        self.version, self.hash = self.version + 1, row["hash"]
        return None

    def verdict(self, problem: str | None) -> Verdict:
        """What the entries say, up to the first that does not follow."""
        return Verdict(
            pool=self.pool,
            entries=self.entries,
            last_hash=self.hash,
            sealed=self.seal.sealed if self.seal else None,
            broken_at=(self._broken_at or self.version + 1) if problem else None,
            problem=problem,
        )


class Seal:
    """The seal of a file, and the entries below it, which need not follow but must be as they were sealed."""

    def __init__(self, row: Row, key: bytes | None) -> None:
        seal = json.loads(row["seal"]) if isinstance(row["seal"], str) else row["seal"]
        self.version, self.hash = int(row["version"]), str(row["hash"])
        self.sums: Sums = (seal["quotaSum"], seal["heldSum"], seal["confirmedSum"])
        self.sealed = Sealed(
            version=self.version,
            entries=seal["entries"],
            sealed_at=seal["sealedAt"],
            actor=seal["actor"],
            faults=[
                FAULTS[LedgerProblemKind(fault["kind"])].format(version=fault["version"]) for fault in seal["faults"]
            ],
            hash=self.hash,
            signature_holds=seals.holds({"hash": self.hash, "signature": seal["signature"]}, key) if key else None,
        )
        self._entries, self._sums = 0, (0, 0, 0)
        at = datetime.fromisoformat(seal["sealedAt"])
        epoch = f"{calendar.timegm(at.utctimetuple())}.{at.microsecond:06}"
        lines = (seal["tenantId"], row["poolId"], epoch, self.version, seal["entries"], *self.sums)
        self._digest = hashlib.sha256("\n".join([*map(str, lines), json.dumps(seal["faults"])]).encode())

    def take(self, row: Row) -> None:
        """Go on to an entry that was sealed."""
        self._entries += 1
        self._sums = plus(self._sums, row)
        self._digest.update(f"\n{hash_of(row['hash'], row)}{row['heldAfter']}\t{row['confirmedAfter']}".encode())

    def problem(self) -> str | None:
        """Why it does not hold; None where it does."""
        if (self._digest.hexdigest(), self._entries, self._sums) != (self.hash, self.sealed.entries, self.sums):
            return "what was sealed is not as it was: the seal's hash does not follow"
        if self.sealed.signature_holds is False:
            return "the seal is signed with another key"
        return None


def plus(sums: Sums, row: Row) -> Sums:
    """The sums with an entry's changes."""
    quota, held, confirmed = sums
    return quota + int(row["quotaChange"]), held + int(row["heldChange"]), confirmed + int(row["confirmedChange"])


def hash_of(before: str, row: Row) -> str:
    """The hash of an entry, by the hash before it."""
    return sha256(before, *(_text(row[name]) for name in HASHED))


def _text(value: Any) -> str:
    return "" if value is None else str(value)


def sha256(*lines: str) -> str:
    """In hex, over one field a line."""
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _rows(file: Path) -> Iterator[Row]:
    try:
        with file.open(newline="", encoding="utf-8") as text:
            is_csv = text.read(1) != "{"
            text.seek(0)
            yield from csv.DictReader(text) if is_csv else map(json.loads, text)
    except (OSError, ValueError, csv.Error) as error:
        raise UnreadableLedger(f"{file}: {error}") from error
