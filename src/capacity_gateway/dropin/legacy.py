"""How the older service speaks: `<status>: <text>` for an error, over HTTP 200; and what its resolvers begin with.

Its clients match these texts. They take an error with one of the words token, jwt, unauthorized or not authenticated
for a lost login, log in anew and send the mutation again; so no refusal says any of them.
"""

from collections.abc import Awaitable, Callable
from typing import Any

import strawberry
from graphql import GraphQLError
from strawberry.extensions import FieldExtension

from capacity_gateway.kernel.context import Info
from capacity_gateway.kernel.outcomes import CapacityError
from capacity_gateway.kernel.pools import Pool
from capacity_gateway.kernel.vocabulary import PoolKind

CODES = {
    400: "BAD_USER_INPUT",
    401: "UNAUTHENTICATED",
    403: "FORBIDDEN",
    404: "NOT_FOUND",
    409: "CONFLICT",
    422: "IDEMPOTENCY_CONFLICT",
    429: "BUSY",
    503: "BUSY",
}
"""The statuses of the older service, and what each is in `extensions.code`."""

STATUSES = {
    "GATEWAY_BUSY": 503,
    "HOLD_EXPIRED": 409,
    "INSUFFICIENT_CAPACITY": 409,
    "INVALID_INPUT": 400,
    "INVALID_TRANSITION": 409,
    "LIMIT_EXCEEDED": 400,
    "NOT_ELIGIBLE": 403,
    "OFFER_UNAVAILABLE": 404,
    "PER_HOLDER_LIMIT": 400,
    "POOL_CLOSED": 409,
    "QUOTA_BELOW_USE": 400,
    **{code: status for status, code in CODES.items()},  # of BUSY the last one, 503
}
"""What the status of each of our own codes is; 400 of any other."""


class Refused(GraphQLError):
    """An error as the older service has it."""

    def __init__(self, status: int, text: str, retry_after_ms: int | None = None) -> None:
        more = {} if retry_after_ms is None else {"retryAfterMs": retry_after_ms}
        super().__init__(f"{status}: {text}", extensions={"code": CODES[status], **more})


class OldForm(FieldExtension):
    """Gives every error that is foreseen the older service's form."""

    async def resolve_async(
        self, next_: Callable[..., Awaitable[Any]], source: object, info: strawberry.Info, **arguments: Any
    ) -> Any:
        """The field's value, or Refused."""
        wait = info.context.wait_seconds
        if wait is not None and (seconds := wait(info.field_name)):
            raise Refused(429, f"Rate limit exceeded. Try again in {seconds} seconds.", seconds * 1000)
        try:
            return await next_(source, info, **arguments)
        except Refused:
            raise
        except GraphQLError as error:
            extensions = error.extensions or {}
            status = STATUSES.get(str(extensions.get("code")), 400)
            text = "Authentication required" if status == 401 else error.message  # noqa: PLR2004 - it says so
            raise Refused(status, text, extensions.get("retryAfterMs")) from error


def done(outcome: Any) -> Any:
    """The success that an outcome is.

    Raises:
        Refused: where it is a refusal.
    """
    if isinstance(outcome, CapacityError):
        raise Refused(STATUSES.get(outcome.code, 400), outcome.message, outcome.retry_after_ms)
    return outcome


def logged_in(info: Info) -> str:
    """Who asks.

    Raises:
        Refused: when nobody has logged in.
    """
    if info.context.caller.holder is None:
        raise Refused(401, "Authentication required")
    return info.context.caller.holder


async def found(info: Info, kind: PoolKind, ref: str, name: str) -> Pool:
    """The pool of an id.

    Raises:
        Refused: when there is none in the caller's tenant; `name` is what the older service calls it.
    """
    pool = await info.context.reads.find_pool(kind.pool_id(ref))
    if pool is None:
        raise Refused(404, f"{name} not found")
    return pool


async def organised(info: Info, kind: PoolKind, ref: str, name: str) -> Pool:
    """The pool of an id, to its organiser: the event's owner, or who organises for its organisation.

    Raises:
        Refused: to anybody else.
    """
    holder = logged_in(info)
    pool = await found(info, kind, ref, name)
    if not info.context.caller.may_audit(pool) and pool.facts.get("owner_id") != holder:
        raise Refused(403, f"You are not an organizer of this {name.lower()}")
    return pool
