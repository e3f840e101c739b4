"""The exported schema is what callers rely on."""

from pathlib import Path

import pytest
from graphql import build_schema

from capacity_gateway.schema import schema, sdl

ROOT = Path(__file__).parents[1]


def test_schema_graphql_is_the_schema() -> None:
    """The committed file is what the code says; `capacity-gateway export-schema` writes it anew."""
    assert (ROOT / "schema.graphql").read_text() == sdl()


async def test_everything_has_a_description() -> None:
    """Introspection finds no type, field, argument or enum value without words."""
    built = build_schema(sdl())
    undescribed = [
        f"{name}.{field_name}"
        for name, kind in built.type_map.items()
        if not name.startswith("__") and hasattr(kind, "fields")
        for field_name, field in kind.fields.items()
        if not field.description or not all(a.description for a in getattr(field, "args", {}).values())
    ]

    assert undescribed == []


@pytest.mark.parametrize("operation", ["{ __typename }", "{ __schema { queryType { name } } }"])
async def test_the_schema_answers_about_itself(operation: str) -> None:
    """Meta fields need no login and no database."""
    assert (await schema().execute(operation)).errors is None
