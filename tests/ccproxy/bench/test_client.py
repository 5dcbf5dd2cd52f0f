"""What is measured of one request, against real sockets."""

import asyncio
from contextlib import suppress

import pytest

from ccproxy.bench.client import BenchClient
from ccproxy.bench.routes import Route
from ccproxy.bench.samples import Sample
from ccproxy.demo.claude import SimulatedClaude
from ccproxy.demo.claude_faults import Fault, FaultKind
from routing.pricing import Price, PriceList, Rates

MODEL = "claude-sonnet-5-5"
PRICES = PriceList("2026-11-21", {MODEL: Price(Rates(2_000_000, 10_000_000, 2_500_000, 4_000_000, 100_000))})  # fmt: skip
BODY = {"max_tokens": 100, "messages": [{"role": "user", "content": "Say a few words of it."}]}
CACHED = BODY | {
    "system": [{"type": "text", "text": "Rules. " * 900, "cache_control": {"type": "ephemeral"}}]
}


@pytest.fixture(scope="module")
def claude():
    """Answers with pauses, as a model does."""
    return SimulatedClaude(speed=20)


async def ask(base_url, body=BODY, *, stream=True, timeout_s=5.0, free=False):
    client = BenchClient(PRICES, timeout_s)
    sample = Sample("r", "p", 0, 0, warm_up=False)
    try:
        await client.ask(
            Route("r", MODEL, base_url, "key", None, free), body, sample, stream=stream
        )
    finally:
        await client.aclose()
    return sample


async def test_a_stream_is_measured(claude):
    """Times in order, tokens as the answer says, costs as the price list says."""
    async with claude.serve() as base_url:
        sample = await ask(base_url)

    assert ("ok", 200, MODEL, "end_turn") == (
        sample.outcome, sample.status, sample.response_model, sample.stop_reason,
    )  # fmt: skip
    assert 0 < sample.ttft_s < sample.total_s
    assert 0 < sample.inter_token_s * (sample.output_tokens - 1) <= sample.total_s - sample.ttft_s
    assert sample.tokens_per_s == pytest.approx(
        sample.output_tokens / (sample.total_s - sample.ttft_s)
    )
    assert sample.cost_microusd == 2 * sample.input_tokens + 10 * sample.output_tokens


async def test_a_whole_answer_is_measured(claude):
    """It has a total and no first token; nothing is left out of its usage."""
    async with claude.serve() as base_url:
        sample = await ask(base_url, stream=False)

    assert ("ok", 200) == (sample.outcome, sample.status)
    assert sample.ttft_s is None
    assert sample.inter_token_s is None
    assert sample.total_s > 0
    assert sample.cost_microusd == 2 * sample.input_tokens + 10 * sample.output_tokens


async def test_the_cache_has_its_own_prices(claude):
    """Written at one, read at another."""
    claude.reset()
    async with claude.serve() as base_url:
        first, second = await ask(base_url, CACHED), await ask(base_url, CACHED)

    assert first.cache_write_5m_tokens == second.cache_read_tokens > 1_000
    plain = 2 * first.input_tokens + 10 * first.output_tokens
    assert first.cost_microusd == round(plain + 2.5 * first.cache_write_5m_tokens)
    assert second.cost_microusd < first.cost_microusd


async def test_a_route_that_nobody_bills_costs_nothing(claude):
    """Whatever model answers."""
    async with claude.serve() as base_url:
        assert 0 == (await ask(base_url, free=True)).cost_microusd


FAULTS = {
    "http_529": Fault(FaultKind.STATUS, status=529),
    "http_401": Fault(FaultKind.STATUS, status=401),
    "http_502": Fault(FaultKind.HTML, status=502),
    "error_event": Fault(FaultKind.ERROR_EVENT, after_bytes=600),
    "cut": Fault(FaultKind.CUT, after_bytes=900),
    "cut by a reset": Fault(FaultKind.RESET, after_bytes=900),
    "connection": Fault(FaultKind.RESET),
    "timeout": Fault(FaultKind.HANG),
    "timeout in the middle": Fault(FaultKind.STALL, after_bytes=900),
}


@pytest.mark.parametrize("name", FAULTS)
async def test_whatever_happens_is_an_outcome(claude, name):
    """Nothing is raised, retried or lost; what was billed of it is not guessed to be nothing."""
    claude.reset()
    claude.faults.append(FAULTS[name])
    timeout_s = 0.5 if name.startswith("timeout") else 5.0
    async with claude.serve() as base_url:
        sample = await ask(base_url, timeout_s=timeout_s)
        claude.faults.clear()

    assert name.partition(" ")[0] == sample.outcome
    assert sample.error or sample.outcome == "cut"
    assert not sample.is_ok
    assert sample.was_sent
    assert sample.total_s > 0
    assert 1 == len(claude.requests)
    if sample.outcome.startswith("http_"):
        assert 0 == sample.cost_microusd
    elif sample.outcome in {"cut", "error_event"}:
        assert sample.cost_microusd > 0
    elif sample.outcome == "connection":
        assert sample.cost_microusd is None


async def test_nobody_there():
    """No connection is an outcome too, and costs nothing."""
    sample = await ask("http://127.0.0.1:9")

    assert ("no_connection", 0) == (sample.outcome, sample.cost_microusd)


async def test_a_request_that_is_called_off_says_so(claude):
    """Cancelling goes through, and the sample keeps what was measured."""
    claude.reset()
    claude.faults.append(Fault(FaultKind.HANG))
    client, sample = BenchClient(PRICES, 5.0), Sample("r", "p", 0, 0, warm_up=False)
    async with claude.serve() as base_url:
        asking = asyncio.create_task(
            client.ask(Route("r", MODEL, base_url, "key"), BODY, sample, stream=True)
        )
        while not claude.requests:  # noqa: ASYNC110 - the simulator has no event for it
            await asyncio.sleep(0.001)
        asking.cancel()
        with suppress(asyncio.CancelledError):
            await asking
        await client.aclose()

    assert asking.cancelled()
    assert "interrupted" == sample.outcome
    assert sample.was_sent
