"""What a machine cannot test is said aloud, and does not pass for tested."""

import os
from typing import NoReturn

import pytest


def not_tested(what: str) -> NoReturn:
    """Skip, and say what was not tested and why; where CI is set, which has all that is needed, fail."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"NOT TESTED: {what}")
    pytest.skip(f"NOT TESTED: {what}")
