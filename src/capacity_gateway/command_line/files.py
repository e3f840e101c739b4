"""Commands that write a file or read one: ledgers, and the schema."""

import asyncio
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from capacity_gateway import ledger_file
from capacity_gateway.command_line.reaching import gateway
from capacity_gateway.command_line.saying import AsJson, Tenant, fail, print_json, said
from capacity_gateway.kernel.reads import Reads
from capacity_gateway.kernel.vocabulary import PoolKind
from capacity_gateway.ledger_file import FileFormat, Verdict
from capacity_gateway.schema import sdl
from capacity_gateway.settings import settings


def export_ledger(
    kind: PoolKind,
    ref: str,
    /,
    *,
    form: Annotated[FileFormat, Parameter(name="--format")] = FileFormat.CSV,
    output: Path | None = None,
    tenant: Tenant = None,
) -> None:
    """Print a pool's whole ledger, oldest entry first, or write it to a file.

    Exit codes: 0 = done; 2 = there is no such pool.

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
                async for text in ledger_file.written(reads, pool, form):
                    file.write(text)

    asyncio.run(run())


def verify(file: Path, /, *, last_hash: str | None = None, as_json: AsJson = False) -> None:
    """Check an exported ledger with no database: does each entry follow from the one before it?

    Exit codes: 0 = all do; 1 = one does not, and it is said which; 2 = the file is no ledger.

    Args:
        file: As `export-ledger` wrote it.
        last_hash: The hash that the last entry must have, so that none is missing at the end.
        as_json: Print JSON instead of a sentence.
    """
    knobs = settings()
    key = knobs.seal_key() if knobs.seal_secret or knobs.jwt_secret else None
    verdict = ledger_file.verify(file, last_hash, seal_key=key)
    if as_json:
        print_json(verdict.as_json())
    else:
        for sentence in sentences_of(verdict):
            said.print(sentence, style=None if verdict.intact else "red", markup=False, highlight=False, soft_wrap=True)
    sys.exit(not verdict.intact)


def export_schema(*, output: Path | None = None) -> None:
    """Print the GraphQL schema, or write it to a file.

    Exit codes: 0 = done; 2 = it cannot be written.

    Args:
        output: The file.
    """
    if output is None:
        print(sdl(), end="")  # noqa: T201 - the command's result
    else:
        output.write_text(sdl())


def sentences_of(verdict: Verdict) -> Iterator[str]:
    """A verdict in words."""
    sealed, begins = verdict.sealed, "the opening"
    if sealed:
        begins = f"the seal of version {sealed.version}"
        what = f"{sealed.entries} entries up to version {sealed.version} were sealed"
        yield f"{what} at {sealed.sealed_at} by {sealed.actor} as they stood: {'; '.join(sealed.faults)}."
        yield {
            True: f"The seal's signature holds; its hash is {sealed.hash}.",
            False: f"The seal's signature is by another key; its hash is {sealed.hash}.",
            None: f"The seal's hash is {sealed.hash}; its signature was not checked: that takes CAPACITY_SEAL_SECRET.",
        }[sealed.signature_holds]
    if verdict.problem:
        yield f"Entry {verdict.broken_at} of {verdict.pool}: {verdict.problem}."
    else:
        follow = verdict.entries - (sealed.entries if sealed else 0)
        last = f", the last hash is {verdict.last_hash}" if verdict.entries else ""
        yield f"{follow} entries follow from {begins} of {verdict.pool}{last}."
