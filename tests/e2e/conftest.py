"""Real processes on free ports, each test's in folders of its own, and nothing of them left afterwards."""

import itertools
import uuid
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, async_playwright

from capacity_gateway.demo import load_demo
from capacity_gateway.kernel.capacity import Capacity
from e2e.browsing import ARGUMENTS, CHROMIUM
from e2e.processes import GatewayProcess, database_of, fetch, postmaster
from skipping import not_tested

TENANT = "00000000-0000-0000-0000-000000000001"
Start = Callable[..., GatewayProcess]


@contextmanager
def starter(folder: Path) -> Iterator[Start]:
    """Starts gateways that keep their words, and unless told otherwise their data, in one folder."""
    numbers = itertools.count(1)
    started: list[GatewayProcess] = []
    data_dirs = {folder / "data"}

    def start(verb: str = "up", *, prefix: Sequence[str] = (), **settings: object) -> GatewayProcess:
        settings = {"data_dir": folder / "data"} | settings
        data_dirs.add(Path(str(settings["data_dir"])))
        started.append(GatewayProcess(folder / f"words-{next(numbers)}", verb, prefix=prefix, **settings))
        return started[-1]

    yield start
    for gateway in started:
        gateway.process.terminate()
    for gateway in started:
        gateway.process.wait(timeout=30)
    for data_dir in data_dirs:
        if server := postmaster(data_dir):  # its last gateway was killed
            server.kill()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start a gateway: `start(verb="up", **settings)`; `ready()` then waits for it."""
    with starter(tmp_path) as start:
        yield start


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """The folder of this test's gateways."""
    return tmp_path / "data"


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    """A gateway with the demo, for tests that change nothing."""
    with starter(tmp_path_factory.mktemp("served")) as start:
        yield start().ready()


@pytest.fixture(scope="session")
def gateway_url(served: GatewayProcess) -> str:
    """The address of a gateway with the demo, for tests that change nothing."""
    return served.url


@pytest.fixture
async def empty_url(server: str) -> AsyncIterator[str]:
    """The address, as its superuser, of a database in which there is nothing yet."""
    name = f"empty_{uuid.uuid4().hex}"
    await fetch(server, f"CREATE DATABASE {name}")
    yield database_of(server, name)
    await fetch(server, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
async def demo_url(owner_url: str, capacity: Capacity) -> str:
    """The address, as its owner, of a database of this test's own with the demo in it."""
    await load_demo(capacity, TENANT)
    return owner_url


@pytest_asyncio.fixture(scope="session")
async def chromium() -> AsyncIterator[Browser]:
    """A headless Chromium; where there is none, CI fails and everybody else is told what was not tested."""
    if CHROMIUM is None:
        not_tested("the pages in a browser, as there is no /usr/bin/chromium (apt-get install chromium)")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        await browser.close()
