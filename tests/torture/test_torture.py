"""Everything fails, and nothing that was promised is broken."""

import os
from pathlib import Path

from torture.harness import torture


async def test_whatever_fails_nothing_promised_is_broken(folder: Path) -> None:
    """5,000 operations under 24 faults of 11 kinds: S1 to S10 and S12 hold, by what was told and what is there.

    Gateways and backends are killed and frozen, PostgreSQL is stopped without a checkpoint, connections are cut around
    the commit.
    """
    seed = int(os.environ.get("CAPACITY_SEED", "20261124"))
    print(f"scripts/torture --seed {seed}")  # noqa: T201 - to run it again
    summary = await torture(folder, operations=5000, faults=24, seed=seed)
    print(summary)  # noqa: T201 - shown when the test fails

    assert summary.wrong == []
    assert summary.operations >= 5000
    assert summary.faults.total() >= 20
    assert {"NOT_APPLIED", "UNKNOWN", "LOST"} <= set(summary.attempts), "the faults were not felt"
