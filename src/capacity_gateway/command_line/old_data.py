"""Commands for what an older system has, or still counts."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

from rich.console import Console
from rich.progress import Progress

from capacity_gateway.command_line.reaching import gateway, owner_address
from capacity_gateway.command_line.saying import AsJson, Tenant, print_json, said, stop_on_sigterm, table_of
from capacity_gateway.importing.bring import Plan, bring, plan_of, source_of
from capacity_gateway.importing.shadow import Shadow, divergences, numbers_of
from capacity_gateway.kernel.capacity import Capacity
from capacity_gateway.kernel.database import Database
from capacity_gateway.kernel.history import History
from capacity_gateway.kernel.pools import Pool
from capacity_gateway.kernel.reads import Reads
from capacity_gateway.kernel.vocabulary import PoolKind
from capacity_gateway.settings import settings


def import_(
    source: str,
    /,
    *,
    mapping: Path | None = None,
    tenant: Tenant = None,
    dry_run: bool = False,
    as_json: AsJson = False,
) -> None:
    """Bring in what an older system has: competitions of the portal, or events, sessions and tickets of the platform.

    Each pool comes with all its claims and its whole ledger, in one transaction; what is here already stays as it is,
    so that this may be broken off and run again. What does not add up there is listed.

    Exit codes: 0 = done; 1 = a dry run has found something, or nothing was changed because something is to be named in
    the mapping; 2 = it cannot be read.

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


def shadow(
    source: str,
    /,
    *,
    mapping: Path | None = None,
    tenant: Tenant = None,
    once: bool = False,
    interval_seconds: float = 5,
    as_json: AsJson = False,
) -> None:
    """Run beside an older system that still counts, and tell of every pool whose numbers are not the same here.

    A divergence is told when two looks in a row have seen it, and once more when it has ended.

    Exit codes: 0 = none stands at the end; 1 = some do; 2 = one side cannot be read.

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
        print_json({"pools": pools, "findings": found})
        return
    console = Console()
    if found:
        console.print(table_of("Does not add up", found, ["kind", "table", "ref", "message"]))
    console.print(table_of("Pools", pools, ["title", "total", "taken", "claims", "entries", "state"]))
