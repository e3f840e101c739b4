"""The GraphiQL page and the examples it opens with."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from graphql import (
    GraphQLSchema,
    OperationDefinitionNode,
    build_schema,
    parse,
    print_ast,
    validate,
)
from graphql.execution.values import get_variable_values

from capacity_gateway import graphiql
from capacity_gateway.graphiql import EXAMPLES, Example

ROLES = ("director", "studio", "admin", "organizer", "service", "attendee")
HOSTILE = "</script><script>alert(1)</script><!-- \u2028\u2029 \"' \\ ${examples} $$ &lt; é 🙂"

every_example = pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.title)


@pytest.fixture(scope="module")
def contract() -> GraphQLSchema:
    """The gateway's own operations, as callers rely on them."""
    return build_schema((Path(__file__).parent / "contract" / "gateway.graphql").read_text("utf-8"))


class _Page(HTMLParser):
    """Gathers what a page loads, and the text of its scripts by id."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.scripts: dict[str, str] = {}
        self._script: str | None = None
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note addresses, and where a script begins."""
        attributes = dict(attrs)
        self.loads += [value for name in ("src", "href") if (value := attributes.get(name))]
        if tag == "script":
            self._script = attributes.get("id") or attributes.get("src") or "inline"

    def handle_endtag(self, tag: str) -> None:
        """Note where a script ends."""
        if tag == "script":
            self._script = None

    def handle_data(self, data: str) -> None:
        """Keep what a script says."""
        if self._script:
            self.scripts[self._script] = self.scripts.get(self._script, "") + data


def _tabs(html: str) -> list[dict[str, str]]:
    tabs: list[dict[str, str]] = json.loads(_Page(html).scripts["examples"])["tabs"]
    return tabs


def test_there_is_an_example_for_every_role() -> None:
    """Each demo token has something to run."""
    assert {example.role for example in EXAMPLES} == set(ROLES)


@every_example
def test_an_example_is_valid_against_the_contract(example: Example, contract: GraphQLSchema) -> None:
    """Document and variables are accepted as they stand."""
    document = parse(example.document)
    assert validate(contract, document) == []
    (operation,) = document.definitions
    assert isinstance(operation, OperationDefinitionNode)
    variables = operation.variable_definitions or ()
    assert {variable.variable.name.value for variable in variables} == set(example.variables)
    values = get_variable_values(contract, variables, example.variables)
    assert not isinstance(values, list), values


@every_example
def test_an_example_of_a_mutation_ends_with_every_refusal(example: Example) -> None:
    """Whatever a mutation answers, the reader sees it."""
    if "\nmutation " in example.document:
        assert "... on CapacityError" in print_ast(parse(example.document))


@every_example
def test_an_example_explains_itself(example: Example) -> None:
    """The comment on top, which the tab shows, says more than the title."""
    assert re.match(r"# .+\n#\n# \w.+\n", example.document)


def test_the_page_has_a_tab_per_example_with_the_token_of_its_role() -> None:
    """Query, variables and header are as the editors show them."""
    tabs = _tabs(graphiql.page({role: f"token-of-{role}" for role in ROLES}))
    assert [tab["query"] for tab in tabs] == [example.document for example in EXAMPLES]
    for tab, example in zip(tabs, EXAMPLES, strict=True):
        assert json.loads(tab["headers"]) == {"authorization": f"Bearer token-of-{example.role}"}
        assert json.loads(tab["variables"] or "{}") == example.variables


def test_a_role_without_a_token_gets_no_header() -> None:
    """Its examples run as an anonymous caller's."""
    tabs = _tabs(graphiql.page({"director": "token"}))
    with_header = [example for tab, example in zip(tabs, EXAMPLES, strict=True) if tab["headers"]]
    assert {example.role for example in with_header} == {"director"}


def test_the_page_loads_only_its_own_assets_which_exist() -> None:
    """No address points elsewhere, and each is told apart by its file's content."""
    loads = _Page(graphiql.page({})).loads
    assert loads
    for load in loads:
        assert re.fullmatch(r"/graphql/assets/[\w./-]+\?[0-9a-f]{12}", load)
        assert (graphiql.ASSETS / load.removeprefix("/graphql/assets/").partition("?")[0]).is_file()


def test_the_style_sheets_load_nothing_from_elsewhere() -> None:
    """Images are within them; there is no import."""
    for sheet in graphiql.ASSETS.rglob("*.css"):
        css = sheet.read_text("utf-8")
        assert "@import" not in css
        assert re.findall(r"url\((?![\"']?data:)[^)]*", css) == []


def test_the_page_has_no_inline_code() -> None:
    """So that its policy need not allow any."""
    scripts = _Page(graphiql.page({})).scripts
    assert [name for name, text in scripts.items() if text.strip()] == ["examples"]
    assert "script-src" not in graphiql.CONTENT_SECURITY_POLICY
    assert "unsafe-eval" not in graphiql.CONTENT_SECURITY_POLICY


def test_a_hostile_token_stays_text() -> None:
    """It neither ends the script element nor changes on the way."""
    html = graphiql.page(dict.fromkeys(ROLES, HOSTILE))
    assert html.count("<script") == graphiql.page({}).count("<script")
    assert json.loads(_tabs(html)[0]["headers"]) == {"authorization": f"Bearer {HOSTILE}"}
    assert "\u2028" not in html
    assert "\u2029" not in html
