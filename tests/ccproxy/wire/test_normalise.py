"""From a Messages request to a `ModelCall`: request in, call out, one case per conformance item."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import Any

import orjson
import pytest

from ccproxy.ports import ModelCall, ModelFacts
from ccproxy.wire.errors import UnsupportedLocally
from ccproxy.wire.normalise import normalise

SEES = ModelFacts(supports_vision=True)
THINKS = ModelFacts(supports_thinking=True)
PNG = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "aGk="}}
URL = "data:image/png;base64,aGk="
SCHEMA: dict[str, Any] = {"type": "object", "properties": {"a": {"type": "string"}}}
TOOL = {"name": "look", "description": "Looks.", "input_schema": SCHEMA}
OTHER = {"name": "list", "input_schema": SCHEMA}
LOOK = {
    "type": "function",
    "function": {"name": "look", "description": "Looks.", "parameters": SCHEMA},
}
LIST = {"type": "function", "function": {"name": "list", "parameters": SCHEMA}}


def text(words: str) -> dict[str, Any]:
    """Return a text block with the bookkeeping that clients add."""
    return {"type": "text", "text": words, "cache_control": {"type": "ephemeral"}}


def use(identifier: str, name: str = "look", **arguments: Any) -> dict[str, Any]:
    """Return a tool_use block."""
    return {"type": "tool_use", "id": identifier, "name": name, "input": arguments}


def result(identifier: str, content: Any = None, **more: Any) -> dict[str, Any]:
    """Return a tool_result block."""
    block = {"type": "tool_result", "tool_use_id": identifier, **more}
    return block if content is None else {**block, "content": content}


def user(*content: Any) -> dict[str, Any]:
    """Return a user turn: one string, or blocks."""
    return {"role": "user", "content": _content(content)}


def assistant(*content: Any) -> dict[str, Any]:
    """Return an assistant turn: one string, or blocks."""
    return {"role": "assistant", "content": _content(content)}


def system(*content: Any) -> dict[str, Any]:
    """Return a system message between turns."""
    return {"role": "system", "content": _content(content)}


def _content(content: tuple[Any, ...]) -> Any:
    return content[0] if len(content) == 1 and isinstance(content[0], str) else list(content)


def called(identifier: str, name: str = "look", **arguments: Any) -> dict[str, Any]:
    """Return a tool call in the chat shape."""
    function = {"name": name, "arguments": arguments}
    return {"id": identifier, "type": "function", "function": function}


def answered(identifier: str, content: str, name: str = "look") -> dict[str, Any]:
    """Return a tool message in the chat shape."""
    return {"role": "tool", "content": content, "tool_call_id": identifier, "tool_name": name}


def call_for(
    *messages: dict[str, Any],
    facts: ModelFacts = ModelFacts(),  # noqa: B008 - frozen
    cap: int | None = None,
    **body: Any,
) -> ModelCall:
    """Normalise a request with these messages."""
    request = {"model": "m", "max_tokens": 100, "messages": list(messages), **body}
    return normalise(request, facts, max_output_tokens_cap=cap)


@dataclass(frozen=True)
class Case:
    """Messages of a request, and the messages of the call."""

    behaviour: str
    messages: list[dict[str, Any]]
    expected: list[dict[str, Any]]
    facts: ModelFacts = field(default_factory=ModelFacts)


TURN = [user("go"), assistant(text("ok"), use("t1", b=1, a=2))]
CHAT_TURN = [
    {"role": "user", "content": "go"},
    {"role": "assistant", "content": "ok", "tool_calls": [called("t1", b=1, a=2)]},
]

MESSAGES = [
    Case(
        "a system message becomes a reminder in the user's turn before it (168)",
        [user("a"), system(text("s1"), text("s2")), assistant("b"), user("c")],
        [
            {"role": "user", "content": "a\n\n<system-reminder>\ns1\n\ns2\n</system-reminder>"},
            {"role": "assistant", "content": "b"},
            {"role": "user", "content": "c"},
        ],
    ),
    Case(
        "a system message after the assistant joins the user's turn that follows (168)",
        [user("a"), assistant("b"), system("s"), user("c")],
        [
            {"role": "user", "content": "a"},
            {"role": "assistant", "content": "b"},
            {"role": "user", "content": "<system-reminder>\ns\n</system-reminder>\n\nc"},
        ],
    ),
    Case(
        "a system message at the end is a user's turn of its own (168)",
        [user("a"), assistant("b"), system("s")],
        [
            {"role": "user", "content": "a"},
            {"role": "assistant", "content": "b"},
            {"role": "user", "content": "<system-reminder>\ns\n</system-reminder>"},
        ],
    ),
    Case(
        "a system message that only carries settings of its turn says nothing (080)",
        [
            user("a"),
            {"role": "system", "output_config": {"effort": "low"}},
            assistant("b"),
            user("c"),
        ],
        [
            {"role": "user", "content": "a"},
            {"role": "assistant", "content": "b"},
            {"role": "user", "content": "c"},
        ],
    ),
    Case(
        "turns of the same role are merged (169)",
        [user("a"), user("b"), assistant("c"), assistant("d"), user("e")],
        [
            {"role": "user", "content": "a\n\nb"},
            {"role": "assistant", "content": "c\n\nd"},
            {"role": "user", "content": "e"},
        ],
    ),
    Case(
        "text blocks are joined with a blank line, a string keeps its whitespace (170)",
        [user(text("a "), text(""), text(" b")), assistant(" c\n"), user("d")],
        [
            {"role": "user", "content": "a \n\n b"},
            {"role": "assistant", "content": " c\n"},
            {"role": "user", "content": "d"},
        ],
    ),
    Case(
        "images follow the text, with a numbered mark where they stood (171)",
        [user(text("a"), PNG, text("b"), PNG)],
        [
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "a\n\n[Image 1]\n\nb\n\n[Image 2]"},
                    {"type": "image_url", "image_url": {"url": URL}},
                    {"type": "image_url", "image_url": {"url": URL}},
                ],
            }
        ],
        SEES,
    ),
    Case(
        "text and tool_use are one assistant message, arguments an object in its key order (174)",
        [*TURN, user(result("t1", "x"))],
        [*CHAT_TURN, answered("t1", "x")],
    ),
    Case(
        "thinking of the current tool loop is sent, signatures are not (175)",
        [
            user("go"),
            assistant(
                {"type": "thinking", "thinking": "h1", "signature": "s"},
                {"type": "thinking", "thinking": "h2", "signature": "s"},
                {"type": "redacted_thinking", "data": "x"},
                use("t1"),
            ),
            user(result("t1", "x")),
        ],
        [
            {"role": "user", "content": "go"},
            {
                "role": "assistant",
                "content": "",
                "thinking": "h1\n\nh2",
                "tool_calls": [called("t1")],
            },
            answered("t1", "x"),
        ],
    ),
    Case(
        "thinking before the last turn of the user's own is dropped (176)",
        [
            user("go"),
            assistant({"type": "thinking", "thinking": "h", "signature": "s"}, text("b")),
            user("c"),
        ],
        [
            {"role": "user", "content": "go"},
            {"role": "assistant", "content": "b"},
            {"role": "user", "content": "c"},
        ],
    ),
    Case(
        "thinking is not sent to a model that is known not to think (175)",
        [
            user("go"),
            assistant({"type": "thinking", "thinking": "h", "signature": "s"}, use("t1")),
            user(result("t1", "x")),
        ],
        [
            {"role": "user", "content": "go"},
            {"role": "assistant", "content": "", "tool_calls": [called("t1")]},
            answered("t1", "x"),
        ],
        ModelFacts(supports_thinking=False),
    ),
    Case(
        "an assistant turn of redacted thinking alone vanishes and its neighbours merge (175)",
        [user("a"), assistant({"type": "redacted_thinking", "data": "x"}), user("b")],
        [{"role": "user", "content": "a\n\nb"}],
    ),
    Case(
        "results come in the order of the calls, before the text, with their tool's name (177)",
        [
            user("go"),
            assistant(use("t1"), use("t2", "list")),
            user(result("t2", "two"), result("t1", "one"), text("now?")),
        ],
        [
            {"role": "user", "content": "go"},
            {
                "role": "assistant",
                "content": "",
                "tool_calls": [called("t1"), called("t2", "list")],
            },
            answered("t1", "one"),
            answered("t2", "two", "list"),
            {"role": "user", "content": "now?"},
        ],
    ),
    Case(
        "an error of a tool is visible to the model (178)",
        [*TURN, user(result("t1", "no such file", is_error=True))],
        [*CHAT_TURN, answered("t1", "Error: no such file")],
    ),
    Case(
        "a failed result without words still reads as an error (178)",
        [*TURN, user(result("t1", is_error=True))],
        [*CHAT_TURN, answered("t1", "Error: (no output)")],
    ),
    Case(
        "an empty result says so (179)",
        [*TURN, user(result("t1", ""))],
        [*CHAT_TURN, answered("t1", "(no output)")],
    ),
    Case(
        "an image in a result follows in the user's message, with a pointer (179)",
        [*TURN, user(result("t1", [text("r"), PNG]), text("and?"))],
        [
            *CHAT_TURN,
            answered("t1", "r\n\n[Image 1]"),
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "[Image 1] (from the result of look)\n\nand?"},
                    {"type": "image_url", "image_url": {"url": URL}},
                ],
            },
        ],
        SEES,
    ),
    Case(
        "documents, search results and tool references in a result become text (179)",
        [
            *TURN,
            user(
                result(
                    "t1",
                    [
                        {
                            "type": "document",
                            "source": {"type": "text", "media_type": "text/plain", "data": "d"},
                        },
                        {
                            "type": "search_result",
                            "title": "T",
                            "source": "S",
                            "content": [text("f")],
                        },
                        {"type": "tool_reference", "tool_name": "list"},
                    ],
                )
            ),
        ],
        [
            *CHAT_TURN,
            answered(
                "t1",
                "<document>\nd\n</document>\n\n"
                '<search_result title="T" source="S">\nf\n</search_result>\n\n[Tool: list]',
            ),
        ],
    ),
    Case(
        "a result whose call is gone from the history is text, never an unpaired message (180)",
        [user(result("gone", "x"), text("a"))],
        [{"role": "user", "content": "[Result of an earlier tool call] x\n\na"}],
    ),
    Case(
        "what a server tool did becomes text, without its encrypted parts (180)",
        [
            user("go"),
            assistant(
                {
                    "type": "server_tool_use",
                    "id": "srv_1",
                    "name": "web_search",
                    "input": {"q": "x"},
                },
                {
                    "type": "web_search_tool_result",
                    "tool_use_id": "srv_1",
                    "content": [
                        {"type": "web_search_result", "url": "u", "encrypted_content": "e"}
                    ],
                },
            ),
            user("b"),
        ],
        [
            {"role": "user", "content": "go"},
            {
                "role": "assistant",
                "content": '[server_tool_use] {"name":"web_search","input":{"q":"x"}}\n\n'
                '[web_search_tool_result] {"content":[{"url":"u"}]}',
            },
            {"role": "user", "content": "b"},
        ],
    ),
    Case(
        "a document is delimited text with title and context, citations ignored (181, 182)",
        [
            user(
                {
                    "type": "document",
                    "source": {"type": "content", "content": [text("p1"), text("p2")]},
                    "title": 'A "b"',
                    "context": "c",
                    "citations": {"enabled": True},
                },
                text("a"),
            )
        ],
        [
            {
                "role": "user",
                "content": '<document title="A &quot;b&quot;" context="c">\np1\n\np2\n'
                "</document>\n\na",
            }
        ],
    ),
]


@pytest.mark.parametrize("case", MESSAGES, ids=lambda case: case.behaviour)
def test_messages(case: Case) -> None:
    """Each kind of turn and block arrives in the chat shape (conformance 168-182)."""
    actual = call_for(*case.messages, facts=case.facts)

    assert orjson.dumps(case.expected) == orjson.dumps(actual.messages)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("be kind", "be kind"),
        ([text("a"), text(""), text("b")], "a\n\nb"),
        ([text("x-anthropic-billing-header: cc_version=1;"), text("b")], "b"),
    ],
)
def test_system_is_the_first_message(given: Any, expected: str) -> None:
    """Blocks are joined, and Claude Code's volatile first block is gone (conformance 166, 167)."""
    call = call_for(user("a"), system=given)

    assert {"role": "system", "content": expected} == call.messages[0]


@pytest.mark.parametrize("given", [None, "", [], [text("x-anthropic-billing-header: a")]])
def test_no_system_no_message(given: Any) -> None:
    """Without words of a system prompt there is no system message (conformance 091, 166)."""
    call = call_for(user("a"), system=given)

    assert [{"role": "user", "content": "a"}] == call.messages


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (SCHEMA, SCHEMA),
        ({}, {"type": "object", "properties": {}}),
        ({"type": "object"}, {"type": "object", "properties": {}}),
        ({"type": ["object"], "properties": None}, {"type": "object", "properties": {}}),
        (
            {"type": "object", "properties": {"a": True, "b": {"const": 1, "format": "int32"}}},
            {
                "type": "object",
                "properties": {
                    "a": {},
                    "b": {"type": "integer", "description": "Format: int32.", "enum": [1]},
                },
            },
        ),
        (
            {
                "type": "object",
                "properties": {"a": {"type": ["string", "null"], "description": 1}},
                "required": ["a", 1],
            },
            {
                "type": "object",
                "properties": {"a": {"type": ["string", "null"], "description": "1"}},
                "required": ["a"],
            },
        ),
    ],
)
def test_schemas_that_ollama_would_refuse(given: Any, expected: Any) -> None:
    """A schema keeps its order and words, but for what Ollama answers with 400 (184, 185)."""
    call = call_for(user("a"), tools=[{"name": "look", "input_schema": given, "strict": True}])

    tool = {"type": "function", "function": {"name": "look", "parameters": expected}}
    assert orjson.dumps([tool]) == orjson.dumps(call.tools)


@pytest.mark.parametrize(
    ("given", "said", "expected"),
    [
        ("Looks.", "Root.", "Looks.\n\nRoot."),
        (None, "Root.", "Root."),
        ("Same.", "Same.", "Same."),
        ("Looks.", None, "Looks."),
    ],
)
def test_what_the_root_says_is_said_of_the_function(given: Any, said: Any, expected: str) -> None:
    """A schema's own description follows the tool's, once (conformance 183)."""
    schema = {"type": "object", "description": said}
    call = call_for(
        user("a"), tools=[{"name": "look", "description": given, "input_schema": schema}]
    )

    assert expected == call.tools[0]["function"]["description"]


@pytest.mark.parametrize(
    ("choice", "tools", "last"),
    [
        ({"type": "auto"}, [LIST, LOOK], "a"),
        ({"type": "none"}, [], "a"),
        (
            {"type": "any"},
            [LIST, LOOK],
            "a\n\nYou must call one of the available tools now. Do not answer in plain text.",
        ),
        (
            {"type": "tool", "name": "list", "disable_parallel_tool_use": True},
            [LIST],
            (
                "a\n\nYou must call the tool list now. Do not answer in plain text. "
                "Make exactly one call."
            ),
        ),
    ],
)
def test_tool_choice(choice: Any, tools: Any, last: str) -> None:
    """`tool_choice` limits the tools and is said in words (conformance 187, 188)."""
    call = call_for(user("a"), tools=[TOOL, OTHER], tool_choice=choice)

    assert tools == call.tools
    assert last == call.messages[-1]["content"]


def test_tool_choice_after_a_result() -> None:
    """After a tool's result the instruction is a user message of its own (conformance 188)."""
    call = call_for(*TURN, user(result("t1", "x")), tools=[TOOL], tool_choice={"type": "any"})

    assert "user" == call.messages[-1]["role"]
    assert answered("t1", "x") == call.messages[-2]


@pytest.mark.parametrize(
    ("supported", "thinking", "effort", "expected"),
    [
        (True, {"type": "enabled", "budget_tokens": 1024}, None, True),
        (True, {"type": "adaptive"}, "low", "low"),
        (True, {"type": "adaptive"}, "medium", "medium"),
        (True, {"type": "adaptive"}, "xhigh", "high"),
        (True, {"type": "adaptive"}, "max", "high"),
        (True, {"type": "disabled"}, "high", False),
        (True, {"type": "between_tools"}, None, False),
        (True, None, None, False),
        (None, {"type": "enabled", "budget_tokens": 1024}, None, False),
        (None, None, None, False),
        (False, {"type": "adaptive"}, "high", None),
    ],
)
def test_thinking(supported: bool | None, thinking: Any, effort: Any, expected: Any) -> None:
    """Thinking is on only if asked for and known to work (conformance 193, 194, 195)."""
    body: dict[str, Any] = {} if thinking is None else {"thinking": thinking}
    if effort is not None:
        body["output_config"] = {"effort": effort}

    call = call_for(user("a"), facts=ModelFacts(supports_thinking=supported), **body)

    assert expected is call.think or expected == call.think


@pytest.mark.parametrize(
    ("asked", "cap", "expected"), [(100, None, 100), (100, 50, 50), (100, 200, 100), (0, None, 1)]
)
def test_output_tokens(asked: int, cap: int | None, expected: int) -> None:
    """The limit is the smaller of request and deployment, and positive (conformance 190)."""
    call = call_for(user("a"), cap=cap, max_tokens=asked)

    assert expected == call.max_output_tokens


def test_sampling_is_typed() -> None:
    """Sampling goes on as floats and ints, zeros included (conformance 191, 200)."""
    call = call_for(user("a"), temperature=0, top_p=1, top_k=0)

    assert [0.0, 1.0, 0] == [call.temperature, call.top_p, call.top_k]
    assert isinstance(call.temperature, float)
    assert isinstance(call.top_p, float)


def test_sampling_absent() -> None:
    """What the client did not set is left to the model's own defaults (conformance 191)."""
    call = call_for(user("a"))

    assert (None, None, None) == (call.temperature, call.top_p, call.top_k)


@pytest.mark.parametrize(
    "body",
    [
        {"output_config": {"format": {"type": "json_schema", "schema": SCHEMA}}},
        {"output_format": {"type": "json_schema", "schema": SCHEMA}},
    ],
)
def test_response_schema(body: dict[str, Any]) -> None:
    """A wanted JSON schema is passed on as it is (conformance 196)."""
    assert SCHEMA == call_for(user("a"), **body).response_schema


@pytest.mark.parametrize(
    ("facts", "content", "body", "said"),
    [
        (ModelFacts(), [PNG], {}, "image"),
        (ModelFacts(supports_vision=False), [PNG], {}, "image"),
        (
            SEES,
            [{"type": "image", "source": {"type": "url", "url": "https://x/y.png"}}],
            {},
            "image.source.type",
        ),
        (
            SEES,
            [
                {
                    "type": "document",
                    "source": {
                        "type": "base64",
                        "media_type": "application/pdf",
                        "data": "aGk=",
                    },
                }
            ],
            {},
            "document.source.type",
        ),
        (SEES, [{"type": "container_upload", "file_id": "f"}], {}, "container_upload"),
        (ModelFacts(supports_tools=False), [text("a")], {"tools": [TOOL]}, "tools"),
        (
            ModelFacts(),
            [text("a")],
            {"tools": [{"type": "web_search_20250305", "name": "web_search"}]},
            "tools.0.type",
        ),
    ],
)
def test_what_a_local_model_cannot_do(
    facts: ModelFacts, content: Any, body: dict[str, Any], said: str
) -> None:
    """A missing capability is refused, naming it, never dropped (conformance 099, 108, 109)."""
    with pytest.raises(UnsupportedLocally, match=f"^{said}:") as refusal:
        call_for(user(*content), facts=facts, **body)

    assert 400 == refusal.value.status
    assert refusal.value.should_retry is False


@pytest.mark.parametrize("levels", [100, 400])
def test_a_schema_of_many_levels(levels: int) -> None:
    """It is offered, or refused by its name; never a fault of ours (conformance 183)."""
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(levels // 2):
        schema = {"type": "object", "properties": {"a": schema}}
    tools = [TOOL, {"name": "deep", "input_schema": schema}]
    if levels == 100:
        assert "deep" == call_for(user("a"), tools=tools).tools[0]["function"]["name"]
        return
    with pytest.raises(UnsupportedLocally, match=r"^tools\.1\.input_schema: nested too deeply"):
        call_for(user("a"), tools=tools)


def test_tools_that_are_not_offered_need_no_support() -> None:
    """`tool_choice: none` can be served by a model without tools (conformance 187)."""
    call = call_for(
        user("a"),
        facts=ModelFacts(supports_tools=False),
        tools=[TOOL],
        tool_choice={"type": "none"},
    )

    assert [] == call.tools


def conversation() -> list[dict[str, Any]]:
    """Return a long conversation with everything a history holds."""
    return [
        user("go"),
        system("env"),
        assistant(text("ok"), use("t1", z=1, a={"y": 1, "b": 2}), use("t2", "list")),
        user(result("t2", [PNG]), result("t1", "x", is_error=True), text("hint")),
        assistant("done"),
        user(PNG, text("more")),
    ]


def test_the_request_is_not_changed() -> None:
    """The body may be sent to Claude afterwards, so it stays as it was."""
    body = {
        "max_tokens": 9,
        "system": [text("s")],
        "messages": conversation(),
        "tools": [TOOL, {"name": "list", "input_schema": {"type": "object"}}],
        "tool_choice": {"type": "any"},
    }
    before = copy.deepcopy(body)

    normalise(body, SEES, max_output_tokens_cap=None)

    assert before == body


def test_a_longer_conversation_begins_like_the_shorter_one() -> None:
    """Every answered turn keeps its messages, so that the model's cache of them holds (168)."""
    whole = call_for(*conversation(), facts=SEES, system="s").messages
    earlier = call_for(*conversation()[:4], facts=SEES, system="s").messages

    assert orjson.dumps(earlier) == orjson.dumps(whole[: len(earlier)])
