"""Logs: one JSON object a line, or plain lines on a terminal; whole tracebacks and never what the frames hold."""

import logging
import random
import sys
import time
import uuid
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import structlog
from graphql import FieldNode

from capacity_gateway.documents import Document
from capacity_gateway.kernel import measures, traces

log = structlog.get_logger()


def write_logs(form: str) -> None:
    """Set up how this process logs, and what its libraries log, each line with the id of its request."""
    shared: list[Any] = [
        name_request,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso"),
    ]
    rendered: list[Any] = (
        [structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)]
        if form == "text" or (form == "auto" and sys.stderr.isatty())
        else [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    )
    structlog.configure(processors=[*shared, *rendered], logger_factory=structlog.WriteLoggerFactory(file=sys.stderr))
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared, processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *rendered]
        )
    )
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)


@dataclass
class Asked:
    """One operation that was asked for."""

    document: Document | None = None
    """What is to be run; None where nothing is."""
    status: str | int = 200
    bug: str | None = None
    """The type of an unexpected error."""
    trace_id: str | None = None

    @cached_property
    def request_id(self) -> str:
        """Its name, made up when it is first told: as a rule nobody asks for it."""
        return new_id()

    def fields(self) -> list[str]:
        """The fields it asks for, by their names in the schema; at most ten."""
        selections = self.document.selections if self.document else ()
        return [each.name.value for each in selections if isinstance(each, FieldNode)][:10]


_at_hand: ContextVar[Asked] = ContextVar("asked")


@contextmanager
def asked(headers: Mapping[str, str], *, logged: bool) -> Iterator[Asked]:
    """Give an operation an id, which its log lines and its unexpected errors carry; time it, and tell of it.

    What is told is names of the schema, codes and times: no argument, login or body.
    """
    begun = traces.tracer.begin(headers)
    outcomes: list[str] | None = [] if logged or begun else None
    measures.OUTCOMES_OF_REQUEST.set(outcomes)
    one = Asked(trace_id=begun.trace_id if begun else None)
    _at_hand.set(one)
    began = time.perf_counter()
    try:
        yield one
    finally:
        seconds = time.perf_counter() - began
        kind = one.document.operation.value if one.document else "none"
        measures.request(kind).observe(seconds)
        told = {"operation": kind, "fields": one.fields(), "outcomes": outcomes} if logged or begun else {}
        if begun:
            traces.tracer.end(begun, {"request_id": one.request_id, "status": str(one.status), **told}, bug=one.bug)
        if logged:
            log.info("request", **told, status=one.status, duration_ms=round(seconds * 1000, 2))


def note_document(document: Document) -> None:
    """Say what the operation at hand runs."""
    _at_hand.get().document = document


def note_bug(error: Exception) -> None:
    """Say that the operation at hand met an unexpected error."""
    if one := _at_hand.get(None):
        one.bug = type(error).__name__


def new_id() -> str:
    """A name for an operation; a secret it is not, and so it costs 2 µs instead of 8."""
    return str(uuid.UUID(int=random.getrandbits(128), version=4))


def request_id() -> str:
    """The id of the operation at hand; a new one outside of any."""
    one = _at_hand.get(None)
    return one.request_id if one else new_id()


def name_request(_: object, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Put the ids of the operation at hand into a line of the log."""
    if one := _at_hand.get(None):
        event["request_id"] = one.request_id
        if one.trace_id:
            event["trace_id"] = one.trace_id
    return event
