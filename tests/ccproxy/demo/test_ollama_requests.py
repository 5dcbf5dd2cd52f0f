from __future__ import annotations

from typing import Any

import orjson
import pytest

from ccproxy.demo.ollama_requests import (
    FOREVER_S,
    OllamaError,
    duration_s,
    parse_call,
    runner_options,
)


def call_with(**fields: Any) -> bytes:
    return orjson.dumps({"model": "m", "messages": [{"role": "user", "content": "x"}], **fields})


def message(**fields: Any) -> bytes:
    return call_with(messages=[{"role": "assistant", "content": "", **fields}])


def tool(parameters: Any) -> bytes:
    function = {"name": "t", "description": "d", "parameters": parameters}
    return call_with(tools=[{"type": "function", "function": function}])


def arguments(value: Any) -> bytes:
    return message(tool_calls=[{"id": "1", "function": {"name": "t", "arguments": value}}])


@pytest.mark.parametrize(
    ("raw", "status", "error"),
    [
        (b"", 400, "missing request body"),
        (b"{", 400, "invalid character"),
        (b"[]", 400, "cannot unmarshal array into Go value"),
        (call_with(model=""), 400, "model is required"),
        (call_with(stream="yes"), 400, "cannot unmarshal string .*stream of type bool"),
        (call_with(truncate=0), 400, "cannot unmarshal number .*truncate of type bool"),
        (call_with(messages={}), 400, "cannot unmarshal object .*messages of type"),
        (message(content=[{"type": "text"}]), 400, "cannot unmarshal array .*content of type str"),
        (arguments('{"a":1}'), 400, "cannot unmarshal string .*arguments of type map"),
        (message(images=["data:image/png;base64,AA"]), 400, "illegal base64 data at input byte 4"),
        (tool({"type": "object", "properties": {"x": True}}), 400, "cannot unmarshal bool"),
        (
            tool({"type": "object", "properties": {"x": {"properties": {"y": {"enum": "a"}}}}}),
            400,
            "enum of type",
        ),
        (tool({"type": ["object"]}), 400, "cannot unmarshal array .*type of type string"),
        (tool({"required": [1]}), 400, "cannot unmarshal number .*required of type string"),
        (tool({"properties": {"x": {"type": [1]}}}), 400, "cannot unmarshal number .*type of type"),
        (tool({"properties": {"x": {"required": True}}}), 400, "cannot unmarshal bool .*required"),
        (tool({"properties": {"x": {"anyOf": [False]}}}), 400, "cannot unmarshal bool .*anyOf"),
        (call_with(options=[]), 400, "cannot unmarshal array .*options"),
        (call_with(options={"num_ctx": "8192"}), 500, '"num_ctx" must be of type integer'),
        (call_with(options={"top_p": "1"}), 500, '"top_p" must be of type float32'),
        (call_with(options={"stop": "x"}), 500, '"stop" must be of type array'),
        (call_with(options={"stop": [1]}), 500, '"stop" must be of an array of strings'),
        (call_with(think="hard"), 400, 'invalid think value: "hard"'),
        (call_with(keep_alive="10"), 400, "missing unit in duration"),
        (call_with(keep_alive="soon"), 400, "invalid duration"),
    ],
)
def test_refuses_what_go_types_refuse(raw: bytes, status: int, error: str) -> None:
    """Wrong types get Ollama's status and nearly its words (conformance 171, 174, 184, 200)."""
    with pytest.raises(OllamaError, match=error) as refused:
        parse_call(raw, is_chat=True)

    assert refused.value.status == status


@pytest.mark.parametrize(
    "raw",
    [
        call_with(surprise=1, options={"num_gizmo": "x", "num_ctx": None}),
        call_with(tools=None, think=None, stream=None, keep_alive=None),
        message(images=["aGk="], tool_calls=None),
        arguments({"b": {"z": 1, "a": 2}}),
        tool({"type": "object", "properties": {"x": {"type": ["string", "null"]}}}),
        call_with(think="high"),
    ],
)
def test_accepts_what_go_types_accept(raw: bytes) -> None:
    """Unknown keys and options are ignored, and null is as good as absent."""
    assert parse_call(raw, is_chat=True).model == "m"


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, 300.0),
        (0, 0.0),
        (90, 90.0),
        (-1, FOREVER_S),
        ("30m", 1800.0),
        ("1h30m", 5400.0),
        ("0", 0.0),
        ("-1s", FOREVER_S),
        ("500ms", 0.5),
    ],
)
def test_keep_alive_in_all_spellings(value: object, seconds: float) -> None:
    """`keep_alive` is a number of seconds or a Go duration; negative is for ever (198)."""
    assert seconds == duration_s(value)


@pytest.mark.parametrize(("asked", "effective"), [(None, 4096), (8192, 8192), (99999, 32768)])
def test_num_ctx_is_defaulted_and_clamped(asked: int | None, effective: int) -> None:
    """Without num_ctx the default holds; above the trained length it is clamped (227, 233)."""
    call = parse_call(call_with(options={"num_ctx": asked}), is_chat=True)

    assert effective == runner_options(call, 4096, 32768).num_ctx
