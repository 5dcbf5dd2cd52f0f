"""Real clients are never refused, and no JSON makes the validator fail.

The Claude Code bodies have the shape that version 2.1.329 sends (measured against a recording
server); the generated ones are what the request types of anthropic 2.11 can express.
"""

from __future__ import annotations

import base64
from typing import Any

import orjson
import pytest
from anthropic.types import MessageParam, ThinkingConfigParam, ToolChoiceParam, ToolParam
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from ccproxy.wire.errors import ApiError, UnsupportedLocally
from ccproxy.wire.estimate import estimate_input_tokens
from ccproxy.wire.json_body import parse_json_object
from ccproxy.wire.validate import VERSIONS, ignored_fields, validate_request

CACHED = {"cache_control": {"type": "ephemeral", "ttl": "1h"}}


def text(value: str, **more: object) -> dict[str, Any]:
    """Return a text block."""
    return {"type": "text", "text": value, **more}


def claude_code(**changes: object) -> dict[str, Any]:
    """Return a main turn of Claude Code with a tool call, system messages and deferred tools."""
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "properties": {"command": {"type": "string"}, "timeout": {"type": ["number", "null"]}},
        "required": ["command"],
        "additionalProperties": False,
    }
    full = {"name": "Bash", "description": "Runs.", "input_schema": schema}
    deferred = {"name": "mcp__git__log", "input_schema": schema, "defer_loading": True}
    placeholder = {
        "name": "DeferredToolPlaceholder",
        "description": "Never call this.",
        "input_schema": {"type": "object", "properties": {}},
        "defer_loading": True,
    }
    result = {"type": "tool_result", "tool_use_id": "toolu_01", "content": "hi", "is_error": False}
    request: dict[str, Any] = {
        "model": "agent/python-specialist",
        "messages": [
            {"role": "user", "content": [text("<system-reminder>"), text("do it", **CACHED)]},
            {"role": "system", "content": [text("Environment", **CACHED)]},
            {
                "role": "assistant",
                "content": [
                    {"type": "thinking", "thinking": "", "signature": "EqQB"},
                    text(""),
                    {
                        "type": "tool_use",
                        "id": "toolu_01",
                        "name": "Bash",
                        "input": {"command": "echo hi"},
                        "caller": {"type": "direct"},
                    },
                ],
            },
            {"role": "user", "content": [{**result, **CACHED}]},
            {
                "role": "system",
                "content": [
                    text("Deferred tools"),
                    {
                        "type": "tool_addition",
                        "tool": {"type": "tool_reference", "name": "mcp__git__log"},
                    },
                ],
            },
            {"role": "system", "content": "later, as a string", "clear_at": "next_user_message"},
        ],
        "system": [
            text("x-anthropic-billing-header: cc_version=2.1.329.fe6; cc_entrypoint=sdk-cli;"),
            text("You are a Claude agent, built on Anthropic's Claude Agent SDK.", **CACHED),
            text("# Python specialist", **CACHED),
        ],
        "tools": [full, deferred, placeholder],
        "metadata": {"user_id": '{"device_id":"ab","account_uuid":"","session_id":"s"}'},
        "max_tokens": 128000,
        "thinking": {"type": "adaptive", "display": "updates"},
        "context_management": {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]},
        "output_config": {"effort": "medium"},
        "safeguards": [{"type": "dangerous_tool_use", "classifier_context": {"a": 1}}],
        "stream": True,
    }
    return request | changes


TITLE_FORMAT = {
    "type": "json_schema",
    "schema": {
        "type": "object",
        "properties": {"title": {"type": "string"}},
        "required": ["title"],
        "additionalProperties": False,
    },
}
ONE_USER = [{"role": "user", "content": "foo"}]

CLAUDE_CODE = {
    "main turn": claude_code(),
    "fallback without stream": claude_code(stream=False, max_tokens=64000),
    "high effort": claude_code(output_config={"effort": "high"}, max_tokens=32000),
    "session title": claude_code(tools=[], output_config={"format": TITLE_FORMAT}),
    "classifier": claude_code(
        tools=[],
        messages=ONE_USER,
        max_tokens=64,
        stream=False,
        thinking={"type": "disabled"},
        system=[text("Judge." * 20_000)],
    ),
    "older main turn": claude_code(
        thinking={"type": "enabled", "budget_tokens": 31999}, max_tokens=32000, temperature=1
    ),
    "no tools": claude_code(tools=[], messages=ONE_USER),
}


@pytest.mark.parametrize("body", CLAUDE_CODE.values(), ids=CLAUDE_CODE.keys())
def test_claude_code_is_accepted(body: dict[str, Any]) -> None:
    """Every request of Claude Code passes (conformance 282, 283)."""
    validate_request(parse_json_object(orjson.dumps(body)), version="2023-06-01")


def test_claude_code_counting_is_accepted() -> None:
    """Claude Code's count_tokens body, one message and one tool, passes (conformance 245)."""
    body = {"model": "m", "messages": ONE_USER, "tools": claude_code()["tools"][:1]}
    validate_request(body, version="2023-06-01", counting=True)


def test_claude_code_shows_what_is_dropped() -> None:
    """What a local model does not get of Claude Code's body is named (conformance 110, 113)."""
    assert ignored_fields(claude_code()) == ("context_management", "safeguards")


# --- what the SDK can build ---------------------------------------------------------------------

CACHE = st.one_of(st.none(), st.just({"type": "ephemeral"}), st.just(CACHED["cache_control"]))
WORDS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
ENDING = WORDS.map(lambda words: words + ".")
PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n").decode()


def block(kind: str, optional: dict[str, Any] | None = None, **required: Any) -> Any:
    """Return a strategy for a block: its type, required members and any of the optional ones."""
    return st.fixed_dictionaries(
        {"type": st.just(kind), **required}, optional={"cache_control": CACHE, **(optional or {})}
    )


JSON_OBJECTS = st.dictionaries(
    WORDS,
    st.recursive(
        st.none() | st.booleans() | st.integers(-9, 9) | WORDS,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3),
        max_leaves=5,
    ),
    max_size=3,
)
TEXT = block("text", text=ENDING)
IMAGE = block(
    "image",
    source=st.just({"type": "base64", "media_type": "image/png", "data": PNG}),
)
DOCUMENT = block(
    "document",
    {"title": st.none() | WORDS, "context": st.none() | WORDS},
    source=st.one_of(
        st.just({"type": "text", "media_type": "text/plain", "data": "x"}),
        st.just({"type": "content", "content": "x"}),
        st.just({"type": "content", "content": [{"type": "text", "text": "x"}]}),
    ),
)
SEARCH = block(
    "search_result", source=WORDS, title=WORDS, content=st.lists(TEXT, min_size=1, max_size=2)
)
RESULT_CONTENT = st.one_of(
    WORDS,
    st.lists(
        st.one_of(TEXT, IMAGE, DOCUMENT, SEARCH, block("tool_reference", tool_name=WORDS)),
        max_size=3,
    ),
)
CALL_NAMES = st.lists(st.from_regex(r"[a-zA-Z0-9_-]{1,20}", fullmatch=True), max_size=3)


@st.composite
def turns(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Draw a conversation whose calls are all answered and that ends with any role."""
    messages = [{"role": "user", "content": draw(ENDING | st.lists(TEXT | IMAGE, min_size=1))}]
    used: set[str] = set()
    for _ in range(draw(st.integers(0, 3))):
        if draw(st.booleans()):
            messages.append(
                {"role": "system", "content": draw(ENDING | st.lists(TEXT, min_size=1))}
            )
        calls = [name for name in dict.fromkeys(draw(CALL_NAMES)) if name not in used]
        used.update(calls)
        thinking = block("thinking", thinking=WORDS, signature=WORDS).map(
            lambda item: {key: item[key] for key in ("type", "thinking", "signature")}
        )
        answer = [*draw(st.lists(thinking, max_size=1)), draw(TEXT)]
        answer += [
            {"type": "tool_use", "id": name, "name": "get", "input": draw(JSON_OBJECTS)}
            for name in calls
        ]
        messages.append({"role": "assistant", "content": answer})
        results: list[Any] = [
            {"type": "tool_result", "tool_use_id": name, "content": draw(RESULT_CONTENT)}
            | ({"is_error": True} if draw(st.booleans()) else {})
            for name in draw(st.permutations(calls))
        ]
        results += draw(st.lists(st.one_of(TEXT, IMAGE, DOCUMENT, SEARCH), min_size=1, max_size=2))
        messages.append({"role": "user", "content": results})
    if draw(st.booleans()):
        messages.append({"role": "assistant", "content": draw(ENDING)})
    return messages


SCHEMAS = st.fixed_dictionaries(
    {"type": st.just("object")},
    optional={
        "properties": st.dictionaries(
            WORDS, st.sampled_from([{"type": "string"}, {"type": ["null", "array"]}, {}, True])
        ),
        "required": st.lists(WORDS, max_size=2),
    },
)
TOOL = st.fixed_dictionaries(
    {"name": st.from_regex(r"[a-zA-Z0-9_-]{1,64}", fullmatch=True), "input_schema": SCHEMAS},
    optional={
        "type": st.sampled_from([None, "custom"]),
        "description": WORDS,
        "cache_control": CACHE,
        "strict": st.booleans(),
        "defer_loading": st.booleans(),
        "eager_input_streaming": st.none() | st.booleans(),
        "allowed_callers": st.just(["direct"]),
        "input_examples": st.lists(JSON_OBJECTS, max_size=1),
    },
)
DISPLAY = st.sampled_from([None, "summarized", "omitted"])
THINKING = st.one_of(
    st.fixed_dictionaries(
        {"type": st.just("enabled"), "budget_tokens": st.integers(1024, 4095)},
        optional={"display": DISPLAY},
    ),
    st.fixed_dictionaries({"type": st.just("adaptive")}, optional={"display": DISPLAY}),
    st.fixed_dictionaries({"type": st.sampled_from(["disabled", "between_tools"])}),
)


@st.composite
def sdk_bodies(draw: st.DrawFn) -> dict[str, Any]:
    """Draw a request that the SDK's types can express and Claude would accept."""
    body = draw(
        st.fixed_dictionaries(
            {
                "model": ENDING,
                "max_tokens": st.integers(4096, 10**6),
                "messages": turns(),
            },
            optional={
                "system": WORDS | st.lists(TEXT, max_size=2),
                "stream": st.booleans(),
                "stop_sequences": st.lists(ENDING, max_size=2),
                "metadata": st.just({}) | st.just({"user_id": None}) | st.just({"user_id": "u"}),
                "service_tier": st.sampled_from(["auto", "standard_only"]),
                "speed": st.sampled_from([None, "standard", "fast"]),
                "inference_geo": st.none() | WORDS,
                "cache_control": CACHE,
                "diagnostics": st.none() | st.just({"previous_message_id": None}),
                "thinking": THINKING,
                "output_config": st.fixed_dictionaries(
                    {},
                    optional={
                        "effort": st.sampled_from([None, "low", "medium", "high", "xhigh", "max"]),
                        "format": st.none() | st.just(TITLE_FORMAT),
                    },
                ),
            },
        )
    )
    tools = draw(st.lists(TOOL, max_size=3, unique_by=lambda tool: tool["name"]))
    if tools:
        body["tools"] = tools
        kinds = ["auto", "none"]
        if body.get("thinking", {}).get("type") != "enabled":
            kinds += ["any", "tool"]
        choice = {"type": draw(st.sampled_from(kinds))}
        if choice["type"] == "tool":
            choice["name"] = tools[-1]["name"]
        body["tool_choice"] = choice
    return body


@settings(max_examples=60, suppress_health_check=list(HealthCheck), deadline=None)
@given(body=sdk_bodies(), version=st.sampled_from(VERSIONS))
def test_what_the_sdk_builds_is_accepted(body: dict[str, Any], version: str) -> None:
    """A request of the SDK's own types passes, counted or sent, under either version."""
    body = parse_json_object(orjson.dumps(body))
    validate_request(body, version=version)
    validate_request(body, version=version, counting=True)


def test_the_generator_builds_what_the_sdk_types_allow() -> None:
    """The generated parts validate as the SDK's request types, so the test above means it."""
    message = TypeAdapter(MessageParam)
    parts = {
        "tools": TypeAdapter(ToolParam),
        "thinking": TypeAdapter(ThinkingConfigParam),
        "tool_choice": TypeAdapter(ToolChoiceParam),
    }

    @settings(max_examples=25, suppress_health_check=list(HealthCheck), deadline=None)
    @given(sdk_bodies())
    def check(body: dict[str, Any]) -> None:
        for item in body["messages"]:
            message.validate_python(item)
        for tool in body.get("tools", []):
            parts["tools"].validate_python(tool)
        for name in ("thinking", "tool_choice"):
            if name in body:
                parts[name].validate_python(body[name])

    check()


# --- what nobody sends --------------------------------------------------------------------------

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | WORDS
    | st.sampled_from(["type", "text", "user", "tool_use", "tool_result", "object", "system"]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            WORDS
            | st.sampled_from(
                ["type", "text", "role", "content", "source", "id", "input", "name", "data", "tool"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)
FIELDS = st.sampled_from([*claude_code(), "tool_choice", "thread", "stop_sequences"])


def judge(body: object) -> None:
    """Parse, count and validate; only 400s may come out."""
    statuses = set()
    try:
        parsed = parse_json_object(orjson.dumps(body))
    except ApiError as error:
        statuses.add(error.status)
        parsed = {}
    assert estimate_input_tokens(parsed) >= 1
    assert all(name.isprintable() for name in ignored_fields(parsed))
    for version in VERSIONS:
        for counting in (False, True):
            try:
                validate_request(parsed, version=version, counting=counting)
            except ApiError as error:
                statuses.add(error.status)
    assert statuses <= {400}


@settings(max_examples=60, deadline=None)
@given(JSON)
def test_any_json_is_judged(body: object) -> None:
    """Any JSON value as body is accepted or refused, never an accident (conformance 070, 084)."""
    judge(body)


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(FIELDS, JSON, min_size=1, max_size=3))
def test_any_field_is_judged(changes: dict[str, object]) -> None:
    """Any JSON value in any field of a good request is accepted or refused."""
    judge(claude_code() | changes)


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_any_place_is_judged(data: st.DataObject) -> None:
    """Any JSON value anywhere inside a good request is accepted or refused."""
    body = parse_json_object(orjson.dumps(claude_code()))
    place: Any = body
    while True:
        keys = list(place) if isinstance(place, dict) else list(range(len(place)))
        key = data.draw(st.sampled_from(keys))
        child = place[key]
        if not isinstance(child, dict | list) or not child or data.draw(st.integers(0, 3)) == 0:
            break
        place = child
    if data.draw(st.booleans()) and isinstance(place, dict):
        del place[key]
    else:
        place[key] = data.draw(JSON)
    judge(body)


def test_unsupported_is_an_api_error() -> None:
    """A caller that knows only ApiError still answers 400 without retry."""
    with pytest.raises(ApiError) as caught:
        validate_request(claude_code(container="c"), version="2023-06-01")
    assert isinstance(caught.value, UnsupportedLocally)
    assert (caught.value.status, caught.value.should_retry) == (400, False)
