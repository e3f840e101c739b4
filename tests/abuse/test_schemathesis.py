"""Schemathesis asks what the schema allows, field by field, and finds nothing."""

import asyncio
import os
import re
import sys
from pathlib import Path

from subscribing import serving

EXAMPLES = 3  # of each root field
SEED = 20261124
PATHS = [str(Path(__file__).parent), *sys.path]


async def test_schemathesis_finds_nothing(owner_url: str, tmp_path: Path) -> None:
    """No server error for whatever an admin may send, by its GraphQL mode, with all root fields."""
    async with serving(owner_url) as served:
        process = await asyncio.create_subprocess_exec(
            Path(sys.executable).with_name("schemathesis"),
            *("run", f"http://{served.address}/graphql"),
            *("--checks", "not_a_server_error", "--phases", "fuzzing", "--no-color"),
            *("--max-examples", str(EXAMPLES), "--seed", str(SEED), "--generation-database", "none"),
            *("--header", f"Authorization: {served.gateway.login('ada', 'admin')['authorization']}"),
            cwd=tmp_path,
            env=os.environ | {"SCHEMATHESIS_HOOKS": "refusals_of_ours", "PYTHONPATH": os.pathsep.join(PATHS)},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        said, _ = await process.communicate()

    assert process.returncode == 0, said.decode()
    (tested,) = re.findall(r"Tested: (\d+)", said.decode())
    assert int(tested) > 80
