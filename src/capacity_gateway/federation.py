"""Federation 2: the schema as a subgraph, beside the older service whose clients it answers."""

from types import ModuleType
from typing import Any

import strawberry
from graphql import REMOVE, DirectiveNode, GraphQLError, Node, SchemaDefinitionNode, Visitor, VisitorAction
from strawberry.federation.schema import FederationAny
from strawberry.federation.schema_directives import Override
from strawberry.types import get_object_definition

from capacity_gateway.kernel.context import Info
from capacity_gateway.kernel.errors import BadUserInput

OLDER_SERVICE = "event-lifecycle"
"""What the older service is called among the subgraphs."""


def take_over(module: ModuleType) -> None:
    """Let a supergraph ask this gateway, instead of the older service, for all fields of a module: of roots and types.

    Composition succeeds only when every field of a type that both have is taken over, and every root that returns it.
    """
    for found in vars(module).values():
        definition = get_object_definition(found)
        if definition is None or definition.is_input or found.__module__ != module.__name__:
            continue
        for field in definition.fields:
            field.directives = [*field.directives, Override(override_from=OLDER_SERVICE)]


def entities(modules: list[ModuleType]) -> list[type]:
    """The types of these modules that other subgraphs may refer to."""
    found = [value for module in modules for value in vars(module).values() if hasattr(value, "resolve_reference")]
    return list(dict.fromkeys(found))


class Plain(Visitor):
    """Leaves out of a schema's text what is there for federation gateways alone."""

    def enter(self, node: Node, *_: object) -> VisitorAction:
        """Go on, or leave this out."""
        name = node.name.value if hasattr(node, "name") else ""
        federation_s = isinstance(node, DirectiveNode) and name in ("key", "override", "shareable")
        return REMOVE if federation_s or isinstance(node, SchemaDefinitionNode) or name.startswith("_") else None


class Schema(strawberry.federation.Schema):
    """Strawberry's, but what goes wrong is logged where it is formatted, and what a gateway sends is checked."""

    def process_errors(self, errors: list[GraphQLError], execution_context: object = None) -> None:
        """Leave the errors to the endpoint, which logs no more than what was not foreseen."""

    def entities_resolver(self, info: Info, representations: list[FederationAny]) -> Any:
        """What other subgraphs refer to; null for what is not there, or not the caller's to see.

        What is asked for together is read together.
        """
        if info.context.no_login is not None:
            raise info.context.no_login
        return [self._entity(info, representation) for representation in representations]

    def _entity(self, info: Info, representation: Any) -> Any:
        match representation:
            case {"__typename": str(name), "id": str() | int() as key}:
                definition: Any = self.get_type_by_name(name)
                if resolve := getattr(getattr(definition, "origin", None), "resolve_reference", None):
                    return resolve(info=info, id=str(key))
        return BadUserInput("A representation has the __typename of an entity, and its id")
