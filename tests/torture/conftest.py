"""Folders that PostgreSQL can reach whoever else runs pytest: each new run closes the one of all runs for a moment."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder of this test's own."""
    with tempfile.TemporaryDirectory(prefix="torture-") as folder:
        yield Path(folder)
