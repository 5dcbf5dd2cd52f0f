"""Whatever a client asks and a local model says, the client gets an answer it can read."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import jsonschema
import orjson
from hypothesis import HealthCheck, event, example, given, settings
from hypothesis import strategies as st

from ccproxy.pipeline.paces import Paces
from ccproxy.pipeline.prefix_watch import PrefixWatch
from ccproxy.pipeline.slots import Slots
from ccproxy.pipeline.token_ratios import TokenRatios
from ccproxy.pipeline.translated import ModelLimits, TranslatedDeployment
from ccproxy.ports import AttemptFailed, ModelDelta, ModelDone, ModelFacts, ToolCall
from routing.failures import FailureClass
from routing.types import Side
from tests.support.grammar import check_stream
from tests.support.parsed_requests import request_of
from tests.support.sdk_stream import accumulated
from tests.support.sizes import count
from tests.support.valid_requests import TOOLS, valid_requests

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from ccproxy.ports import ModelCall

    Item = ModelDelta | ModelDone | FailureClass

TOOL_ID = re.compile(r"[a-zA-Z0-9_-]+")
LEAKS = (
    '{"name": "Bash", "arguments": {"command": "ls"}}',
    '<tool_call>\n{"name": "todo_write", "arguments": {"todos": []}}\n</tool_call>',
    "<function=Bash>\n<parameter=command>\nls\n</parameter>\n</function>",
    '```json\n{"name": "now", "arguments": {}}\n```',
    '{"title": "A"}',
    "<tool_call>",
    "```python\nprint(1)\n```",
    "END",
)


WORDS = (
    "",
    " ",
    "\n\n",
    "Hm. ",
    "a\ud800b",
    "\u2028",
    "😀",
    "\x00\ufeff",
    "E",
    "ND",
    "`x` {y} <z>",
)
IDS = (None, "", "call_1", "toolu_1", "functions.Bash:0", "x" * 300)
INPUTS: tuple[dict[str, Any], ...] = (
    {},
    {"command": "ls"},
    {"command": 5, "timeout": "7"},
    {"command": "a\ud800b\x85"},
    {"command": "ls", "run_in_background": "true", "extra": 1e400},
    {"todos": []},
    {"todos": '[{"content": "a", "status": "done"}]'},
    {"todos": [{"content": 10**30, "status": "Done"}]},
    {"todos": {"content": None}},
)


class _Model:
    """A model that says what it is given; standing at the port."""

    def __init__(self, answers: list[list[Item]]) -> None:
        self._answers = answers
        self.calls: list[ModelCall] = []

    async def stream(self, call: ModelCall) -> AsyncGenerator[ModelDelta | ModelDone]:
        self.calls.append(call)
        for item in self._answers.pop(0) if self._answers else ():
            if isinstance(item, FailureClass):
                raise AttemptFailed(item, "It broke.")
            yield item

    async def aclose(self) -> None:
        """Nothing is held."""


def _calls() -> st.SearchStrategy[ToolCall]:
    names = st.sampled_from([*(tool["name"] for tool in TOOLS), "bash", "rm -rf", ""])
    inputs = st.sampled_from(INPUTS)
    return st.builds(ToolCall, st.sampled_from(IDS), names, inputs)


def _split(text: str, cuts: list[int]) -> list[ModelDelta]:
    places = sorted({cut % (len(text) + 1) for cut in cuts} | {0, len(text)})
    pieces = [text[start:end] for start, end in pairwise(places)]
    return [ModelDelta(text=piece) for piece in pieces if piece]


def _items() -> st.SearchStrategy[list[Item]]:
    leaked = st.builds(_split, st.sampled_from(LEAKS), st.lists(st.integers(0, 99), max_size=4))
    words = st.sampled_from(WORDS)
    calls = st.lists(_calls(), max_size=2).map(tuple)
    deltas = st.builds(ModelDelta, words, words, st.just(()) | calls).map(lambda each: [each])
    tokens = st.none() | st.integers(0, 5000)
    done = st.builds(ModelDone, st.sampled_from(["stop", "stop", "length"]), tokens, tokens)
    broken = st.sampled_from([FailureClass.BROKEN_STREAM, FailureClass.CONTEXT_OVERFLOW])
    ends = st.one_of(done.map(lambda each: [each]), done.map(lambda each: [each]), st.just([]))
    steps = st.lists(leaked | deltas, max_size=5)
    return st.builds(
        lambda parts, end: [item for part in [*parts, end] for item in part],
        steps,
        ends | broken.map(lambda each: [each]),
    )


def _deployment(model: _Model, facts: ModelFacts) -> TranslatedDeployment:
    async def known() -> ModelFacts:
        return facts

    return TranslatedDeployment(
        "qwen-coder",
        Side.LOCAL,
        model,
        model="m",
        facts=known,
        limits=ModelLimits(65536),
        slots=Slots(1),
        prefixes=PrefixWatch(),
        paces=Paces(),
        token_ratios=TokenRatios({}),
        patience_s=60,
    )


ASKED = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "Go."}]}
ODD_ID: list[Item] = [
    ModelDelta(tool_calls=(ToolCall("functions.now:0", "now", {}),)),
    ModelDone("stop"),
]


@example(ASKED | {"tools": [TOOLS[2]], "stream": True}, [ODD_ID], ModelFacts(remote=False))
@given(
    valid_requests(),
    st.lists(_items(), min_size=1, max_size=2),
    st.builds(
        ModelFacts,
        present=st.just(True),
        supports_tools=st.sampled_from([None, True]),
        supports_vision=st.just(True),
        supports_thinking=st.sampled_from([None, True, False]),
        remote=st.just(False),
    ),
)
@settings(
    max_examples=count(80, 200, 10_000),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
async def test_any_answer_to_any_request(
    body: dict[str, Any], answers: list[list[Item]], facts: ModelFacts
) -> None:
    """A valid request gets a failure that can fall back, or an answer that keeps section G.

    Its tool calls are offered ones with valid input, as many as allowed; a demanded call is there;
    the SDK's accumulator reads it; Claude would take it back in a history (conformance 131, 134,
    135, 140, 142, 145, 147, 187, 188, 189, 196, 263).
    """
    model = _Model([list(answer) for answer in answers])
    try:
        reply = await _deployment(model, facts).open(request_of(body))
        sent = b"".join([chunk async for chunk in reply.chunks()])
    except AttemptFailed as failed:
        event(f"failed: {failed.failure}")
        return
    if not body["stream"]:
        _check_message(orjson.loads(sent), body)
        return
    checked = check_stream(sent)
    if checked.error is not None:
        event(f"broke off: {checked.error['type']}")
    else:
        _check_message(checked.message, body)
        assert [block.type for block in accumulated(sent).content] == [
            block["type"] for block in checked.message["content"]
        ]


def _check_message(message: dict[str, Any], body: dict[str, Any]) -> None:
    event(f"answered: {message['stop_reason']}")
    schemas = {tool["name"]: tool["input_schema"] for tool in body.get("tools", ())}
    choice = body.get("tool_choice", {})
    uses = [block for block in message["content"] if block["type"] == "tool_use"]
    assert all(block["text"].strip() for block in message["content"] if block["type"] == "text")
    for use in uses:
        assert TOOL_ID.fullmatch(use["id"])
        jsonschema.validate(use["input"], schemas[use["name"]])
    if choice.get("type") == "none":
        assert not uses
    if choice.get("type") == "tool":
        assert {use["name"] for use in uses} <= {choice["name"]}
    if choice.get("disable_parallel_tool_use"):
        assert len(uses) <= 1
    if choice.get("type") in ("any", "tool"):
        assert uses or message["stop_reason"] in ("max_tokens", "model_context_window_exceeded")
    assert (message["stop_reason"] == "tool_use") == bool(uses)
    wanted = body.get("output_config", {}).get("format")
    if wanted and not uses and message["stop_reason"] == "end_turn":
        words = "".join(each["text"] for each in message["content"] if each["type"] == "text")
        jsonschema.validate(orjson.loads(words), wanted["schema"])
