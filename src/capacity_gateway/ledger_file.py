"""A pool's ledger as a file, CSV or JSON Lines, which whoever has it can verify with no database.

Its fields are those of `LedgerEntry` in the GraphQL schema, and the formula of the hash is told there.
"""

import csv
import hashlib
import io
import json
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import asdict, dataclass
from enum import Enum
from pathlib import Path
from typing import Any

from capacity_gateway.kernel.ledger import LedgerEntry
from capacity_gateway.kernel.pools import Pool
from capacity_gateway.kernel.reads import Reads

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
FIELDS = ("openingQuota", *HASHED, "hash", "change", "subjectTitle", "note")

Row = Mapping[str, Any]


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
class Verdict:
    """What a file's hash chain says."""

    pool: str | None
    entries: int
    last_hash: str | None
    """Of the last entry that follows; to be compared with the pool's, for a file may end too early."""
    broken_at: int | None = None
    """The version at which the first fault shows."""
    problem: str | None = None

    @property
    def intact(self) -> bool:
        """Whether every entry follows from the one before it."""
        return self.problem is None

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        return asdict(self) | {"intact": self.intact}


async def written(reads: Reads, pool: Pool, form: FileFormat) -> AsyncIterator[str]:
    """A pool's ledger as text, oldest entry first, page by page."""
    head = io.StringIO()
    if form is FileFormat.CSV:
        csv.writer(head, lineterminator="\n").writerow(FIELDS)
    yield head.getvalue()
    async for entries in reads.whole_ledger(pool):
        text = io.StringIO()
        lines = csv.writer(text, lineterminator="\n")
        for entry in entries:
            row = _row(pool, entry)
            if form is FileFormat.CSV:
                lines.writerow(row.values())
            else:
                text.write(json.dumps(row, ensure_ascii=False) + "\n")
        yield text.getvalue()


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
        "change": entry.quota_change - entry.held_change - entry.confirmed_change,
        "subjectTitle": entry.subject_title,
        "note": entry.note,
    }
    return {name: values[name] for name in FIELDS}


def verify(file: Path, expected_hash: str | None = None) -> Verdict:
    """Follow a file's entries from the opening on, up to the first that does not follow.

    Args:
        file: CSV or JSON Lines.
        expected_hash: what the last entry's hash must be, where that is known from elsewhere.

    Raises:
        UnreadableLedger: where it cannot be read as a ledger.
    """
    pool, last_hash, available, version = None, None, 0, 0
    for row in _rows(file):
        try:
            if pool is None:
                pool, opening = row["poolId"], _text(row["openingQuota"])
                last_hash, available = sha256(pool, opening), int(opening or 0)
            available += int(row["quotaChange"]) - int(row["heldChange"]) - int(row["confirmedChange"])
            problem = _problem(row, pool, version, last_hash or "", available)
        except (KeyError, ValueError, TypeError) as error:
            raise UnreadableLedger(f"{file}: entry {version + 1} is none: {error!r}") from error
        if problem is not None:
            return Verdict(pool=pool, entries=version, last_hash=last_hash, broken_at=version + 1, problem=problem)
        version, last_hash = version + 1, row["hash"]
    if expected_hash not in (None, last_hash):
        problem = f"it should follow, for the last hash is not {expected_hash}"
        return Verdict(pool=pool, entries=version, last_hash=last_hash, broken_at=version + 1, problem=problem)
    return Verdict(pool=pool, entries=version, last_hash=last_hash)


def _problem(row: Row, pool: str, version: int, last_hash: str, available: int) -> str | None:
    """Why an entry does not follow the one of a version; None where it does."""
    if row["poolId"] != pool:
        return f"it is of another pool, {row['poolId']}"
    if int(row["version"]) != version + 1:
        return f"version {version + 1} is missing: {row['version']} follows {version}"
    if sha256(last_hash, *(_text(row[name]) for name in HASHED)) != row["hash"]:
        return "it is not as it was written, or the one before it is not: its hash does not follow"
    if _text(row["availableAfter"]) not in ("", str(available)):
        return f"its running sum is {row['availableAfter']}, and the changes so far make {available}"
    return None


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
