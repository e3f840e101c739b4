"""The load generator, a process of its own: HTTP over loopback, a request at a time on each connection.

It reads a `Load` as JSON from its standard input and writes a `Found` as JSON to its standard output. It spends 10 to
20 µs of CPU on a request, so that on two cores it takes little from what is measured; how much is part of `Found`.
"""

import asyncio
import itertools
import random
import sys
import time
from collections import deque
from dataclasses import asdict, dataclass, field
from typing import cast

import orjson
import uvloop

NUMBER = b"##########"
"""Stands in a request for its own number, of ten digits, so that holders and keys are never the same twice."""


@dataclass(kw_only=True)
class Load:
    """What to send."""

    port: int
    requests: list[str]
    """Whole HTTP requests; each time one of them at random."""
    success: str
    """What an answer has when all is well."""
    connections: int
    seconds: float
    warm_seconds: float = 0
    """Before these, in which what is answered is not counted."""
    rate: float | None = None
    """Requests a second, at even distances whether or not those before are answered; None = as soon as they are."""
    first_number: int = field(default_factory=lambda: random.randrange(10**9))  # noqa: S311
    """Far from those of other loads to the same events."""


@dataclass(kw_only=True)
class Found:
    """What came of it, once all that was sent is answered."""

    succeeded: int
    failed: int
    per_second: float
    """Successes, from the end of the warming up to the last answer."""
    cpu_seconds: float
    """Of the generator itself."""
    p50_ms: float
    """At a rate, latencies count from when a request was due, so that none is left out for those before it."""
    p99_ms: float
    failed_p99_ms: float
    """Of those who were told something else."""
    failure: str
    """The first answer that was no success."""


class Generator:
    """Sends one load."""

    def __init__(self, load: Load) -> None:
        self._requests = [request.encode() for request in load.requests]
        self._success = load.success.encode()
        self._numbers = itertools.count(load.first_number)
        self._load = load
        self._counted_from = 0.0
        self._until = 0.0
        self._idle: list[Connection] = []
        self._due: deque[float] = deque()
        self._latencies: list[float] = []
        self._failed_latencies: list[float] = []
        self._succeeded = 0
        self._failed = 0
        self._failure = ""
        self._open = 0
        self._drained = asyncio.Event()

    async def run(self) -> Found:
        """Send it all, and wait for the answers."""
        loop = asyncio.get_running_loop()
        connections = []
        for _ in range(self._load.connections):
            _, connection = await loop.create_connection(lambda: Connection(self), "127.0.0.1", self._load.port)
            connections.append(connection)
        cpu, start = time.process_time(), time.perf_counter()
        self._counted_from = start + self._load.warm_seconds
        self._until = self._counted_from + self._load.seconds
        if self._load.rate is None:
            for connection in connections:
                self._send(connection, time.perf_counter())
        else:
            self._idle.extend(connections)
            await self._keep_rate(start, self._load.rate)
        await self._drained.wait()
        end = time.perf_counter()
        for connection in connections:
            connection.close()
        return Found(
            succeeded=self._succeeded,
            failed=self._failed,
            per_second=len(self._latencies) / (end - self._counted_from),
            cpu_seconds=time.process_time() - cpu,
            p50_ms=percentile_ms(self._latencies, 50),
            p99_ms=percentile_ms(self._latencies, 99),
            failed_p99_ms=percentile_ms(self._failed_latencies, 99),
            failure=self._failure,
        )

    async def _keep_rate(self, start: float, rate: float) -> None:
        for number in range(int((self._load.warm_seconds + self._load.seconds) * rate)):
            due = start + number / rate
            if (early := due - time.perf_counter()) > 0:
                await asyncio.sleep(early)
            if self._idle:
                self._send(self._idle.pop(), due)
            else:
                self._due.append(due)

    def _send(self, connection: "Connection", due: float) -> None:
        self._open += 1
        self._drained.clear()
        request = self._requests[0] if len(self._requests) == 1 else random.choice(self._requests)  # noqa: S311
        connection.send(request.replace(NUMBER, b"%010d" % next(self._numbers)), due)

    def answered(self, connection: "Connection", answer: bytes, due: float) -> None:
        """Count an answer, and let its connection go on."""
        now = time.perf_counter()
        self._open -= 1
        if self._success in answer:
            self._succeeded += 1
            if now >= self._counted_from:
                self._latencies.append(now - due)
        else:
            self._failed += 1
            if now >= self._counted_from:
                self._failed_latencies.append(now - due)
            self._failure = self._failure or answer.decode(errors="replace")[-500:]
        if self._load.rate is None:
            if now < self._until:
                self._send(connection, now)
        elif self._due:
            self._send(connection, self._due.popleft())
        else:
            self._idle.append(connection)
        if not self._open:
            self._drained.set()

    def lost(self, connection: "Connection") -> None:
        """Send nothing more on a connection that was idle."""
        if connection in self._idle:
            self._idle.remove(connection)


class Connection(asyncio.Protocol):
    """One connection, kept alive."""

    def __init__(self, generator: Generator) -> None:
        self._generator = generator
        self._answer = b""
        self._due = 0.0
        self._transport: asyncio.Transport
        self._waiting = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep what to write to."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's own is none by class

    def send(self, request: bytes, due: float) -> None:
        """Send one request."""
        self._due = due
        self._waiting = True
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        """Hand over an answer once it is whole."""
        self._answer += data
        if is_whole(self._answer):
            answer, self._answer = self._answer, b""
            self._waiting = False
            self._generator.answered(self, answer, self._due)

    def connection_lost(self, error: Exception | None) -> None:
        """Servers may close what is idle for long, and nothing else."""
        if self._waiting:
            sys.exit(f"the server closed a connection: {error}")
        self._generator.lost(self)

    def close(self) -> None:
        """Close it."""
        self._transport.close()


def percentile_ms(latencies: list[float], percent: int) -> float:
    """The latency that so many did not exceed; 0 where there are none."""
    return sorted(latencies)[len(latencies) * percent // 100] * 1000 if latencies else 0.0


def is_whole(answer: bytes) -> bool:
    """Whether an HTTP answer is there to its end."""
    top, separator, body = answer.partition(b"\r\n\r\n")
    if not separator:
        return False
    _, has_length, rest = top.lower().partition(b"\r\ncontent-length:")
    return len(body) >= int(rest.partition(b"\r\n")[0]) if has_length else body.endswith(b"0\r\n\r\n")


def main() -> None:
    """Send the load of the standard input."""
    load = Load(**orjson.loads(sys.stdin.buffer.read()))
    found = uvloop.run(Generator(load).run())
    sys.stdout.buffer.write(orjson.dumps(asdict(found)))


if __name__ == "__main__":
    main()
