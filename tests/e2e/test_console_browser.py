"""The console in a real browser, on a real gateway with the demo."""

import json
import re
from collections.abc import AsyncIterator, Iterator
from typing import Any, Literal

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Locator, Page, WebSocketRoute, expect

from capacity_gateway.ledger_file import verify
from e2e.browsing import browsing
from e2e.conftest import Start, starter
from e2e.processes import COMPETITIONS, ROOT, GatewayProcess, fetch

AXE = ROOT / "tests" / "clients" / "node_modules" / "axe-core" / "axe.min.js"
WORKSHOP = "#/pool/SESSION/demo-workshop"
SET_QUOTA = "mutation ($input: SetQuotaInput!) { setQuota(input: $input) { __typename } }"
NUMBERS = (
    '{ capacity(kind: SESSION, ref: "demo-workshop") { quota held confirmed version waitlist { waiting offered } } }'
)


@pytest.fixture(scope="module")
def changed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    """A gateway with the demo, of which each of these tests changes another pool."""
    with starter(tmp_path_factory.mktemp("console")) as start:
        yield start().ready()


async def sign_in(page: Page, role: str = "admin") -> None:
    """Take a demo login, and wait for the board to be live."""
    await page.get_by_role("button", name=role, exact=True).click()
    await expect(page.get_by_role("heading", name="Pools")).to_be_visible()
    await expect(page.locator("#live")).to_have_text("Live")


@pytest_asyncio.fixture
async def page(chromium: Browser, changed: GatewayProcess) -> AsyncIterator[Page]:
    """The board, as an admin sees it."""
    async with browsing(chromium, changed.url, "/console") as page:
        await sign_in(page)
        yield page


async def go(page: Page, address: str, heading: str) -> None:
    """Follow an address within the page."""
    await page.evaluate("address => { location.hash = address }", address)
    await expect(page.get_by_role("heading", name=heading, exact=True)).to_be_visible()


def card(page: Page, name: str) -> Locator:
    """A pool on the board."""
    return page.get_by_role("listitem").filter(has=page.get_by_role("link", name=name, exact=True))


# ------------------------------------------------------------------ signing in


async def test_a_token_is_pasted_and_kept_in_the_tab_alone(chromium: Browser, served: GatewayProcess) -> None:
    """A reload keeps it, signing out forgets it, and nothing of it is left in the browser's lasting storage."""
    async with browsing(chromium, served.url, "/console") as page:
        await page.get_by_label("Your token").fill(f"Bearer {served.tokens()['director']}")
        await page.get_by_role("button", name="Sign in").click()
        await expect(page.locator("#who")).to_contain_text("dora · director")
        await expect(page.locator("#live")).to_have_text("Live")
        await page.reload()
        await expect(page.locator("#who")).to_contain_text("dora · director")
        await expect(page.locator("#live")).to_have_text("Live")
        assert await page.evaluate("[localStorage.length, document.cookie]") == [0, ""]

        await page.get_by_role("button", name="Sign out").click()
        await expect(page.get_by_label("Your token")).to_be_visible()
        assert await page.evaluate("sessionStorage.getItem('token')") is None


async def test_a_token_that_does_not_hold_leads_back_to_the_login(chromium: Browser, served: GatewayProcess) -> None:
    """Not to an empty board."""
    async with browsing(chromium, served.url, "/console") as page:
        await page.get_by_label("Your token").fill("stale")
        await page.get_by_role("button", name="Sign in").click()
        await expect(page.get_by_label("Your token")).to_have_value("")


async def test_who_may_change_nothing_is_offered_nothing_to_change(chromium: Browser, served: GatewayProcess) -> None:
    """An attendee sees the numbers."""
    async with browsing(chromium, served.url, "/console") as page:
        await sign_in(page, "attendee")
        await go(page, WORKSHOP, "Workshop")
        await expect(page.get_by_text("0 free of 4", exact=True)).to_be_visible()
        await expect(page.get_by_role("link", name="Change")).to_have_count(0)


# ------------------------------------------------------------------ the board


async def test_the_board_moves_when_a_place_is_taken_elsewhere(page: Page, changed: GatewayProcess) -> None:
    """Another client's mutation is seen without a reload."""
    booth = card(page, "Robots")
    await expect(booth).to_contain_text("2 free of 4")

    changed.post(
        'mutation { enterBooth(input: { boothId: "demo-booth", idempotencyKey: "k" }) { __typename } }',
        headers=changed.login("attendee"),
    )

    await expect(booth).to_contain_text("1 free of 4")
    await expect(booth.get_by_role("img")).to_have_accessible_name("0 confirmed, 3 held, 1 free of 4")


async def test_the_board_goes_on_after_a_break(page: Page, changed: GatewayProcess) -> None:
    """What happened while the line was cut is told when it is back, from the version on that the page knows."""
    sockets: list[WebSocketRoute] = []
    versions: list[int] = []
    cut = False

    async def through(socket: WebSocketRoute) -> None:
        if cut:
            await socket.close()
            return
        server = socket.connect_to_server()
        sockets.append(socket)

        def send(message: str | bytes) -> None:
            payload = json.loads(message).get("payload", {})
            if payload.get("variables", {}).get("ref") == "demo-room":
                versions.append(payload["variables"]["after"])
            server.send(message)

        socket.on_message(send)

    await page.route_web_socket("**/graphql", through)
    await page.reload()
    await expect(page.locator("#live")).to_have_text("Live")
    cut = True
    await sockets[0].close()
    await expect(page.locator("#live")).not_to_have_text("Live")
    room = {"kind": "BREAKOUT_ROOM", "ref": "demo-room", "quota": 9, "idempotencyKey": "more"}
    changed.send(SET_QUOTA, {"input": room}, changed.login("admin"))
    await expect(card(page, "Room 1")).to_contain_text("4 free of 8")
    cut = False

    await expect(card(page, "Room 1")).to_contain_text("5 free of 9")
    assert len(versions) == 2
    assert versions[0] == versions[1]


async def test_the_board_is_filtered_by_kind_and_event(page: Page) -> None:
    """Each alone and both together."""
    await page.get_by_label("Show").select_option("Competition")
    await expect(page.get_by_role("main").get_by_role("listitem")).to_have_count(5)
    await page.get_by_label("At").select_option("Demo Summit")
    await expect(page.get_by_text("There is nothing to count here yet.")).to_be_visible()
    for kind, number in (("Session", 2), ("Breakout room", 1), ("Everything", 7)):
        await page.get_by_label("Show").select_option(kind)
        await expect(page.get_by_role("main").get_by_role("listitem")).to_have_count(number)


async def test_all_of_it_is_reached_by_the_keyboard(page: Page) -> None:
    """From the top of the board: past the header to the first pool, into it, and to its tabs."""
    await page.reload()
    await expect(card(page, "Robots")).to_be_visible()
    await page.keyboard.press("Tab")
    await expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    await page.keyboard.press("Enter")
    await expect(page.locator("main")).to_be_focused()
    for _ in range(3):  # the two filters, and the first card
        await page.keyboard.press("Tab")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", name="Robots")).to_be_visible()
    await expect(page.locator("main")).to_be_focused()


# ------------------------------------------------------------------ a pool


async def test_a_pools_history_is_shown_searched_and_asked_for_any_instant(page: Page) -> None:
    """Chart, table, one studio's entries, and how the pool stood at a time."""
    await card(page, "EMPWR Dance - St. Catharines #1").get_by_role("link").click()
    rows = page.locator(".rows tbody tr")
    await expect(page.locator(".chart canvas")).to_be_visible()
    await expect(rows).not_to_have_count(0)
    many = await rows.count()
    await rows.first.get_by_role("button").click()
    await expect(rows).not_to_have_count(many)

    await page.get_by_label("By (login)").fill("nobody")
    await page.get_by_role("button", name="Search").click()
    await expect(page.get_by_text("No entries.")).to_be_visible()

    await page.get_by_label("How did it stand then?").fill("2000-01-01T00:00:00")
    await page.get_by_role("button", name="Show").click()
    await expect(page.locator(".answer")).to_contain_text("0 confirmed, 0 held, 600 free of 600 (after 0 entries)")


async def test_a_click_on_the_chart_tells_how_it_stood_at_that_instant(page: Page) -> None:
    """Near its end, after some of the entries."""
    await card(page, "EMPWR Dance - St. Catharines #1").get_by_role("link").click()
    width = await page.locator(".chart .u-over").evaluate("chart => chart.clientWidth")
    await page.locator(".chart .u-over").click(position={"x": width - 5, "y": 20})
    await expect(page.locator(".answer")).to_contain_text(re.compile(r"free of 600 \(after [1-9]\d* entr"))


@pytest.mark.parametrize("name", ["CSV", "JSON Lines"])
async def test_a_ledger_is_taken_away_and_can_be_verified(page: Page, name: str) -> None:
    """All of it, as the command line exports it."""
    await card(page, "EMPWR Dance - St. Catharines #1").get_by_role("link").click()
    async with page.expect_download() as download:
        await page.get_by_role("button", name=name).click()

    verdict = verify(await (await download.value).path())

    assert (verdict.intact, verdict.pool) == (True, "competition:05c0eae4-0000-4000-8000-000000000001")
    assert verdict.entries > 1


async def test_who_has_a_place_is_shown_its_entry_and_offered_no_file(
    chromium: Browser, changed: GatewayProcess
) -> None:
    """The whole ledger is for who may change the pool."""
    join = 'mutation { joinSession(input: { sessionId: "demo-keynote", idempotencyKey: "k" }) { __typename } }'
    changed.post(join, headers=changed.login("attendee"))
    async with browsing(chromium, changed.url, "/console") as page:
        await sign_in(page, "attendee")
        await go(page, "#/pool/SESSION/demo-keynote", "Keynote")
        await expect(page.locator(".rows tbody tr")).to_have_count(1)
        await expect(page.get_by_role("heading", name="Take it with you")).to_have_count(0)


async def test_a_pools_people_and_who_is_next_are_shown(page: Page) -> None:
    """Those with places, and those who wait in their order."""
    await go(page, f"{WORKSHOP}/people", "Workshop")
    holders, line = page.locator(".rows").nth(0), page.locator(".rows").nth(1)
    await expect(holders.locator("tbody tr")).to_have_count(4)
    await expect(page.get_by_text("Next: Guest 5 for 1 place.")).to_be_visible()
    await expect(line.locator("tbody tr")).to_have_count(3)


# ------------------------------------------------------------------ what if


async def test_what_if_shows_the_offers_and_changes_nothing(page: Page, changed: GatewayProcess) -> None:
    """The pool stands as it stood, and so it says."""
    before = changed.send(NUMBERS)
    await go(page, f"{WORKSHOP}/change", "Workshop")
    await page.get_by_label("New limit").fill("6")
    await page.get_by_role("button", name="Show what would happen").click()

    await expect(page.locator(".effect")).to_contain_text("2 offers would go out: Guest 5 (1), Guest 6 (1).")
    await expect(page.locator(".effect")).to_contain_text("1 would wait, Guest 7 next.")
    assert changed.send(NUMBERS) == before
    await expect(page.locator(".standing .summary")).to_have_text("0 free of 4")


async def test_what_if_says_what_stands_in_the_way(page: Page) -> None:
    """Below what is taken it asks for the box to be ticked, and then says what that means."""
    await go(page, f"{WORKSHOP}/change", "Workshop")
    await page.get_by_label("New limit").fill("2")
    await page.get_by_role("button", name="Show what would happen").click()
    await expect(page.get_by_role("alert").filter(has_text="4 are in use")).to_be_visible()

    await page.get_by_label("Even below what is taken").check()
    await page.get_by_role("button", name="Show what would happen").click()
    await expect(page.locator(".effect")).to_contain_text("2 over its limit. Nobody is thrown out")


async def test_what_if_a_competition_were_larger_or_smaller(chromium: Browser, served: GatewayProcess) -> None:
    """Raised to 650, lowered to 500, and 30 moved from one to another."""
    before = served.send(COMPETITIONS)
    async with browsing(chromium, served.url, "/console") as page:
        await sign_in(page, "director")
        await card(page, "EMPWR Dance - St. Catharines #1").get_by_role("link").click()
        await page.get_by_role("link", name="Change", exact=True).click()
        effect, show = page.locator(".effect"), page.get_by_role("button", name="Show what would happen")
        await page.get_by_label("Even below what is taken").check()
        for limit in ("650", "500"):
            await page.get_by_label("New limit").fill(limit)
            await show.click()
            await expect(effect).to_contain_text(f"Limit 600 \N{RIGHTWARDS ARROW} {limit}.")
        await expect(effect).to_contain_text("10 over its limit. Nobody is thrown out")
        await page.get_by_label("Move some to another pool").check()
        await page.get_by_label("How many", exact=True).fill("30")
        await page.get_by_label("Where to").select_option(label="EMPWR Dance - London (600)")
        await show.click()
        await expect(effect.nth(0)).to_contain_text("Limit 600 \N{RIGHTWARDS ARROW} 570.")
        await expect(effect.nth(1)).to_contain_text("Limit 600 \N{RIGHTWARDS ARROW} 630.")
    assert served.send(COMPETITIONS) == before


async def test_moving_places_shows_both_pools(page: Page) -> None:
    """Two from the keynote to the workshop."""
    await go(page, "#/pool/SESSION/demo-keynote/change", "Keynote")
    await page.get_by_label("Move some to another pool").check()
    await page.get_by_label("How many", exact=True).fill("2")
    await page.get_by_label("Where to").select_option("Workshop (4)")
    await page.get_by_role("button", name="Show what would happen").click()
    await expect(page.locator(".effect")).to_have_count(2)
    await expect(page.locator(".effect").nth(0)).to_contain_text("Nobody is affected.")
    await expect(page.locator(".effect").nth(1)).to_contain_text("2 offers would go out")


async def test_a_limit_is_changed_behind_a_confirmation(page: Page) -> None:
    """Cancelled, nothing happens; confirmed, the history begins with it and its reason."""
    await go(page, "#/pool/TICKET_TYPE/demo-early-bird/change", "Early bird")
    await page.get_by_label("New limit").fill("25")
    await page.get_by_role("button", name="Show what would happen").click()
    await page.get_by_role("button", name="Do it").click()
    await page.get_by_role("button", name="Cancel").click()
    await expect(page.locator(".standing .summary")).to_have_text("10 free of 20")

    await page.get_by_role("button", name="Do it").click()
    await page.get_by_label("Why").fill("a bigger hall")
    await page.get_by_role("button", name="Change it").click()
    await expect(page.locator(".standing .summary")).to_have_text("15 free of 25")
    await expect(page.locator(".rows tbody tr").first).to_contain_text("a bigger hall")


async def test_a_pool_is_closed_and_opened(page: Page) -> None:
    """Behind a confirmation each."""
    for verb in ("Close", "Open"):
        await go(page, "#/pool/HUDDLE/demo-huddle/change", "Coffee")
        await page.get_by_role("button", name=f"{verb} …").click()
        await page.get_by_role("dialog").get_by_role("button", name=verb, exact=True).click()
        await expect(page.locator(".rows tbody tr").first).to_contain_text(verb)
        await expect(page.locator(".chip.closed")).to_have_count(1 if verb == "Close" else 0)


# ------------------------------------------------------------------ the check


async def test_londons_drift_is_shown_backfilled_and_gone(page: Page, changed: GatewayProcess) -> None:
    """Off by 50, with the reservation behind it; after the missing entry is written all adds up."""
    await page.get_by_role("link", name="Check").click()
    await expect(page.get_by_text("1 pool is off, 12 add up.")).to_be_visible()
    london = card(page, "EMPWR Dance - London")
    await expect(london).to_contain_text(
        "The counter says 538 are free; the history adds up to 588. Off by \N{MINUS SIGN}50."
    )

    await london.get_by_role("button", name="Write the missing entry").click()
    await page.get_by_role("dialog").get_by_label("Why").fill("counted by the old system")
    await page.get_by_role("button", name="Write it").click()

    await expect(page.get_by_text("All 13 add up")).to_be_visible()
    await expect(page.get_by_text("Off by")).to_have_count(0)
    found = changed.send("{ reconcile(kind: COMPETITION) { edges { node { discrepancy } } } }")
    assert {edge["node"]["discrepancy"] for edge in found["edges"]} == {0}


async def test_what_has_come_apart_is_repaired_behind_a_confirmation(
    chromium: Browser, start: Start, demo_url: str
) -> None:
    """A counter that moved by itself is brought back to what people have, and the history says so."""
    await fetch(demo_url, "UPDATE capacity.pool SET confirmed = confirmed + 3 WHERE id = 'session:demo-keynote'")
    gateway = start("serve", database_url=demo_url).ready()
    async with browsing(chromium, gateway.url, "/console") as page:
        await page.get_by_label("Your token").fill(gateway.tokens()["admin"])
        await page.get_by_role("button", name="Sign in").click()
        await go(page, "#/check", "Does everything add up?")
        await expect(page.get_by_text("2 pools are off, 11 add up.")).to_be_visible()
        repair = card(page, "Keynote").get_by_role("button", name="Repair")
        await repair.click()
        await page.get_by_role("button", name="Cancel").click()
        await expect(card(page, "Keynote")).to_contain_text("Off by \N{MINUS SIGN}3.")

        await repair.click()
        await page.get_by_role("dialog").get_by_label("Why").fill("a crash")
        await page.get_by_role("button", name="Repair it").click()

        await expect(page.get_by_text("1 pool is off, 12 add up.")).to_be_visible()
        await go(page, "#/pool/SESSION/demo-keynote", "Keynote")
        await expect(page.locator(".standing .summary")).to_have_text("15 free of 30")
        await expect(page.locator(".rows tbody tr").first).to_contain_text("Repair")


# ------------------------------------------------------------------ for everybody


@pytest.mark.parametrize("width", [1440, 360])
@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_no_page_keeps_anybody_out(
    chromium: Browser, served: GatewayProcess, scheme: Literal["light", "dark"], width: int
) -> None:
    """axe-core finds nothing serious in light and dark, on a screen and a phone, and nothing is wider than that."""
    axe, found = AXE.read_text(), {}
    window: dict[str, Any] = {"viewport": {"width": width, "height": 780}, "color_scheme": scheme}
    async with browsing(chromium, served.url, "/console", reduced_motion="reduce", **window) as page:

        async def examine(name: str) -> None:
            await page.evaluate(axe)
            seen = await page.evaluate("axe.run()")
            found[name] = [
                (violation["id"], [node["html"] for node in violation["nodes"]])
                for violation in seen["violations"]
                if violation["impact"] in ("serious", "critical")
            ]
            assert await page.evaluate("document.documentElement.scrollWidth") <= width, name

        await examine("login")
        await sign_in(page)
        await examine("board")
        for part in ("", "/people", "/change", "/check"):
            await go(page, f"{WORKSHOP}{part}", "Workshop")
            await examine(f"pool{part}")
        await go(page, f"{WORKSHOP}/change", "Workshop")
        await page.get_by_label("New limit").fill("6")
        await page.get_by_role("button", name="Show what would happen").click()
        await page.get_by_role("button", name="Do it").click()
        await examine("what if, and a question")
        await page.get_by_role("button", name="Cancel").click()
        await go(page, "#/check", "Does everything add up?")
        await examine("check")

    assert {name: violations for name, violations in found.items() if violations} == {}


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_the_page_follows_the_system(
    chromium: Browser, served: GatewayProcess, scheme: Literal["light", "dark"]
) -> None:
    """The paper is dark where the system is, and light where it is not."""
    async with browsing(chromium, served.url, "/console", color_scheme=scheme) as page:
        color = await page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (max(int(channel) for channel in re.findall(r"\d+", color)[:3]) < 100) == (scheme == "dark")
