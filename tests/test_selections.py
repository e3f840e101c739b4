"""Compiled selections answer as graphql-core does, byte for byte, whatever the document, the variables and values."""

import asyncio
import gc
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from random import Random
from typing import Any

import orjson
import pytest
from graphql import parse
from strawberry.schema import Schema

import memory
from capacity_gateway.documents import Document, read_document
from capacity_gateway.schema import schema as schema_of_the_gateway
from capacity_gateway.schema import subgraph_sdl
from capacity_gateway.selections import NotCompiled, Operation
from capacity_gateway.settings import Settings
from conftest import Gateway
from documenting import Writer
from strange import World, strange_schema

LIMITS = Settings().limits()
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
    document = read_document(schema, text, LIMITS)
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
    """Hold so many cases against graphql-core; the answers must be equal, and so must what was called for them.

    What is left of them is collected here and nowhere else: within a named tuple's `__new__`, which knows no
    `__import__`, the warning of a coroutine that was never awaited would be a KeyError.
    """
    count: Counter[str] = Counter()
    with collecting_seldom() as collect:
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
            if count["cases"] % 500 == 0:
                collect()
    return count


@contextmanager
def collecting_seldom() -> Iterator[Callable[[], int]]:
    """Collect no garbage but by this call, and at the end."""
    gc.disable()
    try:
        yield gc.collect
    finally:
        gc.collect()
        gc.enable()


@pytest.mark.filterwarnings("ignore:coroutine .* was never awaited")  # what is cancelled before it began, by both
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
    subgraph_sdl()  # the first time it is made in a thread, which answers when it likes
    count = await compare(schema_of_the_gateway(), 1500, memory.context, lambda context: context.reads.log)

    assert count["not run"] < count["cases"] / 10
    assert count["errors"] > count["cases"] / 10


MANY = " ".join(f"a{number}: __typename" for number in range(501))
LEFT = [
    "mutation { count other: count }",
    "{ __schema { queryType { name } } }",
    '{ __type(name: "Node") { name } }',
    f"{{ node {{ {MANY} }} }}",
]
"""Several changes, which come one after the other; questions about the schema; more fields than are compiled."""


@pytest.mark.parametrize("text", LEFT)
async def test_some_operations_are_left_to_graphql_core(text: str) -> None:
    """Nothing is done of them: no resolver is called twice."""
    world = World("left", 0.0)

    assert await Operation(strange_schema(), parse(text)).execute(world, {}, None) is None
    assert world.log == []


async def test_a_document_is_compiled_when_it_comes_again() -> None:
    """One that comes once, as those with values written into them do, is not worth it."""
    schema = strange_schema()
    document = read_document(schema, "{ named { id } }", LIMITS)
    assert isinstance(document, Document)

    for compiled_by_now in (False, True, True):
        result = await document.execute(World("again", 0.0), {}, None)
        assert (result.errors, "_compiled" in vars(document)) == (None, compiled_by_now)


POOL = "pool { id kind ref title quota held confirmed available version openedAt waitlist { waiting } }"
SAME_AGAIN = [
    "{ competitions(first: 2) { edges { cursor node { id name pool { available } } } pageInfo { hasNextPage } } }",
    f"{{ pools(kind: EVENT, first: 3) {{ edges {{ node {{ {POOL[7:-2]} }} }} }} }}",
    """query ($ref: ID!) { capacity(kind: EVENT, ref: $ref) { available mine { state } ledger(first: 3) { totalCount
       edges { cursor node { version change reason actor recordedAt pool { title } } } } } }""",
    "query ($ref: ID!) { capacityEvent(id: $ref) { id name pool { held } sessions { id } stream { id } } }",
    "query ($ref: ID!) { a: capacity(kind: EVENT, ref: $ref) { version } b: capacity(kind: EVENT, ref: $ref) { id } }",
    '{ capacity(kind: EVENT, ref: "nowhere") { id } }',
    "query ($ref: ID!) { capacity(kind: EVENT, ref: $ref) { reconciliation { isAccurate pool { id } } } }",
    '{ ledgerActivity(first: 2, after: "nonsense") { totalCount } }',
]
"""Queries that answer the same as long as nothing changes."""


@pytest.mark.parametrize("text", SAME_AGAIN)
async def test_over_the_real_database_the_second_answer_is_the_first(gateway: Gateway, text: str) -> None:
    """The first is graphql-core's, the second is the compiled one."""
    admin = gateway.login("ada", "admin")
    create = 'mutation { createEvent(input: {id: "e", name: "E", quota: 3}) { __typename } }'
    register = 'mutation { register(input: {eventId: "e"}) { __typename } }'
    for document in (create, register):
        await gateway.send(document, headers=admin)
    read_document.cache_clear()
    given = {"ref": "e"} if "$ref" in text else {}

    first, second = [await gateway.post(text, given, admin) for _ in range(2)]

    assert second == first
    assert read_document.cache_info().hits == 1


async def test_a_mutation_sent_again_is_answered_alike(gateway: Gateway) -> None:
    """By graphql-core the first time and compiled the second, with the same numbers, entries and places."""
    admin = gateway.login("ada", "admin")
    await gateway.send('mutation { createEvent(input: {id: "e", name: "E", quota: 3}) { __typename } }', headers=admin)
    text = f"""mutation ($input: RegisterInput!) {{ register(input: $input) {{
      __typename
      ... on RegistrationSuccess {{ registration {{ id status ticketCode event {{ name }} }} {POOL}
        entries {{ id version change reason availableAfter hash pool {{ id }} }} }}
      ... on CapacityError {{ code message retry }} }} }}"""
    given = {"input": {"eventId": "e", "idempotencyKey": "once"}}

    first, second = [await gateway.send(text, given, admin) for _ in range(2)]

    assert first["__typename"] == "RegistrationSuccess"
    assert second == first
