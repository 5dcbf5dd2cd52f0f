"""The dashboard in a real Chromium, in front of a real proxy: few tests, each a visit."""

import asyncio
from contextlib import asynccontextmanager

import pytest
import pytest_asyncio
from playwright.async_api import expect

from tests.support.browser import PHONE, chromium, opened
from tests.support.http_wire import ask
from tests.support.messages import LOCAL, MIXED, turn
from tests.support.proxy import running_proxy
from tests.support.waiting import until_found

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.needs("chromium")]

EVIL = "<img/src=x/onerror=window.pwned=1>" + "x" * 60
"""A name that a client may choose; markup in a page that trusts it, and too long for a phone."""
BUDGET = {"name": "everybody", "scope": "total", "counts": "usd", "window": "day", "limit": 50}
PROXY_OPTIONS = {"changes": {"budgets": [{**BUDGET, "on_reach": "warn"}]}}
LINES_DRAWN = """() => [...document.querySelectorAll('.plot canvas')].map((canvas) => {
  const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
  const colours = new Set();
  for (let i = 0; i < data.length; i += 4) {
    if (data[i + 3] > 200 && Math.max(data[i], data[i + 1], data[i + 2])
        - Math.min(data[i], data[i + 1], data[i + 2]) > 60) colours.add(`${data[i]},${data[i + 1]}`);
  }
  return colours.size;
})"""
"""For each chart: how many saturated colours are in it; grid and labels have none."""
CONTRASTS = """() => {
  const parse = (text) => text.match(/[\\d.]+/g).map(Number);
  const light = (rgb) => {
    const [r, g, b] = rgb.map((v) => v / 255)
      .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ground = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const rgba = parse(getComputedStyle(at).backgroundColor);
      if (rgba.length < 4 || rgba[3] > 0) return rgba.slice(0, 3);
    }
  };
  const found = {};
  for (const element of document.querySelectorAll('p, th, td, dt, dd, h2, a, button, .state, summary')) {
    if (!element.checkVisibility() || !element.textContent.trim()) continue;
    const [a, b] = [parse(getComputedStyle(element).color).slice(0, 3), ground(element)].map(light);
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) found[`${element.tagName}.${element.className}`] = ratio;
  }
  return found;
}"""
FOCUSED = """() => {
  const at = document.activeElement;
  if (at === document.body || at === document.documentElement) return null;
  const label = at.labels?.[0]?.textContent ?? '';
  const name = (at.getAttribute('aria-label') ?? '') + label + at.textContent.trim();
  const outline = getComputedStyle(at).outlineStyle !== 'none';
  return { id: at.id, tag: at.tagName, name, outline };
}"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser():
    """One Chromium for all visits."""
    async with chromium() as browser:
        yield browser


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def busy_proxy(shared_proxy):
    """A proxy with something to show: two agents, a fallback, and a client with an evil name."""
    proxy = shared_proxy
    at = "/agents/code-reviewer/v1/messages"
    assert 200 == (await ask(proxy.base_url, at, headers=proxy.headers, body=turn())).status
    proxy.ollama.add_fault("busy")
    fallen = await ask(proxy.base_url, at, headers=proxy.headers, body=turn(model=MIXED))
    assert "qwen-coder:overloaded,claude-sonnet:ok" == fallen.header("x-ccproxy-attempts")
    evil = {**proxy.headers, "x-ccproxy-project": EVIL}
    assert 200 == (await ask(proxy.base_url, "/v1/messages", headers=evil, body=turn())).status

    async def written():
        path, headers = "/admin/usage?by=project", {"authorization": f"Bearer {proxy.token}"}
        told = (await ask(proxy.base_url, path, method="GET", headers=headers)).json()
        return any(group["name"] == EVIL for group in told.get("groups", ())) or None

    await until_found(written)
    return proxy


@asynccontextmanager
async def visit(browser, proxy, **options):
    """Open the dashboard; at the end nothing was logged, and nobody else asked for anything."""
    async with opened(browser, f"{proxy.base_url}/dashboard", **options) as seen:
        yield seen.page
        assert [] == seen.errors
        assert [] == [url for url in seen.requests if not url.startswith(f"{proxy.base_url}/")]


def usd(microusd):
    return f"${microusd / 1e6:.4f}"


async def sign_in(page, token):
    await page.keyboard.type(token)
    await page.keyboard.press("Enter")
    await page.wait_for_selector("#connection.good")
    for section in ("usage", "latency", "failures", "routes"):
        await page.wait_for_selector(f"#{section} table")


async def test_a_visit_shows_real_figures(browser, busy_proxy):
    """Signed in by keyboard, the page shows what the proxy tells, and keeps the token in the tab."""
    headers = {"authorization": f"Bearer {busy_proxy.token}"}
    async with visit(browser, busy_proxy) as page:
        await sign_in(page, busy_proxy.token)
        path = "/admin/usage?by=agent"
        told = (await ask(busy_proxy.base_url, path, method="GET", headers=headers)).json()
        await page.select_option("#by", "agent")
        row = page.locator("#usage tr", has_text="code-reviewer")
        await row.wait_for()
        group = next(g for g in told["groups"] if g["name"] == "code-reviewer")
        cells = await row.locator("td").all_inner_texts()

        assert ["code-reviewer", str(group["requests"]), "1", "0"] == cells[:4]
        assert usd(group["cost_microusd"]) == cells[7]
        assert all(colours > 0 for colours in await page.evaluate(LINES_DRAWN))
        assert 4 == await page.locator(".plot canvas").count()
        await page.locator("#usage summary").first.click()
        newest = page.locator("#usage details tbody tr").first
        assert cells[7] in await newest.inner_text()
        chain = "qwen-coder: overloaded → claude-sonnet: ok"
        assert await page.locator("#failures td", has_text=chain).count() >= 1
        assert await page.locator("#latency td", has_text="claude-sonnet").count() == 1
        budget = (
            await page.locator("#budgets tr", has_text="everybody").locator("td").all_inner_texts()
        )
        assert ["everybody", "total", "$50.00", "day"] == [cell.strip() for cell in budget[:4]]
        assert f"{usd(told['total']['cost_microusd'])} (0 %)" in budget[4]

        await (
            page.get_by_label("Why does security-auditor go there?")
            .or_(page.get_by_label("Show agents with"))
            .last.fill("security-auditor")
        )
        await page.get_by_label("Why does security-auditor go there?").click()
        await expect(page.locator(".attempts li")).to_have_text(
            ["qwen-quality (local)", "qwen-coder (local)"]
        )

        assert busy_proxy.token not in page.url
        assert "{}" == await page.evaluate("JSON.stringify(localStorage)")
        assert "" == await page.evaluate("document.cookie")
        await page.reload()
        await page.wait_for_selector("#connection.good")
        await page.click("#leave")
        assert 0 == await page.evaluate("sessionStorage.length")
        assert await page.is_hidden("#figures")


async def test_what_runs_now_is_seen(browser, busy_proxy):
    """A request appears within seconds of its arrival and leaves when it is over."""
    async with visit(browser, busy_proxy) as page:
        await sign_in(page, busy_proxy.token)
        await page.wait_for_selector("#now >> text=Nothing is running.")
        busy_proxy.ollama.add_fault("hang")
        request = asyncio.create_task(
            ask(
                busy_proxy.base_url,
                "/agents/code-reviewer/v1/messages",
                headers=busy_proxy.headers,
                body=turn(model=LOCAL, stream=True),
            )
        )
        await page.locator("#now [data-part=running] tr", has_text="code-reviewer").wait_for()
        assert (await page.title()).startswith("1 running")
        request.cancel()
        await page.wait_for_selector("#now >> text=Nothing is running.")


async def test_names_of_clients_stay_text(browser, busy_proxy):
    """Markup in a name is shown as it is; on a phone it is broken, and nothing scrolls sideways."""
    async with visit(browser, busy_proxy, size=PHONE, scheme="dark") as page:
        await sign_in(page, busy_proxy.token)
        await page.select_option("#by", "project")
        await page.locator("#usage td", has_text=EVIL).wait_for()
        await page.fill("#explain-agent", EVIL)
        await page.click("#explain button")
        await page.locator("#routes [data-part=explained]", has_text=EVIL[:20]).wait_for()

        assert (
            0
            == await page.locator(
                "img, td *:not(.state):not(.state *):not(button):not(code):not(meter)"
            ).count()
        )
        assert await page.evaluate("window.pwned === undefined")
        assert (PHONE[0], "block") == tuple(
            await page.evaluate(
                "[document.scrollingElement.scrollWidth,"
                " getComputedStyle(document.querySelector('#usage tbody')).display]"
            )
        )
        assert {} == await page.evaluate(CONTRASTS)
        await page.emulate_media(color_scheme="light")
        assert {} == await page.evaluate(CONTRASTS)


async def test_the_keyboard_reaches_everything(browser, busy_proxy):
    """Tab goes through all controls in order; each has a name and shows that it has the focus."""
    async with visit(browser, busy_proxy) as page:
        await sign_in(page, busy_proxy.token)
        await page.fill("#filter", "chief-architect")
        walked = []
        await page.evaluate("document.querySelector('.skip').focus()")
        while (focused := await page.evaluate(FOCUSED)) is not None and len(walked) < 80:
            walked.append(focused)
            await page.keyboard.press("Tab")

        assert len(walked) < 80
        assert [] == [each for each in walked if not each["name"] or not each["outline"]]
        order = [each["id"] for each in walked if each["id"]]
        assert [
            "leave",
            "hours",
            "by",
            "explain-agent",
            "explain-model",
            "explain-down",
            "filter",
        ] == order
        names = [each["name"] for each in walked]
        assert ["Skip to the figures", "Forget token", "Now", "Cost"] == names[:4]
        assert {"As a table", "local, p50", "Why does chief-architect go there?Why?"} <= set(names)

        button = page.locator(".legend button").first
        await button.focus()
        await page.keyboard.press("Space")
        assert "false" == await button.get_attribute("aria-pressed")


async def test_what_is_wrong_is_said(browser, busy_proxy, tmp_path):
    """A wrong token, one without the scope, a proxy that is gone, a ledger that is down: in words."""
    client = busy_proxy.new_token("page-client")
    (tmp_path / "ledger.db").mkdir()
    broken = {"ledger": {"url": f"sqlite:///{tmp_path / 'ledger.db'}"}}
    async with opened(browser, f"{busy_proxy.base_url}/dashboard#token=ccp_secret") as seen:
        page = seen.page
        assert "token in a URL is not used" in await page.inner_text("#login-problem")
        assert page.url.endswith("/dashboard")
        for token, words in (("wrong", "does not know this token"), (client, "--scope ops")):
            await page.keyboard.type(token)
            await page.keyboard.press("Enter")
            await page.wait_for_selector(f"#login-problem >> text={words}")
            await page.wait_for_function("document.activeElement.id === 'token'")

    async with (
        running_proxy(changes=broken) as proxy,
        opened(browser, f"{proxy.base_url}/dashboard") as seen,
    ):
        page = seen.page
        await page.keyboard.type(proxy.token)
        await page.keyboard.press("Enter")
        await page.wait_for_selector("#usage .problem >> text=No figures")
        await page.wait_for_selector("#connection.good")
        assert "balanced" in await page.inner_text("#now")
        assert "No budget is set" in await page.inner_text("#budgets")
        # A network that is lost keeps new requests from the proxy, but not what is under way.
        await page.context.set_offline(offline=True)
        proxy.proxy.end_views()
        await page.wait_for_selector("#connection.bad >> text=The proxy does not answer")
        await page.context.set_offline(offline=False)
        await page.wait_for_selector("#connection.good")
