"""Documents: each is parsed, measured, validated and compiled once, and remembered by its text.

The measure, of what a document asks for, is linear in it: a fragment is measured once, however often it is spread.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

from cross_web import HTTPException
from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    InlineFragmentNode,
    OperationDefinitionNode,
    OperationType,
    SelectionNode,
    SelectionSetNode,
    execute,
    parse,
    specified_rules,
    validate,
)
from strawberry.execution.is_awaitable import optimized_is_awaitable
from strawberry.extensions import SchemaExtension
from strawberry.schema import Schema
from strawberry.types import ExecutionResult
from strawberry.utils.await_maybe import await_maybe

from capacity_gateway.selections import NotCompiled, Operation
from capacity_gateway.settings import Limits

DOCUMENTS_REMEMBERED = 200
COMPARED_MAX = 4000  # pairs of fields with one place in the answer, in either order: validating them takes 35 ms
FIELDS_MAX = 10_000  # of an operation and of each fragment, with all that fragments multiply
DOCUMENT = "document"
"""Where Strawberry is told which document it runs."""


@dataclass(frozen=True)
class Measure:
    """How much a selection asks for; `root_fields` counts its own fields, the rest all below them."""

    depth: int = 0
    aliases: int = 0
    directives: int = 0
    root_fields: int = 0
    introspects: bool = False


class Document:
    """A document that may be run, with one operation in it."""

    def __init__(
        self, schema: Schema, node: DocumentNode, operation: OperationDefinitionNode, measure: Measure
    ) -> None:
        self.operation = operation.operation
        self.name = operation.name.value if operation.name else None
        self.introspects = measure.introspects
        self.directives = measure.directives + len(operation.directives or ())
        self.selections = operation.selection_set.selections
        self._schema = schema
        self.node = node
        self._runs = 0

    @cached_property
    def errors(self) -> list[GraphQLError]:
        """What is wrong with it."""
        types = self._schema._schema  # noqa: SLF001 - as below
        return validate(types, self.node, specified_rules, max_errors=1, hide_suggestions=True)[:1]

    @property
    def action(self) -> str:
        """The name of its first root field; empty where that is in a fragment."""
        first = self.selections[0]
        return first.name.value if isinstance(first, FieldNode) else ""

    @cached_property
    def _compiled(self) -> Operation | None:
        try:
            return Operation(self._schema, self.node)
        except NotCompiled:
            return None

    async def execute(
        self, context: Any, variables: dict[str, Any], extensions: dict[str, Any] | None
    ) -> ExecutionResult:
        """The answer to the operation, as Strawberry would give it."""
        if self.errors:
            return ExecutionResult(data=None, errors=self.errors)
        self._runs += 1
        result = None
        if self._runs > 1 and self._compiled:  # compiling costs as much as running it a few times
            result = await self._compiled.execute(context, variables, extensions)
        return result or await self.by_graphql_core(context, variables, extensions)

    async def by_graphql_core(
        self, context: Any, variables: dict[str, Any], extensions: dict[str, Any] | None
    ) -> ExecutionResult:
        """The same with nothing compiled."""
        run: Any = execute
        try:
            result = await await_maybe(
                run(
                    self._schema._schema,  # noqa: SLF001 - Strawberry has no other way to it
                    self.node,
                    context_value=context,
                    variable_values=variables,
                    is_awaitable=optimized_is_awaitable,
                    executor_class=self._schema.execution_context_class,
                    operation_extensions=extensions,
                )
            )
        except Exception as error:  # noqa: BLE001 - a value that Python could not read
            return ExecutionResult(data=None, errors=[GraphQLError(str(error), original_error=error)])
        return ExecutionResult(data=result.data, errors=result.errors)


@lru_cache(maxsize=DOCUMENTS_REMEMBERED)
def read_document(schema: Schema, text: str, limits: Limits) -> Document | GraphQLError | HTTPException:
    """Parse and measure a document.

    Returns:
        The document; GraphQLError where it is none; HTTPException with the status, and the code in its reason, where
        it asks for more than it may.
    """
    try:
        node = parse(text, max_tokens=limits.tokens_max)
    except GraphQLError as error:
        return HTTPException(400, "LIMIT_EXCEEDED") if "tokens" in error.message else error
    operations = [each for each in node.definitions if isinstance(each, OperationDefinitionNode)]
    if len(operations) != 1:
        return HTTPException(400, "BAD_REQUEST")
    (operation,) = operations
    measurer = Measurer(node)
    measure = measurer.measure(operation.selection_set)
    asks = operation.operation is OperationType.QUERY
    within = (
        measure.depth <= limits.depth_max
        and measure.aliases <= limits.aliases_max
        and measure.directives + len(operation.directives or ()) <= limits.directives_max
        and measure.root_fields <= (limits.root_fields_max if asks else limits.actions_max)
        and len(operation.variable_definitions or ()) <= limits.variables_max
        and measurer.compared(operation.selection_set) <= COMPARED_MAX
    )
    if not within:
        return HTTPException(400, "LIMIT_EXCEEDED")
    return Document(schema, node, operation, measure)


class KnownDocuments(SchemaExtension):
    """Spares Strawberry, which runs what is streamed, to parse and validate a document again."""

    def on_parse(self) -> Iterator[None]:
        """Take the parsed document."""
        document = self._document()
        if document:
            self.execution_context.graphql_document = document.node
        yield

    def on_validate(self) -> Iterator[None]:
        """Take what is wrong with it."""
        document = self._document()
        if document:
            self.execution_context.pre_execution_errors = document.errors
        yield

    def _document(self) -> Document | None:
        return (self.execution_context.operation_extensions or {}).get(DOCUMENT)


class Measurer:
    """Measures the selections of one document."""

    def __init__(self, document: DocumentNode) -> None:
        self._fragments = {
            node.name.value: node for node in document.definitions if isinstance(node, FragmentDefinitionNode)
        }
        self._measured: dict[str, Measure] = {}
        self._fields_left = FIELDS_MAX

    def measure(self, selections: SelectionSetNode | None) -> Measure:
        """How much a selection asks for; what is asked of the schema itself costs no depth."""
        depth = aliases = directives = root_fields = 0
        introspects = False
        for node in selections.selections if selections else ():
            directives += len(node.directives or ())
            if isinstance(node, FieldNode):
                below = self.measure(node.selection_set)
                about_schema = node.name.value in ("__schema", "__type")
                depth = max(depth, 0 if about_schema else below.depth + 1)
                aliases += node.alias is not None
                root_fields += 1
                introspects = introspects or about_schema
            else:
                below = self._fragment(node.name.value) if isinstance(node, FragmentSpreadNode) else self._inline(node)
                depth = max(depth, below.depth)
                root_fields += below.root_fields
            aliases += below.aliases
            directives += below.directives
            introspects = introspects or below.introspects
        return Measure(depth, aliases, directives, root_fields, introspects)

    def compared(self, selections: SelectionSetNode) -> int:
        """How many pairs of fields validation has to compare, because they have one place in the answer."""
        self._fields_left = FIELDS_MAX
        sets = [selections, *(fragment.selection_set for fragment in self._fragments.values())]
        return sum(self._compared([each]) for each in sets)

    def _compared(self, sets: list[SelectionSetNode]) -> int:
        places: dict[str, list[FieldNode]] = {}
        spread: set[str] = set()
        while sets:
            for node in sets.pop().selections:
                if isinstance(node, FieldNode):
                    places.setdefault((node.alias or node.name).value, []).append(node)
                elif isinstance(node, InlineFragmentNode):
                    sets.append(node.selection_set)
                elif isinstance(node, FragmentSpreadNode) and node.name.value not in spread:
                    spread.add(node.name.value)
                    sets.extend(f.selection_set for f in (self._fragments.get(node.name.value),) if f)
        self._fields_left -= sum(map(len, places.values()))
        if self._fields_left < 0:
            return COMPARED_MAX + 1
        below = sum(
            self._compared([node.selection_set for node in nodes if node.selection_set]) for nodes in places.values()
        )
        return below + sum(len(nodes) * (len(nodes) - 1) for nodes in places.values())

    def _inline(self, node: SelectionNode) -> Measure:
        return self.measure(node.selection_set if isinstance(node, InlineFragmentNode) else None)

    def _fragment(self, name: str) -> Measure:
        if name not in self._measured:
            self._measured[name] = Measure()  # a circle ends here; validation refuses it
            fragment = self._fragments.get(name)
            self._measured[name] = self.measure(fragment.selection_set if fragment else None)
        return self._measured[name]
