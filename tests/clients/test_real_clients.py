"""The clients people use, unmodified, through the proxy, on the local and on the Claude side."""

import json
from dataclasses import dataclass

import pytest

from tests.support.claude_code import run_claude_code
from tests.support.proxy import running_proxy
from tests.support.sdk_programs import SDK_PROGRAMS

CLAUDE_CODE = pytest.mark.needs("claude-code")


@dataclass(frozen=True)
class Side:
    name: str
    model: str
    label: str  # how the simulated model of this side begins its texts


SIDES = (
    Side("local", "qwen-coder", "[simulated qwen2.5-coder:32b-instruct]"),
    Side("claude", "claude-opus-5-5", "[simulated claude-opus-5-5]"),
)
EACH_SIDE = pytest.mark.parametrize("side", SIDES, ids=lambda side: side.name)


@pytest.fixture
async def proxy():
    async with running_proxy() as running:
        yield running


@EACH_SIDE
@pytest.mark.parametrize(
    "program",
    [
        pytest.param(program, marks=pytest.mark.needs(*program.tools), id=program.name)
        for program in SDK_PROGRAMS
    ],
)
async def test_an_sdk_does_what_it_does_with_claude(program, side, proxy):
    """Plain, streamed and tool turns, counting, listing and errors work in every SDK."""
    seen = await program.run(proxy.base_url, proxy.token, side.model)

    assert seen["client"].startswith(program.client)
    assert seen["create"]["text"].startswith(side.label)
    assert "end_turn" == seen["create"]["stop_reason"]
    assert seen["create"]["input_tokens"] > 0
    assert seen["create"]["output_tokens"] > 0

    assert len(seen["stream_text"]["pieces"]) > 1
    assert "".join(seen["stream_text"]["pieces"]) == seen["stream_text"]["text"]
    assert seen["stream_text"]["text"].startswith(side.label)

    tool = seen["tool"]
    (call,) = tool["calls"]
    assert "tool_use" == tool["stop_reason"]
    assert "get_weather" == call["name"]
    assert "Zürich" in call["input"]["city"]
    assert isinstance(call["input"]["days"], int)
    assert call["input"] == json.loads(tool["partial_json"])
    assert tool["answer"].startswith(side.label)
    assert f"sunny in {call['input']['city']}" in tool["answer"]
    assert "end_turn" == tool["answer_stop_reason"]

    assert seen["count_tokens"] > 0
    assert {"qwen-coder", "claude-opus"} <= set(seen["models"])
    assert len(set(seen["models"])) == len(seen["models"])

    def error(name, status, kind):
        return {"class": name, "status": status, "type": kind, "has_request_id": True}

    assert {
        "bad_key": error("AuthenticationError", 401, "authentication_error"),
        "bad_request": error("BadRequestError", 400, "invalid_request_error"),
        "not_found": error("NotFoundError", 404, "not_found_error"),
    } == seen["errors"]


@CLAUDE_CODE
@EACH_SIDE
async def test_claude_code_takes_a_plain_turn(side, proxy, tmp_path):
    """Claude Code asks, the model of the chosen side answers, and the run ends well (280)."""
    run = await run_claude_code(
        "Say hello",
        base_url=proxy.base_url,
        token=proxy.token,
        folder=tmp_path,
        model=side.model,
    )

    assert (0, False) == (run.exit_code, run.result["is_error"]), run.result
    assert run.result["result"].startswith(side.label)


@CLAUDE_CODE
@EACH_SIDE
async def test_claude_code_really_runs_a_tool(side, proxy, tmp_path):
    """A streamed tool call arrives whole: Claude Code runs it and the model reads its output."""
    run = await run_claude_code(
        "Use the Bash tool to run `echo hi`",
        base_url=proxy.base_url,
        token=proxy.token,
        folder=tmp_path,
        model=side.model,
    )

    assert (0, False) == (run.exit_code, run.result["is_error"]), run.result
    assert ["echo hi"] == [call["input"]["command"] for call in run.blocks("assistant", "tool_use")]
    (result,) = run.blocks("user", "tool_result")
    assert ("hi", False) == (result["content"], bool(result.get("is_error")))
    assert run.result["result"].startswith(side.label)
    assert run.result["result"].endswith("hi")


@CLAUDE_CODE
async def test_claude_code_behind_an_agents_address(proxy, tmp_path):
    """A base URL that names a haiku agent is served locally, whatever model the client names."""
    run = await run_claude_code(
        "Say hello",
        base_url=f"{proxy.base_url}/agents/python-specialist",
        token=proxy.token,
        folder=tmp_path,
    )

    assert (0, False) == (run.exit_code, run.result["is_error"]), run.result
    assert run.result["result"].startswith("[simulated qwen-fast:latest]")


@CLAUDE_CODE
async def test_claude_code_with_a_wrong_token_is_told_so(proxy, tmp_path):
    """A token that nobody made ends the run with Claude Code's own words for a 401."""
    run = await run_claude_code(
        "Say hello", base_url=proxy.base_url, token="nobody", folder=tmp_path
    )

    assert 1 == run.exit_code
    assert 401 == run.result["api_error_status"]
