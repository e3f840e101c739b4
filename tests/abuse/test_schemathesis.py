"""Schemathesis asks what the schema allows, field by field, and finds nothing."""

import asyncio
import os
import re
import sys
from pathlib import Path

from capacity_gateway.demo import load_demo
from capacity_gateway.kernel.capacity import Capacity
from capacity_gateway.kernel.database import Database
from capacity_gateway.login import mint
from conftest import TENANT
from subscribing import serving

EXAMPLES = 3  # of each root field
WITH_DATA = 75  # fields, of 86, at least; what is offered, ordered or rated depends on what came before
SEED = 20261124
REGISTER = 'mutation { register(input: { eventId: "demo-summit" }) { __typename } }'
WAIT = 'mutation { joinSession(input: { sessionId: "demo-workshop" }) { __typename } }'
PATHS = [str(Path(__file__).parent), *sys.path]


async def test_schemathesis_finds_nothing(owner_url: str, database: Database, tmp_path: Path) -> None:
    """No server error for whatever an admin may send, by its GraphQL mode, to all root fields, nearly all with data."""
    reached = tmp_path / "reached"
    async with serving(owner_url) as served:
        token = mint(served.gateway.settings, {"sub": "ada", "role": "admin"}, ttl_seconds=3600)
        await load_demo(Capacity(database, deadline_seconds=30), TENANT)
        for document in (REGISTER, WAIT):
            await served.gateway.send(document, headers=served.gateway.login("ada", "admin"))
        process = await asyncio.create_subprocess_exec(
            Path(sys.executable).with_name("schemathesis"),
            *("run", f"http://{served.address}/graphql"),
            *("--checks", "not_a_server_error", "--phases", "fuzzing", "--no-color"),
            *("--max-examples", str(EXAMPLES), "--seed", str(SEED), "--generation-database", "none"),
            *("--header", f"Authorization: Bearer {token}"),
            cwd=tmp_path,
            env=os.environ
            | {"SCHEMATHESIS_HOOKS": "schemathesis_hooks", "PYTHONPATH": os.pathsep.join(PATHS)}
            | {"CAPACITY_TEST_REACHED": str(reached)},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        said, _ = await process.communicate()

    assert process.returncode == 0, said.decode()
    (tested,) = re.findall(r"Tested: (\d+)", said.decode())
    assert int(tested) > 80
    assert len(set(reached.read_text().split())) >= WITH_DATA, reached.read_text()
