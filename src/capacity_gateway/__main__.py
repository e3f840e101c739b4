"""The command line."""

import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext, suppress
from pathlib import Path
from socket import socket
from typing import Annotated, Any, NoReturn

import uvicorn
from cyclopts import App, Parameter
from pydantic import ValidationError
from rich.console import Console
from rich.markup import escape
from rich.progress import Progress
from rich.table import Column, Table
from rich.text import Text
from starlette.applications import Starlette

from capacity_gateway.app import application
from capacity_gateway.demo import load_demo
from capacity_gateway.domains import events, tickets
from capacity_gateway.domains.competitions import KIND, ReservationSuccess
from capacity_gateway.embedded import EmbeddedPostgres
from capacity_gateway.importing.bring import Plan, bring, plan_of, source_of
from capacity_gateway.importing.shadow import Shadow, divergences, numbers_of
from capacity_gateway.kernel.capacity import Capacity
from capacity_gateway.kernel.commands import Attribution, Backfill
from capacity_gateway.kernel.database import CONNECTION_LOST, REFUSED, Database, NoConnection, application_url
from capacity_gateway.kernel.doctor import Check, examine
from capacity_gateway.kernel.erasure import erase as erase_person
from capacity_gateway.kernel.errors import Busy
from capacity_gateway.kernel.history import History
from capacity_gateway.kernel.ledger import LedgerEntry
from capacity_gateway.kernel.migrations import migrate as migrate_database
from capacity_gateway.kernel.outcomes import CapacityChange
from capacity_gateway.kernel.pools import Pool
from capacity_gateway.kernel.reads import Reads
from capacity_gateway.kernel.reconciliation import Reconciliation
from capacity_gateway.kernel.repair import Repair, owning
from capacity_gateway.kernel.repair import reconcile as reconcile_pools
from capacity_gateway.kernel.repair import repair as repair_pools
from capacity_gateway.kernel.vocabulary import PoolKind
from capacity_gateway.ledger_file import FileFormat, written
from capacity_gateway.ledger_file import verify as verify_file
from capacity_gateway.login import Login, demo_tokens, mint
from capacity_gateway.schema import sdl
from capacity_gateway.settings import Settings, settings
from capacity_gateway.wire import guarded

cli = App(
    name="capacity-gateway",
    help="The one place where capacity is taken and given back.",
    default_parameter=Parameter(negative=()),  # no --no-json beside --json
)
said = Console(stderr=True)
"""What a person reads while it works; results go to the standard output."""
cli.register_install_completion_command(add_to_startup=False)

PERSONAL = events.PERSONAL + tickets.PERSONAL
REQUESTS_MAX = 1024  # connections without a socket on them; beyond, 503 at once
GRACE_SECONDS = 5  # to finish work in flight at a stop: longer than the deadline of any call

Tenant = Annotated[str | None, Parameter(help="The tenant; absent = CAPACITY_DEFAULT_TENANT.")]


@cli.command
def up(*, host: str | None = None, port: int | None = None) -> None:
    """Start everything: database, migrations, demo data, gateway. Ctrl-C stops it all.

    Args:
        host: Where to listen; absent = CAPACITY_HOST, or 127.0.0.1.
        port: On which port; absent = CAPACITY_PORT, or 8000; 0 = any that is free.
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
        asyncio.run(listen(knobs, database_url, host=host, port=port, embedded=embedded))
    except KeyboardInterrupt:
        said.print("Stopped.")
    finally:
        if embedded:
            embedded.stop()


@cli.command
def serve(*, host: str | None = None, port: int | None = None) -> None:
    """Serve from a database that is up to date.

    Args:
        host: Where to listen; absent = CAPACITY_HOST, or 127.0.0.1.
        port: On which port; absent = CAPACITY_PORT, or 8000; 0 = any that is free.
    """
    knobs = settings()
    Login(knobs)
    stop_on_sigterm()
    with suppress(KeyboardInterrupt):
        asyncio.run(listen(knobs, address(knobs), host=host, port=port, embedded=None))


@cli.command
def migrate() -> None:
    """Bring the database's tables and functions up to date, and make the application role."""
    knobs = settings()
    applied = asyncio.run(migrate_database(owner_address(knobs), knobs.database_url))
    said.print(f"Applied: {', '.join(applied)}" if applied else "Nothing to do: the database is up to date.")


@cli.command
def token(
    *,
    sub: str,
    role: str | None = None,
    tenant: Tenant = None,
    claim: list[str] | None = None,
    ttl_seconds: int = 86_400,
) -> None:
    """Print a login and nothing else, signed with this gateway's secret.

    Args:
        sub: The holder, and the ledger's actor.
        role: admin, director, studio, organizer or service; absent = attendee.
        tenant: The tenant; absent = CAPACITY_DEFAULT_TENANT.
        claim: A further claim as NAME=VALUE, such as studioId=42; may be given several times.
        ttl_seconds: How long it holds.
    """
    for pair in claim or []:
        if "=" not in pair:
            fail(f"A claim is NAME=VALUE, and this is none: {pair}")
    further = dict(pair.split("=", 1) for pair in claim or [])
    claims = {"sub": sub, "role": role, "tenant": tenant, **further}
    print(mint(settings(), claims, ttl_seconds=ttl_seconds))  # noqa: T201 - the command's result


@cli.command
def reconcile(
    *,
    kind: PoolKind | None = None,
    tenant: Tenant = None,
    threshold: int = 5,
    as_json: Annotated[bool, Parameter(name="--json")] = False,
) -> None:
    """Compare every counter with its ledger; exit 1 when one is off by more than the threshold, or a chain is broken.

    Args:
        kind: One kind of pools; absent = all.
        tenant: The tenant; absent = CAPACITY_DEFAULT_TENANT.
        threshold: How far a counter may be off.
        as_json: Print JSON instead of a table.
    """
    found = asyncio.run(reconcile_all(tenant, kind))
    table = Table(Column("Pool", overflow="fold"))
    for heading in ("Total", "Available", "By ledger", "Discrepancy", "Entries"):
        table.add_column(heading, justify="right", no_wrap=True)
    rows, remarks = [], []
    for r in found:
        title, problems = r.title, [problem.message for problem in r.problems]
        numbers = {
            "total": r.total,
            "available": r.actual_available,
            "by_ledger": r.expected_available,
            "discrepancy": r.discrepancy,
            "entries": r.ledger_entry_count,
        }
        table.add_row(Text(title or r.pool_id), *map(str, numbers.values()))
        remarks += [f"{title or r.pool_id}: {problem}" for problem in problems]
        rows.append({"pool": r.pool_id, "title": title, **numbers, "problems": problems})
    if as_json:
        print(json.dumps(rows, indent=2))  # noqa: T201 - the command's result
    else:
        Console().print(table)
        Console().print(*remarks, sep="\n", markup=False, highlight=False, soft_wrap=True)
    sys.exit(any(abs(r.discrepancy) > threshold or not r.chain_intact for r in found))


@cli.command
def backfill(reservation_id: str, /, *, note: str | None = None, tenant: Tenant = None) -> None:
    """Write the ledger entry that a reservation lacks; its counter stays as it is.

    Args:
        reservation_id: The orphan, as reconcile names it.
        note: Why, for the ledger.
        tenant: The tenant; absent = CAPACITY_DEFAULT_TENANT.
    """

    async def run() -> CapacityChange | str:
        async with gateway() as (_, capacity):
            by = Attribution(operation="backfill", actor="command line", note=note)
            command = Backfill(kind=KIND, claim_id=reservation_id)
            tenant_id = tenant or settings().default_tenant
            outcome = await capacity.submit(tenant_id, [command], by, ReservationSuccess)
            return outcome if isinstance(outcome, CapacityChange) else outcome.message

    outcome = asyncio.run(run())
    if isinstance(outcome, str):
        fail(outcome)
    if outcome.replayed:
        said.print("Nothing to do: no entry is missing.")
    for entry in outcome.entries:
        change = -entry.held_change - entry.confirmed_change
        effective = f"{entry.effective_at:%Y-%m-%d %H:%M:%S}"
        said.print(f"Entry {entry.id}: {change:+d}, effective {effective}.", markup=False, soft_wrap=True)


@cli.command
def repair(
    *,
    kind: PoolKind | None = None,
    tenant: Tenant = None,
    note: str | None = None,
    dry_run: bool = False,
    as_json: Annotated[bool, Parameter(name="--json")] = False,
) -> None:
    """Mend what reconcile names, by further ledger entries; nothing is changed or removed.

    Counter and ledger are brought to what the claims have. A ledger in which an entry is missing, doubled or altered is
    sealed as it is, and verified again from there on; reconcile goes on naming what was wrong with it. To be run as the
    database's owner (CAPACITY_ADMIN_DATABASE_URL). Exit 0, whether there was something to do or not.

    Args:
        kind: One kind of pools; absent = all.
        tenant: The tenant; absent = CAPACITY_DEFAULT_TENANT.
        note: Why, for the ledger.
        dry_run: Say what would be done, and do nothing.
        as_json: Print JSON.
    """
    repairs = asyncio.run(repair_all(tenant, kind, note, dry=dry_run))
    if as_json:
        print(json.dumps([shown_repair(each) for each in repairs], indent=2))  # noqa: T201 - the command's result
        return
    if not repairs:
        said.print("Nothing to do: every counter, ledger and claim agree.")
    for each in repairs:
        lines = [f"{each.title or each.pool_id}: {'; '.join(problem.message for problem in each.problems)}"]
        if each.sealed_at is not None:
            lines.append(f"  sealed up to version {each.sealed_at}")
        if each.counter_change:
            lines.append(f"  counter {each.counter_change:+d}")
        if each.overbooked:
            lines.append(f"  overbooked by {each.overbooked}")
        lines += [f"  entry {entry.version}: {entry.reason.value} {change_of(entry):+d}" for entry in each.entries]
        Console().print(*lines, sep="\n", markup=False, highlight=False, soft_wrap=True)
    if dry_run and repairs:
        said.print("Nothing of this has been done. Without --dry-run it is.")


@cli.command
def doctor(
    *,
    tenant: Annotated[str | None, Parameter(help="One tenant; absent = all.")] = None,
    threshold: int = 5,
    as_json: Annotated[bool, Parameter(name="--json")] = False,
) -> None:
    """Look over the server, the schema, the role, the clocks and every ledger.

    Exit 0 when all is well, 1 when something is wrong, 2 when it cannot be told. The monitors of the ledgers are drift,
    for every day, orphans, for every week, broken chains, and growth, which is for comparing.

    Args:
        tenant: One tenant; absent = all.
        threshold: How far a counter may be off.
        as_json: Print JSON.
    """
    checks = asyncio.run(examine_all(tenant, threshold))
    if as_json:
        print(json.dumps([vars(check) for check in checks], indent=2))  # noqa: T201 - the command's result
    else:
        for check in checks:
            figures = ", ".join(f"{name} {value}" for name, value in check.figures.items())
            mark = "[red]✗[/red]" if check.problems else "[green]✓[/green]"
            Console().print(f"{mark} {check.name:8} {escape(figures)}", highlight=False, soft_wrap=True)
            for problem in check.problems:
                Console().print(f"  {problem}", markup=False, highlight=False, soft_wrap=True)
    sys.exit(any(check.problems for check in checks))


@cli.command(name="import")
def import_(
    source: str,
    /,
    *,
    mapping: Path | None = None,
    tenant: Tenant = None,
    dry_run: bool = False,
    as_json: Annotated[bool, Parameter(name="--json")] = False,
) -> None:
    """Bring in what an older system has: competitions of the portal, or events, sessions and tickets of the platform.

    Each pool comes with all its claims and its whole ledger, in one transaction; what is here already stays as it is,
    so that this may be broken off and run again. What does not add up there is listed. Exit codes: 0 = done; 1 = a dry
    run has found something, or nothing was changed because something is to be named in the mapping; 2 = it cannot be
    read.

    Args:
        source: A PostgreSQL URL, a folder with a CSV file for each table, or a replay's JSON file.
        mapping: A TOML file: what the source calls its tables, columns, statuses and reasons.
        tenant: The tenant whose rows come in; absent = CAPACITY_DEFAULT_TENANT.
        dry_run: Only list what would come in and what is wrong with it.
        as_json: Print JSON instead of tables.
    """
    knobs = settings()
    tenant_id = tenant or knobs.default_tenant
    with said.status(f"Reading {source.rpartition('@')[2]}"):
        plan = asyncio.run(plan_of(source_of(source, mapping), tenant_id))
    state = dict.fromkeys((history.define.pool_id for history in plan.histories), "to come")
    stopped = any(finding.stops for finding in plan.findings)
    if not dry_run and not stopped:
        with Progress(console=said, transient=True) as progress:
            task = progress.add_task("Bringing in", total=plan.size)

            def tell(history: History, new: bool) -> None:
                state[history.define.pool_id] = "brought in" if new else "here already"
                progress.advance(task, history.size)

            asyncio.run(bring(owner_address(knobs), tenant_id, plan, tell))
    show_plan(plan, state, as_json=as_json)
    if stopped:
        said.print("Nothing was changed: name in the mapping, or mend, what is not known.", style="red")
    sys.exit(bool(stopped or (dry_run and plan.findings)))


@cli.command
def shadow(
    source: str,
    /,
    *,
    mapping: Path | None = None,
    tenant: Tenant = None,
    once: bool = False,
    interval_seconds: float = 5,
    as_json: Annotated[bool, Parameter(name="--json")] = False,
) -> None:
    """Run beside an older system that still counts, and tell of every pool whose numbers are not the same here.

    A divergence is told when two looks in a row have seen it, and once more when it has ended. Exit codes: 0 = none
    stands at the end; 1 = some do; 2 = one side cannot be read.

    Args:
        source: Where it counts: a PostgreSQL URL, or whatever `import` reads.
        mapping: What it calls its tables and columns, as for `import`.
        tenant: The tenant; absent = CAPACITY_DEFAULT_TENANT.
        once: Look once instead of until Ctrl-C.
        interval_seconds: How long between two looks.
        as_json: Print a line of JSON for each that begins or ends.
    """
    watched = Shadow(looks=1 if once else 2)
    stop_on_sigterm()

    async def look() -> None:
        async with gateway() as (database, capacity):
            while True:
                tenant_id = tenant or settings().default_tenant
                theirs = await numbers_of(source_of(source, mapping), tenant_id)
                pools = [pool async for pool in pools_of(database, capacity, tenant_id)]
                for word, told in zip(("begins", "ends"), watched.look(divergences(theirs, pools)), strict=True):
                    for each in told:
                        line = json.dumps({"divergence": word, **each.as_json()}) if as_json else f"{word}: {each}"
                        print(line, flush=True)  # noqa: T201 - the command's result
                if once:
                    return
                await asyncio.sleep(interval_seconds)

    with suppress(KeyboardInterrupt):
        asyncio.run(look())
    sys.exit(bool(watched.standing))


@cli.command
def export_ledger(
    kind: PoolKind,
    ref: str,
    /,
    *,
    form: Annotated[FileFormat, Parameter(name="--format")] = FileFormat.CSV,
    output: Path | None = None,
    tenant: Tenant = None,
) -> None:
    """Print a pool's whole ledger, oldest entry first, or write it to a file. Exit code 2 = there is no such pool.

    Args:
        kind: What is counted.
        ref: Its id outside.
        form: CSV, or JSON Lines.
        output: The file.
        tenant: The tenant; absent = CAPACITY_DEFAULT_TENANT.
    """

    async def run() -> None:
        async with gateway() as (database, capacity):
            reads = Reads(database, capacity, tenant or settings().default_tenant)
            pool = await reads.find_pool(kind.pool_id(ref))
            if pool is None:
                fail(f"There is no pool {kind.pool_id(ref)}.")
            with output.open("w", encoding="utf-8", newline="") if output else nullcontext(sys.stdout) as file:
                async for text in written(reads, pool, form):
                    file.write(text)

    asyncio.run(run())


@cli.command
def verify(
    file: Path, /, *, last_hash: str | None = None, as_json: Annotated[bool, Parameter(name="--json")] = False
) -> None:
    """Check an exported ledger with no database: does each entry follow from the one before it?

    Exit codes: 0 = all do; 1 = one does not, and it is said which; 2 = the file is no ledger.

    Args:
        file: As `export-ledger` wrote it.
        last_hash: The hash that the last entry must have, so that none is missing at the end.
        as_json: Print JSON instead of a sentence.
    """
    verdict = verify_file(file, last_hash)
    if as_json:
        print(json.dumps(verdict.as_json(), indent=2))  # noqa: T201 - the command's result
    elif verdict.problem is None:
        last = f", the last hash is {verdict.last_hash}" if verdict.entries else ""
        said.print(f"{verdict.entries} entries follow from the opening of {verdict.pool}{last}.", soft_wrap=True)
    else:
        where = f"Entry {verdict.broken_at} of {verdict.pool}"
        said.print(f"{where}: {verdict.problem}.", style="red", markup=False, soft_wrap=True)
    sys.exit(not verdict.intact)


@cli.command
def erase(*, holder: str | None = None, email: str | None = None, tenant: Tenant = None) -> None:
    """Forget a person: names, addresses and telephone numbers. The ledger stays as it is, and its hashes hold.

    Args:
        holder: Whose: a login's subject.
        email: A guest's address; capitals and small letters are the same.
        tenant: The tenant; absent = CAPACITY_DEFAULT_TENANT.
    """
    if not (holder or email):
        fail("Whom? Give --holder or --email.")

    async def run() -> int:
        async with gateway() as (database, _):
            tenant_id = tenant or settings().default_tenant
            return await erase_person(database, tenant_id, holder=holder, email=email, names=PERSONAL)

    said.print(f"Erased from {asyncio.run(run())} claims.")


@cli.command
def export_schema(*, output: Path | None = None) -> None:
    """Print the GraphQL schema, or write it to a file.

    Args:
        output: The file.
    """
    if output is None:
        print(sdl(), end="")  # noqa: T201 - the command's result
    else:
        output.write_text(sdl())


def address(knobs: Settings) -> str:
    """The database to serve from: the setting, or the embedded one of the data folder."""
    file = knobs.data_dir / "database-url"
    if knobs.database_url:
        return knobs.database_url
    if file.exists():
        return file.read_text().strip()
    return fail("There is no database: set CAPACITY_DATABASE_URL, or start one with `capacity-gateway up`.")


def owner_address(knobs: Settings) -> str:
    """The database as its owner reaches it."""
    return knobs.admin_database_url or address(knobs)


def fail(message: str) -> NoReturn:
    """Say what is wrong and exit 2."""
    said.print(message, style="red", markup=False, highlight=False, soft_wrap=True)
    sys.exit(2)


@asynccontextmanager
async def gateway() -> AsyncIterator[tuple[Database, Capacity]]:
    """The kernel over the configured database, for commands."""
    async with Database.open(await application_url(address(settings())), connections_max=2) as database:
        yield database, Capacity(database, deadline_seconds=settings().deadline_seconds)


async def prepare(knobs: Settings, owner_url: str, database_url: str, *, seed: bool) -> None:
    """Migrate, and load the demo where it is wanted and missing."""
    await migrate_database(owner_url, database_url)
    if seed:
        async with Database.open(await application_url(database_url), connections_max=2) as database:
            await load_demo(Capacity(database, deadline_seconds=knobs.deadline_seconds), knobs.default_tenant)


async def repair_all(tenant: str | None, kind: PoolKind | None, note: str | None, *, dry: bool) -> list[Repair]:
    """What was done to every pool of a tenant that needed it, or of those of one kind."""
    knobs = settings()
    key = knobs.seal_key()
    if key is None:
        fail("There is no key to sign seals with: set CAPACITY_SEAL_SECRET.")
    async with owning(owner_address(knobs)) as connection:
        repairs = repair_pools(
            connection,
            tenant or knobs.default_tenant,
            kinds_of(kind),
            seal_key=key,
            actor="command line",
            note=note,
            dry=dry,
        )
        return [each async for each in repairs]


async def examine_all(tenant: str | None, threshold: int) -> list[Check]:
    """All that the doctor looks at."""
    knobs = settings()
    async with owning(owner_address(knobs)) as owner, gateway() as (database, _):
        tenants = [tenant] if tenant else None
        checks = examine(owner, database, tenants, threshold=threshold, seal_key=knobs.seal_key())
        return [check async for check in checks]


def change_of(entry: LedgerEntry) -> int:
    """What an entry did to what is available."""
    return entry.quota_change - entry.held_change - entry.confirmed_change


def shown_repair(each: Repair) -> dict[str, object]:
    """A repair as JSON."""
    return {
        "pool": each.pool_id,
        "title": each.title,
        "problems": [{"kind": p.kind.value, "version": p.version, "delta": p.delta} for p in each.problems],
        "sealed_at": each.sealed_at,
        "counter_change": each.counter_change,
        "overbooked": each.overbooked,
        "entries": [
            {
                "version": entry.version,
                "reason": entry.reason.value,
                "change": change_of(entry),
                "claim": entry.claim_id,
                "note": entry.note,
            }
            for entry in each.entries
        ],
    }


async def reconcile_all(tenant: str | None, kind: PoolKind | None) -> list[Reconciliation]:
    """The reconciliation of every pool of a tenant, or of those of one kind."""
    knobs = settings()
    async with owning(address(knobs)) as connection:
        pools = reconcile_pools(connection, tenant or knobs.default_tenant, kinds_of(kind), knobs.seal_key())
        return [found async for found in pools]


def kinds_of(kind: PoolKind | None) -> list[PoolKind]:
    """One kind, or where none is named all."""
    return [kind] if kind else list(PoolKind)


async def pools_of(database: Database, capacity: Capacity, tenant: str) -> AsyncIterator[Pool]:
    """Every pool of a tenant."""
    last = None
    while True:
        reads = Reads(database, capacity, tenant)
        try:
            pools = await reads.pools_page(PoolKind, after=last, limit=100)
        finally:
            await reads.close()
        for pool in pools:
            yield pool
            last = pool.id
        if not pools:
            return


def show_plan(plan: Plan, state: dict[str, str], *, as_json: bool) -> None:
    """Print what comes in, and all that is wrong with it."""
    pools = [
        {
            "pool": history.define.pool_id,
            "title": history.define.title,
            "total": history.define.quota,
            "taken": history.used("held") + history.used("confirmed"),
            "claims": len(history.claims),
            "entries": len(history.changes),
            "state": state[history.define.pool_id],
        }
        for history in plan.histories
    ]
    found = [
        {"kind": each.kind.value, "table": each.table, "ref": each.ref, "message": each.message, "stops": each.stops}
        for each in plan.findings
    ]
    if as_json:
        print(json.dumps({"pools": pools, "findings": found}, indent=2))  # noqa: T201 - the command's result
        return
    console = Console()
    if found:
        console.print(table_of("Does not add up", found, ["kind", "table", "ref", "message"]))
    console.print(table_of("Pools", pools, ["title", "total", "taken", "claims", "entries", "state"]))


def table_of(title: str, rows: list[dict[str, Any]], names: list[str]) -> Table:
    """Some columns of these rows as a table."""
    table = Table(*(Column(name.capitalize(), overflow="fold") for name in names), title=title)
    for row in rows:
        table.add_row(*(Text("" if row[name] is None else str(row[name])) for name in names))
    return table


class Server(uvicorn.Server):
    """uvicorn, with our greeting once it listens."""

    def __init__(self, app: Starlette, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.app = app

    async def startup(self, sockets: list[socket] | None = None) -> None:
        """Listen, and say where."""
        await super().startup(sockets)
        host, port = self.servers[0].sockets[0].getsockname()[:2]
        greet(settings(), f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}")

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
        http=guarded(knobs),
        ws_max_size=knobs.body_bytes_max,
        ws_per_message_deflate=False,  # it takes memory and time for every socket, for events of 300 bytes
    )


async def listen(
    knobs: Settings,
    database_url: str,
    *,
    host: str | None,
    port: int | None,
    embedded: EmbeddedPostgres | None,
) -> None:
    """Serve until told to stop; an embedded database is kept alive meanwhile."""
    knobs = knobs.model_copy(update={"host": host or knobs.host})
    app = application(knobs, await application_url(database_url))
    host = knobs.host if host is None else host
    server = Server(app, configuration(knobs, app, host, knobs.port if port is None else port))
    keeper = asyncio.create_task(embedded.keep_alive()) if embedded else None
    try:
        await server.serve()
    finally:
        if keeper:
            keeper.cancel()


def greet(knobs: Settings, url: str) -> None:
    """Say where to go, and hand out a login for each role where the secret is one of our own making."""
    said.print(f"\n[bold green]Capacity gateway[/bold green] {url}/graphql", highlight=False)
    said.print(f"Console {url}/console", highlight=False)
    if knobs.jwt_secret or knobs.production:
        return
    said.print("Logins for a day, as [bold]Authorization: Bearer …[/bold]\n", highlight=False)
    for role, text in demo_tokens(knobs).items():
        said.print(f"[bold]{role}[/bold] {text}\n", highlight=False, soft_wrap=True)
    said.print("Ctrl-C stops it.")


def stop_on_sigterm() -> None:
    """Let SIGTERM unwind the stack like Ctrl-C, so that what was started is stopped."""

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, stop)


def main() -> None:
    """Run the command line; what only its user can mend is said without a traceback."""
    try:
        cli()
    except ValidationError as error:
        fail("\n".join(f"CAPACITY_{'_'.join(map(str, e['loc'])).upper()}: {e['msg']}" for e in error.errors()))
    except (*CONNECTION_LOST, NoConnection, Busy, RuntimeError) as error:
        speaks_for_itself = isinstance(error, Busy | RuntimeError) or getattr(error, "filename", None)
        fail(str(error) if speaks_for_itself else f"The database cannot be reached: {error}")
    except REFUSED as error:
        fail(f"The database refuses: {error}")


if __name__ == "__main__":
    main()
