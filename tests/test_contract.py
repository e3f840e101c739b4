"""Callers already write against the contract: the schema grows, and never narrows."""

from pathlib import Path

from graphql import build_schema
from graphql.utilities import find_breaking_changes

from capacity_gateway.schema import sdl

CONTRACT = Path(__file__).parent / "contract"


def test_the_schema_is_a_superset_of_the_contract() -> None:
    """Whatever a caller of gateway.graphql sends today is still valid."""
    contract = build_schema((CONTRACT / "gateway.graphql").read_text())
    changes = find_breaking_changes(contract, build_schema(sdl()))

    assert [change.description for change in changes] == []
