"""What became of a commit is told truly, though nobody heard of it."""

import pytest
from doubts import busy_and_then_free, cut_commits, cut_while_at_work


@pytest.mark.parametrize("seed", [1, 2])
async def test_a_commit_that_nobody_heard_of_is_settled_by_its_key(owner_url: str, seed: int) -> None:
    """Cut before, during or after it: done once, and the caller learns what was done."""
    assert await cut_commits(owner_url, seed=seed) == []


async def test_nothing_is_denied_that_may_yet_happen(owner_url: str) -> None:
    """While the first transaction is at work, the same key waits for it."""
    assert await cut_while_at_work(owner_url) == []


async def test_busy_leaves_no_trace_under_its_key(owner_url: str) -> None:
    """Nothing was applied, and the same key is applied later."""
    assert await busy_and_then_free(owner_url) == []
