"""What goes back over HTTP: answers and errors in the form that the contract gives them, and nothing else gets out."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import orjson
import structlog
from cross_web import HTTPException
from graphql import GraphQLError, GraphQLSyntaxError, ValueNode
from starlette.responses import Response
from strawberry.http import GraphQLHTTPResponse
from strawberry.types import ExecutionResult

from capacity_gateway.kernel import measures
from capacity_gateway.logs import note_bug, request_id

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


class Answer(NamedTuple):
    """What goes back for an operation."""

    status: int
    media_type: str
    body: bytes

    def headers(self) -> dict[str, str]:
        """What stands above the body, besides its length."""
        if self.status == 405:  # noqa: PLR2004 - it says so
            return {"content-type": self.media_type, "allow": "GET, POST"}
        return {"content-type": self.media_type}

    def response(self) -> Response:
        """The same as Starlette sends it."""
        return Response(self.body, self.status, self.headers())


def shown(result: ExecutionResult) -> GraphQLHTTPResponse:
    """A result as callers get it, with at most one error that is not a field's own."""
    answer: GraphQLHTTPResponse = {"data": result.data}
    if result.errors:
        errors = result.errors if result.data is not None else result.errors[:1]
        answer["errors"] = [formatted(error) for error in errors]
    return answer


def respond(answer: GraphQLHTTPResponse, kind: str) -> Answer:
    """An answer in its media type; 400 where that is GraphQL's own and nothing could be run."""
    errors: Any = answer.get("errors", ())
    if kind == GRAPHQL_RESPONSE and any("path" not in error for error in errors):
        return Answer(400, kind, orjson.dumps({"errors": errors}))
    return Answer(200, kind, orjson.dumps(answer))


def answer_type(headers: Mapping[str, str]) -> str:
    """What the answer to a request with these headers is to be."""
    return GRAPHQL_RESPONSE if GRAPHQL_RESPONSE in headers.get("accept", "").lower() else JSON


def refuse(error: HTTPException, media_type: str) -> Response:
    """An answer to what is no GraphQL request; the code is the exception's reason."""
    return refused(error, media_type).response()


def refused(error: HTTPException, media_type: str) -> Answer:
    """The same, of what is posted."""
    return Answer(error.status_code, media_type, orjson.dumps({"errors": [refusal(error)]}))


def failed(error: Exception, headers: Mapping[str, str]) -> Answer:
    """The answer where there is a bug."""
    return Answer(500, answer_type(headers), orjson.dumps({"errors": [masked(error)]}))


def refusal(error: HTTPException) -> dict[str, Any]:
    """The same as GraphQL shows it."""
    code = error.reason if error.reason in REASONS else "BAD_REQUEST"
    more = {"retryAfterMs": 1000} if code == "BUSY" else {}
    return {"message": REASONS[code], "extensions": {"code": code, **more}}


def formatted(error: GraphQLError) -> dict[str, Any]:
    """A top-level error as the contract lists them; a bug is masked, and its whole story goes to the log."""
    cause = error.original_error
    if error.path and "code" not in (error.extensions or {}) and not is_about_a_value(cause):
        return masked(cause or error, error)
    shown = dict(error.formatted)
    if cause is not None and not isinstance(cause, GraphQLError):  # a literal that Python could not read
        shown["message"] = "A value in the document cannot be read"
    code = "GRAPHQL_PARSE_FAILED" if isinstance(error, GraphQLSyntaxError) else "GRAPHQL_VALIDATION_FAILED"
    shown["extensions"] = {"code": code, **(error.extensions or {})}
    return shown


def is_about_a_value(error: Exception | None) -> bool:
    """Whether an error is graphql-core's about a value in a document, which only shows once the variables are known.

    A variable with a default may stand where no null may be, and be given as null all the same.
    """
    return isinstance(error, GraphQLError) and any(isinstance(node, ValueNode) for node in error.nodes or ())


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
