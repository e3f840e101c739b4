"""The benchmarks start, send what they say they send, and check it. How fast anything is, no test says."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench.load import is_whole
from bench.rows import ROWS

ROOT = Path(__file__).parents[1]


def test_one_row_can_be_measured_alone() -> None:
    """`--quick --only alone` runs on a real database, finds the books right, and prints that row and no other."""
    done = subprocess.run(
        [sys.executable, "-m", "bench", "--quick", "--only", "alone"],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": os.pathsep.join((str(ROOT / "src"), str(ROOT / "tests")))},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    measured = [row.measure for row in ROWS.values() if f"| {row.measure} |" in done.stdout]
    assert measured == [ROWS["alone"].measure]
    assert "not measured" not in done.stdout


def test_a_promise_of_liveness_can_be_measured_alone() -> None:
    """`liveness --quick --only L6` stops a gateway that callers are at, and tells of all that is promised of that."""
    done = subprocess.run(
        [sys.executable, "-m", "bench.liveness", "--quick", "--only", "L6"],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": os.pathsep.join((str(ROOT / "src"), str(ROOT / "tests")))},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert [line[:6] for line in done.stdout.splitlines() if line.startswith("| L")] == ["| L6 |"] * 3


@pytest.mark.parametrize(
    ("answer", "whole"),
    [
        (b"HTTP/1.1 200 OK\r\ncontent-le", False),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{", False),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", True),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n", False),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n", True),
    ],
)
def test_an_answer_is_counted_when_it_is_whole(answer: bytes, whole: bool) -> None:
    """Pieces of an answer are waited for, whichever way the server says how long it is."""
    assert is_whole(answer) is whole


def test_a_row_is_kept_only_if_all_of_it_is() -> None:
    """Of two limits in one row both must be reached, by the median of the rounds."""
    row = ROWS["no-database"]

    assert row.cells({"Apollo Server": [2, 3, 9], "yoga": [6]})[-1] == "yes"
    assert row.cells({"Apollo Server": [1, 2, 9], "yoga": [6]})[-1] == "no"
    assert row.cells({})[-1] == ""
