"""The gateway as its user runs it: a command with settings, seen through its words, its port and its exit code."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import psutil  # type: ignore[import-untyped, unused-ignore]

from capacity_gateway.graphiql import EXAMPLES

COMMAND = Path(sys.executable).with_name("capacity-gateway")
START_SECONDS = 60  # at most, of a first start on a busy machine

ROOT = Path(__file__).parents[2]
APPROVE, REFUND, LEDGER = (EXAMPLES[number] for number in (1, 2, 3))
COMPETITIONS = "{ competitions(first: 100) { edges { node { name pool { available } } } } }"


def environment(**settings: object) -> dict[str, str]:
    """What a command finds in its environment: of CAPACITY_…, these settings only."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("CAPACITY_", "PG"))}
    return inherited | {f"CAPACITY_{name.upper()}": str(value) for name, value in settings.items()}


def run(*arguments: str, **settings: object) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    return subprocess.run(  # noqa: S603 - our own command
        [COMMAND, *arguments],
        env=environment(**settings),
        capture_output=True,
        text=True,
        timeout=START_SECONDS,
        check=False,
    )


class GatewayProcess:
    """A gateway that serves, or is about to."""

    def __init__(self, words: Path, verb: str, *, prefix: Sequence[str] = (), **settings: object) -> None:
        self._words = words
        self._began = time.monotonic()
        with words.open("w") as output:
            self.process = subprocess.Popen(  # noqa: S603 - our own command
                [*prefix, COMMAND, verb, "--port", "0"],
                env=environment(**settings),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        self.url = ""
        self.seconds_to_start = 0.0

    def words(self) -> str:
        """What it has said so far."""
        return self._words.read_text()

    def ready(self) -> "GatewayProcess":
        """Wait until it takes traffic."""
        while not (greeting := re.search(r"(http://\S+)/graphql", self.words())):
            assert self.process.poll() is None, self.words()
            assert time.monotonic() - self._began < START_SECONDS, self.words()
            time.sleep(0.02)
        self.url = greeting[1]
        while (said := self.get("/readyz").json()) != {"ready": True, "problems": []}:
            assert time.monotonic() - self._began < START_SECONDS, said
            time.sleep(0.02)
        self.seconds_to_start = time.monotonic() - self._began
        return self

    def tokens(self) -> dict[str, str]:
        """The logins it has printed, by role."""
        return dict(re.findall(r"^([a-z]+) (eyJ\S+)$", self.words(), re.MULTILINE))

    def login(self, role: str = "director") -> dict[str, str]:
        """The header of a printed login."""
        return {"authorization": f"Bearer {self.tokens()[role]}"}

    def get(self, path: str) -> httpx.Response:
        """What one of its addresses answers."""
        return httpx.get(self.url + path, timeout=10, verify=False)  # noqa: S501 - plain HTTP

    def post(
        self, document: str, variables: dict[str, Any] | None = None, headers: dict[str, str] | None = None
    ) -> httpx.Response:
        """The answer to an operation, by default of the printed director."""
        return httpx.post(
            f"{self.url}/graphql",
            json={"query": document, "variables": variables},
            headers=self.login() if headers is None else headers,
            timeout=10,
            verify=False,  # noqa: S501 - plain HTTP
        )

    def send(
        self, document: str, variables: dict[str, Any] | None = None, headers: dict[str, str] | None = None
    ) -> Any:
        """The value of an operation's only root field; fails on any other status or error."""
        response = self.post(document, variables, headers)
        answer = response.json()
        assert (response.status_code, answer.get("errors")) == (200, None), answer
        (value,) = answer["data"].values()
        return value

    def stop(self, by: signal.Signals = signal.SIGTERM) -> int:
        """Ask it to stop; its exit code."""
        self.process.send_signal(by)
        return self.process.wait(timeout=30)

    def kill(self) -> None:
        """End it with kill -9."""
        self.process.kill()
        self.process.wait(timeout=30)


def postmaster(data_dir: Path) -> psutil.Process | None:
    """The PostgreSQL server of a data folder; None when it does not run."""
    with suppress(FileNotFoundError, psutil.NoSuchProcess):
        process = psutil.Process(int((data_dir / "pg" / "postmaster.pid").read_text().split()[0]))
        if process.status() != psutil.STATUS_ZOMBIE:
            return process
    return None


def database_of(server: str, name: str) -> str:
    """The address of another database of the same server."""
    return server.replace("/postgres?", f"/{name}?")


async def fetch(url: str, statement: str, *values: object) -> list[tuple[Any, ...]]:
    """Run one statement behind the gateway's back; its rows."""
    connection = await asyncpg.connect(url)
    try:
        return [tuple(row) for row in await connection.fetch(statement, *values)]
    finally:
        await connection.close()
