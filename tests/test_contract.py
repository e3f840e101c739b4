"""Callers already write against the contract: the schema grows, and never narrows."""

from pathlib import Path

import pytest
from graphql import build_schema
from graphql.utilities import find_breaking_changes

from capacity_gateway.schema import sdl

CONTRACT = Path(__file__).parent / "contract"


@pytest.mark.parametrize("name", ["gateway", "dropin"])
def test_the_schema_is_a_superset_of_the_contract(name: str) -> None:
    """Whatever a caller of gateway.graphql, or an older client of dropin.graphql, sends today is still valid."""
    contract = build_schema((CONTRACT / f"{name}.graphql").read_text())
    changes = find_breaking_changes(contract, build_schema(sdl()))

    assert [change.description for change in changes] == []
