"""What is measured, a function for the rows that share it: variants side by side, in interleaved rounds.

Every round begins with the same database, ends when all that was sent is answered, and is checked then: as many
ledger entries as acknowledged, no drift, no key twice.
"""

import base64
import statistics
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any, TypeVar

from bench.clients import (
    OK,
    POSTGRAPHILE,
    REGISTERED,
    Sending,
    graphql,
    http,
    register,
    registration,
    send,
    token,
)
from bench.cpu import LEDGER, REGISTER
from bench.database import BATCH, TENANT, WARM_SECONDS, BenchDatabase
from bench.load import Found
from bench.rows import Reached
from bench.servers import Server, gateway, gateway_without_database, reference

POOLS = 1000
TENANTS, POOLS_OF_TENANT = 200, 5
CONNECTIONS_TRIED = (4, 8, 16, 32)

Sample = TypeVar("Sample")


@dataclass(frozen=True, kw_only=True)
class Pace:
    """How long it all takes."""

    rounds: int
    seconds: float
    """Of a round."""
    tries: bool
    """Look for the best number of connections of a reference, instead of taking the one that was best here."""
    mutations: tuple[int, int]
    """After which to look at a worker's memory."""
    entries: tuple[int, int]
    """Of the ledgers that are compared."""


@dataclass
class Run:
    """One run of the benchmarks: where, how long, and what was found on the way."""

    server_url: str
    pace: Pace
    figures: list[tuple[str, str]] = field(default_factory=list)
    """What there is to know besides the ratios."""

    def database(self, name: str) -> BenchDatabase:
        """A new database."""
        return BenchDatabase(self.server_url, name)

    def rounds(self, variants: Mapping[str, Callable[[float], Sample]]) -> dict[str, list[Sample]]:
        """What each variant's rounds came to; they take turns, every other time backwards, and first warm up."""
        found: dict[str, list[Sample]] = {name: [] for name in variants}
        for number in range(self.pace.rounds + 1):
            for name in list(variants)[:: -1 if number % 2 else 1]:
                sample = variants[name](self.pace.seconds if number else min(1, self.pace.seconds))
                if number:
                    found[name].append(sample)
        return found

    def note(self, what: str, values: list[float], unit: str) -> float:
        """Keep the median and range of a figure; returns the median."""
        middle = statistics.median(values)
        digits = 0 if middle >= 100 else 2  # noqa: PLR2004 - as many as mean something
        self.figures.append(
            (what, f"{middle:,.{digits}f} {unit} ({min(values):,.{digits}f} to {max(values):,.{digits}f})")
        )
        return middle

    def note_latencies(self, what: str, traffics: "list[Traffic]") -> None:
        """Keep how long callers waited, and how many were told that the server was busy."""
        self.note(f"latency p50, {what}", [each.found.p50_ms for each in traffics], "ms")
        self.note(f"latency p99, {what}", [each.found.p99_ms for each in traffics], "ms")
        if busy := sum(each.found.failed for each in traffics):
            self.figures.append((f"told to come again, {what}", f"{busy:,} in all rounds"))


@dataclass(frozen=True)
class Traffic:
    """What came of a load, and what the server spent on it."""

    found: Found
    server_cpu_seconds: float

    @property
    def per_second(self) -> float:
        """Successes."""
        return self.found.per_second

    @property
    def server_us(self) -> float:
        """Microseconds of the server's CPU a request."""
        return self.server_cpu_seconds / self.found.succeeded * 1e6

    @property
    def generator_us(self) -> float:
        """The same of the generator's."""
        return self.found.cpu_seconds / self.found.succeeded * 1e6


def ratios(one: list[float], other: list[float]) -> list[float]:
    """Round by round."""
    return [a / b for a, b in zip(one, other, strict=True)]


def traffic(server: Server, requests: list[str], **load: Any) -> Traffic:
    """Send a load that must succeed, or be told that the server is busy."""
    before = server.cpu_seconds()
    found = send(server, requests, **load)
    if not found.succeeded or (found.failed and "GATEWAY_BUSY" not in found.failure):
        raise AssertionError(f"{found.failed} of {found.failed + found.succeeded} failed: {found.failure}")
    return Traffic(found, server.cpu_seconds() - before)


def registering(
    database: BenchDatabase,
    server: Server,
    requests: list[str],
    events: list[tuple[str, str]] | None = None,
    **load: Any,
) -> Callable[[float], Traffic]:
    """A variant that sends registrations, and checks the books afterwards."""

    def once(seconds: float) -> Traffic:
        database.restore(events or [(TENANT, "hot")])
        found = traffic(server, requests, seconds=seconds, warm_seconds=WARM_SECONDS, **load)
        database.check(found.found.succeeded, in_doubt=found.found.failed)
        return found

    return once


POSTGRAPHILE_REQUEST = graphql(POSTGRAPHILE, registration())


def best_postgraphile(run: Run, database: BenchDatabase, connections: int) -> int:
    """How many database connections serve PostGraphile best."""
    tried = {}
    for size in CONNECTIONS_TRIED if run.pace.tries else ():
        with reference("postgraphile", size, database.patient_url()) as server:
            once = registering(database, server, [POSTGRAPHILE_REQUEST], success=OK, connections=connections)
            tried[size] = once(run.pace.seconds / 2).per_second
    return max(tried, key=lambda size: tried[size], default=8)


def hot(run: Run) -> dict[str, Reached]:
    """One hot event, 64 at once: the gateway, PostGraphile and pgbench."""
    database = run.database("hot")
    size = best_postgraphile(run, database, 64)

    def pgbench(script: str, clients: int, of_transaction: int = 1) -> Callable[[float], float]:
        def once(seconds: float) -> float:
            database.restore()
            found = database.pgbench(script, clients=clients, seconds=seconds)
            check = database.check_naive if script == "naive" else database.check
            check(found.transactions * of_transaction)
            return found.latency_ms if clients == 1 else found.per_second * of_transaction

        return once

    with gateway(database.url) as ours, reference("postgraphile", size, database.patient_url()) as theirs:
        found: dict[str, list[Any]] = run.rounds(
            {
                "gateway": registering(database, ours, [register()]),
                "postgraphile": registering(database, theirs, [POSTGRAPHILE_REQUEST], success=OK),
                "one": pgbench("one", 64),
                "naive": pgbench("naive", 64),
                "batch": pgbench("batch", 2, BATCH),
                "commit": pgbench("one", 1),
            }
        )
        ours_per_second = [each.per_second for each in found["gateway"]]
        theirs_per_second = [each.per_second for each in found["postgraphile"]]
        run.note("commit latency: pgbench, one function, 1 client", found["commit"], "ms")
        own = run.note("one hot event, 64 connections: gateway", ours_per_second, "admitted/s")
        others = run.note(f"the same: PostGraphile, {size} database connections", theirs_per_second, "admitted/s")
        run.note("the same: pgbench, one function, 64 clients", found["one"], "admitted/s")
        run.note("the same: pgbench, naive transaction, 64 clients", found["naive"], "admitted/s")
        run.note(f"the same: pgbench, batch of {BATCH:,}, 2 clients", found["batch"], "admitted/s")
        run.note("CPU of the gateway a registration", [each.server_us for each in found["gateway"]], "µs")
        run.note("CPU of PostGraphile a registration", [each.server_us for each in found["postgraphile"]], "µs")
        run.note("CPU of the load generator a request", [each.generator_us for each in found["gateway"]], "µs")
        for name, of in (("gateway", found["gateway"]), ("PostGraphile", found["postgraphile"])):
            run.note_latencies(f"64 connections: {name}", of)
        open_loop = run.rounds(
            {
                "gateway": registering(database, ours, [register()], connections=256, rate=own * 0.7),
                "PostGraphile": registering(
                    database, theirs, [POSTGRAPHILE_REQUEST], success=OK, connections=256, rate=others * 0.7
                ),
            }
        )
        for name, traffics in open_loop.items():
            rate = (own if name == "gateway" else others) * 0.7
            run.note_latencies(f"a constant {rate:,.0f}/s, 70 % of its own: {name}", traffics)
    return {
        "one-function": {"": ratios(ours_per_second, found["one"])},
        "naive": {"": ratios(ours_per_second, found["naive"])},
        "postgraphile": {"at 64": ratios(ours_per_second, theirs_per_second)},
        "batch": {"": ratios(ours_per_second, found["batch"])},
    }


def crowd(run: Run) -> dict[str, Reached]:
    """One hot event, 512 at once: one worker, two, and PostGraphile."""
    database = run.database("crowd")
    size = best_postgraphile(run, database, 512)
    with (
        gateway(database.url) as one,
        gateway(database.url, workers=2) as two,
        reference("postgraphile", size, database.patient_url()) as theirs,
    ):
        found = run.rounds(
            {
                "one worker": registering(database, one, [register()], connections=512),
                "two workers": registering(database, two, [register()], connections=512),
                "PostGraphile": registering(database, theirs, [POSTGRAPHILE_REQUEST], success=OK, connections=512),
            }
        )
    rates = {name: [each.per_second for each in of] for name, of in found.items()}
    for name, values in rates.items():
        run.note(f"one hot event, 512 connections: {name}", values, "admitted/s")
        run.note_latencies(f"512 connections: {name}", found[name])
    return {
        "postgraphile": {"at 512": ratios(rates["one worker"], rates["PostGraphile"])},
        "workers": {"": ratios(rates["two workers"], rates["one worker"])},
    }


def best_one_by_one(run: Run, database: BenchDatabase, events: list[tuple[str, str]], requests: list[str]) -> int:
    """How many database connections serve the gateway without combiner best."""
    tried = {}
    for size in CONNECTIONS_TRIED if run.pace.tries else ():
        with gateway(database.url, one_by_one=size) as server:
            once = registering(database, server, requests, events)
            tried[size] = once(run.pace.seconds / 2).per_second
    return max(tried, key=lambda size: tried[size], default=16)


def compare_with_one_by_one(run: Run, name: str, what: str, events: list[tuple[str, str]]) -> list[float]:
    """The gateway against itself without combiner, each request to one of these events."""
    database = run.database(name)
    requests = [register(ref, tenant) for tenant, ref in events]
    size = best_one_by_one(run, database, events, requests)
    with gateway(database.url) as combining, gateway(database.url, one_by_one=size) as one_by_one:
        found = run.rounds(
            {
                "combining": registering(database, combining, requests, events),
                "one by one": registering(database, one_by_one, requests, events),
            }
        )
    rates = {way: [each.per_second for each in of] for way, of in found.items()}
    run.note(f"{what}: gateway", rates["combining"], "admitted/s")
    run.note(f"the same: one transaction a mutation, {size} database connections", rates["one by one"], "admitted/s")
    return ratios(rates["combining"], rates["one by one"])


def spread(run: Run) -> dict[str, Reached]:
    """Many pools of one tenant."""
    events = [(TENANT, f"event-{number}") for number in range(POOLS)]
    return {"spread": {"": compare_with_one_by_one(run, "spread", "1,000 pools of one tenant", events)}}


def tenants(run: Run) -> dict[str, Reached]:
    """Many tenants."""
    events = [(f"tenant-{t}", f"event-{t}-{p}") for t in range(TENANTS) for p in range(POOLS_OF_TENANT)]
    return {"tenants": {"": compare_with_one_by_one(run, "tenants", "200 tenants with 5 pools each", events)}}


def alone(run: Run) -> dict[str, Reached]:
    """One caller, with and without combiner."""
    database = run.database("alone")
    with gateway(database.url) as combining, gateway(database.url, one_by_one=1) as one_by_one:
        found = run.rounds(
            {
                "combining": registering(database, combining, [register()], connections=1),
                "one by one": registering(database, one_by_one, [register()], connections=1),
            }
        )
    medians = {way: [each.found.p50_ms for each in of] for way, of in found.items()}
    run.note("one caller alone, p50: gateway", medians["combining"], "ms")
    run.note("the same: without combiner", medians["one by one"], "ms")
    return {"alone": {"": ratios(medians["combining"], medians["one by one"])}}


def no_database(run: Run) -> dict[str, Reached]:
    """The gateway with its database taken out against servers that answer from memory."""
    register_, ledger = graphql(REGISTER, registration()), graphql(LEDGER, {"ref": "hot", "first": 100})
    bare = http("/bare", register_.partition("\r\n\r\n")[2], {})
    with ExitStack() as stack:
        ours, requests = stack.enter_context(gateway_without_database())
        python, apollo, yoga = (stack.enter_context(reference(name)) for name in ("python", "apollo", "yoga"))

        def asking(server: Server, request: str, success: str = REGISTERED) -> Callable[[float], Traffic]:
            return lambda seconds: traffic(server, [request], success=success, seconds=seconds, connections=16)

        found = run.rounds(
            {
                "gateway": asking(ours, http(*requests["register"])),
                "bare Starlette": asking(python, bare),
                "Strawberry cached": asking(python, register_),
                "Apollo Server": asking(apollo, register_),
                "yoga": asking(yoga, register_),
                "gateway, ledger page": asking(ours, http(*requests["ledger"]), "pageInfo"),
                "Strawberry cached, ledger page": asking(python, ledger, "pageInfo"),
                "Apollo Server, ledger page": asking(apollo, ledger, "pageInfo"),
            }
        )
    cpu = {name: [each.server_us for each in of] for name, of in found.items()}
    rates = {name: [each.per_second for each in of] for name, of in found.items()}
    for name, values in cpu.items():
        run.note(f"no database, CPU of the server a request: {name}", values, "µs")
    for name, values in rates.items():
        run.note(f"no database, 16 connections: {name}", values, "requests/s")
    return {
        "cpu": {"": ratios(cpu["gateway"], cpu["bare Starlette"])},
        "no-database": {name: ratios(rates["gateway"], rates[name]) for name in ("Apollo Server", "yoga")},
        "ledger": {"": ratios(cpu["Strawberry cached, ledger page"], cpu["gateway, ledger page"])},
    }


def cold(run: Run) -> dict[str, Reached]:
    """A pool that one caller uses, beside a hot one and without."""
    database = run.database("cold")
    events = [(TENANT, "hot"), (TENANT, "cold")]
    with gateway(database.url) as server:

        def quiet(seconds: float) -> float:
            once = registering(database, server, [register("cold")], events, connections=1)
            return once(seconds).found.p99_ms

        def beside(seconds: float) -> float:
            database.restore(events)
            hot_ones = Sending(server, [register("hot")], seconds=seconds + 1, warm_seconds=WARM_SECONDS)
            time.sleep(0.5)
            found = send(server, [register("cold")], connections=1, seconds=seconds, warm_seconds=WARM_SECONDS)
            beside_it = hot_ones.found()
            database.check(found.succeeded + beside_it.succeeded, in_doubt=found.failed + beside_it.failed)
            return found.p99_ms

        latencies = run.rounds({"quiet": quiet, "beside": beside})
    run.note("a cold pool, p99: quiet", latencies["quiet"], "ms")
    run.note("the same: 64 connections hot beside it", latencies["beside"], "ms")
    return {"cold": {"": ratios(latencies["beside"], latencies["quiet"])}}


def memory(run: Run) -> dict[str, Reached]:
    """What a worker keeps."""
    database = run.database("memory")
    database.restore()
    few, many = run.pace.mutations
    done, sizes = 0, []
    with gateway(database.url) as server:
        for goal in (few, many):
            while done < goal:
                done += traffic(server, [register()], seconds=5 if goal == many else 1).found.succeeded
            sizes.append(server.memory_mb())
        database.check(done)
    run.figures.append(
        (f"memory of a worker after {few:,} and after {done:,} mutations", f"{sizes[0]:.0f} and {sizes[1]:.0f} MB")
    )
    return {"memory": {"": [sizes[1] - sizes[0]]}}


RECONCILE = """query Reconcile { reconcile(kind: EVENT, ref: "hot") { edges { node {
  discrepancy ledgerEntryCount chainIntact orphans { quantity } problems { message } } } } }"""
PAGE = """query Page($after: String) { ledger(kind: EVENT, ref: "hot", first: 100, after: $after) {
  edges { node { id version change reason hash } } pageInfo { endCursor } } }"""
AT = """query At($time: DateTime!) { capacity(kind: EVENT, ref: "hot") { at(time: $time) { available } } }"""


def growth(run: Run) -> dict[str, Reached]:
    """What grows with the ledger: two databases, one with many times the entries of the other."""
    with ExitStack() as stack:
        variants: dict[str, Callable[[float], float]] = {}
        for entries in run.pace.entries:
            database = run.database(f"growth_{entries}")
            database.restore()
            database.execute(f"SELECT batch.grow('hot', {entries})")
            database.execute("VACUUM (ANALYZE) capacity.ledger, capacity.claim")
            server = stack.enter_context(gateway(database.url))
            ((middle,),) = database.fetch(
                f"SELECT recorded_at FROM capacity.ledger WHERE pool_id = 'event:hot' AND version = {entries // 2}"
            )
            login = token("admin")
            asked = {
                "reconcile": (graphql(RECONCILE, {}, login), '"chainIntact":true'),
                "keyset page": (
                    graphql(PAGE, {"after": base64.b64encode(b"[%d]" % (entries // 2)).decode()}, login),
                    '"endCursor":"',
                ),
                "`at`": (graphql(AT, {"time": middle}, login), '"available":'),
                "append": (register(), REGISTERED),
            }
            for name, (request, success) in asked.items():
                variants[f"{name} {entries}"] = p50(server, request, success)
        found = run.rounds(variants)
    few, many = run.pace.entries
    names = ("reconcile", "keyset page", "`at`", "append")
    for name in names:
        run.note(f"{name}, p50 of one caller: {few:,} entries", found[f"{name} {few}"], "ms")
        run.note(f"the same: {many:,} entries", found[f"{name} {many}"], "ms")
    return {"growth": {name: ratios(found[f"{name} {many}"], found[f"{name} {few}"]) for name in names}}


def p50(server: Server, request: str, success: str) -> Callable[[float], float]:
    """How long one caller waits."""
    return lambda seconds: traffic(server, [request], success=success, seconds=seconds, connections=1).found.p50_ms


MEASURES = {
    hot: ("one-function", "naive", "postgraphile", "batch"),
    crowd: ("postgraphile", "workers"),
    spread: ("spread",),
    tenants: ("tenants",),
    alone: ("alone",),
    no_database: ("cpu", "no-database", "ledger"),
    cold: ("cold",),
    memory: ("memory",),
    growth: ("growth",),
}
"""Each measure, and the rows that it says something of."""
