"""GraphiQL in a real browser on a real gateway, without the internet."""

import json
import re
from collections.abc import AsyncIterator, Callable
from typing import Any, Literal

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, expect

from capacity_gateway.graphiql import EXAMPLES
from e2e.browsing import browsing
from e2e.processes import ROOT, GatewayProcess

FIRST_MUTATION = re.findall(r"^```graphql\n(.*?)^```$", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL)[0]

QUOTA = EXAMPLES[8]
QUERY = ".graphiql-query-editor"
TOOL = ".graphiql-editor-tool:visible"
UNTIL_SAVED = """([name, text]) => new Promise(done => {
  const look = () => sessionStorage["graphiql:" + name]?.includes(text) ? done() : setTimeout(look, 50);
  look();
})"""
MAKE_TOKENS_STALE = """() => {
  for (const token of Object.values(JSON.parse(sessionStorage.tokens)))
    for (const key of Object.keys(sessionStorage))
      sessionStorage[key] = sessionStorage[key].replaceAll(token, "stale");
}"""


@pytest_asyncio.fixture
async def page(chromium: Browser, gateway_url: str) -> AsyncIterator[Page]:
    """GraphiQL on a gateway that nobody changes."""
    async with browsing(chromium, gateway_url, "/graphql") as page:
        yield page


@pytest_asyncio.fixture
async def own_page(chromium: Browser, start: Callable[[], GatewayProcess]) -> AsyncIterator[Page]:
    """GraphiQL on a gateway of this test's own, with the demo as it begins."""
    async with browsing(chromium, start().ready().url, "/graphql") as page:
        yield page


async def open_tab(page: Page, number: int) -> None:
    """Click a tab, and wait until GraphiQL has read the name of its operation, which it sends along."""
    tab = page.get_by_role("tab").nth(number)
    await tab.click()
    await page.evaluate(UNTIL_SAVED, ["operationName", await tab.inner_text()])


async def execute(page: Page) -> dict[str, Any]:
    """Click the button; the answer that comes."""
    async with page.expect_response(lambda response: response.request.method == "POST") as response:
        await page.get_by_role("button", name="Execute query").click()
    answer: dict[str, Any] = await (await response.value).json()
    return answer


async def test_the_page_opens_with_a_tab_per_example(page: Page) -> None:
    """Each is named after its operation, and the first one is to be seen with its variables and token."""
    await expect(page).to_have_title("Capacity gateway")
    await expect(page.get_by_role("tab")).to_have_count(len(EXAMPLES))
    await expect(page.locator(QUERY)).to_contain_text(EXAMPLES[0].title)
    await expect(page.locator(TOOL)).to_contain_text("first")
    await page.get_by_role("button", name="Headers").click()
    await expect(page.locator(TOOL)).to_contain_text("authorization")


async def test_an_example_is_run_by_a_click(page: Page) -> None:
    """The answer shows the demo's competitions."""
    await page.get_by_role("button", name="Execute query").click()
    await expect(page.locator(".result-window")).to_contain_text("EMPWR Dance - St. Catharines #1")


async def test_another_tab_brings_its_own_document(page: Page) -> None:
    """With variables filled in, and nothing that the schema does not know."""
    await page.get_by_role("tab", name="Approve").click()
    await expect(page.locator(QUERY)).to_contain_text("approve(input: $input)")
    await expect(page.locator(TOOL)).to_contain_text("spacesConfirmed")
    await expect(page.locator(".CodeMirror-lint-mark-error")).to_have_count(0)


async def test_the_explorer_lists_the_schema(page: Page) -> None:
    """The operations of the contract can be put together by clicking."""
    await page.get_by_role("button", name="Show GraphiQL Explorer").click()
    await expect(page.locator(".graphiql-plugin")).to_contain_text("competitions")


async def test_a_reload_keeps_what_was_typed(page: Page) -> None:
    """The tab's own copy of the examples outlives the page."""
    await page.locator(f"{QUERY} textarea").press("Control+Home")
    await page.keyboard.type("# mine ")
    await page.evaluate(UNTIL_SAVED, ["tabState", "# mine"])
    await page.reload()
    await expect(page.get_by_role("tab")).to_have_count(len(EXAMPLES))
    await expect(page.locator(QUERY)).to_contain_text("# mine")


async def test_a_reload_brings_the_tokens_of_the_page(page: Page) -> None:
    """Those that the tabs had are of a gateway that may have been restarted since."""
    await page.evaluate(MAKE_TOKENS_STALE)
    await page.reload()
    await expect(page.get_by_role("tab")).to_have_count(len(EXAMPLES))
    await page.get_by_role("button", name="Headers").click()
    await expect(page.locator(TOOL)).to_contain_text("authorization")
    await expect(page.locator(TOOL)).not_to_contain_text("stale")


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_the_page_follows_the_system(page: Page, scheme: Literal["light", "dark"]) -> None:
    """The paper is dark where the system is, and light where it is not."""
    await page.emulate_media(color_scheme=scheme)
    channels = await page.locator(".graphiql-container").evaluate(
        "element => getComputedStyle(element).backgroundColor.match(/[0-9]+/g).slice(0, 3).map(Number)"
    )
    assert (max(channels) < 100) == (scheme == "dark")


async def test_every_example_does_what_it_says(own_page: Page) -> None:
    """Tab by tab in their order, each as the role that its token is of: not one is refused."""
    refused = {}
    for number, example in enumerate(EXAMPLES):
        if "\nsubscription " in example.document:
            continue
        await open_tab(own_page, number)
        answer = await execute(own_page)
        if "errors" in answer or any("code" in value for value in answer["data"].values()):
            refused[example.title] = answer

    assert refused == {}


async def test_a_subscription_shows_what_happens(own_page: Page) -> None:
    """The pool as it is, and what somebody else changes, with the tab's login."""
    (number,) = (n for n, example in enumerate(EXAMPLES) if "\nsubscription " in example.document)
    await open_tab(own_page, number)
    await own_page.get_by_role("button", name="Execute query").click()
    await expect(own_page.locator(".result-window")).to_contain_text('"coalesced": 0')
    tokens = json.loads(await own_page.evaluate("sessionStorage.tokens"))

    changed = await own_page.request.post(
        own_page.url,
        data={"query": QUOTA.document, "variables": QUOTA.variables},
        headers={"authorization": f"Bearer {tokens[QUOTA.role]}"},
    )

    assert "errors" not in await changed.json()
    await expect(own_page.locator(".result-window")).to_contain_text('"reason": "QUOTA_CHANGE"')
    await own_page.get_by_role("button", name="Stop query").click()


async def test_the_first_mutation_of_the_readme_is_pasted_and_works(own_page: Page) -> None:
    """Into the second tab, as it says there; the answer is to be seen, and sent again it is a replay."""
    await open_tab(own_page, 1)
    await own_page.locator(f"{QUERY} textarea").press("ControlOrMeta+A")
    await own_page.evaluate("text => navigator.clipboard.writeText(text)", FIRST_MUTATION)
    await own_page.keyboard.press("ControlOrMeta+V")
    await expect(own_page.locator(QUERY)).not_to_contain_text("ApproveInput")
    first, second = await execute(own_page), await execute(own_page)

    assert first["data"]["approve"]["reservation"] == {"status": "APPROVED", "spacesConfirmed": 40}
    assert [answer["data"]["approve"]["replayed"] for answer in (first, second)] == [False, True]
    await expect(own_page.locator(".result-window")).to_contain_text("spacesConfirmed")
