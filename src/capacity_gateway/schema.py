"""One schema out of the domains, and of what older clients send. A new kind adds its name to the list."""

from collections.abc import Awaitable, Callable, Iterator
from datetime import datetime
from functools import cache
from importlib import import_module
from types import ModuleType
from typing import Any

import strawberry
from graphql import GraphQLError
from strawberry.extensions import FieldExtension, ParserCache, ValidationCache
from strawberry.schema.config import StrawberryConfig
from strawberry.tools import merge_types
from strawberry.types import get_object_definition
from strawberry.types.scalar import ScalarDefinition

from capacity_gateway.descriptions import describe
from capacity_gateway.documents import DOCUMENTS_REMEMBERED
from capacity_gateway.dropin.legacy import OldForm
from capacity_gateway.kernel.errors import Busy
from capacity_gateway.kernel.outcomes import BusyOutcome, busy

DOMAINS = (
    "pools",
    "competitions",
    "events",
    "tickets",
    "sessions",
    "booths",
    "leases",
    "huddles",
    "breakouts",
)
"""What is counted: modules of `domains`, each with some of Queries, Mutations and Subscriptions."""

DROPIN = ("waitlist", "registration", "checkout")
"""What the clients of the older service send: modules of `dropin`, likewise."""


def read_datetime(value: object) -> datetime:
    """A point in time as a caller gives it: ISO 8601 with an offset from UTC."""
    if isinstance(value, str):
        try:
            time = datetime.fromisoformat(value)
        except ValueError:
            pass
        else:
            if time.tzinfo is not None and 1 < time.year < 9999:  # noqa: PLR2004 - offsets may not leave the calendar
                return time
    raise GraphQLError("a DateTime is an ISO 8601 text with an offset, such as 2026-11-24T07:30:00+00:00")


def write_datetime(time: datetime) -> str:
    """A point in time as callers get it: with microseconds and an offset, always."""
    return time.isoformat(timespec="microseconds")


DATE_TIME = ScalarDefinition(
    name="DateTime",
    description="A point in time in ISO 8601 with an offset from UTC; answers carry microseconds.",
    specified_by_url=None,
    serialize=write_datetime,
    parse_value=read_datetime,
    parse_literal=None,
)


class LoginMustHold(FieldExtension):
    """A login may be absent; one that is shown and does not hold is an error."""

    async def resolve_async(
        self, next_: Callable[..., Awaitable[Any]], source: object, info: strawberry.Info, **arguments: Any
    ) -> Any:
        """The field's own answer, or Unauthenticated."""
        if info.context.no_login is not None:
            raise info.context.no_login
        return await next_(source, info, **arguments)


class BusyIsRefused(FieldExtension):
    """What a mutation has to read beforehand may be busy: then it answers like any busy mutation."""

    async def resolve_async(
        self, next_: Callable[..., Awaitable[Any]], source: object, info: strawberry.Info, **arguments: Any
    ) -> Any:
        """The mutation's own answer, or GatewayBusyError."""
        try:
            return await next_(source, info, **arguments)
        except Busy:
            return busy(BusyOutcome.NOT_APPLIED)


class Schema(strawberry.Schema):
    """Strawberry's, but what goes wrong is logged where it is formatted, and what was foreseen is not."""

    def process_errors(self, errors: list[GraphQLError], execution_context: object = None) -> None:
        """Leave the errors to the endpoint."""


@cache
def schema() -> strawberry.Schema:
    """The gateway's schema, built once."""
    domains = [import_module(f"{__package__}.domains.{name}") for name in DOMAINS]
    dropin = [import_module(f"{__package__}.dropin.{name}") for name in DROPIN]
    query = merge_types(
        "Query",
        (*roots(domains, "Queries", LoginMustHold()), *roots(dropin, "Queries", OldForm())),
    )
    query.__doc__ = "Reads. All numbers in an answer are of one instant."
    mutation = merge_types(
        "Mutation",
        (*roots(domains, "Mutations", LoginMustHold(), BusyIsRefused()), *roots(dropin, "Mutations", OldForm())),
    )
    mutation.__doc__ = "Changes. Each answers with a success or a typed refusal; a refusal means that nothing changed."
    subscription = merge_types("Subscription", tuple(roots(domains, "Subscriptions")))
    subscription.__doc__ = "What goes on, as it happens, over a WebSocket or as server-sent events."
    built = Schema(
        query=query,
        mutation=mutation,
        subscription=subscription,
        config=StrawberryConfig(scalar_map={datetime: DATE_TIME}, disable_field_suggestions=True),
        extensions=[
            lambda: ParserCache(maxsize=DOCUMENTS_REMEMBERED),
            lambda: ValidationCache(maxsize=DOCUMENTS_REMEMBERED),
        ],
    )
    describe(built)
    return built


def roots(modules: list[ModuleType], name: str, *extensions: FieldExtension) -> Iterator[type]:
    """The modules' own Queries, Mutations or Subscriptions, with these extensions on every field."""
    for module in modules:
        if hasattr(module, name):
            root: type = getattr(module, name)
            for field in get_object_definition(root, strict=True).fields:
                field.extensions.extend(extensions)
            yield root


def sdl() -> str:
    """The schema as text, as committed in schema.graphql."""
    return schema().as_str() + "\n"
