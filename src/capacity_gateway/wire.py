"""HTTP/1.1 as uvicorn reads it, with limits on what a client sends before anything is done for it."""

import asyncio
from collections.abc import Mapping
from http import HTTPStatus

from starlette.datastructures import State
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from capacity_gateway.answers import Answer
from capacity_gateway.overload import CROWD
from capacity_gateway.settings import Settings

NOT_PLAIN = {b"origin", b"expect", b"upgrade", b"transfer-encoding", b"content-encoding"}
"""What a page of another origin, or a body that is not just read, would have."""
OF_A_PROXY = {b"x-forwarded-for", b"x-forwarded-proto"}


class Plain:
    """An operation that is posted by no page of another origin: it goes straight to the endpoint.

    uvicorn's and Starlette's way to it costs as much as the rest of a registration does (90 µs of 200, measured). To
    uvicorn this is the cycle of a request and its response.
    """

    def __init__(self, connection: "Guarded", *, keep_alive: bool) -> None:
        self.connection = connection
        self.keep_alive = keep_alive
        self.message_event = asyncio.Event()
        self.body = b""
        self.more_body = True
        self.response_started = False
        self.response_complete = False
        self.disconnected = False

    def begin(self, headers: Mapping[str, str]) -> None:
        """Have it answered, unless it is turned away."""
        connection = self.connection
        told = None
        if len(connection.tasks) >= CROWD:
            told = connection.state.endpoint.overload.answer(headers, self.body, at_work=len(connection.tasks))
        if told:
            if self.keep_alive:
                connection.state.endpoint.overload.remember(connection.received, headers)
            self._write(told)
            return
        task = connection.loop.create_task(self._answer(headers))
        connection.tasks.add(task)
        task.add_done_callback(connection.tasks.discard)

    async def _answer(self, headers: Mapping[str, str]) -> None:
        connection = self.connection
        try:
            client = connection.client
            answer = await connection.state.endpoint.answer(self.body, headers, client[0] if client else "")
            if connection.flow.write_paused and not self.disconnected:
                await connection.flow.drain()
        except BaseException:  # cancelled at a stop, as a rule
            connection.transport.close()
            raise
        self._write(answer)

    def _write(self, answer: Answer) -> None:
        connection = self.connection
        self.response_started = self.response_complete = True
        if not self.disconnected:
            connection.transport.write(
                written(answer, connection.server_state.default_headers, keep_alive=self.keep_alive)
            )
            if not self.keep_alive:
                connection.transport.close()
        connection.on_response_complete()


def written(answer: Answer, default_headers: list[tuple[bytes, bytes]], *, keep_alive: bool) -> bytes:
    """An answer as it goes over the wire."""
    head = [(name.encode(), value.encode()) for name, value in answer.headers().items()]
    head.append((b"content-length", b"%d" % len(answer.body)))
    if not keep_alive:
        head.append((b"connection", b"close"))
    lines = [b"%b: %b\r\n" % pair for pair in (*default_headers, *head)]
    return b"".join([STATUS_LINE[answer.status], *lines, b"\r\n", answer.body])


class Guarded(HttpToolsProtocol):
    """What uvicorn makes of a connection, with 431 for a head that is too large and 408 for what comes too slowly.

    A request that comes in one piece costs no timer.
    """

    settings: Settings
    state: State
    """The application's, with its endpoint."""
    rated: bool
    """Whether there is a limit on how often one may ask."""
    _timer: asyncio.TimerHandle | None = None
    _head_bytes = 0
    _in_head = True
    _complete = False  # what came last ended a request
    _between = True  # nothing has come of a request that is not all here
    received = b""  # what came last
    _turned_away_at = 0.0  # when this was last done without a timer
    _told: tuple[Answer, object, bytes] | None = None  # what was last said in turning away, shared by all connections

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client has come."""
        super().connection_made(transport)
        self._await_rest()

    def connection_lost(self, exc: Exception | None) -> None:
        """It has left."""
        self._rest_is_here()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """It has sent something."""
        if len(self.tasks) >= CROWD and self._between and self._turn_away_again(data):
            return
        in_head, self._complete, self.received = self._in_head, False, data
        super().data_received(data)
        if self._complete:
            self._rest_is_here()
            return
        self._await_rest()
        if in_head and self._in_head:
            self._head_bytes += len(data)  # the parser tells of a header when it is whole
        trailers = len(self.headers or ()) > self.settings.headers_max
        if self._head_bytes > self.settings.header_bytes_max or trailers:
            self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)

    def on_message_begin(self) -> None:
        """A request begins."""
        super().on_message_begin()
        self._in_head, self._head_bytes, self._between = True, 0, False

    def on_headers_complete(self) -> None:
        """Its head is here."""
        self._in_head = False
        size = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
        if size > self.settings.header_bytes_max or len(self.headers) > self.settings.headers_max:
            self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
            raise ValueError("the head is too large")  # ends the parsing
        if self._is_plain():
            self.cycle = Plain(self, keep_alive=self.parser.should_keep_alive())  # type: ignore[assignment]
        else:
            super().on_headers_complete()

    def _is_plain(self) -> bool:
        """Whether the request is one that needs nothing but the endpoint."""
        if self.url != b"/graphql" or self.parser.get_method() != b"POST" or self.parser.get_http_version() != "1.1":
            return False
        if self.cycle is not None and not self.cycle.response_complete:  # it has to wait for the one before
            return False
        names = [name for name, _ in self.headers]
        if not NOT_PLAIN.isdisjoint(names) or len(set(names)) < len(names):
            return False
        if self.rated and not OF_A_PROXY.isdisjoint(names):  # there it matters who has sent it
            return False
        most = self.limit_concurrency
        if most is not None and max(len(self.connections), len(self.tasks)) >= most:
            return False
        length = next((value for name, value in self.headers if name == b"content-length"), b"")
        return length.isdigit() and int(length) <= min(self.settings.body_bytes_max, HIGH_WATER_LIMIT)

    def on_message_complete(self) -> None:
        """All of it is here."""
        self._complete = self._between = True
        super().on_message_complete()
        cycle = self.cycle
        if isinstance(cycle, Plain) and not cycle.response_complete:
            cycle.begin({name.decode("latin-1"): value.decode("latin-1") for name, value in self.headers})

    def _turn_away_again(self, data: bytes) -> bool:
        """Answer a request that is turned away as one with the very same head was before; it costs no timer."""
        if self.cycle is not None and not self.cycle.response_complete:
            return False
        answer = self.state.endpoint.overload.answer_again(data, at_work=len(self.tasks))
        if answer is None:
            return False
        kind, default_headers = type(self), self.server_state.default_headers
        told = kind._told  # noqa: SLF001 - our own
        if told is None or told[0] is not answer or told[1] is not default_headers:
            told = kind._told = answer, default_headers, written(answer, default_headers, keep_alive=True)  # noqa: SLF001
        self.transport.write(told[2])
        self._rest_is_here()
        self._turned_away_at = self.loop.time()
        if self.timeout_keep_alive_task is None:
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )
        return True

    def timeout_keep_alive_handler(self) -> None:
        """Close what has been idle for long enough."""
        left_seconds = self._turned_away_at + self.timeout_keep_alive - self.loop.time()
        if left_seconds > 0:
            self.timeout_keep_alive_task = self.loop.call_later(left_seconds, self.timeout_keep_alive_handler)
        else:
            super().timeout_keep_alive_handler()

    def send_400_response(self, msg: str) -> None:
        """Tell that it is none, unless something else has been told."""
        if not self.transport.is_closing():
            super().send_400_response(msg)

    def _await_rest(self) -> None:
        if self._timer is None:
            self._timer = self.loop.call_later(self.settings.receive_seconds, self._too_slow)

    def _rest_is_here(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _too_slow(self) -> None:
        self._timer = None
        answering = self.cycle is not None and not self.cycle.response_complete
        if answering and not self.cycle.more_body:
            return  # the request is here; what came after it was nothing
        begun = self._in_head and self.headers is not None
        if begun or (answering and not self.cycle.response_started):
            self._refuse(HTTPStatus.REQUEST_TIMEOUT)
        else:
            self.transport.close()

    def _refuse(self, status: HTTPStatus) -> None:
        if not self.transport.is_closing():
            head = f"HTTP/1.1 {status} {status.phrase}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
            self.transport.write(head.encode())
            self.transport.close()


def guarded(settings: Settings, state: State) -> type[Guarded]:
    """The protocol with these settings' limits, for the application with this state."""
    return type("Guarded", (Guarded,), {"settings": settings, "state": state, "rated": settings.rate() is not None})
