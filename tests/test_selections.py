"""Compiled selections answer as graphql-core does, byte for byte, whatever the document, the variables and values."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from random import Random
from typing import Any

import orjson
from strawberry.schema import Schema

import memory
from capacity_gateway.documents import Document, read_document
from capacity_gateway.schema import schema as schema_of_the_gateway
from capacity_gateway.selections import NotCompiled, Operation
from documenting import Writer
from strange import World, strange_schema

TURNS = 10  # of one document, with other values and other variables
ODDITIES = (0.0, 0.01, 0.05, 0.2)


def shown(result: Any) -> bytes:
    """A result as bytes: data, and all there is to know of each error."""
    errors = [[error.formatted, repr(error.original_error)] for error in result.errors or ()]
    return orjson.dumps({"data": result.data, "errors": errors}, default=repr)


async def settled(execution: Any) -> Any:
    """What an execution comes to, when nothing of it goes on in the background any more."""
    result = await execution
    for _ in range(8):
        await asyncio.sleep(0)
    return result


def compiled(schema: Schema, text: str) -> tuple[Document, Operation] | None:
    """A document and its operation, if it is valid and can be compiled."""
    document = read_document(schema, text)
    if not isinstance(document, Document) or document.errors:
        return None
    try:
        return document, Operation(schema, document.node)
    except NotCompiled:
        return None


async def cases(schema: Schema, total: int) -> AsyncIterator[tuple[str, Document, Operation, dict[str, Any]]]:
    """So many cases: a seed, a document and its operation, and variables for it. Each is printed."""
    count = 0
    for number in range(100 * total):
        writer = Writer(schema._schema, Random(number))  # noqa: S311, SLF001 - repeated by its seed
        text = writer.document()
        made = compiled(schema, text)
        if made is None:
            continue
        for turn in range(TURNS):
            given = writer.variables()
            print(f"seed {number}, turn {turn}: {text}\n{given}")  # noqa: T201 - pytest shows it where a case fails
            yield f"{number} {turn}", made[0], made[1], given
            count += 1
        if count >= total:
            return


async def compare(
    schema: Schema, total: int, context: Callable[[str], Any], log: Callable[[Any], list[str]]
) -> Counter[str]:
    """Hold so many cases against graphql-core; the answers must be equal, and so must what was called for them."""
    count: Counter[str] = Counter()
    async for seed, document, operation, given in cases(schema, total):
        one, other = context(seed), context(seed)
        expected = await settled(document.by_graphql_core(one, given, None))
        found = await settled(operation.execute(other, given, None))
        count["cases"] += 1
        count["not run"] += found is None
        if found is not None:
            assert shown(found) == shown(expected)
            assert log(other) == log(one)
            count["errors"] += bool(expected.errors)
            count["null"] += expected.data is None
    return count


async def test_whatever_is_strange_is_answered_alike() -> None:
    """Values of every kind, right and wrong, under documents of every kind, with variables of every kind."""
    numbers = iter(range(10**9))
    count = await compare(
        strange_schema(), 5000, lambda seed: World(seed, ODDITIES[next(numbers) // 2 % len(ODDITIES)]), lambda w: w.log
    )

    assert count["not run"] < count["cases"] / 10
    assert count["errors"] > count["cases"] / 4
    assert count["null"] > count["cases"] / 20


async def test_the_gateways_own_schema_is_answered_alike() -> None:
    """Every query and mutation there is, over rows by chance instead of a database, and with reads that are busy."""
    count = await compare(schema_of_the_gateway(), 1500, memory.context, lambda context: context.reads.log)

    assert count["not run"] < count["cases"] / 10
    assert count["errors"] > count["cases"] / 10
