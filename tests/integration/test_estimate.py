"""What is estimated of a request, and what then becomes of it."""

import asyncio
import json
import statistics
import sys

import pytest

from ccproxy.ledger.history import LedgerHistory
from tests.support.http_wire import ask
from tests.support.messages import CLAUDE, LOCAL, MIXED, turn
from tests.support.waiting import until_found

pytestmark = pytest.mark.asyncio(loop_scope="module")

MARKED = [{"type": "text", "text": "Be brief. " * 500, "cache_control": {"type": "ephemeral"}}]
REQUESTS = {
    "local": turn(),
    "claude": turn(model=CLAUDE),
    "either": turn(model=MIXED),
    "cached": turn(model=CLAUDE, system=MARKED),
    "long": turn("word " * 40_000, model=MIXED),
    "no such model": turn(model="gpt-9"),
    "refused": turn(model="agent/nobody"),
}


async def admin(proxy, path, document):
    answer = await ask(proxy.base_url, path, headers=proxy.headers, body=document)
    assert answer.status == 200, answer.body
    return answer.json()


def history_of(proxy):
    return LedgerHistory(f"sqlite:///{proxy.config_file.parent / 'ccproxy.db'}")


async def rows_written(proxy, count):
    async def look():
        answer = await ask(proxy.base_url, "/health", method="GET", headers=proxy.headers)
        written = answer.json()["ledger"]["written"]
        return written if written >= count else None

    await until_found(look, 20)


@pytest.mark.parametrize("name", REQUESTS)
async def test_the_routes_are_the_attempts_that_explain_tells(proxy, name):
    """Same deployments, same order, same sides; a refusal is the same refusal."""
    document = REQUESTS[name]
    told = await admin(proxy, "/admin/explain", document)
    estimate = await admin(proxy, "/admin/estimate", document)

    tried = [route for route in estimate["routes"] if route["position"]]
    assert [each["deployment"] for each in told["attempts"]] == [r["deployment"] for r in tried]
    assert [each["side"] for each in told["attempts"]] == [route["side"] for route in tried]
    assert told.get("refused") == estimate.get("refused")
    assert told["facts"]["input_tokens"] == estimate["input_tokens"]


@pytest.mark.parametrize("name", ["local", "claude", "either", "cached"])
async def test_what_is_estimated_is_what_is_done(proxy, name):
    """The first route serves, is asked for the model that was said, and costs no more than said."""
    document = REQUESTS[name]
    first = (await admin(proxy, "/admin/estimate", document))["routes"][0]
    answer = await ask(proxy.base_url, "/v1/messages", headers=proxy.headers, body=document)
    usage = answer.json()["usage"]

    assert first["deployment"] == answer.header("x-ccproxy-deployment")
    assert first["side"] == answer.header("x-ccproxy-route")
    if first["side"] == "claude":
        assert first["model"] == answer.json()["model"]
        written = usage["cache_creation_input_tokens"]
        # Dollars per million tokens of claude-opus-4-6 are microdollars per token.
        billed = usage["input_tokens"] * 5 + written * 6.25 + usage["output_tokens"] * 25
        assert 0 < billed <= first["cost_microusd"]["at_most"]
        assert first["cost_microusd"]["low"] <= first["cost_microusd"]["expected"]
    else:
        assert 0 == first["cost_microusd"]["at_most"]


async def test_a_skipped_candidate_is_estimated_and_says_why(proxy):
    """A route that would not be tried has no position, and the reason that explain gives."""
    document = REQUESTS["either"] | {"health": {"ollama": "down"}}
    routes = (await admin(proxy, "/admin/estimate", document))["routes"]

    assert ["claude-sonnet", 1, None] == [
        routes[0][key] for key in ("deployment", "position", "skipped")
    ]
    skipped = next(route for route in routes if route["deployment"] == "qwen-coder")
    assert (None, "unavailable: assumed to be down") == (skipped["position"], skipped["skipped"])


async def test_an_unknown_price_is_said(proxy):
    """A model without a price has no cost, and never costs nothing."""
    document = turn(model="claude-opus-99")
    route = (await admin(proxy, "/admin/estimate", document))["routes"][0]

    assert route["cost_microusd"] is None
    assert "claude-opus-99 has no price" == route["price_unknown"]


async def test_earlier_answers_say_how_long_the_next_will_be(proxy):
    """The median of the agent's answers in the ledger, and how many they were."""
    path = "/agents/debugger/v1/messages"
    document = turn(model=LOCAL, stream=True, max_tokens=4_000)
    before = await admin(proxy, "/admin/estimate", document | {"agent": "debugger"})
    answers = await asyncio.gather(
        *(
            ask(proxy.base_url, path, headers=proxy.headers, body=turn(f"Give me {words} words.", stream=True, max_tokens=4_000))
            for words in (20, 40, 60, 80, 100, 120, 140)
        )
    )  # fmt: skip
    assert {200} == {answer.status for answer in answers}
    await rows_written(proxy, 8)
    tokens = await until_found(lambda: _outputs(proxy, 7), 20)
    after = await admin(proxy, "/admin/estimate", document | {"agent": "debugger"})

    assert ("max_tokens", 0, 4_000) == tuple(
        before["output_tokens"][key] for key in ("from", "requests", "expected")
    )
    output, route = after["output_tokens"], after["routes"][0]
    assert ("history", 7) == (output["from"], output["requests"])
    assert output["expected"] == statistics.median(tokens)
    assert min(tokens) <= output["low"] <= output["high"] <= max(tokens)
    assert route["ttft_s"]["expected"] <= route["total_s"]["expected"]
    assert "low" == route["confidence"]
    assert 7 <= route["requests"]


async def _outputs(proxy, count):
    tokens = await asyncio.to_thread(history_of(proxy).output_tokens, "debugger", "turn")
    return tokens if len(tokens) >= count else None


async def test_the_command_says_what_the_endpoint_says(proxy, tmp_path):
    """From the same files and the same ledger; but for what only a running proxy knows."""
    file = tmp_path / "request.json"
    file.write_text(json.dumps(REQUESTS["either"]))
    command = (
        sys.executable, "-m", "ccproxy", "estimate", file, "--agent", "debugger",
        "--config", proxy.config_file, "--json",
    )  # fmt: skip
    process = await asyncio.create_subprocess_exec(
        *map(str, command), stdout=asyncio.subprocess.PIPE, cwd=tmp_path
    )
    printed, _ = await process.communicate()
    said = await admin(proxy, "/admin/estimate", REQUESTS["either"] | {"agent": "debugger"})

    told = json.loads(printed)
    live = ("ttft_s", "total_s", "time_from", "input_tokens", "cost_microusd")
    for each in (*told["routes"], *said["routes"]):
        for key in live:
            each.pop(key)
    assert said == told
    assert 0 == process.returncode
