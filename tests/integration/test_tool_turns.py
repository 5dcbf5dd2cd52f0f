"""What a local model gets wrong about tools and schemas, and what the client sees of it."""

import asyncio

import httpx
import pytest

from tests.support.black_box import assert_error, post, stream
from tests.support.http_wire import ask
from tests.support.messages import WEATHER, turn
from tests.support.tries import tries

pytestmark = pytest.mark.asyncio(loop_scope="module")

COUNTS = {"prompt_eval_count": 11, "eval_count": 5}
FORECAST = {
    "name": "forecast",
    "input_schema": {
        "type": "object",
        "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
        "required": ["city", "days"],
    },
}
TOOLS = [WEATHER, FORECAST]
TITLE = {
    "type": "object",
    "properties": {"title": {"type": "string"}},
    "required": ["title"],
    "additionalProperties": False,
}
ALONE = {"model": "qwen-coder"}
"""The deployment by its name: no other one may take over."""


def said(content="", **more):
    return {"message": {"role": "assistant", "content": content, **more}}


def end(content="", reason="stop", **more):
    return {**said(content, **more), "done": True, "done_reason": reason, **COUNTS}


def calls(*pairs):
    return [{"function": {"name": name, "arguments": arguments}} for name, arguments in pairs]


def called(*pairs):
    return end(tool_calls=calls(*pairs))


def blocks(message):
    """Return the content without ids."""
    return [
        (block["name"], block["input"]) if block["type"] == "tool_use" else block["text"]
        for block in message["content"]
    ]


GOOD = ("forecast", {"city": "x", "days": 2})
MEND = {
    "an input that lacks a member": (
        [called(("forecast", {"city": "x"}))],
        [called(GOOD)],
        {},
        [GOOD],
    ),
    "words before it stay, words of the repair go": (
        [said("Let me see."), called(("forecast", {"city": "x"}))],
        [said("Sorry!"), called(GOOD)],
        {},
        ["Let me see.", GOOD],
    ),
    "only the wrong call is asked for again": (
        [called(("get_weather", {"city": "a"}), ("forecast", {}), ("get_weather", {"city": "b"}))],
        [called(GOOD)],
        {},
        [("get_weather", {"city": "a"}), GOOD, ("get_weather", {"city": "b"})],
    ),
    "a right call said again is one call": (
        [called(("get_weather", {"city": "a"}), ("forecast", {}))],
        [called(("get_weather", {"city": "a"}), GOOD)],
        {},
        [("get_weather", {"city": "a"}), GOOD],
    ),
    "a tool that does not exist": ([called(("rain", {}))], [called(GOOD)], {}, [GOOD]),
    "a tool that does not exist, given up": (
        [called(("rain", {}))],
        [said("I cannot tell."), end()],
        {},
        ["I cannot tell."],
    ),
    "words where a call was demanded": (
        [said("It is fine."), end()],
        [called(GOOD)],
        {"tool_choice": {"type": "any"}},
        [GOOD],
    ),
    "words beside a demanded call": (
        [said("Let me see."), called(GOOD)],
        None,
        {"tool_choice": {"type": "tool", "name": "forecast"}},
        [GOOD],
    ),
    "another tool than the demanded one": (
        [called(("get_weather", {"city": "x"}))],
        [called(GOOD)],
        {"tool_choice": {"type": "tool", "name": "forecast"}},
        [GOOD],
    ),
    "a name in other letters": (
        [called(("Get-Weather", {"city": "x"}))],
        None,
        {},
        [("get_weather", {"city": "x"})],
    ),
    "no JSON where JSON was asked for": (
        [said("A title"), end()],
        [said('{"title":"A"}'), end()],
        {"tools": None, "output_config": {"format": {"type": "json_schema", "schema": TITLE}}},
        ['{"title":"A"}'],
    ),
    "JSON of another shape": (
        [said('{"name":"A"}'), end()],
        [said('{"title":"A"}'), end()],
        {"tools": None, "output_config": {"format": {"type": "json_schema", "schema": TITLE}}},
        ['{"title":"A"}'],
    ),
    "JSON in a fence": (
        [said('```json\n{"title":"A"}\n'), said("```"), end()],
        None,
        {"tools": None, "output_config": {"format": {"type": "json_schema", "schema": TITLE}}},
        ['{"title":"A"}'],
    ),
}


@pytest.mark.parametrize("name", MEND)
async def test_mended(name, proxy):
    """A turn that went wrong is mended before the client sees a tool byte of it, streamed or not.

    (conformance 186, 188, 196)
    """
    first, second, asked, content = MEND[name]
    body = turn(**{**ALONE, "tools": TOOLS, **asked})
    for _ in range(2):
        for records in filter(None, (first, second)):
            proxy.ollama.answer_with(*records)

    whole = await post(proxy, body)
    streamed = await stream(proxy, body)

    assert 200 == whole.status, whole.body
    assert content == blocks(whole.json()) == blocks(streamed.message)
    reason = "end_turn" if isinstance(content[-1], str) else "tool_use"
    assert {reason} == {whole.json()["stop_reason"], streamed.message["stop_reason"]}
    turns = 1 if second is None else 2
    assert {"input_tokens": 11, "output_tokens": 5 * turns}.items() <= whole.json()["usage"].items()


async def test_what_the_model_is_shown(proxy):
    """The repair turn is the conversation, the wrong turn, and what was wrong with each call."""
    proxy.ollama.answer_with(
        said("Let me see."), called(("get_weather", {"city": "a"}), ("forecast", {"city": "x"}))
    )
    proxy.ollama.answer_with(called(GOOD))
    earlier = len(proxy.ollama.generations)

    await post(proxy, turn(**ALONE, tools=TOOLS))

    first, second = (request.body for request in proxy.ollama.generations[earlier:])
    assert first["messages"] == second["messages"][: len(first["messages"])]
    assistant, accepted, refused = second["messages"][len(first["messages"]) :]
    assert "Let me see." == assistant["content"]
    assert ["get_weather", "forecast"] == [
        call["function"]["name"] for call in assistant["tool_calls"]
    ]
    assert accepted["content"].startswith("Accepted")
    assert "days" in refused["content"]
    assert ("tool", "forecast") == (refused["role"], refused["tool_name"])
    assert {**first, "messages": ...} == {**second, "messages": ...}


async def test_twice_wrong_goes_to_the_next_deployment(proxy):
    """A model that gets a call wrong twice is left for the next attempt; nobody sees its call."""
    proxy.ollama.answer_with(called(("forecast", {})))
    proxy.ollama.answer_with(called(("forecast", {"days": "soon"})))

    answer = await post(proxy, turn(model="claude-sonnet-4-5", tools=TOOLS, stream=True))

    assert 200 == answer.status
    assert "qwen-coder:malformed_output,claude-sonnet:ok" == answer.header("x-ccproxy-attempts")
    assert b"soon" not in answer.body


async def test_twice_wrong_and_nobody_left(proxy):
    """Without another attempt the client hears of it, before any content, as an HTTP error."""
    for _ in range(2 * tries("malformed_output")):
        proxy.ollama.answer_with(said("No."), end())

    answer = await post(proxy, turn(**ALONE, tools=TOOLS, tool_choice={"type": "any"}))

    assert_error(answer, 502, "api_error")


async def test_after_words_a_wrong_call_is_an_error_event(proxy):
    """Words that were relayed cannot be taken back: the stream ends in an error, without a call."""
    for _ in range(2):
        proxy.ollama.answer_with(said("Let me see."), called(("forecast", {})))

    broken = await stream(proxy, turn(**ALONE, tools=TOOLS))

    assert "api_error" == broken.error["type"]
    assert ["text"] == [block["type"] for block in broken.message["content"]]


async def test_a_turn_that_was_cut_off(proxy):
    """At the token limit there is no repair: wrong calls are dropped, right ones stay (188)."""
    proxy.ollama.answer_with(
        end(reason="length", tool_calls=calls(("forecast", {"city": "x"}), GOOD))
    )
    proxy.ollama.answer_with(said("It is"), end(reason="length"))

    cut = await post(proxy, turn(**ALONE, tools=TOOLS))
    bare = await post(proxy, turn(**ALONE, tools=TOOLS, tool_choice={"type": "any"}))

    assert [GOOD] == blocks(cut.json())
    assert "tool_call_dropped=forecast" in cut.header("x-ccproxy-notes")
    assert [] == bare.json()["content"]
    assert "max_tokens" == bare.json()["stop_reason"]


STOPPED = {
    "behind a call": (
        [said(tool_calls=calls(GOOD)), said("That was it. EN"), said("D. Or "), called(GOOD)],
        {"tools": TOOLS},
        [GOOD, "That was it. "],
        ("tool_use", None),
    ),
    "in JSON": (
        [said('{"title":"A'), said('END"}'), said("Well."), end()],
        {"output_config": {"format": {"type": "json_schema", "schema": TITLE}}},
        ['{"title":"A'],
        ("stop_sequence", "END"),
    ),
}


@pytest.mark.parametrize("name", STOPPED)
async def test_a_stop_sequence_in_held_text(name, proxy):
    """A stop sequence ends the turn also where its text was held (conformance 192).

    What comes behind it is neither said nor called.
    """
    records, asked, content, reason = STOPPED[name]
    body = turn(**ALONE, stop_sequences=["END"], **asked)
    for _ in range(2):
        proxy.ollama.answer_with(*records)

    whole = (await post(proxy, body)).json()
    streamed = (await stream(proxy, body)).message

    for message in (whole, streamed):
        assert content == blocks(message)
        assert reason == (message["stop_reason"], message["stop_sequence"])


async def test_thinking_without_end(proxy):
    """An answer that is nothing but an open `<think>` is asked for again (conformance 212).

    Then it is left for the next attempt; none of it was content.
    """
    for second in ("42", "<think>Well.", "<think>Well."):
        proxy.ollama.answer_with(said("<think>Hm. 42."), end())
        proxy.ollama.answer_with(said(second), end())
    either = {"model": "claude-sonnet-4-5"}

    mended = await post(proxy, turn(**ALONE))
    passed_on = await post(proxy, turn(**either))
    streamed = await stream(proxy, turn(**either))

    assert ["42"] == blocks(mended.json())
    assert "unclosed_thinking_repaired" in mended.header("x-ccproxy-notes")
    assert "qwen-coder:malformed_output,claude-sonnet:ok" == passed_on.header("x-ccproxy-attempts")
    assert None is streamed.error
    assert blocks(passed_on.json()) == blocks(streamed.message)


async def test_text_flows_until_the_first_call(proxy):
    """Words reach the client before the model has finished its call (design 5)."""
    released = asyncio.Event()
    proxy.ollama.answer_with(said("Let me see."), released, called(GOOD))
    body = turn(**ALONE, tools=TOOLS, stream=True)
    seen = b""
    async with (
        httpx.AsyncClient(base_url=proxy.base_url, headers=proxy.headers) as client,
        client.stream("POST", "/v1/messages", json=body) as answer,
    ):
        async for piece in answer.aiter_raw():
            seen += piece
            if b"Let me see." in seen:
                released.set()

    assert b"tool_use" in seen


async def test_reliability_is_counted(proxy):
    """What happens to a model's calls is counted by agent and deployment."""
    proxy.ollama.answer_with(called(("forecast", {})))
    proxy.ollama.answer_with(called(GOOD))
    headers = {"x-ccproxy-agent": "code-reviewer"}
    await post(proxy, turn(**ALONE, tools=TOOLS), headers=headers)

    scraped = await ask(proxy.base_url, "/metrics", headers=proxy.headers, method="GET")
    metrics = scraped.body.decode()

    for event, count in (("made", 1.0), ("invalid", 1.0), ("repaired", 1.0)):
        labels = f'agent="code-reviewer",deployment="qwen-coder",event="{event}"'
        assert f"ccproxy_tool_calls_total{{{labels}}} {count}" in metrics
