"""A document for each operation of the older service: it asks for all there is, whatever a client leaves out.

What its clients send to the letter is in tests/clients/documents.graphql.
"""

from pathlib import Path

from graphql import (
    GraphQLField,
    GraphQLNamedType,
    GraphQLObjectType,
    build_schema,
    get_named_type,
    is_non_null_type,
    is_required_argument,
)

from domains.conftest import built

CONTRACT = build_schema((Path(__file__).parents[1] / "contract" / "dropin.graphql").read_text())


def _all_of(type_: GraphQLNamedType) -> str:
    if not isinstance(type_, GraphQLObjectType):
        return ""
    return f"{{ {' '.join(f'{name} {_all_of(get_named_type(field.type))}' for name, field in type_.fields.items())} }}"


def _document(kind: str, operation: str, field: GraphQLField) -> str:
    given = {
        name: argument.type
        for name, argument in field.args.items()
        if is_required_argument(argument) or not is_non_null_type(argument.type)
    }
    variables = ", ".join(f"${name}: {type_}" for name, type_ in given.items())
    arguments = ", ".join(f"{name}: ${name}" for name in given)
    return f"{kind} ({variables}) {{ {operation}({arguments}) {_all_of(get_named_type(field.type))} }}"


DOCUMENTS = {
    operation: _document(kind, operation, ours.fields[operation])
    for kind, ours, theirs in (
        ("query", built().query_type, CONTRACT.query_type),
        ("mutation", built().mutation_type, CONTRACT.mutation_type),
    )
    if ours and theirs
    for operation in theirs.fields
}
"""By root field."""
