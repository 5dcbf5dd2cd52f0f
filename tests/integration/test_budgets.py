"""Budgets over HTTP: what clients are told, where requests go, what is counted and remembered."""

import asyncio
from contextlib import asynccontextmanager

import anthropic
import pytest

from ccproxy.demo.claude import SimulatedClaude
from ccproxy.demo.claude_faults import Fault, FaultKind
from ccproxy.wire.estimate import estimate_input_tokens
from routing.pricing import Price, Rates, TokenRange
from routing.reserve import CacheMarks, most_microusd
from tests.support.http_wire import ask
from tests.support.messages import CLAUDE, turn
from tests.support.proxy import running_proxy
from tests.support.waiting import until

MICRO = 1_000_000
SONNET = "claude-sonnet-4-5"
OPUS_PRICE = Price(
    Rates(5 * MICRO, 25 * MICRO, 6_250_000, 10 * MICRO, 500_000), token_range=TokenRange(0, 0, 1250)
)
"""Of `claude-opus-4-6` in the shipped price file, but for the token range, which is in bounds."""
TABLE = {
    "version": 1,
    "active_profile": "p",
    "profiles": {
        "p": {
            "tiers": {
                "opus": {"route": ["claude-opus"]},
                "sonnet": {"route": ["claude-sonnet", "qwen-coder"]},
                "haiku": {"route": ["claude-haiku", "claude-sonnet"]},
            },
            "default": {"route": ["claude-default"]},
        }
    },
}


def budget(limit, counts="usd", on_reach="refuse", scope="total", value=None, name="b"):
    """Return a budget of a month; a window that ends while a test runs would make it fail."""
    made = {"name": name, "scope": scope, "counts": counts, "limit": limit, "on_reach": on_reach}
    if value is not None:
        made["value"] = value
    return made if counts == "concurrency" else {**made, "window": "month"}


class Asking:
    """Asks a proxy."""

    def __init__(self, proxy):
        self.proxy = proxy

    async def __call__(self, model=CLAUDE, *, path="/v1/messages", headers=(), **body):
        sent = {**self.proxy.headers, **dict(headers)}
        return await ask(self.proxy.base_url, path, headers=sent, body=turn(model=model, **body))

    async def get(self, path):
        return await ask(self.proxy.base_url, path, method="GET", headers=self.proxy.headers)

    async def budgets(self):
        """Return every budget by name."""
        told = (await self.get("/admin/budgets")).json()
        return {each["name"]: each for each in told["budgets"]}

    async def used(self, name="b"):
        """Return what was used of a budget, of all whom it counts apart together."""
        return sum(each["used"] for each in (await self.budgets())[name]["tallies"])


@asynccontextmanager
async def proxied(folder, *budgets, **options):
    """Run a proxy with these budgets and a ledger in this folder."""
    ledger = {"url": f"sqlite:///{folder / 'ledger.db'}"}
    changes = {"budgets": list(budgets), "ledger": ledger}
    async with running_proxy(routing=TABLE, changes=changes, **options) as proxy:
        yield Asking(proxy)


def cost_microusd(usage):
    """Return what an answer of Opus cost, by its own words."""
    return 5 * usage["input_tokens"] + 25 * usage["output_tokens"]


async def test_one_dollar_under_fifty_agents(tmp_path):
    """However many ask at once, less than one estimate beyond the limit is spent (docs/budgets.md).

    What was spent is added up from the answers, each of which the upstream gave.
    """
    words = "lorem ipsum " * 4000
    prompt_tokens = estimate_input_tokens(turn(words, CLAUDE))
    most = most_microusd(prompt_tokens, 256, OPUS_PRICE, CacheMarks.NONE)
    claude = SimulatedClaude(speed=10)
    async with proxied(tmp_path, budget(1), claude=claude) as asking:

        async def agent():
            """Ask until a request is refused; return what was spent, and whether to ask again."""
            spent = 0
            while (answer := await asking(text=words)).status == 200:
                spent += cost_microusd(answer.json()["usage"])
            assert (429, "rate_limit_error") == (answer.status, answer.error["type"])
            return spent, answer.header("x-should-retry") == "true"

        agents, spent, goes_on = 50, 0, True
        while goes_on:
            ends = await asyncio.gather(*(agent() for _ in range(agents)))
            spent += sum(each for each, _ in ends)
            agents, goes_on = 3, all(again for _, again in ends)
        assert spent == await asking.used()

    assert MICRO <= spent < MICRO + most


async def test_a_restart_forgets_nothing(tmp_path):
    """What was spent before is there before the first request is let through, to the microdollar."""
    limits = [
        budget(0.004),
        budget(100, "requests", name="each", scope="agent", value="*"),
        budget(100, "tokens", "warn", name="tokens", scope="deployment", value="*"),
    ]
    async with proxied(tmp_path, *limits) as asking:
        for stream in (False, True):
            assert 200 == (await asking(text="Give me 30 words.", stream=stream)).status
        before = {name: await asking.used(name) for name in ("b", "each", "tokens")}
        assert before["b"] > 0
        assert 2 == before["each"]
    async with proxied(tmp_path, *limits) as asking:
        while (again := await asking(text="Give me 90 words.")).status == 200:
            assert await asking.used() > before["b"]
            assert 1 == len({each["value"] for each in (await asking.budgets())["each"]["tallies"]})
        assert "used up" in again.error["message"]
    async with proxied(tmp_path, *limits) as asking:
        refused = await asking()
        after = {name: await asking.used(name) for name in ("b", "each", "tokens")}
        assert not asking.proxy.claude.requests

    assert (429, "false") == (refused.status, refused.header("x-should-retry"))
    assert all(after[name] > used for name, used in before.items())


@pytest.fixture
async def asking(tmp_path, request):
    """Ask a proxy with the budgets of the test."""
    async with proxied(tmp_path, *request.param) as asking:
        yield asking


@pytest.mark.parametrize(
    "asking",
    [[budget(0.000001, on_reach="warn"), budget(1, "requests", "warn", name="r")]],
    indirect=True,
)
async def test_a_warning_lets_through(asking, caplog):
    """The header says it on every answer, the log and the metrics once."""
    first, *rest = [await asking() for _ in range(3)]
    metrics = (await asking.get("/metrics")).body.decode()

    assert (200, None) == (first.status, first.header("x-ccproxy-notes"))
    assert [(200, "budget_reached=b,budget_reached=r")] * 2 == [
        (each.status, each.header("x-ccproxy-notes")) for each in rest
    ]
    crossed = [line.rpartition(" of ")[2] for line in caplog.messages if "% is reached" in line]
    assert ["1 request", "$0.000001"] == crossed
    assert 'ccproxy_budget_crossings_total{budget="b",percent="100"} 1.0' in metrics
    assert 'ccproxy_budget_used_ratio{budget="r"} 3.0' in metrics
    assert "ccproxy_budgets_restored 1.0" in metrics
    assert "ccproxy_budget_refusals_total{" not in metrics


@pytest.mark.parametrize("asking", [[budget(1, "requests", "local_only")]], indirect=True)
async def test_local_only_keeps_everything_here(asking):
    """What has a model on this host is served by it, the rest is refused; Claude hears nothing."""
    assert "claude-sonnet" == (await asking(SONNET)).header("x-ccproxy-deployment")
    asking.proxy.claude.reset()

    local, refused = await asking(SONNET), await asking(CLAUDE)
    counted = await asking(CLAUDE, path="/v1/messages/count_tokens", max_tokens=None)
    paths = [each.path for each in asking.proxy.claude.requests]

    assert (200, "qwen-coder") == (local.status, local.header("x-ccproxy-deployment"))
    assert "budget_local_only=b" in local.header("x-ccproxy-notes")
    assert (429, "rate_limit_error") == (refused.status, refused.error["type"])
    assert "until then only models on this host serve" in refused.error["message"]
    assert "budget_refused=b" == refused.header("x-ccproxy-notes")
    assert (200, ["/v1/messages/count_tokens"]) == (counted.status, paths)
    metrics = (await asking.get("/metrics")).body.decode()
    assert 'ccproxy_budget_diversions_total{budget="b"} 1.0' in metrics
    assert 'ccproxy_budget_refusals_total{budget="b"} 1.0' in metrics


@pytest.mark.parametrize("asking", [[budget(0.000001)]], indirect=True)
async def test_sdks_give_up_on_money_at_once(asking):
    """The anthropic SDK makes one request, and tells which budget, how much and until when."""
    await asking()
    client = anthropic.AsyncAnthropic(
        api_key=asking.proxy.token, base_url=asking.proxy.base_url, max_retries=5
    )
    async with client:
        with pytest.raises(
            anthropic.RateLimitError, match=r"^.*Budget b is used up: \$0\.00"
        ) as caught:
            await client.messages.create(**turn(model=CLAUDE))

    assert 1 == (await asking.budgets())["b"]["refusals"]
    assert None is caught.value.response.headers.get("retry-after")
    assert "it opens again at 20" in str(caught.value)
    batch = {"requests": [{"custom_id": "1", "params": turn(model=CLAUDE)}]}
    refused = await ask(
        asking.proxy.base_url, "/v1/messages/batches", headers=asking.proxy.headers, body=batch
    )
    assert (429, 1) == (refused.status, len(asking.proxy.claude.requests))


SCOPES = [
    budget(1, "requests", name="pro", scope="agent", value="python-pro"),
    budget(1, "requests", name="apollo", scope="project", value="apollo"),
    budget(1, "requests", name="desk", scope="principal", value="desk"),
    budget(2, "requests", name="haiku", scope="deployment", value="claude-haiku"),
]
HAIKU = "claude-haiku-4-5"


@pytest.mark.parametrize("asking", [SCOPES], indirect=True)
async def test_scopes(asking):
    """An agent, a project and a token have their own; a deployment's leaves the others."""
    token = asking.proxy.new_token("desk")

    async def served(model=CLAUDE, **headers):
        """Return who served, or which budget refused."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        answer = await asking(model, headers=sent)
        if answer.status == 429:
            return answer.error["message"].split()[1]
        return answer.header("x-ccproxy-deployment") or answer.status

    assert "claude-haiku" == await served(x_ccproxy_agent="python-pro")
    assert "pro" == await served(x_ccproxy_agent="python-pro")
    assert "claude-sonnet" == await served(SONNET, x_ccproxy_agent="debugger")
    assert ["claude-opus", "apollo"] == [await served(x_ccproxy_project="apollo") for _ in range(2)]
    async with asyncio.timeout(10):
        while (first := await served(x_api_key=token)) == 401:
            pass
    assert ["claude-opus", "desk"] == [first, await served(x_api_key=token)]
    assert ["claude-haiku", "claude-sonnet"] == [await served(HAIKU) for _ in range(2)]
    explained = await ask(
        asking.proxy.base_url,
        "/admin/explain",
        headers=asking.proxy.headers,
        body=turn(model=HAIKU),
    )
    told = explained.json()
    assert ["claude-sonnet"] == [each["deployment"] for each in told["attempts"]]
    why = {each["name"]: each["reason"] for each in told["trace"] if each["kind"] == "candidate"}
    assert why["claude-haiku"].startswith("budget haiku is used up: 2 requests of 2 requests by")


@pytest.mark.parametrize(
    "asking",
    [
        [
            budget(1, "concurrency"),
            budget(1, "concurrency", name="sonnet", scope="deployment", value="claude-sonnet"),
        ]
    ],
    indirect=True,
)
async def test_concurrency(asking):
    """Who comes while the limit is in flight may try again in a moment, and then is served."""
    asking.proxy.claude.faults.append(Fault(FaultKind.HANG))
    hanging = asyncio.create_task(asking())
    await until(lambda: asking.proxy.claude.requests)
    refused = await asking()
    hanging.cancel()
    await asyncio.gather(hanging, return_exceptions=True)
    async with asyncio.timeout(5):
        while (answer := await asking()).status == 429:
            pass

    assert (429, "true", "5") == (
        refused.status,
        refused.header("x-should-retry"),
        refused.header("retry-after"),
    )
    assert refused.error["message"].startswith("Budget b: 1 of 1 request at a time are in flight")
    assert 200 == answer.status
    assert [] == (await asking.budgets())["b"]["tallies"]


@pytest.mark.parametrize("asking", [[budget(5)]], indirect=True)
async def test_what_has_no_price_is_not_free(asking):
    """A model that the price file lacks costs as much as its dearest one."""
    answer = await asking("claude-fable-5-2")
    usage = answer.json()["usage"]

    assert 10 * usage["input_tokens"] + 50 * usage["output_tokens"] <= await asking.used()


async def test_the_state_is_for_ops(tmp_path):
    """A token without the scope is told nothing of budgets."""
    async with proxied(tmp_path) as asking:
        headers = {"x-api-key": asking.proxy.new_token("plain")}
        async with asyncio.timeout(10):
            while (
                answer := await ask(
                    asking.proxy.base_url, "/admin/budgets", method="GET", headers=headers
                )
            ).status == 401:
                pass
        assert {} == await asking.budgets()

    assert 403 == answer.status
