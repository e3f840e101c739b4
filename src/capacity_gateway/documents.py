"""What a document may ask for: each is parsed and measured once, and the answer is remembered by its text.

The measure is linear in the document: a fragment is measured once, however often it is spread.
"""

from dataclasses import dataclass
from functools import lru_cache

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
    parse,
)

TOKENS_MAX = 1000
DEPTH_MAX = 12
ALIASES_MAX = 30
ROOT_FIELDS_MAX = 10
ACTIONS_MAX = 1  # mutations, or subscriptions, in a document
DIRECTIVES_MAX = 20
VARIABLES_MAX = 50
DOCUMENTS_REMEMBERED = 200


@dataclass(frozen=True)
class Measure:
    """How much a selection asks for; `root_fields` counts its own fields, the rest all below them."""

    depth: int = 0
    aliases: int = 0
    directives: int = 0
    root_fields: int = 0
    introspects: bool = False


@dataclass(frozen=True)
class Document:
    """A document that may be run."""

    operation: OperationType
    introspects: bool


@lru_cache(maxsize=DOCUMENTS_REMEMBERED)
def read_document(text: str) -> Document | GraphQLError | HTTPException:
    """Parse and measure a document.

    Returns:
        The document; GraphQLError where it is none; HTTPException with the status, and the code in its reason, where
        it asks for more than it may.
    """
    try:
        document = parse(text, no_location=True, max_tokens=TOKENS_MAX)
    except GraphQLError as error:
        return HTTPException(400, "LIMIT_EXCEEDED") if "tokens" in error.message else error
    operations = [node for node in document.definitions if isinstance(node, OperationDefinitionNode)]
    if len(operations) != 1:
        return HTTPException(400, "BAD_REQUEST")
    (operation,) = operations
    measure = Measurer(document).measure(operation.selection_set)
    within = (
        measure.depth <= DEPTH_MAX
        and measure.aliases <= ALIASES_MAX
        and measure.directives + len(operation.directives or ()) <= DIRECTIVES_MAX
        and measure.root_fields <= (ROOT_FIELDS_MAX if operation.operation is OperationType.QUERY else ACTIONS_MAX)
        and len(operation.variable_definitions or ()) <= VARIABLES_MAX
    )
    if not within:
        return HTTPException(400, "LIMIT_EXCEEDED")
    return Document(operation.operation, measure.introspects)


class Measurer:
    """Measures the selections of one document."""

    def __init__(self, document: DocumentNode) -> None:
        self._fragments = {
            node.name.value: node for node in document.definitions if isinstance(node, FragmentDefinitionNode)
        }
        self._measured: dict[str, Measure] = {}

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

    def _inline(self, node: SelectionNode) -> Measure:
        return self.measure(node.selection_set if isinstance(node, InlineFragmentNode) else None)

    def _fragment(self, name: str) -> Measure:
        if name not in self._measured:
            self._measured[name] = Measure()  # a circle ends here; validation refuses it
            fragment = self._fragments.get(name)
            self._measured[name] = self.measure(fragment.selection_set if fragment else None)
        return self._measured[name]
