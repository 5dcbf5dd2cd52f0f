"""A real Chromium, driven by Playwright, and what its pages did besides what they were told."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from playwright.async_api import async_playwright

from tests.support.tools import chromium_program

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from typing import Literal

    from playwright.async_api import Browser, ConsoleMessage, Page

DESKTOP: Final = (1280, 800)
PHONE: Final = (390, 844)
TIMEOUT_MS: Final = 20_000


@dataclass(slots=True)
class Opened:
    """A page, with what it logged and asked for."""

    page: Page
    errors: list[str] = field(default_factory=list)
    """Errors and warnings in the console, and exceptions that nobody caught."""
    requests: list[str] = field(default_factory=list)
    """Every URL that was asked for."""


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """Run a browser while the block runs; it finds no host but loopback."""
    program = chromium_program()
    assert program is not None, "there is no Chromium here: make ci-tools"
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=program,
            args=["--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"],
            timeout=30_000,
        )
        try:
            yield browser
        finally:
            await browser.close()


@asynccontextmanager
async def opened(
    browser: Browser,
    url: str,
    *,
    size: tuple[int, int] = DESKTOP,
    scheme: Literal["light", "dark"] = "light",
    scale: float = 1,
) -> AsyncIterator[Opened]:
    """Open a page in a window that remembers nothing of others.

    Args:
        browser: Of `chromium`.
        url: Where to go.
        size: Width and height in CSS pixels.
        scheme: What the system is said to wish.
        scale: Device pixels in a CSS pixel.
    """
    context = await browser.new_context(
        viewport={"width": size[0], "height": size[1]},
        color_scheme=scheme,
        device_scale_factor=scale,
        has_touch=size == PHONE,
    )
    context.set_default_timeout(TIMEOUT_MS)
    try:
        page = await context.new_page()
        seen = Opened(page)

        def hear(message: ConsoleMessage) -> None:
            if message.type in ("error", "warning"):
                seen.errors.append(message.text)

        page.on("console", hear)
        page.on("pageerror", lambda error: seen.errors.append(str(error)))
        page.on("request", lambda request: seen.requests.append(request.url))
        await page.goto(url)
        yield seen
    finally:
        await context.close()
