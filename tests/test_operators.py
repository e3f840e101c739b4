"""The console's page: what it is given, what it may load, and what it asks."""

import json
import re
from pathlib import Path

import pytest
from graphql import parse, validate

from capacity_gateway import operators
from capacity_gateway.operators import ASSETS, CONTENT_SECURITY_POLICY, DOCUMENTS
from capacity_gateway.schema import schema
from conftest import Gateway, running

GIVEN = re.compile(r'<script id="given" type="application/json">(.*?)</script>', re.DOTALL)
HOSTILE = "</script><script>alert(1)</script>"


@pytest.mark.parametrize("name", DOCUMENTS)
def test_a_document_is_valid(name: str) -> None:
    """The page asks nothing that the schema does not have; a change shows every refusal."""
    document = parse(DOCUMENTS[name])

    assert validate(schema()._schema, document) == []  # noqa: SLF001 - Strawberry has no other way to it
    assert document.definitions[0].name.value == name  # type: ignore[attr-defined]
    if "mutation" in DOCUMENTS[name]:
        assert "... on CapacityError" in DOCUMENTS[name]


def test_the_page_is_given_its_documents_and_tokens() -> None:
    """As data, out of which nothing can break."""
    html = operators.page({"admin": HOSTILE})

    (given,) = GIVEN.findall(html)
    assert json.loads(given) == {"tokens": {"admin": HOSTILE}, "documents": DOCUMENTS}
    assert html.count("<script") == operators.page({}).count("<script") == 2


def test_the_policy_allows_nothing_inline_and_nothing_from_elsewhere() -> None:
    """Every directive names the page's own origin or nothing at all."""
    sources = {part.split()[1] for part in CONTENT_SECURITY_POLICY.split("; ")}
    assert sources == {"'self'", "'none'"}
    assert "default-src 'none'" in CONTENT_SECURITY_POLICY


@pytest.mark.parametrize("file", sorted(ASSETS.glob("*.*")), ids=lambda file: file.name)
def test_a_file_makes_no_html_out_of_texts_and_loads_nothing_from_elsewhere(file: Path) -> None:
    """Texts become text; imports are of neighbours."""
    text = file.read_text("utf-8")
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|new Function", text)
    for source in re.findall(r'from "([^"]+)"|@import|url\(([^)]+)\)', text):
        assert (ASSETS / source[0]).is_file()


async def test_the_page_comes_with_its_policy_and_its_files_are_kept_for_ever(gateway: Gateway) -> None:
    """The page itself is asked for anew; a file's address changes when a file does."""
    page = await gateway.http.get("/console")
    assert page.headers["content-security-policy"] == CONTENT_SECURITY_POLICY
    assert page.headers["cache-control"] == "no-store"

    for address in re.findall(r'(?:src|href)="(/[^"]+)"', page.text):
        file = await gateway.http.get(address)
        assert file.status_code == 200
        assert "immutable" in file.headers["cache-control"]


@pytest.mark.parametrize(
    ("settings", "host", "offered"),
    [
        ({"jwt_secret": None}, "127.0.0.1", True),
        ({"jwt_secret": None}, "console.example.org", False),
        ({"jwt_secret": None, "host": "0.0.0.0"}, "127.0.0.1", False),  # noqa: S104 - nobody listens
        ({}, "127.0.0.1", False),
        ({"jwt_secret": None, "jwt_jwks": "keys.json", "production": True}, "127.0.0.1", False),
    ],
)
async def test_logins_are_offered_on_this_machine_alone(
    owner_url: str, tmp_path: Path, settings: dict[str, object], host: str, *, offered: bool
) -> None:
    """And only with a secret of the gateway's own making, never in production; the page is there all the same."""
    async with running(owner_url, data_dir=tmp_path, **settings) as gateway:
        page = await gateway.http.get("/console", headers={"host": host})

    (given,) = GIVEN.findall(page.text)
    assert bool(json.loads(given)["tokens"]) == offered


async def test_its_documents_are_run_where_only_trusted_ones_are(owner_url: str, tmp_path: Path) -> None:
    """The page works there too, and nothing else does but what is trusted."""
    (tmp_path / "own.graphql").write_text("{ pools { totalCount } }")
    async with running(owner_url, trusted_documents=tmp_path) as gateway:
        assert "errors" not in await gateway.post(DOCUMENTS["Pools"], {"first": 1})
        assert "errors" in await gateway.post("{ pools(first: 1) { totalCount } }")
