"""A schema in which everything may be strange: what selections are tried on.

Every value is made of a seed, and so is every oddity: null where something must be, exceptions, values of the wrong
class, values that are yet to come, lists that are none. The same seed makes the same world again.
"""

import asyncio
import itertools
from collections.abc import AsyncIterator, Generator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from enum import Enum
from random import Random
from typing import Annotated, Any, Generic, NewType, TypeVar

import strawberry
from graphql import GraphQLError
from strawberry.dataloader import DataLoader
from strawberry.extensions import FieldExtension
from strawberry.scalars import JSON
from strawberry.schema.config import StrawberryConfig
from strawberry.types.scalar import ScalarDefinition

Stamp = NewType("Stamp", str)


def stamped(value: Any) -> Any:
    """A scalar that some values have none of."""
    if value == "bad":
        raise ValueError("this cannot be stamped")
    return None if value == "none" else f"<{value}>"


def unstamped(value: Any) -> Any:
    """A scalar that some inputs are none of."""
    if not isinstance(value, str) or value == "bad":
        raise GraphQLError("this is no stamp")
    return f"unstamped {value}"


STAMP = ScalarDefinition(
    name="Stamp",
    description=None,
    specified_by_url=None,
    serialize=stamped,
    parse_value=unstamped,
    parse_literal=None,
)


class Later:
    """A value that is yet to come."""

    def __repr__(self) -> str:
        return "later"

    def __init__(self, value: Any, turns: int) -> None:
        self._value = value
        self._turns = turns

    def __await__(self) -> Generator[Any, None, Any]:
        """Comes after so many turns of the loop."""
        for _ in range(self._turns):
            yield from asyncio.sleep(0).__await__()
        if isinstance(self._value, Exception):
            raise self._value
        return self._value


class Nobody:
    """Of no type."""

    def __repr__(self) -> str:
        return "nobody"


class World:
    """What one execution sees: the context of its resolvers."""

    def __init__(self, seed: str, oddity: float) -> None:
        self.seed = seed
        self.oddity = oddity
        self.log: list[str] = []
        """What was called, in its order."""
        self.numbers = itertools.count(1)
        self.loader = DataLoader(load_fn=self._load)

    async def _load(self, keys: list[str]) -> Sequence["Leafy | Exception"]:
        self.log.append(f"load {keys}")
        return [self.leafy(self.random("load", key)) for key in keys]

    def random(self, *about: Any) -> Random:
        """Chance, which for the same question is always the same."""
        return Random(f"{self.seed} {about}")  # noqa: S311 - repeated by its seed

    def odd(self, random: Random, value: Any) -> Any:
        """A value, or sometimes something odd in its place."""
        if random.random() >= self.oddity:
            return value
        return random.choice(
            [
                None,
                None,
                ValueError("a value that is an error"),
                GraphQLError("an error of GraphQL's", extensions={"code": "ODD"}),
                Later(value, random.randrange(3)),
                Later(None, 1),
                Later(RuntimeError("too late"), random.randrange(3)),
                object,
                "odd",
                7,
                2**40,
                float("inf"),
                True,
                [],
                {"id": "a dictionary"},
                strawberry.cast(Leafy, Nobody()),
            ]
        )

    def many(self, random: Random, values: list[Any]) -> Any:
        """A list of these, some of them odd, or sometimes another iterable or none."""
        values = [self.odd(random, value) for value in values]
        if random.random() >= self.oddity:
            return values
        return random.choice([tuple(values), iter(values), coming(values), "text", 5, None, Later(values, 1)])

    def leafy(self, random: Random) -> "Leafy":
        """An object of leaves."""
        odd = self.odd
        return Leafy(
            id=odd(random, strawberry.ID(f"leafy {next(self.numbers)}")),
            name=odd(random, random.choice(["Ann", None])),
            whole=odd(random, random.randrange(100)),
            maybe_whole=odd(random, random.choice([None, -1])),
            real=odd(random, random.choice([0.5, 2, 1e300])),
            truth=odd(random, random.random() < 0.5),
            color=odd(random, random.choice([Color.RED, Color.BLUE])),
            maybe_color=odd(random, random.choice([Color.RED, None])),
            time=odd(random, datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=random.random())),
            stamp=odd(random, Stamp("x")),
            maybe_stamp=odd(random, random.choice([Stamp("x"), None, "bad", "none"] if self.oddity else ["x", None])),
            anything=odd(random, random.choice([{"a": [1]}, [None], "text", 1.5])),
            words=self.many(random, ["a", "b"]),
            maybe_colors=self.many(random, [Color.RED, None]),
        )

    def node(self, random: Random, depth: int) -> "Node":
        """An object of objects."""
        odd, deeper = self.odd, depth + 1
        end = depth >= 3
        return Node(
            id=strawberry.ID(f"node {next(self.numbers)}"),
            name=odd(random, "Node"),
            leafy=odd(random, self.leafy(random)),
            maybe_leafy=odd(random, random.choice([None, self.leafy(random)])),
            named=odd(random, None if end else self.either(random, deeper)),
            either=odd(random, self.leafy(random) if end else self.either(random, deeper)),
            some_named=self.many(random, [] if end else [self.either(random, deeper) for _ in range(2)]),
            some_either=self.many(random, [] if end else [self.either(random, deeper), None]),
            nodes=self.many(random, [] if end else [self.node(random, deeper) for _ in range(random.randrange(3))]),
            leaves=self.many(random, [self.leafy(random) for _ in range(2)]),
            grid=self.many(random, [[1, 2], [3]]),
            page=odd(random, Page(items=self.many(random, [self.leafy(random)]), total=odd(random, 1))),
        )

    def either(self, random: Random, depth: int) -> Any:
        """One of the objects that have a name; sometimes it is said to be of another type than it looks."""
        if random.random() < self.oddity:
            return strawberry.cast(random.choice([Node, Leafy, Named, Page]), self.leafy(random))
        return self.leafy(random) if random.random() < 0.5 else self.node(random, depth)


async def coming(values: list[Any]) -> AsyncIterator[Any]:
    """Values one by one."""
    for value in values:
        yield value


@strawberry.enum
class Color(Enum):
    """Some values."""

    RED = "r"
    BLUE = "b"


@strawberry.interface
class Named:
    """What has a name."""

    id: strawberry.ID
    name: str | None


@strawberry.type
class Leafy(Named):
    """Every kind of leaf."""

    whole: int
    maybe_whole: int | None
    real: float
    truth: bool
    color: Color
    maybe_color: Color | None
    time: datetime
    stamp: Stamp
    maybe_stamp: Stamp | None
    anything: JSON | None
    words: list[str]
    maybe_colors: list[Color | None] | None

    @strawberry.field
    def doubled(self) -> int:
        """A resolver that asks for nothing; it fails on odd values."""
        return self.whole + self.whole

    @strawberry.field
    def seen_by(self, info: strawberry.Info[World, None]) -> str | None:
        """A resolver that asks who asks."""
        info.context.log.append(f"seen_by {info.path} {info.field_name} {info.variable_values}")
        return info.context.odd(info.context.random(self.id, "seen"), info.field_name)


Item = TypeVar("Item")


@strawberry.type
class Page(Generic[Item]):
    """Some of many."""

    items: list[Item]
    total: int | None


Either = Annotated[Leafy | Annotated["Node", strawberry.lazy(__name__)], strawberry.union("Either")]


@strawberry.input
class Inner:
    """An input in another."""

    word: str
    number: int = 3
    color: Color | None = Color.BLUE


@strawberry.input
class Outer:
    """Every kind of input."""

    id: strawberry.ID
    inner: Inner | None
    inners: list[Inner] | None = None
    numbers: list[int | None] = strawberry.field(default_factory=lambda: [1, None])
    stamp: Stamp | None = strawberry.UNSET
    time: datetime | None = None
    itself: Annotated["Outer", strawberry.lazy(__name__)] | None = None


class Around(FieldExtension):
    """Does something before and after."""

    def map_arguments(self, kwargs: dict[str, Any]) -> dict[str, Any]:
        """Changes what a resolver is given."""
        inner = kwargs.get("inner")
        return kwargs | {"inner": replace(inner, word=f"{inner.word}!")} if inner else kwargs

    async def resolve_async(self, next_: Any, source: Any, info: strawberry.Info[World, None], **given: Any) -> Any:
        """Notes when it begins and ends."""
        info.context.log.append(f"before {given}")
        value = await next_(source, info, **given)
        info.context.log.append("after")
        return value


@strawberry.type
class Node(Named):
    """Every kind of field."""

    leafy: Leafy
    maybe_leafy: Leafy | None
    named: Named | None
    either: Either
    some_named: list[Named]
    some_either: list[Either | None] | None
    nodes: list[Annotated["Node", strawberry.lazy(__name__)]]
    leaves: list[Leafy | None]
    grid: list[list[int] | None] | None
    page: Page[Leafy]

    @strawberry.field
    def echo(
        self,
        info: strawberry.Info[World, None],
        outer: Outer | None = None,
        numbers: list[int] | None = None,
        color: Color = Color.RED,
        word: str | None = "a",
        flag: bool = False,
    ) -> str:
        """What it is given."""
        info.context.log.append(f"echo {self.id} {outer} {numbers} {color} {word} {flag}")
        return info.context.odd(info.context.random(self.id, "echo"), f"{outer} {numbers} {color} {word} {flag}")

    @strawberry.field
    async def soon(self, info: strawberry.Info[World, None], turns: int = 1, required: bool = True) -> "Node | None":
        """A node, later."""
        random = info.context.random(self.id, "soon", turns)
        info.context.log.append(f"soon {self.id} {turns} {required}")
        for _ in range(min(turns, 3)):
            await asyncio.sleep(0)
        if random.random() < info.context.oddity:
            raise random.choice([ValueError("soon, but not now"), GraphQLError("no", extensions={"code": "NO"})])
        return info.context.odd(random, info.context.node(random, 3))

    @strawberry.field
    async def loaded(self, info: strawberry.Info[World, None]) -> Leafy:
        """Something that a dataloader has."""
        found: Leafy = await info.context.loader.load(str(self.id))
        return found

    @strawberry.field(extensions=[Around()])
    async def surrounded(self, info: strawberry.Info[World, None], inner: Inner) -> str | None:
        """A resolver with an extension."""
        info.context.log.append(f"surrounded {inner}")
        return inner.word

    @strawberry.field
    def fails(self, really: bool) -> int | None:
        """Nothing but an error."""
        if really:
            raise LookupError("really")
        return None


FIRST = strawberry.ID("1")


@strawberry.type
class Query:
    """Reads."""

    @strawberry.field
    def node(self, info: strawberry.Info[World, None], id: strawberry.ID = FIRST) -> Node:  # noqa: A002
        """A node."""
        return info.context.odd(info.context.random("node", id), info.context.node(info.context.random(id), 0))

    @strawberry.field
    async def maybe_node(self, info: strawberry.Info[World, None], id: strawberry.ID | None = None) -> Node | None:  # noqa: A002
        """A node, or none."""
        return info.context.odd(info.context.random("maybe", id), info.context.node(info.context.random(id), 0))

    @strawberry.field
    async def either(self, info: strawberry.Info[World, None], number: int) -> Either | None:
        """One of two."""
        return info.context.either(info.context.random("either", number), 1)

    @strawberry.field
    def named(self, info: strawberry.Info[World, None]) -> list[Named]:
        """Some of both."""
        random = info.context.random("named")
        return info.context.many(random, [info.context.either(random, 1) for _ in range(3)])

    @strawberry.field
    def pages(self, info: strawberry.Info[World, None]) -> list[Page[Node]] | None:
        """Pages of nodes."""
        random = info.context.random("pages")
        page = Page(items=info.context.many(random, [info.context.node(random, 2)]), total=None)
        return info.context.many(random, [page, page])


@strawberry.type
class Mutation:
    """Changes."""

    @strawberry.mutation(extensions=[Around()])
    async def change(self, info: strawberry.Info[World, None], outer: Outer) -> Either | None:
        """Changes nothing."""
        info.context.log.append(f"change {outer}")
        random = info.context.random("change")
        return info.context.odd(random, info.context.either(random, 1))

    @strawberry.mutation
    def count(self, info: strawberry.Info[World, None]) -> int:
        """Says which change this is."""
        info.context.log.append("count")
        return len(info.context.log)


class Quiet(strawberry.Schema):
    """A schema that logs no errors."""

    def process_errors(self, errors: list[GraphQLError], execution_context: object = None) -> None:
        """Leave them to who asked."""


def strange_schema() -> strawberry.Schema:
    """The schema."""
    config = StrawberryConfig(scalar_map={Stamp: STAMP})
    return Quiet(Query, Mutation, types=[Leafy, Node], config=config)
