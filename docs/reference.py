"""Writes reference.md out of schema.graphql: `.venv/bin/python docs/reference.py`."""  # noqa: INP001 - a script

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLNamedType,
    GraphQLObjectType,
    GraphQLScalarType,
    GraphQLSchema,
    GraphQLUnionType,
    NullValueNode,
    build_schema,
    get_named_type,
    is_introspection_type,
    is_specified_scalar_type,
    print_ast,
)

SCHEMA = Path(__file__).parents[1] / "schema.graphql"
PAGE = Path(__file__).with_suffix(".md")
HEAD = """# Reference

All that can be asked, written by `docs/reference.py` out of [schema.graphql](../schema.graphql).
`!` behind a type means that it is never null, `=` what counts where nothing is given. What each refusal means to a user
is in [errors.md](errors.md).
"""


def reference(schema: GraphQLSchema) -> str:
    """The page."""
    types = [t for t in schema.type_map.values() if not (is_introspection_type(t) or is_specified_scalar_type(t))]
    roots = [root for root in (schema.query_type, schema.mutation_type, schema.subscription_type) if root]
    refusals = schema.get_implementations(schema.type_map["CapacityError"]).objects  # type: ignore[arg-type]
    objects = [t for t in types if isinstance(t, GraphQLObjectType) and t not in (*roots, *refusals)]
    sorts: dict[str, Iterable[GraphQLNamedType]] = {
        "Results": (t for t in types if isinstance(t, GraphQLUnionType)),
        "Refusals": refusals,
        "Interfaces": (t for t in types if isinstance(t, GraphQLInterfaceType)),
        "Types": objects,
        "Inputs": (t for t in types if isinstance(t, GraphQLInputObjectType)),
        "Enums": (t for t in types if isinstance(t, GraphQLEnumType)),
        "Scalars": (t for t in types if isinstance(t, GraphQLScalarType)),
    }
    parts = [HEAD]
    for root in roots:
        parts += [f"## {root.name}\n", text(root), *(operation(root, name) for name in root.fields)]
    for sort, members in sorts.items():
        parts += [f"## {sort}\n", *(described(member) for member in sorted(members, key=lambda t: t.name))]
    return "\n".join(parts)


def operation(root: GraphQLObjectType, name: str) -> str:
    """A field of a root, with its arguments and what it answers."""
    field = root.fields[name]
    arguments = table("argument", "type", rows_of(field.args)) + "\n" if field.args else ""
    return f"### {root.name}.{name}\n\n{text(field)}\n{arguments}Answers {link(field.type)}.\n"


def described(type_: Any) -> str:
    """A type, with all that is in it."""
    match type_:
        case GraphQLUnionType():
            inner = f"One of {', '.join(link(member) for member in type_.types)}.\n"
        case GraphQLEnumType():
            inner = table("value", None, ([f"`{name}`", text(value)] for name, value in type_.values.items()))
        case GraphQLScalarType():
            inner = ""
        case _:
            inner = table("field", "type", rows_of(type_.fields))
    return f"### {type_.name}\n\n{text(type_)}\n{inner}"


def rows_of(fields: dict[str, Any]) -> Iterator[list[str]]:
    """A row for each field or argument."""
    for name, field in fields.items():
        arguments = f"({', '.join(getattr(field, 'args', {}))})"
        default = getattr(field.ast_node, "default_value", None)
        given = "" if default is None or isinstance(default, NullValueNode) else f" = `{print_ast(default)}`"
        yield [f"`{name}{arguments.replace('()', '')}`", link(field.type) + given, text(field)]


def table(first: str, second: str | None, rows: Iterable[list[str]]) -> str:
    """A table of what things are called and what they mean."""
    heads = [first, *([second] if second else []), "meaning"]
    lines = [heads, ["---"] * len(heads), *([" ".join(cell.split()) for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines) + "\n"


def link(type_: Any) -> str:
    """A type as it is written, leading to where it is described."""
    named = get_named_type(type_)
    if is_specified_scalar_type(named):
        return f"`{type_}`"
    return f"[`{type_}`](#{named.name.lower()})"


def text(documented: Any) -> str:
    """What the schema says of something."""
    return (documented.description or "") + "\n"


if __name__ == "__main__":
    PAGE.write_text(reference(build_schema(SCHEMA.read_text())))
