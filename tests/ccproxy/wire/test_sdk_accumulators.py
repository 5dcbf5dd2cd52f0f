"""Our streams, read by the real anthropic SDK over a real socket."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import anthropic
import pytest
from anthropic import AsyncAnthropic, DefaultAsyncHttpxClient
from hypothesis import HealthCheck, given, settings

from ccproxy.ports import ModelDelta, ModelDone
from ccproxy.wire.assemble import ThinkingDisplay, error_event
from ccproxy.wire.events import PING, encode
from ccproxy.wire.json_text import json_bytes
from ccproxy.wire.signature import LOCAL_SIGNATURE
from tests.support.model_answers import Answer, answers, call
from tests.support.sse_server import serving

if TYPE_CHECKING:
    from collections.abc import Sequence

PROMPT: dict[str, Any] = {
    "model": "qwen-coder",
    "max_tokens": 100,
    "messages": [{"role": "user", "content": "Hi"}],
}


async def _streamed(chunks: Sequence[bytes]) -> tuple[Any, list[Any]]:
    """Return the SDK's final message and the events it gave on the way."""
    async with (
        serving(chunks) as url,
        _client(url) as client,
        client.messages.stream(**PROMPT) as stream,
    ):
        events = [event async for event in stream]
        return await stream.get_final_message(), events


def _client(url: str) -> AsyncAnthropic:
    # Proxies of the environment would take loopback traffic elsewhere.
    transport = DefaultAsyncHttpxClient(trust_env=False)
    return AsyncAnthropic(base_url=url, api_key="test", max_retries=0, http_client=transport)


def _said(message: Any) -> dict[str, Any]:
    """Return the fields that the proxy sent, out of the SDK's message."""
    plain = message.model_dump(warnings=False)
    fields = {
        "text": ("type", "text"),
        "thinking": ("type", "thinking", "signature"),
        "tool_use": ("type", "id", "name", "input"),
    }
    content = [{key: block[key] for key in fields[block["type"]]} for block in plain["content"]]
    tokens = (
        "input_tokens",
        "cache_creation_input_tokens",
        "cache_read_input_tokens",
        "output_tokens",
    )
    usage = {key: plain["usage"][key] for key in tokens}
    kept = ("id", "type", "role", "model", "stop_reason", "stop_sequence")
    return {**{key: plain[key] for key in kept}, "content": content, "usage": usage}


@pytest.fixture
def rich_answer() -> Answer:
    return Answer(
        [
            ModelDelta(thinking="Let me "),
            ModelDelta(thinking="look\u2028."),
            ModelDelta(text="I read "),
            ModelDelta(text="the 😀 file."),
            ModelDelta(
                tool_calls=(call(path="ä\x85.txt", lines=[1, 2], deep={"b": 1, "a": None}),)
            ),
            ModelDelta(tool_calls=(call("Bash", "call_2"),)),
            ModelDelta(text="\n\nAnd wait."),
        ],
        ModelDone("stop", 321, 45),
        {"thinking": ThinkingDisplay.SHOWN},
    )


async def test_everything_arrives(rich_answer: Answer) -> None:
    """Text, thinking, signature, tools, stop reason and usage arrive.

    (conformance 117, 125, 127, 128, 136, 137, 138, 140, 141, 143, 145, 146)
    """
    message, events = await _streamed([PING, *rich_answer.frames(), PING])
    assert _said(message) == rich_answer.message()
    assert message.stop_reason == "tool_use"
    assert (message.usage.input_tokens, message.usage.output_tokens) == (321, 45)
    thinking, text, read, bash, last = message.content
    assert (thinking.thinking, thinking.signature) == ("Let me look\u2028.", LOCAL_SIGNATURE)
    assert (text.text, last.text) == ("I read the 😀 file.", "\n\nAnd wait.")
    assert read.input == {"path": "ä\x85.txt", "lines": [1, 2], "deep": {"b": 1, "a": None}}
    assert list(read.input["deep"]) == ["b", "a"]
    assert bash.input == {}
    told = [event.text for event in events if event.type == "text"]
    assert told == ["I read ", "the 😀 file.", "\n\nAnd wait."]
    assert [event.thinking for event in events if event.type == "thinking"] == [
        "Let me ",
        "look\u2028.",
    ]
    assert [event.signature for event in events if event.type == "signature"] == [LOCAL_SIGNATURE]


async def test_tools_arrive_while_streaming(rich_answer: Answer) -> None:
    """The whole input is there with the `input_json` event, before the block's stop (140, 142)."""
    _, events = await _streamed(rich_answer.frames())
    kinds = [event.type for event in events]
    pieces = [event for event in events if event.type == "input_json"]
    assert [json.loads(piece.partial_json) for piece in pieces] == [
        piece.snapshot for piece in pieces
    ]
    assert pieces[0].snapshot["path"] == "ä\x85.txt"
    stops = [event.content_block for event in events if event.type == "content_block_stop"]
    assert [block.type for block in stops] == ["thinking", "text", "tool_use", "tool_use", "text"]
    assert kinds.index("input_json") < len(kinds) - 1 - kinds[::-1].index("content_block_stop")


@pytest.mark.parametrize("size", [1, 7])
async def test_the_split_into_chunks_does_not_matter(rich_answer: Answer, size: int) -> None:
    """Frames cut anywhere, within characters too, give the same message (161)."""
    raw = b"".join(rich_answer.frames())
    message, _ = await _streamed([raw[i : i + size] for i in range(0, len(raw), size)])
    assert _said(message) == rich_answer.message()


@pytest.mark.parametrize(
    ("answer", "stop_reason", "stop_sequence"),
    [
        (Answer([]), "end_turn", None),
        (Answer([ModelDelta(text="a")], ModelDone("length", 1, 1)), "max_tokens", None),
        (
            Answer([ModelDelta(text="a")], ModelDone("length", 5, 5), {"num_ctx": 10}),
            "model_context_window_exceeded",
            None,
        ),
        (
            Answer(
                [ModelDelta(text="aE"), ModelDelta(text="ND")], request={"stop_sequences": ["END"]}
            ),
            "stop_sequence",
            "END",
        ),
        (
            Answer(
                [ModelDelta("hm", "a")],
                request={"thinking": ThinkingDisplay.OMITTED},
            ),
            "end_turn",
            None,
        ),
    ],
    ids=["empty", "max_tokens", "context", "stop sequence", "omitted thinking"],
)
async def test_endings(answer: Answer, stop_reason: str, stop_sequence: str | None) -> None:
    """The SDK sees the reason, the sequence and the same message as without streaming (119, 120)."""
    message, _ = await _streamed(answer.frames())
    assert (message.stop_reason, message.stop_sequence) == (stop_reason, stop_sequence)
    assert _said(message) == answer.message()


async def test_a_broken_stream_raises(rich_answer: Answer) -> None:
    """An error event in the middle of a block raises with its type and message (155, 156)."""
    broken = [*rich_answer.frames()[:7], encode(error_event("overloaded_error", "Gone."))]
    with pytest.raises(anthropic.APIStatusError, match="Gone") as caught:
        await _streamed(broken)
    assert caught.value.status_code == 200
    assert caught.value.type == "overloaded_error"


async def test_without_streaming(rich_answer: Answer) -> None:
    """The collected Message is one to the SDK, and equal to the streamed one (117, 128)."""
    body = json_bytes(rich_answer.message())
    async with serving([body], content_type="application/json") as url, _client(url) as client:
        message = await client.messages.create(**PROMPT)
    assert _said(message) == rich_answer.message()
    streamed, _ = await _streamed(rich_answer.frames())
    assert _said(streamed) == _said(message)


@given(answers())
@settings(suppress_health_check=[HealthCheck.too_slow])
async def test_any_answer(answer: Answer) -> None:
    """Whatever a model says, the SDK accumulates it (134, 135, 140, 147)."""
    message, _ = await _streamed([b"".join(answer.frames())])
    expected = answer.message()
    assert _floated(_said(message)) == _floated(expected)


def _floated(value: Any) -> Any:
    """Make integers beyond 64 bits floats, as JavaScript and the non-streaming form have them."""
    return json.loads(
        json.dumps(value),
        parse_int=lambda digits: float(digits) if len(digits) > 18 else int(digits),
    )
