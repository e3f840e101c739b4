"""Commands that serve: everything at once, or from a database that is there."""

import asyncio
import gc
from contextlib import suppress
from socket import socket
from types import FrameType

import uvicorn
from starlette.applications import Starlette

from capacity_gateway.app import application
from capacity_gateway.command_line.reaching import address, owner_address
from capacity_gateway.command_line.saying import COULD_NOT, AsJson, print_json, said, stop_on_sigterm
from capacity_gateway.demo import load_demo
from capacity_gateway.embedded import EmbeddedPostgres
from capacity_gateway.kernel.capacity import Capacity
from capacity_gateway.kernel.database import Database, application_url
from capacity_gateway.kernel.migrations import migrate
from capacity_gateway.login import Login, demo_tokens
from capacity_gateway.settings import Settings, settings
from capacity_gateway.wire import guarded

REQUESTS_MAX = 1024  # connections without a socket on them; beyond, 503 at once
GRACE_SECONDS = 5  # to finish work in flight at a stop: longer than the deadline of any call


def up(*, host: str | None = None, port: int | None = None, as_json: AsJson = False) -> None:
    """Start everything: database, migrations, demo data, gateway. Ctrl-C stops it all.

    Exit codes: 0 = stopped; 2 = it could not start.

    Args:
        host: Where to listen; absent = CAPACITY_HOST, or 127.0.0.1.
        port: On which port; absent = CAPACITY_PORT, or 8000; 0 = any that is free.
        as_json: Print where it listens and the logins as JSON.
    """
    knobs = settings()
    Login(knobs)  # where logins cannot be checked, say so before anything is started
    embedded = None if knobs.database_url else EmbeddedPostgres(knobs.data_dir)
    stop_on_sigterm()
    try:
        if embedded:
            with said.status(f"Starting PostgreSQL in {knobs.data_dir}"):
                owner_url = database_url = embedded.start()
        else:
            owner_url, database_url = owner_address(knobs), str(knobs.database_url)
        seed = knobs.seed_demo if knobs.seed_demo is not None else embedded is not None
        with said.status("Bringing the database up to date"):
            asyncio.run(prepare(knobs, owner_url, database_url, seed=seed))
        asyncio.run(listen(knobs, database_url, host=host, port=port, embedded=embedded, as_json=as_json))
    except KeyboardInterrupt:
        said.print("Stopped.")
    finally:
        if embedded:
            embedded.stop()


def serve(*, host: str | None = None, port: int | None = None, as_json: AsJson = False) -> None:
    """Serve from a database that is up to date.

    Exit codes: 0 = stopped; 2 = it could not start.

    Args:
        host: Where to listen; absent = CAPACITY_HOST, or 127.0.0.1.
        port: On which port; absent = CAPACITY_PORT, or 8000; 0 = any that is free.
        as_json: Print where it listens and the logins as JSON.
    """
    knobs = settings()
    Login(knobs)
    stop_on_sigterm()
    with suppress(KeyboardInterrupt):
        asyncio.run(listen(knobs, address(knobs), host=host, port=port, embedded=None, as_json=as_json))


async def listen(
    knobs: Settings,
    database_url: str,
    *,
    host: str | None,
    port: int | None,
    embedded: EmbeddedPostgres | None,
    as_json: bool,
) -> None:
    """Serve until told to stop; an embedded database is kept alive meanwhile."""
    knobs = knobs.model_copy(update={"host": host or knobs.host})
    app = application(knobs, await application_url(database_url))
    host = knobs.host if host is None else host
    server = Server(app, configuration(knobs, app, host, knobs.port if port is None else port), as_json=as_json)
    keeper = asyncio.create_task(embedded.keep_alive()) if embedded else None
    try:
        await server.serve()
    except SystemExit as error:  # uvicorn has said why
        raise SystemExit(COULD_NOT) from error
    finally:
        if keeper:
            keeper.cancel()


async def prepare(knobs: Settings, owner_url: str, database_url: str, *, seed: bool) -> None:
    """Migrate, and load the demo where it is wanted and missing."""
    await migrate(owner_url, database_url)
    if seed:
        async with Database.open(await application_url(database_url), connections_max=2) as database:
            await load_demo(Capacity(database, deadline_seconds=knobs.deadline_seconds), knobs.default_tenant)


class Server(uvicorn.Server):
    """uvicorn, with our greeting once it listens."""

    def __init__(self, app: Starlette, config: uvicorn.Config, *, as_json: bool = False) -> None:
        super().__init__(config)
        self.app = app
        self.as_json = as_json

    async def startup(self, sockets: list[socket] | None = None) -> None:
        """Listen, and say where."""
        await super().startup(sockets)
        spare_the_collector()
        host, port = self.servers[0].sockets[0].getsockname()[:2]
        url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
        greet(settings(), url, as_json=self.as_json)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Be ready no longer, at once; the stop itself begins up to 0.1 s later."""
        self.app.state.stopping = True
        super().handle_exit(sig, frame)

    async def shutdown(self, sockets: list[socket] | None = None) -> None:
        """Let those who stream look for another gateway, and finish what else is in flight."""
        self.app.state.endpoint.stop()
        await super().shutdown(sockets)


def configuration(knobs: Settings, app: Starlette, host: str, port: int) -> uvicorn.Config:
    """How uvicorn serves: with a limit on everything."""
    return uvicorn.Config(
        app,
        host=host,
        port=port,
        log_config=None,  # write_logs has done it
        access_log=False,  # CAPACITY_LOG_REQUESTS says more
        timeout_graceful_shutdown=GRACE_SECONDS,
        limit_concurrency=knobs.sockets_max + REQUESTS_MAX,  # sockets never take the room of requests
        http=guarded(knobs, app.state),
        ws_max_size=knobs.body_bytes_max,
        ws_per_message_deflate=False,  # it takes memory and time for every socket, for events of 300 bytes
    )


def spare_the_collector() -> None:
    """Look for garbage more seldom, and not among what is there for good: it took a tenth of the time (measured)."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000)


def greet(knobs: Settings, url: str, *, as_json: bool) -> None:
    """Say where to go, and hand out a login for each role where the secret is one of our own making."""
    logins = {} if knobs.jwt_secret or knobs.production else demo_tokens(knobs)
    if as_json:
        print_json({"graphql": f"{url}/graphql", "console": f"{url}/console", "logins": logins})
        return
    said.print(f"\n[bold green]Capacity gateway[/bold green] {url}/graphql", highlight=False)
    said.print(f"Console {url}/console", highlight=False)
    if logins:
        said.print("Logins for a day, as [bold]Authorization: Bearer …[/bold]\n", highlight=False)
        for role, text in logins.items():
            said.print(f"[bold]{role}[/bold] {text}\n", highlight=False, soft_wrap=True)
        said.print("Ctrl-C stops it.")
