"""Selections compiled once: an operation becomes Python functions that walk the values and write the answer.

graphql-core asks of every field of every value what it is, which nodes ask for it and how to find it, though the
answers are the same each time. Here that is found out once. What is left is a function for each object that is
selected from: it reads the attributes and checks that they are what they usually are. Resolvers run as they are.

Only the usual is compiled. Whatever else turns up (a value of another class, null where something must be, an
exception) is handed, at that very field, to graphql-core's own executor: errors, where they stand and how far they
make null are its work. An operation that is not understood is left to it as a whole. tests/test_selections.py holds
the two against each other.
"""

from collections.abc import Awaitable, Callable, Iterable
from datetime import date, datetime, time
from decimal import Decimal
from enum import Enum
from functools import cached_property, partial, reduce
from types import CoroutineType, NoneType
from typing import Any
from uuid import UUID

from graphql import (
    DocumentNode,
    FragmentDefinitionNode,
    GraphQLError,
    GraphQLObjectType,
    GraphQLOutputType,
    GraphQLUnionType,
    Node,
    OperationDefinitionNode,
    OperationType,
    TypeNameMetaFieldDef,
    VariableDefinitionNode,
    get_nullable_type,
    is_abstract_type,
    is_leaf_type,
    is_list_type,
    is_non_null_type,
    is_object_type,
    is_scalar_type,
    specified_scalar_types,
)
from graphql.execution.collect_fields import FieldDetails, FragmentDetails, collect_fields, collect_subfields
from graphql.execution.executor import (
    Executor,
    collect_iterator_awaitables,
    default_field_resolver,
    default_type_resolver,
)
from graphql.execution.values import VariableValues, get_argument_values
from graphql.pyutils import Path, gather_with_cancel
from graphql.type.definition import GraphQLResolveInfoHelpers
from strawberry.execution.is_awaitable import optimized_is_awaitable as is_awaitable
from strawberry.extensions.field_extension import build_field_extension_resolvers
from strawberry.schema import Schema
from strawberry.schema.schema import _OperationContextAwareGraphQLResolveInfo as ResolveInfo
from strawberry.schema.schema_converter import CustomGraphQLEnumType, GraphQLCoreConverter
from strawberry.types import ExecutionResult
from strawberry.types.base import StrawberryObjectDefinition
from strawberry.types.cast import TYPE_CAST_ATTRIBUTE
from strawberry.types.field import StrawberryField
from strawberry.utils.await_maybe import await_maybe

from capacity_gateway.arguments import DOUBT, Given, Variables, arguments_of, conversion, variables_in

Place = tuple["Place | None", str | int, str | None]
"""A graphql-core Path that costs nothing until somebody wants to know it."""
Pending = list[Any]
"""The keys of an answer, or the indices of a list of answers, that are yet to be awaited."""
Select = Callable[[Any, Place | None, "Run"], Any]
"""Writes the answer to a selection from an object; a coroutine of it while fields are pending."""
Resolve = Callable[[Any, Place, "Run"], Any]
Selects = dict[type, Select]
"""What to select from an object, by its class."""
Complete = Callable[[Any, Place, "Run"], Any]

FIELDS_MAX = 1000  # of an operation, with all that its fragments multiply
VARIANTS_MAX = 8  # of an operation: one for each way that its @skip and @include were met
PLAIN = frozenset({str, int, float, bool, dict, list, date, datetime, time, Decimal, UUID})
"""Classes of values of scalars that are certainly not awaitable."""
DONE = frozenset({dict, list, str, int, float, bool, NoneType})
"""Classes of answers that need not be awaited."""


class NotCompiled(Exception):
    """Something that only graphql-core knows how to do."""


class Operation:
    """The one operation of a valid document."""

    def __init__(self, schema: Schema, document: DocumentNode) -> None:
        """Raises NotCompiled for what is left to graphql-core as a whole."""
        (self.node,) = (node for node in document.definitions if isinstance(node, OperationDefinitionNode))
        self.fragments = {
            node.name.value: node for node in document.definitions if isinstance(node, FragmentDefinitionNode)
        }
        self.schema = schema
        self.types = schema._schema  # noqa: SLF001 - Strawberry has no other way to it
        if self.node.operation is OperationType.SUBSCRIPTION or self.node.directives:
            raise NotCompiled
        self.variables = Variables(self.types, self.node)
        self._conditions = sorted(self._conditional_on())
        self._variants: dict[tuple[Any, ...], Select | None] = {}

    def _conditional_on(self) -> set[str]:
        """The variables of @skip and @include."""
        found = set()
        for node in nodes_below([self.node, *self.fragments.values()]):
            for directive in getattr(node, "directives", None) or ():
                if directive.name.value not in ("skip", "include") or isinstance(node, VariableDefinitionNode):
                    raise NotCompiled
                found |= variables_in(directive)
        return found

    async def execute(self, context: Any, given: Given, extensions: dict[str, Any] | None) -> ExecutionResult | None:
        """The answer to the operation; None where nothing was done, since only graphql-core can."""
        variables = self.variables.read(given)
        if isinstance(variables, list):
            return ExecutionResult(data=None, errors=variables)
        select = self._variant(variables)
        if select is None:
            return None
        run = Run(self, context, given, variables, extensions)
        try:
            data = select(None, None, run)
            if data.__class__ is not dict:
                data = await data
        except GraphQLError as error:
            run.executor.collected_errors.add(error, None)
            data = None
        return ExecutionResult(data=data, errors=run.errors)

    def _variant(self, variables: dict[str, Any]) -> Select | None:
        met = tuple(variables.get(name) for name in self._conditions)
        if met in self._variants:
            return self._variants[met]
        if len(self._variants) >= VARIANTS_MAX or not all(isinstance(value, bool) for value in met):
            return None
        try:
            select = Compiler(self, dict(zip(self._conditions, met, strict=True))).select()
        except NotCompiled:
            select = None
        self._variants[met] = select
        return select


def nodes_below(nodes: Iterable[Node]) -> Iterable[Node]:
    """All nodes of a part of a document that directives may stand at."""
    for node in nodes:
        yield node
        yield from getattr(node, "variable_definitions", None) or ()
        selections = getattr(node, "selection_set", None)
        yield from nodes_below(selections.selections if selections else ())


class Run:
    """One execution of an operation."""

    def __init__(
        self,
        operation: Operation,
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

    def __init__(self, operation: Operation, key: str, parent: GraphQLObjectType, details: list[FieldDetails]) -> None:
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


# ------------------------------------------------------------------ compiling

START = """\
def select(source, place, run):
    pending = []
    try:
        answer = {}
"""
TYPENAME = """\
        answer[{key!r}] = {parent!r}
"""
RESOLVED = """\
        here = (place, {key!r}, {parent!r})
        try:
            value = resolve_{number}(source, here, run)
        except Exception as error:
            value = failed_{number}(error, here, run)
        else:
            value = finish_{number}(value, here, run, pending)
        answer[{key!r}] = value
"""
LEAF = """\
        try:
            value = {read}
            if {usual}:
                {write}
            {otherwise}:
                value = finish_{number}(value, (place, {key!r}, {parent!r}), run, pending)
        except Exception as error:
            value = failed_{number}(error, (place, {key!r}, {parent!r}), run)
        answer[{key!r}] = value
"""
END = """\
    except Exception:
        if pending:
            run.track([answer[key] for key in pending])
        raise
    return awaited(answer, pending) if pending else answer
"""

COERCED = (
    "value = coerced if (coerced := coerce_{number}(value)).__class__ in DONE and coerced is not None"
    " else finish_{number}(value, (place, {key!r}, {parent!r}), run, pending)"
)
USUAL = {
    "Int": "value.__class__ is int and -2147483648 <= value <= 2147483647",
    "String": "value.__class__ is str",
    "ID": "value.__class__ is str",
    "Float": "value.__class__ is float and value - value == 0",
    "Boolean": "value.__class__ is bool",
}
"""What a value of a built-in scalar is as a rule; then it is its own answer."""


class Compiler:
    """Makes the functions of one variant of an operation."""

    def __init__(self, operation: Operation, conditions: dict[str, Any]) -> None:
        self._operation = operation
        self._fragments = {name: FragmentDetails(node) for name, node in operation.fragments.items()}
        self._conditions = VariableValues({}, conditions)
        self._left = FIELDS_MAX

    def select(self) -> Select:
        """The function for the operation itself."""
        operation = self._operation
        root = operation.types.get_root_type(operation.node.operation)
        if root is None:
            raise NotCompiled
        collected = collect_fields(operation.types, self._fragments, self._conditions, root, operation.node)
        if operation.node.operation is OperationType.MUTATION and len(collected.grouped_field_set) > 1:
            raise NotCompiled  # one after the other
        return self._object(root, collected.grouped_field_set)

    def _below(self, type_: GraphQLObjectType, details: list[FieldDetails]) -> Select:
        operation = self._operation
        collected = collect_subfields(
            operation.types, self._fragments, self._conditions, operation.node, type_, details
        )
        return self._object(type_, collected.grouped_field_set)

    def _object(self, parent: GraphQLObjectType, selected: dict[str, list[FieldDetails]]) -> Select:
        """The function that selects from objects of a type."""
        source = START
        names: dict[str, Any] = {"awaited": awaited, "DONE": DONE, "PLAIN": PLAIN}
        for number, (key, details) in enumerate(selected.items()):
            self._left -= 1
            if self._left < 0:
                raise NotCompiled
            field = Field(self._operation, key, parent, details)
            if field.definition is TypeNameMetaFieldDef:
                source += TYPENAME.format(key=key, parent=parent.name)
                continue
            position = self._position(field, field.definition.type)
            names |= {f"finish_{number}": position.finish, f"failed_{number}": position.failed}
            names[f"resolve_{number}"] = resolver(field)
            read, names[f"read_{number}"] = direct_read(field, number)
            usual, write = self._inline(get_nullable_type(field.definition.type), number, names)
            source += (LEAF if read and usual else RESOLVED).format(
                key=key,
                parent=parent.name,
                number=number,
                read=read,
                usual=usual,
                write=write.format(key=key, parent=parent.name, number=number),
                otherwise="else" if is_non_null_type(field.definition.type) else "elif value is not None",
            )
        exec(compile(source + END, f"<selection from {parent.name}>", "exec"), names)  # noqa: S102 - of our own making
        select: Select = names["select"]
        return select

    def _inline(self, type_: Any, number: int, names: dict[str, Any]) -> tuple[str | None, str]:
        """How a leaf is known, and what is done to it, in the text of a function; None where it is no leaf."""
        if is_scalar_type(type_) and type_ is specified_scalar_types.get(type_.name):
            return USUAL[type_.name], "pass"
        if isinstance(type_, CustomGraphQLEnumType):
            names[f"class_{number}"] = type_.wrapped_cls
            members: Iterable[Enum] = type_.wrapped_cls
            names[f"names_{number}"] = {each.name: type_.coerce_output_value(each) for each in members}
            return f"value.__class__ is class_{number}", f"value = names_{number}[value._name_]"
        if is_scalar_type(type_):
            names[f"coerce_{number}"] = type_.coerce_output_value
            return "value.__class__ in PLAIN", COERCED
        return None, ""

    def _position(self, field: Field, type_: GraphQLOutputType) -> Position:
        position = Position(field, type_)
        kind = get_nullable_type(type_)
        if is_leaf_type(kind):
            position.complete_leaf()
        elif is_list_type(kind):
            item = self._position(field, kind.of_type)
            selects, checked = self._selects(field, get_nullable_type(kind.of_type))
            position.complete_list(item, selects, checked=checked)
        else:
            selects, checked = self._selects(field, kind)
            position.complete_by_class(selects, checked=checked)
        return position

    def _selects(self, field: Field, kind: Any) -> tuple[Selects, bool]:
        """What to select from, by classes of values, and whether a value may be cast to another type."""
        if is_object_type(kind):
            return dict.fromkeys(classes_of(kind), self._below(kind, field.details)), kind.is_type_of is not None
        if not is_abstract_type(kind):
            return {}, False
        selects: Selects = {}
        for type_ in self._operation.types.get_possible_types(kind):
            classes = classes_of(type_) if is_told_by_class(type_, kind) else []
            if classes:
                selects |= dict.fromkeys(classes, self._below(type_, field.details))
        return selects, True


def definition_of(type_: Any) -> Any:
    """Strawberry's definition of a type or a field, if it has one."""
    return (type_.extensions or {}).get(GraphQLCoreConverter.DEFINITION_BACKREF)


def classes_of(type_: GraphQLObjectType) -> list[type]:
    """The classes whose instances are objects of this type, as far as it is known for each class."""
    definition = definition_of(type_)
    if not isinstance(definition, StrawberryObjectDefinition) or definition.is_type_of:
        return []
    classes = [definition.origin, *([definition.concrete_of.origin] if definition.concrete_of else [])]
    return [each for each in classes if not hasattr(each, "__await__") and not issubclass(each, Exception)]


def is_told_by_class(type_: GraphQLObjectType, kind: Any) -> bool:
    """Whether Strawberry takes every instance of a type's class for this type, where an abstract type is asked for."""
    definition, abstract = definition_of(type_), definition_of(kind)
    if definition is None or definition.concrete_of or definition.is_graphql_generic or definition.name != type_.name:
        return False
    if isinstance(kind, GraphQLUnionType):
        return True
    return abstract is not None and not abstract.resolve_type and issubclass(definition.origin, abstract.origin)


# ------------------------------------------------------------------ resolving


def direct_read(field: Field, number: int) -> tuple[str | None, Any]:
    """How to read a field without a resolver's ado, in the text of a function and with what; None where it has one."""
    definition = strawberry_field(field)
    if definition is None or field.definition.args:
        return None, None
    if definition.is_basic_field and definition.default_resolver is getattr and definition.python_name.isidentifier():
        return f"source.{definition.python_name}", None
    function = definition.base_resolver
    if definition.extensions or function is None or function.self_parameter is None or definition.is_async:
        return None, None
    if function.info_parameter or function.parent_parameter or function.root_parameter:
        return None, None
    return f"read_{number}(source)", function.wrapped_func


def strawberry_field(field: Field) -> StrawberryField | None:
    """Strawberry's definition of a field, if that is all there is to it."""
    definition = definition_of(field.definition)
    plain = isinstance(definition, StrawberryField) and type(definition).get_result is StrawberryField.get_result
    return definition if plain and not field.operation.schema.exception_handlers else None


def resolver(field: Field) -> Resolve:
    """What resolves a field: Strawberry's own resolver, or the same with less ado."""
    definition = strawberry_field(field)
    read, function = direct_read(field, 0)
    if read and function:
        return lambda source, _place, _run: function(source)
    if read and definition:
        name = definition.python_name
        return lambda source, _place, _run: getattr(source, name)
    arguments = arguments_reader(field)
    called = definition and calls(field, definition)
    if called:
        return lambda source, place, run: called(source, arguments(run), place, run)
    resolve: Callable[..., Any] = field.definition.resolve or default_field_resolver
    return lambda source, place, run: resolve(source, field.info(place, run), **arguments(run))


def arguments_reader(field: Field) -> Callable[[Run], dict[str, Any]]:
    """What reads a field's arguments in a run."""
    definition, node = field.definition, field.nodes[0]
    if not definition.args and not node.arguments:
        return lambda _: {}
    read = arguments_of(definition, node)

    def arguments(run: Run) -> Any:
        found = read(run.variables) if read else DOUBT
        return get_argument_values(definition, node, run.executor.variable_values) if found is DOUBT else found

    return arguments


def calls(field: Field, definition: StrawberryField) -> Callable[..., Any] | None:
    """What calls a Strawberry resolver with its extensions, as Strawberry would; None where it must do that itself."""
    resolver, convert = definition.base_resolver, conversion(field.operation.schema, definition)
    if resolver is None or convert is None or resolver.parent_parameter or resolver.root_parameter:
        return None
    if definition.is_subscription or (resolver.info_parameter and resolver.info_parameter.name != "info"):
        return None
    function: Any = resolver.wrapped_func
    takes_info = resolver.info_parameter is not None
    takes_source = resolver.self_parameter is not None
    extensions, chain = definition.extensions, build_field_extension_resolvers(definition)
    info_class = field.operation.schema.config.info_class

    def call(source: Any, arguments: dict[str, Any], place: Place, run: Run) -> Any:
        info = info_class(_raw_info=field.info(place, run), _field=definition)
        given = convert(arguments)
        for extension in extensions:
            given = extension.map_arguments(given)

        def innermost(_: Any, info: Any, **given: Any) -> Any:
            if takes_info:
                given["info"] = info
            return function(source, **given) if takes_source else function(**given)

        chained = reduce(lambda inner, outer: partial(outer, inner), chain, innermost)
        return chained(source, info, **given)

    async def call_later(source: Any, arguments: dict[str, Any], place: Place, run: Run) -> Any:
        return await await_maybe(call(source, arguments, place, run))

    return call_later if definition.is_async else call
