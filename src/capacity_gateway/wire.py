"""HTTP/1.1 as uvicorn reads it, with limits on what a client sends before anything is done for it."""

import asyncio
from http import HTTPStatus

from starlette.datastructures import State
from starlette.responses import Response
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from capacity_gateway.overload import CROWD
from capacity_gateway.settings import Settings


class Guarded(HttpToolsProtocol):
    """What uvicorn makes of a connection, with 431 for a head that is too large and 408 for what comes too slowly.

    A request that comes in one piece costs no timer.
    """

    settings: Settings
    state: State
    """The application's; its endpoint says whom to turn away."""
    _held: list[bytes] | None = None
    """The body of a request that may be turned away, as far as it is here."""
    _timer: asyncio.TimerHandle | None = None
    _head_bytes = 0
    _in_head = True
    _complete = False  # what came last ended a request

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
        in_head, self._complete = self._in_head, False
        super().data_received(data)
        if self._held is not None:  # it comes in pieces
            self._take_up()
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
        self._in_head, self._head_bytes, self._held = True, 0, None

    def on_headers_complete(self) -> None:
        """Its head is here."""
        self._in_head = False
        size = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
        if size > self.settings.header_bytes_max or len(self.headers) > self.settings.headers_max:
            self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
            raise ValueError("the head is too large")  # ends the parsing
        if len(self.tasks) >= CROWD and self._may_be_turned_away():
            self._held = []
        else:
            super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Some of its body is here."""
        if self._held is None:
            super().on_body(body)
        else:
            self._held.append(body)

    def on_message_complete(self) -> None:
        """All of it is here."""
        self._complete = True
        if self._held is not None:
            told = self.state.endpoint.overload.answer(self.headers, b"".join(self._held), at_work=len(self.tasks))
            if told:
                self._held = None
                self._turn_away(told)
                return
            self._take_up()
        super().on_message_complete()

    def _may_be_turned_away(self) -> bool:
        """Whether nothing is special about a request, and none before it is still to be answered."""
        return (
            self.url == b"/graphql"
            and self.parser.get_method() == b"POST"
            and self.parser.get_http_version() == "1.1"
            and self.parser.should_keep_alive()
            and not self.parser.should_upgrade()
            and not self.expect_100_continue
            and (self.cycle is None or self.cycle.response_complete)
        )

    def _turn_away(self, told: Response) -> None:
        """Answer without a task, an ASGI message or a look at the document."""
        head = [b"HTTP/1.1 200 OK\r\n"]
        head += [b"%b: %b\r\n" % header for header in self.server_state.default_headers]
        head += [b"%b: %b\r\n" % header for header in told.raw_headers]
        self.transport.write(b"".join((*head, b"\r\n", told.body)))
        self.on_response_complete()

    def _take_up(self) -> None:
        """Go on with a request that is not turned away."""
        held, self._held = self._held or (), None
        super().on_headers_complete()
        for body in held:
            super().on_body(body)

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
    return type("Guarded", (Guarded,), {"settings": settings, "state": state})
