"""Writes documents for any schema: by chance with variables for them, or with one id in all places for one."""

from random import Random
from typing import Any

from graphql import (
    GraphQLArgument,
    GraphQLEnumType,
    GraphQLField,
    GraphQLInputField,
    GraphQLInputObjectType,
    GraphQLInputType,
    GraphQLNamedType,
    GraphQLSchema,
    get_named_type,
    is_abstract_type,
    is_enum_type,
    is_input_object_type,
    is_interface_type,
    is_leaf_type,
    is_list_type,
    is_non_null_type,
    is_object_type,
    is_required_argument,
    is_required_input_field,
)


class Writer:
    """Writes one document."""

    def __init__(self, schema: GraphQLSchema, random: Random, *, depth_max: int = 5) -> None:
        self._schema = schema
        self._random = random
        self._depth_max = depth_max
        self._fragments: dict[str, str] = {}
        self._variables: dict[str, tuple[Any, str]] = {}
        self._arguments: dict[tuple[str, str], str] = {}

    def document(self) -> str:
        """An operation with its fragments; it may be invalid."""
        mutates = self._schema.mutation_type is not None and self._random.random() < 0.15
        root = self._schema.mutation_type if mutates else self._schema.query_type
        selection = self._selection(root, 0, fields_max=1 if mutates else 3)
        given = ", ".join(f"${name}: {shown}" for name, (_, shown) in self._variables.items())
        head = f"{'mutation' if mutates else 'query'} Q{f'({given})' if given else ''}"
        return "\n".join([f"{head} {selection}", *self._fragments.values()])

    def variables(self) -> dict[str, Any]:
        """Values for the document's variables: as a rule right, sometimes wrong, null or absent."""
        return {
            name: None if chance < 0.05 else self.value(type_, wrong=0.04)
            for name, (type_, _) in self._variables.items()
            if (chance := self._random.random()) < 0.92
        }

    def _selection(self, type_: Any, depth: int, *, fields_max: int = 4) -> str:
        parts = []
        for _ in range(self._random.randint(1, fields_max)):
            chance = self._random.random()
            if chance < 0.08 or (not hasattr(type_, "fields") and chance < 0.2):
                parts.append(self._random.choice(["__typename", "kind: __typename"]) + self._condition())
            elif not hasattr(type_, "fields") or (chance < 0.3 and depth):
                parts.append(self._fragment(type_, depth))
            elif field := self._field(type_, depth):
                parts.append(field)
        return "{ " + " ".join(parts or ["__typename"]) + " }"

    def _field(self, type_: Any, depth: int) -> str | None:
        fields: dict[str, GraphQLField] = type_.fields
        if depth >= self._depth_max:
            fields = {name: field for name, field in fields.items() if is_leaf_type(get_named_type(field.type))}
        if not fields:
            return None
        name, field = self._random.choice(list(fields.items()))
        alias = self._random.choice(["", "", "", f"{name}1: ", f"{name}2: "])
        arguments = self._arguments_of(type_, name, field)
        below = get_named_type(field.type)
        selection = "" if is_leaf_type(below) else " " + self._selection(below, depth + 1)
        return f"{alias}{name}{arguments}{self._condition()}{selection}"

    def _arguments_of(self, type_: GraphQLNamedType, name: str, field: GraphQLField) -> str:
        known = self._arguments.get((type_.name, name))
        if known is not None and self._random.random() < 0.9:  # the same, so that fields merge
            return known
        given = [
            f"{argument_name}: {self._argument(argument)}"
            for argument_name, argument in field.args.items()
            if is_required_argument(argument) or self._random.random() < 0.5
        ]
        written = self._arguments[type_.name, name] = f"({', '.join(given)})" if given else ""
        return written

    def _argument(self, argument: GraphQLArgument) -> str:
        if self._random.random() < 0.55:
            return self._variable(argument.type)
        return self.literal(argument.type, self.value(argument.type))

    def _variable(self, type_: GraphQLInputType) -> str:
        name = f"v{len(self._variables)}"
        shown = str(type_)
        if self._random.random() < 0.2 and not shown.endswith("!"):
            shown += "!"
        elif self._random.random() < 0.3:
            bare: Any = type_.of_type if is_non_null_type(type_) else type_
            shown = f"{bare} = {self.literal(bare, self.value(bare))}"
        self._variables[name] = (type_, shown)
        return f"${name}"

    def _condition(self) -> str:
        if self._random.random() > 0.08:
            return ""
        if self._random.random() < 0.3:
            met = self._random.choice(["true", "false"])
        else:
            booleans = [name for name, (_, shown) in self._variables.items() if shown == "Boolean!"]
            name = self._random.choice(booleans) if booleans else f"v{len(self._variables)}"
            self._variables[name] = (self._schema.type_map["Boolean"], "Boolean!")
            met = f"${name}"
        return f" @{self._random.choice(['skip', 'include'])}(if: {met})"

    def _fragment(self, type_: Any, depth: int) -> str:
        on = [type_]
        if is_abstract_type(type_):
            on = list(self._schema.get_possible_types(type_))
        if is_object_type(type_) or is_interface_type(type_):
            on += type_.interfaces
        condition = self._random.choice(on)
        selection = self._selection(condition, depth)
        if self._random.random() < 0.5:
            bare = condition is type_ and self._random.random() < 0.5
            return f"...{'' if bare else f' on {condition.name}'}{self._condition()} {selection}"
        name = f"F{len(self._fragments)}"
        self._fragments[name] = f"fragment {name} on {condition.name} {selection}"
        return f"...{name}{self._condition()}" + (f" ...{name}" if self._random.random() < 0.2 else "")

    def value(self, type_: Any, *, wrong: float = 0.0, depth: int = 0) -> Any:  # noqa: PLR0911 - one for each kind of type
        """A JSON value of a type; with so much chance at every point a wrong one."""
        if self._random.random() < wrong:
            return self._random.choice(["wrong", 1.5, -(2**33), [], {}, {"what": 1}, True, None, [None]])
        if is_non_null_type(type_):
            return self.value(type_.of_type, wrong=wrong, depth=depth)
        if depth > 0 and self._random.random() < 0.2:
            return None
        if is_list_type(type_):
            if self._random.random() < 0.2:
                return self.value(type_.of_type, wrong=wrong, depth=depth)  # one stands for a list of it
            size = self._random.randrange(3)
            return [self._present(type_.of_type, wrong, depth + 1) for _ in range(size)]
        if is_input_object_type(type_):
            given = {
                name: self._present(field.type, wrong, depth + 1)
                for name, field in type_.fields.items()
                if is_required_input_field(field) or (self._random.random() < 0.5 and depth < 2)
            }
            return given | {"unknown": 1} if self._random.random() < wrong else given
        if is_enum_type(type_):
            return self._random.choice(list(type_.values))
        return self._random.choice(LEAVES.get(type_.name, ["x", "bad"]))

    def _present(self, type_: Any, wrong: float, depth: int) -> Any:
        value = self.value(type_, wrong=wrong, depth=depth)
        if value is None and is_non_null_type(type_) and not wrong:
            return self._present(type_, wrong, 0)
        return value

    def literal(self, type_: Any, value: Any) -> str:  # noqa: PLR0911 - same
        """A JSON value of a type as it is written in a document, sometimes with variables in it."""
        if is_non_null_type(type_):
            return self.literal(type_.of_type, value)
        if value is None:
            return "null"
        if is_list_type(type_):
            if not isinstance(value, list):
                return self.literal(type_.of_type, value)
            return "[" + ", ".join(self._inner(type_.of_type, each) for each in value) + "]"
        if is_input_object_type(type_):
            fields = type_.fields
            return "{" + ", ".join(f"{name}: {self._inner(fields[name].type, v)}" for name, v in value.items()) + "}"
        if is_enum_type(type_):
            return str(value)
        return {True: "true", False: "false"}[value] if isinstance(value, bool) else repr(value).replace("'", '"')

    def _inner(self, type_: Any, value: Any) -> str:
        return self._variable(type_) if self._random.random() < 0.06 else self.literal(type_, value)


LEAVES: dict[str, list[Any]] = {
    "Int": [0, 1, 2, -5],
    "Float": [0.5, 2],
    "String": ["", "a", "ü"],
    "ID": ["1", 2, "e"],
    "Boolean": [True, False],
    "DateTime": ["2026-11-24T07:30:00+00:00"],
}


def wanted(given: GraphQLArgument | GraphQLInputField) -> bool:
    """Whether a value is to be given: it is demanded, or an id, or says which kind the id is of."""
    return is_non_null_type(given.type) or get_named_type(given.type).name in ("ID", "PoolKind")


def literal(given: GraphQLArgument | GraphQLInputField, id_: str) -> str:
    """A value, with this one for every id."""
    type_: Any = get_named_type(given.type)
    match type_.name:
        case "ID":
            text = f'"{id_}"'
        case "String":
            text = f'"{id_}"'  # older clients send ids as texts too
        case "Int":
            text = "1"
        case "Boolean":
            text = "true"
        case "DateTime":
            text = '"2026-01-01T00:00:00Z"'
        case _ if isinstance(type_, GraphQLEnumType):
            text = next(iter(type_.values))
        case _ if isinstance(type_, GraphQLInputObjectType):
            inner = ", ".join(f"{n}: {literal(f, id_)}" for n, f in type_.fields.items() if wanted(f))
            text = f"{{ {inner} }}"
        case _:
            text = "{}"
    plain = given.type.of_type if is_non_null_type(given.type) else given.type
    return f"[{text}]" if is_list_type(plain) else text
