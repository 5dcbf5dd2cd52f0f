"""Sections F, G and I: what Ollama says, and the Message and the stream that come of it."""

import asyncio

import pytest

from tests.support.black_box import assert_error, post, stream
from tests.support.messages import LOCAL, WEATHER, turn

pytestmark = pytest.mark.asyncio(loop_scope="module")

PROXY_OPTIONS = {"ping_after_s": 0.2}
THINKER = "qwen-thinker"
COUNTS = {"prompt_eval_count": 11, "eval_count": 5}
OTHER = {**WEATHER, "name": "other"}


def said(content="", **more):
    return {"message": {"role": "assistant", "content": content, **more}}


def end(content="", reason="stop", counts=COUNTS, **more):
    return {**said(content, **more), "done": True, "done_reason": reason, **counts}


def call(name="get_weather", arguments=None, **more):
    return {"function": {"name": name, "arguments": arguments or {"city": "x"}}, **more}


def text(words):
    return {"type": "text", "text": words}


def thought(words):
    return {"type": "thinking", "thinking": words}


def use(**arguments):
    return {"type": "tool_use", "name": "get_weather", "input": arguments}


HELLO = said("Hello")
ADAPTIVE = {"type": "adaptive"}

# Name: (what Ollama sends, what the request asks for, content, stop_reason)
ANSWERS = {
    "205 text": ([said("He"), said(""), said("llo"), end()], {}, [text("Hello")], "end_turn"),
    "204 blank lines": ([b"\n\n", HELLO, b"\r\n", end()], {}, [text("Hello")], "end_turn"),
    "224 whitespace": (
        [said(" \n"), said("a "), said("\n"), end()],
        {},
        [text(" \na \n")],
        "end_turn",
    ),
    "206 thinking again": (
        [said(thinking="A"), said("B"), said(thinking="C"), said("D"), end()],
        {"thinking": ADAPTIVE},
        [thought("A"), text("B"), thought("C"), text("D")],
        "end_turn",
    ),
    "207 thinking, then a call": (
        [said(thinking="A"), said(tool_calls=[call()]), end()],
        {"thinking": ADAPTIVE},
        [thought("A"), use(city="x")],
        "tool_use",
    ),
    "208 all in one": (
        [end("B", thinking="A", tool_calls=[call(arguments={"city": "x"})])],
        {"thinking": ADAPTIVE},
        [thought("A"), text("B"), use(city="x")],
        "tool_use",
    ),
    "209 several calls": (
        [
            said(tool_calls=[call(arguments={"city": "a"}), call(arguments={"city": "b"})]),
            said(tool_calls=[call(arguments={"city": "c"}, id="")]),
            end(),
        ],
        {},
        [use(city="a"), use(city="b"), use(city="c")],
        "tool_use",
    ),
    "209 the same call again": (
        [said(tool_calls=[call(id="call_1")]), end(tool_calls=[call(id="call_1")])],
        {},
        [use(city="x")],
        "tool_use",
    ),
    "211 arguments as text": (
        [said(tool_calls=[call(arguments='{"city":"x","b":{"z":1,"a":[1.5,null]}}')]), end()],
        {},
        [use(city="x", b={"z": 1, "a": [1.5, None]})],
        "tool_use",
    ),
    "212 leaked markup": (
        [said("<think>x</think><tool_call>{"), end()],
        {},
        [text("<tool_call>{")],
        "end_turn",
    ),
    "212 thinking in the text": (
        [said("<thi"), said("nk>\nHm.\n</think>\n"), said("\nHello"), end()],
        {"thinking": ADAPTIVE},
        [thought("\nHm.\n"), text("Hello")],
        "end_turn",
    ),
    "213 text after a call": (
        [said(tool_calls=[call()]), said("B"), end()],
        {},
        [use(city="x"), text("B")],
        "tool_use",
    ),
    "126 newlines before a call": (
        [said("\n\n"), said(tool_calls=[call()]), end()],
        {},
        [use(city="x")],
        "tool_use",
    ),
    "186 a tool nobody offered": (
        [said(tool_calls=[call("rm", {"a": 1})]), end()],
        {"tool_choice": {"type": "none"}},
        [text('[The model called the tool "rm", which was not offered, with {"a":1}]')],
        "end_turn",
    ),
    "189 one call at most": (
        [said(tool_calls=[call(), call("other")]), end()],
        {"tool_choice": {"type": "auto", "disable_parallel_tool_use": True}},
        [use(city="x")],
        "tool_use",
    ),
    "214 the limit": ([HELLO, end(reason="length")], {}, [text("Hello")], "max_tokens"),
    "215 the window": (
        [HELLO, end(reason="length", counts={"prompt_eval_count": 65000, "eval_count": 536})],
        {},
        [text("Hello")],
        "model_context_window_exceeded",
    ),
    "216 a stop sequence": (
        [said("Hello E"), said("N"), said("D and more"), end()],
        {"stop_sequences": ["END"]},
        [text("Hello ")],
        "stop_sequence",
    ),
    "216 the model's own stop": (
        [HELLO, end()],
        {"stop_sequences": ["END"]},
        [text("Hello")],
        "end_turn",
    ),
    "223 no words": ([end()], {}, [], "end_turn"),
    "225 unasked thinking": ([said(thinking="A"), said("B"), end()], {}, [text("B")], "end_turn"),
    "225 thinking switched off": (
        [said(thinking="A"), said("B"), end()],
        {"thinking": {"type": "disabled"}},
        [text("B")],
        "end_turn",
    ),
    "139 thinking not shown": (
        [said(thinking="A"), said("B"), end()],
        {"thinking": {**ADAPTIVE, "display": "omitted"}},
        [thought(""), text("B")],
        "end_turn",
    ),
    "218 no counts": ([HELLO, end(counts={})], {}, [text("Hello")], "end_turn"),
    "130 every character": (
        [said("\u2028\u0085\U0001f680"), said("\x00é"), end()],
        {},
        [text("\u2028\u0085\U0001f680\x00é")],
        "end_turn",
    ),
}


def without_minted(content):
    """Return blocks without their ids and signatures, which are checked apart."""
    return [
        {key: value for key, value in block.items() if key not in ("id", "signature", "citations")}
        for block in content
    ]


@pytest.mark.parametrize("name", ANSWERS)
async def test_answers(name, proxy):
    """An answer of Ollama's becomes this content, whole and streamed, and usage that adds up.

    (conformance 117, 118, 119, 120, 122, 123, 124, 125, 127, 128, 131, 132, 133, 134, 135, 136,
    137, 138, 140, 141, 143, 145, 147, 148, 149, 126-139, 186-189, 204-218, 219, 220, 223-225)
    """
    records, asked, content, stop_reason = ANSWERS[name]
    body = turn(model=THINKER, tools=[WEATHER, OTHER], **asked)
    proxy.ollama.answer_with(*records)
    proxy.ollama.answer_with(*records)

    answer = await post(proxy, body)
    assert 200 == answer.status, answer.body
    whole = answer.json()
    streamed = (await stream(proxy, body)).message

    for message in (whole, streamed):
        assert content == without_minted(message["content"])
        assert stop_reason == message["stop_reason"]
        matched = "END" if stop_reason == "stop_sequence" else None
        assert matched == message["stop_sequence"]
        assert (THINKER, "message", "assistant") == (
            message["model"],
            message["type"],
            message["role"],
        )
        assert message["id"].startswith("msg_")
        usage = message["usage"]
        assert usage["input_tokens"] > 0
        assert usage["output_tokens"] >= 0
        assert not usage.get("cache_read_input_tokens")
        assert not usage.get("output_tokens_details")
        for block in message["content"]:
            if block["type"] == "thinking":
                assert block["signature"]
        ids = [block["id"] for block in message["content"] if block["type"] == "tool_use"]
        assert len(ids) == len(set(ids))
    assert whole["id"] != streamed["id"]
    assert whole["usage"] == streamed["usage"]
    if records[-1].get("eval_count") and stop_reason != "stop_sequence":
        counts = records[-1]
        assert (counts["prompt_eval_count"], counts["eval_count"]) == (
            whole["usage"]["input_tokens"],
            whole["usage"]["output_tokens"],
        )


@pytest.mark.parametrize("model", ["qwen-coder", "claude-haiku-4-5", "agent/code-reviewer"])
async def test_the_model_is_the_clients_word(model, proxy):
    """The answer names the model that was asked for, streamed or not (conformance 121)."""
    body = turn(model=model)

    assert model == (await post(proxy, body)).json()["model"]
    assert model == (await stream(proxy, body)).message["model"]


async def test_ids_are_new_to_the_conversation(proxy):
    """An id that the history has, or that Claude would refuse, is replaced (conformance 210)."""
    history = [
        {"role": "user", "content": "A"},
        {
            "role": "assistant",
            "content": [{"type": "tool_use", "id": "call_1", "name": "get_weather", "input": {}}],
        },
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "call_1"}]},
    ]
    calls = [
        call(id="call_1"),
        call("other", {"city": "y"}, id="not valid"),
        call("other", id="call_2"),
    ]
    proxy.ollama.answer_with(said(tool_calls=calls), end())

    answer = await post(proxy, turn(tools=[WEATHER, OTHER], messages=history))

    first, second, third = (block["id"] for block in answer.json()["content"])
    assert "call_2" == third
    assert first.startswith("toolu_")
    assert second.startswith("toolu_")
    assert first != second


async def test_a_long_line(proxy):
    """A record of more than a megabyte is read (conformance 204)."""
    words = "x" * (2**21)
    proxy.ollama.answer_with(said(words), end())

    answer = await post(proxy, turn())

    assert words == answer.json()["content"][0]["text"]


BREAKS = {
    "221 an error": ([HELLO, b'{"error":"llama runner process has terminated"}\n'], "api_error"),
    "221 memory": ([HELLO, b'{"error":"CUDA error: out of memory"}\n'], "overloaded_error"),
    "221 context": (
        [HELLO, b'{"error":"the prompt is longer than the context length"}\n'],
        "invalid_request_error",
    ),
    "222 no end": ([HELLO], "api_error"),
    "157 no JSON": ([HELLO, b"{nonsense\n", end()], "api_error"),
    "211 arguments that are a list": (
        [HELLO, said(tool_calls=[call(arguments="[1]")])],
        "api_error",
    ),
    "214 nothing was generated": ([HELLO, end(reason="load")], "api_error"),
}


@pytest.mark.parametrize("name", BREAKS)
async def test_breaks(name, proxy):
    """A stream that breaks off ends in an error event; a whole answer is an HTTP error.

    (conformance 154, 155, 157, 211, 214, 221, 222)
    """
    records, error_type = BREAKS[name]
    asked = []
    for ask in (stream, post):
        proxy.ollama.reset()
        for _ in range(2):  # it is tried again once, where no content was relayed
            proxy.ollama.answer_with(*records)
        asked.append(await ask(proxy, turn(tools=[WEATHER])))
    broken, whole = asked

    assert error_type == broken.error["type"]
    assert whole.status >= 400
    assert_error(whole, whole.status, error_type)


async def test_silence_is_filled(proxy):
    """While the model says nothing, pings go out; they are no part of the answer (150, 151)."""
    released = asyncio.Event()
    proxy.ollama.answer_with(HELLO, released, end())
    asking = asyncio.create_task(post(proxy, turn(stream=True)))
    await proxy.ollama.generation()
    await asyncio.sleep(0.7)
    released.set()

    answer = await asking

    assert answer.body.count(b'event: ping\ndata: {"type": "ping"}\n\n') >= 2
    assert answer.complete


async def test_usage_is_cumulative(proxy):
    """`message_start` counts an estimate, `message_delta` what the model counted (146, 220, 246)."""
    proxy.ollama.answer_with(HELLO, end(counts={"prompt_eval_count": 4711, "eval_count": 9}))
    counted = await post(proxy, turn(), path="/v1/messages/count_tokens")

    answer = await post(proxy, turn(stream=True))

    first, *_, last = answer.body.split(b"\n\n")[:-2]
    assert b'"input_tokens":%d' % counted.json()["input_tokens"] in first
    assert b'"input_tokens":4711' in last
    assert b'"output_tokens":9' in last


async def test_notes(proxy):
    """What was dropped of a whole answer is named in a header (conformance 189, design 5)."""
    proxy.ollama.answer_with(said(tool_calls=[call(), call("other")]), end())

    answer = await post(
        proxy,
        turn(
            model=LOCAL,
            tools=[WEATHER, OTHER],
            tool_choice={"type": "auto", "disable_parallel_tool_use": True},
        ),
    )

    assert "tool_call_dropped=other" == answer.header("x-ccproxy-notes")
