"""Where values come to stand in an answer, and what becomes of them there; also when they are yet to come."""

from collections.abc import Awaitable, Callable, Iterable
from datetime import date, datetime, time
from decimal import Decimal
from functools import cached_property
from types import CoroutineType, NoneType
from typing import TYPE_CHECKING, Any
from uuid import UUID

from graphql import (
    GraphQLError,
    GraphQLObjectType,
    GraphQLOutputType,
    TypeNameMetaFieldDef,
    get_nullable_type,
    is_non_null_type,
)
from graphql.execution.collect_fields import FieldDetails, FragmentDetails
from graphql.execution.executor import (
    Executor,
    collect_iterator_awaitables,
    default_field_resolver,
    default_type_resolver,
)
from graphql.pyutils import Path, gather_with_cancel
from graphql.type.definition import GraphQLResolveInfoHelpers
from strawberry.execution.is_awaitable import optimized_is_awaitable as is_awaitable
from strawberry.schema.schema import _OperationContextAwareGraphQLResolveInfo as ResolveInfo
from strawberry.schema.schema_converter import CustomGraphQLEnumType
from strawberry.types.cast import TYPE_CAST_ATTRIBUTE

from capacity_gateway.selections.arguments import Given

if TYPE_CHECKING:
    from capacity_gateway.selections.operation import Operation

Place = tuple["Place | None", str | int, str | None]
"""A graphql-core Path that costs nothing until somebody wants to know it."""
Pending = list[Any]
"""The keys of an answer, or the indices of a list of answers, that are yet to be awaited."""
Select = Callable[[Any, Place | None, "Run"], Any]
"""Writes the answer to a selection from an object; a coroutine of it while fields are pending."""
Selects = dict[type, Select]
"""What to select from an object, by its class."""
Complete = Callable[[Any, Place, "Run"], Any]

PLAIN = frozenset({str, int, float, bool, dict, list, date, datetime, time, Decimal, UUID})
"""Classes of values of scalars that are certainly not awaitable."""
DONE = frozenset({dict, list, str, int, float, bool, NoneType})
"""Classes of answers that need not be awaited."""


class NotCompiled(Exception):
    """Something that only graphql-core knows how to do."""


class Run:
    """One execution of an operation."""

    def __init__(
        self,
        operation: "Operation",
        context: Any,
        given: Given,
        variables: dict[str, Any],
        extensions: Any,
    ) -> None:
        self.operation = operation
        self.context = context
        self.given = given
        self.variables = variables
        self.extensions = extensions

    @cached_property
    def executor(self) -> Executor[Any]:
        """graphql-core's executor of this run, made when something unusual turns up."""
        operation = self.operation
        fragments = {name: FragmentDetails(node) for name, node in operation.fragments.items()}
        executor: Callable[..., Executor[Any]] = operation.schema.execution_context_class
        return executor(
            operation.types,
            operation.fragments,
            fragments,
            None,
            self.context,
            operation.node,
            self.operation.variables.values(self.given),
            default_field_resolver,
            default_type_resolver,
            default_field_resolver,
            is_awaitable=is_awaitable,
            operation_extensions=self.extensions,
        )

    @property
    def errors(self) -> list[GraphQLError] | None:
        """The errors so far, in the order they were found."""
        return (self.executor.collected_errors.errors or None) if "executor" in self.__dict__ else None

    def track(self, values: Any) -> None:
        """Let awaitables that nobody waits for any more come to their end."""
        self.executor.track_async_work(values)


class Field:
    """A field of an answer: all the nodes that ask for it, of one type of object."""

    def __init__(
        self, operation: "Operation", key: str, parent: GraphQLObjectType, details: list[FieldDetails]
    ) -> None:
        self.operation = operation
        self.key = key
        self.parent = parent
        self.details = details
        self.nodes = [detail.node for detail in details]
        self.name = self.nodes[0].name.value
        definition = operation.types.get_field(parent, self.name)
        if definition is None or (self.name.startswith("__") and definition is not TypeNameMetaFieldDef):
            raise NotCompiled  # questions about the schema
        self.definition = definition

    def info(self, place: Place, run: Run) -> Any:
        """What graphql-core would tell the field's resolver."""
        operation = self.operation
        return ResolveInfo(
            self.name,
            self.nodes,
            self.definition.type,
            self.parent,
            as_path(place),
            operation.types,
            operation.fragments,
            None,
            operation.node,
            run.variables,
            run.context,
            is_awaitable,
            None,
            GraphQLResolveInfoHelpers(gather_all, run.track),
            run.extensions,
        )


class Position:
    """Where a value of a type comes to stand: a field, or an item of a list."""

    def __init__(self, field: Field, type_: GraphQLOutputType) -> None:
        self.field = field
        self.type = type_
        self.complete: Complete = self.complete_unusual
        self.usual: frozenset[type] = frozenset()
        """Classes of values that `complete` knows, none of which is awaitable."""

    def finish(self, value: Any, place: Place, run: Run, pending: Pending) -> Any:
        """The answer of a resolved value; noted as pending while it is to be awaited."""
        try:
            if value.__class__ is CoroutineType or (value.__class__ not in self.usual and is_awaitable(value)):
                answer = self.later(value, place, run)
            else:
                answer = self.complete(value, place, run)
                if answer.__class__ in DONE or not is_awaitable(answer):
                    return answer
                answer = self.guarded(answer, place, run)
        except Exception as error:  # noqa: BLE001 - whatever a resolver raises
            return self.failed(error, place, run)
        pending.append(place[1])
        return answer

    async def later(self, value: Awaitable[Any], place: Place, run: Run) -> Any:
        """The answer of a value that is yet to come."""
        try:
            answer = self.complete(await value, place, run)
            return await answer if answer.__class__ not in DONE and is_awaitable(answer) else answer
        except Exception as error:  # noqa: BLE001 - same
            return self.failed(error, place, run)

    async def guarded(self, answer: Awaitable[Any], place: Place, run: Run) -> Any:
        """An answer in which something is yet to come."""
        try:
            return await answer
        except Exception as error:  # noqa: BLE001 - same
            return self.failed(error, place, run)

    def failed(self, error: Exception, place: Place, run: Run) -> Any:
        """Null with an error noted, or the error raised where there may not be null."""
        return run.executor.handle_field_error(error, self.type, self.field.details, as_path(place))

    def complete_unusual(self, value: Any, place: Place, run: Run) -> Any:
        """The answer of a value by graphql-core."""
        info = self.field.info(place, run)
        return run.executor.complete_value(self.type, self.field.details, info, as_path(place), value, None)

    def complete_by_class(self, selects: Selects, *, checked: bool) -> None:
        """Know objects by their classes."""
        nullable = not is_non_null_type(self.type)

        def complete(value: Any, place: Place, run: Run) -> Any:
            select = selects.get(value.__class__)
            if select is not None and not (checked and is_cast(value)):
                return select(value, place, run)
            return None if value is None and nullable else self.complete_unusual(value, place, run)

        self.complete = complete
        self.usual = frozenset(selects)

    def complete_leaf(self) -> None:
        """Know scalars and enums by their classes."""
        type_: Any = get_nullable_type(self.type)
        nullable = not is_non_null_type(self.type)
        self.usual = usual = PLAIN | {type_.wrapped_cls} if isinstance(type_, CustomGraphQLEnumType) else PLAIN

        def complete(value: Any, place: Place, run: Run) -> Any:
            if value.__class__ in usual:
                answer = type_.coerce_output_value(value)
                if answer.__class__ in DONE and answer is not None:
                    return answer
            return None if value is None and nullable else self.complete_unusual(value, place, run)

        self.complete = complete

    def complete_list(self, item: "Position", selects: Selects, *, checked: bool) -> None:
        """Know lists whose items stand in a position of their own."""
        nullable = not is_non_null_type(self.type)

        def complete(value: Any, place: Place, run: Run) -> Any:
            if value.__class__ is not list:
                return None if value is None and nullable else self.complete_unusual(value, place, run)
            answers: list[Any] = []
            pending: Pending = []
            items = iter(value)
            try:
                for each in items:
                    here = (place, len(answers), None)
                    select = selects.get(each.__class__)
                    if select is None or (checked and is_cast(each)):
                        answers.append(item.finish(each, here, run, pending))
                        continue
                    try:
                        answer = select(each, here, run)
                        if answer.__class__ is not dict:
                            answer = item.guarded(answer, here, run)
                            pending.append(here[1])
                    except Exception as error:  # noqa: BLE001 - whatever a resolver raises
                        answer = item.failed(error, here, run)
                    answers.append(answer)
            except Exception:
                left = [answers[index] for index in pending]
                run.track(left + collect_iterator_awaitables(items, is_awaitable))
                raise
            return awaited(answers, pending) if pending else answers

        self.complete = complete
        self.usual = frozenset({list})


def is_cast(value: Any) -> bool:
    """Whether an object is marked by `strawberry.cast` to be of another type than its class's."""
    return getattr(value, TYPE_CAST_ATTRIBUTE, None) is not None


def as_path(place: Place | None) -> Any:
    """A place as graphql-core has it."""
    return None if place is None else Path(as_path(place[0]), place[1], place[2])


async def gather_all(values: Iterable[Awaitable[Any]]) -> list[Any]:
    """All of these, at the same time."""
    return await gather_with_cancel(*values)


async def awaited(answer: Any, pending: Pending) -> Any:
    """An answer when everything pending in it is there; all of it at the same time, as graphql-core does it."""
    if len(pending) == 1:
        answer[pending[0]] = await answer[pending[0]]
    else:
        for key, value in zip(pending, await gather_with_cancel(*(answer[key] for key in pending)), strict=True):
            answer[key] = value
    return answer
