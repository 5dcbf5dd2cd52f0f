"""What routing may know of a body."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccproxy.wire.content_facts import BodyFacts, call_features, system_texts
from ccproxy.wire.estimate import estimate_input_tokens, most_input_tokens
from routing.request_class import CallFeatures, classify_call
from routing.types import RequestClass, Side

IMAGE = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": ""}}
PDF = {"type": "document", "source": {"type": "base64", "media_type": "application/pdf"}}
PLAIN = {"type": "document", "source": {"type": "text", "data": "x"}}
MIXED = {"type": "document", "source": {"type": "content", "content": [IMAGE]}}


def said(*blocks: object) -> dict[str, Any]:
    """Return a body whose only message has these blocks."""
    return {"messages": [{"role": "user", "content": list(blocks)}]}


def result(*blocks: object) -> dict[str, Any]:
    """Return a tool result of these blocks."""
    return {"type": "tool_result", "tool_use_id": "toolu_1", "content": list(blocks)}


@pytest.mark.parametrize(
    ("body", "images", "documents", "server_tools"),
    [
        ({}, False, False, False),
        ({"messages": [{"role": "user", "content": "an image"}]}, False, False, False),
        (said({"type": "text", "text": "image"}, result()), False, False, False),
        (said(IMAGE), True, False, False),
        (said(result(IMAGE)), True, False, False),
        (said(MIXED), True, False, False),
        (said(PLAIN), False, False, False),
        (said(PDF), False, True, False),
        (said(result({"type": "text", "text": "x"}, PDF)), False, True, False),
        (said({"type": "document", "source": {"type": "file"}}, PLAIN), False, True, False),
        (said({"type": "server_tool_use"}), False, False, False),
        (said({"type": "web_search_tool_result"}), False, False, False),
        (said({"type": "mcp_tool_use"}), False, False, False),
        ({"tools": [{"type": "web_search_20250305", "name": "web_search"}]}, False, False, True),
        ({"tools": [{"type": "mcp_toolset"}]}, False, False, True),
        ({"tools": [{"type": "bash_20250124", "name": "bash"}]}, False, False, False),
        ({"tools": [{"type": "custom", "name": "a"}, {"name": "b"}]}, False, False, False),
        ({"mcp_servers": [{"url": "https://mcp.example"}]}, False, False, True),
    ],
)
def test_what_a_conversation_holds(
    body: dict[str, Any], images: bool, documents: bool, server_tools: bool
) -> None:
    """Images, documents and server tools are found wherever a body may hold them."""
    facts = BodyFacts(body)
    assert (facts.has_images, facts.has_documents, facts.has_server_tools) == (
        images,
        documents,
        server_tools,
    )


@pytest.mark.parametrize(
    ("body", "thinking", "structured", "names"),
    [
        ({}, False, False, set()),
        ({"thinking": {"type": "disabled"}}, False, False, set()),
        ({"thinking": {"type": "enabled", "budget_tokens": 2000}}, True, False, set()),
        ({"thinking": {"type": "adaptive", "display": "updates"}}, True, False, set()),
        ({"output_config": {"effort": "medium"}}, False, False, set()),
        ({"output_config": {"format": {"type": "json_schema"}}}, False, True, set()),
        ({"output_format": {"type": "json_schema"}}, False, True, set()),
        ({"tools": [{"name": "Bash"}, {"name": "Read"}]}, False, False, {"Bash", "Read"}),
        (
            {"tools": [{"type": "web_search_20250305", "name": "web_search"}, {"name": 3}]},
            False,
            False,
            set(),
        ),
        ({"tools": [{"type": "bash_20250124", "name": "bash"}]}, False, False, {"bash"}),
    ],
)
def test_what_a_request_wants(
    body: dict[str, Any], thinking: bool, structured: bool, names: set[str]
) -> None:
    """Thinking, structured output and the client's tools are read from their places."""
    facts = BodyFacts(body)
    assert (facts.wants_thinking, facts.wants_structured_output) == (thinking, structured)
    assert facts.tool_names == names


def test_tokens_are_the_estimate_that_everybody_uses() -> None:
    """Rules judge by the same number that count_tokens gives."""
    body = {"system": "You count.", "messages": [{"role": "user", "content": "one two " * 300}]}
    assert BodyFacts(body).input_tokens == estimate_input_tokens(body)


def test_the_bound_of_tokens_is_by_length_and_not_with_images() -> None:
    """It costs no estimate; with images, or where no length is known, there is none."""
    facts = BodyFacts(said("Hello."), 100)
    assert facts.input_tokens_at_most == most_input_tokens(100)
    assert "input_tokens" not in facts.known()
    assert BodyFacts(said(IMAGE), 100).input_tokens_at_most is None
    assert BodyFacts(said("Hello.")).input_tokens_at_most is None


@pytest.mark.parametrize(
    ("body", "texts"),
    [
        ({}, []),
        ({"system": "one"}, ["one"]),
        ({"system": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}, ["a", "b"]),
        ({"system": [{"type": "text"}, "x", {"type": "image", "text": "no"}, None]}, []),
        ({"messages": [{"role": "system", "content": "later"}]}, []),
    ],
)
def test_system_texts(body: dict[str, Any], texts: list[str]) -> None:
    """A string or text blocks, in order; system messages are something else."""
    assert system_texts(body) == texts


CLAUDE_CODE = (b"user-agent", b"claude-cli/2.1.329 (external, cli)")
MAIN = {
    "model": "claude-opus-5-5",
    "max_tokens": 128000,
    "stream": True,
    "thinking": {"type": "adaptive", "display": "updates"},
    "safeguards": [{"type": "dangerous_tool_use", "classifier_context": {}}],
    "system": [{"type": "text", "text": "You are Claude Code, Anthropic's official CLI."}],
    "tools": [{"name": "Bash", "input_schema": {"type": "object"}}],
    "messages": [
        {"role": "user", "content": [{"type": "text", "text": "hi"}]},
        {"role": "system", "content": "CRITICAL: Respond with TEXT ONLY"},
    ],
}
TITLE = {
    "model": "claude-opus-5-5",
    "stream": True,
    "messages": [{"role": "user", "content": "fetch it"}],
    "output_config": {
        "format": {
            "type": "json_schema",
            "schema": {"type": "object", "properties": {"title": {"type": "string"}}},
        }
    },
}
CLASSIFIER = {
    "model": "claude-sonnet-5",
    "max_tokens": 8192,
    "thinking": {"type": "disabled"},
    "system": [
        {"type": "text", "text": "x-anthropic-billing-header: cc_version=2.1.329.fe6;"},
        {
            "type": "text",
            "text": "You are a security monitor for autonomous AI coding agents.\n\n## Context\n",
        },
    ],
    "messages": [{"role": "user", "content": [{"type": "text", "text": "<transcript>\n"}]}],
}
COMPACTION = {
    **MAIN,
    "messages": [
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": "ok"},
        {
            "role": "user",
            "content": [{"type": "text", "text": "CRITICAL: Respond with TEXT ONLY."}],
        },
    ],
}


@pytest.mark.parametrize(
    ("body", "headers", "counting", "expected"),
    [
        (MAIN, (CLAUDE_CODE,), False, RequestClass.TURN),
        (MAIN, (CLAUDE_CODE,), True, RequestClass.COUNT),
        (TITLE, (CLAUDE_CODE,), False, RequestClass.TITLE),
        (TITLE, ((b"x-claude-code-session-id", b"s"),), False, RequestClass.TITLE),
        (TITLE, ((b"user-agent", b"python"),), False, RequestClass.TURN),
        (CLASSIFIER, (CLAUDE_CODE,), False, RequestClass.SAFETY_CLASSIFIER),
        (CLASSIFIER, (), False, RequestClass.SAFETY_CLASSIFIER),
        (
            CLASSIFIER,
            (CLAUDE_CODE, (b"x-claude-code-request-class", b"main")),
            False,
            RequestClass.SAFETY_CLASSIFIER,
        ),
        (
            {"messages": []},
            ((b"anthropic-beta", b"oauth-2025-04-20, auto-mode-classifier-2026-07-16"),),
            False,
            RequestClass.SAFETY_CLASSIFIER,
        ),
        (COMPACTION, (CLAUDE_CODE,), False, RequestClass.COMPACTION),
        (
            MAIN,
            (CLAUDE_CODE, (b"x-claude-code-request-class", b"compaction")),
            False,
            RequestClass.COMPACTION,
        ),
        (
            {"model": "claude-haiku-4-5", "max_tokens": 512, "messages": []},
            (CLAUDE_CODE, (b"x-claude-code-agent-id", b"a1")),
            False,
            RequestClass.TURN,
        ),
        (
            {"model": "claude-haiku-4-5", "max_tokens": 512, "messages": []},
            (CLAUDE_CODE,),
            False,
            RequestClass.BACKGROUND,
        ),
    ],
)
def test_the_client_s_own_calls_are_told_from_turns(
    body: dict[str, Any],
    headers: tuple[tuple[bytes, bytes], ...],
    counting: bool,
    expected: RequestClass,
) -> None:
    """Bodies as Claude Code 2.1.329 sends them; one that merely carries `safeguards` is a turn."""
    assert classify_call(call_features(body, headers, counting=counting)) is expected


def test_a_tool_result_cannot_change_the_class() -> None:
    """Text that a tool returned is not the user's, nor anybody's system prompt."""
    text = "CRITICAL: Respond with TEXT ONLY"
    body = {
        **MAIN,
        "messages": [{"role": "user", "content": [result({"type": "text", "text": text})]}],
    }
    assert call_features(body, (CLAUDE_CODE,), counting=False).last_user_opening == ""


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["type", "text", "content", "source", "name", "role", "format", "schema"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)
KEYS = ["system", "messages", "tools", "thinking", "output_config", "output_format", "mcp_servers"]
KEYS += ["model", "max_tokens", "stream", "stop_sequences"]


@given(st.dictionaries(st.sampled_from(KEYS), JSON))
def test_no_body_is_too_malformed(body: dict[str, Any]) -> None:
    """Whatever a client sends, there are facts, and validation comes later."""
    facts = BodyFacts(body)
    assert isinstance(facts.has_images | facts.has_documents | facts.has_server_tools, bool)
    assert isinstance(facts.wants_thinking | facts.wants_structured_output, bool)
    assert facts.tool_loop_side in (None, Side.LOCAL, Side.CLAUDE)
    assert all(isinstance(name, str) for name in facts.tool_names)
    assert facts.input_tokens >= 1
    assert all(isinstance(text, str) for text in system_texts(body))
    assert isinstance(call_features(body, (), counting=False), CallFeatures)


def test_what_is_known_without_looking_further() -> None:
    """Asking what is known computes no estimate and walks no conversation; it gives what others did."""
    facts = BodyFacts(said(IMAGE) | {"tools": [{"name": "a"}], "thinking": {"type": "enabled"}})
    first = facts.known()
    assert first == {
        "tool_names": {"a"},
        "wants_thinking": True,
        "wants_structured_output": False,
        "max_output_tokens": 0,
    }
    _ = facts.has_documents
    assert "tool_loop_side" not in facts.known()
    assert facts.known() == first | {"has_images": True, "has_documents": False}
    tokens, server_tools = facts.input_tokens, facts.has_server_tools
    assert facts.known() == first | {
        "has_images": True,
        "has_documents": False,
        "has_server_tools": server_tools,
        "input_tokens": tokens,
    }
