"""How fields are resolved: by Strawberry's own resolvers, with as little ado as each of them allows."""

from collections.abc import Callable
from functools import partial, reduce
from typing import Any

from graphql.execution.executor import default_field_resolver
from graphql.execution.values import get_argument_values
from strawberry.extensions.field_extension import build_field_extension_resolvers
from strawberry.schema.schema_converter import GraphQLCoreConverter
from strawberry.types.field import StrawberryField

from capacity_gateway.selections.arguments import DOUBT, arguments_of, conversion
from capacity_gateway.selections.positions import Field, Place, Run

Resolve = Callable[[Any, Place, Run], Any]


def definition_of(type_: Any) -> Any:
    """Strawberry's definition of a type or a field, if it has one."""
    return (type_.extensions or {}).get(GraphQLCoreConverter.DEFINITION_BACKREF)


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

    return call
