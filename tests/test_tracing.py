"""Traces: request, batch and SQL in one, with nothing in them that a caller has sent."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any, ClassVar

import asyncpg
import pytest
import structlog
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from asking import ask, define, take
from capacity_gateway.app import application
from capacity_gateway.kernel.database import Database
from capacity_gateway.logs import name_request
from capacity_gateway.settings import Settings
from capacity_gateway.tracing import tracing
from conftest import Gateway, running

SET_QUOTA = """
mutation Secret ($key: String!, $quota: Int!, $note: String) {
  setQuota(input: { kind: COMPETITION, ref: "p", quota: $quota, idempotencyKey: $key, note: $note }) { __typename }
}
"""
PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0{}"
TRACE, SPAN = 0x4BF92F3577B34DA6A3CE929D0E0E4736, 0x00F067AA0BA902B7


@pytest.fixture
def exporter() -> Iterator[InMemorySpanExporter]:
    """Where all spans go."""
    exporter = InMemorySpanExporter()
    with tracing(SimpleSpanProcessor(exporter)):
        yield exporter


@pytest.fixture
async def traced(exporter: InMemorySpanExporter, owner_url: str, database: Database) -> AsyncIterator[Gateway]:
    """A gateway that traces, with a pool; of what led there no span is left."""
    await ask(database, define(100), take("a", 10))
    async with running(owner_url) as gateway:
        exporter.clear()
        yield gateway


async def spans_of(exporter: InMemorySpanExporter) -> list[ReadableSpan]:
    """The spans of all requests that have been answered, in the order of their beginnings."""
    await asyncio.sleep(0)  # statements are told right after the answer to them
    return sorted(exporter.get_finished_spans(), key=lambda span: span.start_time or 0)


def named(spans: list[ReadableSpan], name: str) -> list[ReadableSpan]:
    """Those of a name."""
    return [span for span in spans if span.name == name]


def ids(span: ReadableSpan) -> tuple[int, int]:
    """A span's trace, and its own id there."""
    assert span.context
    return span.context.trace_id, span.context.span_id


def parent(span: ReadableSpan) -> tuple[int, int] | None:
    """The same of its parent."""
    return (span.parent.trace_id, span.parent.span_id) if span.parent else None


async def test_a_mutation_is_one_trace(traced: Gateway, exporter: InMemorySpanExporter) -> None:
    """Request, batch, SQL: each is the next one's parent, and whatever else there is belongs to them."""
    await traced.send(SET_QUOTA, {"key": "k", "quota": 20})

    spans = await spans_of(exporter)
    (request,), (batch,), (sql,) = (
        named(spans, name) for name in ("mutation setQuota", "batch", "SELECT capacity.apply")
    )
    assert {ids(span)[0] for span in spans} == {ids(request)[0]}
    assert [parent(span) for span in (request, batch, sql)] == [None, ids(request), ids(batch)]
    attributes: dict[str, Any] = dict(request.attributes or {})
    assert attributes.pop("capacity.request_id")
    assert attributes == {
        "capacity.operation": "mutation",
        "capacity.fields": ("setQuota",),
        "capacity.outcomes": ("setQuota OK",),
        "capacity.status": "200",
    }
    assert batch.attributes == {"capacity.requests": 1, "capacity.commands": 1}


async def test_a_batch_is_linked_with_all_its_requests(traced: Gateway, exporter: InMemorySpanExporter) -> None:
    """It is a child of the first; it names the others, and they name it, each in a trace of its own."""
    await asyncio.gather(*(traced.send(SET_QUOTA, {"key": f"k{number}", "quota": 20 + number}) for number in range(20)))

    spans = await spans_of(exporter)
    requests, batches = named(spans, "mutation setQuota"), named(spans, "batch")
    by_id = {ids(request): request for request in requests}
    assert len(requests) == len({trace for trace, _ in by_id}) == 20
    assert len(batches) < 20
    for batch in batches:
        others = [(link.context.trace_id, link.context.span_id) for link in batch.links]
        assert batch.attributes
        assert batch.attributes["capacity.requests"] == 1 + len(others)
        assert parent(batch) in by_id
        assert [[(link.context.trace_id, link.context.span_id) for link in by_id[other].links] for other in others] == [
            [ids(batch)] for _ in others
        ]


async def test_a_request_goes_on_with_its_callers_trace(
    traced: Gateway, exporter: InMemorySpanExporter, owner_url: str
) -> None:
    """As the header `traceparent` of W3C names it; the log has the trace's id as well."""
    async with running(owner_url, log_requests=True) as gateway:
        with structlog.testing.capture_logs(processors=[name_request]) as logs:
            await gateway.post(
                SET_QUOTA, {"key": "k", "quota": 20}, gateway.login() | {"traceparent": PARENT.format(1)}
            )

    (request,) = named(await spans_of(exporter), "mutation setQuota")
    assert parent(request) == (TRACE, SPAN)
    assert [(line["trace_id"], line["request_id"]) for line in logs] == [
        (f"{TRACE:x}", dict(request.attributes or {})["capacity.request_id"])
    ]


async def test_what_its_caller_does_not_record_is_not_recorded(traced: Gateway, exporter: InMemorySpanExporter) -> None:
    """Nor are its batch and its statements."""
    await traced.post(SET_QUOTA, {"key": "k", "quota": 20}, traced.login() | {"traceparent": PARENT.format(0)})

    assert await spans_of(exporter) == []


async def test_what_is_read_is_traced(traced: Gateway, exporter: InMemorySpanExporter) -> None:
    """Each statement is a part of the request that it is for."""
    await traced.post("{ pools { totalCount } }")

    request, *statements = await spans_of(exporter)
    assert request.name == "query pools"
    assert statements
    assert {parent(statement) for statement in statements} == {ids(request)}


async def test_what_is_streamed_is_traced(traced: Gateway, exporter: InMemorySpanExporter) -> None:
    """Also over a stream of events."""
    given = {"query": SET_QUOTA, "variables": {"key": "k", "quota": 20}}
    await traced.http.post("/graphql/stream", json=given, headers=traced.login() | {"traceparent": PARENT.format(1)})

    spans = await spans_of(exporter)
    assert {ids(span)[0] for span in spans} == {TRACE}
    assert {"mutation setQuota", "batch", "SELECT capacity.apply"} <= {span.name for span in spans}


async def test_no_span_tells_what_a_caller_has_sent(traced: Gateway, exporter: InMemorySpanExporter) -> None:
    """Neither login nor arguments, also where the database's words for what is wrong would tell."""
    login = traced.login("ann@example.org")
    await traced.post(SET_QUOTA, {"key": "secret-key", "quota": 20, "note": "for bob@example.org"}, login)
    await traced.post("query ($email: String) { who: me(email: $email) }", {"email": "ann@example.org"}, login)

    told = "".join(span.to_json() for span in await spans_of(exporter))
    assert "setQuota" in told
    assert [word for word in ("secret-key", "ann@", "bob@", login["authorization"], "Secret") if word in told] == []


async def test_a_bug_marks_its_request(
    traced: Gateway, exporter: InMemorySpanExporter, owner: asyncpg.Connection
) -> None:
    """With the type of what went wrong, and no more; so is the statement that failed."""
    await owner.execute("REVOKE SELECT ON capacity.ledger FROM capacity_app")
    await traced.post('{ capacity(kind: COMPETITION, ref: "p") { ledger { totalCount } } }')

    failed = [span for span in await spans_of(exporter) if span.status.status_code is StatusCode.ERROR]
    assert [dict(span.attributes or {})["error.type"] for span in failed] == ["InsufficientPrivilegeError"] * 2
    assert [span.status.description for span in failed] == [None, None]


class Collector(BaseHTTPRequestHandler):
    """Takes what is exported, as a collector does."""

    taken: ClassVar[list[tuple[str, bytes]]] = []

    def do_POST(self) -> None:
        """Take one export."""
        self.taken.append((self.path, self.rfile.read(int(self.headers["content-length"]))))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


async def test_spans_go_where_the_standard_variables_say(owner_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """By OTLP over HTTP, at the latest when the gateway stops."""
    with HTTPServer(("127.0.0.1", 0), Collector) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
        monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "service.namespace=nights")
        monkeypatch.setattr("capacity_gateway.tracing.STOP_SECONDS", 30)  # on a busy machine
        try:
            async with running(owner_url, tracing=True) as gateway:
                await gateway.post("{ pools { totalCount } }")
        finally:
            await asyncio.to_thread(server.shutdown)
            thread.join()

    assert {path for path, _ in Collector.taken} == {"/v1/traces"}
    exported = b"".join(body for _, body in Collector.taken)
    assert b"query pools" in exported
    assert b"capacity-gateway" in exported
    assert b"nights" in exported


def test_nothing_is_imported_while_it_is_off() -> None:
    """Who does not trace does not pay."""
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "import capacity_gateway.app, sys; print([m for m in sys.modules if 'opentelemetry' in m])",
        ],
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout == "[]\n"


def test_what_is_missing_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything is started."""
    monkeypatch.setitem(sys.modules, "capacity_gateway.tracing", None)

    with pytest.raises(RuntimeError, match=r"pip install capacity-gateway\[tracing\]"):
        application(Settings(tracing=True), "postgresql://127.0.0.1:1/none")
