"""Persisted documents: the hash of a document instead of its text, and none but trusted ones where these are given."""

import json
from pathlib import Path
from typing import Any

import pytest

from capacity_gateway.persisted import PersistedDocuments, sha256
from capacity_gateway.settings import Settings
from conftest import Gateway, running

DOCUMENT = "query Mine { __typename }"


async def asked(gateway: Gateway, **body: Any) -> tuple[int, Any]:
    """Status, and the data or the first error's code."""
    response = await gateway.http.post("/graphql", json=body)
    answer = response.json()
    return response.status_code, answer["errors"][0]["extensions"]["code"] if "errors" in answer else answer["data"]


def named(text: str, **more: Any) -> dict[str, Any]:
    """The extensions that name a document."""
    return {"persistedQuery": {"version": 1, "sha256Hash": sha256(text), **more}}


async def test_a_document_that_was_sent_with_its_hash_is_known_by_it(gateway: Gateway) -> None:
    """Apollo's protocol: the hash alone is not found, then it comes with the text, then the hash is enough."""
    hash_alone = {"extensions": named(DOCUMENT)}

    assert await asked(gateway, **hash_alone) == (200, "PERSISTED_QUERY_NOT_FOUND")
    assert await asked(gateway, query=DOCUMENT, **hash_alone) == (200, {"__typename": "Query"})
    assert await asked(gateway, **hash_alone) == (200, {"__typename": "Query"})
    by_get = await gateway.http.get("/graphql", params={"extensions": json.dumps(named(DOCUMENT))})
    assert by_get.json() == {"data": {"__typename": "Query"}}


async def test_what_is_not_found_says_so_in_apollos_words(gateway: Gateway) -> None:
    """Its clients look for the text or for the code."""
    response = await gateway.http.post("/graphql", json={"extensions": named("{ __typename }")})

    error = {"message": "PersistedQueryNotFound", "extensions": {"code": "PERSISTED_QUERY_NOT_FOUND"}}
    assert response.json() == {"errors": [error]}


@pytest.mark.parametrize(
    "body",
    [
        {"query": "{ other: __typename }", "extensions": named(DOCUMENT)},
        {"query": 1, "extensions": named(DOCUMENT)},
        {"extensions": named(DOCUMENT, version=2)},
        {"extensions": named(DOCUMENT, sha256Hash=1)},
        {"extensions": {"persistedQuery": {}}},
        {"extensions": {"persistedQuery": "x"}},
    ],
)
async def test_a_name_that_is_none_is_a_bad_request(gateway: Gateway, body: dict[str, Any]) -> None:
    """Another text's hash, another version, no hash."""
    assert await asked(gateway, **body) == (400, "BAD_REQUEST")


async def test_a_document_that_may_not_be_run_is_not_remembered(gateway: Gateway) -> None:
    """Nobody fills the store with what is no document."""
    for wrong, code in (("{", "GRAPHQL_PARSE_FAILED"), ("{ nothing }", "GRAPHQL_VALIDATION_FAILED")):
        assert (await asked(gateway, query=wrong, extensions=named(wrong)))[1] == code
        assert await asked(gateway, extensions=named(wrong)) == (200, "PERSISTED_QUERY_NOT_FOUND")


def test_the_documents_used_last_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    """The store is bounded."""
    monkeypatch.setattr("capacity_gateway.persisted.REMEMBERED_MAX", 2)
    documents = PersistedDocuments(Settings().limits())
    texts = [f"{{ a{number}: __typename }}" for number in range(3)]
    documents.text(texts[0], named(texts[0]))
    documents.text(texts[1], named(texts[1]))
    documents.text(None, named(texts[0]))
    documents.text(texts[2], named(texts[2]))

    assert documents.text(None, named(texts[0])) == texts[0]
    with pytest.raises(Exception, match="PERSISTED_QUERY_NOT_FOUND"):
        documents.text(None, named(texts[1]))


@pytest.mark.parametrize("as_folder", [True, False])
async def test_with_trusted_documents_no_others_are_run(owner_url: str, tmp_path: Path, *, as_folder: bool) -> None:
    """By their text or their hash; a folder of files, or one file of texts by their hashes."""
    path = tmp_path / ("documents" if as_folder else "documents.json")
    if as_folder:
        path.mkdir()
        (path / "mine.graphql").write_text(DOCUMENT)
    else:
        path.write_text(json.dumps({sha256(DOCUMENT): DOCUMENT}))

    async with running(owner_url, trusted_documents=path) as gateway:
        assert await asked(gateway, query=DOCUMENT) == (200, {"__typename": "Query"})
        assert await asked(gateway, extensions=named(DOCUMENT)) == (200, {"__typename": "Query"})
        assert await asked(gateway, query="{ __typename }") == (400, "QUERY_NOT_IN_SAFELIST")
        other = named("{ __typename }")
        assert await asked(gateway, query="{ __typename }", extensions=other) == (400, "QUERY_NOT_IN_SAFELIST")
        assert await asked(gateway, extensions=other) == (200, "PERSISTED_QUERY_NOT_FOUND")


@pytest.mark.parametrize("content", ["[]", "{}", '{"0": "{ __typename }"}'])
def test_trusted_documents_that_are_none_stop_the_start(tmp_path: Path, content: str) -> None:
    """A gateway that would answer nobody, or the wrong thing, says so at once."""
    path = tmp_path / "documents.json"
    path.write_text(content)

    with pytest.raises(ValueError, match="documents"):
        PersistedDocuments(Settings().limits(), path)
