"""The pages of docs/ are true: what they tell to do is done, and comes to what they show."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from e2e.conftest import starter
from e2e.processes import ROOT, GatewayProcess, database_of, environment, fetch
from pages import Reader

DOCS = ROOT / "docs"


@pytest_asyncio.fixture(scope="module")
async def demo(
    server: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[tuple[GatewayProcess, dict[str, str]]]:
    """What `scripts/up` starts, for all pages, and what its commands find in their environment."""
    folder = tmp_path_factory.mktemp("pages")
    name = f"pages_{folder.name}_{folder.parent.name}".replace("-", "_")
    await fetch(server, f"CREATE DATABASE {name}")
    settings = {"database_url": database_of(server, name), "data_dir": folder / "data"}
    with starter(folder) as start:
        yield start(**settings, seed_demo=1).ready(), environment(**settings)
    await fetch(server, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.mark.parametrize("page", ["tutorial", "errors"])
def test_a_page_s_commands_come_to_what_it_shows(
    page: str, demo: tuple[GatewayProcess, dict[str, str]], tmp_path: Path
) -> None:
    """In their order, in one shell, and documents as the demo's organiser."""
    gateway, found = demo

    def send(document: str) -> str:
        return json.dumps(gateway.post(document, headers=gateway.login("organizer")).json())

    here = {"./scripts/up": "true", "http://127.0.0.1:8000": gateway.url}
    Reader(send, tmp_path, found, here).read((DOCS / f"{page}.md").read_text())
