"""`/metrics`: what the gateway counts of itself, and how its pools stand, in Prometheus' text format."""

import hmac
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from capacity_gateway.documents import read_document
from capacity_gateway.kernel.capacity import Capacity
from capacity_gateway.kernel.database import CONNECTION_LOST, NOT_APPLIED, QUERIES, Database, NoConnection
from capacity_gateway.kernel.measures import REGISTRY
from capacity_gateway.settings import LOOPBACK, Settings

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"
SURVEY_SECONDS = 10.0  # how old the figures of the pools may be: several may scrape, and each reads every pool

FIGURES = {
    "pools": "How many pools there are.",
    "full_pools": "In how many of them nothing is left.",
    "quota": "The quotas of those that are limited.",
    "taken": "What is held and confirmed of that.",
    "held": "What is held.",
    "confirmed": "What is confirmed.",
    "waiting": "How many claims wait.",
    "drifting_pools": "In how many pools the counter is not what the ledger adds up to.",
    "drift": "By how much in all.",
    "largest_drift": "By how much in the worst of them.",
    "ledger_entries": "How many entries the ledgers have.",
    "overdue_seconds": "How long ago the first hold ran out that nobody has settled yet.",
}
"""Of all pools of a kind: there may be too many pools, and too many tenants, for a series each."""

WEBHOOK_FIGURES = {
    "webhooks": "How many webhooks there are.",
    "webhooks_failing": "To how many of them nothing can be delivered.",
    "webhooks_disabled": "How many are disabled, after days of that.",
    "webhook_pending_entries": "How many ledger entries the others have still to be told.",
    "webhook_lag_seconds": "How old the oldest of these entries is.",
}
"""Of all webhooks together, likewise."""


class Metrics:
    """Answers who may watch: with the token if there is one, else from this machine alone."""

    def __init__(self, settings: Settings, database: Database, capacity: Capacity) -> None:
        self._token = settings.metrics_token
        self._database = database
        self._capacity = capacity
        self._survey: Sequence[Mapping[str, Any]] | None = None
        self._webhooks: Mapping[str, Any] = {}
        self._survey_at = -SURVEY_SECONDS

    async def __call__(self, request: Request) -> Response:
        """The metrics, or 403."""
        if not self._may_watch(request):
            return PlainTextResponse("Metrics are for this machine, or for who has CAPACITY_METRICS_TOKEN.\n", 403)
        registry = CollectorRegistry()
        figures = await self._figures()
        registry.register(Now(self._capacity, figures, self._webhooks))
        return Response(generate_latest(REGISTRY) + generate_latest(registry), media_type=MEDIA_TYPE)

    def _may_watch(self, request: Request) -> bool:
        if self._token:
            shown = request.headers.get("authorization", "")
            return hmac.compare_digest(shown.encode(), f"Bearer {self._token}".encode())
        # What a proxy on this machine hands on has come from elsewhere; so has a page under a name that leads here.
        handed_on = "x-forwarded-for" in request.headers or "forwarded" in request.headers
        asks = request.client.host if request.client else None
        return not handed_on and {asks, request.url.hostname} <= LOOPBACK

    async def _figures(self) -> Sequence[Mapping[str, Any]] | None:
        """The figures of all pools, by kind; None while the database does not answer."""
        if time.monotonic() - self._survey_at >= SURVEY_SECONDS:
            try:
                async with self._database.connection() as connection:
                    self._survey = [row async for row in QUERIES.survey(connection)]
                    self._webhooks = await QUERIES.survey_webhooks(connection)
                self._survey_at = time.monotonic()
            except (*CONNECTION_LOST, *NOT_APPLIED, NoConnection):
                self._survey, self._webhooks = None, {}
        return self._survey


class Now(Collector):
    """How things stand at the moment of a scrape."""

    def __init__(
        self, capacity: Capacity, figures: Sequence[Mapping[str, Any]] | None, webhooks: Mapping[str, Any]
    ) -> None:
        self._capacity = capacity
        self._figures = figures
        self._webhooks = webhooks

    def collect(self) -> Iterator[Metric]:
        """Queue, lanes, documents, pools and webhooks."""
        combiner = self._capacity.combiner
        if combiner:
            yield GaugeMetricFamily("capacity_queued_requests", "Requests that wait for a lane.", combiner.queued)
            yield GaugeMetricFamily("capacity_lanes_in_use", "Transactions in flight.", combiner.lanes_in_use)
        documents = read_document.cache_info()
        known = CounterMetricFamily("capacity_documents", "Documents, and whether they were known.", labels=("cache",))
        known.add_metric(("hit",), documents.hits)
        known.add_metric(("miss",), documents.misses)
        yield known
        yield GaugeMetricFamily("capacity_database_up", "Whether the database answers.", int(self._figures is not None))
        for name, meaning in FIGURES.items():
            family = GaugeMetricFamily(f"capacity_{name}", f"{meaning} By kind.", labels=("kind",))
            for row in self._figures or ():
                family.add_metric((row["kind"],), row[name] or 0)
            yield family
        for name, value in self._webhooks.items():
            yield GaugeMetricFamily(f"capacity_{name}", WEBHOOK_FIGURES[name], value)
