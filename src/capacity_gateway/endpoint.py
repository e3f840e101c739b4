"""GraphQL over HTTP: what comes in is checked, what goes out is formatted, and nothing else gets out."""

import json
from collections.abc import Mapping
from functools import partial
from typing import Any

import orjson
import structlog
from cross_web import HTTPException
from graphql import GraphQLError, GraphQLSyntaxError, OperationType
from starlette.requests import HTTPConnection, Request
from starlette.responses import HTMLResponse, Response
from starlette.types import Message, Receive, Scope, Send
from starlette.websockets import WebSocket
from strawberry.asgi import GraphQL
from strawberry.http import GraphQLHTTPResponse, GraphQLRequestData
from strawberry.types import ExecutionResult

from capacity_gateway import graphiql, operators
from capacity_gateway.documents import Document, read_document
from capacity_gateway.kernel import measures
from capacity_gateway.kernel.capacity import Capacity
from capacity_gateway.kernel.context import Caller, Context
from capacity_gateway.kernel.database import Database
from capacity_gateway.kernel.errors import Unauthenticated
from capacity_gateway.kernel.feed import Feed
from capacity_gateway.kernel.reads import Reads
from capacity_gateway.login import Login, offered_tokens
from capacity_gateway.logs import asked, note_bug, note_document, request_id
from capacity_gateway.offers import Offers
from capacity_gateway.overload import Overload
from capacity_gateway.persisted import PersistedDocuments
from capacity_gateway.rates import RateLimit
from capacity_gateway.schema import schema
from capacity_gateway.settings import Settings

log = structlog.get_logger()

REASONS = {
    "BAD_REQUEST": "The request must be one GraphQL operation in a JSON object",
    "BUSY": "There are too many of these already; try again shortly",
    "BATCHING_DISABLED": "One operation at a time",
    "CSRF": "This origin is not allowed",
    "INTROSPECTION_DISABLED": "The schema is not shown here",
    "LIMIT_EXCEEDED": "The document asks for more than it may",
    "METHOD_NOT_ALLOWED": "Queries by GET or POST, mutations by POST, subscriptions by WebSocket or at /graphql/stream",
    "NOT_FOUND": "There is nothing here",
    "PERSISTED_QUERY_NOT_FOUND": "PersistedQueryNotFound",  # Apollo's clients look for this text too
    "QUERY_NOT_IN_SAFELIST": "Only documents that are known beforehand are run here",
    "PAYLOAD_TOO_LARGE": "The body is too large",
    "UNSUPPORTED_MEDIA_TYPE": "The body must be application/json",
}
"""The codes of what is no GraphQL request, and what each says."""
JSON = "application/json"
GRAPHQL_RESPONSE = "application/graphql-response+json"
"""What an answer is, where `Accept` names it: then a document that cannot be run is a 400 without data."""


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
        self.overload = Overload(self.login, capacity.combiner, bytes_max=settings.body_bytes_max)
        self._offers = Offers(settings)
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
            return await (self._post(request) if request.method == "POST" else self.run(request))
        except HTTPException as error:
            return refuse(error, answer_type(request))
        except Exception as error:  # noqa: BLE001 - the last line: masked here, whole in the log
            return Response(orjson.dumps({"errors": [masked(error)]}), 500, media_type=answer_type(request))

    async def _post(self, request: Request) -> Response:
        """The answer to an operation that is posted: what `run` would do, a sixth of a request's time quicker."""
        given = await self.parse_http_body(self.request_adapter_class(request))
        context = await self.get_context(request, Response())
        result = await self._execute(given, context, by_get=False)
        response = respond(await self.process_result(request, result), answer_type(request))
        if context.turned_away:
            self._note_overload(request, given.query or "", result, response)
        return response

    def _note_overload(self, request: Request, text: str, result: ExecutionResult, response: Response) -> None:
        """Keep what a document's only mutation was told, for the next who send it."""
        document = self.document(text)
        if isinstance(document, Document) and not result.errors and len(result.data or ()) == 1:
            self.overload.learn(text, request.headers.get("accept", ""), document, response)

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
        asking = await self.login.caller(request.headers.get("authorization"))
        return self.context(asking, address_of(request), header_key=request.headers.get("x-idempotency-key"))

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
            await context.close()

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
            media_type = (request.content_type or "").partition(";")[0].strip().lower()
            if media_type != JSON:
                raise HTTPException(415, "UNSUPPORTED_MEDIA_TYPE")
            data = read_object(await request.get_body(), self.settings.nesting_max)
        else:
            data = dict(request.query_params)
            for name in ("variables", "extensions"):
                data[name] = read_object(data[name].encode(), self.settings.nesting_max) if data.get(name) else None
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
        sub_response.media_type = answer_type(request)
        return sub_response

    async def process_result(self, request: Any, result: ExecutionResult, **_: Any) -> GraphQLHTTPResponse:  # noqa: ARG002
        """The answer as callers get it, with at most one error that is not a field's own."""
        answer: GraphQLHTTPResponse = {"data": result.data}
        if result.errors:
            errors = result.errors if result.data is not None else result.errors[:1]
            answer["errors"] = [formatted(error) for error in errors]
        return answer

    def create_response(self, response_data: Any, sub_response: Response) -> Response:
        """The answer as Strawberry's view gives it."""
        return respond(response_data, sub_response.media_type or JSON)

    def encode_json(self, data: object) -> bytes:
        """JSON as bytes."""
        return orjson.dumps(data)


def respond(answer: GraphQLHTTPResponse, kind: str) -> Response:
    """An answer in its media type; 400 where that is GraphQL's own and nothing could be run."""
    errors: Any = answer.get("errors", ())
    if kind == GRAPHQL_RESPONSE and any("path" not in error for error in errors):
        return Response(orjson.dumps({"errors": errors}), 400, media_type=kind)
    return Response(orjson.dumps(answer), media_type=kind)


def answer_type(request: HTTPConnection) -> str:
    """What the answer to a request is to be."""
    return GRAPHQL_RESPONSE if GRAPHQL_RESPONSE in request.headers.get("accept", "").lower() else JSON


def address_of(request: HTTPConnection) -> str:
    """Where a request comes from; behind a proxy on this machine, where it says that it comes from."""
    return request.client.host if request.client else ""


def refuse(error: HTTPException, media_type: str) -> Response:
    """An answer to what is no GraphQL request; the code is the exception's reason."""
    headers = {"allow": "GET, POST"} if error.status_code == 405 else None  # noqa: PLR2004 - it says so
    return Response(orjson.dumps({"errors": [refusal(error)]}), error.status_code, headers, media_type)


def refusal(error: HTTPException) -> dict[str, Any]:
    """The same as GraphQL shows it."""
    code = error.reason if error.reason in REASONS else "BAD_REQUEST"
    more = {"retryAfterMs": 1000} if code == "BUSY" else {}
    return {"message": REASONS[code], "extensions": {"code": code, **more}}


def formatted(error: GraphQLError) -> dict[str, Any]:
    """A top-level error as the contract lists them; a bug is masked, and its whole story goes to the log."""
    cause = error.original_error
    if error.path and "code" not in (error.extensions or {}):
        return masked(cause or error, error)
    shown = dict(error.formatted)
    if cause is not None and not isinstance(cause, GraphQLError):  # a literal that Python could not read
        shown["message"] = "A value in the document cannot be read"
    code = "GRAPHQL_PARSE_FAILED" if isinstance(error, GraphQLSyntaxError) else "GRAPHQL_VALIDATION_FAILED"
    shown["extensions"] = {"code": code, **(error.extensions or {})}
    return shown


def masked(error: Exception, located: GraphQLError | None = None) -> dict[str, Any]:
    """What a caller may know of a bug: an id to ask for, under which the log has the rest."""
    measures.UNEXPECTED_ERRORS.inc()
    note_bug(error)
    known = request_id()
    log.error("unexpected error", request_id=known, exc_info=error)
    shown: dict[str, Any] = {"message": "An unexpected error; ask for it by its requestId"}
    if located is not None and located.path:
        shown["path"] = located.path
    return shown | {"extensions": {"code": "INTERNAL", "requestId": known}}


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
