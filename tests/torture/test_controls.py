"""Takes a promise of the server away, and sees the judge notice."""

from pathlib import Path

import pytest

from capacity_gateway.kernel.database import APPLICATION_ROLE
from torture.faults import World
from torture.harness import torture

pytestmark = pytest.mark.controls


async def test_without_waiting_for_the_disk_acknowledged_changes_are_lost(folder: Path) -> None:
    """PostgreSQL, stopped before it has written its log, comes back without them."""
    sabotage = f"ALTER ROLE {APPLICATION_ROLE} IN DATABASE postgres SET synchronous_commit = off"

    summary = await torture(folder, operations=150, faults=3, seed=1, kinds=[World.stop_postgres], sabotage=sabotage)

    assert any(sentence.startswith("S6") for sentence in summary.wrong)
