"""The pages of docs/ are true: what they tell to do is done, and comes to what they show."""

import json
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from e2e.conftest import starter
from e2e.processes import ROOT, GatewayProcess, database_of, environment, fetch
from pages import Reader

DOCS = ROOT / "docs"

PAGES = sorted(DOCS.glob("*.md"))


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


@pytest.mark.parametrize("page", ["tutorial"])
def test_a_page_s_commands_come_to_what_it_shows(
    page: str, demo: tuple[GatewayProcess, dict[str, str]], tmp_path: Path
) -> None:
    """In their order, in one shell, and documents as the demo's organiser."""
    gateway, found = demo

    def send(document: str) -> str:
        return json.dumps(gateway.post(document, headers=gateway.login("organizer")).json())

    here = {"./scripts/up": "true", "http://127.0.0.1:8000": gateway.url}
    Reader(send, tmp_path, found, here).read((DOCS / f"{page}.md").read_text())


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_s_links_lead_somewhere(page: Path) -> None:
    """To files that are there, and to headings that stand in them."""
    for place, _, heading in re.findall(r"\]\((?!https?:)([^)#]*)(#?)([^)]*)\)", page.read_text()):
        leads_to = page.parent / place if place else page
        assert leads_to.exists(), place
        assert not heading or heading in headings(leads_to), heading


def test_the_index_names_every_page() -> None:
    """None is to be found by chance only."""
    index = (DOCS / "README.md").read_text()

    assert {page.name for page in PAGES} - {"README.md"} <= set(re.findall(r"\]\(([\w-]+\.md)\)", index))


def headings(page: Path) -> set[str]:
    """The headings of a page, as links name them."""
    named = re.findall(r"^#+ (.*)$", page.read_text(), flags=re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in named}
