"""Pictures of the dashboard for docs/dashboard.md: `make screenshots`.

A fleet works through a real proxy in front of simulated upstreams for a minute. The rows of its
requests, as the proxy accounted for them, are then spread over the week before, and the proxy is
started again on that ledger with requests under way. What the pictures show is what it says then.
"""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import tempfile
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from time import time
from typing import TYPE_CHECKING, Any, Final, Literal

from PIL import Image

from ccproxy.app import build_proxy
from ccproxy.auth import create_token
from ccproxy.config.settings import load_settings
from ccproxy.demo.asgi_server import running
from ccproxy.demo.claude_faults import Fault, FaultKind
from ccproxy.demo.standin import simulated_upstreams
from ccproxy.ledger.database import open_database
from ccproxy.pipeline.account import request_row
from tests.support.browser import DESKTOP, PHONE, chromium, opened
from tests.support.http_wire import ask
from tests.support.tools import ROOT

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Sequence

    from playwright.async_api import Browser, Page

    from ccproxy.app import Proxy
    from ccproxy.config.settings import Settings
    from ccproxy.demo.standin import Simulation
    from ccproxy.outcome import Outcome
    from ccproxy.rows import RequestRow

PICTURES: Final = ROOT / "docs" / "images"
SECTIONS: Final = {
    "dashboard-desktop-light": ("usage",),
    "dashboard-desktop-dark": ("failures", "routes"),
    "dashboard-phone-light": (),
    "dashboard-phone-dark": ("usage",),
}
"""What is shown besides the top of the page."""
MOST_HIGH: Final = 1600
"""Pixels of a picture."""
COLOURS: Final = 200
"""Of a picture's palette: flat areas and thin lines need no more."""
REQUESTS: Final = 90
AT_ONCE: Final = 6
LOOKS: Final[Sequence[tuple[Literal["light", "dark"], tuple[int, int], float]]] = (
    ("light", DESKTOP, 1.0),
    ("dark", DESKTOP, 1.0),
    ("light", PHONE, 1.5),
    ("dark", PHONE, 1.5),
)
DAYS: Final = 7
PER_HOUR: Final = 14
AGENTS: Final = (
    "code-reviewer", "python-pro", "debugger", "test-engineer", "security-auditor",
    "chief-architect", "documentation-expert", "devops-engineer",
)  # fmt: skip
WORDS: Final = "the table routes each agent to a local model first and to Claude after it "
BUDGETS: Final = """
budgets:
  - {name: whole-fleet, scope: total, counts: usd, window: month, limit: 40, on_reach: local_only}
  - {name: one-agent, scope: agent, value: '*', counts: usd, window: day, limit: 2.5, on_reach: warn}
  - {name: opus, scope: deployment, value: claude-opus, counts: requests, window: day, limit: 400, on_reach: refuse}
"""


@dataclass(slots=True)
class _Outcomes:
    """Keeps what became of each request."""

    kept: list[Outcome] = field(default_factory=list)

    def record(self, outcome: Outcome) -> None:
        self.kept.append(outcome)


@dataclass(frozen=True, slots=True)
class _Site:
    """A proxy that serves, and how to ask it."""

    base_url: str
    token: str
    proxy: Proxy
    simulation: Simulation

    async def send_on_and_on(self, agent: str) -> None:
        """Be one agent at work, until cancelled."""
        while True:
            await self.send(agent, 5000, 1500)

    async def send(self, agent: str, prompt_words: int, answer_words: int) -> None:
        """Be one agent with one request."""
        text = WORDS * (prompt_words // 14) + f"Give me {answer_words} words."
        body = {
            "model": "claude-sonnet-5-5",
            "max_tokens": 2000,
            "stream": True,
            "messages": [{"role": "user", "content": text}],
        }
        headers = {"x-api-key": self.token, "anthropic-version": "2023-06-01"}
        await ask(self.base_url, f"/agents/{agent}/v1/messages", headers=headers, body=body)


async def draw() -> None:
    """Write every picture."""
    chance = random.Random(20_261_121)  # noqa: S311 - the same pictures every time
    with tempfile.TemporaryDirectory() as home:
        settings = _settings(Path(home))
        token = create_token(settings.tokens_file, "pictures", ("ops",), ())
        outcomes = _Outcomes()
        async with _serving(settings, token, outcomes) as site:
            await _work(site, chance)
            loaded = site.proxy.live.loaded
            rows = [
                request_row(each, loaded.table.prices, loaded.roster.agents[each.agent].category)
                for each in outcomes.kept
            ]
        database = open_database(settings.ledger_url)
        database.write(list(_spread(rows, chance)))
        database.close()
        async with _serving(settings, token) as site, chromium() as browser:
            await _photograph(site, browser)


def _settings(home: Path) -> Settings:
    folder = home / "config"
    shutil.copytree(ROOT / "config", folder)
    config = folder / "ccproxy.yaml"
    config.write_text(config.read_text() + BUDGETS)
    return load_settings(config, {**os.environ, "HOME": str(home)})


@asynccontextmanager
async def _serving(settings: Settings, token: str, *sinks: Any) -> AsyncIterator[_Site]:
    async with simulated_upstreams(settings) as simulation:
        proxy = build_proxy(simulation.in_place_of_real(settings), sinks=sinks)
        async with running(proxy.app) as base_url:
            yield _Site(base_url, token, proxy, simulation)


async def _work(site: _Site, chance: random.Random) -> None:
    slots = asyncio.Semaphore(AT_ONCE)

    async def one(number: int) -> None:
        async with slots:
            if number % 9 == 4:
                site.simulation.ollama.add_fault("busy")
            if number % 30 == 17:
                site.simulation.claude.faults.append(Fault(FaultKind("status"), status=529))
            agent = chance.choice(AGENTS)
            await site.send(agent, chance.randint(300, 6000), chance.randint(30, 400))

    await asyncio.gather(*(one(number) for number in range(REQUESTS)))


def _spread(rows: Sequence[RequestRow], chance: random.Random) -> Iterator[RequestRow]:
    """Yield rows as if the work had gone on for days, more of it by day than at night."""
    now_s = time()
    number = 0
    for hours_ago in range(DAYS * 24):
        hour_of_day = int(now_s / 3600 - hours_ago) % 24
        busy = 1.0 if 7 <= hour_of_day <= 18 else 0.2
        for _ in range(chance.randint(0, round(2 * PER_HOUR * busy))):
            at_s = now_s - hours_ago * 3600 - chance.random() * 3600
            number += 1
            yield replace(
                chance.choice(rows), at_ms=round(at_s * 1000), request_id=f"req_{number:024}"
            )


async def _photograph(site: _Site, browser: Browser) -> None:
    async with AsyncExitStack() as running_requests:
        for agent in AGENTS[:5]:
            task = asyncio.create_task(site.send_on_and_on(agent))
            running_requests.callback(task.cancel)
        PICTURES.mkdir(exist_ok=True)
        for scheme, size, scale in LOOKS:
            url = f"{site.base_url}/dashboard"
            async with opened(browser, url, size=size, scheme=scheme, scale=scale) as seen:
                await _sign_in(seen.page, site.token)
                width = "phone" if size == PHONE else "desktop"
                await _pictures(seen.page, f"dashboard-{width}-{scheme}", size)


async def _sign_in(page: Page, token: str) -> None:
    await page.keyboard.type(token)
    await page.keyboard.press("Enter")
    await page.locator("#now [data-part=running] tr", has_text=AGENTS[0]).wait_for()
    for section in ("usage", "latency", "failures", "routes", "budgets"):
        await page.wait_for_selector(f"#{section} table")
    await page.select_option("#hours", "168")
    await page.select_option("#by", "agent")
    await page.locator("#usage td", has_text=AGENTS[0]).wait_for()
    await page.get_by_label("Show agents with").fill("security")
    await page.get_by_label("Why does security-auditor go there?").click()
    await page.wait_for_selector(".attempts")


async def _pictures(page: Page, name: str, size: tuple[int, int]) -> None:
    await page.evaluate("document.activeElement.blur(); scrollTo(0, 0)")
    await page.screenshot(path=PICTURES / f"{name}.png")
    # In a window as high as the page the navigation stays above what it would lie across.
    whole = await page.evaluate("document.documentElement.scrollHeight")
    await page.set_viewport_size({"width": size[0], "height": whole})
    for section in SECTIONS[name]:
        await page.locator(f"#{section}").screenshot(path=PICTURES / f"{name}-{section}.png")
    for file in PICTURES.glob(f"{name}*.png"):
        _shrink(file)


def _shrink(file: Path) -> None:
    with Image.open(file) as image:
        top = image.crop((0, 0, image.width, min(image.height, MOST_HIGH)))
        small = top.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE)
    small.save(file, optimize=True)


if __name__ == "__main__":
    asyncio.run(draw())
