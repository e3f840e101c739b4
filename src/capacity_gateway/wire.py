"""HTTP/1.1 as uvicorn reads it, with limits on what a client sends before anything is done for it."""

import asyncio
from http import HTTPStatus

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from capacity_gateway.settings import Settings


class Guarded(HttpToolsProtocol):
    """What uvicorn makes of a connection, with 431 for a head that is too large and 408 for what comes too slowly.

    A request that comes in one piece costs no timer.
    """

    settings: Settings
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
        self._in_head, self._head_bytes = True, 0

    def on_headers_complete(self) -> None:
        """Its head is here."""
        self._in_head = False
        size = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
        if size > self.settings.header_bytes_max or len(self.headers) > self.settings.headers_max:
            self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
            raise ValueError("the head is too large")  # ends the parsing
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """All of it is here."""
        self._complete = True
        super().on_message_complete()

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


def guarded(settings: Settings) -> type[Guarded]:
    """The protocol with these settings' limits."""
    return type("Guarded", (Guarded,), {"settings": settings})
