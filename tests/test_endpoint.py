"""GraphQL over HTTP: what comes in is checked, what goes out is formatted, and nothing else gets out."""

import asyncio
import base64
import json
import re
import time
from typing import Any
from urllib.parse import urlencode

import asyncpg
import pytest
import structlog

from conftest import NOBODY_READS, Gateway, eventually, running

JSON = {"content-type": "application/json"}
CREATE = 'mutation { createCompetition(input: {id: "c", name: "C", quota: 600}) { __typename } }'


def body(query: str, **more: Any) -> bytes:
    """An operation as JSON."""
    return json.dumps({"query": query, **more}).encode()


async def sent(gateway: Gateway, content: bytes, **headers: str) -> tuple[int, str | None]:
    """Status and first error's code of a POST, by default of JSON and by a director."""
    response = await gateway.http.post("/graphql", content=content, headers=gateway.login() | JSON | headers)
    assert response.headers["content-type"] == "application/json"
    return response.status_code, code(response.json())


def code(answer: dict[str, Any]) -> str | None:
    """The code of an answer's only error that is not a field's own."""
    if "errors" not in answer:
        return None
    (error,) = answer["errors"]
    assert set(error) <= {"message", "locations", "path", "extensions"}
    found: str = error["extensions"]["code"]
    return found


MALFORMED = [
    b"",
    b"null",
    b'"x"',
    b"1",
    b"{",
    b"query={__typename}",
    b'{"query": "{ __typename }"} x',
    b'{"query": "{ __typename }", }',
    b"{'query': '{ __typename }'}",
    b"\xff\xfe",
    b'{"query": "\xff"}',
    b"\xef\xbb\xbf" + body("{ __typename }"),
    body("{ __typename }").decode().encode("utf-16"),
    b'{"query": "{ __typename }", "variables": {"a": NaN}}',
    b'{"query": "{ __typename }", "variables": {"a": -Infinity}}',
    b'{"query": "{ __typename }", "query": "{ __typename }"}',
    b'{"query": "{ __typename }", "variables": {"a": 1, "a": 1}}',
    b'{"query": "{ __typename }", "variables": {"a": "\\u0000"}}',
    b'{"query": "{ __typename }", "variables": {"\\u0000": 1}}',
    b'{"query": "{ __typename }", "variables": {"a": "\\ud800"}}',
    b'{"query": "{ __typename }", "variables": {"\\udc00": 1}}',
    b'{"query": "{ __typename }", "variables": {"a": ' + b"[" * 64 + b"]" * 64 + b"}}",
    b"[" * 60_000,
    b'{"query": "{ __typename }", "variables": {"a": ' + b"9" * 5000 + b"}}",
    b"{}",
    b'{"query": null}',
    b'{"query": 1}',
    b'{"query": ""}',
    b'{"query": ["{ __typename }"]}',
    b'{"query": "{ __typename }", "variables": []}',
    b'{"query": "{ __typename }", "variables": "{}"}',
    b'{"query": "{ __typename }", "operationName": 1}',
    b'{"query": "{ __typename }", "extensions": 1}',
]
"""Whatever is no JSON object with an operation."""

LIMITS = {
    "tokens": "{ " + "__typename " * 1001 + "}",
    "depth": "{ competitions " + "{ edges { node { pool { ledger " * 3 + "{ totalCount }" + " }" * 13,
    "aliases": "{ " + " ".join(f"a{number}: __typename" for number in range(31)) + " }",
    "root fields": "{ " + " ".join(f"a{number}: pools {{ totalCount }}" for number in range(11)) + " }",
    "capacity mutations": "mutation { a: closePool(input: {kind: COMPETITION, ref: 1}) { __typename } "
    "b: closePool(input: {kind: COMPETITION, ref: 2}) { __typename } }",
    "directives": "{ " + " ".join(f"a{number}: __typename @skip(if: false)" for number in range(21)) + " }",
    "variables": "query (" + " ".join(f"$v{number}: Int = 1" for number in range(51)) + ") { __typename }",
}
"""A document just past each limit."""


# ------------------------------------------------------------------ what comes in


async def test_a_malformed_body_is_a_bad_request(gateway: Gateway) -> None:
    """Read strictly: 400 and never a 500, for bad UTF-8, NaN, repeated names, NUL, lone surrogates, deep nesting."""
    for content in MALFORMED:
        assert await sent(gateway, content) == (400, "BAD_REQUEST"), content[:60]


async def test_a_well_formed_body_is_answered(gateway: Gateway) -> None:
    """Whatever else is in it, and with variables, operation name and extensions null."""
    nested: Any = "x"
    for _ in range(62):
        nested = [nested]
    more = {"variables": {"a": nested}, "operationName": None, "extensions": None, "unknown": 1}

    assert await sent(gateway, body("{ __typename }", **more)) == (200, None)
    assert await sent(gateway, body("query a { __typename }", operationName="a", extensions={"x": 1})) == (200, None)


async def test_only_json_is_a_media_type(gateway: Gateway) -> None:
    """Forms, multipart and text are refused: a browser would send those across origins unasked."""
    for media in (
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "text/plain",
        "application/graphql",
        "application/jsonx",
        "",
    ):
        found = await sent(gateway, body("{ __typename }"), **{"content-type": media})
        assert found == (415, "UNSUPPORTED_MEDIA_TYPE"), media
    for media in ("application/json; charset=utf-8", "Application/JSON"):
        assert await sent(gateway, body("{ __typename }"), **{"content-type": media}) == (200, None)


async def test_a_body_has_at_most_64_kilobytes(gateway: Gateway) -> None:
    """Not one byte more."""
    full = body("{ __typename }").ljust(64 * 1024)

    assert await sent(gateway, full) == (200, None)
    assert await sent(gateway, full + b" ") == (413, "PAYLOAD_TOO_LARGE")


async def test_queries_may_come_by_get(gateway: Gateway) -> None:
    """With variables and operation name; malformed variables are a bad request."""
    await gateway.send(CREATE)
    document = "query a($ref: ID!) { capacity(kind: COMPETITION, ref: $ref) { quota } }"

    answers = [
        await gateway.http.get(f"/graphql?{urlencode({'query': document, 'operationName': 'a', 'variables': given})}")
        for given in ('{"ref": "c"}', '{"ref": ', "[]", '{"ref": "c", "ref": "d"}')
    ]

    assert answers[0].json() == {"data": {"capacity": {"quota": 600}}}
    assert [answer.status_code for answer in answers] == [200, 400, 400, 400]


async def test_a_get_without_a_query_is_a_bad_request(gateway: Gateway) -> None:
    """Unless a browser asks for a page."""
    answer = await gateway.http.get("/graphql?x=1", headers={"accept": "application/json"})

    assert (answer.status_code, code(answer.json())) == (400, "BAD_REQUEST")


async def test_a_mutation_by_get_is_not_allowed(gateway: Gateway) -> None:
    """A link must change nothing."""
    answer = await gateway.http.get(f"/graphql?{urlencode({'query': CREATE})}", headers=gateway.login())

    assert (answer.status_code, code(answer.json())) == (405, "METHOD_NOT_ALLOWED")


async def test_a_mutation_by_get_changes_nothing(gateway: Gateway) -> None:
    """Whichever words refuse it."""
    answer = await gateway.http.get(f"/graphql?{urlencode({'query': CREATE})}", headers=gateway.login())

    assert answer.is_client_error
    assert await gateway.send('{ competition(id: "c") { id } }') is None


async def test_other_methods_are_not_allowed(gateway: Gateway) -> None:
    """And say so as GraphQL does."""
    for method in ("PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"):
        answer = await gateway.http.request(method, "/graphql", headers=gateway.login())
        assert (answer.status_code, code(answer.json())) == (405, "METHOD_NOT_ALLOWED"), method


async def test_an_array_of_operations_is_no_operation(gateway: Gateway) -> None:
    """An empty one too."""
    for content in (b"[]", b"[" + body("{ __typename }") + b"]"):
        assert await sent(gateway, content) == (400, "BATCHING_DISABLED")


@pytest.mark.parametrize("named", [None, "b", "c"])
async def test_a_document_is_one_operation(gateway: Gateway, named: str | None) -> None:
    """Several are refused, whichever is named."""
    document = body("query a { __typename } query b { __typename }", operationName=named)

    assert await sent(gateway, document) == (400, "BAD_REQUEST")


async def test_a_document_past_a_limit_is_refused(gateway: Gateway) -> None:
    """With one error, before anything is run."""
    found = {limit: await sent(gateway, body(document)) for limit, document in LIMITS.items()}

    assert found == dict.fromkeys(LIMITS, (400, "LIMIT_EXCEEDED"))


async def test_no_document_of_64_kilobytes_is_a_bug(gateway: Gateway) -> None:
    """Deep, wide, circular and self-similar ones all get an answer without INTERNAL, soon."""
    chained = " ".join(f"fragment f{n} on Query {{ ...f{n + 1} ...f{n + 1} }}" for n in range(20))
    for document in (
        "{" * 20_000,
        "{ a" * 10_000,
        '{ pools(after: "' + "\\\\" * 10_000 + '") { totalCount } }',
        "{ pools(first: " + "[" * 20_000 + "]" * 20_000 + ") { totalCount } }",
        "query ($a: " + "[" * 20_000 + "Int" + "]" * 20_000 + ") { __typename }",
        "{ ...f } fragment f on Query { ...f }",
        "{ ...f0 } " + chained + " fragment f20 on Query { __typename }",
        "{ " + "a: __typename " * 3_000 + "}",
        "# " + "x" * 60_000,
        "\ufeff{ __typename }",
    ):
        status, found = await sent(gateway, body(document))
        assert (status, found) in (
            (200, None),
            (200, "GRAPHQL_PARSE_FAILED"),
            (200, "GRAPHQL_VALIDATION_FAILED"),
            (200, "BAD_USER_INPUT"),
            (400, "LIMIT_EXCEEDED"),
        ), document[:40]


async def test_a_number_of_any_length_is_no_bug(gateway: Gateway) -> None:
    """It is no Int of 32 bits, and that is all."""
    answer = await gateway.post("{ pools(first: " + "9" * 5000 + ") { totalCount } }")

    assert code(answer) == "GRAPHQL_VALIDATION_FAILED"


async def test_an_origin_that_is_not_allowed_is_refused(gateway: Gateway) -> None:
    """A page elsewhere does not act with its visitor's rights."""
    assert await sent(gateway, body("{ __typename }"), origin="https://elsewhere.example") == (403, "CSRF")


async def test_pages_of_allowed_origins_may_ask(owner_url: str) -> None:
    """With credentials and any header; `*` stands for a part of a host's name, or a port."""
    allowed = "https://shop.example, https://*.example.org,http://localhost:*"
    async with running(owner_url, allowed_origins=allowed) as gateway:
        for origin in (
            "https://shop.example",
            "https://a.example.org",
            "https://a.b.example.org",
            "http://localhost:3",
        ):
            asked = await gateway.http.options(
                "/graphql",
                headers={
                    "origin": origin,
                    "access-control-request-method": "POST",
                    "access-control-request-headers": "authorization,content-type,x-idempotency-key",
                },
            )
            answer = await gateway.http.post(
                "/graphql", content=body("{ __typename }"), headers=JSON | {"origin": origin}
            )

            assert (asked.status_code, answer.status_code) == (200, 200), origin
            assert "x-idempotency-key" in asked.headers["access-control-allow-headers"]
            for found in (asked.headers, answer.headers):
                assert found["access-control-allow-origin"] == origin
                assert found["access-control-allow-credentials"] == "true"
                assert "Origin" in found["vary"]


@pytest.mark.parametrize("allowed", ["", "https://shop.example,https://*.example.org"])
async def test_pages_of_other_origins_may_not_even_look(owner_url: str, allowed: str) -> None:
    """They are refused, and a browser is not told that it may show them the refusal."""
    async with running(owner_url, allowed_origins=allowed) as gateway:
        for origin in (
            "https://elsewhere.example",
            "http://shop.example",
            "https://shop.example.elsewhere.example",
            "https://shopxexample",
            "https://elsewhere.example/.example.org",
            "https://elsewhere.example?.example.org",
            "https://.example.org.elsewhere.example",
            "https://example.org",
            "null",
            "",
        ):
            headers = JSON | {"origin": origin}
            answer = await gateway.http.post("/graphql", content=body("{ __typename }"), headers=headers)
            headers = {"origin": origin, "access-control-request-method": "POST"}
            asked = await gateway.http.options("/graphql", headers=headers)

            for refused in (answer, asked):
                assert (refused.status_code, code(refused.json())) == (403, "CSRF"), origin
                assert "access-control-allow-origin" not in refused.headers


# ------------------------------------------------------------------ what goes out


async def test_who_asks_for_graphql_s_own_media_type_gets_it(gateway: Gateway) -> None:
    """With 400 and no data where nothing could be run, and 200 where something was, whatever came of it."""
    asked = JSON | {"accept": "application/graphql-response+json, application/json;q=0.9"}
    for document, status, names in (
        ("{ __typename }", 200, {"data"}),
        ("{ ledgerActivity { totalCount } }", 200, {"data", "errors"}),
        ("{", 400, {"errors"}),
        ("{ nothing }", 400, {"errors"}),
        ("query ($n: Int!) { pools(first: $n) { totalCount } }", 400, {"errors"}),
        (LIMITS["depth"], 400, {"errors"}),
    ):
        answer = await gateway.http.post("/graphql", content=body(document), headers=asked)
        assert (answer.status_code, set(answer.json())) == (status, names), document
        assert answer.headers["content-type"] == "application/graphql-response+json"


async def test_who_does_not_ask_for_it_gets_200_and_data_null(gateway: Gateway) -> None:
    """As clients have always had it."""
    for accept in ({}, {"accept": "*/*"}, {"accept": "application/json"}):
        answer = await gateway.http.post("/graphql", content=body("{ nothing }"), headers=JSON | accept)
        assert (answer.status_code, answer.json()["data"]) == (200, None)
        assert answer.headers["content-type"] == "application/json"


async def test_errors_of_a_document_have_their_codes(gateway: Gateway) -> None:
    """What does not parse, what does not fit the schema, and what the arguments of a query are wrong about."""
    for document, expected in {
        "{": "GRAPHQL_PARSE_FAILED",
        "# nothing": "GRAPHQL_PARSE_FAILED",
        "{ nothing }": "GRAPHQL_VALIDATION_FAILED",
        "{ nothing nowhere never }": "GRAPHQL_VALIDATION_FAILED",
        "{ pools(first: 2147483648) { totalCount } }": "GRAPHQL_VALIDATION_FAILED",
        "{ capacity(kind: PARKING, ref: 1) { id } }": "GRAPHQL_VALIDATION_FAILED",
        "subscription { nothing }": "METHOD_NOT_ALLOWED",
        "{ competitions(first: 0) { totalCount } }": "BAD_USER_INPUT",
        "{ competitions(first: 101) { totalCount } }": "BAD_USER_INPUT",
        '{ competitions(after: "x") { totalCount } }': "BAD_USER_INPUT",
    }.items():
        assert code(await gateway.post(document)) == expected, document


async def test_a_variable_that_does_not_fit_is_a_validation_error(gateway: Gateway) -> None:
    """Missing, of another type, or out of range."""
    for given in ({}, {"n": "x"}, {"n": None}, {"n": 2**31}, {"n": 1.5}, {"n": [1]}):
        answer = await gateway.post("query ($n: Int!) { pools(first: $n) { totalCount } }", given)
        assert code(answer) == "GRAPHQL_VALIDATION_FAILED", given


NULLS = [
    "query ($v: Int = 2) { pools(first: $v) { totalCount } }",
    'query ($v: ID = "s") { virtualAttendanceStats(sessionId: $v) { totalViews } }',
    """query ($v: DateTime = "2026-01-01T00:00:00Z") {
      capacity(kind: COMPETITION, ref: "c") { ledger { totalCount } at(time: $v) { version } }
    }""",
    """mutation ($v: Boolean = true) {
      definePool(input: {kind: EVENT, ref: "x", unlimited: $v, idempotencyKey: "k"}) { __typename }
    }""",
]


@pytest.mark.parametrize("document", NULLS)
async def test_a_null_in_place_of_a_default_is_a_validation_error(
    gateway: Gateway, owner: asyncpg.Connection, document: str
) -> None:
    """Where no null may be. It only shows when the document runs; what runs beside it reads nothing afterwards."""
    await gateway.send(CREATE)
    for _ in range(3):  # by graphql-core, and compiled
        answer = await gateway.post(document, {"v": None}, gateway.login("ada", "admin"))
        assert code(answer) == "GRAPHQL_VALIDATION_FAILED"
    await asyncio.sleep(0.1)  # for what might still begin

    await eventually(owner, NOBODY_READS)


async def test_a_field_that_fails_takes_nothing_from_others(gateway: Gateway) -> None:
    """Also where both have asked for the same."""
    await gateway.send(CREATE)
    pool = "pool { ledger { totalCount } }"
    for _ in range(2):  # by graphql-core, and compiled
        answer = await gateway.post(
            f'{{ a: competition(id: "c") {{ reservations(first: 101) {{ totalCount }} {pool} }}'
            f' b: competition(id: "c") {{ {pool} }} }}'
        )

        assert answer["data"] == {"a": None, "b": {"pool": {"ledger": {"totalCount": 0}}}}
        assert code(answer) == "BAD_USER_INPUT"


async def test_a_time_that_is_none_is_a_validation_error_as_a_variable(gateway: Gateway) -> None:
    """With a sentence that says what one is."""
    document = 'query ($t: DateTime!) { capacity(kind: COMPETITION, ref: "c") { at(time: $t) { version } } }'
    for wrong in ("x", "", "2025-10-28", "2025-10-28T23:06:28", 1761692788, None, "2025-13-01T00:00:00Z"):
        assert code(await gateway.post(document, {"t": wrong})) == "GRAPHQL_VALIDATION_FAILED", wrong


async def test_a_time_that_is_none_is_a_validation_error_in_the_document(gateway: Gateway) -> None:
    """Just as in a variable."""
    answer = await gateway.post('{ capacity(kind: COMPETITION, ref: "c") { at(time: "x") { version } } }')

    assert code(answer) == "GRAPHQL_VALIDATION_FAILED"


async def test_a_time_at_the_end_of_the_calendar_is_no_bug(gateway: Gateway) -> None:
    """Before opening is before opening and the future is now, or the time is refused."""
    await gateway.send(CREATE)
    for instant in ("0001-01-01T00:00:00+14:00", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59-14:00"):
        answer = await gateway.post(
            f'{{ capacity(kind: COMPETITION, ref: "c") {{ at(time: "{instant}") {{ version }} }} }}'
        )

        assert code(answer) in (None, "GRAPHQL_VALIDATION_FAILED", "BAD_USER_INPUT"), instant


async def test_an_id_with_a_nul_finds_nothing(gateway: Gateway) -> None:
    """What stands in a document's text is no bug of ours."""
    await gateway.send(CREATE)
    for field in (
        'capacity(kind: COMPETITION, ref: "{0}") {{ id }}',
        'competition(id: "{0}") {{ id }}',
        'reservation(id: "{0}") {{ id }}',
        'ledger(kind: COMPETITION, ref: "{0}") {{ totalCount }}',
        'ledger(kind: COMPETITION, ref: "c", filter: {{subject: "{0}"}}) {{ totalCount }}',
        'ledgerActivity(filter: {{actor: "{0}"}}) {{ totalCount }}',
        'reconcile(kind: COMPETITION, ref: "{0}") {{ totalCount }}',
    ):
        answer = await gateway.post(f"{{ {field.format('a' + chr(92) + 'u0000')} }}")

        assert code(answer) in (None, "BAD_USER_INPUT"), field


async def test_a_made_up_cursor_is_bad_user_input(gateway: Gateway) -> None:
    """Though it looks much like one of this list."""
    await gateway.send(CREATE)
    for field, *key in (
        ('ledger(kind: COMPETITION, ref: "c", after: "{0}")', 2**40),
        ('pools(after: "{0}")', "a\0"),
        ('ledgerActivity(after: "{0}")', "2025-10-28T00:00:00Z", "competition:c", 2**40),
        ('ledgerActivity(after: "{0}")', "2025-10-28T00:00:00Z", "a\0", 1),
        ('ledgerActivity(after: "{0}")', "0001-01-01T00:00:00+14:00", "competition:c", 1),
        ('myClaims(after: "{0}")', "2025-10-28", "r"),
    ):
        cursor = base64.urlsafe_b64encode(json.dumps(key).encode()).decode()

        assert code(await gateway.post(f"{{ {field.format(cursor)} {{ totalCount }} }}")) == "BAD_USER_INPUT", field


async def test_a_bug_does_not_hold_up_the_neighbours(gateway: Gateway, owner: asyncpg.Connection) -> None:
    """Its log is written at once: everybody else waits for it meanwhile."""
    await owner.execute("REVOKE SELECT ON capacity.pool FROM capacity_app")
    started = time.monotonic()

    answer = await gateway.post("{ pools { totalCount } }")

    assert code(answer) == "INTERNAL"
    assert time.monotonic() - started < 0.3


async def test_a_bug_s_log_shows_no_login(gateway: Gateway, owner: asyncpg.Connection) -> None:
    """Nor whatever else the frames hold."""
    await owner.execute("REVOKE SELECT ON capacity.pool FROM capacity_app")

    with structlog.testing.capture_logs(processors=[structlog.processors.format_exc_info]) as entries:
        await gateway.post("{ pools { totalCount } }", headers=gateway.login("somebody in particular"))

    (entry,) = entries
    assert "permission denied" in entry["exception"]
    assert "somebody in particular" not in json.dumps(entry)


async def test_a_bug_is_masked(gateway: Gateway, owner: asyncpg.Connection) -> None:
    """The caller gets a requestId and no word of the database; what else was asked for stands."""
    await gateway.send(CREATE)
    await owner.execute(
        "CREATE OR REPLACE FUNCTION capacity.entry_hash(previous text, e capacity.ledger) RETURNS text "
        "LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'the secret of the database'; END $$"
    )
    await owner.execute("REVOKE SELECT ON capacity.ledger FROM capacity_app")

    answer = await gateway.post(
        '{ a: capacity(kind: COMPETITION, ref: "c") { quota ledger { totalCount } } b: __typename }'
    )

    (error,) = answer["errors"]
    assert answer["data"] == {"a": {"quota": 600, "ledger": None}, "b": "Query"}
    assert (error["path"], error["extensions"]["code"]) == (["a", "ledger"], "INTERNAL")
    assert re.fullmatch(r"[0-9a-f-]{36}", error["extensions"]["requestId"])
    assert [word for word in ("secret", "ledger", "permission", "capacity_app") if word in error["message"]] == []


async def test_a_bug_in_a_mutation_is_masked(gateway: Gateway, owner: asyncpg.Connection) -> None:
    """And nothing has changed."""
    await gateway.send(CREATE)
    await owner.execute(
        "CREATE OR REPLACE FUNCTION capacity.entry_hash(previous text, e capacity.ledger) RETURNS text "
        "LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'the secret of the database'; END $$"
    )

    answer = await gateway.post(
        'mutation { setQuota(input: {kind: COMPETITION, ref: "c", quota: 5, idempotencyKey: "k"}) { __typename } }'
    )

    (error,) = answer["errors"]
    assert (answer["data"], error["extensions"]["code"]) == ({"setQuota": None}, "INTERNAL")
    assert "secret" not in json.dumps(answer)
    assert await gateway.send('{ capacity(kind: COMPETITION, ref: "c") { quota version } }') == {
        "quota": 600,
        "version": 0,
    }


async def test_what_is_foreseen_is_no_error_in_the_log(gateway: Gateway, caplog: pytest.LogCaptureFixture) -> None:
    """Anybody can be refused a thousand times a second; the log is for bugs."""
    await gateway.post("{ ledgerActivity { totalCount } }", headers={})

    assert caplog.records == []


async def test_times_carry_microseconds_and_an_offset(gateway: Gateway, owner: asyncpg.Connection) -> None:
    """Also at a full second."""
    await gateway.send(CREATE)
    await owner.execute("UPDATE capacity.pool SET opened_at = '2025-10-28 23:06:28+02'")

    pool = await gateway.send(
        '{ capacity(kind: COMPETITION, ref: "c") { openedAt asOf at(time: "2025-01-01T00:00:00+05:30") { time } } }'
    )

    assert (pool["openedAt"], pool["at"]["time"]) == (
        "2025-10-28T21:06:28.000000+00:00",
        "2024-12-31T18:30:00.000000+00:00",
    )
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}\+00:00", pool["asOf"])


# ------------------------------------------------------------------ pages and probes


async def test_a_browser_gets_graphiql(gateway: Gateway) -> None:
    """And a program that asks for nothing gets a bad request."""
    page = await gateway.http.get("/graphql", headers={"accept": "text/html,application/xhtml+xml"})

    assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert page.headers["cache-control"] == "no-store"
    assert "graphiql" in page.text


async def test_production_has_no_graphiql_and_no_assets_of_it(owner_url: str) -> None:
    """There is nothing for a browser."""
    async with running(owner_url, production=True) as gateway:
        page = await gateway.http.get("/graphql", headers={"accept": "text/html"})
        assets = await gateway.http.get("/graphql/assets/page.js")

    assert (page.status_code, assets.status_code) == (404, 404)


async def test_production_answers_nothing_about_the_schema(owner_url: str) -> None:
    """__typename is no introspection."""
    async with running(owner_url, production=True) as gateway:
        assert await sent(gateway, body("{ __typename }")) == (200, None)
        for document in ("{ __schema { queryType { name } } }", '{ a: __type(name: "Pool") { name } }'):
            assert await sent(gateway, body(document)) == (400, "INTROSPECTION_DISABLED")


async def test_production_suggests_no_names(owner_url: str) -> None:
    """Who may not read the schema is not led to it."""
    async with running(owner_url, production=True) as gateway:
        answer = await gateway.post("{ capacit }")

    assert "capacity" not in answer["errors"][0]["message"]


async def test_alive_and_ready(gateway: Gateway) -> None:
    """A fresh gateway over a sane database is both."""
    alive, ready = [await gateway.http.get(path) for path in ("/healthz", "/readyz")]

    assert (alive.status_code, ready.status_code) == (200, 200)
    assert ready.json() == {"ready": True, "problems": []}


@pytest.mark.parametrize(
    ("setting", "problem"),
    [
        ("synchronous_commit = off", "synchronous_commit is off: a crash may lose acknowledged changes"),
        (
            "default_transaction_isolation = 'repeatable read'",
            "the default isolation is not READ COMMITTED: a snapshot older than the lock oversells",
        ),
    ],
)
async def test_unsafe_settings_are_not_ready_for_traffic(
    owner_url: str, owner: asyncpg.Connection, setting: str, problem: str
) -> None:
    """503 with the reason, while it is alive."""
    name = await owner.fetchval("SELECT current_database()")
    await owner.execute(f"ALTER ROLE capacity_app IN DATABASE {name} SET {setting}")

    async with running(owner_url) as gateway:
        alive, ready = [await gateway.http.get(path) for path in ("/healthz", "/readyz")]

    assert (alive.status_code, ready.status_code) == (200, 503)
    assert ready.json() == {"ready": False, "problems": [problem]}
