"""The door: an operation of a valid document, and its answers."""

from collections.abc import Iterable
from typing import Any

from graphql import (
    DocumentNode,
    FragmentDefinitionNode,
    GraphQLError,
    Node,
    OperationDefinitionNode,
    OperationType,
    VariableDefinitionNode,
)
from strawberry.schema import Schema
from strawberry.types import ExecutionResult

from capacity_gateway.selections.arguments import Given, Variables, variables_in
from capacity_gateway.selections.compiler import Compiler
from capacity_gateway.selections.positions import NotCompiled, Run, Select

VARIANTS_MAX = 8  # of an operation: one for each way that its @skip and @include were met


class Operation:
    """The one operation of a valid document."""

    def __init__(self, schema: Schema, document: DocumentNode) -> None:
        """Raises NotCompiled for what is left to graphql-core as a whole."""
        (self.node,) = (node for node in document.definitions if isinstance(node, OperationDefinitionNode))
        self.fragments = {
            node.name.value: node for node in document.definitions if isinstance(node, FragmentDefinitionNode)
        }
        self.schema = schema
        self.types = schema._schema  # noqa: SLF001 - Strawberry has no other way to it
        if self.node.operation is OperationType.SUBSCRIPTION or self.node.directives:
            raise NotCompiled
        self.variables = Variables(self.types, self.node)
        self._conditions = sorted(self._conditional_on())
        self._variants: dict[tuple[Any, ...], Select | None] = {}

    def _conditional_on(self) -> set[str]:
        """The variables of @skip and @include."""
        found = set()
        for node in nodes_below([self.node, *self.fragments.values()]):
            for directive in getattr(node, "directives", None) or ():
                if directive.name.value not in ("skip", "include") or isinstance(node, VariableDefinitionNode):
                    raise NotCompiled
                found |= variables_in(directive)
        return found

    async def execute(self, context: Any, given: Given, extensions: dict[str, Any] | None) -> ExecutionResult | None:
        """The answer to the operation; None where nothing was done, since only graphql-core can."""
        variables = self.variables.read(given)
        if isinstance(variables, list):
            return ExecutionResult(data=None, errors=variables)
        select = self._variant(variables)
        if select is None:
            return None
        run = Run(self, context, given, variables, extensions)
        try:
            data = select(None, None, run)
            if data.__class__ is not dict:
                data = await data
        except GraphQLError as error:
            run.executor.collected_errors.add(error, None)
            data = None
        return ExecutionResult(data=data, errors=run.errors)

    def _variant(self, variables: dict[str, Any]) -> Select | None:
        met = tuple(variables.get(name) for name in self._conditions)
        if met in self._variants:
            return self._variants[met]
        if len(self._variants) >= VARIANTS_MAX or not all(isinstance(value, bool) for value in met):
            return None
        try:
            select = Compiler(self, dict(zip(self._conditions, met, strict=True))).select()
        except NotCompiled:
            select = None
        self._variants[met] = select
        return select


def nodes_below(nodes: Iterable[Node]) -> Iterable[Node]:
    """All nodes of a part of a document that directives may stand at."""
    for node in nodes:
        yield node
        yield from getattr(node, "variable_definitions", None) or ()
        selections = getattr(node, "selection_set", None)
        yield from nodes_below(selections.selections if selections else ())
