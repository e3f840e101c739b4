"""The schema's descriptions are the docstrings of the code: of classes, of fields, of enum members, of resolvers."""

import ast
import inspect
import textwrap
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import strawberry
from graphql import GraphQLEnumType, GraphQLInputObjectType, GraphQLInterfaceType, GraphQLObjectType
from strawberry.types.enum import StrawberryEnumDefinition

ARGUMENTS = {
    "after": "A cursor to go on behind; absent = from the beginning.",
    "changes": "What is to be tried, 1 to 10 changes, in this order.",
    "deviceType": "What sort of device it is on.",
    "eventId": "Which event.",
    "capacityChanged.after": "The last version that the caller knows of; absent = begin with the pool as it is.",
    "filter": "Which entries; absent = all.",
    "first": "How many at most, 1 to 100.",
    "full": "From the opening on, whatever was verified before.",
    "id": "Its id outside.",
    "input": "What is asked for.",
    "kind": "What is counted; absent = all kinds.",
    "orderId": "Which order.",
    "ref": "Its id outside.",
    "representations": "What is referred to: a __typename and an id each.",
    "registrationIn": "Who registers.",
    "sessionId": "Which session.",
    "states": "Only those in one of these states; absent = all.",
    "status": "Only those in this status; absent = all.",
    "statusFilter": "Only those in this status; absent = all.",
    "time": "The instant, with an offset from UTC.",
    "useCache": "Nothing is cached: the numbers are those of now either way.",
    "userAgent": "The browser's name for itself.",
}
"""What an argument means; one word, one meaning, wherever it stands, unless the field is named."""


def describe(schema: strawberry.Schema) -> None:
    """Give every type, field, argument and enum value of a schema its description.

    Raises:
        LookupError: naming all that have no docstring.
    """
    missing = [name for name in _describe_all(schema) if name]
    if missing:
        raise LookupError(f"no docstring for {', '.join(missing)}")


def _describe_all(schema: strawberry.Schema) -> Iterator[str]:
    for name, kind in schema._schema.type_map.items():  # noqa: SLF001 - no public way to the built types
        definition = kind.extensions.get("strawberry-definition")
        if name.startswith(("_", "link__")) or definition is None:  # GraphQL's own, and federation's
            continue
        if isinstance(kind, GraphQLEnumType) and isinstance(definition, StrawberryEnumDefinition):
            kind.description = _docstring(definition.wrapped_cls)
            texts = _attribute_docstrings(definition.wrapped_cls)
            for value_name, value in kind.values.items():
                value.description = texts.get(value_name)
                yield "" if value.description else f"{name}.{value_name}"
        elif isinstance(kind, GraphQLObjectType | GraphQLInterfaceType | GraphQLInputObjectType):
            origin = (definition.concrete_of or definition).origin
            kind.description = definition.description or _docstring(origin)
            yield from _describe_fields(name, kind, origin)
        yield "" if kind.description else name


def _describe_fields(name: str, kind: Any, origin: type) -> Iterator[str]:
    texts = {attribute: text for base in reversed(origin.__mro__) for attribute, text in _texts(base).items()}
    for field_name, field in kind.fields.items():
        definition = field.extensions["strawberry-definition"]
        resolver = getattr(definition, "base_resolver", None)
        field.description = _docstring(resolver.wrapped_func) if resolver else texts.get(definition.python_name)
        yield "" if field.description else f"{name}.{field_name}"
        for argument_name, argument in getattr(field, "args", {}).items():
            argument.description = ARGUMENTS.get(f"{field_name}.{argument_name}", ARGUMENTS.get(argument_name))
            yield "" if argument.description else f"{name}.{field_name}({argument_name})"


def _docstring(documented: Any) -> str | None:
    return inspect.cleandoc(documented.__doc__) if documented.__doc__ else None


def _texts(base: type) -> dict[str, str]:
    return _attribute_docstrings(base) if base.__module__.startswith(__package__) else {}


def _attribute_docstrings(documented: type) -> dict[str, str]:
    """The strings that stand below a class's attributes."""
    body = ast.parse(textwrap.dedent(inspect.getsource(documented))).body[0].body  # type: ignore[attr-defined]
    found = {}
    for attribute, text in pairwise(body):
        target = getattr(attribute, "target", None) or next(iter(getattr(attribute, "targets", [])), None)
        is_text = isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant)
        if isinstance(target, ast.Name) and is_text and isinstance(text.value.value, str):
            found[target.id] = inspect.cleandoc(text.value.value)
    return found
