"""One schema out of the domains, and of what older clients send. A new kind adds its name to the list."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from functools import cache
from importlib import import_module
from types import ModuleType
from typing import Any

import orjson
import strawberry
from graphql import GraphQLError, build_ast_schema, parse, print_schema, visit
from strawberry.extensions import FieldExtension
from strawberry.schema.config import StrawberryConfig
from strawberry.schema.schema import StrawberryGraphQLCoreExecutionContext
from strawberry.tools import merge_types
from strawberry.types import get_object_definition
from strawberry.types.scalar import ScalarDefinition

from capacity_gateway.descriptions import describe
from capacity_gateway.documents import KnownDocuments
from capacity_gateway.dropin.legacy import OldForm
from capacity_gateway.federation import Plain, Schema, entities, take_over
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
    "webhooks",
)
"""What is counted, and who is told: modules of `domains`, each with some of Queries, Mutations and Subscriptions."""

DROPIN = ("waitlist", "rsvps", "attendance")
"""What the clients of the older service send: modules of `dropin`, likewise. A supergraph asks this gateway for it."""

STAYS = ("registration", "checkout")
"""The rest of it, of which the older service has more than its clients need here: a supergraph goes on asking it."""

ROOTS = {
    "Query": "Reads. All numbers in an answer are of one instant.",
    "Mutation": "Changes. Each answers with a success or a typed refusal; a refusal means that nothing changed.",
    "Subscription": "What goes on, as it happens, over a WebSocket or as server-sent events.",
}
"""What the roots of the schema are."""


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
    if time.microsecond and time.tzinfo is UTC:
        return orjson.dumps(time)[1:-1].decode()  # the same text in a third of the time
    return time.isoformat(timespec="microseconds")


DATE_TIME = ScalarDefinition(
    name="DateTime",
    description="A point in time in ISO 8601 with an offset from UTC; answers carry microseconds.",
    specified_by_url=None,
    serialize=write_datetime,
    parse_value=read_datetime,
    parse_literal=None,
)


class MayAsk(FieldExtension):
    """A login may be absent; one that is shown and does not hold is an error, and so is asking too often."""

    async def resolve_async(
        self, next_: Callable[..., Awaitable[Any]], source: object, info: strawberry.Info, **arguments: Any
    ) -> Any:
        """The field's own answer, or Unauthenticated, or Busy."""
        context = info.context
        if context.no_login is not None:
            raise context.no_login
        if context.wait_seconds is not None and (wait_seconds := context.wait_seconds(info.field_name)):
            raise Busy(wait_seconds * 1000)
        return await next_(source, info, **arguments)


class BusyIsRefused(FieldExtension):
    """Asked too often, or busy in what it has to read beforehand, a mutation answers like any busy one."""

    async def resolve_async(
        self, next_: Callable[..., Awaitable[Any]], source: object, info: strawberry.Info, **arguments: Any
    ) -> Any:
        """The mutation's own answer, or GatewayBusyError."""
        try:
            return await next_(source, info, **arguments)
        except Busy as error:
            return busy(BusyOutcome.NOT_APPLIED, retry_after_ms=error.retry_after_ms)


@strawberry.type(name="_Service")
class Service:
    """What a federation gateway composes with."""

    @strawberry.field
    async def sdl(self) -> str:
        """The schema of this subgraph."""
        if not subgraph_sdl.cache_info().currsize:
            await asyncio.to_thread(subgraph_sdl)  # the first time takes a second
        return subgraph_sdl()


def service() -> Service:
    """This gateway as a subgraph; for everybody."""
    return Service()


@strawberry.type
class FederationQueries:
    """What a federation gateway asks first."""

    service: Service = strawberry.field(name="_service", resolver=service)


class EventExecutor(StrawberryGraphQLCoreExecutionContext):
    """Strawberry's, but it forgets after an event of a subscription which fields were asked for.

    It looks them up by lists that it makes anew for every event, and kept all of them: 4 KB a subscriber and event.
    """

    def build_per_event_executor(self, payload: Any) -> Any:
        """An executor for one event."""
        executor = super().build_per_event_executor(payload)
        executor._relevant_sub_fields = {}  # noqa: SLF001 - graphql-core 3.3.2 shares them between events
        return executor


@cache
def schema() -> Schema:
    """The gateway's schema, built once."""
    return build([*map(domain, DOMAINS), *map(dropin, (*DROPIN, *STAYS))])


@cache
def subgraph_sdl() -> str:
    """The part of it that a supergraph asks this gateway for, with federation's directives."""
    return build([*map(domain, DOMAINS), *map(dropin, DROPIN)]).as_str()


def sdl() -> str:
    """The schema as text, as committed in schema.graphql: all of it but what is for federation gateways."""
    return print_schema(build_ast_schema(visit(parse(schema().as_str()), Plain()))) + "\n"


def build(modules: list[ModuleType]) -> Schema:
    """The schema of these modules."""
    built = Schema(
        query=merged("Query", (*roots(modules, "Queries"), FederationQueries)),
        mutation=merged("Mutation", roots(modules, "Mutations")),
        subscription=merged("Subscription", roots(modules, "Subscriptions")),
        types=entities(modules),
        config=StrawberryConfig(scalar_map={datetime: DATE_TIME}, disable_field_suggestions=True),
        extensions=[KnownDocuments],
        execution_context_class=EventExecutor,
        federation_version="2.7",
    )
    describe(built)
    return built


def merged(name: str, parts: tuple[type, ...]) -> type:
    """A root of the schema."""
    root = merge_types(name, parts)
    get_object_definition(root, strict=True).description = ROOTS[name]
    return root


@cache
def domain(name: str) -> ModuleType:
    """A module of `domains`, with what holds for all its roots on each of them."""
    module = import_module(f"{__package__}.domains.{name}")
    extend(module, "Queries", MayAsk())
    extend(module, "Mutations", MayAsk(), BusyIsRefused())
    return module


@cache
def dropin(name: str) -> ModuleType:
    """A module of `dropin`, likewise."""
    module = import_module(f"{__package__}.dropin.{name}")
    extend(module, "Queries", OldForm())
    extend(module, "Mutations", OldForm())
    take_over(module)
    return module


def extend(module: ModuleType, name: str, *extensions: FieldExtension) -> None:
    """Give every field of one of a module's roots these extensions."""
    for root in roots([module], name):
        for field in get_object_definition(root, strict=True).fields:
            field.extensions.extend(extensions)


def roots(modules: list[ModuleType], name: str) -> tuple[type, ...]:
    """The Queries, Mutations or Subscriptions of those modules that have any."""
    return tuple(getattr(module, name) for module in modules if hasattr(module, name))
