"""What the gateway counts and times of itself, for whoever watches it."""

from contextvars import ContextVar
from functools import lru_cache

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics
from prometheus_client.gc_collector import GCCollector
from prometheus_client.process_collector import ProcessCollector

disable_created_metrics()  # type: ignore[no-untyped-call]  # when each series began would be another series
REGISTRY = CollectorRegistry()
ProcessCollector(registry=REGISTRY)
GCCollector(registry=REGISTRY)

OUTCOMES = Counter(
    "capacity_outcomes",
    "Mutations answered, by what was asked for and what came of it: OK, REPLAYED or the code of the refusal.",
    ("operation", "type"),
    registry=REGISTRY,
)
BATCH_COMMANDS = Histogram(
    "capacity_batch_commands",
    "Commands that shared a transaction.",
    buckets=(1, 2, 4, 8, 16, 32, 64, 128, 256),
    registry=REGISTRY,
)
BATCH_SECONDS = Histogram(
    "capacity_batch_seconds",
    "How long a transaction of commands took, with its wait for the locks of its pools.",
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5),
    registry=REGISTRY,
)
LOCK_SECONDS = Histogram(
    "capacity_lock_wait_seconds",
    "How long transactions of commands waited for the locks of their pools.",
    buckets=(0.0001, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5),
    registry=REGISTRY,
)
REQUEST_SECONDS = Histogram(
    "capacity_request_seconds",
    "How long requests took, by what they were: query, mutation, subscription, or none that was run.",
    ("operation",),
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5),
    registry=REGISTRY,
)
UNEXPECTED_ERRORS = Counter(
    "capacity_unexpected_errors", "Bugs, which callers were told of as INTERNAL.", registry=REGISTRY
)
WEBHOOK_DELIVERIES = Counter(
    "capacity_webhook_deliveries",
    "Messages sent to webhooks, by what came of them: OK, or how it failed.",
    ("outcome",),
    registry=REGISTRY,
)
SWEPT = Gauge("capacity_sweep_timestamp_seconds", "When this gateway last swept.", registry=REGISTRY)
ORPHANS = Gauge(
    "capacity_orphans",
    "Claims that hold capacity with no ledger entry behind them, as last looked for (every hour).",
    ("kind",),
    registry=REGISTRY,
)


OUTCOMES_OF_REQUEST: ContextVar[list[str] | None] = ContextVar("outcomes", default=None)
"""What came of the mutations of the request at hand, where it is to be logged."""


def count_outcome(operation: str, kind: str) -> None:
    """Count what came of a mutation: OK, REPLAYED or the code of the refusal."""
    _outcome(operation, kind).inc()
    outcomes = OUTCOMES_OF_REQUEST.get()
    if outcomes is not None:
        outcomes.append(f"{operation} {kind}")


@lru_cache(maxsize=1024)
def _outcome(operation: str, kind: str) -> Counter:
    """To find a counter anew costs as much as to count."""
    return OUTCOMES.labels(operation, kind)


@lru_cache(maxsize=16)
def request(operation: str) -> Histogram:
    """The durations of requests of a kind; likewise."""
    return REQUEST_SECONDS.labels(operation)
