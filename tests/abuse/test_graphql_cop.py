"""The twelve checks that graphql-cop is known for, made again: none finds anything in production."""

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from conftest import Gateway, running

FORM = {"content-type": "application/x-www-form-urlencoded"}
WRONG = "{ competitionz { id } systemUpdate1 }"


@pytest.fixture
async def production(owner_url: str) -> AsyncIterator[Gateway]:
    """A gateway as it serves in production."""
    async with running(owner_url, production=True) as gateway:
        yield gateway


async def sent(gateway: Gateway, query: Any, **more: Any) -> httpx.Response:
    """The answer to a POST of JSON."""
    return await gateway.http.post("/graphql", json={"query": query, **more}, headers=gateway.login())


def refused(answer: httpx.Response) -> bool:
    """Whether an answer has no data."""
    found = answer.json()
    return isinstance(found, dict) and found.get("data") is None and "errors" in found


async def test_aliases_are_not_overloaded(production: Gateway) -> None:
    """A hundred aliases are refused."""
    assert refused(await sent(production, "{ " + " ".join(f"alias{n}: __typename" for n in range(101)) + " }"))


async def test_queries_are_not_batched(production: Gateway) -> None:
    """An array of operations is refused."""
    batch = json.dumps([{"query": "{ __typename }"}] * 10)
    answer = await production.http.post("/graphql", content=batch, headers={"content-type": "application/json"})

    assert refused(answer)


async def test_directives_are_not_overloaded(production: Gateway) -> None:
    """Neither unknown ones nor known ones, ten or a hundred of them at a field."""
    for directive in ("@aa", "@skip(if: false)"):
        for number in (10, 100):
            assert refused(await sent(production, f"{{ __typename {directive * number} }}"))


async def test_introspection_is_not_circular(production: Gateway) -> None:
    """Types of fields of types of fields are refused."""
    circle = "{ __schema { types { fields { type { fields { type { fields { type { name } } } } } } } } }"

    assert refused(await sent(production, circle))


async def test_fields_are_not_duplicated(production: Gateway) -> None:
    """The same field five hundred times is refused, at the root or below."""
    assert refused(await sent(production, "{ " + "__typename " * 500 + "}"))
    assert refused(await sent(production, "{ pools { " + "totalCount " * 500 + "} }"))


async def test_nothing_is_suggested(production: Gateway) -> None:
    """A wrong name is told no right one."""
    answer = await sent(production, WRONG)

    assert refused(answer)
    assert "did you mean" not in answer.text.lower()


async def test_there_is_no_page_to_ask_from(production: Gateway) -> None:
    """No GraphiQL, no playground, wherever it is looked for."""
    for path in ("/graphql", "/graphiql", "/playground", "/console", "/graphql/console"):
        answer = await production.http.get(path, headers={"accept": "text/html"})
        assert "graphiql" not in answer.text.lower(), path
        assert "playground" not in answer.text.lower(), path
        assert answer.status_code == 404 or path == "/console", path  # a console of ours, with no place for documents


async def test_the_schema_is_not_told(production: Gateway) -> None:
    """Introspection is refused."""
    assert refused(await sent(production, "query { __schema { types { name fields { name } } } }"))


async def test_get_is_no_way_round_the_checks(production: Gateway) -> None:
    """A query by GET is public and harmless; what it shows needs the login in a header, which no link has."""
    answer = await production.http.get("/graphql", params={"query": "{ pools { totalCount } }"})
    asked = await production.http.get("/graphql", params={"query": "{ ledgerActivity { totalCount } }"})

    assert "set-cookie" not in answer.headers
    assert asked.json()["errors"][0]["extensions"]["code"] in ("UNAUTHENTICATED", "FORBIDDEN")


async def test_nothing_is_changed_by_get(production: Gateway) -> None:
    """A mutation in a link is refused."""
    query = 'mutation { createCompetition(input: {id: "c", name: "C", quota: 1}) { __typename } }'
    answer = await production.http.get("/graphql", params={"query": query}, headers=production.login())

    assert (answer.status_code, refused(answer)) == (405, True)


async def test_nothing_is_asked_by_a_form(production: Gateway) -> None:
    """What a page elsewhere could send unasked is refused."""
    answer = await production.http.post("/graphql", content="query=%7B+__typename+%7D", headers=FORM)

    assert (answer.status_code, refused(answer)) == (415, True)


async def test_nothing_is_traced_or_debugged(production: Gateway) -> None:
    """No extensions beside the answer, and no trace in an error, whoever asks for it."""
    for headers in ({}, {"x-apollo-tracing": "1", "apollo-tracing": "1"}):
        for query in ("{ __typename }", WRONG):
            answer = await production.http.post("/graphql", json={"query": query}, headers=headers)
            assert "extensions" not in answer.json()
            assert all(set(error["extensions"]) == {"code"} for error in answer.json().get("errors", ()))
