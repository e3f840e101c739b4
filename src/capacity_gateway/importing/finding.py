"""What is found in old data before it comes in."""

from dataclasses import dataclass
from enum import Enum


class Discrepancy(Enum):
    """In what way old data does not add up, or cannot be read for what it means."""

    COUNTER = "counter"
    """The counter is not what its ledger adds up to."""
    NEGATIVE = "negative"
    """More is taken than there is."""
    NO_ENTRY = "no entry"
    """Something is taken with no entry behind it."""
    OTHER_AMOUNT = "other amount"
    """Its entries add up to something else."""
    ORPHAN = "orphan"
    """What it belongs to does not exist."""
    UNCOUNTED = "uncounted"
    """The counter takes more than all who have something."""
    TOO_FREE = "too free"
    """The counter takes less than all who have something."""
    TWICE = "twice"
    """Something is there twice of which there can be one."""
    LIMITS = "limits"
    """Two limits of the same thing differ."""
    REASON = "reason"
    """A reason that nobody knows."""
    STATUS = "status"
    """A status that nobody knows."""
    VALUE = "value"
    """A number that there cannot be."""


STOPPING = {Discrepancy.STATUS, Discrepancy.VALUE}
"""What has to be mended, or named in the mapping, before anything comes in."""


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong in the source, and what becomes of it."""

    kind: Discrepancy
    table: str
    ref: str
    message: str

    @property
    def stops(self) -> bool:
        """Whether nothing comes in before it is mended."""
        return self.kind in STOPPING
