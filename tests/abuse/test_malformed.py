"""Ten thousand requests that are malformed in every way: no server error, nothing told of what is inside, no leak."""

import asyncio
import gc
import json
import logging
import os
import re
import string
import traceback
from collections import Counter
from collections.abc import Callable
from random import Random
from typing import Any

import httpx
import psutil  # type: ignore[import-untyped, unused-ignore]
import pytest
import structlog

from capacity_gateway.schema import schema
from conftest import Gateway
from documenting import Writer

REQUESTS = 10_000
AT_A_TIME = 8
GROWTH_BYTES_MAX = 50 * 2**20
LEAKS = re.compile(
    r"Traceback|\.py\b|/site-packages|/src/|line \d+, in|asyncpg|psycopg|postgres|SELECT |INSERT |UPDATE |DELETE "
    r"|capacity\.(apply|pool|claim|ledger)|pg_|relation |syntax error at|invalid input syntax|constraint|'NoneType'"
    r"|<class|object at 0x|Error\(|KeyError|ValueError|TypeError|utf-8|codec|surrogate",
)
VALID = [
    ("{ pools(first: 2) { edges { node { id available } } } }", {}),
    ("query ($r: ID!) { capacity(kind: COMPETITION, ref: $r) { id quota } }", {"r": "c"}),
    (
        "mutation ($i: RegisterInput!) { register(input: $i) { __typename ... on CapacityError { code message } } }",
        {"i": {"eventId": "e", "idempotencyKey": "k", "guestEmail": "ann@example.org"}},
    ),
    ("mutation ($s: ID!) { joinVirtualSession(sessionId: $s) { success message } }", {"s": "s"}),
    (
        "query ($t: DateTime!) { capacity(kind: EVENT, ref: 1) { at(time: $t) { version } } }",
        {"t": "2026-01-01T00Z"},
    ),
]
STRANGE: list[Any] = [
    None, True, 0, -1, 1.5, 2**31, 2**63, 10**400, 1e308, "", "x", "\0", "\ud800", "\u202e", "\U0001f4a9" * 90,
    "x" * 5000, "' OR 1=1; --", "../../etc/passwd", "%s%n", "${jndi:x}", [], [[]], {}, {"": None}, [1, "a", None],
    "2026-02-30T00:00:00Z", "9999-12-31T23:59:59-23:59", "0001-01-01T00:00:00+23:59",
]  # fmt: skip
PIECES = ["{", "}", "(", ")", "[", "]", ":", "!", "...", "@", "$", '"', '"""', "#", "\\", "&", "|", "=", "\ufeff", "\0"]


def strange_value(random: Random, value: Any) -> Any:
    """The same value, with something in it exchanged."""
    if isinstance(value, dict) and value and random.random() < 0.8:
        name = random.choice(list(value))
        return value | {name: strange_value(random, value[name])}
    return random.choice(STRANGE)


def strange_text(random: Random, text: str) -> str:
    """A text with pieces cut out, put in, or doubled."""
    for _ in range(random.randrange(1, 4)):
        at, length = random.randrange(len(text) + 1), random.randrange(9)
        piece = random.choice([*PIECES, text[at : at + length], random.choice(string.printable), "9" * 50, ""])
        text = text[:at] + piece + text[at + random.choice([0, length]) :]
    return text


def document(random: Random) -> bytes:
    """A document that has been damaged, or was written at random out of the schema."""
    text, variables = random.choice(VALID)
    if random.random() < 0.4:
        writer = Writer(schema()._schema, random)  # noqa: SLF001 - the built schema
        text = writer.document()
        variables = writer.variables()
    return dumped({"query": strange_text(random, text), "variables": variables})


def variables(random: Random) -> bytes:
    """A good document with strange variables."""
    text, given = random.choice(VALID)
    return dumped({"query": text, "variables": strange_value(random, given)})


def fields(random: Random) -> bytes:
    """A request whose fields are of other types, too many, or missing."""
    text, given = random.choice(VALID)
    request = {"query": text, "variables": given, "operationName": None, "extensions": None}
    for _ in range(random.randrange(1, 3)):
        request[random.choice([*request, "id"])] = random.choice(STRANGE)
    if random.random() < 0.2:
        request["extensions"] = {"persistedQuery": random.choice([*STRANGE, {"version": 1, "sha256Hash": "0" * 64}])}
    return dumped(request)


def damaged(random: Random) -> bytes:
    """Bytes of which some are others."""
    text, given = random.choice(VALID)
    body = bytearray(dumped({"query": text, "variables": given}))
    for _ in range(random.randrange(1, 6)):
        body[random.randrange(len(body))] = random.randrange(256)
    return bytes(body[: random.choice([len(body), random.randrange(len(body))])])


def encoded(random: Random) -> bytes:
    """Another encoding."""
    text, given = random.choice(VALID)
    return json.dumps({"query": text, "variables": given}).encode(
        random.choice(["utf-16", "utf-32", "utf-7", "utf-8-sig", "cp037"])
    )


def nested(random: Random) -> bytes:
    """Arrays and objects within each other, closed or not."""
    depth = random.choice([60, 64, 65, 500, 20_000])
    opening, closing = random.choice([("[", "]"), ('{"a":', "}")])
    inner = opening * depth + "1" + closing * random.choice([depth, depth - 1, 0])
    return f'{{"query": "{{ __typename }}", "variables": {{"a": {inner}}}}}'.encode()[:65_000]


def number(random: Random) -> bytes:
    """Numbers that are none, or past all bounds."""
    digits = random.choice(["9" * 5000, "1e999999", "-0", "1E400", "0x10", "01", "NaN", "-Infinity", "1.", ".5", "+1"])
    query = "query ($n: Int!) { pools(first: $n) { totalCount } }"
    return f'{{"query": "{query}", "variables": {{"n": {digits}}}}}'.encode()


def noise(random: Random) -> bytes:
    """Bytes."""
    return random.randbytes(random.randrange(300))


def dumped(value: Any) -> bytes:
    """JSON, with lone surrogates as they are."""
    return json.dumps(value).encode()


KINDS: list[Callable[[Random], bytes]] = [document, variables, fields, damaged, encoded, nested, number, noise]
MEDIA = ["application/json"] * 9 + ["", "text/plain", "application/json; charset=utf-16", "multipart/form-data", "\xff"]


async def ask(gateway: Gateway, random: Random, login: dict[str, str]) -> tuple[int, str]:
    """Send one; the status and text of the answer."""
    kind = random.choice(KINDS)
    headers = login | {"content-type": random.choice(MEDIA)}
    if random.random() < 0.1:
        headers |= {random.choice(["authorization", "x-idempotency-key", "accept", "origin", "host"]): "\xff'\"; x"}
    method, content = random.choice([*["POST"] * 40, "GET", "GET", "PUT", "HEAD"]), kind(random)
    given: Any = {"content": content}
    if method == "GET":
        given = {"params": {"query": content[:500].decode("latin-1"), "variables": random.choice(["{", "{}", ""])}}
    as_sent = httpx.Headers(headers, encoding="latin-1")
    answer = await gateway.http.request(method, "/graphql", headers=as_sent, **given)
    return answer.status_code, answer.text


async def test_ten_thousand_malformed_requests(gateway: Gateway, caplog: pytest.LogCaptureFixture) -> None:
    """None is a server error, none is told of SQL, paths, tracebacks or the driver, and they leave no memory behind."""
    chosen = int(os.environ.get("CAPACITY_TEST_SEED", Random().randrange(2**32)))  # noqa: S311 - repeated by its seed
    logins = [gateway.login(), gateway.login("ada", "admin"), gateway.login("ann", None), {}]
    numbers = iter(range(REQUESTS))
    found: Counter[int] = Counter()
    wrong: list[str] = []

    async def client() -> None:
        for number in numbers:
            random = Random(f"{chosen} {number}")  # noqa: S311 - same
            status, text = await ask(gateway, random, random.choice(logins))
            found[status] += 1
            if status >= 500 or '"INTERNAL"' in text or LEAKS.search(text):
                wrong.append(f"{number}: {status} {text[:300]}")
            if number == REQUESTS // 5:
                before.append(memory())

    before: list[int] = []
    with structlog.testing.capture_logs() as entries:
        await asyncio.gather(*(client() for _ in range(AT_A_TIME)))
    grown = memory() - before[0]
    bugs = [entry["request_id"] + stack(entry["exc_info"]) for entry in entries if entry["log_level"] == "error"]

    assert wrong + bugs == [], "\n".join([f"CAPACITY_TEST_SEED={chosen}", *wrong, *bugs])
    assert found[200] > REQUESTS / 20
    assert found[400] > REQUESTS / 5
    assert grown <= GROWTH_BYTES_MAX
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


def stack(error: BaseException) -> str:
    """Where an error was raised."""
    return "\n" + "".join(traceback.format_exception(error))


def memory() -> int:
    """What this process has in memory."""
    gc.collect()
    resident: int = psutil.Process().memory_info().rss
    return resident
