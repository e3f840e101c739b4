"""Traces by OpenTelemetry: request, batch and SQL in one. Imported where CAPACITY_TRACING is on, and nowhere else.

What is told are names of the schema, codes, ids of requests, numbers, and statements with their parameters left out.
"""

import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from threading import Thread
from typing import Any, NamedTuple

import asyncpg
from opentelemetry import context, propagate, trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Link, Span, SpanKind, StatusCode

from capacity_gateway.kernel import traces

QUERY_CHARACTERS_MAX = 2000
STOP_SECONDS = 3  # to send what is left; with no collector to take it, the exporter would try for 6.5 s (measured)


@contextmanager
def tracing(processor: SpanProcessor | None = None) -> Iterator[None]:
    """Trace until the end, and send then what is left.

    Args:
        processor: what the spans go to; absent = by OTLP over HTTP to where the OTEL_* variables say.
    """
    resource = Resource.create({"service.name": "capacity-gateway"}).merge(OTELResourceDetector().detect())
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(processor or BatchSpanProcessor(OTLPSpanExporter()))
    before, traces.tracer = traces.tracer, OpenTelemetry(provider)
    try:
        yield
    finally:
        traces.tracer = before
        stopping = Thread(target=provider.shutdown, daemon=True)
        stopping.start()
        stopping.join(STOP_SECONDS)


class Begun(NamedTuple):
    """A request that is being traced."""

    span: Span
    token: Any
    trace_id: str


class OpenTelemetry(traces.Tracer):
    """Makes a span of each request, of each batch and of each statement within them."""

    def __init__(self, provider: TracerProvider) -> None:
        self._tracer = provider.get_tracer("capacity_gateway")

    def begin(self, headers: Mapping[str, str]) -> Begun:
        """Begin the span of a request; its parent is what `traceparent` says."""
        caller = propagate.extract(headers, context.Context())
        span = self._tracer.start_span("request", caller, SpanKind.SERVER)
        token = context.attach(trace.set_span_in_context(span))
        return Begun(span, token, trace.format_trace_id(span.get_span_context().trace_id))

    def end(self, begun: Begun, told: Mapping[str, Any], *, bug: str | None) -> None:
        """End it, under the name of what was asked for."""
        context.detach(begun.token)
        begun.span.update_name(" ".join([told["operation"], *told["fields"]]))
        begun.span.set_attributes({f"capacity.{name}": value for name, value in told.items()})
        if bug:
            fail(begun.span, bug)
        begun.span.end()

    def here(self) -> Span:
        """The span at hand."""
        return trace.get_current_span()

    @contextmanager
    def batch(self, requests: Sequence[Span], *, commands: int) -> Iterator[None]:
        """The span of a batch: a child of the first request that is recorded, with links to and from the others."""
        recorded = list(dict.fromkeys(span for span in requests if span.get_span_context().trace_flags.sampled))
        if not recorded:
            with trace.use_span(trace.INVALID_SPAN):  # and not within the request whose task sends it
                yield
            return
        first, *others = recorded
        with self._tracer.start_as_current_span(
            "batch",
            trace.set_span_in_context(first),
            attributes={"capacity.requests": len(requests), "capacity.commands": commands},
            links=[Link(other.get_span_context()) for other in others],
            record_exception=False,  # its text may tell what a caller has sent
            set_status_on_exception=False,
        ) as span:
            for other in others:
                other.add_link(span.get_span_context())
            try:
                yield
            except Exception as error:
                fail(span, type(error).__name__)
                raise

    def connected(self, connection: asyncpg.Connection) -> None:
        """Have the statements of a connection told."""
        connection.add_query_logger(self._tell_statement)

    def _tell_statement(self, record: Any) -> None:
        """Make a span of a statement that has ended, where it belongs to a request that is recorded."""
        if not trace.get_current_span().get_span_context().trace_flags.sampled:
            return
        now = time.time_ns()
        span = self._tracer.start_span(
            name_of(record.query),
            kind=SpanKind.CLIENT,
            start_time=now - int(record.elapsed * 1e9),
            attributes={"db.system.name": "postgresql", "db.query.text": record.query[:QUERY_CHARACTERS_MAX]},
        )
        if record.exception:
            fail(span, type(record.exception).__name__)
        span.end(now)


def fail(span: Span, error_type: str) -> None:
    """Mark a span with the type of what went wrong, and nothing of its text."""
    span.set_attribute("error.type", error_type)
    span.set_status(StatusCode.ERROR)


def name_of(query: str) -> str:
    """A statement's name: its verb, and what it is about where that is the kernel's."""
    verb = re.search(r"^\s*(?!--)(\w+)", query, re.MULTILINE)
    about = re.search(r"\bcapacity\.\w+", query)
    return " ".join(found[0].strip() for found in (verb, about) if found) or "SQL"
