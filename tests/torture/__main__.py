"""The long run, as `scripts/torture` starts it."""

import asyncio
import secrets
import shutil
import sys
import tempfile
from pathlib import Path

import cyclopts

from torture.harness import torture


def main(*, ops: int = 5000, faults: int = 24, seed: int | None = None) -> None:
    """Torture two gateways and print what came of it; exit 1 when anything was wrong.

    Args:
        ops: operations that clients ask for, at least.
        faults: spread over them.
        seed: of an earlier run, to ask and to fail in the same way.
    """
    chosen = secrets.randbelow(2**32) if seed is None else seed
    print(f"seed {chosen}", flush=True)  # noqa: T201 - what it is for
    folder = Path(tempfile.mkdtemp(prefix="torture-"))
    summary = asyncio.run(torture(folder, operations=ops, faults=faults, seed=chosen))
    print(summary)  # noqa: T201 - same
    if summary.wrong:
        print(f"what the gateways said is in {folder}")  # noqa: T201 - same
        sys.exit(1)
    shutil.rmtree(folder)


cyclopts.run(main)
