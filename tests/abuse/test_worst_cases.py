"""No document and no body of up to 64 KB keeps the gateway from answering others for over 50 ms."""

import asyncio
import gc
import json
import time
from collections.abc import Iterator

import pytest

from conftest import Gateway

BYTES = 64 * 1024 - 100
BLOCKED_SECONDS_MAX = 0.05
STEPS = 2  # the least of so many is no collection of garbage


def within(before: str, unit: str, after: str) -> str:
    """A document filled up to the limit, as JSON."""
    return before + unit * ((BYTES - len(before) - len(after)) // (len(json.dumps(unit)) - 2)) + after


def string(unit: str, quotes: str = '"') -> str:
    """A document with a long string."""
    return within(f"{{ pools(after: {quotes}", unit, f"{quotes}) {{ totalCount }} }}")


def many(before: str, each: str, number: int, after: str) -> str:
    """A document with so many of something, each with its number."""
    return before + " ".join(each.format(n=n, next=n + 1) for n in range(number)) + after


def chain(length: int, body: str) -> str:
    """Fragments of which each spreads the next."""
    end = f" fragment f{length} on Query {{ __typename }}"
    return many("{ ...f0 } ", "fragment f{n} on Query {{ " + body + " }}", length, end)


def nodes(each: str, number: int = 1) -> str:
    """Fields of every pool."""
    return many("{ pools { edges { node { ", each, number, " } } } }")


SPREADS = " ".join(f"...f{number}" for number in range(20))
DEEP = "edges {{ node {{ mine {{ pool {{ mine {{ pool {{ id }} }} }} }} }} }}"
TYPES = "types {{ name fields {{ name description args {{ name type {{ name }} }} type {{ name }} }} }}"
DOCUMENTS = {
    "braces": within("", "{", ""),
    "many fields": many("{ ", "__typename", 990, " }"),
    "unknown fields": nodes("x{n}", 900),
    "long unknown fields": nodes("x{n}" + "z" * 60, 900),
    "unknown fields, far apart": nodes("x{n}" + "\n" * 30, 900),
    "a long name": within("{ ", "a", " }"),
    "fragments in a chain": chain(80, "...f{next} ...f{next}"),
    "fragments in a wide chain": chain(20, "...f{next} " * 10),
    "fields in a chain": chain(40, "...f{next} pools {{ edges {{ cursor }} }}"),
    "fragments in a circle": many("{ ...f0 } ", "fragment f{n} on Query {{ ...f{next} }}", 99, ""),
    "fragments of fragments": many("{ ...f0 } ", "fragment f{n} on Query {{ " + SPREADS + " }}", 20, ""),
    "fragments that are not spread": many("{ __typename } ", "fragment f{n} on Query {{ __typename }}", 120, ""),
    "one fragment often": "{ " + "...f " * 480 + "} fragment f on Query { __typename }",
    "the same field": nodes("id", 900),
    "the same field, 60 times": nodes("id", 60),
    "the same fields in the depth": many("{ pools { ", DEEP, 40, " } }"),
    "the same fields in the depth, 20 times": many("{ pools { ", DEEP, 20, " } }"),
    "fields that differ in arguments": nodes("ledger(first: {n}) {{ totalCount }}", 80),
    "uses of a variable": "query ($f: Int) " + nodes("ledger(first: $f) {{ totalCount }}", 80),
    "fragments in the depth": "{ " + "... on Query { " * 160 + "__typename" + " }" * 160 + " }",
    "directives": "{ __typename " + "@skip(if: false) " * 120 + "}",
    "unknown directives": "{ __typename " + "@x " * 450 + "}",
    "a string": string("a"),
    "escapes": string("\\\\"),
    "unicode": string("\\u00e9"),
    "surrogates": string("\\ud83d\\ude00"),
    "a block": string("a\n ", '"""'),
    "an empty block": string("\n", '"""'),
    "quotes in a block": string('\\"""', '"""'),
    "an integer": within("{ pools(first: ", "9", ") { totalCount } }"),
    "a fraction": within("{ pools(first: 1.", "9", ") { totalCount } }"),
    "comments": within("", "#\n", "{ __typename }"),
    "commas": within("{ __typename ", ",", "}"),
    "lines": within("{ __typename ", "\n", "}"),
    "other lines": within("{ x ", "\r", "}"),
    "lists": "{ pools(first: " + "[" * 180 + "]" * 180 + ") { totalCount } }",
    "objects": "mutation { register(input: " + "{a: " * 180 + "1" + "}" * 180 + ") { __typename } }",
    "a wide object": many("mutation { register(input: {", "a{n}: 1", 300, "}) { __typename } }"),
    "variables": many("query (", "$v{n}: Int", 300, ") { __typename }"),
    "a type": "query ($a: " + "[" * 180 + "Int" + "]" * 180 + ") { __typename }",
    "variables that are not there": many("{ pools(", "a{n}: $v{n}", 200, ") { totalCount } }"),
    "introspection": many("{ ", "a{n}: __schema {{ " + TYPES + " }}", 10, " }"),
}

LISTS = {
    "numbers": [0] * (BYTES // 3),
    "texts": ["x"] * (BYTES // 5),
    "nulls": [None] * (BYTES // 6),
    "objects": [{}] * (BYTES // 4),
    "nested": [[[[]]]] * (BYTES // 9),
    "a long text": "x" * (BYTES - 500),
    "a wide object": {f"x{number}": 0 for number in range(5000)},
    "a long number": 10**4000,
}
"""Values of variables as large as a body may be."""

TAKES = {
    "a list of words": "query ($v: [LedgerReason!]) { ledgerActivity(filter: {reasons: $v}) { totalCount } }",
    "an id": "query ($v: ID!) { capacity(kind: COMPETITION, ref: $v) { id } }",
    "an input": "mutation ($v: RegisterInput!) { register(input: $v) { __typename } }",
    "lists in an input": (
        'mutation ($v: [ID!]) { register(input: {eventId: "e", idempotencyKey: "k", sessionIds: $v}) { __typename } }'
    ),
    "a scalar of any kind": "query ($v: [_Any!]!) { _entities(representations: $v) { __typename } }",
}
"""Documents with a variable."""


@pytest.fixture(autouse=True)
def unhurried() -> Iterator[None]:
    """Without collections of garbage, which are of the whole test's."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


async def longest_step(gateway: Gateway, body: str) -> tuple[float, int]:
    """How long a request keeps the loop from turning, in seconds of this thread's own time; and its status."""
    longest = 0.0

    async def turn() -> None:
        nonlocal longest
        while True:
            began = time.thread_time()
            await asyncio.sleep(0)
            longest = max(longest, time.thread_time() - began)

    turning = asyncio.create_task(turn())
    headers = gateway.login("ada", "admin") | {"content-type": "application/json"}
    answer = await gateway.http.post("/graphql", content=body, headers=headers)
    turning.cancel()
    return longest, answer.status_code


async def blocked(gateway: Gateway, bodies: list[str]) -> float:
    """The least of the longest steps of equal requests, of which none has been seen before."""
    steps = [await longest_step(gateway, body) for body in bodies]
    assert {status for _, status in steps} <= {200, 400}
    return min(step for step, _ in steps)


async def test_no_document_blocks(gateway: Gateway) -> None:
    """Whatever it is full of, the first time that it comes, and when its selection is compiled."""
    for name, text in DOCUMENTS.items():
        fresh = [json.dumps({"query": f"{text} #{number}"}) for number in range(STEPS)]
        assert await blocked(gateway, fresh) < BLOCKED_SECONDS_MAX, name
        assert await blocked(gateway, fresh[:1] * STEPS) < BLOCKED_SECONDS_MAX, name


async def test_no_value_blocks(gateway: Gateway) -> None:
    """Whatever a variable is full of."""
    for takes, query in TAKES.items():
        for name, value in LISTS.items():
            body = json.dumps({"query": query, "variables": {"v": value}}, separators=(",", ":"))
            assert await blocked(gateway, [body] * STEPS) < BLOCKED_SECONDS_MAX, (takes, name)
