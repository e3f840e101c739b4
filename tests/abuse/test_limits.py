"""Every limit that is documented, one by one, over real sockets: each answers as stated, and is a setting."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from subscribing import PROTOCOL, Served, serving

JSON = {"content-type": "application/json"}
QUERY = '{"query": "{ __typename }"}'
FOLLOW = 'subscription { capacityChanged(kind: COMPETITION, ref: "c") { pool { version } } }'
CREATE = 'mutation { createCompetition(input: {id: "c", name: "C", quota: 600}) { __typename } }'


@pytest.fixture
async def served(owner_url: str) -> AsyncIterator[Served]:
    """A gateway on a port of its own, with all limits as they come."""
    async with serving(owner_url) as served:
        yield served


@asynccontextmanager
async def http(served: Served) -> AsyncIterator[httpx.AsyncClient]:
    """A client over real sockets."""
    async with httpx.AsyncClient(base_url=f"http://{served.address}", trust_env=False, timeout=20) as client:
        yield client


async def asked(served: Served, content: str | bytes, **headers: str) -> tuple[int, str | None]:
    """Status and first error's code of a POST of JSON."""
    async with http(served) as client:
        answer = await client.post("/graphql", content=content, headers=JSON | headers)
    errors = answer.json().get("errors") if answer.content else None
    assert errors is None or len(errors) == 1
    return answer.status_code, errors[0]["extensions"]["code"] if errors else None


async def document(served: Served, text: str, **more: Any) -> tuple[int, str | None]:
    """The same of a document."""
    return await asked(served, json.dumps({"query": text, **more}))


async def raw(served: Served, *pieces: bytes, pause_seconds: float = 0.0, patience_seconds: float = 15) -> bytes:
    """All that comes back for bytes that are sent piece by piece, until the gateway closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
    try:
        async with asyncio.timeout(patience_seconds):
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(pause_seconds)
            return await reader.read()
    except ConnectionError:
        return b""
    finally:
        writer.close()


def head(*headers: str, path: str = "/graphql") -> bytes:
    """The head of a POST."""
    lines = [f"POST {path} HTTP/1.1", "host: gateway", "content-type: application/json", *headers]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


# ------------------------------------------------------------------ the wire


async def test_a_body_past_64_kilobytes_is_too_large(served: Served) -> None:
    """413 at the first byte too many, whether its length is told beforehand or not."""
    full = QUERY.ljust(64 * 1024)

    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(full) + 1, 1024):
            yield (full + " ")[start : start + 1024].encode()

    assert await asked(served, full) == (200, None)
    assert await asked(served, full + " ") == (413, "PAYLOAD_TOO_LARGE")
    async with http(served) as client:
        answer = await client.post("/graphql", content=pieces(), headers=JSON)
    assert answer.status_code == 413


async def test_headers_past_16_kilobytes_are_refused(served: Served) -> None:
    """431 for one that is too long, for many that are together, and for a path."""
    assert await asked(served, QUERY, x="y" * 15_000) == (200, None)
    for headers in ({"x": "y" * 17_000}, {f"x{number}": "y" * 1000 for number in range(17)}):
        async with http(served) as client:
            assert (await client.post("/graphql", content=QUERY, headers=JSON | headers)).status_code == 431
    assert b" 431 " in await raw(served, head(path="/graphql?" + "x" * 17_000))


async def test_more_than_64_headers_are_refused(served: Served) -> None:
    """431 for the 65th, however small, also behind a chunked body."""
    room = 64 - 2  # those of `head`
    ended = ["connection: close", f"content-length: {len(QUERY)}"]
    most = [f"x{number}: y" for number in range(room - len(ended))]

    assert b" 200 " in await raw(served, head(*ended, *most) + QUERY.encode())
    assert b" 431 " in await raw(served, head(*ended, *most, "z: y") + QUERY.encode())
    trailers = "".join(f"t{number}: y\r\n" for number in range(70)).encode()
    found = await raw(served, head("transfer-encoding: chunked"), b"1\r\n{\r\n0\r\n", trailers, pause_seconds=0.1)
    assert b" 431 " in found or found == b""


async def test_a_header_without_an_end_is_not_kept(served: Served) -> None:
    """431 as soon as it is past 16 KB, though no header is whole."""
    found = await raw(served, b"POST /graphql HTTP/1.1\r\nx: ", *[b"y" * 4096] * 5, pause_seconds=0.01)

    assert b" 431 " in found


async def test_who_sends_slowly_is_not_waited_for(owner_url: str) -> None:
    """408, or an end, after so many seconds, for a head, a body, or nothing at all; drop by drop as well."""
    drops = [b"x"] * 30
    async with serving(owner_url, receive_seconds=1) as served:
        for pieces in (
            [head()[:40]],
            [head()[:40], *drops],
            [head("content-length: 100"), b"{"],
            [head("content-length: 100"), *drops],
            [head("transfer-encoding: chunked"), b"1\r\n{\r\n"],
        ):
            found = await raw(served, *pieces, pause_seconds=0.1, patience_seconds=3.8)
            assert b" 408 " in found or found == b"", found
        for pieces in ([], [b"\r\n"], [head(f"content-length: {len(QUERY)}") + QUERY.encode(), b"\r\n"]):
            found = await raw(served, *pieces, pause_seconds=0.1, patience_seconds=9)
            assert found == b"" or found.startswith(b"HTTP/1.1 200 ")


async def test_the_time_to_send_is_10_seconds(owner_url: str) -> None:
    """Unless it is set otherwise; and 15 of idleness are past any patience."""
    async with serving(owner_url) as served:
        assert served.gateway.settings.receive_seconds == 10
        began = asyncio.get_running_loop().time()
        await raw(served, head("content-length: 100"), b"{")
        assert 9 < asyncio.get_running_loop().time() - began < 14


async def test_who_has_sent_all_is_given_time(owner_url: str) -> None:
    """A socket and a stream of events go on, and a connection may be used again."""
    async with serving(owner_url, receive_seconds=0.5) as served:
        await served.gateway.send(CREATE)
        async with served.client() as client, served.stream(FOLLOW) as lines, http(served) as again:
            watching = await client.ask(FOLLOW)
            await watching.event()
            for _ in range(4):
                assert (await again.post("/graphql", content=QUERY, headers=JSON)).status_code == 200
                await asyncio.sleep(0.4)
            await served.gateway.send('mutation { closePool(input: {kind: COMPETITION, ref: "c"}) { __typename } }')
            assert (await watching.event())["pool"]["version"] == 1
            async with asyncio.timeout(5):
                while '"version":1' not in await anext(lines):
                    pass


async def test_pipelined_requests_are_answered_in_turn(served: Served) -> None:
    """However they are cut into packets."""
    one = head(f"content-length: {len(QUERY)}") + QUERY.encode()
    last = head(f"content-length: {len(QUERY)}", "connection: close") + QUERY.encode()

    for pieces in ([one + one + last], [one[:50], one[50:] + one[:-5], one[-5:] + last]):
        assert (await raw(served, *pieces, pause_seconds=0.02)).count(b"HTTP/1.1 200 OK") == 3


async def test_what_is_no_http_is_a_bad_request(served: Served) -> None:
    """400, and an end."""
    for nonsense in (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n"):
        assert (await raw(served, nonsense)).startswith(b"HTTP/1.1 400 ")


# ------------------------------------------------------------------ what is asked


async def test_only_json_is_a_media_type(served: Served) -> None:
    """415 for forms, multipart and text."""
    for media in ("multipart/form-data; boundary=x", "application/x-www-form-urlencoded", "text/plain", ""):
        assert await asked(served, QUERY, **{"content-type": media}) == (415, "UNSUPPORTED_MEDIA_TYPE")


@pytest.mark.parametrize(
    "body",
    [
        "{",
        "null",
        '"{ __typename }"',
        b'{"query": "\xff"}',
        '{"query": "{ __typename }", "variables": {"a": NaN}}',
        '{"query": "{ __typename }", "query": "{ __typename }"}',
        '{"query": "{ __typename }", "variables": {"a": "\\u0000"}}',
        '{"query": "{ __typename }", "variables": {"a": "\\ud800"}}',
        '{"query": "{ __typename }", "variables": {"a": ' + "[" * 63 + "]" * 63 + "}}",
    ],
)
async def test_what_is_no_request_is_a_bad_one(served: Served, body: str | bytes) -> None:
    """400 for no JSON, no object, bad UTF-8, NaN, repeated names, NUL, lone surrogates, nesting over 64."""
    assert await asked(served, body) == (400, "BAD_REQUEST")


async def test_operations_come_one_by_one(served: Served) -> None:
    """400 for an array of them, and for several in a document."""
    assert await asked(served, f"[{QUERY}, {QUERY}]") == (400, "BATCHING_DISABLED")
    assert await document(served, "query a { __typename } query b { __typename }") == (400, "BAD_REQUEST")


LIMITS: dict[str, tuple[str, str]] = {
    "tokens_max": tuple("{ pools(first: [" + "1 " * most + "]) { totalCount } }" for most in (988, 989)),  # type: ignore[dict-item]
    "depth_max": tuple(  # type: ignore[dict-item]
        "{ pools { edges { node { pool: mine { pool " + "{ mine { pool " * n + "{ id }" + " } }" * n + " } } } } }"
        for n in (3, 4)
    ),
    "aliases_max": tuple("{ " + " ".join(f"a{n}: __typename" for n in range(most)) + " }" for most in (10, 31)),  # type: ignore[dict-item]
    "root_fields_max": tuple("{ " + " ".join(["__typename"] * most) + " }" for most in (10, 11)),  # type: ignore[dict-item]
    "directives_max": tuple(  # type: ignore[dict-item]
        "{ pools { " + " ".join(["totalCount @skip(if: false)"] * most) + " } }" for most in (20, 21)
    ),
    "variables_max": tuple(  # type: ignore[dict-item]
        "query (" + " ".join(f"$v{n}: Int" for n in range(most)) + ") { __typename }" for most in (50, 51)
    ),
}
"""A document within each limit, though not always a valid one, and one just past it."""


@pytest.mark.parametrize("limit", LIMITS)
async def test_a_document_asks_for_so_much(served: Served, limit: str) -> None:
    """400 for more tokens, depth, aliases, root fields, directives or variables."""
    within, past = LIMITS[limit]

    assert (await document(served, within))[1] in (None, "GRAPHQL_VALIDATION_FAILED")
    assert await document(served, past) == (400, "LIMIT_EXCEEDED")


async def test_every_limit_is_a_setting(owner_url: str) -> None:
    """What is past one as it comes is within it when it is raised."""
    raised = dict.fromkeys(LIMITS, 10_000)
    async with serving(owner_url, **raised, body_bytes_max=200_000, header_bytes_max=40_000, headers_max=99) as served:
        for limit, (_, past) in LIMITS.items():
            assert (await document(served, past))[1] in (None, "GRAPHQL_VALIDATION_FAILED"), limit
        assert await asked(served, QUERY.ljust(100_000), x="y" * 30_000) == (200, None)
        assert await asked(served, QUERY, **{f"x{number}": "y" for number in range(80)}) == (200, None)


async def test_a_document_changes_one_thing(served: Served) -> None:
    """400 for two mutations, and neither is done."""
    two = CREATE.replace("createCompetition", "a: createCompetition").replace(
        " }", ' } b: createCompetition(input: {id: "d", name: "D", quota: 1}) { __typename }', 1
    )

    assert await document(served, two) == (400, "LIMIT_EXCEEDED")
    assert await served.gateway.send("{ competitions { totalCount } }") in ({"totalCount": 0}, {"totalCount": None})


async def test_changes_come_by_post_alone(served: Served) -> None:
    """405 for a GET with a mutation, and for other methods."""
    async with http(served) as client:
        found = [await client.get("/graphql", params={"query": CREATE})]
        found += [await client.request(method, "/graphql") for method in ("PUT", "DELETE", "PATCH")]

    for answer in found:
        assert (answer.status_code, answer.json()["errors"][0]["extensions"]["code"]) == (405, "METHOD_NOT_ALLOWED")


async def test_pages_of_other_origins_are_refused(served: Served) -> None:
    """403, over a socket too."""
    assert await asked(served, QUERY, origin="https://elsewhere.example") == (403, "CSRF")
    with pytest.raises(InvalidStatus) as refused:
        async with served.socket(origin="https://elsewhere.example"):
            pass
    assert refused.value.response.status_code == 403


async def test_production_shows_no_schema(owner_url: str) -> None:
    """400 for introspection; and a wrong name is led to no right one, there or elsewhere."""
    async with serving(owner_url, production=True) as served:
        assert await document(served, "{ __schema { queryType { name } } }") == (400, "INTROSPECTION_DISABLED")
        answer = await served.gateway.post("{ competition1 }")
        assert "Did you mean" not in answer["errors"][0]["message"]


# ------------------------------------------------------------------ sockets


async def test_sockets_have_their_number(owner_url: str) -> None:
    """503 for one more, socket or stream, while requests are answered as ever; an end makes room."""
    async with serving(owner_url, sockets_max=2) as served:
        await served.gateway.send(CREATE)
        async with served.client(), served.stream(FOLLOW):
            with pytest.raises(InvalidStatus) as refused:
                async with served.socket():
                    pass
            assert refused.value.response.status_code == 503
            async with http(served) as client:
                answer = await client.post("/graphql/stream", json={"query": FOLLOW}, headers=served.gateway.login())
                assert (answer.status_code, answer.json()["errors"][0]["extensions"]["code"]) == (503, "BUSY")
                assert (await client.get("/healthz")).status_code == 200
            assert await asked(served, QUERY) == (200, None)
        async with asyncio.timeout(5):
            while not await admitted(served):  # noqa: ASYNC110 - the gateway tells nobody
                await asyncio.sleep(0.05)


async def test_a_holder_has_so_many_sockets(owner_url: str) -> None:
    """1013, try again later, for one more; others get in. Who has no login is known by his address."""
    async with serving(owner_url, sockets_per_holder_max=1) as served:
        await served.gateway.send(CREATE)
        ada = served.gateway.login("ada")
        async with served.client(), served.client({}):
            for login, code in ((None, 1013), ({}, 1013)):
                payload = served.gateway.login() if login is None else login
                async with served.socket(payload) as socket:
                    assert await closed(socket) == code
            async with served.stream(FOLLOW, ada), http(served) as client:
                answer = await client.post("/graphql/stream", json={"query": FOLLOW}, headers=ada)
                assert answer.status_code == 503


async def admitted(served: Served) -> bool:
    """Whether a socket may be opened."""
    try:
        async with connect(f"ws://{served.address}/graphql", subprotocols=[PROTOCOL], proxy=None):
            return True
    except InvalidStatus:
        return False


async def closed(socket: ClientConnection) -> int | None:
    """The code that a socket is closed with."""
    async with asyncio.timeout(5):
        try:
            while True:
                await socket.recv()
        except ConnectionClosed:
            return socket.close_code
