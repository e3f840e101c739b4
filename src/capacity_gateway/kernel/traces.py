"""What a tracer is told, if there is one. The kernel knows no library for that: `capacity_gateway.tracing` does."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import asyncpg


class Tracer:
    """Traces nothing."""

    def begin(self, headers: Mapping[str, str]) -> Any:  # noqa: ARG002
        """Begin a request, as a part of the trace that its headers name; None where nothing is traced."""
        return None

    def end(self, begun: Any, told: Mapping[str, Any], *, bug: str | None) -> None:
        """End what was begun, and say what it was: its operation, fields and outcomes, and the type of a bug."""

    def here(self) -> Any:
        """The request at hand, to be named when its batch is sent."""
        return None

    def batch(self, requests: Sequence[Any], *, commands: int) -> AbstractContextManager[None]:  # noqa: ARG002
        """One transaction for the commands of these requests, begun and ended."""
        return nullcontext()

    def connected(self, connection: asyncpg.Connection) -> None:
        """Look after a new connection, whose statements are to be in the traces."""


tracer = Tracer()
"""The one at work."""


def here() -> Any:
    """The request at hand, as the tracer at work knows it."""
    return tracer.here()
