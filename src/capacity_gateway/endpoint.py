"""GraphQL over HTTP: what comes in is checked, and answered."""

import json
from collections.abc import Mapping
from functools import partial
from typing import Any

import orjson
import structlog
from cross_web import HTTPException
from graphql import GraphQLError, OperationType
from starlette.requests import HTTPConnection, Request
from starlette.responses import HTMLResponse, Response
from starlette.types import Message, Receive, Scope, Send
from starlette.websockets import WebSocket
from strawberry.asgi import GraphQL
from strawberry.http import GraphQLHTTPResponse, GraphQLRequestData
from strawberry.types import ExecutionResult

from capacity_gateway import graphiql, operators
from capacity_gateway.answers import (
    JSON,
    Answer,
    answer_type,
    failed,
    refuse,
    refused,
    respond,
    shown,
)
from capacity_gateway.documents import Document, read_document
from capacity_gateway.kernel.capacity import Capacity
from capacity_gateway.kernel.context import Caller, Context
from capacity_gateway.kernel.database import Database
from capacity_gateway.kernel.errors import Unauthenticated
from capacity_gateway.kernel.feed import Feed
from capacity_gateway.kernel.reads import Reads
from capacity_gateway.kernel.webhooks import Webhooks
from capacity_gateway.login import Login, offered_tokens
from capacity_gateway.logs import asked, note_document
from capacity_gateway.offers import Offers
from capacity_gateway.overload import Overload
from capacity_gateway.persisted import PersistedDocuments
from capacity_gateway.rates import RateLimit
from capacity_gateway.schema import schema
from capacity_gateway.settings import Settings

log = structlog.get_logger()


class Endpoint(GraphQL[Context, None]):
    """`/graphql`: queries by GET and POST, mutations by POST, GraphiQL for a browser."""

    def __init__(self, settings: Settings, database: Database, capacity: Capacity, feed: Feed) -> None:
        super().__init__(schema(), graphql_ide=None if settings.production else "graphiql")
        self.settings = settings
        self._limits = settings.limits()
        self._rate_limit = RateLimit(rate) if (rate := settings.rate()) else None
        self._database = database
        self._capacity = capacity
        self._feed = feed
        self.login = Login(settings)
        self.overload = Overload(self.login, capacity.combiner)
        self._offers = Offers(settings)
        self._webhooks = Webhooks(database, settings.webhook_key(), anywhere=settings.webhooks_anywhere)
        self._seal_key = settings.seal_key()
        self._persisted = PersistedDocuments(self._limits, settings.trusted_documents, own=operators.DOCUMENTS.values())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; whatever goes wrong, in GraphQL's own form."""
        request = Request(scope, bounded(receive, self.settings.body_bytes_max))
        with asked(request.headers, logged=self.settings.log_requests) as one:
            response = await self._answer_to(request)
            one.status = response.status_code
        await response(scope, receive, send)

    async def _answer_to(self, request: Request) -> Response:
        """The answer to a request, whatever goes wrong."""
        try:
            self._check_origin(request)
            if request.method != "POST":
                return await self.run(request)
            return (await self._post(await request.body(), request.headers, address_of(request))).response()
        except HTTPException as error:
            return refuse(error, answer_type(request.headers))
        except Exception as error:  # noqa: BLE001 - the last line: masked here, whole in the log
            return failed(error, request.headers).response()

    async def answer(self, body: bytes, headers: Mapping[str, str], address: str) -> Answer:
        """The answer to an operation that a page of another origin cannot have posted, whatever goes wrong.

        It is the same as by way of Starlette, in a third less of the gateway's time.
        """
        with asked(headers, logged=self.settings.log_requests) as one:
            try:
                answer = await self._post(body, headers, address)
            except HTTPException as error:
                answer = refused(error, answer_type(headers))
            except Exception as error:  # noqa: BLE001 - the last line: masked here, whole in the log
                answer = failed(error, headers)
            one.status = answer.status
        return answer

    async def _post(self, body: bytes, headers: Mapping[str, str], address: str) -> Answer:
        """The answer to an operation that is posted: what Strawberry's `run` would do, a sixth quicker."""
        given = self._read(body, headers)
        context = await self._context(headers, address)
        result = await self._execute(given, context, by_get=False)
        answer = respond(shown(result), answer_type(headers))
        if context.turned_away:
            self._note_overload(given.query or "", headers, result, answer)
        return answer

    def _note_overload(self, text: str, headers: Mapping[str, str], result: ExecutionResult, answer: Answer) -> None:
        """Keep what a document's only mutation was told, for the next who send it."""
        document = self.document(text)
        if isinstance(document, Document) and not result.errors and len(result.data or ()) == 1:
            self.overload.learn(text, headers.get("accept", ""), document, answer)

    def should_render_graphql_ide(self, request: Any) -> bool:
        """Whether a browser has come for GraphiQL; not where a document is named."""
        return "extensions" not in request.query_params and super().should_render_graphql_ide(request)

    def is_request_allowed(self, request: Any) -> bool:
        """GET and POST are."""
        if request.method not in ("GET", "POST"):
            raise HTTPException(405, "METHOD_NOT_ALLOWED")
        return True

    def _check_origin(self, request: Request) -> None:
        """Refuse a page of another origin: it could send what its visitor may send."""
        origin = request.headers.get("origin")
        if origin is None:
            return
        own = f"{request.url.scheme}://{request.headers.get('host')}"
        if origin != own and not self.settings.allows_origin(origin):
            raise HTTPException(403, "CSRF")

    async def get_context(self, request: Request | WebSocket, response: Response | WebSocket) -> Context:  # noqa: ARG002
        """What the resolvers of this request find in `info.context`."""
        return await self._context(request.headers, address_of(request))

    async def _context(self, headers: Mapping[str, str], address: str) -> Context:
        asking = await self.login.caller(headers.get("authorization"))
        return self.context(asking, address, header_key=headers.get("x-idempotency-key"))

    def context(self, asking: Caller | Unauthenticated, address: str, *, header_key: str | None = None) -> Context:
        """What the resolvers of one operation find in `info.context`."""
        caller = asking if isinstance(asking, Caller) else Caller(tenant=self.settings.default_tenant)
        return Context(
            caller=caller,
            no_login=None if isinstance(asking, Caller) else asking,
            capacity=self._capacity,
            reads=Reads(self._database, self._capacity, caller.tenant, seal_key=self._seal_key),
            feed=self._feed,
            offers=self._offers,
            webhooks=self._webhooks,
            lease_seconds=3 * self.settings.heartbeat_seconds,
            header_key=header_key,
            wait_seconds=partial(self._rate_limit.wait_seconds, caller, address) if self._rate_limit else None,
        )

    def document(self, text: str) -> Document | GraphQLError | HTTPException:
        """What a text is: `read_document`'s answer, where it may be run."""
        if not self._persisted.trusts(text):
            return HTTPException(400, "QUERY_NOT_IN_SAFELIST")
        return read_document(schema(), text, self._limits)

    async def execute_single(self, *_: Any, **kwargs: Any) -> ExecutionResult:
        """Execute what Strawberry's view has been asked for."""
        by_get = kwargs["request_adapter"].method == "GET"
        return await self._execute(kwargs["request_data"], kwargs["context"], by_get=by_get)

    async def _execute(self, given: GraphQLRequestData, context: Context, *, by_get: bool) -> ExecutionResult:
        """Execute what may be executed, and give back the connection that was read from."""
        document = self.document(given.query or "")
        if isinstance(document, GraphQLError):
            return ExecutionResult(data=None, errors=[document])
        if isinstance(document, HTTPException):
            raise document
        if document.introspects and self.settings.production:
            raise HTTPException(400, "INTROSPECTION_DISABLED")
        if document.operation is OperationType.SUBSCRIPTION or (
            document.operation is OperationType.MUTATION and by_get
        ):
            raise HTTPException(405, "METHOD_NOT_ALLOWED")
        if given.operation_name is not None and given.operation_name != document.name:
            raise HTTPException(400, "BAD_REQUEST")
        note_document(document)
        try:
            return await document.execute(context, given.variables or {}, given.extensions)
        finally:
            await context.end()

    async def render_graphql_ide(self, request: Request) -> Response:
        """GraphiQL with an example a tab, and a login in each where logins are offered."""
        return HTMLResponse(
            graphiql.page(offered_tokens(self.settings, request.url.hostname)),
            headers={
                "content-security-policy": graphiql.CONTENT_SECURITY_POLICY,
                "cache-control": "no-store",
            },
        )

    async def parse_http_body(self, request: Any) -> GraphQLRequestData:
        """The operation in a request; HTTPException with the right status where there is none."""
        if request.method == "POST":
            return self._read(await request.get_body(), request.headers)
        data = dict(request.query_params)
        for name in ("variables", "extensions"):
            data[name] = read_object(data[name].encode(), self.settings.nesting_max) if data.get(name) else None
        return self._given_by(data)

    def _read(self, body: bytes, headers: Mapping[str, str]) -> GraphQLRequestData:
        """The operation in what was posted; HTTPException likewise."""
        media_type = headers.get("content-type", "").partition(";")[0].strip().lower()
        if media_type != JSON:
            raise HTTPException(415, "UNSUPPORTED_MEDIA_TYPE")
        return self._given_by(read_object(body, self.settings.nesting_max))

    def _given_by(self, data: Mapping[str, Any]) -> GraphQLRequestData:
        operation_name, variables, extensions = (data.get(n) for n in ("operationName", "variables", "extensions"))
        query = self._persisted.text(data.get("query"), extensions)
        texts = isinstance(query, str) and query and isinstance(operation_name, str | None)
        if not texts or not isinstance(variables, dict | None) or not isinstance(extensions, dict | None):
            raise HTTPException(400, "BAD_REQUEST")
        return GraphQLRequestData(
            query=query, variables=variables, operation_name=operation_name, extensions=extensions
        )

    async def get_sub_response(self, request: Request | WebSocket) -> Response:
        """The answer to come, as far as it is known: its media type."""
        sub_response = await super().get_sub_response(request)
        sub_response.media_type = answer_type(request.headers)
        return sub_response

    async def process_result(self, request: Any, result: ExecutionResult, **_: Any) -> GraphQLHTTPResponse:  # noqa: ARG002
        """The answer as callers get it, with at most one error that is not a field's own."""
        return shown(result)

    def create_response(self, response_data: Any, sub_response: Response) -> Response:
        """The answer as Strawberry's view gives it."""
        return respond(response_data, sub_response.media_type or JSON).response()

    def encode_json(self, data: object) -> bytes:
        """JSON as bytes."""
        return orjson.dumps(data)


def address_of(request: HTTPConnection) -> str:
    """Where a request comes from; behind a proxy on this machine, where it says that it comes from."""
    return request.client.host if request.client else ""


def bounded(receive: Receive, bytes_max: int) -> Receive:
    """The same stream, which raises HTTPException 413 once a body is past the limit."""
    size = 0

    async def receive_within() -> Message:
        nonlocal size
        message = await receive()
        size += len(message.get("body", b""))
        if size > bytes_max:
            raise HTTPException(413, "PAYLOAD_TOO_LARGE")
        return message

    return receive_within


def read_object(body: bytes, nesting_max: int) -> dict[str, Any]:
    """A JSON object, read strictly.

    Raises:
        HTTPException: 400, for whatever else it is: no JSON, no object, bad UTF-8, NaN, repeated names, NUL or
            lone surrogates in texts, nesting past the limit, numbers past all bounds.
    """
    try:
        text = body.decode()
        data = DECODER.decode(text)
        if "\\u" in text or text.count("{") + text.count("[") > nesting_max:  # else there is nothing to be found
            _check(data, nesting_max)
    except (ValueError, RecursionError) as error:
        raise HTTPException(400, "BAD_REQUEST") from error
    if isinstance(data, list):
        raise HTTPException(400, "BATCHING_DISABLED")
    if not isinstance(data, dict):
        raise HTTPException(400, "BAD_REQUEST")
    return data


def _without_repeats(pairs: list[tuple[str, Any]]) -> Mapping[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands twice")
    return found


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


DECODER = json.JSONDecoder(object_pairs_hook=_without_repeats, parse_constant=_refuse_constant)


def _check(value: Any, nesting_left: int) -> None:
    if isinstance(value, dict | list) and nesting_left <= 0:
        raise ValueError("nested too deeply")
    if isinstance(value, str):
        value.encode()  # a lone surrogate is a ValueError
        if "\0" in value:
            raise ValueError("NUL in a text")
    elif isinstance(value, dict):
        for name, inner in value.items():
            _check(name, nesting_left)
            _check(inner, nesting_left - 1)
    elif isinstance(value, list):
        for inner in value:
            _check(inner, nesting_left - 1)
