"""Pages in the manner of Relay: opaque keyset cursors that stay true while rows are added."""

import base64
import binascii
from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

import orjson
import strawberry

from capacity_gateway.kernel.errors import BadUserInput

LARGEST_PAGE = 100
URL_SAFE = bytes.maketrans(b"+/", b"-_")

Node = TypeVar("Node")
Key = Sequence[str | int]


@strawberry.federation.type(shareable=True)  # other subgraphs have one too
class PageInfo:
    """Where a page ends, and whether there is more."""

    has_next_page: bool
    """Whether more follow: ask again with `after: endCursor`."""
    has_previous_page: bool
    """Whether this page was asked for with `after`."""
    start_cursor: str | None
    """Of the first edge; null on an empty page."""
    end_cursor: str | None
    """Of the last edge; null on an empty page."""


@strawberry.type
class Edge(Generic[Node]):
    """One row of a page."""

    cursor: str
    """Give it as `after` to go on behind this row."""
    node: Node
    """The row itself."""


@strawberry.type
class Connection(Generic[Node]):
    """One page."""

    edges: list[Edge[Node]]
    """The rows."""
    page_info: PageInfo
    """Where the page ends, and whether there is more."""
    total_count: int | None = None
    """How many there are in all, where that costs nothing; else null."""


def page_size(first: int) -> int:
    """`first`, checked; BAD_USER_INPUT unless it is 1 to 100."""
    if not 1 <= first <= LARGEST_PAGE:
        raise BadUserInput(f"first must be from 1 to {LARGEST_PAGE}")
    return first


def write_cursor(key: Key) -> str:
    """A key as a cursor."""
    return binascii.b2a_base64(orjson.dumps(key), newline=False).translate(URL_SAFE).decode()


def read_cursor(after: str | None, *types: type) -> list[str | int | None]:
    """The key that a cursor stands for, one value for each type; all None without one.

    Raises:
        BadUserInput: when it is no cursor of this list.
    """
    if after is None:
        return [None] * len(types)
    try:
        key = orjson.loads(base64.b64decode(after.encode(), altchars=b"-_", validate=True))
    except (ValueError, binascii.Error):
        key = None
    if not isinstance(key, list) or [type(value) for value in key] != list(types):
        raise BadUserInput("after is not a cursor of this list")
    return key


def connect(
    nodes: Sequence[Node],
    key: Callable[[Node], Key],
    *,
    first: int,
    after: str | None,
    edge: Callable[..., Any] = Edge,
) -> Connection[Node]:
    """A page of at most `first` out of `nodes`, which were asked for with one more to see if there is more."""
    edges = [edge(cursor=write_cursor(key(node)), node=node) for node in nodes[:first]]
    return Connection(
        edges=edges,
        page_info=PageInfo(
            has_next_page=len(nodes) > first,
            has_previous_page=after is not None,
            start_cursor=edges[0].cursor if edges else None,
            end_cursor=edges[-1].cursor if edges else None,
        ),
    )
