"""A real browser that notices whatever a page complains of."""

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from playwright.async_api import Browser, Page, expect

expect.set_options(timeout=20_000)  # ms, on a busy machine

CHROMIUM = shutil.which("chromium", path="/usr/bin")
LEFT = "net::ERR_ABORTED"
"""Of what was still asked for when the page was left or loaded anew."""
ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@asynccontextmanager
async def browsing(chromium: Browser, url: str, path: str, *others: str, **context: Any) -> AsyncIterator[Page]:
    """A page as it opens; in the end, nothing came from elsewhere or failed, and the browser's console is quiet.

    Args:
        chromium: the browser.
        url: the origin to load from.
        path: the page's.
        others: what else it may ask.
        context: what is special about the browser's window, as Playwright names it.
    """
    complaints: list[str] = []

    def note(complaint: str, *, when: bool = True) -> None:
        if when:
            complaints.append(complaint)

    async with await chromium.new_context(**{"viewport": {"width": 1440, "height": 900}} | context) as opened:
        await opened.grant_permissions(["clipboard-read", "clipboard-write"])
        page = await opened.new_page()
        page.on("console", lambda said: note(said.text, when=said.type in {"error", "warning"}))
        page.on("pageerror", lambda error: note(str(error)))
        page.on("request", lambda sent: note(sent.url, when=not sent.url.startswith((url, *others, "data:", "blob:"))))
        page.on("requestfailed", lambda sent: note(f"{sent.url}: {sent.failure}", when=sent.failure != LEFT))
        page.on("response", lambda answer: note(f"{answer.url}: {answer.status}", when=answer.status >= 400))
        await page.goto(f"{url}{path}", wait_until="networkidle")
        yield page
        assert complaints == [], complaints
