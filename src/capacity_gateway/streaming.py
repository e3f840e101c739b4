"""Operations that go on: over a WebSocket (graphql-transport-ws), and as server-sent events (graphql-sse)."""

import asyncio
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import ExitStack, aclosing, asynccontextmanager, suppress
from datetime import timedelta
from typing import Any

import orjson
from cross_web import HTTPException
from graphql import GraphQLError, OperationType
from starlette.requests import HTTPConnection, Request
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState
from strawberry.asgi import ASGIWebSocketAdapter
from strawberry.http import GraphQLRequestData
from strawberry.http.exceptions import NonJsonMessageReceived, NonTextMessageReceived, WebSocketDisconnected
from strawberry.http.streaming import SSETransport
from strawberry.subscriptions import GRAPHQL_TRANSPORT_WS_PROTOCOL
from strawberry.subscriptions.protocols.graphql_transport_ws.handlers import BaseGraphQLTransportWSHandler, Operation
from strawberry.types.execution import PreExecutionError

from capacity_gateway.answers import JSON, answer_type, formatted, masked, refusal, refuse
from capacity_gateway.documents import DOCUMENT, Document
from capacity_gateway.endpoint import Endpoint, address_of, bounded, read_object
from capacity_gateway.kernel.capacity import Capacity
from capacity_gateway.kernel.context import Caller, Context
from capacity_gateway.kernel.database import Database
from capacity_gateway.kernel.errors import Unauthenticated
from capacity_gateway.kernel.feed import Feed
from capacity_gateway.logs import asked, note_document
from capacity_gateway.rates import Places, name_of
from capacity_gateway.settings import Settings

TRY_LATER = 1013  # what a socket is closed with when there are too many
OPERATIONS_MAX = 50  # on a socket at a time
OPERATION_ID_BYTES_MAX = 64  # a socket is closed with a reason of at most 123 that may name it
INIT_SECONDS = 10  # from the opening of a socket to its login
HEARTBEAT_SECONDS = 15  # between signs of life on a stream of events

TOO_MANY = HTTPException(503, "BUSY")

Asking = Caller | Unauthenticated
Answer = Any  # a JSON object; Strawberry has a type of its own for each place it goes to


class Socket(BaseGraphQLTransportWSHandler[Context, None]):
    """The operations of one client over a WebSocket, for as long as its login holds."""

    view: "StreamingEndpoint"
    websocket: "SocketAdapter"
    asking: Asking

    async def handle(self) -> None:
        """Answer until the client leaves; 4403 ends it with its login, and tells the client to log in anew."""
        try:
            with ExitStack() as self.places:
                async with asyncio.timeout(None) as self.lifetime:
                    await super().handle()
        except TimeoutError:
            await self.websocket.close(4403, "Forbidden")

    async def handle_message(self, message: Any) -> None:
        """Do what a message says; 4400 ends the socket when it says nothing that this protocol knows."""
        if is_message(message):
            await super().handle_message(message)
        else:
            await self.handle_invalid_message("Invalid message")

    async def handle_connection_init(self, message: Any) -> None:
        """Check the login, as that of a request is checked; 4403 ends the socket when it does not hold."""
        payload = message.get("payload") or {}
        if not self.connection_init_received:
            given = {name.lower(): value for name, value in payload.items()}
            self.asking = await self.view.asking(given.get("authorization"))
            if isinstance(self.asking, Unauthenticated):
                await self.websocket.close(4403, "Forbidden")
                return
            name = name_of(self.asking, self.websocket.address)
            if not self.places.enter_context(self.view.places.place(name)):
                await self.websocket.close(TRY_LATER, "Too many sockets")
                return
            if self.asking.until is not None:
                self.lifetime.reschedule(asyncio.get_running_loop().time() + self.asking.until - time.time())
        await super().handle_connection_init({"type": "connection_init", "payload": payload})

    async def handle_subscribe(self, message: Any) -> None:
        """Begin an operation, unless there are too many."""
        if self.connection_acknowledged and len(self.operations) >= OPERATIONS_MAX:
            too_many = refusal(HTTPException(400, "LIMIT_EXCEEDED"))
            await self.websocket.send_json({"type": "error", "id": message["id"], "payload": [too_many]})
        else:
            await super().handle_subscribe(message)

    async def run_operation(self, operation: Operation[Context, None]) -> None:
        """Send the answers to an operation as they come."""
        given = GraphQLRequestData(
            query=operation.query,
            variables=operation.variables,
            operation_name=operation.operation_name,
            extensions=None,
        )
        with suppress(WebSocketDisconnected):
            async with aclosing(self.view.answers(given, self.asking, self.websocket.ws)) as answers:
                async for answer in answers:
                    if "data" not in answer:
                        await operation.send_operation_message(
                            {"type": "error", "id": operation.id, "payload": answer["errors"]}
                        )
                        return
                    await operation.send_operation_message({"type": "next", "id": operation.id, "payload": answer})
            await operation.send_operation_message({"type": "complete", "id": operation.id})


class SocketAdapter(ASGIWebSocketAdapter):
    """Reads and writes the messages of a socket, as strictly as bodies are read."""

    view: "StreamingEndpoint"  # type: ignore[assignment]  # as in Strawberry's own

    @property
    def address(self) -> str:
        """Where the client is."""
        return address_of(self.ws)

    async def iter_json(self, *, ignore_parsing_errors: bool = False) -> AsyncGenerator[object, None]:  # noqa: ARG002
        """The messages, until the client leaves."""
        while self.ws.application_state is not WebSocketState.DISCONNECTED:
            message = await self.ws.receive()
            if message["type"] == "websocket.disconnect":
                return
            text = message.get("text")
            if text is None:
                raise NonTextMessageReceived
            settings = self.view.settings
            if len(text) > settings.body_bytes_max:
                await self.close(1009, "Message too big")
                return
            try:
                yield read_object(text.encode(), settings.nesting_max)
            except HTTPException as error:
                raise NonJsonMessageReceived from error

    async def send_json(self, message: Mapping[str, object]) -> None:
        """Send a message as text, which is what browsers expect; waits while the client does not read."""
        try:
            await self.ws.send_text(orjson.dumps(message).decode())
        except (WebSocketDisconnect, RuntimeError) as error:  # the latter after a close of our own
            raise WebSocketDisconnected from error

    async def close(self, code: int, reason: str) -> None:
        """Close the socket, if it is still open."""
        with suppress(WebSocketDisconnect, RuntimeError):
            await self.ws.close(code, reason)


class StreamingEndpoint(Endpoint):
    """The endpoint, with WebSockets on its path and server-sent events on another.

    Events have a path of their own because urql accepts them for everything, and reads none of them.
    """

    graphql_transport_ws_handler_class = Socket
    websocket_adapter_class = SocketAdapter  # type: ignore[assignment]  # as in Strawberry's own

    def __init__(self, settings: Settings, database: Database, capacity: Capacity, feed: Feed) -> None:
        super().__init__(settings, database, capacity, feed)
        self.protocols = (GRAPHQL_TRANSPORT_WS_PROTOCOL,)
        self.connection_init_wait_timeout = timedelta(seconds=INIT_SECONDS)
        self._lifetimes: set[asyncio.Timeout] = set()
        self._sockets = Places(settings.sockets_max)
        self.places = Places(settings.sockets_per_holder_max)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or all that come over a WebSocket."""
        if scope["type"] == "websocket":
            with self._sockets.place() as free:
                socket = WebSocket(scope, receive, send)
                await (self.run(socket) if free else socket.send_denial_response(refuse(TOO_MANY, JSON)))
        else:
            await super().__call__(scope, receive, send)

    def is_websocket_origin_allowed(self, request: WebSocket, origin: str) -> bool:  # noqa: ARG002
        """Whether a page of another origin may open a socket."""
        return self.settings.allows_origin(origin)

    async def asking(self, authorization: object) -> Asking:
        """Who a socket's or a stream's login says is asking."""
        return await self.login.caller(authorization if isinstance(authorization, str | None) else "none")

    async def answers(
        self, given: GraphQLRequestData, asking: Asking, connection: HTTPConnection
    ) -> AsyncGenerator[Answer, None]:
        """The answers to an operation, one for a query or a mutation; one without data where it was not begun."""
        with asked(connection.headers, logged=self.settings.log_requests) as one:
            async with aclosing(self._answers(given, asking, address_of(connection))) as answers:
                async for answer in answers:
                    one.status = "answered" if "data" in answer else "refused"
                    yield answer

    async def _answers(self, given: GraphQLRequestData, asking: Asking, address: str) -> AsyncGenerator[Answer, None]:
        document = self.document(given.query or "")
        if isinstance(document, HTTPException):
            yield {"errors": [refusal(document)]}
            return
        if isinstance(document, GraphQLError):
            yield {"errors": [formatted(document)]}
            return
        if document.introspects and self.settings.production:
            yield {"errors": [refusal(HTTPException(400, "INTROSPECTION_DISABLED"))]}
            return
        if document.operation is OperationType.SUBSCRIPTION and isinstance(asking, Unauthenticated):
            yield {"errors": [formatted(asking)]}
            return
        context = self.context(asking, address)
        note_document(document)
        try:
            results = await self.schema.stream(
                given.query,
                variable_values=given.variables,
                context_value=context,
                operation_name=given.operation_name,
                operation_extensions={DOCUMENT: document},
            )
            async with aclosing(results):
                async for result in results:
                    await context.close()  # a slow client may take this answer for ever to read
                    yield await self._answer(result)
        except Exception as error:  # noqa: BLE001 - the last line: masked here, whole in the log
            yield {"errors": [masked(error)]}
        finally:
            await context.end()

    async def _answer(self, result: Any) -> Answer:
        """A result as callers get it; without data where there is nothing that its error could be in."""
        if result.data is not None or any(error.path for error in result.errors or ()):
            return await self.process_result(None, result)
        (error, *_) = result.errors or [GraphQLError("no answer")]
        cause = error.original_error
        if cause is None or isinstance(cause, GraphQLError) or isinstance(result, PreExecutionError):
            return {"errors": [formatted(error)]}
        return {"errors": [masked(cause)]}

    async def stream(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one operation with server-sent events, the distinct connections mode of graphql-sse.

        The stream is cut short, without `complete`, when the login ends or the gateway stops: the client asks again.
        """
        request = Request(scope, bounded(receive, self.settings.body_bytes_max))
        try:
            given = await self._given(request)
        except HTTPException as error:
            await refuse(error, answer_type(request.headers))(scope, receive, send)
            return
        asking = await self.asking(request.headers.get("authorization"))
        address = address_of(request)
        name = name_of(self.context(asking, address).caller, address)
        with self._sockets.place() as free, self.places.place(name) as its_own:
            if not (free and its_own):
                await refuse(TOO_MANY, answer_type(request.headers))(scope, receive, send)
                return
            events: asyncio.Queue[str] = asyncio.Queue(1)
            pump = asyncio.create_task(self._pump(self.answers(given, asking, request), asking, events))
            try:
                await StreamingResponse(alive(events), headers=SSETransport.headers)(scope, receive, send)
            finally:
                pump.cancel()

    async def _given(self, request: Request) -> GraphQLRequestData:
        """The operation in a request for a stream; HTTPException with the right status where there is none."""
        self._check_origin(request)
        self.is_request_allowed(request)
        given = await self.parse_http_body(self.request_adapter_class(request))
        document = self.document(given.query or "")
        if isinstance(document, Document) and document.operation is OperationType.MUTATION and request.method == "GET":
            raise HTTPException(405, "METHOD_NOT_ALLOWED")
        return given

    async def _pump(self, answers: AsyncGenerator[Answer, None], asking: Asking, events: asyncio.Queue[str]) -> None:
        sse = SSETransport()
        async with self._lifetime(asking), aclosing(answers):
            async for answer in answers:
                await events.put(sse.encode_next(answer, self.encode_json_string))
            await events.put(sse.encode_complete())
        await events.put("")

    @asynccontextmanager
    async def _lifetime(self, asking: Asking) -> AsyncGenerator[None, None]:
        """Cut short what is done within when the login ends, or when the gateway stops."""
        until = asking.until if isinstance(asking, Caller) else None
        with suppress(TimeoutError):
            async with asyncio.timeout(None if until is None else until - time.time()) as lifetime:
                self._lifetimes.add(lifetime)
                try:
                    yield
                finally:
                    self._lifetimes.discard(lifetime)

    def stop(self) -> None:
        """Cut all streams of events short; what serves has to close the sockets."""
        for lifetime in self._lifetimes:
            lifetime.reschedule(asyncio.get_running_loop().time())


async def alive(events: asyncio.Queue[str]) -> AsyncGenerator[str, None]:
    """Events until an empty one, with signs of life between them."""
    while True:
        try:
            async with asyncio.timeout(HEARTBEAT_SECONDS):
                event = await events.get()
        except TimeoutError:
            event = ":\r\n\r\n"
        if not event:
            return
        yield event


def is_message(message: Mapping[str, Any]) -> bool:
    """Whether a JSON object is a message of the protocol."""
    operation_id, payload = message.get("id"), message.get("payload")
    named = isinstance(operation_id, str) and 0 < len(operation_id.encode()) <= OPERATION_ID_BYTES_MAX
    match message.get("type"):
        case "connection_init" | "ping" | "pong":
            return isinstance(payload, dict | None)
        case "subscribe":
            return (
                named
                and isinstance(payload, dict)
                and isinstance(payload.get("query"), str)
                and isinstance(payload.get("operationName"), str | None)
                and isinstance(payload.get("variables"), dict | None)
            )
        case "complete":
            return named
        case _:
            return False
