"""Commands that look at the books, and mend them."""

import asyncio
import sys

from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table
from rich.text import Text

from capacity_gateway.command_line.reaching import address, gateway, owner_address
from capacity_gateway.command_line.saying import AsJson, Tenant, fail, print_json, said
from capacity_gateway.domains.competitions import KIND, ReservationSuccess
from capacity_gateway.kernel import repair as mending
from capacity_gateway.kernel.commands import Attribution, Backfill
from capacity_gateway.kernel.doctor import Check, examine
from capacity_gateway.kernel.ledger import LedgerEntry
from capacity_gateway.kernel.outcomes import CapacityChange
from capacity_gateway.kernel.reconciliation import Reconciliation
from capacity_gateway.kernel.repair import Repair, owning
from capacity_gateway.kernel.vocabulary import PoolKind
from capacity_gateway.settings import settings


def reconcile(
    *,
    kind: PoolKind | None = None,
    tenant: Tenant = None,
    threshold: int = 5,
    as_json: AsJson = False,
) -> None:
    """Compare every counter with its ledger, and every ledger with itself.

    Exit codes: 0 = all agree; 1 = a counter is off by more than the threshold, or a chain is broken; 2 = it cannot be
    told.

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
        print_json(rows)
    else:
        Console().print(table)
        Console().print(*remarks, sep="\n", markup=False, highlight=False, soft_wrap=True)
    sys.exit(any(abs(r.discrepancy) > threshold or not r.chain_intact for r in found))


def backfill(
    reservation_id: str, /, *, note: str | None = None, tenant: Tenant = None, as_json: AsJson = False
) -> None:
    """Write the ledger entry that a reservation lacks; its counter stays as it is.

    Exit codes: 0 = written, or none was missing; 2 = refused, or it could not be done.

    Args:
        reservation_id: The orphan, as reconcile names it.
        note: Why, for the ledger.
        tenant: The tenant; absent = CAPACITY_DEFAULT_TENANT.
        as_json: Print the entries as JSON.
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
    if as_json:
        print_json({"replayed": outcome.replayed, "entries": [shown_entry(entry) for entry in outcome.entries]})
        return
    if outcome.replayed:
        said.print("Nothing to do: no entry is missing.")
    for entry in outcome.entries:
        effective = f"{entry.effective_at:%Y-%m-%d %H:%M:%S}"
        said.print(f"Entry {entry.id}: {change_of(entry):+d}, effective {effective}.", markup=False, soft_wrap=True)


def repair(
    *,
    kind: PoolKind | None = None,
    tenant: Tenant = None,
    note: str | None = None,
    dry_run: bool = False,
    as_json: AsJson = False,
) -> None:
    """Mend what reconcile names, by further ledger entries; nothing is changed or removed.

    Counter and ledger are brought to what the claims have. A ledger in which an entry is missing, doubled or altered is
    sealed as it is, and verified again from there on; reconcile goes on naming what was wrong with it. To be run as the
    database's owner (CAPACITY_ADMIN_DATABASE_URL).

    Exit codes: 0 = done, or nothing was to do; 2 = it could not be done.

    Args:
        kind: One kind of pools; absent = all.
        tenant: The tenant; absent = CAPACITY_DEFAULT_TENANT.
        note: Why, for the ledger.
        dry_run: Say what would be done, and do nothing.
        as_json: Print JSON.
    """
    repairs = asyncio.run(repair_all(tenant, kind, note, dry=dry_run))
    if as_json:
        print_json([shown_repair(each) for each in repairs])
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


def doctor(
    *,
    tenant: str | None = None,
    threshold: int = 5,
    as_json: AsJson = False,
) -> None:
    """Look over the server, the schema, the role, the clocks and every ledger.

    The monitors of the ledgers are drift, for every day, orphans, for every week, broken chains, and growth, which is
    for comparing.

    Exit codes: 0 = all is well; 1 = something is wrong; 2 = it cannot be told.

    Args:
        tenant: One tenant; absent = all.
        threshold: How far a counter may be off.
        as_json: Print JSON.
    """
    checks = asyncio.run(examine_all(tenant, threshold))
    if as_json:
        print_json([vars(check) for check in checks])
    else:
        for check in checks:
            figures = ", ".join(f"{name} {value}" for name, value in check.figures.items())
            mark = "[red]✗[/red]" if check.problems else "[green]✓[/green]"
            Console().print(f"{mark} {check.name:8} {escape(figures)}", highlight=False, soft_wrap=True)
            for problem in check.problems:
                Console().print(f"  {problem}", markup=False, highlight=False, soft_wrap=True)
    sys.exit(any(check.problems for check in checks))


async def reconcile_all(tenant: str | None, kind: PoolKind | None) -> list[Reconciliation]:
    """The reconciliation of every pool of a tenant, or of those of one kind."""
    knobs = settings()
    async with owning(address(knobs)) as connection:
        pools = mending.reconcile(connection, tenant or knobs.default_tenant, kinds_of(kind), knobs.seal_key())
        return [found async for found in pools]


async def repair_all(tenant: str | None, kind: PoolKind | None, note: str | None, *, dry: bool) -> list[Repair]:
    """What was done to every pool of a tenant that needed it, or of those of one kind."""
    knobs = settings()
    key = knobs.seal_key()
    if key is None:
        fail("There is no key to sign seals with: set CAPACITY_SEAL_SECRET.")
    async with owning(owner_address(knobs)) as connection:
        repairs = mending.repair(
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


def kinds_of(kind: PoolKind | None) -> list[PoolKind]:
    """One kind, or where none is named all."""
    return [kind] if kind else list(PoolKind)


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
        "entries": [shown_entry(entry) for entry in each.entries],
    }


def shown_entry(entry: LedgerEntry) -> dict[str, object]:
    """An entry as JSON."""
    return {
        "version": entry.version,
        "reason": entry.reason.value,
        "change": change_of(entry),
        "claim": entry.claim_id,
        "effective_at": entry.effective_at.isoformat(),
        "note": entry.note,
    }
