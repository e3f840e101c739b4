"""From an operation's selections to functions."""

from collections.abc import Iterable
from enum import Enum
from typing import TYPE_CHECKING, Any

from graphql import (
    GraphQLObjectType,
    GraphQLOutputType,
    GraphQLUnionType,
    OperationType,
    TypeNameMetaFieldDef,
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
from graphql.execution.values import VariableValues
from strawberry.schema.schema_converter import CustomGraphQLEnumType
from strawberry.types.base import StrawberryObjectDefinition

from capacity_gateway.selections.positions import DONE, PLAIN, Field, NotCompiled, Position, Select, Selects, awaited
from capacity_gateway.selections.resolvers import definition_of, direct_read, resolver

if TYPE_CHECKING:
    from capacity_gateway.selections.operation import Operation

FIELDS_MAX = 500  # of an operation, with all that its fragments multiply; compiling takes 85 us for each

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

    def __init__(self, operation: "Operation", conditions: dict[str, Any]) -> None:
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
